//! Maps for look-ups. Nothing can walk them in hash order, so their inner order can never reach an event.

#[expect(clippy::disallowed_types, reason = "wrapped so that nothing can walk it in hash order")]
use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher};

use hashbrown::HashTable;

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

/// What a table's hash is seeded with: nothing can walk the table.
#[expect(clippy::disallowed_types, reason = "the seed of a table that nothing can walk")]
type Seed = std::hash::RandomState;

/// Something that a client has named.
pub trait Named {
    /// What it is named with.
    type Name: Hash + Eq;

    /// Its name.
    fn name(&self) -> &Self::Name;
}

/// Where something named is kept until it is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot(u32);

/// What the names that clients choose stand for. The things lie in a slab, and the table only says where: it is small, so
/// that a look-up touches little memory and its growth moves little. The hash is seeded anew in each process, so nobody
/// can choose colliding names.
#[derive(Clone, Debug)]
pub struct Names<T> {
    things: Vec<Option<T>>,
    free: Vec<Spot>,
    table: HashTable<(u32, Spot)>,
    seed: Seed,
}

impl<T> Default for Names<T> {
    fn default() -> Names<T> {
        Names { things: Vec::new(), free: Vec::new(), table: HashTable::new(), seed: Seed::default() }
    }
}

impl<T: Named> Names<T> {
    /// What a name stands for.
    pub fn get(&self, name: &T::Name) -> Option<&T> {
        self.at(self.find(name)?)
    }

    /// What lies there.
    pub fn at(&self, spot: Spot) -> Option<&T> {
        self.things[spot.0 as usize].as_ref()
    }

    /// Where what a name stands for lies.
    pub fn find(&self, name: &T::Name) -> Option<Spot> {
        let hash = self.hash(name);
        self.table.find(spread(hash), |entry| self.is(*entry, hash, name)).map(|(_, spot)| *spot)
    }

    /// Lets its name stand for this from now on.
    pub fn insert(&mut self, thing: T) -> Spot {
        let hash = self.hash(thing.name());
        let known = self.table.find(spread(hash), |entry| self.is(*entry, hash, thing.name()));
        if let Some((_, spot)) = known.copied() {
            self.things[spot.0 as usize] = Some(thing);
            return spot;
        }
        let spot = self.free.pop().unwrap_or_else(|| {
            self.things.push(None);
            Spot(u32::try_from(self.things.len() - 1).expect("open and recent orders are limited far below 2^32"))
        });
        self.things[spot.0 as usize] = Some(thing);
        self.table.insert_unique(spread(hash), (hash, spot), |(hash, _)| spread(*hash));
        spot
    }

    /// Forgets what lies there.
    pub fn remove(&mut self, spot: Spot) {
        let Some(thing) = self.things[spot.0 as usize].take() else { return };
        let hash = self.hash(thing.name());
        if let Ok(entry) = self.table.find_entry(spread(hash), |(_, other)| *other == spot) {
            entry.remove();
        }
        self.free.push(spot);
    }

    /// All things, in an order that is their own.
    pub fn sorted_by_key<K: Ord>(&self, key: impl FnMut(&&T) -> K) -> Vec<&T> {
        let mut all: Vec<&T> = self.things.iter().flatten().collect();
        all.sort_by_key(key);
        all
    }

    fn is(&self, (hash, spot): (u32, Spot), wanted: u32, name: &T::Name) -> bool {
        hash == wanted && self.at(spot).is_some_and(|thing| thing.name() == name)
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a hash")]
    fn hash(&self, name: &T::Name) -> u32 {
        self.seed.hash_one(name) as u32
    }
}

/// The table wants all bits of a hash.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
