//! The port: bound before the first write, so that a start that cannot have it writes nothing; open once everything runs.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use super::ServerError;

/// Connections that may wait to be accepted; the system has its own limit. A client that finds no room tries again
/// after one second, then two, then four; after a restart all of them connect at once.
const BACKLOG: u32 = 4_096;
/// Bytes that the system buffers for a peer that does not read; it doubles the number for its own needs. By default it
/// buffers megabytes, so a thousand stalled readers would cost gigabytes before one of them is noticed.
const SEND_BUFFER_BYTES: u32 = 128 * 1024;

/// A port that is bound but not open yet: connections to it are refused.
#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    socket: TcpSocket,
}

impl Port {
    /// Binds the port.
    pub(super) fn bind(address: SocketAddr) -> Result<Port, ServerError> {
        let failed = |source| ServerError::Listen { address, source };
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
        // As `TcpListener::bind` does, so that a restart can bind the port again.
        socket.set_reuseaddr(true).map_err(failed)?;
        // The sockets that it accepts inherit this.
        socket.set_send_buffer_size(SEND_BUFFER_BYTES).map_err(failed)?;
        socket.bind(address).map_err(failed)?;
        Ok(Port { address, socket })
    }

    /// Opens it; with where it is, which the system chooses when the settings leave it open.
    pub(super) fn listen(self) -> Result<(TcpListener, SocketAddr), ServerError> {
        let Port { address, socket } = self;
        let failed = |source| ServerError::Listen { address, source };
        let listener = socket.listen(BACKLOG).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        Ok((listener, bound))
    }
}
