//! Queries and their answers. Queries go through the sequencer's queue and are answered with their batch, so nobody
//! reads what is not durable (rule 40).

use super::approvals::{Request, RequestState};
use super::command::OrderRef;
use super::deposits::Deposit;
use super::exports::Export;
use super::freezes::Freeze;
use super::holdings::{Allocations, EarnFilter, Holding, Offer};
use super::keys::KeyRef;
use super::ledger::Wallet;
use super::members::{Member, Organization};
use super::policy::{Policy, Verdict};
use super::reply::Bound;
use super::service_users::ServiceUser;
use super::transfers::TransferFilter;
use super::withdrawals::{ListedAddress, Withdrawal};
use super::workflows::withdrawal::WithdrawalChange;
use crate::access::operation::Operation;
use crate::access::workflow::Workflow;
use crate::domain::assets::Asset;
use crate::domain::ids::{
    AccountId, AssetId, ExportId, MemberId, OrderId, OrganizationId, RequestId, Seq, ServiceUserId, StrategyId,
};
use crate::domain::money::Amount;
use crate::domain::orders::Order;
use crate::domain::text::{AssetCode, ClientOrderId, Symbol};
use crate::domain::time::{Moment, Period};

/// Something to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Is this key, at this address, good for a socket now? Asked when a token binds one (rule 5).
    Bind(KeyRef),
    /// Does the session with this cookie hash still run?
    BindMember([u8; 32]),
    /// The snapshot of a channel; the release step registers the subscriber at that point (rule 42).
    Subscribe {
        /// The channel.
        channel: Operation,
        /// Whether `executions` begins with the open orders, of which there may be many: a client that resumes from an
        /// offset or wants no snapshot does not need them, unless the key may not see the past behind the ring.
        open_orders: bool,
    },
    /// `key_info`
    KeyInfo,
    /// `get_balances`
    Balances,
    /// `open_orders`, oldest first
    OpenOrders(OrderFilter),
    /// The open part of `query_orders`; the rest is read from history.
    Orders(Vec<OrderRef>),
    /// Permission to read history by this operation: accounts and dates (rule 40).
    History(Operation),
    /// `export_status` and `export_retrieve`: the one named, or all
    Exports(Operation, Option<ExportId>),
    /// Every account's exports after this one, page by page, for the server, which makes their files.
    AllExports(Option<ExportId>),
    /// `earn_strategies`
    EarnStrategies(EarnFilter),
    /// `earn_allocations`
    EarnAllocations(EarnFilter),
    /// `earn_status`
    EarnStatus(StrategyId),
    /// `deposit_methods` and `withdraw_methods`
    Methods(Operation, MethodFilter),
    /// The open part of `deposit_status`; the rest is read from history.
    Deposits(TransferFilter),
    /// `withdraw_addresses` and `addresses`
    Addresses(Operation, AddressFilter),
    /// `withdraw_info`
    WithdrawInfo(WithdrawalChange),
    /// The open part of `withdraw_status`; the rest is read from history.
    Withdrawals(TransferFilter),
    /// `member_info`
    MemberInfo,
    /// `requests`, newest first
    Requests(RequestFilter),
    /// `request_info`
    Request(RequestId),
    /// `service_users`
    ServiceUsers,
    /// `policies`
    Policies,
    /// `members`
    Members,
    /// `policy_explain`
    Explain {
        /// The planned withdrawal.
        change: WithdrawalChange,
        /// Who would ask for it; when `None`, the Member who sends the query.
        service_user: Option<ServiceUserId>,
    },
    /// Permission to read the audit log.
    Audit,
}

/// Which methods; `None` admits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodFilter {
    /// Of this asset.
    pub asset: Option<AssetCode>,
    /// Only this method.
    pub method: Option<String>,
    /// Only on this network.
    pub network: Option<String>,
}

impl MethodFilter {
    /// Whether it admits the method of an asset, which is the asset that it names.
    pub fn admits(&self, asset: &Asset) -> bool {
        matches_name(&self.method, &asset.method) && matches_name(&self.network, &asset.network)
    }
}

/// Which withdrawal addresses; `None` admits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressFilter {
    /// Of this asset.
    pub asset: Option<AssetCode>,
    /// Only by this method.
    pub method: Option<String>,
    /// Only the one of this name.
    pub key: Option<String>,
    /// Only those that may be used, or that may not yet.
    pub verified: Option<bool>,
}

