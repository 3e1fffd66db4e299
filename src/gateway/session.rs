//! One task for each socket: reads all that has arrived, submits it together, and writes together what was released.
//!
//! The session does the socket's writing; tungstenite reads and answers pings. What tungstenite has queued is flushed
//! before a frame of ours is written, and nothing is read while one is being written.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, poll};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::admission::Admitted;
use super::call::Call;
use super::close::Close;
use super::context::Gateway;
use super::direct_writer::Idle;
use super::frame::Frames;
use super::heartbeat::BEAT;
use super::history_answers::{AwaitingFills, HistoryResult};
use super::outbound::{self, Envelope};
use super::outgoing::{Outgoing, StatusChange};
use super::presence;
use super::release::Ticket;
use super::send_queue::{SendQueue, SocketGuard};
use super::token::Claims;
use super::upgrade::{self, WebSocket};
use crate::access::operation::Operation;
use crate::access::principal::{Actor, Credential, Principal};
use crate::market_data::Topic;
use crate::sequencer::handle::Submission;
use crate::wire::market_data::Status;

/// Messages read from the socket before they are submitted.
const DRAIN_MAX: usize = 256;
/// Requests in progress on one socket whose answers may be long, such as history, or long in coming; at this many,
/// reading waits for one.
const LONG_MAX: usize = 8;
/// Bytes that may be rendered from messages or deliveries before they are written.
const RENDERED_MAX: usize = 256 * 1024;
/// Deliveries taken from the release step before they are written.
const TAKEN_MAX: usize = 64;
/// How long a stopping server waits for history, and a slow peer has to take its last frames.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// A socket that was silent for a second may send a second's worth of messages at once.
const CREDIT_US: u64 = 1_000_000;

/// A private channel that the socket follows, or is about to.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    /// Which of the socket's subscriptions it is.
    pub(super) number: u64,
    /// Whether its acknowledgement was written; items before that belong to an earlier subscription.
    pub(super) started: bool,
    /// Whether the key's query end date has passed under it: nothing follows, and another subscription may replace it.
    pub(super) over: bool,
    /// Frames so far (rule 43).
    pub(super) sequence: u64,
    /// The options asked for; boxed, because the hash table has more room than entries.
    pub(super) options: Box<super::inbound::SubscribeOptions>,
    /// Items that wait for past fills still being read.
    pub(super) held: Option<Box<AwaitingFills>>,
}

/// How a session ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The peer has left, or cannot be written to.
    Gone,
    /// The peer closes, and tungstenite has queued the answer to its close frame.
    Closed,
    /// We close, and say why.
    Close(Close),
    /// We close, and the peer takes nothing: the reason cannot be sent.
    Drop(Close),
}

/// What a session waits for.
enum Next {
    Delivery(Option<Vec<Outgoing>>),
    TooSlow,
    HistoryResult(HistoryResult),
    Message(Option<Result<Message, Error>>),
    Stopping,
    Beat,
}

/// The session's own state; [`dispatch`](super::dispatch) and [`answers`](super::answers) work on it.
pub(super) struct Session {
    pub(super) gateway: Arc<Gateway>,
    pub(super) queue: Arc<SendQueue>,
    pub(super) principal: Principal,
    /// The credential that bound the socket, for messages without a token of their own.
    pub(super) credential: Credential,
    /// The engine has admitted the principal; until then it is only claimed by a token.
    pub(super) bound: bool,
    /// Tokens used here: they stay valid as long as the socket is open (rule 5).
    pub(super) tokens: Vec<(String, Claims)>,
    pub(super) subscriptions: HashMap<Operation, Subscription>,
    /// It has subscribed to `status`, which everybody gets anyway: a subscription all the same.
    pub(super) follows_status: bool,
    /// The topics of market data that it follows, each with the guard that keeps it subscribed.
    pub(super) topics: HashMap<Topic, Arc<()>>,
    /// The engine is judging whether `level3` may begin: nothing is read meanwhile, since the next message may end it.
    pub(super) judging: bool,
    /// The `level3` request that it admitted.
    pub(super) admitted: Option<Call>,
    pub(super) submissions: Vec<Submission<Ticket>>,
    /// Of the calls in flight, or about to be, those whose answers may be long, or long in coming.
    pub(super) long: usize,
    /// Queries to history. They are tasks of their own, so that they continue while the session waits for its peer and
    /// many sessions can share history's few connections.
    pub(super) history: JoinSet<HistoryResult>,
    /// The number of the last subscription.
    pub(super) last_subscription: u64,
    /// Why the socket is closed, and since when the session waits for what must be answered before ([`Session::end`]).
    pub(super) closing: Option<(Close, Instant)>,
    /// What is left of a frame that was written directly in part; written before anything else.
    pub(super) unwritten: Vec<u8>,
    /// Frames to write.
    pub(super) out: Frames,
    /// A buffer for the items of one frame.
    pub(super) items: String,
    /// Identifies the socket to its client; counts from 1 since the start.
    pub(super) connection_id: u64,
    /// A refused token of this socket was logged already.
    pub(super) token_refusal_logged: bool,
    /// What the client may still send, as the time that it takes at the maximum rate, µs.
    credit_us: u64,
    pub(super) last_message: Instant,
    /// When anything was received, even a pong.
    pub(super) last_heard: Instant,
    /// Since when a ping of ours has waited for any sign of life.
    pub(super) pinged: Option<Instant>,
    /// Something was written since the last beat, other than what that beat wrote itself.
    pub(super) wrote: bool,
}

