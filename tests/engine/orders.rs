//! Ways of ending orders: fill or kill, several at once, and the dead man's switch.

use countersign::access::scope::ScopeSet;
use countersign::access::tier::{Tier, Tiers};
use countersign::domain::ids::{AccountId, MarketId, OrderId};
use countersign::domain::money::{Price, Quantity};
use countersign::domain::orders::{CancelReason, Order, OrderType, Side, TimeInForce};
use countersign::domain::terms::PriceType;
use countersign::domain::text::ClientOrderId;
use countersign::domain::time::Moment;
use countersign::engine::Engine;
use countersign::engine::command::{
    AmendOrder, Command, EditOrder, OrderRef, PlaceOrder, RequestedConditional, RequestedTerms,
};
use countersign::engine::event::Event;
use countersign::engine::orders::Orders;
use countersign::engine::query::{OrderFilter, Query, View};
use countersign::engine::reject::Code;
use countersign::engine::reply::Reply;

use super::amendments::edit_of;
use super::genesis::{key, other};
use super::trading_floor::{amendment, triggered};
use super::world::{SECOND, Stage, bot, decimal, limit, venue};

/// Bot 1 of Acme, bot 2 of the other Organization.
pub fn stage() -> Stage {
    Stage::new(&[key(ScopeSet::ALL), other()], true)
}

fn fill_or_kill(side: Side, qty: &str, price: &str) -> Command {
    let Command::PlaceOrder(order) = limit(side, qty, price, None) else { panic!("an order") };
    Command::PlaceOrder(PlaceOrder { time_in_force: TimeInForce::Fok, ..order })
}

fn ends(stage: &Stage, why: CancelReason) -> usize {
    let ended = |event: &Event| matches!(event, Event::OrderCanceled { reason, .. } if *reason == why);
    stage.events.iter().filter(|(_, event)| ended(event)).count()
}

fn trades(stage: &Stage) -> usize {
    stage.events.iter().filter(|(_, event)| matches!(event, Event::Traded(_))).count()
}

#[test]
fn fill_or_kill_fills_whole_or_leaves_no_trace_in_the_book() {
    let mut stage = stage();
    for price in ["100", "101"] {
        stage.placed(&bot(2), limit(Side::Sell, "1", price, None));
    }
    stage.placed(&bot(1), fill_or_kill(Side::Buy, "2.5", "101"));
    stage.placed(&bot(1), fill_or_kill(Side::Buy, "2", "100"));
    assert_eq!((trades(&stage), ends(&stage, CancelReason::FillOrKill)), (0, 2));
    stage.placed(&bot(1), fill_or_kill(Side::Buy, "1.5", "101"));
    assert_eq!((trades(&stage), ends(&stage, CancelReason::FillOrKill)), (2, 2));
    assert!(stage.state().orders.open(AccountId(1)).next().is_none());
    // An order of the same Organization in the way does not count.
    stage.placed(&bot(1), limit(Side::Sell, "1", "100", None));
    stage.placed(&bot(1), fill_or_kill(Side::Buy, "0.2", "101"));
    assert_eq!((trades(&stage), ends(&stage, CancelReason::FillOrKill)), (2, 3));
}

#[test]
fn fill_or_kill_does_not_count_on_slices_behind_an_order_of_ones_own() {
    let mut stage = stage();
    let Command::PlaceOrder(order) = limit(Side::Sell, "1", "100", None) else { panic!("an order") };
    let terms = RequestedTerms { display_qty: Some(decimal("0.1")), ..RequestedTerms::default() };
    let terms = Some(Box::new(terms));
    stage.placed(&bot(2), Command::PlaceOrder(PlaceOrder { order_type: OrderType::Iceberg, terms, ..order }));
    stage.placed(&bot(1), limit(Side::Sell, "1", "100", None));
    stage.placed(&bot(1), fill_or_kill(Side::Buy, "0.5", "100"));
    assert_eq!((trades(&stage), ends(&stage, CancelReason::FillOrKill)), (0, 1));
    stage.placed(&bot(1), fill_or_kill(Side::Buy, "0.1", "100"));
    assert_eq!((trades(&stage), ends(&stage, CancelReason::FillOrKill)), (1, 1), "the slice in front");
}

