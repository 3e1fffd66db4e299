//! Clients that follow a private channel, leave, and come back for what they missed: with the real rings, rebuilt from
//! the journal at each start as the server does (law 8, rules 41, 42).

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign::access::operation::{Operation, Row, ServiceRight};
use countersign::domain::ids::{AccountId, OrganizationId, Seq};
use countersign::engine::query::Owner;
use countersign::engine::reference::Reference;
use countersign::engine::streams::routes;
use countersign::gateway::ring::{Gap, Item, Ring};
use countersign::sequencer::Stamped;

use super::coverage::{Coverage, channels};
use super::dice::Dice;

type Address = (Owner, Operation);

struct Follower {
    address: Address,
    /// The last offset that it received.
    last: u64,
    connected: bool,
}

pub struct Followers {
    /// What each ring keeps.
    ring_items: usize,
    rings: BTreeMap<Address, Ring>,
    /// Rings are complete from here on.
    start: Seq,
    /// Every offset that each channel ever had.
    told: BTreeMap<Address, Vec<u64>>,
    all: Vec<Follower>,
}

impl Followers {
    pub fn new(ring_items: usize) -> Followers {
        let owners = |channel: Operation| match channel.row() {
            Row { venue: true, .. } => vec![Owner::Venue],
            Row { service_user: ServiceRight::No, .. } => {
                [1, 2].map(|id| Owner::Organization(OrganizationId(id))).into()
            }
            _ => [1, 2].map(|id| Owner::Account(AccountId(id))).into(),
        };
        let addresses =
            channels().into_iter().flat_map(|channel| owners(channel).into_iter().map(move |of| (of, channel)));
        let follower = |address| Follower { address, last: Seq(0).snapshot_offset(), connected: true };
        let all = addresses.map(follower).collect();
        Followers { ring_items, rings: BTreeMap::new(), start: Seq(0), told: BTreeMap::new(), all }
    }

    /// The next event: added to the rings, and sent to the followers.
    pub fn observe(&mut self, stamped: &Arc<Stamped>, reference: &Reference, coverage: &mut Coverage) {
        routes(stamped.seq, stamped.at, &stamped.event, &mut |route| {
            let (address, offset) = ((route.owner, route.channel), route.offset(stamped.seq));
            let told = self.told.entry(address).or_default();
            assert!(told.last().is_none_or(|last| *last < offset), "law 8: {route:?} of {stamped:?} does not go on");
            told.push(offset);
            let mut text = String::new();
            Item::new(Arc::clone(stamped), route).write(&mut text, reference);
            assert!(!text.is_empty(), "{route:?} of {stamped:?} has no text");
            coverage.item(route.channel);
            let ring = || Ring::since(self.start, self.ring_items);
            self.rings.entry(address).or_insert_with(ring).push(stamped, route);
            let following = self.all.iter_mut().filter(|of| of.connected && of.address == address);
            following.for_each(|of| of.last = offset);
        });
    }

    /// A server that restarts reads its rings back from the end of the journal; every socket is gone.
    pub fn restart(&mut self, recent: &[Arc<Stamped>], at: Seq) {
        self.start = recent.first().map_or(at, |first| Seq(first.seq.0 - 1));
        self.rings.clear();
        for stamped in recent {
            routes(stamped.seq, stamped.at, &stamped.event, &mut |route| {
                let ring = || Ring::since(self.start, self.ring_items);
                self.rings.entry((route.owner, route.channel)).or_insert_with(ring).push(stamped, route);
            });
        }
        self.all.iter_mut().for_each(|of| of.connected = false);
    }

    /// One of them leaves, or comes back and gets exactly what it missed, or is told that a snapshot follows.
    pub fn step(&mut self, dice: &mut Dice, at: Seq, coverage: &mut Coverage) {
        let number = dice.below(self.all.len() as u64) as usize;
        let follower = &mut self.all[number];
        follower.connected = !follower.connected;
        if !follower.connected {
            return;
        }
        let Follower { address, last, .. } = follower;
        let ring = self.rings.entry(*address).or_insert_with(|| Ring::since(self.start, self.ring_items));
        let all = self.told.entry(*address).or_default();
        let missed = &all[all.partition_point(|offset| offset <= last)..];
        match ring.after(*last, at) {
            Ok(items) => {
                let replayed: Vec<u64> = items.iter().map(|item| item.offset()).collect();
                assert_eq!(replayed, missed, "law 8: {address:?} after {last} replays something else (left)");
                coverage.hit("stream resumed");
                *last = missed.last().copied().unwrap_or(*last);
            }
            Err(Gap::TooOld) => {
                let (kept, outran) = (self.start.snapshot_offset(), missed.len() > self.ring_items);
                assert!(
                    *last < kept || outran,
                    "law 8: {address:?} is told that {last} is too old, and all from {kept} is there"
                );
                coverage.hit(if outran { "stream outran its ring" } else { "stream too old" });
                *last = at.snapshot_offset();
            }
            Err(Gap::Unknown) => panic!("law 8: {address:?} told {last} and does not know it"),
        }
    }
}
