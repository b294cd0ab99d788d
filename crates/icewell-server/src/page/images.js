// The list of what is cached: searched, sorted and paged by the daemon, so that a million images are as quick as ten.

import { attempt, confirm } from "./dialogs.js";
import { ask, nameInPath } from "./server.js";
import { ago, by, count, id, make, plural, set, size, when } from "./words.js";

const ROWS = 50;
const wanted = { search: "", sort: "last_accessed", order: "desc", offset: 0 };
let asked = 0;

export async function images(refresh) {
  const mine = (asked += 1);
  const list = await ask(`v1/images?${new URLSearchParams({ ...wanted, limit: ROWS })}`);
  // An answer that was overtaken by a later one is old.
  if (mine !== asked) return;
  if (list.found && list.offset >= list.found) {
    wanted.offset = 0;
    return images(refresh);
  }
  const now = Date.now() / 1000;
  const rows = list.images.map((image) => row(image, now, refresh));
  const body = by("table").tBodies[0];
  const focused = body.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  body.replaceChildren(...rows);
  if (focused !== undefined) (body.querySelector(`[data-key="${CSS.escape(focused)}"]`) ?? by("search")).focus();
  const end = list.offset + list.images.length;
  set("found", wanted.search ? `${plural(list.found, "image", "images")} of ${count(list.total)} with “${wanted.search}”` : plural(list.total, "image", "images"));
  set("page-of", list.found ? `${count(list.offset + 1)}–${count(end)} of ${count(list.found)}` : "");
  by("earlier").disabled = list.offset === 0;
  by("later").disabled = end >= list.found;
  for (const head of by("table").tHead.rows[0].cells) {
    if (head.dataset.sort === wanted.sort) head.setAttribute("aria-sort", wanted.order === "asc" ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
}

function row(image, now, refresh) {
  const name = image.image_id;
  const [kind, ...inside] = id(name, image.name, ...(image.pinned ? [make("span", { class: "tag" }, "pinned")] : []));
  const action = (label, key, onclick) => make("button", { type: "button", "data-key": `${key} ${name}`, "aria-label": `${label} ${name}`, onclick }, label);
  const path = `v1/images/${nameInPath(name)}`;
  const shown = make("p", {}, make("bdi", {}, name));
  return make("tr", {},
    make("td", { class: kind }, ...inside),
    make("td", { class: "number", title: `${count(image.size)} bytes, ${size(image.allocated)} on disk` }, size(image.size)),
    make("td", { class: "number" }, plural(image.hits, "hit", "hits")),
    make("td", { class: "number", title: when(image.last_accessed) }, ago(now, image.last_accessed)),
    make("td", { class: "do" },
      action(image.pinned ? "Unpin" : "Pin", "pin", async () => {
        const why = image.pinned ? "It may be pruned again when it has not been used for long." : "It stays, however long nobody uses it, until it is unpinned or deleted.";
        if (!(await confirm(image.pinned ? "Unpin this image?" : "Pin this image?", [shown, why], image.pinned ? "Unpin" : "Pin"))) return;
        await attempt(() => ask(`${path}/${image.pinned ? "unpin" : "pin"}`, "POST"), `${name} is ${image.pinned ? "unpinned" : "pinned"}.`);
        refresh();
      }),
      action("Verify", "verify", async () => {
        const digest = image.digest ? `It is compared with ${image.digest}.` : "The origin vouched for no digest; so it can only be told whether the bytes have changed since.";
        if (!(await confirm("Verify this image?", [shown, `All ${size(image.size)} are read. ${digest} A bad image is set aside.`], "Verify"))) return;
        await attempt(() => ask(`${path}/verify`, "POST"), `${name} is being verified.`);
        refresh();
      }),
      action("Delete", "delete", async () => {
        if (!(await confirm("Delete this copy?", [shown, `${size(image.size)} come free. The image stays at the origin, and is fetched again when somebody asks for it. Who reads it now reads on.`], "Delete", "danger"))) return;
        await attempt(() => ask(`v2/cache/${nameInPath(name)}`, "DELETE"), `${name} is deleted.`);
        refresh();
      })));
}

export function wireImages(refresh) {
  let typing;
  const again = () => images(refresh).catch((error) => set("found", error.message));
  by("search-form").addEventListener("submit", (event) => event.preventDefault());
  by("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      Object.assign(wanted, { search: by("search").value, offset: 0 });
      again();
    }, 150);
  });
  for (const head of by("table").tHead.rows[0].cells) {
    head.querySelector("button")?.addEventListener("click", () => {
      const { sort } = head.dataset;
      const usual = sort === "image_id" ? "asc" : "desc";
      const order = wanted.sort !== sort ? usual : wanted.order === "asc" ? "desc" : "asc";
      Object.assign(wanted, { sort, order, offset: 0 });
      again();
    });
  }
  const turn = (by) => {
    wanted.offset = Math.max(0, wanted.offset + by);
    again();
  };
  by("earlier").addEventListener("click", () => turn(-ROWS));
  by("later").addEventListener("click", () => turn(ROWS));
}
