//! Items of the private channels, which are also the records of replies.
#![allow(missing_docs, reason = "fields are the wire's; v2's pages, README and docs/bots.md say what they mean")]

use schemars::JsonSchema;
use serde::Serialize;

use super::leaf::Exact;

macro_rules! records {
    ($($(#[$meta:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Serialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$attr])* pub $field: $type,)* }
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
        #[serde(skip_serializing_if = "Option::is_none")]
        subtype: Option<&'static str>,
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
    /// A trigger; `price` as it was asked for, `actual_price` where it lies now.
    Triggers {
        reference: &'static str,
        price: Exact,
        price_type: &'static str,
        actual_price: Exact,
        #[serde(skip_serializing_if = "Option::is_none")]
        peak_price: Option<Exact>,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_price: Option<Exact>,
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        timestamp: Option<String>,
    }
    /// A closing order.
    Contingent {
        order_type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        trigger_price: Option<Exact>,
        #[serde(skip_serializing_if = "Option::is_none")]
        trigger_price_type: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        limit_price: Option<Exact>,
        #[serde(skip_serializing_if = "Option::is_none")]
        limit_price_type: Option<&'static str>,
    }
    /// What only some orders have.
    #[derive(Default)]
    Terms {
        #[serde(skip_serializing_if = "Option::is_none")]
        fee_ccy_pref: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        display_qty: Option<Exact>,
        #[serde(skip_serializing_if = "Option::is_none")]
        display_qty_remain: Option<Exact>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cash_order_qty: Option<Exact>,
        #[serde(skip_serializing_if = "Option::is_none")]
        effective_time: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        expire_time: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        triggers: Option<Triggers>,
        #[serde(skip_serializing_if = "Option::is_none")]
        stop_price: Option<Exact>,
        #[serde(skip_serializing_if = "Option::is_none")]
        contingent: Option<Contingent>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sender_sub_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        amended: Option<bool>,
    }
    /// An item of `executions`, and an order of `open_orders`, `closed_orders` and `query_orders`.
    Execution {
        exec_type: &'static str,
        order_id: String,
        order_status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cl_ord_id: Option<String>,
        order_userref: i64,
        symbol: String,
        side: &'static str,
        order_type: &'static str,
        order_qty: Exact,
        #[serde(skip_serializing_if = "Option::is_none")]
        limit_price: Option<Exact>,
        #[serde(skip_serializing_if = "Option::is_none")]
        limit_price_type: Option<&'static str>,
        time_in_force: &'static str,
        post_only: bool,
        cum_qty: Exact,
        cum_cost: Exact,
        avg_price: Exact,
        #[serde(skip_serializing_if = "Option::is_none")]
        fee_usd_equiv: Option<Exact>,
        #[serde(flatten)]
        terms: Terms,
        #[serde(skip_serializing_if = "Option::is_none")]
        exec_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        trade_id: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_qty: Option<Exact>,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_price: Option<Exact>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<Exact>,
        #[serde(skip_serializing_if = "Option::is_none")]
        liquidity_ind: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        fees: Option<Vec<Fee>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        /// The rate counter of the key that caused it, where `ratecounter` asks for it.
        #[serde(skip_serializing_if = "Option::is_none")]
        ratecount: Option<Exact>,
        timestamp: String,
        offset: u64,
    }
    /// A withdrawal, `Initial` → `Pending` → `Success` or `Failure`.
    Withdrawal {
        refid: String,
        status: &'static str,
        #[serde(rename = "status-prop", skip_serializing_if = "Option::is_none")]
        status_prop: Option<&'static str>,
        method: String,
        network: String,
        aclass: &'static str,
        asset: String,
        amount: Exact,
        fee: Exact,
        key: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        info: Option<String>,
        /// Custody's transaction id, if it gave one.
        #[serde(skip_serializing_if = "Option::is_none")]
        txid: Option<String>,
        /// For custody only: whose it is, where it goes, and what arrives there.
        #[serde(skip_serializing_if = "Option::is_none")]
        payment: Option<Payment>,
        time: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
    }
    /// What custody pays.
    Payment {
        organization_id: String,
        address: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<String>,
        net_amount: Exact,
    }
    /// On `custody`: a pool of deposit addresses runs low.
    LowPool { notice: &'static str, asset: String, addresses_left: u64, offset: u64 }
    /// A deposit, `Pending` → `Success` or `Failure`.
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
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
    }
    /// Who asked for something.
    Initiator { r#type: &'static str, id: String, name: String }
    /// The policy that judges a request.
    PinnedPolicy {
        version: u32,
        quorum: u32,
        /// The rule that matched, counted from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<u32>,
    }
    /// A vote.
    Vote {
        member_id: String,
        name: String,
        decision: &'static str,
        at: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        struck: Option<bool>,
    }
    /// A request in the approval queue, or out of it.
    Request {
        request_id: String,
        workflow: &'static str,
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
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What this viewer may do now; in replies only.
        #[serde(skip_serializing_if = "Option::is_none")]
        can: Option<Vec<&'static str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
    }
}
