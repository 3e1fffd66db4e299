//! Receives released batches: answers go to those who asked, events to those who follow, and sockets whose rights ended
//! are closed (rules 8, 42, 50). Runs on the sequencer's thread and never waits.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::call::{Call, Continuation, Follow};
use super::close::Close;
use super::directory::Directory;
use super::fan_out::{self, FanOutItem};
use super::frame::Frames;
use super::metrics::Metrics;
use super::outbound::orders;
use super::outgoing::{Outgoing, Started, StatusChange};
use super::rights;
use super::send_queue::{Notice, SendQueue, Sockets};
use super::subscriptions::{RingLimits, Subscriber, Subscriptions};
use crate::access::operation::Operation;
use crate::access::principal::Actor;
use crate::access::workflow::{Permission, Workflow};
use crate::domain::ids::{MemberId, Seq};
use crate::domain::time::Moment;
use crate::engine::event::Event;
use crate::engine::members::MemberStatus;
use crate::engine::query::View;
use crate::engine::reject::{Code, Reject};
use crate::engine::reply::{Bound, Reply};
use crate::engine::streams::Stream;
use crate::history::Feed as HistoryFeed;
use crate::market_data::Feed as MarketFeed;
use crate::sequencer::handle::{Answer, Outcome};
use crate::sequencer::{Release, Released, Stamped};

/// Where an answer goes.
#[derive(Debug)]
pub enum Ticket {
    /// A waiting task.
    Ask(Waiting),
    /// A waiting handshake: on success the socket belongs to the key or Member from this moment.
    Open(Arc<SendQueue>, Waiting),
    /// A call of a socket.
    Call(Arc<SendQueue>, Call),
}

/// A task that waits for an answer, and its turn, which ends with the answer even if the task is gone.
#[derive(Debug)]
pub struct Waiting {
    answer: oneshot::Sender<Option<Outcome>>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Waiting {
    /// A task that reads the other end of `answer`.
    pub fn new(answer: oneshot::Sender<Option<Outcome>>, turn: Option<OwnedSemaphorePermit>) -> Waiting {
        Waiting { answer, _turn: turn }
    }

    /// Sends it the outcome; `None` if the journal failed and the outcome is not known.
    fn answer(self, outcome: Option<Outcome>) {
        // The task may be gone; then nobody waits for the answer.
        let _ = self.answer.send(outcome);
    }
}

/// To how many sockets one release writes answers directly; each submission that waits for the engine lowers it by one.
/// Waking a session costs as much as the write, but these writes delay the engine, while sessions write in parallel.
const DIRECT_MAX: usize = 64;
/// Replies that a release writes directly to one socket: more would cost more than waking the session.
const DIRECT_EACH: usize = 32;

/// What the releaser knows of one socket.
#[derive(Debug, Default)]
struct Slot {
    queue: Option<Arc<SendQueue>>,
    delivery: Vec<Outgoing>,
    /// How many messages the previous delivery had: as much room is reserved at once.
    usual: usize,
    /// Whom it belongs to. The answer that says so is handled before the events of its batch, earlier ones included.
    holder: Option<Bound>,
    /// The streams that it follows, or will once history has delivered the past; with the number of the subscription.
    channels: Vec<(Stream, u64)>,
    closing: bool,
}

impl Slot {
    /// Keeps a message for the next delivery, of a socket that is closing only an answer; returns whether it is the first
    /// one.
    fn add(&mut self, outgoing: Outgoing) -> bool {
        let answers = matches!(outgoing, Outgoing::Answer(..) | Outgoing::Failed(..) | Outgoing::Started(..));
        if self.closing && !answers {
            return false;
        }
        let first = self.delivery.is_empty();
        if first {
            // Most followers get a single item; the default room for four would be most of what a fan-out moves.
            self.delivery.reserve_exact(self.usual.max(1));
        }
        self.closing |= matches!(outgoing, Outgoing::Close(..));
        self.delivery.push(outgoing);
        first
    }

