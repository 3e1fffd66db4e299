//! What a connection sends: limit orders that rest far below the market, cancels of them, market orders.
//!
//! Requests are rendered by copying prepared text around the few parts that differ, so that the client's cost stays far
//! below the server's.

use std::collections::VecDeque;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::LoadError;

/// A non-negative decimal number, kept exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal {
    units: u64,
    places: usize,
}

impl TryFrom<String> for Decimal {
    type Error = LoadError;

    fn try_from(text: String) -> Result<Self, LoadError> {
        text.parse()
    }
}

impl From<Decimal> for String {
    fn from(number: Decimal) -> Self {
        number.stepped(number, 0).expect("a number is within the bounds of its own digits")
    }
}

impl FromStr for Decimal {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        let refuse = || LoadError::Setup(format!("{text:?} is not a plain decimal number"));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}");
        if whole.is_empty() || fraction.len() > 18 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refuse());
        }
        Ok(Self { units: digits.parse().map_err(|_| refuse())?, places: fraction.len() })
    }
}

impl Decimal {
    /// `self + count × step` as text with the places of the longer of the two; `None` on overflow.
    fn stepped(self, step: Self, count: u64) -> Option<String> {
        let places = self.places.max(step.places);
        let scale = |number: Self| {
            let missing = u32::try_from(places - number.places).ok()?;
            number.units.checked_mul(10_u64.checked_pow(missing)?)
        };
        let units = scale(self)?.checked_add(scale(step)?.checked_mul(count)?)?;
        let digits = format!("{units:0width$}", width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        Some(if places == 0 { whole.to_owned() } else { format!("{whole}.{fraction}") })
    }
}

/// The settings of a mix.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MixSettings {
    /// Market of all orders.
    pub symbol: String,
    /// Base units of each order.
    pub quantity: Decimal,
    /// Limit price of the lowest level; it must lie below the market for orders to rest.
    pub price: Decimal,
    /// Distance between levels.
    pub tick: Decimal,
    /// Price levels used, in turn.
    pub levels: u64,
    /// Resting orders that a connection keeps; above that it cancels its oldest, one cancel per new order. Without it
    /// every order stays.
    pub keep: Option<usize>,
    /// Percentage of orders that are market orders, alternately buys and sells; they trade with whoever quotes.
    pub market_percent: u8,
    /// Percentage of requests that move the price of the newest resting order of the connection by a level; needs `keep`.
    pub amend_percent: u8,
}

impl Default for MixSettings {
    fn default() -> Self {
        let decimal = |units, places| Decimal { units, places };
        Self {
            symbol: "BTC/USD".into(),
            quantity: decimal(10_000, 8),
            price: decimal(1_000, 1),
            tick: decimal(1, 1),
            levels: 500,
            keep: None,
            market_percent: 0,
            amend_percent: 0,
        }
    }
}

impl MixSettings {
    /// The part that the baselines understand: limit orders.
    #[must_use]
    pub fn limit_orders_only(&self) -> Self {
        Self { keep: None, market_percent: 0, amend_percent: 0, ..self.clone() }
    }
}

/// The prepared texts, shared by all connections.
#[derive(Debug)]
pub struct Mix {
    limit_head: String,
    prices: Vec<String>,
    limit_middle: String,
    market_buy: String,
    market_sell: String,
    keep: Option<usize>,
    market_percent: u64,
    amend_percent: u64,
}

