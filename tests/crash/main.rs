//! The built server as a process: killed, stopped, and blocked by its clients.
#![allow(clippy::unwrap_used)]

mod actors;
mod checks;
mod follower;
mod kills;
mod load;
mod scenario;
mod stalled;
mod stop;
#[path = "../support/mod.rs"]
mod support;

use support::{client, postgres, served, world};
