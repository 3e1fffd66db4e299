//! The followers of each private channel, and the rings from which they resume. They belong to the release step, so
//! that a snapshot at S and the changes after S join without a gap (rule 42).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::fan_out::{self, FanOutItem};
use super::outgoing::{Outgoing, Started, StreamStart};
use super::ring::{Gap, Item, Ring};
use super::send_queue::SendQueue;
use crate::access::operation::Operation;
use crate::domain::ids::{MemberId, Seq};
use crate::engine::query::Snapshot;
use crate::engine::reject::Reject;
use crate::engine::streams::{Stream, routes};
use crate::sequencer::Stamped;

/// The refusal of an offset that no item of the channel has.
pub fn unknown_offset() -> Reject {
    let advice = "give an offset that this channel told, or 0 for all that is kept";
    Reject::invalid("from_offset", advice)
}

/// A follower of a channel.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// Where its items go.
    pub queue: Arc<SendQueue>,
    /// Which of the socket's subscriptions it is.
    pub number: u64,
    /// It gets items after this one.
    pub since: Seq,
    /// The Member behind the socket, if there is one: gets only requests that View admits.
    pub member: Option<MemberId>,
}

/// How many items rings may hold.
#[derive(Clone, Copy, Debug)]
pub struct RingLimits {
    /// Each.
    pub each: usize,
    /// All together.
    pub all: usize,
}

#[derive(Debug)]
struct Channel {
    /// Shared with the fan-out while items are on their way there.
    subscribers: Arc<Vec<Subscriber>>,
    /// The position of each slot's subscriber: thousands may disconnect and reconnect at once.
    places: HashMap<usize, usize>,
    ring: Ring,
}

impl Channel {
    fn enter(&mut self, subscriber: Subscriber) {
        self.places.insert(subscriber.queue.slot, self.subscribers.len());
        Arc::make_mut(&mut self.subscribers).push(subscriber);
    }

    fn leave(&mut self, slot: usize) {
        let Some(place) = self.places.remove(&slot) else { return };
        let subscribers = Arc::make_mut(&mut self.subscribers);
        subscribers.swap_remove(place);
        if let Some(moved) = subscribers.get(place) {
            self.places.insert(moved.queue.slot, place);
        }
    }
}

/// Every channel that had an item or a subscriber since the start.
#[derive(Debug)]
pub struct Subscriptions {
    channels: Vec<Channel>,
    places: HashMap<Stream, usize>,
    /// The last stream looked up, and its position: the items of an event mostly go to one stream.
    last: Option<(Stream, usize)>,
    /// Rings are complete from here on, as far as `limits` let them reach.
    start: Seq,
    limits: RingLimits,
    /// For each item in a ring, its channel, roughly oldest first. In a full ring the newest item takes over the entry
    /// of the oldest, so full rings are shortened before others.
    kept: VecDeque<usize>,
    /// The last event in the rings. A subscription is answered before the events of its own batch are added, so this
    /// may be earlier than it.
    released_through: Seq,
}

impl Subscriptions {
    /// Rings within `limits` that begin after `start`.
    pub fn new(start: Seq, limits: RingLimits) -> Subscriptions {
        let (channels, places, kept) = (Vec::new(), HashMap::new(), VecDeque::new());
        Subscriptions { channels, places, last: None, start, limits, kept, released_through: start }
    }

    fn channel(&mut self, stream: Stream) -> &mut Channel {
        self.place(stream).1
    }

    fn place(&mut self, stream: Stream) -> (usize, &mut Channel) {
        let Subscriptions { channels, places, last, start, limits, .. } = self;
        let place = match last {
            Some((found, place)) if *found == stream => *place,
            _ => *places.entry(stream).or_insert_with(|| {
                let ring = Ring::since(*start, limits.each);
                channels.push(Channel { subscribers: Arc::default(), places: HashMap::new(), ring });
                channels.len() - 1
            }),
        };
        *last = Some((stream, place));
        (place, &mut channels[place])
    }

    /// Records that the ring of that channel has one more item, and drops the oldest if all have too many.
    fn keep(&mut self, place: usize) {
        self.kept.push_back(place);
        if self.kept.len() > self.limits.all
            && let Some(oldest) = self.kept.pop_front()
        {
            self.channels[oldest].ring.shorten();
        }
    }

    /// Makes a socket follow a channel from the snapshot on, or from an offset that the client gives; if that is older
    /// than the ring, history must serve it first, if the caller may see the `past`. A channel that is not `live` only
    /// gets its beginning (rule 10).
    pub fn follow(
        &mut self,
        channel: Operation,
        subscriber: Subscriber,
        from_offset: Option<u64>,
        snapshot: Snapshot,
    ) -> Result<Started, Reject> {
        let Snapshot { owner, at, items, warnings, live, fills, past } = snapshot;
        let released_through = self.released_through;
        let channel = self.channel((owner, channel));
        // Replaces an earlier subscription whose end is not processed yet.
        channel.leave(subscriber.queue.slot);
        let first = match from_offset.map(|offset| channel.ring.after(offset, at)) {
            None => StreamStart::Snapshot(items),
            Some(Ok(missed)) => StreamStart::Replay(missed),
            Some(Err(Gap::TooOld)) if !past && from_offset == Some(0) => StreamStart::Replay(channel.ring.all(at)),
            Some(Err(Gap::TooOld)) => {
                let first = if past { StreamStart::Past(owner) } else { StreamStart::TooOld };
                return Ok(Started { at, first, warnings, fills, live });
            }
            Some(Err(Gap::Unknown)) => return Err(unknown_offset()),
        };
        if live {
            // A snapshot is as of `at`; a replay ends with the rings' last event, and the rest of the batch follows.
            let since = if matches!(first, StreamStart::Replay(_)) { released_through.min(at) } else { at };
            channel.enter(Subscriber { since, ..subscriber });
        }
        Ok(Started { at, first, warnings, fills, live })
    }

    /// Ends following.
    pub fn leave(&mut self, stream: Stream, slot: usize) {
        if let Some(channel) = self.places.get(&stream).map(|place| &mut self.channels[*place]) {
            channel.leave(slot);
        }
    }

    /// Adds an event to the rings and sends its items to the followers, or to the fan-out where there are many.
    pub fn publish(
        &mut self,
        stamped: &Arc<Stamped>,
        mut deliver: impl FnMut(&Arc<SendQueue>, Outgoing),
        mut fan_out: impl FnMut(FanOutItem),
    ) {
        self.released_through = stamped.seq;
        routes(stamped.seq, stamped.at, &stamped.event, &mut |route| {
            let (place, channel) = self.place((route.owner, route.channel));
            let shared = || Item::shared(Arc::clone(stamped), route);
            let behind = |subscriber: &&Subscriber| subscriber.since < stamped.seq;
            match &channel.subscribers[..] {
                [] => {}
                _ if fan_out::takes(route.channel) => {
                    fan_out(FanOutItem { item: shared(), to: Arc::clone(&channel.subscribers) });
                }
                [only] => {
                    if behind(&only) {
                        deliver(&only.queue, Outgoing::Item(Item::new(Arc::clone(stamped), route)));
                    }
                }
                several => {
                    let item = shared();
                    for subscriber in several.iter().filter(behind) {
                        deliver(&subscriber.queue, Outgoing::Item(item.clone()));
                    }
                }
            }
            if channel.ring.push(stamped, route) {
                self.keep(place);
            }
        });
    }
}
