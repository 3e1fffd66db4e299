//! What a changed right means for open sockets (rule 8). The engine judges every message anyway; this only closes
//! sockets that could do nothing more, and says why.

use std::net::IpAddr;

use super::directory::Directory;
use crate::access::operation::Operation;
use crate::access::principal::Credential;
use crate::access::{Rights, permit};
use crate::domain::ids::MemberId;
use crate::engine::approvals::may_view;
use crate::engine::event::Event;
use crate::engine::freezes::FreezeScope;
use crate::engine::members::MemberStatus;
use crate::engine::service_users::{KeyRef, KeyStatus, ServiceUser, ServiceUserChange};
use crate::sequencer::Stamped;

/// The owner of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A key's.
    Key(KeyRef),
    /// A Member's.
    Member(MemberId),
}

/// The key was revoked or changed, or an open channel lost the scope, the dates or the View that it needs.
pub const KEY_CHANGED: u16 = 4001;
/// The key expired.
pub const KEY_EXPIRED: u16 = 4002;
const EXPIRED: (u16, &str) = (KEY_EXPIRED, "key expired");
/// Allow WebSocket was turned off.
pub const WEBSOCKET_OFF: u16 = 4003;
/// The address is no longer in the allow-list.
pub const ADDRESS_OFF: u16 = 4004;
/// The Member's session ended.
pub const SESSION_ENDED: u16 = 4005;
/// The socket did not read what was sent to it.
pub const SLOW_CONSUMER: u16 = 4008;
/// The socket sent more than it may, or its key has more sockets than it may.
pub const TOO_MANY: u16 = 4009;

/// The code and reason that an event closes a socket with, if it does.
pub fn verdict(event: &Event, peer: IpAddr, credential: Credential, open: &[Operation]) -> Option<(u16, &'static str)> {
    match event {
        Event::ServiceUserChanged { service_user, change } => {
            if !service_user.bears(credential) {
                return Some((KEY_CHANGED, "key rotated"));
            }
            key_verdict(service_user, *change, peer, open)
        }
        Event::VenueKeyChanged(key) if key.expired => Some(EXPIRED),
        Event::Frozen(freeze) if freeze.scope == FreezeScope::All => Some((KEY_CHANGED, "frozen")),
        Event::MemberChanged(member) if member.status != MemberStatus::Active => Some((
            SESSION_ENDED,
            "session ended: you were suspended, reset or removed; ask a Member who manages access",
        )),
        Event::MemberChanged(member) => lost(member.rights(), open),
        Event::SessionClosed(session) if credential == Credential::Session(session.cookie_hash) => {
            Some((SESSION_ENDED, "session ended"))
        }
        _ => None,
    }
}

fn key_verdict(
    user: &ServiceUser,
    change: ServiceUserChange,
    peer: IpAddr,
    open: &[Operation],
) -> Option<(u16, &'static str)> {
    match user.status {
        KeyStatus::Removed => return Some((KEY_CHANGED, "key removed")),
        KeyStatus::Disabled => return Some((KEY_CHANGED, "key disabled")),
        KeyStatus::Unclaimed => return Some((KEY_CHANGED, "key not claimed")),
        KeyStatus::Expired => return Some(EXPIRED),
        KeyStatus::Active => {}
    }
    if !user.settings.allow_websocket {
        return Some((WEBSOCKET_OFF, "WebSocket not allowed any more"));
    }
    if !user.settings.admits_peer(peer) {
        return Some((ADDRESS_OFF, "address not allowed any more"));
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
        return Some((KEY_CHANGED, "query end date"));
    }
    None
}

/// How a socket is closed when `rights` no longer permit one of its channels.
fn lost(rights: Rights<'_>, open: &[Operation]) -> Option<(u16, &'static str)> {
    let is_lost = |channel: &Operation| !permit(rights, *channel);
    open.iter().any(is_lost).then_some((KEY_CHANGED, "an open subscription lost its scope"))
}

/// The holders whose sockets an event may close.
pub fn touched(directory: &Directory, event: &Event) -> Vec<Holder> {
    let key = |user: &ServiceUser| Holder::Key(KeyRef::ServiceUser(user.id));
    match event {
        Event::ServiceUserChanged { service_user, .. } => vec![key(service_user)],
        Event::VenueKeyChanged(key) => vec![Holder::Key(KeyRef::Venue(key.id))],
        Event::MemberChanged(member) => vec![Holder::Member(member.id)],
        Event::SessionClosed(session) => vec![Holder::Member(session.member)],
        Event::Frozen(freeze) => directory.keys(|keys| keys.of(freeze.organization).iter().map(key).collect()),
        _ => Vec::new(),
    }
}

/// Whether a Member may see the request in an event.
pub fn sees(directory: &Directory, member: MemberId, stamped: &Stamped) -> bool {
    let Event::RequestChanged { request, .. } = &stamped.event else { return true };
    directory.members(|members| may_view(members, request, member))
}
