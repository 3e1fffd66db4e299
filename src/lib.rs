//! Countersign: a self-hosted WebSocket trading and approval server.
//!
//! A service user signs; a member countersigns. Each module imports only from those listed before it
//! (`tests/repository` holds the rule; ARCHITECTURE.md draws it).

// These macros panic when the stream is full or closed.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod domain;

pub mod access;

pub mod engine;

pub mod wire;

pub mod storage;

pub mod config;

pub mod telemetry;

pub mod background;

pub mod sequencer;

pub mod market_data;

pub mod history;

pub mod gateway;

pub mod dashboard;

pub mod server;

pub mod demo;

pub mod cli;
