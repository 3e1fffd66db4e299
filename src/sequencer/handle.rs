//! The sequencer's bounded queue. A session submits what one read brought as one `Vec`; if full, it refuses at once.
//!
//! The last quarter of the queue is a reserve for cancels, votes and other commands that must get through under
//! overload.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::stages::Stages;
use crate::access::principal::Principal;
use crate::engine::command::Command;
use crate::engine::query::{Query, View};
use crate::engine::rates::Rate;
use crate::engine::reject::Reject;
use crate::engine::reply::Reply;

/// One in this many of the queue's places is the reserve.
const RESERVE: usize = 4;

/// What is submitted.
#[derive(Clone, Debug)]
pub enum Work {
    /// May change state.
    Command(Command),
    /// Only reads.
    Query(Query),
}

impl Work {
    /// Whether it may use the reserve. So may the check of a token's key, since cancels that need it come after it.
    fn has_reserve(&self) -> bool {
        match self {
            Work::Command(command) => command.has_reserve(),
            Work::Query(query) => matches!(query, Query::Bind(_)),
        }
    }
}

/// A command or query; the ticket says where its answer goes.
#[derive(Debug)]
pub struct Submission<T> {
    /// Who asks.
    pub by: Principal,
    /// The command or query.
    pub work: Work,
    /// Where the answer goes.
    pub ticket: T,
}

/// What the engine answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a command; with the key's rate counter, if it has one.
    Reply(Reply, Option<Rate>),
    /// To a query.
    View(View),
}

/// An answer or a refusal.
pub type Outcome = Result<Answer, Reject>;

/// The queue is full, or the sequencer has stopped. Returns what was not accepted.
#[derive(Debug)]
pub struct Unavailable<T>(pub Vec<Submission<T>>);

/// What one session submitted together.
#[derive(Debug)]
pub(super) struct Group<T> {
    pub(super) submissions: Vec<Submission<T>>,
    /// Since when it is where it is: in the queue, or with the engine.
    pub(super) since: Instant,
}

/// A way into the sequencer. Cheap to clone; the sequencer stops when the last one is dropped.
#[derive(Debug)]
pub struct Handle<T> {
    inbox: mpsc::Sender<Group<T>>,
    waiting: Arc<AtomicUsize>,
    max: usize,
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Handle<T> {
        Handle { inbox: self.inbox.clone(), waiting: Arc::clone(&self.waiting), max: self.max }
    }
}

impl<T> Handle<T> {
    /// Submits as many as fit, in order: after the first refused one, only those that may use the reserve are accepted.
    ///
    /// # Errors
    /// Those not accepted, because the queue is full or the sequencer has stopped.
    pub fn submit(&self, mut submissions: Vec<Submission<T>>) -> Result<(), Unavailable<T>> {
        let ordinary_max = self.max - self.max / RESERVE;
        let mut refused = Vec::new();
        let before = self.waiting.fetch_add(submissions.len(), Ordering::Relaxed);
        if before + submissions.len() > ordinary_max {
            let mut waiting = before;
            let fits = |submission: &Submission<T>| {
                let fits = waiting < if submission.work.has_reserve() { self.max } else { ordinary_max };
                waiting += usize::from(fits);
                fits
            };
            (submissions, refused) = submissions.into_iter().partition(fits);
            self.waiting.fetch_sub(refused.len(), Ordering::Relaxed);
        }
        let count = submissions.len();
        if count > 0
            && let Err(error) = self.inbox.try_send(Group { submissions, since: Instant::now() })
        {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            refused.extend(error.into_inner().submissions);
        }
        if refused.is_empty() { Ok(()) } else { Err(Unavailable(refused)) }
    }

    /// Submissions that wait right now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether the sequencer accepts anything; not once the journal has failed.
    pub fn is_open(&self) -> bool {
        !self.inbox.is_closed()
    }
}

/// The sequencer's end of the queue.
pub(super) struct Inbox<T> {
    queue: mpsc::Receiver<Group<T>>,
    waiting: Arc<AtomicUsize>,
    stages: Arc<Stages>,
}

/// A queue that holds `max` submissions, and both its ends.
pub(super) fn queue<T>(max: usize, stages: Arc<Stages>) -> (Handle<T>, Inbox<T>) {
    let (sender, receiver) = mpsc::channel(max);
    let waiting = Arc::new(AtomicUsize::new(0));
    (Handle { inbox: sender, waiting: Arc::clone(&waiting), max }, Inbox { queue: receiver, waiting, stages })
}

impl<T> Inbox<T> {
    /// The next submissions; `None` once every handle is gone and the queue is empty.
    pub(super) async fn next(&mut self) -> Option<Group<T>> {
        let group = self.queue.recv().await?;
        Some(self.taken(group))
    }

