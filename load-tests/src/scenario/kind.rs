//! The kinds of scenarios, each with the settings of its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Table;

use super::{General, SECONDS_MIN, seconds, typed, within_a_day};
use crate::arrival::Arrival;
use crate::load::Shape;
use crate::mix::{Mix, MixSettings};
use crate::publisher::VOTES_MAX;

/// Between events there is at least a microsecond and at most a little over a quarter of an hour.
const EVENTS: std::ops::RangeInclusive<f64> = 0.001..=1_000_000.0;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:literal $kind:ident)*) => {
        /// What a scenario does, with the settings of its own.
        #[derive(Debug, Clone, Serialize)]
        #[serde(tag = "kind")]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $name)] $kind($kind),)*
        }

        /// By the name that a file gives them.
        pub(super) const KINDS: &[&str] = &[$($name),*];

        /// Takes the settings that are of a kind alone, and their `kind`.
        pub(super) fn kind(mut own: Table) -> Result<Kind, String> {
            let kind = own.remove("kind").ok_or("kind is missing")?;
            Ok(match kind.as_str().unwrap_or_default() {
                $($name => Kind::$kind(typed(own)?),)*
                _ => return Err(format!("there is no kind {kind}, only {}", KINDS.join(", "))),
            })
        }
    };
}

kinds! {
    /// Orders, and whatever else is in the mix.
    "orders" Orders
    /// Orders at rising rates until the server does not keep up.
    "sweep" Sweep
    /// Orders at saturation and at half of it, the server beside D.
    "half_load" HalfLoad
    /// Orders at several times what the server carries.
    "overload" Overload
    /// Orders without and with Members' dashboards that hear of withdrawals and votes.
    "dashboards" Dashboards
    /// One event to many sockets, beside raw writes of a frame as long.
    "fan_out" FanOut
    /// All sockets lost and opened again at once.
    "reconnect" Reconnect
    /// Memory of sockets that do nothing.
    "idle" Idle
    /// The server killed under load and started again on its data.
    "restart" Restart
    /// Orders without and with subscribers that do not read.
    "slow_consumers" SlowConsumers
    /// Orders to a server on SQLite and to one on Postgres.
    "storages" Storages
}

macro_rules! settings {
    ($($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    )*};
}

