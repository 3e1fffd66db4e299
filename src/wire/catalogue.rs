//! Which messages each operation has, as JSON Schema (draft 2020-12): a request and a reply for each method,
//! a frame for each channel. The matches are exhaustive, so that an operation cannot be added without them.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::earn as e;
use super::items as i;
use super::market_data as m;
use super::params as p;
use super::results as r;
use crate::access::operation::{Kind, Operation};

/// What makes the schema of a type.
type Of = fn(&mut SchemaGenerator) -> Schema;

fn of<Params: JsonSchema, Result: JsonSchema>() -> (Of, Of) {
    (SchemaGenerator::subschema_for::<Params>, SchemaGenerator::subschema_for::<Result>)
}

/// An operation's params and its result; a channel's are those of `subscribe`.
#[expect(clippy::too_many_lines, reason = "a flat match: one arm an operation")]
fn types(operation: Operation) -> (Of, Of) {
    match operation {
        Operation::Ping => of::<p::Nothing, r::Done>(),
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
        | Operation::Custody => of::<p::Subscribe, r::Subscribed>(),
        Operation::KeyInfo => of::<p::Nothing, r::KeyInfo>(),
        Operation::GetBalances => of::<p::GetBalances, r::Balances>(),
        Operation::AddOrder | Operation::SettlePosition => of::<p::AddOrder, r::Placed>(),
        Operation::BatchAdd => of::<p::BatchAdd, Vec<r::BatchRow>>(),
        Operation::AmendOrder => of::<p::AmendOrder, r::Amended>(),
        Operation::EditOrder => of::<p::EditOrder, r::Edited>(),
        Operation::CancelOrder => of::<p::CancelOrder, r::Canceled>(),
        Operation::BatchCancel => of::<p::BatchCancel, r::Count>(),
        Operation::CancelAll => of::<p::Nothing, r::Count>(),
        Operation::CancelAllOrdersAfter => of::<p::CancelAllOrdersAfter, r::Switch>(),
        Operation::OpenOrders | Operation::ClosedOrders => of::<p::Orders, r::Orders>(),
        Operation::QueryOrders => of::<p::QueryOrders, r::Orders>(),
        Operation::TradesHistory => of::<p::Trades, r::Trades>(),
        Operation::Ledgers => of::<p::Ledgers, r::Ledgers>(),
        Operation::QueryLedgers => of::<p::QueryLedgers, r::Ledgers>(),
        Operation::ExportAdd => of::<p::ExportAdd, r::ExportAdded>(),
        Operation::ExportStatus => of::<p::ExportStatus, r::Exports>(),
        Operation::ExportRetrieve => of::<p::ExportRef, r::ExportLink>(),
        Operation::ExportRemove => of::<p::ExportRef, r::ExportRemoved>(),
        Operation::EarnStrategies => of::<p::EarnStrategies, e::Strategies>(),
        Operation::EarnAllocations => of::<p::EarnAllocations, e::Allocations>(),
        Operation::EarnAllocate => of::<p::EarnAllocate, e::Earned>(),
        Operation::EarnDeallocate => of::<p::EarnDeallocate, e::Earned>(),
        Operation::EarnStatus => of::<p::EarnStatus, e::EarnStatus>(),
        Operation::DepositMethods => of::<p::ByAsset, r::DepositMethods>(),
        Operation::DepositAddresses => of::<p::DepositAddresses, r::DepositAddresses>(),
        Operation::DepositStatus => of::<p::TransferStatus, r::Deposits>(),
        Operation::WithdrawMethods => of::<p::WithdrawMethods, r::WithdrawMethods>(),
        Operation::WithdrawAddresses | Operation::Addresses => of::<p::WithdrawAddresses, r::WithdrawAddresses>(),
        Operation::WithdrawInfo => of::<p::WithdrawInfo, r::WithdrawInfo>(),
        Operation::Withdraw => of::<p::Withdraw, r::Withdraw>(),
        Operation::WithdrawCancel => of::<p::WithdrawCancel, r::WithdrawCancel>(),
        Operation::WithdrawStatus => of::<p::TransferStatus, r::Withdrawals>(),
        Operation::MemberInfo => of::<p::Nothing, r::MemberInfo>(),
        Operation::Requests => of::<p::Requests, r::Requests>(),
        Operation::RequestInfo | Operation::CancelRequest => of::<p::RequestRef, i::Request>(),
        Operation::Approve | Operation::Execute => of::<p::Vote, r::DecidedAll>(),
        Operation::Reject => of::<p::Reject, r::DecidedAll>(),
        Operation::ServiceUsers => of::<p::Nothing, r::ServiceUsers>(),
        Operation::CreateServiceUser => of::<p::CreateServiceUser, r::Initiated>(),
        Operation::EditServiceUser => of::<p::EditServiceUser, i::Request>(),
        Operation::RotateServiceUserKey => of::<p::RotateServiceUserKey, r::Initiated>(),
        Operation::RemoveServiceUser => of::<p::RemoveServiceUser, i::Request>(),
        Operation::ClaimSecret => of::<p::ClaimSecret, r::Credentials>(),
        Operation::Members => of::<p::Nothing, r::Members>(),
        Operation::InviteMember => of::<p::InviteMember, r::Initiated>(),
        Operation::EditMember => of::<p::EditMember, i::Request>(),
        Operation::ResetMember => of::<p::MemberRef, r::Initiated>(),
        Operation::RemoveMember => of::<p::MemberRef, i::Request>(),
        Operation::Freeze => of::<p::Freeze, r::Froze>(),
        Operation::Unfreeze => of::<p::Unfreeze, i::Request>(),
        Operation::CancelOrders => of::<p::CancelOrders, r::Count>(),
        Operation::AuditLog => of::<p::AuditLog, r::AuditLog>(),
        Operation::Policies => of::<p::Nothing, r::Policies>(),
        Operation::SetPolicy => of::<p::SetPolicy, i::Request>(),
        Operation::RemovePolicy => of::<p::RemovePolicy, i::Request>(),
        Operation::PolicyExplain => of::<p::PolicyExplain, r::Explained>(),
        Operation::AddAddress => of::<p::AddAddress, i::Request>(),
        Operation::RemoveAddress => of::<p::RemoveAddress, i::Request>(),
        Operation::InitiateWithdrawal => of::<p::InitiateWithdrawal, i::Request>(),
        Operation::CreateOrganization => of::<p::CreateOrganization, r::OrganizationCreated>(),
        Operation::AddAsset => of::<p::AddAsset, r::AssetAdded>(),
        Operation::AddMarket => of::<p::AddMarket, r::MarketAdded>(),
        Operation::SetMarketStatus => of::<p::SetMarketStatus, r::Done>(),
        Operation::AddEarnStrategy => of::<p::AddEarnStrategy, e::StrategyAdded>(),
        Operation::AddDepositAddresses => of::<p::AddDepositAddresses, r::Done>(),
        Operation::CreditDeposit => of::<p::CreditDeposit, r::Credited>(),
        Operation::SettleWithdrawal => of::<p::SettleWithdrawal, r::Withdraw>(),
        Operation::FailWithdrawal => of::<p::FailWithdrawal, r::Withdraw>(),
        Operation::PayEarnReward => of::<p::PayEarnReward, e::EarnPaid>(),
        Operation::SetKyc => of::<p::SetKyc, r::MemberChanged>(),
        Operation::Halt => of::<p::Halt, r::Halted>(),
        Operation::Resume => of::<p::Nothing, r::Halted>(),
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

/// The client's own number for a request.
fn req_id() -> Value {
    json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX})
}

