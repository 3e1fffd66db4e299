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
    /// Liveness.
    Ping = open("ping", Read),
    /// System status; pushed to every socket.
    Status = open("status", Stream),
    /// Assets and pairs.
    Instrument = open("instrument", Stream),
    /// Best prices and 24 h figures.
    Ticker = open("ticker", Stream),
    /// Price levels with a checksum.
    Book = open("book", Stream),
    /// Orders in their queues, with a checksum; for who has a key.
    Level3 = service("level3", Stream, ServiceRight::Any),
    /// Public trades.
    Trade = open("trade", Stream),
    /// Candles.
    Ohlc = open("ohlc", Stream),
    /// What the key is and may do.
    KeyInfo = service("key_info", Read, ServiceRight::Any),
    /// Balances, available and held.
    GetBalances = service("get_balances", Read, Scopes(&[Scope::Query])),
    /// Balances, then every ledger entry.
    Balances = both("balances", Stream, Scopes(&[Scope::Query]), Holds(Workflow::InitiateWithdrawal, Permission::View)),
    /// Place an order.
    AddOrder = service("add_order", Write, Scopes(&[Scope::ModifyOrders])),
    /// Place several orders of one market, each standing alone.
    BatchAdd = service("batch_add", Write, Scopes(&[Scope::ModifyOrders])),
    /// Change an open order in place.
    AmendOrder = service("amend_order", Write, Scopes(&[Scope::ModifyOrders])),
    /// Put another order in the place of an open one.
    EditOrder = service("edit_order", Write, Scopes(&[Scope::ModifyOrders])),
    /// Cancel orders by id.
    CancelOrder = service("cancel_order", Write, Scopes(&[Scope::CancelOrders])),
    /// Cancel several orders by id, at once.
    BatchCancel = service("batch_cancel", Write, Scopes(&[Scope::CancelOrders])),
    /// Cancel every open order of the account.
    CancelAll = service("cancel_all", Write, Scopes(&[Scope::CancelOrders])),
    /// Cancel every open order of the account unless told again in time.
    CancelAllOrdersAfter = service("cancel_all_orders_after", Write, Scopes(&[Scope::CancelOrders])),
    /// `add_order` with `order_type: settle-position`, which closes a position.
    SettlePosition = service("settle_position", Write, Scopes(&[Scope::CancelOrders])),
    /// Open orders.
    OpenOrders = service("open_orders", Read, Scopes(&[Scope::QueryOpenOrders])),
    /// Closed orders.
    ClosedOrders = service("closed_orders", Read, Scopes(&[Scope::QueryClosedOrders])),
    /// Orders by id, open and closed.
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
    /// Order a file of trades or ledger entries.
    ExportAdd = service("export_add", Write, Scopes(&[Scope::ExportData])),
    /// Exports and how far they are.
    ExportStatus = service("export_status", Read, Scopes(&[Scope::ExportData])),
    /// A link that fetches a file, once.
    ExportRetrieve = service("export_retrieve", Read, Scopes(&[Scope::ExportData])),
    /// Remove an export, made or not.
    ExportRemove = service("export_remove", Write, Scopes(&[Scope::ExportData])),
    /// Earn strategies.
    EarnStrategies = service("earn_strategies", Read, Scopes(&[Scope::Earn])),
    /// What is allocated.
    EarnAllocations = service("earn_allocations", Read, Scopes(&[Scope::Earn])),
    /// Allocate at once.
    EarnAllocate = service("earn_allocate", Write, Scopes(&[Scope::Earn])),
    /// Deallocate at once.
    EarnDeallocate = service("earn_deallocate", Write, Scopes(&[Scope::Earn])),
    /// Bonding and unbonding of a strategy.
    EarnStatus = service("earn_status", Read, Scopes(&[Scope::Earn])),
    /// Allocations and their changes.
    Earn = service("earn", Stream, Scopes(&[Scope::Earn])),
    /// How an asset is deposited.
    DepositMethods = service("deposit_methods", Read, Scopes(&[Scope::Deposit])),
    /// Addresses to deposit to; `new` takes one from the pool.
    DepositAddresses = service("deposit_addresses", Write, Scopes(&[Scope::Deposit])),
    /// Deposits.
    DepositStatus = service("deposit_status", Read, Scopes(&[Scope::Query, Scope::Deposit])),
    /// Deposits as they are credited.
    Deposits = service("deposits", Stream, Scopes(&[Scope::Query, Scope::Deposit])),
    /// How an asset is withdrawn.
    WithdrawMethods = service("withdraw_methods", Read, Scopes(&[Scope::Withdraw])),
    /// Approved addresses.
    WithdrawAddresses = service("withdraw_addresses", Read, Scopes(&[Scope::Withdraw])),
    /// Fee, limit and the approval that a withdrawal would need.
    WithdrawInfo = service("withdraw_info", Read, Scopes(&[Scope::Withdraw])),
    /// Ask for a withdrawal.
    Withdraw = service("withdraw", Write, Scopes(&[Scope::Withdraw])),
    /// Cancel a withdrawal that is not released.
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
    /// The Member and its permissions.
    MemberInfo = member("member_info", Read, MemberRight::Any),
    /// Requests that the Member may view.
    Requests = member("requests", Read, MemberRight::Any),
    /// One request.
    RequestInfo = member("request_info", Read, MemberRight::Any),
    /// The approval queue, live.
    Approvals = member("approvals", Stream, MemberRight::Any),
    /// Vote for requests.
    Approve = member("approve", Write, Acting),
    /// Vote against requests.
    Reject = member("reject", Write, Acting),
    /// Complete requests at once.
    Execute = member("execute", Write, Acting),
    /// Withdraw a request of one's own.
    CancelRequest = member("cancel_request", Write, MemberRight::Any),
    /// Service Users.
    ServiceUsers = member("service_users", Read, Holds(Workflow::ManageAccess, Permission::View)),
    /// Ask for a Service User.
    CreateServiceUser = member("create_service_user", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Ask for a change of one.
    EditServiceUser = member("edit_service_user", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Ask for a new key of one; the old one may serve on for a while.
    RotateServiceUserKey =
        member("rotate_service_user_key", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Ask for the removal of one.
    RemoveServiceUser = member("remove_service_user", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Take a created key's secret, once.
    ClaimSecret = member("claim_secret", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Members.
    Members = member("members", Read, Holds(Workflow::ManageAccess, Permission::View)),
    /// Ask for a Member.
    InviteMember = member("invite_member", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Ask for a change of one: name, permissions, suspension.
    EditMember = member("edit_member", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Ask that one sets password and second factor anew.
    ResetMember = member("reset_member", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Ask for the removal of one.
    RemoveMember = member("remove_member", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Stop withdrawals, or everything, at once.
    Freeze = member("freeze", Write, HoldsAny(FREEZERS, Permission::Execute)),
    /// Ask for the end of a freeze.
    Unfreeze = member("unfreeze", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
    /// Cancel a Service User's open orders.
    CancelOrders = member("cancel_orders", Write, Holds(Workflow::ManageAccess, Permission::Execute)),
    /// Who did what, from the journal.
    AuditLog = member("audit_log", Read, Holds(Workflow::ManageAccess, Permission::View)),
    /// Policies.
    Policies = member("policies", Read, Holds(Workflow::ManagePolicies, Permission::View)),
    /// Ask for a policy.
    SetPolicy = member("set_policy", Write, Holds(Workflow::ManagePolicies, Permission::Initiate)),
    /// Ask for the removal of one.
    RemovePolicy = member("remove_policy", Write, Holds(Workflow::ManagePolicies, Permission::Initiate)),
    /// Which rule a planned withdrawal comes under, and who could approve it.
    PolicyExplain = member("policy_explain", Read, Holds(Workflow::InitiateWithdrawal, Permission::View)),
    /// Withdrawal addresses.
    Addresses = member("addresses", Read, Holds(Workflow::ManageAddresses, Permission::View)),
    /// Ask for an address.
    AddAddress = member("add_address", Write, Holds(Workflow::ManageAddresses, Permission::Initiate)),
    /// Ask for the removal of one.
    RemoveAddress = member("remove_address", Write, Holds(Workflow::ManageAddresses, Permission::Initiate)),
    /// Ask for a withdrawal as a Member.
    InitiateWithdrawal =
        member("initiate_withdrawal", Write, Holds(Workflow::InitiateWithdrawal, Permission::Initiate)),
    /// Create an Organization and its invitations.
    CreateOrganization = venue("create_organization", Write),
    /// Add an asset.
    AddAsset = venue("add_asset", Write),
    /// Add a market.
    AddMarket = venue("add_market", Write),
    /// Open a market, or close it to some orders.
    SetMarketStatus = venue("set_market_status", Write),
    /// Add an Earn strategy.
    AddEarnStrategy = venue("add_earn_strategy", Write),
    /// Fill the deposit address pool.
    AddDepositAddresses = venue("add_deposit_addresses", Write),
    /// Credit a deposit.
    CreditDeposit = venue("credit_deposit", Write),
    /// Report a withdrawal paid.
    SettleWithdrawal = venue("settle_withdrawal", Write),
    /// Report a withdrawal failed.
    FailWithdrawal = venue("fail_withdrawal", Write),
    /// Pay a reward to all who earn in a strategy.
    PayEarnReward = venue("pay_earn_reward", Write),
    /// Set a Member's KYC status.
    SetKyc = venue("set_kyc", Write),
    /// Stop whatever moves money.
    Halt = venue("halt", Write),
    /// Let it go on.
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
    fn a_method_that_acts_has_exactly_one_scope() {
        for operation in Operation::ALL {
            if let Row { kind: Kind::Write, service_user: ServiceRight::Scopes(scopes), .. } = operation.row() {
                assert_eq!(scopes.len(), 1, "{}", operation.name());
            }
        }
    }
}
