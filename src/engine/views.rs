//! Answers to queries, from the state as of one sequence number.

use std::collections::BTreeSet;

use super::approvals::{InitiatorId, can, may_view, unknown_request};
use super::caller::{Caller, MemberCaller, ServiceCaller};
use super::command::OrderRef;
use super::decisions;
use super::electorate::Electorate;
use super::exports;
use super::holdings;
use super::keys::{KeyRef, admit_key};
use super::query::{AddressFilter, AuditGrant, HistoryGrant, Items, ListedServiceUser, Owner, Query, Snapshot, View};
use super::reject::{Code, Reject};
use super::reply::Bound;
use super::service_users::ServiceUser;
use super::state::State;
use super::transfers::find_asset;
use super::withdrawals;
use super::workflows::withdrawal::WithdrawalChange;
use crate::access::operation::Operation;
use crate::access::permit_past;
use crate::access::principal::{Actor, Credential, Principal};
use crate::access::scope::Scope;
use crate::domain::ids::{AccountId, AssetId, MemberId, OrderId, OrganizationId, ServiceUserId};
use crate::domain::text::AssetCode;
use crate::domain::time::Moment;

/// Answers a query of a caller who is permitted its operation.
pub(super) fn answer(
    state: &State,
    now: Moment,
    by: &Principal,
    caller: Caller,
    query: &Query,
) -> Result<View, Reject> {
    match (query, caller) {
        // Its token was verified; here is checked whether the key is still good for a socket (rule 5).
        (Query::Bind(key), _) => {
            admit_key(state, *key, by, now)?;
            Ok(View::Bound(Bound::of(key.actor(), by.credential, state.seq)))
        }
        (Query::BindMember(cookie_hash), _) => {
            let member = state.members.session(cookie_hash, now).ok_or(Code::InvalidSession)?;
            let member = state.members.caller(member)?;
            Ok(View::Bound(Bound::of(Actor::Member(member.id), Credential::Session(*cookie_hash), state.seq)))
        }
        (_, Caller::Service(service)) => for_service_user(state, now, service, query),
        (_, Caller::Member(member)) => for_member(state, now, member, query),
        (Query::Subscribe { channel: Operation::Custody, .. }, Caller::Venue) => {
            let due = Items::Custody(state.withdrawals.pending_custody(), state.deposits.low_pools());
            Ok(snapshot(state, Owner::Venue, due))
        }
        (Query::AllExports(after), Caller::Server) => Ok(View::Exports(state.exports.page(*after).cloned().collect())),
        (_, Caller::Public | Caller::Venue | Caller::Server) => Err(Reject::of(Code::PermissionDenied)),
    }
}

fn snapshot(state: &State, owner: Owner, items: Items) -> View {
    let (at, warnings) = (state.seq, Vec::new());
    View::Snapshot(Box::new(Snapshot { owner, at, items, warnings, live: true, fills: None, past: true }))
}

fn funding_asset(state: &State, code: Option<&AssetCode>) -> Result<Option<AssetId>, Reject> {
    code.map(|code| find_asset(state, code).map(|asset| asset.id)).transpose()
}

