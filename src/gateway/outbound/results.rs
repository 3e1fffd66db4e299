//! Renders the engine's answers as the `result` of a reply.

use super::earn;
use super::items::{json, open_order, to_json};
use super::records::{self, amount};
use super::{array, page};
use crate::access::operation::Operation;
use crate::access::scope::Scope;
use crate::access::workflow::Workflow;
use crate::domain::assets::Asset;
use crate::domain::ids::{ExportId, Seq, ServiceUserId};
use crate::domain::money::Amount;
use crate::domain::time::Moment;
use crate::engine::deposits::OwnAddress;
use crate::engine::exports::Export;
use crate::engine::freezes::Freeze;
use crate::engine::ledger::Wallet;
use crate::engine::members::{Member, Organization};
use crate::engine::query::{Balance, Items, ListedServiceUser, View, WithdrawInfo};
use crate::engine::reference::Reference;
use crate::engine::reply::Reply;
use crate::engine::service_users::ServiceUser;
use crate::engine::withdrawals::ListedAddress;
use crate::gateway::exports::Progress;
use crate::wire::earn as e;
use crate::wire::items as i;
use crate::wire::leaf::{Exact, Text, Word};
use crate::wire::results as r;

/// Appends the result of a command. Orders, and results with more than the reply contains, have their own writers.
pub fn reply(out: &mut String, reference: &Reference, reply: &Reply) {
    match reply {
        Reply::Done => json(out, &r::Done {}),
        Reply::Placed(_)
        | Reply::Batch(_)
        | Reply::Amended { .. }
        | Reply::Edited { .. }
        | Reply::Canceled(_)
        | Reply::Bound(_)
        | Reply::Claimed(_)
        | Reply::Organization(..) => unreachable!("answered elsewhere"),
        Reply::Switch { now, at } => {
            let trigger_time = at.map_or_else(|| "0".to_owned(), second);
            json(out, &r::Switch { current_time: second(*now), trigger_time });
        }
        Reply::Export(of) => json(out, &r::ExportAdded { export_id: of.id.to_string() }),
        Reply::ExportRemoved => json(out, &r::ExportRemoved { removed: true }),
        Reply::Earned(of) => json(out, &earn::earned(reference, of)),
        Reply::EarnPaid(of) => json(out, &earn::paid(reference, of)),
        Reply::Halted(reason) => json(out, &r::Halted { halted: reason.is_some(), reason: reason.clone() }),
        Reply::DepositAddresses(all) => {
            let address = |of: &OwnAddress| r::DepositAddress {
                address: of.address.address.clone(),
                tag: of.address.tag.clone(),
                expiretm: 0,
                new: !of.used,
            };
            json(out, &r::DepositAddresses { addresses: all.iter().map(address).collect() });
        }
        Reply::Withdrawal(of) => {
            let (status, status_prop) = records::withdrawal_status(of.status);
            let request_id = of.request.map(|id| id.to_string());
            json(out, &r::Withdraw { refid: of.id.to_string(), status, status_prop, request_id });
        }
        Reply::WithdrawalCanceled { id, canceled } => {
            json(out, &r::WithdrawCancel { refid: id.to_string(), canceled: *canceled });
        }
        Reply::Request(request) => json(out, &records::request(request, None, None)),
        Reply::Votes(all) => {
            let decided = all.iter().map(|(id, outcome)| r::Decided {
                request_id: id.to_string(),
                success: outcome.is_ok(),
                request: outcome.as_ref().ok().map(|request| records::request(request, None, None)),
                error: outcome.as_ref().err().map(|reject| reject.text()),
            });
            json(out, &r::DecidedAll { requests: decided.collect() });
        }
        Reply::Asset(of) => json(out, &r::AssetAdded { asset: of.code.to_string(), asset_id: of.id.to_string() }),
        Reply::Market(of) => {
            json(out, &r::MarketAdded { symbol: of.symbol.to_string(), market_id: of.id.to_string() });
        }
        Reply::Strategy(of) => json(out, &e::StrategyAdded { strategy_id: of.id.to_string() }),
        Reply::Deposit { id, txid, status } => {
            json(out, &r::Credited { refid: id.to_string(), txid: txid.clone(), status: status.name() });
        }
        Reply::Member(of) => {
            json(out, &r::MemberChanged { member_id: of.id.to_string(), kyc: of.kyc.name() });
        }
        Reply::Frozen(of) => json(out, &r::Froze { frozen: frozen(of) }),
    }
}

