//! Scenarios: what to do, for how long, as settings in a TOML file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::error::LoadError;
use crate::load::{Duty, Shape};
use crate::mix::MixSettings;
use crate::publisher::VOTES_MAX;
use crate::record::Goal;

/// A server that takes longer for its last replies has lost them.
const LAST_REPLIES_WAIT: Duration = Duration::from_secs(5);
/// A run that is longer than this was a slip of the pen.
const SECONDS_MAX: f64 = 24.0 * 3_600.0;
/// Between events there is at least a microsecond and at most a little over a quarter of an hour.
const EVENTS: std::ops::RangeInclusive<f64> = 0.001..=1_000_000.0;

/// A scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The file's name without its ending.
    pub name: String,
    /// What every kind has.
    pub general: General,
    /// What it does.
    pub kind: Kind,
    /// All settings, defaults and overrides included, as TOML.
    pub settings: String,
}

/// Settings of every kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct General {
    /// What it shows, in a sentence.
    pub about: String,
    /// How often everything is measured.
    pub rounds: u32,
    /// Measured seconds of each measurement.
    pub seconds: f64,
    /// Seconds before that.
    pub warm_up: f64,
    /// How many keys connections take in turn; more than one needs keys made by `prepare`.
    pub keys: usize,
    /// Measure the baselines as well.
    pub baselines: bool,
    /// Follow all private streams of the keys and check them.
    pub follow: bool,
    /// Seconds that the streams may take after a load to tell everything.
    pub patience: f64,
    /// Count refusals instead of failing on them.
    pub allow_refusals: bool,
    /// What named results should be.
    pub goals: BTreeMap<String, Goal>,
}

impl Default for General {
    fn default() -> Self {
        Self {
            about: String::new(),
            rounds: 1,
            seconds: 5.0,
            warm_up: 0.3,
            keys: 1,
            baselines: false,
            follow: true,
            patience: 10.0,
            allow_refusals: false,
            goals: BTreeMap::new(),
        }
    }
}

impl General {
    /// As a duration.
    pub fn patience(&self) -> Duration {
        seconds(self.patience)
    }

    /// Warm-up and window.
    pub fn duty(&self) -> Duty {
        Duty { warm_up: seconds(self.warm_up), window: seconds(self.seconds), grace: LAST_REPLIES_WAIT }
    }

    fn check(&self) -> Result<(), String> {
        if !(self.seconds > 0.0 && self.seconds <= SECONDS_MAX && (0.0..=600.0).contains(&self.warm_up)) {
            return Err("seconds must be above 0 and at most a day, warm_up at most 600".into());
        }
        if self.rounds == 0 || self.keys == 0 {
            return Err("rounds and keys are at least 1".into());
        }
        within_a_day("patience", self.patience)
    }
}

/// Of a setting that was checked.
fn seconds(setting: f64) -> Duration {
    Duration::try_from_secs_f64(setting).unwrap_or_default()
}

fn within_a_day(name: &str, setting: f64) -> Result<(), String> {
    if (0.0..=SECONDS_MAX).contains(&setting) { Ok(()) } else { Err(format!("{name} must be 0 to a day, in seconds")) }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:literal $kind:ident)*) => {
        /// What a scenario does, with the settings of its own.
        #[derive(Debug, Clone, Serialize)]
        #[serde(tag = "kind")]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $name)] $kind($kind),)*
        }

        /// By the name that a file gives them.
        const KINDS: &[&str] = &[$($name),*];

        fn kind(mut own: Table) -> Result<Kind, String> {
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
        /// Orders a second meanwhile, whose events the sockets must be told after the return.
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
        /// Requests a second during the stall: so few that the system's buffers take what is told of them, as a server drops
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
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Orders(orders) if orders.shapes.is_empty() => Err("shapes is empty".into()),
            Self::Dashboards(dashboards) if !EVENTS.contains(&dashboards.events) => {
                Err(format!("events must be {} to {} a second", EVENTS.start(), EVENTS.end()))
            }
            Self::FanOut(fan_out) => fan_out.check(),
            Self::SlowConsumers(slow) if !(slow.ping > 0.0 && slow.ping <= SECONDS_MAX) => {
                Err("ping must be above 0 and at most a day, in seconds".into())
            }
            Self::SlowConsumers(slow) => {
                within_a_day("stall", slow.stall).and_then(|()| within_a_day("fill", slow.fill))
            }
            _ => Ok(()),
        }
    }
}

impl Dashboards {
    /// From one event to the next.
    pub fn every(&self) -> Duration {
        seconds(1.0 / self.events)
    }
}

impl SlowConsumers {
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

impl Scenario {
    /// Reads a file and lays `overrides` (`NAME=VALUE`, a value as in TOML) over it.
    ///
    /// # Errors
    /// The file cannot be read, or is not as [`Scenario::parse`] wants it.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, LoadError> {
        let text = std::fs::read_to_string(path).map_err(LoadError::io(format!("read {}", path.display())))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&name, &text, overrides)
    }

    /// Takes a scenario from text.
    ///
    /// # Errors
    /// No TOML, an unknown kind or name, a value out of range.
    pub fn parse(name: &str, text: &str, overrides: &[String]) -> Result<Self, LoadError> {
        let refuse = |error: String| LoadError::Setup(format!("scenario {name}: {error}"));
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| refuse(error.to_string()))?;
        for text in overrides {
            set(&mut table, text).map_err(refuse)?;
        }
        let of_every_kind = Table::try_from(General::default()).expect("settings are always TOML");
        let (general, own): (Table, Table) = table.into_iter().partition(|(key, _)| of_every_kind.contains_key(key));
        let general: General = typed(general).map_err(refuse)?;
        general.check().map_err(refuse)?;
        // A name that is none of the kind's may have been meant as one that every kind has.
        let every = |error: String| match error.starts_with("unknown field") && !error.contains(" in `") {
            true => format!(
                "{error}; and of every kind `{}`",
                of_every_kind.keys().cloned().collect::<Vec<_>>().join("`, `")
            ),
            false => error,
        };
        let kind = kind(own).map_err(|error| refuse(every(error)))?;
        kind.check().map_err(refuse)?;
        let settings = in_full(&general, &kind).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { name: name.into(), general, kind, settings })
    }

    /// The goal for a result of this name.
    pub fn goal(&self, result: &str) -> Option<Goal> {
        self.general.goals.get(result).copied()
    }
}

fn in_full(general: &General, kind: &Kind) -> Result<String, toml::ser::Error> {
    let mut all = Table::try_from(kind)?;
    all.extend(Table::try_from(general)?);
    toml::to_string(&all)
}

fn typed<T: DeserializeOwned>(table: Table) -> Result<T, String> {
    Value::Table(table).try_into().map_err(|error: toml::de::Error| error.to_string().trim_end().replace('\n', " "))
}

/// `rounds=5`, `mix.keep=10`, `shapes=["16x1"]`; what is no TOML value is taken as text.
fn set(table: &mut Table, text: &str) -> Result<(), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    let parsed: Result<Table, _> = format!("value = {value}").parse();
    let value = parsed.ok().and_then(|mut parsed| parsed.remove("value")).unwrap_or_else(|| value.into());
    let mut path: Vec<&str> = name.trim().split('.').collect();
    let last = path.pop().unwrap_or_default();
    let mut at = table;
    for part in path {
        let next = at.entry(part).or_insert_with(|| Value::Table(Table::new()));
        at = next.as_table_mut().ok_or_else(|| format!("{part} is no table"))?;
    }
    at.insert(last.into(), value);
    Ok(())
}

#[cfg(test)]
mod tests;
