// The view in which photographs are cut: their strip, the stage, and how each is cut.

import { drawControls as drawWishes, loadModels as fetchModels, models, startControls } from "./controls.js";
import { takeFiles } from "./dropping.js";
import { byId, make, save, warn } from "./elements.js";
import { Photo, Queue, USUAL } from "./photos.js";
import { inEachLanguage, inWords, t, withAdvice } from "./texts.js";
import { Viewer } from "./viewer.js";
import { zip } from "./zip.js";

const LIVE_AFTER = 150;
const THUMBNAIL = 144;

const photos = [];
const rows = new Map();
let selected = null;
let wishes = USUAL;
let waitingToCut = 0;

/** The photographs on the bench; "change" where there are others, "models" where more is known of the networks. */
export const bench = Object.assign(new EventTarget(), { photos });

const drawControls = () => drawWishes(wishes);

/** Begin to take photographs. */
export function startBench() {
  const stage = byId("stage");
  const viewer = new Viewer(stage, byId("split"), (scale) => (byId("zoom").value = `${Math.round(scale * 100)} %`));
  const queue = new Queue((photo) => changed(photo));
  const thumbnails = [];

  function changed(photo) {
    draw(rows.get(photo), photo);
    drawCount();
    if (photo === selected) look(photo);
    if (photo.state === "done" && models.some(({ default: usual, seconds }) => usual && seconds === null)) loadModels();
    if (photo.isEnded && !photo.thumbnail && photo.result) paint(photo, photo.result.blob);
  }

  async function look(photo) {
    const names = { before: t("image.before", photo), after: t("image.after", photo) };
    stage.setAttribute("aria-busy", `${!photo.isEnded}`);
    byId("download").disabled = byId("copy").disabled = !photo.result;
    note(photo);
    const before = photo.isFramed ? null : photo.source; // it would not lie where the result does
    const size = await viewer.show({ before, after: photo.result?.url ?? null, names });
    if (size === undefined) return;
    const told = { name: photo.name, ...size, seconds: photo.seconds?.toFixed(1) };
    byId("caption").textContent = size && photo.seconds ? t("caption", told) : photo.name;
  }

  function select(photo) {
    selected = photo;
    wishes = photo.wishes;
    for (const [each, row] of rows) row.querySelector("button").setAttribute("aria-pressed", `${each === photo}`);
    drawControls();
    look(photo);
  }

  function take(found) {
    if (!found.length) {
      warn(t("none_found"));
      return;
    }
    warn("");
    if (location.hash !== "#seeing") location.hash = "#photographs";
    const added = found.map((each) => new Photo(each, wishes));
    for (const photo of added) {
      photos.push(photo);
      const row = makeRow(photo);
      rows.set(photo, row);
      byId("strip").append(row);
      draw(row, photo);
      thumbnails.push(photo);
    }
    showBench();
    if (selected === null) select(added[0]);
    for (const photo of added) queue.add(photo);
    drawCount();
    if (thumbnails.length === added.length) paintAll();
    bench.dispatchEvent(new CustomEvent("change", { detail: added[0] }));
  }

  async function paintAll() {
    while (thumbnails.length) {
      await paint(thumbnails[0], thumbnails[0].file);
      thumbnails.shift();
    }
  }

  function makeRow(photo) {
    return make(
      "li",
      {},
      make(
        "button",
        { type: "button", class: "photo", "aria-pressed": "false", onclick: () => select(photo) },
        make("span", { class: "thumb" }, make("img", { alt: "", hidden: true })),
        make("span", { class: "about" }, make("span", { class: "name" }), make("span", { class: "state" })),
        make("span", { class: "bar" }),
      ),
      make("button", { type: "button", class: "icon remove", textContent: "×", onclick: () => remove(photo) }),
    );
  }

  function remove(photo) {
    queue.drop(photo);
    photo.close();
    rows.get(photo).remove();
    rows.delete(photo);
    const at = photos.indexOf(photo);
    photos.splice(at, 1);
    if (photo === selected) {
      selected = null;
      const next = photos[Math.min(at, photos.length - 1)];
      if (next) {
        select(next);
        rows.get(next).querySelector("button").focus();
      }
    }
    showBench();
    drawCount();
    bench.dispatchEvent(new Event("change"));
  }

  function wish(changes) {
    if (Object.entries(changes).every(([name, value]) => wishes[name] === value)) return;
    wishes = Object.freeze({ ...wishes, ...changes });
    drawControls();
    if (selected === null) return;
    selected.wishes = wishes;
    clearTimeout(waitingToCut);
    const photo = selected;
    waitingToCut = setTimeout(() => photos.includes(photo) && queue.add(photo, { first: true }), LIVE_AFTER);
  }

  takeFiles(take);
  byId("zoom-in").onclick = () => viewer.nearer();
  byId("zoom-out").onclick = () => viewer.farther();
  byId("zoom-fit").onclick = () => viewer.fit();
  byId("zoom-actual").onclick = () => viewer.actual();
  byId("download").onclick = () => save(selected.result.blob, selected.target.split("/").pop());
  byId("download-all").onclick = downloadAll;
  byId("clear").onclick = () => {
    for (const photo of [...photos]) remove(photo);
    byId("welcome").querySelector("button").focus();
  };
  byId("copy").onclick = copy;
  byId("for-all").onclick = () => {
    for (const photo of photos) {
      if (photo === selected) continue;
      photo.wishes = wishes;
      queue.add(photo);
    }
  };
  byId("reset").onclick = () => wish({ ...USUAL, background: wishes.background, behind: wishes.behind });
  startControls(wish);
  inEachLanguage(() => {
    for (const [photo, row] of rows) draw(row, photo);
    drawCount();
    drawControls();
    if (selected) look(selected);
  });
}

