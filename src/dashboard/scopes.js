// The ten scopes of a key, with the names under which Kraken's users know them.

export const SCOPES = new Map([
  ["query", "Query funds"],
  ["earn", "Earn"],
  ["deposit", "Deposit"],
  ["withdraw", "Withdraw"],
  ["query_open_orders", "Query open orders and trades"],
  ["query_closed_orders", "Query closed orders and trades"],
  ["modify_orders", "Create and modify orders"],
  ["cancel_orders", "Cancel and close orders"],
  ["query_ledger", "Query ledger entries"],
  ["export_data", "Export data"],
]);

/** The name of a scope for people; of one that this page does not know, the one on the wire. */
export function scopeName(scope) {
  return SCOPES.get(scope) ?? scope;
}
