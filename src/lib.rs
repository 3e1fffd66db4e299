//! Countersign: a self-hosted WebSocket trading and approval server.
//!
//! A service user signs; a member countersigns. The modules are listed in the order in which they
//! may import one another (`tests/repository` holds the rule; ARCHITECTURE.md draws it).

pub mod domain;

pub mod access;

pub mod engine;

pub mod wire;

pub mod storage;

pub mod sequencer;

pub mod market_data;

pub mod history;

pub mod gateway;

pub mod background;
pub mod cli;
pub mod config;
pub mod dashboard;
pub mod demo;
pub mod server;
pub mod telemetry;
