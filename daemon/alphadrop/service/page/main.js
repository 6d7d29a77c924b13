// The page: lets itself in, shows one view at a time, and passes on what the daemon tells.

import { Refused, bell, enter, hasKey, listen } from "./api.js";
import { loadModels, startBench } from "./bench.js";
import { byId, warn } from "./elements.js";
import { hear, startFolders } from "./folders.js";
import { hearSeeing, startSeeing } from "./seeing.js";
import { loadSettings, startSettings } from "./settings.js";
import { changeLanguage, inEachLanguage, sayMarkup, t, withAdvice } from "./texts.js";

const VIEWS = ["photographs", "seeing", "folders", "settings"];
let isStarted = false;

function show() {
  const wanted = location.hash.slice(1);
  const view = !hasKey() ? "locked" : VIEWS.includes(wanted) ? wanted : VIEWS[0];
  for (const each of ["locked", ...VIEWS]) byId(each).hidden = each !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.querySelector("nav").hidden = view === "locked";
  if (view === "settings") loadSettings();
}

async function start() {
  const refused = await enter();
  if (refused && !hasKey()) byId("locked-why").dataset.t = "locked.code";
  sayMarkup();
  show();
  if (!hasKey() || isStarted) return;
  isStarted = true;
  startBench();
  startSeeing();
  startFolders();
  startSettings();
  listen((kind, what) => {
    hear(kind, what);
    hearSeeing(kind, what);
    if (kind === "status" && !byId("settings").hidden) loadSettings();
  });
}

addEventListener("hashchange", () => (location.hash.startsWith("#code=") ? start() : show()));
bell.addEventListener("locked", () => location.reload());
bell.addEventListener("lost", () => warn(t("lost")));
addEventListener("unhandledrejection", (event) => {
  if (!(event.reason instanceof Refused)) return;
  event.preventDefault();
  if (event.reason.status !== 401) warn(withAdvice(event.reason));
});
bell.addEventListener("reached", () => {
  warn("");
  loadModels();
});

byId("language").onclick = changeLanguage;
inEachLanguage(() => {
  sayMarkup();
  const button = byId("language");
  button.textContent = t("language");
  button.lang = document.documentElement.lang === "en" ? "zh-Hans" : "en";
  button.setAttribute("aria-label", t("language.label"));
});
start();
