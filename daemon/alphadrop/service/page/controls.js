// How a photograph is cut and what it is shown on: the panel beside the stage, and the swatches above it.

import { tell } from "./api.js";
import { byId, make } from "./elements.js";
import { Backdrop, USUAL } from "./photos.js";
import { t } from "./texts.js";

/** The shapes of a finished picture, and the margin that each leaves around the subject; the daemon's presets. */
const MARGINS = { tight: 0, square: 0.05, "shop-square": 0.075, "shop-portrait": 0.075, sticker: 0.02 };
const PERCENT = (value) => `${Math.round(value * 1000) / 10} %`;
const SLIDERS = {
  shift_edge: (value) => `${value} px`,
  feather: (value) => `${value} px`,
  hardness: (value) => `${value}`,
  smallest_part: PERCENT,
  fill_holes: PERCENT,
};

export let models = [];
let backdrop = null;

/** Begin to take wishes; `wish` is called with those that are other ones. */
export function startControls(wish) {
  byId("controls").onsubmit = (event) => event.preventDefault();
  byId("model").onchange = (event) => wish({ model: event.target.value });
  for (const radio of document.querySelectorAll("[name=edges]")) {
    radio.onchange = () => wish({ edges: radio.value, decontaminate: null });
  }
  for (const id of Object.keys(SLIDERS)) byId(id).oninput = (event) => wish({ [id]: Number(event.target.value) });
  byId("decontaminate").onchange = (event) => wish({ decontaminate: event.target.checked });
  byId("preset").onchange = (event) => wish({ preset: event.target.value, margin: null });
  byId("margin").oninput = (event) => wish({ margin: Number(event.target.value) });

  const behind = () => {
    drawBehind();
    const filled = byId("fill").checked ? chosenBehind() : {};
    wish({ background: filled.colour ?? "", behind: filled.picture ?? null });
  };
  for (const radio of document.querySelectorAll("[name=background]")) radio.onchange = behind;
  byId("fill").onchange = behind;
  byId("colour").onclick = byId("colour").oninput = () => {
    document.querySelector("[name=background][value=any]").checked = true;
    behind();
  };
  byId("choose-behind").onclick = () => byId("behind").click();
  byId("behind").onchange = async () => {
    const [file] = byId("behind").files;
    byId("behind").value = "";
    if (!file) return;
    const before = backdrop;
    backdrop = new Backdrop(file);
    await backdrop.seen();
    before?.close();
    const radio = document.querySelector("[name=background][value=picture]");
    radio.disabled = false;
    radio.checked = true;
    behind();
  };
  drawBehind();
}

/** Show which networks there are. */
export async function loadModels() {
  ({ models } = await tell("GET", "/v1/models"));
  return models;
}

/** Show what is wished. */
export function drawControls(wishes) {
  const choose = byId("model");
  choose.replaceChildren(...options(models));
  const model = models.find(({ name, default: usual }) => (wishes.model ? name === wishes.model : usual));
  choose.value = model?.name ?? "";
  byId("model-about").textContent = model ? about(model) : "";
  document.querySelector(`[name=edges][value=${wishes.edges}]`).checked = true;
  for (const [id, written] of Object.entries(SLIDERS)) {
    byId(id).value = wishes[id];
    document.querySelector(`output[for=${id}]`).value = written(wishes[id]);
  }
  byId("decontaminate").checked = wishes.decontaminate ?? wishes.edges === "refined";
  const margin = wishes.margin ?? MARGINS[wishes.preset] ?? 0;
  byId("preset").value = wishes.preset;
  byId("preset-about").textContent = t(`preset.about.${wishes.preset}`);
  byId("margin").disabled = wishes.preset === "";
  byId("margin").value = margin;
  document.querySelector("output[for=margin]").value = PERCENT(margin);
  for (const group of document.querySelectorAll("#controls details")) {
    const ids = [...group.querySelectorAll("input, select")].map(({ id }) => id);
    group.classList.toggle("used", ids.some((id) => id in USUAL && wishes[id] !== USUAL[id]));
  }
}

/** Return the choices of a network; one that is not here says how to get it. */
export function options(known) {
  return known.map(({ name, installed }) =>
    make("option", { value: name, textContent: installed ? name : t("model.pull", { name }), disabled: !installed }),
  );
}

function about({ licence, commercial, seconds }) {
  return [
    t("model.licence", { licence }),
    commercial === false ? t("model.not_commercial") : "",
    seconds === null ? "" : t("model.speed", { ms: Math.round(seconds * 1000) }),
  ].join(" ");
}

/** Return the colour or the picture that is shown behind subjects; neither is the checkerboard. */
function chosenBehind() {
  const { value } = document.querySelector("[name=background]:checked");
  if (value === "picture") return { picture: backdrop };
  const colour = value === "any" ? byId("colour").value : value;
  return colour ? { colour } : {};
}

function drawBehind() {
  const { colour, picture } = chosenBehind();
  const stage = byId("stage");
  stage.classList.toggle("plain", colour !== undefined);
  stage.classList.toggle("pictured", picture !== undefined);
  stage.style.setProperty("--behind", colour ?? "transparent");
  const image = backdrop ? `url("${backdrop.url}")` : "none";
  stage.style.setProperty("--picture", image);
  byId("choose-behind").style.setProperty("--picture", image);
  byId("choose-behind").classList.toggle("chosen", backdrop !== null);
  byId("fill").disabled = colour === undefined && picture === undefined;
}
