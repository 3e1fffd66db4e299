//! The mix: half of the commands place a resting order, two fifths cancel one, one in ten trades with the best. So the
//! number of resting orders stays the same.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use countersign::access::principal::{Actor, Credential, Principal};
use countersign::access::scope::ScopeSet;
use countersign::domain::decimal::Decimal;
use countersign::domain::ids::{OrderId, ServiceUserId};
use countersign::domain::orders::{OrderType, Side, TimeInForce};
use countersign::domain::text::{ClientOrderId, Symbol};
use countersign::domain::time::Moment;
use countersign::engine::Engine;
use countersign::engine::command::{Command, OrderRef, PlaceOrder};
use countersign::engine::event::Event;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::genesis::{Secrets, events, key, other, people};

/// The middle of the book, in tenths of a dollar; orders lie on both sides of it.
const MIDDLE: i64 = 100_000;
/// How far from the middle most orders lie, in tenths of a dollar.
const SPREAD: f64 = 500.0;
/// What each order is for, in units: a trade fills exactly one.
const QTY: i64 = 10_000;
/// Microseconds between two commands.
const PACE_US: u64 = 2;
/// The same run after run.
const SEED: u64 = 4;

/// One command of the mix.
pub struct Step {
    /// When.
    pub at: Moment,
    /// By whom.
    pub by: Principal,
    /// The command.
    pub command: Command,
}

/// An engine in use, and the next commands of its users.
pub struct Mix {
    /// The engine.
    pub engine: Engine,
    random: StdRng,
    now: Moment,
    /// The resting orders, in no order, and the position of each.
    resting: Vec<OrderId>,
    places: HashMap<OrderId, usize>,
    target: usize,
    /// Whether orders carry a client's id.
    named: bool,
    drawn: u64,
    kinds: Vec<Kind>,
}

#[derive(Clone, Copy)]
enum Kind {
    Place,
    Cancel,
    Trade,
}

/// The world that the mix uses; an engine's first command.
pub fn genesis() -> Step {
    let secrets = Secrets { sealed: &|number| vec![number], member: &|_| (Some(String::new()), Some(Vec::new())) };
    let keys = [key(ScopeSet::ALL), other()];
    let command = Command::Genesis(events(&keys, &people(), false, &secrets));
    Step { at: Moment(100), by: by(Actor::Server), command }
}

impl Mix {
    /// An engine with the world in it, to be filled with `resting` orders. With `named`, each has a client id.
    pub fn new(resting: usize, named: bool) -> Mix {
        let mut mix = Mix {
            engine: Engine::default(),
            random: StdRng::seed_from_u64(SEED),
            now: Moment(100),
            resting: Vec::new(),
            places: HashMap::new(),
            target: resting,
            named,
            drawn: 0,
            kinds: Vec::new(),
        };
        let Step { at, by, command } = genesis();
        mix.engine.handle(at, &by, &command).expect("the world is sound");
        mix
    }

    /// Whether it has as many orders as intended.
    pub fn is_full(&self) -> bool {
        self.resting.len() >= self.target
    }

    /// Draws the next command and executes it; its events are in the engine.
    pub fn step(&mut self) -> Step {
        self.now = self.now.plus_us(PACE_US);
        let kind = if self.is_full() || !self.kinds.is_empty() { self.kind() } else { Kind::Place };
        let command = match kind {
            Kind::Place => self.place(),
            Kind::Cancel => {
                let id = self.resting[self.random.random_range(0..self.resting.len())];
                Command::CancelOrder(OrderRef::Id(id))
            }
            Kind::Trade => self.trade(),
        };
        let owner = if matches!(kind, Kind::Trade) { 2 } else { 1 };
        let step = Step { at: self.now, by: by(Actor::ServiceUser(ServiceUserId(owner))), command };
        self.engine.handle(step.at, &step.by, &step.command).expect("the mix is sound");
        for event in self.engine.events() {
            match event {
                Event::OrderPlaced { order, rests: true } => {
                    self.places.insert(order.id, self.resting.len());
                    self.resting.push(order.id);
                }
                Event::Traded(trade) => forget(&mut self.resting, &mut self.places, trade.maker.order.id),
                Event::OrderCanceled { order, .. } => forget(&mut self.resting, &mut self.places, order.id),
                _ => {}
            }
        }
        step
    }

    /// Kinds in tens, shuffled, so that the shares are exact.
    fn kind(&mut self) -> Kind {
        if self.kinds.is_empty() {
            self.kinds = [[Kind::Place; 5].as_slice(), &[Kind::Cancel; 4], &[Kind::Trade]].concat();
            self.kinds.shuffle(&mut self.random);
        }
        self.kinds.pop().expect("it was just filled")
    }

    fn place(&mut self) -> Command {
        let side = if self.random.random() { Side::Buy } else { Side::Sell };
        // The sum of twelve evenly drawn numbers is close to a normal one.
        let normal: f64 = (0..12).map(|_| self.random.random::<f64>()).sum::<f64>() - 6.0;
        let away = 1 + (normal.abs() * SPREAD) as i64;
        let price = if side == Side::Buy { MIDDLE - away } else { MIDDLE + away };
        self.drawn += 1;
        let id = format!("order-{}", self.drawn);
        Command::PlaceOrder(PlaceOrder {
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            limit_price: Some(Decimal::from_units(price, 1)),
            cl_ord_id: self.named.then(|| ClientOrderId::from(&id).expect("it is short")),
            ..order(side)
        })
    }

    fn trade(&mut self) -> Command {
        let side = if self.random.random() { Side::Buy } else { Side::Sell };
        Command::PlaceOrder(order(side))
    }
}

fn forget(resting: &mut Vec<OrderId>, places: &mut HashMap<OrderId, usize>, id: OrderId) {
    let Some(at) = places.remove(&id) else { return };
    resting.swap_remove(at);
    if let Some(moved) = resting.get(at) {
        places.insert(*moved, at);
    }
}

fn order(side: Side) -> PlaceOrder {
    PlaceOrder {
        symbol: Symbol::from("BTC/USD").expect("it is short"),
        side,
        order_type: OrderType::Market,
        time_in_force: TimeInForce::Ioc,
        post_only: false,
        order_qty: Some(Decimal::from_units(QTY, 8)),
        limit_price: None,
        cl_ord_id: None,
        order_userref: None,
        validate: false,
        deadline: None,
        terms: None,
    }
}

/// Somebody on the machine itself.
fn by(actor: Actor) -> Principal {
    Principal { actor, peer: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: Credential::Key(1) }
}
