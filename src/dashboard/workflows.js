// The four governed workflows, in the order in which the page shows them.

export const WORKFLOWS = ["initiate_withdrawal", "manage_access", "manage_policies", "manage_addresses"];
