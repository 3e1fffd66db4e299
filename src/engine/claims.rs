//! A generated key comes into use: its secret is claimed, it replaces the key before, and the Members involved become
//! its managers (rules 22, 28).

use super::caller::MemberCaller;
use super::decisions::spend_code;
use super::event::Event;
use super::keys::KeyRef;
use super::reject::{Code, Reject};
use super::reply::Reply;
use super::service_users::{KeyStatus, PreviousKey, Rotation, ServiceUser, ServiceUserChange};
use super::state::State;
use super::transition::Transition;
use crate::domain::ids::{MemberId, RequestId};
use crate::domain::time::Moment;

/// Hands a created key's secret to the Member who asked for it, once (rule 28).
pub fn claim_secret(
    t: &mut Transition<'_>,
    caller: MemberCaller,
    request: RequestId,
    step: Option<u64>,
) -> Result<Reply, Reject> {
    let now = t.now();
    let claimable = t.state().keys.made_by(caller.organization, request).filter(|user| {
        let open = user.claim.is_some_and(|claim| claim.member == caller.id && claim.is_open(now));
        open && (user.status == KeyStatus::Unclaimed || user.rotation.is_some())
    });
    let nothing = || {
        Reject::field(
            Code::NothingToClaim,
            "request_id",
            "name your own request whose secret is unclaimed, or rotate the key",
        )
    };
    let mut user = claimable.ok_or_else(nothing)?.clone();
    spend_code(t, caller.id, step, "claiming needs a one-time code")?;
    user.managers = managed_by(&user, caller.id);
    user = match user.rotation.is_some() {
        true => rotated(t.state(), user, now),
        false => {
            let status = if user.settings.expired(now) { KeyStatus::Expired } else { KeyStatus::Active };
            ServiceUser { claim: None, status, ..user }
        }
    };
    t.emit(Event::ServiceUserChanged { service_user: Box::new(user.clone()), change: ServiceUserChange::Claimed });
    Ok(Reply::Claimed(Box::new(user)))
}

/// The record once the generated key is in force; the key before stays valid for the overlap. If that one was never used,
/// as when its secret was lost, the one before it stays instead: the program still has that.
pub fn rotated(state: &State, user: ServiceUser, now: Moment) -> ServiceUser {
    let Some(Rotation { api_key, secret_sealed, overlap_s }) = user.rotation.clone() else { return user };
    let until = now.plus_us(overlap_s.saturating_mul(1_000_000));
    let present = || PreviousKey {
        api_key: user.api_key.clone(),
        secret_sealed: user.secret_sealed.clone(),
        credential: user.credential,
        until,
    };
    let is_unused = !state.keys.has_signed(KeyRef::ServiceUser(user.id), user.credential);
    let in_use = user.retiring.clone().filter(|before| is_unused && now < before.until);
    let before = in_use.map_or_else(present, |before| PreviousKey { until, ..before });
    // The first secret was never claimed, so nobody uses the key before.
    let bearers = overlap_s > 0 && user.status != KeyStatus::Unclaimed;
    let status = if user.status == KeyStatus::Unclaimed { KeyStatus::Active } else { user.status };
    ServiceUser {
        api_key,
        secret_sealed,
        credential: user.credential + 1,
        status,
        claim: None,
        rotation: None,
        retiring: bearers.then_some(before),
        ..user
    }
}

/// The managers of a key once `member` has rotated or claimed it (rule 22).
pub fn managed_by(user: &ServiceUser, member: MemberId) -> Vec<MemberId> {
    let mut managers = user.managers.clone();
    if !managers.contains(&member) {
        managers.push(member);
    }
    managers
}
