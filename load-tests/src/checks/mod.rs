//! What must hold on every private stream, whatever the load: a violated check fails the run.

pub mod balances;
pub mod causes;
pub mod custody;
pub mod entries;
pub mod numbering;

use serde::{Deserialize, Serialize};

use crate::error::LoadError;

/// Violations to describe, enough to see what is wrong; the rest is only counted.
const TOLD_MAX: usize = 10;

/// One check over one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked, on whose stream.
    pub name: String,
    /// How many things were looked at.
    pub looked_at: u64,
    /// How many were wrong.
    pub violations: u64,
    /// The first of them in words.
    pub reported: Vec<String>,
    /// It could not be made, for the reason in its name, which is not the server's fault.
    #[serde(default)]
    pub skipped: bool,
}

impl Check {
    /// Nothing seen yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), looked_at: 0, violations: 0, reported: Vec::new(), skipped: false }
    }

    /// One that cannot be made; the name says why.
    pub fn skipped(name: impl Into<String>) -> Self {
        Self { skipped: true, ..Self::new(name) }
    }

    /// A check of several outcomes, some of which may be failures.
    pub fn of_each(name: impl Into<String>, outcomes: impl IntoIterator<Item = Result<(), LoadError>>) -> Self {
        let mut check = Self::new(name);
        for outcome in outcomes {
            check.looked_at += 1;
            if let Err(error) = outcome {
                check.violated(error.to_string());
            }
        }
        check
    }

    /// Records a violation.
    pub fn violated(&mut self, what: String) {
        self.violations += 1;
        if self.reported.len() < TOLD_MAX {
            self.reported.push(what);
        }
    }

    /// Adds another stream's part of the same check.
    pub fn merge(&mut self, other: Self) {
        self.looked_at += other.looked_at;
        self.violations += other.violations;
        self.reported.extend(other.reported);
        self.reported.truncate(TOLD_MAX);
    }

    /// Whether something was checked and nothing was wrong.
    pub fn holds(&self) -> bool {
        self.wrong().is_none()
    }

    /// What was wrong, and on whose stream. A check that saw nothing proves nothing, unless it was skipped.
    pub fn wrong(&self) -> Option<String> {
        let Self { name, looked_at, violations, reported, skipped } = self;
        match (violations, looked_at) {
            (0, 0) if !skipped => Some(format!("{name}: there was nothing to look at")),
            (0, _) => None,
            _ => Some(format!("{name}: {violations} of {looked_at}: {}", reported.join("; "))),
        }
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.wrong(), self.looked_at) {
            (Some(wrong), _) => write!(formatter, "FAILED  {wrong}"),
            (None, 0) => write!(formatter, "skipped {}", self.name),
            (None, looked_at) => write!(formatter, "holds   {} ({looked_at} looked at)", self.name),
        }
    }
}
