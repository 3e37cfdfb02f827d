// Changes and VRPs as rows of a table: the search and the change log show the same ones.

import { badge, h, table } from "./dom.js";
import { asn, moment } from "./format.js";

const ACTIONS = { announce: ["good", "came"], withdraw: ["bad", "went"], replace: ["quiet", "changed"] };
const CAUSES = {
  load: "The source changed",
  expire: "Entries expired",
  withdraw: "Stale data was withdrawn",
  follow: "The other pyRTR changed",
};

export const cause = (name) => CAUSES[name] ?? name;

export const link = (query) => `#q=${encodeURIComponent(query).replaceAll("%20", "+").replaceAll("%2F", "/").replaceAll("%3A", ":")}`;

const seek = (query, text = query) => h("a", { href: link(query) }, h("code", {}, text));

/** What changed, in one cell. */
function subject(change) {
  switch (change.kind) {
    case "vrp":
      return [seek(change.prefix), longest(change), " for ", seek(asn(change.asn))];
    case "aspa":
      return ["ASPA of ", seek(asn(change.customer_asn)), `: ${providers(change.old_provider_asns)} → ${providers(change.new_provider_asns)}`];
    default:
      return ["Router key of ", seek(asn(change.asn)), " ", h("code", { class: "ski" }, change.ski ?? "")];
  }
}

const longest = (vrp) => (vrp.max_length > Number(vrp.prefix.split("/")[1]) ? ` up to /${vrp.max_length}` : "");

const providers = (asns) => (asns?.length ? asns.map(asn).join(", ") : "none");

/** By whom, in words. */
function author(by) {
  switch (by?.kind) {
    case "source": return by.name || "the source";
    case "slurm-filter": return `filter of ${by.name}`;
    case "slurm-assertion": return `assertion of ${by.name}`;
    case "expiry": return by.name === "stale" ? "the data was too old" : "it expired";
    default: return "–";
  }
}

const CHANGE_COLUMNS = [
  { name: "What", kind: "action", cell: (change) => badge(...(ACTIONS[change.action] ?? ["quiet", change.action])) },
  { name: "Payload", cell: (change) => [...subject(change), h("span", { class: "narrow meta" }, [change.ta, author(change.by)].filter(Boolean).join(" · "))] },
  { name: "Trust anchor", kind: "wide", cell: (change) => change.ta ?? "–" },
  { name: "By", kind: "by wide", cell: (change) => author(change.by) },
];
const WHEN_COLUMNS = [
  { name: "When", kind: "date", cell: (change) => moment(change.time) },
  { name: "Serial", kind: "number wide", cell: (change) => String(change.serial) },
];

/** Changes as a table; where they are of several serials, with when each was. */
export const changeTable = (caption, changes, { isDated = false } = {}) => table(caption, isDated ? [...WHEN_COLUMNS, ...CHANGE_COLUMNS] : CHANGE_COLUMNS, changes);

/** VRPs as a table; `verdict(vrp)` says what each means for the route that was asked for. */
export function vrpTable(caption, vrps, verdict = null) {
  const columns = [
    { name: "Prefix", cell: (vrp) => [seek(vrp.prefix), h("span", { class: "narrow meta" }, [`up to /${vrp.max_length}`, vrp.ta].filter(Boolean).join(" · "))] },
    { name: "Longest", kind: "number wide", cell: (vrp) => `/${vrp.max_length}` },
    { name: "Origin", cell: (vrp) => seek(asn(vrp.asn)) },
    { name: "Trust anchor", kind: "wide", cell: (vrp) => vrp.ta ?? "–" },
    { name: "Expires", kind: "date wide", cell: (vrp) => moment(vrp.expires) },
  ];
  if (verdict) columns.push({ name: "Which means", cell: verdict });
  return table(caption, columns, vrps);
}