fn for_service_user(state: &State, now: Moment, caller: ServiceCaller, query: &Query) -> Result<View, Reject> {
    let account = caller.account;
    Ok(match query {
        Query::Subscribe { channel: Operation::Level3, .. } => View::Permitted,
        Query::Subscribe { channel, open_orders } => {
            return subscribe_account(state, now, caller, *channel, *open_orders);
        }
        Query::KeyInfo => View::Key(
            Box::new(state.keys.service_user(caller.id).clone()),
            Box::new(state.members.organization(caller.organization).clone()),
        ),
        Query::Balances => View::Balances(state.ledger.balances(account)),
        Query::OpenOrders(filter) => {
            let market = filter.symbol.as_ref().map(|symbol| state.reference.find_market(symbol)).transpose()?;
            let (orders, next) = state.orders.page(account, market.map(|market| market.id), filter);
            View::OpenOrders(orders, next)
        }
        Query::Orders(refs) => found(state, caller, refs),
        Query::History(_) => View::History(grant(state, caller)),
        Query::Exports(operation, id) => View::Exports(exports::of(state, caller, *operation, *id)?),
        Query::EarnStrategies(filter) => {
            let (offers, next) = holdings::offers(state, caller, filter)?;
            View::Strategies(offers, next)
        }
        Query::EarnAllocations(filter) => {
            View::Allocations(Box::new(holdings::allocations(state, account, filter, now)?))
        }
        Query::EarnStatus(strategy) => View::EarnStatus(Box::new(holdings::status(state, account, *strategy, now)?)),
        Query::Deposits(filter) => {
            let asset = funding_asset(state, filter.asset.as_ref())?;
            View::OpenDeposits(state.deposits.transfers().open(account, filter, asset), grant(state, caller))
        }
        Query::Withdrawals(filter) => {
            let asset = funding_asset(state, filter.asset.as_ref())?;
            View::OpenWithdrawals(state.withdrawals.transfers().open(account, filter, asset), grant(state, caller))
        }
        Query::Methods(_, filter) => {
            let asset = funding_asset(state, filter.asset.as_ref())?;
            let all = asset.map_or(state.reference.assets(), |id| std::slice::from_ref(state.reference.asset(id)));
            View::Assets(all.iter().filter(|asset| filter.admits(asset)).cloned().collect())
        }
        Query::Addresses(_, filter) => addresses(state, now, caller.organization, filter)?,
        Query::WithdrawInfo(change) => View::WithdrawInfo(Box::new(withdrawals::info(
            state,
            account,
            change,
            InitiatorId::ServiceUser(caller.id),
            now,
        )?)),
        _ => return Err(Reject::of(Code::PermissionDenied)),
    })
}

/// The orders named, each once, as far as the key's scopes allow: open ones from here, closed ones through the grant.
fn found(state: &State, caller: ServiceCaller, refs: &[OrderRef]) -> View {
    let shown = caller.scopes.holds(Scope::QueryOpenOrders);
    let named = refs.iter().filter(|_| shown).flat_map(|order| state.orders.find(caller, order));
    let named: BTreeSet<OrderId> = named.collect();
    let open = named.into_iter().filter_map(|id| state.orders.get(id).cloned()).collect();
    let closed = caller.scopes.holds(Scope::QueryClosedOrders).then(|| grant(state, caller));
    View::Found(open, closed)
}

fn grant(state: &State, caller: ServiceCaller) -> HistoryGrant {
    let settings = &state.keys.service_user(caller.id).settings;
    HistoryGrant {
        account: caller.account,
        service_user: Some(caller.id),
        dates: settings.query_dates,
        reached: state.seq,
        at: state.at,
    }
}

fn addresses(state: &State, now: Moment, organization: OrganizationId, filter: &AddressFilter) -> Result<View, Reject> {
    let all = state.withdrawals.addresses(organization, funding_asset(state, filter.asset.as_ref())?);
    let judged = all.map(|listed| (listed.usable_at <= now, listed));
    let admitted = judged.filter(|(usable, listed)| filter.admits(listed, *usable));
    Ok(View::Addresses(admitted.map(|(usable, listed)| (listed.clone(), usable)).collect()))
}

/// The snapshot of a Service User's channel. After the query end date only `balances` still has one (rule 10).
fn subscribe_account(
    state: &State,
    now: Moment,
    caller: ServiceCaller,
    channel: Operation,
    open_orders: bool,
) -> Result<View, Reject> {
    let settings = &state.keys.service_user(caller.id).settings;
    let ended = settings.query_dates.has_ended(now);
    if ended && channel != Operation::Balances {
        return Err(Reject::field(Code::PermissionDenied, "channel", "the key's query end date has passed"));
    }
    let past = permit_past(caller.scopes, channel);
    let items = account_items(state, now, caller.account, channel, open_orders)?;
    let mut warnings = Vec::new();
    if settings.query_dates.from.is_some() && channel != Operation::Balances {
        warnings.push("entries before the key's query start date are left out");
    }
    if ended {
        warnings.push("the key's query end date has passed: no updates follow");
    }
    let owner = Owner::Account(caller.account);
    let fills = (channel == Operation::Executions && past).then(|| grant(state, caller));
    let (at, live) = (state.seq, !ended);
    Ok(View::Snapshot(Box::new(Snapshot { owner, at, items, warnings, live, fills, past })))
}

