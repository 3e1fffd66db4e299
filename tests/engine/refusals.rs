//! What makes no sense in the state that it meets: refused by its code and by the name of what is wrong.

use countersign::access::key::SettingsChange;
use countersign::access::principal::Principal;
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::Workflow;
use countersign::domain::exports::{Format, Report};
use countersign::domain::ids::*;
use countersign::domain::time::Period;
use countersign::engine::command::{Command, Credit, EarnMove};
use countersign::engine::deposits::{DepositAddress, DepositStatus};
use countersign::engine::exports::RequestedExport;
use countersign::engine::members::Kyc;
use countersign::engine::query::Query;
use countersign::engine::reject::Code;
use countersign::engine::withdrawals::WithdrawalAddress;
use countersign::engine::workflows::Change;
use countersign::engine::workflows::addresses::AddressChange;
use countersign::engine::workflows::keys::KeyChange;
use countersign::engine::workflows::members::{MemberChange, PermissionSets};
use countersign::engine::workflows::policies::PolicyChange;
use countersign::engine::workflows::unfreeze::Unfreeze;

use super::genesis::key;
use super::governance::{edit, everywhere, invite};
use super::keys::{self, rename};
use super::world::{Stage, asset, bot, decimal, member, to_cold, venue};

fn refused(stage: &mut Stage, by: &Principal, command: Command) -> (Code, Option<&'static str>) {
    let refused = stage.run(by, command.clone()).expect_err(&format!("{command:?}"));
    (refused.code, refused.field)
}

fn named(number: u32, name: &str) -> Change {
    let (member, permissions, name) = (MemberId(number), PermissionSets::new(), Some(name.to_owned()));
    Change::Members(MemberChange::Edit { member, name, permissions, suspended: None })
}

fn listed(code: &str, method: &str) -> Change {
    let [key, method, address] = ["k", method, "a"].map(str::to_owned);
    let address = WithdrawalAddress { key, method, address, tag: None };
    Change::Addresses(AddressChange::Add { asset: asset(code), address })
}

fn unlisted(code: &str, key: &str) -> Change {
    Change::Addresses(AddressChange::Remove { asset: asset(code), key: key.to_owned() })
}

/// Alice has all rights, Bob Approve; Dora is invited, Carol suspended, the second Service User removed.
#[test]
fn a_change_that_makes_no_sense_is_refused_by_name() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], false);
    for change in [
        invite("dora", PermissionSets::new()),
        edit(3, PermissionSets::new(), Some(true)),
        Change::Keys(KeyChange::Remove { service_user: ServiceUserId(2) }),
    ] {
        stage.initiate(&member(1), change).unwrap();
    }
    let of_member =
        |number| [MemberChange::Reset { member: MemberId(number) }, MemberChange::Remove { member: MemberId(number) }];
    let [reset_nobody, remove_nobody] = of_member(99).map(Change::Members);
    let [reset_suspended, _] = of_member(3).map(Change::Members);
    let rotate = |number| Change::Keys(KeyChange::Rotate { service_user: ServiceUserId(number), overlap_s: 60 });
    let remove = |number| Change::Keys(KeyChange::Remove { service_user: ServiceUserId(number) });
    let (unknown, invalid) = (Code::UnknownSubject, Code::InvalidArguments);
    for (change, code, field) in [
        (edit(2, PermissionSets::new(), None), invalid, "params"),
        (named(2, "bob"), invalid, "params"),
        (edit(2, PermissionSets::new(), Some(false)), invalid, "params"),
        (edit(4, PermissionSets::new(), Some(true)), invalid, "suspended"),
        (reset_suspended, invalid, "member_id"),
        (named(99, "Nobody"), unknown, "member_id"),
        (edit(0, everywhere(&[]), None), unknown, "member_id"),
        (reset_nobody, unknown, "member_id"),
        (remove_nobody, unknown, "member_id"),
        (keys::edit(1, SettingsChange::default(), None, None), invalid, "params"),
        (rename(1, "Bot 1"), invalid, "params"),
        (rename(2, "Removed"), unknown, "service_user_id"),
        (rename(99, "Nobody"), unknown, "service_user_id"),
        (rotate(2), unknown, "service_user_id"),
        (rotate(0), unknown, "service_user_id"),
        (remove(2), unknown, "service_user_id"),
        (Change::Policies(PolicyChange::Remove { workflow: Workflow::ManageAccess }), unknown, "workflow"),
        (listed("BTC", "Wire"), invalid, "method"),
        (listed("XXX", "XXX"), Code::UnknownAsset, "asset"),
        (unlisted("XXX", "cold-1"), Code::UnknownAsset, "asset"),
        (unlisted("BTC", "cold-9"), Code::UnknownWithdrawKey, "key"),
        (unlisted("ETH", "cold-1"), Code::UnknownWithdrawKey, "key"),
        (Change::Unfreeze(Unfreeze { reason: "looked at".to_owned() }), Code::NotFrozen, "organization"),
    ] {
        let refused = stage.initiate(&member(1), change.clone()).expect_err(&format!("{change:?}"));
        assert_eq!((refused.code, refused.field), (code, Some(field)), "{change:?}");
    }
    let unknown = (unknown, Some("service_user_id"));
    assert_eq!(refused(&mut stage, &member(1), Command::CancelOrders(ServiceUserId(99))), unknown);
    let explain = Query::Explain { change: to_cold("1"), service_user: Some(ServiceUserId(99)) };
    let told = stage.ask(&member(1), &explain).unwrap_err();
    assert_eq!((told.code, told.field), unknown);
    for number in [0, 99] {
        let verify = Command::SetKyc { member: MemberId(number), kyc: Kyc::Verified };
        assert_eq!(refused(&mut stage, &venue(), verify), (Code::UnknownSubject, Some("member_id")));
    }
    let step = Some(stage.step());
    let claim = Command::ClaimSecret { request: RequestId(99), step };
    assert_eq!(refused(&mut stage, &member(1), claim), (Code::NothingToClaim, Some("request_id")));
}

