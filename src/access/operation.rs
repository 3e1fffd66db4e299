//! THE table: every method and channel with its name, its kind and who may use it.
//!
//! Dispatch, [`permit`](super::permit), the schemas, the README's table and the scope grid all read it.

pub use super::row::{Kind, MemberRight, Row, ServiceRight};
use super::row::{both, member, open, service, venue};
use super::scope::Scope;
use super::workflow::{Permission, Workflow};
use Kind::{Read, Stream, Write};
use MemberRight::{Acting, Holds, HoldsAny};
use ServiceRight::Scopes;

macro_rules! operations {
    ($($(#[doc = $doc:literal])* $name:ident = $row:expr,)*) => {
        /// Every method and channel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $($(#[doc = $doc])* $name,)*
        }

        /// How many there are.
        const COUNT: usize = [$(Operation::$name),*].len();

        /// The table, as each message is judged by it.
        const ROWS: &[Row; COUNT] = &[$($row),*];

        impl Operation {
            /// Every operation, in the order of the table.
            pub const ALL: [Operation; COUNT] = [$(Operation::$name),*];

            /// What it is for, in a sentence.
            pub const fn summary(self) -> &'static str {
                match self {
                    $(Operation::$name => concat!($($doc),*).trim_ascii(),)*
                }
            }
        }
    };
}

