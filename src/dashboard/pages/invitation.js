// An invited Member chooses a password and gets a second factor, then proves it.

import { codeInput, form } from "../ask.js";
import { post } from "../connection.js";
import { field, h } from "../dom.js";

/** The form for an invitation's token; `done` goes on to signing in. */
export function invitation(token, done) {
  const card = h("section", { class: "card narrow" });
  const path = `/invitations/${encodeURIComponent(token)}`;
  const password = h("input", {
    type: "password",
    autocomplete: "new-password",
    minlength: "10",
    required: true,
    autofocus: true,
  });
  const second = async () => {
    const { totp_secret } = await post(path, { password: password.value });
    const otp = codeInput({ required: true });
    const confirm = async () => {
      await post(path, { otp: otp.value });
      done();
    };
    card.replaceChildren(
      h("h1", {}, "Second factor"),
      h(
        "p",
        {},
        "Enter this secret into your authenticator app (time-based, 6 digits, 30 seconds), then give the code it shows.",
      ),
      field("Secret", h("input", { readonly: true, value: totp_secret, "data-secret": "totp" })),
      form({}, h("button", { class: "primary" }, "Confirm"), confirm, field("One-time code", otp)),
    );
    otp.focus();
  };
  card.append(
    h("h1", {}, "Welcome to Countersign"),
    form(
      {},
      h("button", { class: "primary" }, "Continue"),
      second,
      field("Choose a password", password, "10 characters or more"),
    ),
  );
  return card;
}
