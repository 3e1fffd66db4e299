//! Parses params into a request: one arm for each operation.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::values::{entry_type, optional_word};
use super::{Message, WireError};
use super::{change, earn, exports, funding, governance, history, orders, placement, venue};
use crate::access::operation::Operation;
use crate::access::workflow::Workflow;
use crate::domain::cursor::Cursor;
use crate::domain::ids::LedgerId;
use crate::domain::markets::EventTrigger;
use crate::domain::text::ClientOrderId;
use crate::domain::time::Period;
use crate::engine::command::{Command, OrderRef};
use crate::engine::query::Query;
use crate::engine::reject::Code;
use crate::wire::leaf::{Names, Text, UpTo};
use crate::wire::params as p;

/// A parsed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The operation asked for; a channel's for `subscribe` and `unsubscribe`.
    pub operation: Operation,
    /// The WebSocket token that came with it.
    pub token: Option<Text<'a>>,
    /// What to do.
    pub body: Body,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Answer `pong`.
    Ping,
    /// Begin a stream.
    Subscribe(SubscribeOptions),
    /// End a stream.
    Unsubscribe(SubscribeOptions),
    /// Ask the engine to act.
    Command(Command),
    /// `cancel_order`: one answer for each.
    Cancel(Vec<OrderRef>),
    /// A command that a one-time code may come with. The gateway verifies the code and sets its
    /// [step](Command::step_mut); it also generates the key of a new Service User.
    Coded(Command, Option<Text<'static>>),
    /// `create_organization`; the gateway generates the invitation tokens.
    CreateOrganization {
        /// Its name.
        name: String,
        /// Name and e-mail address of its first Members.
        members: Vec<(String, String)>,
    },
    /// Ask the engine.
    Query(Query),
    /// Ask history, with the engine's permission.
    History(HistoryRequest),
    /// Ask the audit log, with the engine's permission.
    Audit(Page),
}

/// The options of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The symbols of a channel that has them; `None` when none were named.
    pub symbols: Option<Vec<String>>,
    /// Levels of a book.
    pub depth: Option<u32>,
    /// Minutes of a candle.
    pub interval: Option<u32>,
    /// Whether to begin with a snapshot; each channel has its own default.
    pub snapshot: Option<bool>,
    /// What triggers a frame of `ticker`; `None` when not given.
    pub event_trigger: Option<EventTrigger>,
    /// Open orders in the snapshot of `executions`.
    pub snap_orders: Option<bool>,
    /// The last fills in the snapshot of `executions`.
    pub snap_trades: Option<bool>,
    /// All states of an order, or only the turning points.
    pub order_status: Option<bool>,
    /// The key's rate counter in each item of `executions` that it caused.
    pub ratecounter: bool,
    /// Cancel the Service User's orders some time after its last socket has closed.
    pub cancel_on_disconnect: bool,
    /// Resume after this offset.
    pub from_offset: Option<u64>,
    /// Only these assets.
    pub assets: Option<Vec<String>>,
    /// Only these types of ledger entry.
    pub types: Option<Vec<String>>,
    /// Only this workflow.
    pub workflow: Option<Workflow>,
}

impl SubscribeOptions {
    /// Whether the stream of `operation` begins with its snapshot, if it does not resume.
    pub fn wants_snapshot(&self, operation: Operation) -> bool {
        self.snap_orders.filter(|_| operation == Operation::Executions).or(self.snapshot).unwrap_or(true)
    }
}

/// What to read of an account's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryRequest {
    /// `closed_orders`
    ClosedOrders(Page),
    /// `trades_history`
    Trades(Page),
    /// `ledgers`
    Ledgers(Page),
    /// `query_ledgers`
    LedgersNamed(Vec<LedgerId>),
}

/// A page of history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Only this market.
    pub symbol: Option<String>,
    /// Only this asset.
    pub asset: Option<String>,
    /// Only this type of ledger entry.
    pub entry_type: Option<String>,
    /// Only the order with this client id.
    pub cl_ord_id: Option<ClientOrderId>,
    /// Only orders of this group.
    pub order_userref: Option<i64>,
    /// Only what happened in this time.
    pub period: Period,
    /// At most this many.
    pub limit: usize,
    /// Where the previous page ended.
    pub cursor: Option<Cursor>,
}

/// Parses an envelope's request.
pub fn parse<'a>(envelope: &Message<'a>) -> Result<Request<'a>, WireError> {
    let method: &str = &envelope.method;
    let read = match method {
        "subscribe" => stream(envelope).map(|(operation, token, channel)| (operation, token, Body::Subscribe(channel))),
        "unsubscribe" => {
            stream(envelope).map(|(operation, token, channel)| (operation, token, Body::Unsubscribe(channel)))
        }
        _ => match Operation::method(method) {
            Some(operation) => body(operation, envelope).map(|(token, body)| (operation, token, body)),
            None => Err(Code::UnknownMethod.into()),
        },
    };
    let (operation, token, body) =
        read.map_err(|refusal| WireError { method: Some(method.to_owned()), req_id: envelope.req_id, ..refusal })?;
    // One method, two operations: closing a position needs a different scope from placing an order (rule 13).
    let operation = match &body {
        Body::Command(Command::SettlePosition) => Operation::SettlePosition,
        _ => operation,
    };
    Ok(Request { operation, token, body })
}

