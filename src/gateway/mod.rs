//! Sockets and sessions: HTTP, the handshake, dispatch, streams.

mod answers;
pub mod call;
pub mod connection;
pub mod context;
pub mod credentials;
pub mod directory;
mod dispatch;
pub mod frame;
pub mod handshake;
pub mod inbound;
pub mod listener;
pub mod metrics;
mod narrowing;
pub mod outbound;
pub mod passwords;
pub mod private;
pub mod public;
pub mod release;
pub mod rights;
pub mod ring;
pub mod secrets;
mod session;
pub mod sign_in;
pub mod subscriptions;
pub mod throttle;
pub mod token;
pub mod upgrade;
