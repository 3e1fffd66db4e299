//! Params to what is asked: one arm for each operation.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::change::{coded, initiate, withdrawal_change};
use super::earn::earn;
use super::exports::exports;
use super::funding::funding;
use super::orders::{batch_cancel, cancel_order, orders, query_orders};
use super::placement::{add_order, amend_order, batch_add, edit_order};
use super::values::{cursor, limit, moment, owned, request_id, service_user, workflow};
use super::venue::venue;
use super::{Envelope, WireError};
use crate::access::operation::Operation;
use crate::access::workflow::Workflow;
use crate::domain::cursor::Cursor;
use crate::domain::ids::{LedgerId, RequestId};
use crate::domain::limits::ORDER_IDS_MAX;
use crate::domain::time::Moment;
use crate::engine::approvals::RequestState;
use crate::engine::command::{Command, OrderRef};
use crate::engine::freezes::FreezeScope;
use crate::engine::query::{Query, Sought};
use crate::wire::leaf::{Names, Text};
use crate::wire::params as p;

/// A message understood.
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
    Subscribe(Channel),
    /// End a stream.
    Unsubscribe(Channel),
    /// Ask the engine to act.
    Command(Command),
    /// `cancel_order`: one answer for each.
    Cancel(Vec<OrderRef>),
    /// A command that a one-time code may carry. The gateway verifies the code and sets its step with
    /// [`set_step`]; it also draws the key of a new Service User.
    Coded(Command, Option<String>),
    /// `create_organization`; the gateway draws the invitation tokens, whose hashes are zero here.
    Invite(Command),
    /// Ask the engine.
    Query(Query, Filter),
    /// Ask history, with the engine's leave.
    History(Page),
    /// Ask the audit log, with the engine's leave.
    Audit(Page),
}

/// Puts the step of a verified one-time code into the command that it came with.
pub fn set_step(command: &mut Command, verified: u64) {
    match command {
        Command::Vote { step, .. } => *step = Some(verified),
        Command::Initiate(_, initiation) => initiation.step = Some(verified),
        Command::Execute { step, .. } | Command::ClaimSecret { step, .. } => *step = verified,
        _ => {}
    }
}

/// How a stream is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channel {
    /// The symbols of a channel that has them; `None` when none were named.
    pub symbols: Option<Vec<String>>,
    /// Levels of a book.
    pub depth: Option<u32>,
    /// Minutes of a candle.
    pub interval: Option<u32>,
    /// Whether to begin with a snapshot; each channel has its own default.
    pub snapshot: Option<bool>,
    /// `ticker` on changes of the best prices too.
    pub bbo: bool,
    /// Open orders in the snapshot of `executions`.
    pub snap_orders: Option<bool>,
    /// The last fills in the snapshot of `executions`.
    pub snap_trades: Option<bool>,
    /// All states of an order, or only the turning points.
    pub order_status: Option<bool>,
    /// The key's rate counter in each item of `executions` that it caused.
    pub ratecounter: bool,
    /// Cancel the Service User's orders when its last socket is gone for a while.
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

impl Channel {
    /// Whether the stream of `operation` is to begin with its snapshot, where it does not resume.
    pub fn wants_snapshot(&self, operation: Operation) -> bool {
        self.snap_orders.filter(|_| operation == Operation::Executions).or(self.snapshot).unwrap_or(true)
    }
}

/// What narrows a view after the engine gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this method.
    pub method: Option<String>,
    /// Only this network.
    pub network: Option<String>,
    /// Only the address of this name.
    pub key: Option<String>,
    /// Only addresses that may be used, or that may not yet.
    pub verified: Option<bool>,
    /// At most this many.
    pub limit: Option<usize>,
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
    pub cl_ord_id: Option<String>,
    /// Only orders of this group.
    pub order_userref: Option<i64>,
    /// From here.
    pub start: Option<Moment>,
    /// Before here.
    pub end: Option<Moment>,
    /// At most this many.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// The ledger entries named.
    pub ledger_ids: Vec<LedgerId>,
}

