//! The engine by scripts: no sockets, no disk, no clock.
#![allow(clippy::unwrap_used)]

mod agreement;
mod approvals;
mod checklist;
mod funds;
#[path = "../support/genesis.rs"]
mod genesis;
mod governance;
mod keys;
mod members;
mod model;
mod orders;
mod random;
mod trading;
mod venue;
mod world;
