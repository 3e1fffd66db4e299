//! Maps for look-ups. Nothing can iterate over them in hash order, so their inner order can never affect an event.

#[expect(clippy::disallowed_types, reason = "wrapped so that nothing can walk it in hash order")]
use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher};
use std::hint::black_box;

use arrayvec::ArrayVec;
use hashbrown::HashTable;

use crate::domain::ids::OrderId;

/// The most look-ups to prefetch at once: more would push each other out of the cache.
pub const PREFETCH_MAX: usize = 32;

/// Maps order ids to where the orders are.
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

    /// How many orders have a place.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Records the place of an order.
    pub fn insert(&mut self, id: OrderId, place: P) {
        self.0.insert(id, place);
    }

    /// Removes an order, and returns where it was.
    pub fn remove(&mut self, id: OrderId) -> Option<P> {
        self.0.remove(&id)
    }
}

/// Puts consecutive numbers next to each other, so that new orders are recorded in memory that was just used: the low
/// bits, which choose the bucket, are the number's own; the high bits, which tell neighbours apart, are mixed. The
/// server assigns the ids, so nobody can choose colliding ones.
#[derive(Clone, Debug, Default)]
struct Consecutive(u64);

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

/// The random seed of a table's hash; harmless, since nothing can iterate over the table.
#[expect(clippy::disallowed_types, reason = "the seed of a table that nothing can walk")]
type Seed = std::hash::RandomState;

/// Where a named thing is stored until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlabIndex(u32);

impl SlabIndex {
    /// Its segment, and its place there.
    fn place(self) -> (usize, usize) {
        (self.0 as usize / SEGMENT, self.0 as usize % SEGMENT)
    }
}

/// Tables that the names are spread over. Each grows by itself, so that with millions of names a look-up never waits
/// until all have moved.
const TABLES: usize = 64;
/// Things in one segment. They never move.
const SEGMENT: usize = 4_096;

/// Maps names that clients choose to things. The things are stored in a slab, and the tables only hold positions: they
/// are small, so that a look-up touches little memory, and growing moves little. Each process has its own random seed,
/// so nobody can choose colliding names.
#[derive(Clone, Debug)]
pub struct KeyedSlab<K, T> {
    segments: Vec<Vec<Option<(K, T)>>>,
    /// The longest free is taken first. If things are removed in about the order in which they came, the slab stays in
    /// that order, and walking or sorting it reads memory from front to back.
    free: VecDeque<SlabIndex>,
    tables: [HashTable<(u32, SlabIndex)>; TABLES],
    seed: Seed,
}

impl<K, T> Default for KeyedSlab<K, T> {
    fn default() -> KeyedSlab<K, T> {
        KeyedSlab {
            segments: Vec::new(),
            free: VecDeque::new(),
            tables: [const { HashTable::new() }; TABLES],
            seed: Seed::default(),
        }
    }
}

impl<K: Hash + Eq, T> KeyedSlab<K, T> {
    /// The thing of that name.
    pub fn get(&self, name: &K) -> Option<&T> {
        self.at(self.find(name)?)
    }

    /// The thing at that position.
    pub fn at(&self, index: SlabIndex) -> Option<&T> {
        self.entry(index).map(|(_, thing)| thing)
    }

    /// The position of the thing of that name.
    pub fn find(&self, name: &K) -> Option<SlabIndex> {
        self.find_hashed(self.hash(name), name)
    }

    /// Prefetches what [`find`](KeyedSlab::find) reads first for each of these names: first computes all hashes, then reads
    /// the tables, so that no look-up waits for the one before it.
    pub fn prefetch(&self, names: impl Iterator<Item = K>) {
        let hashes: ArrayVec<u32, PREFETCH_MAX> = names.map(|name| self.hash(&name)).take(PREFETCH_MAX).collect();
        for hash in hashes {
            black_box(self.tables[table(hash)].find(spread(hash), |_| false));
        }
    }

