//! Streams that resume from an offset older than the ring: history delivers what was missed, a page at a time and as
//! fast as the socket takes it, until the ring has the rest and the stream is live (rule 42).
//!
//! Before the stream goes live, the engine is asked again, so that nobody follows who may not. Meanwhile the release
//! step counts the channel as open on the socket, and closes the socket if its right is lost (rule 8).

use std::sync::Arc;

use super::answers::Group;
use super::call::{Call, Continuation, Follow};
use super::close::Close;
use super::history_answers::{HistoryResult, busy};
use super::rights;
use super::ring::Item;
use super::session::{End, Session};
use super::subscriptions::unknown_offset;
use super::upgrade::WebSocket;
use crate::access::operation::Operation;
use crate::access::principal::Actor;
use crate::domain::ids::Seq;
use crate::domain::time::Moment;
use crate::engine::query::{Owner, Query};
use crate::engine::reject::Reject;
use crate::history::{Busy, Past};
use crate::sequencer::handle::Work;

/// Items rendered before they are written.
pub(super) const AT_ONCE_MAX: usize = 256;

/// A replay in progress.
pub(super) struct Replay {
    pub(super) call: Call,
    pub(super) follow: Follow,
    pub(super) owner: Owner,
    /// The event as of which the engine gave permission; history delivers what was missed up to here.
    pub(super) at: Seq,
    /// The warnings for the acknowledgement.
    pub(super) warnings: Vec<&'static str>,
    pub(super) fills: bool,
}

/// A replay and its next page.
pub(super) type ReplayPage = (Replay, Result<Past, Busy>);

impl Session {
    /// Whether the socket still has this subscription and has not ended it.
    pub(super) fn follows(&self, channel: Operation, number: u64) -> bool {
        self.subscriptions.get(&channel).is_some_and(|subscription| subscription.number == number)
    }

    /// Asks the engine to start the stream.
    pub(super) fn follow(&mut self, call: Call, follow: Follow) {
        let channel = call.operation;
        let wanted =
            self.subscriptions.get(&channel).is_none_or(|subscription| subscription.options.wants_snapshot(channel));
        let open_orders = follow.too_old || (wanted && follow.from_offset.is_none());
        self.ask(
            Work::Query(Query::Subscribe { channel, open_orders }),
            Call { then: Continuation::Subscribe(follow), ..call },
        );
    }

    /// Queries history for the next page.
    pub(super) fn read_on(&mut self, replay: Replay) {
        let history = self.gateway.history.clone();
        self.history.spawn(async move {
            let stream = (replay.owner, replay.call.operation);
            let page = history.stream(stream, replay.follow.from_offset.unwrap_or(0), replay.at).await;
            HistoryResult::Replay((replay, page))
        });
    }

    /// Writes a page and asks for the next one; the acknowledgement comes before the first.
    pub(super) async fn replayed(&mut self, (mut replay, page): ReplayPage, socket: &mut WebSocket) -> Option<End> {
        let now = (self.gateway.clock)();
        let page = match page {
            _ if !self.follows(replay.call.operation, replay.follow.number) => {
                self.ended_early(&replay.call, replay.follow, now);
                return None;
            }
            // The engine's permission was as of then; a client that reconnects is judged again.
            Ok(_) if !self.sees_past(replay.call.operation) => return Some(End::Close(Close::ReplayBrokenOff)),
            Ok(Past::Page(page)) => page,
            _ if replay.follow.acknowledged => return Some(End::Close(Close::ReplayBrokenOff)),
            Ok(Past::TooOld) => {
                self.follow(replay.call, Follow { from_offset: None, too_old: true, ..replay.follow });
                self.submit(now);
                return None;
            }
            Ok(Past::Unknown) => {
                self.refused(&replay.call, &unknown_offset(), now);
                return None;
            }
            Err(Busy) => {
                self.refused(&replay.call, &busy(), now);
                return None;
            }
        };
        if !replay.follow.acknowledged {
            self.acknowledge_stream(&replay.call, std::mem::take(&mut replay.warnings), replay.fills, now);
            replay.follow.acknowledged = true;
        }
        let mut items = page.items.into_iter().map(|(stamped, route)| Item::new(stamped, route)).peekable();
        while items.peek().is_some() {
            self.replay(replay.call.operation, items.by_ref().take(AT_ONCE_MAX));
            if let Err(failed) = self.write(socket).await {
                return Some(failed);
            }
        }
        replay.follow.from_offset = Some(page.until);
        if self.closing.is_some() {
            // The client resumes from here after the restart.
            return None;
        }
        if page.until < replay.at.snapshot_offset() {
            self.read_on(replay);
        } else {
            self.follow(replay.call, replay.follow);
            self.submit(now);
        }
        None
    }

    /// Renders what was missed, as far as the principal may see it and asked for it.
    pub(super) fn replay(&mut self, channel: Operation, items: impl Iterator<Item = Item>) {
        let (reference, dates) = (self.gateway.directory.reference(), self.query_dates());
        let gateway = Arc::clone(&self.gateway);
        let actor = self.principal.actor;
        let sees = |item: &Item| match actor {
            Actor::Member(member) => rights::sees(&gateway.directory, member, &item.stamped),
            Actor::Public | Actor::ServiceUser(_) | Actor::Venue(_) | Actor::Server => true,
        };
        let mut group: Option<Group> = None;
        for item in items.filter(|item| sees(item)) {
            self.add(&mut group, channel, &item, &reference, dates);
        }
        self.end_group(&mut group);
    }

    /// Answers a subscription that was ended before it began, and makes the release step forget it.
    pub(super) fn ended_early(&mut self, call: &Call, follow: Follow, now: Moment) {
        self.queue.unsubscribed(call.operation, follow.number);
        if !follow.acknowledged {
            let refusal = Reject::invalid("channel", "ended before it began");
            self.reply(call.envelope(now), Err(&refusal.text()));
        }
    }
}