pub(super) type Parsed<'a> = Result<(Option<Text<'a>>, Body), WireError>;

pub(super) fn parse_params<'a, T: Deserialize<'a>>(envelope: &Message<'a>) -> Result<T, WireError> {
    let text = envelope.params.map_or("{}", RawValue::get);
    if !text.starts_with('{') {
        return Err(WireError::field("params", "give an object"));
    }
    serde_json::from_str(text).map_err(|_| WireError::shape::<T>(text, &envelope.method))
}

fn stream<'a>(envelope: &Message<'a>) -> Result<(Operation, Option<Text<'a>>, SubscribeOptions), WireError> {
    let params: p::Subscribe<'_> = parse_params(envelope)?;
    let operation = Operation::channel(&params.channel).ok_or(Code::UnknownChannel)?;
    let by_symbol =
        [Operation::Ticker, Operation::Book, Operation::Level3, Operation::Trade, Operation::Ohlc].as_slice();
    let options = [
        ("symbol", params.symbol.is_some(), by_symbol),
        ("depth", params.depth.is_some(), &[Operation::Book, Operation::Level3]),
        ("interval", params.interval.is_some(), &[Operation::Ohlc]),
        ("event_trigger", params.event_trigger.is_some(), &[Operation::Ticker]),
        ("asset", params.asset.is_some(), &[Operation::Ledger, Operation::Deposits, Operation::Withdrawals]),
        ("type", params.r#type.is_some(), &[Operation::Ledger]),
        ("workflow", params.workflow.is_some(), &[Operation::Approvals]),
        ("cancel_on_disconnect", params.cancel_on_disconnect.is_some(), &[Operation::Executions]),
    ];
    // An option that was acknowledged but not applied would be relied on.
    if let Some((field, ..)) = options.iter().find(|(_, given, channels)| *given && !channels.contains(&operation)) {
        return Err(WireError::field(field, "this channel has no such option; leave it out"));
    }
    if params.from_offset.is_some() && (operation.row().public || operation == Operation::Level3) {
        return Err(WireError::field("from_offset", "the items of this channel have no offset; leave it out"));
    }
    let names = |list: Option<Names<'_>>, refusal: &str| {
        let read = list.map(|list| list.list().ok_or_else(|| WireError::new(refusal)));
        let owned = read.transpose()?.map(|list| list.iter().map(|name| (**name).to_owned()).collect());
        Ok::<Option<Vec<String>>, WireError>(owned)
    };
    // An empty list would be acknowledged and silence the channel.
    let filter = |field, list: Option<Names<'_>>, refusal| match names(list, refusal)? {
        Some(none) if none.is_empty() => Err(WireError::field(field, "name one, or leave it out")),
        list => Ok(list),
    };
    let channel = SubscribeOptions {
        symbols: names(params.symbol, "Symbol field must be an array")?,
        depth: params.depth,
        interval: params.interval,
        snapshot: params.snapshot,
        event_trigger: optional_word("event_trigger", params.event_trigger.as_deref())?,
        snap_orders: params.snap_orders,
        snap_trades: params.snap_trades.or(params.snapshot_trades),
        order_status: params.order_status,
        ratecounter: params.ratecounter.unwrap_or(false),
        cancel_on_disconnect: params.cancel_on_disconnect.unwrap_or(false),
        from_offset: params.from_offset.map(UpTo::get),
        assets: filter("asset", params.asset, "Asset field must be an array")?,
        types: match filter("type", params.r#type, "Type field must be an array")? {
            Some(types) => Some(types.iter().map(|name| entry_type(name)).collect::<Result<_, _>>()?),
            None => None,
        },
        workflow: optional_word("workflow", params.workflow.as_deref())?,
    };
    Ok((operation, params.token, channel))
}

