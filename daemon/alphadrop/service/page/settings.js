// The view of the settings in force, and what is wrong in their file.

import { ownName, tell } from "./api.js";
import { byId, make } from "./elements.js";
import { inEachLanguage, t } from "./texts.js";

let told = null;

/** Begin to show settings. */
export function startSettings() {
  inEachLanguage(draw);
}

/** Ask for them anew. */
export async function loadSettings() {
  told = await tell("GET", "/v1/config");
  draw();
}

function draw() {
  if (told === null) return;
  const { file, settings, problems, warnings } = told;
  const { folders, models, keys, ...top } = settings;
  top.models = models.map(({ name }) => name);
  top.keys = keys.map(({ name }) => name);
  byId("settings-file").textContent = file;
  byId("settings-problems").replaceChildren(
    ...list("ill", t("settings.problems"), problems),
    ...list("hint", t("settings.warnings"), warnings),
  );
  byId("settings-values").replaceChildren(
    ...folders.flatMap((folder, at) => table(t("settings.folder", { number: at + 1 }), folder)),
    ...table(t("settings.top"), top),
  );
  byId("settings-browser").textContent = t("settings.key", { name: ownName() });
}

function list(kind, title, lines) {
  if (!lines.length) return [];
  const items = lines.map((textContent) => make("li", { textContent }));
  return [make("div", { class: `said ${kind}` }, make("p", { textContent: title }), make("ul", {}, ...items))];
}

function table(title, values) {
  const rows = Object.entries(values).map(([key, value]) =>
    make("tr", {}, make("th", { scope: "row", textContent: key }), make("td", { textContent: written(value) })),
  );
  return [make("h2", { textContent: title }), make("table", {}, make("tbody", {}, ...rows))];
}

/** Return a value as the file would say it. */
function written(value) {
  if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`;
  if (value === null || typeof value !== "object") return `${value}`;
  return `{${Object.entries(value).map(([key, each]) => `${key}: ${written(each)}`).join(", ")}}`;
}
