//! The built server as a process: killed, stopped, and blocked by its clients.
#![allow(clippy::unwrap_used)]

mod cast;
mod checks;
#[path = "../support/client.rs"]
#[allow(dead_code, reason = "the system tests use the rest")]
mod client;
mod follower;
#[path = "../support/genesis.rs"]
#[allow(dead_code, reason = "the system tests use the rest")]
mod genesis;
mod kills;
mod load;
mod minds;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/served.rs"]
mod served;
mod stalled;
mod stop;
#[path = "../support/world.rs"]
mod world;
