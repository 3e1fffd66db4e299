//! Sockets and sessions: HTTP, the handshake, dispatch, streams.
