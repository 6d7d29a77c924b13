// The walk: one step after the other over the same place, played or gone by hand, and all of them as a U beside it.

import { byId, make } from "./elements.js";
import { inEachLanguage, t } from "./texts.js";

const STEP = 1600; // milliseconds that a step is shown
const USUAL_WAYS = { stage: "mean", map: "map" };

/** Shows the steps of an explanation. */
export class Walk {
  #fetched;
  #steps = [];
  #place = 0;
  #ways = { ...USUAL_WAYS }; // in which stages and maps are shown
  #pictures = new Map(); // by file
  #timer = 0;
  #told = null;

  /** `fetched` returns the blob of a picture by its name. */
  constructor(element, fetched) {
    this.#fetched = fetched;
    byId("walk-back").onclick = () => this.#by(-1);
    byId("walk-on").onclick = () => this.#by(1);
    byId("walk-play").onclick = () => (this.isPlaying ? this.pause() : this.play());
    byId("walk-slider").oninput = (event) => this.#go(Number(event.target.value));
    byId("walk-stage").onkeydown = (event) => this.#key(event);
    byId("walk-ways").onchange = (event) => this.#choose(event.target.value);
    this.element = element;
    inEachLanguage(() => this.#told && this.#draw());
  }

  get isPlaying() {
    return this.#timer !== 0;
  }

  /** Show another explanation from its beginning; return promises of the pictures that are seen first. */
  show(told, signal) {
    this.pause();
    for (const url of this.#pictures.values()) url.then((each) => URL.revokeObjectURL(each)).catch(() => {});
    this.#pictures.clear();
    this.#told = told;
    this.#steps = stepsOf(told);
    this.#place = 0;
    byId("walk-slider").max = this.#steps.length - 1;
    byId("walk-stage").replaceChildren();
    byId("walk-stage").style.aspectRatio = `${told.width} / ${told.height}`;
    this.#drawU();
    this.#draw();
    return this.#steps.map(async (step) => {
      const url = await this.#picture(this.#fileOf(step), signal);
      const image = step.button.querySelector("img");
      Object.assign(image, { src: url, hidden: false });
    });
  }

  play() {
    this.pause();
    if (this.#place === this.#steps.length - 1) this.#go(0);
    this.#timer = setInterval(() => {
      if (this.#place === this.#steps.length - 1) this.pause();
      else this.#go(this.#place + 1, { playing: true });
    }, STEP);
    this.#drawPlay();
  }

