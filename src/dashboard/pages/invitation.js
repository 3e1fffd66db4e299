// An invited Member chooses a password and gets a second factor, then proves it.

import { codeInput } from "../ask.js";
import { field, h } from "../dom.js";

/** The form for an invitation's token; `done` goes on to signing in. */
export function invitation(token, done) {
  const card = h("section", { class: "card narrow" });
  const problem = h("p", { class: "problem", role: "alert" });
  const post = async (body) => {
    problem.textContent = "";
    const headers = { "content-type": "application/json" };
    const path = `/invitations/${encodeURIComponent(token)}`;
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }).catch(
      () => null,
    );
    if (answer?.ok) return answer.json();
    const told = await answer?.json().catch(() => null);
    problem.textContent = told?.error?.[0] ?? "The server does not answer.";
    return null;
  };
  const first = () => {
    const password = h("input", {
      type: "password",
      autocomplete: "new-password",
      minlength: "10",
      required: true,
      autofocus: true,
    });
    const submit = async (event) => {
      event.preventDefault();
      const answer = await post({ password: password.value });
      if (answer) second(answer.totp_secret);
    };
    card.replaceChildren(
      h("h1", {}, "Welcome to Countersign"),
      h(
        "form",
        { onsubmit: submit },
        field("Choose a password", password, "10 to 256 bytes"),
        problem,
        h("div", { class: "actions" }, h("button", { class: "primary" }, "Go on")),
      ),
    );
  };
  const second = (secret) => {
    const otp = codeInput({ required: true });
    const submit = async (event) => {
      event.preventDefault();
      if (!(await post({ otp: otp.value }))) return;
      location.hash = "#/queue";
      done();
    };
    card.replaceChildren(
      h("h1", {}, "Second factor"),
      h(
        "p",
        {},
        "Enter this secret into your authenticator app (time-based, 6 digits, 30 seconds), then give the code it shows.",
      ),
      field("Secret", h("input", { readonly: true, value: secret, "data-secret": "totp" })),
      h(
        "form",
        { onsubmit: submit },
        field("One-time code", otp),
        problem,
        h("div", { class: "actions" }, h("button", { class: "primary" }, "Confirm")),
      ),
    );
    otp.focus();
  };
  first();
  return card;
}
