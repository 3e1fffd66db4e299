//! Where the clients live: two Organizations with funds, two markets, Members with different rights, four bots.

use std::net::{IpAddr, Ipv4Addr};

use countersign::access::key::{KeySettings, OnStop};
use countersign::access::principal::{Actor, Credential, Principal};
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Permissions, Workflow};
use countersign::domain::ids::*;
use countersign::domain::markets::Market;
use countersign::domain::money::{Amount, Price, Quantity};
use countersign::domain::time::Moment;
use countersign::engine::command::Command;
use countersign::engine::deposits::DepositAddress;
use countersign::engine::earn::{AutoCompound, LockType, Periods, Strategy};
use countersign::engine::event::Event;
use countersign::engine::members::Kyc;
use countersign::engine::withdrawals::WithdrawalAddress;

use super::genesis::{Person, Secrets, Wanted, events, key};
use super::traders::symbol;

pub const SECOND: u64 = 1_000_000;
pub const DAY: u64 = 86_400 * SECOND;
/// 2023-11-14.
pub const START: Moment = Moment(1_700_000_000_000_000);

pub const SERVER: Principal = Principal::SERVER;
pub const VENUE: Principal = by(Actor::Venue(VenueKeyId(1)), Credential::Key(1));

pub const fn by(actor: Actor, credential: Credential) -> Principal {
    Principal { actor, peer: IpAddr::V4(Ipv4Addr::LOCALHOST), credential }
}

fn person(name: &str, held: &[Permission]) -> Person {
    let mut permissions = Permissions::none();
    for workflow in Workflow::ALL {
        held.iter().for_each(|permission| permissions.grant(workflow, *permission));
    }
    Person { name: name.to_owned(), permissions, kyc: Kyc::Verified }
}

/// The first entry of the journal.
pub fn genesis(policy: bool) -> Command {
    let people = [
        person("alice", &Permission::ALL),
        person("bob", &[Permission::Approve, Permission::Initiate]),
        person("carol", &[Permission::View]),
        person("dave", &[Permission::Approve]),
        person("erin", &Permission::ALL),
    ];
    let kept = KeySettings { on_stop: OnStop::Keep, ..KeySettings::default() };
    let of = |organization, settings: &KeySettings| {
        let settings = settings.clone();
        Wanted { organization, settings, ..key(ScopeSet::ALL) }
    };
    let usual = KeySettings::default();
    let keys = [of(1, &usual), of(1, &kept), of(2, &usual), of(2, &kept)];
    let secrets = Secrets { sealed: &|number| vec![number], member: &|_| (Some(String::new()), Some(Vec::new())) };
    let mut all = events(&keys, &people, policy, &secrets);
    all.push(Event::MarketAdded(Market {
        id: MarketId(2),
        symbol: symbol("ETH/USD"),
        base: AssetId(3),
        quote: AssetId(1),
        base_decimals: 8,
        quote_decimals: 4,
        price_decimals: 1,
        qty_decimals: 8,
        price_increment: Price(5),
        qty_increment: Quantity(1),
        qty_min: Quantity(5_000),
        cost_min: Amount(5_000),
        maker_ppm: 0,
        taker_ppm: 2_500,
    }));
    let periods = Periods { bonding_s: 20, exit_queue_s: 10, unbonding_s: 15 };
    let (third, least) = (StrategyId(3), Amount(1_000_000));
    all.push(Event::StrategyAdded(Strategy {
        user_cap: Some(Amount(20_00000000)),
        total_cap: Some(Amount(40_00000000)),
        auto_compound: AutoCompound::Optional { default: true },
        ..Strategy::of(third, AssetId(3), LockType::Bonded(periods), least)
    }));
    let address = |key: &str, method: &str| WithdrawalAddress {
        key: key.to_owned(),
        method: method.to_owned(),
        address: format!("to-{key}"),
        tag: None,
    };
    let added = |organization, asset, address| Event::AddressAdded {
        organization: OrganizationId(organization),
        asset: AssetId(asset),
        address,
        usable_at: Moment(0),
    };
    all.push(added(2, 2, address("cold-1", "BTC")));
    all.push(added(2, 3, address("vault", "ETH")));
    for asset in 1..=3 {
        let fresh = |at| DepositAddress { address: format!("pool{asset}-{at}"), tag: None };
        all.push(Event::DepositAddressesAdded { asset: AssetId(asset), addresses: (0..4).map(fresh).collect() });
    }
    Command::Genesis(all)
}
