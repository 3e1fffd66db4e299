//! How `cl_ord_id`s are forgotten once their time is over.

use countersign::domain::ids::OrderId;
use countersign::domain::orders::{Order, Side};
use countersign::engine::client_ids::ClientIds;
use countersign::engine::command::OrderRef;
use countersign::engine::state::State;
use countersign::engine::trading::cancel;

use super::trading_floor::floor;
use super::venue::{limit, named};

/// How long an id is kept, µs.
const KEPT: u64 = 60_000_000;

#[test]
fn an_order_forgets_only_a_few_ids_that_are_due_and_many_orders_all() {
    let mut floor = floor();
    let id = floor.place(floor.alice, &named(limit(Side::Buy, "0.001", "10"), "first"));
    let order = floor.order(id).clone();
    let mut ids = ClientIds::default();
    let mut place = |number: u64, at| {
        let cl_ord_id = Some(format!("order-{number}").parse().unwrap());
        let order = Order { id: OrderId(number), cl_ord_id, opened_at: at, ..order.clone() };
        let forgotten = std::cell::Cell::new(0);
        ids.placed(&order, at, |_| {
            forgotten.set(forgotten.get() + 1);
            false
        });
        forgotten.get()
    };
    let (begin, end) = (order.opened_at, order.opened_at.plus_us(KEPT));
    assert!((1..=100).all(|number| place(number, begin) == 0));
    let forgotten: Vec<usize> = (101..=200).map(|number| place(number, end)).collect();
    assert!((1..=8).contains(&forgotten[0]), "{} at once", forgotten[0]);
    assert_eq!(forgotten.iter().sum::<usize>(), 100, "{forgotten:?}");
}

#[test]
fn ids_that_are_due_and_not_forgotten_yet_show_nowhere() {
    let mut floor = floor();
    let alice = floor.alice;
    let order = |price: u64, id: &str| named(limit(Side::Buy, "0.001", &price.to_string()), id);
    for number in 0..40_u64 {
        let id = floor.place(alice, &order(10, &format!("order-{number}")));
        // Every fourth stays open, so its id is kept.
        if number % 4 != 0 {
            floor.venue.run(|t| cancel(t, alice, &OrderRef::Id(id))).unwrap();
        }
    }
    floor.wait(KEPT);
    for (number, id) in ["order-39", "order-1", "another", "order-2", "order-38"].into_iter().enumerate() {
        // The id is free for other terms.
        let placed = floor.place(alice, &order(20, id));
        let stored = postcard::to_allocvec(&floor.venue.state).unwrap();
        let mut restored: State = postcard::from_bytes(&stored).unwrap();
        let digest = floor.venue.state.digest();
        assert_eq!((restored.digest(), floor.venue.replayed().digest()), (digest, digest));
        let seen = floor.venue.events.len();
        if number % 2 == 0 {
            floor.venue.run(|t| cancel(t, alice, &OrderRef::Id(placed))).unwrap();
        }
        floor.wait(KEPT / 2);
        floor.place(alice, &order(30, &format!("later-{number}")));
        floor.venue.events[seen..].iter().for_each(|(at, event)| restored.apply(*at, event));
        assert_eq!(restored.digest(), floor.venue.state.digest(), "after {id}");
    }
}
