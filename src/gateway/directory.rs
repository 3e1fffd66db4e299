//! The gateway's read-only copy of assets, markets, keys and Members, updated by released events, hence never ahead of
//! the disk. It resolves names, makes refusals cheap and has the sealed secrets for verification; it never grants a
//! right.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::engine::event::Event;
use crate::engine::keys::Keys;
use crate::engine::members::Members;
use crate::engine::reference::Reference;
use crate::engine::state::State;
use crate::sequencer::Stamped;

/// The copy as of the last release.
#[derive(Debug)]
pub struct Directory {
    reference: RwLock<Arc<Reference>>,
    keys: RwLock<Keys>,
    members: RwLock<Members>,
    /// The record of a Service User has changed since somebody waited for it last.
    keys_changed: Notify,
    halted: AtomicBool,
    /// The storage does not accept writes, so commands are refused.
    read_only: AtomicBool,
}

impl Directory {
    /// A copy of a recovered state.
    pub fn new(state: &State) -> Directory {
        Directory {
            reference: RwLock::new(Arc::new(state.reference.clone())),
            keys: RwLock::new(state.keys.clone()),
            members: RwLock::new(state.members.clone()),
            keys_changed: Notify::new(),
            halted: AtomicBool::new(state.halted.is_some()),
            read_only: AtomicBool::new(false),
        }
    }

    /// Applies released events.
    pub fn follow(&self, events: &[Arc<Stamped>]) {
        for stamped in events {
            let event = &stamped.event;
            match event {
                Event::AssetAdded(asset) => self.change(|reference| reference.add_asset(asset)),
                Event::MarketAdded(market) => self.change(|reference| reference.add_market(market)),
                Event::MarketStatusSet { market, status } => {
                    self.change(|reference| reference.set_status(*market, *status));
                }
                Event::VenueKeyChanged(_) => self.keys.write().apply(stamped.at, event),
                Event::ServiceUserChanged { .. } => {
                    self.keys.write().apply(stamped.at, event);
                    self.keys_changed.notify_one();
                }
                Event::OrganizationCreated(_)
                | Event::MemberChanged(_)
                | Event::SessionOpened(_)
                | Event::SessionClosed(_) => {
                    self.members.write().apply(event);
                }
                Event::Halted { reason } => {
                    self.halted.store(true, Ordering::Relaxed);
                    tracing::error!(reason, "the venue is halted");
                }
                Event::Resumed => {
                    self.halted.store(false, Ordering::Relaxed);
                    tracing::info!("the venue resumed");
                }
                _ => {}
            }
        }
    }

    /// The state that `status` reports while the server is not stopping.
    pub fn system(&self) -> &'static str {
        if self.is_read_only() {
            "maintenance"
        } else if self.is_halted() {
            "cancel_only"
        } else {
            "online"
        }
    }

    /// Whether the venue is halted (rule 35).
    pub fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Relaxed)
    }

    /// Whether commands are refused because the storage does not accept writes.
    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    /// Records whether commands are refused because the storage does not accept writes.
    pub fn set_read_only(&self, read_only: bool) {
        self.read_only.store(read_only, Ordering::Relaxed);
    }

    /// Assets and markets as of the last release.
    pub fn reference(&self) -> Arc<Reference> {
        Arc::clone(&self.reference.read())
    }

    /// Reads the keys; their nonces are not up to date.
    pub fn keys<T>(&self, ask: impl FnOnce(&Keys) -> T) -> T {
        ask(&self.keys.read())
    }

    /// Waits until the record of a Service User has changed since the last call; for one task.
    pub async fn keys_changed(&self) {
        self.keys_changed.notified().await;
    }

    /// Reads the Members; their spent codes are not up to date.
    pub fn members<T>(&self, ask: impl FnOnce(&Members) -> T) -> T {
        ask(&self.members.read())
    }

    fn change(&self, change: impl FnOnce(&mut Reference)) {
        change(Arc::make_mut(&mut self.reference.write()));
    }
}
