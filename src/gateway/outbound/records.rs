//! Converts the engine's records to wire types.

use serde_json::value::RawValue;

use super::items::to_json;
use crate::access::key::KeySettings;
use crate::domain::cursor::Cursor;
use crate::domain::ids::{AssetId, MemberId};
use crate::domain::money::Amount;
use crate::engine::approvals;
use crate::engine::deposits;
use crate::engine::entries::{Entry, Source};
use crate::engine::exports::Export;
use crate::engine::ledger::Wallet;
use crate::engine::policy::{Policy, Rule, Verdict};
use crate::engine::query::{AllowedActions, Balance};
use crate::engine::reference::Reference;
use crate::engine::withdrawals::{self, WithdrawalStatus};
use crate::gateway::exports::Progress;
use crate::history::{AuditEntry, Audited};
use crate::wire::items as w;
use crate::wire::leaf::Exact;
use crate::wire::results as r;

/// An amount with its asset's precision.
pub fn amount(reference: &Reference, asset: AssetId, amount: Amount) -> Exact {
    Exact::new(amount.0, reference.asset(asset).decimals)
}

/// An asset's code.
pub fn code(reference: &Reference, asset: AssetId) -> String {
    reference.asset(asset).code.to_string()
}

/// `wallet_type` and `wallet_id`.
fn wallet(wallet: Wallet) -> (&'static str, &'static str) {
    match wallet {
        Wallet::Main => ("spot", "main"),
        Wallet::Flex => ("earn", "flex"),
        Wallet::Bonded => ("earn", "bonded"),
    }
}

/// A snapshot item of `balances`.
pub fn balance(reference: &Reference, balance: &Balance, offset: u64) -> w::Balance {
    let total = balance.wallets.iter().map(|(_, amount)| amount.0).sum();
    let wallets = balance.wallets.iter().filter(|(of, held)| *of == Wallet::Main || *held != Amount::ZERO);
    w::Balance {
        asset: code(reference, balance.asset),
        asset_class: "currency",
        balance: amount(reference, balance.asset, Amount(total)),
        wallets: wallets
            .map(|(of, held)| w::Wallet {
                r#type: wallet(*of).0,
                id: wallet(*of).1,
                balance: amount(reference, balance.asset, *held),
            })
            .collect(),
        offset,
    }
}

/// A ledger entry.
pub fn entry(reference: &Reference, entry: &Entry) -> w::LedgerEntry {
    let (wallet_type, wallet_id) = wallet(entry.wallet);
    let ref_id = match entry.source {
        Source::Trade(id) => id.to_string(),
        Source::Deposit(id) => id.to_string(),
        Source::Withdrawal(id) => id.to_string(),
        Source::IntoEarn(id) | Source::OutOfEarn(id) | Source::Reward(id, _) => id.to_string(),
    };
    let (kind, subtype, category) = entry.source.names(entry.wallet == Wallet::Main);
    let posting = &entry.posting;
    w::LedgerEntry {
        ledger_id: entry.id.to_string(),
        ref_id,
        timestamp: entry.at.to_string(),
        r#type: kind,
        subtype,
        category,
        asset: code(reference, posting.asset),
        asset_class: "currency",
        amount: amount(reference, posting.asset, Amount(posting.delta.0 + posting.fee.0)),
        fee: amount(reference, posting.asset, posting.fee),
        balance: amount(reference, posting.asset, posting.balance),
        wallet_type,
        wallet_id,
        offset: entry.id.0,
    }
}

/// `status` and `status-prop` of a withdrawal (rule 34).
pub fn withdrawal_status(status: WithdrawalStatus) -> (&'static str, Option<&'static str>) {
    match status {
        WithdrawalStatus::Initial => ("Initial", None),
        WithdrawalStatus::Pending => ("Pending", None),
        WithdrawalStatus::Success => ("Success", None),
        WithdrawalStatus::Canceled => ("Failure", Some("canceled")),
        WithdrawalStatus::Returned => ("Failure", Some("return")),
    }
}

