//! Turns what was released into frames, in the order of its release.

use std::mem;

use super::call::{Call, Continuation, Follow};
use super::close::Close;
use super::credentials::secret_text;
use super::fan_out;
use super::filters::{self, narrowed};
use super::outbound::{self, items, orders, records, results};
use super::outgoing::{Outgoing, Started, StreamStart};
use super::passwords::bearer_hash;
use super::replay::Replay;
use super::ring::Item;
use super::session::Session;
use crate::access::operation::Operation;
use crate::access::permit_past;
use crate::access::principal::Actor;
use crate::domain::decimal::write_units;
use crate::domain::time::{Moment, Period};
use crate::engine::approvals::{Request, RequestState};
use crate::engine::exports::Export;
use crate::engine::query::View;
use crate::engine::reference::Reference;
use crate::engine::reject::{Code, Reject};
use crate::engine::reply::Reply;
use crate::engine::service_users::ServiceUser;
use crate::engine::workflows::GeneratedCredential;
use crate::sequencer::handle::{Answer, Outcome};
use crate::wire::leaf::Text;
use crate::wire::results::{Credentials, Initiated, Subscribed};

/// Items in one frame at most.
pub(super) const ITEMS_MAX: usize = 64;

/// Items of one channel that go into one frame.
pub(super) struct Group {
    channel: Operation,
    fills: bool,
    count: usize,
    data: String,
}

impl Session {
    /// Renders a delivery.
    pub(super) fn render(&mut self, delivery: Vec<Outgoing>, now: Moment) {
        // Reading either takes a lock, and answers to orders, the most common ones, need neither.
        let (mut reference, mut dates) = (None, None);
        let mut group: Option<Group> = None;
        for outgoing in delivery {
            if let Outgoing::Item(item) = &outgoing {
                let reference = reference.get_or_insert_with(|| self.gateway.directory.reference());
                let dates = *dates.get_or_insert_with(|| self.query_dates());
                self.add(&mut group, item.route.channel, item, reference, filters::live(dates, item));
                continue;
            }
            self.end_group(&mut group);
            match outgoing {
                Outgoing::Answer(call, outcome) => {
                    self.finish_call(&call);
                    self.answer(call, outcome, now);
                }
                Outgoing::Failed(call) => {
                    self.finish_call(&call);
                    self.refused_call(&call, Code::OutcomeUnknown.text(), now);
                }
                Outgoing::Started(call, started) => {
                    self.finish_call(&call);
                    self.begin(call, started, now);
                }
                Outgoing::Batch(channel, number, batch) => self.batch((channel, number), &batch),
                Outgoing::Frame(wanted, frame) if wanted.strong_count() > 0 => self.out.bytes.extend_from_slice(&frame),
                Outgoing::Status(change) => self.status(Some(change)),
                Outgoing::Close(why) => self.close(why),
                Outgoing::Item(..) | Outgoing::Frame(..) => {}
            }
        }
        self.end_group(&mut group);
    }

    /// Records that a call was answered, or was not accepted.
    pub(super) fn finish_call(&mut self, call: &Call) {
        self.queue.finished(1);
        self.long = self.long.saturating_sub(usize::from(call.may_be_long()));
    }

    /// The threshold of the key's counters, for the acknowledgement of `executions`; `None` when nothing is counted.
    fn maxratecount(&self) -> Option<u32> {
        let organization = self.service_user(|user| user.organization)?;
        self.gateway
            .tiers
            .of(organization)
            .allowance()
            .and_then(|allowance| u32::try_from(allowance.threshold / 100).ok())
    }

    /// The key's query dates as of the last release (rule 10).
    pub(super) fn query_dates(&self) -> Period {
        self.service_user(|user| user.settings.query_dates).unwrap_or(Period::ALWAYS)
    }

    /// Whether the key, as of the last release, may see a channel's past (rule 12); Members and the venue may.
    pub(super) fn sees_past(&self, channel: Operation) -> bool {
        self.service_user(|user| permit_past(user.scopes, channel)).unwrap_or(true)
    }