/// The result of the handshake, and what the socket was given.
pub(super) struct Opened {
    /// Its place among the open sockets, given up when this is dropped.
    pub(super) guard: SocketGuard,
    /// Its place among the sockets of its address.
    pub(super) admitted: Admitted,
    /// The deliveries to its queue.
    pub(super) deliveries: mpsc::Receiver<Vec<Outgoing>>,
    /// Whose the socket is.
    pub(super) principal: Principal,
    /// The origin of the page that opened it.
    pub(super) origin: Option<String>,
}

/// Runs a session from beginning to end.
pub(super) fn run(
    gateway: Arc<Gateway>,
    mut socket: WebSocket,
    Opened { guard, admitted, mut deliveries, principal, origin }: Opened,
) -> impl Future<Output = ()> + Send {
    let now = Instant::now();
    let connection_id = gateway.sockets_opened.fetch_add(1, Ordering::Relaxed) + 1;
    let mut session = Session {
        connection_id,
        gateway,
        queue: Arc::clone(&guard.queue),
        bound: false,
        credential: principal.credential,
        principal,
        tokens: Vec::new(),
        subscriptions: HashMap::new(),
        follows_status: false,
        topics: HashMap::new(),
        judging: false,
        admitted: None,
        submissions: Vec::new(),
        long: 0,
        history: JoinSet::new(),
        last_subscription: 0,
        closing: None,
        unwritten: Vec::new(),
        out: Frames::default(),
        items: String::new(),
        token_refusal_logged: false,
        credit_us: CREDIT_US,
        last_message: now,
        last_heard: now,
        pinged: None,
        wrote: false,
    };
    session.opened(origin.as_deref());
    // Memory of waiting sessions matters, so the arguments live on only in this block.
    async move {
        if session.principal.actor != Actor::Public {
            session.bind();
        }
        let served = AssertUnwindSafe(session.serve(&mut socket, &mut deliveries)).catch_unwind().await;
        // A panic can only have spoiled this socket's own state, so it is ended like any other.
        let end = served.unwrap_or(End::Drop(Close::SessionFailed));
        session.closed(end, now.elapsed());
        session.leave();
        match end {
            End::Close(why) => Box::pin(upgrade::close(socket, why)).await,
            End::Closed => Box::pin(upgrade::closed(socket)).await,
            End::Gone | End::Drop(..) => {}
        }
        drop((guard, admitted));
    }
}

