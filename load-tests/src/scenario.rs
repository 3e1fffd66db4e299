//! Scenarios: what to do, for how long, as settings in a TOML file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::error::LoadError;
use crate::load::LoadTiming;
use crate::record::Goal;

mod kind;

use kind::kind;
pub use kind::{
    Dashboards, FanOut, FanOutChannel, HalfLoad, Idle, Kind, Orders, Overload, Reconnect, Restart, SlowConsumers,
    Storages, Sweep, Withdrawal,
};

/// If the last replies take longer than this, the server has lost them.
const LAST_REPLIES_WAIT: Duration = Duration::from_secs(5);
/// In a shorter time nothing can be measured, and in none at all a rate has no meaning.
const SECONDS_MIN: f64 = 0.001;
/// A longer run is assumed to be a typing mistake.
const SECONDS_MAX: f64 = 24.0 * 3_600.0;

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
    /// Follow all private streams that the keys file gives access to, and check them.
    pub follow: bool,
    /// Seconds that the streams may take to catch up after a load.
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
    pub fn timing(&self) -> LoadTiming {
        LoadTiming { warm_up: seconds(self.warm_up), window: seconds(self.seconds), grace: LAST_REPLIES_WAIT }
    }

    fn check(&self) -> Result<(), String> {
        within_a_day("seconds", SECONDS_MIN, self.seconds)?;
        if !(0.0..=600.0).contains(&self.warm_up) {
            return Err("warm_up must be 0 to 600, in seconds".into());
        }
        if self.rounds == 0 || self.keys == 0 {
            return Err("rounds and keys are at least 1".into());
        }
        within_a_day("patience", 0.0, self.patience)
    }
}

/// Converts a setting that was checked.
fn seconds(setting: f64) -> Duration {
    Duration::try_from_secs_f64(setting).unwrap_or_default()
}

fn within_a_day(name: &str, least: f64, setting: f64) -> Result<(), String> {
    match (least..=SECONDS_MAX).contains(&setting) {
        true => Ok(()),
        false => Err(format!("{name} must be {least} to a day, in seconds")),
    }
}

impl Scenario {
    /// Reads a file and applies `overrides` (`NAME=VALUE`, a value as in TOML).
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
        // A name unknown to the kind may have been meant as one of the general settings.
        let every = |error: String| match error.starts_with("unknown field") && !error.contains(" in `") {
            true => format!(
                "{error}; and of every kind `{}`",
                of_every_kind.keys().cloned().collect::<Vec<_>>().join("`, `")
            ),
            false => error,
        };
        let kind = kind(own).map_err(|error| refuse(every(error)))?;
        kind.check(&general).map_err(refuse)?;
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

/// `rounds=5`, `mix.keep=10`, `shapes=["16x1"]`; anything but a TOML value is taken as text.
fn set(table: &mut Table, text: &str) -> Result<(), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    let parsed: Result<Table, _> = format!("value = {value}").parse();
    let value = parsed.ok().and_then(|mut parsed| parsed.remove("value")).unwrap_or_else(|| value.into());
    let mut path = path(name.trim());
    let last = path.pop().unwrap_or_default();
    let mut at = table;
    for part in path {
        let next = at.entry(&part).or_insert_with(|| Value::Table(Table::new()));
        at = next.as_table_mut().ok_or_else(|| format!("{part} is no table"))?;
    }
    at.insert(last, value);
    Ok(())
}

/// The tables and the name in a dotted name. The name of a goal may be quoted as in TOML, or not.
fn path(name: &str) -> Vec<String> {
    let Ok(mut table) = format!("{name} = 0").parse::<Table>() else {
        return name.split('.').map(str::to_owned).collect();
    };
    let mut path = Vec::new();
    while let Some((part, value)) = std::mem::take(&mut table).into_iter().next() {
        path.push(part);
        if let Value::Table(inner) = value {
            table = inner;
        }
    }
    path
}

#[cfg(test)]
mod tests;
