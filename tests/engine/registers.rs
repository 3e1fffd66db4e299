//! Registers: a name that exists already is refused, and so is one entry more than a register holds.

use countersign::access::principal::Principal;
use countersign::access::scope::ScopeSet;
use countersign::domain::assets::Asset;
use countersign::domain::ids::*;
use countersign::domain::limits::{ASSETS_MAX, EARN_STRATEGIES_MAX, MARKETS_MAX, MEMBERS_MAX, ORGANIZATIONS_MAX};
use countersign::domain::markets::Market;
use countersign::domain::text::Symbol;
use countersign::engine::Engine;
use countersign::engine::command::{Command, Invitee, NewAsset, NewMarket, NewStrategy};
use countersign::engine::deposits::DepositAddress;
use countersign::engine::earn::{AutoCompound, LockType, Strategy, YieldSource};
use countersign::engine::event::Event;
use countersign::engine::members::{Member, Organization};
use countersign::engine::reject::Code;
use countersign::engine::withdrawals::WithdrawalAddress;
use countersign::engine::workflows::Change;
use countersign::engine::workflows::addresses::AddressChange;
use countersign::engine::workflows::members::PermissionSets;

use super::genesis::key;
use super::governance::invite;
use super::keys::{create, rename};
use super::world::{Stage, asset, decimal, member, venue};

fn new_asset(code: &str) -> Command {
    let zero = decimal("0");
    Command::AddAsset {
        asset: NewAsset {
            code: asset(code),
            decimals: 8,
            display_decimals: 2,
            method: "m".to_owned(),
            network: "n".to_owned(),
            withdrawal_min: zero,
            withdrawal_fee: zero,
            deposit_min: zero,
        },
    }
}

fn new_market(symbol: &str) -> Command {
    let one = decimal("1");
    Command::AddMarket {
        market: NewMarket {
            symbol: Symbol::from(symbol).unwrap(),
            price_decimals: 2,
            qty_decimals: 4,
            price_increment: one,
            qty_min: one,
            cost_min: one,
            maker_ppm: 0,
            taker_ppm: 0,
        },
    }
}

fn new_strategy() -> Command {
    let one = decimal("1");
    Command::AddEarnStrategy {
        strategy: NewStrategy {
            asset: asset("ETH"),
            lock: LockType::Flex,
            min: one,
            user_cap: None,
            total_cap: None,
            apr: (one, one),
            auto_compound: AutoCompound::Disabled,
            yield_source: YieldSource::Staking,
            payout_frequency_s: None,
            organizations: None,
        },
    }
}

fn new_organization(name: &str, emails: &[&str]) -> Command {
    let invitee = |(at, email): (usize, &&str)| Invitee {
        name: "Dora".to_owned(),
        email: (*email).to_owned(),
        token_hash: [u8::try_from(at).unwrap(); 32],
    };
    Command::CreateOrganization { name: name.to_owned(), members: emails.iter().enumerate().map(invitee).collect() }
}

