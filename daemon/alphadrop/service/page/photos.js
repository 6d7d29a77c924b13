// The photographs that are cut in this page: each is sent once, and cut as often as it is wanted otherwise.

import { Refused, ask, upload } from "./api.js";

const AT_ONCE = 2;
const BUSY = 3000;
const STRANGE = /\.(tiff?|hei[cf])$/i; // formats that browsers do not show

/** How a photograph is cut where nothing else is said; `decontaminate` follows the edges while it is null. */
export const USUAL = Object.freeze({
  model: "",
  edges: "refined",
  shift_edge: 0,
  feather: 0,
  hardness: 0,
  decontaminate: null,
  smallest_part: 0,
  fill_holes: 0,
  preset: "",
  margin: null,
  background: "",
  behind: null,
});

const SUFFIXES = { "image/jpeg": "jpg", "image/webp": "webp" };

/** A file that the daemon keeps for a while; it is sent once, however many wait for that. */
class Sent {
  isThere = false;
  moved = () => {}; // is told which part of it is there
  #file;
  #going = null;
  #leaving = new AbortController();

  constructor(file) {
    this.#file = file;
  }

  /** Send it where that is still to be done; return its number. */
  number() {
    this.#going ??= this.#send();
    return this.#going;
  }

  /** Take it that the daemon does not keep it any more. */
  forget() {
    this.isThere = false;
    this.#going = null;
  }

  close() {
    this.#leaving.abort();
  }

  async #send() {
    const { signal } = this.#leaving;
    try {
      const number = await patiently(signal, () => upload(this.#file, (part) => this.moved(part), signal));
      this.isThere = true;
      return number;
    } catch (error) {
      this.forget();
      throw error;
    }
  }
}

/** A picture that is put behind subjects. */
export class Backdrop {
  sent;
  url;
  #isStrange;

  constructor(file) {
    this.sent = new Sent(file);
    this.url = URL.createObjectURL(file);
    this.#isStrange = STRANGE.test(file.name);
  }

  /** Have it in a format that this browser shows. */
  async seen() {
    if (!this.#isStrange) return;
    const before = this.url;
    this.url = URL.createObjectURL(await preview(await this.sent.number()));
    this.#isStrange = false;
    URL.revokeObjectURL(before);
  }

  /** Let go of what it holds. */
  close() {
    this.sent.close();
    URL.revokeObjectURL(this.url);
  }
}

/** One photograph and what became of it. */
export class Photo {
  state = "waiting"; // uploading, cutting, done, no_subject, failed
  progress = 0;
  refused = null;
  result = null;
  seconds = null; // that the daemon worked on it
  thumbnail = "";
  isFramed = false; // its result is of another shape
  sent;
  #isStrange;

  constructor({ file, path }, wishes) {
    this.file = file;
    this.path = path;
    this.wishes = wishes;
    this.source = URL.createObjectURL(file);
    this.sent = new Sent(file);
    this.#isStrange = STRANGE.test(path);
  }

  get name() {
    return this.path.split("/").pop();
  }

  /** Its result's name, below the folder it came from. */
  get target() {
    const suffix = SUFFIXES[this.result?.blob.type] ?? "png";
    return `${this.path.replace(/\.[^./]*$/, "") || this.path}.${suffix}`;
  }

  get isEnded() {
    return ["done", "no_subject", "failed"].includes(this.state);
  }

  /** Send it where that is still to be done, and cut it; `changed` is called with every step. */
  async cut(changed, signal) {
    const step = (state, more = {}) => {
      Object.assign(this, { state, ...more });
      changed(this);
    };
    const { preset } = this.wishes;
    try {
      const answer = await this.#answer(step, signal);
      const blob = answer.status === 204 ? null : await answer.blob();
      if (this.#isStrange) await this.#preview();
      signal.throwIfAborted();
      this.#show(blob);
      this.isFramed = blob !== null && preset !== "";
      const stages = Object.values(JSON.parse(answer.headers.get("Alphadrop-Seconds")));
      step(blob ? "done" : "no_subject", { refused: null, seconds: stages.reduce((sum, each) => sum + each, 0) });
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      this.#show(null);
      this.isFramed = false;
      step("failed", { refused: error });
    }
  }

  /** Let go of what it holds. */
  close() {
    this.sent.close();
    for (const url of [this.source, this.result?.url, this.thumbnail]) if (url) URL.revokeObjectURL(url);
  }

  async #answer(step, signal) {
    for (;;) {
      if (!this.sent.isThere) {
        step("uploading", { progress: 0 });
        this.sent.moved = (progress) => signal.aborted || step("uploading", { progress });
      }
      const { wishes } = this;
      const numbers = await Promise.all([this.sent.number(), wishes.behind?.sent.number()]);
      signal.throwIfAborted();
      step("cutting");
      try {
        return await patiently(signal, () => ask("POST", this.#call(wishes, ...numbers), { signal }));
      } catch (error) {
        if (error.code !== "no_such_photo") throw error;
        this.sent.forget(); // it was kept for a while only
        wishes.behind?.sent.forget();
      }
    }
  }

  async #preview() {
    const blob = await preview(await this.sent.number());
    URL.revokeObjectURL(this.source);
    this.source = URL.createObjectURL(blob);
    this.#isStrange = false;
  }

  #call(wishes, number, behind) {
    const asked = new URLSearchParams({ name: this.name });
    for (const [wish, value] of Object.entries(wishes)) {
      if (value !== USUAL[wish]) asked.set(wish, wish === "behind" ? behind : value);
    }
    return `/v1/photos/${number}/cutout?${asked}`;
  }

  #show(blob) {
    const before = this.result;
    this.result = blob && { blob, url: URL.createObjectURL(blob) };
    if (before) setTimeout(() => URL.revokeObjectURL(before.url), 10_000); // it may be on the stage still
  }
}

/** Make a call, again after a while where the daemon has too much to do. */
async function patiently(signal, call) {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (error.code !== "too_busy") throw error;
      await new Promise((done) => setTimeout(done, BUSY));
      signal.throwIfAborted();
    }
  }
}

/** Return a picture that the daemon keeps in a format that every browser shows. */
const preview = async (number) => (await ask("GET", `/v1/photos/${number}/preview`)).blob();

/** Cuts photographs, few at a time, those first that somebody looks at. */
export class Queue {
  #waiting = [];
  #working = new Map();

  constructor(changed) {
    this.changed = changed;
  }

  /** Have a photograph cut, anew where that is going on. */
  add(photo, { first = false } = {}) {
    this.drop(photo);
    if (first) this.#waiting.unshift(photo);
    else this.#waiting.push(photo);
    this.#next();
  }

  /** Leave a photograph alone. */
  drop(photo) {
    this.#waiting = this.#waiting.filter((each) => each !== photo);
    this.#working.get(photo)?.abort();
    this.#working.delete(photo);
  }

  #next() {
    while (this.#working.size < AT_ONCE && this.#waiting.length) {
      const photo = this.#waiting.shift();
      const leaving = new AbortController();
      this.#working.set(photo, leaving);
      photo.cut(this.changed, leaving.signal).finally(() => {
        if (this.#working.get(photo) === leaving) this.#working.delete(photo);
        this.#next();
      });
    }
  }
}
