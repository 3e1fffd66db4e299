// Elements from plain data. Nothing here, or anywhere in the page, turns text into markup.

/** An element: attributes, listeners (`onclick`), and children that are elements or text. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

// Spaces at the ends or in a row; controls, bidi marks, unassigned characters and others that cannot be seen; spaces that
// are not " " and dashes that are not "-".
const HIDDEN =
  /(^ +| +$| {2,}|(?![ -])[\p{C}\p{Z}\p{Pd}\p{Default_Ignorable_Code_Point}\u02d7\u2043\u2212\u2800\u{1d159}])/u;
const SCRIPTS = [
  "Cyrillic",
  "Greek",
  "Armenian",
  "Hebrew",
  "Arabic",
  "Cherokee",
  "Han",
  "Hiragana",
  "Katakana",
  "Hangul",
];
const LETTERS = SCRIPTS.map((name) => [name, new RegExp(`\\p{Script=${name}}`, "u")]);
const LATIN = /\p{Script=Latin}/u;
const WIDE = /[\uff01-\uff5e\u{1d400}-\u{1d7ff}]/u;
// Letters and digits of none of these.
const KNOWN = SCRIPTS.map((name) => `\\p{Script_Extensions=${name}}`).join("");
const OTHER = new RegExp(`(?![0-9\\p{Script=Latin}${KNOWN}]|${WIDE.source})[\\p{L}\\p{Nd}]`, "u");

/** A character by its number, as in U+202E. */
function numbered(symbol) {
  return `U+${symbol.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** The scripts of a text other than Latin alone, in words, and whether they are mixed. */
function scriptsOf(text) {
  const scripts = LETTERS.filter(([, letters]) => letters.test(text)).map(([name]) => name);
  if (WIDE.test(text)) scripts.push("look-alike Latin");
  if (OTHER.test(text)) scripts.push("another script");
  if (scripts.length === 0) return null;
  const mixed = LATIN.test(text) || scripts.length > 1;
  return { mixed, words: mixed ? `mixed: Latin and ${scripts.join(", ")}` : scripts.join(", ") };
}

/** The parts of a text, in which `mark` stands in for each hidden character. */
function marked(text, mark) {
  return String(text)
    .split(HIDDEN)
    .flatMap((part, at) => (at % 2 === 1 ? Array.from(part, (symbol) => mark(numbered(symbol))) : part));
}

/**
 * Somebody's text, so that it can only look like what it is: hidden characters by their number, letters of
 * other scripts named, its direction kept to itself.
 */
export function safe(text, attributes = {}) {
  const mark = (number) => h("mark", { title: "a character that cannot be seen, or looks like another" }, number);
  const span = h("bdi", { dir: "ltr", class: "foreign", ...attributes }, marked(text, mark));
  // A cell breaks what is long, as it is shown, wherever it must, and the rest between words.
  if (/\S{25}/.test(span.textContent)) span.classList.add("long");
  const scripts = scriptsOf(text);
  if (scripts) span.append(h("small", { class: scripts.mixed ? "script mixed" : "script" }, scripts.words));
  return span;
}

/** The same where only text can stand: in a choice, in a desktop notification. */
export function plain(text) {
  const shown = marked(text, (number) => `[${number}]`);
  const scripts = scriptsOf(text);
  return shown.join("") + (scripts ? ` (${scripts.words})` : "");
}

/** A time in the reader's zone, with the exact one behind it. */
export function time(text) {
  if (!text) return "–";
  const at = new Date(text);
  const shown = at.toLocaleString(undefined, {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "numeric",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "short",
  });
  return h("time", { datetime: text, title: text }, shown);
}

/** How long until a time; the page's clock keeps it true. */
export function until(text) {
  return h("span", { "data-until": text }, left(text));
}

/** How long until a time, in words. */
export function left(text) {
  const seconds = Math.round((new Date(text) - Date.now()) / 1000);
  if (seconds <= 0) return "now";
  const units = [
    [86400, "day"],
    [3600, "hour"],
    [60, "minute"],
    [1, "second"],
  ];
  const [size, name] = units.find(([size]) => seconds >= size);
  const count = Math.floor(seconds / size);
  return `in ${count} ${name}${count === 1 ? "" : "s"}`;
}

/** A table; its head names the columns, and on a phone each cell its own. */
export function table(columns, rows, empty) {
  if (rows.length === 0) return h("p", { class: "empty" }, empty);
  const body = rows.map((cells) => row(columns, cells));
  return grid(columns, h("tbody", {}, body));
}

/** A table of rows that are made already. A column of buttons has no name, and so no header. */
export function grid(columns, body) {
  const head = h(
    "thead",
    {},
    h(
      "tr",
      {},
      columns.map((name) => (name ? h("th", { scope: "col" }, name) : h("td"))),
    ),
  );
  return h("div", { class: "scroll" }, h("table", {}, head, body));
}

/** A row of a table. A cell is one thing: on a phone its name stands beside it. */
export function row(columns, cells) {
  const whole = (cell) => (Array.isArray(cell) && cell.length > 0 ? h("div", {}, cell) : cell);
  return h(
    "tr",
    {},
    cells.map((cell, at) => h("td", { "data-name": columns[at] }, whole(cell))),
  );
}

/** Pairs of a name and a value; one without a value is left out. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== false);
  return h(
    "dl",
    {},
    shown.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );
}

/** The button that closes what it stands in. */
export function closing(onclick) {
  return h("button", { type: "button", class: "close", "aria-label": "Close", onclick }, "×");
}

/** A labelled field of a form. */
export function field(label, input, hint) {
  return h("label", {}, h("span", {}, label), input, hint && h("small", {}, hint));
}

/** A field for text of at most so many bytes, which is how the server counts. Spaces around it go once it is left. */
export function textInput(bytes, attributes = {}) {
  const input = h("input", attributes);
  const check = () => {
    const long = new TextEncoder().encode(input.value).length > bytes;
    input.setCustomValidity(long ? `At most ${bytes} bytes; a letter beyond a to z counts for 2 to 4.` : "");
  };
  input.addEventListener("input", check);
  input.addEventListener("change", () => {
    // What is chosen from a list is a name as it stands.
    const listed = [...(input.list?.options ?? [])].some(({ value }) => value === input.value);
    if (!listed) input.value = input.value.trim();
    check();
  });
  return input;
}

/** A word on the wire, for people. */
export function words(name) {
  return String(name).replaceAll("_", " ").replaceAll(".", ": ");
}

/** Fills `list` anew. Its button or link that had the keyboard keeps it if it is there again; else `otherwise` gets it. */
export function refill(list, content, otherwise) {
  const { activeElement: before } = document;
  const held = list.contains(before);
  list.replaceChildren(content);
  const alike = (one) => one.ariaLabel === before.ariaLabel && one.hash === before.hash;
  if (held) ([...list.querySelectorAll(before.tagName)].find(alike) ?? otherwise).focus({ preventScroll: true });
}
