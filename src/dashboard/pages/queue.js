// The pending queue, live. One code may carry many votes.

import { codeInput, form } from "../ask.js";
import { spoken } from "../connection.js";
import { digest, verifies } from "../digest.js";
import { field, grid, h, row, safe, time, until, words } from "../dom.js";
import { about, payloadFacts, stopped } from "./request.js";

/** Votes that one code may carry. */
const VOTES_MAX = 50;
const COLUMNS = ["Select", "What", "Asked by", "About", "Votes", "Asked", "Expires"];

/** How many votes of one kind there are. */
const count = (request, decision) => request.votes.filter((one) => one.decision === decision && !one.struck).length;

/** Whether a Member may vote at all; the policy of withdrawals judges what loosens it while Manage Policies has none. */
function mayVote(app, { workflow, payload }) {
  const loosens = workflow === "manage_policies" && payload.workflow === "initiate_withdrawal";
  return app.may(workflow, "approve") || (loosens && app.may(payload.workflow, "approve"));
}

/** What stands in the place of the choice where there is none, or `null`. */
function settled(app, request) {
  const me = app.me.member;
  if (request.initiator.id === me.id) return "yours";
  const own = request.votes.find((vote) => vote.member_id === me.id && !vote.struck);
  if (own?.decision === "reject") return "you rejected";
  // Under a policy that became looser a request may have enough, and waits for one that is given anew.
  if (own && count(request, "approve") < (request.policy?.quorum ?? Infinity)) return "you approved";
  return mayVote(app, request) && verifies() ? null : "–";
}

/** How the votes stand. */
function tally(request) {
  const against = count(request, "reject");
  const told = `${count(request, "approve")} of ${request.policy?.quorum ?? "–"}`;
  return against > 0 ? `${told}, ${against} against` : told;
}

/** A request's row. Whoever selects it sees in it all that the vote is about; `toggled(chosen)` is told. */
function line(app, request, chosen, toggled) {
  const [what, subject] = ["what", "about"].map((name) => `${name}-${request.request_id}`);
  const full = h("div", { class: "full", hidden: !chosen }, payloadFacts(request.payload));
  const choose = (yes) => {
    full.hidden = !yes;
    toggled(yes);
  };
  const onchange = async ({ target }) => {
    choose(target.checked);
    if (!target.checked) return;
    // A pushed request does not say what its reader may do.
    const { request_id } = request;
    const told = await app.call("request_info", { request_id }).catch((error) => error);
    // The row may have been drawn anew, or the choice undone.
    const box = document.querySelector(`[data-select="${request_id}"]`);
    if (told.can?.includes("approve") || !box?.checked) return;
    box.checked = false;
    box.dispatchEvent(new Event("change"));
    const why = stopped(app, request) ?? "It is not yours to vote on.";
    app.said(told.message ?? `You cannot approve ${request_id} now: ${why}`, "bad");
  };
  return row(COLUMNS, [
    settled(app, request) ??
      h("input", {
        type: "checkbox",
        "data-select": request.request_id,
        "aria-labelledby": `${what} ${subject}`,
        checked: chosen,
        onchange,
      }),
    h(
      "a",
      { href: `#/request/${request.request_id}`, "data-request": request.request_id, id: what },
      words(request.action),
    ),
    safe(request.initiator.name),
    [h("span", { id: subject }, about(request.payload)), full],
    tally(request),
    time(request.created_at),
    until(request.expires_at),
  ]);
}

/** The page. */
export function queue(app) {
  // The requests to vote for and their rows, both as they were shown.
  const chosen = new Map();
  const rows = new Map();
  const body = h("tbody", {});
  const list = grid(COLUMNS, body);
  const empty = h("p", { class: "empty" }, "No request is waiting for a decision.");
  const otp = codeInput();
  const approve = async () => {
    const over = chosen.size - VOTES_MAX;
    if (over > 0) throw new Error(`One code approves at most ${VOTES_MAX} requests: unselect ${over}.`);
    const requests = [];
    for (const [id, request] of chosen) {
      const own = await digest(app.me.organization, request);
      if (own !== request.digest)
        throw new Error(`Request ${id} does not match its digest, or cannot be verified here. Nothing was sent.`);
      requests.push({ request_id: id, digest: own });
    }
    const result = await app.call("approve", { requests, otp: otp.value });
    // A vote that is taken may be the last one needed, and the request fail all the same.
    const failed = result.requests.filter(({ success, request }) => !success || request.state === "failed");
    const why = ({ error, request }) => (error ? spoken(error) : request.reason);
    if (failed.length > 0) app.said(failed.map((one) => `${one.request_id}: ${why(one)}`).join("; "), "bad");
    const taken = requests.length - failed.length;
    const done = result.requests.filter(({ request }) => request?.state === "approved").length;
    if (taken > 0) app.said(`Votes recorded: ${taken}. Requests approved by them: ${done}.`);
    otp.value = "";
  };
  const button = h("button", { class: "primary" });
  const vote = form({ class: "bar vote" }, button, approve, field("One-time code", otp));
  const offer = () => {
    if (chosen.size === 0 && vote.contains(document.activeElement)) app.main.focus({ preventScroll: true });
    vote.hidden = chosen.size === 0;
    button.textContent = `Approve ${chosen.size} selected`;
  };

  const put = (request) => {
    const id = request.request_id;
    const before = rows.get(id);
    if (before?.request === request) return;
    if (chosen.has(id)) {
      const changed = before.request.digest !== request.digest;
      if (changed) {
        app.said(`The terms of ${id} have changed. Look at it again.`, "bad");
        otp.value = "";
      }
      if (changed || settled(app, request)) chosen.delete(id);
    }
    const toggled = (yes) => {
      if (yes) chosen.set(id, request);
      else chosen.delete(id);
      offer();
    };
    const element = line(app, request, chosen.has(id), toggled);
    const focused = before?.element.contains(document.activeElement) && document.activeElement.tagName;
    if (before) before.element.replaceWith(element);
    else body.append(element);
    if (focused) (element.querySelector(focused) ?? element.querySelector("a")).focus({ preventScroll: true });
    rows.set(id, { request, element });
  };

  // What has not changed stays where it is, under the pointer and the keyboard; what is new comes last.
  const draw = () => {
    const { pending } = app.connection;
    const held = document.activeElement;
    // The row that gets the keyboard of one that goes; `null` where there is none.
    let next;
    for (const [id, { element }] of rows) {
      if (pending.has(id)) continue;
      if (element.contains(held) || element === next) next = element.nextElementSibling;
      element.remove();
      rows.delete(id);
      chosen.delete(id);
    }
    if (next !== undefined)
      (next?.querySelector(held.tagName) ?? next?.querySelector("a") ?? app.main).focus({ preventScroll: true });
    const oldest = (a, b) => (a.created_at < b.created_at ? -1 : 1);
    for (const request of [...pending.values()].sort(oldest)) put(request);
    list.hidden = rows.size === 0;
    empty.hidden = rows.size > 0;
    offer();
  };
  app.connection.addEventListener("queue", draw, { signal: app.gone });
  app.main.append(h("h1", {}, "Queue"), list, empty, vote);
  draw();
}
