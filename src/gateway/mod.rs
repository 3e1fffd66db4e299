//! Sockets and sessions: HTTP, the handshake, dispatch, streams.

pub mod credentials;
pub mod frame;
pub mod listener;
pub mod passwords;
pub mod secrets;
pub mod token;
pub mod upgrade;
