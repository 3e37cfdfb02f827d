// Numbers, times and durations in words.

import { h } from "./dom.js";

const NUMBER = new Intl.NumberFormat("en");
const UNITS = [[86400, "day", "d"], [3600, "hour", "h"], [60, "minute", "min"], [1, "second", "s"]];

export const number = (value) => (value === null || value === undefined ? "–" : NUMBER.format(value));

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** Seconds in words, in the largest unit that fits and, where that is small, the next: "4 minutes", "2 hours 5 minutes". */
export function duration(seconds) {
  return inUnits(seconds, (count, [, unit]) => plural(count, unit), "a moment");
}

/** The same for narrow places: "4 min", "2 h 5 min". */
export const shortDuration = (seconds) => inUnits(seconds, (count, [, , unit]) => `${number(count)} ${unit}`, "0 s");

function inUnits(seconds, write, none) {
  if (seconds === null || seconds === undefined) return "–";
  let left = Math.max(0, Math.round(seconds));
  const first = UNITS.findIndex(([size]) => left >= size);
  if (first === -1) return none;
  const parts = [];
  for (const unit of UNITS.slice(first, first + 2)) {
    const count = Math.floor(left / unit[0]);
    left -= count * unit[0];
    if (count > 0 && (parts.length === 0 || unit[0] >= 60)) parts.push(write(count, unit));
    if (count >= 10) break;
  }
  return parts.join(" ");
}

/** How long a response took: "3 ms", "1.2 s". */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  return seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`;
}

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = count;
  for (; value >= 1000 && unit < units.length - 1; unit += 1) value /= 1000;
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export const percent = (share) => (share >= 0.1 ? `${Math.round(share * 100)} %` : `${(share * 100).toFixed(1)} %`);

/** A moment in UTC: the time of a moment of today, else the date too. */
export function clock(iso) {
  if (!iso) return "–";
  const [date, time] = iso.slice(0, 16).split("T");
  return date === new Date().toISOString().slice(0, 10) ? time : `${date} ${time}`;
}

/** The same as an element, which tells the whole of it. */
export const moment = (iso) => (iso ? h("time", { datetime: iso, title: `${iso.slice(0, 19).replace("T", " ")} UTC` }, clock(iso)) : "–");

export const asn = (value) => `AS${value}`;

/** Counts by name as words, those of nothing left out: {"vrps": 2, "aspas": 0} is "2 VRPs". */
export function counted(counts) {
  const names = { vrps: "VRP", router_keys: "router key", aspas: "ASPA", ipv4: "IPv4 VRP", ipv6: "IPv6 VRP" };
  const parts = Object.entries(counts ?? {}).filter(([, count]) => count > 0);
  return parts.map(([name, count]) => (names[name] ? plural(count, names[name]) : `${name.replaceAll("_", " ")} ${number(count)}`)).join(", ");
}