/// A withdrawal; `custody` adds what only the payer needs.
pub fn withdrawal(
    reference: &Reference,
    of: &withdrawals::Withdrawal,
    custody: bool,
    offset: Option<u64>,
) -> w::Withdrawal {
    let (status, status_prop) = withdrawal_status(of.status);
    let payment = custody.then(|| w::Payment {
        organization_id: of.organization.to_string(),
        address: of.address.address.clone(),
        tag: of.address.tag.clone(),
        net_amount: amount(reference, of.asset, Amount(of.amount.0 - of.fee.0)),
    });
    w::Withdrawal {
        refid: of.id.to_string(),
        status,
        status_prop,
        method: of.address.method.clone(),
        network: of.network.clone(),
        aclass: "currency",
        asset: code(reference, of.asset),
        amount: amount(reference, of.asset, of.amount),
        fee: amount(reference, of.asset, of.fee),
        key: of.address.key.clone(),
        request_id: of.request.map(|id| id.to_string()),
        client_id: of.client_id.map(|id| id.to_string()),
        info: of.reason.clone(),
        txid: of.txid.clone(),
        payment,
        time: of.created_at.to_string(),
        offset,
    }
}

/// A deposit.
pub fn deposit(reference: &Reference, of: &deposits::Deposit, offset: Option<u64>) -> w::Deposit {
    let asset = reference.asset(of.asset);
    w::Deposit {
        refid: of.id.to_string(),
        txid: of.txid.clone(),
        status: of.status.name(),
        method: of.method.clone(),
        network: of.network.clone(),
        aclass: "currency",
        asset: asset.code.to_string(),
        amount: Exact::new(of.amount.0, asset.decimals),
        fee: Exact::new(0, asset.decimals),
        info: of.address.address.clone(),
        time: of.created_at.to_string(),
        offset,
    }
}

/// An export, and its progress while its file is being made; the states are v2's.
pub fn export(of: &Export, progress: Option<Progress>) -> r::Export {
    let made = of.made.filter(|_| progress.is_none());
    let (status, started, rows) = match (made, progress) {
        (Some(made), _) => ("Processed", Some(made.started), made.rows),
        (None, Some(progress)) => ("Processing", Some(progress.started), progress.rows),
        (None, None) => ("Queued", None, 0),
    };
    r::Export {
        id: of.id.to_string(),
        descr: of.description.clone(),
        format: of.format.into(),
        report: of.report.into(),
        subtype: "all",
        status,
        fields: of.columns.iter().map(|column| (*column).into()).collect(),
        createdtm: of.created_at.to_string(),
        starttm: started.map(|at| at.to_string()),
        completedtm: made.map(|made| made.completed.to_string()),
        datastarttm: of.from.to_string(),
        dataendtm: of.until.to_string(),
        expiretm: of.expires_at().to_string(),
        rows,
    }
}

/// The result of `deposit_status`.
pub fn deposits_text(reference: &Reference, all: &[deposits::Deposit], cursor: Option<Cursor>) -> String {
    let deposits = all.iter().map(|of| deposit(reference, of, None)).collect();
    to_json(&r::Deposits { deposits, cursor: cursor.map(|cursor| cursor.to_string()) })
}

/// The result of `withdraw_status`.
pub fn withdrawals_text(reference: &Reference, all: &[withdrawals::Withdrawal], cursor: Option<Cursor>) -> String {
    let withdrawals = all.iter().map(|of| withdrawal(reference, of, false, None)).collect();
    to_json(&r::Withdrawals { withdrawals, cursor: cursor.map(|cursor| cursor.to_string()) })
}

/// The message on `custody` that a pool of deposit addresses is nearly empty.
pub fn low_pool(reference: &Reference, asset: AssetId, left: u64, offset: u64) -> w::LowPool {
    w::LowPool { notice: "deposit_addresses_low", asset: code(reference, asset), addresses_left: left, offset }
}

