// The pending queue, live. One code may carry many votes.

import { codeInput } from "../ask.js";
import { digest } from "../digest.js";
import { field, h, safe, table, time, until, words } from "../dom.js";
import { about } from "./request.js";

/** The page. */
export function queue(app) {
  const chosen = new Set();
  const list = h("div", {});
  const otp = codeInput();
  const problem = h("p", { class: "problem", role: "alert" });
  const vote = h(
    "form",
    {
      class: "bar",
      hidden: true,
      onsubmit: (event) => {
        event.preventDefault();
        approve();
      },
    },
    field("One-time code", otp),
    h("button", { class: "primary" }, "Approve selected"),
    problem,
  );

  const approve = async () => {
    problem.textContent = "";
    const requests = [];
    for (const id of chosen) {
      const request = app.connection.pending.get(id);
      if (!request) continue;
      const own = await digest(app.me.organization, request);
      if (own !== request.digest) {
        problem.textContent = `Request ${id} does not match its digest, or cannot be verified here. Nothing was sent.`;
        return;
      }
      requests.push({ request_id: id, digest: own });
    }
    try {
      const result = await app.call("approve", { requests, otp: otp.value });
      const failed = result.requests.filter(({ success }) => !success);
      for (const { request_id, error } of failed) app.said(`${request_id}: ${error}`, "bad");
      if (failed.length < requests.length) app.said(`${requests.length - failed.length} approved`);
      chosen.clear();
      otp.value = "";
      draw();
    } catch (error) {
      problem.textContent = error.message;
    }
  };

  const draw = () => {
    const pending = [...app.connection.pending.values()].sort((a, b) =>
      a.created_at < b.created_at ? 1 : -1,
    );
    for (const id of [...chosen]) if (!app.connection.pending.has(id)) chosen.delete(id);
    vote.hidden = chosen.size === 0;
    const row = (request) => {
      const own = request.initiator.id === app.me.member.id;
      const toggle = ({ target }) => {
        if (target.checked) chosen.add(request.request_id);
        else chosen.delete(request.request_id);
        vote.hidden = chosen.size === 0;
      };
      const approvals = request.votes.filter((one) => one.decision === "approve" && !one.struck).length;
      return [
        own
          ? h("span", { title: "your own" }, "yours")
          : h("input", {
              type: "checkbox",
              "aria-label": `select ${request.request_id}`,
              checked: chosen.has(request.request_id),
              onchange: toggle,
            }),
        h(
          "a",
          { href: `#/request/${request.request_id}`, "data-request": request.request_id },
          words(request.action),
        ),
        safe(request.initiator.name),
        about(request.payload),
        `${approvals} of ${request.policy?.quorum ?? "–"}`,
        time(request.created_at),
        until(request.expires_at),
      ];
    };
    list.replaceChildren(
      table(
        ["", "What", "Asked by", "About", "Votes", "Asked", "Expires"],
        pending.map(row),
        "No request is waiting for a decision.",
      ),
    );
  };
  app.connection.addEventListener("queue", draw, { signal: app.gone });
  app.main.append(h("h1", {}, "Queue"), vote, list);
  draw();
}
