//! A map from order id to place, for look-ups only. It cannot be iterated, so its inner order can never
//! reach an event.

#[expect(clippy::disallowed_types, reason = "wrapped so that nothing can walk it in hash order")]
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::domain::ids::OrderId;

/// Order ids to slots.
#[derive(Clone, Debug, Default)]
#[expect(clippy::disallowed_types, reason = "wrapped so that nothing can walk it in hash order")]
pub struct Index(HashMap<OrderId, u32, BuildHasherDefault<Spread>>);

impl Index {
    /// The slot of an order.
    pub fn get(&self, id: OrderId) -> Option<u32> {
        self.0.get(&id).copied()
    }

    /// Notes the slot of an order.
    pub fn insert(&mut self, id: OrderId, slot: u32) {
        self.0.insert(id, slot);
    }

    /// Forgets an order.
    pub fn remove(&mut self, id: OrderId) -> Option<u32> {
        self.0.remove(&id)
    }
}

/// Multiplies by an odd constant: ids are consecutive numbers that the server draws itself, so nobody can
/// choose colliding ones.
#[derive(Clone, Debug, Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
