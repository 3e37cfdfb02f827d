// Size and changes over time, drawn as SVG at the width that there is.

import { byId, empty, h, svg, table } from "./dom.js";
import { number, plural } from "./format.js";

const HEIGHT = 160;
const MARGIN = { top: 10, right: 10, bottom: 22, left: 72 }; // room for millions
const BUCKETS = 48;
const HOUR_MS = 3600000;

/** The charts of the last `hours`, from generations, newest first. */
export class Charts {
  constructor() {
    this.generations = null;
    this.hours = 24;
    this.width = 0;
    new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width !== this.width) {
        this.width = width;
        this.draw();
      }
    }).observe(byId("charts"));
  }

  /** Whether there is no more than an hour of history. */
  get isYoung() {
    return Date.parse(this.generations.at(-1).time) > Date.now() - HOUR_MS;
  }

  show(generations, hours = this.hours) {
    this.generations = generations;
    this.hours = hours;
    this.draw();
  }

  draw() {
    if (this.generations === null || this.width === 0) return;
    const place = byId("charts");
    const isOpen = place.querySelector("details")?.open ?? false;
    if (this.generations.length === 0) {
      place.replaceChildren(empty("No history yet", "Each new serial adds a point. Come back when the source has changed once."));
      return;
    }
    const now = Date.now();
    const end = Math.max(now, Date.parse(this.generations[0].time));
    const time = { start: end - this.hours * HOUR_MS, end };
    const points = within(this.generations, time);
    const buckets = inBuckets(this.generations, time);
    const columns = this.width >= 620 ? 2 : 1;
    const width = Math.floor((this.width - (columns - 1) * 16) / columns);
    place.replaceChildren(
      h("div", { class: "charts" },
        sizeChart("IPv4 VRPs", "ipv4", points, time, width),
        sizeChart("IPv6 VRPs", "ipv6", points, time, width),
        churnChart(buckets, time, this.width)),
      h("details", { class: "as-table", open: isOpen }, h("summary", {}, "The same as a table"), churnTable(buckets)));
  }
}

/** Those of the time shown, oldest first, and the one in force when it began. */
function within(generations, time) {
  const oldestFirst = [...generations].reverse().map((generation) => ({ at: Date.parse(generation.time), counts: generation.counts }));
  const before = oldestFirst.filter((point) => point.at < time.start).at(-1);
  const points = oldestFirst.filter((point) => point.at >= time.start);
  return before ? [{ ...before, at: time.start }, ...points] : points;
}

/** What came and went in each part of the time shown, and the counts at its end. */
function inBuckets(generations, time) {
  const size = (time.end - time.start) / BUCKETS;
  const buckets = Array.from({ length: BUCKETS }, (_, place) => ({ at: time.start + place * size, announced: 0, withdrawn: 0, serials: 0, counts: null }));
  for (const generation of [...generations].reverse()) {
    const at = Date.parse(generation.time);
    const bucket = buckets[Math.min(BUCKETS - 1, Math.floor((at - time.start) / size))];
    if (at < time.start || !bucket) continue;
    bucket.serials += 1;
    bucket.counts = generation.counts;
    if (generation.from_serial === null || generation.from_serial === undefined) continue; // the first table is no change
    bucket.announced += sum(generation.announced) + sum(generation.replaced);
    bucket.withdrawn += sum(generation.withdrawn);
  }
  return buckets;
}

const sum = (counts) => Object.values(counts ?? {}).reduce((total, count) => total + count, 0);

function sizeChart(name, kind, points, time, width) {
  const values = points.map((point) => point.counts?.[kind] ?? 0);
  const last = values.at(-1) ?? 0;
  const low = Math.min(...values);
  const high = Math.max(...values);
  const pad = Math.max(1, (high - low) * 0.15, high * 0.0005);
  const frame = new Frame(width, time, Math.max(0, low - pad), high + pad);
  const label = `${name}: ${number(last)} now, between ${number(low)} and ${number(high)} in the time shown`;
  let line = "";
  points.forEach((point, place) => { line += place ? `H${frame.x(point.at)}V${frame.y(values[place])}` : `M${frame.x(point.at)} ${frame.y(values[0])}`; });
  if (line) line += `H${frame.x(time.end)}`;
  const area = line && `${line}V${frame.bottom}H${frame.x(points[0].at)}Z`;
  return figure(name, number(last), label, frame,
    line && [svg("path", { class: "area", d: area }), svg("path", { class: "line", d: line }), svg("circle", { class: "dot", cx: frame.x(time.end), cy: frame.y(last), r: 3 })]);
}

