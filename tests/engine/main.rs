//! The engine by scripts: no sockets, no disk, no clock.
#![allow(clippy::unwrap_used)]

mod agreement;
mod amendments;
mod approvals;
mod bounds;
mod checklist;
mod client_ids;
mod closings;
mod deciding;
mod decimals;
mod earn;
mod ended_by;
mod exports;
mod fees;
mod freezes;
mod full_queue;
mod funding;
#[path = "../support/genesis.rs"]
mod genesis;
mod governance;
mod halts;
mod holds;
mod keys;
mod life_cycles;
mod members;
mod model;
mod offers;
mod orders;
mod policies;
mod random;
mod rates;
mod reference_book;
mod reference_play;
mod refusals;
mod registers;
mod ticks;
mod trading;
mod trading_floor;
mod venue;
mod world;