/// A time to the second, as `cancel_all_orders_after` gives it (docs.kraken.com, `cancel_after`).
fn second(at: Moment) -> String {
    let text = at.to_string();
    format!("{}Z", text.split('.').next().unwrap_or(&text))
}

/// Appends the result of `create_organization`, with the invitations that only this reply shows.
pub fn organization(out: &mut String, of: &Organization, members: &[Member], invitations: &[Text<'static>]) {
    let invited = members.iter().enumerate().map(|(at, member)| r::Invited {
        member_id: member.id.to_string(),
        name: member.name.clone(),
        email: member.email.clone(),
        invitation: invitations.get(at).cloned().unwrap_or_default(),
    });
    let (organization_id, name) = (of.id.to_string(), of.name.clone());
    json(out, &r::OrganizationCreated { organization_id, name, members: invited.collect() });
}

/// Appends the result of a query. Snapshots of channels, answers from history, and results with more than the engine
/// knows have their own writers.
pub fn view(out: &mut String, reference: &Reference, operation: Operation, view: &View) {
    match view {
        View::Bound(_)
        | View::Snapshot(_)
        | View::Permitted
        | View::Found(..)
        | View::OpenDeposits(..)
        | View::OpenWithdrawals(..)
        | View::History(_)
        | View::Audit(_)
        | View::Exports(_)
        | View::ServiceUsers(_) => unreachable!("answered elsewhere"),
        View::Key(user, organization) => json(out, &key_info(user, organization)),
        View::Balances(all) => {
            json(out, &r::Balances { balances: all.iter().map(|of| asset_balance(reference, of)).collect() });
        }
        View::OpenOrders(orders, next) => page(out, "orders", *next, |out| {
            array(out, orders, |out, order| open_order(out, reference, order, Seq(order.id.0).offset(0)));
        }),
        View::Strategies(all, next) => json(out, &earn::strategies(reference, all, *next)),
        View::Allocations(all) => json(out, &earn::allocations(reference, all)),
        View::EarnStatus(of) => json(out, &earn::status(reference, of)),
        View::Assets(assets) => methods(out, operation, assets),
        View::Addresses(all) => {
            let addresses = all.iter().map(|(of, usable)| address(reference, (of, *usable))).collect();
            json(out, &r::WithdrawAddresses { addresses });
        }
        View::WithdrawInfo(of) => json(out, &withdraw_info(of)),
        View::Member(member, organization, freeze) => {
            json(out, &member_info(member, organization, freeze.as_deref()));
        }
        View::Members(all) => json(out, &r::Members { members: all.iter().map(member).collect() }),
        View::Explained(verdict, eligible) => {
            let eligible = eligible.iter().map(records::named_member).collect();
            json(out, &r::Explained { policy: verdict.as_ref().map(records::verdict), eligible });
        }
        View::Requests(all, next) => {
            let requests = all.iter().map(|(of, can)| records::request(of, Some(*can), None)).collect();
            json(out, &r::Requests { requests, cursor: next.map(|id| id.to_string()) });
        }
        View::Request(of, can, eligible) => {
            let eligible = eligible.as_ref().map(|all| all.iter().map(records::named_member).collect());
            json(out, &i::Request { eligible, ..records::request(of, Some(*can), None) });
        }
        View::Policies(all) => json(out, &r::Policies { policies: all.iter().map(records::policy).collect() }),
    }
}

fn asset_balance(reference: &Reference, of: &Balance) -> r::AssetBalance {
    let one = records::balance(reference, of, 0);
    r::AssetBalance {
        asset: one.asset,
        balance: one.balance,
        available: amount(reference, of.asset, Amount(spot(of).0 - of.held.0)),
        held: amount(reference, of.asset, of.held),
        wallets: one.wallets,
    }
}

fn spot(of: &Balance) -> Amount {
    of.wallets.iter().find(|(wallet, _)| *wallet == Wallet::Main).map_or(Amount::ZERO, |(_, amount)| *amount)
}

fn scopes(user: &ServiceUser) -> Vec<Word<'static, Scope>> {
    user.scopes.iter().map(Word::from).collect()
}