function churnChart(buckets, time, width) {
  const announced = buckets.reduce((total, bucket) => total + bucket.announced, 0);
  const withdrawn = buckets.reduce((total, bucket) => total + bucket.withdrawn, 0);
  const high = Math.max(1, ...buckets.map((bucket) => bucket.announced));
  const low = Math.max(1, ...buckets.map((bucket) => bucket.withdrawn));
  const frame = new Frame(width, time, -low, high);
  const step = frame.inner / BUCKETS;
  const bars = buckets.flatMap((bucket, place) => {
    const x = frame.left + place * step + Math.min(1, step / 8);
    const wide = Math.max(1, step - Math.min(2, step / 4));
    return [
      bucket.announced > 0 && svg("rect", { class: "came", x, width: wide, y: frame.y(bucket.announced), height: Math.max(1, frame.y(0) - frame.y(bucket.announced)) }, hint(bucket)),
      bucket.withdrawn > 0 && svg("rect", { class: "went", x, width: wide, y: frame.y(0), height: Math.max(1, frame.y(-bucket.withdrawn) - frame.y(0)) }, hint(bucket)),
    ];
  });
  const text = `${number(announced)} came, ${number(withdrawn)} went`;
  return figure("Changes", text, `Changes in the time shown: ${text}`, frame, [...bars, svg("path", { class: "zero", d: `M${frame.left} ${frame.y(0)}H${frame.right}` })], "both");
}

const hint = (bucket) => svg("title", {}, `From ${utc(bucket.at)} on: ${number(bucket.announced)} came, ${number(bucket.withdrawn)} went`);

const utc = (at) => new Date(at).toISOString().slice(0, 16).replace("T", " ");

function figure(name, value, label, frame, marks, kind = "") {
  return h("figure", { class: `chart ${kind}` },
    h("figcaption", {}, h("span", { class: "chart-name" }, name), h("span", { class: "chart-value" }, value)),
    svg("svg", { role: "img", "aria-label": label, viewBox: `0 0 ${frame.width} ${HEIGHT}`, width: frame.width, height: HEIGHT }, frame.grid(), marks));
}

/** Where a moment and a number are on a chart. */
class Frame {
  constructor(width, time, low, high) {
    Object.assign(this, { width, time, low, high, left: MARGIN.left, right: width - MARGIN.right, bottom: HEIGHT - MARGIN.bottom });
    this.inner = this.right - this.left;
  }

  x(at) {
    return tenth(this.left + ((Math.max(at, this.time.start) - this.time.start) / (this.time.end - this.time.start)) * this.inner);
  }

  y(value) {
    return tenth(this.bottom - ((value - this.low) / (this.high - this.low)) * (this.bottom - MARGIN.top));
  }

  grid() {
    const lines = ticks(this.low, this.high).map((value) => [
      svg("path", { class: "grid", d: `M${this.left} ${this.y(value)}H${this.right}` }),
      svg("text", { class: "tick", x: this.left - 8, y: this.y(value) + 4, "text-anchor": "end" }, number(Math.abs(value))),
    ]);
    const times = timeTicks(this.time, this.inner).map(([at, text]) => svg("text", { class: "tick", x: Math.min(this.x(at), this.right - 14), y: HEIGHT - 5, "text-anchor": "middle" }, text));
    return svg("g", { "aria-hidden": "true" }, lines.flat(), times);
  }
}

const tenth = (value) => Math.round(value * 10) / 10;

/** Round whole numbers within a range: three or a few more, where it is that wide. */
function ticks(low, high) {
  const power = 10 ** Math.floor(Math.log10(Math.max(high - low, 1)));
  const steps = [5, 2, 1, 0.5, 0.2, 0.1, 0.05].map((factor) => factor * power).filter((step) => step >= 1);
  const step = steps.find((size) => Math.floor(high / size) - Math.ceil(low / size) >= 2) ?? 1;
  const values = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) values.push(value);
  return values;
}

/** Round moments within the time shown, with their names. */
function timeTicks(time, inner) {
  const hours = (time.end - time.start) / HOUR_MS;
  const most = Math.max(2, Math.floor(inner / 80));
  const step = [1 / 6, 1 / 2, 1, 2, 3, 6, 12, 24, 48, 96, 168].find((size) => hours / size <= most) ?? 240;
  const stepMs = Math.round(step * HOUR_MS);
  const found = [];
  for (let at = Math.ceil(time.start / stepMs) * stepMs; at <= time.end; at += stepMs) {
    const iso = new Date(at).toISOString();
    found.push([at, step < 24 && iso.slice(11, 16) !== "00:00" ? iso.slice(11, 16) : new Date(at).toLocaleDateString("en", { timeZone: "UTC", month: "short", day: "numeric" })]);
  }
  return found;
}

function churnTable(buckets) {
  const columns = [
    { name: "From (UTC)", kind: "date", cell: (bucket) => utc(bucket.at) },
    { name: "Serials", kind: "number", cell: (bucket) => number(bucket.serials) },
    { name: "Came", kind: "number", cell: (bucket) => number(bucket.announced) },
    { name: "Went", kind: "number", cell: (bucket) => number(bucket.withdrawn) },
    { name: "IPv4 VRPs then", kind: "number", cell: (bucket) => number(bucket.counts?.ipv4) },
    { name: "IPv6 VRPs then", kind: "number", cell: (bucket) => number(bucket.counts?.ipv6) },
  ];
  const busy = buckets.filter((bucket) => bucket.serials > 0).reverse();
  return table(`Size and changes, newest first: ${plural(busy.length, "part")} of the time shown in which there was a new serial`, columns, busy);
}
