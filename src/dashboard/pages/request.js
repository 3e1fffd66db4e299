// One request in full: who, what, how much, where to, which policy, who voted. The digest is computed here from
// what is shown and compared with the server's; a vote names it.

import { codeInput, form, once, unclaimed } from "../ask.js";
import { spoken } from "../connection.js";
import { digest } from "../digest.js";
import { facts, field, h, safe, table, textInput, time, until, words } from "../dom.js";
import { scopeName } from "../scopes.js";

/** What a request is about, for lists: how much and where to, or whom or what. */
export function about(payload) {
  if (payload.amount)
    return [
      h("span", { class: "amount" }, `${payload.amount} `, safe(payload.asset)),
      " to ",
      safe(payload.key),
    ];
  const subject = payload.name ?? payload.key ?? (payload.workflow ? words(payload.workflow) : payload.scope);
  return subject ? safe(subject) : null;
}

// What an empty value lets in, where it is everything.
const UNLIMITED = { ip_allowlist: "any address", expires_at: "never" };

/** A value of a payload, by its name. */
function shown(name, value) {
  const empty = UNLIMITED[name] ?? "none";
  if (value === null || value === undefined) return empty;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) {
    if (value.length === 0) return empty;
    return h(
      "ul",
      { class: "plain" },
      value.map((one) => h("li", {}, shown(name, one))),
    );
  }
  if (typeof value === "object")
    return facts(Object.entries(value).map(([name, inner]) => [words(name), shown(name, inner)]));
  return safe(value);
}

/** What the Member who ended a request did, by the state that it came to; what failed is as it was tried. */
export const ENDED = {
  approved: "Deciding vote by",
  executed: "Executed by",
  rejected: "Deciding vote by",
  canceled: "Canceled by",
  failed: "Tried by",
};

/** Why nobody can approve a request now, whoever they are; `null` where somebody may. */
export function stopped(app, { workflow }) {
  if (app.connection.system === "cancel_only") return "The venue is halted: nothing is approved until it resumes.";
  if (app.me.frozen && workflow === "initiate_withdrawal")
    return "Withdrawals are frozen: none is approved until the freeze has ended.";
  return null;
}

// What is said once the server has taken a decision.
const DONE = {
  approve: "Your vote is recorded.",
  reject: "Your vote is recorded.",
  execute: "It took effect.",
  cancel_request: "The request is canceled.",
};

// What a treasurer looks at first.
const FIRST = ["name", "amount", "asset", "fee", "key", "address", "tag", "network", "method", "email"];

function place(name) {
  const at = FIRST.indexOf(name);
  return at === -1 ? FIRST.length : at;
}

/** What a member of a payload is called; the one named `key` is no API key. */
function term(name) {
  return name === "key" ? "address name" : words(name);
}

/** What is asked for. */
export function payloadFacts(payload) {
  const { changes, from, to, ...rest } = payload;
  const value = (name, inner) => {
    if (name === "amount") return h("span", { class: "figure" }, safe(inner));
    if (name === "scopes") return shown(name, inner.map(scopeName));
    return name === "workflow" ? words(inner) : shown(name, inner);
  };
  const members = Object.entries(rest).sort(([a], [b]) => place(a) - place(b));
  const parts = [facts(members.map(([name, inner]) => [term(name), value(name, inner)]))];
  if (changes) {
    const rows = changes.map((change) => [
      words(change.field),
      ...[change.from, change.to].map((side) => value(change.field, side)),
    ]);
    parts.push(h("h3", {}, "What changes"), table(["Field", "From", "To"], rows, "Nothing"));
  }
  if (from !== undefined || to !== undefined) {
    const names = [...new Set([...Object.keys(from ?? {}), ...Object.keys(to ?? {})])];
    const text = (side, name) => (side === null ? "no policy" : shown(name, side[name]));
    const rows = names.map((name) => {
      const differs = JSON.stringify(from?.[name]) !== JSON.stringify(to?.[name]);
      return [words(name), text(from, name), differs ? h("strong", {}, text(to, name)) : text(to, name)];
    });
    parts.push(h("h3", {}, "Before and after"), table(["Term", "From", "To"], rows, "Nothing"));
  }
  return parts;
}

/**
 * The page. What may be in use is drawn anew only if what it would decide has changed: the code is empty then, the comment
 * stays.
 */
