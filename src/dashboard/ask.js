// The form of a governed change: its own fields, and what every change is asked with.

import { hex } from "./digest.js";
import { field, h, words } from "./dom.js";

/** An identifier of the page's own, so that asking twice after a lost connection asks once. */
function clientId() {
  return `ui-${hex(crypto.getRandomValues(new Uint8Array(12)))}`;
}

/** A field for a one-time code. */
export function codeInput(attributes = {}) {
  return h("input", {
    name: "otp",
    inputmode: "numeric",
    autocomplete: "one-time-code",
    pattern: "[0-9]{6}",
    maxlength: "6",
    size: "8",
    ...attributes,
  });
}

/**
 * A form: `act` is called once at a time, and what it throws is said above the button: its message, or what it says is
 * `shown`. The button is never off, so that the keyboard stays on it.
 */
export function form(attributes, button, act, ...children) {
  const problem = h("p", { class: "problem", role: "alert" });
  const onsubmit = async (event) => {
    event.preventDefault();
    if (element.ariaBusy) return;
    element.ariaBusy = "true";
    problem.textContent = "";
    try {
      await act();
    } catch (error) {
      problem.append(...(error.shown ?? [error.message]));
    } finally {
      element.ariaBusy = null;
    }
  };
  const actions = h("div", { class: "actions" }, button);
  const element = h("form", { ...attributes, onsubmit }, ...children, problem, actions);
  return element;
}

/**
 * What a form says now that it did not say before: a change of nothing else undoes nobody's. `present` is what it would
 * say if it were opened now: a list is sent as a whole, so a form that is out of date would give back what others took.
 */
export function changed(before, now, present) {
  const differ = (one, other) => JSON.stringify(one) !== JSON.stringify(other);
  const asked = {};
  for (const [name, value] of Object.entries(now)) {
    if (!differ(value, before[name])) continue;
    const group = typeof value === "object" && value !== null && !Array.isArray(value);
    // What is as it is asked for is no conflict: this form may have been sent before, and the answer lost.
    if (!group && differ(before[name], present[name]) && differ(value, present[name]))
      throw new Error(
        `This has changed since the form was opened: ${words(name)}. Reopen the form to see the new value.`,
      );
    asked[name] = group ? changed(before[name], value, present[name]) : value;
  }
  return asked;
}

/**
 * A form that asks for a change. `title` is text or children; `params()` gives or promises the method's own; `kind` is the
 * button's; `atOnce` says whether the change may ever take effect without votes; `strands` says that it may leave pending
 * requests without approvers, if that is accepted; `done(request)` is told what became of it. The code is needed where the
 * change takes effect at once, which the server decides.
 */
export function ask(
  app,
  {
    title,
    method,
    workflow,
    fields,
    params,
    verb = "Submit request",
    kind = "primary",
    atOnce = true,
    strands = false,
    done = (request) => outcome(app, request),
  },
) {
  let id = clientId();
  const otp = codeInput({
    // Enter where the code is still to be typed is a slip.
    onkeydown: (event) => event.key === "Enter" && !otp.value && event.preventDefault(),
  });
  const execute = h("input", { type: "checkbox" });
  const strand = h("input", { type: "checkbox" });
  const submit = async () => {
    const asked = { ...(await params()), client_id: id };
    if (otp.value) asked.otp = otp.value;
    if (execute.checked) asked.execute = true;
    if (strand.checked) asked.strand_pending = true;
    const request = await app.call(method, asked).catch((error) => {
      if (!error.message.startsWith("client_id not unique")) throw error;
      id = clientId();
      throw Object.assign(error, { shown: sentBefore() });
    });
    await done(request);
  };
  return form(
    { class: "card", "data-method": method },
    h("button", { class: kind }, verb),
    submit,
    h("h2", {}, title),
    ...fields,
    atOnce &&
      h(
        "fieldset",
        {},
        h("legend", {}, "How"),
        field("One-time code", otp, "needed when it takes effect at once"),
        app.may(workflow, "execute") &&
          h("label", { class: "check" }, execute, "Complete it at once (Execute), if the policy allows it"),
        strands &&
          h("label", { class: "check" }, strand, "Even if pending requests lose their approvers"),
      ),
  );
}

/** What is said where the answer to a form was lost and the form has changed since. */
function sentBefore() {
  const link = (place, title) => h("a", { href: `#/${place}` }, title);
  return [
    "An earlier try of this form reached the server with other terms: look at the ",
    link("queue", "Queue"),
    " and at ",
    link("history", "History"),
    " before you submit again.",
  ];
}

// The actions that make a key, and those that make an invitation.
const KEYS = ["create_service_user", "rotate_service_user_key"];
const INVITATIONS = ["invite_member", "reset_member"];
// What is said of a request by its state, where nothing went wrong.
const OUTCOMES = {
  pending: "The request is in the queue.",
  approved: "It took effect.",
  executed: "It took effect.",
};

/** Whether the key that a request made has a secret that waits for this Member, who asked for it. */
export async function unclaimed(app, request) {
  const ended = request.state === "approved" || request.state === "executed";
  const own = request.initiator.id === app.me.member.id && app.may("manage_access", "initiate");
  if (!KEYS.includes(request.action) || !ended || !own) return false;
  const { service_users } = await app.call("service_users");
  return service_users.some((user) => user.unclaimed?.request_id === request.request_id);
}

/** What to do where the answer was lost that alone showed a secret or a link; `null` where there was none to show. */
async function lost(app, request) {
  if (INVITATIONS.includes(request.action))
    return "The link was in an answer that was lost: reset the Member once the request has taken effect.";
  const made = KEYS.includes(request.action) && request.state !== "pending";
  if (!made || (await unclaimed(app, request))) return null;
  return "The secret was in an answer that was lost: rotate the key.";
}

/** Says what became of a change, and shows what is shown once. */
export async function outcome(app, request) {
  const at = `request/${request.request_id}`;
  const said = OUTCOMES[request.state];
  // One that is asked for again, since its answer was lost, may have ended meanwhile.
  if (said) app.said(said);
  else app.said(`The request is ${request.state}: ${request.reason}`, "bad");
  const shown = [];
  if (request.api_secret) shown.push(["API key", request.api_key], ["API secret", request.api_secret]);
  if (request.invitation)
    shown.push(["Invitation link", `${location.origin}/#/invitation/${request.invitation}`]);
  if (shown.length > 0) return once(shown, () => app.go(at));
  const missing = said && (await lost(app, request));
  if (missing) app.said(missing, "bad");
  app.go(at);
}

/** Shows what the server will not show again. */
export function once(pairs, then) {
  const dialog = h(
    "dialog",
    {
      class: "card once",
      "aria-label": "Shown once",
      // A slip of the keyboard, or a gesture, must not lose it.
      closedby: "none",
      oncancel: (event) => event.preventDefault(),
      onkeydown: (event) => event.key === "Escape" && event.preventDefault(),
      onclose: () => {
        dialog.remove();
        then();
      },
    },
    h("h2", {}, "Shown once"),
    h("p", {}, "Copy it now: the server does not show it again."),
    pairs.map(([name, value]) => {
      const input = h("input", {
        readonly: true,
        value,
        "data-secret": name,
        onfocus: (event) => event.target.select(),
      });
      return field(name, input);
    }),
    h(
      "div",
      { class: "actions" },
      h("button", { class: "primary", onclick: () => dialog.close() }, "I have it"),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}
