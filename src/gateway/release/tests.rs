//! What a socket is given of what was released.

use std::net::{IpAddr, Ipv4Addr};

use futures::FutureExt as _;
use tokio::sync::mpsc;

use super::super::outgoing::StreamStart;
use super::super::send_queue::SocketGuard;
use super::*;
use crate::access::key::KeySettings;
use crate::access::principal::{Actor, Credential};
use crate::domain::ids::{AccountId, AssetId, VenueKeyId};
use crate::engine::deposits::DepositAddress;
use crate::engine::keys::VenueKey;
use crate::engine::query::{Items, Owner, Snapshot};
use crate::engine::reference::Reference;
use crate::engine::state::State;
use crate::{history, market_data};

/// Messages that may wait on one socket.
const PARTS_MAX: usize = 4;

/// A releaser that starts with these past events, and its sockets.
fn releaser(recent: &[Arc<Stamped>]) -> (Releaser, Arc<Sockets>) {
    let state = State { reference: Reference::btc_usd(4, 1), ..State::default() };
    let sockets = Sockets::new(PARTS_MAX, 64);
    let feeds = Feeds {
        market_data: market_data::feed().0,
        history: history::feed().0,
        fan_out: fan_out::feed().0,
        metrics: Arc::default(),
    };
    let rings = RingLimits { each: 64, all: 64 };
    let directory = Arc::new(Directory::new(&state));
    let seq = recent.last().map_or(Seq(0), |last| last.seq);
    let releaser = Releaser::new(directory, Arc::clone(&sockets), seq, recent, rings, feeds, || Moment(0));
    (releaser, sockets)
}

