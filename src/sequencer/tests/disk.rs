//! The sequencer on a failing disk: the answers, what is stored afterwards, and when it continues by itself.

use std::time::Duration;

use super::*;
use crate::engine::query::Query;
use crate::storage::journal::Row;
use crate::storage::memory::Fault;

/// Sends submissions to a sequencer; when dropped, the sequencer ends.
struct Asking {
    handle: Handle<usize>,
    released: UnboundedReceiver<Released<usize>>,
}

impl Asking {
    /// Sends submissions; returns for each the refusal's code, or none.
    async fn ask<const N: usize>(&mut self, submissions: [Submission<usize>; N]) -> [Option<Code>; N] {
        self.handle.submit(submissions.into()).unwrap();
        let answers = self.released.recv().await.unwrap().answers;
        let codes: Vec<_> = answers.into_iter().map(|(_, outcome)| outcome.err().map(|reject| reject.code)).collect();
        codes.try_into().unwrap()
    }
}

/// Runs a sequencer on `disk` beside a script, and returns how it ended. The script's result is kept until then.
async fn play<T>(disk: &Disk, script: impl AsyncFnOnce(Asking) -> T) -> Result<FinalState, JournalError> {
    let (mut sequencer, handle, mut released) = on(disk).await;
    if sequencer.engine.state().seq.0 == 0 {
        sequencer.start(Some(Command::Genesis(vec![venue_key()]))).await.unwrap();
        released.recv().await.unwrap();
    }
    sequencer.start(None).await.unwrap();
    let (ended, _kept) = tokio::join!(running(sequencer), script(Asking { handle, released }));
    ended
}

fn looking(ticket: usize) -> Submission<usize> {
    Submission { work: Work::Query(Query::Bind(KeyRef::Venue(VenueKeyId(1)))), ..open_session(ticket) }
}

/// Waits as long as it takes to notice that the disk works again.
async fn noticed() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}

/// The code that [`Probe`] reports for an unknown outcome.
const UNKNOWN: Option<Code> = Some(Code::Halted);

#[tokio::test(start_paused = true)]
async fn d6_70_a_full_disk_takes_no_command_answers_what_is_stored_and_goes_on_when_it_has_room() {
    let disk = Disk::default();
    let ended = play(&disk, async |mut asking| {
        disk.fail(Fault::Full);
        assert_eq!(asking.ask([open_session(1), looking(2)]).await, [UNKNOWN, UNKNOWN]);
        for _ in 0..3 {
            assert_eq!(asking.ask([open_session(1), looking(2)]).await, [Some(Code::ReadOnly), None]);
            noticed().await;
        }
        disk.heal();
        noticed().await;
        // The engine has dropped what was not stored, so the nonce can be used again.
        assert_eq!(asking.ask([open_session(1)]).await, [None]);
        assert_eq!(asking.ask([open_session(1)]).await, [Some(Code::InvalidNonce)]);
    });
    ended.await.unwrap();
    assert_eq!(verify(&JournalReader::Memory(disk.clone()), &Snapshots::Memory(disk)).await.unwrap().seq, 2);
}

