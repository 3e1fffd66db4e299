//! The topics of market data that a socket follows: subscribing and unsubscribing.

use std::mem::discriminant;
use std::sync::Arc;

use super::call::{Call, Continuation};
use super::dispatch::not_subscribed;
use super::inbound::{SubscribeOptions, WireError};
use super::outbound::Envelope;
use super::session::Session;
use super::topic_subscriber::TopicSubscriber;
use crate::access::operation::Operation;
use crate::domain::candles::INTERVALS;
use crate::domain::markets::EventTrigger;
use crate::domain::text::Symbol;
use crate::domain::time::Moment;
use crate::engine::reject::{Code, Reject};
use crate::market_data::{Channel, DEPTHS, ORDER_DEPTHS, Topic};
use crate::wire::results::Subscribed;

/// A topic, and the symbol by which the request names it.
type RequestedTopic = (Option<String>, Option<Topic>);

/// Symbols whose individual orders one socket may follow.
const LEVEL3_MAX: usize = 200;

impl Session {
    /// Continues with `level3` after the engine has admitted it.
    pub(super) async fn follow_orders(&mut self, call: Call, now: Moment) {
        // If the token before was refused, the stream would not end with the key's right.
        if !self.bound {
            return self.refused_call(&call, Code::NoToken.text(), now);
        }
        self.judging = false;
        let envelope = call.envelope(now);
        if let Continuation::Level3(channel) = call.then {
            self.follow_market(call.operation, *channel, envelope).await;
        }
    }

    /// One acknowledgement for each symbol, as in v2. It is written before the first frame, since meanwhile nothing is
    /// written directly or taken from the queue.
    pub(super) async fn follow_market(
        &mut self,
        operation: Operation,
        channel: SubscribeOptions,
        envelope: Envelope<'_>,
    ) {
        let topics = match self.topics_of(operation, &channel) {
            Ok(topics) => topics,
            Err(refusal) => return self.reply(envelope, Err(&refusal.text)),
        };
        let snapshot = channel.snapshot.unwrap_or(operation != Operation::Trade);
        for (symbol, topic) in topics {
            let Some(topic) = topic else {
                self.refuse_unknown(envelope, symbol.as_deref());
                continue;
            };
            if let Some(reject) = self.keeps_from(topic) {
                self.refuse_symbol(envelope, symbol.as_deref(), &reject.text());
                continue;
            }
            let (held, subscriber) = TopicSubscriber::open(&self.queue);
            if !self.gateway.market_data.subscribe(topic, Arc::new(subscriber), snapshot).await {
                self.refuse_symbol(envelope, symbol.as_deref(), Code::QueueFull.text());
                continue;
            }
            self.topics.insert(topic, held);
            let warnings = (operation == Operation::Ohlc).then(|| vec!["timestamp is deprecated, use interval_begin"]);
            let result = Subscribed { snapshot: Some(snapshot), warnings, ..acknowledged(operation, topic, symbol) };
            self.acknowledge(envelope, &result);
        }
    }

    /// One acknowledgement for each topic; no frame of it follows.
    pub(super) fn leave_market(&mut self, operation: Operation, channel: &SubscribeOptions, envelope: Envelope<'_>) {
        let topics = match self.topics_of(operation, channel) {
            Ok(topics) => topics,
            Err(refusal) => return self.reply(envelope, Err(&refusal.text)),
        };
        let exact = channel.depth.is_some() || channel.interval.is_some() || channel.event_trigger.is_some();
        for (symbol, topic) in topics {
            let Some(topic) = topic else {
                self.refuse_unknown(envelope, symbol.as_deref());
                continue;
            };
            let ended = self.meant(topic, exact);
            if ended.is_empty() {
                self.refuse_symbol(envelope, symbol.as_deref(), &not_subscribed().text());
            }
            for topic in ended {
                self.topics.remove(&topic);
                self.acknowledge(envelope, &acknowledged(operation, topic, symbol.clone()));
            }
        }
    }

    /// Refuses a symbol that has no market.
    fn refuse_unknown(&mut self, envelope: Envelope<'_>, symbol: Option<&str>) {
        let error = format!("Currency pair not supported {}", symbol.unwrap_or_default());
        self.refuse_symbol(envelope, symbol, &error);
    }

