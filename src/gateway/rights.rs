//! What a changed right means for open sockets (rule 8). The engine judges every message anyway; this only closes
//! sockets that could do nothing more, and says why.

use std::net::IpAddr;

use super::close::Close;
use super::directory::Directory;
use crate::access::operation::Operation;
use crate::access::principal::{Actor, Credential};
use crate::access::{Rights, permit};
use crate::domain::ids::MemberId;
use crate::engine::approvals::may_view;
use crate::engine::event::Event;
use crate::engine::freezes::FreezeScope;
use crate::engine::members::MemberStatus;
use crate::engine::service_users::{KeyStatus, ServiceUser, ServiceUserChange};
use crate::sequencer::Stamped;

/// Why an event closes a socket, if it does.
pub fn verdict(event: &Event, peer: IpAddr, credential: Credential, open: &[Operation]) -> Option<Close> {
    match event {
        Event::ServiceUserChanged { service_user, change } => {
            if !service_user.bears(credential) {
                return Some(Close::KeyRotated);
            }
            key_verdict(service_user, *change, peer, open)
        }
        Event::VenueKeyChanged(key) if key.expired => Some(Close::KeyExpired),
        Event::Frozen(freeze) if freeze.scope == FreezeScope::All => Some(Close::Frozen),
        Event::MemberChanged(member) if member.status != MemberStatus::Active => Some(Close::MemberEnded),
        Event::MemberChanged(member) => lost(member.rights(), open),
        Event::SessionClosed(session) if credential == Credential::Session(session.cookie_hash) => {
            Some(Close::SessionEnded)
        }
        _ => None,
    }
}

fn key_verdict(user: &ServiceUser, change: ServiceUserChange, peer: IpAddr, open: &[Operation]) -> Option<Close> {
    match user.status {
        KeyStatus::Removed => return Some(Close::KeyRemoved),
        KeyStatus::Disabled => return Some(Close::KeyDisabled),
        KeyStatus::Unclaimed => return Some(Close::KeyNotClaimed),
        KeyStatus::Expired => return Some(Close::KeyExpired),
        KeyStatus::Active => {}
    }
    if !user.settings.allow_websocket {
        return Some(Close::WebSocketOff);
    }
    if !user.settings.admits_peer(peer) {
        return Some(Close::AddressOff);
    }
    if let Some(closes) = lost(Rights::ServiceUser(user.scopes), open) {
        return Some(closes);
    }
    let dated = |channel: &Operation| {
        matches!(
            channel,
            Operation::Executions | Operation::Ledger | Operation::Earn | Operation::Deposits | Operation::Withdrawals
        )
    };
    let ended = change == ServiceUserChange::QueryEnded || user.query_ended;
    if ended && open.iter().any(dated) {
        return Some(Close::QueryEnded);
    }
    None
}

/// How a socket is closed when `rights` no longer permit one of its channels.
fn lost(rights: Rights<'_>, open: &[Operation]) -> Option<Close> {
    let is_lost = |channel: &Operation| !permit(rights, *channel);
    open.iter().any(is_lost).then_some(Close::ScopeLost)
}

/// Those whose sockets an event may close.
pub fn touched(directory: &Directory, event: &Event) -> Vec<Actor> {
    let key = |user: &ServiceUser| Actor::ServiceUser(user.id);
    match event {
        Event::ServiceUserChanged { service_user, .. } => vec![key(service_user)],
        Event::VenueKeyChanged(key) => vec![Actor::Venue(key.id)],
        Event::MemberChanged(member) => vec![Actor::Member(member.id)],
        Event::SessionClosed(session) => vec![Actor::Member(session.member)],
        Event::Frozen(freeze) => directory.keys(|keys| keys.of(freeze.organization).map(key).collect()),
        _ => Vec::new(),
    }
}

/// Whether a Member may see the request in an event.
pub fn sees(directory: &Directory, member: MemberId, stamped: &Stamped) -> bool {
    let Event::RequestChanged { request, .. } = &stamped.event else { return true };
    directory.members(|members| may_view(members, request, member))
}