/** Show which networks there are. */
export async function loadModels() {
  await fetchModels();
  drawControls();
  bench.dispatchEvent(new Event("models"));
}

function showBench() {
  byId("welcome").hidden = photos.length > 0;
  byId("bench").hidden = photos.length === 0;
}

function draw(row, photo) {
  const percent = Math.round(photo.progress * 100);
  const state = t(`photo.${photo.state}`, { percent });
  row.dataset.state = photo.state;
  row.querySelector(".name").textContent = photo.name;
  row.querySelector(".state").textContent = photo.refused ? inWords(photo.refused) : state;
  row.querySelector(".bar").style.setProperty("--done", photo.state === "uploading" ? photo.progress : 1);
  row.querySelector(".remove").setAttribute("aria-label", t("remove", photo));
}

function drawCount() {
  const done = photos.filter((photo) => photo.state === "done").length;
  const failed = photos.filter((photo) => ["failed", "no_subject"].includes(photo.state)).length;
  byId("count").textContent = t(failed ? "count.failed" : "count", { done, failed, all: photos.length });
  byId("download-all").disabled = done === 0;
}

function note(photo) {
  const text = photo.refused ? withAdvice(photo.refused) : photo.state === "no_subject" ? t("error.no_subject") : "";
  const working = photo.isEnded || photo.result ? "" : t(`photo.${photo.state}`, { percent: Math.round(photo.progress * 100) });
  byId("note").textContent = text || working;
  byId("note").title = photo.refused?.message ?? "";
  byId("note").hidden = !(text || working);
}

/** Paint a small picture of a photograph, where the browser knows its format; the strip holds no large ones. */
async function paint(photo, blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { resizeWidth: THUMBNAIL, resizeQuality: "medium" });
  } catch {
    return;
  }
  const canvas = make("canvas", { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  const small = await new Promise((done) => canvas.toBlob(done, "image/webp"));
  const image = rows.get(photo)?.querySelector("img");
  if (!image) return;
  photo.thumbnail = URL.createObjectURL(small);
  Object.assign(image, { src: photo.thumbnail, hidden: false });
  bench.dispatchEvent(new Event("change"));
}

async function downloadAll() {
  const button = byId("download-all");
  button.disabled = true;
  button.textContent = t("download.packing");
  try {
    const done = photos.filter((photo) => photo.result);
    save(await zip(done.map((photo) => [photo.target, photo.result.blob])), "alphadrop.zip");
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    warn(t("download.large"));
  } finally {
    button.textContent = t("download.all");
    drawCount();
  }
}

async function copy() {
  const button = byId("copy");
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": asPng(selected.result.blob) })]);
    button.textContent = t("copied");
  } catch {
    button.textContent = t("copy.failed");
  }
  setTimeout(() => (button.textContent = t("copy")), 2500);
}

/** Return a picture as a PNG, which alone goes to every clipboard. */
async function asPng(blob) {
  if (blob.type === "image/png") return blob;
  const bitmap = await createImageBitmap(blob);
  const canvas = make("canvas", { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}
