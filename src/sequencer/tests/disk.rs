//! The sequencer on a disk that fails: what is told, what is there afterwards, and when it goes on by itself.

use std::time::Duration;

use super::*;
use crate::engine::query::Query;
use crate::storage::journal::Row;
use crate::storage::memory::Fault;

/// A sequencer that has journalled its genesis.
async fn begun(disk: &Disk) -> (Sequencer<Probe>, Handle<usize>, UnboundedReceiver<Released<usize>>) {
    let (mut sequencer, handle, mut released) = on(disk).await;
    sequencer.start(Some(Command::Genesis(vec![venue_key()]))).await.unwrap();
    released.recv().await.unwrap();
    (sequencer, handle, released)
}

fn looking(ticket: usize) -> Submission<usize> {
    Submission { work: Work::Query(Query::Bind(KeyRef::Venue(VenueKeyId(1)))), ..open_session(ticket) }
}

/// Asks, and what comes of it: the refusal's code, or none.
async fn asked(
    handle: &Handle<usize>,
    released: &mut UnboundedReceiver<Released<usize>>,
    submissions: Vec<Submission<usize>>,
) -> Vec<Option<Code>> {
    handle.submit(submissions).unwrap();
    let answers = released.recv().await.unwrap().answers;
    answers.into_iter().map(|(_, outcome)| outcome.err().map(|reject| reject.code)).collect()
}

/// What the probe says for an outcome that is not known.
const UNKNOWN: Option<Code> = Some(Code::Halted);

#[tokio::test(start_paused = true)]
async fn d6_70_a_full_disk_takes_no_command_answers_what_is_stored_and_goes_on_when_it_has_room() {
    let disk = Disk::default();
    let (sequencer, handle, mut released) = begun(&disk).await;
    let script = async {
        disk.fail(Fault::Full);
        assert_eq!(asked(&handle, &mut released, vec![open_session(1), looking(2)]).await, [UNKNOWN, UNKNOWN]);
        for _ in 0..3 {
            let answered = asked(&handle, &mut released, vec![open_session(1), looking(2)]).await;
            assert_eq!(answered, [Some(Code::ReadOnly), None]);
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        disk.heal();
        tokio::time::sleep(Duration::from_secs(2)).await;
        // The engine has forgotten what was not stored: the nonce is as good as it was.
        assert_eq!(asked(&handle, &mut released, vec![open_session(1)]).await, [None]);
        assert_eq!(asked(&handle, &mut released, vec![open_session(1)]).await, [Some(Code::InvalidNonce)]);
        drop(handle);
    };
    let (ended, ()) = tokio::join!(sequencer.run(), script);
    ended.unwrap();
    assert_eq!(verify(&JournalReader::Memory(disk.clone()), &Snapshots::Memory(disk)).await.unwrap().seq, 2);
}

#[tokio::test(start_paused = true)]
async fn d6_70_after_a_failed_sync_reads_are_served_and_once_it_is_made_sure_the_batch_never_comes_back() {
    let disk = Disk::default();
    let (sequencer, handle, mut released) = begun(&disk).await;
    let script = async {
        disk.fail(Fault::Unsynced);
        assert_eq!(asked(&handle, &mut released, vec![open_session(1)]).await, [UNKNOWN]);
        let answered = asked(&handle, &mut released, vec![looking(1), open_session(1)]).await;
        assert_eq!(answered, [None, Some(Code::ReadOnly)]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        // The engine has forgotten the batch: the nonce is as good as it was.
        assert_eq!(asked(&handle, &mut released, vec![open_session(1)]).await, [None]);
        drop(handle);
    };
    let (ended, ()) = tokio::join!(sequencer.run(), script);
    assert_eq!(ended.unwrap().seq, 2);
    let (sequencer, ..) = on(&disk).await;
    assert_eq!(sequencer.engine.state().seq.0, 2);
}

#[tokio::test(start_paused = true)]
async fn d6_70_a_stop_before_it_is_made_sure_leaves_the_outcome_to_the_next_start() {
    let disk = Disk::default();
    let (sequencer, handle, mut released) = begun(&disk).await;
    disk.fail(Fault::Unsynced);
    let script = async {
        assert_eq!(asked(&handle, &mut released, vec![open_session(1)]).await, [UNKNOWN]);
        drop(handle);
    };
    let (ended, ()) = tokio::join!(sequencer.run(), script);
    assert!(matches!(ended, Err(JournalError::Unsynced(_))), "{ended:?}");
    let (sequencer, handle, mut released) = on(&disk).await;
    let again = async {
        assert_eq!(asked(&handle, &mut released, vec![open_session(1)]).await, [Some(Code::InvalidNonce)]);
        drop(handle);
    };
    let (ended, ()) = tokio::join!(sequencer.run(), again);
    ended.unwrap();
}

#[tokio::test(start_paused = true)]
async fn d6_70_a_row_that_is_lost_before_writing_goes_on_stops_the_server() {
    let disk = Disk::default();
    let (sequencer, handle, mut released) = begun(&disk).await;
    let script = async {
        disk.fail(Fault::Unsynced);
        assert_eq!(asked(&handle, &mut released, vec![open_session(1)]).await, [UNKNOWN]);
        disk.damage(|rows, _| rows[0].body[8] ^= 1);
        assert_eq!(asked(&handle, &mut released, vec![looking(1)]).await, [None]);
    };
    let (ended, ()) = tokio::join!(sequencer.run(), script);
    assert!(matches!(ended, Err(JournalError::Unsynced(_))), "{ended:?}");
    drop(handle);
}

#[tokio::test]
async fn d6_70_any_other_failure_ends_it_and_what_was_not_answered_is_there_whole_or_not_at_all() {
    for (fault, stored) in [(Fault::Refused, 1), (Fault::Torn, 1), (Fault::Unanswered, 2)] {
        let disk = Disk::default();
        let (sequencer, handle, mut released) = begun(&disk).await;
        disk.fail(fault);
        let (ended, answered) = tokio::join!(sequencer.run(), asked(&handle, &mut released, vec![open_session(1)]));
        assert!(matches!(ended, Err(JournalError::Unavailable(_))), "{fault:?}: {ended:?}");
        assert_eq!(answered, [UNKNOWN], "{fault:?}");
        let (sequencer, ..) = on(&disk).await;
        assert_eq!(sequencer.engine.state().seq.0, stored, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn d6_70_who_writes_beside_a_full_disk_stops_the_server() {
    let disk = Disk::default();
    let (sequencer, handle, mut released) = begun(&disk).await;
    let script = async {
        disk.fail(Fault::Full);
        assert_eq!(asked(&handle, &mut released, vec![open_session(1)]).await, [UNKNOWN]);
        disk.damage(|rows, _| rows.push(Row { first_seq: 2, ..rows[0].clone() }));
        disk.heal();
    };
    let (ended, ()) = tokio::join!(sequencer.run(), script);
    assert!(matches!(ended, Err(JournalError::Conflict { .. } | JournalError::Unwritable(_))), "{ended:?}");
    drop(handle);
}