#[test]
fn what_a_key_or_the_venue_asks_for_is_refused_by_name() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL)], false);
    let address = DepositAddress { address: "bc1q".to_owned(), tag: None };
    let pool = Command::AddDepositAddresses { asset: asset("BTC"), addresses: vec![address.clone()] };
    stage.run(&venue(), pool).unwrap();
    let addresses = |code: &str, method: Option<&str>| {
        let (asset, method) = (asset(code), method.map(str::to_owned));
        Command::DepositAddresses { asset, method, new: false }
    };
    stage.run(&bot(1), addresses("BTC", None)).unwrap();
    let earn = |auto_compound| {
        let (strategy, amount) = (StrategyId(1), decimal("1"));
        Command::Earn(EarnMove { strategy, amount, allocate: true, auto_compound, client_id: None })
    };
    let export = |from: u64, until: u64| {
        let period = Period { from: Some(stage.now.plus_us(from)), until: Some(stage.now.plus_us(until)) };
        let (report, format, description) = (Report::Trades, Format::Csv, String::new());
        Command::AddExport(RequestedExport { report, format, columns: None, period, description })
    };
    let credit = |code: &str, tag: Option<&str>, amount: &str, txid: &str| {
        let (asset, amount, txid) = (asset(code), decimal(amount), txid.to_owned());
        let address = DepositAddress { tag: tag.map(str::to_owned), ..address.clone() };
        Command::CreditDeposit(Credit { asset, address, amount, txid, status: DepositStatus::Success })
    };
    let (invalid, amount) = (Code::InvalidArguments, Code::InvalidFundingAmount);
    for (by, command, code, field) in [
        (bot(1), addresses("BTC", Some("Wire")), invalid, "method"),
        (bot(1), addresses("XXX", None), Code::UnknownFundingAsset, "asset"),
        (bot(1), earn(Some(true)), invalid, "auto_compound"),
        (bot(1), export(1, 1), invalid, "end"),
        (bot(1), export(2, 1), invalid, "end"),
        (bot(1), Command::RemoveExport(ExportId(99)), Code::UnknownExport, "export_id"),
        (bot(1), Command::CancelWithdrawal(WithdrawalId(99)), Code::UnknownReference, "refid"),
        (venue(), credit("XXX", None, "1", "t"), Code::UnknownFundingAsset, "asset"),
        (venue(), credit("BTC", None, "0", "t"), amount, "amount"),
        (venue(), credit("BTC", None, "0.000000001", "t"), amount, "amount"),
        (venue(), credit("BTC", Some("7"), "1", "t"), Code::UnknownReference, "address"),
        (venue(), credit("ETH", None, "1", "t"), Code::UnknownReference, "address"),
        (venue(), credit("BTC", None, "1", ""), invalid, "txid"),
    ] {
        assert_eq!(refused(&mut stage, &by, command), (code, Some(field)));
    }
    stage.run(&bot(1), earn(None)).unwrap();
}
