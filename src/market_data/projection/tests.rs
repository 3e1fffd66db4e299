//! What followers get while candles of the past are still being read, and while a batch is on its way.

use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;

use super::super::feed;
use super::*;
use crate::access::principal::Actor;
use crate::domain::markets::MarketStatus;
use crate::domain::money::{Amount, Quantity};
use crate::domain::orders::OrderType;
use crate::engine::event::{Fill, Trade};

const TICKER: Topic = Topic::Market(MarketId(1), Channel::Ticker { trigger: EventTrigger::Trades });
const TRADE: Topic = Topic::Market(MarketId(1), Channel::Trade);
const OHLC: Topic = Topic::Market(MarketId(1), Channel::Ohlc { interval: 1 });

/// Keeps what it is sent, as it is read and as it came.
#[derive(Default)]
struct Kept(Mutex<Vec<serde_json::Value>>, Mutex<Vec<Bytes>>);

/// Keeps what it is sent, and has no room until it reads; it may leave as well.
#[derive(Default)]
struct Full {
    kept: Kept,
    reads: AtomicBool,
    gone: AtomicBool,
}

impl Subscriber for Kept {
    fn is_gone(&self) -> bool {
        false
    }

    fn has_room(&self) -> bool {
        true
    }

    fn is_reading(&self) -> bool {
        true
    }

    fn send(&self, frame: &Bytes) -> bool {
        self.queue(frame);
        true
    }

    fn queue(&self, frame: &Bytes) {
        self.0.lock().push(serde_json::from_slice(frame).unwrap());
        self.1.lock().push(frame.clone());
    }
}

impl Subscriber for Full {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn has_room(&self) -> bool {
        self.reads.load(Ordering::Relaxed)
    }

    fn is_reading(&self) -> bool {
        self.has_room()
    }

    fn send(&self, frame: &Bytes) -> bool {
        self.has_room() && self.kept.send(frame)
    }

    fn queue(&self, frame: &Bytes) {
        self.kept.queue(frame);
    }
}

fn of_btc_usd() -> Snapshot {
    Snapshot { reference: Reference::btc_usd(8, 0), ..Snapshot::default() }
}

