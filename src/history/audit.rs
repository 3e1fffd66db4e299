//! The audit log's entries for an event: every decision, every administrative change, every act of a venue operator, by
//! whom (rule 36). The effects of a request are covered by its own entries.

use serde::{Deserialize, Serialize};

use super::rows::{bytes, read};
use crate::access::principal::Actor;
use crate::domain::ids::OrganizationId;
use crate::domain::limits::INVITATION_US;
use crate::domain::time::Moment;
use crate::engine::approvals::{Request, RequestState};
use crate::engine::event::Event;
use crate::engine::members::{Kyc, Member, MemberStatus};
use crate::engine::service_users::ServiceUserChange;
use crate::engine::withdrawals::WithdrawalStatus;
use crate::sequencer::Stamped;
use crate::storage::history::{AuditRow, Stored};

/// Stands for every Organization: what concerns the whole venue is in the log of each. Organizations are numbered from
/// 1.
const EVERYBODY: OrganizationId = OrganizationId(0);

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: Moment,
    /// Who, by id.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what, by id or name.
    pub subject: String,
    /// More about it.
    pub detail: Option<String>,
    /// The version of the policy that decided on it.
    pub policy_version: Option<u32>,
}

/// An entry with its position, and the chain of its journal row (rule 47).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// The entry.
    pub entry: AuditEntry,
    /// Its place.
    pub offset: u64,
    /// The chain up to and with its row; `hash` on the wire.
    pub chain: [u8; 32],
}

/// The votes of the latest moment, so that each is logged once: the same message, or the next one, may change a policy
/// and so the request again at the same moment.
#[derive(Debug, Default)]
pub struct SeenVotes(Vec<AuditEntry>);

impl SeenVotes {
    /// The votes in these rows, the last ones of the table.
    pub fn behind(rows: &[Stored]) -> SeenVotes {
        SeenVotes(rows.iter().filter_map(|row| read(&row.body)).collect())
    }

    /// Whether a vote is new; remembers it.
    fn is_new(&mut self, vote: &AuditEntry) -> bool {
        self.0.retain(|other| other.at == vote.at);
        let is_it = |other: &AuditEntry| {
            (&other.actor, &other.action, &other.subject) == (&vote.actor, &vote.action, &vote.subject)
        };
        let new = !self.0.iter().any(is_it);
        self.0.extend(new.then(|| vote.clone()));
        new
    }
}

/// The audit rows of an event.
pub fn rows(stamped: &Stamped, seen: &mut SeenVotes) -> Vec<AuditRow> {
    let Some((organizations, entries)) = entries(stamped, seen) else { return Vec::new() };
    let each = organizations.iter().flat_map(|organization| entries.iter().map(move |entry| (organization, entry)));
    // An event has room for 255 items (rule 41).
    let row = |(index, (organization, entry)): (u8, (&OrganizationId, &AuditEntry))| AuditRow {
        stored: Stored { at_us: stamped.at.0, id: stamped.seq.offset(index), body: bytes(entry) },
        organization: organization.0.into(),
    };
    (0..u8::MAX).zip(each).map(row).collect()
}

fn actor(by: Actor) -> String {
    if by == Actor::Public { "nobody".to_owned() } else { by.to_string() }
}