/// A request; `can` in replies only.
pub fn request(of: &approvals::Request, can: Option<AllowedActions>, offset: Option<u64>) -> w::Request {
    let (r#type, id, name) = match &of.initiator {
        approvals::Initiator::Member(id, name) => ("member", id.to_string(), name),
        approvals::Initiator::ServiceUser(id, name) => ("service_user", id.to_string(), name),
    };
    w::Request {
        request_id: of.id.to_string(),
        workflow: of.workflow.into(),
        action: of.change.governed().name(),
        state: of.state.name(),
        initiator: w::Initiator { r#type, id, name: name.clone() },
        created_at: of.created_at.to_string(),
        expires_at: of.expires_at.to_string(),
        payload: RawValue::from_string(of.payload.to_json()).expect("canonical JSON is JSON"),
        digest: of.digest.clone(),
        policy: of.policy.as_ref().map(verdict),
        votes: of.votes.iter().map(vote).collect(),
        reason: of.reason.clone(),
        ended_by: of.ended_by.as_ref().map(named_member),
        can: can.map(names),
        eligible: None,
        offset,
    }
}

/// A Member by id and name.
pub fn named_member((id, name): &(MemberId, String)) -> w::NamedMember {
    w::NamedMember { member_id: id.to_string(), name: name.clone() }
}

/// What a policy requires for a request.
pub fn verdict(of: &Verdict) -> w::PinnedPolicy {
    w::PinnedPolicy { version: of.version, quorum: of.quorum, rule: of.rule }
}

/// A policy in force.
pub fn policy(of: &Policy) -> r::Policy {
    r::Policy {
        workflow: of.workflow.into(),
        version: of.version,
        quorum: of.terms.quorum,
        reject_quorum: of.terms.reject_quorum,
        allow_execute: of.terms.allow_execute,
        expires_after_s: of.terms.expires_after_s,
        exclude_key_managers: of.terms.exclude_key_managers,
        cool_down_s: of.terms.cool_down_s,
        rules: of.terms.rules.iter().map(rule).collect(),
    }
}

fn rule(of: &Rule) -> r::Rule {
    r::Rule {
        asset: of.asset.map(|asset| asset.to_string()),
        amount_from: of.amount_from.map(Exact::from),
        total_24h_from: of.total_24h_from.map(Exact::from),
        keys: of.keys.clone(),
        initiators: of.initiators.as_ref().map(|all| all.iter().map(ToString::to_string).collect()),
        quorum: of.quorum,
        allow_execute: of.allow_execute,
    }
}

/// An entry of the audit log.
pub fn audit(of: &Audited) -> r::AuditEntry {
    let AuditEntry { at, actor, action, subject, detail, policy_version } = &of.entry;
    r::AuditEntry {
        offset: of.offset,
        at: at.to_string(),
        actor: actor.clone(),
        action: action.clone(),
        subject: subject.clone(),
        detail: detail.clone(),
        policy_version: *policy_version,
        hash: hex::encode(of.chain),
    }
}

fn vote(of: &approvals::Vote) -> w::Vote {
    w::Vote {
        member_id: of.member.to_string(),
        name: of.name.clone(),
        decision: of.decision.name(),
        at: of.at.to_string(),
        comment: of.comment.clone(),
        struck: of.struck.then_some(true),
    }
}

fn names(can: AllowedActions) -> Vec<&'static str> {
    let all = [(can.approve, "approve"), (can.reject, "reject"), (can.execute, "execute"), (can.cancel, "cancel")];
    all.into_iter().filter(|(may, _)| *may).map(|(_, name)| name).collect()
}

/// The settings of a key.
pub fn settings(of: &KeySettings) -> r::Settings {
    r::Settings {
        expires_at: of.expires_at.map(|at| at.to_string()),
        query_start: of.query_dates.from.map(|at| at.to_string()),
        query_end: of.query_dates.until.map(|at| at.to_string()),
        allow_websocket: of.allow_websocket,
        nonce_window: of.nonce_window,
        ip_allowlist: of.ip_allowlist.iter().map(ToString::to_string).collect(),
        on_stop: of.on_stop.into(),
        cancel_on_disconnect: of.cancel_on_disconnect,
    }
}
