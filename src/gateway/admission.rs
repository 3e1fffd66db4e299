//! How many connections and sockets one address may have, and how many handshakes the engine judges at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of open things by address.
#[derive(Debug)]
pub struct Addresses {
    open: Mutex<HashMap<IpAddr, usize>>,
    most: usize,
}

/// Counts for its address until it is dropped.
#[derive(Debug)]
pub struct Admitted {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    /// Allows at most `most` for each address.
    pub fn new(most: usize) -> Arc<Addresses> {
        Arc::new(Addresses { open: Mutex::default(), most })
    }

    /// Counts one more from `peer`; `None` if its address has the maximum. This host itself has none: a proxy on it, or
    /// a load test, connects for many.
    pub fn enter(self: &Arc<Addresses>, peer: IpAddr) -> Option<Admitted> {
        let address = counted_as(peer);
        let mut open = self.open.lock();
        let count = open.entry(address).or_default();
        if *count >= self.most && !address.is_loopback() {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Admitted { addresses: Arc::clone(self), address })
    }
}

/// Counts sockets by address, and limits concurrent handshakes.
#[derive(Debug)]
pub struct Admission {
    /// Sockets by the address that they come from, behind any proxy.
    pub sockets: Arc<Addresses>,
    turns: Arc<Semaphore>,
}

impl Admission {
    /// Allows `per_address` sockets of one address, and `pending` handshakes and HTTP requests at the engine at once.
    pub fn new(per_address: usize, pending: usize) -> Admission {
        Admission { sockets: Addresses::new(per_address), turns: Arc::new(Semaphore::new(pending)) }
    }

    /// A place among the requests that the engine judges; if all are taken, waits in line.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// The address that `peer` counts as: all of an IPv6 network of 64 bits, since one subscriber usually has all of it.
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
        let addresses = Addresses::new(2);
        let first = addresses.enter(address("192.0.2.1")).unwrap();
        let _second = addresses.enter(address("192.0.2.1")).unwrap();
        assert!(addresses.enter(address("192.0.2.1")).is_none());
        let other = addresses.enter(address("192.0.2.2")).unwrap();
        drop(first);
        let _third = addresses.enter(address("192.0.2.1")).unwrap();
        assert!(addresses.enter(address("192.0.2.1")).is_none());
        drop(other);
        assert_eq!(addresses.open.lock().len(), 1, "an address without sockets takes no room");
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_this_host_not_at_all() {
        let addresses = Addresses::new(1);
        let _one = addresses.enter(address("2001:db8::1")).unwrap();
        assert!(addresses.enter(address("2001:db8::ffff:1")).is_none());
        let _next = addresses.enter(address("2001:db8:0:1::1")).unwrap();
        let _here: Vec<Admitted> = (0..5).map(|_| addresses.enter(address("127.0.0.1")).unwrap()).collect();
    }
}
