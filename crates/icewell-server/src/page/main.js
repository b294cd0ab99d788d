// The page: asks the daemon what it is doing, again and again, and shows it.

import { charts } from "./charts.js";
import { attempt, confirm, say } from "./dialogs.js";
import { images, wireImages } from "./images.js";
import { overview } from "./overview.js";
import { Refused, ask, nameInPath, remember } from "./server.js";
import { ago, by, make, plural, set, size, table } from "./words.js";

const [STATUS_EVERY, LIST_EVERY] = [2000, 15000];
let samples = [];
let status;

const chosenSpan = () => document.querySelector("[name=span]:checked").value;

async function look() {
  [status, samples] = await Promise.all([ask("v1/status"), ask(`v1/history?span=${chosenSpan()}`).then((history) => history.samples)]);
  const now = { at: status.now, ...status.counters, used: status.limit.used, limit: status.limit.max_size };
  overview(status, samples, refresh);
  // The step that is not over yet is drawn as one with the step before: a moment alone would make a peak, or a fall to nothing.
  charts([...(samples.length > 2 ? samples.slice(0, -1) : samples), now]);
  by("main").hidden = false;
  by("login").hidden = true;
}

async function refresh() {
  try {
    await look();
    await images(refresh);
    document.documentElement.dataset.ready = "yes";
  } catch (error) {
    trouble(error);
  }
}

function trouble(error) {
  if (error instanceof Refused) {
    by("main").hidden = true;
    set("login-why", error.message);
    if (by("login").hidden) {
      by("login").hidden = false;
      by("token").focus();
    }
    return;
  }
  by("health").className = "health bad";
  by("health").replaceChildren(make("span", { class: "dot", "aria-hidden": "true" }), make("span", {}, error.message));
}

by("login").addEventListener("submit", (event) => {
  event.preventDefault();
  remember(by("token").value);
  by("token").value = "";
  refresh();
});

by("queue-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = by("queue-id").value.trim();
  if (!name || !(await confirm("Fetch this image ahead of time?", [make("p", {}, make("bdi", {}, name))], "Queue"))) return;
  if (await attempt(() => ask(`v2/cache/${nameInPath(name)}`, "PUT"), `${name} is queued.`)) by("queue-id").value = "";
  refresh();
});

by("prune").addEventListener("click", async () => {
  const limit = status?.limit.max_size ?? 0;
  const field = make("input", { id: "prune-to", type: "number", min: "0", max: "1048576", step: "any", value: (limit / 2 ** 30).toFixed(2) });
  const label = make("label", { for: "prune-to" }, "Down to how many GiB of images? ");
  if (!(await confirm("Prune", [make("p", {}, label, field), "First you see what would go."], "Look"))) return;
  const to = Math.round(Number(field.value) * 2 ** 30);
  if (!Number.isFinite(to) || field.value === "" || to < 0) return say("That is no size.");
  let dry;
  if (!(await attempt(async () => (dry = await ask(`v1/prune?dry_run=yes&max_size=${to}`, "POST")), () => `${plural(dry.total_files_pruned, "image", "images")} would go.`))) return;
  if (!dry.total_files_pruned) return confirm("Nothing to prune", [`The images are within ${size(to)}, or pinned.`], "");
  const now = Date.now() / 1000;
  const rows = dry.images.slice(0, 100).map((image) => [["id", make("bdi", {}, image.image_id)], ["number", size(image.size)], ["number", ago(now, image.last_accessed)]]);
  const what = `${plural(dry.total_files_pruned, "image", "images")}, ${size(dry.total_bytes_pruned)}`;
  const list = table([["Image"], ["Size", "number"], ["Last used", "number"]], rows, "What would be pruned");
  if (!(await confirm(`Prune ${what}?`, ["Those that were not used for longest:", list], `Prune ${what}`, "danger"))) return;
  await attempt(() => ask(`v1/prune?dry_run=no&max_size=${to}`, "POST"), (done) => `${plural(done.total_files_pruned, "image", "images")} pruned, ${size(done.total_bytes_pruned)} came free.`);
  refresh();
});

by("clean").addEventListener("click", async () => {
  const { invalid, incomplete } = status ?? {};
  const body = [`Removes all failed fills (${size(invalid?.size ?? 0)}), and fills that stood still for too long, of ${size(incomplete?.size ?? 0)} incomplete. Fills that are alive stay.`];
  if (!(await confirm("Clean?", body, "Clean"))) return;
  await attempt(() => ask("v2/cache/clean", "POST"), "Cleaned.");
  refresh();
});

for (const radio of document.querySelectorAll("[name=span]")) radio.addEventListener("change", () => look().catch(trouble));
wireImages(refresh);
refresh();
setInterval(() => {
  if (!document.hidden && !by("main").hidden) look().catch(trouble);
}, STATUS_EVERY);
setInterval(() => {
  const busy = by("dialog").open || by("table").tBodies[0].contains(document.activeElement);
  if (!document.hidden && !by("main").hidden && !busy) images(refresh).catch(trouble);
}, LIST_EVERY);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !by("main").hidden) refresh();
});
