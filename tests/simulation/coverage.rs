//! Which rare paths a run took, which kinds of command, query and event it saw, which channels began and had items, and
//! which refusals.

use std::collections::BTreeMap;

use countersign::access::operation::Kind::Stream;
use countersign::access::operation::{Operation, Row, ServiceRight};
use countersign::access::workflow::Workflow;
use countersign::domain::orders::CancelReason;
use countersign::engine::approvals::RequestState;
use countersign::engine::command::Command;
use countersign::engine::deposits::DepositStatus;
use countersign::engine::earn::EarnStep;
use countersign::engine::event::Event;
use countersign::engine::query::Query;
use countersign::engine::reject::Code;
use countersign::engine::service_users::ServiceUserChange;
use countersign::engine::withdrawals::WithdrawalStatus;

use super::kinds::Kind;

/// Paths that need faults and small sizes; the suite fails if one was not taken.
pub const RARE: [&str; 27] = [
    "append refused",
    "append unanswered",
    "append unsynced",
    "disk full",
    "only reads served",
    "writes taken again",
    "slow append",
    "kill",
    "kill with a batch on its way",
    "kill while only reads are served",
    "unanswered request took effect",
    "unanswered request was lost",
    "queue full",
    "queue takes a part",
    "batch full",
    "key too fast",
    "scope lost with requests pending",
    "stop with a snapshot",
    "start from a snapshot",
    "start from the first row",
    "snapshot damaged",
    "snapshot of an unknown format",
    "stream resumed",
    "stream too old",
    "stream outran its ring",
    "clock set back",
    "clock set forward by days",
];

/// Never happens in a run: there are no positions to settle (rule 13).
const NEVER: (&str, &str) = (Command::OF, "SettlePosition");

const PATH: &str = "rare path";
const CHANNEL: &str = "channel";
const ITEM: &str = "item on channel";

/// The private channels, as [`Query::Subscribe`] names them.
pub fn channels() -> Vec<Operation> {
    let private = |row: &Row| row.kind == Stream && !row.public && row.service_user != ServiceRight::Any;
    Operation::ALL.into_iter().filter(|operation| private(operation.row())).collect()
}

#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// How often each kind was seen, by category: commands that succeeded, queries that were answered with what was
    /// asked for, events, and the items of each channel.
    seen: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    refusals: BTreeMap<Code, u64>,
}

impl Coverage {
    pub fn hit(&mut self, rare: &'static str) {
        assert!(RARE.contains(&rare), "{rare} is not in the list");
        self.count(PATH, rare);
    }

    fn count(&mut self, of: &'static str, name: &'static str) {
        *self.seen.entry(of).or_default().entry(name).or_default() += 1;
    }

    fn see<K: Kind>(&mut self, one: &K) {
        self.count(K::OF, one.kind());
    }

    pub fn event(&mut self, event: &Event) {
        self.see(event);
        match event {
            Event::RequestChanged { request, .. } => {
                self.see(&request.state);
                if request.state == RequestState::Pending {
                    self.see(&request.workflow);
                }
            }
            Event::DepositChanged { deposit, .. } => self.see(&deposit.status),
            Event::Earned { operation, .. } => self.see(&operation.step),
            Event::WithdrawalChanged { withdrawal, .. } => self.see(&withdrawal.status),
            Event::OrderCanceled { reason, .. } => self.see(reason),
            Event::ServiceUserChanged { change, .. } => self.see(change),
            _ => {}
        }
    }

    /// An event yielded an item.
    pub fn item(&mut self, channel: Operation) {
        self.count(ITEM, channel.name());
    }

    pub fn command(&mut self, done: &Command) {
        self.see(done);
    }

    pub fn query(&mut self, answered: &Query) {
        self.see(answered);
        if let Query::Subscribe { channel, .. } = answered {
            self.count(CHANNEL, channel.name());
        }
    }

    pub fn refusal(&mut self, code: Code) {
        *self.refusals.entry(code).or_default() += 1;
    }

    pub fn add(&mut self, other: &Coverage) {
        for (of, more) in &other.seen {
            let all = self.seen.entry(of).or_default();
            more.iter().for_each(|(name, count)| *all.entry(name).or_default() += count);
        }
        other.refusals.iter().for_each(|(code, count)| *self.refusals.entry(*code).or_default() += count);
    }

    /// Everything listed that was not seen.
    pub fn missed(&self) -> Vec<(&'static str, &'static str)> {
        fn all<K: Kind>() -> (&'static str, &'static [&'static str]) {
            (K::OF, K::ALL)
        }
        let channels: Vec<&str> = channels().into_iter().map(Operation::name).collect();
        let kinds = [
            (PATH, &RARE[..]),
            (CHANNEL, &channels[..]),
            (ITEM, &channels[..]),
            all::<Command>(),
            all::<Query>(),
            all::<Event>(),
            all::<RequestState>(),
            all::<Workflow>(),
            all::<EarnStep>(),
            all::<DepositStatus>(),
            all::<WithdrawalStatus>(),
            all::<CancelReason>(),
            all::<ServiceUserChange>(),
        ];
        let named = kinds.iter().flat_map(|(of, all)| all.iter().map(|name| (*of, *name)));
        let seen = |(of, name)| self.seen.get(of).is_some_and(|seen| seen.contains_key(name));
        named.filter(|kind| *kind != NEVER && !seen(*kind)).collect()
    }

    pub fn print(&self) {
        self.seen.iter().for_each(|(of, seen)| println!("{of}: {seen:?}"));
        println!("refusals: {:?}", self.refusals);
    }
}
