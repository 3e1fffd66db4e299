//! What is asked of the engine. Names and numbers arrive as the client wrote them; the engine resolves
//! them against its own state.

pub use super::allocations::EarnMove;
use super::approvals::Decision;
use super::deposits::{DepositAddress, DepositStatus};
use super::earn::{AutoCompound, LockType, YieldSource};
use super::event::Event;
use super::exports::AskedExport;
use super::freezes::FreezeScope;
use super::members::Kyc;
pub use super::order_requests::{
    AmendOrder, AskedConditional, AskedTerms, AskedTrigger, EditOrder, OrderRef, PlaceOrder,
};
use super::service_users::KeyRef;
use super::workflows::withdrawal::WithdrawalChange;
use super::workflows::{Change, Drawn};
use crate::access::operation::Operation;
use crate::domain::decimal::Decimal;
use crate::domain::ids::{ExportId, MemberId, OrganizationId, RequestId, ServiceUserId, StrategyId, WithdrawalId};
use crate::domain::markets::MarketStatus;
use crate::domain::text::{AssetCode, ClientId, Symbol};
use crate::domain::time::Moment;

/// A vote on one of several requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// Which request.
    pub request: RequestId,
    /// The digest of what the Member saw.
    pub digest: String,
}

/// How a governed change is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Initiation {
    /// Complete it at once, if the policy lets the Member.
    pub execute: bool,
    /// The 30-second step of the one-time code, verified by the gateway.
    pub step: Option<u64>,
    /// The Member's own id for it.
    pub client_id: Option<ClientId>,
    /// Accept that pending requests lose their approvers.
    pub strand_pending: bool,
    /// The credential that the gateway drew for it.
    pub drawn: Option<Drawn>,
}

/// A Member named by `create_organization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitee {
    /// Name shown to others.
    pub name: String,
    /// Sign-in name.
    pub email: String,
    /// SHA-256 of the invitation's token, drawn by the gateway.
    pub token_hash: [u8; 32],
}

