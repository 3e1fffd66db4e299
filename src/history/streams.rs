//! The past of private streams: a table records where the items are, and the items are derived from the journal again,
//! as they were when they were live (rule 42).

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Busy, History};
use crate::domain::ids::Seq;
use crate::engine::query::Owner;
use crate::engine::streams::{Route, Stream, routes};
use crate::sequencer::{Stamped, codec};
use crate::storage::history::{BLOCK_EVENTS, HistoryBatch, Places, StreamRow};

/// Items after which a page is full; the remaining items of its last journal row still belong to it.
const PAGE_ITEMS: usize = 1_024;
/// Blocks that one page searches at most.
const PAGE_BLOCKS: u32 = 16;
/// Pages that are read and decoded at the same time: a journal row has the events of a whole group commit, and the
/// threads that decode them also serve the sockets.
const PAGES_AT_ONCE: usize = 2;

/// A stream's past after an offset.
#[derive(Debug)]
pub enum Past {
    /// The next items.
    Page(StreamPage),
    /// Some of what follows the offset is no longer kept.
    TooOld,
    /// No item of this stream has that offset.
    Unknown,
}

/// A part of a stream.
#[derive(Debug)]
pub struct StreamPage {
    /// The items, in order.
    pub items: Vec<(Arc<Stamped>, Route)>,
    /// There are no other items up to this offset.
    pub until: u64,
}

/// Who reads a page now; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    owners: Places<Owner>,
    all: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns { owners: Places::new(1), all: Arc::new(Semaphore::new(PAGES_AT_ONCE)) }
    }
}

impl Turns {
    /// Waits in line until `owner` may read a page; until the guard is dropped, one place of all is taken. Of an owner
    /// with many replays one is in that line, so that others are not kept waiting.
    async fn take(&self, owner: Owner) -> impl Sized + use<> {
        (self.owners.take(owner).await, Arc::clone(&self.all).acquire_owned().await)
    }
}

/// The streams of which the current block has items, so that each is recorded once.
#[derive(Debug, Default)]
pub(super) struct BlockStreams {
    block: u64,
    streams: HashSet<Stream>,
}

impl BlockStreams {
    /// Adds to a batch the streams that have their first item of the block in this event.
    pub(super) fn add(&mut self, batch: &mut HistoryBatch, stamped: &Stamped) {
        let block = stamped.seq.0 / BLOCK_EVENTS;
        if block != self.block {
            self.streams.clear();
            self.block = block;
        }
        routes(stamped.seq, stamped.at, &stamped.event, &mut |route| {
            let stream = (route.owner, route.channel);
            if self.streams.insert(stream) {
                batch.streams.push(StreamRow { stream: name(stream), block, at_us: stamped.at.0 });
            }
        });
    }
}

/// How the table names a stream.
fn name((owner, channel): Stream) -> String {
    match owner {
        Owner::Account(id) => format!("{} {id}", channel.name()),
        Owner::Organization(id) => format!("{} {id}", channel.name()),
        Owner::Venue => channel.name().to_owned(),
    }
}