  pause() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#drawPlay();
  }

  #by(steps) {
    this.#go(Math.min(Math.max(this.#place + steps, 0), this.#steps.length - 1));
  }

  #go(place, { playing = false } = {}) {
    if (!playing) this.pause();
    this.#place = place;
    this.#draw();
  }

  #choose(way) {
    const { stage, kind } = this.#steps[this.#place];
    this.#ways[kind] = way;
    if (stage) this.#draw();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const does = {
      ArrowLeft: () => this.#by(-1),
      ArrowRight: () => this.#by(1),
      Home: () => this.#go(0),
      End: () => this.#go(this.#steps.length - 1),
      " ": () => (this.isPlaying ? this.pause() : this.play()),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }

  #fileOf({ stage, file, kind }) {
    if (!stage) return file;
    return stage.walk[this.#ways[kind]] ?? stage.walk[USUAL_WAYS[kind]];
  }

  #picture(file, signal) {
    if (!this.#pictures.has(file)) {
      const coming = this.#fetched(file, signal).then((blob) => URL.createObjectURL(blob));
      coming.catch(() => this.#pictures.delete(file));
      this.#pictures.set(file, coming);
    }
    return this.#pictures.get(file);
  }

  #draw() {
    const step = this.#steps[this.#place];
    const { stage, kind, key, values } = step;
    byId("walk-slider").value = this.#place;
    byId("walk-slider").setAttribute("aria-valuetext", t(`step.${key}`, values));
    byId("walk-place").value = `${this.#place + 1} / ${this.#steps.length}`;
    byId("walk-title").textContent = t(`step.${key}`, values);
    byId("walk-size").textContent = stage ? t("step.size", stage) : t("step.pixels", this.#told);
    byId("walk-text").textContent = t(`step.about.${key}`, values);
    byId("walk-way").textContent = stage ? t(`way.about.${this.#wayOf(step)}`) : "";
    for (const each of this.#steps) {
      const name = t(`step.${each.key}`, each.values);
      each.button.toggleAttribute("aria-current", each === step);
      each.button.title = name;
      each.button.querySelector("span").textContent = each.stage?.name ?? name;
    }
    this.#drawWays(stage, kind);
    this.#drawPicture(step);
    this.#drawPlay();
  }

  #wayOf({ stage, kind }) {
    return this.#ways[kind] in stage.walk ? this.#ways[kind] : USUAL_WAYS[kind];
  }

  #drawWays(stage, kind) {
    const ways = stage ? Object.keys(stage.walk) : [];
    const group = byId("walk-ways");
    group.classList.toggle("none", ways.length === 0);
    const key = [document.documentElement.lang, ...ways].join();
    if (group.dataset.key !== key) {
      group.dataset.key = key;
      group.replaceChildren(
        make("legend", { class: "unseen", textContent: t("way") }),
        ...ways.map((value) =>
          make(
            "label",
            {},
            make("input", { type: "radio", name: "way", value }),
            make("span", { textContent: t(`way.${value}`) }),
          ),
        ),
      );
    }
    for (const radio of group.querySelectorAll("input")) radio.checked = radio.value === this.#wayOf({ stage, kind });
  }

  /** Put the picture of a step over the one before, which goes when the new one is all there. */
  async #drawPicture(step) {
    const file = this.#fileOf(step);
    const frame = byId("walk-stage");
    if (frame.lastElementChild?.dataset.file === file) return;
    const image = make("img", { "data-file": file, draggable: false, alt: t(`step.${step.key}`, step.values) });
    try {
      image.src = await this.#picture(file);
      await image.decode();
    } catch {
      return; // it is not kept any more: what is shown stays
    }
    if (this.#fileOf(this.#steps[this.#place]) !== file || frame.lastElementChild?.dataset.file === file) return;
    for (const before of [...frame.children].slice(0, -1)) before.remove();
    frame.lastElementChild?.setAttribute("alt", "");
    frame.append(image);
  }

  #drawPlay() {
    const button = byId("walk-play");
    button.classList.toggle("playing", this.isPlaying);
    button.setAttribute("aria-label", t(this.isPlaying ? "walk.pause" : "walk.play"));
  }

  /** Draw all steps as the network is built: encoders down the left, decoders up the middle, maps on the right. */
  #drawU() {
    const rows = new Map();
    const row = (number) => {
      if (!rows.has(number)) rows.set(number, {});
      return rows.get(number);
    };
    const buttons = this.#steps.map((step, place) => {
      step.button = make(
        "button",
        { type: "button", onclick: () => this.#go(place) },
        make("img", { alt: "", hidden: true }),
        make("span"),
      );
      return step.button;
    });
    const of = (key) => buttons[this.#steps.findIndex((step) => step.key === key)];
    this.#steps.forEach(({ stage, values }, place) => {
      if (values.number) row(values.number)[stage.kind] = buttons[place];
    });
    const cell = (button) => button ?? make("span");
    byId("walk-u").replaceChildren(
      ...[null, of("cutout"), of("alpha"), of("photograph"), null, of("fused")].map(cell),
      ...[...rows.values()].flatMap(({ encoder, decoder, side }) => [encoder, decoder, side].map(cell)),
    );
  }
}

/** Return the steps: the photograph, down the encoders, up the decoders, the side maps from coarse to fine, the end. */
function stepsOf({ stages, ends }) {
  const step = (stage) => ({
    stage,
    file: null,
    kind: ["side", "fused"].includes(stage.kind) ? "map" : "stage",
    key: keyOf(stage, stages),
    values: { number: stage.name.match(/\d+$/)?.[0], of: from(stage, stages) },
  });
  const end = (key) => ({ stage: null, file: ends[key], kind: "", key, values: {} });
  const sides = stages.filter(({ kind }) => kind === "side");
  return [
    end("photograph"),
    ...stages.filter(({ kind }) => kind === "encoder" || kind === "decoder").map(step),
    ...sides.reverse().map(step),
    ...stages.filter(({ kind }) => kind === "fused").map(step),
    end("alpha"),
    end("cutout"),
  ];
}

/** Return which sentence speaks of a stage: the first, the middle and the last ones differ. */
function keyOf({ kind, name }, stages) {
  const alike = stages.filter((each) => each.kind === kind);
  const at = alike.findIndex((each) => each.name === name);
  if (kind === "encoder") return at === 0 ? "encoder.first" : at === alike.length - 1 ? "encoder.last" : "encoder";
  if (kind === "decoder") return at === alike.length - 1 ? "decoder.last" : "decoder";
  return kind;
}

/** Return the name of the stage that a side map comes from. */
function from({ kind, name }, stages) {
  if (kind !== "side") return "";
  const number = name.match(/\d+$/)[0];
  return [`de${number}`, `en${number}`].find((wanted) => stages.some((each) => each.name === wanted)) ?? "";
}
