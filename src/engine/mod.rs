//! The state machine. No I/O, no clock, no randomness, no hash-ordered iteration: the same commands give
//! the same bytes on every machine.
//!
//! A command passes three gates in order: is the caller valid now, may the caller do this
//! ([`permit`]), and is it sound (the topic's file)? Only then are events emitted.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod admission;
mod allocations;
pub mod amendments;
pub mod approvals;
pub mod book;
mod book_walk;
pub mod caller;
mod claims;
pub mod client_ids;
pub mod command;
mod conditional_closes;
mod dead_mans_switch;
mod decisions;
pub mod deposits;
pub mod earn;
mod electorate;
pub mod entries;
pub mod event;
pub mod exports;
mod fields;
pub mod freezes;
mod halts;
pub mod holdings;
mod holds;
pub mod index;
pub mod keys;
pub mod ledger;
mod matching;
pub mod members;
mod nonces;
mod order_requests;
pub mod orders;
pub mod policy;
pub mod query;
pub mod rates;
pub mod reference;
pub mod reject;
pub mod reply;
mod rewards;
mod rolling_totals;
pub mod roster;
pub mod service_users;
pub mod sessions;
pub mod soundness;
pub mod state;
pub mod streams;
mod timers;
pub mod trading;
pub mod transfers;
pub mod transition;
mod trigger_index;
pub mod triggers;
pub mod venue;
mod views;
pub mod withdrawals;
pub mod workflows;

use caller::{Caller, MemberCaller, ServiceCaller};
use command::{Command, OrderRef};
use event::Event;
use keys::{KeyRef, admit_key};
use query::{Query, View};
use rates::{Rate, Rates};
use reject::{Code, Reject};
use reply::Reply;
use state::State;
use transition::Transition;

use crate::access::operation::Operation;
use crate::access::principal::{Actor, Principal};
use crate::access::tier::Tiers;
use crate::access::{Rights, permit};
use crate::domain::time::Moment;

/// The engine: a state, and the events of the current command.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    state: State,
    events: Vec<Event>,
    rates: Rates,
    rate: Option<Rate>,
}

impl Engine {
    /// An engine that continues from `state`, with unlimited keys.
    pub fn new(state: State) -> Engine {
        Engine { state, ..Engine::default() }
    }

    /// The same engine with its keys in these tiers.
    pub fn with_tiers(self, tiers: Tiers) -> Engine {
        Engine { rates: Rates::new(tiers), ..self }
    }

    /// Where the counter of the last command's key stands, if the command was counted.
    pub fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// The state as of the last event.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The events of the last command; empty after a refusal.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Hands the events of the last command over.
    pub fn take_events(&mut self) -> std::vec::Drain<'_, Event> {
        self.events.drain(..)
    }

    /// Prefetches what the next commands will look up in a large book, so that the waits for memory overlap. Changes
    /// nothing; to be called before a few commands that arrived together.
    pub fn prefetch<'a>(&self, commands: impl Iterator<Item = (Actor, &'a Command)> + Clone) {
        let orders = &self.state.orders;
        orders.prefetch(commands.clone().filter_map(|(_, command)| match command {
            Command::CancelOrder(OrderRef::Id(id)) => Some(*id),
            _ => None,
        }));
        orders.prefetch_names(commands.filter_map(|(by, command)| match (by, command) {
            (Actor::ServiceUser(owner), Command::PlaceOrder(order)) => Some((owner, order.cl_ord_id?)),
            _ => None,
        }));
    }

    /// Judges `command` on the current state and, if it is sound, emits its events. Its stamp is the wall clock, or the
    /// last stamp if that is later (rule 39).
    pub fn handle(&mut self, clock: Moment, by: &Principal, command: &Command) -> Result<Reply, Reject> {
        self.events.clear();
        self.rate = None;
        let now = clock.max(self.state.at);
        let caller = admit(&self.state, by, now)?;
        if let Some(operation) = command.operation() {
            permitted(&self.state, caller, operation)?;
        }
        if self.state.halted.is_some() && command.stops_at_halt() && !repeats(&self.state, caller, command, now) {
            return Err(Reject::of(Code::Halted));
        }
        if let Caller::Service(service) = caller {
            self.rates.check(&self.state, service, command, now, clock)?;
        }
        let mut transition = Transition::new(&mut self.state, &mut self.events, clock);
        let result = dispatch(&mut transition, by, caller, command);
        assert!(result.is_ok() || self.events.is_empty(), "a refusal emits nothing");
        if let Caller::Service(service) = caller {
            self.rate = self.rates.charge(&self.state, service, command, &result, &self.events, clock);
        }
        result
    }

    /// Answers `query` on the current state.
    pub fn query(&self, clock: Moment, by: &Principal, query: &Query) -> Result<View, Reject> {
        let now = clock.max(self.state.at);
        let caller = admit(&self.state, by, now)?;
        if let Some(operation) = query.operation() {
            permitted(&self.state, caller, operation)?;
        }
        views::answer(&self.state, now, by, caller, query)
    }
}