#[test]
fn a_batch_cancels_what_is_open_of_it_and_leaves_the_rest() {
    let mut stage = stage();
    let first = stage.placed(&bot(1), limit(Side::Buy, "1", "10", Some("a")));
    let second = stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    let third = stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    let named = OrderRef::ClientId(ClientOrderId::from("a").unwrap());
    let theirs = stage.placed(&bot(2), limit(Side::Buy, "1", "9", None));
    let batch = vec![named, OrderRef::Id(first), OrderRef::Id(second), OrderRef::Id(theirs)];
    let Reply::Canceled(ids) = stage.run(&bot(1), Command::CancelBatch(batch)).unwrap() else { panic!("orders") };
    assert_eq!(ids, [first, second]);
    let open = |account| stage.state().orders.open(AccountId(account)).map(|of| of.id).collect::<Vec<_>>();
    assert_eq!((open(1), open(2)), (vec![third], vec![theirs]));
}

#[test]
fn a_batch_that_is_refused_for_its_deadline_names_no_order() {
    let mut stage = stage();
    let asked = [None, Some("a")].map(|name| match limit(Side::Buy, "1", "10", name) {
        Command::PlaceOrder(asked) => asked,
        other => panic!("{other:?}"),
    });
    for (seconds, refusal) in
        [(0, "EService:Deadline elapsed"), (61, "EGeneral:Invalid arguments:deadline: give at most 60 s from now")]
    {
        let mut batch = Command::PlaceBatch(asked.to_vec());
        batch.set_deadline(stage.now.plus_us(seconds * SECOND));
        assert_eq!(stage.run(&bot(1), batch).unwrap_err().text(), refusal);
    }
}

#[test]
fn open_orders_are_answered_a_page_at_a_time() {
    let mut stage = stage();
    let placed: Vec<_> =
        (1..=5).map(|at| stage.placed(&bot(1), limit(Side::Buy, "1", &at.to_string(), None))).collect();
    stage.run(&bot(1), Command::CancelOrder(OrderRef::Id(placed[1]))).unwrap();
    let page = |filter: OrderFilter| match stage.ask(&bot(1), &Query::OpenOrders(filter)) {
        Ok(View::OpenOrders(orders, next)) => (orders.iter().map(|order| order.id).collect::<Vec<_>>(), next),
        other => panic!("{other:?}"),
    };
    let after = |after, limit| page(OrderFilter { after, limit: Some(limit), ..OrderFilter::default() });
    assert_eq!(after(None, 2), (vec![placed[0], placed[2]], Some(placed[2])));
    assert_eq!(after(Some(placed[2]), 2), (vec![placed[3], placed[4]], None), "nothing more follows");
    assert_eq!(after(Some(placed[1]), 1), (vec![placed[2]], Some(placed[2])), "the page before may have ended since");
    assert_eq!(after(Some(placed[4]), 2), (vec![], None));
    assert_eq!(page(OrderFilter { order_userref: Some(7), ..OrderFilter::default() }), (vec![], None));
    let shown_as = |group| page(OrderFilter { order_userref: Some(group), ..OrderFilter::default() }).0;
    assert_eq!((shown_as(7).len(), shown_as(0).len()), (0, 4), "an order of no group shows 0");
    let theirs = stage.ask(&bot(2), &Query::OpenOrders(OrderFilter::default()));
    assert_eq!(theirs, Ok(View::OpenOrders(vec![], None)));
}

/// Found by fuzzing `journal`.
#[test]
fn stored_orders_that_cannot_be_are_refused() {
    let mut stage = stage();
    let id = stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    let order = stage.state().orders.get(id).unwrap().clone();
    let read = |orders: &[Order]| {
        let orders: Vec<_> = orders.iter().map(|order| (order, None::<Moment>)).collect();
        let market = (0_u64, None::<Price>);
        let bytes = postcard::to_allocvec(&(orders, vec![market], Vec::<ClientOrderId>::new())).unwrap();
        postcard::from_bytes::<Orders>(&bytes).is_ok()
    };
    assert!(read(std::slice::from_ref(&order)));
    for broken in [
        Order { account: AccountId(0), ..order.clone() },
        Order { account: AccountId(u32::MAX), ..order.clone() },
        Order { market: MarketId(0), ..order.clone() },
        Order { market: MarketId(2), ..order.clone() },
        Order { filled: Quantity(order.qty.0 + 1), ..order.clone() },
        Order { filled: Quantity(-1), ..order.clone() },
    ] {
        assert!(!read(std::slice::from_ref(&broken)), "{broken:?}");
    }
    assert!(!read(&[order.clone(), order]), "two orders of one id");
}