impl Session {
    async fn serve(&mut self, socket: &mut WebSocket, deliveries: &mut mpsc::Receiver<Vec<Outgoing>>) -> End {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let queue = Arc::clone(&self.queue);
        let direct_writer = socket.get_ref().direct_writer().map(Arc::clone);
        direct_writer.iter().for_each(|direct_writer| queue.opened(direct_writer));
        // The stop may have been announced before this socket was on the list.
        if self.gateway.is_stopping() {
            queue.stop();
        }
        self.status(None);
        loop {
            if let Err(end) = self.write(socket).await {
                return end;
            }
            if let Some(end) = self.end() {
                return end;
            }
            let next = {
                let mut next = pin!(async {
                    tokio::select! {
                        biased;
                        delivery = deliveries.recv() => Next::Delivery(delivery),
                        () = queue.too_slow() => Next::TooSlow,
                        Some(told) = self.history.join_next(), if !self.history.is_empty() => {
                            // A query that panicked ends this session, as if it had run here.
                            Next::HistoryResult(told.unwrap_or_else(|failed| resume_unwind(failed.into_panic())))
                        }
                        message = socket.next(), if self.reads() => Next::Message(message),
                        () = queue.stopping(), if self.closing.is_none() => Next::Stopping,
                        _ = beat.tick() => Next::Beat,
                    }
                });
                match &direct_writer {
                    Some(direct_writer) => direct_writer.idle_while(next.as_mut()).await,
                    None => Idle::Done(next.as_mut().await),
                }
            };
            let end = match next {
                Idle::Done(next) => self.go_on(next, deliveries, socket).await,
                Idle::Unwritten(unwritten) => {
                    self.unwritten = unwritten;
                    None
                }
            };
            match end {
                None => {}
                Some(End::Close(why)) => self.close(why),
                // No data may follow the answer to a close frame (RFC 6455 §5.5.1), which a flush would send.
                Some(End::Closed) => return End::Closed,
                // What was rendered before the end is still written.
                Some(end) => return self.write(socket).await.err().unwrap_or(end),
            }
        }
    }

    /// Handles the event that the session waited for.
    async fn go_on(
        &mut self,
        next: Next,
        deliveries: &mut mpsc::Receiver<Vec<Outgoing>>,
        socket: &mut WebSocket,
    ) -> Option<End> {
        match next {
            Next::Delivery(Some(delivery)) => return self.deliver(delivery, deliveries, socket).await,
            Next::Delivery(None) => return Some(End::Gone),
            Next::TooSlow => return Some(End::Close(Close::SlowConsumer)),
            Next::HistoryResult(HistoryResult::Answered(answered)) => self.write_history_answer(answered),
            Next::HistoryResult(HistoryResult::Fills(number, told)) => {
                return Box::pin(self.write_fills(number, told, socket)).await;
            }
            Next::HistoryResult(HistoryResult::Replay(page)) => return Box::pin(self.replayed(page, socket)).await,
            Next::Message(message) => return self.read(message, socket).await,
            Next::Stopping => {
                self.closing = Some((Close::PlannedRestart, Instant::now()));
                self.status(None);
            }
            Next::Beat => {
                self.wrote |=
                    socket.get_ref().direct_writer().is_some_and(|direct_writer| direct_writer.wrote_direct());
                let end = self.beat();
                // Written here, otherwise the next beat would take this heartbeat for traffic.
                let failed = self.write(socket).await.err();
                self.wrote = false;
                return failed.or(end);
            }
        }
        None
    }

    /// Reads what has arrived on the socket, up to a limit, and submits it together.
    async fn read(&mut self, first: Option<Result<Message, Error>>, socket: &mut WebSocket) -> Option<End> {
        let time_in = (self.gateway.clock)();
        self.heard();
        let mut next = Some(first);
        let mut end = None;
        for _ in 0..DRAIN_MAX {
            let message = match next.take() {
                Some(message) => message,
                None => match poll!(socket.next()) {
                    Poll::Ready(message) => message,
                    Poll::Pending => break,
                },
            };
            // An answer to our ping does not keep an idle socket open.
            if !matches!(message, Some(Ok(Message::Pong(_)))) {
                self.last_message = self.last_heard;
            }
            end = match message {
                Some(Ok(_)) if !self.spend_credit() => Some(End::Close(Close::TooManyRequests)),
                // Some stock clients send their text as binary (kraken-async-rs).
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => match message.to_text() {
                    Ok(text) => {
                        if let Some(rest) = self.message(text, time_in) {
                            rest.await;
                        }
                        None
                    }
                    Err(_) => Some(End::Close(Close::NotText)),
                },
                Some(Ok(Message::Close(_))) => Some(End::Closed),
                None => Some(End::Gone),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => None,
                Some(Err(error)) => Some(upgrade::refused(&error).map_or(End::Gone, End::Close)),
            };
            if end.is_some() || !self.reads() || self.out.bytes.len() > RENDERED_MAX {
                break;
            }
        }
        self.submit(time_in);
        end
    }

