// Withdrawal addresses: the only places that money goes to.

import { ask } from "../ask.js";
import { field, h, plain, safe, textInput, time, until } from "../dom.js";
import { listing } from "../listing.js";

/** The page. */
export function addresses(app) {
  const may = app.may("manage_addresses", "initiate");
  return listing(app, {
    title: "Addresses",
    workflow: "manage_addresses",
    columns: ["Asset", "Name", "Address", "Tag", "Method", "Usable", ""],
    empty: "No address yet.",
    fetch: async () => (await app.call("addresses")).addresses,
    row: (of, open) => [
      safe(of.asset),
      safe(of.key),
      h("code", {}, safe(of.address)),
      of.tag ? safe(of.tag) : "–",
      safe(of.method),
      of.verified ? "yes" : ["from ", time(of.usable_at), ", ", until(of.usable_at)],
      may &&
        h(
          "button",
          {
            class: "danger",
            onclick: () => open(remove(app, of)),
            "aria-label": `Remove ${plain(of.asset)} ${plain(of.key)}`,
          },
          "Remove",
        ),
    ],
    add: { title: "Add an address", form: () => add(app) },
  });
}

function add(app) {
  const [asset, method, key, address, tag] = ["asset", "method", "key", "address", "tag"].map((name) =>
    textInput(name === "key" ? 64 : 128, { name, required: name !== "tag" }),
  );
  return ask(app, {
    title: "Add an address",
    method: "add_address",
    workflow: "manage_addresses",
    fields: [
      field("Asset", asset, "such as BTC"),
      field("Method", method, "the asset’s, such as Bitcoin"),
      field("Name", key, "what withdrawals call it"),
      field("Address", address),
      field("Tag or memo", tag),
    ],
    params: () => ({
      asset: asset.value,
      method: method.value,
      key: key.value,
      address: address.value,
      ...(tag.value ? { tag: tag.value } : {}),
    }),
  });
}

function remove(app, of) {
  return ask(app, {
    title: ["Remove ", safe(of.asset), " ", safe(of.key)],
    method: "remove_address",
    workflow: "manage_addresses",
    verb: "Request removal",
    kind: "danger",
    fields: [h("p", {}, "Pending withdrawals to it fail. Adding it again starts its cool-down anew.")],
    params: () => ({ asset: of.asset, key: of.key }),
  });
}
