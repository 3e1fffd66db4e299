//! A Tick stops after so many events, and the next one goes on; what is due does not wait for one (rule 39).

use countersign::access::key::{KeySettings, SettingsChange};
use countersign::domain::ids::{AccountId, ServiceUserId};
use countersign::domain::limits::TICK_EVENTS_MAX;
use countersign::domain::orders::{CancelReason, Side, TimeInForce};
use countersign::domain::time::{Moment, Period};
use countersign::engine::command::{Command, PlaceOrder, RequestedTerms};
use countersign::engine::event::Event;
use countersign::engine::service_users::{KeyStatus, ServiceUserChange};

use super::genesis::with;
use super::keys::edit;
use super::world::{DAY, SECOND, Stage, bot, limit, member};

/// As many buy orders as that.
fn orders(count: usize, change: impl Fn(PlaceOrder) -> PlaceOrder) -> Command {
    let Command::PlaceOrder(order) = limit(Side::Buy, "0.1", "10", None) else { panic!("an order") };
    Command::PlaceBatch(vec![change(order); count])
}

/// How many orders of the first account are open, and how many have ended for that reason.
fn counts(stage: &Stage, why: CancelReason) -> (usize, usize) {
    let is_why = |event: &Event| matches!(event, Event::OrderCanceled { reason, .. } if *reason == why);
    let ended = stage.events.iter().filter(|(_, event)| is_why(event)).count();
    (stage.state().orders.open_count(AccountId(1)), ended)
}

#[test]
fn rule_39_orders_that_end_at_one_moment_end_in_several_ticks() {
    let mut stage = super::orders::stage();
    let expire_time = Some(stage.now.plus_us(60 * SECOND));
    let terms = Some(Box::new(RequestedTerms { expire_time, ..RequestedTerms::default() }));
    let good_till = |order| PlaceOrder { time_in_force: TimeInForce::Gtd, terms: terms.clone(), ..order };
    stage.run(&bot(1), orders(TICK_EVENTS_MAX + 10, good_till)).unwrap();
    stage.tick(60 * SECOND);
    assert_eq!(counts(&stage, CancelReason::Expired), (10, TICK_EVENTS_MAX));
    stage.tick(0);
    assert_eq!(counts(&stage, CancelReason::Expired), (0, TICK_EVENTS_MAX + 10));
    let events = stage.events.len();
    stage.tick(0);
    assert_eq!(stage.events.len(), events, "nothing is due any more");
}

#[test]
fn rule_39_a_switch_that_ends_many_orders_stays_armed_until_the_last_has_ended() {
    let mut stage = super::orders::stage();
    stage.run(&bot(1), orders(TICK_EVENTS_MAX + 10, |order| order)).unwrap();
    stage.run(&bot(1), Command::CancelAllAfter(60)).unwrap();
    stage.tick(60 * SECOND);
    assert_eq!(counts(&stage, CancelReason::DeadMansSwitch), (10, TICK_EVENTS_MAX));
    let after = stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    stage.tick(0);
    assert_eq!(counts(&stage, CancelReason::DeadMansSwitch), (1, TICK_EVENTS_MAX + 10));
    let switched_off = |event: &Event| matches!(event, Event::SwitchSet { at: None, .. });
    assert!(stage.events.iter().any(|(_, event)| switched_off(event)));
    stage.tick(SECOND);
    assert!(stage.state().orders.get(after).is_some(), "it was placed after the switch's time");
}

#[test]
fn rule_39_what_is_due_for_a_key_comes_before_its_edit_also_where_no_tick_has_run() {
    let soon = Moment(100 * DAY + 60 * SECOND);
    let ends = KeySettings { query_dates: Period { from: None, until: Some(soon) }, ..KeySettings::default() };
    let expires = KeySettings { expires_at: Some(soon), ..KeySettings::default() };
    let later = SettingsChange { query_end: Some(None), expires_at: Some(None), ..SettingsChange::default() };
    for (settings, first) in [(ends, ServiceUserChange::QueryEnded), (expires, ServiceUserChange::Expired)] {
        // A code takes half a minute.
        for (at, expected) in [
            (soon.minus_us(30 * SECOND + 1), vec![ServiceUserChange::Edited]),
            (soon.minus_us(30 * SECOND), vec![first, ServiceUserChange::Edited]),
        ] {
            let mut stage = Stage::new(&[with(settings.clone())], true);
            stage.now = at;
            stage.initiate(&member(1), edit(1, later.clone(), None, None)).unwrap();
            let change = |event: &Event| match event {
                Event::ServiceUserChanged { change, .. } => Some(*change),
                _ => None,
            };
            let changes: Vec<_> = stage.events.iter().filter_map(|(_, event)| change(event)).collect();
            assert_eq!(changes[1..], expected, "after it was created, at {at}");
            let user = stage.state().keys.service_user(ServiceUserId(1));
            assert_eq!((user.status, user.query_ended), (KeyStatus::Active, false), "it works again");
        }
    }
}