impl AddressFilter {
    /// Whether it admits an address of the asset that it names; `usable` is whether the address may be used yet.
    pub fn admits(&self, listed: &ListedAddress, usable: bool) -> bool {
        matches_name(&self.method, &listed.address.method)
            && matches_name(&self.key, &listed.address.key)
            && self.verified.is_none_or(|verified| verified == usable)
    }
}

fn matches_name(only: &Option<String>, name: &str) -> bool {
    only.as_deref().is_none_or(|only| only == name)
}

/// Which requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// Only in this state.
    pub state: Option<RequestState>,
    /// Only of this workflow.
    pub workflow: Option<Workflow>,
    /// Only older than this one, where the previous page ended.
    pub before: Option<RequestId>,
    /// At most this many; all that one page looks at when `None`.
    pub limit: Option<usize>,
}

impl RequestFilter {
    /// Whether it admits a request; where the page begins and ends, and who may view it, is checked elsewhere.
    pub fn admits(&self, request: &Request) -> bool {
        self.state.is_none_or(|only| only == request.state) && self.workflow.is_none_or(|only| only == request.workflow)
    }
}

/// Which open orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// Only this market.
    pub symbol: Option<Symbol>,
    /// Only the order with this client id.
    pub cl_ord_id: Option<ClientOrderId>,
    /// Only orders of this group; 0 also admits orders without one, which are shown with 0.
    pub order_userref: Option<i64>,
    /// Only orders placed in this time.
    pub period: Period,
    /// Only orders after this one, where the previous page ended.
    pub after: Option<OrderId>,
    /// At most this many; all when `None`.
    pub limit: Option<usize>,
}

impl OrderFilter {
    /// Whether it admits an order; the market and the page are checked elsewhere.
    pub fn admits(&self, order: &Order) -> bool {
        self.cl_ord_id.is_none_or(|id| order.cl_ord_id == Some(id))
            && self.order_userref.is_none_or(|group| order.userref.unwrap_or(0) == group)
            && self.period.holds(order.opened_at)
    }
}

/// Permission to read the audit log of an Organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditGrant {
    /// The Organization.
    pub organization: OrganizationId,
    /// The tables must have reached this event before they answer.
    pub reached: Seq,
}

/// A Service User as Members see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedServiceUser {
    /// The record.
    pub service_user: ServiceUser,
    /// When its key last signed a request.
    pub last_seen: Option<Moment>,
}

/// What an account has of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Which asset.
    pub asset: AssetId,
    /// Spot, flexible and bonded, in this order.
    pub wallets: [(Wallet, Amount); 3],
    /// Held of spot.
    pub held: Amount,
}

/// What a Member may do with a request now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllowedActions {
    /// Vote for it.
    pub approve: bool,
    /// Vote against it.
    pub reject: bool,
    /// Complete it at once.
    pub execute: bool,
    /// Take it back.
    pub cancel: bool,
}

/// What `withdraw_info` answers: fee and limit of a planned withdrawal, and the approval that it would need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithdrawInfo {
    /// The asset asked about.
    pub asset: Asset,
    /// What is available.
    pub limit: Amount,
    /// Gross amount asked about.
    pub amount: Amount,
    /// Its fee.
    pub fee: Amount,
    /// The verdict of the policy that would govern it.
    pub verdict: Option<Verdict>,
}

/// Permission to read history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryGrant {
    /// Of this account.
    pub account: AccountId,
    /// The Service User, whose `cl_ord_id`s are its own.
    pub service_user: Option<ServiceUserId>,
    /// Entries of this time.
    pub dates: Period,
    /// The tables must have reached this event before they answer.
    pub reached: Seq,
    /// The stamp of that event.
    pub at: Moment,
}

/// Whose channel it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// An account's private channel.
    Account(AccountId),
    /// An Organization's approval queue, as far as the Member may view it.
    Organization(OrganizationId),
    /// The venue operator.
    Venue,
}

/// What a channel begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose channel.
    pub owner: Owner,
    /// The event as of which it was taken.
    pub at: Seq,
    /// The items.
    pub items: Items,
    /// The warnings in the acknowledgement.
    pub warnings: Vec<&'static str>,
    /// Whether changes follow; not after the query end date (rule 10).
    pub live: bool,
    /// Permission to read past fills, which `snap_trades` asks for (rule 12).
    pub fills: Option<HistoryGrant>,
    /// Whether a replay may go back further than the ring (rule 12).
    pub past: bool,
}

