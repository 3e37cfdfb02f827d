// The routers: all of them are held here, a page of them is shown, so that thousands don't slow the browser down.

import { badge, byId, empty, h, scrolled } from "./dom.js";
import { bytes, moment, number, plural, shortDuration, span } from "./format.js";

const PAGE = 25;
const STATES = {
  all: () => true,
  behind: (router) => router.behind_s > 0,
  error: (router) => router.last_error !== null,
};

const COLUMNS = [
  { name: "Router", kind: "address", key: (router) => addressKey(router.client), cell: routerCell },
  { name: "Holds", key: (router) => router.behind_s ?? Infinity, cell: stateCell },
  { name: "Serial", kind: "number wide", key: (router) => router.serial ?? -1, cell: (router) => (router.serial === null ? "–" : String(router.serial)) },
  { name: "Version", kind: "wide", key: (router) => router.version ?? "", cell: (router) => router.version ?? "–" },
  { name: "Transport", kind: "wide", key: (router) => router.transport, cell: (router) => router.transport.toUpperCase() },
  { name: "Connected", kind: "date wide", key: (router) => router.connected_since, cell: (router) => moment(router.connected_since) },
  { name: "Last sync", kind: "number wide", key: (router) => lastSync(router) ?? -1, cell: (router) => span(lastSync(router)) },
  { name: "Sent", kind: "number wide", key: (router) => router.bytes.sent, cell: (router) => bytes(router.bytes.sent) },
  { name: "Last error", kind: "error wide", key: (router) => errorText(router) ?? "", cell: (router) => errorText(router) ?? "–" },
];

const lastSync = (router) => router.last_sync_s.delta ?? router.last_sync_s.full;

const errorText = (router) => router.last_error && [`${router.last_error.code} ${router.last_error.name.toLowerCase().replaceAll("_", " ")}`, router.last_error.text].filter(Boolean).join(": ");

/** So that 10.0.0.9 stands before 10.0.0.10. */
const addressKey = (client) => client.replace(/\d+/g, (digits) => digits.padStart(5, "0"));

function routerCell(router) {
  return [
    h("code", {}, router.client.split(/(?<=:)/).flatMap((piece) => [piece, h("wbr")])),
    h("span", { class: "narrow meta" }, [router.version ?? "no version yet", router.transport.toUpperCase(), router.serial === null ? null : `serial ${router.serial}`].filter(Boolean).join(" · ")),
    router.last_error && h("span", { class: "narrow meta error" }, errorText(router)),
  ];
}

function stateCell(router) {
  if (router.behind_s === null) return badge("quiet", "nothing yet");
  if (router.behind_s === 0) return badge("good", "current");
  return badge("warn", `behind ${shortDuration(router.behind_s)}`);
}

export class Routers {
  constructor() {
    this.routers = [];
    this.text = "";
    this.state = "all";
    this.sorted = { column: 1, isDescending: true };
    this.page = 0;
    this.build();
  }

  /** What stays while rows come and go, so that nobody loses his place. */
  build() {
    this.filter = h("input", { id: "router-filter", type: "search", placeholder: "Address, version, transport or error", autocomplete: "off", spellcheck: "false", input: () => this.choose({ text: this.filter.value.toLowerCase() }) });
    this.choice = h("select", { id: "router-state", change: () => this.choose({ state: this.choice.value }) },
      h("option", { value: "all" }, "All routers"), h("option", { value: "behind" }, "Those behind"), h("option", { value: "error" }, "Those with an error"));
    this.heads = COLUMNS.map((column, place) => h("th", { scope: "col", class: column.kind },
      h("button", { type: "button", class: "sort", click: () => this.sort(place) }, column.name)));
    this.body = h("tbody");
    this.count = h("p", { class: "aside", role: "status" });
    this.before = h("button", { type: "button", class: "quiet", click: () => this.turn(-1) }, "Previous");
    this.after = h("button", { type: "button", class: "quiet", click: () => this.turn(1) }, "Next");
    this.tools = h("div", { class: "tools" },
      h("div", { class: "tool" }, h("label", { for: "router-filter" }, "Filter"), this.filter),
      h("div", { class: "tool" }, h("label", { for: "router-state" }, "Show"), this.choice));
    this.rest = h("div", { class: "pages" }, this.count, this.before, this.after);
    this.table = scrolled("Routers", h("table", { class: "routers" }, h("caption", { class: "unseen" }, "Connected routers"), h("thead", {}, h("tr", {}, this.heads)), this.body));
    this.none = empty("No router is connected", "Point one at this machine: the settings HOST and RTR_PORT say where it listens. It appears here within a second.");
  }

  show(routers) {
    if (!this.table.isConnected) byId("router-table").replaceChildren(this.tools, this.table, this.rest, this.none);
    this.routers = routers;
    const isEmpty = routers.length === 0;
    for (const part of [this.tools, this.table, this.rest]) part.hidden = isEmpty;
    this.none.hidden = !isEmpty;
    this.draw();
  }

  choose(change) {
    Object.assign(this, change, { page: 0 });
    this.draw();
  }

  sort(column) {
    this.sorted = { column, isDescending: this.sorted.column === column && !this.sorted.isDescending };
    this.page = 0;
    this.draw();
  }

  turn(step) {
    this.page += step;
    this.draw();
  }

  draw() {
    const found = this.found();
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    this.page = Math.min(this.page, pages - 1);
    const start = this.page * PAGE;
    const shown = found.slice(start, start + PAGE);
    this.body.replaceChildren(...shown.map((router) => h("tr", {}, COLUMNS.map((column) => h("td", { class: column.kind }, column.cell(router))))));
    this.heads.forEach((head, place) => head.setAttribute("aria-sort", place !== this.sorted.column ? "none" : this.sorted.isDescending ? "descending" : "ascending"));
    this.before.disabled = this.page === 0;
    this.after.disabled = this.page >= pages - 1;
    this.before.hidden = this.after.hidden = pages === 1;
    const text = found.length === 0 ? "No router fits the filter." : pages === 1 ? plural(found.length, "router") : `${number(start + 1)} to ${number(start + shown.length)} of ${plural(found.length, "router")}`;
    if (this.count.textContent !== text) this.count.textContent = text;
  }

  found() {
    const { key } = COLUMNS[this.sorted.column];
    const sign = this.sorted.isDescending ? -1 : 1;
    return this.routers
      .filter(STATES[this.state])
      .filter((router) => !this.text || searched(router).includes(this.text))
      .map((router) => [key(router), router])
      .sort(([one], [other]) => (one < other ? -sign : one > other ? sign : 0))
      .map(([, router]) => router);
  }
}

const searched = (router) => [router.client, router.version, router.transport, router.serial, errorText(router)].join(" ").toLowerCase();

/** How many of each kind, from the status. */
export function showKinds({ routers }) {
  const kinds = [...Object.entries(routers.by_version ?? {}), ...Object.entries(routers.by_transport ?? {}).map(([name, count]) => [name.toUpperCase(), count])];
  byId("router-kinds").replaceChildren(...kinds.filter(([, count]) => count > 0).map(([name, count]) => h("li", {}, `${name} `, h("strong", {}, number(count)))));
}
