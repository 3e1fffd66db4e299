//! Which messages each operation has, as JSON Schema (draft 2020-12): a request and a reply for each method,
//! a frame for each channel. The matches are exhaustive, so that an operation cannot be added without them.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::earn as e;
use super::items as i;
use super::market_data as m;
use super::params as p;
use super::results as r;
use crate::access::operation::{Kind, Operation};

/// The schema of an operation's params; a channel's are those of `subscribe`.
#[expect(clippy::too_many_lines, reason = "a flat match: one arm an operation")]
fn params(g: &mut SchemaGenerator, operation: Operation) -> Schema {
    match operation {
        Operation::Ping
        | Operation::CancelAll
        | Operation::KeyInfo
        | Operation::MemberInfo
        | Operation::ServiceUsers
        | Operation::Members
        | Operation::Policies
        | Operation::Resume => g.subschema_for::<p::Nothing>(),
        Operation::Status
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
        | Operation::Custody => g.subschema_for::<p::Subscribe>(),
        Operation::GetBalances => g.subschema_for::<p::GetBalances>(),
        Operation::AddOrder | Operation::SettlePosition => g.subschema_for::<p::AddOrder>(),
        Operation::AmendOrder => g.subschema_for::<p::AmendOrder>(),
        Operation::EditOrder => g.subschema_for::<p::EditOrder>(),
        Operation::CancelOrder => g.subschema_for::<p::CancelOrder>(),
        Operation::OpenOrders | Operation::ClosedOrders => g.subschema_for::<p::Orders>(),
        Operation::QueryOrders => g.subschema_for::<p::QueryOrders>(),
        Operation::BatchAdd => g.subschema_for::<p::BatchAdd>(),
        Operation::BatchCancel => g.subschema_for::<p::BatchCancel>(),
        Operation::CancelAllOrdersAfter => g.subschema_for::<p::CancelAllOrdersAfter>(),
        Operation::TradesHistory => g.subschema_for::<p::Trades>(),
        Operation::QueryLedgers => g.subschema_for::<p::QueryLedgers>(),
        Operation::Ledgers => g.subschema_for::<p::Ledgers>(),
        Operation::ExportAdd => g.subschema_for::<p::ExportAdd>(),
        Operation::ExportStatus => g.subschema_for::<p::ExportStatus>(),
        Operation::ExportRetrieve | Operation::ExportRemove => g.subschema_for::<p::ExportRef>(),
        Operation::DepositStatus | Operation::WithdrawStatus => g.subschema_for::<p::TransferStatus>(),
        Operation::WithdrawMethods => g.subschema_for::<p::WithdrawMethods>(),
        Operation::WithdrawAddresses | Operation::Addresses => g.subschema_for::<p::WithdrawAddresses>(),
        Operation::DepositMethods => g.subschema_for::<p::ByAsset>(),
        Operation::EarnStrategies => g.subschema_for::<p::EarnStrategies>(),
        Operation::EarnAllocations => g.subschema_for::<p::EarnAllocations>(),
        Operation::EarnAllocate => g.subschema_for::<p::EarnAllocate>(),
        Operation::EarnDeallocate => g.subschema_for::<p::EarnDeallocate>(),
        Operation::EarnStatus => g.subschema_for::<p::EarnStatus>(),
        Operation::DepositAddresses => g.subschema_for::<p::DepositAddresses>(),
        Operation::WithdrawInfo => g.subschema_for::<p::WithdrawInfo>(),
        Operation::Withdraw => g.subschema_for::<p::Withdraw>(),
        Operation::WithdrawCancel => g.subschema_for::<p::WithdrawCancel>(),
        Operation::Requests => g.subschema_for::<p::Requests>(),
        Operation::RequestInfo | Operation::CancelRequest => g.subschema_for::<p::RequestRef>(),
        Operation::Approve | Operation::Execute => g.subschema_for::<p::Vote>(),
        Operation::Reject => g.subschema_for::<p::Reject>(),
        Operation::ClaimSecret => g.subschema_for::<p::ClaimSecret>(),
        Operation::CreateServiceUser => g.subschema_for::<p::CreateServiceUser>(),
        Operation::EditServiceUser => g.subschema_for::<p::EditServiceUser>(),
        Operation::RemoveServiceUser => g.subschema_for::<p::RemoveServiceUser>(),
        Operation::RotateServiceUserKey => g.subschema_for::<p::RotateServiceUserKey>(),
        Operation::InviteMember => g.subschema_for::<p::InviteMember>(),
        Operation::EditMember => g.subschema_for::<p::EditMember>(),
        Operation::ResetMember | Operation::RemoveMember => g.subschema_for::<p::MemberRef>(),
        Operation::Freeze => g.subschema_for::<p::Freeze>(),
        Operation::Unfreeze => g.subschema_for::<p::Unfreeze>(),
        Operation::CancelOrders => g.subschema_for::<p::CancelOrders>(),
        Operation::AuditLog => g.subschema_for::<p::AuditLog>(),
        Operation::SetPolicy => g.subschema_for::<p::SetPolicy>(),
        Operation::RemovePolicy => g.subschema_for::<p::RemovePolicy>(),
        Operation::PolicyExplain => g.subschema_for::<p::PolicyExplain>(),
        Operation::RemoveAddress => g.subschema_for::<p::RemoveAddress>(),
        Operation::AddAddress => g.subschema_for::<p::AddAddress>(),
        Operation::InitiateWithdrawal => g.subschema_for::<p::InitiateWithdrawal>(),
        Operation::CreateOrganization => g.subschema_for::<p::CreateOrganization>(),
        Operation::AddAsset => g.subschema_for::<p::AddAsset>(),
        Operation::AddMarket => g.subschema_for::<p::AddMarket>(),
        Operation::SetMarketStatus => g.subschema_for::<p::SetMarketStatus>(),
        Operation::AddEarnStrategy => g.subschema_for::<p::AddEarnStrategy>(),
        Operation::AddDepositAddresses => g.subschema_for::<p::AddDepositAddresses>(),
        Operation::CreditDeposit => g.subschema_for::<p::CreditDeposit>(),
        Operation::SettleWithdrawal => g.subschema_for::<p::SettleWithdrawal>(),
        Operation::FailWithdrawal => g.subschema_for::<p::FailWithdrawal>(),
        Operation::PayEarnReward => g.subschema_for::<p::PayEarnReward>(),
        Operation::SetKyc => g.subschema_for::<p::SetKyc>(),
        Operation::Halt => g.subschema_for::<p::Halt>(),
    }
}