/// The items that a channel begins with.
fn account_items(
    state: &State,
    now: Moment,
    account: AccountId,
    channel: Operation,
    open_orders: bool,
) -> Result<Items, Reject> {
    Ok(match channel {
        Operation::Balances => Items::Balances(state.ledger.balances(account)),
        Operation::Executions if open_orders => Items::Orders(state.orders.open(account).cloned().collect()),
        Operation::Executions => Items::Nothing,
        Operation::Withdrawals => Items::Withdrawals(state.withdrawals.transfers().recent(account)),
        Operation::Deposits => Items::Deposits(state.deposits.transfers().recent(account)),
        Operation::Earn => Items::Holdings(holdings::holdings(state, account, now)),
        // Past ledger entries are in history; the channel starts with the next one.
        Operation::Ledger => Items::Nothing,
        _ => return Err(Reject::of(Code::PermissionDenied)),
    })
}

fn for_member(state: &State, now: Moment, caller: MemberCaller, query: &Query) -> Result<View, Reject> {
    let organization = caller.organization;
    Ok(match query {
        Query::Subscribe { channel: Operation::Approvals, .. } => {
            let pending = state.approvals.pending(organization).rev();
            let viewed = pending.filter(|request| may_view(&state.members, request, caller.id));
            snapshot(state, Owner::Organization(organization), Items::Requests(viewed.cloned().collect()))
        }
        Query::Subscribe { channel, open_orders } => {
            let items = account_items(state, now, caller.account, *channel, *open_orders)?;
            snapshot(state, Owner::Account(caller.account), items)
        }
        Query::MemberInfo => View::Member(
            Box::new(state.members.member(caller.id).clone()),
            Box::new(state.members.organization(organization).clone()),
            state.freezes.get(organization).cloned().map(Box::new),
        ),
        Query::Requests(filter) => {
            let (page, next) = state.approvals.page(state, caller.id, filter, now);
            View::Requests(page, next)
        }
        Query::Request(id) => {
            let found = state.approvals.find(organization, *id)?;
            if !may_view(&state.members, found, caller.id) {
                return Err(unknown_request());
            }
            let verdict = found.policy.as_ref().filter(|_| found.is_open(now));
            let eligible =
                verdict.map(|verdict| members_with_names(state, Electorate::now(state).voters(found, verdict)));
            View::Request(Box::new(found.clone()), can(state, found, caller.id, now), eligible)
        }
        Query::ServiceUsers => {
            let listed = |service_user: ServiceUser| ListedServiceUser {
                last_seen: state.keys.last_seen(KeyRef::ServiceUser(service_user.id)),
                service_user: ServiceUser {
                    claim: service_user.claim.filter(|claim| claim.is_open(now)),
                    ..service_user
                },
            };
            View::ServiceUsers(state.keys.of(organization).cloned().map(listed).collect())
        }
        Query::Members => View::Members(state.members.of(organization).cloned().collect()),
        Query::Explain { change, service_user } => explain(state, now, caller, change, *service_user)?,
        Query::Audit => View::Audit(AuditGrant { organization, reached: state.seq }),
        Query::Policies => View::Policies(state.policies.of(organization)),
        Query::Addresses(_, filter) => addresses(state, now, organization, filter)?,
        _ => return Err(Reject::of(Code::PermissionDenied)),
    })
}

/// `policy_explain`: which rule a planned withdrawal comes under, and who could approve it.
fn explain(
    state: &State,
    now: Moment,
    caller: MemberCaller,
    change: &WithdrawalChange,
    service_user: Option<ServiceUserId>,
) -> Result<View, Reject> {
    let initiator = match service_user {
        Some(id) => InitiatorId::ServiceUser(state.keys.find(caller.organization, id)?.id),
        None => InitiatorId::Member(caller.id),
    };
    let verdict = withdrawals::info(state, caller.account, change, initiator, now)?.verdict;
    let voters =
        verdict.as_ref().map(|verdict| Electorate::now(state).voters_for(caller.organization, initiator, verdict));
    Ok(View::Explained(verdict, members_with_names(state, voters.unwrap_or_default())))
}

/// Members with their names.
fn members_with_names(state: &State, members: Vec<MemberId>) -> Vec<(MemberId, String)> {
    members.into_iter().map(|id| decisions::member_with_name(state, id)).collect()
}
