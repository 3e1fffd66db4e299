//! How many sockets one address may have, and how many handshakes are judged at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Sockets by address, and places for handshakes.
#[derive(Debug)]
pub struct Admission {
    sockets: Mutex<HashMap<IpAddr, usize>>,
    per_address: usize,
    places: Semaphore,
}

/// A socket that counts for its address until this is dropped.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    /// At most `per_address` sockets of one address, and `pending` handshakes with the engine at once.
    pub fn new(per_address: usize, pending: usize) -> Arc<Admission> {
        Arc::new(Admission { sockets: Mutex::default(), per_address, places: Semaphore::new(pending) })
    }

    /// Counts a socket from `peer`; `None` when its address has as many as it may. This host itself is not counted:
    /// a proxy on it, or a load test, speaks for many.
    pub fn enter(self: &Arc<Admission>, peer: IpAddr) -> Option<Admitted> {
        let address = counted_as(peer);
        let mut sockets = self.sockets.lock().expect("no holder of this lock panics");
        let count = sockets.entry(address).or_default();
        if *count >= self.per_address && !address.is_loopback() {
            return None;
        }
        *count += 1;
        drop(sockets);
        Some(Admitted { admission: Arc::clone(self), address })
    }

    /// A place among the handshakes that are judged; who comes while all are taken waits in line, so that a storm
    /// of clients does not fill the engine's queue before those who are in.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut sockets = self.admission.sockets.lock().expect("no holder of this lock panics");
        if let Some(count) = sockets.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                sockets.remove(&self.address);
            }
        }
    }
}

/// The address that what `peer` does counts for: an IPv6 network of 64 bits is one subscriber's, who has all its addresses.
pub(super) fn counted_as(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn d7_79_an_address_has_so_many_sockets_and_a_place_again_when_one_ends() {
        let admission = Admission::new(2, 1);
        let first = admission.enter(address("192.0.2.1")).unwrap();
        let _second = admission.enter(address("192.0.2.1")).unwrap();
        assert!(admission.enter(address("192.0.2.1")).is_none());
        let other = admission.enter(address("192.0.2.2")).unwrap();
        drop(first);
        let _third = admission.enter(address("192.0.2.1")).unwrap();
        assert!(admission.enter(address("192.0.2.1")).is_none());
        drop(other);
        assert_eq!(admission.sockets.lock().unwrap().len(), 1, "an address without sockets takes no room");
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_this_host_not_at_all() {
        let admission = Admission::new(1, 1);
        let _one = admission.enter(address("2001:db8::1")).unwrap();
        assert!(admission.enter(address("2001:db8::ffff:1")).is_none());
        let _next = admission.enter(address("2001:db8:0:1::1")).unwrap();
        let _here: Vec<Admitted> = (0..5).map(|_| admission.enter(address("127.0.0.1")).unwrap()).collect();
    }
}
