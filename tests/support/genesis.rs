//! A small world as genesis events, for scripts of the engine and for servers under test.

use arrayvec::ArrayString;
use countersign::access::key::KeySettings;
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Permissions, Workflow};
use countersign::domain::assets::Asset;
use countersign::domain::ids::*;
use countersign::domain::markets::Market;
use countersign::domain::money::{Amount, Price, Quantity};
use countersign::domain::time::Moment;
use countersign::engine::deposits::{Deposit, DepositAddress, DepositStatus};
use countersign::engine::earn::{LockType, Periods, Strategy};
use countersign::engine::event::Event;
use countersign::engine::keys::VenueKey;
use countersign::engine::ledger::{Ledger, Movement, Party, Wallet};
use countersign::engine::members::{Kyc, Member, MemberStatus, Organization};
use countersign::engine::policy::{Policy, PolicyTerms};
use countersign::engine::service_users::{KeyStatus, ServiceUser, ServiceUserChange};
use countersign::engine::withdrawals::WithdrawalAddress;

/// A key for a test.
#[derive(Clone)]
pub struct Wanted {
    pub scopes: ScopeSet,
    pub settings: KeySettings,
    /// 1 is Acme, 2 is Other.
    pub organization: u32,
}

pub fn key(scopes: ScopeSet) -> Wanted {
    Wanted { scopes, settings: KeySettings::default(), organization: 1 }
}

/// A key of Other with all scopes.
pub fn other() -> Wanted {
    Wanted { organization: 2, ..key(ScopeSet::ALL) }
}

pub fn with(settings: KeySettings) -> Wanted {
    Wanted { scopes: ScopeSet::ALL, settings, organization: 1 }
}

/// A Member of Acme for a test.
#[derive(Clone)]
pub struct Person {
    pub name: String,
    pub permissions: Permissions,
    pub kyc: Kyc,
}

/// Alice with all rights, Bob with View and Approve, Carol with View.
pub fn people() -> Vec<Person> {
    let held: [&[Permission]; 3] = [&Permission::ALL, &[Permission::Approve], &[Permission::View]];
    let person = |(name, held): (&str, &[Permission])| {
        let mut permissions = Permissions::none();
        for workflow in Workflow::ALL {
            held.iter().for_each(|permission| permissions.grant(workflow, *permission));
        }
        Person { name: name.to_owned(), permissions, kyc: Kyc::Verified }
    };
    ["alice", "bob", "carol"].into_iter().zip(held).map(person).collect()
}

fn text<const N: usize>(text: &str) -> ArrayString<N> {
    ArrayString::from(text).unwrap()
}

pub fn api_key(number: u8) -> String {
    format!("key-{number}")
}

/// What only the gateway can create: sealed API secrets, and a Member's password hash and sealed second factor.
pub struct Secrets<'a> {
    pub sealed: &'a dyn Fn(u8) -> Vec<u8>,
    pub member: &'a dyn Fn(MemberId) -> (Option<String>, Option<Vec<u8>>),
}

/// Two Organizations (Acme with three Members and the keys, Other), three assets, a market, two Earn strategies.
/// Keys are numbered from 1 in the order given; the venue operator's is 200.
pub fn events(keys: &[Wanted], people: &[Person], policy: bool, secrets: &Secrets<'_>) -> Vec<Event> {
    let mut events: Vec<Event> = ["USD", "BTC", "ETH"].into_iter().enumerate().map(asset).collect();
    events.push(market());
    for (id, name) in [(1, "Acme"), (2, "Other")] {
        let (id, accounts) = (OrganizationId(id), vec![AccountId(id)]);
        events.push(Event::OrganizationCreated(Organization { id, name: name.to_owned(), accounts }));
    }
    for (index, person) in people.iter().enumerate() {
        events.push(member(index, person, secrets));
    }
    for (index, wanted) in keys.iter().enumerate() {
        events.push(service_user(index, wanted, secrets));
    }
    events.push(Event::VenueKeyChanged(VenueKey {
        id: VenueKeyId(1),
        name: "venue".to_owned(),
        api_key: api_key(200),
        secret_sealed: (secrets.sealed)(200),
        credential: 1,
        settings: KeySettings::default(),
        expired: false,
    }));
    for organization in [1, 2] {
        for (asset, units) in [(1, 10_000_000_000), (2, 10_000_000_000), (3, 100_000_000_000)] {
            events.push(deposit(organization, asset, units, events.len()));
        }
    }
    let hour = LockType::Bonded(Periods { unbonding_s: 3_600, ..Periods::default() });
    for (index, lock) in [LockType::Flex, hour].into_iter().enumerate() {
        events.push(Event::StrategyAdded(Strategy::of(StrategyId::at(index), AssetId(3), lock, Amount(1_000_000))));
    }
    let (key, method, address) = ("cold-1".to_owned(), "BTC".to_owned(), "bc1qcold".to_owned());
    let address = WithdrawalAddress { key, method, address, tag: None };
    events.push(Event::AddressAdded {
        organization: OrganizationId(1),
        asset: AssetId(2),
        address,
        usable_at: Moment(0),
    });
    if policy {
        let terms = PolicyTerms::of(1);
        let (organization, workflow) = (OrganizationId(1), Workflow::InitiateWithdrawal);
        events.push(Event::PolicySet(Policy { organization, workflow, version: 1, terms }));
    }
    events
}

