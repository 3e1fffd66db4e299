//! The params of every method: v2's names where v2 has the method, and names in its manner where it has not.
//!
//! Each accepts `token`, since stock clients put it on whatever they send, and nothing unknown.
#![allow(missing_docs, reason = "fields are the wire's; v2's pages, README and docs/bots.md say what they mean")]

use schemars::JsonSchema;
use serde::Deserialize;

use super::leaf::{Names, Number, OrderNames, Text, alias, present};

macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, bound(deserialize = "'de: 'a"))]
        $(#[$doc])*
        pub struct $name<'a> {
            $($(#[$attr])* pub $field: $type,)*
            pub token: Option<Text<'a>>,
        }
    )*};
}

params! {
    /// No params of its own.
    Nothing {}
    /// `subscribe`, `unsubscribe`: what any channel takes, and what an acknowledgement holds, which clients send back.
    #[schemars(transform = alias("rate_counter", "ratecounter"))]
    Subscribe {
        channel: Text<'a>,
        symbol: Option<Names<'a>>,
        depth: Option<u32>,
        interval: Option<u32>,
        snapshot: Option<bool>,
        event_trigger: Option<Text<'a>>,
        snap_orders: Option<bool>,
        snap_trades: Option<bool>,
        snapshot_trades: Option<bool>,
        order_status: Option<bool>,
        #[serde(alias = "rate_counter")]
        ratecounter: Option<bool>,
        cancel_on_disconnect: Option<bool>,
        rebased: Option<bool>,
        users: Option<Text<'a>>,
        include_tokenized_assets: Option<bool>,
        execution_venue: Option<Text<'a>>,
        from_offset: Option<u64>,
        asset: Option<Names<'a>>,
        r#type: Option<Names<'a>>,
        workflow: Option<Text<'a>>,
        maxratecount: Option<u64>,
        warnings: Option<Vec<Text<'a>>>,
    }
    /// `add_order`, and an order of `batch_add`, where symbol, validate and deadline stand beside the orders.
    AddOrder {
        order_type: Text<'a>,
        side: Text<'a>,
        symbol: Option<Text<'a>>,
        order_qty: Option<Number<'a>>,
        cash_order_qty: Option<Number<'a>>,
        limit_price: Option<Number<'a>>,
        limit_price_type: Option<Text<'a>>,
        triggers: Option<Triggers<'a>>,
        time_in_force: Option<Text<'a>>,
        effective_time: Option<Text<'a>>,
        expire_time: Option<Text<'a>>,
        deadline: Option<Text<'a>>,
        cl_ord_id: Option<Text<'a>>,
        order_userref: Option<i64>,
        post_only: Option<bool>,
        reduce_only: Option<bool>,
        margin: Option<bool>,
        stp_type: Option<Text<'a>>,
        display_qty: Option<Number<'a>>,
        fee_preference: Option<Text<'a>>,
        conditional: Option<Conditional<'a>>,
        sender_sub_id: Option<Text<'a>>,
        validate: Option<bool>,
        no_mpp: Option<bool>,
    }
    /// What makes an order live; `price_type` static, pct or quote.
    Triggers { reference: Option<Text<'a>>, price: Number<'a>, price_type: Option<Text<'a>> }
    /// A closing order.
    #[schemars(transform = alias("stop_price", "trigger_price"))]
    Conditional {
        order_type: Text<'a>,
        limit_price: Option<Number<'a>>,
        limit_price_type: Option<Text<'a>>,
        #[serde(alias = "stop_price")]
        trigger_price: Option<Number<'a>>,
        trigger_price_type: Option<Text<'a>>,
    }
    /// `batch_add`: 2 to 15 orders of one symbol.
    BatchAdd { symbol: Text<'a>, orders: Vec<AddOrder<'a>>, deadline: Option<Text<'a>>, validate: Option<bool> }
    /// `amend_order`: exactly one of the two ids; what is left out stays.
    AmendOrder {
        order_id: Option<Text<'a>>,
        cl_ord_id: Option<Text<'a>>,
        order_qty: Option<Number<'a>>,
        display_qty: Option<Number<'a>>,
        limit_price: Option<Number<'a>>,
        limit_price_type: Option<Text<'a>>,
        post_only: Option<bool>,
        trigger_price: Option<Number<'a>>,
        trigger_price_type: Option<Text<'a>>,
        deadline: Option<Text<'a>>,
        symbol: Option<Text<'a>>,
    }
    /// `edit_order`: what is left out is as it was; `triggers` are refused.
    EditOrder {
        order_id: Text<'a>,
        symbol: Text<'a>,
        order_qty: Option<Number<'a>>,
        limit_price: Option<Number<'a>>,
        order_userref: Option<i64>,
        display_qty: Option<Number<'a>>,
        fee_preference: Option<Text<'a>>,
        no_mpp: Option<bool>,
        post_only: Option<bool>,
        reduce_only: Option<bool>,
        triggers: Option<Triggers<'a>>,
        deadline: Option<Text<'a>>,
        validate: Option<bool>,
    }
    /// `cancel_order`: exactly one of the three lists.
    CancelOrder {
        order_id: Option<Names<'a>>,
        cl_ord_id: Option<Names<'a>>,
        order_userref: Option<Vec<i64>>,
    }
    /// `batch_cancel`: order ids, or numbers of groups, which may be text; and client ids.
    BatchCancel { orders: Option<OrderNames<'a>>, cl_ord_id: Option<Names<'a>> }
    /// `cancel_all_orders_after`, in seconds; 0 disarms.
    CancelAllOrdersAfter { timeout: u64 }
    /// `trades_history`.
    Trades {
        symbol: Option<Text<'a>>,
        start: Option<Text<'a>>,
        end: Option<Text<'a>>,
        limit: Option<u32>,
        cursor: Option<Text<'a>>,
    }
    /// `query_ledgers`.
    QueryLedgers { ledger_id: Names<'a> }
    /// `open_orders` and `closed_orders`.
    Orders {
        symbol: Option<Text<'a>>,
        cl_ord_id: Option<Text<'a>>,
        order_userref: Option<i64>,
        start: Option<Text<'a>>,
        end: Option<Text<'a>>,
        limit: Option<u32>,
        cursor: Option<Text<'a>>,
    }
    /// `query_orders`.
    QueryOrders { order_id: Option<Names<'a>>, cl_ord_id: Option<Names<'a>> }
    /// `get_balances`.
    GetBalances { account: Option<Text<'a>> }
    /// `ledgers`.
    Ledgers {
        asset: Option<Text<'a>>,
        r#type: Option<Text<'a>>,
        start: Option<Text<'a>>,
        end: Option<Text<'a>>,
        limit: Option<u32>,
        cursor: Option<Text<'a>>,
    }
    /// `export_add`.
    ExportAdd {
        report: Text<'a>,
        format: Text<'a>,
        fields: Option<Names<'a>>,
        start: Option<Text<'a>>,
        end: Option<Text<'a>>,
        description: Option<Text<'a>>,
    }
    /// `export_status`.
    ExportStatus { export_id: Option<Text<'a>> }
    /// `export_retrieve` and `export_remove`.
    ExportRef { export_id: Text<'a> }
    /// Lists that an asset narrows.
    ByAsset { asset: Option<Text<'a>>, method: Option<Text<'a>> }
    /// `earn_strategies`.
    EarnStrategies {
        asset: Option<Text<'a>>,
        lock_type: Option<Names<'a>>,
        ascending: Option<bool>,
        limit: Option<u32>,
        cursor: Option<Text<'a>>,
    }
    /// `earn_allocations`.
    EarnAllocations {
        asset: Option<Text<'a>>,
        converted_asset: Option<Text<'a>>,
        hide_zero_allocations: Option<bool>,
        ascending: Option<bool>,
        limit: Option<u32>,
        cursor: Option<Text<'a>>,
    }
    /// `earn_allocate`.
    EarnAllocate {
        strategy_id: Text<'a>,
        amount: Number<'a>,
        /// Whether rewards are added to the allocation from now on, where the strategy leaves the choice.
        auto_compound: Option<bool>,
        client_id: Option<Text<'a>>,
    }
    /// `earn_deallocate`.
    EarnDeallocate { strategy_id: Text<'a>, amount: Number<'a>, client_id: Option<Text<'a>> }
    /// `earn_status`.
    EarnStatus { strategy_id: Text<'a> }
    /// `deposit_addresses`.
    DepositAddresses { asset: Text<'a>, method: Option<Text<'a>>, new: Option<bool> }
    /// `withdraw_info`.
    WithdrawInfo { asset: Text<'a>, key: Text<'a>, amount: Number<'a> }
    /// `withdraw`.
    Withdraw {
        asset: Text<'a>,
        key: Text<'a>,
        amount: Number<'a>,
        client_id: Option<Text<'a>>,
        max_fee: Option<Number<'a>>,
        /// Must be the one that the key names.
        address: Option<Text<'a>>,
    }
    /// `withdraw_methods`.
    WithdrawMethods { asset: Option<Text<'a>>, network: Option<Text<'a>> }
    /// `withdraw_addresses` and `addresses`.
    WithdrawAddresses {
        asset: Option<Text<'a>>,
        method: Option<Text<'a>>,
        key: Option<Text<'a>>,
        verified: Option<bool>,
    }
    /// `deposit_status` and `withdraw_status`; dates bound the creation.
    TransferStatus {
        asset: Option<Text<'a>>,
        method: Option<Text<'a>>,
        refid: Option<Text<'a>>,
        start: Option<Text<'a>>,
        end: Option<Text<'a>>,
        limit: Option<u32>,
        cursor: Option<Text<'a>>,
    }
    /// `withdraw_cancel`; the `refid` alone decides, `asset` is what v2 asks for.
    WithdrawCancel { asset: Option<Text<'a>>, refid: Text<'a> }
    /// `requests`.
    Requests {
        state: Option<Text<'a>>,
        workflow: Option<Text<'a>>,
        limit: Option<u32>,
        cursor: Option<Text<'a>>,
    }
    /// `request_info` and `cancel_request`.
    RequestRef { request_id: Text<'a> }
    /// `approve` and `execute`.
    Vote { requests: Vec<Ballot<'a>>, otp: Option<Text<'a>>, comment: Option<Text<'a>> }
    /// `reject`.
    Reject { requests: Vec<Ballot<'a>>, reason: Text<'a> }
    /// `claim_secret`.
    ClaimSecret { request_id: Text<'a>, otp: Text<'a> }
    /// `freeze`.
    Freeze { scope: Text<'a>, reason: Text<'a> }
    /// `cancel_orders`.
    CancelOrders { service_user_id: Text<'a> }
    /// `policy_explain`.
    PolicyExplain { asset: Text<'a>, key: Text<'a>, amount: Number<'a>, service_user_id: Option<Text<'a>> }
    /// `audit_log`.
    AuditLog { start: Option<Text<'a>>, end: Option<Text<'a>>, limit: Option<u32>, cursor: Option<Text<'a>> }
    /// `create_organization`.
    CreateOrganization { name: Text<'a>, members: Vec<Invitee<'a>> }
    /// `add_asset`.
    AddAsset {
        asset: Text<'a>,
        decimals: u8,
        display_decimals: u8,
        method: Text<'a>,
        network: Text<'a>,
        withdrawal_min: Number<'a>,
        withdrawal_fee: Number<'a>,
        deposit_min: Number<'a>,
    }
    /// `add_market`.
    AddMarket {
        symbol: Text<'a>,
        price_decimals: u8,
        qty_decimals: u8,
        price_increment: Number<'a>,
        qty_min: Number<'a>,
        cost_min: Number<'a>,
        maker_ppm: u32,
        taker_ppm: u32,
    }
    /// `set_market_status`.
    SetMarketStatus { symbol: Text<'a>, status: Text<'a> }
    /// `add_earn_strategy`, in the terms that `earn_strategies` shows it in.
    AddEarnStrategy {
        asset: Text<'a>,
        lock_type: LockType<'a>,
        user_min_allocation: Number<'a>,
        user_cap: Option<Number<'a>>,
        /// What all accounts together may have earning and bonding.
        total_cap: Option<Number<'a>>,
        apr_estimate: Estimate<'a>,
        /// `disabled` when left out.
        auto_compound: Option<AutoCompound<'a>>,
        /// `staking` when left out.
        yield_source: Option<YieldSource<'a>>,
        /// The Organizations that it is open to; all when left out.
        organizations: Option<Vec<Text<'a>>>,
    }
    /// `pay_earn_reward`: a sum for all who have funds earning in the strategy.
    PayEarnReward { strategy_id: Text<'a>, amount: Number<'a>, client_id: Text<'a> }
    /// `halt`.
    Halt { reason: Text<'a> }
    /// `add_deposit_addresses`.
    AddDepositAddresses { asset: Text<'a>, addresses: Vec<Address<'a>> }
    /// `credit_deposit`; `status` is Pending, Success (when left out) or Failure.
    CreditDeposit {
        asset: Text<'a>,
        address: Text<'a>,
        tag: Option<Text<'a>>,
        amount: Number<'a>,
        txid: Text<'a>,
        status: Option<Text<'a>>,
    }
    /// `settle_withdrawal`.
    SettleWithdrawal { refid: Text<'a>, txid: Option<Text<'a>> }
    /// `fail_withdrawal`.
    FailWithdrawal { refid: Text<'a>, reason: Text<'a> }
    /// `set_kyc`.
    SetKyc { member_id: Text<'a>, kyc: Text<'a> }
}

macro_rules! asks {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, bound(deserialize = "'de: 'a"))]
        pub struct $name<'a> {
            $($(#[$attr])* pub $field: $type,)*
            pub execute: Option<bool>,
            pub otp: Option<Text<'a>>,
            pub client_id: Option<Text<'a>>,
            pub strand_pending: Option<bool>,
            pub token: Option<Text<'a>>,
        }

        impl<'a> $name<'a> {
            /// How it is asked for, which is the same for every governed change.
            pub fn manner(&self) -> Manner<'a> {
                Manner {
                    execute: self.execute,
                    otp: self.otp.clone(),
                    client_id: self.client_id.clone(),
                    strand_pending: self.strand_pending,
                    token: self.token.clone(),
                }
            }
        }
    )*};
}

/// How a governed change is asked for.
#[derive(Debug)]
pub struct Manner<'a> {
    pub execute: Option<bool>,
    pub otp: Option<Text<'a>>,
    pub client_id: Option<Text<'a>>,
    pub strand_pending: Option<bool>,
    pub token: Option<Text<'a>>,
}

asks! {
    /// `create_service_user`.
    CreateServiceUser {
        name: Text<'a>,
        scopes: Vec<Text<'a>>,
        settings: Option<Settings<'a>>,
        accounts: Option<Vec<Text<'a>>>,
    }
    /// `edit_service_user`.
    EditServiceUser {
        service_user_id: Text<'a>,
        name: Option<Text<'a>>,
        scopes: Option<Vec<Text<'a>>>,
        settings: Option<Settings<'a>>,
        disabled: Option<bool>,
    }
    /// `rotate_service_user_key`.
    RotateServiceUserKey {
        service_user_id: Text<'a>,
        /// How long the old key stays good beside the new one, in seconds; 3,600 when left out.
        overlap_s: Option<u64>,
    }
    /// `remove_service_user`.
    RemoveServiceUser { service_user_id: Text<'a> }
    /// `invite_member`.
    InviteMember { name: Text<'a>, email: Text<'a>, permissions: Permissions<'a> }
    /// `edit_member`.
    EditMember {
        member_id: Text<'a>,
        name: Option<Text<'a>>,
        /// Workflows that are not named stay.
        permissions: Option<Permissions<'a>>,
        suspended: Option<bool>,
    }
    /// `reset_member`, `remove_member`.
    MemberRef { member_id: Text<'a> }
    /// `unfreeze`.
    Unfreeze { reason: Text<'a> }
    /// `set_policy`.
    SetPolicy {
        workflow: Text<'a>,
        quorum: u32,
        reject_quorum: Option<u32>,
        allow_execute: Option<bool>,
        expires_after_s: Option<u64>,
        exclude_key_managers: Option<bool>,
        cool_down_s: Option<u64>,
        rules: Option<Vec<Rule<'a>>>,
    }
    /// `remove_policy`.
    RemovePolicy { workflow: Text<'a> }
    /// `add_address`.
    AddAddress { asset: Text<'a>, method: Text<'a>, key: Text<'a>, address: Text<'a>, tag: Option<Text<'a>> }
    /// `remove_address`.
    RemoveAddress { asset: Text<'a>, key: Text<'a> }
    /// `initiate_withdrawal`.
    InitiateWithdrawal { asset: Text<'a>, key: Text<'a>, amount: Number<'a> }
}

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, bound(deserialize = "'de: 'a"))]
        pub struct $name<'a> { $($(#[$attr])* pub $field: $type,)* }
    )*};
}

parts! {
    /// A request and the digest of what the Member saw.
    Ballot { request_id: Text<'a>, digest: Text<'a> }
    /// A Member to invite.
    Invitee { name: Text<'a>, email: Text<'a> }
    /// An address of the deposit pool.
    Address { address: Text<'a>, tag: Option<Text<'a>> }
    /// How funds are bound: `flex`, or `bonded` with its periods in seconds.
    LockType {
        r#type: Text<'a>,
        bonding_period: Option<u64>,
        unbonding_period: Option<u64>,
        exit_queue_period: Option<u64>,
        payout_frequency: Option<u64>,
    }
    /// Per cent a year.
    Estimate { low: Number<'a>, high: Number<'a> }
    /// What becomes of rewards: `enabled`, `disabled` or `optional` with what holds until an account chooses.
    AutoCompound { r#type: Text<'a>, default: Option<bool> }
    /// Where rewards come from: `staking` or `off_chain`.
    YieldSource { r#type: Text<'a> }
    /// Permissions by workflow; View comes with any other.
    Permissions {
        manage_access: Option<Vec<Text<'a>>>,
        manage_policies: Option<Vec<Text<'a>>>,
        manage_addresses: Option<Vec<Text<'a>>>,
        initiate_withdrawal: Option<Vec<Text<'a>>>,
    }
    /// A rule of a policy.
    Rule {
        asset: Option<Text<'a>>,
        amount_from: Option<Number<'a>>,
        total_24h_from: Option<Number<'a>>,
        keys: Option<Vec<Text<'a>>>,
        initiators: Option<Vec<Text<'a>>>,
        quorum: u32,
        allow_execute: Option<bool>,
    }
    /// The settings of a key.
    Settings {
        /// `null` takes the date away.
        #[serde(default, deserialize_with = "present")]
        expires_at: Option<Option<Text<'a>>>,
        /// `null` takes the date away.
        #[serde(default, deserialize_with = "present")]
        query_start: Option<Option<Text<'a>>>,
        /// `null` takes the date away.
        #[serde(default, deserialize_with = "present")]
        query_end: Option<Option<Text<'a>>>,
        allow_websocket: Option<bool>,
        nonce_window: Option<u64>,
        ip_allowlist: Option<Vec<Text<'a>>>,
        on_stop: Option<Text<'a>>,
        cancel_on_disconnect: Option<bool>,
    }
}