    /// Reads the socket's Service User as of the last release. A token may name one that does not exist here, if the
    /// journal was restored from an older backup; the engine will then refuse the key.
    fn service_user<T>(&self, read: impl FnOnce(&ServiceUser) -> T) -> Option<T> {
        let Actor::ServiceUser(id) = self.principal.actor else { return None };
        self.gateway.directory.keys(|keys| keys.all().get(id.index()).map(read))
    }

    /// Adds an item to the current frame, or starts a new one.
    pub(super) fn add(
        &mut self,
        group: &mut Option<Group>,
        channel: Operation,
        item: &Item,
        reference: &Reference,
        dates: Period,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(&channel).filter(|open| open.started && !open.over) else {
            return;
        };
        // Items of other keys, or of the other side of a trade, do not show the counters of those.
        let own = item.stamped.by == self.principal.actor;
        let counts = own && subscription.options.ratecounter && channel == Operation::Executions;
        let route = &item.route;
        if !dates.holds(item.stamped.at) {
            // `balances` stays open after the dates end; were they extended later, it would continue after a gap.
            subscription.over |= channel == Operation::Balances && dates.has_ended(item.stamped.at);
            return;
        }
        if !filters::admits(&subscription.options, item, reference) {
            return;
        }
        if let Some(held) = subscription.held.as_mut().filter(|held| held.holds(item)) {
            // At most as many as are kept for clients that resume.
            if !held.keep(item, self.gateway.limits.replay_ring) {
                self.close(Close::FillsNotReady);
            }
            return;
        }
        let fits = group
            .as_ref()
            .is_some_and(|group| group.channel == channel && group.fills == route.is_fill && group.count < ITEMS_MAX);
        if !fits {
            self.end_group(group);
        }
        let fresh = || Group { channel, fills: route.is_fill, count: 0, data: mem::take(&mut self.items) };
        let group = group.get_or_insert_with(fresh);
        group.data.push(if group.count == 0 { '[' } else { ',' });
        item.write(&mut group.data, reference);
        if let Some(count) = item.stamped.rate.filter(|_| counts) {
            // The shared text has no counter, as not all asked for it: insert it before the closing brace.
            group.data.pop();
            group.data.push_str(",\"ratecount\":");
            write_units(&mut group.data, count.cast_signed(), 2);
            group.data.push('}');
        }
        group.count += 1;
    }

    pub(super) fn end_group(&mut self, group: &mut Option<Group>) {
        let Some(Group { channel, mut data, .. }) = group.take() else { return };
        data.push(']');
        self.frame(channel, false, &data);
        data.clear();
        self.items = data;
    }

    pub(super) fn frame(&mut self, channel: Operation, snapshot: bool, data: &str) {
        let Some(subscription) = self.subscriptions.get_mut(&channel) else { return };
        subscription.sequence += 1;
        let numbered = matches!(channel, Operation::Executions | Operation::Balances);
        let sequence = numbered.then_some(subscription.sequence);
        self.push(|text| outbound::frame(text, channel.name(), snapshot, data, sequence));
    }

    fn answer(&mut self, call: Call, outcome: Outcome, now: Moment) {
        match outcome {
            _ if matches!((&call.then, &outcome), (Continuation::Bind, Ok(_))) => self.bind(),
            Ok(answer) if orders::reply(&mut self.out, &call, &answer, now) => {}
            Ok(Answer::Reply(reply, _)) => self.answer_command(&call, reply, now),
            Ok(Answer::View(view)) => self.answer_query(call, view, now),
            Err(reject) => self.refused(&call, &reject, now),
        }
    }

    /// Answers a command that is not about orders.
    fn answer_command(&mut self, call: &Call, reply: Reply, now: Moment) {
        let reference = &self.gateway.directory.reference();
        let mut json = String::new();
        let envelope = call.envelope(now);
        match (&call.then, reply) {
            (Continuation::Key(_) | Continuation::Invitations(_), Reply::Request(request)) => {
                items::json(&mut json, &self.initiated(&call.then, &request));
            }
            (_, Reply::Claimed(user)) => self.credentials(&mut json, &user.api_key, &user.secret_sealed),
            (Continuation::Invitations(tokens), Reply::Organization(organization, members)) => {
                results::organization(&mut json, &organization, &members, tokens);
            }
            (_, reply @ (Reply::Export(_) | Reply::ExportRemoved)) => {
                self.gateway.exports.changed();
                results::reply(&mut json, reference, &reply);
            }
            (_, reply) => results::reply(&mut json, reference, &reply),
        }
        self.reply(envelope, Ok(&json));
    }

