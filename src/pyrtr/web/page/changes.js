// The change log: every serial, and what came and went with it, asked for when it is opened.

import { get } from "./api.js";
import { byId, empty, failure, h } from "./dom.js";
import { counted, moment, number } from "./format.js";
import { cause, changeTable } from "./payload.js";

const SHOWN = 20;
const CHANGES = 100;

export class ChangeLog {
  constructor() {
    this.entries = new Map(); // by generation, so that what is open stays open
    this.limit = SHOWN;
    this.list = h("ol", { class: "log" });
    this.more = h("button", { type: "button", class: "quiet", click: () => this.grow() }, "Show older ones");
    this.none = empty("No history yet", "As soon as there is data, each new serial is written down here with what came and went.");
  }

  show(generations) {
    this.generations = generations;
    if (!this.list.isConnected) byId("change-log").replaceChildren(this.list, this.more, this.none);
    const entries = new Map();
    for (const generation of generations.slice(0, this.limit)) {
      const name = `${generation.id} ${generation.serial}`;
      entries.set(name, this.entries.get(name) ?? entry(generation));
    }
    this.entries = entries;
    const shown = [...entries.values()];
    // Only what differs is touched: an element that is moved loses the focus.
    shown.forEach((element, place) => { if (this.list.children[place] !== element) this.list.insertBefore(element, this.list.children[place] ?? null); });
    while (this.list.children.length > shown.length) this.list.lastElementChild.remove();
    this.more.hidden = generations.length <= this.limit;
    this.list.hidden = generations.length === 0;
    this.none.hidden = generations.length > 0;
  }

  /** There is no history, for this reason. */
  fail(error) {
    for (const id of ["charts", "change-log"]) byId(id).replaceChildren(failure("The history", error));
  }

  grow() {
    this.limit += SHOWN;
    this.show(this.generations);
  }
}

function entry(generation) {
  const isFirst = generation.from_serial === null || generation.from_serial === undefined;
  const came = counted(isFirst ? generation.counts : generation.announced);
  const went = counted(generation.withdrawn);
  const changed = counted(generation.replaced);
  const body = h("div", { class: "log-body" });
  const details = h("details", {},
    h("summary", {},
      h("span", { class: "log-time" }, moment(generation.time)),
      h("span", { class: "log-what" },
        h("span", { class: "log-cause" }, isFirst ? "The first data" : cause(generation.cause)),
        h("span", { class: "log-counts" },
          came && h("span", { class: "came" }, `+ ${came}`),
          went && h("span", { class: "went" }, `− ${went}`),
          changed && h("span", {}, `± ${changed}`),
          !came && !went && !changed && h("span", {}, "no change of payload"))),
      h("span", { class: "log-serial" }, "serial ", h("code", {}, String(generation.serial)))),
    body);
  details.addEventListener("toggle", () => { if (details.open && body.childElementCount === 0) fill(body, generation, isFirst); });
  return h("li", {}, details);
}

async function fill(body, generation, isFirst) {
  const head = generation.why ? [h("p", { class: "aside" }, `Why: ${generation.why}.`)] : [];
  if (isFirst || !generation.has_changes) {
    const text = isFirst ? `It began with ${counted(generation.counts)}: there was nothing before to compare it with.` : "What came and went is not kept any more.";
    body.replaceChildren(...head, h("p", {}, text));
    return;
  }
  body.replaceChildren(...head, h("p", { class: "aside" }, "One moment."));
  try {
    const { changes, next } = await get(`generations/${generation.serial}?limit=${CHANGES}`);
    const rest = next ? [h("p", { class: "aside" }, `The first ${number(changes.length)}. `, h("a", { href: `api/v1/generations/${generation.serial}` }, "All of them as JSON"))] : [];
    body.replaceChildren(...head, changeTable(`Changes of serial ${generation.serial}`, changes), ...rest);
  } catch (error) {
    body.replaceChildren(...head, failure("The changes", error));
  }
}
