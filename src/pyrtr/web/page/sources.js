// Where the payload comes from, how each place does, and the local exceptions.

import { badge, byId, empty, h, table } from "./dom.js";
import { counted, duration, moment, number, plural } from "./format.js";

export function showSources({ locations, slurm }) {
  byId("source-list").replaceChildren(
    h("div", { class: "places" }, (locations ?? []).map((location) => place(location, (locations ?? []).length))),
    ...exceptions(slurm));
}

function place(location, count) {
  const tone = location.error ? "bad" : location.used ? "good" : "quiet";
  const word = location.error ? "failed" : location.used ? "in use" : location.last_success ? "ready" : "not read yet";
  const dropped = Object.entries(location.dropped ?? {}).filter(([, number_]) => number_ > 0);
  const facts = [
    ["Last look", h("span", {}, moment(location.last_attempt), " UTC")],
    ["Last good look", h("span", {}, moment(location.last_success), location.last_success ? " UTC" : "")],
    ["Its data", location.age_s === null || location.age_s === undefined ? "–" : `${duration(location.age_s)} old`],
    ["Looks", looks(location.attempts)],
    location.records && ["Records", counted(location.records)],
    ["Dropped", dropped.length === 0 ? "nothing" : dropped.map(([reason, number_]) => `${number(number_)} ${reason.replaceAll("_", " ")}`).join(", ")],
    location.http_status && ["HTTP", String(location.http_status)],
  ].filter(Boolean);
  return h("article", { class: "place", "data-tone": tone },
    h("h3", {}, h("code", {}, location.location), " ", badge(tone, word)),
    location.error && h("p", { class: "failure" }, location.error),
    location.error && h("p", { class: "aside" }, count > 1 ? "The other locations make up for it where they can; it is tried again by itself." : "What it gave before is served on; it is tried again by itself."),
    h("dl", { class: "pairs" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))));
}

function looks(attempts) {
  if (!attempts) return "–";
  const parts = [`${number(attempts.success)} good`];
  if (attempts.unchanged) parts.push(`${number(attempts.unchanged)} unchanged`);
  if (attempts.failure) parts.push(`${number(attempts.failure)} failed`);
  return parts.join(", ");
}

function exceptions(slurm) {
  const title = h("h3", { class: "sub" }, "Local exceptions (SLURM)");
  if (!slurm?.locations?.length) return [title, empty("None", "The setting SLURM names no file, so what the source says is served as it is.")];
  const columns = [
    { name: "File", cell: (file) => h("code", {}, file.file) },
    { name: "Took away", cell: (file) => counted(file.filtered) || "nothing" },
    { name: "Added", cell: (file) => counted(file.added) || "nothing" },
  ];
  return [
    title,
    slurm.error && h("p", { class: "failure" }, slurm.error),
    slurm.error && h("p", { class: "aside" }, "The files from before stay in force."),
    slurm.files.length > 0
      ? table(`${plural(slurm.files.length, "SLURM file")} in force`, columns, slurm.files)
      : empty("No file in force", `Looked for in ${slurm.locations.join(", ")}.`),
  ].filter(Boolean);
}
