//! The open sockets as the release step sees them: each a numbered slot and a bounded send queue, filled once a commit.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;

use bytes::Bytes;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::direct_writer::{DirectWrite, DirectWriter};
use super::outgoing::{Outgoing, StatusChange};
use super::throttle::Throttle;
use crate::access::operation::Operation;
use crate::access::principal::Actor;
use crate::config::Limits;
use crate::domain::time::Moment;

/// Deliveries that may wait on one socket. A commit causes at most one, and there may be thousands of commits a second.
const DELIVERIES_MAX: usize = 8_192;

/// Deliveries that may wait on a socket with market data: beyond that a snapshot is worth more than each change, and
/// the system's buffers hold hundreds more anyway.
const MARKET_DATA_MAX: usize = 64;

/// Messages that one call usually causes on its own socket: an answer and its events.
const MESSAGES_PER_CALL: usize = 8;

/// Bytes that a waiting message counts as: most are rendered only when they are written. A rendered frame counts as
/// several, according to its length.
const MESSAGE_BYTES: usize = 512;

/// How many times the send queue's limit may wait on a socket whose peer is reading: its session has not been run yet,
/// which on a busy machine can take longer than filling a queue.
const BURST: usize = 16;

/// Handshakes and token calls of a key that are accepted in a minute, however few sockets it may have.
const ADMISSIONS_LEAST: u32 = 100;

/// What a socket tells the release step outside the engine's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The socket is gone.
    Gone(usize),
    /// The socket no longer follows this channel; the number is that of the subscription.
    Unsubscribed(usize, Operation, u64),
}

/// The open sockets; their slots, which are reused once nobody refers to the old queue; and their notices.
#[derive(Debug)]
pub struct Sockets {
    free: Mutex<Vec<usize>>,
    next: AtomicUsize,
    notices: Mutex<Vec<Notice>>,
    waiting: AtomicUsize,
    messages_max: usize,
    sockets_max: usize,
    /// Accepted handshakes and token calls, by key: each is a journal entry.
    pub admissions: Throttle<Actor>,
    /// Open sockets by holder, for look-ups.
    held: Mutex<HashMap<Actor, usize>>,
    /// Every open socket by its number, for messages to all.
    open: Mutex<HashMap<usize, Weak<SendQueue>>>,
}

impl Sockets {
    /// Sockets with these limits.
    pub fn within(limits: &Limits) -> Arc<Sockets> {
        Sockets::new(limits.send_queue_bytes / MESSAGE_BYTES, limits.connections_per_key)
    }

    /// Each may have `messages_max` messages waiting; one key or Member may have `sockets_max` sockets. Within a minute all
    /// sockets of a key may reconnect a few times, with a token each.
    pub fn new(messages_max: usize, sockets_max: usize) -> Arc<Sockets> {
        Arc::new(Sockets {
            free: Mutex::default(),
            next: AtomicUsize::new(0),
            notices: Mutex::default(),
            waiting: AtomicUsize::new(0),
            messages_max,
            sockets_max,
            admissions: Throttle::new(u32::try_from(sockets_max * 4).unwrap_or(u32::MAX).max(ADMISSIONS_LEAST)),
            held: Mutex::default(),
            open: Mutex::default(),
        })
    }

