//! A server in this process on a small world: two Organizations, three Members, and whatever keys a test wants.

use std::net::{Ipv4Addr, SocketAddr};

use arrayvec::ArrayString;
use countersign::access::key::KeySettings;
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Permissions, Workflow};
use countersign::config::Config;
use countersign::domain::assets::Asset;
use countersign::domain::ids::*;
use countersign::domain::markets::Market;
use countersign::domain::money::{Amount, Price, Quantity};
use countersign::engine::command::Command;
use countersign::engine::deposits::{Deposit, DepositAddress};
use countersign::engine::earn::{LockType, Strategy};
use countersign::engine::event::Event;
use countersign::engine::ledger::{Ledger, Movement, Party, Wallet};
use countersign::engine::members::{Kyc, Member, MemberStatus, Organization};
use countersign::engine::policy::{Policy, PolicyTerms};
use countersign::engine::service_users::{KeyStatus, ServiceUser, ServiceUserChange, VenueKey};
use countersign::engine::withdrawals::WithdrawalAddress;
use countersign::gateway::passwords::hash_password;
use countersign::gateway::secrets::MasterKey;
use countersign::gateway::sign_in::totp_context;
use countersign::server::{Plan, Server, wall_clock};

use super::client::{Client, PASSWORD, TOTP};

pub const MASTER: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A key that a test wants.
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

pub fn with(settings: KeySettings) -> Wanted {
    Wanted { scopes: ScopeSet::ALL, settings, organization: 1 }
}

pub struct World {
    pub server: Option<Server>,
    pub address: SocketAddr,
    dir: tempfile::TempDir,
}

fn text<const N: usize>(text: &str) -> ArrayString<N> {
    ArrayString::from(text).unwrap()
}

/// The secret of key `number`: its bytes are its number.
pub fn secret(number: u8) -> Vec<u8> {
    vec![number; 64]
}

pub fn api_key(number: u8) -> String {
    format!("key-{number}")
}

impl World {
    /// Keys are numbered from 1 in the order given; the venue operator's is 200.
    pub async fn new(keys: &[Wanted]) -> World {
        World::governed(keys, true).await
    }

    /// `policy`: whether withdrawals need one approval.
    pub async fn governed(keys: &[Wanted], policy: bool) -> World {
        let dir = tempfile::tempdir().unwrap();
        let master = MasterKey::from_text(MASTER).unwrap();
        let genesis = Command::Genesis(events(keys, policy, &master));
        let (server, address) = start(dir.path(), Some(genesis)).await;
        World { server: Some(server), address, dir }
    }

    /// Stops in order and starts again on the same data.
    pub async fn restart(&mut self) {
        self.server.take().unwrap().stop().await.unwrap();
        let (server, address) = start(self.dir.path(), None).await;
        (self.server, self.address) = (Some(server), address);
    }

    pub async fn bot(&self, number: u8) -> Client {
        Client::signed(self.address, &api_key(number), &secret(number)).await.unwrap()
    }

    pub async fn venue(&self) -> Client {
        self.bot(200).await
    }

    /// Alice has all rights, Bob View and Approve, Carol View.
    pub async fn member(&self, name: &str) -> Client {
        Client::member(self.address, &format!("{name}@acme.test"), 0).await.unwrap()
    }
}

async fn start(dir: &std::path::Path, genesis: Option<Command>) -> (Server, SocketAddr) {
    let config = Config::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), dir.to_owned());
    let master = MasterKey::from_text(MASTER).unwrap();
    let server = Server::start(Plan { config, master, genesis }).await.unwrap();
    let address = server.address();
    (server, address)
}

fn events(keys: &[Wanted], policy: bool, master: &MasterKey) -> Vec<Event> {
    let mut events: Vec<Event> = ["USD", "BTC", "ETH"].into_iter().enumerate().map(asset).collect();
    events.push(market());
    for (id, name) in [(1, "Acme"), (2, "Other")] {
        let (id, accounts) = (OrganizationId(id), vec![AccountId(id)]);
        events.push(Event::OrganizationCreated(Organization { id, name: name.to_owned(), accounts }));
    }
    for (index, name) in ["alice", "bob", "carol"].into_iter().enumerate() {
        events.push(member(index, name, master));
    }
    for (index, wanted) in keys.iter().enumerate() {
        events.push(service_user(index, wanted, master));
    }
    events.push(Event::VenueKeyCreated(VenueKey {
        id: VenueKeyId(1),
        name: "venue".to_owned(),
        api_key: api_key(200),
        secret_sealed: master.seal(api_key(200).as_bytes(), &secret(200)),
        credential: 1,
        settings: KeySettings::default(),
    }));
    for organization in [1, 2] {
        for (asset, units) in [(1, 10_000_000_000), (2, 10_000_000_000), (3, 100_000_000_000)] {
            events.push(deposit(organization, asset, units, events.len()));
        }
    }
    for (index, lock) in [LockType::Flex, LockType::Bonded { unbonding_s: 3_600 }].into_iter().enumerate() {
        let (id, asset, min) = (StrategyId::at(index), AssetId(3), Amount(1_000_000));
        events.push(Event::StrategyAdded(Strategy { id, asset, lock, min, cap: None, apr_ppm: 30_000 }));
    }
    let (key, method, address) = ("cold-1".to_owned(), "BTC".to_owned(), "bc1qcold".to_owned());
    let address = WithdrawalAddress { key, method, address, tag: None };
    events.push(Event::AddressAdded { organization: OrganizationId(1), asset: AssetId(2), address });
    if policy {
        let terms = PolicyTerms {
            quorum: 1,
            reject_quorum: 1,
            allow_execute: false,
            expires_after_s: 86_400,
            exclude_key_managers: true,
        };
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

fn member(index: usize, name: &str, master: &MasterKey) -> Event {
    let id = MemberId::at(index);
    let held: &[Permission] = match index {
        0 => &Permission::ALL,
        1 => &[Permission::Approve],
        _ => &[Permission::View],
    };
    let mut permissions = Permissions::none();
    for workflow in Workflow::ALL {
        held.iter().for_each(|permission| permissions.grant(workflow, *permission));
    }
    Event::MemberChanged(Box::new(Member {
        id,
        organization: OrganizationId(1),
        name: name.to_owned(),
        email: format!("{name}@acme.test"),
        status: MemberStatus::Active,
        kyc: Kyc::Verified,
        permissions,
        password_hash: Some(hash_password(PASSWORD)),
        totp_sealed: Some(master.seal(&totp_context(id), TOTP.as_bytes())),
        invitation: None,
        sign_in_step: 0,
        action_step: 0,
    }))
}

fn service_user(index: usize, wanted: &Wanted, master: &MasterKey) -> Event {
    let number = u8::try_from(index + 1).unwrap();
    let service_user = Box::new(ServiceUser {
        id: ServiceUserId::at(index),
        organization: OrganizationId(wanted.organization),
        account: AccountId(wanted.organization),
        name: format!("Bot {number}"),
        api_key: api_key(number),
        secret_sealed: master.seal(api_key(number).as_bytes(), &secret(number)),
        credential: 1,
        status: KeyStatus::Active,
        scopes: wanted.scopes,
        settings: wanted.settings.clone(),
        managers: Vec::new(),
        claim: None,
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
        amount,
        address: DepositAddress { address: "opening".to_owned(), tag: None },
        txid: format!("opening-{organization}-{asset}"),
        at: wall_clock().minus_us(1_000_000),
    });
    Event::Deposited { deposit, postings }
}