#[tokio::test(start_paused = true)]
async fn d6_70_reads_do_not_wait_for_a_disk_that_takes_its_time_with_a_probe() {
    let disk = Disk::default();
    let ended = play(&disk, async |mut asking| {
        disk.fail(Fault::Full);
        assert_eq!(asking.ask([open_session(1)]).await, [UNKNOWN]);
        disk.heal();
        disk.slow(100_000);
        // The probe begins at the same moment, and is under way when this is sent.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(asking.ask([open_session(1), looking(2)]).await, [Some(Code::ReadOnly), None]);
        disk.slow(0);
        noticed().await;
        assert_eq!(asking.ask([open_session(1)]).await, [None]);
    });
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn d6_70_a_stop_waits_for_the_probe_that_is_under_way() {
    let disk = Disk::default();
    let ended = play(&disk, async |mut asking| {
        disk.fail(Fault::Unsynced { survives: true });
        assert_eq!(asking.ask([open_session(1)]).await, [UNKNOWN]);
        disk.slow(100_000);
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
    assert!(matches!(ended.await, Err(JournalError::Unsynced(_))));
    assert_eq!(Journal::Memory(disk.journal().unwrap()).head().seq, 1, "it made sure that the batch cannot come back");
}

#[tokio::test(start_paused = true)]
async fn d6_70_a_start_on_a_full_disk_answers_what_is_stored_and_goes_on_when_it_has_room() {
    let disk = Disk::default();
    play(&disk, async |_| ()).await.unwrap();
    disk.fail(Fault::Full);
    let ended = play(&disk, async |mut asking| {
        assert_eq!(asking.ask([open_session(1), looking(2)]).await, [Some(Code::ReadOnly), None]);
        disk.heal();
        noticed().await;
        assert_eq!(asking.ask([open_session(1)]).await, [None]);
    });
    assert_eq!(ended.await.unwrap().seq, 2);
}

#[tokio::test]
async fn d6_70_an_empty_journal_is_not_begun_on_a_full_disk() {
    let disk = Disk::default();
    disk.fail(Fault::Full);
    assert!(matches!(recovered(&disk).await, Err(RecoveryError::Journal(JournalError::Unwritable(_)))));
}

#[tokio::test(start_paused = true)]
async fn d6_70_after_a_failed_sync_reads_are_served_and_once_it_is_made_sure_the_batch_never_comes_back() {
    let disk = Disk::default();
    let ended = play(&disk, async |mut asking| {
        disk.fail(Fault::Unsynced { survives: true });
        assert_eq!(asking.ask([open_session(1)]).await, [UNKNOWN]);
        assert_eq!(asking.ask([looking(1), open_session(1)]).await, [None, Some(Code::ReadOnly)]);
        noticed().await;
        // The engine has dropped the batch, so the nonce can be used again.
        assert_eq!(asking.ask([open_session(1)]).await, [None]);
    });
    assert_eq!(ended.await.unwrap().seq, 2);
    let (sequencer, ..) = on(&disk).await;
    assert_eq!(sequencer.engine.state().seq.0, 2);
}

#[tokio::test(start_paused = true)]
async fn d6_70_a_stop_before_it_is_made_sure_leaves_the_outcome_to_the_next_start() {
    let disk = Disk::default();
    let ended = play(&disk, async |mut asking| {
        disk.fail(Fault::Unsynced { survives: true });
        assert_eq!(asking.ask([open_session(1)]).await, [UNKNOWN]);
    });
    let ended = ended.await;
    assert!(matches!(ended, Err(JournalError::Unsynced(_))), "{ended:?}");
    let again = play(&disk, async |mut asking| {
        assert_eq!(asking.ask([open_session(1)]).await, [Some(Code::InvalidNonce)]);
    });
    again.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn d6_70_a_row_that_is_lost_before_writing_goes_on_stops_the_server() {
    let disk = Disk::default();
    let ended = play(&disk, async |mut asking| {
        disk.fail(Fault::Unsynced { survives: true });
        assert_eq!(asking.ask([open_session(1)]).await, [UNKNOWN]);
        disk.damage(|rows, _| rows[0].body[8] ^= 1);
        assert_eq!(asking.ask([looking(1)]).await, [None]);
        asking
    });
    let ended = ended.await;
    assert!(matches!(ended, Err(JournalError::Unsynced(_))), "{ended:?}");
}

#[tokio::test]
async fn d6_70_any_other_failure_ends_it_and_what_was_not_answered_is_there_whole_or_not_at_all() {
    for (fault, stored) in [(Fault::Refused, 1), (Fault::Unanswered, 2)] {
        let disk = Disk::default();
        let ended = play(&disk, async |mut asking| {
            disk.fail(fault);
            assert_eq!(asking.ask([open_session(1)]).await, [UNKNOWN], "{fault:?}");
            asking
        });
        let ended = ended.await;
        assert!(matches!(ended, Err(JournalError::Unavailable(_))), "{fault:?}: {ended:?}");
        let (sequencer, ..) = on(&disk).await;
        assert_eq!(sequencer.engine.state().seq.0, stored, "{fault:?}");
    }
}

/// A batch has a limited number of requests: those waiting after it are not even tried when its append fails.
#[tokio::test]
async fn d6_70_what_waits_behind_the_batch_that_fails_is_told_that_nothing_was_done() {
    let disk = Disk::default();
    let (sender, mut released) = unbounded_channel();
    let recovered = recovered(&disk).await.unwrap();
    let (mut sequencer, handle) = recovered.open(clock, 4 * BATCH_MAX, Tiers::default(), Probe(sender));
    sequencer.start(Some(Command::Genesis(vec![venue_key()]))).await.unwrap();
    released.recv().await.unwrap();
    handle.submit([open_session(1)].into_iter().chain((1..BATCH_MAX).map(looking)).collect()).unwrap();
    handle.submit(vec![open_session(2), looking(3)]).unwrap();
    disk.fail(Fault::Refused);
    let ended = running(sequencer).await;
    assert!(matches!(ended, Err(JournalError::Unavailable(_))), "{ended:?}");
    let failed = released.recv().await.unwrap().answers;
    assert_eq!(failed.len(), BATCH_MAX);
    let waited = released.recv().await.expect("an answer to what waited").answers;
    let reported: Vec<_> = waited.into_iter().map(|(ticket, outcome)| (ticket, outcome.unwrap_err().code)).collect();
    assert_eq!(reported, [(2, Code::ReadOnly), (3, Code::ReadOnly)]);
    assert!(handle.submit(vec![looking(4)]).is_err(), "nobody would answer");
}

#[tokio::test(start_paused = true)]
async fn d6_70_who_writes_beside_a_full_disk_stops_the_server() {
    let disk = Disk::default();
    let ended = play(&disk, async |mut asking| {
        disk.fail(Fault::Full);
        assert_eq!(asking.ask([open_session(1)]).await, [UNKNOWN]);
        disk.damage(|rows, _| rows.push(Row { first_seq: 2, ..rows[0].clone() }));
        disk.heal();
        asking
    });
    let ended = ended.await;
    assert!(matches!(ended, Err(JournalError::Conflict { .. } | JournalError::Unwritable(_))), "{ended:?}");
}

/// Found by the shadow while a batch is on its way: whoever waits is told, and nobody else gets the fence meanwhile.
#[tokio::test]
async fn a_sequencer_that_is_told_to_give_up_answers_whoever_waits_and_keeps_the_fence_until_it_is_closed() {
    let disk = Disk::default();
    let (mut sequencer, handle, mut released) = on(&disk).await;
    sequencer.start(Some(Command::Genesis(vec![venue_key()]))).await.unwrap();
    released.recv().await.unwrap();
    disk.slow(u32::MAX);
    handle.submit(vec![open_session(1)]).unwrap();
    let (tell, reported) = tokio::sync::oneshot::channel::<()>();
    let mut run = std::pin::pin!(sequencer.run(async { reported.await.unwrap() }));
    assert!(run.as_mut().now_or_never().is_none(), "the first batch is on its way");
    handle.submit(vec![open_session(2)]).unwrap();
    assert!(run.as_mut().now_or_never().is_none(), "the second is filled");
    handle.submit(vec![looking(3)]).unwrap();
    tell.send(()).unwrap();
    let ended = run.await;
    assert!(ended.outcome.is_none(), "{ended:?}");
    let mut answers = Vec::new();
    while let Some(batch) = released.recv().await {
        let codes = batch.answers.into_iter().map(|(ticket, outcome)| (ticket, outcome.unwrap_err().code));
        answers.extend(codes);
    }
    assert_eq!(answers, [(1, Code::Halted), (2, Code::Halted), (3, Code::ReadOnly)]);
    assert!(matches!(disk.journal(), Err(JournalError::Locked(_))));
    assert_eq!(ended.close().await.unwrap(), None);
    disk.journal().unwrap();
}

#[tokio::test]
async fn a_sequencer_that_has_ended_keeps_the_fence_until_it_is_closed() {
    for fault in [None, Some(Fault::Refused)] {
        let disk = Disk::default();
        let (mut sequencer, handle, _released) = on(&disk).await;
        sequencer.start(Some(Command::Genesis(vec![venue_key()]))).await.unwrap();
        handle.submit(vec![open_session(1)]).unwrap();
        drop(handle);
        fault.into_iter().for_each(|fault| disk.fail(fault));
        let ended = sequencer.run(std::future::pending()).await;
        assert!(matches!(disk.journal(), Err(JournalError::Locked(_))), "{fault:?}");
        assert_eq!(ended.close().await.is_err(), fault.is_some());
        disk.journal().unwrap();
    }
}