operations! {
    /// Check that the connection is alive.
    Ping = open("ping", Read),
    /// System status; sent to every socket.
    Status = open("status", Stream),
    /// Assets and pairs.
    Instrument = open("instrument", Stream),
    /// Best prices and the figures of the last 24 hours.
    Ticker = open("ticker", Stream),
    /// Price levels of a market, with a checksum.
    Book = open("book", Stream),
    /// Resting orders of a market in queue order, with a checksum; needs a key.
    Level3 = service("level3", Stream, ServiceRight::Any),
    /// Public trades.
    Trade = open("trade", Stream),
    /// Candles.
    Ohlc = open("ohlc", Stream),
    /// The calling key: its Service User, scopes and settings.
    KeyInfo = service("key_info", Read, ServiceRight::Any),
    /// Balances: total, available and held.
    GetBalances = service("get_balances", Read, Scopes(&[Scope::Query])),
    /// A snapshot of the balances, then every ledger entry.
    Balances = both("balances", Stream, Scopes(&[Scope::Query]), Holds(Workflow::InitiateWithdrawal, Permission::View)),
    /// Place an order.
    AddOrder = service("add_order", Write, Scopes(&[Scope::ModifyOrders])),
    /// Place several orders of one market; once validated, each is placed or refused on its own.
    BatchAdd = service("batch_add", Write, Scopes(&[Scope::ModifyOrders])),
    /// Change an open order in place.
    AmendOrder = service("amend_order", Write, Scopes(&[Scope::ModifyOrders])),
    /// Replace an open order with a new one.
    EditOrder = service("edit_order", Write, Scopes(&[Scope::ModifyOrders])),
    /// Cancel orders by id.
    CancelOrder = service("cancel_order", Write, Scopes(&[Scope::CancelOrders])),
    /// Cancel several orders by id in one step.
    BatchCancel = service("batch_cancel", Write, Scopes(&[Scope::CancelOrders])),
    /// Cancel every open order of the account.
    CancelAll = service("cancel_all", Write, Scopes(&[Scope::CancelOrders])),
    /// Cancel every open order of the account unless the call is repeated in time.
    CancelAllOrdersAfter = service("cancel_all_orders_after", Write, Scopes(&[Scope::CancelOrders])),
    /// Close a position: `add_order` with `order_type: settle-position`.
    SettlePosition = service("settle_position", Write, Scopes(&[Scope::CancelOrders])),
    /// Open orders.
    OpenOrders = service("open_orders", Read, Scopes(&[Scope::QueryOpenOrders])),
    /// Closed orders.
    ClosedOrders = service("closed_orders", Read, Scopes(&[Scope::QueryClosedOrders])),
    /// Open and closed orders by id.
    QueryOrders = service("query_orders", Read, Scopes(&[Scope::QueryOpenOrders, Scope::QueryClosedOrders])),
    /// Past fills.
    TradesHistory = service("trades_history", Read, Scopes(&[Scope::QueryClosedOrders])),
    /// Order states and fills.
    Executions = service("executions", Stream, Scopes(&[Scope::QueryOpenOrders])),
    /// Ledger entries.
    Ledgers = service("ledgers", Read, Scopes(&[Scope::QueryLedger])),
    /// Ledger entries by id.
    QueryLedgers = service("query_ledgers", Read, Scopes(&[Scope::QueryLedger])),
    /// Ledger entries as they are posted.
    Ledger =
        both("ledger", Stream, Scopes(&[Scope::QueryLedger]), Holds(Workflow::InitiateWithdrawal, Permission::View)),
    /// Request a file of trades or of ledger entries.
    ExportAdd = service("export_add", Write, Scopes(&[Scope::ExportData])),
    /// Exports and their progress.
    ExportStatus = service("export_status", Read, Scopes(&[Scope::ExportData])),
    /// A link that downloads the file of an export once.
    ExportRetrieve = service("export_retrieve", Read, Scopes(&[Scope::ExportData])),
    /// Remove an export, finished or not.
    ExportRemove = service("export_remove", Write, Scopes(&[Scope::ExportData])),
    /// Earn strategies.
    EarnStrategies = service("earn_strategies", Read, Scopes(&[Scope::Earn])),
    /// Amounts allocated to Earn strategies.
    EarnAllocations = service("earn_allocations", Read, Scopes(&[Scope::Earn])),
    /// Allocate funds to an Earn strategy immediately.
    EarnAllocate = service("earn_allocate", Write, Scopes(&[Scope::Earn])),
    /// Deallocate funds from an Earn strategy immediately.
    EarnDeallocate = service("earn_deallocate", Write, Scopes(&[Scope::Earn])),
    /// Bonding and unbonding operations of an Earn strategy.
    EarnStatus = service("earn_status", Read, Scopes(&[Scope::Earn])),
    /// Earn allocations and their changes.
    Earn = service("earn", Stream, Scopes(&[Scope::Earn])),
    /// Methods of depositing an asset.
    DepositMethods = service("deposit_methods", Read, Scopes(&[Scope::Deposit])),
    /// Deposit addresses; `new` assigns one from the pool.
    DepositAddresses = service("deposit_addresses", Write, Scopes(&[Scope::Deposit])),
    /// Deposits.
    DepositStatus = service("deposit_status", Read, Scopes(&[Scope::Query, Scope::Deposit])),
    /// Deposits as they are credited.
    Deposits = service("deposits", Stream, Scopes(&[Scope::Query, Scope::Deposit])),
    /// Methods of withdrawing an asset.
    WithdrawMethods = service("withdraw_methods", Read, Scopes(&[Scope::Withdraw])),
    /// Approved withdrawal addresses.
    WithdrawAddresses = service("withdraw_addresses", Read, Scopes(&[Scope::Withdraw])),
    /// Fee, limit and required approval of a planned withdrawal.
    WithdrawInfo = service("withdraw_info", Read, Scopes(&[Scope::Withdraw])),
    /// Request a withdrawal.
    Withdraw = service("withdraw", Write, Scopes(&[Scope::Withdraw])),
    /// Cancel a withdrawal that has not been released to custody.
    WithdrawCancel = service("withdraw_cancel", Write, Scopes(&[Scope::Withdraw])),
    /// Withdrawals.
    WithdrawStatus = service("withdraw_status", Read, Scopes(&[Scope::Query, Scope::Withdraw])),
    /// Withdrawals and their changes.
    Withdrawals = both(
        "withdrawals",
        Stream,
        Scopes(&[Scope::Query, Scope::Withdraw]),
        Holds(Workflow::InitiateWithdrawal, Permission::View),
    ),
    /// The signed-in Member and its permissions.
    MemberInfo = member("member_info", Read, MemberRight::Any),
    /// Requests that the Member may view.
    Requests = member("requests", Read, MemberRight::Any),
    /// One request.
    RequestInfo = member("request_info", Read, MemberRight::Any),
    /// The approval queue and its changes.
    Approvals = member("approvals", Stream, MemberRight::Any),
    /// Vote to approve requests.
    Approve = member("approve", Write, Acting),
    /// Vote to reject requests.
    Reject = member("reject", Write, Acting),
    /// Complete requests immediately, where the policy allows it.
    Execute = member("execute", Write, Acting),
    /// Cancel one of the Member's own requests.
    CancelRequest = member("cancel_request", Write, MemberRight::Any),
    /// Service Users.
    ServiceUsers = member("service_users", Read, Holds(Workflow::ManageAccess, Permission::View)),
    /// Request a new Service User.
    CreateServiceUser = member("create_service_user", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Request a change of a Service User.
    EditServiceUser = member("edit_service_user", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Request a new key for a Service User; the old key may stay valid for a time.
    RotateServiceUserKey =
        member("rotate_service_user_key", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Request the removal of a Service User.
    RemoveServiceUser = member("remove_service_user", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Retrieve the secret of a created key, once.
    ClaimSecret = member("claim_secret", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Members.
    Members = member("members", Read, Holds(Workflow::ManageAccess, Permission::View)),
    /// Request the invitation of a Member.
    InviteMember = member("invite_member", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Request a change of a Member's name, permissions or suspension.
    EditMember = member("edit_member", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Request that a Member sets a new password and second factor.
    ResetMember = member("reset_member", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Request the removal of a Member.
    RemoveMember = member("remove_member", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Stop withdrawals, or everything, immediately.
    Freeze = member("freeze", Write, HoldsAny(FREEZERS, Permission::Execute)),
    /// Request the end of a freeze.
    Unfreeze = member("unfreeze", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Cancel a Service User's open orders.
    CancelOrders = member("cancel_orders", Write, Holds(Workflow::ManageAccess, Permission::Execute)),
    /// Who did what and when, from the journal.
    AuditLog = member("audit_log", Read, Holds(Workflow::ManageAccess, Permission::View)),
    /// Policies.
    Policies = member("policies", Read, Holds(Workflow::ManagePolicies, Permission::View)),
    /// Request a new policy.
    SetPolicy = member("set_policy", Write, Holds(Workflow::ManagePolicies, Permission::Initiate)),
    /// Request the removal of a policy.
    RemovePolicy = member("remove_policy", Write, Holds(Workflow::ManagePolicies, Permission::Initiate)),
    /// The rule that applies to a planned withdrawal, and the Members who could approve it.
    PolicyExplain = member("policy_explain", Read, Holds(Workflow::InitiateWithdrawal, Permission::View)),
    /// Withdrawal addresses.
    Addresses = member("addresses", Read, Holds(Workflow::ManageAddresses, Permission::View)),
    /// Request a new withdrawal address.
    AddAddress = member("add_address", Write, Holds(Workflow::ManageAddresses, Permission::Initiate)),
    /// Request the removal of a withdrawal address.
    RemoveAddress = member("remove_address", Write, Holds(Workflow::ManageAddresses, Permission::Initiate)),
    /// Request a withdrawal as a Member.
    InitiateWithdrawal =
        member("initiate_withdrawal", Write, Holds(Workflow::InitiateWithdrawal, Permission::Initiate)),
    /// Create an Organization and invite its first Members.
    CreateOrganization = venue("create_organization", Write),
    /// Add an asset.
    AddAsset = venue("add_asset", Write),
    /// Add a market.
    AddMarket = venue("add_market", Write),
    /// Set the status of a market, which decides the orders that it accepts.
    SetMarketStatus = venue("set_market_status", Write),
    /// Add an Earn strategy.
    AddEarnStrategy = venue("add_earn_strategy", Write),
    /// Add addresses to the pool of deposit addresses.
    AddDepositAddresses = venue("add_deposit_addresses", Write),
    /// Credit a deposit.
    CreditDeposit = venue("credit_deposit", Write),
    /// Report a withdrawal as paid.
    SettleWithdrawal = venue("settle_withdrawal", Write),
    /// Report a withdrawal as failed.
    FailWithdrawal = venue("fail_withdrawal", Write),
    /// Pay a reward to all accounts that earn in a strategy.
    PayEarnReward = venue("pay_earn_reward", Write),
    /// Set a Member's KYC status.
    SetKyc = venue("set_kyc", Write),
    /// Stop everything that moves money.
    Halt = venue("halt", Write),
    /// End a halt.
    Resume = venue("resume", Write),
    /// Withdrawals released to custody.
    Custody = venue("custody", Stream),
}

/// The workflows whose Execute may freeze (rule 27).
const FREEZERS: &[Workflow] = &[Workflow::InitiateWithdrawal, Workflow::ManageAccess];

impl Operation {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The method of that name; channels are found by [`Operation::channel`].
    pub fn method(name: &str) -> Option<Operation> {
        Operation::ALL.into_iter().find(|operation| operation.row().kind != Kind::Stream && operation.name() == name)
    }

    /// The channel of that name.
    pub fn channel(name: &str) -> Option<Operation> {
        Operation::ALL.into_iter().find(|operation| operation.row().kind == Kind::Stream && operation.name() == name)
    }

    /// Its row of the table.
    pub const fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for operation in Operation::ALL {
            let found = match operation.row().kind {
                Kind::Stream => Operation::channel(operation.name()),
                Kind::Read | Kind::Write => Operation::method(operation.name()),
            };
            assert_eq!(found, Some(operation));
        }
        assert_eq!(Operation::method("balances"), None);
        assert_eq!(Operation::channel("get_balances"), None);
    }

    #[test]
    fn rule_11_a_method_that_acts_has_exactly_one_scope() {
        for operation in Operation::ALL {
            if let Row { kind: Kind::Write, service_user: ServiceRight::Scopes(scopes), .. } = operation.row() {
                assert_eq!(scopes.len(), 1, "{}", operation.name());
            }
        }
    }
}