    /// Submissions that wait right now.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Accepts no more submissions; the waiting ones can still be taken with [`next`](Inbox::next).
    pub(super) fn close(&mut self) {
        self.queue.close();
    }

    /// What is waiting right now, if anything.
    pub(super) fn ready(&mut self) -> Option<Group<T>> {
        let group = self.queue.try_recv().ok()?;
        Some(self.taken(group))
    }

    fn taken(&self, Group { submissions, since: submitted }: Group<T>) -> Group<T> {
        self.waiting.fetch_sub(submissions.len(), Ordering::Relaxed);
        let since = Instant::now();
        self.stages.queue.observe(since - submitted);
        Group { submissions, since }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::domain::ids::ServiceUserId;

    fn ask(ticket: usize) -> Submission<usize> {
        let by = Principal::public(Ipv4Addr::LOCALHOST.into());
        Submission { by, work: Work::Query(Query::KeyInfo), ticket }
    }

    fn cancel(ticket: usize) -> Submission<usize> {
        Submission { work: Work::Command(Command::CancelAll), ..ask(ticket) }
    }

    fn tickets(submissions: &[Submission<usize>]) -> Vec<usize> {
        submissions.iter().map(|submission| submission.ticket).collect()
    }

    #[tokio::test]
    async fn d6_76_the_server_itself_ends_sessions_and_cancels_for_who_is_gone_in_a_full_queue() {
        let (handle, mut inbox) = queue(4, Arc::default());
        handle.submit((0..3).map(ask).collect()).unwrap();
        for command in [Command::CloseMemberSession { cookie_hash: [0; 32] }, Command::Disconnected(ServiceUserId(1))] {
            assert!(handle.submit(vec![ask(3)]).is_err());
            handle.submit(vec![Submission { work: Work::Command(command), ..ask(4) }]).unwrap();
            assert_eq!(inbox.next().await.unwrap().submissions.len(), 3);
            assert_eq!(tickets(&inbox.next().await.unwrap().submissions), [4]);
            handle.submit((0..3).map(ask).collect()).unwrap();
        }
    }

    #[tokio::test]
    async fn d6_76_the_last_quarter_of_the_queue_is_kept_for_cancels_and_votes() {
        let (handle, mut inbox) = queue(40, Arc::default());
        handle.submit((0..29).map(ask).collect()).unwrap();
        let Unavailable(back) = handle.submit(vec![ask(1), cancel(2), ask(3), cancel(4)]).unwrap_err();
        assert_eq!(tickets(&back), [3]);
        handle.submit((5..12).map(cancel).collect()).unwrap();
        handle.submit(vec![cancel(12)]).unwrap();
        let Unavailable(back) = handle.submit(vec![ask(13), cancel(14)]).unwrap_err();
        assert_eq!(tickets(&back), [13, 14], "the reserve has an end as well");
        assert_eq!(inbox.next().await.unwrap().submissions.len(), 29);
        let mut taken = Vec::new();
        while let Some(group) = inbox.ready() {
            taken.extend(tickets(&group.submissions));
        }
        assert_eq!(taken, [vec![1, 2, 4], (5..13).collect()].concat());
        handle.submit((0..30).map(ask).collect()).unwrap();
    }

    #[tokio::test]
    async fn d6_76_of_more_than_the_queue_holds_as_much_is_taken_as_fits_in_order() {
        let (handle, mut inbox) = queue(16, Arc::default());
        for kind in [ask, cancel] {
            let Unavailable(back) = handle.submit((0..17).map(kind).collect()).unwrap_err();
            let taken = tickets(&inbox.ready().unwrap().submissions);
            assert_eq!(taken.len(), if kind(0).work.has_reserve() { 16 } else { 12 });
            assert_eq!([taken, tickets(&back)].concat(), (0..17).collect::<Vec<_>>());
            assert_eq!(handle.waiting(), 0);
        }
    }

    #[tokio::test]
    async fn d6_76_a_full_queue_refuses_and_takes_again_when_it_drains() {
        const ORDINARY_MAX: usize = 750;
        let (handle, mut inbox) = queue(1_000, Arc::default());
        handle.submit((0..ORDINARY_MAX).map(ask).collect()).unwrap();
        let Unavailable(back) = handle.submit(vec![ask(1), ask(2)]).unwrap_err();
        assert_eq!(tickets(&back), [1, 2]);
        assert_eq!(inbox.next().await.unwrap().submissions.len(), ORDINARY_MAX);
        handle.submit(back).unwrap();
        assert_eq!(inbox.ready().unwrap().submissions.len(), 2);
        drop(handle);
        assert!(inbox.next().await.is_none());
    }
}
