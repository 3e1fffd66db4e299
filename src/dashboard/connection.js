// The one socket of the page: calls and their answers, the approval queue and its position. It reconnects by
// itself and resumes where it was.

const PATIENCE_MS = 10_000;
const BACKOFF_MS = [250, 500, 1000, 2000, 5000];

/** A refusal as people read it: without the category that programs match, its field in brackets. */
export function spoken(refusal) {
  return refusal.replace(/^E\w+:/, "").replace(/^([^:]+):(\w+): /, "$1 ($2): ");
}

/** Posts JSON; the answer's, or an Error with the server's words. */
export async function post(path, body) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }).catch(() => null);
  if (answer?.ok) return answer.json();
  const wait = answer?.status === 429 && answer.headers.get("retry-after");
  if (wait) throw new Error(`Too many attempts: wait ${wait} s.`);
  const told = await answer?.json().catch(() => null);
  throw new Error(told?.error ? spoken(told.error[0]) : "The server does not answer.");
}

/**
 * Keeps a number that this language would round as the text in which it came: amounts have more digits than
 * its numbers, and the server takes both.
 */
export function exact(_, value, context) {
  const lost = typeof value === "number" && context?.source !== undefined && String(value) !== context.source;
  return lost ? context.source : value;
}

/**
 * Says `state` ("connecting", "live", "lost", "signed-out"), `request`, `queue` ("snapshot", "update") after a frame's
 * requests, and `status` as events.
 */
export class Connection extends EventTarget {
  #socket = null;
  #calls = new Map();
  #next = 1;
  #offset = null;
  #tries = 0;
  #heard = 0;
  #watch = null;
  state = "connecting";
  /** Who is signed in, as of the last time that it became live: another tab may have signed in somebody else. */
  me = null;
  /** Why the session ended, in the server's words. */
  ended = "";
  /** What the server last said of itself: `online`, `cancel_only` or `maintenance`. */
  system = "online";
  /** The channels that a place follows besides the queue. */
  #channels = new Set();
  /** Pending requests by id. */
  pending = new Map();

  /** Opens the socket with the session's cookie. */
  open() {
    this.#say("connecting");
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/v2`);
    this.#socket = socket;
    this.#heard = Date.now();
    // The server sends a heartbeat each second; a silent socket is a dead one.
    this.#watch = setInterval(() => Date.now() - this.#heard > PATIENCE_MS && this.#drop(socket), 1000);
    socket.onopen = () => this.#begin(socket);
    socket.onmessage = (event) => this.#read(JSON.parse(event.data, exact));
    socket.onclose = (event) => this.#closed(socket, event);
  }

  /** Ends the connection for good. */
  close(why = "") {
    this.ended = why;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    clearInterval(this.#watch);
    this.#say("signed-out");
  }

  /** Calls a method once it is live; its result, or an Error with the server's words. */
  call(method, params = {}) {
    if (this.state !== "live" || this.#socket.readyState !== WebSocket.OPEN)
      return Promise.reject(new Error("not connected; try again"));
    return this.#ask(method, params);
  }

  /**
   * Gives what calls `load`, and calls it when a request that `concerns` it changes, when the server tells of its
   * status, such as a freeze, and when a lost connection is back, until `gone`. What changes while it loads, however
   * much, costs one load more.
   */
  follow(concerns, load, gone) {
    let loading = null;
    let due = false;
    const loads = async () => {
      try {
        while (due && !gone.aborted) {
          due = false;
          await load();
        }
      } finally {
        loading = null;
      }
    };
    const again = () => {
      due = true;
      loading ??= loads();
      return loading;
    };
    // What fails because the connection is lost is loaded again when that is back.
    const told = (error) => {
      if (this.state === "live") throw error;
    };
    const live = () => this.state === "live" && again().catch(told);
    for (const name of ["state", "status"]) this.addEventListener(name, live, { signal: gone });
    this.addEventListener("request", ({ detail }) => concerns(detail.request) && live(), { signal: gone });
    return again;
  }

  /**
   * Follows one more channel until `gone`: `take` is given the items of its snapshot and of each change, also after a lost
   * connection is back.
   */
  listen(channel, take, gone) {
    if (gone.aborted) return;
    const say = (method) => this.state === "live" && this.#ask(method, { channel }).catch(() => {});
    this.#channels.add(channel);
    this.addEventListener(channel, ({ detail }) => take(detail), { signal: gone });
    gone.addEventListener("abort", () => {
      this.#channels.delete(channel);
      say("unsubscribe");
    });
    say("subscribe");
  }

  #ask(method, params) {
    const req_id = this.#next++;
    this.#socket.send(JSON.stringify({ method, params, req_id }));
    return new Promise((resolve, reject) => this.#calls.set(req_id, { resolve, reject }));
  }

  async #begin(socket) {
    const params = { channel: "approvals" };
    if (this.#offset !== null) params.from_offset = this.#offset;
    try {
      await this.#ask("subscribe", params);
      this.me = await this.#ask("member_info", {});
      this.#tries = 0;
      for (const channel of this.#channels) this.#ask("subscribe", { channel }).catch(() => {});
      this.#say("live");
    } catch {
      // What is refused, and not lost, may be the offset, as that of another journal: the next try takes the snapshot.
      if (socket.readyState === WebSocket.OPEN) this.#offset = null;
      socket.close();
    }
  }

  #read(frame) {
    this.#heard = Date.now();
    const waiting = this.#calls.get(frame.req_id);
    if (waiting) {
      this.#calls.delete(frame.req_id);
      if (frame.success) waiting.resolve(frame.result);
      else waiting.reject(new Error(spoken(frame.error)));
    } else if (frame.channel === "approvals") this.#take(frame);
    else if (this.#channels.has(frame.channel)) this.#dispatch(frame.channel, frame.data);
    else if (frame.channel === "status") {
      this.system = frame.data[0].system;
      this.#dispatch("status", frame.data[0]);
    }
  }

  #take(frame) {
    if (frame.type === "snapshot") this.pending.clear();
    for (const request of frame.data) {
      this.#offset = Math.max(this.#offset ?? 0, request.offset);
      const known = this.pending.has(request.request_id);
      if (request.state === "pending") this.pending.set(request.request_id, request);
      else this.pending.delete(request.request_id);
      const fresh = frame.type === "update" && request.state === "pending" && !known;
      this.#dispatch("request", { request, fresh });
    }
    this.#dispatch("queue", frame.type);
  }

  /** Gives a socket up at once: the browser waits a minute for the other side before it says that one is closed. */
  #drop(socket) {
    socket.onclose = null;
    socket.close();
    this.#closed(socket, {});
  }

  async #closed(socket, event) {
    for (const { reject } of this.#calls.values())
      reject(new Error("the connection was lost; check whether it took effect before you try again"));
    this.#calls.clear();
    clearInterval(this.#watch);
    if (this.#socket !== socket) return;
    if (event.code === 4005) return this.close(event.reason);
    this.#say("lost");
    // A refused upgrade tells no reason; a server that answers otherwise has refused the session.
    if (event.code === 1006) {
      const up = await fetch("/session", { signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => null);
      // It may have been signed out meanwhile.
      if (this.#socket !== socket) return;
      if (up?.status === 401) return this.close("session ended");
    }
    const wait = BACKOFF_MS[Math.min(this.#tries++, BACKOFF_MS.length - 1)];
    setTimeout(() => this.#socket === socket && this.open(), wait * (0.5 + Math.random()));
  }

  #say(state) {
    this.state = state;
    this.#dispatch("state", state);
  }

  #dispatch(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