/// Everything that may change state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The first command of an empty journal, and the one exception to law 10: `init` writes the first venue
    /// key with it, `demo` its whole world (rule 17).
    Genesis(Vec<Event>),
    /// Let whatever is due happen.
    Tick,
    /// A verified signature with this nonce opens a session or asks for a WebSocket token (rule 3).
    OpenSession {
        /// Whose.
        key: KeyRef,
        /// The nonce signed.
        nonce: u64,
    },
    /// Password and code were verified; open a session (rules 15, 16).
    OpenMemberSession {
        /// Whose.
        member: MemberId,
        /// The code's step.
        step: u64,
        /// SHA-256 of the cookie.
        cookie_hash: [u8; 32],
    },
    /// Sign out.
    CloseMemberSession {
        /// SHA-256 of the cookie.
        cookie_hash: [u8; 32],
    },
    /// The holder of an invitation sets password and second factor.
    AcceptInvitation {
        /// SHA-256 of the token.
        token_hash: [u8; 32],
        /// Argon2id hash in PHC form.
        password_hash: String,
        /// TOTP secret, sealed.
        totp_sealed: Vec<u8>,
    },
    /// The holder proved the second factor; the Member becomes active.
    ConfirmInvitation {
        /// SHA-256 of the token.
        token_hash: [u8; 32],
        /// The sealed TOTP secret that the code is of.
        totp_sealed: Vec<u8>,
        /// The code's step.
        step: u64,
    },
    /// `add_order`
    PlaceOrder(PlaceOrder),
    /// `batch_add`: orders of one market.
    PlaceBatch(Vec<PlaceOrder>),
    /// `amend_order`
    AmendOrder(AmendOrder),
    /// `edit_order`
    EditOrder(EditOrder),
    /// `cancel_order`, one order or group at a time.
    CancelOrder(OrderRef),
    /// `batch_cancel`: what is open of these.
    CancelBatch(Vec<OrderRef>),
    /// `cancel_all`
    CancelAll,
    /// The Service User has had no socket for the grace, and wanted its orders gone then.
    Disconnected(ServiceUserId),
    /// `cancel_all_orders_after`, in seconds; 0 disarms.
    CancelAllAfter(u64),
    /// Closing a position; there are none in this version (rule 13).
    SettlePosition,
    /// `earn_allocate` and `earn_deallocate`
    Earn(EarnMove),
    /// `deposit_addresses`
    DepositAddresses {
        /// Of which asset.
        asset: AssetCode,
        /// The asset's method, if it is named.
        method: Option<String>,
        /// Take a new one from the pool.
        new: bool,
    },
    /// `withdraw`
    Withdraw(Withdraw),
    /// `withdraw_cancel`
    CancelWithdrawal(WithdrawalId),
    /// A governed change asked for by a Member.
    Initiate(Box<Change>, Initiation),
    /// `approve` (with a step) and `reject`
    Vote {
        /// Which way.
        decision: Decision,
        /// On what, 1–50.
        ballots: Vec<Ballot>,
        /// The code's step; approving needs one.
        step: Option<u64>,
        /// Comment or reason.
        comment: Option<String>,
    },
    /// `execute`
    Execute {
        /// What, 1–50.
        ballots: Vec<Ballot>,
        /// The code's step, which it needs.
        step: Option<u64>,
        /// Comment.
        comment: Option<String>,
    },
    /// `cancel_request`
    CancelRequest(RequestId),
    /// `claim_secret`
    ClaimSecret {
        /// The request that made the key.
        request: RequestId,
        /// The code's step, which it needs.
        step: Option<u64>,
    },
    /// `export_add`
    AddExport(AskedExport),
    /// `export_remove`
    RemoveExport(ExportId),
    /// The server has written an export's file.
    FinishExport {
        /// Which.
        export: ExportId,
        /// When it was begun.
        started: Moment,
        /// Rows in it, its header not counted.
        rows: u64,
    },
    /// `freeze`
    Freeze {
        /// What it stops.
        scope: FreezeScope,
        /// Why.
        reason: String,
    },
    /// `cancel_orders`
    CancelOrders(ServiceUserId),
    /// `create_organization`
    CreateOrganization {
        /// Its name.
        name: String,
        /// Its first Members.
        members: Vec<Invitee>,
    },
    /// `add_asset`
    AddAsset {
        /// Code, decimals, method and limits; the number is given by the engine.
        asset: NewAsset,
    },
    /// `add_market`
    AddMarket {
        /// Symbol, precisions and fees; the number is given by the engine.
        market: NewMarket,
    },
    /// `add_earn_strategy`
    AddEarnStrategy {
        /// Lock type, minimum, caps and rewards; the number is given by the engine.
        strategy: NewStrategy,
    },
    /// `add_deposit_addresses`
    AddDepositAddresses {
        /// Of which asset.
        asset: AssetCode,
        /// The addresses.
        addresses: Vec<DepositAddress>,
    },
    /// `credit_deposit`
    CreditDeposit(Credit),
    /// `settle_withdrawal` and `fail_withdrawal` (rule 37)
    FinishWithdrawal {
        /// Which.
        withdrawal: WithdrawalId,
        /// Paid, or why not.
        result: CustodyResult,
    },
    /// `pay_earn_reward`
    PayEarnReward {
        /// Of which strategy.
        strategy: StrategyId,
        /// What all its accounts get together.
        amount: Decimal,
        /// The operator's own id; the same again answers the first payout.
        client_id: ClientId,
    },
    /// `halt`
    Halt {
        /// Why.
        reason: String,
    },
    /// `resume`
    Resume,
    /// `set_market_status`
    SetMarketStatus {
        /// Of which market.
        symbol: Symbol,
        /// The new status.
        status: MarketStatus,
    },
    /// `set_kyc`
    SetKyc {
        /// Whose.
        member: MemberId,
        /// The new status.
        kyc: Kyc,
    },
}

/// What `withdraw` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdraw {
    /// What is withdrawn, and where to.
    pub change: WithdrawalChange,
    /// The caller's own id.
    pub client_id: Option<ClientId>,
    /// Refuse above this fee.
    pub max_fee: Option<Decimal>,
    /// Refuse if the key names another address.
    pub address: Option<String>,
}