    /// Answers a query, or queries history with the permission that the engine gave.
    fn answer_query(&mut self, mut call: Call, view: View, now: Moment) {
        if let Continuation::Level3(_) = call.then {
            self.admitted = Some(call);
            return;
        }
        let mut json = String::new();
        match (mem::replace(&mut call.then, Continuation::Reply), view) {
            (Continuation::Audit(page), View::Audit(grant)) => {
                return self.audit(call, &page, grant, now);
            }
            (Continuation::History(request), View::History(grant)) => {
                return self.query_history(call, *request, grant, now);
            }
            (Continuation::Find(refs), View::Found(open, grant)) => {
                return self.find(call, refs, open, grant);
            }
            (Continuation::Transfers(filter), View::OpenDeposits(open, grant)) => {
                return self.transfers(call, *filter, grant, open, records::deposits_text);
            }
            (Continuation::Transfers(filter), View::OpenWithdrawals(open, grant)) => {
                return self.transfers(call, *filter, grant, open, records::withdrawals_text);
            }
            (_, View::Exports(all)) => self.exports(&mut json, call.operation, &all, now),
            (_, View::ServiceUsers(all)) => {
                let open = |id| self.gateway.sockets.held(Actor::ServiceUser(id));
                results::service_users(&mut json, &all, open);
            }
            (_, view) => results::view(&mut json, &self.gateway.directory.reference(), call.operation, &view),
        }
        self.reply(call.envelope(now), Ok(&json));
    }

    /// `export_status`, or the link of `export_retrieve`.
    fn exports(&self, json: &mut String, operation: Operation, all: &[Export], now: Moment) {
        let exports = &self.gateway.exports;
        match all {
            [export] if operation == Operation::ExportRetrieve => {
                let (token, until) = exports.link(export.id, self.principal, now);
                results::export_link(json, &token, until);
            }
            all => results::exports(json, all, |id| exports.progress(id)),
        }
    }

    pub(super) fn refused(&mut self, call: &Call, reject: &Reject, now: Moment) {
        self.refused_call(call, &reject.text(), now);
    }

    /// A request with what was generated for it: a key that it created at once, or the token of the invitation. Both
    /// are shown here and never again (rules 17, 28).
    fn initiated(&self, generated: &Continuation, request: &Request) -> Initiated {
        let shown = Initiated {
            request: records::request(request, None, None),
            api_key: None,
            api_secret: None,
            invitation: None,
        };
        match (generated, &request.generated) {
            (Continuation::Key(generated), Some(GeneratedCredential::Key { api_key, secret_sealed }))
                if generated == api_key && request.state == RequestState::Executed =>
            {
                let secret = self.gateway.master.open(api_key.as_bytes(), secret_sealed).ok();
                Initiated {
                    api_key: secret.is_some().then(|| api_key.clone()),
                    api_secret: secret.map(|secret| Text::from(secret_text(&secret).as_str())),
                    ..shown
                }
            }
            (Continuation::Invitations(tokens), Some(GeneratedCredential::Invitation { token_hash })) => {
                let fresh = tokens.iter().find(|token| bearer_hash(token) == *token_hash);
                Initiated { invitation: fresh.cloned(), ..shown }
            }
            _ => shown,
        }
    }

    fn credentials(&self, json: &mut String, api_key: &str, sealed: &[u8]) {
        let secret = self.gateway.master.open(api_key.as_bytes(), sealed);
        let api_secret = secret.map(|secret| Text::from(secret_text(&secret).as_str())).unwrap_or_default();
        items::json(json, &Credentials { api_key: api_key.to_owned(), api_secret });
    }