/// The schema of a method's result.
#[expect(clippy::too_many_lines, reason = "a flat match: one arm an operation")]
fn result(g: &mut SchemaGenerator, operation: Operation) -> Schema {
    match operation {
        Operation::Ping => g.subschema_for::<r::Done>(),
        Operation::KeyInfo => g.subschema_for::<r::KeyInfo>(),
        Operation::GetBalances => g.subschema_for::<r::Balances>(),
        Operation::AddOrder | Operation::SettlePosition => g.subschema_for::<r::Placed>(),
        Operation::AmendOrder => g.subschema_for::<r::Amended>(),
        Operation::EditOrder => g.subschema_for::<r::Edited>(),
        Operation::CancelOrder => g.subschema_for::<r::Canceled>(),
        Operation::BatchAdd => g.subschema_for::<Vec<r::BatchRow>>(),
        Operation::BatchCancel | Operation::CancelAll | Operation::CancelOrders => g.subschema_for::<r::Count>(),
        Operation::CancelAllOrdersAfter => g.subschema_for::<r::Switch>(),
        Operation::TradesHistory => g.subschema_for::<r::Trades>(),
        Operation::OpenOrders | Operation::ClosedOrders | Operation::QueryOrders => g.subschema_for::<r::Orders>(),
        Operation::Ledgers | Operation::QueryLedgers => g.subschema_for::<r::Ledgers>(),
        Operation::ExportAdd => g.subschema_for::<r::ExportAdded>(),
        Operation::ExportStatus => g.subschema_for::<r::Exports>(),
        Operation::ExportRetrieve => g.subschema_for::<r::ExportLink>(),
        Operation::ExportRemove => g.subschema_for::<r::ExportRemoved>(),
        Operation::EarnStrategies => g.subschema_for::<e::Strategies>(),
        Operation::EarnAllocations => g.subschema_for::<e::Allocations>(),
        Operation::EarnAllocate | Operation::EarnDeallocate => g.subschema_for::<e::Earned>(),
        Operation::EarnStatus => g.subschema_for::<e::EarnStatus>(),
        Operation::DepositMethods => g.subschema_for::<r::DepositMethods>(),
        Operation::DepositAddresses => g.subschema_for::<r::DepositAddresses>(),
        Operation::DepositStatus => g.subschema_for::<r::Deposits>(),
        Operation::WithdrawMethods => g.subschema_for::<r::WithdrawMethods>(),
        Operation::WithdrawAddresses | Operation::Addresses => g.subschema_for::<r::WithdrawAddresses>(),
        Operation::WithdrawInfo => g.subschema_for::<r::WithdrawInfo>(),
        Operation::Withdraw | Operation::SettleWithdrawal | Operation::FailWithdrawal => {
            g.subschema_for::<r::Withdraw>()
        }
        Operation::WithdrawCancel => g.subschema_for::<r::WithdrawCancel>(),
        Operation::WithdrawStatus => g.subschema_for::<r::Withdrawals>(),
        Operation::MemberInfo => g.subschema_for::<r::MemberInfo>(),
        Operation::Requests => g.subschema_for::<r::Requests>(),
        Operation::Approve | Operation::Reject | Operation::Execute => g.subschema_for::<r::DecidedAll>(),
        Operation::RequestInfo
        | Operation::CancelRequest
        | Operation::EditServiceUser
        | Operation::RemoveServiceUser
        | Operation::EditMember
        | Operation::RemoveMember
        | Operation::Unfreeze
        | Operation::SetPolicy
        | Operation::RemovePolicy
        | Operation::AddAddress
        | Operation::RemoveAddress
        | Operation::InitiateWithdrawal => g.subschema_for::<i::Request>(),
        Operation::CreateServiceUser
        | Operation::RotateServiceUserKey
        | Operation::InviteMember
        | Operation::ResetMember => g.subschema_for::<r::Initiated>(),
        Operation::Members => g.subschema_for::<r::Members>(),
        Operation::Freeze => g.subschema_for::<r::Froze>(),
        Operation::AuditLog => g.subschema_for::<r::AuditLog>(),
        Operation::PolicyExplain => g.subschema_for::<r::Explained>(),
        Operation::ServiceUsers => g.subschema_for::<r::ServiceUsers>(),
        Operation::ClaimSecret => g.subschema_for::<r::Credentials>(),
        Operation::Policies => g.subschema_for::<r::Policies>(),
        Operation::CreateOrganization => g.subschema_for::<r::OrganizationCreated>(),
        Operation::AddAsset => g.subschema_for::<r::AssetAdded>(),
        Operation::AddMarket => g.subschema_for::<r::MarketAdded>(),
        Operation::AddEarnStrategy => g.subschema_for::<e::StrategyAdded>(),
        Operation::AddDepositAddresses | Operation::SetMarketStatus => g.subschema_for::<r::Done>(),
        Operation::CreditDeposit => g.subschema_for::<r::Credited>(),
        Operation::PayEarnReward => g.subschema_for::<e::EarnPaid>(),
        Operation::SetKyc => g.subschema_for::<r::MemberChanged>(),
        Operation::Halt | Operation::Resume => g.subschema_for::<r::Halted>(),
        Operation::Status
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
        | Operation::Custody => g.subschema_for::<r::Subscribed>(),
    }
}

