//! Who may do what: scopes, keys, the table of operations and `permit`.
