//! Load scenarios and baselines for Countersign.
//!
//! The harness is a client like any other: it speaks the public protocol and shares no code with the server. What its
//! figures mean, and what not to conclude from them, is in `README.md`.

pub mod children;
pub mod compare;
pub mod connection;
pub mod credentials;
pub mod echo;
pub mod endpoint;
pub mod error;
pub mod figures;
pub mod frames;
pub mod group_commit;
pub mod idle;
pub mod in_flight;
pub mod load;
pub mod machine;
pub mod metrics;
pub mod mix;
pub mod orders;
pub mod replies;
pub mod signature;
pub mod sync_loop;