    /// Counts a message; `false` when it was one too many. Pings and pongs count as well.
    fn spend_credit(&mut self) -> bool {
        let price = CREDIT_US / self.gateway.limits.messages_per_second as u64;
        let left = self.credit_us.checked_sub(price);
        self.credit_us = left.unwrap_or(0);
        left.is_some()
    }

    /// Whether the session reads messages now.
    pub(super) fn reads(&self) -> bool {
        let in_flight = self.queue.in_flight() + self.submissions.len();
        let long = self.long + self.history.len();
        self.closing.is_none() && !self.judging && in_flight < self.queue.in_flight_max() && long < LONG_MAX
    }

    /// Records that the peer is there; it may send more according to the time passed.
    fn heard(&mut self) {
        let now = Instant::now();
        let passed = u64::try_from((now - self.last_heard).as_micros()).unwrap_or(CREDIT_US);
        self.credit_us = self.credit_us.saturating_add(passed).min(CREDIT_US);
        (self.last_heard, self.pinged) = (now, None);
    }

    /// Records a message other than a ping; `false` when the Member's session was idle too long before it.
    pub(super) fn acted(&self) -> bool {
        let Credential::Session(cookie_hash) = self.credential else { return true };
        self.gateway.activity.touch(cookie_hash, (self.gateway.clock)())
    }

    /// Renders a delivery and the next ones, writes them, and frees their room.
    async fn deliver(
        &mut self,
        first: Vec<Outgoing>,
        deliveries: &mut mpsc::Receiver<Vec<Outgoing>>,
        socket: &mut WebSocket,
    ) -> Option<End> {
        let now = (self.gateway.clock)();
        let mut weight = self.queue.weight(&first);
        self.render(first, now);
        for _ in 1..TAKEN_MAX {
            if self.out.bytes.len() > RENDERED_MAX {
                break;
            }
            let Ok(delivery) = deliveries.try_recv() else { break };
            weight += self.queue.weight(&delivery);
            self.render(delivery, now);
        }
        if let Some(call) = self.admitted.take() {
            Box::pin(self.follow_orders(call, now)).await;
        }
        if let Err(failed) = self.write(socket).await {
            return Some(failed);
        }
        self.queue.written(weight);
        None
    }

    /// Sends a `status` frame (docs.kraken.com, `status`), for a Member with the announced `change`.
    pub(super) fn status(&mut self, change: Option<StatusChange>) {
        let stopping = matches!(self.closing, Some((Close::PlannedRestart, _)));
        let system = if stopping { "maintenance" } else { self.gateway.directory.system() };
        let status = Status {
            api_version: "v2",
            connection_id: self.connection_id,
            system,
            version: env!("CARGO_PKG_VERSION"),
            frozen: change.and_then(|change| if let StatusChange::Freeze(scope) = change { Some(scope) } else { None }),
            rights: (change == Some(StatusChange::Rights)).then_some("changed"),
            members: (change == Some(StatusChange::Members)).then_some("changed"),
        };
        let mut data = String::new();
        outbound::items::json(&mut data, &[status]);
        self.push(|text| outbound::frame(text, "status", false, &data, None));
    }

    /// The engine has admitted the socket's principal.
    pub(super) fn bind(&mut self) {
        if !self.bound {
            self.bound = true;
            self.log_bound();
        }
        if let Actor::ServiceUser(id) = self.principal.actor {
            self.gateway.presence.enter(id);
        }
    }

    fn leave(&mut self) {
        if let Actor::ServiceUser(id) = self.principal.actor {
            let by_socket = self.subscriptions.values().any(|subscription| subscription.options.cancel_on_disconnect);
            if self.bound {
                presence::left(&self.gateway, id, by_socket);
            } else {
                let by = Principal { credential: self.credential, ..self.principal };
                presence::left_early(&self.gateway, by, id, by_socket);
            }
        }
        self.topics.clear();
    }

    /// Appends the frame whose payload `write` makes.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut String)) {
        self.out.text(write);
    }

    /// Appends a reply.
    pub(super) fn reply(&mut self, envelope: Envelope<'_>, result: Result<&str, &str>) {
        self.push(|text| envelope.reply(text, result));
    }
}
