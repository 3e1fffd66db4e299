// The page's frame: who is signed in, where one is, how the connection does. Each place is a module in pages/.

import { Connection } from "./connection.js";
import { closing, h, left, plain, safe, words } from "./dom.js";
import { access } from "./pages/access.js";
import { addresses } from "./pages/addresses.js";
import { audit } from "./pages/audit.js";
import { freezeButton, freezeWords } from "./pages/freeze.js";
import { history } from "./pages/history.js";
import { invitation } from "./pages/invitation.js";
import { members } from "./pages/members.js";
import { policies } from "./pages/policies.js";
import { queue } from "./pages/queue.js";
import { request } from "./pages/request.js";
import { signIn } from "./pages/sign_in.js";
import { withdraw } from "./pages/withdraw.js";

const PLACES = [
  { name: "queue", title: "Queue", page: queue },
  { name: "history", title: "History", page: history },
  { name: "withdraw", title: "Withdraw", page: withdraw, workflow: "initiate_withdrawal" },
  { name: "service-users", title: "Service Users", page: access, workflow: "manage_access" },
  { name: "members", title: "Members", page: members, workflow: "manage_access" },
  { name: "policies", title: "Policies", page: policies, workflow: "manage_policies" },
  { name: "addresses", title: "Addresses", page: addresses, workflow: "manage_addresses" },
  { name: "audit", title: "Audit", page: audit, workflow: "manage_access" },
];
/** Messages shown at once: so many of what went wrong, and so many others. */
const TOASTS = 3;
const STATES = { connecting: "Connecting…", live: "Live", lost: "Connection lost, trying again…" };
/** What "Live" leaves out. */
const SYSTEMS = {
  cancel_only: "Live; the venue is halted: no new requests, no approvals",
  maintenance: "Live; the server is read-only at the moment",
};

const root = document.getElementById("app");

/** What every page is given, as it is at any time. */
const app = {
  connection: null,
  me: null,
  call: (method, params) => app.connection.call(method, params),
  // Who is not verified may look on (rule 14).
  may: (workflow, permission) =>
    (permission === "view" || app.me.member.kyc === "verified") &&
    (app.me.permissions[workflow]?.includes(permission) ?? false),
  go: (place) => (location.hash = `#/${place}`),
  said: (text, kind = "good") => say(text, kind),
};

let main = null;
let title = "";
let leave = null;
let failed = false;
let freezeLine = null;

/** Says something in passing. What went wrong stays until it is dismissed, or too much else has gone wrong. */
function say(text, kind) {
  const toasts = document.getElementById("toasts");
  if (!toasts) return;
  const bad = kind === "bad";
  const line = h("div", { class: `toast ${kind}`, role: bad ? "alert" : null }, safe(text));
  const dismiss = () => {
    line.remove();
    main?.focus({ preventScroll: true });
  };
  if (bad) line.append(closing(dismiss));
  else setTimeout(() => line.remove(), 6_000);
  const others = [...toasts.querySelectorAll(bad ? ".bad" : ":scope > :not(.bad)")];
  const again = others.find(({ textContent }) => textContent === line.textContent);
  if (again) again.remove();
  else if (others.length >= TOASTS) others[0].remove();
  toasts.append(line);
  return line;
}

async function start() {
  const [place, token] = where();
  if (place === "invitation") return root.replaceChildren(invitation(token, joined));
  const session = await fetch("/session").catch(() => null);
  if (session === null) return root.replaceChildren(unreachable());
  document.addEventListener("visibilitychange", resume);
  addEventListener("focus", resume);
  if (session.status !== 200) return toSignIn();
  connect();
}

/** Goes on with the session that another tab has begun meanwhile, once somebody looks at the form here. */
async function resume() {
  if (document.visibilityState !== "visible" || !document.getElementById("sign-in")) return;
  const session = await fetch("/session").catch(() => null);
  if (session?.ok) connect();
}

/** Goes on to sign in who has just set up an invitation, whoever may be signed in. */
function joined() {
  globalThis.history.replaceState(null, "", "#/queue");
  toSignIn("Password and second factor are set. Sign in with them.");
}

