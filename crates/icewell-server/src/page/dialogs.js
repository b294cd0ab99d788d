// Questions before something is done, and what came of it.

import { by, make, set } from "./words.js";

let fading;

// Says what happened; a screen reader says it, too.
export function say(text) {
  set("said", text);
  clearTimeout(fading);
  fading = setTimeout(() => set("said", ""), 6000);
}

// Asks; whether the answer was yes. The way back has the focus first.
export function confirm(title, body, yes, kind = "primary") {
  const dialog = by("dialog");
  set("dialog-title", title);
  by("dialog-body").replaceChildren(...body.map((part) => (typeof part === "string" ? make("p", {}, part) : part)));
  const button = by("dialog-yes");
  button.textContent = yes;
  button.className = kind;
  button.hidden = !yes;
  by("dialog-no").textContent = yes ? "Cancel" : "Close";
  dialog.returnValue = "no";
  dialog.showModal();
  by("dialog-no").focus();
  return new Promise((answered) => {
    dialog.addEventListener("close", () => answered(dialog.returnValue === "yes"), { once: true });
  });
}

// Does something, and says how it went.
export async function attempt(work, done) {
  try {
    const result = await work();
    say(typeof done === "function" ? done(result) : done);
    return true;
  } catch (error) {
    say(error.message);
    return false;
  }
}
