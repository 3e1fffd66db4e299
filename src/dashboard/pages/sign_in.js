// Signing in: e-mail, password and one-time code, over HTTPS or on this machine.

import { codeInput } from "../ask.js";
import { field, h } from "../dom.js";

/** The form, and why it is there again; `done` is called once the cookie is set. */
export function signIn(done, ended = "") {
  const email = h("input", {
    type: "email",
    name: "email",
    autocomplete: "username",
    required: true,
    autofocus: true,
  });
  const password = h("input", {
    type: "password",
    name: "password",
    autocomplete: "current-password",
    required: true,
  });
  const otp = codeInput({ required: true });
  const problem = h("p", { class: "problem", role: "alert" });
  const button = h("button", { class: "primary" }, "Sign in");
  const submit = async (event) => {
    event.preventDefault();
    problem.textContent = "";
    button.disabled = true;
    const body = JSON.stringify({ email: email.value, password: password.value, otp: otp.value });
    const headers = { "content-type": "application/json" };
    try {
      const answer = await fetch("/session", { method: "POST", headers, body });
      if (answer.ok) return done();
      const wait = answer.status === 429 && answer.headers.get("retry-after");
      problem.textContent = wait ? `Too many attempts: wait ${wait} s.` : (await answer.json()).error[0];
      otp.value = "";
    } catch {
      problem.textContent = "The server does not answer.";
    } finally {
      button.disabled = false;
    }
  };
  return h(
    "form",
    { class: "card narrow", onsubmit: submit, id: "sign-in" },
    h("h1", {}, "Countersign"),
    ended
      ? h("p", { role: "alert" }, `${ended.replace(/^session/, "Your session has")}.`)
      : h("p", {}, "A service user signs; a member countersigns."),
    field("E-mail", email),
    field("Password", password),
    field("One-time code", otp),
    problem,
    h("div", { class: "actions" }, button),
  );
}
