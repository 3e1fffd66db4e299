//! The results of every method: v2's names where v2 has the method, and names in the same style otherwise.
#![allow(missing_docs, reason = "fields are the wire's; v2's pages and those in docs/ say what they mean")]

use schemars::JsonSchema;
use serde::Serialize;

use super::items::{Deposit, Execution, LedgerEntry, NamedMember, PinnedPolicy, Request, Wallet, Withdrawal, records};
use super::leaf::{Exact, Text, Word};
use crate::access::key::OnStop;
use crate::access::scope::Scope;
use crate::access::workflow::{Permission, Workflow};
use crate::domain::exports::{Column, Format, Report};
use crate::domain::markets::EventTrigger;

records! {
    /// The change was made; there is nothing else to report.
    Done {}
    /// The key's rate counter of the pair after the request; absent for keys without a limit.
    Rate { cost: Exact, count: Exact, remaining: Exact, maxratecount: u64 }
    /// `add_order`.
    Placed { order_id: String, cl_ord_id?: String, order_userref?: i64, warnings?: Vec<&'static str>, rate?: Rate }
    /// `amend_order`.
    Amended { amend_id: String, order_id: String, cl_ord_id?: String, rate?: Rate }
    /// `edit_order`.
    Edited { order_id: String, original_order_id: String, rate?: Rate }
    /// An order of a batch: placed, or refused with `error`.
    BatchRow {
        order_id: String,
        cl_ord_id?: String,
        order_userref?: i64,
        error?: String,
        warnings?: Vec<&'static str>,
        rate?: Rate,
    }
    /// `cancel_order`: one reply for each order.
    Canceled { order_id: String, cl_ord_id?: String, rate?: Rate }
    /// `cancel_all`.
    Count { count: usize, rate?: Rate }
    /// An asset of `get_balances`.
    AssetBalance {
        asset: String,
        balance: Exact,
        available: Exact,
        held: Exact,
        wallets: Vec<Wallet>,
    }
    /// `get_balances`.
    Balances { balances: Vec<AssetBalance> }
    /// `open_orders`, `closed_orders`, `query_orders`.
    Orders { orders: Vec<Execution>, cursor?: String }
    /// `trades_history`: fills, with the fields that they have on `executions`.
    Trades { trades: Vec<Execution>, cursor?: String }
    /// `cancel_all_orders_after`; `triggerTime` is `"0"` when the timeout is disarmed.
    Switch {
        #[serde(rename = "currentTime")]
        current_time: String,
        #[serde(rename = "triggerTime")]
        trigger_time: String,
    }
    /// `ledgers`, `query_ledgers`.
    Ledgers { entries: Vec<LedgerEntry>, cursor?: String }
    /// `export_add`.
    ExportAdded { export_id: String }
    /// An export; `status` is `Queued`, `Processing` or `Processed`; `rows` is the number of rows written so far.
    Export {
        id: String,
        descr: String,
        format: Word<'static, Format>,
        report: Word<'static, Report>,
        subtype: &'static str,
        status: &'static str,
        fields: Vec<Word<'static, Column>>,
        createdtm: String,
        starttm?: String,
        completedtm?: String,
        datastarttm: String,
        dataendtm: String,
        expiretm: String,
        rows: u64,
    }
    /// `export_status`.
    Exports { exports: Vec<Export> }
    /// `export_retrieve`: a path on this server that can be downloaded once, until `expiretm`.
    ExportLink { url: String, expiretm: String }
    /// `export_remove`.
    ExportRemoved { removed: bool }
    /// The settings of a key.
    Settings {
        expires_at: Option<String>,
        query_start: Option<String>,
        query_end: Option<String>,
        allow_websocket: bool,
        nonce_window: u64,
        ip_allowlist: Vec<String>,
        on_stop: Word<'static, OnStop>,
        cancel_on_disconnect: bool,
    }
    /// `key_info`.
    KeyInfo {
        organization: String,
        service_user: String,
        service_user_id: String,
        scopes: Vec<Word<'static, Scope>>,
        accounts: Vec<&'static str>,
        settings: Settings,
    }
    /// A deposit method.
    DepositMethod {
        asset: String,
        method: String,
        network: String,
        limit: bool,
        fee: Exact,
        #[serde(rename = "address-setup-fee")]
        address_setup_fee: Exact,
        #[serde(rename = "gen-address")]
        gen_address: bool,
        minimum: Exact,
    }
    /// `deposit_methods`.
    DepositMethods { methods: Vec<DepositMethod> }
    /// A deposit address.
    DepositAddress {
        address: String,
        tag?: String,
        expiretm: u8,
        /// Whether no deposit has arrived at it yet.
        new: bool,
    }
    /// `deposit_addresses`.
    DepositAddresses { addresses: Vec<DepositAddress> }
    /// `deposit_status`.
    Deposits { deposits: Vec<Deposit>, cursor?: String }
    /// A withdrawal method.
    WithdrawMethod { asset: String, method: String, network: String, minimum: Exact, fee: Exact }
    /// `withdraw_methods`.
    WithdrawMethods { methods: Vec<WithdrawMethod> }
    /// An approved withdrawal address.
    WithdrawAddress {
        asset: String,
        method: String,
        key: String,
        address: String,
        tag?: String,
        /// Whether its cool-down, which ends at `usable_at`, is over.
        verified: bool,
        usable_at: String,
    }
    /// `withdraw_addresses`, `addresses`.
    WithdrawAddresses { addresses: Vec<WithdrawAddress> }
    /// The approval that a withdrawal would need.
    Approval { required: bool, quorum: Option<u32>, policy_version: Option<u32>, rule?: u32 }
    /// `withdraw_info`.
    WithdrawInfo { method: String, limit: Exact, amount: Exact, fee: Exact, approval: Approval }
    /// `withdraw`, `settle_withdrawal`, `fail_withdrawal`.
    Withdraw {
        refid: String,
        status: &'static str,
        #[serde(rename = "status-prop")]
        status_prop?: &'static str,
        request_id?: String,
    }
    /// `withdraw_status`.
    Withdrawals { withdrawals: Vec<Withdrawal>, cursor?: String }
    /// `withdraw_cancel`.
    WithdrawCancel { refid: String, canceled: bool }
    /// The Member of `member_info`.
    MemberName { id: String, name: String, email: String, kyc: &'static str }
    /// Permissions by workflow.
    Permissions {
        manage_access: Vec<Word<'static, Permission>>,
        manage_policies: Vec<Word<'static, Permission>>,
        manage_addresses: Vec<Word<'static, Permission>>,
        initiate_withdrawal: Vec<Word<'static, Permission>>,
    }
    /// `member_info`.
    MemberInfo { organization: String, member: MemberName, permissions: Permissions, frozen?: Frozen }
    /// `freeze`.
    Froze { frozen: Frozen }
    /// A freeze.
    Frozen { scope: &'static str, reason: String, member_id: String, at: String }
    /// A Member of `members`.
    Member {
        member_id: String,
        name: String,
        email: String,
        status: &'static str,
        kyc: &'static str,
        permissions: Permissions,
    }
    /// `members`.
    Members { members: Vec<Member> }
    /// `policy_explain`; `policy` is absent when no policy applies.
    Explained { policy?: PinnedPolicy, eligible: Vec<NamedMember> }
    /// An entry of the audit log.
    AuditEntry {
        offset: u64,
        at: String,
        actor: String,
        action: String,
        subject: String,
        detail?: String,
        policy_version: Option<u32>,
        hash: String,
    }
    /// `audit_log`.
    AuditLog { entries: Vec<AuditEntry>, cursor?: String }
    /// `requests`. A page is short, or empty, and still has a cursor if few of the 2,000 requests that it looks at fit the
    /// filters and may be viewed.
    Requests { requests: Vec<Request>, cursor?: String }
    /// The outcome for one of several requests.
    Decided { request_id: String, success: bool, request?: Request, error?: String }
    /// `approve`, `reject`, `execute`.
    DecidedAll { requests: Vec<Decided> }
    /// A request. If it created a key immediately, it has the key's credentials; if it invites a Member, the token of the
    /// invitation, which is valid once the request is completed. Both are shown only this once.
    Initiated {
        #[serde(flatten)]
        request: Request,
        api_key?: String,
        api_secret?: Text<'static>,
        invitation?: Text<'static>,
    }
    /// `claim_secret`.
    Credentials { api_key: String, api_secret: Text<'static> }
    /// A Service User, without its secret.
    ServiceUser {
        service_user_id: String,
        name: String,
        api_key: String,
        status: &'static str,
        scopes: Vec<Word<'static, Scope>>,
        accounts: Vec<&'static str>,
        settings: Settings,
        /// When its key was last used to sign.
        last_seen?: String,
        open_connections: usize,
        /// Until when the previous key stays valid.
        retiring_until?: String,
        /// The secret that the initiator of a request has not claimed yet.
        unclaimed?: Unclaimed,
    }
    /// A secret that `member_id` can claim until `until`.
    Unclaimed { request_id: String, member_id: String, until: String }
    /// `service_users`.
    ServiceUsers { service_users: Vec<ServiceUser> }
    /// A policy in force.
    Policy {
        workflow: Word<'static, Workflow>,
        version: u32,
        quorum: u32,
        reject_quorum: u32,
        allow_execute: bool,
        expires_after_s: u64,
        exclude_key_managers: bool,
        cool_down_s: u64,
        rules: Vec<Rule>,
    }
    /// A rule of a policy.
    Rule {
        asset?: String,
        amount_from?: Exact,
        total_24h_from?: Exact,
        keys?: Vec<String>,
        initiators?: Vec<String>,
        quorum: u32,
        allow_execute?: bool,
    }
    /// `policies`.
    Policies { policies: Vec<Policy> }
    /// An invited Member, with the token of the invitation.
    Invited { member_id: String, name: String, email: String, invitation: Text<'static> }
    /// `create_organization`.
    OrganizationCreated { organization_id: String, name: String, members: Vec<Invited> }
    /// `add_asset`.
    AssetAdded { asset: String, asset_id: String }
    /// `add_market`.
    MarketAdded { symbol: String, market_id: String }
    /// `halt` and `resume`: whether the venue is halted, and why.
    Halted { halted: bool, reason?: String }
    /// `set_kyc`.
    MemberChanged { member_id: String, kyc: &'static str }
    /// `credit_deposit`.
    Credited { refid: String, txid: String, status: &'static str }
    /// The fields that the acknowledgement of a channel may have.
    #[derive(Default)]
    Subscribed {
        channel: &'static str,
        symbol?: String,
        depth?: u32,
        interval?: u32,
        event_trigger?: Word<'static, EventTrigger>,
        snapshot?: bool,
        snap_orders?: bool,
        snap_trades?: bool,
        order_status?: bool,
        ratecounter?: bool,
        cancel_on_disconnect?: bool,
        maxratecount?: u32,
        asset?: Vec<String>,
        r#type?: Vec<String>,
        workflow?: Word<'static, Workflow>,
        warnings?: Vec<&'static str>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_28_a_secret_is_written_and_not_shown_in_debug_output() {
        let made = Credentials { api_key: "key".to_owned(), api_secret: Text::from("plain") };
        assert_eq!(serde_json::to_string(&made).unwrap(), r#"{"api_key":"key","api_secret":"plain"}"#);
        assert!(!format!("{made:?}").contains("plain"));
    }
}
