// What is served for a prefix or an AS number, why a route is valid or not, and how that came to be.

import { get } from "./api.js";
import { badge, byId, empty, failure, h } from "./dom.js";
import { asn, duration, moment, number, plural } from "./format.js";
import { changeTable, link, vrpTable } from "./payload.js";

const LIMIT = 50;
const STATES = { valid: ["good", "Valid"], invalid: ["bad", "Invalid"], "not-found": ["quiet", "Not found"] };

/** A prefix, an AS number or both, in any order; null for what is none of them. */
export function parse(text) {
  const query = { prefix: null, asn: null };
  for (const word of text.trim().split(/[\s,]+/)) {
    const number = /^(?:as)?(\d{1,10})$/i.exec(word);
    if (number && query.asn === null && Number(number[1]) < 2 ** 32) query.asn = Number(number[1]);
    else if (/^[0-9a-f.:]+(\/\d{1,3})?$/i.test(word) && /[.:]/.test(word) && query.prefix === null) query.prefix = whole(word);
    else return null;
  }
  return query.prefix === null && query.asn === null ? null : query;
}

/** An address is a prefix of its whole length. */
const whole = (word) => (word.includes("/") ? word : `${word}/${word.includes(":") ? 128 : 32}`);

const parameters = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== null)).toString();

export class Search {
  constructor() {
    this.asked = 0;
    byId("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const target = link(byId("query").value.trim());
      if (location.hash === target) this.follow();
      else location.hash = target;
    });
    addEventListener("hashchange", () => this.follow());
  }

  /** Search for what the address of the page says, so that a search can be sent to somebody. */
  follow() {
    if (!location.hash.startsWith("#q=")) return;
    const text = new URLSearchParams(location.hash.slice(1)).get("q") ?? "";
    byId("query").value = text;
    this.search(text);
  }

  async search(text) {
    const asked = (this.asked += 1);
    const query = parse(text);
    if (!text) return this.put();
    if (query === null) {
      return this.put(empty("That is no prefix and no AS number", "Examples: 192.0.2.0/24, 2001:db8::1, AS64496, or AS64496 192.0.2.0/24."));
    }
    const parts = await Promise.allSettled(partsOf(query));
    if (asked === this.asked) this.put(...parts.filter(isNew).map(({ value, reason }) => value ?? failure("This", reason)));
  }

  put(...parts) {
    byId("search-result").replaceChildren(...parts);
    if (parts.length > 0 && byId("search-result").getBoundingClientRect().top > innerHeight * 0.8) byId("search").scrollIntoView();
    // All of it would be much to listen to.
    byId("search-told").textContent = byId("search-result").querySelector(".outcome, .empty-title, h3, .failure")?.textContent ?? "";
  }
}

function partsOf(query) {
  if (query.prefix === null) return [vrpsOf(query), aspaOf(query), historyOf({ asn: query.asn }, `AS${query.asn}`)];
  const first = query.asn === null ? [covering(query)] : [validity(query)];
  return [...first, covered(query), historyOf({ prefix: query.prefix }, query.prefix)];
}

/** Whether it came to something, or failed otherwise than all before it. */
const isNew = (part, place, parts) => parts.findIndex((other) => other.reason?.message === part.reason?.message) === place || !part.reason;

const part = (title, ...children) => h("section", { class: "part" }, h("h3", {}, title), ...children);

/** The verdict of RFC 6811 on one route, and the VRPs that decided. */
async function validity({ prefix, asn: origin }) {
  const [{ validated_route: found }, vrps] = await Promise.all([
    get(`validity?${parameters({ asn: asn(origin), prefix })}`),
    get(`vrps?${parameters({ prefix, match: "covering", limit: LIMIT })}`),
  ]);
  const { state, description } = found.validity;
  const [tone, word] = STATES[state];
  return part("Would a router accept it?",
    h("p", { class: "outcome", "data-tone": tone }, h("strong", {}, word), h("span", {}, h("code", {}, `${found.route.origin_asn} ${found.route.prefix}`), ` ${why(found.validity, description)}`)),
    vrps.items.length > 0 ? vrpTable(`VRPs that cover ${found.route.prefix}`, vrps.items, (vrp) => meaning(vrp, found.route.prefix, origin)) : null,
    ...more(vrps));
}