    /// Writes the answers directly if the socket's session is idle and they are few and all about orders; `false`
    /// when they must be sent instead.
    fn write_direct(&mut self, out: &mut Frames, now: Moment) -> bool {
        let Slot { queue: Some(queue), delivery, .. } = self else { return false };
        // Checked before rendering, which the session would have to repeat. Those that may be long it counts itself.
        let short = |outgoing: &Outgoing| matches!(outgoing, Outgoing::Answer(call, Ok(answer)) if !call.may_be_long() && orders::canceled(answer) <= DIRECT_EACH);
        if delivery.len() > DIRECT_EACH || !delivery.iter().all(short) {
            return false;
        }
        let written = queue.write_replies_direct(delivery.len(), || {
            out.bytes.clear();
            let rendered = delivery
                .iter()
                .all(|outgoing| matches!(outgoing, Outgoing::Answer(call, Ok(answer)) if orders::reply(out, call, answer, now)));
            let out: &Frames = out;
            rendered.then_some(&out.bytes)
        });
        if written {
            self.usual = delivery.len();
            delivery.clear();
        }
        written
    }
}

/// Who else gets what was released.
pub struct Feeds {
    /// Books, trades and tickers.
    pub market_data: MarketFeed,
    /// The SQL tables.
    pub history: HistoryFeed,
    /// The streams that many follow.
    pub fan_out: fan_out::Feed,
    /// What is counted for `/metrics`.
    pub metrics: Arc<Metrics>,
}

/// The gateway's end of the sequencer.
pub struct Releaser {
    directory: Arc<Directory>,
    sockets: Arc<Sockets>,
    slots: Vec<Slot>,
    dirty: Vec<usize>,
    held: HashMap<Actor, Vec<usize>>,
    subscriptions: Subscriptions,
    feeds: Feeds,
    /// For the fan-out, after the answers were sent.
    fan_out_items: Vec<FanOutItem>,
    clock: fn() -> Moment,
    /// The answers of one socket, reused.
    out: Frames,
}

impl Releaser {
    /// A releaser whose streams can resume over `recent`, the last events up to `seq`, as far as `rings` allow.
    pub fn new(
        directory: Arc<Directory>,
        sockets: Arc<Sockets>,
        seq: Seq,
        recent: &[Arc<Stamped>],
        rings: RingLimits,
        feeds: Feeds,
        clock: fn() -> Moment,
    ) -> Releaser {
        let start = recent.first().map_or(seq, |first| Seq(first.seq.0 - 1));
        let mut subscriptions = Subscriptions::new(start, rings);
        feeds.metrics.reached(seq, recent.last().map_or(Moment(0), |last| last.at));
        for stamped in recent {
            subscriptions.publish(stamped, |_, _| {}, |_| {});
        }
        Releaser {
            directory,
            sockets,
            slots: Vec::new(),
            dirty: Vec::new(),
            held: HashMap::new(),
            subscriptions,
            feeds,
            fan_out_items: Vec::new(),
            clock,
            out: Frames::default(),
        }
    }

