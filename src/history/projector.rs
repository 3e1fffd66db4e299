//! The task that writes the tables: released batches as they come, the journal where batches are missing.

use std::mem;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::audit::Told;
use super::streams::Noted;
use super::{History, Incoming, queries, rows};
use crate::domain::ids::Seq;
use crate::domain::prints::MarketPast;
use crate::sequencer::{Events, Stamped, codec};
use crate::storage::history::{self, HistoryBatch, HistoryError, HistoryReader, HistoryWriter};
use crate::storage::{JournalReader, Storage};

/// Journal rows read at a time.
const ROWS: u32 = 64;
/// Events after which a batch of rows is written.
const EVENTS_MAX: usize = 20_000;
/// How long batches pile up that nobody asks for. One transaction for many writes the pages that they share once.
const PILING: Duration = Duration::from_millis(100);
/// How often things are forgotten in the time that they are kept: each minute, if that is a week.
const FORGETS: u64 = 10_000;
/// How long a failed write waits before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

struct Projector {
    writer: HistoryWriter,
    journal: JournalReader,
    told: Told,
    noted: Noted,
    /// How long it is kept where the items of private streams lie, in µs, and the stamp of the last event when it
    /// was last seen to.
    kept_us: u64,
    forgot_us: u64,
    /// The last event that was looked at, and the checkpoint in the tables.
    seq: u64,
    saved: u64,
    reached: watch::Sender<u64>,
    /// The last event that somebody has waited for.
    asked: watch::Sender<u64>,
    piling: Duration,
}

/// Opens the tables and starts the task; it first catches up with the journal, which ends at `until` or beyond. Tables that
/// tell of events after it are of a journal that is gone, as after a restore, and are made anew. The past of the markets
/// comes once the tables have reached the event at `until`, and is as of it. The task ends once the feed is closed and all
/// that came by it is written.
///
/// # Errors
/// When the tables or the journal cannot be opened.
pub async fn start(
    storage: &Storage,
    (journal, streams): (JournalReader, JournalReader),
    incoming: Incoming,
    kept: Duration,
    until: Seq,
) -> Result<(History, oneshot::Receiver<MarketPast>, JoinHandle<()>), HistoryError> {
    let (projector, reader) = Projector::open(storage, journal.clone(), kept, until).await?;
    let (reached, asked) = (projector.reached.subscribe(), projector.asked.clone());
    let (telling, past) = oneshot::channel();
    let projecting = tokio::spawn(projector.run(incoming, (until, reader.clone(), telling)));
    Ok((History { reader, journal, streams, reached, asked }, past, projecting))
}

impl Projector {
    /// Opens the tables, or makes them anew if they tell of more than `until`; what it writes goes on from there.
    async fn open(
        storage: &Storage,
        journal: JournalReader,
        kept: Duration,
        until: Seq,
    ) -> Result<(Projector, HistoryReader), HistoryError> {
        let (mut writer, reader) = history::open(storage).await?;
        let mut seq = reader.checkpoint().await?;
        if seq > until.0 {
            tracing::warn!(
                seq,
                journal = until.0,
                "the history tables tell of more than the journal has; they are made anew"
            );
            writer.clear().await?;
            seq = 0;
        }
        let (reached, _) = watch::channel(seq);
        let kept_us = u64::try_from(kept.as_micros()).unwrap_or(u64::MAX);
        let (told, noted) = (Told::behind(&reader.last_audited().await?), Noted::default());
        let (asked, piling) = (watch::Sender::new(0), PILING);
        let projector =
            Projector { writer, journal, told, noted, kept_us, forgot_us: 0, seq, saved: seq, reached, asked, piling };
        Ok((projector, reader))
    }

    async fn run(
        mut self,
        mut incoming: Incoming,
        (until, reader, telling): (Seq, HistoryReader, oneshot::Sender<MarketPast>),
    ) {
        self.catch_up(until.0).await;
        match queries::past(&reader).await {
            // Nobody may want it.
            Ok(past) => drop(telling.send(past)),
            Err(error) => tracing::warn!(%error, "the past of the markets cannot be read"),
        }
        drop(reader);
        self.catch_up(u64::MAX).await;
        self.follow(&mut incoming).await;
        if let Err(error) = self.writer.close().await {
            tracing::warn!(%error, "history was not closed in order; nothing is lost");
        }
    }