/// The items that a channel begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Items {
    /// None: what came before is history, or the client does not need it.
    Nothing,
    /// Balances of the account, by asset.
    Balances(Vec<Balance>),
    /// Open orders.
    Orders(Vec<Order>),
    /// Open withdrawals, and the last that ended.
    Withdrawals(Vec<Withdrawal>),
    /// Custody's tasks: withdrawals to pay, and pools of deposit addresses that are nearly empty.
    Custody(Vec<Withdrawal>, Vec<(AssetId, usize)>),
    /// Open deposits, and the last that ended.
    Deposits(Vec<Deposit>),
    /// What the account has in strategies, not valued.
    Holdings(Vec<Holding>),
    /// Pending requests that the Member may view, newest first.
    Requests(Vec<Request>),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// The socket is bound.
    Bound(Box<Bound>),
    /// What a channel begins with.
    Snapshot(Box<Snapshot>),
    /// `level3`: the key may follow it; market data provides the rest.
    Permitted,
    /// The caller's key.
    Key(Box<ServiceUser>, Box<Organization>),
    /// Balances of the account, by asset.
    Balances(Vec<Balance>),
    /// `open_orders`: a page, and where the next one begins.
    OpenOrders(Vec<Order>, Option<OrderId>),
    /// `query_orders`: those that are open, and permission to look for the others if the key has it.
    Found(Vec<Order>, Option<HistoryGrant>),
    /// Permission to read history.
    History(HistoryGrant),
    /// Exports, oldest first.
    Exports(Vec<Export>),
    /// `earn_strategies`: a page, and where the next one begins.
    Strategies(Vec<Offer>, Option<StrategyId>),
    /// `earn_allocations`
    Allocations(Box<Allocations>),
    /// `earn_status`
    EarnStatus(Box<Holding>),
    /// Assets, for methods.
    Assets(Vec<Asset>),
    /// `deposit_status`: those that are open, and permission to look for the others.
    OpenDeposits(Vec<Deposit>, HistoryGrant),
    /// Withdrawal addresses by asset, and whether each may be used.
    Addresses(Vec<(ListedAddress, bool)>),
    /// What a withdrawal would need.
    WithdrawInfo(Box<WithdrawInfo>),
    /// `withdraw_status`: those that are open, and permission to look for the others.
    OpenWithdrawals(Vec<Withdrawal>, HistoryGrant),
    /// The Member, the Organization, and its freeze.
    Member(Box<Member>, Box<Organization>, Option<Box<Freeze>>),
    /// Members.
    Members(Vec<Member>),
    /// `policy_explain`: the policy's verdict, and who could vote.
    Explained(Option<Verdict>, Vec<(MemberId, String)>),
    /// Permission to read the audit log.
    Audit(AuditGrant),
    /// `requests`: a page, with what the asking Member may do, and where the next one begins.
    Requests(Vec<(Request, AllowedActions)>, Option<RequestId>),
    /// `request_info`, with who has not voted and could, while it is pending.
    Request(Box<Request>, AllowedActions, Option<Vec<(MemberId, String)>>),
    /// Service Users.
    ServiceUsers(Vec<ListedServiceUser>),
    /// Policies.
    Policies(Vec<Policy>),
}

impl Query {
    /// The operation that the caller must be permitted; `None` for binding a socket and for the server.
    pub fn operation(&self) -> Option<Operation> {
        Some(match self {
            Query::Bind(_) | Query::BindMember(_) | Query::AllExports(_) => return None,
            Query::Subscribe { channel: operation, .. }
            | Query::History(operation)
            | Query::Exports(operation, _)
            | Query::Methods(operation, _)
            | Query::Addresses(operation, _) => *operation,
            Query::KeyInfo => Operation::KeyInfo,
            Query::Balances => Operation::GetBalances,
            Query::OpenOrders(_) => Operation::OpenOrders,
            Query::Orders(_) => Operation::QueryOrders,
            Query::EarnStrategies(_) => Operation::EarnStrategies,
            Query::EarnAllocations(_) => Operation::EarnAllocations,
            Query::EarnStatus(_) => Operation::EarnStatus,
            Query::Deposits(_) => Operation::DepositStatus,
            Query::WithdrawInfo(_) => Operation::WithdrawInfo,
            Query::Withdrawals(_) => Operation::WithdrawStatus,
            Query::MemberInfo => Operation::MemberInfo,
            Query::Requests(_) => Operation::Requests,
            Query::Request(_) => Operation::RequestInfo,
            Query::ServiceUsers => Operation::ServiceUsers,
            Query::Policies => Operation::Policies,
            Query::Members => Operation::Members,
            Query::Explain { .. } => Operation::PolicyExplain,
            Query::Audit => Operation::AuditLog,
        })
    }
}