/// What `credit_deposit` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// Of which asset.
    pub asset: AssetCode,
    /// The address it came to.
    pub address: DepositAddress,
    /// What arrived.
    pub amount: Decimal,
    /// The operator's transaction id; the same again answers the first result.
    pub txid: String,
    /// Where the deposit is.
    pub status: DepositStatus,
}

/// What custody made of a withdrawal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustodyResult {
    /// It was paid.
    Settled {
        /// Custody's transaction id, for the customer.
        txid: Option<String>,
    },
    /// It could not be paid.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What `add_asset` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAsset {
    /// Code, such as `BTC`.
    pub code: AssetCode,
    /// Decimals, 0–12.
    pub decimals: u8,
    /// Decimals shown, at most `decimals`.
    pub display_decimals: u8,
    /// Method name.
    pub method: String,
    /// Network.
    pub network: String,
    /// Least gross withdrawal.
    pub withdrawal_min: Decimal,
    /// Withdrawal fee.
    pub withdrawal_fee: Decimal,
    /// Least deposit.
    pub deposit_min: Decimal,
}

/// What `add_market` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMarket {
    /// `BASE/QUOTE` of existing assets.
    pub symbol: Symbol,
    /// Decimals of a price.
    pub price_decimals: u8,
    /// Decimals of a quantity, at most the base asset's.
    pub qty_decimals: u8,
    /// Price increment.
    pub price_increment: Decimal,
    /// Least quantity.
    pub qty_min: Decimal,
    /// Least cost.
    pub cost_min: Decimal,
    /// Maker fee, parts per million.
    pub maker_ppm: u32,
    /// Taker fee, parts per million.
    pub taker_ppm: u32,
}

/// What `add_earn_strategy` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStrategy {
    /// Its asset.
    pub asset: AssetCode,
    /// How funds are bound.
    pub lock: LockType,
    /// Least amount of one operation.
    pub min: Decimal,
    /// Most that one account may have in it.
    pub user_cap: Option<Decimal>,
    /// Most that all accounts together may.
    pub total_cap: Option<Decimal>,
    /// Estimated yearly rate, low and high, in per cent.
    pub apr: (Decimal, Decimal),
    /// What becomes of rewards.
    pub auto_compound: AutoCompound,
    /// Where rewards come from.
    pub yield_source: YieldSource,
    /// Length of a payout period, in seconds.
    pub payout_frequency_s: Option<u64>,
    /// The Organizations that it is open to; all when `None`.
    pub organizations: Option<Vec<OrganizationId>>,
}

