//! Exactly-once matching of replies to requests by `req_id`.
//!
//! A closed loop has at most W requests outstanding, so they live in W slots. A slot hands out the ids
//! `slot + W`, `slot + 2W`, …: the id alone says which slot it belongs to, no id is used twice, and replies may come
//! in any order.

use tokio::time::Instant;

/// A reply to no outstanding request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// This request had its answer already.
    #[error("a second reply to req_id {0}")]
    Doubled(u64),
    /// No such request was ever sent on this connection.
    #[error("a reply to req_id {0}, which was never sent")]
    Unknown(u64),
}

/// The outstanding requests of one connection. `T` is what the sender wants returned with the reply.
#[derive(Debug)]
pub struct InFlight<T> {
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot<T> {
    next_id: u64,
    sent: Option<(Instant, T)>,
}

impl<T> InFlight<T> {
    /// Room for `depth` outstanding requests.
    pub fn new(depth: usize) -> Self {
        let first_ids = depth as u64..2 * depth as u64;
        Self {
            slots: first_ids.map(|next_id| Slot { next_id, sent: None }).collect(),
            free: (0..depth).rev().collect(),
        }
    }

    /// Takes a slot for a request sent at `at`; `None` when all are taken.
    pub fn send(&mut self, at: Instant, what: T) -> Option<u64> {
        let depth = self.slots.len() as u64;
        let slot = &mut self.slots[self.free.pop()?];
        let req_id = slot.next_id;
        slot.next_id += depth;
        slot.sent = Some((at, what));
        Some(req_id)
    }

    /// Returns the request that a reply belongs to, and frees its slot.
    ///
    /// # Errors
    /// The reply answers nothing outstanding.
    pub fn settle(&mut self, req_id: u64) -> Result<(Instant, T), MatchError> {
        let depth = self.slots.len() as u64;
        if depth == 0 || req_id < depth {
            return Err(MatchError::Unknown(req_id));
        }
        let index = usize::try_from(req_id % depth).expect("a slot index is below the slot count");
        let slot = &mut self.slots[index];
        if req_id >= slot.next_id {
            return Err(MatchError::Unknown(req_id));
        }
        if req_id + depth < slot.next_id {
            return Err(MatchError::Doubled(req_id));
        }
        let sent = slot.sent.take().ok_or(MatchError::Doubled(req_id))?;
        self.free.push(index);
        Ok(sent)
    }

    /// Whether another request may be sent.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Requests without a reply so far.
    pub fn outstanding(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_match_in_any_order_and_ids_never_repeat() {
        let mut in_flight = InFlight::new(3);
        let now = Instant::now();
        let mut issued = Vec::new();
        for round in 0..5 {
            let ids: Vec<u64> = (0..3).map(|n| in_flight.send(now, (round, n)).unwrap()).collect();
            assert!(!in_flight.has_room());
            assert_eq!(in_flight.send(now, (9, 9)), None);
            for (n, id) in ids.iter().enumerate().rev() {
                assert_eq!(in_flight.settle(*id).unwrap().1, (round, n));
            }
            issued.extend(ids);
        }
        assert_eq!(in_flight.outstanding(), 0);
        issued.sort_unstable();
        issued.dedup();
        assert_eq!(issued.len(), 15);
    }

    #[test]
    fn a_second_reply_is_noticed_at_once_and_after_the_slot_is_used_again() {
        let mut in_flight = InFlight::new(1);
        let first = in_flight.send(Instant::now(), ()).unwrap();
        in_flight.settle(first).unwrap();
        assert_eq!(in_flight.settle(first).unwrap_err(), MatchError::Doubled(first));
        let second = in_flight.send(Instant::now(), ()).unwrap();
        assert_eq!(in_flight.settle(first).unwrap_err(), MatchError::Doubled(first));
        assert!(in_flight.settle(second).is_ok());
    }

    #[test]
    fn a_reply_to_nothing_is_noticed() {
        let mut in_flight = InFlight::new(2);
        let id = in_flight.send(Instant::now(), ()).unwrap();
        for stranger in [0, 1, id + 1, id + 2, u64::MAX] {
            assert_eq!(in_flight.settle(stranger).unwrap_err(), MatchError::Unknown(stranger), "{stranger}");
        }
        assert_eq!(in_flight.outstanding(), 1);
    }
}
