//! What a socket is handed of what was released.

use std::net::{IpAddr, Ipv4Addr};

use futures::FutureExt as _;
use tokio::sync::mpsc;

use super::super::outlet::Occupied;
use super::*;
use crate::access::principal::Actor;
use crate::domain::ids::{AccountId, AssetId, VenueKeyId};
use crate::engine::deposits::DepositAddress;
use crate::engine::query::{Owner, Snapshot};
use crate::engine::reference::Reference;
use crate::engine::service_users::KeyRef;
use crate::engine::state::State;
use crate::{history, market_data};

/// Parts that may wait on one socket.
const PARTS_MAX: usize = 4;

/// A desk of a venue where nothing has happened, and its sockets.
fn desk() -> (Desk, Arc<Seats>) {
    let state = State { reference: Reference::btc_usd(4, 1), ..State::default() };
    let sockets = Seats::new(PARTS_MAX, 64);
    let feeds = Feeds {
        market_data: market_data::feed().0,
        history: history::feed().0,
        fan_out: fan_out::feed().0,
        metrics: Arc::default(),
    };
    let rings = RingLimits { each: 64, all: 64 };
    let directory = Arc::new(Directory::new(&state));
    let desk = Desk::new(directory, Arc::clone(&sockets), Seq(0), &[], rings, feeds, || Moment(0));
    (desk, sockets)
}

fn seat(sockets: &Arc<Seats>) -> (Occupied, mpsc::Receiver<Vec<Part>>) {
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

fn follow_custody(desk: &mut Desk, seat: &Occupied) {
    let snapshot = Snapshot {
        owner: Owner::Venue,
        at: Seq(0),
        items: View::Empty,
        warnings: Vec::new(),
        live: true,
        fills: None,
        past: false,
    };
    desk.bind(&seat.0, &Session::Key(KeyRef::Venue(VenueKeyId(1)), 1), None);
    let follow = Follow { number: 1, from_offset: None, too_old: false, acknowledged: false };
    desk.subscribe(&seat.0, Operation::Custody, follow, View::Snapshot(Box::new(snapshot))).unwrap();
}

/// The items that wait, by their sequences.
fn waiting(parts: &mut mpsc::Receiver<Vec<Part>>) -> Vec<u64> {
    let deliveries = std::iter::from_fn(|| parts.try_recv().ok());
    let seq = |part| match part {
        Part::Item(Operation::Custody, item) => item.stamped.seq.0,
        part => panic!("an item, not {part:?}"),
    };
    deliveries.flatten().map(seq).collect()
}

/// Law 8.
#[tokio::test]
async fn what_does_not_fit_is_the_end_of_a_stream_even_if_what_follows_would_fit() {
    let (mut desk, sockets) = desk();
    let (seat, mut parts) = seat(&sockets);
    follow_custody(&mut desk, &seat);
    seat.0.behind(true);
    desk.release(batch(1..=3));
    desk.release(batch(4..=5));
    desk.release(batch(6..=6));
    assert_eq!(waiting(&mut parts), [1, 2, 3], "a client that resumes behind these misses nothing");
    assert!(seat.0.too_slow().now_or_never().is_some());
    desk.release(batch(7..=7));
    assert!(waiting(&mut parts).is_empty());
}
