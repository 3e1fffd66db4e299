//! Refusals: a stable code, the field at fault and what to do next. A refusal changes nothing.

/// What is wrong. Each code has one text, v2's own where v2 has one (rule 45).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A field has no admissible value.
    InvalidArguments,
    /// The right is missing.
    PermissionDenied,
    /// No such key, or it stopped.
    InvalidKey,
    /// The signature is not this key's.
    InvalidSignature,
    /// The nonce was used or is below the window.
    InvalidNonce,
    /// The key, session or token no longer admits.
    InvalidSession,
    /// No market of that symbol.
    UnknownMarket,
    /// No asset of that code.
    UnknownAsset,
    /// No asset of that code to deposit or withdraw.
    UnknownFundingAsset,
    /// Not enough available.
    InsufficientFunds,
    /// Below the market's least quantity.
    OrderMinimum,
    /// Below the market's least cost.
    CostMinimum,
    /// Not a multiple of the price increment.
    TickSize,
    /// A price that no order may have.
    InvalidPrice,
    /// The market admits cancels only.
    MarketCancelOnly,
    /// The market admits post-only limit orders.
    MarketPostOnly,
    /// The market admits limit orders only.
    MarketLimitOnly,
    /// The market admits nothing but cancels while it is mended.
    MarketMaintenance,
    /// Nothing to reduce: nobody has positions here.
    ReduceOnly,
    /// No borrowed funds here.
    Margin,
    /// The deadline of the request has passed.
    DeadlineElapsed,
    /// A market order found nothing to trade with.
    NoLiquidity,
    /// A post-only order would take.
    PostOnly,
    /// No such open order.
    UnknownOrder,
    /// No such position.
    UnknownPosition,
    /// The key's counter of the pair is used up.
    RateLimit,
    /// Too many open orders.
    OrdersLimit,
    /// Same `cl_ord_id`, other order.
    ClientOrderIdNotUnique,
    /// Same `client_id`, other body.
    ClientIdNotUnique,
    /// Cancel-only, as `status` tells.
    Halted,
    /// The storage takes no writes, so only queries are answered. The sequencer's word: the engine never says it.
    ReadOnly,
    /// A money law does not hold, so the halt goes on.
    LedgerUnsound,
    /// No approved address of that name.
    UnknownWithdrawKey,
    /// Below the minimum, or the fee leaves nothing.
    InvalidFundingAmount,
    /// Not enough available to withdraw.
    FundingInsufficient,
    /// The fee is above `max_fee`.
    MaxFee,
    /// No such withdrawal or deposit.
    UnknownReference,
    /// Custody reported the other result before.
    AlreadyFinished,
    /// The deposit address pool is empty.
    NoDepositAddress,
    /// No such export.
    UnknownExport,
    /// The export is not made yet.
    ExportNotReady,
    /// The account has as many deposit addresses of the asset as it may have.
    TooManyAddresses,
    /// The address given beside the key is not the one that the key names.
    OtherAddress,
    /// No such Earn strategy.
    UnknownStrategy,
    /// Less than the strategy's minimum.
    EarnBelowMinimum,
    /// More than the strategy's cap for one account.
    EarnAboveUserCap,
    /// More than the strategy's cap for all accounts together.
    EarnAboveTotalCap,
    /// The strategy is not open to the Organization.
    EarnTier,
    /// Too many operations of the account are on their way in the strategy.
    EarnBusy,
    /// What is to be deallocated is bonding still.
    EarnInProgress,
    /// Not enough for the Earn operation.
    EarnInsufficientFunds,
    /// Own requests are never voted on.
    OwnRequest,
    /// The request is not what the vote's digest names.
    DigestChanged,
    /// The request is no longer pending.
    NotPending,
    /// The Member may not vote on this request.
    NotEligible,
    /// The policy does not let a Member complete this at once.
    ExecuteNotAllowed,
    /// No set of Members could satisfy it.
    ImpossibleQuorum,
    /// No such request.
    UnknownRequest,
    /// No such Service User, Member or Organization.
    UnknownSubject,
    /// The Organization is frozen.
    Frozen,
    /// There is no freeze.
    NotFrozen,
    /// The one-time code was used; the advice names the seconds to wait.
    CodeUsed,
    /// A one-time code is needed and was not given.
    CodeNeeded,
    /// The secret was claimed already, or its time is over.
    NothingToClaim,
    /// The name or id exists already.
    Exists,
    /// A maximum is reached.
    LimitReached,
    /// The genesis command came too late.
    NotEmpty,
}

