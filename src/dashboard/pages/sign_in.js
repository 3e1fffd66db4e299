// Signing in: e-mail, password and one-time code, over HTTPS or on this machine.

import { codeInput, form } from "../ask.js";
import { post } from "../connection.js";
import { field, h } from "../dom.js";

/** The form, and why it is there if there is a reason; `done` is called once the cookie is set. */
export function signIn(done, why = "") {
  const email = h("input", {
    type: "email",
    name: "email",
    autocomplete: "username",
    required: true,
  });
  const password = h("input", {
    type: "password",
    name: "password",
    autocomplete: "current-password",
    required: true,
  });
  const otp = codeInput({ required: true });
  const submit = async () => {
    const body = { email: email.value, password: password.value, otp: otp.value };
    otp.value = "";
    await post("/session", body);
    done();
  };
  return form(
    { class: "card narrow", id: "sign-in" },
    h("button", { class: "primary" }, "Sign in"),
    submit,
    h("h1", {}, "Countersign"),
    why ? h("p", { role: "alert" }, why) : h("p", {}, "A service user signs; a member countersigns."),
    field("E-mail", email),
    field("Password", password),
    field("One-time code", otp),
  );
}
