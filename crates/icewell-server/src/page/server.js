// Talks to the daemon. The token, where one is needed, stays in this tab.

const KEPT = "icewell-token";
let token = sessionStorage.getItem(KEPT) ?? "";

export class Refused extends Error {}

export function remember(typed) {
  token = typed;
  sessionStorage.setItem(KEPT, typed);
}

export async function ask(path, method = "GET") {
  const headers = { Accept: "application/json" };
  if (token) headers["X-Auth-Token"] = token;
  if (method !== "GET") headers["X-Icewell-Request"] = "page";
  let answer;
  try {
    answer = await fetch(path, { method, headers, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch {
    throw new Error("The daemon does not answer.");
  }
  const text = await answer.text();
  if (answer.ok) return text && answer.headers.get("content-type")?.startsWith("application/json") ? JSON.parse(text) : null;
  const why = reason(text) || `${answer.status} ${answer.statusText}`;
  throw answer.status === 403 && method === "GET" ? new Refused(why) : new Error(why);
}

// Glance's errors are objects with a message that ends in markup.
function reason(text) {
  try {
    return JSON.parse(text).message.replace(/(<br \/>|\s)+/g, " ").trim();
  } catch {
    return text.trim();
  }
}

export const nameInPath = (id) => encodeURIComponent(id);
