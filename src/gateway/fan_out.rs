//! Channels that many sockets follow. An item is serialised once and framed once, and the frame is written directly to
//! the sockets of all idle sessions, bypassing them.
//!
//! This is a task of its own: the release step hands over the item with the list of followers, and continues. Items
//! that wait together go out in one frame.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::answers::{Group, ITEMS_MAX};
use super::directory::Directory;
use super::outgoing::Outgoing;
use super::ring::Item;
use super::session::Session;
use super::subscriptions::Subscriber;
use super::{filters, frame, outbound, rights};
use crate::access::operation::Operation;
use crate::domain::ids::MemberId;
use crate::engine::reference::Reference;

/// Items that may wait.
const WAITING_MAX: usize = 16_384;
/// The number of sockets after which the task yields.
const YIELD_AFTER: usize = 32;

/// Whether a channel is sent this way: all Members of an Organization follow its requests.
pub fn takes(channel: Operation) -> bool {
    channel == Operation::Approvals
}

/// An item and the followers of its channel when it was released.
#[derive(Debug)]
pub struct FanOutItem {
    /// The item.
    pub item: Item,
    /// Who followed.
    pub to: Arc<Vec<Subscriber>>,
}

/// The release step's end.
#[derive(Debug)]
pub struct Feed {
    waiting: mpsc::Sender<FanOutItem>,
}

/// The task's end.
pub type Incoming = mpsc::Receiver<FanOutItem>;

/// A feed and its receiver, so that the release step can exist before the task.
pub fn feed() -> (Feed, Incoming) {
    let (waiting, incoming) = mpsc::channel(WAITING_MAX);
    (Feed { waiting }, incoming)
}

impl Feed {
    /// Hands an item over. If the queue is full, the item's followers are closed and may resume: a stream has no gap.
    pub fn send(&self, item: FanOutItem) {
        if let Err(refused) = self.waiting.try_send(item) {
            refused.into_inner().to.iter().for_each(|subscriber| subscriber.queue.missed_some());
        }
    }
}

/// Items of one channel, in order, and the frame made of them.
#[derive(Debug)]
pub struct Batch {
    items: Vec<Item>,
    frame: OnceLock<Bytes>,
}

impl Batch {
    /// Of at least one item.
    pub fn new(items: Vec<Item>) -> Batch {
        Batch { items, frame: OnceLock::new() }
    }

    /// The frame, rendered on first use.
    pub fn frame(&self, reference: &Reference) -> &Bytes {
        self.frame.get_or_init(|| {
            let mut data = String::new();
            outbound::array(&mut data, &self.items, |data, item| item.write(data, reference));
            let mut text = String::with_capacity(data.len() + 64);
            let channel = self.items.first().map_or("", |item| item.route.channel.name());
            outbound::frame(&mut text, channel, false, &data, None);
            frame::shared(&text)
        })
    }
}

/// The task; it ends when its feed is dropped.
pub async fn run(directory: Arc<Directory>, mut incoming: Incoming) {
    let mut next = incoming.recv().await;
    while let Some(FanOutItem { item, to }) = next {
        let mut items = vec![item];
        next = loop {
            match incoming.try_recv() {
                Ok(next) if items.len() < ITEMS_MAX && Arc::ptr_eq(&next.to, &to) => items.push(next.item),
                Ok(next) => break Some(next),
                Err(_) => break None,
            }
        };
        send_to_all(&directory, &to, &Arc::new(Batch::new(items))).await;
        if next.is_none() {
            next = incoming.recv().await;
        }
    }
}

async fn send_to_all(directory: &Directory, to: &[Subscriber], batch: &Arc<Batch>) {
    let reference = directory.reference();
    let mut seen: BTreeMap<MemberId, Arc<Batch>> = BTreeMap::new();
    for group in to.chunks(YIELD_AFTER) {
        group.iter().for_each(|subscriber| subscriber.queue.prefetch());
        for subscriber in group {
            let sees =
                |item: &Item| subscriber.member.is_none_or(|member| rights::sees(directory, member, &item.stamped));
            let visible = match subscriber.member {
                Some(member) => seen.entry(member).or_insert_with(|| narrowed(batch, sees)),
                None => batch,
            };
            send(subscriber, visible, &reference);
        }
        if group.len() == YIELD_AFTER {
            tokio::task::yield_now().await;
        }
    }
}

/// The batch itself if all of it is wanted, else a batch of the wanted items.
fn narrowed(batch: &Arc<Batch>, wanted: impl Fn(&Item) -> bool) -> Arc<Batch> {
    if batch.items.iter().all(&wanted) {
        return Arc::clone(batch);
    }
    Arc::new(Batch::new(batch.items.iter().filter(|item| wanted(item)).cloned().collect()))
}

fn send(subscriber: &Subscriber, batch: &Arc<Batch>, reference: &Reference) {
    // Items up to this one were already in what the subscription began with.
    let batch = &narrowed(batch, |item| item.stamped.seq > subscriber.since);
    let Some(channel) = batch.items.first().map(|item| item.route.channel) else { return };
    let (queue, number) = (&subscriber.queue, subscriber.number);
    if !queue.write_direct(batch.frame(reference), || queue.allows_direct(number)) {
        // If the socket is too slow, this very call tells it to close.
        queue.send(vec![Outgoing::Batch(channel, number, Arc::clone(batch))]);
    }
}

