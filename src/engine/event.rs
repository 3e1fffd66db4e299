//! What happened. Events are the journal's contract: changed only by adding, each carrying the whole record after it,
//! so that streams, history and replay need nothing else.

use serde::{Deserialize, Serialize};

use super::approvals::{Request, RequestState};
use super::deposits::{Deposit, DepositAddress};
use super::earn::{EarnOperation, EarnPayout, Strategy};
use super::exports::{Export, ExportChange};
use super::freezes::Freeze;
use super::keys::{KeyRef, VenueKey};
use super::ledger::Posting;
use super::members::{CodePurpose, Member, Organization};
use super::policy::Policy;
use super::service_users::{ServiceUser, ServiceUserChange};
use super::sessions::MemberSession;
use super::withdrawals::{Withdrawal, WithdrawalAddress};
use crate::access::workflow::Workflow;
use crate::domain::assets::Asset;
use crate::domain::ids::{AccountId, AssetId, MarketId, MemberId, OrderId, OrganizationId, ServiceUserId};
use crate::domain::markets::{Market, MarketStatus};
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::orders::{CancelReason, Order, Side};
use crate::domain::time::Moment;

/// One side of a fill: its order afterwards and the fee it paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// The order as it stands after the fill.
    pub order: Order,
    /// The fee of this fill, in the currency of the order's fees.
    pub fee: Amount,
}

/// A fill of two orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// Counts per market from 1.
    pub trade_id: u64,
    /// The market.
    pub market: MarketId,
    /// The maker's price.
    pub price: Price,
    /// The quantity.
    pub qty: Quantity,
    /// `floor(price × qty)`, the same on both sides.
    pub cost: Amount,
    /// The side of the taker.
    pub taker_side: Side,
    /// The order that rested.
    pub maker: Fill,
    /// The order that came in.
    pub taker: Fill,
    /// Taker base, taker quote, maker base, maker quote, then fees by currency.
    pub postings: Vec<Posting>,
}

/// Where an order stands in the book after an amendment (docs.kraken.com, guide `spot-amends`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueuePosition {
    /// Where it was, or in no book at all.
    Kept,
    /// At the end of its level.
    Back,
    /// In no book: it trades first, and `OrderRested` follows if it rests.
    Off,
}

