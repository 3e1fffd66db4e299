//! Sockets and sessions: HTTP, the handshake, dispatch, streams.

pub mod credentials;
pub mod directory;
pub mod frame;
pub mod inbound;
pub mod listener;
pub mod outbound;
pub mod passwords;
pub mod public;
pub mod release;
pub mod secrets;
pub mod token;
pub mod upgrade;