settings! {
    /// Of `orders`.
    Orders {
        /// Connections × requests in flight; of an open loop only the connections count.
        shapes: Vec<Shape> = vec![Shape { connections: 64, in_flight: 16 }],
        /// Requests a second over all connections, which makes it an open loop.
        rate: Option<f64> = None,
        /// Subscribes each connection to this channel.
        subscribe: Option<String> = None,
        /// Withdrawals that are approved, released and confirmed beside the server's load, at once and then every minute.
        withdrawals: u16 = 0,
        /// Each of them.
        withdrawal: Withdrawal = Withdrawal::default(),
        /// What is sent; the baselines get the limit orders alone.
        mix: MixSettings = MixSettings::default(),
    }
    /// Of `sweep`.
    Sweep {
        /// How many sockets.
        connections: u16 = 64,
        /// The first rate, in requests a second.
        from: f64 = 1_000.0,
        /// Each further rate is this many times the one before.
        factor: f64 = 1.5,
        /// At most this many rates.
        steps: u32 = 15,
        /// What is sent.
        mix: MixSettings = MixSettings::default(),
    }
    /// Of `half_load`.
    HalfLoad {
        /// Of the closed loop that finds saturation; its connections serve the open loop too.
        shape: Shape = Shape { connections: 64, in_flight: 16 },
        /// What is sent.
        mix: MixSettings = MixSettings::default(),
    }
    /// Of `overload`.
    Overload {
        /// Of the closed loop that finds the capacity; its connections serve the open loop too.
        shape: Shape = Shape { connections: 64, in_flight: 16 },
        /// Of the capacity, what is asked for.
        factor: f64 = 2.0,
        /// What the withdrawals ask for that are voted on meanwhile.
        withdrawal: Withdrawal = Withdrawal::default(),
        /// What is sent.
        mix: MixSettings = MixSettings::default(),
    }
    /// Of `dashboards`.
    Dashboards {
        /// Of the orders.
        shape: Shape = Shape { connections: 16, in_flight: 1 },
        /// Members' sockets, each subscribed to `approvals`.
        dashboards: u16 = 1_000,
        /// Withdrawals requested and votes cast, a second; each is one event to every dashboard.
        events: f64 = 20.0,
        /// What the withdrawals ask for.
        withdrawal: Withdrawal = Withdrawal::default(),
        /// What is sent.
        mix: MixSettings = MixSettings::default(),
    }
    /// Of `fan_out`.
    FanOut {
        /// Subscribed sockets.
        connections: u16 = 1_000,
        /// `trade`: market orders that trade. `approvals`: withdrawals requested and voted on.
        channel: FanOutChannel = FanOutChannel::Trade,
        /// Events under way at once, in turn: 1 is event by event, more lets the server coalesce. See [`FanOut::batches`].
        ahead: Vec<u16> = vec![1, 16],
        /// Market of the trades.
        symbol: String = "BTC/USD".into(),
        /// Base units of each trade, as text.
        quantity: String = "0.00010000".into(),
        /// What the withdrawals ask for.
        withdrawal: Withdrawal = Withdrawal::default(),
    }
    /// Of `reconnect`.
    Reconnect {
        /// Sockets, each subscribed to `executions`.
        connections: u16 = 500,
        /// How often all are lost and opened again.
        waves: u32 = 3,
        /// Orders a second meanwhile, whose events the sockets must get after the return.
        rate: f64 = 200.0,
        /// What is sent meanwhile.
        mix: MixSettings = MixSettings::default(),
    }
    /// Of `idle`.
    Idle {
        /// Sockets to hold.
        connections: u16 = 5_000,
        /// Subscribes each to this private channel.
        subscribe: Option<String> = None,
    }
    /// Of `restart`.
    Restart {
        /// Of the orders that fill the journal.
        shape: Shape = Shape { connections: 64, in_flight: 16 },
        /// In the journal, for the seconds of a start-up to be a result.
        events: u64 = 0,
        /// What is sent.
        mix: MixSettings = MixSettings::default(),
    }
    /// Of `slow_consumers`.
    SlowConsumers {
        /// Of the orders.
        shape: Shape = Shape { connections: 16, in_flight: 1 },
        /// Sockets that subscribe to `channel` and then do not read.
        stalled: u16 = 1_000,
        /// Seconds of orders at `rate` at first.
        stall: f64 = 0.0,
        /// Requests a second during the stall: so few that the system's buffers take what is sent about them, as a server drops
        /// who takes nothing for long.
        rate: f64 = 500.0,
        /// Seconds of the load right before the measurement with them, until the system's buffers are full.
        fill: f64 = 15.0,
        /// Seconds after which each shows again that it is there.
        ping: f64 = 5.0,
        /// Public or private.
        channel: String = "book".into(),
        /// What is sent.
        mix: MixSettings = MixSettings::default(),
    }
    /// Of `storages`.
    Storages {
        /// Of the orders.
        shape: Shape = Shape { connections: 64, in_flight: 16 },
        /// What is sent.
        mix: MixSettings = MixSettings::default(),
    }
    /// A withdrawal that needs approval.
    Withdrawal {
        /// Asset.
        asset: String = "BTC".into(),
        /// Name of an approved address.
        key: String = "cold-1".into(),
        /// As text.
        amount: String = "0.00100000".into(),
    }
}

/// What a fan-out publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FanOutChannel {
    /// Public trades.
    Trade,
    /// Requests of an Organization, to its Members.
    Approvals,
}

impl Kind {
    /// Refuses what it does not know, `general` settings among them, and what is out of range.
    pub(super) fn check(&self, general: &General) -> Result<(), String> {
        if general.baselines && !self.may_have_baselines() {
            return Err("baselines: of this kind they are measured always, or never".into());
        }
        if general.keys > 1 && matches!(self, Self::FanOut(_) | Self::Reconnect(_)) {
            return Err("keys: this kind takes one".into());
        }
        if general.keys > 1 && self.asks_for_withdrawals() {
            return Err("keys: withdrawals take one, whose Organization has an approved address".into());
        }
        self.mix().map_or(Ok(()), |mix| Mix::new(mix).map(drop).map_err(|error| error.to_string()))?;
        match self {
            Self::Orders(orders) if orders.shapes.is_empty() => Err("shapes is empty".into()),
            Self::Orders(orders) if orders.withdrawals > VOTES_MAX => {
                Err(format!("withdrawals is at most {VOTES_MAX}, which one vote may carry"))
            }
            Self::Orders(orders) => orders.rate.map_or(Ok(()), |rate| sent("rate", rate)),
            Self::Sweep(sweep) => {
                at_least_one("connections", sweep.connections)?;
                at_least_one("steps", sweep.steps)?;
                above_one("factor", sweep.factor).and_then(|()| sent("from", sweep.from))
            }
            Self::Overload(overload) => above_one("factor", overload.factor),
            Self::Dashboards(dashboards) if !EVENTS.contains(&dashboards.events) => {
                Err(format!("events must be {} to {} a second", EVENTS.start(), EVENTS.end()))
            }
            Self::Dashboards(dashboards) => at_least_one("dashboards", dashboards.dashboards),
            Self::FanOut(fan_out) => fan_out.check(),
            Self::Reconnect(reconnect) => {
                at_least_one("connections", reconnect.connections)?;
                at_least_one("waves", reconnect.waves).and_then(|()| sent("rate", reconnect.rate))
            }
            Self::Idle(idle) => at_least_one("connections", idle.connections),
            Self::SlowConsumers(slow) => slow.check(),
            Self::HalfLoad(_) | Self::Restart(_) | Self::Storages(_) => Ok(()),
        }
    }

