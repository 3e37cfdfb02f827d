// Counts, trust anchors, and the last lines of the page.

import { byId, empty, h, svg, table } from "./dom.js";
import { duration, number, percent } from "./format.js";

export function showFigures(status) {
  const { counts, routers } = status;
  const vrps = counts ? counts.ipv4 + counts.ipv6 : null;
  const figures = [
    ["VRPs", vrps, "what ROAs allow"],
    ["for IPv4", counts?.ipv4, vrps ? percent(counts.ipv4 / vrps) : ""],
    ["for IPv6", counts?.ipv6, vrps ? percent(counts.ipv6 / vrps) : ""],
    ["ASPAs", counts?.aspas, "lists of providers"],
    ["Router keys", counts?.router_keys, "of BGPsec"],
    ["Routers", routers.connected, routers.behind ? `${number(routers.behind)} behind` : "connected"],
  ];
  byId("figures").replaceChildren(...figures.map(([name, value, note]) => h("li", { class: "figure" },
    h("span", { class: "figure-name" }, name), h("span", { class: "figure-value" }, number(value)), h("span", { class: "figure-note" }, note || "\u00a0"))));
}

export function showAnchors(vrpsByAnchor) {
  const anchors = Object.entries(vrpsByAnchor ?? {}).sort((one, other) => other[1] - one[1]);
  const sum = anchors.reduce((total, [, count]) => total + count, 0);
  if (sum === 0) {
    byId("anchors").replaceChildren(empty("No VRPs yet", "Once the source was read, this shows how many each trust anchor vouches for."));
    return;
  }
  const columns = [
    { name: "Trust anchor", cell: ([name]) => name },
    { name: "VRPs", kind: "number", cell: ([, count]) => number(count) },
    { name: "Share", kind: "number", cell: ([, count]) => percent(count / sum) },
    { name: "Of the largest", kind: "bar", cell: ([, count]) => bar(count / anchors[0][1]) },
  ];
  byId("anchors").replaceChildren(table("VRPs by trust anchor", columns, anchors));
}

const bar = (share) => svg("svg", { class: "bar-of", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
  svg("rect", { class: "bar-back", width: 100, height: 8 }), svg("rect", { class: "bar-front", width: Math.max(1, share * 100), height: 8 }));

export function showProgram(status, elapsed) {
  byId("program").textContent = `pyRTR ${status.version ?? ""}, up for ${duration(status.uptime_s + elapsed)}. Times are UTC.`;
}
