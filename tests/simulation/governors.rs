//! Requests of Members: changes of every workflow, votes, Execute, freezes.

use std::collections::BTreeMap;

use countersign::access::key::{OnStop, SettingsChange};
use countersign::access::scope::{Scope, ScopeSet};
use countersign::access::workflow::{Permission, Workflow};
use countersign::domain::decimal::Decimal;
use countersign::domain::ids::{MemberId, OrganizationId, RequestId, ServiceUserId};
use countersign::domain::time::Moment;
use countersign::engine::approvals::{Decision, InitiatorId};
use countersign::engine::command::{Ballot, Command, Initiation};
use countersign::engine::freezes::FreezeScope;
use countersign::engine::policy::{PolicyTerms, Rule};
use countersign::engine::withdrawals::WithdrawalAddress;
use countersign::engine::workflows::addresses::AddressChange;
use countersign::engine::workflows::keys::KeyChange;
use countersign::engine::workflows::members::MemberChange;
use countersign::engine::workflows::policies::PolicyChange;
use countersign::engine::workflows::unfreeze::Unfreeze;
use countersign::engine::workflows::{Change, CredentialKind, GeneratedCredential};

use super::dice::Dice;
use super::known::Known;
use super::treasury::{asset, client_id, withdrawal};
use super::world::SECOND;

/// Above this many pending requests Members prefer deciding to asking.
const BACKLOG: usize = 12;

pub fn command(dice: &mut Dice, known: &Known, organization: OrganizationId, step: u64, now: Moment) -> Command {
    let asks = if known.requests.len() > BACKLOG { 10 } else { 40 };
    match dice.below(100) {
        at if at < asks => initiate(dice, known, step, now),
        at if at < 80 => {
            let decision = if dice.one_in(4) { Decision::Reject } else { Decision::Approve };
            let step = (decision == Decision::Approve).then_some(step);
            Command::Vote { decision, ballots: ballots(dice, known, organization), step, comment: comment(dice) }
        }
        at if at < 88 => {
            Command::Execute { ballots: ballots(dice, known, organization), step: Some(step), comment: comment(dice) }
        }
        at if at < 92 => Command::CancelRequest(request(dice, known)),
        at if at < 94 => {
            let claim = dice.any(&known.claims).map_or(RequestId(1), |(request, _)| *request);
            Command::ClaimSecret { request: claim, step: Some(step) }
        }
        94..98 => Command::CancelOrders(service_user(dice, known)),
        _ => {
            let scope = if dice.one_in(4) { FreezeScope::All } else { FreezeScope::Withdrawals };
            Command::Freeze { scope, reason: "to see".to_owned() }
        }
    }
}

fn comment(dice: &mut Dice) -> Option<String> {
    (!dice.one_in(3)).then(|| "seen".to_owned())
}

fn request(dice: &mut Dice, known: &Known) -> RequestId {
    let all: Vec<RequestId> = known.requests.keys().copied().collect();
    dice.any(&all).copied().unwrap_or(RequestId(1))
}

/// On waiting requests, now and then with the digest of a different text.
fn ballots(dice: &mut Dice, known: &Known, organization: OrganizationId) -> Vec<Ballot> {
    let own = known.requests.iter().filter(|(_, (of, _))| *of == organization || known.requests.len() == 1);
    let all: Vec<(&RequestId, &String)> = own.map(|(id, (_, digest))| (id, digest)).collect();
    let mut ballots = Vec::new();
    for _ in 0..dice.within(1, 3) {
        let Some((id, digest)) = dice.any(&all) else { break };
        let digest = if dice.one_in(20) { "0".repeat(64) } else { (*digest).clone() };
        ballots.push(Ballot { request: **id, digest });
    }
    ballots
}

pub fn service_user(dice: &mut Dice, known: &Known) -> ServiceUserId {
    ServiceUserId(dice.within(1, known.keys.len() as i64 + 1) as u32)
}

fn member(dice: &mut Dice, known: &Known) -> MemberId {
    MemberId(dice.within(1, known.members.len() as i64 + 1) as u32)
}

fn initiate(dice: &mut Dice, known: &Known, step: u64, now: Moment) -> Command {
    let change = change(dice, known, now);
    let generated = match change.governed().needs() {
        CredentialKind::Nothing => None,
        CredentialKind::Key => {
            let number = dice.below(u64::MAX);
            Some(GeneratedCredential::Key { api_key: format!("drawn-{number}"), secret_sealed: vec![7] })
        }
        CredentialKind::Invitation => Some(GeneratedCredential::Invitation { token_hash: [dice.below(256) as u8; 32] }),
    };
    let initiation = Initiation {
        execute: dice.one_in(8),
        step: (!dice.one_in(10)).then_some(step),
        client_id: dice.one_in(4).then(|| client_id(dice)),
        strand_pending: dice.one_in(4),
        generated,
    };
    Command::Initiate(Box::new(change), initiation)
}

fn change(dice: &mut Dice, known: &Known, now: Moment) -> Change {
    match dice.below(20) {
        0..5 => Change::Withdrawal(withdrawal(dice)),
        5..11 => Change::Keys(key_change(dice, known, now)),
        11..13 => Change::Members(members(dice, known)),
        13..16 => {
            let workflow = dice.of(&Workflow::ALL);
            Change::Policies(match dice.one_in(4) {
                true => PolicyChange::Remove { workflow },
                false => PolicyChange::Set { workflow, terms: terms(dice, known, workflow) },
            })
        }
        16..18 => Change::Addresses(addresses(dice)),
        _ => Change::Unfreeze(Unfreeze { reason: "enough".to_owned() }),
    }
}

