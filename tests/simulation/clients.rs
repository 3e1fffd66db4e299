//! Who asks what next: Service Users of two Organizations, Members, the venue operator, and nobody in particular.

use countersign::access::operation::Operation;
use countersign::access::principal::{Actor, Principal};
use countersign::domain::ids::{AccountId, MemberId, OrganizationId, ServiceUserId};
use countersign::domain::time::Moment;
use countersign::engine::command::{Command, OrderRef};
use countersign::engine::holdings::EarnSought;
use countersign::engine::query::{Query, Sought};
use countersign::engine::service_users::KeyRef;

use super::dice::Dice;
use super::known::Known;
use super::world::{SECOND, VENUE, by};
use super::{governors, traders, treasury};

/// Requests that are remembered to be sent again.
const SENT_KEPT: usize = 64;

/// What is asked.
#[derive(Clone, Debug)]
pub enum Asked {
    Command(Command),
    Query(Query),
}

#[derive(Default)]
pub struct Clients {
    pub known: Known,
    /// The last step of each Member's one-time codes.
    steps: Vec<u64>,
    nonce: u64,
    sent: Vec<(Principal, Command)>,
}

impl Clients {
    /// The next request. Some of them are sent again whatever the first answer was, and some are given by somebody
    /// whose business they are not.
    pub fn next(&mut self, dice: &mut Dice, now: Moment) -> (Principal, Asked) {
        if dice.one_in(30)
            && let Some((by, command)) = dice.any(&self.sent)
        {
            return (*by, Asked::Command(command.clone()));
        }
        let (principal, command) = match dice.below(1_000) {
            0..840 => {
                let principal = self.service_user(dice);
                (principal, traders::command(dice, &self.known, self.account(principal), now))
            }
            840..890 => (self.service_user(dice), treasury::of_service_user(dice, &self.known)),
            890..930 => self.member(dice, now),
            930..945 => (VENUE, treasury::of_venue(dice, &self.known)),
            945..955 => self.stranger(dice, now),
            _ => {
                let principal = if dice.one_in(4) { self.member(dice, now).0 } else { self.service_user(dice) };
                return (principal, Asked::Query(self.query(dice)));
            }
        };
        let principal = if dice.one_in(100) { self.somebody(dice, now) } else { principal };
        if self.sent.len() == SENT_KEPT {
            self.sent.swap_remove(dice.below(SENT_KEPT as u64) as usize);
        }
        self.sent.push((principal, command.clone()));
        (principal, Asked::Command(command))
    }

    /// One of the first bots mostly, by a credential that is now and then an older one.
    fn service_user(&self, dice: &mut Dice) -> Principal {
        let all = self.known.keys.len().max(1) as i64;
        let number = if dice.one_in(10) { dice.within(1, all) } else { dice.within(1, all.min(4)) };
        let credential = self.known.keys.get(number as usize - 1).map_or(1, |(credential, _)| *credential);
        let credential = if dice.one_in(40) { credential.saturating_sub(1) } else { credential };
        by(Actor::ServiceUser(ServiceUserId(number as u32)), credential)
    }

    fn account(&self, principal: Principal) -> AccountId {
        let Actor::ServiceUser(id) = principal.actor else { return AccountId(1) };
        self.known.keys.get(id.index()).map_or(AccountId(1), |(_, account)| *account)
    }

    fn member(&mut self, dice: &mut Dice, now: Moment) -> (Principal, Command) {
        let number = dice.within(1, self.known.members.len().max(1) as i64) as usize;
        let organization = self.known.members.get(number - 1).copied().unwrap_or(OrganizationId(1));
        let step = self.step(dice, number, now);
        let command = governors::command(dice, &self.known, organization, step, now);
        (by(Actor::Member(MemberId(number as u32)), 0), command)
    }

    /// A one-time code that was not used, but for some.
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
            2 => by(Actor::Public, 0),
            _ => self.service_user(dice),
        }
    }

    /// What leads to a credential.
    fn stranger(&mut self, dice: &mut Dice, now: Moment) -> (Principal, Command) {
        let invitation = dice.any(&self.known.invitations).copied().unwrap_or([0; 32]);
        let member = dice.within(1, self.known.members.len().max(1) as i64) as usize;
        let command = match dice.below(6) {
            0..2 => {
                let Principal { actor, credential, .. } = self.service_user(dice);
                let Actor::ServiceUser(id) = actor else { unreachable!("it is one") };
                self.nonce += dice.below(3);
                let nonce = self.nonce.saturating_sub(dice.below(8));
                let command = Command::OpenSession { key: KeyRef::ServiceUser(id), nonce };
                return (by(Actor::Public, credential), command);
            }
            2 => {
                let cookie_hash = [dice.below(256) as u8; 32];
                Command::OpenMemberSession {
                    member: MemberId(member as u32),
                    step: self.step(dice, member, now),
                    cookie_hash,
                }
            }
            3 => {
                Command::CloseMemberSession { cookie_hash: dice.any(&self.known.cookies).copied().unwrap_or_default() }
            }
            4 => {
                Command::AcceptInvitation { token_hash: invitation, password_hash: String::new(), totp_sealed: vec![1] }
            }
            _ => Command::ConfirmInvitation { token_hash: invitation, step: self.step(dice, member, now) },
        };
        (by(Actor::Public, 0), command)
    }

    fn query(&self, dice: &mut Dice) -> Query {
        match dice.below(12) {
            0 => Query::Balances,
            1 => Query::OpenOrders { symbol: None },
            2 => Query::Orders(vec![OrderRef::ClientId(traders::client_order_id(dice))]),
            3 => Query::KeyInfo,
            4 => Query::EarnAllocations(EarnSought { limit: 5, ..EarnSought::default() }),
            5 => Query::Withdrawals(Default::default()),
            6 => Query::WithdrawInfo(treasury::withdrawal(dice)),
            7 => Query::Requests(Sought { limit: Some(5), ..Sought::default() }),
            8 => Query::Policies,
            9 => Query::Members,
            10 => Query::Subscribe(dice.of(&[Operation::Balances, Operation::Executions, Operation::Approvals])),
            _ => Query::History(Operation::Ledgers),
        }
    }
}
