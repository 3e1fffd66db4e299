//! What a changed right means for open sockets (rule 8). The engine judges every message by itself; this
//! only closes what could do nothing more, and names why.

use std::net::IpAddr;

use super::directory::Directory;
use crate::access::operation::Operation;
use crate::access::{Rights, permit};
use crate::domain::ids::MemberId;
use crate::engine::approvals::may_view;
use crate::engine::event::Event;
use crate::engine::members::MemberStatus;
use crate::engine::service_users::{KeyRef, KeyStatus, ServiceUser, ServiceUserChange};
use crate::sequencer::Stamped;

/// Whose socket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A key's.
    Key(KeyRef),
    /// A Member's.
    Member(MemberId),
}

/// The key was revoked or changed, an open channel lost its scope or dates.
pub const KEY_CHANGED: u16 = 4001;
/// The key expired.
pub const KEY_EXPIRED: u16 = 4002;
/// Allow WebSocket was taken away.
pub const WEBSOCKET_OFF: u16 = 4003;
/// The allow-list does not hold this address any more.
pub const ADDRESS_OFF: u16 = 4004;
/// The Member's session ended.
pub const SESSION_ENDED: u16 = 4005;
/// The socket did not take what was sent to it.
pub const SLOW_CONSUMER: u16 = 4008;

/// The code and reason that an event closes a socket with, if it does.
pub fn verdict(
    event: &Event,
    peer: IpAddr,
    cookie: Option<[u8; 32]>,
    open: &[Operation],
) -> Option<(u16, &'static str)> {
    match event {
        Event::ServiceUserChanged { service_user, change } => key_verdict(service_user, *change, peer, open),
        Event::MemberChanged(member) if member.status != MemberStatus::Active => {
            Some((SESSION_ENDED, "session ended: the Member may not sign in"))
        }
        Event::SessionClosed(session) if cookie == Some(session.cookie_hash) => Some((SESSION_ENDED, "session ended")),
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
        KeyStatus::Expired => return Some((KEY_EXPIRED, "key expired")),
        KeyStatus::Active => {}
    }
    if !user.settings.allow_websocket {
        return Some((WEBSOCKET_OFF, "WebSocket not allowed any more"));
    }
    if !user.settings.admits_peer(peer) {
        return Some((ADDRESS_OFF, "address not allowed any more"));
    }
    if open.iter().any(|channel| permit(Rights::ServiceUser(user.scopes), *channel).is_err()) {
        return Some((KEY_CHANGED, "an open subscription lost its scope"));
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

/// Whether a Member may see the request that an event tells of.
pub fn sees(directory: &Directory, member: MemberId, stamped: &Stamped) -> bool {
    let Event::RequestChanged { request, .. } = &stamped.event else { return true };
    directory.members(|members| may_view(members, request, member))
}
