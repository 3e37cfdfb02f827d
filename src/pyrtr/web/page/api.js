// What is asked of the program, and what it tells by itself.

const TIMEOUT_MS = 20000;
const BUSY_RETRIES = 2;
const BUSY_PAUSE_MS = 1200;
// All is asked for from time to time all the same: a stream can be dead without a sign.
const POLL_MS = 15000;
const RECONNECT_MS = 3000;

/** What an endpoint answers; asked again where it is busy. Throws an Error that says in words why not. */
export async function get(path, retries = BUSY_RETRIES) {
  let response;
  try {
    response = await fetch(new URL(path, new URL("api/v1/", document.baseURI)), {
      headers: { accept: "application/json" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new Error("the program can't be reached");
  }
  if (response.status === 503 && retries > 0) {
    await new Promise((resume) => { setTimeout(resume, BUSY_PAUSE_MS); });
    return get(path, retries - 1);
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.detail ?? body.error ?? `the program answered with status ${response.status}`);
  return body;
}

/** All items of a list that comes in pages, up to `limit` of them. */
export async function all(path, name, limit) {
  const items = [];
  let next = path;
  while (next && items.length < limit) {
    const page = await get(next);
    items.push(...page[name]);
    next = page.next;
  }
  return items;
}

/**
 * What the program tells as it happens. Calls `on[event](data)`, `on.link(isOpen)` when the stream comes or goes, and
 * `on.poll()` from time to time.
 */
export function listen(on) {
  let source;
  const open = () => {
    source = new EventSource(new URL("api/v1/events", document.baseURI));
    source.addEventListener("open", () => on.link(true));
    source.addEventListener("error", () => {
      on.link(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(open, RECONNECT_MS); // refused: the browser gives up
    });
    for (const event of ["status", "generation", "router", "routers", "source", "lost"]) {
      source.addEventListener(event, (message) => on[event](JSON.parse(message.data)));
    }
  };
  open();
  setInterval(on.poll, POLL_MS);
}
