//! THE table: every method and channel with its name, its kind and who may use it.
//!
//! Dispatch, [`permit`](super::permit), the schemas, the README's table and the scope grid all read it.

pub use super::row::{Kind, MemberRight, Row, ServiceRight};
use super::row::{both, member, open, service, venue};
use super::scope::Scope;
use super::workflow::{Permission, Workflow};

macro_rules! operations {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Every method and channel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $($(#[doc = $doc])* $name,)*
        }

        /// How many there are.
        const COUNT: usize = [$(Operation::$name),*].len();

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
    Ping,
    /// System status; pushed to every socket.
    Status,
    /// Assets and pairs.
    Instrument,
    /// Best prices and 24 h figures.
    Ticker,
    /// Price levels with a checksum.
    Book,
    /// Orders in their queues, with a checksum; for who has a key.
    Level3,
    /// Public trades.
    Trade,
    /// Candles.
    Ohlc,
    /// What the key is and may do.
    KeyInfo,
    /// Balances, available and held.
    GetBalances,
    /// Balances, then every ledger entry.
    Balances,
    /// Place an order.
    AddOrder,
    /// Place several orders of one market, each standing alone.
    BatchAdd,
    /// Change an open order in place.
    AmendOrder,
    /// Put another order in the place of an open one.
    EditOrder,
    /// Cancel orders by id.
    CancelOrder,
    /// Cancel several orders by id, at once.
    BatchCancel,
    /// Cancel every open order of the account.
    CancelAll,
    /// Cancel every open order of the account unless told again in time.
    CancelAllOrdersAfter,
    /// `add_order` with `order_type: settle-position`, which closes a position.
    SettlePosition,
    /// Open orders.
    OpenOrders,
    /// Closed orders.
    ClosedOrders,
    /// Orders by id, open and closed.
    QueryOrders,
    /// Past fills.
    TradesHistory,
    /// Order states and fills.
    Executions,
    /// Ledger entries.
    Ledgers,
    /// Ledger entries by id.
    QueryLedgers,
    /// Ledger entries as they are posted.
    Ledger,
    /// Order a file of trades or ledger entries.
    ExportAdd,
    /// Exports and how far they are.
    ExportStatus,
    /// A link that fetches a file, once.
    ExportRetrieve,
    /// Remove an export, made or not.
    ExportRemove,
    /// Earn strategies.
    EarnStrategies,
    /// What is allocated.
    EarnAllocations,
    /// Allocate at once.
    EarnAllocate,
    /// Deallocate at once.
    EarnDeallocate,
    /// Bonding and unbonding of a strategy.
    EarnStatus,
    /// Allocations and their changes.
    Earn,
    /// How an asset is deposited.
    DepositMethods,
    /// Addresses to deposit to; `new` takes one from the pool.
    DepositAddresses,
    /// Deposits.
    DepositStatus,
    /// Deposits as they are credited.
    Deposits,
    /// How an asset is withdrawn.
    WithdrawMethods,
    /// Approved addresses.
    WithdrawAddresses,
    /// Fee, limit and the approval that a withdrawal would need.
    WithdrawInfo,
    /// Ask for a withdrawal.
    Withdraw,
    /// Cancel a withdrawal that is not released.
    WithdrawCancel,
    /// Withdrawals.
    WithdrawStatus,
    /// Withdrawals and their changes.
    Withdrawals,
    /// The Member and its permissions.
    MemberInfo,
    /// Requests that the Member may view.
    Requests,
    /// One request.
    RequestInfo,
    /// The approval queue, live.
    Approvals,
    /// Vote for requests.
    Approve,
    /// Vote against requests.
    Reject,
    /// Complete requests at once.
    Execute,
    /// Withdraw a request of one's own.
    CancelRequest,
    /// Service Users.
    ServiceUsers,
    /// Ask for a Service User.
    CreateServiceUser,
    /// Ask for a change of one.
    EditServiceUser,
    /// Ask for a new key of one; the old one may serve on for a while.
    RotateServiceUserKey,
    /// Ask for the removal of one.
    RemoveServiceUser,
    /// Take a created key's secret, once.
    ClaimSecret,
    /// Members.
    Members,
    /// Ask for a Member.
    InviteMember,
    /// Ask for a change of one: name, permissions, suspension.
    EditMember,
    /// Ask that one sets password and second factor anew.
    ResetMember,
    /// Ask for the removal of one.
    RemoveMember,
    /// Stop withdrawals, or everything, at once.
    Freeze,
    /// Ask for the end of a freeze.
    Unfreeze,
    /// Cancel a Service User's open orders.
    CancelOrders,
    /// Who did what, from the journal.
    AuditLog,
    /// Policies.
    Policies,
    /// Ask for a policy.
    SetPolicy,
    /// Ask for the removal of one.
    RemovePolicy,
    /// Which rule a planned withdrawal comes under, and who could approve it.
    PolicyExplain,
    /// Withdrawal addresses.
    Addresses,
    /// Ask for an address.
    AddAddress,
    /// Ask for the removal of one.
    RemoveAddress,
    /// Ask for a withdrawal as a Member.
    InitiateWithdrawal,
    /// Create an Organization and its invitations.
    CreateOrganization,
    /// Add an asset.
    AddAsset,
    /// Add a market.
    AddMarket,
    /// Open a market, or close it to some orders.
    SetMarketStatus,
    /// Add an Earn strategy.
    AddEarnStrategy,
    /// Fill the deposit address pool.
    AddDepositAddresses,
    /// Credit a deposit.
    CreditDeposit,
    /// Report a withdrawal paid.
    SettleWithdrawal,
    /// Report a withdrawal failed.
    FailWithdrawal,
    /// Pay a reward to all who earn in a strategy.
    PayEarnReward,
    /// Set a Member's KYC status.
    SetKyc,
    /// Stop whatever moves money.
    Halt,
    /// Let it go on.
    Resume,
    /// Withdrawals released to custody.
    Custody,
}

/// The table, as each message is judged by it.
const ROWS: &[Row; COUNT] = &{
    let mut rows = [Operation::Ping.written(); COUNT];
    let mut at = 0;
    while at < COUNT {
        rows[at] = Operation::ALL[at].written();
        at += 1;
    }
    rows
};

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

    #[expect(clippy::too_many_lines, reason = "a table: one row an operation")]
    const fn written(self) -> Row {
        use Kind::{Read, Stream, Write};
        use MemberRight::{Acting, Holds, HoldsAny};
        use ServiceRight::Scopes;
        match self {
            Operation::Ping => open("ping", Read),
            Operation::Status => open("status", Stream),
            Operation::Instrument => open("instrument", Stream),
            Operation::Ticker => open("ticker", Stream),
            Operation::Book => open("book", Stream),
            Operation::Level3 => service("level3", Stream, ServiceRight::Any),
            Operation::Trade => open("trade", Stream),
            Operation::Ohlc => open("ohlc", Stream),
            Operation::KeyInfo => service("key_info", Read, ServiceRight::Any),
            Operation::GetBalances => service("get_balances", Read, Scopes(&[Scope::Query])),
            Operation::Balances => {
                both("balances", Stream, Scopes(&[Scope::Query]), Holds(Workflow::InitiateWithdrawal, Permission::View))
            }
            Operation::AddOrder => service("add_order", Write, Scopes(&[Scope::ModifyOrders])),
            Operation::BatchAdd => service("batch_add", Write, Scopes(&[Scope::ModifyOrders])),
            Operation::AmendOrder => service("amend_order", Write, Scopes(&[Scope::ModifyOrders])),
            Operation::EditOrder => service("edit_order", Write, Scopes(&[Scope::ModifyOrders])),
            Operation::CancelOrder => service("cancel_order", Write, Scopes(&[Scope::CancelOrders])),
            Operation::BatchCancel => service("batch_cancel", Write, Scopes(&[Scope::CancelOrders])),
            Operation::CancelAll => service("cancel_all", Write, Scopes(&[Scope::CancelOrders])),
            Operation::CancelAllOrdersAfter => {
                service("cancel_all_orders_after", Write, Scopes(&[Scope::CancelOrders]))
            }
            Operation::SettlePosition => service("settle_position", Write, Scopes(&[Scope::CancelOrders])),
            Operation::OpenOrders => service("open_orders", Read, Scopes(&[Scope::QueryOpenOrders])),
            Operation::ClosedOrders => service("closed_orders", Read, Scopes(&[Scope::QueryClosedOrders])),
            Operation::QueryOrders => {
                service("query_orders", Read, Scopes(&[Scope::QueryOpenOrders, Scope::QueryClosedOrders]))
            }
            Operation::TradesHistory => service("trades_history", Read, Scopes(&[Scope::QueryClosedOrders])),
            Operation::Executions => service("executions", Stream, Scopes(&[Scope::QueryOpenOrders])),
            Operation::Ledgers => service("ledgers", Read, Scopes(&[Scope::QueryLedger])),
            Operation::QueryLedgers => service("query_ledgers", Read, Scopes(&[Scope::QueryLedger])),
            Operation::Ledger => both(
                "ledger",
                Stream,
                Scopes(&[Scope::QueryLedger]),
                Holds(Workflow::InitiateWithdrawal, Permission::View),
            ),
            Operation::ExportAdd => service("export_add", Write, Scopes(&[Scope::ExportData])),
            Operation::ExportStatus => service("export_status", Read, Scopes(&[Scope::ExportData])),
            Operation::ExportRetrieve => service("export_retrieve", Read, Scopes(&[Scope::ExportData])),
            Operation::ExportRemove => service("export_remove", Write, Scopes(&[Scope::ExportData])),
            Operation::EarnStrategies => service("earn_strategies", Read, Scopes(&[Scope::Earn])),
            Operation::EarnAllocations => service("earn_allocations", Read, Scopes(&[Scope::Earn])),
            Operation::EarnAllocate => service("earn_allocate", Write, Scopes(&[Scope::Earn])),
            Operation::EarnDeallocate => service("earn_deallocate", Write, Scopes(&[Scope::Earn])),
            Operation::EarnStatus => service("earn_status", Read, Scopes(&[Scope::Earn])),
            Operation::Earn => service("earn", Stream, Scopes(&[Scope::Earn])),
            Operation::DepositMethods => service("deposit_methods", Read, Scopes(&[Scope::Deposit])),
            Operation::DepositAddresses => service("deposit_addresses", Write, Scopes(&[Scope::Deposit])),
            Operation::DepositStatus => service("deposit_status", Read, Scopes(&[Scope::Query, Scope::Deposit])),
            Operation::Deposits => service("deposits", Stream, Scopes(&[Scope::Query, Scope::Deposit])),
            Operation::WithdrawMethods => service("withdraw_methods", Read, Scopes(&[Scope::Withdraw])),
            Operation::WithdrawAddresses => service("withdraw_addresses", Read, Scopes(&[Scope::Withdraw])),
            Operation::WithdrawInfo => service("withdraw_info", Read, Scopes(&[Scope::Withdraw])),
            Operation::Withdraw => service("withdraw", Write, Scopes(&[Scope::Withdraw])),
            Operation::WithdrawCancel => service("withdraw_cancel", Write, Scopes(&[Scope::Withdraw])),
            Operation::WithdrawStatus => service("withdraw_status", Read, Scopes(&[Scope::Query, Scope::Withdraw])),
            Operation::Withdrawals => both(
                "withdrawals",
                Stream,
                Scopes(&[Scope::Query, Scope::Withdraw]),
                Holds(Workflow::InitiateWithdrawal, Permission::View),
            ),
            Operation::MemberInfo => member("member_info", Read, MemberRight::Any),
            Operation::Requests => member("requests", Read, MemberRight::Any),
            Operation::RequestInfo => member("request_info", Read, MemberRight::Any),
            Operation::Approvals => member("approvals", Stream, MemberRight::Any),
            Operation::Approve => member("approve", Write, Acting),
            Operation::Reject => member("reject", Write, Acting),
            Operation::Execute => member("execute", Write, Acting),
            Operation::CancelRequest => member("cancel_request", Write, MemberRight::Any),
            Operation::ServiceUsers => member("service_users", Read, Holds(Workflow::ManageAccess, Permission::View)),
            Operation::CreateServiceUser => {
                member("create_service_user", Write, Holds(Workflow::ManageAccess, Permission::Initiate))
            }
            Operation::EditServiceUser => {
                member("edit_service_user", Write, Holds(Workflow::ManageAccess, Permission::Initiate))
            }
            Operation::RemoveServiceUser => {
                member("remove_service_user", Write, Holds(Workflow::ManageAccess, Permission::Initiate))
            }
            Operation::ClaimSecret => {
                member("claim_secret", Write, Holds(Workflow::ManageAccess, Permission::Initiate))
            }
            Operation::RotateServiceUserKey => {
                member("rotate_service_user_key", Write, Holds(Workflow::ManageAccess, Permission::Initiate))
            }
            Operation::Members => member("members", Read, Holds(Workflow::ManageAccess, Permission::View)),
            Operation::InviteMember => {
                member("invite_member", Write, Holds(Workflow::ManageAccess, Permission::Initiate))
            }
            Operation::EditMember => member("edit_member", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
            Operation::ResetMember => {
                member("reset_member", Write, Holds(Workflow::ManageAccess, Permission::Initiate))
            }
            Operation::RemoveMember => {
                member("remove_member", Write, Holds(Workflow::ManageAccess, Permission::Initiate))
            }
            Operation::Freeze => member("freeze", Write, HoldsAny(FREEZERS, Permission::Execute)),
            Operation::Unfreeze => member("unfreeze", Write, Holds(Workflow::ManageAccess, Permission::Initiate)),
            Operation::CancelOrders => {
                member("cancel_orders", Write, Holds(Workflow::ManageAccess, Permission::Execute))
            }
            Operation::AuditLog => member("audit_log", Read, Holds(Workflow::ManageAccess, Permission::View)),
            Operation::RemovePolicy => {
                member("remove_policy", Write, Holds(Workflow::ManagePolicies, Permission::Initiate))
            }
            Operation::PolicyExplain => {
                member("policy_explain", Read, Holds(Workflow::InitiateWithdrawal, Permission::View))
            }
            Operation::RemoveAddress => {
                member("remove_address", Write, Holds(Workflow::ManageAddresses, Permission::Initiate))
            }
            Operation::Policies => member("policies", Read, Holds(Workflow::ManagePolicies, Permission::View)),
            Operation::SetPolicy => member("set_policy", Write, Holds(Workflow::ManagePolicies, Permission::Initiate)),
            Operation::Addresses => member("addresses", Read, Holds(Workflow::ManageAddresses, Permission::View)),
            Operation::AddAddress => {
                member("add_address", Write, Holds(Workflow::ManageAddresses, Permission::Initiate))
            }
            Operation::InitiateWithdrawal => {
                member("initiate_withdrawal", Write, Holds(Workflow::InitiateWithdrawal, Permission::Initiate))
            }
            Operation::CreateOrganization => venue("create_organization", Write),
            Operation::AddAsset => venue("add_asset", Write),
            Operation::AddMarket => venue("add_market", Write),
            Operation::SetMarketStatus => venue("set_market_status", Write),
            Operation::AddEarnStrategy => venue("add_earn_strategy", Write),
            Operation::AddDepositAddresses => venue("add_deposit_addresses", Write),
            Operation::CreditDeposit => venue("credit_deposit", Write),
            Operation::SettleWithdrawal => venue("settle_withdrawal", Write),
            Operation::FailWithdrawal => venue("fail_withdrawal", Write),
            Operation::PayEarnReward => venue("pay_earn_reward", Write),
            Operation::SetKyc => venue("set_kyc", Write),
            Operation::Halt => venue("halt", Write),
            Operation::Resume => venue("resume", Write),
            Operation::Custody => venue("custody", Stream),
        }
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
