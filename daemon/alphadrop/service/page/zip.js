// A zip of files that are compressed already: they are stored as they are (APPNOTE.TXT, PKWARE).

const UTF8 = 0x0800;
const VERSION = 20;
const LARGEST = 0xffffffff;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

/** Return a blob with `[name, blob]` pairs as files; names are made different where they are the same. */
export async function zip(files) {
  const parts = [];
  const directory = [];
  const taken = new Set();
  let offset = 0;
  for (const [wanted, blob] of files) {
    const name = new TextEncoder().encode(free(wanted, taken));
    const about = header(name, crc32(new Uint8Array(await blob.arrayBuffer())), blob.size);
    parts.push(Uint8Array.of(0x50, 0x4b, 3, 4), about, name, blob);
    directory.push(entry(about, offset), name);
    offset += 4 + about.length + name.length + blob.size;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  if (offset + size > LARGEST) throw new RangeError("more than 4 GB do not go into one zip");
  return new Blob([...parts, ...directory, end(files.length, size, offset)], { type: "application/zip" });
}

function header(name, crc, size) {
  const now = new Date();
  const view = new DataView(new ArrayBuffer(26));
  view.setUint16(0, VERSION, true);
  view.setUint16(2, UTF8, true);
  view.setUint16(6, (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1), true);
  view.setUint16(8, ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate(), true);
  view.setUint32(10, crc, true);
  view.setUint32(14, size, true);
  view.setUint32(18, size, true);
  view.setUint16(22, name.length, true);
  return new Uint8Array(view.buffer);
}

function entry(about, offset) {
  const bytes = new Uint8Array(46);
  bytes.set([0x50, 0x4b, 1, 2, VERSION, 0]);
  bytes.set(about, 6);
  new DataView(bytes.buffer).setUint32(42, offset, true);
  return bytes;
}

function end(count, size, offset) {
  const view = new DataView(new ArrayBuffer(22));
  view.setUint32(0, 0x06054b50, true);
  view.setUint16(8, count, true);
  view.setUint16(10, count, true);
  view.setUint32(12, size, true);
  view.setUint32(16, offset, true);
  return new Uint8Array(view.buffer);
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

function free(wanted, taken) {
  const [, stem, suffix] = wanted.match(/^(.*?)(\.[^./]*)?$/s);
  let name = wanted;
  for (let number = 2; taken.has(name); number++) name = `${stem}-${number}${suffix ?? ""}`;
  taken.add(name);
  return name;
}
