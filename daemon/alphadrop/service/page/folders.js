// The view of the hot folders: how they are, and what became of each photograph, as it happens.

import { ask, tell } from "./api.js";
import { byId, make, save } from "./elements.js";
import { inEachLanguage, moment, t, warned, withAdvice } from "./texts.js";

const SHOWN = 100;
const COUNTS = ["pending", "working", "done", "warned", "no_subject", "skipped", "failed", "missing"];

let status = null;
let jobs = new Map(); // by number, those that changed last first
const thumbnails = new Map(); // by number and time, so that one cut anew gets another
let isToBeDrawn = false;

/** Begin to show what is told. */
export function startFolders() {
  byId("pause").onclick = () => change("POST", "/v1/pause", {});
  byId("pause-hour").onclick = () => change("POST", "/v1/pause", { seconds: 3600 });
  byId("resume").onclick = () => change("POST", "/v1/resume");
  byId("retry-failed").onclick = () => tell("POST", "/v1/jobs/retry", { which: "failed" });
  byId("filter").onchange = load;
  inEachLanguage(draw);
}

/** Take what an event tells. */
export function hear(kind, what) {
  if (kind === "status") status = what;
  if (kind === "job") meet(what);
  if (kind === "begin" || kind === "reset") load();
  drawSoon();
}

async function change(method, path, json) {
  status = await tell(method, path, json);
  draw();
}

async function load() {
  const only = wanted();
  const which = only === "warned" ? "&warned=true" : only && `&state=${only}`;
  const told = await tell("GET", `/v1/jobs?limit=${SHOWN}${which}`);
  jobs = new Map(told.jobs.map((job) => [job.id, job]));
  draw();
}

function wanted() {
  return document.querySelector("[name=filter]:checked").value;
}

function isWanted(job) {
  return wanted() === "warned" ? job.warnings.length > 0 : [job.state, ""].includes(wanted());
}

function meet(job) {
  jobs.delete(job.id);
  if (!isWanted(job)) return;
  jobs = new Map([[job.id, job], ...[...jobs].slice(0, SHOWN - 1)]);
}

function drawSoon() {
  if (isToBeDrawn) return;
  isToBeDrawn = true;
  requestAnimationFrame(() => {
    isToBeDrawn = false;
    draw();
  });
}

function draw() {
  if (status === null) return;
  const paused = status.paused !== null;
  byId("daemon-state").textContent = how(status);
  byId("pause").hidden = byId("pause-hour").hidden = paused;
  byId("resume").hidden = !paused;
  byId("retry-failed").hidden = status.folders.every(({ failed }) => failed === 0);
  const { file, problems } = status.configuration;
  byId("config-problems").hidden = problems.length === 0;
  byId("config-problems").textContent = `${t("settings.problems")} ${problems.join(" ") || file}`;
  byId("folder-list").replaceChildren(...status.folders.map(card));
  if (!status.folders.length) byId("folder-list").append(make("li", { class: "hint", textContent: t("folders.none") }));
  byId("jobs-said").textContent = jobs.size ? "" : t("jobs.none");
  const focused = document.activeElement?.closest("[data-job]")?.dataset.job;
  const rows = new Map([...byId("job-list").children].map((row) => [row.dataset.key, row]));
  byId("job-list").replaceChildren(...[...jobs.values()].map((job) => rows.get(keyOf(job)) ?? row(job)));
  if (focused) byId("job-list").querySelector(`[data-job="${focused}"] button`)?.focus();
}

function how({ paused, state, model, ledger }) {
  if (paused && paused.until === null) return t("daemon.paused");
  if (paused) return t("daemon.paused_until", { time: moment(paused.until) });
  const { message } = state === "waiting for the ledger" ? ledger : model;
  return t(`daemon.${state}`, { model: model.name, message }) || state;
}

function card(folder) {
  const counts = COUNTS.filter((name) => folder[name] || name === "done").map((name) =>
    make(
      "li",
      { class: name },
      make("strong", { textContent: folder[name].toLocaleString() }),
      ` ${t(name === "failed" ? "count.failed_jobs" : `count.${name}`)}`,
    ),
  );
  const well = ["watching", "polling"].includes(folder.health);
  return make(
    "li",
    { class: "card" },
    make("h3", {}, ...breakable(folder.input)),
    make("p", { class: "hint" }, ...breakable(t("folder.into", folder))),
    make("p", { class: well ? "well" : "ill", textContent: t(`folder.${folder.health}`) || folder.health }),
    ...[folder.remedy, folder.warning].filter(Boolean).map((textContent) => make("p", { class: "hint", textContent })),
    make("ul", { class: "counts" }, ...counts),
  );
}

/** Return a path that may go over the end of a line after each of its folders. */
function breakable(path) {
  return path.split(/(?<=[\\/])/).flatMap((part) => [part, make("wbr")]);
}

function keyOf(job) {
  const { id, state, outcome, reason, attempts, finished_at: finished } = job;
  return [document.documentElement.lang, id, state, outcome, reason, attempts, finished].join(" ");
}

function row(job) {
  const { id, path, outcome, reason, warnings, outputs } = job;
  const state = job.state === "done" && outcome === "no_subject" ? "no_subject" : job.state;
  const isTold = (state === "failed" || state === "pending") && reason;
  const why = isTold ? new Set([withAdvice({ code: outcome, message: reason, hint: "" }), reason]) : [];
  const at = job.finished_at ?? job.started_at ?? job.noted_at;
  const actions = [];
  if (state === "failed" || state === "no_subject") {
    const label = t("retry.label", { name: path });
    const onclick = () => tell("POST", `/v1/jobs/${id}/retry`);
    actions.push(make("button", { type: "button", textContent: t("retry"), "aria-label": label, onclick }));
  }
  if (outputs.length) {
    const label = t("open.label", { name: path });
    const onclick = () => download(job);
    actions.push(
      make("button", { type: "button", class: "quiet", textContent: t("download"), "aria-label": label, onclick }),
    );
  }
  const image = make("img", { alt: "", hidden: true });
  if (outputs.length) thumbnail(job, image);
  return make(
    "li",
    { "data-key": keyOf(job), "data-job": `${id}`, "data-state": state },
    make("span", { class: "thumb" }, image),
    make(
      "div",
      { class: "about" },
      make("span", { class: "name", textContent: path }),
      make("span", { class: "state" }, make("b", { textContent: t(`job.${state}`) }), ` ${moment(at)}`),
      ...[...why].map((textContent) => make("span", { class: "why", textContent })),
      ...warnings.map((warning) => make("span", { class: "why warned", textContent: warned(warning) })),
    ),
    make("div", { class: "actions" }, ...actions),
  );
}

async function download(job) {
  const answer = await ask("GET", `/v1/jobs/${job.id}/output`);
  save(await answer.blob(), job.outputs[0].split(/[\\/]/).pop());
}

/** Show the small picture of a photograph's result as soon as it is there. */
async function thumbnail(job, image) {
  const key = `${job.id} ${job.finished_at}`;
  if (!thumbnails.has(key)) thumbnails.set(key, one(() => fetched(job.id)));
  const src = await thumbnails.get(key);
  if (src) Object.assign(image, { src, hidden: false });
}

async function fetched(number) {
  try {
    const answer = await ask("GET", `/v1/jobs/${number}/thumbnail`);
    return URL.createObjectURL(await answer.blob());
  } catch {
    return ""; // it is gone, or another's by now
  }
}

let before = Promise.resolve();

/** Do one after the other: the daemon has better to do than small pictures. */
function one(what) {
  before = before.then(what, what);
  return before;
}