fn plain(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// A clock that is behind every stamp.
fn midnight() -> Moment {
    Moment(0)
}

/// What asks for a topic, with a snapshot.
fn asked(topic: Topic, subscriber: &Arc<impl Subscriber>) -> Request {
    Request { topic, subscriber: Arc::clone(subscriber) as Arc<dyn Subscriber>, snapshot: true }
}

/// A projection of one market, in which these trades were read back.
fn begun(trades: Vec<Arc<Stamped>>) -> Projection {
    let at = trades.last().map_or(Moment(0), |last| last.at);
    let from = Snapshot { prices: vec![Price(50)], trades, at, ..of_btc_usd() };
    Projection::new(from, plain, midnight)
}

/// Of one trade in a minute.
fn traded(minute: u64, price: i64) -> Candle {
    Candle::of(Moment(minute * MINUTE_US), 1, Price(price), Quantity(1), Amount(price))
}

#[tokio::test]
async fn candles_are_told_once_those_of_the_past_are_there_in_front_of_those_since() {
    let mut projection = begun(Vec::new());
    let (early, late) = (Arc::new(Kept::default()), Arc::new(Kept::default()));
    projection.subscribe(asked(OHLC, &early)).await;
    let candles = &mut projection.markets[0].candles;
    candles.add(1, traded(2, 40));
    candles.add(1, traded(3, 50));
    let (side, order_type, at) = (Side::Buy, OrderType::Market, Moment(3 * MINUTE_US));
    projection.markets[0].fresh = vec![Print { trade_id: 1, side, order_type, price: Price(50), qty: Quantity(1), at }];
    projection.publish(MarketId(1)).await;
    projection.catch_up().await;
    assert_eq!(*early.0.lock(), Vec::<serde_json::Value>::new());

    let candles = [traded(1, 20), traded(2, 30)].map(|candle| (MarketId(1), 1, candle)).into();
    projection.remember(MarketPast { candles, ..MarketPast::default() });
    projection.catch_up().await;
    projection.subscribe(asked(OHLC, &late)).await;
    for reported in [early, late] {
        let reported = reported.0.lock();
        let [snapshot] = reported.as_slice() else { panic!("{reported:?}") };
        let candles = snapshot["data"].as_array().unwrap().iter();
        let candles: Vec<_> =
            candles.map(|of| (of["open"].as_i64(), of["close"].as_i64(), of["trades"].as_i64())).collect();
        let of = |open, close, trades| (Some(open), Some(close), Some(trades));
        assert_eq!(
            (&snapshot["type"], candles),
            (&"snapshot".into(), vec![of(20, 20, 1), of(30, 40, 2), of(50, 50, 1)])
        );
    }
}

/// Rule 50: answers go out before the batch is fed, and who asks after an answer finds what it reported.
#[tokio::test]
async fn who_asks_once_a_batch_was_announced_is_answered_as_of_it() {
    let (mut feed, incoming) = feed();
    let (_candles, past) = oneshot::channel();
    let market_data = start(of_btc_usd(), past, incoming, plain, midnight);
    feed.announce(Seq(1));
    let asked = Arc::new(Kept::default());
    assert!(market_data.subscribe(Topic::Instrument, Arc::<Kept>::clone(&asked), true).await);
    // On this one thread the projection has come as far as it can.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(asked.0.lock().is_empty(), "the batch is still to come");
    let event = Event::MarketStatusSet { market: MarketId(1), status: MarketStatus::PostOnly };
    let stamped = Stamped { seq: Seq(1), at: Moment(1), by: Actor::Server, rate: None, event };
    feed.feed(&Arc::new(vec![Arc::new(stamped)]));
    let answered = async {
        while asked.0.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered).await.expect("it is answered");
    let reported = asked.0.lock();
    assert_eq!(
        (&reported[0]["type"], &reported[0]["data"]["pairs"][0]["status"]),
        (&"snapshot".into(), &"post_only".into())
    );
}

/// The trade of that number, one to a minute, of one unit.
fn trade(minute: u64, price: i64) -> Arc<Stamped> {
    let fill = || Fill { order: Order::waiting(1), fee: Amount::ZERO };
    let trade = Trade {
        trade_id: minute,
        market: MarketId(1),
        price: Price(price),
        qty: Quantity(1),
        cost: Amount(price),
        taker_side: Side::Buy,
        maker: fill(),
        taker: fill(),
        postings: Vec::new(),
    };
    let (seq, at, event) = (Seq(minute), Moment(minute * MINUTE_US), Event::Traded(trade.into()));
    Arc::new(Stamped { seq, at, by: Actor::Server, rate: None, event })
}

/// What history tells of such trades.
fn past(trades: &[(u64, i64)]) -> MarketPast {
    let print = |minute: u64, price| Print {
        trade_id: minute,
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Price(price),
        qty: Quantity(1),
        at: Moment(minute * MINUTE_US),
    };
    MarketPast {
        candles: Vec::new(),
        minutes: trades.iter().map(|(minute, price)| (MarketId(1), traded(*minute, *price))).collect(),
        prints: trades.iter().map(|(minute, price)| (MarketId(1), print(*minute, *price))).collect(),
    }
}

/// What was sent on a channel, without the times.
fn reported(to: &Kept, channel: &str) -> Vec<(String, serde_json::Value)> {
    let frames = to.0.lock();
    let of = frames.iter().filter(|frame| frame["channel"] == channel);
    let shown = |frame: &serde_json::Value| match channel {
        "trade" => frame["data"].as_array().unwrap().iter().map(|print| print["trade_id"].clone()).collect(),
        _ => ["last", "low", "high", "volume", "change"].map(|name| frame["data"][0][name].to_string()).into(),
    };
    of.map(|frame| (frame["type"].as_str().unwrap().to_owned(), shown(frame))).collect()
}

#[tokio::test]
async fn what_happens_is_one_frame_for_all_however_many_follow() {
    let (_feed, mut incoming) = super::super::feed();
    let mut projection = begun(Vec::new());
    let followers: Vec<Arc<Kept>> = (0..100).map(|_| Arc::default()).collect();
    for follower in &followers {
        for topic in [TICKER, TRADE] {
            projection.subscribe(asked(topic, follower)).await;
        }
        // What is sent to each alone.
        follower.1.lock().clear();
    }
    projection.follow_all(&Arc::new(vec![trade(1, 60)]), &mut incoming).await;
    let frames = |of: &Kept| of.1.lock().iter().map(|frame| frame.as_ptr()).collect::<Vec<_>>();
    let first = frames(&followers[0]);
    assert_eq!(first.len(), 2, "a ticker and a trade");
    assert!(followers.iter().all(|follower| frames(follower) == first), "the same bytes for all");
}

#[tokio::test]
async fn rule_44_the_past_comes_before_the_trades_since_the_start_and_replaces_what_was_read_back() {
    let (_feed, mut incoming) = super::super::feed();
    // Of five trades the last two were read back.
    let all = [(1, 10), (2, 90), (3, 20), (4, 40), (5, 50)];
    let mut projection = begun(vec![trade(4, 40), trade(5, 50)]);
    let (early, late) = (Arc::new(Kept::default()), Arc::new(Kept::default()));
    let topics = [TICKER, TRADE];
    for topic in topics {
        projection.subscribe(asked(topic, &early)).await;
    }
    projection.follow_all(&Arc::new(vec![trade(6, 60)]), &mut incoming).await;
    projection.remember(past(&all));
    projection.catch_up().await;
    for topic in topics {
        projection.subscribe(asked(topic, &late)).await;
    }
    let ticker = |kind: &str, figures: [&str; 5]| (kind.to_owned(), serde_json::Value::from(figures.to_vec()));
    let whole = ticker("snapshot", ["60", "10", "90", "6e-8", "50"]);
    let first = ticker("snapshot", ["50", "40", "50", "2e-8", "10"]);
    let then = ticker("update", ["60", "40", "60", "3e-8", "20"]);
    assert_eq!(reported(&early, "ticker"), [first, then, whole.clone()]);
    assert_eq!(reported(&late, "ticker"), [whole]);
    let trades = |kind: &str, ids: &[u64]| (kind.to_owned(), serde_json::Value::from(ids.to_vec()));
    let whole = trades("snapshot", &[1, 2, 3, 4, 5, 6]);
    assert_eq!(reported(&early, "trade"), [trades("snapshot", &[4, 5]), trades("update", &[6]), whole.clone()]);
    assert_eq!(reported(&late, "trade"), [whole]);
}

#[tokio::test]
async fn who_was_told_all_that_there_is_gets_no_second_snapshot_once_the_past_is_there() {
    let mut projection = begun(vec![trade(4, 40), trade(5, 50)]);
    let early = Arc::new(Kept::default());
    for topic in [TICKER, TRADE] {
        projection.subscribe(asked(topic, &early)).await;
    }
    projection.remember(past(&[(4, 40), (5, 50)]));
    projection.catch_up().await;
    assert_eq!(early.0.lock().len(), 2);
}

#[tokio::test]
async fn rule_44_the_past_brings_a_snapshot_of_what_it_changes_and_no_trades_or_candles_that_were_not_asked_for() {
    let whole = [(1, 10), (4, 40), (5, 50)];
    for (prints, again) in [(&whole[1..], false), (&whole, true)] {
        let (_feed, mut incoming) = feed();
        let mut projection = begun(vec![trade(4, 40), trade(5, 50)]);
        let (early, plain) = (Arc::new(Kept::default()), Arc::new(Kept::default()));
        for topic in [TICKER, TRADE, OHLC] {
            projection.subscribe(asked(topic, &early)).await;
            projection.subscribe(Request { snapshot: false, ..asked(topic, &plain) }).await;
        }
        let candles = vec![(MarketId(1), 1, traded(1, 10))];
        projection.remember(MarketPast { candles, prints: past(prints).prints, ..past(&whole) });
        projection.catch_up().await;
        projection.follow_all(&Arc::new(vec![trade(6, 60)]), &mut incoming).await;
        let kinds = |of: &Kept, channel| reported(of, channel).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
        let (begin, go_on) = ("snapshot", "update");
        let trades = if again { &[begin, begin, go_on][..] } else { &[begin, go_on] };
        assert_eq!(kinds(&early, "ticker"), [begin, begin, go_on]);
        assert_eq!(kinds(&early, "trade"), trades);
        assert_eq!(kinds(&early, "ohlc"), [begin, go_on]);
        assert_eq!(kinds(&plain, "ticker"), [begin, go_on], "the figures that it would have had were others");
        assert_eq!((kinds(&plain, "trade"), kinds(&plain, "ohlc")), (vec![go_on.into()], vec![go_on.into()]));
    }
}

#[tokio::test]
async fn candles_wait_for_the_next_start_where_the_past_cannot_be_read() {
    let ((_feed, incoming), (telling, past)) = (feed(), oneshot::channel());
    drop(telling);
    let (requests, from) = mpsc::channel(REQUESTS_MAX);
    let running = tokio::spawn(begun(vec![trade(4, 40)]).run(past, incoming, from));
    let kept = Arc::new(Kept::default());
    for topic in [OHLC, TICKER] {
        requests.send(asked(topic, &kept)).await.unwrap();
    }
    drop(requests);
    running.await.unwrap();
    assert_eq!((reported(&kept, "ohlc").len(), reported(&kept, "ticker").len()), (0, 1));
}

#[tokio::test]
async fn rule_44_the_day_of_ticker_ends_now_however_long_ago_the_last_event_was() {
    let mut projection = begun(vec![trade(4, 40), trade(5, 50)]);
    let reader = Arc::new(Kept::default());
    let clocks: [fn() -> Moment; 4] =
        [|| Moment(1_443 * MINUTE_US), || Moment(1_444 * MINUTE_US), || Moment(1_445 * MINUTE_US), midnight];
    for clock in clocks {
        projection.clock = clock;
        projection.subscribe(asked(TICKER, &reader)).await;
    }
    let whole = ["50", "40", "50", "2e-8", "10"];
    let days = [whole, ["50", "50", "50", "1e-8", "0"], ["50", "50", "50", "0.0", "0"], whole];
    let reported: Vec<_> = reported(&reader, "ticker").into_iter().map(|(_, figures)| figures).collect();
    assert_eq!(
        reported,
        days.map(|figures| serde_json::Value::from(figures.to_vec())),
        "the last after it was set back"
    );
}

#[tokio::test]
async fn d4_54_who_subscribes_without_room_for_a_snapshot_gets_it_once_it_reads() {
    let mut projection = begun(Vec::new());
    let topic = Topic::Market(MarketId(1), Channel::Book { depth: 10 });
    let mut all: Vec<Arc<Full>> = Vec::new();
    for _ in 0..100 {
        all.last().iter().for_each(|before| before.gone.store(true, Ordering::Relaxed));
        let full = Arc::new(Full::default());
        projection.subscribe(asked(topic, &full)).await;
        projection.catch_up().await;
        all.push(full);
    }
    let reported = |of: &Arc<Full>| of.kept.0.lock().clone();
    assert!(all.iter().all(|of| reported(of).is_empty()), "nothing more waits for who does not read");
    all.iter().for_each(|of| of.reads.store(true, Ordering::Relaxed));
    projection.catch_up().await;
    projection.catch_up().await;
    let reported: Vec<_> = all.iter().flat_map(reported).collect();
    let [snapshot] = reported.as_slice() else { panic!("{reported:?}") };
    assert_eq!((&snapshot["channel"], &snapshot["type"]), (&"book".into(), &"snapshot".into()));
    assert!(all[..99].iter().all(|of| Arc::strong_count(of) == 1), "who is gone is forgotten");
}
