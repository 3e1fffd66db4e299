//! What the private streams of one socket have sent, checked for consistency: every frame is read here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::checks::Check;
use crate::checks::balances::{Balances, Item};
use crate::checks::causes::Causes;
use crate::checks::custody::Released;
use crate::checks::entries::{Entries, Side};
use crate::checks::numbering::Numbering;
use crate::error::LoadError;
use crate::mix::{own_order, run_prefix};
use crate::order_set::OrderSet;

/// All of them.
const PRIVATE: [&str; 8] =
    ["executions", "ledger", "earn", "deposits", "withdrawals", "balances", "approvals", "custody"];
/// An offset is the number of an event times this, plus that of the item (rule 41).
const ITEMS_PER_EVENT: u64 = 256;

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow, default)]
    r#type: Cow<'a, str>,
    sequence: Option<u64>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Placed<'a> {
    offset: u64,
    #[serde(borrow, default)]
    exec_type: Cow<'a, str>,
    #[serde(borrow)]
    cl_ord_id: Option<Cow<'a, str>>,
    /// In a deposit, a withdrawal or a movement of Earn.
    #[serde(borrow, alias = "operation_id")]
    refid: Option<Cow<'a, str>>,
    /// Of a withdrawal, and of a request.
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
    /// In a withdrawal.
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    /// In a withdrawal that was not released.
    #[serde(borrow, rename = "status-prop")]
    status_prop: Option<Cow<'a, str>>,
    /// Of a request.
    #[serde(borrow)]
    state: Option<Cow<'a, str>>,
}

impl Placed<'_> {
    /// For a withdrawal: whether its request is waiting or has just ended; `None` if that was earlier.
    fn waits(&self) -> Option<bool> {
        match (self.status.as_deref()?, self.status_prop.as_deref()) {
            ("Initial", _) => Some(true),
            ("Pending", _) | ("Failure", Some("canceled")) => Some(false),
            _ => None,
        }
    }
}

/// The description of an item with this id in this event.
fn in_event(id: &str, offset: u64) -> String {
    format!("{id} at event {}", offset / ITEMS_PER_EVENT)
}

/// The description of a request: that it waits, or no longer does.
fn of_request(id: &str, waits: bool) -> String {
    format!("request {id} as {}", if waits { "pending" } else { "ended" })
}

/// The state of all streams so far.
#[derive(Debug)]
pub struct Streams {
    owner: String,
    run_prefix: String,
    numbering: BTreeMap<String, Numbering>,
    balances: Balances,
    entries: Entries,
    causes: Causes,
    released: Released,
    seen: OrderSet,
    /// Verdicts on subscriptions that have ended, or never existed.
    ended: Vec<Check>,
    repeated: Check,
    placed: Check,
    rebuilt: Check,
}

impl Streams {
    /// For the key of this name, before the first message.
    pub fn new(owner: &str, run: u64) -> Self {
        Self {
            owner: owner.into(),
            run_prefix: run_prefix(run),
            numbering: BTreeMap::new(),
            balances: Balances::default(),
            entries: Entries::new(owner),
            causes: Causes::default(),
            released: Released::new(owner),
            seen: OrderSet::default(),
            ended: Vec::new(),
            repeated: Check::new(format!("{owner} executions: each order new once")),
            placed: Check::new(format!("{owner} executions: each acknowledged order seen")),
            rebuilt: Check::new(format!("{owner} balances: rebuilt from deltas = fresh snapshot")),
        }
    }