#[test]
fn d4_58_the_switch_fires_once_at_its_time_unless_it_is_armed_anew() {
    let mut stage = stage();
    let arm = |timeout| Command::CancelAllAfter(timeout);
    stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    stage.placed(&bot(2), limit(Side::Buy, "1", "10", None));
    stage.run(&bot(1), arm(86_399)).unwrap();
    assert_eq!(stage.refused(&bot(1), arm(86_400)), Code::InvalidArguments);
    let Reply::Switch { now, at } = stage.run(&bot(1), arm(60)).unwrap() else { panic!("a switch") };
    assert_eq!(at, Some(now.plus_us(60 * SECOND)));
    stage.tick(59 * SECOND);
    stage.run(&bot(1), arm(60)).unwrap();
    stage.tick(59 * SECOND);
    assert_eq!(ends(&stage, CancelReason::DeadMansSwitch), 0, "each call begins anew");
    // The server is down at that time, and starts from what was stored.
    let bytes = postcard::to_allocvec(stage.state()).unwrap();
    stage.engine = countersign::engine::Engine::new(postcard::from_bytes(&bytes).unwrap());
    stage.tick(SECOND);
    assert_eq!(ends(&stage, CancelReason::DeadMansSwitch), 1, "it fires on return");
    assert_eq!(stage.state().orders.open(AccountId(2)).count(), 1, "one account's orders alone");
    stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
    stage.tick(100 * SECOND);
    assert_eq!(ends(&stage, CancelReason::DeadMansSwitch), 1, "it stays off until it is armed again");
    stage.run(&bot(1), arm(10)).unwrap();
    let Reply::Switch { at: None, .. } = stage.run(&bot(1), arm(0)).unwrap() else { panic!("disarmed") };
    stage.tick(100 * SECOND);
    assert_eq!(ends(&stage, CancelReason::DeadMansSwitch), 1);
}

#[test]
fn rule_39_a_switch_whose_time_is_over_fires_before_it_is_armed_anew() {
    let mut stage = stage();
    for (fired, timeout) in [(1, 60), (2, 0)] {
        stage.placed(&bot(1), limit(Side::Buy, "1", "10", None));
        stage.run(&bot(1), Command::CancelAllAfter(60)).unwrap();
        stage.now = stage.now.plus_us(60 * SECOND);
        let Reply::Switch { at, .. } = stage.run(&bot(1), Command::CancelAllAfter(timeout)).unwrap() else {
            panic!("a switch");
        };
        assert_eq!(at, (timeout > 0).then(|| stage.now.plus_us(timeout * SECOND)));
        assert_eq!(ends(&stage, CancelReason::DeadMansSwitch), fired, "no Tick has run");
    }
}

#[test]
fn rule_39_a_switch_ends_what_was_placed_before_its_time_and_nothing_else() {
    let mut stage = stage();
    for (rearms, id) in [(false, "first"), (true, "second")] {
        let before = stage.placed(&bot(1), limit(Side::Buy, "1", "10", Some(id)));
        stage.run(&bot(1), Command::CancelAllAfter(60)).unwrap();
        stage.now = stage.now.plus_us(60 * SECOND);
        let after = stage.placed(&bot(1), limit(Side::Buy, "1", "10", Some(id)));
        assert_ne!(after, before, "the id is free");
        for change in [amend(before), edit(before)] {
            assert_eq!(stage.refused(&bot(1), change), Code::UnknownOrder, "no Tick has run");
        }
        stage.run(&bot(1), amend(after)).unwrap();
        match rearms {
            true => drop(stage.run(&bot(1), Command::CancelAllAfter(60)).unwrap()),
            false => stage.tick(SECOND),
        }
        let open: Vec<OrderId> = stage.state().orders.open(AccountId(1)).map(|order| order.id).collect();
        assert_eq!(open, [after]);
        stage.run(&bot(1), Command::CancelAll).unwrap();
    }
    assert_eq!(ends(&stage, CancelReason::DeadMansSwitch), 2);
}

#[test]
fn rule_39_a_client_id_is_free_once_the_time_of_its_order_is_over() {
    let mut stage = stage();
    let open = limit(Side::Buy, "1", "10", Some("one"));
    let Command::PlaceOrder(order) = open.clone() else { panic!("an order") };
    let expire_time = Some(stage.now.plus_us(60 * SECOND));
    let terms = Some(Box::new(RequestedTerms { expire_time, ..RequestedTerms::default() }));
    let first =
        stage.placed(&bot(1), Command::PlaceOrder(PlaceOrder { time_in_force: TimeInForce::Gtd, terms, ..order }));
    stage.now = stage.now.plus_us(60 * SECOND);
    let second = stage.placed(&bot(1), open.clone());
    assert_ne!(second, first, "no Tick has run");
    assert_eq!(second.0, stage.state().seq.0, "the number of an order is that of its event");
    assert_eq!(ends(&stage, CancelReason::Expired), 1, "no id has two open orders");
    stage.tick(SECOND);
    assert_eq!(ends(&stage, CancelReason::Expired), 1);
    assert_eq!(stage.placed(&bot(1), open), second, "the end of the first leaves the id to the second");
}