impl History {
    /// A page of a stream's items after `offset` and up to the event `at`; zero is the beginning of the table.
    pub async fn stream(&self, stream: Stream, offset: u64, at: Seq) -> Result<Past, Busy> {
        let (after, _) = Seq::of_offset(offset);
        // The item with that very offset must exist, unless a snapshot or an earlier page ended there.
        let named = offset != 0 && !Seq::is_snapshot_offset(offset);
        let mut next = if named { after.0 } else { after.next().0 };
        let name = name(stream);
        let blocks = self.reader.stream_blocks(&name, next / BLOCK_EVENTS, PAGE_BLOCKS);
        let (blocks, since) = self.query(at, async { Ok(blocks.await?) }).await?;
        if since > 0 && offset != 0 && offset < Seq(since).snapshot_offset() {
            return Ok(Past::TooOld);
        }
        let _turn = self.turns.take(stream.0).await;
        let mut items = Vec::new();
        let mut full = blocks.len() == PAGE_BLOCKS as usize;
        for block in &blocks {
            next = next.max(block * BLOCK_EVENTS);
            let last = at.0.min((block + 1) * BLOCK_EVENTS - 1);
            if next <= last {
                next = self.read(stream, (next, last), at, &mut items).await?;
            }
            // A row may have events of later blocks; they are not read twice.
            if items.len() >= PAGE_ITEMS {
                full = true;
                break;
            }
        }
        if named && items.iter().all(|(stamped, route)| route.offset(stamped.seq) != offset) {
            return Ok(Past::Unknown);
        }
        items.retain(|(stamped, route)| route.offset(stamped.seq) > offset);
        let until = if full { Seq(at.0.min(next - 1)) } else { at };
        Ok(Past::Page(StreamPage { items, until: until.snapshot_offset() }))
    }

    /// Adds the items in the journal rows between two events, none after `at`; returns the sequence after those rows.
    async fn read(
        &self,
        stream: Stream,
        (first, last): (u64, u64),
        at: Seq,
        items: &mut Vec<(Arc<Stamped>, Route)>,
    ) -> Result<u64, Busy> {
        let unreadable = |error: &dyn std::fmt::Display| {
            tracing::warn!(%error, "the journal cannot be read for a replay");
            Busy
        };
        let mut next = last + 1;
        for row in self.streams.rows(first, last, u32::MAX).await.map_err(|error| unreadable(&error))? {
            next = next.max(row.next_seq());
            for stamped in codec::events(&row).map_err(|error| unreadable(&error))? {
                if stamped.seq.0 < first || stamped.seq > at {
                    continue;
                }
                let stamped = Arc::new(stamped);
                routes(stamped.seq, stamped.at, &stamped.event, &mut |route| {
                    if (route.owner, route.channel) == stream {
                        items.push((Arc::clone(&stamped), route));
                    }
                });
            }
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::operation::Operation;
    use crate::domain::ids::AccountId;
    use crate::history::queries::tests::{canceled, followed};
    use std::pin::pin;

    const LAST: Seq = Seq(3);

    async fn page(history: &History, account: u32) -> usize {
        let stream = (Owner::Account(AccountId(account)), Operation::Executions);
        let Ok(Past::Page(page)) = history.stream(stream, 0, LAST).await else { panic!("it is kept") };
        page.items.len()
    }

    /// Whether a page is not read in the time of many.
    async fn waits(history: &History, page: impl Future<Output = usize>) -> bool {
        let many = async {
            for _ in 0..100 {
                history.streams.rows(1, LAST.0, u32::MAX).await.unwrap();
            }
        };
        tokio::select! {
            biased;
            _ = page => false,
            () = many => true,
        }
    }

    #[tokio::test]
    async fn rule_42_so_many_pages_are_read_at_once_and_one_of_an_owner() {
        let dir = tempfile::tempdir().unwrap();
        let (history, mut feed, mut journal) = followed(dir.path()).await;
        let events = Arc::new((1..=LAST.0).map(|seq| canceled(seq, 7, "a")).collect());
        crate::history::journal_events(&mut journal, &events).await;
        feed.feed(&events);
        assert_eq!((page(&history, 1).await, page(&history, 2).await), (3, 0));
        let turn = |account| history.turns.take(Owner::Account(AccountId(account)));
        let (first, second) = (turn(8).await, turn(9).await);
        let mut third = pin!(page(&history, 1));
        assert!(waits(&history, third.as_mut()).await, "two others are being read");
        drop(first);
        assert_eq!(third.await, 3);
        drop(second);
        let own = turn(1).await;
        let mut next = pin!(page(&history, 1));
        assert!(waits(&history, next.as_mut()).await, "one of its owner is being read");
        assert_eq!(page(&history, 2).await, 0, "of another owner, none");
        drop(own);
        assert_eq!(next.await, 3);
    }
}