export function request(app) {
  const id = app.argument;
  const [asked, votes, head, decision] = Array.from({ length: 4 }, () => h("div", {}));
  const page = h(
    "div",
    { class: "columns" },
    h("div", {}, asked, h("section", { class: "card" }, h("h2", {}, "Votes"), votes)),
    h("div", {}, h("section", { class: "card" }, head), decision),
  );
  const comment = textInput(500, { name: "comment" });
  let drawn = null;
  // As it was loaded last, and the withdrawal that it asks for.
  let latest, withdrawal;
  const stand = () => head.replaceChildren(standing(latest, withdrawal));
  const paid = (all) => {
    withdrawal = all.findLast((of) => of.request_id === id) ?? withdrawal ?? null;
    stand();
  };
  const load = async () => {
    let found, own, secret;
    try {
      found = await app.call("request_info", { request_id: id });
      own = await digest(app.me.organization, found);
      secret = await unclaimed(app, found);
    } catch (error) {
      if (drawn) return app.connection.state === "live" && app.said(error.message, "bad");
      return app.main.replaceChildren(h("h1", {}, "Request"), h("p", { class: "problem" }, error.message));
    }
    latest = found;
    stand();
    votes.replaceChildren(cast(found.votes));
    const now = { terms: [found.digest, own], state: found.state, rest: [found.can, secret, stopped(app, found)] };
    if (JSON.stringify(now) === JSON.stringify(drawn)) return;
    if (drawn && JSON.stringify(now.terms) !== JSON.stringify(drawn.terms))
      app.said("The terms of this request have changed. Look at it again.", "bad");
    if (drawn && found.state !== drawn.state && found.ended_by?.member_id !== app.me.member.id)
      app.said(`The request is now ${found.state}.`, found.state === "failed" ? "bad" : "good");
    if (!drawn && found.workflow === "initiate_withdrawal" && app.may(found.workflow, "view"))
      app.connection.listen("withdrawals", paid, app.gone);
    if (!drawn)
      app.main.replaceChildren(
        h("h1", {}, words(found.action)),
        h("p", { class: "muted" }, found.request_id),
        page,
      );
    drawn = now;
    asked.replaceChildren(
      h(
        "section",
        { class: "card", id: "payload" },
        h("h2", {}, "What is requested"),
        payloadFacts(found.payload),
        checked(own, found.digest),
      ),
    );
    const held = decision.contains(document.activeElement) && document.activeElement;
    decision.replaceChildren(
      ...[decide(app, found, own === found.digest, comment, again), secret && claim(app, found)].filter(Boolean),
    );
    if (held) (held === comment && comment.isConnected ? comment : app.main).focus({ preventScroll: true });
  };
  // A change of who may do what also changes who could approve it.
  const again = app.follow((item) => item.request_id === id || item.workflow === "manage_access", load);
  return again();
}

/** Whether what is seen is what the digest says. */
function checked(own, told) {
  if (own === null)
    return h(
      "p",
      { class: "digest unknown" },
      "This browser cannot compute the digest here: open the page over HTTPS. Approving is off.",
    );
  if (own === told)
    return h(
      "p",
      { class: "digest good" },
      "The digest of what you see matches the server’s: ",
      h("code", {}, own),
    );
  return h(
    "p",
    { class: "digest bad", role: "alert" },
    "What you see does not match the digest. Do not approve. Computed ",
    h("code", {}, own),
    ", told ",
    h("code", {}, told),
  );
}

// Where a payment is that custody has, by the status of its withdrawal.
const PAYMENT = { Pending: "pending at custody", Success: "settled", Failure: "failed" };

/** What has become of the payment of a withdrawal; `null` where custody never had it. */
function payment({ refid, status, "status-prop": how, txid, info }) {
  if (status === "Initial" || how === "canceled") return null;
  return [`${PAYMENT[status]} (${refid})`, txid && [", transaction ", safe(txid)], info && [": ", safe(info)]];
}

/** What is said of a payment that is not among those that the channel begins with: the open ones and the last 50. */
function unlisted({ state }) {
  return ["approved", "executed"].includes(state) ? "ended; only the last 50 are shown here" : null;
}

/** Who could still vote for a request, and whether that is enough. */
function voters({ eligible, policy, votes }) {
  const approvals = votes.filter((vote) => vote.decision === "approve" && !vote.struck).length;
  const few = approvals + eligible.length < policy.quorum;
  return [
    eligible.length > 0 ? eligible.map(({ name }) => h("span", { class: "tag" }, safe(name))) : "nobody",
    few && h("p", { class: "problem" }, "These are too few for its policy: as things stand, votes cannot complete it."),
  ];
}

/** What votes a request needs, and why. */
function needed({ policy }) {
  if (!policy) return "none governs it";
  const votes = `${policy.quorum} approval${policy.quorum === 1 ? "" : "s"} needed`;
  // The end of a freeze takes a vote even where no policy governs (rule 27).
  if (policy.version === 0) return `none governs it; ${votes} all the same`;
  return `version ${policy.version}, ${votes}${policy.rule ? `, by rule ${policy.rule}` : ""}`;
}