    /// A slot and queue for a new socket, and the receiver for its session.
    pub fn take(self: &Arc<Sockets>, peer: IpAddr) -> (SocketGuard, mpsc::Receiver<Vec<Outgoing>>) {
        let free = self.free.lock().pop();
        let slot = free.unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, deliveries) = mpsc::channel(DELIVERIES_MAX);
        let queue = Arc::new(SendQueue {
            slot,
            peer,
            sender,
            waiting: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            behind: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            kept: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            alarm: AtomicWaker::new(),
            revoked_at: AtomicU64::new(0),
            direct_writer: OnceLock::new(),
            direct: AtomicU64::new(0),
            sockets: Arc::clone(self),
        });
        self.open.lock().insert(slot, Arc::downgrade(&queue));
        (SocketGuard { queue }, deliveries)
    }

    /// Sends every open socket a message on `status`.
    pub fn announce(&self, change: StatusChange) {
        for queue in self.all() {
            queue.send(vec![Outgoing::Status(change)]);
        }
    }

    /// Tells the session of every open socket that the server is stopping.
    pub fn stop(&self) {
        self.all().iter().for_each(|queue| queue.stop());
    }

    /// Bytes that wait to be written on all sockets together, estimated.
    pub fn bytes_waiting(&self) -> usize {
        self.all().iter().map(|queue| queue.waiting.load(Ordering::Relaxed) * MESSAGE_BYTES).sum()
    }

    /// Every open socket.
    pub fn all(&self) -> Vec<Arc<SendQueue>> {
        // The lock is held for this only: a queue that is dropped takes it to remove itself from the map.
        self.open.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// Records how many sockets a holder has open; `false` when that is more than allowed.
    pub fn count(&self, holder: Actor, sockets: usize) -> bool {
        let mut held = self.held.lock();
        match sockets {
            0 => held.remove(&holder),
            _ => held.insert(holder, sockets),
        };
        sockets <= self.sockets_max
    }

    /// How many sockets a holder has open.
    pub fn held(&self, holder: Actor) -> usize {
        self.held.lock().get(&holder).copied().unwrap_or(0)
    }

    /// Leaves a notice for the release step.
    fn notify(&self, notice: Notice) {
        self.notices.lock().push(notice);
        self.waiting.fetch_add(1, Ordering::Release);
    }

    /// The notices left since the last call.
    pub fn notices(&self) -> Vec<Notice> {
        if self.waiting.swap(0, Ordering::Acquire) == 0 {
            return Vec::new();
        }
        std::mem::take(&mut *self.notices.lock())
    }
}

/// The release step's end of a socket: what waits to be written, and what its session must be woken for.
#[derive(Debug)]
pub struct SendQueue {
    /// Its number, an index of the release step's table.
    pub slot: usize,
    /// The peer's address.
    pub peer: IpAddr,
    sender: mpsc::Sender<Vec<Outgoing>>,
    /// Weight of the messages sent and not written yet.
    waiting: AtomicUsize,
    /// Calls submitted and not answered yet.
    in_flight: AtomicUsize,
    /// The peer has not read for a while.
    behind: AtomicBool,
    /// The socket is too slow for its queue.
    slow: AtomicBool,
    /// The server stops, or the session closes its socket.
    stopping: AtomicBool,
    /// The release step refers to the socket, or is about to: it must hear when the socket leaves.
    kept: AtomicBool,
    /// The socket has left its slot.
    gone: AtomicBool,
    /// Wakes the session when `slow`, `stopping` or `revoked_at` is set: one waker for all, since a session that waits
    /// polls all of them.
    alarm: AtomicWaker,
    /// When the right behind the socket ended, in µs; 0 while it has not.
    revoked_at: AtomicU64,
    /// The open socket's direct writer.
    direct_writer: OnceLock<Weak<DirectWriter>>,
    /// The number of the subscription whose frames are written directly; 0 for none.
    direct: AtomicU64,
    sockets: Arc<Sockets>,
}

impl SendQueue {
    /// Queues messages; `false` when the socket is too slow or gone. It is then told to close and accepts nothing more:
    /// later ones would hide the gap from a client that resumes after them.
    pub fn send(&self, delivery: Vec<Outgoing>) -> bool {
        if self.is_slow() {
            return false;
        }
        let weight = self.weight(&delivery);
        // A single delivery is always accepted: its size is limited by what one commit holds.
        let before = self.waiting.fetch_add(weight, Ordering::Relaxed);
        let room = before == 0 || before + weight <= self.waiting_max();
        let taken = room && self.sender.try_send(delivery).is_ok();
        if !taken {
            self.waiting.fetch_sub(weight, Ordering::Relaxed);
            self.alarm(&self.slow);
        }
        taken
    }

    /// The socket is open, and frames may be written to it directly.
    pub fn opened(&self, direct_writer: &Arc<DirectWriter>) {
        // Set once: a slot's queue serves one socket.
        let _ = self.direct_writer.set(Arc::downgrade(direct_writer));
    }

