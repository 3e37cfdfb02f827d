// The page: asks the program, listens to it, and has each part show what it knows.

import { all, get, listen } from "./api.js";
import { ChangeLog } from "./changes.js";
import { Charts } from "./charts.js";
import { byId } from "./dom.js";
import { shortDuration } from "./format.js";
import { showAnchors, showFigures, showProgram } from "./overview.js";
import { Routers, showKinds } from "./routers.js";
import { Search } from "./search.js";
import { showSources } from "./sources.js";
import { showFacts, showFindings, showHeld, showVerdict } from "./verdict.js";

const MAX_ROUTERS = 20000;
const MAX_GENERATIONS = 5000;
const PAGE = 1000;
const NEWEST = 20;
const FIELDS = "id,serial,from_serial,time,cause,why,counts,announced,withdrawn,replaced,has_changes";
// However much happens, each part is asked for at most so often; the routers less often, the more there are.
const PAUSE_MS = 1000;
const PAUSE_PER_ROUTER_MS = 5;

const charts = new Charts();
const log = new ChangeLog();
const routers = new Routers();
const search = new Search();
const state = { status: null, at: 0, isReachable: true, isLive: false, generations: [] };

const elapsed = () => (performance.now() - state.at) / 1000;

/** Calls a function soon, and not again before `pause()` is over, however often it is wanted. */
function paced(work, pause = () => PAUSE_MS) {
  let isRunning = false;
  let isWanted = false;
  return async function want() {
    isWanted = true;
    if (isRunning) return;
    isRunning = true;
    while (isWanted) {
      isWanted = false;
      await work().catch(() => {});
      await new Promise((resume) => { setTimeout(resume, pause()); });
    }
    isRunning = false;
  };
}

function showStatus(status) {
  Object.assign(state, { status, at: performance.now(), isReachable: true });
  showFindings(status);
  showFigures(status);
  showAnchors(status.vrps_by_ta);
  showKinds(status);
  tick();
}

/** What passes by itself. */
function tick() {
  if (state.status === null) return;
  showVerdict({ status: state.status, elapsed: elapsed(), isReachable: state.isReachable });
  showFacts(state.status, elapsed());
  showHeld(state.status.held, elapsed());
  showProgram(state.status, elapsed());
  showLink();
}

function showLink() {
  const link = byId("link");
  const [name, text] = !state.isReachable ? ["off", "Not connected"] : state.isLive ? ["live", "Live"] : ["waiting", `${shortDuration(elapsed())} old`];
  link.dataset.state = name;
  if (link.textContent !== text) link.textContent = text;
}

const lookAtStatus = paced(async () => {
  try {
    showStatus(await get("status"));
  } catch (error) {
    state.isReachable = false;
    if (state.status === null) {
      byId("verdict").dataset.tone = "bad";
      byId("verdict-title").textContent = "Out of reach";
      byId("verdict-sentence").textContent = `No word from pyRTR so far: ${error.message}. This page goes on trying.`;
    }
    tick();
  }
});

const lookAtRouters = paced(
  async () => routers.show(await all(`routers?limit=${PAGE}`, "routers", MAX_ROUTERS)),
  () => Math.max(PAUSE_MS, routers.routers.length * PAUSE_PER_ROUTER_MS),
);

const lookAtSources = paced(async () => showSources(await get("sources")));

const lookAtHistory = paced(async () => {
  const before = state.generations;
  const isFirst = before.length === 0;
  let found;
  try {
    found = await newGenerations();
  } catch (error) {
    if (isFirst) log.fail(error);
    return;
  }
  if (state.generations !== before) return; // forgotten meanwhile, and asked for again
  state.generations = [...found, ...before];
  charts.show(state.generations);
  if (isFirst && state.generations.length > 0) chooseRange(charts.isYoung ? 1 : 24);
  log.show(state.generations);
});

/** Those that came after the newest that is known. */
async function newGenerations() {
  const known = state.generations[0]?.id ?? 0;
  const found = [];
  let next = `generations?fields=${FIELDS}&limit=${known ? NEWEST : PAGE}`;
  while (next && found.length < MAX_GENERATIONS) {
    const page = await get(next);
    const unknown = page.items.filter(({ id }) => id > known);
    found.push(...unknown);
    next = unknown.length === page.items.length ? page.next : null;
  }
  return found;
}

function lookAtAll() {
  lookAtStatus();
  lookAtRouters();
  lookAtSources();
  lookAtHistory();
}

/** After a gap: it may even be another program by now. */
function beginAnew() {
  state.generations = [];
  lookAtAll();
}

listen({
  link: (isOpen) => {
    const isBack = isOpen && !state.isLive;
    state.isLive = isOpen;
    if (isBack) beginAnew();
    else if (!isOpen) lookAtStatus();
  },
  status: showStatus,
  generation: lookAtAll,
  router: () => { lookAtRouters(); lookAtStatus(); },
  routers: () => { lookAtRouters(); lookAtStatus(); },
  source: () => { lookAtSources(); lookAtStatus(); },
  lost: beginAnew,
  poll: lookAtAll,
});

function chooseRange(hours) {
  for (const button of byId("ranges").children) button.setAttribute("aria-pressed", String(Number(button.dataset.hours) === hours));
  charts.show(state.generations, hours);
}

byId("ranges").addEventListener("click", (event) => {
  const chosen = event.target.closest("button");
  if (chosen) chooseRange(Number(chosen.dataset.hours));
});

setInterval(tick, 1000);
lookAtAll();
search.follow();
