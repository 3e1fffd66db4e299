//! What happens when the journal fails. If it may accept writes again, queries are answered from what is on disk and
//! commands are refused (law 1); if not, everybody who waits gets that answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::batch::{Release, Released};
use super::handle::{Answer, Group, Inbox, Submission, Work};
use super::{Sequencer, recovery};
use crate::domain::time::Moment;
use crate::engine::Engine;
use crate::engine::reject::{Code, Reject};
use crate::storage::journal::JournalError;

/// How often it is checked whether the storage accepts writes again.
const PROBE: Duration = Duration::from_secs(1);

impl<R: Release> Sequencer<R> {
    /// Serves reads after a failed append until the storage accepts writes again. The failed batch is dropped twice:
    /// from the state, before a query is answered, and from the disk, where a probe makes sure that it cannot come
    /// back. Then the state is read back once more, each row checked against the one before, so that nothing is
    /// acknowledged after rows that do not exist.
    ///
    /// # Errors
    /// `cause` if reads cannot be served either, or if the queue is closed in the meantime.
    pub(super) async fn read_only(&mut self, cause: JournalError) -> Result<(), JournalError> {
        if !is_passing(&cause) {
            return Err(cause);
        }
        if let Err(error) = self.go_back().await {
            tracing::error!(%error, "the state could not be read back from disk; restart the server");
            return Err(cause);
        }
        self.release.accepting(false);
        self.until_writable(cause).await
    }

    /// Serves reads until the storage accepts writes.
    ///
    /// # Errors
    /// As [`read_only`](Sequencer::read_only).
    pub(super) async fn until_writable(&mut self, cause: JournalError) -> Result<(), JournalError> {
        let Sequencer { engine, journal, inbox, clock, release, .. } = self;
        let mut reads = Reads { engine, inbox, clock: *clock, release };
        loop {
            if reads.until(sleep(PROBE)).await.is_none() {
                return Err(cause);
            }
            // A probe may take as long as the disk does; reads do not wait for it.
            let mut probe = pin!(journal.probe());
            let Some(probed) = reads.until(probe.as_mut()).await else {
                // Its disk work must end before another process may get the fence.
                let _ = probe.await;
                return Err(cause);
            };
            match probed {
                Err(error) if is_passing(&error) => {}
                probed => break probed?,
            }
        }
        if let Err(error) = self.go_back().await {
            tracing::error!(%error, "acknowledged events are no longer on disk; restart the server");
            return Err(cause);
        }
        tracing::info!("the storage takes writes again; commands are accepted");
        self.release.accepting(true);
        Ok(())
    }

    /// Answers everybody left: the outcome of what the engine has executed is not known, and of what is still waiting
    /// nothing was done. Accepts nothing more.
    pub(super) async fn give_up(&mut self) {
        self.forget_unanswered();
        self.inbox.close();
        while let Some(group) = self.inbox.next().await {
            let refuse = |of: Submission<R::Ticket>| (of.ticket, Err(Reject::of(Code::ReadOnly)));
            let answers = group.submissions.into_iter().map(refuse).collect();
            self.release.release(Released { events: Arc::default(), answers, waiting: self.inbox.waiting() });
        }
    }

    /// What the engine executed without an answer may or may not be on disk.
    pub(super) fn forget_unanswered(&mut self) {
        let durable = self.durable.take().map(|durable| durable.batch.answers);
        let open = [std::mem::take(&mut self.in_flight).answers, std::mem::take(&mut self.open).answers];
        let unanswered: Vec<_> = durable.into_iter().chain(open).flatten().map(|(ticket, _)| ticket).collect();
        if !unanswered.is_empty() {
            self.release.failed(unanswered);
        }
    }

    /// Drops what the engine did after the last durable batch: its state is read back from the journal.
    async fn go_back(&mut self) -> Result<(), recovery::RecoveryError> {
        let state = recovery::recover(&self.reader, &self.snapshots).await?;
        let (found, expected) = (state.seq.0, self.journal.head().seq);
        if found != expected {
            return Err(JournalError::Conflict { expected: expected + 1, found: found + 1 }.into());
        }
        self.engine = Engine::new(state).with_tiers(self.tiers.clone());
        Ok(())
    }
}

/// Serves reads of a state of which nothing is on its way to the disk.
struct Reads<'a, R: Release> {
    engine: &'a Engine,
    inbox: &'a mut Inbox<R::Ticket>,
    clock: fn() -> Moment,
    release: &'a mut R,
}

impl<R: Release> Reads<'_, R> {
    /// Answers what arrives until `done` completes; `None` when the queue is closed before that.
    async fn until<T>(&mut self, done: impl Future<Output = T>) -> Option<T> {
        let mut done = pin!(done);
        loop {
            tokio::select! {
                biased;
                outcome = &mut done => return Some(outcome),
                group = self.inbox.next() => self.look_up(group?),
            }
        }
    }

    /// Answers queries at once, and refuses commands.
    fn look_up(&mut self, group: Group<R::Ticket>) {
        let now = (self.clock)();
        let look_up = |Submission { by, work, ticket }| {
            let outcome = match work {
                Work::Command(_) => Err(Reject::of(Code::ReadOnly)),
                Work::Query(query) => self.engine.query(now, &by, &query).map(Answer::View),
            };
            (ticket, outcome)
        };
        let answers = group.submissions.into_iter().map(look_up).collect();
        self.release.release(Released { events: Arc::default(), answers, waiting: self.inbox.waiting() });
    }
}

/// Whether a journal that failed this way may accept writes again.
pub(super) fn is_passing(error: &JournalError) -> bool {
    matches!(error, JournalError::Unwritable(_) | JournalError::Unsynced(_))
}
