//! When events that were fed are written, and that the result does not depend on how they are batched.

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
use crate::history::{BATCHES_MAX, Feed, feed, journal_events};
use crate::storage::Journal;
use crate::storage::history::Page;
use crate::storage::history::tests::{at, everything, in_postgres};

const HOUR: Duration = Duration::from_secs(3_600);

/// Journals `count` events after `before` others, and returns each as a batch of its own.
async fn journaled(journal: &mut Journal, before: u64, count: usize) -> Vec<Events> {
    let resumed =
        |seq| Arc::new(Stamped { seq: Seq(seq), at: Moment(1), by: Actor::Server, rate: None, event: Event::Resumed });
    let events = Arc::new((before + 1..=before + count as u64).map(resumed).collect());
    journal_events(journal, &events).await;
    events.iter().map(|stamped| Arc::new(vec![Arc::clone(stamped)])).collect()
}

#[tokio::test]
async fn rule_40_the_end_of_a_burst_that_found_no_room_reaches_the_tables_though_nothing_follows_it() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::Sqlite(dir.path().to_owned());
    let mut journal = storage.journal().await.unwrap();
    let (mut feed, incoming) = feed();
    let reader = storage.reader().await.unwrap();
    let (history, _past, projecting) = start(&storage, &reader, incoming, Duration::MAX, Seq(0)).await.unwrap();
    let first = journaled(&mut journal, 0, 1).await;
    feed.feed(&first[0]);
    history.reached(Seq(1)).await.unwrap();
    let burst = journaled(&mut journal, 1, BATCHES_MAX + 10).await;
    // The projector shares this thread: it receives none before the next wait.
    burst.iter().for_each(|batch| feed.feed(batch));
    assert_eq!(feed.waiting(), BATCHES_MAX);
    let last = Seq(burst.len() as u64 + 1);
    assert_eq!(history.reached(last).await, Ok(()), "{} of {last:?}", history.last());

    // It is not lost when the feed is closed at once either.
    let burst = journaled(&mut journal, last.0, BATCHES_MAX + 10).await;
    burst.iter().for_each(|batch| feed.feed(batch));
    drop(feed);
    projecting.await.unwrap();
    assert_eq!(history.last(), last.0 + burst.len() as u64);
}

fn joined(batches: &[Events]) -> Events {
    Arc::new(batches.iter().flat_map(|batch| batch.iter().cloned()).collect())
}

/// Tables that follow the feed and collect batches for `piling`; `count` events, one per batch; and enough of them that
/// others are collected after them.
async fn piling(dir: &std::path::Path, piling: Duration, count: usize) -> (History, Feed, Vec<Events>, Vec<Events>) {
    let storage = Storage::Sqlite(dir.to_owned());
    let (history, feed, mut journal) = fed(&storage, piling).await;
    let single = journaled(&mut journal, 0, count).await;
    let many = journaled(&mut journal, count as u64, count * PILED_MIN).await;
    (history, feed, single, many.chunks(PILED_MIN).map(joined).collect())
}

/// Tables that follow the feed, and `count` events, each in its own journal row.
async fn following(storage: &Storage, count: u64) -> (History, Feed, Vec<Events>) {
    let (history, feed, mut journal) = fed(storage, PILING).await;
    let mut single = Vec::new();
    for before in 0..count {
        single.extend(journaled(&mut journal, before, 1).await);
    }
    (history, feed, single)
}

async fn fed(storage: &Storage, piling: Duration) -> (History, Feed, Journal) {
    let journal = storage.journal().await.unwrap();
    let (journals, streams) = (storage.reader().await.unwrap(), storage.reader().await.unwrap());
    let mut projector = Projector::open(storage, journals.clone(), Duration::MAX, Seq(0)).await.unwrap();
    projector.piling = piling;
    let reader = projector.reader.clone();
    let (reached, awaited) = (projector.reached.subscribe(), projector.awaited.clone());
    let history = History { reader, journal: journals, streams, turns: Turns::default(), reached, awaited };
    let (feed, mut incoming) = feed();
    tokio::spawn(async move { projector.follow(&mut incoming).await });
    (history, feed, journal)
}