/// What an envelope asks for.
pub fn parse<'a>(envelope: &Envelope<'a>) -> Result<Request<'a>, WireError> {
    let method: &str = &envelope.method;
    let read = match method {
        "subscribe" => stream(envelope).map(|(operation, token, channel)| (operation, token, Body::Subscribe(channel))),
        "unsubscribe" => {
            stream(envelope).map(|(operation, token, channel)| (operation, token, Body::Unsubscribe(channel)))
        }
        _ => match Operation::method(method) {
            Some(operation) => body(operation, envelope).map(|(token, body)| (operation, token, body)),
            None => Err(WireError::new("EGeneral:Unknown method")),
        },
    };
    let (operation, token, body) =
        read.map_err(|refusal| WireError { method: Some(method.to_owned()), ..refusal }.for_request(envelope.req_id))?;
    // One method, two operations: closing a position needs another scope than placing an order (rule 13).
    let operation = match &body {
        Body::Command(Command::SettlePosition) => Operation::SettlePosition,
        _ => operation,
    };
    Ok(Request { operation, token, body })
}

pub(super) type Parsed<'a> = Result<(Option<Text<'a>>, Body), WireError>;

pub(super) fn params<'a, T: Deserialize<'a>>(envelope: &Envelope<'a>) -> Result<T, WireError> {
    let text = envelope.params.map_or("{}", RawValue::get);
    if !text.starts_with('{') {
        return Err(WireError::field("params", "give an object"));
    }
    serde_json::from_str(text).map_err(|problem| WireError::shape(&problem, &envelope.method))
}

fn stream<'a>(envelope: &Envelope<'a>) -> Result<(Operation, Option<Text<'a>>, Channel), WireError> {
    let asked: p::Subscribe<'_> = params(envelope)?;
    let operation = Operation::channel(&asked.channel).ok_or_else(|| WireError::new("Subscription name invalid"))?;
    let names = |list: Option<Names<'_>>, refusal: &str| {
        let read = list.map(|list| list.list().ok_or_else(|| WireError::new(refusal)));
        let owned = read.transpose()?.map(|list| list.iter().map(|name| (**name).to_owned()).collect());
        Ok::<Option<Vec<String>>, WireError>(owned)
    };
    let bbo = match asked.event_trigger.as_deref() {
        None | Some("trades") => false,
        Some("bbo") => true,
        Some(_) => return Err(WireError::field("event_trigger", "give trades or bbo")),
    };
    let channel = Channel {
        symbols: names(asked.symbol, "Symbol field must be an array")?,
        depth: asked.depth,
        interval: asked.interval,
        snapshot: asked.snapshot,
        bbo,
        snap_orders: asked.snap_orders,
        snap_trades: asked.snap_trades.or(asked.snapshot_trades),
        order_status: asked.order_status,
        ratecounter: asked.ratecounter.unwrap_or(false),
        cancel_on_disconnect: asked.cancel_on_disconnect.unwrap_or(false),
        from_offset: asked.from_offset,
        assets: names(asked.asset, "Asset field must be an array")?,
        types: names(asked.r#type, "Type field must be an array")?,
        workflow: asked.workflow.as_deref().map(workflow).transpose()?,
    };
    Ok((operation, asked.token, channel))
}

