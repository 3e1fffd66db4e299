//! The state machine. No I/O, no clock, no randomness, no hash-ordered iteration: the same commands give
//! the same bytes on every machine.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod approvals;
pub mod caller;
pub mod command;
pub mod deposits;
pub mod earn;
pub mod event;
pub mod ledger;
pub mod members;
pub mod orders;
pub mod policy;
pub mod query;
pub mod reference;
pub mod reject;
pub mod service_users;
pub mod state;
pub mod transition;
pub mod withdrawals;
pub mod workflows;