/// Whether an event that nobody waits for reaches the tables in time.
async fn is_written(history: &History, seq: Seq) -> bool {
    let mut written = history.reached.clone();
    tokio::time::timeout(Duration::from_secs(60), written.wait_for(|at| *at == seq.0)).await.is_ok()
}

/// Feeds a batch and waits until the projector has it.
async fn take(feed: &mut Feed, batch: &Events) -> Seq {
    feed.feed(batch);
    let taken = async {
        while feed.waiting() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), taken).await.expect("the projector takes it");
    batch[batch.len() - 1].seq
}

/// The sequences of the audit log's entries; here every event has one.
async fn audited(reader: &HistoryReader) -> Vec<u64> {
    let page = Page { owner: 1, start_us: 0, end_us: u64::MAX, after: None, limit: 100 };
    let rows = reader.audit(&page).await.unwrap();
    rows.iter().rev().map(|row| Seq::of_offset(row.id).0.0).collect()
}

/// As after a crash of the database, whose last transactions may not have been on disk.
#[tokio::test]
async fn law_8_what_the_tables_have_lost_is_told_again() {
    let dir = tempfile::tempdir().unwrap();
    for storage in [Storage::Sqlite(dir.path().to_owned()), in_postgres()] {
        let (history, mut feed, single) = following(&storage, 5).await;
        for batch in &single[..3] {
            take(&mut feed, batch).await;
        }
        history.reached(Seq(3)).await.unwrap();
        let (mut behind, reader) = history::open(&storage).await.unwrap();
        behind.clear().await.unwrap();
        let seq = take(&mut feed, &single[3]).await;
        assert!(is_written(&history, seq).await, "{storage:?}");
        assert_eq!(audited(&reader).await, [1, 2, 3, 4], "{storage:?}");
    }
}

/// As after a restore, if a start that was refused has made the journal as long as the lost one.
#[tokio::test]
async fn law_8_tables_of_another_journal_are_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    for storage in [Storage::Sqlite(dir.path().to_owned()), in_postgres()] {
        journaled(&mut storage.journal().await.unwrap(), 0, 3).await;
        let open = || async {
            let journal = storage.reader().await.unwrap();
            Projector::open(&storage, journal, Duration::MAX, Seq(3)).await.unwrap()
        };
        let mut projector = open().await;
        projector.catch_up(3).await;
        let own = projector.writer.checkpoint();
        assert_eq!((own.seq, open().await.seq), (3, 3), "its own tables stay: {storage:?}");

        let another = Head { chain: [7; 32], ..own };
        projector.writer.clear().await.unwrap();
        projector.writer.apply(&HistoryBatch::default(), another).await.unwrap();
        let mut projector = open().await;
        assert_eq!(projector.seq, 0, "{storage:?}");
        projector.catch_up(3).await;
        assert_eq!(projector.writer.checkpoint(), own, "{storage:?}");
        assert_eq!(audited(&projector.reader).await, [1, 2, 3], "{storage:?}");
    }
}

/// As with a server that has lost the fence and keeps writing until it has stopped.
#[tokio::test]
async fn law_8_what_another_one_has_told_is_not_told_again() {
    let dir = tempfile::tempdir().unwrap();
    for storage in [Storage::Sqlite(dir.path().to_owned()), in_postgres()] {
        let (history, mut feed, single) = following(&storage, 5).await;
        take(&mut feed, &single[0]).await;
        history.reached(Seq(1)).await.unwrap();
        let (mut other, reader) = history::open(&storage).await.unwrap();
        // If it had written any rows, they would be there.
        other.apply(&HistoryBatch::default(), at(3)).await.unwrap();
        for batch in &single[1..5] {
            take(&mut feed, batch).await;
        }
        assert!(is_written(&history, Seq(5)).await, "{storage:?}");
        assert_eq!(audited(&reader).await, [1, 4, 5], "{storage:?}");
        let stale = other.apply(&HistoryBatch::default(), at(6)).await.unwrap_err().to_string();
        assert!(stale.contains("checkpoint is not at 3"), "{stale}");
    }
}

