// The audit log: who did what, each entry with the chained hash of its journal row.

import { field, h, safe, table, time, words } from "../dom.js";

const PAGE = 100;

/** The page. */
export async function audit(app) {
  const list = h("div", {});
  const search = h("input", { type: "search", name: "search", placeholder: "actor, action, id, hash…" });
  const more = h("button", { onclick: () => load() }, "Older entries");
  const entries = [];
  const [{ members }, { service_users }] = await Promise.all([app.call("members"), app.call("service_users")]);
  const names = new Map([
    ...members.map(({ member_id, name }) => [member_id, name]),
    ...service_users.map(({ service_user_id, name }) => [service_user_id, name]),
  ]);
  let cursor;
  const draw = () => {
    const wanted = search.value.trim().toLowerCase();
    const rows = entries.filter((entry) =>
      JSON.stringify([entry, names.get(entry.actor)])
        .toLowerCase()
        .includes(wanted),
    );
    list.replaceChildren(
      table(
        ["When", "Who", "What", "Subject", "Detail", "Policy", "Hash"],
        rows.map((entry) => [
          time(entry.at),
          names.has(entry.actor) ? [safe(names.get(entry.actor)), ` ${entry.actor}`] : safe(entry.actor),
          words(entry.action),
          entry.subject.startsWith("R") && entry.subject.length === 19
            ? h("a", { href: `#/request/${entry.subject}` }, entry.subject)
            : safe(entry.subject),
          entry.detail ? safe(entry.detail) : "",
          entry.policy_version === null ? "" : `version ${entry.policy_version}`,
          h("code", { class: "hash", title: entry.hash }, entry.hash.slice(0, 12)),
        ]),
        "No matching entries.",
      ),
    );
    more.hidden = cursor === undefined;
  };
  const load = async () => {
    more.disabled = true;
    const asked = app.call("audit_log", { limit: PAGE, ...(cursor ? { cursor } : {}) });
    const page = await asked.finally(() => (more.disabled = false));
    entries.push(...page.entries);
    cursor = page.cursor;
    draw();
  };
  search.addEventListener("input", draw);
  app.main.append(
    h("h1", {}, "Audit"),
    h(
      "p",
      {},
      "Each entry has the hash of its row of the journal, whose chain ",
      h("code", {}, "countersign verify"),
      " checks offline. Removed Members and Service Users appear by id only.",
    ),
    h("div", { class: "bar" }, field("Search the entries shown", search)),
    list,
    h("div", { class: "actions" }, more),
  );
  await load();
}
