// Elements, made of text only: whatever the program says, nothing of it is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** An element; attributes that are null or false are left out, functions listen to the event they are named after. */
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** The same in SVG. */
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A table with a caption. Columns are {name, cell(row), kind: "number" | "code" | "wide" …, label}. */
export function table(caption, columns, rows, { isCaptionShown = false } = {}) {
  const head = columns.map((column) => h("th", { scope: "col", class: column.kind }, column.name));
  const body = rows.map((row) => h("tr", {}, columns.map((column) => h("td", { class: column.kind }, column.cell(row)))));
  return scrolled(
    caption,
    h("table", {},
      h("caption", { class: isCaptionShown ? null : "unseen" }, caption),
      h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, body)),
  );
}

/** What may be wider than the page scrolls by itself, by keyboard too. */
export const scrolled = (label, child) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, child);

export const empty = (title, text) => h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), h("p", {}, text));

/** What is said where a part could not be had. */
export const failure = (what, error) => h("p", { class: "failure" }, `${what} can't be shown: ${error.message}.`);

export const badge = (tone, text) => h("span", { class: "badge", "data-tone": tone }, text);
