// What the daemon is doing, from its status: health, the cards, fills, the queue, what goes next, failures.

import { attempt, confirm } from "./dialogs.js";
import { ask, nameInPath } from "./server.js";
import { ago, by, count, empty, id, make, percent, plural, rate, set, show, size, span, table, when } from "./words.js";

export function overview(status, samples, refresh) {
  health(status);
  cards(status, samples);
  fills(status);
  queue(status, refresh);
  next(status);
  removed(status);
  failures(status);
  verifications(status);
  scrub(status);
  set("where", `${status.origin} → ${status.dir}`);
  const old = status.now - status.counted > 5 ? ` The directory was counted ${ago(status.now, status.counted)}.` : "";
  set("about", `Icewell ${status.version}, up for ${span(status.uptime)}.${old}`);
}

function health(status) {
  const worst = status.notes.some((note) => note.level === "bad") ? "bad" : status.notes.length ? "warning" : "";
  const clients = status.fills.reduce((sum, fill) => sum + fill.clients, 0);
  const busy = status.fills.length ? `fetching ${plural(status.fills.length, "image", "images")} for ${plural(clients, "client", "clients")}` : "nothing being fetched";
  const state = { "": "Healthy", warning: "Works, but look at this", bad: "In trouble" }[worst];
  const place = by("health");
  place.className = `health ${worst}`;
  const text = `${state}: ${plural(status.images.count, "image", "images")} cached, ${busy}.`;
  if (place.textContent !== text) place.replaceChildren(make("span", { class: "dot", "aria-hidden": "true" }), make("span", {}, text));
  by("notes").replaceChildren(...status.notes.map((note) => make("li", { class: note.level }, note.text)));
}

function cards(status, samples) {
  const { limit, images, incomplete, invalid, file_system: disk } = status;
  const from = samples[0] ?? { from_cache: 0, from_fill: 0, passed: 0, at: status.started };
  const grown = (field) => Math.max(0, status.counters[field] - from[field]);
  const all = grown("from_cache") + grown("from_fill") + grown("passed");
  set("ratio", all ? percent(grown("from_cache") / all) : "–");
  set("ratio-more", all ? `of ${plural(all, "request", "requests")} in the last ${span(Math.max(1, status.now - from.at))}` : "no requests yet");
  set("space", size(limit.used));
  const part = limit.max_size ? limit.used / limit.max_size : 1;
  const used = Math.min(100, part * 100);
  by("meter").setAttribute("aria-valuenow", used.toFixed(0));
  const inImages = limit.used ? (limit.count === "size" ? images.size : images.allocated) / limit.used : 0;
  by("meter-images").style.width = `${used * Math.min(1, inImages)}%`;
  by("meter-rest").style.width = `${used * Math.max(0, 1 - inImages)}%`;
  const more = [`${percent(part)} of ${size(limit.max_size)}`];
  if (incomplete.size) more.push(`${size(incomplete.size)} incomplete`);
  if (invalid.size) more.push(`${size(invalid.size)} failed`);
  more.push(`${size(disk.available)} free on ${disk.name}${limit.min_free ? `, of which ${size(limit.min_free)} are to stay free` : ""}`);
  set("space-more", more.join(", "));
  forecast(status.forecast);
  set("tail", images.tail_age == null ? "–" : span(images.tail_age));
  set("tail-more", images.tail_age == null ? "no image would go" : "since the image that goes next was used");
}

function forecast(told) {
  const [big, more] = {
    unknown: () => ["–", "too early to tell"],
    full: () => ["now", "whatever comes takes the place of what was not used for longest"],
    steady: () => ["not soon", "it does not grow"],
    growing: () => [`in ${span(told.seconds)}`, `at ${rate(told.bytes_per_second)}; then what was not used for longest goes`],
  }[told.state]();
  set("full", big);
  set("full-more", more);
}

function fills(status) {
  const rows = status.fills.map((fill) => {
    const bar = make("progress", { "aria-label": `progress of ${fill.image_id}`, max: fill.size ?? 1, ...(fill.size ? { value: fill.written } : {}) });
    const left = fill.size && fill.rate > 0 ? `, ${span((fill.size - fill.written) / fill.rate)} left` : "";
    const words = { asking: "asking the origin", committing: "being stored", ended: "ended" }[fill.state]
      ?? `${size(fill.written)}${fill.size ? ` of ${size(fill.size)}` : ""}${left}`;
    return [
      id(fill.image_id, fill.name),
      ["full", bar, make("div", { class: "quiet" }, words)],
      ["number", fill.elsewhere ? "another process" : rate(fill.rate)],
      ["number", plural(fill.clients, "client", "clients")],
      ["number", ago(status.now, fill.since)],
    ];
  });
  const heads = [["Image"], ["Progress"], ["Rate", "number"], ["Waiting", "number"], ["Begun", "number"]];
  show(by("fills"), rows.length ? table(heads, rows, "Images being fetched") : empty("Nothing. What is asked for and not cached appears here."));
}

