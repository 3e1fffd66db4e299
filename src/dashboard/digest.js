// The digest of what an approver must see: lower-case hex SHA-256 of the RFC 8785 canonical JSON of the
// request. The server computes the same over its own record; a vote names it.

/** Canonical JSON. Requests hold no fractions: amounts are text, counts are integers below 2^53. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    // The default order of sort() is by UTF-16 code units, which is RFC 8785's.
    const members = Object.keys(value)
      .sort()
      .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value);
}

/** What the digest covers, taken from the request as this page has it. */
function covered(organization, request) {
  const { request_id, workflow, action, initiator, created_at, expires_at, payload, policy } = request;
  return {
    organization,
    request_id,
    workflow,
    action,
    initiator: { type: initiator.type, id: initiator.id },
    created_at,
    expires_at,
    payload,
    policy: policy ?? null,
  };
}

/** Whether the browser has cryptography: over plain HTTP off this machine it has none. */
export function verifies() {
  return Boolean(globalThis.crypto?.subtle);
}

/** The digest in hex, or null where the browser cannot compute it. */
export async function digest(organization, request) {
  if (!verifies()) return null;
  const bytes = new TextEncoder().encode(canonical(covered(organization, request)));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return hex(hash);
}

/** Bytes in lower-case hex. */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
