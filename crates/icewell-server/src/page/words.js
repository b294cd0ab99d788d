// Numbers in words, and elements from text. Nothing here, or anywhere in this page, makes markup of text.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function size(bytes) {
  let unit = 0;
  while (bytes >= 1024 && unit < UNITS.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${unit === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${UNITS[unit]}`;
}

export const rate = (perSecond) => `${size(perSecond)}/s`;
export const count = (number) => number.toLocaleString("en");
export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;
export const percent = (part) => `${part >= 0.9995 || part === 0 ? Math.round(part * 100) : (part * 100).toFixed(1)} %`;

const SPANS = [[86400, "day", "days"], [3600, "hour", "hours"], [60, "minute", "minutes"], [1, "second", "seconds"]];

export function span(seconds) {
  for (const [length, one, many] of SPANS) {
    if (seconds >= length) return plural(Math.floor(seconds / length), one, many);
  }
  return "a moment";
}

export const ago = (now, then) => (now - then < 1 ? "just now" : `${span(now - then)} ago`);

export function when(seconds) {
  const date = new Date(seconds * 1000);
  const day = date.toDateString() === new Date().toDateString() ? {} : { day: "numeric", month: "short" };
  return date.toLocaleString(undefined, { hour: "2-digit", minute: "2-digit", ...day });
}

// An element: make("td", { class: "number" }, "7", other)
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") element.addEventListener("click", value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

export const by = (id) => document.getElementById(id);

export function set(id, text) {
  const element = by(id);
  if (element.textContent !== text) element.textContent = text;
}

// Puts other children in, unless they are the same already; what has the focus gets it again.
export function show(place, ...children) {
  const next = place.cloneNode(false);
  next.append(...children);
  if (place.isEqualNode(next)) return;
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  place.replaceChildren(...next.childNodes);
  if (focused !== undefined) place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

// A table: its heads, and rows of cells, each text, an element, or [class, …].
export function table(heads, rows, label) {
  const cell = (content) => {
    const [kind, ...inside] = Array.isArray(content) ? content : [undefined, content];
    return make("td", { class: kind }, ...inside);
  };
  const head = heads.map(([text, kind]) => make("th", { scope: "col", class: kind }, text));
  const body = rows.map((cells) => make("tr", {}, ...cells.map(cell)));
  const whole = make("table", { class: "stack", "aria-label": label }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
  return make("div", { class: "scroll" }, whole);
}

export const empty = (text) => make("p", { class: "empty" }, text);

// An image's ID as a cell. Text from outside is shown in its own direction, so that it cannot turn its surroundings.
export function id(text, name, ...more) {
  const inside = [make("bdi", {}, text), ...more];
  if (name) inside.push(make("bdi", { class: "name" }, name));
  return ["id", ...inside];
}
