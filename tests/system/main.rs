//! The server over real sockets, and the built program driven from outside.
#![allow(clippy::unwrap_used)]

mod client;
mod commands;
mod input;
mod rest;
mod scopes;
mod story;
mod world;