/// Something that happened. New kinds are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A venue operator's key as it stands.
    VenueKeyChanged(VenueKey),
    /// An asset was added.
    AssetAdded(Asset),
    /// A market was added.
    MarketAdded(Market),
    /// An Earn strategy was added.
    StrategyAdded(Strategy),
    /// An Organization was created with its accounts.
    OrganizationCreated(Organization),
    /// A Member's record as it stands.
    MemberChanged(Box<Member>),
    /// A one-time code was spent.
    CodeSpent {
        /// The Member.
        member: MemberId,
        /// On what.
        purpose: CodePurpose,
        /// The 30-second step of the code.
        step: u64,
    },
    /// A Member signed in.
    SessionOpened(MemberSession),
    /// A Member's session ended.
    SessionClosed(MemberSession),
    /// A Service User's record as it stands.
    ServiceUserChanged {
        /// The record.
        service_user: Box<ServiceUser>,
        /// Why.
        change: ServiceUserChange,
    },
    /// A key opened a session or asked for a token with this nonce.
    NonceUsed {
        /// The key.
        key: KeyRef,
        /// The version of its credential.
        credential: u32,
        /// The nonce.
        nonce: u64,
    },
    /// An order was accepted.
    OrderPlaced {
        /// The order.
        order: Order,
        /// Whether it went into the book at once; for an order that trades first, `OrderRested` says so.
        rests: bool,
    },
    /// Two orders traded.
    Traded(Box<Trade>),
    /// The remainder of an order that traded went into the book.
    OrderRested(OrderId),
    /// An order ended without being filled whole.
    OrderCanceled {
        /// The order, its hold released.
        order: Order,
        /// Why.
        reason: CancelReason,
    },
    /// The pool of deposit addresses of an asset grew.
    DepositAddressesAdded {
        /// Of which asset.
        asset: AssetId,
        /// The new ones.
        addresses: Vec<DepositAddress>,
    },
    /// An account got a deposit address out of the pool.
    DepositAddressAssigned {
        /// The account.
        account: AccountId,
        /// The asset.
        asset: AssetId,
        /// The address.
        address: DepositAddress,
        /// How many the pool has left.
        left: u32,
    },
    /// A deposit as it stands; the credit carries postings.
    DepositChanged {
        /// The deposit.
        deposit: Box<Deposit>,
        /// Account and outside; empty while nothing is credited.
        postings: Vec<Posting>,
    },
    /// A withdrawal as it stands; debits and reversals carry postings.
    WithdrawalChanged {
        /// The withdrawal.
        withdrawal: Box<Withdrawal>,
        /// Empty while funds are only held.
        postings: Vec<Posting>,
    },
    /// A withdrawal address may be used from now on.
    AddressAdded {
        /// The Organization.
        organization: OrganizationId,
        /// Of which asset.
        asset: AssetId,
        /// The address.
        address: WithdrawalAddress,
        /// Its cool-down ends here.
        usable_at: Moment,
    },
    /// A withdrawal address is gone.
    AddressRemoved {
        /// The Organization.
        organization: OrganizationId,
        /// Of which asset.
        asset: AssetId,
        /// Its name.
        key: String,
    },
    /// An Earn operation reached its next step, or a reward was paid.
    Earned {
        /// The operation.
        operation: Box<EarnOperation>,
        /// Wallet to wallet, or from the Earn pool; empty where funds stay in their wallet.
        postings: Vec<Posting>,
    },
    /// A policy came into force.
    PolicySet(Policy),
    /// A workflow is no longer governed by a policy.
    PolicyRemoved {
        /// The Organization.
        organization: OrganizationId,
        /// Of which workflow.
        workflow: Workflow,
    },
    /// A Member froze the Organization, or widened its freeze.
    Frozen(Freeze),
    /// The freeze was ended by votes.
    Unfrozen {
        /// The Organization.
        organization: OrganizationId,
    },
    /// An account's dead man's switch was armed, disarmed or has fired.
    SwitchSet {
        /// The account.
        account: AccountId,
        /// When it fires.
        at: Option<Moment>,
    },
    /// A Member canceled the open orders of a Service User; an event for each order comes before.
    OrdersStopped {
        /// The Organization.
        organization: OrganizationId,
        /// Of which Service User.
        service_user: ServiceUserId,
        /// How many.
        count: u64,
    },
    /// A request as it stands.
    RequestChanged {
        /// The request.
        request: Box<Request>,
        /// Where it was before; `None` when it was just made.
        before: Option<RequestState>,
    },
    /// A money law was broken, or the venue operator asked for it: whatever moves money or changes rights stops;
    /// cancels, rejections and reads still work (rule 35).
    Halted {
        /// Which law, and where; or the operator's reason.
        reason: String,
    },
    /// A waiting order goes live: its trigger or its start was reached.
    OrderActivated {
        /// The order, its funds held.
        order: Order,
        /// Whether it went into the book at once; for an order that trades first, `OrderRested` says so.
        rests: bool,
    },
    /// An order was amended.
    OrderAmended {
        /// The order afterwards.
        order: Order,
        /// Where it stands now.
        place: QueuePosition,
    },
    /// An iceberg shows its next slice, at the end of its level.
    OrderRefilled(Order),
    /// The trigger of a trailing stop followed the price.
    TriggerMoved(Order),
    /// The venue operator opened a market, or closed it to some orders.
    MarketStatusSet {
        /// The market.
        market: MarketId,
        /// Its status from now on.
        status: MarketStatus,
    },
    /// An export as it is now, or was when it was removed.
    ExportChanged {
        /// The export.
        export: Box<Export>,
        /// Why.
        change: ExportChange,
    },
    /// The reward of a strategy was paid in; an event for each account's part follows.
    EarnPaid {
        /// The payout.
        payout: Box<EarnPayout>,
        /// Outside and Earn pool.
        postings: Vec<Posting>,
    },
    /// The venue operator ended the halt.
    Resumed,
}

impl Event {
    /// The postings that move money with this event.
    pub fn postings(&self) -> &[Posting] {
        match self {
            Event::Traded(trade) => &trade.postings,
            Event::DepositChanged { postings, .. }
            | Event::WithdrawalChanged { postings, .. }
            | Event::Earned { postings, .. }
            | Event::EarnPaid { postings, .. } => postings,
            _ => &[],
        }
    }
}