#[test]
fn rule_35_in_a_halt_orders_end_at_their_time_and_none_starts() {
    let mut stage = stage();
    let (start, end) = (Some(stage.now.plus_us(SECOND)), Some(stage.now.plus_us(2 * SECOND)));
    let timed = |effective_time, expire_time: Option<Moment>| {
        let Command::PlaceOrder(order) = limit(Side::Buy, "1", "10", None) else { panic!("an order") };
        let time_in_force = if expire_time.is_some() { TimeInForce::Gtd } else { TimeInForce::Gtc };
        let terms = Some(Box::new(RequestedTerms { effective_time, expire_time, ..RequestedTerms::default() }));
        Command::PlaceOrder(PlaceOrder { time_in_force, terms, ..order })
    };
    let starts = stage.placed(&bot(1), timed(start, None));
    stage.placed(&bot(1), timed(None, end));
    stage.placed(&bot(1), timed(start, end));
    stage.run(&venue(), Command::Halt { reason: "drill".to_owned() }).unwrap();
    stage.tick(SECOND);
    assert_eq!(ends(&stage, CancelReason::Expired), 0);
    stage.tick(SECOND);
    assert_eq!(ends(&stage, CancelReason::Expired), 2);
    let open = |stage: &Stage| {
        stage.state().orders.open(AccountId(1)).map(|order| (order.id, order.waits())).collect::<Vec<_>>()
    };
    assert_eq!(open(&stage), [(starts, true)]);
    stage.run(&venue(), Command::Resume).unwrap();
    stage.tick(0);
    assert_eq!(open(&stage), [(starts, false)]);
}

#[test]
fn rule_30_a_repeat_is_answered_at_the_limits_as_well() {
    let mut stage = stage();
    stage.engine = Engine::new(stage.state().clone()).with_tiers(Tiers::all(Tier::Starter));
    let order = |name: usize, qty: &str| limit(Side::Buy, qty, "10", Some(&format!("c-{name}")));
    let batch = |names: &[usize]| {
        let asked = names.iter().map(|name| match order(*name, "1") {
            Command::PlaceOrder(asked) => asked,
            other => panic!("{other:?}"),
        });
        Command::PlaceBatch(asked.collect())
    };
    let repeats = |reply: Reply| match reply {
        Reply::Batch(all) => all.into_iter().map(|one| one.unwrap().repeated).collect::<Vec<bool>>(),
        Reply::Placed(placed) => vec![placed.repeated],
        other => panic!("{other:?}"),
    };
    for name in 0..60 {
        stage.placed(&bot(1), order(name, "1"));
    }
    for limit in [Code::OrdersLimit, Code::RateLimit] {
        assert_eq!(stage.refused(&bot(1), order(60, "1")), limit);
        assert_eq!(stage.refused(&bot(1), batch(&[0, 60])), limit);
        assert_eq!(stage.refused(&bot(1), order(0, "2")), Code::ClientOrderIdNotUnique);
        let first = stage.run(&bot(1), order(0, "1")).unwrap();
        assert_eq!(repeats(first), [true]);
        let both = stage.run(&bot(1), batch(&[0, 1])).unwrap();
        assert_eq!((repeats(both), stage.engine.rate()), (vec![true, true], None));
        // Only the counter remains; canceling does not reduce it.
        stage.run(&bot(1), Command::CancelAll).unwrap();
    }
    stage.now = stage.now.plus_us(SECOND);
    assert_eq!(stage.refused(&bot(1), batch(&[0, 60, 61, 62])), Code::RateLimit);
    let mixed = stage.run(&bot(1), batch(&[0, 1, 60, 61])).unwrap();
    assert_eq!(repeats(mixed), [true, true, false, false]);
    assert_eq!(stage.engine.rate().unwrap().cost, 100, "two orders of a batch");
}

