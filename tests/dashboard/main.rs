//! The Members' page in a real browser, against a server in this process.
#![allow(clippy::unwrap_used)]

mod browser;
mod connection;
mod display;
mod forms;
mod governing;
mod history;
mod origin;
mod queue;
mod request;
mod service_users;
#[path = "../support/mod.rs"]
mod support;
mod votes;

use support::{client, demo, genesis, world};
