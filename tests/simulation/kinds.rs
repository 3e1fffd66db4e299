//! Every kind of what is asked and of what happens, by name. Each is listed once: the compiler asks for a new one
//! here, and the suite then fails until the clients bring it about.

use countersign::access::workflow::Workflow;
use countersign::domain::orders::CancelReason;
use countersign::engine::approvals::RequestState;
use countersign::engine::command::Command;
use countersign::engine::deposits::DepositStatus;
use countersign::engine::earn::EarnStep;
use countersign::engine::event::Event;
use countersign::engine::query::Query;
use countersign::engine::service_users::ServiceUserChange;
use countersign::engine::withdrawals::WithdrawalStatus;

pub trait Kind: 'static {
    /// What they are kinds of.
    const OF: &'static str;
    const ALL: &'static [&'static str];

    fn kind(&self) -> &'static str;
}

macro_rules! kinds {
    ($of:ident: $($kind:ident)*) => {
        impl Kind for $of {
            const OF: &'static str = stringify!($of);
            const ALL: &'static [&'static str] = &[$(stringify!($kind)),*];

            fn kind(&self) -> &'static str {
                match self {
                    $($of::$kind { .. } => stringify!($kind),)*
                }
            }
        }
    };
}

kinds! { Command:
    Genesis Tick OpenSession OpenMemberSession CloseMemberSession AcceptInvitation ConfirmInvitation
    PlaceOrder PlaceBatch AmendOrder EditOrder CancelOrder CancelBatch CancelAll Disconnected CancelAllAfter SettlePosition
    Earn DepositAddresses Withdraw CancelWithdrawal AddExport RemoveExport FinishExport
    Initiate Vote Execute CancelRequest ClaimSecret Freeze CancelOrders
    CreateOrganization AddAsset AddMarket AddEarnStrategy AddDepositAddresses CreditDeposit FinishWithdrawal PayEarnReward
    Halt Resume SetMarketStatus SetKyc
}

kinds! { Query:
    Bind BindMember Subscribe KeyInfo Balances OpenOrders Orders History Exports AllExports
    EarnStrategies EarnAllocations EarnStatus Methods Deposits Addresses WithdrawInfo Withdrawals
    MemberInfo Requests Request ServiceUsers Policies Members Explain Audit
}

kinds! { Event:
    VenueKeyChanged AssetAdded MarketAdded StrategyAdded OrganizationCreated MemberChanged CodeSpent SessionOpened
    SessionClosed ServiceUserChanged NonceUsed OrderPlaced Traded OrderRested OrderCanceled DepositAddressesAdded
    DepositAddressAssigned DepositChanged WithdrawalChanged AddressAdded AddressRemoved Earned PolicySet PolicyRemoved
    Frozen Unfrozen SwitchSet OrdersStopped RequestChanged Halted OrderActivated OrderAmended OrderRefilled TriggerMoved
    MarketStatusSet ExportChanged EarnPaid Resumed
}

kinds! { RequestState: Pending Approved Executed Rejected Canceled Expired Failed }

// Of requests that had to wait.
kinds! { Workflow: ManageAccess ManagePolicies ManageAddresses InitiateWithdrawal }

kinds! { EarnStep: Bonding Allocated ExitQueue Unbonding Deallocated Rewarded }

kinds! { DepositStatus: Pending Success Failure }

kinds! { WithdrawalStatus: Initial Pending Success Canceled Returned }

kinds! { CancelReason:
    UserRequested ImmediateOrCancel SelfTrade KeyStopped FillOrKill DeadMansSwitch ByMember Disconnected Expired
    AmendedToFilled Edited InsufficientFunds NoLiquidity PostOnly MarketStatus OutOfBounds
}

kinds! { ServiceUserChange: Created Edited Rotated Retired Claimed Expired QueryEnded Removed }