/// The Organizations whose logs have an event, and the entries.
fn entries(stamped: &Stamped, seen: &mut SeenVotes) -> Option<(Vec<OrganizationId>, Vec<AuditEntry>)> {
    let entry = |action: &str, subject: String, detail: Option<String>| AuditEntry {
        at: stamped.at,
        actor: actor(stamped.by),
        action: action.to_owned(),
        subject,
        detail,
        policy_version: None,
    };
    let venue = matches!(stamped.by, Actor::Venue(_));
    let (organization, one) = match &stamped.event {
        Event::RequestChanged { request, before } => {
            return Some((vec![request.organization], of_request(stamped, seen, request, *before)));
        }
        Event::ServiceUserChanged { service_user, change } => {
            let action = match change {
                ServiceUserChange::Claimed => "claim_secret",
                ServiceUserChange::Expired => "key_expired",
                ServiceUserChange::QueryEnded => "key_query_ended",
                ServiceUserChange::Retired => "key_retired",
                ServiceUserChange::Created
                | ServiceUserChange::Edited
                | ServiceUserChange::Rotated
                | ServiceUserChange::Removed => return None,
            };
            (service_user.organization, entry(action, service_user.id.to_string(), Some(service_user.name.clone())))
        }
        Event::MemberChanged(member) => (member.organization, of_member(stamped, member, &entry)?),
        Event::SessionOpened(session) | Event::SessionClosed(session) => {
            let opened = matches!(stamped.event, Event::SessionOpened(_));
            let action = if opened { "sign_in" } else { "sign_out" };
            let member = session.member.to_string();
            let reported = entry(action, member.clone(), None);
            // Signing in and out has no actor yet: it is the Member's own act. A session ended by somebody else's
            // change, or by its time, is not.
            let own = stamped.by == Actor::Public;
            (session.organization, if own { AuditEntry { actor: member, ..reported } } else { reported })
        }
        Event::Frozen(freeze) => {
            let scope = freeze.scope.name().to_owned();
            (freeze.organization, entry("freeze", scope, Some(freeze.reason.clone())))
        }
        Event::OrdersStopped { organization, service_user, count } => {
            (*organization, entry("cancel_orders", service_user.to_string(), Some(format!("{count} orders"))))
        }
        Event::Halted { reason } => {
            // A money law broken during somebody's command is nobody's act.
            let by = if venue { stamped.by } else { Actor::Server };
            (EVERYBODY, AuditEntry { actor: actor(by), ..entry("halt", "venue".to_owned(), Some(reason.clone())) })
        }
        Event::Resumed => (EVERYBODY, entry("resume", "venue".to_owned(), None)),
        event if venue => {
            let (organizations, one) = of_venue(event, &entry)?;
            return Some((organizations, vec![one]));
        }
        _ => return None,
    };
    Some((vec![organization], vec![one]))
}

/// An act of the venue operator, and the Organizations that it concerns (rule 36).
fn of_venue(
    event: &Event,
    entry: &impl Fn(&str, String, Option<String>) -> AuditEntry,
) -> Option<(Vec<OrganizationId>, AuditEntry)> {
    let (organization, one) = match event {
        Event::StrategyAdded(strategy) => {
            let named = strategy.organizations.as_ref().map(|named| named.iter().copied().collect());
            let added = entry("add_earn_strategy", strategy.id.to_string(), None);
            return Some((named.unwrap_or_else(|| vec![EVERYBODY]), added));
        }
        Event::AssetAdded(asset) => (EVERYBODY, entry("add_asset", asset.id.to_string(), Some(asset.code.to_string()))),
        Event::MarketAdded(market) => {
            (EVERYBODY, entry("add_market", market.id.to_string(), Some(market.symbol.to_string())))
        }
        Event::MarketStatusSet { market, status } => {
            (EVERYBODY, entry("set_market_status", market.to_string(), Some(status.name().to_owned())))
        }
        Event::Earned { operation, .. } => {
            let client_id = operation.client_id.map(|id| id.to_string());
            (operation.organization, entry("pay_earn_reward", operation.id.to_string(), client_id))
        }
        Event::OrganizationCreated(made) => {
            (made.id, entry("create_organization", made.id.to_string(), Some(made.name.clone())))
        }
        Event::PolicySet(policy) => {
            let set = entry("set_policy", policy.workflow.name().to_owned(), None);
            (policy.organization, AuditEntry { policy_version: Some(policy.version), ..set })
        }
        Event::DepositChanged { deposit, .. } => {
            let detail = format!("{} {}", deposit.txid, deposit.status.name());
            (deposit.organization, entry("credit_deposit", deposit.id.to_string(), Some(detail)))
        }
        Event::WithdrawalChanged { withdrawal, .. } => {
            let paid = withdrawal.status == WithdrawalStatus::Success;
            let action = if paid { "settle_withdrawal" } else { "fail_withdrawal" };
            let detail = withdrawal.reason.clone().or_else(|| withdrawal.txid.clone());
            (withdrawal.organization, entry(action, withdrawal.id.to_string(), detail))
        }
        _ => return None,
    };
    Some((vec![organization], one))
}

fn of_member(
    stamped: &Stamped,
    member: &Member,
    entry: &impl Fn(&str, String, Option<String>) -> AuditEntry,
) -> Option<AuditEntry> {
    let id = member.id.to_string();
    // A Member with an open invitation may be verified before signing up, even at the same moment.
    let invited_now =
        member.invitation.as_ref().is_some_and(|open| open.expires_at == stamped.at.plus_us(INVITATION_US));
    match stamped.by {
        Actor::Venue(_) if invited_now && member.kyc == Kyc::Pending => {
            Some(entry("invite_member", id, Some(member.name.clone())))
        }
        Actor::Venue(_) => Some(entry("set_kyc", id, Some(member.kyc.name().to_owned()))),
        Actor::Public => {
            let confirmed = member.status == MemberStatus::Active;
            let action = if confirmed { "confirm_invitation" } else { "accept_invitation" };
            Some(AuditEntry { actor: id.clone(), ..entry(action, id, None) })
        }
        Actor::ServiceUser(_) | Actor::Member(_) | Actor::Server => None,
    }
}