fn socket(sockets: &Arc<Sockets>) -> (SocketGuard, mpsc::Receiver<Vec<Outgoing>>) {
    sockets.take(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Events that each have one item on `custody`.
fn batch(seqs: std::ops::RangeInclusive<u64>) -> Released<Ticket> {
    let stamped = |seq| {
        let address = DepositAddress { address: "bc1".to_owned(), tag: None };
        let event = Event::DepositAddressAssigned { account: AccountId(1), asset: AssetId::at(0), address, left: 3 };
        Arc::new(Stamped { seq: Seq(seq), at: Moment(0), by: Actor::Server, rate: None, event })
    };
    Released { events: Arc::new(seqs.map(stamped).collect()), answers: Vec::new(), waiting: 0 }
}

/// A socket's that the venue operator opened after the event at `at`.
fn by_venue(at: Seq) -> Bound {
    Bound { actor: Actor::Venue(VenueKeyId(1)), credential: Credential::Key(1), at }
}

fn follow_custody(releaser: &mut Releaser, socket: &SocketGuard, at: Seq, from_offset: Option<u64>) -> StreamStart {
    let snapshot = Snapshot {
        owner: Owner::Venue,
        at,
        items: Items::Nothing,
        warnings: Vec::new(),
        live: true,
        fills: None,
        past: true,
    };
    releaser.bind(&socket.queue, by_venue(Seq(0)));
    let follow = Follow { number: 1, from_offset, too_old: false, acknowledged: false };
    releaser.subscribe(&socket.queue, Operation::Custody, follow, View::Snapshot(Box::new(snapshot))).unwrap().first
}

/// The items that wait, by their sequences.
fn waiting(deliveries: &mut mpsc::Receiver<Vec<Outgoing>>) -> Vec<u64> {
    let deliveries = std::iter::from_fn(|| deliveries.try_recv().ok());
    let seq = |outgoing| match outgoing {
        Outgoing::Item(item) => item.stamped.seq.0,
        other => panic!("an item, not {other:?}"),
    };
    deliveries.flatten().map(seq).collect()
}

/// Law 8.
#[tokio::test]
async fn what_does_not_fit_is_the_end_of_a_stream_even_if_what_follows_would_fit() {
    let (mut releaser, sockets) = releaser(&[]);
    let (socket, mut deliveries) = socket(&sockets);
    follow_custody(&mut releaser, &socket, Seq(0), None);
    socket.queue.behind(true);
    releaser.release(batch(1..=3));
    releaser.release(batch(4..=5));
    releaser.release(batch(6..=6));
    assert_eq!(waiting(&mut deliveries), [1, 2, 3], "a client that resumes behind these misses nothing");
    assert!(socket.queue.too_slow().now_or_never().is_some());
    releaser.release(batch(7..=7));
    assert!(waiting(&mut deliveries).is_empty());
}

#[tokio::test]
async fn a_subscription_does_not_cost_a_socket_the_room_for_what_it_usually_gets() {
    let (mut releaser, sockets) = releaser(&[]);
    let (socket, mut deliveries) = socket(&sockets);
    follow_custody(&mut releaser, &socket, Seq(0), None);
    releaser.release(batch(1..=3));
    assert_eq!((waiting(&mut deliveries), releaser.slots[socket.queue.slot].usual), (vec![1, 2, 3], 3));
}

/// Rule 8: one release may hold an end of a right, its return, and a socket that was opened under it.
#[tokio::test]
async fn what_ended_before_a_socket_was_admitted_does_not_close_it() {
    let ended = VenueKey {
        id: VenueKeyId(1),
        name: String::new(),
        api_key: String::new(),
        secret_sealed: Vec::new(),
        credential: 1,
        settings: KeySettings::default(),
        expired: true,
    };
    for (admitted, closes) in [(Seq(0), true), (Seq(1), false)] {
        let (mut releaser, sockets) = releaser(&[]);
        let (socket, mut deliveries) = socket(&sockets);
        let event = Event::VenueKeyChanged(ended.clone());
        let stamped = Stamped { seq: Seq(1), at: Moment(0), by: Actor::Server, rate: None, event };
        let bound = Reply::Bound(Box::new(by_venue(admitted)));
        let ticket = Ticket::Open(Arc::clone(&socket.queue), Waiting::new(oneshot::channel().0, None));
        let answers = vec![(ticket, Ok(Answer::Reply(bound, None)))];
        releaser.release(Released { events: Arc::new(vec![Arc::new(stamped)]), answers, waiting: 0 });
        let told: Vec<Outgoing> = std::iter::from_fn(|| deliveries.try_recv().ok()).flatten().collect();
        assert_eq!(matches!(told[..], [Outgoing::Close(..)]), closes, "{admitted:?}: {told:?}");
    }
}

/// Law 9, rule 8.
#[tokio::test]
async fn a_socket_that_is_closing_is_given_its_answers_and_nothing_that_it_followed() {
    let (mut releaser, sockets) = releaser(&[]);
    let (socket, mut deliveries) = socket(&sockets);
    follow_custody(&mut releaser, &socket, Seq(0), None);
    releaser.send_to(&socket.queue, Outgoing::Close(Close::ScopeLost));
    let call = Call::new(Operation::KeyInfo, None, Moment(0), Continuation::Reply);
    let answers = vec![(Ticket::Call(Arc::clone(&socket.queue), call), Err(Reject::of(Code::Busy)))];
    releaser.release(Released { answers, ..batch(1..=2) });
    let sent: Vec<Outgoing> = std::iter::from_fn(|| deliveries.try_recv().ok()).flatten().collect();
    assert!(matches!(sent[..], [Outgoing::Close(Close::ScopeLost), Outgoing::Answer(..)]), "{sent:?}");
}

/// Earlier items must come from history.
#[tokio::test]
async fn d4_51_after_a_start_a_stream_resumes_at_hand_over_what_was_read_back_and_no_more() {
    let recent = batch(10..=12).events;
    let (mut releaser, sockets) = releaser(&recent);
    let (socket, _parts) = socket(&sockets);
    let mut resumed = |from: u64| follow_custody(&mut releaser, &socket, Seq(12), Some(Seq(from).snapshot_offset()));
    let StreamStart::Replay(items) = resumed(9) else { panic!("all of it is at hand") };
    assert_eq!(items.iter().map(|item| item.stamped.seq.0).collect::<Vec<_>>(), [10, 11, 12]);
    assert!(matches!(resumed(8), StreamStart::Past(Owner::Venue)), "event 9 was not read back");
}
