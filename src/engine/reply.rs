//! Replies to commands.

use super::approvals::Request;
use super::deposits::{DepositStatus, OwnAddress};
use super::earn::{EarnOperation, EarnPayout, Strategy};
use super::exports::Export;
use super::freezes::Freeze;
use super::members::{Member, Organization};
use super::reject::Reject;
use super::service_users::ServiceUser;
use super::withdrawals::WithdrawalSummary;
use crate::access::principal::{Actor, Credential};
use crate::domain::assets::Asset;
use crate::domain::ids::{AmendId, DepositId, OrderId, RequestId, Seq, WithdrawalId};
use crate::domain::markets::Market;
use crate::domain::time::Moment;

/// Whom a socket with a valid credential belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The key or the Member.
    pub actor: Actor,
    /// The credential.
    pub credential: Credential,
    /// The last event before.
    pub at: Seq,
}

impl Bound {
    /// That `actor` was admitted by `credential` after the event `at`.
    pub fn of(actor: Actor, credential: Credential, at: Seq) -> Box<Bound> {
        Box::new(Bound { actor, credential, at })
    }
}

/// An order that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The order, or `None` when it was only checked.
    pub order: Option<OrderId>,
    /// The same request came before (rule 30).
    pub repeated: bool,
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done; there is nothing to report.
    Done,
    /// `add_order`
    Placed(Placed),
    /// `batch_add`: for each order, what was placed or why it was refused.
    Batch(Vec<Result<Placed, Reject>>),
    /// `amend_order`
    Amended {
        /// The order.
        order: OrderId,
        /// The amendment.
        amend_id: AmendId,
    },
    /// `edit_order`
    Edited {
        /// The new order, or `None` when it was only checked.
        order: Option<OrderId>,
        /// The order that was replaced.
        original: OrderId,
    },
    /// The orders canceled.
    Canceled(Vec<OrderId>),
    /// `cancel_all_orders_after`
    Switch {
        /// The engine's time.
        now: Moment,
        /// When it fires; `None` when it is off.
        at: Option<Moment>,
    },
    /// A session is open.
    Bound(Box<Bound>),
    /// `export_add`
    Export(Box<Export>),
    /// `export_remove`
    ExportRemoved,
    /// Earn.
    Earned(Box<EarnOperation>),
    /// The account's deposit addresses, newest first.
    DepositAddresses(Vec<OwnAddress>),
    /// `withdraw`, `settle_withdrawal`, `fail_withdrawal`.
    Withdrawal(Box<WithdrawalSummary>),
    /// `withdraw_cancel`
    WithdrawalCanceled {
        /// Its id.
        id: WithdrawalId,
        /// Whether it worked.
        canceled: bool,
    },
    /// The request.
    Request(Box<Request>),
    /// `approve`, `reject`, `execute`: each request or why not.
    Votes(Vec<(RequestId, Result<Request, Reject>)>),
    /// `freeze`
    Frozen(Box<Freeze>),
    /// `claim_secret`: the key whose secret the gateway now opens.
    Claimed(Box<ServiceUser>),
    /// `create_organization`
    Organization(Box<Organization>, Vec<Member>),
    /// `add_asset`
    Asset(Box<Asset>),
    /// `add_market`
    Market(Box<Market>),
    /// `add_earn_strategy`
    Strategy(Box<Strategy>),
    /// `pay_earn_reward`
    EarnPaid(Box<EarnPayout>),
    /// `credit_deposit`
    Deposit {
        /// Its `refid`.
        id: DepositId,
        /// The operator's transaction id.
        txid: String,
        /// Its status.
        status: DepositStatus,
    },
    /// `halt` and `resume`: why the venue is halted, if it is.
    Halted(Option<String>),
    /// `set_kyc`, invitations
    Member(Box<Member>),
}