/// Checks that the principal's key or session is valid at `now`.
fn admit(state: &State, by: &Principal, now: Moment) -> Result<Caller, Reject> {
    match by.actor {
        Actor::Public => Ok(Caller::Public),
        Actor::ServiceUser(id) => admit_key(state, KeyRef::ServiceUser(id), by, now),
        Actor::Venue(id) => admit_key(state, KeyRef::Venue(id), by, now),
        Actor::Member(id) => state.members.admit(id, by.credential, now).map(Caller::Member),
        Actor::Server => Ok(Caller::Server),
    }
}

/// The only place that permits the operation of a command or query (law 3).
fn permitted(state: &State, caller: Caller, operation: Operation) -> Result<(), Reject> {
    let rights = match caller {
        Caller::Public => Rights::Public,
        Caller::Service(service) => Rights::ServiceUser(service.scopes),
        Caller::Member(member) => state.members.rights(member.id),
        Caller::Venue => Rights::Venue,
        Caller::Server => return Ok(()),
    };
    if permit(rights, operation) { Ok(()) } else { Err(Reject::of(Code::PermissionDenied)) }
}

/// Whether a command repeats an id of the caller's: it then gets the first answer or is refused, and changes nothing
/// (rule 30).
fn repeats(state: &State, caller: Caller, command: &Command, now: Moment) -> bool {
    match (caller, command) {
        (Caller::Service(caller), Command::PlaceOrder(request)) => state.repeats(caller.id, request, now),
        (Caller::Service(caller), Command::PlaceBatch(all)) => {
            all.iter().all(|request| state.repeats(caller.id, request, now))
        }
        (Caller::Service(caller), Command::Earn(request)) => {
            request.client_id.is_some_and(|id| state.earn.find_by_client_id(caller.id, id).is_some())
        }
        (Caller::Service(caller), Command::Withdraw(request)) => {
            request.client_id.is_some_and(|id| state.withdrawals.knows_client_id(caller.id, id))
        }
        (Caller::Member(caller), Command::Initiate(_, initiation)) => {
            initiation.client_id.is_some_and(|id| state.approvals.find_by_client_id(caller.id, id).is_some())
        }
        (_, Command::PayEarnReward { client_id, .. }) => state.earn.payout(*client_id).is_some(),
        _ => false,
    }
}

fn dispatch(t: &mut Transition<'_>, by: &Principal, caller: Caller, command: &Command) -> Result<Reply, Reject> {
    match caller {
        Caller::Public => for_anybody(t, by, command),
        Caller::Service(service) => for_service_user(t, service, command),
        Caller::Member(member) => for_member(t, member, command),
        Caller::Venue => for_venue(t, command),
        Caller::Server => for_server(t, command),
    }
}

/// Commands that lead to a credential: the gateway has verified signature, password, code or token.
fn for_anybody(t: &mut Transition<'_>, by: &Principal, command: &Command) -> Result<Reply, Reject> {
    match command {
        Command::OpenSession { key, nonce } => keys::open_session(t, by, *key, *nonce),
        Command::OpenMemberSession { member, step, cookie_hash } => sessions::open(t, *member, *step, *cookie_hash),
        Command::CloseMemberSession { cookie_hash } => sessions::close(t, *cookie_hash),
        Command::AcceptInvitation { token_hash, password_hash, totp_sealed } => {
            members::accept_invitation(t, *token_hash, password_hash, totp_sealed)
        }
        Command::ConfirmInvitation { token_hash, totp_sealed, step } => {
            members::confirm_invitation(t, *token_hash, totp_sealed, *step)
        }
        _ => Err(Reject::of(Code::PermissionDenied)),
    }
}

