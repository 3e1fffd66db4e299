// Requests of the past, with search over what is shown.

import { field, h, refill, safe, table, time, words } from "../dom.js";
import { about } from "./request.js";
import { WORKFLOWS } from "../workflows.js";

const STATES = ["approved", "executed", "rejected", "canceled", "expired", "failed", "pending"];
const PAGE = 200;

/** The page. */
export async function history(app) {
  const options = (names) => [
    h("option", { value: "" }, "all"),
    ...names.map((name) => h("option", { value: name }, words(name))),
  ];
  const state = h("select", {}, options(STATES));
  const workflow = h("select", {}, options(WORKFLOWS));
  const search = h("input", { type: "search", name: "search", placeholder: "name, id, amount, address…" });
  const list = h("div", {});
  let found = [];
  let cursor;
  let stale = false;
  const draw = () => {
    stale = false;
    const wanted = search.value.trim().toLowerCase();
    const fits = (request) => !state.value || request.state === state.value;
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
          request.votes
            .filter(({ struck }) => !struck)
            .map(({ name, decision }) => h("span", {}, safe(name), decision === "approve" ? " ✓ " : " ✗ ")),
        ]),
        "No matching requests.",
      ),
      app.main,
    );
    more.hidden = cursor === undefined;
  };
  const load = async () => {
    const into = found;
    const params = { limit: PAGE };
    if (state.value) params.state = state.value;
    if (workflow.value) params.workflow = workflow.value;
    if (cursor) params.cursor = cursor;
    more.disabled = true;
    const page = await app.call("requests", params).finally(() => (more.disabled = false));
    // Something else was chosen meanwhile.
    if (into !== found) return;
    found.push(...page.requests);
    cursor = page.cursor;
    draw();
  };
  // What could not be loaded, because the connection was lost, is when that is back.
  const again = app.follow(() => false, async () => found.length === 0 && load());
  const forget = () => {
    found = [];
    cursor = undefined;
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
  // What was pending when it was listed may have ended since.
  const changed = ({ detail: { request } }) => {
    const at = found.findIndex(({ request_id }) => request_id === request.request_id);
    if (at === -1) return;
    found[at] = request;
    stale = true;
  };
  app.connection.addEventListener("request", changed, { signal: app.gone });
  // However many came at once. A snapshot tells of no end: all is listed again once the connection is live.
  const told = ({ detail: type }) => (type === "snapshot" ? forget() : stale && draw());
  app.connection.addEventListener("queue", told, { signal: app.gone });
  for (const select of [state, workflow]) select.addEventListener("change", anew);
  search.addEventListener("input", draw);
  app.main.append(
    h("h1", {}, "History"),
    h("div", { class: "bar" }, field("State", state), field("Workflow", workflow), field("Search the requests shown", search)),
    list,
    h("div", { class: "actions" }, more),
  );
  await again();
}
