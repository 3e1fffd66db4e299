// What a withdrawal would need, and asking for one as a Member.

import { ask } from "../ask.js";
import { facts, field, h, plain, safe, textInput } from "../dom.js";

/** The page. */
export async function withdraw(app) {
  const answer = h("div", { id: "explained", "aria-live": "polite" });
  // The answer is to what was asked last, and to nothing else.
  let asking = 0;
  const oninput = () => {
    asking += 1;
    answer.replaceChildren();
  };
  const [asset, key, amount] = ["asset", "key", "amount"].map((name) =>
    textInput(64, { name, required: true, oninput }),
  );
  const known = h("datalist", { id: "keys" });
  key.setAttribute("list", "keys");
  const bot = h("select", { oninput }, h("option", { value: "" }, "me"));
  const asked = () => ({ asset: asset.value, key: key.value, amount: amount.value });
  const explain = async () => {
    oninput();
    const mine = asking;
    try {
      const params = asked();
      if (bot.value) params.service_user_id = bot.value;
      const { policy, eligible } = await app.call("policy_explain", params);
      if (mine !== asking) return;
      answer.replaceChildren(
        policy
          ? facts([
              ["Approvals needed", String(policy.quorum)],
              [
                "By",
                policy.rule
                  ? `rule ${policy.rule} of policy version ${policy.version}`
                  : `policy version ${policy.version}`,
              ],
              [
                "Who could approve",
                eligible.length
                  ? eligible.map(({ name }) => h("span", { class: "tag" }, safe(name)))
                  : "nobody",
              ],
            ])
          : h("p", {}, "No policy governs it: it would be released at once."),
      );
    } catch (error) {
      if (mine === asking) answer.replaceChildren(h("p", { class: "problem" }, error.message));
    }
  };
  const explaining = h(
    "fieldset",
    {},
    h("legend", {}, "What would it need?"),
    field("If asked by", bot),
    h("div", { class: "actions" }, h("button", { type: "button", onclick: explain }, "Explain")),
    answer,
  );
  app.main.append(h("h1", {}, "Withdraw"));
  if (app.may("manage_addresses", "view")) {
    const { addresses } = await app.call("addresses");
    known.append(...addresses.map((of) => h("option", { value: of.key }, of.asset)));
  }
  if (app.may("manage_access", "view")) {
    const { service_users } = await app.call("service_users");
    bot.append(...service_users.map((user) => h("option", { value: user.service_user_id }, plain(user.name))));
  }
  const fields = [
    field("Asset", asset, "such as BTC"),
    field("To", key, "an approved address, by name"),
    known,
    field("Amount", amount, "gross: the fee is within it"),
    explaining,
  ];
  const may = app.may("initiate_withdrawal", "initiate");
  app.main.append(
    may
      ? ask(app, {
          title: "Request a withdrawal",
          method: "initiate_withdrawal",
          workflow: "initiate_withdrawal",
          fields,
          params: asked,
        })
      : h("section", { class: "card" }, h("h2", {}, "Check a withdrawal"), fields),
  );
}