/// The schema of a channel's data.
fn data(g: &mut SchemaGenerator, channel: Operation) -> Value {
    let list = |item: Schema| json!({"type": "array", "items": item});
    let either = |one: Schema, other: Schema| json!({"type": "array", "items": {"anyOf": [one, other]}});
    match channel {
        Operation::Status => list(g.subschema_for::<m::Status>()),
        Operation::Instrument => json!(g.subschema_for::<m::Instrument>()),
        Operation::Ticker => list(g.subschema_for::<m::Ticker>()),
        Operation::Book => list(g.subschema_for::<m::Book>()),
        Operation::Level3 => list(g.subschema_for::<m::Level3>()),
        Operation::Ohlc => list(g.subschema_for::<m::Ohlc>()),
        Operation::Trade => list(g.subschema_for::<m::Trade>()),
        Operation::Balances => either(g.subschema_for::<i::Balance>(), g.subschema_for::<i::LedgerEntry>()),
        Operation::Executions => list(g.subschema_for::<i::Execution>()),
        Operation::Ledger => list(g.subschema_for::<i::LedgerEntry>()),
        Operation::Earn => either(g.subschema_for::<e::EarnPosition>(), g.subschema_for::<e::EarnOperation>()),
        Operation::Deposits => list(g.subschema_for::<i::Deposit>()),
        Operation::Withdrawals => list(g.subschema_for::<i::Withdrawal>()),
        Operation::Custody => either(g.subschema_for::<i::Withdrawal>(), g.subschema_for::<i::LowPool>()),
        Operation::Approvals => list(g.subschema_for::<i::Request>()),
        method => unreachable!("{method:?} is no channel"),
    }
}

/// What makes a message's schema, with the types it names put into the generator.
pub(super) type Make = Box<dyn Fn(&mut SchemaGenerator) -> Value>;