/** Where a request stands. */
function standing(found, withdrawal) {
  return facts([
    ["State", h("span", { class: `tag ${found.state}`, id: "state" }, found.state)],
    ["Asked by", [safe(found.initiator.name), ` (${words(found.initiator.type)} ${found.initiator.id})`]],
    ["Workflow", words(found.workflow)],
    ["Asked", time(found.created_at)],
    ["Expires", found.state === "pending" ? [time(found.expires_at), ", ", until(found.expires_at)] : null],
    ["Policy", needed(found)],
    ["Could approve", found.eligible ? voters(found) : null],
    [ENDED[found.state], found.ended_by ? safe(found.ended_by.name) : null],
    ["Payment", withdrawal ? payment(withdrawal) : withdrawal === null && unlisted(found)],
    [found.state === "executed" ? "Said with Execute" : "Reason", found.reason ? safe(found.reason) : null],
  ]);
}

/** The votes of a request. */
function cast(votes) {
  const rows = votes.map((vote) => [
    safe(vote.name),
    vote.struck
      ? [h("s", { title: "the Member lost the right to vote" }, vote.decision), " struck"]
      : vote.decision,
    time(vote.at),
    vote.comment ? safe(vote.comment) : "",
  ]);
  return table(["Member", "Decision", "When", "Comment"], rows, "Nobody has voted.");
}

/** Why a Member has no say in what others may still decide. */
function excluded(app, found) {
  const voted = found.votes.some((vote) => vote.member_id === app.me.member.id && !vote.struck);
  if (found.state !== "pending" || voted) return null;
  return h(
    "p",
    { class: "muted", id: "excluded" },
    "You cannot vote on this request. That takes verified KYC and Approve on the workflow whose policy judges it. Nobody votes on what is about themselves or comes from a key that they manage, nor, where another can, on the end of their own freeze.",
  );
}

/** The votes and the rest that this Member may give now. */
function decide(app, found, matches, comment, again) {
  const can = found.can ?? [];
  if (can.length === 0) return excluded(app, found);
  const otp = codeInput();
  const problem = h("p", { class: "problem", role: "alert" });
  const act = async (method, params) => {
    if (card.ariaBusy || (method !== "cancel_request" && !comment.reportValidity())) return;
    if (method === "reject" && !comment.value) {
      problem.textContent = "Rejecting needs a reason: say why.";
      return comment.focus();
    }
    card.ariaBusy = "true";
    problem.textContent = "";
    try {
      const result = await app.call(method, params);
      const decided = result.requests?.[0];
      const refused = decided?.success === false ? spoken(decided.error) : null;
      if (decided?.request?.state === "failed") app.said(`It failed: ${decided.request.reason}`, "bad");
      else if (!refused) app.said(DONE[method]);
      await again();
      if (refused) throw new Error(refused);
    } catch (error) {
      if (problem.isConnected) problem.textContent = error.message;
      else app.said(error.message, "bad");
    } finally {
      card.ariaBusy = null;
    }
  };
  const requests = [{ request_id: found.request_id, digest: found.digest }];
  const vote = () => ({ requests, otp: otp.value, ...(comment.value ? { comment: comment.value } : {}) });
  const button = (right, title, kind, method, params) =>
    can.includes(right) &&
    h(
      "button",
      { class: kind, disabled: kind === "primary" && !matches, onclick: () => act(method, params()) },
      title,
    );
  const voting = can.includes("approve") || can.includes("execute");
  const stop = stopped(app, found);
  // Not a form: Enter in the reason of a rejection would press the first button, which approves.
  const card = h(
    "section",
    { class: "card", id: "decide" },
    h("h2", {}, "Your decision"),
    stop && h("p", { class: "muted" }, stop),
    voting && field("One-time code", otp, "for Approve and Execute"),
    (voting || can.includes("reject")) &&
      field("Comment or reason", comment, can.includes("reject") && "needed to reject"),
    problem,
    h(
      "div",
      { class: "actions" },
      button("approve", "Approve", "primary", "approve", vote),
      button("execute", "Execute", "primary", "execute", vote),
      button("reject", "Reject", "danger", "reject", () => ({ requests, reason: comment.value })),
      button("cancel", "Cancel request", null, "cancel_request", () => ({
        request_id: found.request_id,
      })),
    ),
  );
  return card;
}

/** The secret of a key that others decided on. */
function claim(app, found) {
  const otp = codeInput({ required: true });
  const submit = async () => {
    const { api_key, api_secret } = await app.call("claim_secret", {
      request_id: found.request_id,
      otp: otp.value,
    });
    once(
      [
        ["API key", api_key],
        ["API secret", api_secret],
      ],
      () => app.go("service-users"),
    );
  };
  return form(
    { class: "card", id: "claim" },
    h("button", { class: "primary" }, "Show the secret"),
    submit,
    h("h2", {}, "The secret"),
    h("p", {}, "It is shown once, to you alone, within seven days of the decision."),
    field("One-time code", otp),
  );
}