impl Mix {
    /// Prepares the texts.
    ///
    /// # Errors
    /// A price that overflows, a percentage above 100, no levels, or amends without kept orders to move.
    pub fn new(settings: &MixSettings) -> Result<Self, LoadError> {
        let refuse = |text: &str| Err(LoadError::Setup(format!("mix: {text}")));
        if settings.market_percent > 100 || settings.amend_percent > 100 {
            return refuse("a percentage is at most 100");
        }
        if settings.levels == 0 || settings.levels > 100_000 {
            return refuse("levels must be between 1 and 100000");
        }
        if settings.amend_percent > 0 && (settings.keep.is_none() || settings.levels < 2) {
            return refuse("amend_percent needs keep and two levels");
        }
        let symbol = serde_json::to_string(&settings.symbol).expect("a string is always JSON");
        let quantity = settings.quantity.stepped(settings.quantity, 0).expect("nothing is added");
        let market = |side: &str| {
            format!(
                r#"{{"method":"add_order","params":{{"order_type":"market","side":"{side}","symbol":{symbol},"order_qty":{quantity},"cl_ord_id":""#
            )
        };
        let prices = (0..settings.levels).map(|level| settings.price.stepped(settings.tick, level));
        Ok(Self {
            limit_head: format!(
                r#"{{"method":"add_order","params":{{"order_type":"limit","side":"buy","symbol":{symbol},"order_qty":{quantity},"limit_price":"#
            ),
            prices: prices.collect::<Option<_>>().ok_or_else(|| LoadError::Setup("a price level overflows".into()))?,
            limit_middle: r#","time_in_force":"gtc","cl_ord_id":""#.into(),
            market_buy: market("buy"),
            market_sell: market("sell"),
            keep: settings.keep,
            market_percent: u64::from(settings.market_percent),
            amend_percent: u64::from(settings.amend_percent),
        })
    }
}

/// One request of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// A limit order, by its number on this connection.
    Limit(u64),
    /// A market order, likewise.
    Market(u64),
    /// The cancel of the limit order with this number.
    Cancel(u64),
    /// The amend of the limit order with this number, to the price of a level.
    Amend(u64, u64),
}

/// What one connection sends next.
#[derive(Debug)]
pub struct RequestSource<'a> {
    mix: &'a Mix,
    /// The first 10 characters of every `cl_ord_id`, different for every connection and run.
    id_prefix: String,
    orders: u64,
    requests: u64,
    /// Numbers and levels.
    resting: VecDeque<(u64, u64)>,
}

impl<'a> RequestSource<'a> {
    /// `run` differs between runs against the same server (its low 24 bits do), `connection` within a run.
    pub fn new(mix: &'a Mix, run: u64, connection: u16) -> Self {
        // Connections start at different levels, so that not all queue at one price.
        let orders = u64::from(connection) * 37;
        let id_prefix = format!("{}{connection:04x}", run_prefix(run));
        Self { mix, id_prefix, orders, requests: 0, resting: VecDeque::new() }
    }

    /// Decides the next request.
    pub fn next_request(&mut self) -> Request {
        if self.mix.keep.is_some_and(|keep| self.resting.len() > keep)
            && let Some((oldest, _)) = self.resting.pop_front()
        {
            return Request::Cancel(oldest);
        }
        self.requests += 1;
        if self.requests * self.mix.amend_percent % 100 < self.mix.amend_percent
            && let Some((newest, level)) = self.resting.back_mut()
        {
            *level = (*level + 1) % self.mix.prices.len() as u64;
            return Request::Amend(*newest, *level);
        }
        self.orders += 1;
        // Spread evenly: exactly `market_percent` of any hundred orders in a row.
        let is_market = self.orders * self.mix.market_percent % 100 < self.mix.market_percent;
        if is_market { Request::Market(self.orders) } else { Request::Limit(self.orders) }
    }

    /// Records that a request was accepted.
    pub fn accepted(&mut self, request: Request) {
        if let Request::Limit(order) = request
            && self.mix.keep.is_some()
        {
            self.resting.push_back((order, order % self.mix.prices.len() as u64));
        }
    }