fn for_service_user(t: &mut Transition<'_>, caller: ServiceCaller, command: &Command) -> Result<Reply, Reject> {
    match command {
        Command::PlaceOrder(order) => trading::place(t, caller, order).map(Reply::Placed),
        Command::PlaceBatch(orders) => trading::place_batch(t, caller, orders),
        Command::AmendOrder(request) => amendments::amend(t, caller, request),
        Command::EditOrder(request) => amendments::edit(t, caller, request),
        Command::CancelOrder(order) => trading::cancel(t, caller, order),
        Command::CancelBatch(orders) => trading::cancel_batch(t, caller, orders),
        Command::CancelAll => trading::cancel_all(t, caller),
        Command::CancelAllAfter(timeout_s) => dead_mans_switch::arm(t, caller, *timeout_s),
        Command::SettlePosition => Err(Reject::of(Code::UnknownPosition)),
        Command::Earn(request) => allocations::operate(t, caller, request),
        Command::AddExport(request) => exports::add(t, caller, request),
        Command::RemoveExport(export) => exports::remove(t, caller, *export),
        Command::DepositAddresses { asset, method, new } => {
            deposits::addresses(t, caller, asset, method.as_deref(), *new)
        }
        Command::Withdraw(request) => withdrawals::withdraw(t, caller, request),
        Command::CancelWithdrawal(id) => withdrawals::cancel(t, caller, *id),
        _ => Err(Reject::of(Code::PermissionDenied)),
    }
}

fn for_member(t: &mut Transition<'_>, caller: MemberCaller, command: &Command) -> Result<Reply, Reject> {
    match command {
        Command::Initiate(change, initiation) => decisions::initiate(t, caller, change, initiation),
        Command::Vote { decision, ballots, step, comment } => {
            decisions::vote(t, caller, *decision, ballots, *step, comment.as_deref())
        }
        Command::Execute { ballots, step, comment } => {
            decisions::execute(t, caller, ballots, *step, comment.as_deref())
        }
        Command::CancelRequest(request) => decisions::cancel(t, caller, *request),
        Command::Freeze { scope, reason } => freezes::freeze(t, caller, *scope, reason),
        Command::CancelOrders(service_user) => freezes::cancel_orders(t, caller, *service_user),
        Command::ClaimSecret { request, step } => claims::claim_secret(t, caller, *request, *step),
        _ => Err(Reject::of(Code::PermissionDenied)),
    }
}

fn for_venue(t: &mut Transition<'_>, command: &Command) -> Result<Reply, Reject> {
    match command {
        Command::CreateOrganization { name, members } => members::create_organization(t, name, members),
        Command::AddAsset { asset } => venue::add_asset(t, asset),
        Command::AddMarket { market } => venue::add_market(t, market),
        Command::SetMarketStatus { symbol, status } => venue::set_market_status(t, symbol, *status),
        Command::AddEarnStrategy { strategy } => venue::add_strategy(t, strategy),
        Command::AddDepositAddresses { asset, addresses } => venue::add_deposit_addresses(t, asset, addresses),
        Command::CreditDeposit(credit) => deposits::credit(t, credit),
        Command::FinishWithdrawal { withdrawal, result } => withdrawals::finish(t, *withdrawal, result),
        Command::PayEarnReward { strategy, amount, client_id } => rewards::pay(t, *strategy, *amount, *client_id),
        Command::SetKyc { member, kyc } => members::set_kyc(t, *member, *kyc),
        Command::Halt { reason } => halts::halt(t, reason),
        Command::Resume => halts::resume(t),
        _ => Err(Reject::of(Code::PermissionDenied)),
    }
}

fn for_server(t: &mut Transition<'_>, command: &Command) -> Result<Reply, Reject> {
    match command {
        Command::Genesis(events) => {
            if t.state().seq.0 != 0 {
                return Err(Reject::of(Code::NotEmpty));
            }
            for event in events {
                t.emit(event.clone());
            }
            Ok(Reply::Done)
        }
        Command::Tick => {
            timers::tick(t);
            Ok(Reply::Done)
        }
        Command::CloseMemberSession { cookie_hash } => sessions::close(t, *cookie_hash),
        Command::Disconnected(id) => Ok(Reply::Canceled(service_users::disconnected(t, *id))),
        Command::FinishExport { export, started, rows } => exports::finish(t, *export, *started, *rows),
        _ => Err(Reject::of(Code::PermissionDenied)),
    }
}
