// The stage: before and after lie over each other, at the same place and size, with a split between them.

import { make } from "./elements.js";

const MARGIN = 24;
const STEP = 1.25;
const MOST = 8;
const PAN = 60;

/** Shows two pictures of the same size. */
export class Viewer {
  #stage;
  #before;
  #after;
  #split;
  #wanted = new Map(); // pictures that are decoded or on their way to it, by their addresses
  #size = null;
  #scale = null; // CSS pixels of one of the picture's; null fits it into the stage
  #place = { x: 0, y: 0 };
  #pointers = new Map();

  /** `moved` is called with the scale, in device pixels, whenever that changes. */
  constructor(stage, split, moved) {
    this.#stage = stage;
    this.#after = stage.querySelector(".after img");
    this.#before = stage.querySelector(".before img");
    this.#split = split;
    this.moved = moved;
    split.addEventListener("input", () => this.#divide());
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.#grasp(event));
    stage.addEventListener("pointermove", (event) => this.#drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      stage.addEventListener(end, (event) => this.#pointers.delete(event.pointerId));
    }
    stage.addEventListener("dblclick", () => (this.#scale === null ? this.actual() : this.fit()));
    stage.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#draw()).observe(stage);
    this.#divide();
  }

  /** Show pictures by their addresses; either may be null. What was shown stays until both are decoded.
   *
   * Return their size, null where nothing can be seen, and undefined where others were wanted meanwhile.
   */
  async show({ before, after, names }) {
    const addresses = [before, after];
    const wanted = new Map(addresses.map((each) => [each, this.#wanted.get(each) ?? decoded(each)]));
    this.#wanted = wanted;
    const [original, result] = await Promise.all(addresses.map((each) => wanted.get(each)));
    if (this.#wanted !== wanted) return undefined;
    this.#before = put(this.#before, original, names.before);
    this.#after = put(this.#after, result, names.after);
    const image = result ?? original;
    this.#size = image && { width: image.naturalWidth, height: image.naturalHeight };
    this.#stage.classList.toggle("comparable", Boolean(original && result));
    this.#stage.classList.toggle("only-before", Boolean(original && !result));
    this.#draw();
    return this.#size;
  }

  fit() {
    this.#scale = null;
    this.#draw();
  }

  actual() {
    this.#zoomTo(1 / devicePixelRatio);
  }

  nearer() {
    this.#zoomTo(this.#current() * STEP);
  }

  farther() {
    this.#zoomTo(this.#current() / STEP);
  }

  #fitting() {
    const { clientWidth, clientHeight } = this.#stage;
    const across = (clientWidth - 2 * MARGIN) / this.#size.width;
    const down = (clientHeight - 2 * MARGIN) / this.#size.height;
    return Math.min(across, down, 1 / devicePixelRatio);
  }

  #current() {
    return this.#scale ?? (this.#size ? this.#fitting() : 1);
  }

  #zoomTo(scale, at = { x: this.#stage.clientWidth / 2, y: this.#stage.clientHeight / 2 }) {
    if (!this.#size) return;
    const before = this.#current();
    const after = Math.min(Math.max(scale, this.#fitting() / 2), MOST / devicePixelRatio);
    this.#place.x = at.x - ((at.x - this.#place.x) * after) / before;
    this.#place.y = at.y - ((at.y - this.#place.y) * after) / before;
    this.#scale = after;
    this.#draw();
  }

  #draw() {
    if (!this.#size) return;
    const scale = this.#current();
    const width = this.#size.width * scale;
    const height = this.#size.height * scale;
    this.#place.x = within(this.#place.x, width, this.#stage.clientWidth);
    this.#place.y = within(this.#place.y, height, this.#stage.clientHeight);
    for (const image of [this.#before, this.#after]) {
      image.style.left = `${this.#place.x}px`;
      image.style.top = `${this.#place.y}px`;
      image.style.width = `${width}px`;
      image.style.height = `${height}px`;
      image.classList.toggle("large", scale * devicePixelRatio > 2);
    }
    this.#stage.classList.toggle("zoomed", this.#scale !== null);
    this.moved(scale * devicePixelRatio);
  }

  #divide() {
    this.#stage.style.setProperty("--split", this.#split.value / 100);
  }

  #wheel(event) {
    if (!this.#size) return;
    event.preventDefault();
    this.#zoomTo(this.#current() * Math.exp(-event.deltaY / 500), this.#point(event));
  }

  #grasp(event) {
    if (event.target === this.#split || event.button !== 0) return;
    this.#pointers.set(event.pointerId, this.#point(event));
    this.#stage.setPointerCapture(event.pointerId);
  }

  #drag(event) {
    const from = this.#pointers.get(event.pointerId);
    if (!from || this.#scale === null) return;
    const to = this.#point(event);
    this.#pointers.set(event.pointerId, to);
    if (this.#pointers.size === 1) {
      this.#move(to.x - from.x, to.y - from.y);
      return;
    }
    const [other] = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    const middle = { x: (to.x + other.x) / 2, y: (to.y + other.y) / 2 };
    this.#zoomTo((this.#current() * apart(to, other)) / Math.max(apart(from, other), 1), middle);
  }

  #move(x, y) {
    this.#place.x += x;
    this.#place.y += y;
    this.#draw();
  }

  #point(event) {
    const frame = this.#stage.getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  }

  #key(event) {
    if (event.target !== this.#stage || event.ctrlKey || event.metaKey || event.altKey) return;
    const does = {
      ArrowLeft: () => this.#move(PAN, 0),
      ArrowRight: () => this.#move(-PAN, 0),
      ArrowUp: () => this.#move(0, PAN),
      ArrowDown: () => this.#move(0, -PAN),
      "+": () => this.nearer(),
      "=": () => this.nearer(),
      "-": () => this.farther(),
      0: () => this.fit(),
      1: () => this.actual(),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }
}

/** Return a picture that can be shown at once; null where there is none, or none that this browser knows. */
async function decoded(address) {
  if (address === null) return null;
  const image = make("img", { src: address, draggable: false });
  try {
    await image.decode();
  } catch {
    return null;
  }
  return image;
}

/** Put a picture in the place of another, and say what it is. */
function put(old, image, alt) {
  const shown = image ?? make("img", { hidden: true });
  shown.alt = alt;
  if (shown !== old) old.replaceWith(shown);
  return shown;
}

function within(place, length, room) {
  return length <= room ? (room - length) / 2 : Math.min(0, Math.max(room - length, place));
}

const apart = (one, other) => Math.hypot(one.x - other.x, one.y - other.y);