    /// From now on every item of this subscription may be written directly as it is, or with `None`, of no
    /// subscription. Only for the session, while it is not idle.
    pub fn allow_direct(&self, number: Option<u64>) {
        self.direct.store(number.unwrap_or(0), Ordering::Relaxed);
    }

    /// Whether items of this subscription may be written directly.
    pub fn allows_direct(&self, number: u64) -> bool {
        self.direct.load(Ordering::Relaxed) == number
    }

    /// Writes a frame directly if nothing waits before it, its session is idle and `goes_on`, which is asked while
    /// the session cannot end the subscription. `false` if the frame must be queued instead.
    pub fn write_direct(&self, frame: &Bytes, goes_on: impl FnOnce() -> bool) -> bool {
        self.try_direct(|| goes_on().then_some(frame))
    }

    /// Writes the replies to this many calls directly, if nothing waits before them, the session is idle and
    /// `replies` returns them. `false` if they must be queued instead.
    pub fn write_replies_direct<'a>(&self, calls: usize, replies: impl FnOnce() -> Option<&'a [u8]>) -> bool {
        let written = self.try_direct(replies);
        if written {
            let before = self.in_flight.fetch_sub(calls, Ordering::SeqCst);
            // The session may be waiting for just this, to read on or to end. `in_flight` and `stopping` have one
            // order: if this does not see `stopping`, the session will see that nothing is in flight.
            if before >= self.in_flight_max() || self.stopping.load(Ordering::SeqCst) {
                self.wake();
            }
        }
        written
    }

    /// Prefetches for writing a frame directly. Called for many sockets in a row, so that the waits for memory overlap.
    pub fn prefetch(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0
            && let Some(direct_writer) = self.direct_writer.get().and_then(Weak::upgrade)
        {
            direct_writer.prefetch();
        }
    }

    fn try_direct<'a>(&self, frames: impl FnOnce() -> Option<&'a [u8]>) -> bool {
        if self.waiting.load(Ordering::Relaxed) > 0 || self.is_slow() {
            return false;
        }
        let taken = self
            .direct_writer
            .get()
            .and_then(Weak::upgrade)
            .map_or(DirectWrite::Nothing, |direct_writer| direct_writer.write_direct(frames));
        if taken == DirectWrite::Partial {
            // The session must write the rest.
            self.wake();
        }
        taken != DirectWrite::Nothing
    }

    fn wake(&self) {
        // If the queue is full or closed, the session was woken already.
        let _ = self.sender.try_send(Vec::new());
    }

    /// Records that this many calls are about to be submitted.
    pub fn submitted(&self, calls: usize) {
        self.in_flight.fetch_add(calls, Ordering::SeqCst);
    }

    /// Records that this many calls were answered or refused.
    pub fn finished(&self, calls: usize) {
        self.in_flight.fetch_sub(calls, Ordering::SeqCst);
    }

    /// Calls submitted and not answered yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// The socket could not be sent all that it follows: it is closed, and may reconnect and resume.
    pub fn missed_some(&self) {
        self.alarm(&self.slow);
    }

    /// Calls that the socket may have in flight; each is answered by few messages, so its queue has room for them.
    pub fn in_flight_max(&self) -> usize {
        (self.sockets.messages_max / MESSAGES_PER_CALL).max(16)
    }

    /// Deliveries that wait.
    fn deliveries(&self) -> usize {
        DELIVERIES_MAX - self.sender.capacity()
    }

    /// Whether the session has ended.
    pub fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether there is room for market data: after one more frame there must be room for answers and private items,
    /// which are not sent again.
    pub fn has_room(&self) -> bool {
        self.deliveries() < MARKET_DATA_MAX && self.waiting.load(Ordering::Relaxed) < self.sockets.messages_max / 2
    }

    /// Whether most of what waited has been written.
    pub fn is_reading(&self) -> bool {
        self.deliveries() < MARKET_DATA_MAX / 2 && self.waiting.load(Ordering::Relaxed) < self.sockets.messages_max / 4
    }

    /// The weight of messages in the queue. One frame counts as at most a quarter of the queue, however long it is: a
    /// snapshot may exceed the whole queue, and must not shut out answers while it is written.
    pub fn weight(&self, messages: &[Outgoing]) -> usize {
        let weight = |outgoing: &Outgoing| match outgoing {
            Outgoing::Frame(_, frame) => frame.len().div_ceil(MESSAGE_BYTES).min(self.sockets.messages_max / 4).max(1),
            _ => 1,
        };
        messages.iter().map(weight).sum()
    }

    /// Records that messages of this weight were written.
    pub fn written(&self, weight: usize) {
        self.waiting.fetch_sub(weight, Ordering::Relaxed);
    }

    /// Records whether the peer is behind with reading; if so, less may wait for it.
    pub fn behind(&self, behind: bool) {
        self.behind.store(behind, Ordering::Relaxed);
        // As in `send`, a single delivery that is being written is no reason.
        if self.deliveries() > 0 && self.waiting.load(Ordering::Relaxed) > self.waiting_max() {
            self.alarm(&self.slow);
        }
    }

    /// The weight of messages that may wait.
    fn waiting_max(&self) -> usize {
        let times = if self.behind.load(Ordering::Relaxed) { 1 } else { BURST };
        self.sockets.messages_max.saturating_mul(times)
    }

    /// Waits until the socket has been too slow for its queue. Only for its session.
    pub async fn too_slow(&self) {
        self.alarmed(|| self.is_slow()).await;
    }

    /// Whether something for the socket was refused: from then on everything is.
    fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Acquire)
    }

    /// Makes the release step keep the socket, for which something has arrived. `false` when it has left: nobody would
    /// get what is kept for it, and its slot would stay occupied for ever.
    pub fn keep(&self) -> bool {
        // These and those of `SocketGuard` have one order: either this sees that the socket has left, or its notice comes.
        if !self.kept.load(Ordering::Relaxed) {
            self.kept.store(true, Ordering::SeqCst);
        }
        !self.gone.load(Ordering::SeqCst)
    }

    /// Tells the session that the server is stopping; or from the session, that it ends once nothing is in flight.
    pub fn stop(&self) {
        self.alarm(&self.stopping);
    }

    /// Waits until the server is stopping, or the session closes its socket. Only for that session.
    pub async fn stopping(&self) {
        self.alarmed(|| self.stopping.load(Ordering::Acquire)).await;
    }

    fn alarm(&self, cause: &AtomicBool) {
        cause.store(true, Ordering::SeqCst);
        self.alarm.wake();
    }

    async fn alarmed(&self, cause: impl Fn() -> bool) {
        std::future::poll_fn(|context| {
            self.alarm.register(context.waker());
            if cause() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Records when the right of the socket ended, before it is told to close.
    pub fn revoked(&self, at: Moment) {
        self.revoked_at.store(at.0, Ordering::SeqCst);
        self.alarm.wake();
    }

    /// When the right of the socket ended, if it did.
    pub fn revoked_at(&self) -> Option<Moment> {
        Some(Moment(self.revoked_at.load(Ordering::Acquire))).filter(|at| at.0 > 0)
    }

    /// Waits until the right of the socket has ended. Only for its session.
    pub async fn rights_end(&self) {
        self.alarmed(|| self.revoked_at().is_some()).await;
    }

    /// Leaves a notice about this socket.
    pub fn unsubscribed(&self, channel: Operation, number: u64) {
        self.sockets.notify(Notice::Unsubscribed(self.slot, channel, number));
    }
}

/// Frees the slot when dropped, however a handshake or a session ends.
#[derive(Debug)]
pub struct SocketGuard {
    /// The queue of the socket.
    pub queue: Arc<SendQueue>,
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        self.queue.gone.store(true, Ordering::SeqCst);
        // Notices wait for the next release; on a quiet venue many public sockets may come and go until then.
        if self.queue.kept.load(Ordering::SeqCst) {
            self.queue.sockets.notify(Notice::Gone(self.queue.slot));
        }
    }
}

impl Drop for SendQueue {
    fn drop(&mut self) {
        self.sockets.open.lock().remove(&self.slot);
        self.sockets.free.lock().push(self.slot);
    }
}

#[cfg(test)]
mod tests;
