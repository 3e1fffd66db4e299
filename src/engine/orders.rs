//! Orders: checks, holds, matching, fees, self-trade prevention, cancels and client ids.

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::ledger::Ledger;
use super::reference::Reference;
use crate::domain::markets::Market;
use crate::domain::time::Moment;

/// Open orders, books and recent client ids.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Orders {}

impl Orders {
    /// Opens the book of a new market.
    pub fn add_market(&mut self, _market: &Market) {}

    /// Folds an event in; holds follow the orders' `held`.
    pub fn apply(&mut self, _at: Moment, _event: &Event, _reference: &Reference, _ledger: &mut Ledger) {}
}