#[expect(clippy::too_many_lines, reason = "a flat match: one arm an operation")]
fn body<'a>(operation: Operation, e: &Message<'a>) -> Parsed<'a> {
    match operation {
        Operation::Ping => ping(e),
        Operation::AddOrder => placement::add_order(e),
        Operation::BatchAdd => placement::batch_add(e),
        Operation::AmendOrder => placement::amend_order(e),
        Operation::EditOrder => placement::edit_order(e),
        Operation::CancelOrder => orders::cancel_order(e),
        Operation::BatchCancel => orders::batch_cancel(e),
        Operation::CancelAll => nothing(e, Body::Command(Command::CancelAll)),
        Operation::CancelAllOrdersAfter => orders::cancel_all_orders_after(e),
        Operation::OpenOrders => orders::open_orders(e),
        Operation::QueryOrders => orders::query_orders(e),
        Operation::ClosedOrders => history::closed_orders(e),
        Operation::TradesHistory => history::trades_history(e),
        Operation::Ledgers => history::ledgers(e),
        Operation::QueryLedgers => history::query_ledgers(e),
        Operation::AuditLog => history::audit_log(e),
        Operation::ExportAdd => exports::export_add(e),
        Operation::ExportStatus => exports::export_status(e),
        Operation::ExportRetrieve => exports::export_retrieve(e),
        Operation::ExportRemove => exports::export_remove(e),
        Operation::GetBalances => funding::get_balances(e),
        Operation::DepositMethods => funding::deposit_methods(e),
        Operation::DepositAddresses => funding::deposit_addresses(e),
        Operation::DepositStatus => funding::deposit_status(e),
        Operation::WithdrawMethods => funding::withdraw_methods(e),
        Operation::WithdrawAddresses | Operation::Addresses => funding::addresses(operation, e),
        Operation::WithdrawInfo => funding::withdraw_info(e),
        Operation::Withdraw => funding::withdraw(e),
        Operation::WithdrawStatus => funding::withdraw_status(e),
        Operation::WithdrawCancel => funding::withdraw_cancel(e),
        Operation::EarnStrategies => earn::earn_strategies(e),
        Operation::EarnAllocations => earn::earn_allocations(e),
        Operation::EarnAllocate => earn::earn_allocate(e),
        Operation::EarnDeallocate => earn::earn_deallocate(e),
        Operation::EarnStatus => earn::earn_status(e),
        Operation::KeyInfo => nothing(e, Body::Query(Query::KeyInfo)),
        Operation::MemberInfo => nothing(e, Body::Query(Query::MemberInfo)),
        Operation::ServiceUsers => nothing(e, Body::Query(Query::ServiceUsers)),
        Operation::Policies => nothing(e, Body::Query(Query::Policies)),
        Operation::Members => nothing(e, Body::Query(Query::Members)),
        Operation::Requests => governance::requests(e),
        Operation::RequestInfo => governance::request_info(e),
        Operation::CancelRequest => governance::cancel_request(e),
        Operation::Approve => governance::approve(e),
        Operation::Reject => governance::reject(e),
        Operation::Execute => governance::execute(e),
        Operation::ClaimSecret => governance::claim_secret(e),
        Operation::Freeze => governance::freeze(e),
        Operation::CancelOrders => governance::cancel_orders(e),
        Operation::PolicyExplain => governance::policy_explain(e),
        Operation::CreateServiceUser => change::create_service_user(e),
        Operation::EditServiceUser => change::edit_service_user(e),
        Operation::RotateServiceUserKey => change::rotate_service_user_key(e),
        Operation::RemoveServiceUser => change::remove_service_user(e),
        Operation::InviteMember => change::invite_member(e),
        Operation::EditMember => change::edit_member(e),
        Operation::ResetMember => change::reset_member(e),
        Operation::RemoveMember => change::remove_member(e),
        Operation::Unfreeze => change::unfreeze(e),
        Operation::SetPolicy => change::set_policy(e),
        Operation::RemovePolicy => change::remove_policy(e),
        Operation::AddAddress => change::add_address(e),
        Operation::RemoveAddress => change::remove_address(e),
        Operation::InitiateWithdrawal => change::initiate_withdrawal(e),
        Operation::CreateOrganization => venue::create_organization(e),
        Operation::AddAsset => venue::add_asset(e),
        Operation::AddMarket => venue::add_market(e),
        Operation::SetMarketStatus => venue::set_market_status(e),
        Operation::AddEarnStrategy => earn::add_earn_strategy(e),
        Operation::AddDepositAddresses => venue::add_deposit_addresses(e),
        Operation::CreditDeposit => venue::credit_deposit(e),
        Operation::SettleWithdrawal => venue::settle_withdrawal(e),
        Operation::FailWithdrawal => venue::fail_withdrawal(e),
        Operation::PayEarnReward => earn::pay_earn_reward(e),
        Operation::SetKyc => venue::set_kyc(e),
        Operation::Halt => venue::halt(e),
        Operation::Resume => nothing(e, Body::Command(Command::Resume)),
        Operation::SettlePosition
        | Operation::Status
        | Operation::Instrument
        | Operation::Ticker
        | Operation::Book
        | Operation::Level3
        | Operation::Trade
        | Operation::Ohlc
        | Operation::Balances
        | Operation::Executions
        | Operation::Ledger
        | Operation::Earn
        | Operation::Deposits
        | Operation::Withdrawals
        | Operation::Approvals
        | Operation::Custody => Err(Code::UnknownMethod.into()),
    }
}

fn nothing<'a>(e: &Message<'a>, body: Body) -> Parsed<'a> {
    let params: p::Nothing<'_> = parse_params(e)?;
    Ok((params.token, body))
}

fn ping<'a>(e: &Message<'a>) -> Parsed<'a> {
    match e.params {
        None => Ok((None, Body::Ping)),
        Some(_) => Err(WireError::new("Unsupported field: 'params' for the given msg type: ping")),
    }
}
