// Service Users: what each may do, when it was last seen, and the changes one may ask for.

import { ask, changed, form } from "../ask.js";
import { facts, field, h, plain, safe, textInput, time } from "../dom.js";
import { listing } from "../listing.js";
import { scopeName, SCOPES } from "../scopes.js";

/** What a closer look shows of a Service User, to compare. */
function looks({ last_seen, open_connections, ...rest }) {
  return JSON.stringify(rest);
}

/** The page. */
export function access(app) {
  // At whom one looks closely, as they were, and the card that shows it.
  let close = null;
  const look = (user, open) => {
    close = { user, card: show(app, user, open) };
    return close.card;
  };
  const refresh = (user, open) => {
    const same = close?.card.isConnected && close.user.service_user_id === user.service_user_id;
    if (!same || looks(close.user) === looks(user)) return;
    const { card } = close;
    const [below, held] = [card.parentElement, card.contains(document.activeElement)];
    card.replaceWith(look(user, open));
    if (held) below.focus({ preventScroll: true });
  };
  const fetch = async () => {
    const { service_users } = await app.call("service_users");
    const there = ({ service_user_id }) => service_user_id === close.user.service_user_id;
    if (close?.card.isConnected && !service_users.some(there)) {
      if (close.card.contains(document.activeElement)) app.main.focus({ preventScroll: true });
      close.card.remove();
    }
    return service_users;
  };
  return listing(app, {
    title: "Service Users",
    workflow: "manage_access",
    columns: ["Name", "Status", "Scopes", "Last seen", "Open connections", ""],
    empty: "No Service User yet.",
    fetch,
    row: (user, open) => {
      refresh(user, open);
      const attributes = { "data-user": user.name, "aria-label": `Details of ${plain(user.name)}` };
      return [
        safe(user.name),
        h("span", { class: `tag ${user.status}` }, user.status),
        `${user.scopes.length} of ${SCOPES.size}`,
        time(user.last_seen),
        String(user.open_connections),
        h("button", { ...attributes, onclick: () => open(look(user, open)) }, "Details"),
      ];
    },
    add: { title: "Create Service User", form: () => create(app) },
  });
}

function show(app, user, open) {
  const { settings } = user;
  const change = (form) => () => open(form);
  const may = app.may("manage_access", "initiate");
  return h(
    "section",
    { class: "card" },
    h("h2", {}, safe(user.name)),
    facts([
      ["Id", user.service_user_id],
      ["API key", h("code", {}, user.api_key)],
      ["Status", user.status],
      [
        "Scopes",
        user.scopes.length ? user.scopes.map((scope) => h("span", { class: "tag" }, scopeName(scope))) : "none",
      ],
      ["Expires", settings.expires_at ? time(settings.expires_at) : "never"],
      ["Query start", settings.query_start ? time(settings.query_start) : "none"],
      ["Query end", settings.query_end ? time(settings.query_end) : "none"],
      ["WebSocket", settings.allow_websocket ? "allowed" : "not allowed"],
      ["Nonce window", String(settings.nonce_window)],
      ["Addresses", settings.ip_allowlist.length ? settings.ip_allowlist.join(", ") : "any"],
      ["Orders when it stops", settings.on_stop],
      ["Orders on disconnect", settings.cancel_on_disconnect ? "cancel" : "keep"],
      ["Old key good until", user.retiring_until ? time(user.retiring_until) : null],
      [
        "Secret unclaimed",
        user.unclaimed
          ? h("a", { href: `#/request/${user.unclaimed.request_id}` }, "until ", time(user.unclaimed.until))
          : user.status === "unclaimed" && "too late: rotate the key",
      ],
    ]),
    h(
      "div",
      { class: "actions" },
      may && h("button", { onclick: change(edit(app, user)) }, "Edit"),
      may && h("button", { onclick: change(rotate(app, user)) }, "Rotate key"),
      may && h("button", { class: "danger", onclick: change(remove(app, user)) }, "Remove"),
      app.may("manage_access", "execute") &&
        h("button", { class: "danger", onclick: change(cancelOrders(app, user, open)) }, "Cancel its orders"),
      h("button", { onclick: () => open(null) }, "Close"),
    ),
  );
}