/// Every kind of message: its name and its schema.
pub(super) fn messages() -> Vec<(String, Make)> {
    let mut messages: Vec<(String, Make)> = Vec::new();
    let mut method = |name: &'static str, operation| {
        messages.push((format!("{name}.request"), Box::new(move |g| request(g, name, operation))));
        messages.push((format!("{name}.reply"), Box::new(move |g| reply(g, name, operation))));
    };
    // A position is closed by the messages of `add_order`.
    let (channels, methods): (Vec<Operation>, Vec<Operation>) = Operation::ALL
        .into_iter()
        .filter(|operation| *operation != Operation::SettlePosition)
        .partition(|operation| operation.row().kind == Kind::Stream);
    methods.into_iter().for_each(|operation| method(operation.name(), operation));
    ["subscribe", "unsubscribe"].into_iter().for_each(|name| method(name, Operation::Book));
    for channel in channels {
        messages.push((format!("{}.frame", channel.name()), Box::new(move |g| frame(g, channel))));
    }
    let heartbeat = json!({"type": "object", "properties": {"channel": {"const": "heartbeat"}},
        "required": ["channel"], "additionalProperties": false});
    messages.push(("heartbeat.frame".to_owned(), Box::new(move |_| heartbeat.clone())));
    // Whatever method it names, or none.
    messages.push(("error.reply".to_owned(), Box::new(|_| refusal(&json!({"type": "string"})))));
    messages
}

/// Every schema: its file name and its text.
pub fn schemas() -> Vec<(String, String)> {
    messages().into_iter().map(|(name, make)| file(&name, &make)).collect()
}

fn file(name: &str, make: &Make) -> (String, String) {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = make(&mut generator);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(name);
    schema["$defs"] = json!(generator.take_definitions(true));
    let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    (format!("{name}.schema.json"), text + "\n")
}

fn request(g: &mut SchemaGenerator, name: &str, operation: Operation) -> Value {
    let mut properties = json!({"method": {"const": name}, "req_id": {"type": "integer"}});
    if operation != Operation::Ping {
        properties["params"] = json!(params(g, operation));
    }
    json!({"type": "object", "properties": properties, "required": ["method"], "additionalProperties": false})
}

/// The two forms of a reply, with `result` or with `error`; `pong` has a form of its own.
fn reply(g: &mut SchemaGenerator, name: &str, operation: Operation) -> Value {
    let time = json!({"type": "string"});
    let method = json!({"const": name});
    let answer = match operation {
        // Its count stands at top level as well, because clients look for it in either place.
        Operation::BatchCancel => {
            let mut answer = form(&method, "result", json!(result(g, operation)), true);
            answer["properties"]["orders_cancelled"] = json!({"type": "integer", "minimum": 0});
            answer["required"] = json!(["method", "success", "result", "orders_cancelled", "time_in", "time_out"]);
            answer
        }
        Operation::Ping => json!({
            "type": "object",
            "properties": {"method": {"const": "pong"}, "req_id": {"type": "integer"}, "time_in": time, "time_out": time},
            "required": ["method", "time_in", "time_out"],
            "additionalProperties": false,
        }),
        _ => form(&method, "result", json!(result(g, operation)), true),
    };
    let mut forms = vec![answer, refusal(&method)];
    if operation == Operation::BatchAdd {
        // Past validation each order stands alone: the others are live whatever became of one (rule 45).
        let mut part = refusal(&method);
        part["properties"]["result"] = json!(result(g, operation));
        part["required"] = json!(["method", "success", "result", "error", "time_in", "time_out"]);
        forms.push(part);
    }
    json!({"oneOf": forms})
}

/// A reply, to a `method` of this schema, with `member` beside the envelope.
fn form(method: &Value, member: &str, schema: Value, success: bool) -> Value {
    let time = json!({"type": "string"});
    json!({
        "type": "object",
        "properties": {
            "method": method,
            "req_id": {"type": "integer"},
            "success": {"const": success},
            member: schema,
            "symbol": {"type": "string"},
            "time_in": time,
            "time_out": time,
        },
        "required": ["method", "success", member, "time_in", "time_out"],
        "additionalProperties": false,
    })
}

fn refusal(method: &Value) -> Value {
    form(method, "error", json!({"type": "string", "minLength": 1}), false)
}

fn frame(g: &mut SchemaGenerator, operation: Operation) -> Value {
    let mut properties = json!({
        "channel": {"const": operation.name()},
        "type": {"enum": ["snapshot", "update"]},
        "data": data(g, operation),
    });
    if matches!(operation, Operation::Executions | Operation::Balances) {
        properties["sequence"] = json!({"type": "integer", "minimum": 1});
    }
    if operation == Operation::Ohlc {
        properties["timestamp"] = json!({"type": "string"});
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": ["channel", "type", "data"],
        "additionalProperties": false,
    })
}
