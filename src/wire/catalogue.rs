//! Which params each operation takes, as JSON Schema (draft 2020-12). The match is exhaustive, so that
//! an operation cannot be added without its message.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::params as p;
use crate::access::operation::{Kind, Operation};

/// The schema of an operation's params; a channel's are those of `subscribe`.
pub fn params(operation: Operation) -> Schema {
    match operation {
        Operation::Ping
        | Operation::CancelAll
        | Operation::KeyInfo
        | Operation::MemberInfo
        | Operation::ServiceUsers
        | Operation::Policies => of::<p::Nothing>(),
        Operation::Status
        | Operation::Instrument
        | Operation::Ticker
        | Operation::Book
        | Operation::Trade
        | Operation::Balances
        | Operation::Executions
        | Operation::Ledger
        | Operation::Earn
        | Operation::Deposits
        | Operation::Withdrawals
        | Operation::Approvals
        | Operation::Custody => of::<p::Subscribe>(),
        Operation::GetBalances => of::<p::GetBalances>(),
        Operation::AddOrder => of::<p::AddOrder>(),
        Operation::CancelOrder => of::<p::CancelOrder>(),
        Operation::OpenOrders | Operation::ClosedOrders => of::<p::Orders>(),
        Operation::QueryOrders => of::<p::QueryOrders>(),
        Operation::Ledgers => of::<p::Ledgers>(),
        Operation::EarnStrategies
        | Operation::EarnAllocations
        | Operation::DepositMethods
        | Operation::DepositStatus
        | Operation::WithdrawMethods
        | Operation::WithdrawAddresses
        | Operation::Addresses => of::<p::ByAsset>(),
        Operation::EarnAllocate | Operation::EarnDeallocate => of::<p::EarnMove>(),
        Operation::EarnStatus => of::<p::EarnStatus>(),
        Operation::DepositAddresses => of::<p::DepositAddresses>(),
        Operation::WithdrawInfo => of::<p::WithdrawInfo>(),
        Operation::Withdraw => of::<p::Withdraw>(),
        Operation::WithdrawStatus | Operation::WithdrawCancel => of::<p::WithdrawRef>(),
        Operation::Requests => of::<p::Requests>(),
        Operation::RequestInfo | Operation::CancelRequest => of::<p::RequestRef>(),
        Operation::Approve | Operation::Execute => of::<p::Vote>(),
        Operation::Reject => of::<p::Reject>(),
        Operation::ClaimSecret => of::<p::ClaimSecret>(),
        Operation::CreateServiceUser => of::<p::CreateServiceUser>(),
        Operation::EditServiceUser => of::<p::EditServiceUser>(),
        Operation::RemoveServiceUser => of::<p::RemoveServiceUser>(),
        Operation::SetPolicy => of::<p::SetPolicy>(),
        Operation::AddAddress => of::<p::AddAddress>(),
        Operation::InitiateWithdrawal => of::<p::InitiateWithdrawal>(),
        Operation::CreateOrganization => of::<p::CreateOrganization>(),
        Operation::AddAsset => of::<p::AddAsset>(),
        Operation::AddMarket => of::<p::AddMarket>(),
        Operation::AddEarnStrategy => of::<p::AddEarnStrategy>(),
        Operation::AddDepositAddresses => of::<p::AddDepositAddresses>(),
        Operation::CreditDeposit => of::<p::CreditDeposit>(),
        Operation::SettleWithdrawal => of::<p::SettleWithdrawal>(),
        Operation::FailWithdrawal => of::<p::FailWithdrawal>(),
        Operation::SetKyc => of::<p::SetKyc>(),
    }
}

/// Every request schema: its file name and its text. Channels share `subscribe`.
pub fn schemas() -> Vec<(String, String)> {
    let methods = Operation::ALL.into_iter().filter(|operation| operation.row().kind != Kind::Stream);
    let mut files: Vec<_> = methods.map(|operation| file(operation.name(), &params(operation))).collect();
    files.push(file("subscribe", &of::<p::Subscribe>()));
    files.sort();
    files
}

fn file(name: &str, schema: &Schema) -> (String, String) {
    let text = serde_json::to_string_pretty(schema).expect("a schema is JSON");
    (format!("{name}.schema.json"), text + "\n")
}

fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>()
}