#[tokio::test]
async fn rule_40_what_comes_singly_is_written_as_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let (history, mut feed, single, _) = piling(dir.path(), HOUR, 3).await;
    for batch in &single {
        let seq = take(&mut feed, batch).await;
        assert!(is_written(&history, seq).await, "{seq:?}");
    }
}

#[tokio::test]
async fn rule_40_many_batches_are_written_though_nobody_waits_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let (history, mut feed, single, many) = piling(dir.path(), Duration::from_millis(10), 3).await;
    for batch in &single {
        take(&mut feed, batch).await;
    }
    for batch in &many {
        let seq = take(&mut feed, batch).await;
        assert!(is_written(&history, seq).await, "{seq:?}");
    }
}

#[tokio::test]
async fn rule_40_many_batches_pile_up_until_somebody_waits_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let (history, mut feed, single, many) = piling(dir.path(), HOUR, 31).await;
    for batch in &single {
        take(&mut feed, batch).await;
    }
    let first = take(&mut feed, &many[0]).await;
    history.reached(first).await.unwrap();
    for three in many[1..].chunks(3) {
        let mut last = Seq(0);
        for batch in three {
            last = take(&mut feed, batch).await;
        }
        history.reached(three[0][0].seq).await.unwrap();
        assert_eq!(history.last(), last.0, "they were not written as one");
    }
}

#[tokio::test]
async fn rule_40_who_waits_for_a_batch_before_it_comes_gets_it_when_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let (history, mut feed, single, many) = piling(dir.path(), HOUR, 2).await;
    for batch in single.iter().chain(&many[..1]) {
        take(&mut feed, batch).await;
    }
    let (last, waits) = (many[1][0].seq, history.clone());
    let waiting = tokio::spawn(async move { waits.reached(last).await });
    // While it waits, another query is answered from what is there.
    history.reached(many[0][0].seq).await.unwrap();
    assert!(!waiting.is_finished());
    feed.feed(&many[1]);
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

