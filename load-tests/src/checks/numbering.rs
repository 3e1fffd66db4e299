//! Numbers of a subscription: `sequence` counts its frames without a gap, the `offset`s of its items only rise.
//! `executions` and `balances` have both, the other private channels only offsets. Only the first frame may be a
//! snapshot: a later one would hide earlier losses. (Past fills would be a second one; nobody here asks for them.)

use super::Check;

/// Every frame of these has a `sequence`.
const NUMBERED: [&str; 2] = ["executions", "balances"];

/// Follows one subscription of one channel.
#[derive(Debug)]
pub struct Numbering {
    numbered: bool,
    /// Another channel has sent something that this channel must send as well.
    is_due: bool,
    /// A frame has come.
    has_begun: bool,
    sequence: u64,
    offset: u64,
    gaps: Check,
    order: Check,
}

impl Numbering {
    /// A subscription of `owner` that has sent nothing yet. `from` is the offset after which it was resumed, or 0.
    pub fn new(owner: &str, channel: &str, from: u64) -> Self {
        let stream = format!("{owner} {channel}");
        Self {
            numbered: NUMBERED.contains(&channel),
            is_due: false,
            has_begun: false,
            sequence: 0,
            offset: from,
            gaps: Check::new(format!("{stream}: sequence without gap or repetition")),
            order: Check::new(format!("{stream}: offsets strictly increasing")),
        }
    }

    /// Takes a frame.
    pub fn frame(&mut self, sequence: Option<u64>, is_snapshot: bool) {
        if is_snapshot && self.has_begun {
            self.order.violated("a snapshot where an update was due".into());
        }
        self.has_begun = true;
        self.gaps.looked_at += u64::from(self.numbered || sequence.is_some());
        let Some(sequence) = sequence else {
            if self.numbered {
                self.gaps.violated(format!("no sequence where {} was due", self.sequence + 1));
            }
            return;
        };
        let expected = self.sequence + 1;
        if sequence != expected {
            self.gaps.violated(format!("sequence {sequence} where {expected} was due"));
        }
        self.sequence = sequence;
    }

    /// Takes an item of an update.
    pub fn item(&mut self, offset: u64) {
        self.order.looked_at += 1;
        if offset <= self.offset {
            self.order.violated(format!("offset {offset} after {}", self.offset));
        }
        self.offset = self.offset.max(offset);
    }

    /// Takes a snapshot as of this offset; all its items have the same one.
    pub fn snapshot(&mut self, offset: u64) {
        if offset < self.offset {
            self.order.violated(format!("a snapshot at {offset} after {}", self.offset));
        }
        self.offset = self.offset.max(offset);
    }

    /// Another channel has sent something that this channel must send as well: it must not stay silent.
    pub fn due(&mut self) {
        self.is_due = true;
    }

    /// The last offset seen, from which the subscription can be resumed.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The checks; none of sequences for a channel without them, nor of offsets if nothing had to be sent.
    pub fn checks(self) -> impl Iterator<Item = Check> {
        let was_told = |check: &Check| check.looked_at > 0 || check.violations > 0;
        let gaps = Some(self.gaps).filter(was_told);
        let order = Some(self.order).filter(|order| self.is_due || was_told(order));
        gaps.into_iter().chain(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(frames: &[(u64, &[u64])]) -> u64 {
        let mut numbering = Numbering::new("Bot", "executions", 0);
        for (sequence, offsets) in frames {
            numbering.frame(Some(*sequence), false);
            offsets.iter().for_each(|offset| numbering.item(*offset));
        }
        numbering.checks().map(|check| check.violations).sum()
    }

    #[test]
    fn a_gap_a_repetition_and_a_swap_are_each_noticed() {
        assert_eq!(violations(&[(1, &[256, 257]), (2, &[512]), (3, &[513])]), 0);
        assert_eq!(violations(&[(1, &[256]), (3, &[768])]), 1, "a frame is missing");
        assert_eq!(violations(&[(1, &[256]), (1, &[256])]), 2, "a frame came twice");
        assert_eq!(violations(&[(1, &[256]), (2, &[256])]), 1, "an item came twice");
        assert_eq!(violations(&[(2, &[512]), (1, &[256])]), 3, "two frames changed places");
    }

    #[test]
    fn a_snapshot_is_the_first_frame_or_wrong() {
        for (snapshots, wrong) in [(&[true, false, false][..], 0), (&[true, true], 1), (&[false, true, true], 2)] {
            let mut numbering = Numbering::new("Bot", "balances", 256);
            for (sequence, is_snapshot) in (1..).zip(snapshots) {
                numbering.frame(Some(sequence), *is_snapshot);
            }
            assert_eq!(numbering.checks().map(|check| check.violations).sum::<u64>(), wrong, "{snapshots:?}");
        }
    }

    #[test]
    fn a_frame_without_a_sequence_is_wrong_where_there_must_be_one() {
        for (channel, wrong) in [("executions", 1), ("balances", 1), ("ledger", 0)] {
            let mut numbering = Numbering::new("Bot", channel, 0);
            numbering.frame(None, false);
            assert_eq!(numbering.checks().map(|check| check.violations).sum::<u64>(), wrong, "{channel}");
        }
    }
}