fn asset((index, code): (usize, &str)) -> Event {
    let decimals = if code == "USD" { 4 } else { 8 };
    Event::AssetAdded(Asset {
        id: AssetId::at(index),
        code: text(code),
        decimals,
        display_decimals: 2,
        method: code.to_owned(),
        network: code.to_owned(),
        withdrawal_min: Amount(10_000),
        withdrawal_fee: Amount(1_000),
        deposit_min: Amount(1),
    })
}

fn market() -> Event {
    Event::MarketAdded(Market {
        id: MarketId(1),
        symbol: text("BTC/USD"),
        base: AssetId(2),
        quote: AssetId(1),
        base_decimals: 8,
        quote_decimals: 4,
        price_decimals: 1,
        qty_decimals: 8,
        price_increment: Price(1),
        qty_increment: Quantity(1),
        qty_min: Quantity(5_000),
        cost_min: Amount(5_000),
        maker_ppm: 1_000,
        taker_ppm: 2_000,
    })
}

fn member(index: usize, person: &Person, secrets: &Secrets<'_>) -> Event {
    let id = MemberId::at(index);
    let (password_hash, totp_sealed) = (secrets.member)(id);
    Event::MemberChanged(Box::new(Member {
        id,
        organization: OrganizationId(1),
        name: person.name.clone(),
        email: format!("{}@acme.test", person.name),
        status: MemberStatus::Active,
        kyc: person.kyc,
        permissions: person.permissions.clone(),
        password_hash,
        totp_sealed,
        invitation: None,
        sign_in_step: 0,
        action_step: 0,
    }))
}

fn service_user(index: usize, wanted: &Wanted, secrets: &Secrets<'_>) -> Event {
    let number = u8::try_from(index + 1).unwrap();
    let service_user = Box::new(ServiceUser {
        id: ServiceUserId::at(index),
        organization: OrganizationId(wanted.organization),
        account: AccountId(wanted.organization),
        name: format!("Bot {number}"),
        api_key: api_key(number),
        secret_sealed: (secrets.sealed)(number),
        credential: 1,
        status: KeyStatus::Active,
        scopes: wanted.scopes,
        settings: wanted.settings.clone(),
        managers: Vec::new(),
        editor: None,
        claim: None,
        rotation: None,
        retiring: None,
        query_ended: false,
    });
    Event::ServiceUserChanged { service_user, change: ServiceUserChange::Created }
}

fn deposit(organization: u32, asset: u16, units: i64, seq: usize) -> Event {
    let (account, asset, amount) = (AccountId(organization), AssetId(asset), Amount(units));
    let postings = Movement::new(&Ledger::default())
        .post(Party::Account(account, Wallet::Main), asset, amount, Amount::ZERO)
        .post(Party::Outside, asset, Amount(-units), Amount::ZERO)
        .postings();
    let deposit = Box::new(Deposit {
        id: DepositId(seq as u64 + 1),
        organization: OrganizationId(organization),
        account,
        asset,
        method: "chain".to_owned(),
        network: "chain".to_owned(),
        amount,
        address: DepositAddress { address: "opening".to_owned(), tag: None },
        txid: format!("opening-{organization}-{asset}"),
        created_at: Moment(0),
        status: DepositStatus::Success,
    });
    Event::DepositChanged { deposit, postings }
}