impl Code {
    /// The stable text that clients match.
    #[expect(clippy::too_many_lines, reason = "a table, one row a code")]
    pub const fn text(self) -> &'static str {
        match self {
            Code::InvalidArguments => "EGeneral:Invalid arguments",
            Code::PermissionDenied => "EGeneral:Permission denied",
            Code::InvalidKey => "EAPI:Invalid key",
            Code::InvalidSignature => "EAPI:Invalid signature",
            Code::InvalidNonce => "EAPI:Invalid nonce",
            Code::InvalidSession => "ESession:Invalid session",
            Code::UnknownMarket => "EQuery:Unknown asset pair",
            Code::UnknownAsset => "EQuery:Unknown asset",
            Code::UnknownFundingAsset => "EFunding:Unknown asset",
            Code::InsufficientFunds => "EOrder:Insufficient funds (insufficient user funds)",
            Code::OrderMinimum => "EOrder:Order minimum not met (volume too low)",
            Code::CostMinimum => "EOrder:Cost minimum not met",
            Code::TickSize => "EOrder:Tick size check failed",
            Code::InvalidPrice => "EOrder:Invalid price",
            Code::MarketCancelOnly => "EService:Market in cancel_only mode",
            Code::MarketPostOnly => "EService:Market in post_only mode",
            Code::MarketLimitOnly => "EService:Market in limit_only mode",
            Code::MarketMaintenance => "EService:Unavailable",
            Code::ReduceOnly => "EOrder:Reduce only:No position exists",
            Code::Margin => "EOrder:Cannot open position",
            Code::DeadlineElapsed => "EService:Deadline elapsed",
            Code::NoLiquidity => "EOrder:No liquidity",
            Code::PostOnly => "EOrder:Post only order",
            Code::UnknownOrder => "EOrder:Unknown order",
            Code::UnknownPosition => "EOrder:Unknown position",
            Code::RateLimit => "EOrder:Rate limit exceeded",
            Code::OrdersLimit => "EOrder:Orders limit exceeded",
            Code::ClientOrderIdNotUnique => "EOrder:cl_ord_id not unique",
            Code::ClientIdNotUnique => "EGeneral:client_id not unique",
            Code::Halted => "EService:Market in cancel_only mode",
            Code::ReadOnly => "EService:Unavailable: nothing was done; try again once status says online",
            Code::LedgerUnsound => "EService:Ledger unsound",
            Code::UnknownWithdrawKey => "EFunding:Unknown withdraw key",
            Code::InvalidFundingAmount => "EFunding:Invalid amount",
            Code::FundingInsufficient => "EFunding:Insufficient funds",
            Code::MaxFee => "EFunding:Max fee exceeded",
            Code::UnknownReference => "EFunding:Unknown reference id",
            Code::AlreadyFinished => "EFunding:Already finished",
            Code::NoDepositAddress => "EFunding:No address available",
            Code::UnknownExport => "EQuery:Unknown export",
            Code::ExportNotReady => "EQuery:Export not ready",
            Code::TooManyAddresses => "EFunding:Too many addresses",
            Code::OtherAddress => "EFunding:Invalid withdrawal address",
            Code::UnknownStrategy => "EGeneral:Invalid arguments:Invalid strategy ID",
            Code::EarnBelowMinimum => "EEarnings:Below min:(De)allocation operation amount less than minimum",
            Code::EarnAboveUserCap => "EEarnings:Above max:The allocation exceeds user limit for the strategy",
            Code::EarnAboveTotalCap => "EEarnings:Above max:The allocation exceeds the total strategy limit",
            Code::EarnTier => "EEarnings:Permission denied:The user's tier is not high enough",
            Code::EarnBusy => "EEarnings:Busy",
            Code::EarnInProgress => "EEarnings:Busy:Another (de)allocation for the same strategy is in progress",
            Code::EarnInsufficientFunds => {
                "EEarnings:Insufficient funds:Insufficient funds to complete the (de)allocation request"
            }
            Code::OwnRequest => "EGovernance:Own request",
            Code::DigestChanged => "EGovernance:Digest changed",
            Code::NotPending => "EGovernance:Not pending",
            Code::NotEligible => "EGovernance:Not eligible",
            Code::ExecuteNotAllowed => "EGovernance:Execute not allowed",
            Code::ImpossibleQuorum => "EGovernance:Impossible quorum",
            Code::UnknownRequest => "EGovernance:Unknown request",
            Code::UnknownSubject => "EGovernance:Unknown subject",
            Code::Frozen => "EGovernance:Frozen",
            Code::NotFrozen => "EGovernance:Not frozen",
            Code::CodeUsed => "EGovernance:One-time code used",
            Code::CodeNeeded => "EGovernance:One-time code needed",
            Code::NothingToClaim => "EGovernance:Nothing to claim",
            Code::Exists => "EGeneral:Already exists",
            Code::LimitReached => "EGeneral:Limit reached",
            Code::NotEmpty => "EGeneral:Not empty",
        }
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// What is wrong.
    pub code: Code,
    /// The parameter at fault, by its wire name.
    pub field: Option<&'static str>,
    /// What to do next, a short clause without a full stop.
    pub advice: Option<String>,
}

impl Reject {
    /// A refusal of the message as a whole.
    pub fn of(code: Code) -> Reject {
        Reject { code, field: None, advice: None }
    }

    /// A refusal for the value of `field`, with what to do about it.
    pub fn field(code: Code, field: &'static str, advice: impl Into<String>) -> Reject {
        Reject { code, field: Some(field), advice: Some(advice.into()) }
    }

    /// A refusal for a value of `field` that cannot be, with what to give instead.
    pub fn invalid(field: &'static str, advice: impl Into<String>) -> Reject {
        Reject::field(Code::InvalidArguments, field, advice)
    }

    /// The refusal of a batch for the sake of that one of its orders.
    pub fn in_batch(self, index: usize) -> Reject {
        // The deadline is the message's; and clients match a text without a field whole (rule 45).
        let of_order = self.field.filter(|field| *field != "deadline");
        let (Some(field), Some(advice)) = (of_order, &self.advice) else { return self };
        Reject::field(self.code, field, format!("{advice} (orders[{index}])"))
    }

    /// The text on the wire: the code's, then `:<field>: <advice>` where there is a field (rule 45).
    pub fn text(&self) -> String {
        match (self.field, &self.advice) {
            (Some(field), Some(advice)) => format!("{}:{field}: {advice}", self.code.text()),
            _ => self.code.text().to_owned(),
        }
    }
}

impl From<Code> for Reject {
    fn from(code: Code) -> Reject {
        Reject::of(code)
    }
}
