//! Where released batches arrive: answers go to those who asked, events to those who follow.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::directory::Directory;
use crate::sequencer::handle::Outcome;
use crate::sequencer::{Release, Released};

/// Whom to answer; `None` when the journal failed and only a restart tells the outcome.
pub type Ticket = oneshot::Sender<Option<Outcome>>;

/// The gateway's end of the sequencer.
#[derive(Debug)]
pub struct Desk {
    directory: Arc<Directory>,
}

impl Desk {
    /// A desk that keeps `directory` up to date.
    pub fn new(directory: Arc<Directory>) -> Desk {
        Desk { directory }
    }
}

impl Release for Desk {
    type Ticket = Ticket;

    fn release(&mut self, batch: Released<Ticket>) {
        self.directory.follow(&batch.events);
        for (ticket, outcome) in batch.answers {
            // Who asked may have left; then nobody waits for the answer.
            let _ = ticket.send(Some(outcome));
        }
    }

    fn failed(&mut self, tickets: Vec<Ticket>) {
        for ticket in tickets {
            let _ = ticket.send(None);
        }
    }
}