    /// Sets the thing of a name. Returns its position, and the thing that the name had before.
    pub fn insert(&mut self, name: K, thing: T) -> (SlabIndex, Option<T>) {
        let hash = self.hash(&name);
        if let Some(index) = self.find_hashed(hash, &name) {
            return (index, self.place(index).replace((name, thing)).map(|(_, before)| before));
        }
        let index = self.free.pop_front().unwrap_or_else(|| self.fresh());
        *self.place(index) = Some((name, thing));
        self.tables[table(hash)].insert_unique(spread(hash), (hash, index), |(hash, _)| spread(*hash));
        (index, None)
    }

    /// Removes what is at that position.
    pub fn remove(&mut self, index: SlabIndex) {
        let Some((name, _)) = self.place(index).take() else { return };
        let hash = self.hash(&name);
        if let Ok(entry) = self.tables[table(hash)].find_entry(spread(hash), |(_, other)| *other == index) {
            entry.remove();
        }
        self.free.push_back(index);
    }

    /// All names and things, sorted by a key of the things.
    pub fn sorted_by_key<O: Ord>(&self, key: impl Fn(&T) -> O) -> Vec<&(K, T)> {
        let mut all: Vec<&(K, T)> = self.segments.iter().flatten().flatten().collect();
        all.sort_by_key(|(_, thing)| key(thing));
        all
    }

    fn entry(&self, index: SlabIndex) -> Option<&(K, T)> {
        let (segment, place) = index.place();
        self.segments[segment][place].as_ref()
    }

    fn place(&mut self, index: SlabIndex) -> &mut Option<(K, T)> {
        let (segment, place) = index.place();
        &mut self.segments[segment][place]
    }

    /// A new position after all others.
    fn fresh(&mut self) -> SlabIndex {
        if self.segments.last().is_none_or(|last| last.len() == SEGMENT) {
            self.segments.push(Vec::with_capacity(SEGMENT));
        }
        let segments = self.segments.len();
        let last = &mut self.segments[segments - 1];
        last.push(None);
        let place = (segments - 1) * SEGMENT + last.len() - 1;
        SlabIndex(u32::try_from(place).expect("open and recent orders are limited far below 2^32"))
    }

    fn find_hashed(&self, hash: u32, name: &K) -> Option<SlabIndex> {
        let is =
            |entry: &(u32, SlabIndex)| entry.0 == hash && self.entry(entry.1).is_some_and(|(other, _)| other == name);
        self.tables[table(hash)].find(spread(hash), is).map(|(_, index)| *index)
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a hash")]
    fn hash(&self, name: &K) -> u32 {
        self.seed.hash_one(name) as u32
    }
}

/// The index of the table for a hash.
fn table(hash: u32) -> usize {
    hash as usize % TABLES
}

/// Spreads a 32-bit hash over the 64 bits that a table uses.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_they_were_put_and_their_places_are_used_again() {
        let count = 3 * SEGMENT as u64 + 1;
        let mut names = KeyedSlab::default();
        let spots: Vec<SlabIndex> = (0..count).map(|name| names.insert(name, name).0).collect();
        assert!((0..count).all(|name| names.find(&name) == Some(spots[name as usize])));
        let (index, before) = names.insert(7, 7);
        assert!(index == spots[7] && before.is_some(), "a name stays where it was");
        for gone in (0..count).step_by(3) {
            names.remove(spots[gone as usize]);
            assert!(names.find(&gone).is_none() && names.at(spots[gone as usize]).is_none());
        }
        for name in (0..count).step_by(3) {
            let (index, _) = names.insert(count + name, count + name);
            assert!(spots.contains(&index), "a place that was free");
        }
        let there: Vec<u64> = names.sorted_by_key(|thing| *thing).iter().map(|(name, _)| *name).collect();
        let kept = (0..count).filter(|name| !name.is_multiple_of(3));
        assert_eq!(there, kept.chain((0..count).step_by(3).map(|name| count + name)).collect::<Vec<u64>>());
    }
}