fn key_info(user: &ServiceUser, organization: &Organization) -> r::KeyInfo {
    r::KeyInfo {
        organization: organization.name.clone(),
        service_user: user.name.clone(),
        service_user_id: user.id.to_string(),
        scopes: scopes(user),
        accounts: vec!["main"],
        settings: records::settings(&user.settings),
    }
}

/// Appends the result of `export_status`; `progress` is for those being made.
pub fn exports(out: &mut String, all: &[Export], progress: impl Fn(ExportId) -> Option<Progress>) {
    let exports = all.iter().map(|of| records::export(of, progress(of.id))).collect();
    json(out, &r::Exports { exports });
}

/// Appends the result of `export_retrieve`.
pub fn export_link(out: &mut String, token: &str, until: Moment) {
    json(out, &r::ExportLink { url: format!("/exports/{token}"), expiretm: until.to_string() });
}

/// Appends the result of `service_users`; `open` counts the sockets of each.
pub fn service_users(out: &mut String, all: &[ListedServiceUser], open: impl Fn(ServiceUserId) -> usize) {
    let service_users = all.iter().map(|of| service_user(of, open(of.service_user.id))).collect();
    json(out, &r::ServiceUsers { service_users });
}

fn service_user(of: &ListedServiceUser, open_connections: usize) -> r::ServiceUser {
    let user = &of.service_user;
    r::ServiceUser {
        service_user_id: user.id.to_string(),
        name: user.name.clone(),
        api_key: user.api_key.clone(),
        status: user.status.name(),
        scopes: scopes(user),
        accounts: vec!["main"],
        settings: records::settings(&user.settings),
        last_seen: of.last_seen.map(|at| at.to_string()),
        open_connections,
        retiring_until: user.retiring.as_ref().map(|retiring| retiring.until.to_string()),
        unclaimed: user.claim.map(|claim| r::Unclaimed {
            request_id: claim.request.to_string(),
            member_id: claim.member.to_string(),
            until: claim.until.to_string(),
        }),
    }
}

fn permissions(member: &Member) -> r::Permissions {
    let of = |workflow| member.permissions.of(workflow).map(Word::from).collect();
    r::Permissions {
        manage_access: of(Workflow::ManageAccess),
        manage_policies: of(Workflow::ManagePolicies),
        manage_addresses: of(Workflow::ManageAddresses),
        initiate_withdrawal: of(Workflow::InitiateWithdrawal),
    }
}

fn member_info(member: &Member, organization: &Organization, freeze: Option<&Freeze>) -> r::MemberInfo {
    r::MemberInfo {
        organization: organization.name.clone(),
        member: r::MemberName {
            id: member.id.to_string(),
            name: member.name.clone(),
            email: member.email.clone(),
            kyc: member.kyc.name(),
        },
        permissions: permissions(member),
        frozen: freeze.map(frozen),
    }
}

fn frozen(of: &Freeze) -> r::Frozen {
    r::Frozen { scope: of.scope.name(), reason: of.reason.clone(), member_id: of.by.to_string(), at: of.at.to_string() }
}