impl Command {
    /// The operation that the caller must be permitted; `None` for what a socket does not ask by name.
    pub fn operation(&self) -> Option<Operation> {
        Some(match self {
            Command::Genesis(_)
            | Command::Tick
            | Command::Disconnected(_)
            | Command::FinishExport { .. }
            | Command::OpenSession { .. }
            | Command::OpenMemberSession { .. }
            | Command::CloseMemberSession { .. }
            | Command::AcceptInvitation { .. }
            | Command::ConfirmInvitation { .. } => return None,
            Command::PlaceOrder(_) => Operation::AddOrder,
            Command::PlaceBatch(_) => Operation::BatchAdd,
            Command::AmendOrder(_) => Operation::AmendOrder,
            Command::EditOrder(_) => Operation::EditOrder,
            Command::CancelOrder(_) => Operation::CancelOrder,
            Command::CancelBatch(_) => Operation::BatchCancel,
            Command::CancelAll => Operation::CancelAll,
            Command::CancelAllAfter(_) => Operation::CancelAllOrdersAfter,
            Command::SettlePosition => Operation::SettlePosition,
            Command::Earn(EarnMove { allocate: true, .. }) => Operation::EarnAllocate,
            Command::Earn(EarnMove { allocate: false, .. }) => Operation::EarnDeallocate,
            Command::AddExport(_) => Operation::ExportAdd,
            Command::RemoveExport(_) => Operation::ExportRemove,
            Command::DepositAddresses { .. } => Operation::DepositAddresses,
            Command::Withdraw { .. } => Operation::Withdraw,
            Command::CancelWithdrawal(_) => Operation::WithdrawCancel,
            Command::Initiate(change, _) => change.governed().operation(),
            Command::Vote { decision: Decision::Approve, .. } => Operation::Approve,
            Command::Vote { decision: Decision::Reject, .. } => Operation::Reject,
            Command::Execute { .. } => Operation::Execute,
            Command::CancelRequest(_) => Operation::CancelRequest,
            Command::ClaimSecret { .. } => Operation::ClaimSecret,
            Command::Freeze { .. } => Operation::Freeze,
            Command::CancelOrders(_) => Operation::CancelOrders,
            Command::CreateOrganization { .. } => Operation::CreateOrganization,
            Command::AddAsset { .. } => Operation::AddAsset,
            Command::AddMarket { .. } => Operation::AddMarket,
            Command::AddEarnStrategy { .. } => Operation::AddEarnStrategy,
            Command::AddDepositAddresses { .. } => Operation::AddDepositAddresses,
            Command::CreditDeposit { .. } => Operation::CreditDeposit,
            Command::FinishWithdrawal { result: CustodyResult::Settled { .. }, .. } => Operation::SettleWithdrawal,
            Command::FinishWithdrawal { result: CustodyResult::Failed { .. }, .. } => Operation::FailWithdrawal,
            Command::SetMarketStatus { .. } => Operation::SetMarketStatus,
            Command::PayEarnReward { .. } => Operation::PayEarnReward,
            Command::SetKyc { .. } => Operation::SetKyc,
            Command::Halt { .. } => Operation::Halt,
            Command::Resume => Operation::Resume,
        })
    }

    /// Gives orders that name no deadline this one.
    pub fn set_deadline(&mut self, usual: Moment) {
        let set = |deadline: &mut Option<Moment>| *deadline = deadline.or(Some(usual));
        match self {
            Command::PlaceOrder(order) => set(&mut order.deadline),
            Command::PlaceBatch(orders) => orders.iter_mut().for_each(|order| set(&mut order.deadline)),
            Command::AmendOrder(asked) => set(&mut asked.deadline),
            Command::EditOrder(asked) => set(&mut asked.deadline),
            _ => {}
        }
    }

    /// Where the step of its one-time code goes; `None` for what takes no code over a socket.
    pub fn step_mut(&mut self) -> Option<&mut Option<u64>> {
        match self {
            Command::Vote { step, .. } | Command::Execute { step, .. } | Command::ClaimSecret { step, .. } => {
                Some(step)
            }
            Command::Initiate(_, initiation) => Some(&mut initiation.step),
            _ => None,
        }
    }

    /// Whether a halt stops it (rule 35): orders, Earn, withdrawals, governed changes, approvals and Execute. What only
    /// stops something goes on, a vote against it included; what custody reports has happened already, and is taken.
    pub fn stops_at_halt(&self) -> bool {
        match self {
            Command::Vote { decision, .. } => *decision == Decision::Approve,
            Command::PlaceOrder(_)
            | Command::PlaceBatch(_)
            | Command::AmendOrder(_)
            | Command::EditOrder(_)
            | Command::Earn(_)
            | Command::PayEarnReward { .. }
            | Command::Withdraw { .. }
            | Command::Initiate(..)
            | Command::Execute { .. } => true,
            _ => false,
        }
    }

    /// Whether a full queue keeps room for it: what lessens what is open, decides what waits, or stops something.
    pub fn has_reserve(&self) -> bool {
        matches!(
            self,
            Command::CancelOrder(_)
                | Command::CancelBatch(_)
                | Command::CancelAll
                | Command::CancelAllAfter(_)
                | Command::CancelOrders(_)
                | Command::Disconnected(_)
                | Command::CancelWithdrawal(_)
                | Command::Vote { .. }
                | Command::Execute { .. }
                | Command::CancelRequest(_)
                | Command::Freeze { .. }
                | Command::Halt { .. }
                | Command::CloseMemberSession { .. }
        )
    }
}
