// The calls of the daemon's API, with this browser's own key.

const KEY = "alphadrop.key";
const NAME = "alphadrop.name";
const AGAIN_AFTER = 2000;

/** What the daemon refused, in its words; `code` is "unreachable" where it did not answer. */
export class Refused extends Error {
  constructor(status, { code = "unreachable", message = "", hint = "" } = {}) {
    super(message || code);
    Object.assign(this, { status, code, hint });
  }
}

/** What happens to the key and the connection: "locked", "reached", "lost". */
export const bell = new EventTarget();

const ring = (kind) => bell.dispatchEvent(new Event(kind));

export const hasKey = () => localStorage.getItem(KEY) !== null;
export const ownName = () => localStorage.getItem(NAME) ?? "";

/** Exchange the code in the address for a key, and take it out of the address; return why not, where that fails. */
export async function enter() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code === null) return null;
  history.replaceState(null, "", "#photographs");
  try {
    const told = await ask("POST", "/v1/web/key", { json: { code } });
    const { key, name } = await told.json();
    localStorage.setItem(KEY, key);
    localStorage.setItem(NAME, name);
  } catch (refused) {
    return refused;
  }
  return null;
}

/** Make a call; return its answer, or throw what was refused. */
export async function ask(method, path, { json, signal, headers = {} } = {}) {
  const asked = { method, signal, headers: { ...shown(), ...headers }, cache: "no-store", credentials: "omit" };
  if (json !== undefined) {
    asked.body = JSON.stringify(json);
    asked.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, asked);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0);
  }
  if (answer.ok) return answer;
  throw refusal(answer.status, await answer.text());
}

/** Make a call and return the object that it answers with. */
export const tell = async (method, path, json) => (await ask(method, path, { json })).json();

/** Send a file to be kept for a while; `moved` is told which part of it is there. Return its number. */
export function upload(file, moved, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/photos");
    for (const [name, value] of Object.entries(shown())) request.setRequestHeader(name, value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => moved(event.total ? event.loaded / event.total : 0);
    request.onload = () =>
      request.status < 400
        ? resolve(JSON.parse(request.responseText).id)
        : reject(refusal(request.status, request.responseText));
    request.onerror = () => reject(new Refused(0));
    request.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/** Tell `heard` of every event, while the page is seen, for ever. */
export async function listen(heard) {
  let last = "";
  for (;;) {
    await untilSeen();
    const leaving = new AbortController();
    const hidden = () => document.hidden && leaving.abort();
    document.addEventListener("visibilitychange", hidden);
    try {
      const headers = last ? { "Last-Event-ID": last } : {};
      const answer = await ask("GET", "/v1/events", { signal: leaving.signal, headers });
      ring("reached");
      for await (const event of events(answer.body)) {
        last = event.id || last;
        heard(event.kind, event.what);
      }
    } catch (error) {
      if (error.status === 401) return;
    } finally {
      document.removeEventListener("visibilitychange", hidden);
    }
    if (document.hidden) continue;
    ring("lost");
    await new Promise((done) => setTimeout(done, AGAIN_AFTER));
  }
}

function shown() {
  const key = localStorage.getItem(KEY);
  return key === null ? {} : { Authorization: `Bearer ${key}` };
}

function refusal(status, text) {
  let told;
  try {
    told = JSON.parse(text).error;
  } catch {
    told = { code: "http", message: `${status}` };
  }
  if (status === 401) {
    localStorage.removeItem(KEY);
    ring("locked");
  }
  return new Refused(status, told);
}

function untilSeen() {
  if (!document.hidden) return null;
  return new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
}

/** Yield server-sent events: EventSource cannot show a key. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const said = Object.fromEntries(block.split("\n").map((line) => split(line)));
      if (said.event) yield { id: said.id, kind: said.event, what: JSON.parse(said.data) };
    }
  }
}

function split(line) {
  const at = line.indexOf(": ");
  return at > 0 ? [line.slice(0, at), line.slice(at + 2)] : ["", line];
}