    /// Starts a private stream: first the acknowledgement, then the snapshot or what was missed (rule 42).
    fn begin(&mut self, call: Call, started: Result<Box<Started>, Reject>, now: Moment) {
        let Continuation::Subscribe(follow) = call.then else { return };
        let channel = call.operation;
        let Started { at, first, mut warnings, fills, live } = match started {
            Ok(started) => *started,
            Err(reject) => return self.refused(&call, &reject, now),
        };
        let Some(subscription) =
            self.subscriptions.get(&channel).filter(|subscription| subscription.number == follow.number)
        else {
            return self.ended_early(&call, follow, now);
        };
        let options = subscription.options.clone();
        if follow.acknowledged && !self.sees_past(channel) {
            // The right was lost while the last page was written; no more of the past may be sent.
            return self.close(Close::ReplayBrokenOff);
        }
        let fills = fills.filter(|_| options.snap_trades == Some(true));
        if follow.too_old {
            warnings.push(Code::OffsetTooOld.text());
        }
        if follow.from_offset.is_some() && channel == Operation::Balances && self.query_dates().from.is_some() {
            warnings.push("entries before the key's query start date are left out");
        }
        match first {
            StreamStart::TooOld => {
                self.follow(call, Follow { from_offset: None, too_old: true, ..follow });
                return self.submit(now);
            }
            StreamStart::Past(owner) => {
                return self.read_on(Replay { call, follow, owner, at, warnings, fills: fills.is_some() });
            }
            _ if follow.acknowledged => {}
            _ => self.acknowledge_stream(&call, warnings, fills.is_some(), now),
        }
        match first {
            StreamStart::Snapshot(items) => {
                // When resuming, only if the offset is too old, and then whatever the options say.
                if follow.too_old || options.wants_snapshot(channel) {
                    let reference = &self.gateway.directory.reference();
                    let mut data = String::new();
                    let items = narrowed(items, &options, reference, self.query_dates());
                    results::snapshot(&mut data, reference, at, &items);
                    self.frame(channel, true, &data);
                }
            }
            StreamStart::Replay(missed) => self.replay(channel, missed.into_iter()),
            StreamStart::Past(_) | StreamStart::TooOld => {}
        }
        if let Some(subscription) = self.subscriptions.get_mut(&channel) {
            // Only now: what was missed before the end is sent all the same.
            subscription.over |= !live;
        }
        if fan_out::takes(channel) && filters::takes_all(&options) {
            self.queue.allow_direct(Some(follow.number));
        }
        if let Some(grant) = fills {
            self.show_fills(follow.number, grant);
        }
    }

    /// Acknowledges that a private stream starts, with its options.
    pub(super) fn acknowledge_stream(&mut self, call: &Call, warnings: Vec<&'static str>, fills: bool, now: Moment) {
        let channel = call.operation;
        let maxratecount = self.maxratecount().filter(|_| channel == Operation::Executions);
        let Some(subscription) = self.subscriptions.get_mut(&channel) else { return };
        subscription.started = true;
        let result = Subscribed { maxratecount, ..acknowledgement(channel, &subscription.options, warnings, fills) };
        self.acknowledge(call.envelope(now), &result);
    }
}

/// The acknowledgement of a private channel; clients send its fields back as params after a reconnect.
fn acknowledgement(
    channel: Operation,
    options: &super::inbound::SubscribeOptions,
    mut warnings: Vec<&'static str>,
    fills: bool,
) -> Subscribed {
    let executions = channel == Operation::Executions;
    if executions && options.snap_trades == Some(true) && !fills {
        warnings.push("snap_trades: past fills need the scope query_closed_orders");
    }
    Subscribed {
        channel: channel.name(),
        snapshot: (!executions).then_some(options.snapshot.unwrap_or(true)),
        snap_orders: executions.then_some(options.snap_orders.or(options.snapshot).unwrap_or(true)),
        snap_trades: executions.then_some(fills),
        order_status: options.order_status.filter(|_| executions),
        ratecounter: (executions && options.ratecounter).then_some(true),
        cancel_on_disconnect: (executions && options.cancel_on_disconnect).then_some(true),
        asset: options.assets.clone(),
        r#type: options.types.clone(),
        workflow: options.workflow.map(Into::into),
        warnings: (!warnings.is_empty()).then_some(warnings),
        ..Subscribed::default()
    }
}
