//! Orders of Service Users: every order type, and every way to change or cancel an order.

use countersign::domain::decimal::Decimal;
use countersign::domain::ids::{AccountId, OrderId};
use countersign::domain::orders::{OrderType, Side, TimeInForce};
use countersign::domain::terms::{FeeCurrency, PriceReference, PriceType, SelfTrade};
use countersign::domain::text::{ClientOrderId, Symbol};
use countersign::domain::time::Moment;
use countersign::engine::command::{
    AmendOrder, Command, EditOrder, OrderRef, PlaceOrder, RequestedConditional, RequestedTerms, RequestedTrigger,
};

use super::dice::Dice;
use super::known::Known;
use super::world::SECOND;

/// With fewer open orders than this, clients prefer placing to canceling.
const FEW: usize = 8;
/// Prices lie around this many tenths.
const MIDDLE: i64 = 1_000;

pub fn symbol(name: &str) -> Symbol {
    Symbol::from(name).unwrap()
}

/// One of the first two, mostly.
pub fn any_market(dice: &mut Dice, known: &Known) -> Symbol {
    let common = known.markets.len().min(2);
    let some = if dice.one_in(20) { &known.markets[..] } else { &known.markets[..common] };
    *dice.any(some).expect("genesis has markets")
}

pub fn command(dice: &mut Dice, known: &Known, account: AccountId, now: Moment) -> Command {
    match dice.below(100) {
        67..92 if known.orders.len() < FEW && !dice.one_in(4) => Command::PlaceOrder(order(dice, known, now)),
        0..50 => Command::PlaceOrder(order(dice, known, now)),
        50..54 => {
            let first = order(dice, known, now);
            let mut orders = vec![first];
            for _ in 0..dice.within(1, 4) {
                let next = order(dice, known, now);
                let [first, ..] = &orders[..] else { unreachable!("it begins with one") };
                let (symbol, validate, deadline) = (first.symbol, first.validate, first.deadline);
                orders.push(PlaceOrder { symbol, validate, deadline, ..next });
            }
            Command::PlaceBatch(orders)
        }
        54..62 => Command::AmendOrder(amendment(dice, known, account, now)),
        62..67 => Command::EditOrder(edit(dice, known, account, now)),
        67..92 => Command::CancelOrder(order_ref(dice, known, account)),
        92..95 => Command::CancelBatch((0..dice.within(2, 6)).map(|_| order_ref(dice, known, account)).collect()),
        95..97 => Command::CancelAll,
        97 => Command::SettlePosition,
        _ => Command::CancelAllAfter(dice.of(&[0, 1, 5, 60, 3_600, 90_000])),
    }
}

/// By the steps of both markets, mostly.
fn price(dice: &mut Dice) -> Decimal {
    let step = if dice.one_in(20) { dice.within(-40, 40) } else { 5 * dice.within(-8, 8) };
    Decimal::from_units(MIDDLE + step, 1)
}

/// Thousandths mostly; now and then too little, or more than anybody has.
fn quantity(dice: &mut Dice) -> Decimal {
    match dice.below(100) {
        0 => Decimal::from_units(dice.within(-1, 5_000), 8),
        1 => Decimal::from_units(i64::MAX, dice.of(&[0, 8])),
        2 => Decimal::from_units(dice.within(1, 1_000_000), 0),
        _ => Decimal::from_units(dice.within(1, 900), 3),
    }
}

fn side(dice: &mut Dice) -> Side {
    dice.of(&[Side::Buy, Side::Sell])
}

/// Few different ones, so that they repeat.
pub fn client_order_id(dice: &mut Dice) -> ClientOrderId {
    ClientOrderId::from(&format!("c{}", dice.below(200))).unwrap()
}

fn order(dice: &mut Dice, known: &Known, now: Moment) -> PlaceOrder {
    let order_type = match dice.below(100) {
        0..62 => OrderType::Limit,
        62..70 => OrderType::Market,
        70..78 => OrderType::Iceberg,
        _ => dice.of(&OrderType::ALL),
    };
    let time_in_force = match dice.below(10) {
        0..7 => TimeInForce::Gtc,
        _ => dice.of(&TimeInForce::ALL),
    };
    let terms = terms(dice, now, order_type, time_in_force);
    let in_cash = terms.as_ref().is_some_and(|terms| terms.cash_order_qty.is_some());
    let trails = order_type.trails();
    PlaceOrder {
        symbol: any_market(dice, known),
        side: side(dice),
        order_type,
        time_in_force: if order_type == OrderType::Market {
            dice.of(&[TimeInForce::Gtc, TimeInForce::Ioc])
        } else {
            time_in_force
        },
        post_only: dice.one_in(10),
        order_qty: (!in_cash).then(|| quantity(dice)),
        limit_price: match order_type.is_limit() || dice.one_in(50) {
            true if trails => Some(Decimal::from_units(dice.within(-20, 20), 1)),
            true => Some(price(dice)),
            false => None,
        },
        cl_ord_id: dice.one_in(3).then(|| client_order_id(dice)),
        order_userref: dice.one_in(5).then(|| dice.within(1, 5)),
        validate: dice.one_in(40),
        deadline: dice.one_in(10).then(|| late(dice, now)),
        terms,
    }
}