    fn may_have_baselines(&self) -> bool {
        match self {
            Self::Orders(_) | Self::Sweep(_) | Self::Dashboards(_) | Self::FanOut(_) | Self::Restart(_) => true,
            Self::HalfLoad(_)
            | Self::Overload(_)
            | Self::Reconnect(_)
            | Self::Idle(_)
            | Self::SlowConsumers(_)
            | Self::Storages(_) => false,
        }
    }

    fn asks_for_withdrawals(&self) -> bool {
        match self {
            Self::Orders(orders) => orders.withdrawals > 0,
            Self::Overload(_) | Self::Dashboards(_) => true,
            Self::FanOut(fan_out) => fan_out.channel == FanOutChannel::Approvals,
            Self::Sweep(_)
            | Self::HalfLoad(_)
            | Self::Reconnect(_)
            | Self::Idle(_)
            | Self::Restart(_)
            | Self::SlowConsumers(_)
            | Self::Storages(_) => false,
        }
    }

    fn mix(&self) -> Option<&MixSettings> {
        match self {
            Self::Orders(Orders { mix, .. })
            | Self::Sweep(Sweep { mix, .. })
            | Self::HalfLoad(HalfLoad { mix, .. })
            | Self::Overload(Overload { mix, .. })
            | Self::Dashboards(Dashboards { mix, .. })
            | Self::Reconnect(Reconnect { mix, .. })
            | Self::Restart(Restart { mix, .. })
            | Self::SlowConsumers(SlowConsumers { mix, .. })
            | Self::Storages(Storages { mix, .. }) => Some(mix),
            Self::FanOut(_) | Self::Idle(_) => None,
        }
    }
}

fn at_least_one(name: &str, setting: impl Into<u32>) -> Result<(), String> {
    if setting.into() > 0 { Ok(()) } else { Err(format!("{name} is at least 1")) }
}

fn above_one(name: &str, setting: f64) -> Result<(), String> {
    if setting > 1.0 && setting.is_finite() { Ok(()) } else { Err(format!("{name} must be above 1")) }
}

fn sent(name: &str, per_second: f64) -> Result<(), String> {
    Arrival::open(per_second).map(drop).map_err(|error| format!("{name}: {error}"))
}

impl Dashboards {
    /// From one event to the next.
    pub fn every(&self) -> Duration {
        seconds(1.0 / self.events)
    }
}

impl SlowConsumers {
    fn check(&self) -> Result<(), String> {
        within_a_day("ping", SECONDS_MIN, self.ping)?;
        at_least_one("stalled", self.stalled)?;
        // Without a stall there is none to measure.
        within_a_day("stall", if self.stall == 0.0 { 0.0 } else { SECONDS_MIN }, self.stall)?;
        within_a_day("fill", 0.0, self.fill).and_then(|()| sent("rate", self.rate))
    }

    /// As a duration.
    pub fn stall(&self) -> Duration {
        seconds(self.stall)
    }

    /// As a duration.
    pub fn fill(&self) -> Duration {
        seconds(self.fill)
    }

    /// As a duration.
    pub fn ping(&self) -> Duration {
        seconds(self.ping)
    }
}

impl FanOut {
    /// `ahead` as it is measured: 1 always and first, since what is written raw beside all of them is as long as a frame that
    /// carries a single event.
    pub fn batches(&self) -> Vec<u16> {
        let mut batches = vec![1];
        for ahead in &self.ahead {
            if !batches.contains(ahead) {
                batches.push(*ahead);
            }
        }
        batches
    }

    fn check(&self) -> Result<(), String> {
        at_least_one("connections", self.connections)?;
        let most = match self.channel {
            FanOutChannel::Trade => u16::MAX,
            FanOutChannel::Approvals => VOTES_MAX,
        };
        match self.ahead.iter().find(|ahead| !(1..=most).contains(*ahead)) {
            _ if self.ahead.is_empty() => Err("ahead is empty".into()),
            Some(ahead) => Err(format!("ahead is 1 to {most}, not {ahead}")),
            None => Ok(()),
        }
    }
}