    /// Writes the request's JSON text.
    pub fn render(&self, request: Request, req_id: u64, out: &mut Vec<u8>) {
        let mix = self.mix;
        let order = match request {
            Request::Limit(order) => {
                let level = order % mix.prices.len() as u64;
                out.extend_from_slice(mix.limit_head.as_bytes());
                out.extend_from_slice(mix.prices[usize::try_from(level).expect("below a length")].as_bytes());
                out.extend_from_slice(mix.limit_middle.as_bytes());
                order
            }
            Request::Market(order) => {
                // By how many came before it, because the numbers of market orders may all be even.
                let buys = (order * mix.market_percent / 100).is_multiple_of(2);
                let text = if buys { &mix.market_buy } else { &mix.market_sell };
                out.extend_from_slice(text.as_bytes());
                order
            }
            Request::Cancel(order) => {
                out.extend_from_slice(br#"{"method":"cancel_order","params":{"cl_ord_id":[""#);
                order
            }
            Request::Amend(order, level) => {
                out.extend_from_slice(br#"{"method":"amend_order","params":{"limit_price":"#);
                out.extend_from_slice(mix.prices[usize::try_from(level).expect("below a length")].as_bytes());
                out.extend_from_slice(br#","cl_ord_id":""#);
                order
            }
        };
        out.extend_from_slice(self.id_prefix.as_bytes());
        hex8(order, out);
        out.extend_from_slice(match request {
            Request::Limit(_) | Request::Market(_) | Request::Amend(..) => br#""},"req_id":"#,
            Request::Cancel(_) => br#""]},"req_id":"#,
        });
        decimal(req_id, out);
        out.push(b'}');
    }
}

/// The first 6 characters of every `cl_ord_id` of a run; 4 for the connection and 8 for the order follow.
pub fn run_prefix(run: u64) -> String {
    format!("{:06x}", run & 0xFF_FFFF)
}

/// The connection and the number of an order of this run; `None` for any other order.
pub fn own_order(run_prefix: &str, cl_ord_id: &str) -> Option<(u16, u32)> {
    let (connection, order) = cl_ord_id.strip_prefix(run_prefix)?.split_at_checked(4)?;
    (order.len() == 8).then_some(())?;
    Some((u16::from_str_radix(connection, 16).ok()?, u32::from_str_radix(order, 16).ok()?))
}

/// The low 32 bits as 8 hex digits; with the prefix that makes 18 characters, the longest free-form `cl_ord_id`.
fn hex8(number: u64, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend((0..8).rev().map(|digit| DIGITS[(number >> (4 * digit)) as usize & 0xF]));
}

fn decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn settings() -> MixSettings {
        MixSettings {
            price: "99.9".parse().unwrap(),
            tick: "0.05".parse().unwrap(),
            levels: 4,
            ..MixSettings::default()
        }
    }

    fn rendered(source: &RequestSource<'_>, request: Request) -> serde_json::Value {
        let mut out = Vec::new();
        source.render(request, 1_234, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_limit_order_is_a_v2_add_order_of_about_200_bytes() {
        let mix = Mix::new(&settings()).unwrap();
        let source = RequestSource::new(&mix, 7, 3);
        let mut out = Vec::new();
        source.render(Request::Limit(255), u64::MAX, &mut out);
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            concat!(
                r#"{"method":"add_order","params":{"order_type":"limit","side":"buy","symbol":"BTC/USD","#,
                r#""order_qty":0.00010000,"limit_price":100.05,"time_in_force":"gtc","#,
                r#""cl_ord_id":"0000070003000000ff"},"req_id":18446744073709551615}"#
            )
        );
        assert!((180..=215).contains(&out.len()), "{}", out.len());
    }

    #[test]
    fn decimals_step_exactly() {
        let from: Decimal = "99.9".parse().unwrap();
        let step: Decimal = "0.05".parse().unwrap();
        let texts: Vec<String> = (0..4).map(|count| from.stepped(step, count).unwrap()).collect();
        assert_eq!(texts, ["99.90", "99.95", "100.00", "100.05"]);
        let one: Decimal = "1".parse().unwrap();
        assert_eq!(one.stepped(one, 9).unwrap(), "10");
        for wrong in ["", ".5", "-1", "1e5", "1.2.3", "0x1"] {
            assert!(wrong.parse::<Decimal>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_kept_order_count_turns_every_further_order_into_a_pair() {
        let mix = Mix::new(&MixSettings { keep: Some(2), ..settings() }).unwrap();
        let mut source = RequestSource::new(&mix, 1, 0);
        let mut placed = Vec::new();
        let mut canceled = Vec::new();
        for _ in 0..100 {
            let request = source.next_request();
            source.accepted(request);
            match request {
                Request::Limit(order) => placed.push(order),
                Request::Cancel(order) => canceled.push(order),
                Request::Market(_) | Request::Amend(..) => panic!("none were asked for"),
            }
            assert!(placed.len() - canceled.len() <= 3);
        }
        assert_eq!(canceled, placed[..canceled.len()], "the oldest goes first");
        assert!(canceled.len() >= 48);
        let cancel = rendered(&source, Request::Cancel(5));
        assert_eq!(cancel["method"], "cancel_order");
        assert_eq!(cancel["params"]["cl_ord_id"][0].as_str().unwrap().len(), 18);
    }

    #[test]
    fn the_share_of_market_orders_is_as_asked() {
        for percent in [0, 1, 30, 100] {
            let mix = Mix::new(&MixSettings { market_percent: percent, ..settings() }).unwrap();
            let mut source = RequestSource::new(&mix, 1, 0);
            let count = (0..1_000).filter(|_| matches!(source.next_request(), Request::Market(_))).count();
            assert_eq!(count, usize::from(percent) * 10);
        }
    }

    #[test]
    fn market_orders_are_buys_and_sells_in_turn_whatever_their_share() {
        for percent in [1, 2, 30, 50, 100] {
            let mix = Mix::new(&MixSettings { market_percent: percent, ..settings() }).unwrap();
            let mut source = RequestSource::new(&mix, 1, 0);
            let orders = std::iter::repeat_with(|| source.next_request()).take(1_000).collect::<Vec<_>>();
            let market = orders.into_iter().filter(|order| matches!(order, Request::Market(_)));
            let sides: Vec<_> = market.map(|order| rendered(&source, order)["params"]["side"].clone()).collect();
            assert!(
                sides.iter().any(|side| side == "buy") && sides.windows(2).all(|two| two[0] != two[1]),
                "{percent}"
            );
        }
    }

    #[test]
    fn amends_move_an_order_that_rests_and_need_some_kept() {
        assert!(Mix::new(&MixSettings { amend_percent: 10, ..settings() }).is_err());
        let mix = Mix::new(&MixSettings { keep: Some(5), amend_percent: 50, ..settings() }).unwrap();
        let mut source = RequestSource::new(&mix, 1, 0);
        let (mut resting, mut levels, mut amends) = (Vec::new(), HashMap::new(), 0);
        for _ in 0..1_000 {
            let request = source.next_request();
            source.accepted(request);
            match request {
                Request::Limit(order) => resting.push(order),
                Request::Cancel(order) => assert_eq!(resting.remove(0), order),
                Request::Amend(order, level) => {
                    amends += 1;
                    assert_eq!(resting.last(), Some(&order));
                    assert_ne!(
                        Some(level),
                        levels.insert(order, level).or(Some(order % 4)),
                        "the price it has already"
                    );
                    let text = rendered(&source, request);
                    assert_eq!(
                        (&text["method"], text["params"]["limit_price"].is_f64()),
                        (&"amend_order".into(), true)
                    );
                }
                Request::Market(_) => panic!("none were asked for"),
            }
        }
        assert!(amends > 200, "{amends}");
    }

    #[test]
    fn client_order_ids_differ_between_connections_runs_and_orders() {
        let mix = Mix::new(&settings()).unwrap();
        let mut ids: Vec<String> = Vec::new();
        for (run, connection) in [(1, 0), (1, 1), (2, 0)] {
            let mut source = RequestSource::new(&mix, run, connection);
            for _ in 0..50 {
                let order = source.next_request();
                ids.push(rendered(&source, order)["params"]["cl_ord_id"].as_str().unwrap().to_owned());
            }
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 150);
        assert_eq!(own_order(&run_prefix(1), &ids[0]), Some((0, 1)));
        assert_eq!(own_order(&run_prefix(2), &ids[0]), None);
        assert_eq!(own_order(&run_prefix(1), "000001é"), None);
    }
}
