//! Who is asking.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::domain::ids::{MemberId, ServiceUserId, VenueKeyId};

/// Who a credential proved, or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// No credential yet: public data only.
    Public,
    /// A Service User's key.
    ServiceUser(ServiceUserId),
    /// A Member, whose session the cookie named.
    Member(MemberId),
    /// A venue operator's key.
    Venue(VenueKeyId),
    /// The server itself: what it does unasked.
    Server,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Public => f.write_str("public"),
            Actor::ServiceUser(id) => id.fmt(f),
            Actor::Member(id) => id.fmt(f),
            Actor::Venue(id) => id.fmt(f),
            Actor::Server => f.write_str("server"),
        }
    }
}

/// An actor at the address it speaks from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub actor: Actor,
    /// The true peer address, v4-mapped ones as IPv4.
    pub peer: IpAddr,
    /// Which credential bound the socket: of a key, the version of its secret; of a Member, which session. One that
    /// was rotated or has ended no longer admits (rules 5, 39).
    pub credential: u32,
}

impl Principal {
    /// The server itself, which speaks from its own host.
    pub const SERVER: Principal =
        Principal { actor: Actor::Server, peer: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: 0 };

    /// Whoever is at `peer`: no credential was proved yet.
    pub fn public(peer: IpAddr) -> Principal {
        Principal { actor: Actor::Public, peer, credential: 0 }
    }
}
