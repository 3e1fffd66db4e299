//! A trading floor for the life-cycles of orders: three funded Organizations and a last price.

use countersign::domain::decimal::Decimal;
use countersign::domain::ids::OrderId;
use countersign::domain::markets::MarketStatus;
use countersign::domain::orders::{OrderType, Side, TimeInForce};
use countersign::domain::terms::PriceReference;
use countersign::engine::amendments::amend;
use countersign::engine::caller::ServiceCaller;
use countersign::engine::command::{AmendOrder, OrderRef, PlaceOrder, RequestedTerms, RequestedTrigger};
use countersign::engine::event::Event;
use countersign::engine::reject::{Code, Reject};
use countersign::engine::reply::{Placed, Reply};
use countersign::engine::trading::place;
use countersign::engine::triggers;
use countersign::engine::venue::set_market_status;

use crate::venue::{BTC, MARKET, USD, Venue, limit, market};

pub const SECOND: u64 = 1_000_000;

/// Three Organizations with 100,000.00 USD and 10 BTC each; the last trade was at 30,000.
pub struct Floor {
    pub venue: Venue,
    pub alice: ServiceCaller,
    pub bob: ServiceCaller,
    pub carol: ServiceCaller,
    pub seen: usize,
}

pub fn floor() -> Floor {
    let mut venue = Venue::new();
    let [alice, bob, carol] = [1, 2, 3].map(|number| venue.trader(number));
    for trader in [alice, bob, carol] {
        venue.fund(trader, USD, 10_000_000);
        venue.fund(trader, BTC, 1_000_000_000);
    }
    let mut floor = Floor { venue, alice, bob, carol, seen: 0 };
    floor.print("30000");
    floor
}

pub fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

pub fn with(order: PlaceOrder, terms: RequestedTerms) -> PlaceOrder {
    PlaceOrder { terms: Some(Box::new(terms)), ..order }
}

/// An order of a triggered type; `limit` for those that have one.
pub fn triggered(order_type: OrderType, side: Side, qty: &str, price: &str, limit: Option<&str>) -> PlaceOrder {
    let trigger = RequestedTrigger { reference: PriceReference::Last, price: decimal(price), price_type: None };
    let order = PlaceOrder { order_type, limit_price: limit.map(decimal), ..market(side, qty) };
    with(order, RequestedTerms { trigger: Some(trigger), ..RequestedTerms::default() })
}

pub fn amendment(id: OrderId) -> AmendOrder {
    AmendOrder {
        order: OrderRef::Id(id),
        symbol: None,
        order_qty: None,
        display_qty: None,
        limit_price: None,
        limit_price_type: None,
        trigger_price: None,
        trigger_price_type: None,
        post_only: false,
        deadline: None,
    }
}

impl Floor {
    pub fn place(&mut self, who: ServiceCaller, order: &PlaceOrder) -> OrderId {
        match self.venue.run(|t| place(t, who, order)) {
            Ok(Placed { order: Some(id), repeated: false }) => id,
            other => panic!("not placed: {other:?}"),
        }
    }

    pub fn refusal(&mut self, who: ServiceCaller, order: &PlaceOrder) -> Reject {
        let before = self.venue.state.digest();
        let refusal = self.venue.run(|t| place(t, who, order)).unwrap_err();
        assert_eq!(self.venue.state.digest(), before, "a refusal changes nothing");
        refusal
    }

    pub fn refused(&mut self, who: ServiceCaller, order: &PlaceOrder) -> Code {
        self.refusal(who, order).code
    }

    /// A trade at a price: Carol buys the minimum from Bob, whose offer is the best.
    pub fn print(&mut self, price: &str) {
        let sell = self.place(self.bob, &limit(Side::Sell, "0.001", price));
        self.place(self.carol, &PlaceOrder { time_in_force: TimeInForce::Ioc, ..limit(Side::Buy, "0.001", price) });
        assert!(self.venue.state.orders.get(sell).is_none(), "somebody sells below {price}");
        self.seen = self.venue.events.len();
    }

    pub fn amend(&mut self, who: ServiceCaller, request: &AmendOrder) -> Result<Reply, Reject> {
        self.venue.run(|t| amend(t, who, request))
    }

    pub fn set_status(&mut self, status: MarketStatus) {
        self.venue.run(|t| set_market_status(t, &"BTC/USD".parse().unwrap(), status)).unwrap();
    }

    pub fn wait(&mut self, us: u64) {
        self.venue.now = self.venue.now.plus_us(us);
        self.venue.run(triggers::tick);
    }

    /// The order events since the last call, in words.
    pub fn told(&mut self) -> Vec<String> {
        let seen = std::mem::replace(&mut self.seen, self.venue.events.len());
        assert_eq!(self.venue.state.ledger.check(), Ok(()));
        assert_eq!(self.venue.state.halted, None);
        self.venue.events[seen..].iter().map(|(_, event)| word(event)).collect()
    }

    /// The visible queue of a side, best first: price and quantity in units.
    pub fn book(&self, side: Side) -> Vec<(i64, i64)> {
        let book = self.venue.state.orders.book(MARKET).against(side.opposite());
        book.map(|order| (order.limit.unwrap().0, order.visible().0)).collect()
    }

    pub fn order(&self, id: OrderId) -> &countersign::domain::orders::Order {
        self.venue.state.orders.get(id).unwrap()
    }
}

pub fn word(event: &Event) -> String {
    match event {
        Event::OrderPlaced { order, rests } => {
            format!("placed {}{}", order.order_type.name(), if *rests { " rests" } else { "" })
        }
        Event::Traded(trade) => format!("traded {} at {}", trade.qty.0, trade.price.0),
        Event::OrderRested(_) => "rested".to_owned(),
        Event::OrderCanceled { reason, .. } => format!("ended {reason:?}"),
        Event::OrderActivated { order, rests } => {
            format!("live {}{}", order.order_type.name(), if *rests { " rests" } else { "" })
        }
        Event::OrderAmended { place, .. } => format!("amended {place:?}"),
        Event::OrderRefilled(order) => format!("refilled {}", order.visible().0),
        Event::TriggerMoved(order) => format!("moved {}", order.trigger().unwrap().price.0),
        other => format!("{other:?}"),
    }
}
