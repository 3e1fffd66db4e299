// Policies: how many Members a workflow's requests need.

import { ask } from "../ask.js";
import { exact } from "../connection.js";
import { facts, field, h, refill, safe, table, words } from "../dom.js";
import { drawer } from "../listing.js";
import { WORKFLOWS } from "../workflows.js";

function duration(seconds) {
  for (const [size, name] of [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
  ])
    if (seconds % size === 0 && seconds >= size) return `${seconds / size} ${name}`;
  return `${seconds} s`;
}

/** Who acts alone where no policy binds them. */
function unbound(workflow) {
  const keys = workflow === "initiate_withdrawal" ? ", and any API key with Withdraw," : "";
  return `any Member with Initiate${keys} acts alone`;
}

function readRules(text) {
  try {
    return JSON.parse(text, exact);
  } catch (error) {
    throw new Error(`The rules are not valid JSON: ${error.message}`);
  }
}

function condition(rule) {
  const parts = [];
  if (rule.asset) parts.push(`asset ${rule.asset}`);
  if (rule.amount_from !== undefined) parts.push(`amount from ${rule.amount_from}`);
  if (rule.total_24h_from !== undefined) parts.push(`24 h total from ${rule.total_24h_from}`);
  if (rule.keys) parts.push(`to ${rule.keys.join(" or ")}`);
  if (rule.initiators) parts.push(`asked by ${rule.initiators.join(" or ")}`);
  return parts.length ? parts.join(", ") : "always";
}

/** The page. */
export function policies(app) {
  const { element: detail, open } = drawer();
  // The policy that an open form began with.
  let began = null;
  const list = h("div", {});
  const may = app.may("manage_policies", "initiate");
  const load = async () => {
    const found = Object.fromEntries(
      (await app.call("policies")).policies.map((policy) => [policy.workflow, policy]),
    );
    const cards = WORKFLOWS.map((workflow) => card(workflow, found[workflow]));
    refill(list, h("div", { class: "grid" }, cards), app.main);
    // A policy is set as a whole: a form that is out of date would undo what others have set.
    if (began && began.version !== found[began.workflow]?.version) {
      const told = `The policy of ${words(began.workflow)} has changed since this form was opened. Reopen it to see the new terms.`;
      began = null;
      open(h("p", { class: "problem", role: "alert" }, told));
    }
  };
  const begin = (workflow, policy, form) => {
    began = { workflow, version: policy?.version };
    open(form);
  };
  const card = (workflow, policy) =>
    h(
      "section",
      { class: "card", "data-workflow": workflow },
      h("h2", {}, words(workflow)),
      policy
        ? [
            facts([
              ["Version", String(policy.version)],
              ["Approvals needed", String(policy.quorum)],
              ["Rejections that end it", String(policy.reject_quorum)],
              ["Execute", policy.allow_execute ? "may complete at once" : "not allowed"],
              ["Requests expire after", duration(policy.expires_after_s)],
              ["Managers of the asking key", policy.exclude_key_managers ? "do not vote" : "may vote"],
              [
                "New addresses cool down",
                workflow === "manage_addresses" ? duration(policy.cool_down_s) : null,
              ],
            ]),
            policy.rules.length > 0 &&
              table(
                ["Rule", "When", "Approvals", "Execute"],
                policy.rules.map((rule, at) => [
                  String(at + 1),
                  safe(condition(rule)),
                  String(rule.quorum),
                  rule.allow_execute === undefined
                    ? "as the policy"
                    : rule.allow_execute
                      ? "allowed"
                      : "not allowed",
                ]),
                "",
              ),
          ]
        : h("p", {}, `No policy: ${unbound(workflow)}.`),
      workflow === "initiate_withdrawal" &&
        h("p", {}, h("a", { href: "#/withdraw" }, "What would a withdrawal need?")),
      may &&
        h(
          "div",
          { class: "actions" },
          h(
            "button",
            {
              onclick: () => begin(workflow, policy, set(app, workflow, policy)),
              "aria-label": `${policy ? "Change the" : "Set a"} policy of ${words(workflow)}`,
            },
            policy ? "Change" : "Set a policy",
          ),
          policy &&
            h(
              "button",
              {
                class: "danger",
                onclick: () => begin(workflow, policy, remove(app, workflow)),
                "aria-label": `Remove the policy of ${words(workflow)}`,
              },
              "Remove",
            ),
        ),
    );
  app.main.append(h("h1", {}, "Policies"), list, detail);
  const again = app.follow((request) => request.workflow === "manage_policies", load);
  return again();
}

function set(app, workflow, policy) {
  const number = (name, value, least) =>
    h("input", { type: "number", name, required: true, min: String(least), value: String(value) });
  const quorum = number("quorum", policy?.quorum ?? 1, 1);
  const reject = number("reject_quorum", policy?.reject_quorum ?? 1, 1);
  const expires = number("expires_after_s", policy?.expires_after_s ?? 604800, 1);
  const cool = number("cool_down_s", policy?.cool_down_s ?? 0, 0);
  const execute = h("input", { type: "checkbox", checked: policy?.allow_execute ?? false });
  const exclude = h("input", { type: "checkbox", checked: policy?.exclude_key_managers ?? true });
  const rules = h("textarea", {
    rows: "6",
    spellcheck: "false",
    placeholder: '[{"asset": "BTC", "amount_from": "5", "quorum": 2}]',
  });
  rules.value = policy?.rules.length ? JSON.stringify(policy.rules, null, 2) : "";
  return ask(app, {
    title: `Policy of ${words(workflow)}`,
    method: "set_policy",
    workflow: "manage_policies",
    strands: true,
    fields: [
      field("Approvals needed", quorum),
      field("Rejections that end a request", reject),
      field("Requests expire after, in seconds", expires),
      workflow === "manage_addresses" && field("New addresses cool down, in seconds", cool),
      workflow === "initiate_withdrawal" &&
        field(
          "Rules",
          rules,
          "a list in JSON; the first that matches decides. Conditions: asset, amount_from, total_24h_from, keys (names of addresses), initiators (ids). Each needs a quorum, and may have allow_execute",
        ),
      h(
        "label",
        { class: "check" },
        execute,
        "A Member with Execute may complete a Member’s request at once",
      ),
      h("label", { class: "check" }, exclude, "Managers of the asking key do not vote"),
    ],
    params: () => ({
      workflow,
      quorum: Number(quorum.value),
      reject_quorum: Number(reject.value),
      expires_after_s: Number(expires.value),
      allow_execute: execute.checked,
      exclude_key_managers: exclude.checked,
      ...(workflow === "manage_addresses" ? { cool_down_s: Number(cool.value) } : {}),
      ...(workflow === "initiate_withdrawal" && rules.value.trim() ? { rules: readRules(rules.value) } : {}),
    }),
  });
}

function remove(app, workflow) {
  return ask(app, {
    title: `Remove the policy of ${words(workflow)}`,
    method: "remove_policy",
    workflow: "manage_policies",
    verb: "Request removal",
    kind: "danger",
    strands: true,
    fields: [
      h(
        "p",
        {},
        `Without a policy, ${unbound(workflow)}. Pending requests keep the policy they were made under; where another one governs them then, the stricter of the two.`,
      ),
    ],
    params: () => ({ workflow }),
  });
}