fn member(of: &Member) -> r::Member {
    r::Member {
        member_id: of.id.to_string(),
        name: of.name.clone(),
        email: of.email.clone(),
        status: of.status.name(),
        kyc: of.kyc.name(),
        permissions: permissions(of),
    }
}

fn methods(out: &mut String, operation: Operation, assets: &[Asset]) {
    if operation == Operation::DepositMethods {
        let methods = assets.iter().map(|of| r::DepositMethod {
            asset: of.code.to_string(),
            method: of.method.clone(),
            network: of.network.clone(),
            limit: false,
            fee: Exact::new(0, of.decimals),
            address_setup_fee: Exact::new(0, of.decimals),
            gen_address: true,
            minimum: Exact::new(of.deposit_min.0, of.decimals),
        });
        return json(out, &r::DepositMethods { methods: methods.collect() });
    }
    let methods = assets.iter().map(|of| r::WithdrawMethod {
        asset: of.code.to_string(),
        method: of.method.clone(),
        network: of.network.clone(),
        minimum: Exact::new(of.least_withdrawal().0, of.decimals),
        fee: Exact::new(of.withdrawal_fee.0, of.decimals),
    });
    json(out, &r::WithdrawMethods { methods: methods.collect() });
}

fn address(reference: &Reference, (of, usable): (&ListedAddress, bool)) -> r::WithdrawAddress {
    r::WithdrawAddress {
        asset: records::code(reference, of.asset),
        method: of.address.method.clone(),
        key: of.address.key.clone(),
        address: of.address.address.clone(),
        tag: of.address.tag.clone(),
        verified: usable,
        usable_at: of.usable_at.to_string(),
    }
}

/// v2's `amount` is what arrives: the fee is included in what is asked for (rule 32).
fn withdraw_info(of: &WithdrawInfo) -> r::WithdrawInfo {
    let exact = |amount: Amount| Exact::new(amount.0, of.asset.decimals);
    r::WithdrawInfo {
        method: of.asset.method.clone(),
        limit: exact(of.limit),
        amount: exact(of.amount.saturating_sub(of.fee)),
        fee: exact(of.fee),
        approval: r::Approval {
            required: of.verdict.is_some(),
            quorum: of.verdict.as_ref().map(|verdict| verdict.quorum),
            policy_version: of.verdict.as_ref().map(|verdict| verdict.version),
            rule: of.verdict.as_ref().and_then(|verdict| verdict.rule),
        },
    }
}

/// Appends the data of a channel's snapshot, an array.
pub fn snapshot(out: &mut String, reference: &Reference, at: Seq, items: &Items) {
    let offset = at.snapshot_offset();
    let withdrawal = |of, custody| records::withdrawal(reference, of, custody, Some(offset));
    match items {
        Items::Nothing => out.push_str("[]"),
        Items::Balances(all) => array(out, all, |out, of| json(out, &records::balance(reference, of, offset))),
        Items::Orders(orders) => array(out, orders, |out, order| open_order(out, reference, order, offset)),
        Items::Withdrawals(all) => array(out, all, |out, of| json(out, &withdrawal(of, false))),
        Items::Custody(withdrawals, low) => {
            let low = low.iter().map(|(asset, left)| {
                let left = u64::try_from(*left).unwrap_or(u64::MAX);
                to_json(&records::low_pool(reference, *asset, left, offset))
            });
            let all = withdrawals.iter().map(|of| to_json(&withdrawal(of, true))).chain(low);
            array(out, all, |out, item| out.push_str(&item));
        }
        Items::Deposits(all) => array(out, all, |out, of| json(out, &records::deposit(reference, of, Some(offset)))),
        Items::Holdings(all) => array(out, all, |out, of| json(out, &earn::position(reference, of, offset))),
        Items::Requests(all) => array(out, all, |out, of| json(out, &records::request(of, None, Some(offset)))),
    }
}
