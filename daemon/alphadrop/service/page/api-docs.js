// The calls of the API, drawn from the document in which the daemon describes them.

import { ask, bell, hasKey } from "./api.js";
import { byId, make, save, warn } from "./elements.js";

const ADDRESS = "/v1/openapi.json";
const OBJECTS = "#/components/schemas/";
let text = "";

async function start() {
  byId("locked").hidden = hasKey();
  if (!hasKey()) return;
  try {
    text = await (await ask("GET", ADDRESS)).text();
  } catch (refused) {
    if (refused.status !== 401) warn(refused.status ? refused.message : "The daemon does not answer.");
    return;
  }
  draw(JSON.parse(text));
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function draw(told) {
  const calls = Object.entries(told.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, call]) => ({ path, method: method.toUpperCase(), ...call })),
  );
  const objects = Object.entries(told.components.schemas);
  byId("version").textContent = told.info.version;
  byId("list").replaceChildren(...calls.map(callCard));
  byId("schemas").replaceChildren(...objects.map(objectCard));
  byId("contents").replaceChildren(
    ...calls.map((call) => make("a", { href: `#${idOf(call)}` }, verb(call.method), ` ${call.path}`)),
    ...objects.map(([name]) => make("a", { href: `#${name}`, textContent: called(name) })),
  );
  byId("calls").hidden = false;
  search(); // for what was typed before the document was here
}

function callCard(call) {
  const id = idOf(call);
  const title = make("h2", { id: `${id}-title` }, verb(call.method), " ", make("code", {}, ...breakable(call.path)));
  return make(
    "article",
    { id, class: "card", "aria-labelledby": title.id },
    title,
    make("p", { class: "summary", textContent: call.summary }),
    ...prose(call.description),
    ...parameters(call.parameters ?? []),
    ...body(call.requestBody),
    ...answers(call.responses),
  );
}

function objectCard([name, schema]) {
  const title = make("h3", { id: `${name}-title`, textContent: called(name) });
  const rows = Object.entries(schema.properties ?? {}).map(([key, value]) => [
    make("code", { textContent: key }),
    kind(value),
    prose(value.description),
  ]);
  return make(
    "article",
    { id: name, class: "card", "aria-labelledby": title.id },
    title,
    ...prose(schema.description),
    ...table(["Field", "Value", ""], rows),
  );
}

function parameters(list) {
  const rows = list.map(({ name, in: place, required, schema, description }) => [
    make("code", { textContent: name }),
    kind(schema),
    [...prose(description ?? schema.description), notes(place === "path" ? "part of the path" : "", required ? "needed" : "", standard(schema))],
  ]);
  return list.length ? [make("h3", { textContent: "Parameters" }), ...table(["Name", "Value", ""], rows)] : [];
}

function body(asked) {
  if (!asked) return [];
  const rows = Object.entries(asked.content).map(([type, { schema }]) => [
    make("code", { textContent: type }),
    kind(schema),
    [...fields(schema), notes(asked.required ? "" : "may be left out")],
  ]);
  return [make("h3", { textContent: "Body" }), ...table(["Type", "Value", ""], rows)];
}

function answers(responses) {
  const rows = Object.entries(responses).map(([status, { description, content = {} }]) => [
    make("code", { textContent: status === "default" ? "error" : status }),
    join(Object.entries(content).map(([type, { schema }]) => value(type, schema)), ", "),
    prose(description),
  ]);
  return [make("h3", { textContent: "Answers" }), ...table(["Status", "Value", ""], rows)];
}

/** Return what a body of a type holds: an object of ours by its name, anything else by its type. */
function value(type, schema = {}) {
  return schema.$ref || schema.items ? kind(schema) : [make("code", { textContent: type })];
}

/** Return the fields of an object that has no name of its own. */
function fields(schema = {}) {
  const names = Object.entries(schema.properties ?? {});
  return names.length ? [make("ul", {}, ...names.map(([name, each]) => make("li", {}, make("code", { textContent: name }), " ", ...kind(each))))] : [];
}

