//! The Members' page in a real browser, against a server in this process.
#![allow(clippy::unwrap_used)]

mod browser;
#[path = "../support/client.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod client;
mod connection;
#[path = "../support/demo.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod demo;
mod forms;
#[path = "../support/genesis.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod genesis;
mod governing;
mod history;
mod origin;
mod queue;
mod request;
mod service_users;
mod shown;
#[path = "../support/world.rs"]
mod world;
