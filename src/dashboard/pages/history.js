// Requests of the past, with search over what is shown.

import { field, h, refill, safe, table, time, words } from "../dom.js";
import { about, ENDED } from "./request.js";
import { WORKFLOWS } from "../workflows.js";

const STATES = ["approved", "executed", "rejected", "canceled", "expired", "failed", "pending"];
/** Who ended these is among the votes. */
const VOTED = ["approved", "rejected"];
const PAGE = 200;
/** So many the server gives at once. */
const PAGE_MAX = 500;

/** The next page that has requests, or the last: the server looks at so many for each, and may find none among them. */
async function sought(app, params) {
  const page = await app.call("requests", params);
  const done = page.requests.length > 0 || !page.cursor || app.gone.aborted;
  return done ? page : sought(app, { ...params, cursor: page.cursor });
}

/** The page. What is looked for is kept in its address, so that it is there again after Back. */
export async function history(app) {
  const kept = new URLSearchParams(app.argument);
  const options = (names) => [
    h("option", { value: "" }, "all"),
    ...names.map((name) => h("option", { value: name }, words(name))),
  ];
  const state = h("select", {}, options(STATES));
  const workflow = h("select", {}, options(WORKFLOWS));
  const placeholder = "name, id, amount, address…";
  const search = h("input", { type: "search", name: "search", placeholder, value: kept.get("search") ?? "" });
  state.value = kept.get("state") ?? "";
  workflow.value = kept.get("workflow") ?? "";
  const first = Math.min(Math.max(PAGE, Number(kept.get("count")) || 0), PAGE_MAX);
  const list = h("div", {});
  let found = [];
  // Where the next page begins; `undefined` where there is none, `null` before the first one is there.
  let cursor = null;
  let stale = false;
  const keep = () => {
    const asked = { state: state.value, workflow: workflow.value, search: search.value, count: found.length };
    globalThis.history.replaceState(null, "", `#/history/${new URLSearchParams(asked)}`);
  };
  const fits = (request) =>
    (!state.value || request.state === state.value) && (!workflow.value || request.workflow === workflow.value);
  const draw = () => {
    stale = false;
    const wanted = search.value.trim().toLowerCase();
    const rows = found.filter((request) => fits(request) && JSON.stringify(request).toLowerCase().includes(wanted));
    refill(
      list,
      table(
        ["When", "What", "Asked by", "About", "State", "Decided by"],
        rows.map((request) => [
          time(request.created_at),
          h("a", { href: `#/request/${request.request_id}` }, words(request.action)),
          safe(request.initiator.name),
          about(request.payload),
          h("span", { class: `tag ${request.state}` }, request.state),
          [
            ...request.votes
              .filter(({ struck }) => !struck)
              .map(({ name, decision }) => h("span", {}, safe(name), decision === "approve" ? " ✓ " : " ✗ ")),
            request.ended_by &&
              !VOTED.includes(request.state) &&
              h("span", {}, `${ENDED[request.state]} `, safe(request.ended_by.name)),
          ].filter(Boolean),
        ]),
        "No matching requests.",
      ),
      app.main,
    );
    more.hidden = !cursor;
  };
  const load = async () => {
    const into = found;
    const params = { limit: cursor ? PAGE : first };
    if (state.value) params.state = state.value;
    if (workflow.value) params.workflow = workflow.value;
    if (cursor) params.cursor = cursor;
    more.disabled = true;
    const page = await sought(app, params).finally(() => (more.disabled = false));
    // Something else was chosen meanwhile, or another place.
    if (into !== found || app.gone.aborted) return;
    found.push(...page.requests);
    cursor = page.cursor;
    keep();
    draw();
  };
  // What could not be loaded, because the connection was lost, is when that is back.
  const again = app.follow(() => false, async () => cursor === null && load());
  const forget = () => {
    found = [];
    cursor = null;
    stale = false;
    more.hidden = true;
  };
  const anew = () => {
    forget();
    // Nothing is shown that was not chosen.
    list.replaceChildren();
    return again();
  };
  const more = h("button", { onclick: load }, "Older requests");
  // What was pending when it was listed may have ended since, and others may have come.
  const changed = ({ detail: { request } }) => {
    const at = found.findIndex(({ request_id }) => request_id === request.request_id);
    const listed = cursor === undefined || (cursor && request.created_at > found.at(-1).created_at);
    if (at !== -1) found[at] = request;
    else if (listed && fits(request)) found.push(request);
    else return;
    found.sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
    stale = true;
  };
  app.connection.addEventListener("request", changed, { signal: app.gone });
  // However many came at once. A snapshot tells of no end: all is listed again once the connection is live.
  const told = ({ detail: type }) => (type === "snapshot" ? forget() : stale && draw());
  app.connection.addEventListener("queue", told, { signal: app.gone });
  for (const select of [state, workflow]) select.addEventListener("change", anew);
  search.addEventListener("input", () => {
    keep();
    draw();
  });
  app.main.append(
    h("h1", {}, "History"),
    h("div", { class: "bar" }, field("State", state), field("Workflow", workflow), field("Search the requests shown", search)),
    list,
    h("div", { class: "actions" }, more),
  );
  await again();
}
