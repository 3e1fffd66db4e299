//! How a session writes: in one go if the socket takes it, and with patience that ends if it does not.

use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures::SinkExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::outlet::Outlet;
use super::rights::SLOW_CONSUMER;
use super::session::{End, PATIENCE, Session};
use super::upgrade::WebSocket;

/// How long a peer may leave a write untaken before it is behind.
const BRIEF: Duration = Duration::from_millis(50);

/// A buffer that grew beyond this for one burst is given back.
const BUFFER_KEPT: usize = 64 * 1024;

impl Session {
    /// Writes what was rendered, in one go if the socket takes it.
    pub(super) async fn write(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        if self.out.bytes.is_empty() && self.rest.is_empty() {
            return Ok(());
        }
        let mut whole = pin!(async {
            socket.get_mut().write_all(&self.rest).await.map_err(|_| End::Gone)?;
            socket.flush().await.map_err(|_| End::Gone)?;
            let socket = socket.get_mut();
            socket.write_all(&self.out.bytes).await.map_err(|_| End::Gone)?;
            // Nothing for a plain socket; TLS may hold a record back.
            socket.flush().await.map_err(|_| End::Gone)
        });
        let written = match futures::poll!(whole.as_mut()) {
            Poll::Ready(written) => written,
            Poll::Pending => {
                let written = Box::pin(patiently(whole, &self.outlet, self.ping() * 2)).await;
                self.outlet.behind(false);
                written
            }
        };
        self.rest = Vec::new();
        self.out.bytes.clear();
        if self.out.bytes.capacity() > BUFFER_KEPT {
            self.out.bytes.shrink_to(BUFFER_KEPT);
        }
        self.last_write = Instant::now();
        written
    }
}

/// Waits until a peer that is behind has taken a write, and only a little longer once too much more waits for it or the
/// server stops. One that takes nothing for `dead_after` has vanished; TCP alone would try for a quarter of an hour.
async fn patiently(
    mut whole: Pin<&mut impl Future<Output = Result<(), End>>>,
    outlet: &Outlet,
    dead_after: Duration,
) -> Result<(), End> {
    if let Ok(written) = tokio::time::timeout(BRIEF, whole.as_mut()).await {
        return written;
    }
    outlet.behind(true);
    let too_slow = tokio::select! {
        biased;
        written = whole.as_mut() => return written,
        () = outlet.too_slow() => true,
        () = outlet.stopping() => false,
        () = tokio::time::sleep(dead_after) => return Err(End::Gone),
    };
    match tokio::time::timeout(PATIENCE, whole).await {
        Ok(Ok(())) if too_slow => Err(End::Close(SLOW_CONSUMER, "slow consumer")),
        Ok(written) => written,
        Err(_) if too_slow => Err(End::Drop(SLOW_CONSUMER, "slow consumer")),
        Err(_) => Err(End::Gone),
    }
}
