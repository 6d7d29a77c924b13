// Elements, made in one expression and never from a text of markup.

/** Return an element with properties (`class`, `onclick`, `aria-…`, `data-…` among them) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "lang") element.setAttribute(name, value);
    else element[name === "class" ? "className" : name] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Return the element of an id. */
export const byId = (id) => document.getElementById(id);

/** Say something above every view, until something else is said there. */
export function warn(text) {
  byId("banner").textContent = text;
  byId("banner").hidden = text === "";
}

/** Let the browser save a blob as a file. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