/// A little before now, or up to a minute and more after.
fn late(dice: &mut Dice, now: Moment) -> Moment {
    now.minus_us(SECOND).plus_us(dice.below(70 * SECOND))
}

fn price_type(dice: &mut Dice) -> PriceType {
    dice.of(&[PriceType::Static, PriceType::Pct, PriceType::Quote])
}

fn terms(
    dice: &mut Dice,
    now: Moment,
    order_type: OrderType,
    time_in_force: TimeInForce,
) -> Option<Box<RequestedTerms>> {
    let trigger = order_type.is_triggered().then(|| RequestedTrigger {
        reference: dice.of(&[PriceReference::Last, PriceReference::Last, PriceReference::Last, PriceReference::Index]),
        price: if order_type.trails() { Decimal::from_units(dice.within(1, 30), 1) } else { price(dice) },
        price_type: dice.one_in(3).then(|| price_type(dice)),
    });
    let conditional = dice.one_in(15).then(|| RequestedConditional {
        order_type: dice.of(&OrderType::ALL),
        limit: dice.one_in(2).then(|| (price(dice), price_type(dice))),
        trigger: dice.one_in(2).then(|| (Decimal::from_units(dice.within(-30, 30), 1), price_type(dice))),
    });
    let terms = RequestedTerms {
        trigger,
        limit_price_type: (order_type.trails() || dice.one_in(50)).then(|| price_type(dice)),
        display_qty: (order_type == OrderType::Iceberg).then(|| Decimal::from_units(dice.within(20, 200), 3)),
        cash_order_qty: (order_type == OrderType::Market && dice.one_in(3))
            .then(|| Decimal::from_units(dice.within(1, 5_000), 2)),
        effective_time: dice.one_in(20).then(|| now.plus_us(dice.below(3_600 * SECOND))),
        expire_time: (time_in_force == TimeInForce::Gtd).then(|| now.plus_us(dice.below(7_200 * SECOND))),
        fee_preference: dice.of(&[FeeCurrency::Quote, FeeCurrency::Quote, FeeCurrency::Base]),
        stp_type: dice.of(&[SelfTrade::CancelNewest, SelfTrade::CancelOldest, SelfTrade::CancelBoth]),
        conditional,
        reduce_only: dice.one_in(100),
        margin: dice.one_in(100),
        sender_sub_id: dice.one_in(30).then(|| client_order_id(dice)),
    };
    (terms != RequestedTerms::default()).then(|| Box::new(terms))
}

/// An order of the account, mostly.
fn order_id(dice: &mut Dice, known: &Known, account: AccountId) -> OrderId {
    for _ in 0..4 {
        match dice.any(&known.orders) {
            Some((id, of)) if *of == account || dice.one_in(20) => return *id,
            _ => {}
        }
    }
    OrderId(1)
}

fn order_ref(dice: &mut Dice, known: &Known, account: AccountId) -> OrderRef {
    match dice.below(10) {
        0 => OrderRef::ClientId(client_order_id(dice)),
        1 => OrderRef::UserRef(dice.within(1, 5)),
        _ => OrderRef::Id(order_id(dice, known, account)),
    }
}

fn amendment(dice: &mut Dice, known: &Known, account: AccountId, now: Moment) -> AmendOrder {
    AmendOrder {
        order: if dice.one_in(8) {
            OrderRef::ClientId(client_order_id(dice))
        } else {
            OrderRef::Id(order_id(dice, known, account))
        },
        symbol: dice.one_in(10).then(|| any_market(dice, known)),
        order_qty: dice.one_in(2).then(|| quantity(dice)),
        display_qty: dice.one_in(8).then(|| quantity(dice)),
        limit_price: dice.one_in(2).then(|| price(dice)),
        limit_price_type: dice.one_in(20).then(|| price_type(dice)),
        trigger_price: dice.one_in(8).then(|| price(dice)),
        trigger_price_type: dice.one_in(20).then(|| price_type(dice)),
        post_only: dice.one_in(5),
        deadline: dice.one_in(10).then(|| late(dice, now)),
    }
}

fn edit(dice: &mut Dice, known: &Known, account: AccountId, now: Moment) -> EditOrder {
    EditOrder {
        order: order_id(dice, known, account),
        symbol: any_market(dice, known),
        order_qty: dice.one_in(2).then(|| quantity(dice)),
        limit_price: dice.one_in(2).then(|| price(dice)),
        display_qty: dice.one_in(10).then(|| quantity(dice)),
        order_userref: dice.one_in(5).then(|| dice.within(1, 5)),
        fee_preference: dice.one_in(10).then_some(FeeCurrency::Quote),
        post_only: dice.one_in(5).then(|| dice.one_in(2)),
        validate: dice.one_in(20),
        deadline: dice.one_in(10).then(|| late(dice, now)),
    }
}
