//! The next requests of everybody: Service Users of two Organizations, Members, the venue operator, and strangers.

use countersign::access::operation::Operation;
use countersign::access::principal::{Actor, Credential, Principal};
use countersign::domain::ids::{AccountId, MemberId, OrganizationId, ServiceUserId};
use countersign::domain::time::Moment;
use countersign::engine::command::Command;
use countersign::engine::keys::KeyRef;
use countersign::engine::query::Query;
use countersign::sequencer::handle::Work;

use super::dice::Dice;
use super::known::Known;
use super::world::{SECOND, SERVER, VENUE, by};
use super::{governors, operator, readers, traders, treasury};

/// Requests that are kept to be sent again.
const SENT_KEPT: usize = 64;

#[derive(Default)]
pub struct Clients {
    pub known: Known,
    /// The last step of each Member's one-time codes.
    steps: Vec<u64>,
    nonce: u64,
    sent: Vec<(Principal, Command)>,
}

impl Clients {
    /// The next request. Some are sent again whatever the first answer was, and some are sent by somebody who may not.
    pub fn next(&mut self, dice: &mut Dice, now: Moment) -> (Principal, Work) {
        if dice.one_in(30)
            && let Some((by, command)) = dice.any(&self.sent)
        {
            return (*by, Work::Command(command.clone()));
        }
        if self.known.halted && dice.one_in(40) {
            return (VENUE, Work::Command(Command::Resume));
        }
        let (principal, command) = match dice.below(1_000) {
            0..816 => {
                let principal = self.service_user(dice);
                (principal, traders::command(dice, &self.known, self.account(principal), now))
            }
            816..866 => (self.service_user(dice), treasury::of_service_user(dice, &self.known)),
            866..926 => self.member(dice, now),
            926..941 => (VENUE, operator::command(dice, &self.known)),
            941..945 => (SERVER, operator::report(dice, &self.known, now)),
            945..955 => self.stranger(dice, now),
            _ => return self.reader(dice, now),
        };
        let principal = if dice.one_in(100) { self.somebody(dice, now) } else { principal };
        if self.sent.len() == SENT_KEPT {
            self.sent.swap_remove(dice.below(SENT_KEPT as u64) as usize);
        }
        self.sent.push((principal, command.clone()));
        (principal, Work::Command(command))
    }

    /// Mostly one of the first bots, now and then with an older credential.
    fn service_user(&self, dice: &mut Dice) -> Principal {
        let all = self.known.keys.len().max(1) as i64;
        let number = if dice.one_in(10) { dice.within(1, all) } else { dice.within(1, all.min(4)) };
        let version = self.known.keys.get(number as usize - 1).map_or(1, |(version, _)| *version);
        let version = if dice.one_in(40) { version.saturating_sub(1) } else { version };
        by(Actor::ServiceUser(ServiceUserId(number as u32)), Credential::Key(version))
    }

    fn account(&self, principal: Principal) -> AccountId {
        let Actor::ServiceUser(id) = principal.actor else { return AccountId(1) };
        self.known.keys.get(id.index()).map_or(AccountId(1), |(_, account)| *account)
    }

    /// The Member in their session; without one, nobody, to sign in.
    fn member(&mut self, dice: &mut Dice, now: Moment) -> (Principal, Command) {
        let (member, command) = self.member_command(dice, now);
        match self.known.sessions.get(&member) {
            Some(cookie_hash) => (by(Actor::Member(member), Credential::Session(*cookie_hash)), command),
            None => (by(Actor::Public, Credential::None), self.sign_in(dice, member, now)),
        }
    }

    fn sign_in(&mut self, dice: &mut Dice, member: MemberId, now: Moment) -> Command {
        let mut cookie_hash = [dice.below(256) as u8; 32];
        cookie_hash[0] = member.0 as u8;
        Command::OpenMemberSession { member, step: self.step(dice, member.index() + 1, now), cookie_hash }
    }

    fn member_command(&mut self, dice: &mut Dice, now: Moment) -> (MemberId, Command) {
        if dice.one_in(6)
            && let Some((request, member)) = dice.any(&self.known.claims).copied()
        {
            let step = Some(self.step(dice, member.index() + 1, now));
            return (member, Command::ClaimSecret { request, step });
        }
        let number = dice.within(1, self.known.members.len().max(1) as i64) as usize;
        let organization = self.known.members.get(number - 1).copied().unwrap_or(OrganizationId(1));
        let step = self.step(dice, number, now);
        let command = governors::command(dice, &self.known, organization, step, now);
        (MemberId(number as u32), command)
    }

    /// A one-time code, usually one that was not used.
    fn step(&mut self, dice: &mut Dice, number: usize, now: Moment) -> u64 {
        if self.steps.len() <= number {
            self.steps.resize(number + 1, 0);
        }
        if !dice.one_in(20) {
            self.steps[number] = (self.steps[number] + 1).max(now.0 / (30 * SECOND));
        }
        self.steps[number]
    }

    fn somebody(&mut self, dice: &mut Dice, now: Moment) -> Principal {
        match dice.below(4) {
            0 => self.member(dice, now).0,
            1 => VENUE,
            2 => by(Actor::Public, Credential::None),
            _ => self.service_user(dice),
        }
    }

    pub fn reader(&mut self, dice: &mut Dice, now: Moment) -> (Principal, Work) {
        let (principal, query) = match dice.below(24) {
            0..6 => (self.member(dice, now).0, readers::of_member(dice, &self.known)),
            6 => (VENUE, Query::Subscribe { channel: Operation::Custody, open_orders: true }),
            7 => (SERVER, Query::AllExports(None)),
            8 | 9 => {
                let Principal { actor, credential, .. } = self.service_user(dice);
                let Actor::ServiceUser(id) = actor else { unreachable!("it is one") };
                (by(Actor::Public, credential), readers::of_stranger(dice, &self.known, id))
            }
            _ => (self.service_user(dice), readers::of_service_user(dice, &self.known)),
        };
        let principal = if dice.one_in(20) { self.somebody(dice, now) } else { principal };
        (principal, Work::Query(query))
    }

    /// What leads to a credential.
    fn stranger(&mut self, dice: &mut Dice, now: Moment) -> (Principal, Command) {
        let invitation = dice.any(&self.known.invitations).copied().unwrap_or([0; 32]);
        let member = dice.within(1, self.known.members.len().max(1) as i64) as usize;
        let command = match dice.below(6) {
            0..2 => {
                let Principal { actor, credential, .. } = self.service_user(dice);
                let (Actor::ServiceUser(id), Credential::Key(version)) = (actor, credential) else {
                    unreachable!("it is one")
                };
                // Often with a secret that has a successor.
                let version = if dice.one_in(4) { version.saturating_sub(1) } else { version };
                self.nonce += dice.below(3);
                let nonce = self.nonce.saturating_sub(dice.below(8));
                let command = Command::OpenSession { key: KeyRef::ServiceUser(id), nonce };
                return (by(Actor::Public, Credential::Key(version)), command);
            }
            2 => self.sign_in(dice, MemberId(member as u32), now),
            3 => {
                Command::CloseMemberSession { cookie_hash: dice.any(&self.known.cookies).copied().unwrap_or_default() }
            }
            4 => {
                Command::AcceptInvitation { token_hash: invitation, password_hash: String::new(), totp_sealed: vec![1] }
            }
            _ => {
                let step = self.step(dice, member, now);
                Command::ConfirmInvitation { token_hash: invitation, totp_sealed: vec![1], step }
            }
        };
        (by(Actor::Public, Credential::None), command)
    }
}
