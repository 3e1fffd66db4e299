//! Sockets and sessions: HTTP, the handshake, dispatch, streams.

// The port: connections, HTTP, and refusals before a socket is open.
mod admission;
mod deadline;
pub mod handshake;
pub mod health;
mod http_request;
pub mod listener;
pub mod metrics;
mod peer;
pub mod refusal;
pub mod rest_private;
pub mod rest_public;
pub mod sign_in;
mod socket;
pub mod tls;
pub mod upgrade;

// Authentication: keys, passwords, tokens, and limits on failures.
pub mod activity;
pub mod credentials;
pub mod passwords;
pub mod presence;
pub mod secrets;
mod throttle;
pub mod token;

// A session: from frames to the engine, and from answers to frames.
mod answers;
pub mod call;
pub mod close;
mod dispatch;
pub mod frame;
mod heartbeat;
mod history_answers;
pub mod inbound;
pub mod outbound;
mod replay;
mod session;
mod socket_log;
mod topics;
mod writing;

// What is released, on its way to the sessions.
mod direct_writer;
pub mod fan_out;
mod filters;
mod outgoing;
pub mod release;
mod rights;
pub mod ring;
pub mod send_queue;
pub mod subscriptions;
mod topic_subscriber;

// What all of them share, and what runs beside them.
pub mod context;
pub mod directory;
pub mod exports;

// For tests and fuzzing.
#[cfg(test)]
mod test_gateway;
pub mod untrusted;
