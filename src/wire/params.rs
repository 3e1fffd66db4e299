//! The params of every method: v2's names where v2 has the method, and names in the same style otherwise.
//!
//! Each accepts `token`, since stock clients send it with every method, and no unknown name.
#![allow(missing_docs, reason = "fields are the wire's; v2's pages and those in docs/ say what they mean")]

use schemars::JsonSchema;
use serde::Deserialize;

use super::leaf::{
    Names, Number, Object, OrderNames, Text, UpTo, Word, alias, any_case, channels, order_types, present,
};
use crate::access::{key::OnStop, scope::Scope, workflow::Permission, workflow::Workflow};
use crate::domain::exports::{Format, Report};
use crate::domain::limits::{OFFSET_MAX, SWITCH_MAX_S};
use crate::domain::markets::{EventTrigger, MarketStatus};
use crate::domain::orders::{OrderType, Side, TimeInForce};
use crate::domain::terms::{FeeCurrency, PriceReference, PriceType, SelfTrade};

/// Declares parts of params; `field?: Type` may be left out.
macro_rules! parts {
    ($($(#[$meta:meta])* $name:ident {
        $($(#[$attr:meta])* $field:ident $(?: $optional:ty)? $(: $type:ty)?),* $(,)?
    })*) => {$(
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, bound(deserialize = "'de: 'a"))]
        $(#[$meta])*
        pub struct $name<'a> {
            $($(#[$attr])* pub $field: $(Option<$optional>)? $($type)?,)*
        }
    )*};
}

/// Declares params.
macro_rules! params {
    ($($(#[$meta:meta])* $name:ident {
        $($(#[$attr:meta])* $field:ident $(?: $optional:ty)? $(: $type:ty)?),* $(,)?
    })*) => {
        parts! {$(
            $(#[$meta])*
            $name { $($(#[$attr])* $field $(?: $optional)? $(: $type)?,)* token?: Text<'a> }
        )*}
    };
}

params! {
    /// The method has no params of its own.
    Nothing {}
    /// `subscribe` and `unsubscribe`: the params of every channel, and the fields of an acknowledgement, which some
    /// clients send back. `depth` is in levels on each side, `interval` in minutes.
    #[schemars(transform = alias("rate_counter", "ratecounter"))]
    Subscribe {
        #[schemars(extend("enum" = channels()))] channel: Text<'a>,
        symbol?: Names<'a>,
        depth?: u32,
        interval?: u32,
        snapshot?: bool,
        event_trigger?: Word<'a, EventTrigger>,
        snap_orders?: bool,
        snap_trades?: bool,
        snapshot_trades?: bool,
        order_status?: bool,
        #[serde(alias = "rate_counter")]
        ratecounter?: bool,
        cancel_on_disconnect?: bool,
        rebased?: bool,
        users?: Text<'a>,
        include_tokenized_assets?: bool,
        execution_venue?: Text<'a>,
        from_offset?: UpTo<OFFSET_MAX>,
        asset?: Names<'a>,
        r#type?: Names<'a>,
        workflow?: Word<'a, Workflow>,
        maxratecount?: u64,
        warnings?: Vec<Text<'a>>,
    }
    /// `add_order`, and an order of `batch_add`, which takes `symbol`, `validate` and `deadline` beside its `orders`.
    #[schemars(transform = any_case("time_in_force"))]
    AddOrder {
        #[schemars(extend("enum" = order_types()))] order_type: Text<'a>,
        side: Word<'a, Side>,
        symbol?: Text<'a>,
        order_qty?: Number<'a>,
        cash_order_qty?: Number<'a>,
        limit_price?: Number<'a>,
        limit_price_type?: Word<'a, PriceType>,
        triggers?: Object<Triggers<'a>>,
        time_in_force?: Word<'a, TimeInForce>,
        effective_time?: Text<'a>,
        expire_time?: Text<'a>,
        deadline?: Text<'a>,
        cl_ord_id?: Text<'a>,
        order_userref?: i64,
        post_only?: bool,
        reduce_only?: bool,
        margin?: bool,
        stp_type?: Word<'a, SelfTrade>,
        display_qty?: Number<'a>,
        fee_preference?: Word<'a, FeeCurrency>,
        conditional?: Object<Conditional<'a>>,
        sender_sub_id?: Text<'a>,
        validate?: bool,
        no_mpp?: bool,
    }
    /// The trigger that makes an order live; `price_type` is `static`, `pct` (per cent) or `quote` (a distance in the
    /// quote currency).
    Triggers { reference?: Word<'a, PriceReference>, price: Number<'a>, price_type?: Word<'a, PriceType> }
    /// The closing order that each fill places.
    #[schemars(transform = alias("stop_price", "trigger_price"))]
    Conditional {
        order_type: Word<'a, OrderType>,
        limit_price?: Number<'a>,
        limit_price_type?: Word<'a, PriceType>,
        #[serde(alias = "stop_price")]
        trigger_price?: Number<'a>,
        trigger_price_type?: Word<'a, PriceType>,
    }
    /// `batch_add`: 2 to 15 orders of one symbol.
    BatchAdd { symbol: Text<'a>, orders: Vec<Object<AddOrder<'a>>>, deadline?: Text<'a>, validate?: bool }
    /// `amend_order`: exactly one of `order_id` and `cl_ord_id`; fields that are left out stay unchanged.
    AmendOrder {
        order_id?: Text<'a>,
        cl_ord_id?: Text<'a>,
        order_qty?: Number<'a>,
        display_qty?: Number<'a>,
        limit_price?: Number<'a>,
        limit_price_type?: Word<'a, PriceType>,
        post_only?: bool,
        trigger_price?: Number<'a>,
        trigger_price_type?: Word<'a, PriceType>,
        deadline?: Text<'a>,
        symbol?: Text<'a>,
    }
    /// `edit_order`: fields that are left out keep the value of the order that is replaced; `triggers` is refused.
    EditOrder {
        order_id: Text<'a>,
        symbol: Text<'a>,
        order_qty?: Number<'a>,
        limit_price?: Number<'a>,
        order_userref?: i64,
        display_qty?: Number<'a>,
        fee_preference?: Word<'a, FeeCurrency>,
        no_mpp?: bool,
        post_only?: bool,
        reduce_only?: bool,
        triggers?: Object<Triggers<'a>>,
        deadline?: Text<'a>,
        validate?: bool,
    }
    /// `cancel_order`: exactly one of the three lists, with 1 to 50 entries.
    CancelOrder { order_id?: Names<'a>, cl_ord_id?: Names<'a>, order_userref?: Vec<i64> }
    /// `batch_cancel`: 2 to 50 orders. `orders` lists order ids and `order_userref` numbers, which may be strings;
    /// `cl_ord_id` lists client ids.
    BatchCancel { orders?: OrderNames<'a>, cl_ord_id?: Names<'a> }
    /// `cancel_all_orders_after`: `timeout` is in seconds; 0 disarms.
    CancelAllOrdersAfter { timeout: UpTo<SWITCH_MAX_S> }
    /// `trades_history`.
    Trades { symbol?: Text<'a>, start?: Text<'a>, end?: Text<'a>, limit?: u32, cursor?: Text<'a> }
    /// `query_ledgers`.
    QueryLedgers { ledger_id: Names<'a> }
    /// `open_orders` and `closed_orders`.
    Orders {
        symbol?: Text<'a>,
        cl_ord_id?: Text<'a>,
        order_userref?: i64,
        start?: Text<'a>,
        end?: Text<'a>,
        limit?: u32,
        cursor?: Text<'a>,
    }
    /// `query_orders`.
    QueryOrders { order_id?: Names<'a>, cl_ord_id?: Names<'a> }
    /// `get_balances`.
    GetBalances { account?: Text<'a> }
    /// `ledgers`.
    Ledgers {
        asset?: Text<'a>,
        r#type?: Text<'a>,
        start?: Text<'a>,
        end?: Text<'a>,
        limit?: u32,
        cursor?: Text<'a>,
    }
    /// `export_add`.
    #[schemars(transform = any_case("format"))]
    ExportAdd {
        report: Word<'a, Report>,
        format: Word<'a, Format>,
        fields?: Names<'a>,
        start?: Text<'a>,
        end?: Text<'a>,
        description?: Text<'a>,
    }
    /// `export_status`.
    ExportStatus { export_id?: Text<'a> }
    /// `export_retrieve` and `export_remove`.
    ExportRef { export_id: Text<'a> }
    /// Filters of `deposit_methods`.
    ByAsset { asset?: Text<'a>, method?: Text<'a> }
    /// `earn_strategies`.
    EarnStrategies { asset?: Text<'a>, lock_type?: Names<'a>, ascending?: bool, limit?: u32, cursor?: Text<'a> }
    /// `earn_allocations`.
    EarnAllocations {
        asset?: Text<'a>,
        converted_asset?: Text<'a>,
        hide_zero_allocations?: bool,
        ascending?: bool,
        limit?: u32,
        cursor?: Text<'a>,
    }
    /// `earn_allocate`.
    EarnAllocate {
        strategy_id: Text<'a>,
        amount: Number<'a>,
        /// Whether rewards are added to the allocation from now on, where the strategy lets the account choose.
        auto_compound?: bool,
        client_id?: Text<'a>,
    }
    /// `earn_deallocate`.
    EarnDeallocate { strategy_id: Text<'a>, amount: Number<'a>, client_id?: Text<'a> }
    /// `earn_status`.
    EarnStatus { strategy_id: Text<'a> }
    /// `deposit_addresses`.
    DepositAddresses { asset: Text<'a>, method?: Text<'a>, new?: bool }
    /// `withdraw_info`.
    WithdrawInfo { asset: Text<'a>, key: Text<'a>, amount: Number<'a> }
    /// `withdraw`.
    Withdraw {
        asset: Text<'a>,
        key: Text<'a>,
        amount: Number<'a>,
        client_id?: Text<'a>,
        max_fee?: Number<'a>,
        /// Must be the address that `key` names.
        address?: Text<'a>,
    }
    /// `withdraw_methods`.
    WithdrawMethods { asset?: Text<'a>, network?: Text<'a> }
    /// `withdraw_addresses` and `addresses`.
    WithdrawAddresses { asset?: Text<'a>, method?: Text<'a>, key?: Text<'a>, verified?: bool }
    /// `deposit_status` and `withdraw_status`; `start` and `end` bound the time of creation.
    TransferStatus {
        asset?: Text<'a>,
        method?: Text<'a>,
        refid?: Text<'a>,
        start?: Text<'a>,
        end?: Text<'a>,
        limit?: u32,
        cursor?: Text<'a>,
    }
    /// `withdraw_cancel`; `refid` alone identifies the withdrawal, and `asset` is accepted because v2 sends it.
    WithdrawCancel { asset?: Text<'a>, refid: Text<'a> }
    /// `requests`.
    Requests {
        state?: Text<'a>,
        workflow?: Word<'a, Workflow>,
        limit?: u32,
        cursor?: Text<'a>,
    }
    /// `request_info` and `cancel_request`.
    RequestRef { request_id: Text<'a> }
    /// `approve` and `execute`: 1 to 50 requests.
    Vote { requests: Vec<Object<Ballot<'a>>>, otp?: Text<'a>, comment?: Text<'a> }
    /// `reject`: 1 to 50 requests.
    Reject { requests: Vec<Object<Ballot<'a>>>, reason: Text<'a> }
    /// `claim_secret`.
    ClaimSecret { request_id: Text<'a>, otp: Text<'a> }
    /// `freeze`.
    Freeze { scope: Text<'a>, reason: Text<'a> }
    /// `cancel_orders`.
    CancelOrders { service_user_id: Text<'a> }
    /// `policy_explain`.
    PolicyExplain { asset: Text<'a>, key: Text<'a>, amount: Number<'a>, service_user_id?: Text<'a> }
    /// `audit_log`.
    AuditLog { start?: Text<'a>, end?: Text<'a>, limit?: u32, cursor?: Text<'a> }
    /// `create_organization`.
    CreateOrganization { name: Text<'a>, members: Vec<Object<Invitee<'a>>> }
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
    SetMarketStatus { symbol: Text<'a>, status: Word<'a, MarketStatus> }
    /// `add_earn_strategy`, with the field names of `earn_strategies`.
    AddEarnStrategy {
        asset: Text<'a>,
        lock_type: Object<LockType<'a>>,
        user_min_allocation: Number<'a>,
        user_cap?: Number<'a>,
        /// The most that all accounts together may have earning and bonding.
        total_cap?: Number<'a>,
        apr_estimate: Object<Estimate<'a>>,
        /// `disabled` when left out.
        auto_compound?: Object<AutoCompound<'a>>,
        /// `staking` when left out.
        yield_source?: Object<YieldSource<'a>>,
        /// Ids of the Organizations that may use the strategy; all when left out.
        organizations?: Vec<Text<'a>>,
    }
    /// `pay_earn_reward`: `amount` is split among all accounts that have funds earning in the strategy.
    PayEarnReward { strategy_id: Text<'a>, amount: Number<'a>, client_id: Text<'a> }
    /// `halt`.
    Halt { reason: Text<'a> }
    /// `add_deposit_addresses`.
    AddDepositAddresses { asset: Text<'a>, addresses: Vec<Object<Address<'a>>> }
    /// `credit_deposit`; `status` is `Pending`, `Success` or `Failure`; `Success` when left out.
    CreditDeposit {
        asset: Text<'a>,
        address: Text<'a>,
        tag?: Text<'a>,
        amount: Number<'a>,
        txid: Text<'a>,
        status?: Text<'a>,
    }
    /// `settle_withdrawal`.
    SettleWithdrawal { refid: Text<'a>, txid?: Text<'a> }
    /// `fail_withdrawal`.
    FailWithdrawal { refid: Text<'a>, reason: Text<'a> }
    /// `set_kyc`.
    SetKyc { member_id: Text<'a>, kyc: Text<'a> }
}

/// Declares the params of a governed change.
macro_rules! asks {
    ($($(#[$meta:meta])* $name:ident {
        $($(#[$attr:meta])* $field:ident $(?: $optional:ty)? $(: $type:ty)?),* $(,)?
    })*) => {
        params! {$(
            $(#[$meta])*
            $name {
                $($(#[$attr])* $field $(?: $optional)? $(: $type)?,)*
                execute?: bool,
                otp?: Text<'a>,
                client_id?: Text<'a>,
                strand_pending?: bool,
            }
        )*}

        $(impl<'a> $name<'a> {
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
        })*
    };
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
        scopes: Vec<Word<'a, Scope>>,
        settings?: Object<Settings<'a>>,
        accounts?: Vec<Text<'a>>,
    }
    /// `edit_service_user`.
    EditServiceUser {
        service_user_id: Text<'a>,
        name?: Text<'a>,
        scopes?: Vec<Word<'a, Scope>>,
        settings?: Object<Settings<'a>>,
        disabled?: bool,
    }
    /// `rotate_service_user_key`.
    RotateServiceUserKey {
        service_user_id: Text<'a>,
        /// How long the old key stays valid beside the new one, in seconds, 0 to 604,800; 3,600 when left out.
        overlap_s?: u64,
    }
    /// `remove_service_user`.
    RemoveServiceUser { service_user_id: Text<'a> }
    /// `invite_member`.
    InviteMember { name: Text<'a>, email: Text<'a>, permissions: Object<Permissions<'a>> }
    /// `edit_member`.
    EditMember {
        member_id: Text<'a>,
        name?: Text<'a>,
        /// Workflows that are not named keep their permissions.
        permissions?: Object<Permissions<'a>>,
        suspended?: bool,
    }
    /// `reset_member`, `remove_member`.
    MemberRef { member_id: Text<'a> }
    /// `unfreeze`.
    Unfreeze { reason: Text<'a> }
    /// `set_policy`.
    SetPolicy {
        workflow: Word<'a, Workflow>,
        quorum: u32,
        reject_quorum?: u32,
        allow_execute?: bool,
        expires_after_s?: u64,
        exclude_key_managers?: bool,
        cool_down_s?: u64,
        rules?: Vec<Object<Rule<'a>>>,
    }
    /// `remove_policy`.
    RemovePolicy { workflow: Word<'a, Workflow> }
    /// `add_address`.
    AddAddress { asset: Text<'a>, method: Text<'a>, key: Text<'a>, address: Text<'a>, tag?: Text<'a> }
    /// `remove_address`.
    RemoveAddress { asset: Text<'a>, key: Text<'a> }
    /// `initiate_withdrawal`.
    InitiateWithdrawal { asset: Text<'a>, key: Text<'a>, amount: Number<'a> }
}

parts! {
    /// A request and the digest of what the Member saw.
    Ballot { request_id: Text<'a>, digest: Text<'a> }
    /// A Member to invite.
    Invitee { name: Text<'a>, email: Text<'a> }
    /// An address of the deposit pool.
    Address { address: Text<'a>, tag?: Text<'a> }
    /// How funds are locked: `flex`, or `bonded` with its periods in seconds.
    LockType {
        r#type: Text<'a>,
        bonding_period?: u64,
        unbonding_period?: u64,
        exit_queue_period?: u64,
        payout_frequency?: u64,
    }
    /// The estimated yearly rate, in per cent.
    Estimate { low: Number<'a>, high: Number<'a> }
    /// Whether rewards are added to the allocation: `enabled`, `disabled`, or `optional` with the `default` that applies
    /// until an account chooses.
    AutoCompound { r#type: Text<'a>, default?: bool }
    /// The source of rewards: `staking` or `off_chain`.
    YieldSource { r#type: Text<'a> }
    /// Permissions by workflow; every other permission includes `view`.
    Permissions {
        manage_access?: Vec<Word<'a, Permission>>,
        manage_policies?: Vec<Word<'a, Permission>>,
        manage_addresses?: Vec<Word<'a, Permission>>,
        initiate_withdrawal?: Vec<Word<'a, Permission>>,
    }
    /// A rule of a policy.
    Rule {
        asset?: Text<'a>,
        amount_from?: Number<'a>,
        total_24h_from?: Number<'a>,
        keys?: Vec<Text<'a>>,
        initiators?: Vec<Text<'a>>,
        quorum: u32,
        allow_execute?: bool,
    }
    /// The settings of a key.
    Settings {
        /// `null` removes the date.
        #[serde(default, deserialize_with = "present")]
        expires_at: Option<Option<Text<'a>>>,
        /// `null` removes the date.
        #[serde(default, deserialize_with = "present")]
        query_start: Option<Option<Text<'a>>>,
        /// `null` removes the date.
        #[serde(default, deserialize_with = "present")]
        query_end: Option<Option<Text<'a>>>,
        allow_websocket?: bool,
        nonce_window?: u64,
        ip_allowlist?: Vec<Text<'a>>,
        on_stop?: Word<'a, OnStop>,
        cancel_on_disconnect?: bool,
    }
}
