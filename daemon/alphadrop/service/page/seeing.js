// The view of what the network sees: a photograph's way through it, step by step.

import { Refused, ask } from "./api.js";
import { bench } from "./bench.js";
import { models, options } from "./controls.js";
import { byId, make, save } from "./elements.js";
import { inEachLanguage, t, withAdvice } from "./texts.js";
import { Walk } from "./walk.js";

const PARTNER = { "u2net-int8": "u2net" }; // a network in 8 bits, and the one that it was made from

let photo = null;
let told = null; // of the photograph that is shown: what the daemon says of it
let asking = null; // ends what is being asked, of a photograph
let asked = ""; // the number of the photograph that is being explained
let walk;

/** Begin to show what networks see. */
export function startSeeing() {
  walk = new Walk(byId("walk"), fetched);
  bench.addEventListener("change", ({ detail }) => {
    if (asking && !bench.photos.includes(asking.of)) asking.abort();
    if (photo === null || !bench.photos.includes(photo)) photo = bench.photos[0] ?? null;
    if (detail && location.hash === "#seeing") photo = detail;
    drawPhotos();
  });
  byId("asking").onsubmit = (event) => {
    event.preventDefault();
    if (asking) asking.abort();
    else show();
  };
  byId("seeing-model").onchange = () => drawChoices({ partner: true });
  byId("save-sheet").onclick = () => saved("explain.png", "explain.png");
  byId("save-pictures").onclick = () => saved("explain.zip", "explain.zip");
  byId("save-difference").onclick = () => saved("difference.png", "difference.png");
  addEventListener("hashchange", () => location.hash === "#seeing" || walk.pause());
  bench.addEventListener("models", () => drawChoices());
  inEachLanguage(() => {
    drawPhotos();
    drawChoices();
    drawBeside();
    if (!asking) say("");
  });
}

/** Take what an event tells. */
export function hearSeeing(kind, what) {
  if (kind === "picture" && what.call === "explain" && what.photo === asked && what.progress) {
    byId("seeing-progress").value = what.progress;
  }
}

async function show() {
  asking = Object.assign(new AbortController(), { of: photo });
  const question = { name: photo.name, model: byId("seeing-model").value, compare: byId("seeing-compare").value };
  const { of, signal } = asking;
  walk.pause();
  begin();
  try {
    const answer = await explained(of, question, signal);
    told = { ...(await answer.json()), of };
    const first = Promise.all(walk.show(told, signal));
    say("");
    byId("walk").hidden = byId("seeing-downloads").hidden = false;
    drawBeside();
    await first;
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) walk.play();
  } catch (error) {
    if (signal.aborted) say("");
    else if (error instanceof Refused) say(withAdvice(error));
    else throw error;
  } finally {
    end();
  }
}

/** Have a photograph explained that may have to be sent first, or again. */
async function explained(of, question, signal) {
  const wanted = new URLSearchParams(Object.entries(question).filter(([, value]) => value));
  for (;;) {
    asked = await of.sent.number();
    signal.throwIfAborted();
    try {
      return await ask("POST", `/v1/photos/${asked}/explain?${wanted}`, { signal });
    } catch (error) {
      if (error.code !== "no_such_photo") throw error;
      of.sent.forget();
    }
  }
}

function begin() {
  byId("seeing-progress").hidden = false;
  byId("seeing-progress").removeAttribute("value");
  byId("seeing-go").textContent = t("seeing.stop");
  byId("seeing-go").classList.remove("primary");
  say(t("seeing.working"));
}

function end() {
  asking = null;
  asked = "";
  byId("seeing-progress").hidden = true;
  byId("seeing-go").textContent = t("seeing.go");
  byId("seeing-go").classList.add("primary");
}

function say(text) {
  byId("seeing-said").textContent = text || (photo === null ? t("seeing.none") : "");
}

/** Return a picture of what is shown now. */
async function fetched(name, signal) {
  return (await ask("GET", `/v1/explain/${told.id}/${name}`, { signal })).blob();
}

async function saved(file, name) {
  try {
    const stem = told.of.name.replace(/\.[^.]*$/, "");
    save(await fetched(file), `${stem}.${name}`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(withAdvice(error));
  }
}

function drawPhotos() {
  const list = byId("seeing-photos");
  const focused = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  list.replaceChildren(
    ...bench.photos.map((each) =>
      make(
        "li",
        {},
        make(
          "button",
          {
            type: "button",
            title: each.name,
            "aria-label": each.name,
            "aria-pressed": `${each === photo}`,
            onclick: () => {
              photo = each;
              drawPhotos();
            },
          },
          make("img", { alt: "", src: each.thumbnail, hidden: !each.thumbnail }),
        ),
      ),
    ),
  );
  list.querySelectorAll("button")[focused]?.focus();
  byId("seeing-go").disabled = photo === null;
  if (!asking) say("");
}

/** Draw which networks may be chosen; `partner` chooses the one beside it that it was made from. */
function drawChoices({ partner = false } = {}) {
  const here = models.filter(({ installed }) => installed);
  const choose = byId("seeing-model");
  const isFirst = choose.value === "";
  const model = choose.value || here.find((each) => each.default)?.name || "";
  choose.replaceChildren(...options(here));
  choose.value = model;
  const beside = byId("seeing-compare");
  const kept = isFirst || partner ? PARTNER[model] : beside.value;
  const others = models.filter(({ name, installed }) => name !== model && (installed || name === PARTNER[model]));
  beside.replaceChildren(make("option", { value: "", textContent: t("seeing.alone") }), ...options(others));
  beside.value = here.some(({ name }) => name === kept) ? kept : "";
}

function drawBeside() {
  const compared = told !== null && told.compare !== null;
  byId("beside").hidden = !compared;
  if (!compared) return;
  byId("beside-title").textContent = t("beside.title", told);
  const heads = ["stage", "mean", "largest", "relative", "flipped"].map((name) =>
    make("th", { scope: "col", textContent: t(`beside.${name}`), title: t(`beside.about.${name}`) }),
  );
  const rows = told.stages.map(({ name, difference: { mean, largest, relative, flipped } }) =>
    make(
      "tr",
      {},
      make("th", { scope: "row", textContent: name }),
      ...[mean.toPrecision(2), largest.toPrecision(2), percent(relative), flipped === null ? "" : percent(flipped)].map(
        (textContent) => make("td", { textContent }),
      ),
    ),
  );
  byId("beside-table").replaceChildren(make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
  drawDifference();
}

async function drawDifference() {
  const picture = byId("beside-picture");
  picture.alt = t("beside.alt", told);
  const { id } = told;
  if (picture.dataset.of === id) return;
  picture.dataset.of = id;
  const blob = await fetched("difference.png");
  if (told.id !== id) return;
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(blob);
}

const percent = (part) => `${(part * 100).toPrecision(2)} %`;
