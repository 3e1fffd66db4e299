//! The last items of one private channel, so that a client that reconnects gets exactly what it missed (rules 41, 42).

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use super::outbound::items;
use crate::domain::ids::Seq;
use crate::engine::reference::Reference;
use crate::engine::streams::Route;
use crate::sequencer::Stamped;

/// An item of a private channel.
#[derive(Clone, Debug)]
pub struct Item {
    /// The event that it is an item of.
    pub stamped: Arc<Stamped>,
    /// Which of the event's items it is.
    pub route: Route,
    /// The text, for an item with several readers: rendered once, by the first that needs it.
    text: Option<Arc<OnceLock<Box<str>>>>,
}

impl Item {
    /// The item of an event for a route, for one reader.
    pub fn new(stamped: Arc<Stamped>, route: Route) -> Item {
        Item { stamped, route, text: None }
    }

    /// The same for several: its copies share one text.
    pub fn shared(stamped: Arc<Stamped>, route: Route) -> Item {
        Item { stamped, route, text: Some(Arc::default()) }
    }

    /// Its position (rule 41).
    pub fn offset(&self) -> u64 {
        self.route.offset(self.stamped.seq)
    }

    /// Appends the item as JSON.
    pub fn write(&self, out: &mut String, reference: &Reference) {
        match self.text(reference) {
            Some(text) => out.push_str(text),
            None => items::write(out, reference, &self.stamped, &self.route),
        }
    }

    /// The text that its copies share, if it is shared.
    pub(super) fn text(&self, reference: &Reference) -> Option<&str> {
        let text = self.text.as_ref()?.get_or_init(|| {
            let mut text = String::new();
            items::write(&mut text, reference, &self.stamped, &self.route);
            text.into_boxed_str()
        });
        Some(text)
    }
}

/// Why a stream cannot resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Some of what was missed is no longer kept.
    TooOld,
    /// No item of this channel ever had that offset.
    Unknown,
}

/// The last items of a channel, in order.
#[derive(Debug)]
pub struct Ring {
    /// The events and which of their items; an item is built when it is read.
    items: VecDeque<(Arc<Stamped>, Route)>,
    /// The ring has everything after this offset.
    complete_from: u64,
    /// Items at most.
    max: usize,
}

impl Ring {
    /// An empty ring for a channel; every item after `at` will be added, and the last `max` are kept.
    pub fn since(at: Seq, max: usize) -> Ring {
        Ring { items: VecDeque::new(), complete_from: at.snapshot_offset(), max }
    }

    /// Adds the next item; a full ring drops its oldest. Returns whether it has one more now.
    pub fn push(&mut self, stamped: &Arc<Stamped>, route: Route) -> bool {
        let full = self.items.len() >= self.max;
        if full {
            self.shorten();
        }
        self.items.push_back((Arc::clone(stamped), route));
        !full
    }

    /// Drops the oldest item.
    pub fn shorten(&mut self) {
        if let Some(oldest) = self.items.pop_front() {
            self.complete_from = offset(&oldest);
        }
    }

    /// All items, as of `at`.
    pub fn all(&self, at: Seq) -> Vec<Item> {
        self.items.iter().filter(|kept| kept.0.seq <= at).map(item).collect()
    }

    /// The items after `offset`, as of `at`; zero is the beginning of the journal.
    pub fn after(&self, offset: u64, at: Seq) -> Result<Vec<Item>, Gap> {
        if offset == 0 && self.complete_from == Seq(0).snapshot_offset() {
            return Ok(self.all(at));
        }
        if offset > at.snapshot_offset() {
            return Err(Gap::Unknown);
        }
        if offset < self.complete_from {
            return Err(Gap::TooOld);
        }
        let next = self.items.partition_point(|kept| self::offset(kept) <= offset);
        let ours = offset == self.complete_from
            || Seq::is_snapshot_offset(offset)
            || next.checked_sub(1).is_some_and(|last| self::offset(&self.items[last]) == offset);
        if !ours {
            return Err(Gap::Unknown);
        }
        Ok(self.items.range(next..).filter(|kept| kept.0.seq <= at).map(item).collect())
    }
}

fn offset((stamped, route): &(Arc<Stamped>, Route)) -> u64 {
    route.offset(stamped.seq)
}

fn item((stamped, route): &(Arc<Stamped>, Route)) -> Item {
    Item::new(Arc::clone(stamped), *route)
}
