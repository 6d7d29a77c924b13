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
  background: "",
});

/** One photograph and what became of it. */
export class Photo {
  state = "waiting"; // uploading, cutting, done, no_subject, failed
  progress = 0;
  refused = null;
  result = null;
  seconds = null; // that the daemon worked on it
  thumbnail = "";
  #number = null;
  #isStrange;

  constructor({ file, path }, wishes) {
    this.file = file;
    this.path = path;
    this.wishes = wishes;
    this.source = URL.createObjectURL(file);
    this.#isStrange = STRANGE.test(path);
  }

  get name() {
    return this.path.split("/").pop();
  }

  /** Its result's name, below the folder it came from. */
  get target() {
    return `${this.path.replace(/\.[^./]*$/, "") || this.path}.png`;
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
    try {
      const answer = await this.#answer(step, signal);
      const blob = answer.status === 204 ? null : await answer.blob();
      if (this.#isStrange) await this.#preview(signal);
      signal.throwIfAborted();
      this.#show(blob);
      const stages = Object.values(JSON.parse(answer.headers.get("Alphadrop-Seconds")));
      step(blob ? "done" : "no_subject", { refused: null, seconds: stages.reduce((sum, each) => sum + each, 0) });
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      this.#show(null);
      step("failed", { refused: error });
    }
  }

  /** Let go of what it holds. */
  close() {
    for (const url of [this.source, this.result?.url, this.thumbnail]) if (url) URL.revokeObjectURL(url);
  }

  async #answer(step, signal) {
    for (;;) {
      if (this.#number === null) {
        step("uploading", { progress: 0 });
        this.#number = await this.#patiently(signal, () =>
          upload(this.file, (progress) => step("uploading", { progress }), signal),
        );
      }
      step("cutting");
      try {
        return await this.#patiently(signal, () => ask("POST", this.#call(), { signal }));
      } catch (error) {
        if (error.code !== "no_such_photo") throw error;
        this.#number = null; // it was kept for a while only
      }
    }
  }

  async #preview(signal) {
    const answer = await ask("GET", `/v1/photos/${this.#number}/preview`, { signal });
    const blob = await answer.blob();
    URL.revokeObjectURL(this.source);
    this.source = URL.createObjectURL(blob);
    this.#isStrange = false;
  }

  async #patiently(signal, call) {
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

  #call() {
    const asked = new URLSearchParams({ name: this.name });
    for (const [wish, value] of Object.entries(this.wishes)) if (value !== USUAL[wish]) asked.set(wish, value);
    return `/v1/photos/${this.#number}/cutout?${asked}`;
  }

  #show(blob) {
    const before = this.result;
    this.result = blob && { blob, url: URL.createObjectURL(blob) };
    if (before) setTimeout(() => URL.revokeObjectURL(before.url), 10_000); // it may be on the stage still
  }
}

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