    /// Takes one message; what is not on a private channel is ignored.
    ///
    /// # Errors
    /// `Protocol` for a message that is not as a frame must be.
    pub fn read(&mut self, message: &[u8]) -> Result<(), LoadError> {
        let wrong = |error: serde_json::Error| {
            let shown: String = String::from_utf8_lossy(message).chars().take(300).collect();
            LoadError::Protocol(format!("a frame that is not as it must be ({error}): {shown}"))
        };
        let frame: Frame<'_> = match serde_json::from_slice(message) {
            Ok(frame) => frame,
            // A reply has no channel.
            Err(_) if memchr::memmem::find(message, br#""method""#).is_some() => return Ok(()),
            Err(error) => return Err(wrong(error)),
        };
        let (Some(data), true) = (frame.data, PRIVATE.contains(&&*frame.channel)) else { return Ok(()) };
        let is_snapshot = frame.r#type == "snapshot";
        self.follow(&frame.channel);
        let numbering = self.numbering.get_mut(&*frame.channel).expect("followed above");
        numbering.frame(frame.sequence, is_snapshot);
        if frame.channel == "balances" || frame.channel == "ledger" {
            for item in serde_json::from_str::<Vec<Item<'_>>>(data.get()).map_err(wrong)? {
                self.moved(&frame.channel, is_snapshot, &item)?;
            }
            return Ok(());
        }
        for item in serde_json::from_str::<Vec<Placed<'_>>>(data.get()).map_err(wrong)? {
            if frame.channel == "custody" {
                self.released.reported(item.refid.as_deref(), item.status.as_deref(), is_snapshot);
            }
            let numbering = self.numbering.get_mut(&*frame.channel).expect("followed above");
            if is_snapshot {
                numbering.snapshot(item.offset);
            } else {
                numbering.item(item.offset);
                self.reported(&frame.channel, &item);
            }
        }
        Ok(())
    }

    /// Takes an item of an update on one of the other channels.
    fn reported(&mut self, channel: &str, item: &Placed<'_>) {
        if let Some(id) = &item.refid {
            self.causes.reported(channel, in_event(id, item.offset));
        }
        if let Some(request) = &item.request_id {
            if let Some(state) = &item.state {
                self.causes.reported(channel, of_request(request, state == "pending"));
            } else if self.follows("approvals")
                && let Some(waits) = item.waits()
            {
                self.causes.due("approvals", of_request(request, waits));
            }
        }
        let own = item.cl_ord_id.as_deref().filter(|_| item.exec_type == "new");
        if let Some((connection, order)) = own.and_then(|id| own_order(&self.run_prefix, id)) {
            self.repeated.looked_at += 1;
            if !self.seen.insert(connection, order) {
                self.repeated.violated(format!("order {order} of connection {connection} is new again"));
            }
        }
    }

    /// Whether a subscription to this channel is followed.
    pub fn follows(&self, channel: &str) -> bool {
        self.numbering.contains_key(channel)
    }

    /// Records that a channel is followed: it may have to send something, even if it never does.
    pub fn follow(&mut self, channel: &str) {
        if !self.numbering.contains_key(channel) {
            self.numbering.insert(channel.to_owned(), Numbering::new(&self.owner, channel, 0));
        }
    }

    /// Takes an item of `balances` or `ledger`. For what is on `balances`, the channel of its cause must have an item
    /// as well, if it is followed.
    fn moved(&mut self, channel: &str, is_snapshot: bool, item: &Item<'_>) -> Result<(), LoadError> {
        let is_balance = channel == "balances";
        let numbering = self.numbering.get_mut(channel).expect("it is followed");
        if is_snapshot {
            numbering.snapshot(item.offset);
            if is_balance {
                self.balances.set(item)?;
                self.entries.snapshot(item.offset);
            }
            return Ok(());
        }
        numbering.item(item.offset);
        let entry = item.entry()?;
        if is_balance {
            self.balances.add(&entry);
            self.numbering.get_mut("ledger").into_iter().for_each(Numbering::due);
            if let Some((due, id)) = item.cause()
                && self.follows(due)
            {
                self.causes.due(due, in_event(id, item.offset));
            }
        }
        if ["balances", "ledger"].iter().all(|both| self.follows(both)) {
            self.entries.reported(if is_balance { Side::Balances } else { Side::Ledger }, entry);
        }
        Ok(())
    }

    /// Ends a subscription that will be resumed after the returned offset, from which its next one is followed; `None`
    /// if it has sent nothing yet.
    pub fn resume(&mut self, channel: &str) -> Option<u64> {
        let numbering = self.numbering.remove(channel)?;
        let offset = numbering.offset();
        self.ended.extend(numbering.checks());
        self.numbering.insert(channel.into(), Numbering::new(&self.owner, channel, offset));
        (offset > 0).then_some(offset)
    }

    /// How many of these orders were not seen yet, where `executions` is followed.
    pub fn missing(&self, acknowledged: &OrderSet) -> u64 {
        if self.follows("executions") { acknowledged.missing_in(&self.seen) } else { 0 }
    }

    /// Whether each channel has sent everything that is due because of another channel.
    pub fn is_even(&self) -> bool {
        self.entries.is_even() && self.causes.is_even()
    }

    /// A channel that cannot be followed, and why.
    pub fn skip(&mut self, channel: &str, why: &str) {
        self.ended.push(Check::skipped(format!("{} {channel}: not followed: {why}", self.owner)));
    }

    /// The balances rebuilt so far.
    pub fn balances(&self) -> &Balances {
        &self.balances
    }

    /// The verdicts on orders that should have been seen and, if `balances` is followed, on a fresh snapshot of it.
    pub fn checks(mut self, acknowledged: &OrderSet, fresh: Option<&Balances>) -> Vec<Check> {
        let missing = self.missing(acknowledged);
        self.placed.looked_at = acknowledged.len();
        if missing > 0 {
            self.placed.violated(format!("{missing} orders were acknowledged and never seen"));
        }
        if let Some(fresh) = fresh {
            self.rebuilt.looked_at = fresh.len();
            self.balances.differences(fresh).into_iter().for_each(|difference| self.rebuilt.violated(difference));
        }
        let orders = self.follows("executions").then_some([self.repeated, self.placed]);
        self.ended
            .into_iter()
            .chain(self.numbering.into_values().flat_map(Numbering::checks))
            .chain(self.entries.check())
            .chain(self.causes.checks(&self.owner))
            .chain(self.released.check())
            .chain(orders.into_iter().flatten())
            .chain(fresh.map(|_| self.rebuilt))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_characters_in_what_others_wrote_are_read() {
        let mut streams = Streams::new("Bot", 1);
        let own = format!("{}00010000000a", run_prefix(1));
        let frame = format!(
            r#"{{"channel":"executions","type":"update","sequence":1,"data":[
                {{"exec_type":"new","cl_ord_id":"\"quoted\" \u00e9","offset":256}},
                {{"exec_type":"new","offset":257}},
                {{"exec_type":"ne\u0077","cl_ord_id":"{own}","offset":258}}]}}"#
        );
        streams.read(frame.as_bytes()).unwrap();
        let balances = r#"{"channel":"balances","type":"update","sequence":1,"data":[
            {"asset":"a\"b","amount":1,"wallet_type":"spot","wallet_id":"m\u00e4in","offset":256}]}"#;
        streams.read(balances.as_bytes()).unwrap();
        assert_eq!(streams.seen.len(), 1);
        assert!(streams.balances.differences(&Balances::default())[0].starts_with("a\"b in spot/mäin"));
    }

    /// Checks what was sent on a Member's two channels, or custody's one: the failed checks, and how many there are.
    fn failed(channels: &[&str], reported: &[(&str, &str, &str)]) -> (Vec<String>, usize) {
        let mut streams = Streams::new("Bob", 1);
        channels.iter().for_each(|channel| streams.follow(channel));
        for (channel, kind, items) in reported {
            let frame = format!(r#"{{"channel":"{channel}","type":"{kind}","data":[{items}]}}"#);
            streams.read(frame.as_bytes()).unwrap();
        }
        let checks = streams.checks(&OrderSet::default(), None);
        (checks.iter().filter_map(Check::wrong).collect(), checks.len())
    }

    #[test]
    fn a_request_that_is_missing_doubled_or_left_open_on_approvals_is_noticed() {
        let channels = ["approvals", "withdrawals"];
        let asked = ("withdrawals", "update", r#"{"refid":"W","status":"Initial","request_id":"R","offset":512}"#);
        let waits = ("approvals", "update", r#"{"request_id":"R","state":"pending","offset":256}"#);
        let rejected = ("approvals", "update", r#"{"request_id":"R","state":"rejected","offset":768}"#);
        let ended = r#"{"refid":"W","status":"Failure","status-prop":"canceled","request_id":"R","offset":1024}"#;
        let ended = ("withdrawals", "update", ended);
        let returned = r#"{"refid":"V","status":"Failure","status-prop":"return","request_id":"Q","offset":1280}"#;
        let all = [asked, waits, rejected, ended, ("withdrawals", "update", returned)];
        assert_eq!(failed(&channels, &all), (Vec::new(), 3));
        let not_told =
            |what: &str, of| format!("Bob approvals: what changed on withdrawals is told: 1 of {of}: {what} is not");
        assert_eq!(failed(&channels, &[asked, rejected, ended]).0, [not_told("request R as pending", 2)]);
        assert_eq!(failed(&channels, &[asked, waits, ended]).0, [not_told("request R as ended", 2)]);
        let twice = failed(&channels, &[asked, waits, waits]).0;
        assert_eq!(twice, ["Bob approvals: offsets strictly increasing: 1 of 2: offset 256 after 256"]);
    }

    #[test]
    fn a_withdrawal_that_custody_is_told_of_out_of_turn_is_noticed() {
        let known = ("custody", "snapshot", r#"{"refid":"A","status":"Pending","offset":511}"#);
        let notice = ("custody", "update", r#"{"notice":"deposit_addresses_low","offset":512}"#);
        let released = ("custody", "update", r#"{"refid":"B","status":"Pending","offset":768}"#);
        let paid = ("custody", "update", r#"{"refid":"A","status":"Success","offset":1024}"#);
        let failed_b = ("custody", "update", r#"{"refid":"B","status":"Failure","offset":1280}"#);
        assert_eq!(failed(&["custody"], &[known, notice, released, paid, failed_b]), (Vec::new(), 2));
        assert_eq!(failed(&["custody"], &[]), (Vec::new(), 0), "nothing happened");
        let once = "Bob custody: no withdrawal out of turn: 1 of";
        assert_eq!(failed(&["custody"], &[known, failed_b]).0, [format!("{once} 1: B is Failure out of turn")]);
        let again = ("custody", "update", r#"{"refid":"B","status":"Pending","offset":1280}"#);
        assert_eq!(failed(&["custody"], &[released, again]).0, [format!("{once} 2: B is Pending out of turn")]);
    }
}