function toSignIn(why) {
  const form = signIn(start, why);
  root.replaceChildren(form);
  form.querySelector("input").focus();
}

function unreachable() {
  const onclick = () => {
    again.disabled = true;
    start();
  };
  const again = h("button", { onclick }, "Try again");
  return h(
    "section",
    { class: "card narrow" },
    h("h1", {}, "Countersign"),
    h("p", {}, "The server does not answer."),
    again,
  );
}

function connect() {
  // Two would say everything twice. One that is lost comes back by itself.
  if (app.connection && app.connection.state !== "signed-out") return;
  const connection = new Connection();
  app.connection = connection;
  connection.addEventListener("state", ({ detail }) => changed(detail));
  connection.addEventListener("queue", badge);
  connection.addEventListener("status", ({ detail }) => {
    standing();
    if (detail.frozen && connection.state === "live") frozen();
    // What was shown before may be too much or too little now.
    if (detail.rights) reload();
  });
  connection.addEventListener("request", ({ detail: { fresh, request } }) => {
    if (fresh && request.initiator.id !== app.me?.member.id) arrived(request);
  });
  connection.open();
}

/** Says how the connection does, and the server. */
function standing() {
  const { state, system } = app.connection;
  const line = document.getElementById("connection");
  if (!line) return;
  line.textContent = (state === "live" && SYSTEMS[system]) || STATES[state];
  line.dataset.state = state;
  line.dataset.system = system;
}

function changed(state) {
  if (state === "signed-out") return signedOut();
  standing();
  if (state !== "live") return;
  const before = app.me;
  app.me = app.connection.me;
  if (before === null) {
    frame();
    show();
  } else if (before.member.id !== app.me.member.id) {
    // Somebody else has signed in: what stands here is neither theirs to see nor to send.
    clear();
    location.reload();
  } else if (rights(before) !== rights(app.me)) reload();
  else {
    if (JSON.stringify(before.frozen) !== JSON.stringify(app.me.frozen)) freezing();
    if (failed) show();
  }
}

/** What a Member is told of themselves, to compare. A freeze changes no page, and no form need go for it. */
function rights({ frozen, ...rest }) {
  return JSON.stringify(rest);
}

/** Draws everything anew, but not over what is shown once. */
function reload() {
  const once = document.querySelector("dialog.once");
  if (once) once.addEventListener("close", () => location.reload());
  else location.reload();
}

/** Takes away all that stands here. */
function clear() {
  leave?.abort();
  for (const dialog of document.querySelectorAll("dialog")) dialog.remove();
  root.replaceChildren();
}

function signedOut() {
  app.me = null;
  clear();
  const { ended } = app.connection;
  document.title = ended ? "Signed out – Countersign" : "Countersign";
  if (ended) notify("session", "signed out", "Sign in again to be told of requests.", "queue");
  toSignIn(ended && `${ended.replace(/^session/, "Your session has")}.`);
}

function badge() {
  if (!app.me) return;
  const count = app.connection.pending.size;
  document.title = `${count > 0 ? `(${count}) ` : ""}${title} – Countersign`;
  const shown = document.getElementById("waiting");
  if (shown) shown.textContent = count > 0 ? String(count) : "";
}

function arrived(request) {
  const asked = `${words(request.action)} by ${request.initiator.name}`;
  say(`New request: ${asked}`, "news");
  const { size } = app.connection.pending;
  if (size > 1) notify("requests", `${size} requests are waiting`, asked, "queue");
  else notify("requests", "a request is waiting", asked, `request/${request.request_id}`);
}

/** Says something on the desktop, if the Member wants that, in the place of what was said there under the same tag. */
function notify(tag, what, text, place) {
  if (globalThis.Notification?.permission !== "granted") return;
  const note = new Notification(`Countersign: ${what}`, { body: plain(text), tag, renotify: true });
  note.onclick = () => {
    focus();
    app.go(place);
  };
}

async function frozen() {
  app.me = await app.call("member_info");
  freezing();
}