#[test]
fn a_name_that_is_taken_is_refused_and_another_ones_is_free() {
    let mut stage = Stage::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], false);
    let pool = |asset_code: &str, all: &[(&str, Option<&str>)]| Command::AddDepositAddresses {
        asset: asset(asset_code),
        addresses: all
            .iter()
            .map(|(address, tag)| DepositAddress { address: (*address).to_owned(), tag: tag.map(str::to_owned) })
            .collect(),
    };
    stage.run(&venue(), pool("BTC", &[("bc1q", None)])).unwrap();
    for (field, taken, free) in [
        ("asset", new_asset("BTC"), new_asset("BTC2")),
        ("symbol", new_market("BTC/USD"), new_market("USD/BTC")),
        ("name", new_organization("Acme", &["d@x.test"]), new_organization("acme", &["d@x.test"])),
        ("email", new_organization("New", &["Alice@ACME.test"]), new_organization("New", &["alice@new.test"])),
        (
            "email",
            new_organization("New", &["d@x.test", "D@x.test"]),
            new_organization("New", &["d@x.test", "e@x.test"]),
        ),
        ("addresses", pool("BTC", &[("bc1q", None)]), pool("ETH", &[("bc1q", None)])),
        ("addresses", pool("BTC", &[("a", None), ("a", None)]), pool("BTC", &[("a", None), ("a", Some("7"))])),
    ] {
        assert_eq!(stage.refusal(&venue(), &taken), Some((Code::Exists, Some(field))), "{taken:?}");
        assert_eq!(stage.refusal(&venue(), &free), None, "{free:?}");
    }
    let listed = |code: &str, key: &str| {
        let [key, method, address] = [key, code, "a"].map(str::to_owned);
        let address = WithdrawalAddress { key, method, address, tag: None };
        Change::Addresses(AddressChange::Add { asset: asset(code), address })
    };
    for (field, taken, free) in [
        ("name", create("Bot 1"), create("Bot 3")),
        ("name", rename(2, "Bot 1"), rename(2, "bot 1")),
        ("email", invite("Alice", PermissionSets::new()), invite("dora", PermissionSets::new())),
        // Rule 26.
        ("key", listed("BTC", "cold-1"), listed("ETH", "cold-1")),
    ] {
        let [taken, free] = [taken, free].map(|change| stage.initiation(change));
        assert_eq!(stage.refusal(&member(1), &taken), Some((Code::Exists, Some(field))), "{taken:?}");
        assert_eq!(stage.refusal(&member(1), &free), None, "{free:?}");
    }
}

/// Fills all places of a register but one, by events, and takes the last one.
fn fills(
    by: &Principal,
    (there, most): (usize, usize),
    event: impl Fn(&Stage, usize) -> Event,
    one: impl Fn(&mut Stage, usize) -> Command,
) {
    let mut stage = Stage::new(&[], false);
    let mut state = stage.state().clone();
    for at in there..most - 1 {
        state.apply(stage.now, &event(&stage, at));
    }
    stage.engine = Engine::new(state);
    let [last, beyond] = [0, 1].map(|at| one(&mut stage, at));
    stage.run(by, last).unwrap();
    assert_eq!(stage.refusal(by, &beyond), Some((Code::LimitReached, None)), "{beyond:?}");
}

#[test]
fn every_register_has_a_last_place() {
    let of_asset = |stage: &Stage, at: usize| {
        let asset_of = stage.state().reference.assets()[0].clone();
        Event::AssetAdded(Asset { id: AssetId::at(at), code: asset(&format!("N{at}")), ..asset_of })
    };
    fills(&venue(), (3, ASSETS_MAX), of_asset, |_, at| new_asset(&format!("LAST{at}")));
    let of_market = |stage: &Stage, at: usize| {
        let (market, symbol) = (stage.state().reference.markets()[0].clone(), format!("N{at}/USD"));
        Event::MarketAdded(Market { id: MarketId::at(at), symbol: Symbol::from(&symbol).unwrap(), ..market })
    };
    fills(&venue(), (1, MARKETS_MAX), of_market, |_, at| new_market(["USD/BTC", "ETH/USD"][at]));
    let of_strategy = |_: &Stage, at: usize| {
        let min = countersign::domain::money::Amount(1);
        Event::StrategyAdded(Strategy::of(StrategyId::at(at), AssetId(3), LockType::Flex, min))
    };
    fills(&venue(), (2, EARN_STRATEGIES_MAX), of_strategy, |_, _| new_strategy());
    let of_organization = |_: &Stage, at: usize| {
        let (id, name) = (OrganizationId::at(at), format!("Organization {at}"));
        Event::OrganizationCreated(Organization { id, name, accounts: vec![AccountId::at(at)] })
    };
    let last = |_: &mut Stage, at: usize| new_organization(&format!("Last {at}"), &[["d@x.test", "e@x.test"][at]]);
    fills(&venue(), (2, ORGANIZATIONS_MAX), of_organization, last);
    let of_member = |stage: &Stage, at: usize| {
        let carol = stage.state().members.member(MemberId(3)).clone();
        Event::MemberChanged(Box::new(Member { id: MemberId::at(at), email: format!("m{at}@acme.test"), ..carol }))
    };
    let invited = |stage: &mut Stage, at: usize| stage.initiation(invite(["dora", "emil"][at], PermissionSets::new()));
    fills(&member(1), (3, MEMBERS_MAX), of_member, invited);
}
