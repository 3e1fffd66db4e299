//! What a Member is offered for a request: exactly what the engine would accept, in random Organizations that may be
//! frozen, with the venue halted or not, and before Tick has noticed the time. A failure prints its script.

use countersign::access::principal::Principal;
use countersign::engine::approvals::{Decision, Request};
use countersign::engine::command::{Ballot, Command};
use countersign::engine::query::{AllowedActions, Query, RequestFilter, View};
use countersign::engine::reply::Reply;
use proptest::prelude::*;

use super::agreement::{Pair, person, step};
use super::world::{SECOND, Stage, venue};

/// Which of all possible actions on a request a copy of the engine accepts.
fn done(stage: &Stage, by: &Principal, request: &Request) -> AllowedActions {
    // Later than every code that was spent.
    let step = stage.now.0 / (30 * SECOND) + 1;
    let ballots = vec![Ballot { request: request.id, digest: request.digest.clone() }];
    let takes = |command: Command| match stage.engine.clone().handle(stage.now, by, &command) {
        Ok(Reply::Votes(votes)) => votes[0].1.is_ok(),
        Ok(_) => true,
        Err(_) => false,
    };
    let vote = |decision| Command::Vote { decision, ballots: ballots.clone(), step: Some(step), comment: None };
    AllowedActions {
        approve: takes(vote(Decision::Approve)),
        reject: takes(vote(Decision::Reject)),
        execute: takes(Command::Execute { ballots: ballots.clone(), step: Some(step), comment: None }),
        cancel: takes(Command::CancelRequest(request.id)),
    }
}

/// Compares all offers to Members who have signed in; returns how many there were.
fn compare(stage: &mut Stage) -> usize {
    let mut offers = 0;
    for by in (0..5).map(person) {
        stage.sign_in(&by);
        // A suspended Member is offered nothing.
        let Ok(View::Requests(seen, _)) = stage.ask(&by, &Query::Requests(RequestFilter::default())) else { continue };
        for (request, can) in seen {
            let done = done(stage, &by, &request);
            assert_eq!(can, done, "{by:?} {request:?} {:?}", stage.state().halted);
            let alone = stage.ask(&by, &Query::Request(request.id));
            let Ok(View::Request(found, offered, _)) = alone else { panic!("{alone:?}") };
            assert_eq!((*found, offered), (request, done));
            offers += [can.approve, can.reject, can.execute, can.cancel].iter().filter(|offer| **offer).count();
        }
    }
    offers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_member_is_offered_exactly_what_the_engine_would_do(
        steps in prop::collection::vec(step(), 1..60),
        halted in prop::bool::weighted(0.3),
        later_h in prop_oneof![2 => Just(0), 1 => 0..200u64],
    ) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.play(step);
            pair.agree();
        }
        let mut stage = pair.stage;
        if halted {
            stage.run(&venue(), Command::Halt { reason: "looking".to_owned() }).unwrap();
        }
        stage.now = stage.now.plus_us(later_h * 3_600 * SECOND);
        compare(&mut stage);
    }
}

#[test]
fn there_are_offers_to_compare() {
    use super::agreement::Step;
    let mut pair = Pair::new();
    pair.play(&Step::BotAsks(false));
    assert_eq!(compare(&mut pair.stage), 8, "four approvers may vote for it or against it");
    pair.play(&Step::MemberAsks(0, false));
    assert_eq!(compare(&mut pair.stage), 8 + 6 + 1, "three may on what the fourth can take back");
    pair.play(&Step::Freeze { by: 0 });
    assert_eq!(compare(&mut pair.stage), 4 + 3 + 1, "a freeze leaves what stops money");
}