function why({ state, reason }, description) {
  if (state === "valid") return "is allowed by at least one VRP.";
  if (state === "not-found") return "is covered by no VRP: routers treat it as they please, mostly as if there were no RPKI.";
  if (reason === "as") return "is covered, but not for this AS.";
  if (reason === "length") return "is allowed for this AS, but is longer than the VRP permits.";
  return description ?? "";
}

function meaning(vrp, prefix, origin) {
  const isTooLong = Number(prefix.split("/")[1]) > vrp.max_length;
  if (vrp.asn === 0) return badge("bad", "nobody may");
  if (origin !== null && vrp.asn !== origin) return badge("quiet", "other AS");
  if (isTooLong) return badge("bad", "too long");
  return badge("good", origin === null ? "may announce" : "allows it");
}

async function covering({ prefix }) {
  const vrps = await get(`vrps?${parameters({ prefix, match: "covering", limit: LIMIT })}`);
  if (vrps.items.length === 0) return part("Who may announce it?", empty("No VRP covers it", `Every AS that announces ${prefix} is "not found": no ROA says who may.`));
  return part("Who may announce it?", vrpTable(`VRPs that cover ${prefix}`, vrps.items, (vrp) => meaning(vrp, prefix, null)), ...more(vrps));
}

/** More specific ones, unless there are none. */
async function covered({ prefix }) {
  const vrps = await get(`vrps?${parameters({ prefix, match: "covered", limit: LIMIT })}`);
  const items = vrps.items.filter((vrp) => vrp.prefix !== prefix);
  return items.length === 0 ? "" : part("Within it", vrpTable(`VRPs within ${prefix}`, items), ...more(vrps));
}

async function vrpsOf({ asn: origin }) {
  const vrps = await get(`vrps?${parameters({ asn: origin, limit: LIMIT })}`);
  const title = `What AS${origin} may announce`;
  if (vrps.items.length === 0) return part(title, empty("No VRP", `No ROA names AS${origin} as an origin.`));
  return part(title, vrpTable(`VRPs of AS${origin}`, vrps.items), ...more(vrps));
}

async function aspaOf({ asn: customer }) {
  const title = `Providers of AS${customer}`;
  const { items } = await get(`aspas?${parameters({ customer, limit: 1 })}`);
  if (items.length === 0) return part(title, empty("No ASPA", `AS${customer} has not said who its providers are.`));
  const [aspa] = items;
  const isNone = aspa.provider_asns.length === 1 && aspa.provider_asns[0] === 0;
  return part(title, isNone
    ? h("p", {}, `AS${customer} says that it has no provider (AS0).`)
    : h("ul", { class: "chips" }, aspa.provider_asns.map((provider) => h("li", {}, h("a", { href: link(asn(provider)) }, asn(provider))))),
    h("p", { class: "aside" }, "Until ", aspa.expires ? moment(aspa.expires) : "it is withdrawn"));
}

async function historyOf(query, name) {
  const { items, next, reaches_back_to: start } = await get(`changes?${parameters({ ...query, limit: LIMIT })}`);
  const back = start ? ` The history reaches back ${duration((Date.now() - Date.parse(start)) / 1000)}.` : "";
  if (items.length === 0) return part("How it came to be", empty("Nothing has changed", `Nothing that touches ${name} came or went.${back}`));
  return part("How it came to be", changeTable(`Changes that touch ${name}, newest first`, items, { isDated: true }),
    h("p", { class: "aside" }, next ? `The last ${number(items.length)} changes.${back}` : `${plural(items.length, "change")}.${back}`));
}

const more = ({ items, total, next }) => (next ? [h("p", { class: "aside" }, `The first ${number(items.length)}${total ? ` of ${number(total)}` : ""}.`)] : []);
