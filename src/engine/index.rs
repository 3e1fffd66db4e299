//! Maps for look-ups. Nothing can walk them in hash order, so their inner order can never reach an event.

use std::collections::BTreeMap;
#[expect(clippy::disallowed_types, reason = "wrapped so that nothing can walk it in hash order")]
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::ids::OrderId;

/// Order ids to where the orders are.
#[derive(Clone, Debug)]
#[expect(clippy::disallowed_types, reason = "wrapped so that nothing can walk it in hash order")]
pub struct Index<P>(HashMap<OrderId, P, BuildHasherDefault<Consecutive>>);

impl<P> Default for Index<P> {
    fn default() -> Index<P> {
        Index(Default::default())
    }
}

impl<P: Copy> Index<P> {
    /// The place of an order.
    pub fn get(&self, id: OrderId) -> Option<P> {
        self.0.get(&id).copied()
    }

    /// Notes the place of an order.
    pub fn insert(&mut self, id: OrderId, place: P) {
        self.0.insert(id, place);
    }

    /// Forgets an order. Returns where it was.
    pub fn remove(&mut self, id: OrderId) -> Option<P> {
        self.0.remove(&id)
    }
}

/// Keeps consecutive numbers together, so that new orders are noted in memory that was just used: the low bits, which
/// choose the place, are the number's own, and the high ones, which tell neighbours apart, are mixed. Ids are drawn
/// by the server itself, so nobody can choose colliding ones.
#[derive(Clone, Debug, Default)]
pub struct Consecutive(u64);

impl Hasher for Consecutive {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0xfe00_0000_0000_0000)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(8) ^ number;
    }
}

/// What the names that clients choose stand for. Their hash is seeded anew in each process, so nobody can choose
/// colliding ones; they are stored in their own order.
#[derive(Clone, Debug)]
#[expect(clippy::disallowed_types, reason = "wrapped so that nothing can walk it in hash order")]
pub struct Names<K, V>(HashMap<K, V>);

impl<K, V> Default for Names<K, V> {
    fn default() -> Names<K, V> {
        Names(Default::default())
    }
}

impl<K: Hash + Eq, V> Names<K, V> {
    /// What a name stands for.
    pub fn get(&self, name: &K) -> Option<&V> {
        self.0.get(name)
    }

    /// Lets a name stand for this from now on.
    pub fn insert(&mut self, name: K, value: V) {
        self.0.insert(name, value);
    }

    /// Forgets a name.
    pub fn remove(&mut self, name: &K) {
        self.0.remove(name);
    }
}

impl<K: Hash + Ord + Serialize, V: Serialize> Serialize for Names<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.iter().collect::<BTreeMap<_, _>>().serialize(serializer)
    }
}

impl<'de, K: Hash + Eq + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Names<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Names<K, V>, D::Error> {
        Deserialize::deserialize(deserializer).map(Names)
    }
}
