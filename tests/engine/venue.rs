//! A small venue for tests: BTC/USD, Organizations with funds, one Service User each.

use countersign::access::scope::ScopeSet;
use countersign::domain::assets::Asset;
use countersign::domain::decimal::Decimal;
use countersign::domain::ids::{AccountId, AssetId, DepositId, MarketId, OrganizationId, ServiceUserId};
use countersign::domain::markets::Market;
use countersign::domain::money::{Amount, Price, Quantity};
use countersign::domain::orders::{OrderType, Side, TimeInForce};
use countersign::domain::text::{AssetCode, ClientOrderId, Symbol};
use countersign::domain::time::Moment;
use countersign::engine::caller::ServiceCaller;
use countersign::engine::command::PlaceOrder;
use countersign::engine::deposits::{Deposit, DepositAddress, DepositStatus};
use countersign::engine::event::Event;
use countersign::engine::ledger::{Movement, Party, Wallet};
use countersign::engine::state::State;
use countersign::engine::transition::Transition;

pub const BTC: AssetId = AssetId(1);
pub const USD: AssetId = AssetId(2);
pub const MARKET: MarketId = MarketId(1);

/// A state, everything that happened to it, and the time.
#[derive(Default)]
pub struct Venue {
    pub state: State,
    pub events: Vec<(Moment, Event)>,
    pub now: Moment,
}

impl Venue {
    /// BTC with 8 decimals and USD with 2, traded in steps of 1 USD and 0.00000001 BTC; 0.1 % and 0.2 % fees.
    pub fn new() -> Venue {
        Venue::of(usual())
    }

    /// The same assets, traded in this market.
    pub fn of(market: Market) -> Venue {
        let mut venue = Venue { now: Moment(1_000_000), ..Venue::default() };
        for (id, code, decimals) in [(BTC, "BTC", 8), (USD, "USD", 2)] {
            venue.emit(Event::AssetAdded(Asset {
                id,
                code: AssetCode::from(code).unwrap(),
                decimals,
                display_decimals: decimals,
                method: code.to_owned(),
                network: code.to_owned(),
                withdrawal_min: Amount(1),
                withdrawal_fee: Amount(0),
                deposit_min: Amount(1),
            }));
        }
        venue.emit(Event::MarketAdded(market));
        venue
    }

    /// Runs one command through a transition and records what it emitted.
    pub fn run<T>(&mut self, command: impl FnOnce(&mut Transition<'_>) -> T) -> T {
        let mut events = Vec::new();
        let result = command(&mut Transition::new(&mut self.state, &mut events, self.now));
        self.events.extend(events.into_iter().map(|event| (self.now, event)));
        result
    }

    pub fn emit(&mut self, event: Event) {
        self.run(|t| t.emit(event));
    }

    /// Credits an account from outside.
    pub fn fund(&mut self, who: ServiceCaller, asset: AssetId, units: i64) {
        let account = Party::Account(who.account, Wallet::Main);
        let movement = Movement::new(&self.state.ledger).post(account, asset, Amount(units), Amount::ZERO);
        let postings = movement.post(Party::Outside, asset, Amount(-units), Amount::ZERO).postings();
        let deposit = Deposit {
            id: DepositId(self.state.seq.next().0),
            organization: who.organization,
            account: who.account,
            asset,
            method: "chain".to_owned(),
            network: "chain".to_owned(),
            amount: Amount(units),
            address: DepositAddress { address: "a".to_owned(), tag: None },
            txid: self.state.seq.0.to_string(),
            created_at: self.now,
            status: DepositStatus::Success,
        };
        self.emit(Event::DepositChanged { deposit: Box::new(deposit), postings });
    }

    /// The `number`th Organization's Service User, with an account of its own.
    pub fn trader(&self, number: u32) -> ServiceCaller {
        ServiceCaller {
            id: ServiceUserId(number),
            organization: OrganizationId(number),
            account: AccountId(number),
            scopes: ScopeSet::ALL,
        }
    }

    /// Available, held and total of an account.
    pub fn balance(&self, who: ServiceCaller, asset: AssetId) -> (i64, i64, i64) {
        let ledger = &self.state.ledger;
        let account = who.account;
        (ledger.available(account, asset).0, ledger.held(account, asset).0, ledger.total(account, asset).0)
    }

    /// The state after replaying everything that happened.
    pub fn replayed(&self) -> State {
        let mut state = State::default();
        self.events.iter().for_each(|(at, event)| state.apply(*at, event));
        state
    }
}

/// The market of a new venue.
pub fn usual() -> Market {
    Market {
        id: MARKET,
        symbol: Symbol::from("BTC/USD").unwrap(),
        base: BTC,
        quote: USD,
        base_decimals: 8,
        quote_decimals: 2,
        price_decimals: 0,
        qty_decimals: 8,
        price_increment: Price(1),
        qty_increment: Quantity(1),
        qty_min: Quantity(1_000),
        cost_min: Amount(1),
        maker_ppm: 1_000,
        taker_ppm: 2_000,
    }
}

/// A limit order, good till canceled.
pub fn limit(side: Side, qty: &str, price: &str) -> PlaceOrder {
    PlaceOrder {
        symbol: Symbol::from("BTC/USD").unwrap(),
        side,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        order_qty: Some(Decimal::parse(qty).unwrap()),
        limit_price: Some(Decimal::parse(price).unwrap()),
        cl_ord_id: None,
        order_userref: None,
        validate: false,
        deadline: None,
        terms: None,
    }
}

/// A market order.
pub fn market(side: Side, qty: &str) -> PlaceOrder {
    PlaceOrder { order_type: OrderType::Market, limit_price: None, ..limit(side, qty, "1") }
}

/// The same order under a client id.
pub fn named(order: PlaceOrder, id: &str) -> PlaceOrder {
    PlaceOrder { cl_ord_id: Some(ClientOrderId::from(id).unwrap()), ..order }
}
