//! Load scenarios and baselines for Countersign.
//!
//! The harness is a client like any other: it speaks the public protocol and shares no code with the server. What its
//! figures mean, and what not to conclude from them, is in `README.md`.

// They panic when a stream is full or closed; `output` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod arrival;
pub mod caller;
pub mod checks;
pub mod children;
pub mod connection;
pub mod credentials;
pub mod echo;
pub mod endpoint;
pub mod error;
pub mod figures;
pub mod follower;
pub mod frames;
pub mod group_commit;
pub mod in_flight;
pub mod kinds;
pub mod load;
pub mod machine;
pub mod member;
pub mod metrics;
pub mod mix;
pub mod order_set;
pub mod orders;
pub mod output;
pub mod postgres;
pub mod prepare;
pub mod progress;
pub mod publisher;
pub mod raw_fan_out;
pub mod readers;
pub mod record;
pub mod replies;
pub mod report;
pub mod sampler;
pub mod scenario;
pub mod side_thread;
pub mod signature;
pub mod socket;
pub mod stage;
pub mod streams;
pub mod sync_loop;
pub mod target;
pub mod timeline;
pub mod withdrawals;
