//! Places of which each owner may take a few at a time, and waits in turn for more: nobody's queries take all
//! connections.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of all owners; clones share them. An owner who has none and waits for none takes no room.
#[derive(Clone, Debug)]
pub struct Places<K> {
    most: usize,
    owners: Arc<Mutex<HashMap<K, Owned>>>,
}

/// An owner's places, and how many have one or wait for one.
#[derive(Debug)]
struct Owned {
    places: Arc<Semaphore>,
    count: usize,
}

/// A place, or a wait for one, until it is dropped.
#[derive(Debug)]
pub struct Place<K: Copy + Eq + Hash> {
    all: Places<K>,
    owner: K,
    permit: Option<OwnedSemaphorePermit>,
}

impl<K: Copy + Eq + Hash> Places<K> {
    /// Gives each owner at most `most` places at a time.
    pub fn new(most: usize) -> Places<K> {
        Places { most, owners: Arc::default() }
    }

    /// A place of `owner`; if all of theirs are taken, waits in line.
    pub async fn take(&self, owner: K) -> Place<K> {
        let places = self.enter(owner);
        let mut place = Place { all: Places { owners: Arc::clone(&self.owners), ..*self }, owner, permit: None };
        // Nobody closes a semaphore here.
        place.permit = places.acquire_owned().await.ok();
        place
    }

    fn enter(&self, owner: K) -> Arc<Semaphore> {
        let mut owners = self.owners.lock();
        let new = || Owned { places: Arc::new(Semaphore::new(self.most)), count: 0 };
        let owned = owners.entry(owner).or_insert_with(new);
        owned.count += 1;
        Arc::clone(&owned.places)
    }

    /// Owners who have a place or wait for one.
    #[cfg(test)]
    pub fn owners(&self) -> usize {
        self.owners.lock().len()
    }
}

impl<K: Copy + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut owners = self.all.owners.lock();
        if let Some(owned) = owners.get_mut(&self.owner) {
            owned.count -= 1;
            if owned.count == 0 {
                owners.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn an_owner_has_so_many_places_and_the_next_in_line_gets_the_one_that_ends() {
        let places = Places::new(2);
        let (first, _second) = (places.take(1).await, places.take(1).await);
        let (mut third, mut fourth) = (Box::pin(places.take(1)), Box::pin(places.take(1)));
        assert!(third.as_mut().now_or_never().is_none() && fourth.as_mut().now_or_never().is_none());
        assert!(places.take(2).now_or_never().is_some(), "another owner does not wait");
        drop(first);
        assert!(fourth.as_mut().now_or_never().is_none(), "the third came before");
        assert!(third.now_or_never().is_some());
        assert!(fourth.now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_has_no_place_and_waits_for_none_takes_no_room() {
        let places = Places::new(1);
        let held = places.take(1).await;
        let mut waiting = Box::pin(places.take(1));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(places.take(2).await);
        assert_eq!(places.owners(), 1);
        drop(held);
        assert_eq!(places.owners(), 1, "one still waits");
        drop(waiting);
        assert_eq!(places.owners(), 0, "who gave up waits no more");
    }
}
