//! Who is asking.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::domain::ids::{MemberId, ServiceUserId, VenueKeyId};

/// Who a credential identifies, or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Actor {
    /// No credential yet: public data only.
    Public,
    /// A Service User's key.
    ServiceUser(ServiceUserId),
    /// A Member, whose session the cookie named.
    Member(MemberId),
    /// A venue operator's key.
    Venue(VenueKeyId),
    /// The server itself, acting on its own.
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

/// What proved an actor's identity. A secret that was rotated and a session that has ended are refused (rules 5, 39).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// Nothing.
    None,
    /// A key's secret, by its version.
    Key(u32),
    /// A Member's session, by the SHA-256 of its cookie.
    Session([u8; 32]),
}

/// An actor at the address it speaks from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The actor.
    pub actor: Actor,
    /// The true peer address, v4-mapped ones as IPv4.
    pub peer: IpAddr,
    /// What proved it.
    pub credential: Credential,
}

impl Principal {
    /// The server itself, which speaks from its own host.
    pub const SERVER: Principal =
        Principal { actor: Actor::Server, peer: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: Credential::None };

    /// Whoever is at `peer`: no credential was proved yet.
    pub fn public(peer: IpAddr) -> Principal {
        Principal { actor: Actor::Public, peer, credential: Credential::None }
    }
}