function queue(status, refresh) {
  const rows = status.queue.map(({ image_id: name, since }) => [
    id(name),
    ["number", `since ${ago(status.now, since)}`],
    ["do", make("button", { type: "button", "data-key": `unqueue ${name}`, "aria-label": `Take ${name} off the queue`, onclick: async () => {
      if (!(await confirm("Take off the queue?", [make("p", {}, make("bdi", {}, name)), "It is not fetched until somebody asks for it."], "Take off"))) return;
      await attempt(() => ask(`v2/queued_images/${nameInPath(name)}`, "DELETE"), `${name} is off the queue.`);
      refresh();
    } }, "Take off")],
  ]);
  const more = status.queue_length > rows.length ? [empty(`and ${count(status.queue_length - rows.length)} more`)] : [];
  show(by("queue"), ...(rows.length ? [table([["Image"], ["Queued", "number"], ["Action", "number"]], rows, "Queue"), ...more] : [empty("The queue is empty.")]));
}

function next(status) {
  const { limit, incomplete, invalid, file_system: disk } = status;
  const toLimit = limit.max_size - limit.used;
  const toFloor = disk.available - limit.min_free;
  const room = Math.min(toLimit, toFloor);
  const within = toLimit <= toFloor ? `within the limit of ${size(limit.max_size)}`
    : `on the file system${limit.min_free ? `, of which ${size(limit.min_free)} are to stay free` : ""}`;
  const first = incomplete.count + invalid.count ? "Fills that were broken off or failed go first; then images" : "Images go";
  set("going-why", `${room > 0 ? `${size(room)} more fit` : "Nothing more fits"} ${within}. When room is needed, or the disk is full, images go. ${first} in this order, those first that were not used for longest. Pinned images stay.`);
  const rows = status.next.map((image, at) => [
    ["number wide", `${at + 1}.`], id(image.image_id, image.name), ["number", size(image.size)], ["number", plural(image.hits, "hit", "hits")],
    ["number", `not used for ${span(Math.max(0, status.now - image.last_accessed))}`],
  ]);
  const heads = [["No.", "number wide"], ["Image"], ["Size", "number"], ["Hits", "number"], ["Why", "number"]];
  show(by("next"), rows.length ? table(heads, rows, "Images that go next") : empty("Nothing: no image is cached that is not pinned."));
}

const WHATS = { image: "an image", invalid_fill: "a failed fill", abandoned_fill: "a broken-off fill" };
const WHYS = {
  limit: "for room, within the limit and above what is to stay free", disk_full: "as the disk was full", prune: "by a prune", old: "too old to be of use",
};

function removed(status) {
  const head = make("h3", {}, "Gone lately");
  if (!status.removed.length) return show(by("removed"), head, empty("Nothing since the daemon started. What goes to make room, or because it is old, stands here with the reason; what somebody deletes by name does not."));
  const rows = status.removed.map((gone) => [
    ["number", when(gone.at)], id(gone.image_id), ["number", size(gone.size)], ["full", `${WHATS[gone.what] ?? gone.what}, ${WHYS[gone.why] ?? gone.why}, last used ${ago(gone.at, gone.last_used)}`],
  ]);
  show(by("removed"), head, table([["When", "number"], ["Image"], ["Size", "number"], ["Why"]], rows, "Removed lately"));
}

const KINDS = { origin_error: "not fetched", broken: "broken off", not_kept: "could not be kept" };

function failures(status) {
  const rows = status.failures.map((failure) => [
    ["number", when(failure.at)], id(failure.image_id),
    ["full", `${KINDS[failure.kind] ?? failure.kind}: ${failure.reason}${failure.times > 1 ? ` (${count(failure.times)} times)` : ""}`],
    ["number", failure.status ? `clients got ${failure.status}` : ""],
  ]);
  const heads = [["When", "number"], ["Image"], ["What happened"], ["Answer", "number"]];
  show(by("failures"), rows.length ? table(heads, rows, "Recent failures") : empty("None since the daemon started."));
}

function verifications(status) {
  const rows = status.verifications.map((one) => [
    id(one.image_id),
    ["full", one.verdict ? `${one.verdict}: ${one.detail}` : make("progress", { "aria-label": `verifying ${one.image_id}`, max: one.size || 1, value: one.read })],
    ["number", ago(status.now, one.since)],
  ]);
  show(by("verifications"), ...(rows.length ? [make("h3", {}, "Verified"), table([["Image"], ["Found"], ["Asked for", "number"]], rows, "Verifications")] : []));
}

function scrub({ scrub: told }) {
  const found = `Since the daemon started ${plural(told.sound, "image was", "images were")} read and found sound, ${count(told.corrupt)} found wrong and dropped.`;
  if (!told.every) return show(by("scrub"), empty(`Off: cached images are not read again, so that what a disk loses is found only when it is asked for. ${found}`));
  const how = `Each cached image is read once in ${span(told.every)}, at ${rate(told.rate)} at most, and compared with its digest.`;
  const due = told.due ? `${plural(told.due, "image is", "images are")} due.` : "None is due.";
  const parts = [empty(`${how} ${due} ${found}`)];
  if (told.reading) {
    const { image_id: name, size: whole, read } = told.reading;
    const bar = make("progress", { "aria-label": `reading ${name} again`, max: whole || 1, value: read });
    parts.push(table([["Image"], ["Progress"]], [[id(name), ["full", bar, make("div", { class: "quiet" }, `${size(read)} of ${size(whole)}`)]]], "Being read again"));
  }
  show(by("scrub"), ...parts);
}