    /// Writes what is fed until the feed is closed.
    async fn follow(&mut self, incoming: &mut Incoming) {
        let Incoming { batches, dropped } = incoming;
        // What comes after a while is written at once.
        let mut due = Instant::now();
        loop {
            // The batches that wait come before what found no room behind them.
            let first = tokio::select! {
                biased;
                first = batches.recv() => first,
                Ok(()) = dropped.changed() => {
                    let last = *dropped.borrow_and_update();
                    self.catch_up(last).await;
                    continue;
                }
            };
            let Some(first) = first else { break };
            let pile = self.pile(first, batches, due).await;
            self.take(&pile).await;
            due = Instant::now() + self.piling;
        }
        let last = *dropped.borrow();
        self.catch_up(last).await;
    }

    /// What waits, and what comes until they are `due` or somebody waits for them, as far as one transaction takes it.
    async fn pile(&self, first: Events, batches: &mut mpsc::Receiver<Events>, due: Instant) -> Vec<Events> {
        let mut asked = self.asked.subscribe();
        let mut wanted = pin!(async {
            tokio::select! {
                () = sleep_until(due) => {}
                _ = asked.wait_for(|asked| *asked > self.seq) => {}
            }
        });
        let mut events = first.len();
        let mut pile = vec![first];
        while events < EVENTS_MAX {
            let next = tokio::select! {
                biased;
                next = batches.recv() => next,
                () = &mut wanted => None,
            };
            let Some(next) = next else { break };
            events += next.len();
            pile.push(next);
        }
        pile
    }

    /// Writes batches, reading from the journal what lies between the tables and them.
    async fn take(&mut self, batches: &[Events]) {
        let mut rows = HistoryBatch::default();
        let mut last = self.seq;
        for stamped in batches.iter().flat_map(|batch| batch.iter()) {
            if stamped.seq.0 <= last {
                continue;
            }
            if stamped.seq.0 != last + 1 {
                self.write(&rows, last).await;
                self.catch_up(stamped.seq.0 - 1).await;
                (rows, last) = (HistoryBatch::default(), self.seq);
                if stamped.seq.0 <= last {
                    continue;
                }
            }
            self.add(&mut rows, stamped);
            last = stamped.seq.0;
        }
        if let Some(last) = batches.iter().rev().find_map(|batch| batch.last()) {
            self.forget(last.at.0).await;
        }
        self.write(&rows, last).await;
    }

    fn add(&mut self, rows: &mut HistoryBatch, stamped: &Stamped) {
        rows::add(rows, &mut self.told, stamped);
        self.noted.add(rows, stamped);
    }

    /// Now and then forgets what is too old by this time.
    async fn forget(&mut self, now_us: u64) {
        if now_us - self.forgot_us.min(now_us) < self.kept_us / FORGETS {
            return;
        }
        self.forgot_us = now_us;
        if let Err(error) = self.writer.forget_streams(now_us.saturating_sub(self.kept_us)).await {
            tracing::warn!(%error, "expired stream entries could not be deleted");
        }
    }