/** The fields of scopes and settings, and what they say. */
function fields(user) {
  const settings = user?.settings;
  const date = (text) =>
    h("input", { type: "datetime-local", step: "1", value: text ? text.slice(0, 19) : "" });
  const boxes = [...SCOPES.keys()].map((scope) => [
    scope,
    h("input", { type: "checkbox", name: scope, checked: user?.scopes.includes(scope) ?? false }),
  ]);
  const name = textInput(64, { required: true, name: "name", value: user?.name ?? "" });
  const expires = date(settings?.expires_at);
  const start = date(settings?.query_start);
  const end = date(settings?.query_end);
  const websocket = h("input", { type: "checkbox", checked: settings?.allow_websocket ?? true });
  const nonce = h("input", {
    type: "number",
    required: true,
    min: "0",
    // A larger one that was set elsewhere may stay.
    max: String(Math.max(Number.MAX_SAFE_INTEGER, Number(settings?.nonce_window ?? 0))),
    value: String(settings?.nonce_window ?? 0),
  });
  const addresses = h("textarea", { rows: "2", placeholder: "10.0.0.0/8" });
  addresses.value = (settings?.ip_allowlist ?? []).join("\n");
  const stop = h(
    "select",
    {},
    ["cancel", "keep"].map((value) => h("option", { value, selected: settings?.on_stop === value }, value)),
  );
  const away = h("input", { type: "checkbox", checked: settings?.cancel_on_disconnect ?? false });
  const moment = (input) =>
    input.value ? `${input.value.length === 16 ? `${input.value}:00` : input.value}Z` : null;
  return {
    elements: [
      field("Name", name, "what it is for, such as Treasury Bot"),
      h(
        "fieldset",
        {},
        h("legend", {}, "Scopes"),
        boxes.map(([scope, box]) => h("label", { class: "check" }, box, scopeName(scope))),
      ),
      h(
        "fieldset",
        {},
        h("legend", {}, "Settings"),
        field("Expires (UTC)", expires),
        field("Query start (UTC)", start),
        field("Query end (UTC)", end),
        field("Nonce window", nonce, "0 is strictly increasing"),
        field("Addresses or networks", addresses, "one a line; none means any"),
        field("Resting orders when it stops", stop),
        h("label", { class: "check" }, websocket, "Allow WebSocket connections"),
        h("label", { class: "check" }, away, "Cancel its orders when it is disconnected"),
      ),
    ],
    read: () => ({
      name: name.value,
      scopes: boxes.filter(([, box]) => box.checked).map(([scope]) => scope),
      settings: {
        expires_at: moment(expires),
        query_start: moment(start),
        query_end: moment(end),
        allow_websocket: websocket.checked,
        nonce_window: Number(nonce.value),
        ip_allowlist: addresses.value.split(/\s+/).filter(Boolean),
        on_stop: stop.value,
        cancel_on_disconnect: away.checked,
      },
    }),
  };
}

function create(app) {
  const form = fields(null);
  return ask(app, {
    title: "Create Service User",
    method: "create_service_user",
    workflow: "manage_access",
    fields: form.elements,
    params: form.read,
  });
}

function edit(app, user) {
  const { service_user_id } = user;
  const form = fields(user);
  const disabled = h("input", { type: "checkbox", checked: user.status === "disabled" });
  const unchanged = (user) => ({ ...fields(user).read(), disabled: user.status === "disabled" });
  const params = async () => {
    const { service_users } = await app.call("service_users");
    const present = service_users.find((one) => one.service_user_id === service_user_id) ?? user;
    const now = { ...form.read(), disabled: disabled.checked };
    return { service_user_id, ...changed(unchanged(user), now, unchanged(present)) };
  };
  return ask(app, {
    title: ["Edit ", safe(user.name)],
    method: "edit_service_user",
    workflow: "manage_access",
    strands: true,
    params,
    fields: [...form.elements, h("label", { class: "check" }, disabled, "Disabled")],
  });
}

function rotate(app, user) {
  const overlap = h("input", { type: "number", required: true, min: "0", max: "604800", value: "3600" });
  return ask(app, {
    title: ["Rotate the key of ", safe(user.name)],
    method: "rotate_service_user_key",
    workflow: "manage_access",
    strands: true,
    fields: [field("Overlap in seconds", overlap, "how long the old key stays good beside the new one")],
    params: () => ({ service_user_id: user.service_user_id, overlap_s: Number(overlap.value) }),
  });
}

function remove(app, user) {
  return ask(app, {
    title: ["Remove ", safe(user.name)],
    method: "remove_service_user",
    workflow: "manage_access",
    verb: "Request removal",
    kind: "danger",
    fields: [
      h(
        "p",
        {},
        "Its sockets close, its orders are canceled or kept as its settings say, and its pending withdrawal requests are canceled.",
      ),
    ],
    params: () => ({ service_user_id: user.service_user_id }),
  });
}

function cancelOrders(app, user, open) {
  const submit = async () => {
    const { count } = await app.call("cancel_orders", { service_user_id: user.service_user_id });
    app.said(`${count} order${count === 1 ? "" : "s"} canceled`);
    open(null);
  };
  return form(
    { class: "card" },
    h("button", { class: "danger" }, "Cancel all of them"),
    submit,
    h("h2", {}, "Open orders of ", safe(user.name)),
    h("p", {}, "All of its open orders are canceled at once. It may place new ones."),
  );
}
