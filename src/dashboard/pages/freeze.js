// Freeze and its end: one Member stops money at once, only votes let it move again.

import { ask, form, outcome } from "../ask.js";
import { closing, field, h, safe, textInput, time } from "../dom.js";

function reasonInput() {
  return textInput(500, { required: true, placeholder: "why" });
}

function what({ scope }) {
  return scope === "all" ? "Everything is frozen" : "Withdrawals are frozen";
}

/** A Member's name, or the id where this Member may not know it. */
async function named(app, id) {
  if (id === app.me.member.id) return "you";
  const known = app.may("manage_access", "view") && (await app.call("members").catch(() => null));
  return known?.members?.find(({ member_id }) => member_id === id)?.name ?? id;
}

/** What is frozen, by whom and why. */
export async function freezeWords(app, frozen) {
  return `${what(frozen)} by ${await named(app, frozen.member_id)}: ${frozen.reason}`;
}

/** The button in the page's head, or the sign that all is frozen. */
export function freezeButton(app) {
  const frozen = app.me.frozen;
  const may = app.may("initiate_withdrawal", "execute") || app.may("manage_access", "execute");
  if (!frozen)
    return may
      ? h("button", { id: "freeze", class: "danger", onclick: () => freeze(app) }, "Freeze")
      : h("span", { id: "freeze", hidden: true });
  return h("button", { id: "freeze", class: "danger on", onclick: () => thaw(app, frozen) }, what(frozen));
}

function modal(title, content) {
  const dialog = h(
    "dialog",
    { class: "card", "aria-label": title, onclose: () => dialog.remove() },
    content,
    closing(() => dialog.close()),
  );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

function freeze(app) {
  const scope = h(
    "select",
    {},
    h("option", { value: "withdrawals" }, "withdrawals"),
    h("option", { value: "all" }, "everything: keys, sockets and open orders too"),
  );
  const reason = reasonInput();
  const submit = async () => {
    await app.call("freeze", { scope: scope.value, reason: reason.value });
    dialog.close();
    app.said("Frozen.");
  };
  const dialog = modal(
    "Freeze",
    form(
      {},
      h("button", { class: "danger" }, "Freeze now"),
      submit,
      h("h2", {}, "Freeze"),
      h(
        "p",
        {},
        "It takes effect at once. To end it, one Member asks and another approves, so alone you cannot. Your own vote counts only if another Member asks and nobody else could approve.",
      ),
      field("What", scope),
      field("Reason", reason),
    ),
  );
}

async function thaw(app, frozen) {
  const reason = reasonInput();
  const by = await named(app, frozen.member_id);
  // It may have been pressed twice meanwhile.
  if (document.querySelector("dialog")) return;
  const told = h("p", {}, time(frozen.at), ": ", what(frozen), " by ", safe(by), ": ", safe(frozen.reason));
  if (!app.may("manage_access", "initiate")) return void modal("Frozen", [h("h2", {}, "Frozen"), told]);
  const asking = ask(app, {
    title: "End the freeze",
    method: "unfreeze",
    workflow: "manage_access",
    verb: "Request unfreeze",
    atOnce: false,
    fields: [told, field("Reason", reason)],
    params: () => ({ reason: reason.value }),
    done: (request) => {
      dialog.close();
      return outcome(app, request);
    },
  });
  const dialog = modal("End the freeze", asking);
}