    /// Reads the journal from the checkpoint to `until` or its end.
    async fn catch_up(&mut self, until: u64) {
        while self.seq < until {
            match self.read(until).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(error, "history cannot read the journal; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn read(&mut self, until: u64) -> Result<bool, String> {
        let journal = self.journal.rows(self.seq + 1, until, ROWS).await.map_err(|error| error.to_string())?;
        if journal.is_empty() {
            return Ok(false);
        }
        let mut rows = HistoryBatch::default();
        let seen = self.seq;
        let mut last = seen;
        for row in journal {
            let events = codec::events(&row).map_err(|error| error.to_string())?;
            for stamped in events.filter(|stamped| stamped.seq.0 > seen) {
                self.add(&mut rows, &stamped);
                last = stamped.seq.0;
            }
            if last - self.seq >= EVENTS_MAX as u64 {
                self.write(&mem::take(&mut rows), last).await;
            }
        }
        self.write(&rows, last).await;
        Ok(true)
    }

    /// Writes until it is done: a row may be written twice, the checkpoint never goes back.
    async fn write(&mut self, rows: &HistoryBatch, seq: u64) {
        if seq == self.seq {
            return;
        }
        // Events that add no row need no transaction; after a restart they are looked at again.
        if *rows == HistoryBatch::default() && seq - self.saved < EVENTS_MAX as u64 {
            self.seq = seq;
            self.reached.send_replace(seq);
            return;
        }
        while let Err(error) = self.writer.apply(rows, seq).await {
            tracing::warn!(%error, "history cannot be written; trying again");
            tokio::time::sleep(RETRY).await;
        }
        (self.seq, self.saved) = (seq, seq);
        self.reached.send_replace(seq);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::access::principal::Actor;
    use crate::domain::ids::MemberId;
    use crate::domain::time::Moment;
    use crate::engine::approvals::RequestState;
    use crate::engine::event::Event;
    use crate::engine::service_users::ServiceUserChange;
    use crate::history::audit::{self, AuditEntry};
    use crate::history::{BATCHES_MAX, feed};
    use crate::storage::Journal;
    use crate::storage::history::tests::{everything, in_postgres};

    /// Journals so many events, behind `before` others, and returns each as a batch of its own.
    async fn journaled(journal: &mut Journal, before: u64, count: usize) -> Vec<Events> {
        let mut body = Vec::new();
        codec::encode(&mut body, Moment(1), Actor::Server, &vec![Event::Resumed; count]);
        journal.append(before + 1, u32::try_from(count).unwrap(), codec::FORMAT, &body).await.unwrap();
        let entries = codec::decode(codec::FORMAT, &body).unwrap();
        codec::stamped(entries, before + 1).map(|stamped| Arc::new(vec![Arc::new(stamped)])).collect()
    }

    #[tokio::test]
    async fn rule_40_the_end_of_a_burst_that_found_no_room_reaches_the_tables_though_nothing_follows_it() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::Sqlite(dir.path().to_owned());
        let mut journal = storage.journal().await.unwrap();
        let (mut feed, incoming) = feed();
        let journals = (storage.reader().await.unwrap(), storage.reader().await.unwrap());
        let (history, _past, projecting) = start(&storage, journals, incoming, Duration::MAX, Seq(0)).await.unwrap();
        let first = journaled(&mut journal, 0, 1).await;
        feed.feed(&first[0]);
        history.reached(Seq(1)).await.unwrap();
        let burst = journaled(&mut journal, 1, BATCHES_MAX + 10).await;
        // The projector shares this thread: it takes none before the next wait.
        burst.iter().for_each(|batch| feed.feed(batch));
        assert_eq!(feed.waiting(), BATCHES_MAX);
        let last = Seq(burst.len() as u64 + 1);
        assert_eq!(history.reached(last).await, Ok(()), "{} of {last:?}", history.last());

        // Nor is it lost when the feed is closed at once.
        let burst = journaled(&mut journal, last.0, BATCHES_MAX + 10).await;
        burst.iter().for_each(|batch| feed.feed(batch));
        drop(feed);
        projecting.await.unwrap();
        assert_eq!(history.last(), last.0 + burst.len() as u64);
    }

    #[tokio::test]
    async fn rule_40_batches_that_nobody_waits_for_pile_up_and_who_waits_for_one_gets_it_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::Sqlite(dir.path().to_owned());
        let mut journal = storage.journal().await.unwrap();
        let journals = (storage.reader().await.unwrap(), storage.reader().await.unwrap());
        let (mut projector, reader) =
            Projector::open(&storage, journals.0.clone(), Duration::MAX, Seq(0)).await.unwrap();
        projector.piling = Duration::from_secs(3_600);
        let (reached, asked) = (projector.reached.subscribe(), projector.asked.clone());
        let history = History { reader, journal: journals.0, streams: journals.1, reached, asked };
        let (mut feed, mut incoming) = feed();
        let projecting = tokio::spawn(async move { projector.follow(&mut incoming).await });
        let batches = journaled(&mut journal, 0, 60).await;
        for (first, three) in (1..).step_by(3).zip(batches.chunks(3)) {
            for batch in three {
                feed.feed(batch);
                while feed.waiting() > 0 {
                    tokio::task::yield_now().await;
                }
            }
            history.reached(Seq(first)).await.unwrap();
            // The very first comes after a while in which nothing did.
            if first > 1 {
                assert_eq!(history.last(), first + 2, "they were written as one");
            }
        }
        // Who waits for what has not come yet gets it when it comes.
        let behind = journaled(&mut journal, 60, 1).await;
        let waiting = tokio::spawn(async move { history.reached(Seq(61)).await });
        feed.feed(&batches[59]);
        while feed.waiting() > 0 {
            tokio::task::yield_now().await;
        }
        feed.feed(&behind[0]);
        waiting.await.unwrap().unwrap();
        drop(feed);
        projecting.await.unwrap();
    }

    /// A journal with every kind of event, and at its end a vote on a request that is restated at the same moment.
    async fn golden(dir: &std::path::Path) -> Vec<Arc<Stamped>> {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulation/golden/format-5.sqlite");
        std::fs::copy(golden, dir.join("journal.db")).unwrap();
        let journal = Storage::Sqlite(dir.to_owned()).reader().await.unwrap();
        let rows = journal.rows(1, u64::MAX, u32::MAX).await.unwrap();
        let mut all: Vec<Stamped> = rows.iter().flat_map(|row| codec::events(row).unwrap()).collect();
        let voted = all.iter().rev().find_map(|stamped| match &stamped.event {
            Event::RequestChanged { request, .. } if !request.votes.is_empty() => Some(request.clone()),
            _ => None,
        });
        let (last, mut request) = (all.last().unwrap(), voted.unwrap());
        let (seq, at) = (last.seq.0, last.at.plus_us(1));
        let vote = request.votes.last_mut().unwrap();
        (vote.at, vote.struck) = (at, false);
        let by = Actor::Member(vote.member);
        request.state = RequestState::Pending;
        for seq in seq + 1..seq + 4 {
            let event = Event::RequestChanged { request: request.clone(), before: Some(RequestState::Pending) };
            all.push(Stamped { seq: Seq(seq), at, by, rate: None, event });
        }
        all.into_iter().map(Arc::new).collect()
    }

    /// What the tables hold once they were told of `events`, so many at a time, by a projector that was started anew where
    /// a part ends.
    async fn told(storage: &Storage, parts: &[&[Arc<Stamped>]], at_once: usize) -> Vec<String> {
        drop(storage.journal().await.unwrap());
        for part in parts {
            let journal = storage.reader().await.unwrap();
            let (mut projector, _) =
                Projector::open(storage, journal, Duration::MAX, part.last().unwrap().seq).await.unwrap();
            for batch in part.chunks(at_once) {
                projector.take(&[Arc::new(batch.to_vec())]).await;
            }
            projector.writer.close().await.unwrap();
        }
        everything(&history::open(storage).await.unwrap().1).await
    }

    #[tokio::test]
    async fn d3_47_each_kind_of_decision_is_told_and_whose_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut events = golden(dir.path()).await;
        let changed = events.iter().find_map(|stamped| match &stamped.event {
            Event::ServiceUserChanged { service_user, .. } => Some(service_user.clone()),
            _ => None,
        });
        let (at, by, service_user) = (Moment(0), Actor::Member(MemberId(1)), changed.unwrap());
        // What the journal does not have.
        for change in [ServiceUserChange::Claimed, ServiceUserChange::QueryEnded] {
            let event = Event::ServiceUserChanged { service_user: service_user.clone(), change };
            events.push(Arc::new(Stamped { seq: Seq(1), at, by, rate: None, event }));
        }
        let mut told = Told::default();
        let mut kinds = BTreeSet::new();
        for stamped in events {
            for row in audit::rows(&stamped, &mut told) {
                let entry: AuditEntry = rows::read(&row.stored.body).unwrap();
                let by = entry.actor.trim_end_matches(|of: char| of.is_ascii_digit());
                let what = entry.action.split_once('.').map_or(entry.action.as_str(), |(_, what)| what);
                kinds.insert(format!("{by} {what}"));
            }
        }
        let expected = "MEM accept_invitation, MEM approved, MEM cancel_orders, MEM canceled, MEM claim_secret, \
            MEM confirm_invitation, MEM executed, MEM freeze, MEM key_query_ended, MEM rejected, MEM requested, MEM restated, \
            MEM sign_in, MEM sign_out, MEM vote_approve, MEM vote_reject, SVC canceled, SVC executed, SVC requested, \
            VEN add_earn_strategy, VEN create_organization, VEN credit_deposit, VEN fail_withdrawal, VEN halt, \
            VEN invite_member, VEN pay_earn_reward, VEN resume, VEN set_kyc, VEN set_market_status, VEN set_policy, \
            VEN settle_withdrawal, server expired, server key_expired, server key_retired, server sign_out";
        assert_eq!(kinds.into_iter().collect::<Vec<_>>().join(", "), expected);
    }

    #[tokio::test]
    async fn d3_47_the_tables_are_the_same_however_the_journal_is_cut_into_batches_and_in_either_database() {
        let dir = tempfile::tempdir().unwrap();
        let events = golden(dir.path()).await;
        let (whole, (rest, restated)) = (&events[..], events.split_at(events.len() - 2));
        let told_at_once = told(&in_postgres(), &[whole], usize::MAX).await;
        for (parts, at_once) in
            [(vec![whole], usize::MAX), (vec![whole], 7), (vec![whole], 1), (vec![rest, restated], 1)]
        {
            let dir = tempfile::tempdir().unwrap();
            let told = told(&Storage::Sqlite(dir.path().to_owned()), &parts, at_once).await;
            let other: Vec<&String> = told.iter().filter(|row| told_at_once.binary_search(row).is_err()).collect();
            assert_eq!((told.len(), other), (told_at_once.len(), vec![]), "{at_once} at once, {} parts", parts.len());
        }
    }
}
