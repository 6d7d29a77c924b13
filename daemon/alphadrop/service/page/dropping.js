// Photographs that come from outside: dropped, pasted or chosen, with the folders they lie in.

import { byId } from "./elements.js";

const SUFFIXES = /\.(jpe?g|jpe|mpo|png|webp|tiff?|bmp|gif|avif|hei[cf])$/i;

/** Call `take` with `{ file, path }` of everything that comes; of a folder only what is named like a picture. */
export function takeFiles(take) {
  const depth = new Set();
  const over = (shown) => (byId("over").hidden = !shown);
  addEventListener("dragenter", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    depth.add(event.target);
    over(true);
  });
  addEventListener("dragleave", (event) => {
    depth.delete(event.target);
    over(depth.size > 0);
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", async (event) => {
    event.preventDefault();
    depth.clear();
    over(false);
    take(await dropped(event.dataTransfer));
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) take(files.map((file) => ({ file, path: file.name })));
  });
  for (const id of ["files", "folder"]) {
    const input = byId(id);
    for (const button of document.querySelectorAll(`[data-choose=${id}]`)) button.onclick = () => input.click();
    input.onchange = () => {
      const files = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
      take(id === "folder" ? files.filter(({ path }) => SUFFIXES.test(path)) : files);
      input.value = "";
    };
  }
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  return (await Promise.all(entries.map((entry) => within(entry, entry.isFile)))).flat();
}

async function within(entry, isWanted) {
  if (entry.isFile) {
    if (!isWanted && !SUFFIXES.test(entry.name)) return [];
    const file = await new Promise((done, failed) => entry.file(done, failed));
    return [{ file, path: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed)); // a hundred at a time
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map((each) => within(each, false)))).flat();
}