/** Shows whether anything is frozen, and says what others have frozen or let go again. */
async function freezing() {
  const before = document.getElementById("freeze");
  const held = before === document.activeElement;
  const button = freezeButton(app);
  before?.replaceWith(button);
  if (held) button.focus({ preventScroll: true });
  const { frozen, member } = app.me;
  freezeLine?.remove();
  if (!frozen) return say("The freeze has ended.", "news");
  if (frozen.member_id === member.id) return;
  const text = await freezeWords(app, frozen);
  // It may have ended meanwhile.
  if (app.me?.frozen !== frozen) return;
  freezeLine = say(text, "bad");
  notify("freeze", "a freeze", text, "queue");
}

function frame() {
  const nav = PLACES.filter(({ workflow }) => !workflow || app.may(workflow, "view")).map(({ name, title }) =>
    h(
      "a",
      { href: `#/${name}`, "data-place": name },
      title,
      // Apart, or it is read as one word.
      name === "queue" && [" ", h("span", { id: "waiting", class: "count" })],
    ),
  );
  main = h("main", { id: "main", tabindex: "-1" });
  root.replaceChildren(
    h(
      "a",
      {
        class: "skip",
        href: "#main",
        onclick: (event) => {
          event.preventDefault();
          main.focus();
        },
      },
      "Skip to the page",
    ),
    h(
      "header",
      {},
      h(
        "div",
        { class: "who" },
        h("strong", {}, "Countersign"),
        safe(app.me.organization),
        safe(app.me.member.name),
        app.me.member.kyc !== "verified" &&
          h("span", { class: "tag warn" }, "KYC not verified: you may view, but not act"),
      ),
      h(
        "div",
        { class: "tools" },
        h("output", { id: "connection", "aria-live": "polite" }),
        bell(),
        freezeButton(app),
        h("button", { onclick: signOut }, "Sign out"),
      ),
    ),
    h("nav", { "aria-label": "Places" }, nav),
    main,
    h("div", { id: "toasts", "aria-live": "polite" }),
  );
  standing();
}

function bell() {
  if (!globalThis.Notification || Notification.permission !== "default") return null;
  const button = h(
    "button",
    {
      onclick: async () => {
        await Notification.requestPermission();
        button.remove();
      },
    },
    "Notify me",
  );
  return button;
}

async function signOut() {
  const answer = await fetch("/session", { method: "DELETE" }).catch(() => null);
  if (answer?.ok || answer?.status === 401) app.connection.close();
  else say("You are still signed in: the server did not end the session. Try again.", "bad");
}

function where() {
  const [place, ...rest] = location.hash.replace(/^#\//, "").split("/");
  return [place || "queue", rest.join("/")];
}

function show() {
  if (!app.me) return;
  const [place, argument] = where();
  const found =
    place === "request"
      ? { page: request, name: "queue", title: "Request" }
      : (PLACES.find(({ name }) => name === place) ?? PLACES[0]);
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.place !== found.name) {
      link.removeAttribute("aria-current");
      continue;
    }
    link.setAttribute("aria-current", "page");
    link.scrollIntoView({ block: "nearest", inline: "center" });
  }
  title = found.title;
  badge();
  leave?.abort();
  leave = new AbortController();
  // A new element for each place: what a former one still waits for is drawn nowhere.
  const fresh = h("main", { id: "main", tabindex: "-1" });
  main.replaceWith(fresh);
  main = fresh;
  draw(found.page, argument, leave.signal);
}

async function draw(page, argument, gone) {
  failed = false;
  const place = main;
  try {
    const follow = (concerns, load) => app.connection.follow(concerns, load, gone);
    await page({ __proto__: app, argument, main, gone, follow });
  } catch (error) {
    if (gone.aborted) return;
    failed = true;
    leave.abort();
    place.append(
      h("p", { class: "problem", role: "alert" }, error.message),
      h("button", { onclick: show }, "Try again"),
    );
  }
}

addEventListener("hashchange", ({ oldURL }) => {
  // An invitation has a page of its own, whoever is signed in.
  if (where()[0] === "invitation" || oldURL.includes("#/invitation/")) return location.reload();
  show();
  main?.focus({ preventScroll: true });
});
addEventListener("unhandledrejection", ({ reason }) => say(reason.message, "bad"));
setInterval(() => {
  for (const span of document.querySelectorAll("[data-until]")) span.textContent = left(span.dataset.until);
}, 1000);
start();
