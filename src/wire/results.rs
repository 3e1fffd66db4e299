//! The results of every method: v2's names where v2 has the method, and names in its manner where it has not.
#![allow(missing_docs, reason = "fields are the wire's; v2's pages, README and docs/bots.md say what they mean")]

use schemars::JsonSchema;
use serde::Serialize;

use super::items::{Deposit, Execution, LedgerEntry, PinnedPolicy, Request, Wallet, Withdrawal, records};
use super::leaf::Exact;

records! {
    /// Nothing more to say than that it was done.
    Done {}
    /// Where the key's counter of the pair stands after the request; not of unlimited keys.
    Rate { cost: Exact, count: Exact, remaining: Exact, maxratecount: u64 }
    /// `add_order`.
    Placed {
        order_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        cl_ord_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        order_userref: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        warnings: Option<Vec<&'static str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        rate: Option<Rate>,
    }
    /// `amend_order`
    Amended {
        amend_id: String,
        order_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        cl_ord_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        rate: Option<Rate>,
    }
    /// `edit_order`
    Edited {
        order_id: String,
        original_order_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        rate: Option<Rate>,
    }
    /// An order of a batch: placed, or why not.
    BatchRow {
        order_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        cl_ord_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        order_userref: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        warnings: Option<Vec<&'static str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        rate: Option<Rate>,
    }
    /// `cancel_order`, once for each order.
    Canceled {
        order_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        cl_ord_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        rate: Option<Rate>,
    }
    /// `cancel_all`.
    Count {
        count: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        rate: Option<Rate>,
    }
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
    Orders {
        orders: Vec<Execution>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    }
    /// `trades_history`: fields of the fills on `executions`.
    Trades {
        trades: Vec<Execution>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    }
    /// `cancel_all_orders_after`; `triggerTime` is `"0"` when it is off.
    Switch {
        #[serde(rename = "currentTime")]
        current_time: String,
        #[serde(rename = "triggerTime")]
        trigger_time: String,
    }
    /// `ledgers`, `query_ledgers`.
    Ledgers {
        entries: Vec<LedgerEntry>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    }
    /// `export_add`.
    ExportAdded { export_id: String }
    /// An export; `status` Queued, Processing or Processed, `rows` those written so far.
    Export {
        id: String,
        descr: String,
        format: &'static str,
        report: &'static str,
        subtype: &'static str,
        status: &'static str,
        fields: Vec<&'static str>,
        createdtm: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        starttm: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        completedtm: Option<String>,
        datastarttm: String,
        dataendtm: String,
        expiretm: String,
        rows: u64,
    }
    /// `export_status`.
    Exports { exports: Vec<Export> }
    /// `export_retrieve`: a path on this server that answers once, until then.
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
        on_stop: &'static str,
        cancel_on_disconnect: bool,
    }
    /// `key_info`.
    KeyInfo {
        organization: String,
        service_user: String,
        service_user_id: String,
        scopes: Vec<&'static str>,
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
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<String>,
        expiretm: u8,
        /// Nothing has come to it yet.
        new: bool,
    }
    /// `deposit_addresses`.
    DepositAddresses { addresses: Vec<DepositAddress> }
    /// `deposit_status`.
    Deposits {
        deposits: Vec<Deposit>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    }
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
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<String>,
        /// Whether its cool-down is over, which ends at `usable_at`.
        verified: bool,
        usable_at: String,
    }
    /// `withdraw_addresses`, `addresses`.
    WithdrawAddresses { addresses: Vec<WithdrawAddress> }
    /// What a withdrawal would need.
    Approval {
        required: bool,
        quorum: Option<u32>,
        policy_version: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<u32>,
    }
    /// `withdraw_info`.
    WithdrawInfo { method: String, limit: Exact, amount: Exact, fee: Exact, approval: Approval }
    /// `withdraw`, `settle_withdrawal`, `fail_withdrawal`.
    Withdraw {
        refid: String,
        status: &'static str,
        #[serde(rename = "status-prop", skip_serializing_if = "Option::is_none")]
        status_prop: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    }
    /// `withdraw_status`.
    Withdrawals {
        withdrawals: Vec<Withdrawal>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    }
    /// `withdraw_cancel`.
    WithdrawCancel { refid: String, canceled: bool }
    /// The Member of `member_info`.
    MemberName { id: String, name: String, email: String, kyc: &'static str }
    /// Permissions by workflow.
    Permissions {
        manage_access: Vec<&'static str>,
        manage_policies: Vec<&'static str>,
        manage_addresses: Vec<&'static str>,
        initiate_withdrawal: Vec<&'static str>,
    }
    /// `member_info`.
    MemberInfo {
        organization: String,
        member: MemberName,
        permissions: Permissions,
        #[serde(skip_serializing_if = "Option::is_none")]
        frozen: Option<Frozen>,
    }
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
    /// Who could vote.
    Eligible { member_id: String, name: String }
    /// `policy_explain`; without `policy`, none governs.
    Explained {
        #[serde(skip_serializing_if = "Option::is_none")]
        policy: Option<PinnedPolicy>,
        eligible: Vec<Eligible>,
    }
    /// An entry of the audit log.
    AuditEntry {
        offset: u64,
        at: String,
        actor: String,
        action: String,
        subject: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        policy_version: Option<u32>,
        hash: String,
    }
    /// `audit_log`.
    AuditLog {
        entries: Vec<AuditEntry>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    }
    /// `requests`.
    Requests {
        requests: Vec<Request>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    }
    /// What became of one of several requests.
    Decided {
        request_id: String,
        success: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        request: Option<Request>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    }
    /// `approve`, `reject`, `execute`.
    DecidedAll { requests: Vec<Decided> }
    /// A request; when it made a key at once, its credentials, shown this once; when it invites, the token of
    /// the invitation, good once the request is completed and shown this once.
    Initiated {
        #[serde(flatten)]
        request: Request,
        #[serde(skip_serializing_if = "Option::is_none")]
        api_key: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        api_secret: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        invitation: Option<String>,
    }
    /// `claim_secret`.
    Credentials { api_key: String, api_secret: String }
    /// A Service User, without its secret.
    ServiceUser {
        service_user_id: String,
        name: String,
        api_key: String,
        status: &'static str,
        scopes: Vec<&'static str>,
        accounts: Vec<&'static str>,
        settings: Settings,
        /// When its key last signed.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_seen: Option<String>,
        open_connections: usize,
        /// Until when the key before the present one is good.
        #[serde(skip_serializing_if = "Option::is_none")]
        retiring_until: Option<String>,
        /// The request whose secret waits to be claimed by its initiator.
        #[serde(skip_serializing_if = "Option::is_none")]
        unclaimed: Option<Unclaimed>,
    }
    /// A secret that waits to be claimed.
    Unclaimed { request_id: String, member_id: String, until: String }
    /// `service_users`.
    ServiceUsers { service_users: Vec<ServiceUser> }
    /// A policy in force.
    Policy {
        workflow: &'static str,
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
        #[serde(skip_serializing_if = "Option::is_none")]
        asset: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        amount_from: Option<Exact>,
        #[serde(skip_serializing_if = "Option::is_none")]
        total_24h_from: Option<Exact>,
        #[serde(skip_serializing_if = "Option::is_none")]
        keys: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        initiators: Option<Vec<String>>,
        quorum: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        allow_execute: Option<bool>,
    }
    /// `policies`.
    Policies { policies: Vec<Policy> }
    /// An invited Member, with the token of the invitation.
    Invited { member_id: String, name: String, email: String, invitation: String }
    /// `create_organization`.
    OrganizationCreated { organization_id: String, name: String, members: Vec<Invited> }
    /// `add_asset`.
    AssetAdded { asset: String, asset_id: String }
    /// `add_market`.
    MarketAdded { symbol: String, market_id: String }
    /// `halt` and `resume`: why the venue is halted, if it is.
    Halted {
        halted: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
    /// `set_kyc`.
    MemberChanged { member_id: String, kyc: &'static str }
    /// `credit_deposit`.
    Credited { refid: String, txid: String, status: &'static str }
    /// What an acknowledgement of a channel may hold.
    #[derive(Default)]
    Subscribed {
        channel: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        symbol: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        depth: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        interval: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        event_trigger: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        snapshot: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        snap_orders: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        snap_trades: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        order_status: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ratecounter: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cancel_on_disconnect: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        maxratecount: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        asset: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#type: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        workflow: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        warnings: Option<Vec<&'static str>>,
    }
}
