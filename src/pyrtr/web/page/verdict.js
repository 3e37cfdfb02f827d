// How the program is, in words: what an operator at three in the morning needs to know, and what to do.

import { byId, h } from "./dom.js";
import { clock, duration, moment, plural, shortDuration } from "./format.js";

// What to do about a reason or a warning, by how it begins.
const ADVICE = [
  [/^no data to serve/, "Has the validator written its file, and does LOCATION name it? `pyrtr check FILE` says what is wrong with a file. Routers are told to try again later meanwhile."],
  [/^no router is served/, "Look at the other pyRTR. This one serves again as soon as the two agree."],
  [/^the data is stale/, "Look at the validator: it has written nothing new since. Routers keep what they have."],
  [/^the data was stale and is withdrawn/, "Look at the validator: routers hold nothing from here until there is newer data."],
  [/SLURM files/, "Mend the file that is named; `pyrtr check FILE` says what is wrong with it."],
  [/^nothing new is published/, "Is the disk full? See that the state folder can be written to; what was published is served on."],
  [/^what has expired/, "Is the disk full? It is tried again by itself."],
  [/^a restart will lose/, "Make the folder STATE writable, and restart when it suits you."],
  [/^(the last look at the source|a location) failed/, "It is tried again by itself; mend the source if it goes on."],
];

/** The tone, the title and the sentence for a status that was true `elapsed` seconds ago. */
export function judge(status, elapsed, isReachable) {
  const age = status.age_s === null || status.age_s === undefined ? null : status.age_s + elapsed;
  if (!isReachable) {
    return { tone: "bad", title: "Out of reach", sentence: `pyRTR does not answer. What you see is ${duration(elapsed)} old. Is it running, and can this machine reach it? This page goes on trying.` };
  }
  if (!status.published) return { tone: "bad", title: "No data", sentence: `There is nothing to serve yet. ${routers(status)}` };
  const sentence = [`The data is ${duration(age)} old.`, routers(status)].join(" ");
  if (status.held) return { tone: "bad", title: "Held back", sentence: `New data waits for your word; what was served before is served on. ${sentence}` };
  if (status.reasons.some((reason) => reason.startsWith("the data was stale"))) return { tone: "bad", title: "Withdrawn", sentence };
  if (status.reasons.some((reason) => reason.startsWith("the data is stale"))) return { tone: "bad", title: "Stale", sentence };
  if (!status.healthy) return { tone: "bad", title: "Not to be trusted", sentence };
  if (status.warnings.length > 0) return { tone: "warn", title: "Fresh, but look", sentence };
  return { tone: "good", title: "Fresh", sentence };
}

/** Who has what is published. */
function routers(status) {
  const { connected, current, behind } = status.routers;
  if (connected === 0) return "No router is connected.";
  if (!status.published) return `${plural(connected, "router waits", "routers wait")} for it.`;
  if (current === connected) return connected === 1 ? "The one router has it." : `All ${plural(connected, "router")} have it.`;
  const asking = connected - current - behind;
  const parts = [`${current.toLocaleString("en")} of ${plural(connected, "router")} ${current === 1 ? "has" : "have"} it`];
  if (behind > 0) parts.push(`${plural(behind, "is", "are")} behind`);
  if (asking > 0) parts.push(`${plural(asking, "has", "have")} not asked yet`);
  return `${parts.join(", ")}.`;
}

export function showVerdict({ status, elapsed, isReachable }) {
  const { tone, title, sentence } = judge(status, elapsed, isReachable);
  byId("verdict").dataset.tone = tone;
  put("verdict-title", title);
  put("verdict-sentence", sentence);
  document.title = `${tone === "good" ? "" : "⚠ "}${title} · pyRTR`;
  if (put("announcer", title)) byId("announcer").textContent = `${title}. ${sentence}`;
}

/** Set a text if it differs, so that nobody is told again what has not changed. */
function put(id, text) {
  const element = byId(id);
  if (element.dataset.shown === text) return false;
  element.dataset.shown = text;
  element.textContent = text;
  return true;
}

export function showFindings(status) {
  const list = byId("findings");
  const reasons = status.reasons.filter((text) => !(status.held && text.startsWith("a load is held back"))); // told below
  const findings = [...reasons.map((text) => ["bad", text]), ...status.warnings.map((text) => ["warn", text])];
  list.hidden = findings.length === 0;
  list.replaceChildren(...findings.map(([tone, text]) => {
    const advice = ADVICE.find(([pattern]) => pattern.test(text))?.[1];
    return h("li", { "data-tone": tone }, h("span", { class: "finding" }, capital(text)), advice && h("span", { class: "advice" }, ...code(advice)));
  }));
}

export function showFacts(status, elapsed) {
  const sessions = Object.entries(status.sessions ?? {}).map(([version, id]) => h("span", { class: "pair" }, `${version} ${id}`));
  const next = status.next_look_s === null || status.next_look_s === undefined ? null : status.next_look_s - elapsed;
  const stale = status.stale_in_s === null || status.stale_in_s === undefined ? null : status.stale_in_s - elapsed;
  const facts = [
    ["Serial", status.serial === null || status.serial === undefined ? "none yet" : h("strong", {}, String(status.serial))],
    ["Since", status.published ? h("span", {}, moment(status.published), " UTC") : "–"],
    ["Sessions", sessions.length ? sessions : "–"],
    ["Next look", next === null ? "under way, or when told" : next <= 0 ? "now" : `in ${shortDuration(next)}`],
    ["Stale", stale === null ? "–" : stale <= 0 ? "now" : `in ${shortDuration(stale)}`],
  ];
  byId("facts").replaceChildren(...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function showHeld(held, elapsed) {
  byId("held").hidden = !held;
  if (!held) return;
  byId("held-body").replaceChildren(
    h("p", {}, "The source gave much less than before, so it was not handed to routers:"),
    h("ul", { class: "losses" }, held.reasons.map((reason) => h("li", {}, `It ${reason}.`))),
    h("div", { class: "options" },
      h("div", {}, h("h3", {}, "The loss is real"),
        h("p", {}, "Accept it on this machine, as the user that pyRTR runs as:"),
        h("pre", { tabindex: "0" }, h("code", {}, "pyrtr accept"))),
      h("div", {}, h("h3", {}, "It is not"),
        h("p", {}, "Mend the validator or the file. A good load ends the wait by itself, and routers never see the loss.")),
      h("div", {}, h("h3", {}, "You do nothing"),
        h("p", {}, `It is accepted in ${duration(held.accepted_in_s - elapsed)}. It has waited since ${clock(held.since)} UTC.`))),
  );
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** What stands between backticks as code. */
const code = (text) => text.split("`").map((part, place) => (place % 2 ? h("code", {}, part) : part));