    fn slot(&mut self, queue: &Arc<SendQueue>) -> &mut Slot {
        let at = queue.slot;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, Slot::default);
        }
        let slot = &mut self.slots[at];
        slot.queue.get_or_insert_with(|| Arc::clone(queue));
        slot
    }

    fn send_to(&mut self, queue: &Arc<SendQueue>, outgoing: Outgoing) {
        if self.slot(queue).add(outgoing) {
            self.dirty.push(queue.slot);
        }
    }

    fn handle_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Unsubscribed(at, channel, number) => {
                let Some(slot) = self.slots.get_mut(at) else { return };
                let of = |open: &(Stream, u64)| open.0.1 == channel && open.1 == number;
                if let Some(index) = slot.channels.iter().position(of) {
                    let (stream, _) = slot.channels.swap_remove(index);
                    self.subscriptions.leave(stream, at);
                }
            }
            Notice::Gone(at) => {
                let Some(slot) = self.slots.get_mut(at).map(std::mem::take) else { return };
                slot.channels.into_iter().for_each(|(stream, _)| self.subscriptions.leave(stream, at));
                let Some(Bound { actor, .. }) = slot.holder else { return };
                if let Some(held) = self.held.get_mut(&actor) {
                    held.retain(|other| *other != at);
                    let _ = self.sockets.count(actor, held.len());
                    if held.is_empty() {
                        self.held.remove(&actor);
                    }
                }
            }
        }
    }

    /// From now on the socket belongs to this key or Member.
    fn bind(&mut self, queue: &Arc<SendQueue>, bound: Bound) {
        let slot = self.slot(queue);
        if slot.holder.is_none() {
            slot.holder = Some(bound);
            let held = self.held.entry(bound.actor).or_default();
            held.push(queue.slot);
            if !self.sockets.count(bound.actor, held.len()) {
                self.send_to(queue, Outgoing::Close(Close::TooManyConnections));
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, outcome: Outcome) {
        match &outcome {
            Err(reject) => self.feeds.metrics.refused(reject.code),
            // Sign-ins of Members are limited before the engine.
            Ok(Answer::Reply(Reply::Bound(bound), _)) if !matches!(bound.actor, Actor::Member(_)) => {
                self.sockets.admissions.count(bound.actor, (self.clock)());
            }
            Ok(_) => {}
        }
        match ticket {
            Ticket::Ask(waiting) => waiting.answer(Some(outcome)),
            Ticket::Open(queue, ..) | Ticket::Call(queue, _) if !queue.keep() => {}
            Ticket::Open(queue, waiting) => {
                if let Some(bound) = bound_by(&outcome) {
                    self.bind(&queue, bound);
                }
                waiting.answer(Some(outcome));
            }
            Ticket::Call(queue, call) => {
                if let Some(bound) = bound_by(&outcome) {
                    self.bind(&queue, bound);
                }
                let outgoing = match (&call.then, outcome) {
                    (Continuation::Subscribe(follow), Ok(Answer::View(view))) => {
                        let started = self.subscribe(&queue, call.operation, *follow, view);
                        Outgoing::Started(call, started.map(Box::new))
                    }
                    (_, outcome) => Outgoing::Answer(call, outcome),
                };
                self.send_to(&queue, outgoing);
            }
        }
    }

    fn subscribe(
        &mut self,
        queue: &Arc<SendQueue>,
        channel: Operation,
        follow: Follow,
        view: View,
    ) -> Result<Started, Reject> {
        let View::Snapshot(snapshot) = view else {
            return Err(Reject::of(Code::InvalidArguments));
        };
        // Without a holder no lost right would close it: its token was refused, and a later one accepted.
        let Some(holder) = self.slot(queue).holder else { return Err(Reject::of(Code::InvalidSession)) };
        let member = match holder.actor {
            Actor::Member(member) => Some(member),
            Actor::Public | Actor::ServiceUser(_) | Actor::Venue(_) | Actor::Server => None,
        };
        let stream = (snapshot.owner, channel);
        let subscriber = Subscriber { queue: Arc::clone(queue), number: follow.number, since: snapshot.at, member };
        let started = self.subscriptions.follow(channel, subscriber, follow.from_offset, *snapshot)?;
        let channels = &mut self.slot(queue).channels;
        channels.retain(|(open, _)| *open != stream);
        channels.push((stream, follow.number));
        Ok(started)
    }

    fn publish(&mut self, stamped: &Arc<Stamped>) {
        let Releaser { subscriptions, slots, dirty, fan_out_items, .. } = self;
        let deliver = |queue: &Arc<SendQueue>, outgoing| {
            if slots[queue.slot].add(outgoing) {
                dirty.push(queue.slot);
            }
        };
        subscriptions.publish(stamped, deliver, |of| fan_out_items.push(of));
        self.tell_members(stamped);
        self.close_what_ended(stamped);
    }

    /// Tells Members what concerns them beside the streams: a freeze of their Organization, a change of their own
    /// rights, and one of another Member that no request reports, as by the venue operator or an invitation.
    fn tell_members(&mut self, stamped: &Stamped) {
        let of = |organization| -> Vec<MemberId> {
            self.directory.members(|members| members.of(organization).map(|member| member.id).collect())
        };
        match &stamped.event {
            Event::Frozen(freeze) => self.announce(of(freeze.organization), StatusChange::Freeze(freeze.scope.name())),
            Event::Unfrozen { organization } => self.announce(of(*organization), StatusChange::Freeze("none")),
            Event::MemberChanged(member) => {
                let mut listing = Vec::new();
                if matches!(stamped.by, Actor::Venue(_) | Actor::Public) {
                    listing = of(member.organization);
                    let views =
                        |id| self.directory.members(|all| all.may(id, Workflow::ManageAccess, Permission::View));
                    listing.retain(|id| *id != member.id && views(*id));
                }
                self.announce(listing, StatusChange::Members);
                if member.status == MemberStatus::Active {
                    self.announce(vec![member.id], StatusChange::Rights);
                }
            }
            _ => {}
        }
    }

    fn announce(&mut self, members: Vec<MemberId>, change: StatusChange) {
        let held = members.into_iter().filter_map(|member| self.held.get(&Actor::Member(member)));
        for at in held.flatten().copied().collect::<Vec<usize>>() {
            let Some(queue) = self.slots[at].queue.clone() else { continue };
            self.send_to(&queue, Outgoing::Status(change));
        }
    }

    /// Closes the sockets that an event leaves without a right (rule 8).
    fn close_what_ended(&mut self, stamped: &Stamped) {
        let event = &stamped.event;
        let touched = rights::touched(&self.directory, event);
        let held: Vec<usize> = touched.iter().filter_map(|holder| self.held.get(holder)).flatten().copied().collect();
        for at in held {
            let Slot { queue: Some(queue), holder: Some(holder), channels, .. } = &self.slots[at] else { continue };
            if stamped.seq <= holder.at {
                continue;
            }
            let open: Vec<Operation> = channels.iter().map(|((_, channel), _)| *channel).collect();
            if let Some(why) = rights::verdict(event, queue.peer, holder.credential, &open) {
                let queue = Arc::clone(queue);
                queue.revoked(stamped.at);
                self.send_to(&queue, Outgoing::Close(why));
            }
        }
    }

    /// Sends the answers of sockets that follow nothing: no item can belong in the same write (rule 50).
    fn send_answers(&mut self, waiting: usize) {
        let (plain, following) =
            std::mem::take(&mut self.dirty).into_iter().partition(|at| self.slots[*at].channels.is_empty());
        self.dirty = plain;
        self.write_answers_direct(waiting);
        self.send();
        self.dirty = following;
    }

    /// Writes answers directly to the sockets where that is possible, fewer the more submissions wait.
    fn write_answers_direct(&mut self, waiting: usize) {
        let now = (self.clock)();
        let Releaser { slots, dirty, out, .. } = self;
        let mut left = DIRECT_MAX.saturating_sub(waiting);
        dirty.retain(|at| {
            let written = left > 0 && slots[*at].write_direct(out, now);
            left -= usize::from(written);
            !written
        });
    }

    fn send(&mut self) {
        for at in std::mem::take(&mut self.dirty) {
            let slot = &mut self.slots[at];
            let delivery = std::mem::take(&mut slot.delivery);
            slot.usual = delivery.len();
            if let Some(queue) = &slot.queue {
                // If the socket is too slow, this very call tells it to close.
                queue.send(delivery);
            }
        }
    }
}

/// Whom an answer binds a socket to.
fn bound_by(outcome: &Outcome) -> Option<Bound> {
    match outcome {
        Ok(Answer::Reply(Reply::Bound(bound), _) | Answer::View(View::Bound(bound))) => Some(**bound),
        _ => None,
    }
}

impl Release for Releaser {
    type Ticket = Ticket;

    fn release(&mut self, batch: Released<Ticket>) {
        for notice in self.sockets.notices() {
            self.handle_notice(notice);
        }
        let system = self.directory.system();
        // Before anybody can name a market of this batch: market data answers only once it has the batch.
        if let Some(last) = batch.events.last() {
            self.feeds.market_data.announce(last.seq);
        }
        self.directory.follow(&batch.events);
        let Feeds { market_data, history, metrics, .. } = &self.feeds;
        metrics.released(&batch.events, market_data.waiting(), history.waiting());
        for (ticket, outcome) in batch.answers {
            self.answer(ticket, outcome);
        }
        self.send_answers(batch.waiting);
        for stamped in batch.events.iter() {
            self.publish(stamped);
        }
        self.send();
        // A reply comes before its consequences (rule 50), so the others get them only now.
        if !batch.events.is_empty() {
            self.feeds.market_data.feed(&batch.events);
            self.feeds.history.feed(&batch.events);
        }
        self.fan_out_items.drain(..).for_each(|item| self.feeds.fan_out.send(item));
        if self.directory.system() != system {
            self.sockets.announce(StatusChange::System);
        }
    }

    fn failed(&mut self, tickets: Vec<Ticket>) {
        for ticket in tickets {
            match ticket {
                Ticket::Ask(waiting) | Ticket::Open(_, waiting) => waiting.answer(None),
                Ticket::Call(queue, call) if queue.keep() => self.send_to(&queue, Outgoing::Failed(call)),
                Ticket::Call(..) => {}
            }
        }
        self.send();
    }

    fn accepting(&mut self, accepts: bool) {
        self.directory.set_read_only(!accepts);
        self.sockets.announce(StatusChange::System);
    }
}

#[cfg(test)]
mod tests;
