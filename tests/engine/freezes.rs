//! Who decides on the end of a freeze that was widened (rule 27).

use countersign::access::workflow::Permission;
use countersign::domain::ids::MemberId;
use countersign::engine::approvals::{Decision, RequestState};
use countersign::engine::command::Command;
use countersign::engine::freezes::FreezeScope;
use countersign::engine::members::Kyc;
use countersign::engine::reject::Code;
use countersign::engine::workflows::Change;
use countersign::engine::workflows::members::MemberChange;
use countersign::engine::workflows::unfreeze::Unfreeze;

use super::governance::joined;
use super::world::{Stage, member, venue};

#[test]
fn rule_27_who_froze_and_who_widened_it_decide_on_the_end_only_while_nobody_else_could() {
    let mut stage = Stage::new(&[], false);
    let [cora, dora] = ["cora", "dora"].map(|name| joined(&mut stage, name, &Permission::ALL));
    let freeze = |scope| Command::Freeze { scope, reason: "odd".to_owned() };
    let end = || Change::Unfreeze(Unfreeze { reason: "looked at".to_owned() });
    stage.run(&member(cora), freeze(FreezeScope::Withdrawals)).unwrap();
    stage.run(&member(dora), freeze(FreezeScope::All)).unwrap();
    let request = stage.initiate(&member(1), end()).unwrap().id;
    for froze in [cora, dora] {
        assert_eq!(stage.vote(&member(froze), Decision::Approve, request).unwrap_err().code, Code::NotEligible);
    }
    stage.run(&venue(), Command::SetKyc { member: MemberId(2), kyc: Kyc::Rejected }).unwrap();
    assert_eq!(stage.vote(&member(cora), Decision::Approve, request).unwrap().state, RequestState::Approved);
    // The next freeze is Dora's alone.
    stage.run(&member(dora), freeze(FreezeScope::All)).unwrap();
    let request = stage.initiate(&member(1), end()).unwrap().id;
    assert_eq!(stage.vote(&member(dora), Decision::Approve, request).unwrap_err().code, Code::NotEligible);
    assert_eq!(stage.vote(&member(cora), Decision::Approve, request).unwrap().state, RequestState::Approved);
}

#[test]
fn rule_27_who_froze_was_removed_and_invited_again_still_froze() {
    let mut stage = Stage::new(&[], false);
    let dora = joined(&mut stage, "dora", &Permission::ALL);
    let freeze = Command::Freeze { scope: FreezeScope::Withdrawals, reason: "odd".to_owned() };
    stage.run(&member(dora), freeze).unwrap();
    stage.initiate(&member(1), Change::Members(MemberChange::Remove { member: MemberId(dora) })).unwrap();
    let again = joined(&mut stage, "dora", &Permission::ALL);
    let end = Change::Unfreeze(Unfreeze { reason: "looked at".to_owned() });
    let request = stage.initiate(&member(1), end).unwrap().id;
    assert_eq!(stage.vote(&member(again), Decision::Approve, request).unwrap_err().code, Code::NotEligible);
    assert_eq!(stage.vote(&member(2), Decision::Approve, request).unwrap().state, RequestState::Approved);
}

#[test]
fn a_reason_holds_line_breaks_and_no_other_control_characters() {
    let mut stage = Stage::new(&[], false);
    let freeze = |reason: &str| Command::Freeze { scope: FreezeScope::Withdrawals, reason: reason.to_owned() };
    for reason in ["", " \n", "a\0b", "a\u{1b}[2J", &"x".repeat(501)] {
        let refusal = stage.run(&member(1), freeze(reason)).unwrap_err();
        assert_eq!((refusal.code, refusal.field), (Code::InvalidArguments, Some("reason")), "{reason:?}");
    }
    stage.run(&member(1), freeze("a key leaked:\r\n\tbot 7")).unwrap();
}
