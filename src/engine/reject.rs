//! Refusals: a stable code, the field at fault and what to do next. A refusal changes nothing.
//!
//! Every text that clients match is here, but for those of v2 that repeat a client's own words: of a message's shape
//! (`gateway/inbound/error.rs`) and of a symbol without a market (`gateway/topics.rs`).

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $Code:ident = $text:literal,)*) => {
        /// What is wrong. Each code has one text, v2's own where v2 has one (rule 45).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])* $Code,)*
        }

        impl Code {
            /// All of them, in order.
            pub const ALL: [Code; [$(Code::$Code),*].len()] = [$(Code::$Code),*];

            /// The stable text that clients match.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Code::$Code => $text,)*
                }
            }
        }
    };
}

codes! {
    /// A field has no admissible value.
    InvalidArguments = "EGeneral:Invalid arguments",
    /// The right is missing.
    PermissionDenied = "EGeneral:Permission denied",
    /// No such key, or it stopped.
    InvalidKey = "EAPI:Invalid key",
    /// The signature is not this key's.
    InvalidSignature = "EAPI:Invalid signature",
    /// The nonce was used or is below the window.
    InvalidNonce = "EAPI:Invalid nonce",
    /// The key, session or token no longer admits.
    InvalidSession = "ESession:Invalid session",
    /// No market of that symbol.
    UnknownMarket = "EQuery:Unknown asset pair",
    /// No asset of that code.
    UnknownAsset = "EQuery:Unknown asset",
    /// No asset of that code to deposit or withdraw.
    UnknownFundingAsset = "EFunding:Unknown asset",
    /// Not enough available.
    InsufficientFunds = "EOrder:Insufficient funds (insufficient user funds)",
    /// Below the market's least quantity.
    OrderMinimum = "EOrder:Order minimum not met (volume too low)",
    /// Below the market's least cost.
    CostMinimum = "EOrder:Cost minimum not met",
    /// Not a multiple of the price increment.
    TickSize = "EOrder:Tick size check failed",
    /// A price that no order may have.
    InvalidPrice = "EOrder:Invalid price",
    /// The market admits cancels only.
    MarketCancelOnly = "EService:Market in cancel_only mode",
    /// The market admits post-only limit orders.
    MarketPostOnly = "EService:Market in post_only mode",
    /// The market admits limit orders only.
    MarketLimitOnly = "EService:Market in limit_only mode",
    /// The market admits nothing but cancels while it is mended.
    MarketMaintenance = "EService:Unavailable",
    /// Nothing to reduce: nobody has positions here.
    ReduceOnly = "EOrder:Reduce only:No position exists",
    /// No borrowed funds here.
    Margin = "EOrder:Cannot open position",
    /// The deadline of the request has passed.
    DeadlineElapsed = "EService:Deadline elapsed",
    /// A market order found nothing to trade with.
    NoLiquidity = "EOrder:No liquidity",
    /// A post-only order would take.
    PostOnly = "EOrder:Post only order",
    /// No such open order.
    UnknownOrder = "EOrder:Unknown order",
    /// No such position.
    UnknownPosition = "EOrder:Unknown position",
    /// The key's counter of the pair is used up.
    RateLimit = "EOrder:Rate limit exceeded",
    /// Too many open orders.
    OrdersLimit = "EOrder:Orders limit exceeded",
    /// Same `cl_ord_id`, other order.
    ClientOrderIdNotUnique = "EOrder:cl_ord_id not unique",
    /// Same `client_id`, other body.
    ClientIdNotUnique = "EGeneral:client_id not unique",
    /// Cancel-only, as `status` tells.
    Halted = "EService:Market in cancel_only mode",
    /// The storage takes no writes, so only queries are answered. The sequencer's word: the engine never says it.
    ReadOnly = "EService:Unavailable: nothing was done; try again once status says online",
    /// A money law does not hold, so the halt goes on.
    LedgerUnsound = "EService:Ledger unsound",
    /// No approved address of that name.
    UnknownWithdrawKey = "EFunding:Unknown withdraw key",
    /// Below the minimum, or the fee leaves nothing.
    InvalidFundingAmount = "EFunding:Invalid amount",
    /// Not enough available to withdraw.
    FundingInsufficient = "EFunding:Insufficient funds",
    /// The fee is above `max_fee`.
    MaxFee = "EFunding:Max fee exceeded",
    /// No such withdrawal or deposit.
    UnknownReference = "EFunding:Unknown reference id",
    /// Custody reported the other result before.
    AlreadyFinished = "EFunding:Already finished",
    /// The deposit address pool is empty.
    NoDepositAddress = "EFunding:No address available",
    /// No such export.
    UnknownExport = "EQuery:Unknown export",
    /// The export is not made yet.
    ExportNotReady = "EQuery:Export not ready",
    /// The account has as many deposit addresses of the asset as it may have.
    TooManyAddresses = "EFunding:Too many addresses",
    /// The address given beside the key is not the one that the key names.
    OtherAddress = "EFunding:Invalid withdrawal address",
    /// No such Earn strategy.
    UnknownStrategy = "EGeneral:Invalid arguments:Invalid strategy ID",
    /// Less than the strategy's minimum.
    EarnBelowMinimum = "EEarnings:Below min:(De)allocation operation amount less than minimum",
    /// More than the strategy's cap for one account.
    EarnAboveUserCap = "EEarnings:Above max:The allocation exceeds user limit for the strategy",
    /// More than the strategy's cap for all accounts together.
    EarnAboveTotalCap = "EEarnings:Above max:The allocation exceeds the total strategy limit",
    /// The strategy is not open to the Organization.
    EarnTier = "EEarnings:Permission denied:The user's tier is not high enough",
    /// Too many operations of the account are on their way in the strategy.
    EarnBusy = "EEarnings:Busy",
    /// What is to be deallocated is bonding still.
    EarnInProgress = "EEarnings:Busy:Another (de)allocation for the same strategy is in progress",
    /// Not enough for the Earn operation.
    EarnInsufficientFunds = "EEarnings:Insufficient funds:Insufficient funds to complete the (de)allocation request",
    /// Own requests are never voted on.
    OwnRequest = "EGovernance:Own request",
    /// The request is not what the vote's digest names.
    DigestChanged = "EGovernance:Digest changed",
    /// The request is no longer pending.
    NotPending = "EGovernance:Not pending",
    /// The Member may not vote on this request.
    NotEligible = "EGovernance:Not eligible",
    /// The policy does not let a Member complete this at once.
    ExecuteNotAllowed = "EGovernance:Execute not allowed",
    /// No set of Members could satisfy it.
    ImpossibleQuorum = "EGovernance:Impossible quorum",
    /// No such request.
    UnknownRequest = "EGovernance:Unknown request",
    /// No such Service User, Member or Organization.
    UnknownSubject = "EGovernance:Unknown subject",
    /// The Organization is frozen.
    Frozen = "EGovernance:Frozen",
    /// There is no freeze.
    NotFrozen = "EGovernance:Not frozen",
    /// The one-time code was used; the advice names the seconds to wait.
    CodeUsed = "EGovernance:One-time code used",
    /// A one-time code is needed and was not given.
    CodeNeeded = "EGovernance:One-time code needed",
    /// The secret was claimed already, or its time is over.
    NothingToClaim = "EGovernance:Nothing to claim",
    /// The name or id exists already.
    Exists = "EGeneral:Already exists",
    /// A maximum is reached.
    LimitReached = "EGeneral:Limit reached",
    /// The genesis command came too late.
    NotEmpty = "EGeneral:Not empty",

    // The gateway's: the engine never gives these.
    /// No such method or channel of that kind.
    UnknownMethod = "EGeneral:Unknown method",
    /// Not JSON, or not an object.
    MalformedRequest = "Malformed request",
    /// No such channel.
    UnknownChannel = "Subscription name invalid",
    /// A public channel without a symbol.
    NoSymbol = "Symbol(s) not found",
    /// The socket follows it already.
    AlreadySubscribed = "Already subscribed",
    /// A private request on a socket that is nobody's.
    NoToken = "Token(s) not found",
    /// This server did not make the token.
    InvalidToken = "EAPI:Invalid token",
    /// The one-time code is not this moment's.
    CodeWrong = "EGovernance:One-time code wrong",
    /// Too many connections, handshakes, sign-ins or wrong codes.
    TooManyTries = "EAPI:Rate limit exceeded",
    /// No id of a deposit or withdrawal.
    InvalidReference = "EFunding:Invalid reference id",
    /// What was missed is not kept any more: a warning of an acknowledgement.
    OffsetTooOld = "EQuery:Offset too old: snapshot follows",
    /// The engine's queue is full, or market data has stopped.
    QueueFull = "EService:Unavailable: retry in 100 ms",
    /// The journal failed under the request.
    OutcomeUnknown = "EService:Unavailable: the outcome is not known; look it up once status says online",
    /// The engine does not answer, or the server is stopping.
    Unavailable = "EService:Unavailable",
    /// History did not answer in time, or there is no place for one more.
    Busy = "EService:Busy",
    /// A request over HTTP was not answered in time.
    Timeout = "EService:Timeout",
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

    /// A refusal of the message as a whole, with what to do about it.
    pub fn advised(code: Code, advice: impl Into<String>) -> Reject {
        Reject { code, field: None, advice: Some(advice.into()) }
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

    /// The text on the wire: the code's, then `:<field>: <advice>`, as far as there is one (rule 45).
    pub fn text(&self) -> String {
        let code = self.code.text();
        match (self.field, &self.advice) {
            (Some(field), Some(advice)) => format!("{code}:{field}: {advice}"),
            (None, Some(advice)) => format!("{code}: {advice}"),
            (_, None) => code.to_owned(),
        }
    }
}

impl From<Code> for Reject {
    fn from(code: Code) -> Reject {
        Reject::of(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_codes_have_one_text_only_where_v2_has_one_for_both() {
        let first = |code: &Code| Code::ALL.into_iter().find(|other| other.text() == code.text()).unwrap_or(*code);
        let shared: Vec<(Code, Code)> =
            Code::ALL.iter().map(|code| (first(code), *code)).filter(|(first, code)| first != code).collect();
        assert_eq!(shared, [(Code::MarketCancelOnly, Code::Halted), (Code::MarketMaintenance, Code::Unavailable)]);
    }
}
