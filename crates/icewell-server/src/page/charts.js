// Charts of the history, drawn as SVG: areas on one another, a line for what is the limit.

import { make, percent, rate, size, when } from "./words.js";

const [HEIGHT, LEFT, BOTTOM, TOP] = [150, 66, 20, 8];

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// A round number that is not less.
function ceiling(value, base) {
  if (value <= 0) return 1;
  const unit = base ** Math.floor(Math.log(value) / Math.log(base));
  const steps = base === 10 ? [1, 2, 5, 10] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
  return unit * steps.find((step) => unit * step >= value * 0.9999);
}

// layers: [{ label, values }], each value at the time of the same place in `times`.
function draw(place, title, times, layers, { text, base, limit, most }) {
  if (times.length < 2) {
    place.replaceChildren(make("p", { class: "empty" }, "Nothing to show yet."));
    return;
  }
  // As wide as there is room: figures keep their size.
  const width = Math.max(240, Math.round(place.clientWidth));
  const sums = times.map((_, at) => layers.reduce((sum, layer) => sum + layer.values[at], 0));
  const top = most ?? ceiling(Math.max(...sums, limit ?? 0), base);
  const [first, last] = [times[0], times[times.length - 1]];
  const x = (time) => LEFT + ((time - first) / (last - first || 1)) * (width - LEFT - 4);
  const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);
  const parts = [];
  for (const part of [0, 0.5, 1]) {
    parts.push(svg("line", { class: "grid", x1: LEFT, x2: width - 4, y1: y(top * part), y2: y(top * part) }));
    parts.push(svg("text", { class: "axis", x: LEFT - 6, y: y(top * part) + 4, "text-anchor": "end" }, text(top * part)));
  }
  const below = times.map(() => 0);
  layers.forEach((layer, number) => {
    const upper = times.map((time, at) => `${x(time).toFixed(1)},${y(below[at] + layer.values[at]).toFixed(1)}`);
    const lower = times.map((time, at) => `${x(time).toFixed(1)},${y(below[at]).toFixed(1)}`).reverse();
    parts.push(svg("polygon", { class: `a${number + 1}`, points: [...upper, ...lower].join(" "), opacity: 0.85 }));
    layer.values.forEach((value, at) => (below[at] += value));
  });
  if (limit) parts.push(svg("line", { class: "limit", x1: LEFT, x2: width - 4, y1: y(limit), y2: y(limit) }));
  for (const [time, anchor] of [[first, "start"], [last, "end"]]) {
    parts.push(svg("text", { class: "axis", x: x(time), y: HEIGHT - 4, "text-anchor": anchor }, when(time)));
  }
  const now = layers.map((layer) => `${layer.label} ${text(layer.values[layer.values.length - 1])}`).join(", ");
  const picture = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `${title}, latest: ${now}` }, ...parts);
  const key = layers.map((layer, number) => make("li", { class: `k${number + 1}` }, layer.label));
  if (limit) key.push(make("li", { class: "kl" }, `limit ${text(limit)}`));
  place.replaceChildren(picture, make("ul", { class: "key", "aria-hidden": "true" }, ...key));
}

// How much a counter grew each second between two samples. One that fell was begun anew.
function rates(samples, field) {
  return samples.slice(1).map((sample, at) => {
    const before = samples[at];
    return Math.max(0, sample[field] - before[field]) / Math.max(0.001, sample.at - before.at);
  });
}

// The part of the requests that the cache answered, between two samples; where there were none, as before.
function ratios(samples) {
  const [hits, fills, passed] = ["from_cache", "from_fill", "passed"].map((field) => rates(samples, field));
  let last = 0;
  return hits.map((hit, at) => {
    const all = hit + fills[at] + passed[at];
    if (all) last = hit / all;
    return last;
  });
}

export function charts(samples) {
  const times = samples.map((sample) => sample.at);
  const later = times.slice(1);
  const number = (value) => (value >= 10 || value === 0 ? Math.round(value).toLocaleString("en") : value.toPrecision(2));
  draw(document.getElementById("chart-ratio"), "Hit ratio", later, [{ label: "of requests, from the cache", values: ratios(samples) }], { text: percent, most: 1 });
  draw(document.getElementById("chart-requests"), "Requests a second", later, [
    { label: "from the cache", values: rates(samples, "from_cache") },
    { label: "from a fill", values: rates(samples, "from_fill") },
    { label: "past the cache", values: rates(samples, "passed") },
  ], { text: number, base: 10 });
  draw(document.getElementById("chart-traffic"), "Bytes to clients", later, [
    { label: "from the cache", values: rates(samples, "sent_from_cache") },
    { label: "while it comes from the origin", values: rates(samples.map((sample) => ({ at: sample.at, rest: sample.sent_bytes - sample.sent_from_cache })), "rest") },
  ], { text: rate, base: 1024 });
  draw(document.getElementById("chart-space"), "Space", times, [
    { label: "used", values: samples.map((sample) => sample.used) },
  ], { text: size, base: 1024, limit: samples.at(-1)?.limit });
}