#[expect(clippy::too_many_lines, reason = "a flat match: one arm an operation")]
fn body<'a>(operation: Operation, e: &Envelope<'a>) -> Parsed<'a> {
    match operation {
        Operation::Ping => match e.params {
            None => Ok((None, Body::Ping)),
            Some(_) => Err(WireError::new("Unsupported field: 'params' for the given msg type: ping")),
        },
        Operation::AddOrder => add_order(e),
        Operation::BatchAdd => batch_add(e),
        Operation::AmendOrder => amend_order(e),
        Operation::EditOrder => edit_order(e),
        Operation::CancelOrder => cancel_order(e),
        Operation::CancelAll => nothing(e, Body::Command(Command::CancelAll)),
        Operation::KeyInfo => nothing(e, query(Query::KeyInfo)),
        Operation::MemberInfo => nothing(e, query(Query::MemberInfo)),
        Operation::ServiceUsers => nothing(e, query(Query::ServiceUsers)),
        Operation::Policies => nothing(e, query(Query::Policies)),
        Operation::Members => nothing(e, query(Query::Members)),
        Operation::OpenOrders | Operation::ClosedOrders => orders(operation, e),
        Operation::QueryOrders => query_orders(e),
        Operation::BatchCancel => batch_cancel(e),
        Operation::CancelAllOrdersAfter => {
            let asked: p::CancelAllOrdersAfter<'_> = params(e)?;
            Ok((asked.token, Body::Command(Command::CancelAllAfter(asked.timeout))))
        }
        Operation::Ledgers => ledgers(e),
        Operation::TradesHistory => trades(e),
        Operation::QueryLedgers => query_ledgers(e),
        Operation::ExportAdd | Operation::ExportStatus | Operation::ExportRetrieve | Operation::ExportRemove => {
            exports(operation, e)
        }
        Operation::GetBalances => {
            let asked: p::GetBalances<'_> = params(e)?;
            match asked.account.as_deref() {
                None | Some("main") => Ok((asked.token, query(Query::Balances))),
                Some(_) => Err(WireError::field("account", "give main, or leave it out")),
            }
        }
        Operation::EarnStrategies
        | Operation::EarnAllocations
        | Operation::EarnAllocate
        | Operation::EarnDeallocate
        | Operation::EarnStatus => earn(operation, e),
        Operation::DepositMethods
        | Operation::DepositAddresses
        | Operation::DepositStatus
        | Operation::WithdrawMethods
        | Operation::WithdrawAddresses
        | Operation::Addresses
        | Operation::WithdrawInfo
        | Operation::Withdraw
        | Operation::WithdrawStatus
        | Operation::WithdrawCancel => funding(operation, e),
        Operation::Requests => requests(e),
        Operation::RequestInfo => {
            let asked: p::RequestRef<'_> = params(e)?;
            Ok((asked.token, query(Query::Request(request_id(&asked.request_id)?))))
        }
        Operation::CancelRequest => {
            let asked: p::RequestRef<'_> = params(e)?;
            Ok((asked.token, Body::Command(Command::CancelRequest(request_id(&asked.request_id)?))))
        }
        Operation::Approve | Operation::Execute | Operation::Reject | Operation::ClaimSecret => coded(operation, e),
        Operation::CreateServiceUser
        | Operation::EditServiceUser
        | Operation::RotateServiceUserKey
        | Operation::RemoveServiceUser
        | Operation::InviteMember
        | Operation::EditMember
        | Operation::ResetMember
        | Operation::RemoveMember
        | Operation::Unfreeze
        | Operation::SetPolicy
        | Operation::RemovePolicy
        | Operation::AddAddress
        | Operation::RemoveAddress
        | Operation::InitiateWithdrawal => initiate(operation, e),
        Operation::Freeze => {
            let asked: p::Freeze<'_> = params(e)?;
            let unknown = || WireError::field("scope", "give withdrawals or all");
            let scope = FreezeScope::parse(&asked.scope).ok_or_else(unknown)?;
            Ok((asked.token, Body::Command(Command::Freeze { scope, reason: (*asked.reason).to_owned() })))
        }
        Operation::CancelOrders => {
            let asked: p::CancelOrders<'_> = params(e)?;
            Ok((asked.token, Body::Command(Command::CancelOrders(service_user(&asked.service_user_id)?))))
        }
        Operation::PolicyExplain => {
            let asked: p::PolicyExplain<'_> = params(e)?;
            let change = withdrawal_change(&asked.asset, &asked.key, asked.amount)?;
            let service_user = asked.service_user_id.as_deref().map(service_user).transpose()?;
            Ok((asked.token, query(Query::Explain { change, service_user })))
        }
        Operation::AuditLog => audit_log(e),
        Operation::CreateOrganization
        | Operation::AddAsset
        | Operation::AddMarket
        | Operation::SetMarketStatus
        | Operation::AddEarnStrategy
        | Operation::AddDepositAddresses
        | Operation::CreditDeposit
        | Operation::SettleWithdrawal
        | Operation::FailWithdrawal
        | Operation::PayEarnReward
        | Operation::SetKyc
        | Operation::Halt
        | Operation::Resume => venue(operation, e),
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
        | Operation::Custody => Err(WireError::new("EGeneral:Unknown method")),
    }
}