    /// Why a socket may not follow a topic, if so.
    fn keeps_from(&self, topic: Topic) -> Option<Reject> {
        if self.topics.contains_key(&topic) {
            return Some(Code::AlreadySubscribed.into());
        }
        // docs.kraken.com, `level3`.
        if let Topic::Market(market, Channel::Level3 { .. }) = topic {
            let followed = self.topics.keys().filter(|of| matches!(of, Topic::Market(_, Channel::Level3 { .. })));
            if followed.clone().any(|of| of.channel_of(market).is_some()) {
                return Some(Reject::invalid("depth", "one depth for each symbol; unsubscribe from the other"));
            }
            if followed.count() >= LEVEL3_MAX {
                return Some(Reject::invalid("symbol", format!("at most {LEVEL3_MAX} for each connection")));
            }
        }
        let advice = "this connection has reached its subscription limit; unsubscribe first";
        let full = self.topics.len() >= self.gateway.limits.subscriptions_per_connection;
        full.then(|| Reject::field(Code::LimitReached, "symbol", advice))
    }

    /// The topics that a request names, each with its symbol (`instrument` has none); no topic for a symbol without a
    /// market.
    fn topics_of(&self, operation: Operation, options: &SubscribeOptions) -> Result<Vec<RequestedTopic>, WireError> {
        if operation == Operation::Instrument {
            return Ok(vec![(None, Some(Topic::Instrument))]);
        }
        let symbols = options.symbols.as_ref().filter(|symbols| !symbols.is_empty());
        let symbols = symbols.ok_or(Code::NoSymbol)?;
        if symbols.len() > self.gateway.limits.subscriptions_per_connection {
            // Each name would have a reply of its own.
            return Err(WireError::field("symbol", "name no more symbols than a connection may follow"));
        }
        let channel = match operation {
            Operation::Book => Channel::Book { depth: one_of("depth", options.depth, &DEPTHS)? },
            Operation::Level3 => Channel::Level3 { depth: one_of("depth", options.depth, &ORDER_DEPTHS)? },
            Operation::Ohlc => Channel::Ohlc { interval: one_of("interval", options.interval, &INTERVALS)? },
            Operation::Trade => Channel::Trade,
            _ => Channel::Ticker { trigger: options.event_trigger.unwrap_or(EventTrigger::Trades) },
        };
        let reference = self.gateway.directory.reference();
        let of = |symbol: &String| {
            let found = Symbol::from(symbol).ok().and_then(|symbol| reference.find_market(&symbol).ok());
            (Some(symbol.clone()), found.map(|market| Topic::Market(market.id, channel)))
        };
        Ok(symbols.iter().map(of).collect())
    }

    /// The topics that an `unsubscribe` ends. Stock clients omit the depth, interval or trigger that they subscribed
    /// with (nautilus_trader, the venue's Rust SDK): then the default topic, or else all of the channel and market.
    fn meant(&self, topic: Topic, exact: bool) -> Vec<Topic> {
        if self.topics.contains_key(&topic) {
            return vec![topic];
        }
        let Topic::Market(market, channel) = topic else { return Vec::new() };
        let same = |of: &&Topic| {
            let of = of.channel_of(market).as_ref().map(discriminant);
            !exact && of == Some(discriminant(&channel))
        };
        let mut topics: Vec<Topic> = self.topics.keys().filter(same).copied().collect();
        topics.sort_unstable();
        topics
    }
}

/// The acknowledgement of a public topic.
fn acknowledged(operation: Operation, topic: Topic, symbol: Option<String>) -> Subscribed {
    let named = Subscribed { channel: operation.name(), symbol, ..Subscribed::default() };
    match topic {
        Topic::Market(_, Channel::Book { depth } | Channel::Level3 { depth }) => {
            Subscribed { depth: Some(depth), ..named }
        }
        Topic::Market(_, Channel::Ohlc { interval }) => Subscribed { interval: Some(interval), ..named },
        Topic::Market(_, Channel::Ticker { trigger }) => Subscribed { event_trigger: Some(trigger.into()), ..named },
        Topic::Market(_, Channel::Trade) | Topic::Instrument => named,
    }
}

/// The depth or interval that a request gives, or the first that is admissible.
fn one_of(field: &str, given: Option<u32>, admissible: &[u32]) -> Result<u32, WireError> {
    let value = given.unwrap_or(admissible[0]);
    if admissible.contains(&value) { Ok(value) } else { Err(WireError::none_of(field, admissible)) }
}
