//! Numbers of a subscription: `sequence` counts its frames without a hole, `offset`s of its items only rise.

use super::Check;

/// Follows one subscription of one channel.
#[derive(Debug)]
pub struct Numbering {
    sequence: u64,
    offset: u64,
    gaps: Check,
    order: Check,
}

impl Numbering {
    /// A subscription that has sent nothing yet. `from` is the offset after which it was resumed, or 0.
    pub fn new(stream: &str, from: u64) -> Self {
        Self {
            sequence: 0,
            offset: from,
            gaps: Check::new(format!("{stream}: sequence without gap or repetition")),
            order: Check::new(format!("{stream}: offsets strictly increasing")),
        }
    }

    /// A frame came. The channels without `sequence` give `None`.
    pub fn frame(&mut self, sequence: Option<u64>) {
        let Some(sequence) = sequence else { return };
        self.gaps.looked_at += 1;
        let expected = self.sequence + 1;
        if sequence != expected {
            self.gaps.violated(format!("sequence {sequence} where {expected} was due"));
        }
        self.sequence = sequence;
    }

    /// An item of an update came.
    pub fn item(&mut self, offset: u64) {
        self.order.looked_at += 1;
        if offset <= self.offset {
            self.order.violated(format!("offset {offset} after {}", self.offset));
        }
        self.offset = self.offset.max(offset);
    }

    /// A snapshot as at this offset came; all its items carry the same one.
    pub fn snapshot(&mut self, offset: u64) {
        if offset < self.offset {
            self.order.violated(format!("a snapshot at {offset} after {}", self.offset));
        }
        self.offset = self.offset.max(offset);
    }

    /// The last offset seen, from which the subscription can be resumed.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The checks, of which the first holds nothing for a channel without `sequence`.
    pub fn checks(self) -> impl Iterator<Item = Check> {
        [self.gaps, self.order].into_iter().filter(|check| check.looked_at > 0 || check.violations > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(frames: &[(u64, &[u64])]) -> u64 {
        let mut numbering = Numbering::new("executions", 0);
        for (sequence, offsets) in frames {
            numbering.frame(Some(*sequence));
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
}
