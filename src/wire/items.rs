//! Items of the private channels, which are also the records of replies.
#![allow(missing_docs, reason = "fields are the wire's; v2's pages and those in docs/ say what they mean")]

use schemars::JsonSchema;
use serde::Serialize;

use super::leaf::{Exact, Word};
use crate::access::workflow::Workflow;
use crate::domain::orders::{OrderStatus, OrderType, Side, TimeInForce};
use crate::domain::terms::{PriceReference, PriceType};

/// Declares records; `field?: Type` is left out when it is `None`.
macro_rules! records {
    ($($(#[$meta:meta])* $name:ident {
        $($(#[$attr:meta])* $field:ident $(?: $optional:ty)? $(: $type:ty)?),* $(,)?
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Serialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[$attr])*
                $(#[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$optional>)?
                $(pub $field: $type)?,
            )*
        }
    )*};
}
pub(super) use records;

records! {
    /// A wallet of a balance.
    Wallet { r#type: &'static str, id: &'static str, balance: Exact }
    /// A snapshot item of `balances`.
    Balance {
        asset: String,
        asset_class: &'static str,
        balance: Exact,
        wallets: Vec<Wallet>,
        offset: u64,
    }
    /// A ledger entry: an update of `balances`, an item of `ledger`, a row of `ledgers`.
    LedgerEntry {
        ledger_id: String,
        ref_id: String,
        timestamp: String,
        r#type: &'static str,
        subtype?: &'static str,
        category: &'static str,
        asset: String,
        asset_class: &'static str,
        amount: Exact,
        fee: Exact,
        balance: Exact,
        wallet_type: &'static str,
        wallet_id: &'static str,
        offset: u64,
    }
    /// A fee of a fill.
    Fee { asset: String, qty: Exact }
    /// A trigger; `price` is as requested, `actual_price` is the price that it stands for now, which is 0 for a relative
    /// one before the order's start.
    Triggers {
        reference: Word<'static, PriceReference>,
        price: Exact,
        price_type: Word<'static, PriceType>,
        actual_price: Exact,
        peak_price?: Exact,
        last_price?: Exact,
        status: &'static str,
        timestamp?: String,
    }
    /// The closing order that each fill places.
    Contingent {
        order_type: Word<'static, OrderType>,
        trigger_price?: Exact,
        trigger_price_type?: Word<'static, PriceType>,
        limit_price?: Exact,
        limit_price_type?: Word<'static, PriceType>,
    }
    /// Fields that only some orders have.
    #[derive(Default)]
    Terms {
        fee_ccy_pref?: &'static str,
        display_qty?: Exact,
        display_qty_remain?: Exact,
        cash_order_qty?: Exact,
        effective_time?: String,
        expire_time?: String,
        triggers?: Triggers,
        stop_price?: Exact,
        contingent?: Contingent,
        sender_sub_id?: String,
        amended?: bool,
    }
    /// An item of `executions`, and an order of `open_orders`, `closed_orders` and `query_orders`.
    Execution {
        exec_type: &'static str,
        order_id: String,
        order_status: Word<'static, OrderStatus>,
        cl_ord_id?: String,
        order_userref: i64,
        symbol: String,
        side: Word<'static, Side>,
        order_type: Word<'static, OrderType>,
        order_qty: Exact,
        limit_price?: Exact,
        limit_price_type?: Word<'static, PriceType>,
        time_in_force: Word<'static, TimeInForce>,
        post_only: bool,
        cum_qty: Exact,
        cum_cost: Exact,
        avg_price: Exact,
        fee_usd_equiv?: Exact,
        #[serde(flatten)]
        terms: Terms,
        exec_id?: String,
        trade_id?: u64,
        last_qty?: Exact,
        last_price?: Exact,
        cost?: Exact,
        liquidity_ind?: &'static str,
        fees?: Vec<Fee>,
        reason?: &'static str,
        /// The key's rate counter of the pair; only with `ratecounter`, and on items that the key itself caused.
        ratecount?: Exact,
        timestamp: String,
        offset: u64,
    }
    /// A withdrawal; `status` is `Initial`, then `Pending`, then `Success` or `Failure`.
    Withdrawal {
        refid: String,
        status: &'static str,
        #[serde(rename = "status-prop")]
        status_prop?: &'static str,
        method: String,
        network: String,
        aclass: &'static str,
        asset: String,
        amount: Exact,
        fee: Exact,
        key: String,
        request_id?: String,
        client_id?: String,
        info?: String,
        /// Custody's transaction id, if it reported one.
        txid?: String,
        /// For custody only: the Organization, the destination, and the amount to pay.
        payment?: Payment,
        time: String,
        offset?: u64,
    }
    /// What custody is to pay.
    Payment { organization_id: String, address: String, tag?: String, net_amount: Exact }
    /// On `custody`: a pool of deposit addresses is running low.
    LowPool { notice: &'static str, asset: String, addresses_left: u64, offset: u64 }
    /// A deposit; `status` is `Pending`, then `Success` or `Failure`.
    Deposit {
        refid: String,
        txid: String,
        status: &'static str,
        method: String,
        network: String,
        aclass: &'static str,
        asset: String,
        amount: Exact,
        fee: Exact,
        info: String,
        time: String,
        offset?: u64,
    }
    /// Who made a request.
    Initiator { r#type: &'static str, id: String, name: String }
    /// The policy that governs a request.
    PinnedPolicy {
        version: u32,
        quorum: u32,
        /// The number of the rule that matched, counted from 1.
        rule?: u32,
    }
    /// A vote.
    Vote {
        member_id: String,
        name: String,
        decision: &'static str,
        at: String,
        comment?: String,
        struck?: bool,
    }
    /// A Member, with the name at that time.
    NamedMember { member_id: String, name: String }
    /// A request in the approval queue, or one that has ended.
    Request {
        request_id: String,
        workflow: Word<'static, Workflow>,
        action: &'static str,
        state: &'static str,
        initiator: Initiator,
        created_at: String,
        expires_at: String,
        #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
        payload: Box<serde_json::value::RawValue>,
        digest: String,
        policy: Option<PinnedPolicy>,
        votes: Vec<Vote>,
        reason?: String,
        /// The Member who executed it (or tried, where it failed), asked for what no policy governs, gave the vote that
        /// decided it, or canceled it; absent while it is pending, and where a Service User, its expiry or another change
        /// ended it.
        ended_by?: NamedMember,
        /// What the caller may do with it now; in replies only.
        can?: Vec<&'static str>,
        /// In the reply of `request_info` while it is pending: the Members who have not voted and could.
        eligible?: Vec<NamedMember>,
        offset?: u64,
    }
}