fn key_change(dice: &mut Dice, known: &Known, now: Moment) -> KeyChange {
    let askers: Vec<ServiceUserId> = known.askers.values().copied().collect();
    let service_user = match dice.any(&askers) {
        Some(asker) if !dice.one_in(4) => *asker,
        _ => service_user(dice, known),
    };
    match dice.below(10) {
        0..2 => KeyChange::Create {
            name: format!("B{}", dice.below(1_000)),
            scopes: scopes(dice),
            settings: settings(dice, now).on(&Default::default()),
        },
        2..7 => KeyChange::Edit {
            service_user,
            name: dice.one_in(2).then(|| format!("B{}", dice.below(1_000))),
            scopes: dice.one_in(2).then(|| scopes(dice)),
            settings: settings(dice, now),
            disabled: dice.one_in(2).then(|| dice.one_in(3)),
        },
        7..9 => KeyChange::Rotate { service_user, overlap_s: dice.of(&[0, 60, 3_600]) },
        _ => KeyChange::Remove { service_user },
    }
}

/// All of them, or about half.
fn scopes(dice: &mut Dice) -> ScopeSet {
    let all = dice.one_in(2);
    ScopeSet::of(&Scope::ALL.into_iter().filter(|_| all || dice.one_in(2)).collect::<Vec<_>>())
}

fn settings(dice: &mut Dice, now: Moment) -> SettingsChange {
    SettingsChange {
        expires_at: dice.one_in(4).then(|| dice.one_in(2).then(|| now.plus_us(dice.below(7_200 * SECOND)))),
        query_start: None,
        query_end: dice.one_in(4).then(|| dice.one_in(2).then(|| now.plus_us(dice.below(7_200 * SECOND)))),
        allow_websocket: dice.one_in(10).then(|| !dice.one_in(4)),
        nonce_window: dice.one_in(10).then(|| dice.below(20)),
        ip_allowlist: None,
        on_stop: dice.one_in(4).then(|| dice.of(&[OnStop::Cancel, OnStop::Keep])),
        cancel_on_disconnect: dice.one_in(10).then(|| dice.one_in(2)),
    }
}

fn members(dice: &mut Dice, known: &Known) -> MemberChange {
    let held = |dice: &mut Dice| -> BTreeMap<_, _> {
        let some = Workflow::ALL.into_iter().filter(|_| dice.one_in(2)).collect::<Vec<_>>();
        some.into_iter().map(|of| (of, Permission::ALL.into_iter().filter(|_| !dice.one_in(4)).collect())).collect()
    };
    let member = member(dice, known);
    match dice.below(10) {
        0..2 => {
            let number = dice.below(10_000);
            let (name, email) = (format!("M{number}"), format!("m{number}@acme.test"));
            MemberChange::Invite { name, email, permissions: held(dice) }
        }
        2..8 => MemberChange::Edit {
            member,
            name: dice.one_in(4).then(|| format!("M{}", dice.below(10_000))),
            permissions: held(dice),
            suspended: dice.one_in(3).then(|| dice.one_in(3)),
        },
        8 => MemberChange::Reset { member },
        _ => MemberChange::Remove { member },
    }
}

fn terms(dice: &mut Dice, known: &Known, workflow: Workflow) -> PolicyTerms {
    let rule = |dice: &mut Dice| Rule {
        asset: Some(asset(dice.of(&["BTC", "BTC", "ETH"]))),
        amount_from: dice.one_in(2).then(|| Decimal::from_units(dice.within(1, 300), 2)),
        total_24h_from: dice.one_in(3).then(|| Decimal::from_units(dice.within(1, 500), 2)),
        keys: dice.one_in(4).then(|| vec!["cold-2".to_owned(), dice.of(&["cold-1", "vault"]).to_owned()]),
        initiators: dice.one_in(4).then(|| {
            let key = InitiatorId::ServiceUser(service_user(dice, known));
            vec![key, InitiatorId::Member(member(dice, known))]
        }),
        quorum: dice.within(1, 3) as u32,
        allow_execute: dice.one_in(3).then(|| dice.one_in(2)),
    };
    let rules = match workflow == Workflow::InitiateWithdrawal {
        true => (0..dice.below(3)).map(|_| rule(dice)).collect(),
        false => Vec::new(),
    };
    PolicyTerms {
        reject_quorum: dice.within(1, 2) as u32,
        allow_execute: dice.one_in(2),
        expires_after_s: dice.of(&[60, 3_600, 86_400]),
        exclude_key_managers: !dice.one_in(3),
        cool_down_s: if workflow == Workflow::ManageAddresses { dice.of(&[0, 60]) } else { 0 },
        rules,
        ..PolicyTerms::of(dice.within(1, 3) as u32)
    }
}

fn addresses(dice: &mut Dice) -> AddressChange {
    let (code, key) = dice.of(&[("BTC", "cold-1"), ("BTC", "cold-2"), ("ETH", "vault"), ("USD", "bank")]);
    match dice.one_in(4) {
        true => AddressChange::Remove { asset: asset(code), key: key.to_owned() },
        false => {
            let (key, method, address) = (key.to_owned(), code.to_owned(), format!("to-{key}"));
            AddressChange::Add { asset: asset(code), address: WithdrawalAddress { key, method, address, tag: None } }
        }
    }
}