fn request(g: &mut SchemaGenerator, name: &str, operation: Operation) -> Value {
    let mut properties = json!({"method": {"const": name}, "req_id": req_id()});
    let mut required = vec!["method"];
    if operation != Operation::Ping {
        let (params, _) = types(operation);
        let params = json!(params(g));
        // Only what needs nothing may be left out.
        let defined = params["$ref"].as_str().and_then(|name| g.definitions().get(name.rsplit('/').next()?));
        if defined.is_some_and(|of| of["required"].as_array().is_some_and(|needed| !needed.is_empty())) {
            required.push("params");
        }
        properties["params"] = params;
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// The two forms of a reply, with `result` or with `error`; `pong` has a form of its own.
fn reply(g: &mut SchemaGenerator, name: &str, operation: Operation) -> Value {
    let time = json!({"type": "string"});
    let method = json!({"const": name});
    let (_, result) = types(operation);
    let answer = match operation {
        // Its count stands at top level as well, because clients look for it in either place.
        Operation::BatchCancel => {
            let mut answer = form(&method, "result", json!(result(g)), true);
            answer["properties"]["orders_cancelled"] = json!({"type": "integer", "minimum": 0});
            answer["required"] = json!(["method", "success", "result", "orders_cancelled", "time_in", "time_out"]);
            answer
        }
        Operation::Ping => json!({
            "type": "object",
            "properties": {"method": {"const": "pong"}, "req_id": req_id(), "time_in": time, "time_out": time},
            "required": ["method", "time_in", "time_out"],
            "additionalProperties": false,
        }),
        _ => form(&method, "result", json!(result(g)), true),
    };
    let mut forms = vec![answer, refusal(&method)];
    if operation == Operation::BatchAdd {
        // Past validation each order stands alone: the others are live whatever became of one (rule 45).
        let mut part = refusal(&method);
        part["properties"]["result"] = json!(result(g));
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
            "req_id": req_id(),
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