/// A journal with every kind of event, and at its end a vote on a request that is restated at the same moment.
async fn golden(dir: &std::path::Path) -> Vec<Arc<Stamped>> {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulation/golden/format-7.sqlite");
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

/// The contents of the tables after `events` were written, `at_once` at a time, by a projector that was restarted after
/// each part.
async fn reported(storage: &Storage, parts: &[&[Arc<Stamped>]], at_once: usize) -> Vec<String> {
    // Other rows, but as many: all events are fed.
    let last = parts.iter().filter_map(|part| part.last()).map(|stamped| stamped.seq.0).max().unwrap_or_default();
    journaled(&mut storage.journal().await.unwrap(), 0, last as usize).await;
    for part in parts {
        let journal = storage.reader().await.unwrap();
        let mut projector = Projector::open(storage, journal, Duration::MAX, part.last().unwrap().seq).await.unwrap();
        for batch in part.chunks(at_once) {
            projector.take(&[Arc::new(batch.to_vec())]).await;
        }
        projector.writer.close().await.unwrap();
    }
    everything(&history::open(storage).await.unwrap().1).await
}

/// Loses a batch that ends in the first block of the streams, or with the first vote: both must be written again,
/// though the projector had recorded them already.
#[tokio::test]
async fn law_8_what_the_tables_have_lost_is_told_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let events = golden(dir.path()).await;
    let storage = Storage::Sqlite(dir.path().to_owned());
    let last = storage.reader().await.unwrap().last_seq().await.unwrap();
    let journaled: Vec<_> = events.into_iter().filter(|stamped| stamped.seq.0 <= last).collect();
    let whole = reported(&in_postgres(), &[&journaled], usize::MAX).await;
    let is_vote = |event: &Event| matches!(event, Event::RequestChanged { request, .. } if !request.votes.is_empty());
    let vote = journaled.iter().position(|stamped| is_vote(&stamped.event)).unwrap();
    for lost in [50..100, vote..vote + 1] {
        let journal = storage.reader().await.unwrap();
        let mut projector = Projector::open(&storage, journal, Duration::MAX, Seq(last)).await.unwrap();
        projector.take(&[Arc::new(journaled[..lost.start].to_vec())]).await;
        history::open(&storage).await.unwrap().0.clear().await.unwrap();
        projector.take(&[Arc::new(journaled[lost.clone()].to_vec())]).await;
        projector.take(&[Arc::new(journaled[lost.end..].to_vec())]).await;
        let again = everything(&projector.reader).await;
        let other: Vec<&String> = again.iter().filter(|row| whole.binary_search(row).is_err()).collect();
        assert_eq!((again.len(), other), (whole.len(), vec![]), "{lost:?}");
        history::open(&storage).await.unwrap().0.clear().await.unwrap();
    }
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
    // Events that the journal does not have.
    for change in [ServiceUserChange::Claimed, ServiceUserChange::QueryEnded] {
        let event = Event::ServiceUserChanged { service_user: service_user.clone(), change };
        events.push(Arc::new(Stamped { seq: Seq(1), at, by, rate: None, event }));
    }
    let mut seen = SeenVotes::default();
    let mut kinds = BTreeSet::new();
    for stamped in events {
        for row in audit::rows(&stamped, &mut seen) {
            let entry: AuditEntry = rows::read(&row.stored.body).unwrap();
            let by = entry.actor.trim_end_matches(|of: char| of.is_ascii_digit());
            let what = entry.action.split_once('.').map_or(entry.action.as_str(), |(_, what)| what);
            kinds.insert(format!("{by} {what}"));
        }
    }
    let expected = "MEM accept_invitation, MEM approved, MEM cancel_orders, MEM canceled, MEM claim_secret, \
        MEM confirm_invitation, MEM executed, MEM freeze, MEM key_query_ended, MEM rejected, MEM requested, MEM restated, \
        MEM sign_in, MEM sign_out, MEM vote_approve, MEM vote_reject, SVC canceled, SVC executed, SVC requested, \
        VEN add_asset, VEN add_earn_strategy, VEN add_market, VEN create_organization, VEN credit_deposit, \
        VEN fail_withdrawal, VEN halt, VEN invite_member, VEN pay_earn_reward, VEN resume, VEN set_kyc, \
        VEN set_market_status, VEN set_policy, VEN settle_withdrawal, server expired, server key_expired, \
        server key_retired, server sign_out";
    assert_eq!(kinds.into_iter().collect::<Vec<_>>().join(", "), expected);
}

#[tokio::test]
async fn d3_47_the_tables_are_the_same_however_the_journal_is_cut_into_batches_and_in_either_database() {
    let dir = tempfile::tempdir().unwrap();
    let events = golden(dir.path()).await;
    let (whole, (rest, restated)) = (&events[..], events.split_at(events.len() - 2));
    let told_at_once = reported(&in_postgres(), &[whole], usize::MAX).await;
    for (parts, at_once) in [(vec![whole], usize::MAX), (vec![whole], 7), (vec![whole], 1), (vec![rest, restated], 1)] {
        let dir = tempfile::tempdir().unwrap();
        let reported = reported(&Storage::Sqlite(dir.path().to_owned()), &parts, at_once).await;
        let other: Vec<&String> = reported.iter().filter(|row| told_at_once.binary_search(row).is_err()).collect();
        assert_eq!((reported.len(), other), (told_at_once.len(), vec![]), "{at_once} at once, {} parts", parts.len());
    }
}
