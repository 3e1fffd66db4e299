//! The server over real sockets, and the built program driven from outside.
#![allow(clippy::unwrap_used)]

mod books;
mod bounds;
mod broken_connections;
mod checklist;
mod closes;
mod commands;
mod conflation;
mod dates;
mod disk;
mod earn;
mod exports;
mod fan_out;
mod faults;
mod foreign;
mod funding;
mod governance;
mod input;
mod journal_failure;
mod limits;
mod market_data;
mod members;
mod operation;
mod order_types;
mod orders;
mod pages;
mod postgres;
mod protocol;
mod rates;
mod replay;
mod rest;
mod scopes;
mod sessions;
mod settings;
mod snapshots;
mod storms;
mod story;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod throttles;
mod tls;
mod verification;
mod volume;

use support::{client, demo, genesis, served, world};