/** Return what a schema allows, in words and links. */
function kind(schema = {}) {
  if (schema.$ref) {
    const name = schema.$ref.slice(OBJECTS.length);
    return [make("a", { href: `#${name}`, textContent: called(name) })];
  }
  if (schema.anyOf) return join(schema.anyOf.filter((one) => one.type !== "null").map(kind), " or ");
  if (schema.enum) return join(schema.enum.map((one) => [make("code", { textContent: `${one}` })]), ", ");
  if ("const" in schema) return [make("code", { textContent: `${schema.const}` })];
  if (schema.type === "array") return ["list of ", ...kind(schema.items)];
  if (schema.format === "binary" || schema.contentMediaType) return ["bytes"];
  const names = { boolean: "true or false", integer: "whole number", number: "number", string: "text", object: "object" };
  return [`${names[schema.type] ?? "anything"}${limits(schema)}`];
}

function limits({ minimum, exclusiveMinimum, maximum, exclusiveMaximum, maxLength }) {
  const low = minimum ?? exclusiveMinimum;
  const high = maximum ?? exclusiveMaximum;
  const parts = [];
  if (low !== undefined) parts.push(`${minimum === undefined ? "more than" : "from"} ${low}`);
  if (high <= Number.MAX_SAFE_INTEGER) parts.push(`${maximum === undefined ? "less than" : "to"} ${high}`);
  if (maxLength !== undefined) parts.push(`of up to ${maxLength} characters`);
  return parts.length ? ` ${parts.join(" ")}` : "";
}

function standard(schema = {}) {
  const given = schema.default;
  return given === undefined || given === null ? "" : make("span", {}, "else ", make("code", { textContent: `${given}` }));
}

function notes(...parts) {
  const given = parts.filter(Boolean);
  return given.length ? make("p", { class: "hint" }, ...join(given.map((part) => [part]), ", ")) : "";
}

/** Return paragraphs, with `code` in them. */
function prose(text = "") {
  return text
    .split(/\n{2,}/)
    .filter((paragraph) => paragraph.trim())
    .map((paragraph) =>
      make("p", {}, ...paragraph.split(/`+/).map((part, at) => (at % 2 ? make("code", { textContent: part }) : part))),
    );
}

function table(heads, rows) {
  if (!rows.length) return [];
  const cell = (content) => make("td", {}, ...[content].flat());
  const head = make("tr", {}, ...heads.map((textContent) => make(textContent ? "th" : "td", { textContent })));
  return [
    make(
      "div",
      { class: "wide" },
      make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell))))),
    ),
  ];
}

const join = (parts, between) => parts.flatMap((part, at) => (at ? [between, ...part] : part));
const idOf = ({ method, path }) => `${method.toLowerCase()}${path.replace(/[^a-z0-9]+/gi, "-")}`;
const verb = (method) => make("b", { class: `verb ${method.toLowerCase()}`, textContent: method });
const called = (name) => name.replace(/^_+/, "");

/** Return a path that may be broken after its slashes. */
function breakable(path) {
  return path.split(/(?<=\/)/).flatMap((part) => [part, make("wbr")]);
}

function search() {
  const wanted = byId("search").value.trim().toLowerCase();
  const links = [...byId("contents").children];
  let found = 0;
  for (const link of links) {
    const card = document.getElementById(link.hash.slice(1));
    const fits = card.textContent.toLowerCase().includes(wanted);
    link.hidden = card.hidden = !fits;
    found += fits;
  }
  byId("nothing").hidden = found > 0;
  byId("objects").hidden = ![...byId("schemas").children].some((card) => !card.hidden);
}

byId("search").oninput = search;
byId("document").onclick = (event) => {
  event.preventDefault(); // a link cannot show the key
  save(new Blob([text], { type: "application/json" }), "alphadrop-openapi.json");
};
bell.addEventListener("locked", () => {
  byId("locked").hidden = false;
  byId("calls").hidden = true;
});
start();