/// The fill has happened, so nobody can be refused.
#[test]
fn a_closing_order_is_placed_at_the_limit_of_open_orders_and_counts() {
    let mut stage = stage();
    stage.engine = Engine::new(stage.state().clone()).with_tiers(Tiers::all(Tier::Starter));
    let Command::PlaceOrder(plain) = limit(Side::Buy, "2", "10", None) else { panic!("an order") };
    let takes_profit = Some((decimal("20"), PriceType::Static));
    let conditional = Some(RequestedConditional { order_type: OrderType::Limit, limit: takes_profit, trigger: None });
    let terms = Some(Box::new(RequestedTerms { conditional, ..RequestedTerms::default() }));
    stage.placed(&bot(1), Command::PlaceOrder(PlaceOrder { terms, ..plain }));
    for _ in 1..60 {
        stage.placed(&bot(1), limit(Side::Buy, "1", "9", None));
    }
    stage.placed(&bot(2), limit(Side::Sell, "1", "10", None));
    assert_eq!(stage.state().orders.open(AccountId(1)).count(), 61);
    stage.now = stage.now.plus_us(60 * SECOND);
    assert_eq!(stage.refused(&bot(1), limit(Side::Buy, "1", "9", None)), Code::OrdersLimit);
}

#[test]
fn rule_39_what_a_switch_has_ended_neither_trades_nor_goes_live_before_the_tick() {
    let mut stage = stage();
    stage.placed(&bot(2), limit(Side::Buy, "1", "8", None));
    let stop = triggered(OrderType::StopLoss, Side::Sell, "1", "9", None);
    let ended = [limit(Side::Buy, "2", "10", None), Command::PlaceOrder(stop)];
    let ended = ended.map(|order| stage.placed(&bot(1), order));
    stage.run(&bot(1), Command::CancelAllAfter(60)).unwrap();
    stage.now = stage.now.plus_us(60 * SECOND);
    stage.placed(&bot(2), fill_or_kill(Side::Sell, "1", "10"));
    assert_eq!(ends(&stage, CancelReason::FillOrKill), 1, "what has ended fills nothing");
    // A post-only order is refused only by what it would trade with.
    let Command::PlaceOrder(sell) = limit(Side::Sell, "1", "10", None) else { panic!("an order") };
    stage.placed(&bot(2), Command::PlaceOrder(PlaceOrder { post_only: true, ..sell }));
    assert_eq!((trades(&stage), ends(&stage, CancelReason::DeadMansSwitch)), (0, 1), "no Tick has run");
    // A later order of the account trades, and its price reaches the trigger.
    stage.placed(&bot(1), limit(Side::Sell, "0.5", "8", None));
    assert_eq!((trades(&stage), ends(&stage, CancelReason::DeadMansSwitch)), (1, 2));
    assert_eq!(ended.map(|id| stage.state().orders.get(id)), [None, None]);
}

#[test]
fn an_order_that_is_named_twice_is_shown_once() {
    let mut stage = stage();
    let ids = ["a", "b"].map(|name| (name, stage.placed(&bot(1), limit(Side::Buy, "1", "10", Some(name)))));
    let twice = |of: fn((&str, OrderId)) -> OrderRef| [ids, ids].concat().into_iter().map(of).collect();
    for named in
        [twice(|(_, id)| OrderRef::Id(id)), twice(|(name, _)| OrderRef::ClientId(ClientOrderId::from(name).unwrap()))]
    {
        let View::Found(open, _) = stage.ask(&bot(1), &Query::Orders(named)).unwrap() else { panic!("orders") };
        assert_eq!(open.iter().map(|order| order.id).collect::<Vec<_>>(), ids.map(|(_, id)| id));
    }
}

/// A deadline is compared with the clock, which the client, or the gateway for it, has read.
#[test]
fn d6_74_a_clock_that_is_set_back_stops_no_orders() {
    let mut stage = stage();
    let (amended, edited) = (limit(Side::Buy, "1", "10", None), limit(Side::Buy, "1", "11", None));
    let (amended, edited) = (stage.placed(&bot(1), amended), stage.placed(&bot(1), edited));
    let stamp = stage.state().at;
    stage.now = stamp.minus_us(60 * SECOND);
    for (late, refusal) in [(0, Code::DeadlineElapsed), (61, Code::InvalidArguments)] {
        for mut command in [limit(Side::Buy, "1", "10", None), amend(amended), edit(edited)] {
            command.set_deadline(stage.now.plus_us(late * SECOND));
            assert_eq!(stage.refused(&bot(1), command), refusal);
        }
    }
    for mut command in [limit(Side::Buy, "1", "10", None), amend(amended), edit(edited)] {
        command.set_deadline(stage.now.plus_us(5 * SECOND));
        stage.run(&bot(1), command).unwrap();
    }
    assert_eq!(stage.state().at, stamp, "the stamp does not go back");
}

/// Twice as much.
fn amend(order: OrderId) -> Command {
    Command::AmendOrder(AmendOrder { order_qty: Some(decimal("2")), ..amendment(order) })
}

/// Twice as much.
fn edit(order: OrderId) -> Command {
    Command::EditOrder(EditOrder { order_qty: Some(decimal("2")), ..edit_of(order) })
}