pub(super) fn query(query: Query) -> Body {
    Body::Query(query, Filter::default())
}

fn nothing<'a>(e: &Envelope<'a>, body: Body) -> Parsed<'a> {
    let asked: p::Nothing<'_> = params(e)?;
    Ok((asked.token, body))
}

fn ledgers<'a>(e: &Envelope<'a>) -> Parsed<'a> {
    let asked: p::Ledgers<'_> = params(e)?;
    let page = Page {
        asset: owned(&asked.asset),
        entry_type: owned(&asked.r#type),
        start: moment("start", asked.start.as_deref())?,
        end: moment("end", asked.end.as_deref())?,
        limit: limit(asked.limit)?,
        cursor: cursor(&asked.cursor, Cursor::parse)?,
        ..Page::default()
    };
    Ok((asked.token, Body::History(page)))
}

fn trades<'a>(e: &Envelope<'a>) -> Parsed<'a> {
    let asked: p::Trades<'_> = params(e)?;
    let page = Page {
        symbol: owned(&asked.symbol),
        start: moment("start", asked.start.as_deref())?,
        end: moment("end", asked.end.as_deref())?,
        limit: limit(asked.limit)?,
        cursor: cursor(&asked.cursor, Cursor::parse)?,
        ..Page::default()
    };
    Ok((asked.token, Body::History(page)))
}

fn query_ledgers<'a>(e: &Envelope<'a>) -> Parsed<'a> {
    let asked: p::QueryLedgers<'_> = params(e)?;
    let names = asked.ledger_id.list().ok_or_else(|| WireError::new("Ledger_id field must be an array"))?;
    if !(1..=ORDER_IDS_MAX).contains(&names.len()) {
        return Err(WireError::field("ledger_id", "name 1 to 50 entries"));
    }
    // Whatever no server wrote names no entry.
    let ledger_ids = names.iter().filter_map(|name| LedgerId::parse(name)).collect();
    Ok((asked.token, Body::History(Page { ledger_ids, ..Page::default() })))
}

fn audit_log<'a>(e: &Envelope<'a>) -> Parsed<'a> {
    let asked: p::AuditLog<'_> = params(e)?;
    let page = Page {
        start: moment("start", asked.start.as_deref())?,
        end: moment("end", asked.end.as_deref())?,
        limit: limit(asked.limit)?,
        cursor: cursor(&asked.cursor, Cursor::parse)?,
        ..Page::default()
    };
    Ok((asked.token, Body::Audit(page)))
}

fn requests<'a>(e: &Envelope<'a>) -> Parsed<'a> {
    let asked: p::Requests<'_> = params(e)?;
    let unknown = || WireError::field("state", "give the state of a request");
    let state = asked.state.as_deref().map(|name| RequestState::parse(name).ok_or_else(unknown)).transpose()?;
    let workflow = asked.workflow.as_deref().map(workflow).transpose()?;
    let before = cursor(&asked.cursor, RequestId::parse)?;
    let limit = Some(limit(asked.limit)?);
    let filter = Filter { limit, ..Filter::default() };
    Ok((asked.token, Body::Query(Query::Requests(Sought { state, workflow, before, limit }), filter)))
}
