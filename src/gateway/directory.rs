//! The gateway's read-only copy of what requests are resolved against, fed by released events, hence never
//! ahead of the disk. It makes refusals cheap; it never grants.

use std::sync::{Arc, RwLock};

use crate::engine::event::Event;
use crate::engine::reference::Reference;
use crate::engine::state::State;
use crate::sequencer::Stamped;

/// Assets and markets as released.
#[derive(Debug)]
pub struct Directory {
    reference: RwLock<Arc<Reference>>,
}

impl Directory {
    /// A copy of a recovered state.
    pub fn new(state: &State) -> Directory {
        Directory { reference: RwLock::new(Arc::new(state.reference.clone())) }
    }

    /// Follows released events.
    pub fn follow(&self, events: &[Stamped]) {
        for Stamped { event, .. } in events {
            match event {
                Event::AssetAdded(asset) => self.change(|reference| reference.add_asset(asset)),
                Event::MarketAdded(market) => self.change(|reference| reference.add_market(market)),
                _ => {}
            }
        }
    }

    /// Assets and markets as of the last release.
    pub fn reference(&self) -> Arc<Reference> {
        Arc::clone(&self.reference.read().expect("no holder of this lock panics"))
    }

    fn change(&self, change: impl FnOnce(&mut Reference)) {
        change(Arc::make_mut(&mut self.reference.write().expect("no holder of this lock panics")));
    }
}