impl Session {
    /// Renders a batch of a subscription, unless that has ended.
    pub(super) fn batch(&mut self, (channel, number): (Operation, u64), batch: &Batch) {
        let Some(subscription) = self.subscriptions.get(&channel) else { return };
        if subscription.number != number || !subscription.started {
            return;
        }
        let reference = &self.gateway.directory.reference();
        if filters::takes_all(&subscription.options) {
            return self.out.bytes.extend_from_slice(batch.frame(reference));
        }
        let (dates, mut group) = (self.query_dates(), None::<Group>);
        for item in &batch.items {
            self.add(&mut group, channel, item, reference, dates);
        }
        self.end_group(&mut group);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use futures::FutureExt as _;

    use super::super::send_queue::{SocketGuard, Sockets};
    use super::*;
    use crate::access::principal::Actor;
    use crate::domain::ids::{AccountId, AssetId, Seq};
    use crate::domain::time::Moment;
    use crate::engine::deposits::DepositAddress;
    use crate::engine::event::Event;
    use crate::engine::query::Owner;
    use crate::engine::state::State;
    use crate::engine::streams::Route;
    use crate::sequencer::Stamped;

    fn directory() -> Directory {
        let state = State { reference: Reference::btc_usd(4, 1), ..State::default() };
        Directory::new(&state)
    }

    fn item(seq: u64) -> Item {
        let address = DepositAddress { address: "bc1".to_owned(), tag: None };
        let event = Event::DepositAddressAssigned { account: AccountId(1), asset: AssetId::at(0), address, left: 3 };
        let stamped = Stamped { seq: Seq(seq), at: Moment(0), by: Actor::Server, rate: None, event };
        let (owner, channel) = (Owner::Venue, Operation::Custody);
        let route = Route { owner, channel, index: 0, workflow: None, is_fill: false, is_step: false };
        Item::shared(Arc::new(stamped), route)
    }

    fn socket(sockets: &Arc<Sockets>) -> (SocketGuard, mpsc::Receiver<Vec<Outgoing>>) {
        sockets.take(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    fn follower(socket: &SocketGuard, since: u64) -> Subscriber {
        Subscriber { queue: Arc::clone(&socket.queue), number: 1, since: Seq(since), member: None }
    }

    fn batch_of(deliveries: &mut mpsc::Receiver<Vec<Outgoing>>) -> Arc<Batch> {
        let mut deliveries = deliveries.try_recv().unwrap();
        let (Some(Outgoing::Batch(Operation::Custody, 1, batch)), None) = (deliveries.pop(), deliveries.pop()) else {
            panic!("one batch for its subscription");
        };
        batch
    }

    #[tokio::test]
    async fn an_item_is_serialised_once_and_framed_once_however_many_follow() {
        let (sockets, directory) = (Sockets::new(64, 64), directory());
        let mut places: Vec<_> = (0..100).map(|_| socket(&sockets)).collect();
        let (late, mut late_deliveries) = socket(&sockets);
        let (current, mut current_deliveries) = socket(&sockets);
        let mut to: Vec<Subscriber> = places.iter().map(|(socket, _)| follower(socket, 0)).collect();
        to.extend([follower(&late, 5), follower(&current, 6)]);
        let batch = Arc::new(Batch::new(vec![item(5), item(6)]));
        let text = |item: &Item| item.text(&directory.reference()).unwrap().as_ptr();
        let texts: Vec<*const u8> = batch.items.iter().map(text).collect();
        send_to_all(&directory, &to, &batch).await;
        for (_, deliveries) in &mut places {
            assert!(Arc::ptr_eq(&batch_of(deliveries), &batch), "the same frame for all");
        }
        let frame = String::from_utf8(batch.frame(&directory.reference())[4..].to_vec()).unwrap();
        let offsets = [5, 6].map(|seq| format!("\"offset\":{}", Seq(seq).offset(0)));
        assert!(offsets.iter().all(|offset| frame.matches(offset).count() == 1), "{frame}");
        // A socket that joined in between gets only the later items, with the same text.
        let rest = batch_of(&mut late_deliveries);
        let [only] = &rest.items[..] else { panic!("one item") };
        assert_eq!((only.stamped.seq, text(only)), (Seq(6), texts[1]));
        assert!(current_deliveries.try_recv().is_err(), "nothing is new to it");
    }

    #[tokio::test]
    async fn items_that_wait_together_go_out_together_and_in_order() {
        let (sockets, directory) = (Sockets::new(64, 64), Arc::new(directory()));
        let (socket, mut deliveries) = socket(&sockets);
        let to = Arc::new(vec![follower(&socket, 0)]);
        let (feed, incoming) = feed();
        (1..=100).for_each(|seq| feed.send(FanOutItem { item: item(seq), to: Arc::clone(&to) }));
        drop(feed);
        run(directory, incoming).await;
        let batches = [batch_of(&mut deliveries), batch_of(&mut deliveries)];
        assert_eq!(batches.each_ref().map(|batch| batch.items.len()), [64, 36]);
        let seqs = batches.iter().flat_map(|batch| &batch.items).map(|item| item.stamped.seq.0);
        assert!(seqs.eq(1..=100));
    }

    #[tokio::test]
    async fn who_follows_what_cannot_be_handed_over_is_closed_rather_than_left_with_a_hole() {
        let sockets = Sockets::new(64, 64);
        let (socket, _deliveries) = socket(&sockets);
        let to = Arc::new(vec![follower(&socket, 0)]);
        let (feed, _incoming) = feed();
        let item = item(1);
        for _ in 0..WAITING_MAX {
            feed.send(FanOutItem { item: item.clone(), to: Arc::clone(&to) });
        }
        assert!(socket.queue.too_slow().now_or_never().is_none());
        feed.send(FanOutItem { item, to });
        assert!(socket.queue.too_slow().now_or_never().is_some());
    }
}
