//! How a server restarts: from its disk, whose snapshots may be damaged, compared with what everybody was shown.

use countersign::sequencer::recovery::recent;
use countersign::sequencer::{Stamped, codec};
use countersign::storage::journal::Row;

use super::{BURST, Life, Run};

impl Run {
    /// Restarts the server from its disk, and compares that with what everybody was shown.
    pub(super) async fn restart(&mut self) {
        if let Some((invocations, engine)) = self.read_only.take() {
            self.history.put_back(invocations);
            self.model.go_back(engine);
        }
        let intact = self.damage().await;
        loop {
            // Only opening the journal for writing determines whether the last row exists.
            drop(self.server.disk.journal().expect("nobody writes"));
            self.account().await;
            self.laws.compare(self.model.state());
            let kept = self.dice.of(&[40, 300, 100_000]);
            let recent = recent(&self.server.reader(), kept).await.expect("the journal is read");
            self.followers.restart(&recent, self.model.state().seq);
            let expected = self.model.state().digest();
            let _before = self.model.restart();
            let queue_max = if self.plan.bursts() { 2 * BURST } else { self.dice.of(&[12, 30, 100, 1_000]) };
            let started = self.server.start(queue_max, None).await;
            if let Some(recovered) = self.server.recovered() {
                assert_eq!(recovered, expected, "law 4: the state recovered is not the one that was left");
            }
            match started {
                Ok(()) => break,
                // The disk failed again during the first tick.
                Err(_) => self.server.disk.heal(),
            }
            self.hear(Life::Running);
        }
        if !intact {
            self.server.disk.damage(|_, snapshots| snapshots.clear());
        }
        self.server.disk.heal();
        self.hear(Life::Running);
    }

    /// Snapshots are optional: damages or removes them sometimes. Returns whether those left are unchanged.
    async fn damage(&mut self) -> bool {
        let there = self.server.snapshots().newest_first().next().is_some();
        let kind = self.dice.below(6);
        if !there || kind == 0 {
            self.server.disk.damage(|_, snapshots| snapshots.clear());
            self.coverage.hit("start from the first row");
            return true;
        }
        let at = self.dice.below(u64::MAX) as usize;
        match kind {
            1 => self.server.disk.damage(|_, snapshots| {
                for body in snapshots.iter_mut().map(|snapshot| &mut snapshot.body) {
                    let at = at % body.len();
                    body[at] ^= 1;
                }
            }),
            2 => self.server.disk.damage(|_, snapshots| snapshots.iter_mut().for_each(|of| of.format += 1)),
            _ => {
                self.coverage.hit("start from a snapshot");
                return true;
            }
        }
        self.coverage.hit(if kind == 1 { "snapshot damaged" } else { "snapshot of an unknown format" });
        false
    }

    /// Matches what is on the disk: all that was shown, and what more may have come from unanswered requests.
    async fn account(&mut self) {
        let from = self.shown.first().map_or(self.model.state().seq.0 + 1, |first| first.seq.0);
        let rows = self.server.reader().rows(from, u64::MAX, u32::MAX).await.expect("the disk is read");
        let last = self.model.state().seq.0;
        let (shown, beyond): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.first_seq <= last);
        let stored = shown.iter().flat_map(|row| codec::events(row).expect("the journal is read"));
        let there = |of: &Stamped, stored: &Stamped| {
            (of.seq, of.at, of.by, &of.event) == (stored.seq, stored.at, stored.by, &stored.event)
        };
        let mut count = 0;
        for (of, stored) in self.shown.iter().zip(stored) {
            assert!(there(of, &stored), "law 1: {of:?} was shown, and {stored:?} is on the disk");
            count += 1;
        }
        assert_eq!(count, self.shown.len(), "law 1: what was shown is not on the disk");
        self.shown.clear();
        let (survived, lost) = (self.history.survived, self.history.lost);
        for event in self.model.crashed(&beyond, &mut self.history) {
            self.show(&event);
        }
        self.laws.end();
        self.shown.clear();
        if self.history.survived > survived {
            self.coverage.hit("unanswered request took effect");
        }
        if self.history.lost > lost {
            self.coverage.hit("unanswered request was lost");
        }
    }
}