/// The entries for a request that was opened, a vote, and a result.
fn of_request(
    stamped: &Stamped,
    seen: &mut SeenVotes,
    request: &Request,
    before: Option<RequestState>,
) -> Vec<AuditEntry> {
    let name = request.change.governed().name();
    let entry = |action: String, detail: Option<String>| AuditEntry {
        at: stamped.at,
        actor: actor(stamped.by),
        action,
        subject: request.id.to_string(),
        detail,
        // Version 0 is that of no policy: the end of a freeze takes votes even without one (rule 27).
        policy_version: request.policy.as_ref().map(|verdict| verdict.version).filter(|version| *version > 0),
    };
    let mut entries = Vec::new();
    if before.is_none() {
        entries.push(entry(format!("{name}.requested"), None));
    }
    let cast = request
        .votes
        .last()
        .filter(|vote| vote.at == stamped.at && stamped.by == Actor::Member(vote.member) && !vote.struck);
    let cast = cast.map(|vote| entry(format!("{name}.vote_{}", vote.decision.name()), vote.comment.clone()));
    entries.extend(cast.filter(|vote| seen.is_new(vote)));
    match request.state {
        RequestState::Pending if entries.is_empty() => entries.push(entry(format!("{name}.restated"), None)),
        RequestState::Pending => {}
        state => entries.push(entry(format!("{name}.{}", state.name()), request.reason.clone())),
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{AssetId, MarketId, MemberId, Seq, StrategyId, VenueKeyId};
    use crate::domain::markets::MarketStatus;
    use crate::domain::money::Amount;
    use crate::engine::earn::{LockType, Strategy};
    use crate::engine::members::Invitation;
    use crate::engine::reference::Reference;

    /// Whose logs tell of an event by the venue operator, and the entry's place in each.
    fn reported(event: Event) -> Vec<(u64, u8)> {
        let by = Actor::Venue(VenueKeyId(1));
        let stamped = Stamped { seq: Seq(1), at: Moment(0), by, rate: None, event };
        rows(&stamped, &mut SeenVotes::default())
            .iter()
            .map(|row| (row.organization, Seq::of_offset(row.stored.id).1))
            .collect()
    }

    #[test]
    fn rule_36_an_act_of_the_venue_is_in_the_log_of_each_organization_that_it_touches() {
        let reference = Reference::btc_usd(4, 1);
        assert_eq!(reported(Event::AssetAdded(reference.assets()[0].clone())), [(0, 0)]);
        assert_eq!(reported(Event::MarketAdded(reference.markets()[0].clone())), [(0, 0)]);
        let status = MarketStatus::CancelOnly;
        assert_eq!(reported(Event::MarketStatusSet { market: MarketId(1), status }), [(0, 0)], "everybody's");
        let strategy = |organizations: Option<&[u32]>| {
            let organizations = organizations.map(|all| all.iter().copied().map(OrganizationId).collect());
            let open = Strategy::of(StrategyId(1), AssetId(1), LockType::Flex, Amount(1));
            Event::StrategyAdded(Strategy { organizations, ..open })
        };
        assert_eq!(reported(strategy(None)), [(0, 0)]);
        assert_eq!(reported(strategy(Some(&[2, 5]))), [(2, 0), (5, 1)]);
        let many: Vec<u32> = (1..300).collect();
        assert_eq!(reported(strategy(Some(&many))).len(), 255);
    }

    /// The stamp stands still while the clock is set back, and is the same for commands that came together.
    #[test]
    fn rule_36_who_is_verified_at_the_moment_of_the_invitation_is_not_invited_again() {
        let at = Moment(7);
        let invited = Member {
            invitation: Some(Invitation { token_hash: [0; 32], expires_at: at.plus_us(INVITATION_US) }),
            ..Member::new(MemberId(1), OrganizationId(1))
        };
        let action = |kyc| {
            let event = Event::MemberChanged(Box::new(Member { kyc, ..invited.clone() }));
            let stamped = Stamped { seq: Seq(1), at, by: Actor::Venue(VenueKeyId(1)), rate: None, event };
            let reported = rows(&stamped, &mut SeenVotes::default());
            read::<AuditEntry>(&reported[0].stored.body).unwrap().action
        };
        assert_eq!([action(Kyc::Pending), action(Kyc::Verified)], ["invite_member", "set_kyc"]);
    }
}
