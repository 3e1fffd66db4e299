//! The server over real sockets, and the built program driven from outside.
#![allow(clippy::unwrap_used)]

mod books;
mod checklist;
#[path = "../support/client.rs"]
mod client;
mod commands;
mod conflation;
mod cuts;
mod dates;
#[path = "../support/demo.rs"]
mod demo;
mod disk;
mod earn;
mod endings;
mod exports;
mod fan_out;
mod faults;
mod foreign;
mod funding;
#[path = "../support/genesis.rs"]
mod genesis;
mod governance;
mod input;
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
#[path = "../support/served.rs"]
#[allow(dead_code, reason = "the crash tests use the rest")]
mod served;
mod settings;
mod storms;
mod story;
mod streams;
mod throttles;
mod tls;
mod verification;
mod volume;
#[path = "../support/world.rs"]
mod world;
