// Members and what each may do.

import { ask, changed } from "../ask.js";
import { field, h, plain, safe, textInput, words } from "../dom.js";
import { listing } from "../listing.js";
import { WORKFLOWS } from "../workflows.js";

const PERMISSIONS = ["view", "initiate", "approve", "execute"];

/** The page. */
export function members(app) {
  const may = app.may("manage_access", "initiate");
  return listing(app, {
    title: "Members",
    workflow: "manage_access",
    columns: ["Name", "E-mail", "Status", "KYC", ...WORKFLOWS.map(words), ""],
    empty: "No Member.",
    fetch: async () => (await app.call("members")).members,
    row: (member, open) => [
      safe(member.name),
      safe(member.email),
      h("span", { class: `tag ${member.status}` }, member.status),
      member.kyc,
      ...WORKFLOWS.map((workflow) => member.permissions[workflow].join(", ") || "–"),
      may &&
        h(
          "button",
          {
            onclick: () => open(change(app, member)),
            "aria-label": `Change ${plain(member.name)}, ${plain(member.email)}`,
          },
          "Change",
        ),
    ],
    add: { title: "Invite a Member", form: () => invite(app) },
  });
}

function permissionFields(held) {
  const boxes = WORKFLOWS.map((workflow) => [
    workflow,
    PERMISSIONS.map((permission) => [
      permission,
      h("input", { type: "checkbox", checked: held?.[workflow].includes(permission) ?? false }),
    ]),
  ]);
  return {
    element: boxes.map(([workflow, row]) =>
      h(
        "fieldset",
        {},
        h("legend", {}, words(workflow)),
        row.map(([permission, box]) => h("label", { class: "check" }, box, permission)),
      ),
    ),
    read: () =>
      Object.fromEntries(
        boxes.map(([workflow, row]) => [
          workflow,
          row.filter(([, box]) => box.checked).map(([permission]) => permission),
        ]),
      ),
  };
}

function invite(app) {
  const name = textInput(64, { name: "name", required: true });
  const email = textInput(64, { type: "email", name: "email", required: true });
  const permissions = permissionFields(null);
  return ask(app, {
    title: "Invite a Member",
    method: "invite_member",
    workflow: "manage_access",
    fields: [
      h(
        "p",
        {},
        "You get a link that works once, for seven days from the approval. The Member can only view until the venue operator has verified who they are (KYC).",
      ),
      field("Name", name),
      field("E-mail", email),
      permissions.element,
    ],
    params: () => ({ name: name.value, email: email.value, permissions: permissions.read() }),
  });
}

/** The fields of a Member, and what they say. */
function memberFields(member) {
  const name = textInput(64, { required: true, value: member.name });
  const permissions = permissionFields(member.permissions);
  const suspended = h("input", { type: "checkbox", checked: member.status === "suspended" });
  return {
    elements: [
      field("Name", name),
      permissions.element,
      h("label", { class: "check" }, suspended, "Suspended"),
    ],
    read: () => ({ name: name.value, permissions: permissions.read(), suspended: suspended.checked }),
  };
}

function change(app, member) {
  const { member_id } = member;
  const form = memberFields(member);
  const who = () => [safe(member.name), ", ", safe(member.email)];
  const edit = ask(app, {
    title: ["Change ", who()],
    method: "edit_member",
    workflow: "manage_access",
    strands: true,
    fields: form.elements,
    params: async () => {
      const { members } = await app.call("members");
      const present = members.find((one) => one.member_id === member_id) ?? member;
      return { member_id, ...changed(memberFields(member).read(), form.read(), memberFields(present).read()) };
    },
  });
  const named = (method, title, text, verb) =>
    ask(app, {
      title,
      method,
      verb,
      kind: "danger",
      workflow: "manage_access",
      strands: true,
      fields: [h("p", {}, text)],
      params: () => ({ member_id }),
    });
  return h(
    "div",
    {},
    edit,
    named(
      "reset_member",
      ["Lost password or second factor of ", who()],
      "You get a link with which the Member sets both again. Sessions end, votes are struck, and KYC has to be verified again.",
      "Request reset",
    ),
    named(
      "remove_member",
      ["Remove ", who()],
      "Sessions end, votes are struck, own pending requests are canceled.",
      "Request removal",
    ),
  );
}
