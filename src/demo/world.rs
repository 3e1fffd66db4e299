//! The demo's world as one genesis command (rule 17): who exists, and who holds what.

use super::Failure;
use super::credentials::{Credentials, Key, Person};
use crate::access::key::KeySettings;
use crate::access::scope::{Scope, ScopeSet};
use crate::access::workflow::{Permission, Permissions, Workflow};
use crate::domain::assets::Asset;
use crate::domain::ids::{
    AccountId, AssetId, DepositId, MarketId, MemberId, OrganizationId, ServiceUserId, StrategyId, VenueKeyId,
};
use crate::domain::markets::Market;
use crate::domain::money::{Amount, Price, Quantity};
use crate::domain::text::{AssetCode, Symbol};
use crate::domain::time::Moment;
use crate::engine::command::Command;
use crate::engine::deposits::{Deposit, DepositAddress, DepositStatus};
use crate::engine::earn::{AutoCompound, LockType, Periods, Strategy};
use crate::engine::event::Event;
use crate::engine::keys::VenueKey;
use crate::engine::ledger::{Ledger, Movement, Party, Wallet};
use crate::engine::members::{Kyc, Member, MemberStatus, Organization};
use crate::engine::policy::{Policy, PolicyTerms};
use crate::engine::service_users::{KeyStatus, ServiceUser, ServiceUserChange};
use crate::engine::withdrawals::WithdrawalAddress;
use crate::gateway::credentials::decode_secret;
use crate::gateway::passwords::hash_password;
use crate::gateway::secrets::MasterKey;
use crate::gateway::sign_in::totp_context;
use crate::server::wall_clock;

const ACME: OrganizationId = OrganizationId(1);
const LIQUIDITY: OrganizationId = OrganizationId(2);

/// Code, decimals, decimals shown, method, network.
const ASSETS: [(&str, u8, u8, &str, &str); 6] = [
    ("USD", 4, 2, "Bank wire", "Fedwire"),
    ("EUR", 4, 2, "Bank transfer", "SEPA"),
    ("USDC", 8, 2, "USDC", "Ethereum"),
    ("BTC", 10, 5, "Bitcoin", "Bitcoin"),
    ("ETH", 10, 5, "Ether", "Ethereum"),
    ("SOL", 10, 4, "Solana", "Solana"),
];

/// A market: symbol, decimals of price and quantity, least quantity and cost in units.
struct Pair(&'static str, u8, u8, i64, i64);

const PAIRS: [Pair; 5] = [
    Pair("BTC/USD", 1, 8, 5_000, 100),
    Pair("ETH/USD", 2, 8, 100_000, 100),
    Pair("SOL/USD", 2, 8, 2_000_000, 100),
    Pair("ETH/BTC", 5, 8, 100_000, 200_000),
    Pair("USDC/USD", 4, 8, 500_000_000, 100),
];

/// Whole units that each Organization begins with.
const ACME_HOLDS: [(&str, i64); 4] = [("USD", 1_000_000), ("BTC", 10), ("ETH", 200), ("SOL", 1_000)];
const LIQUIDITY_HOLDS: [(&str, i64); 6] = [
    ("USD", 1_000_000_000),
    ("EUR", 1_000_000_000),
    ("USDC", 100_000_000),
    ("BTC", 10_000),
    ("ETH", 100_000),
    ("SOL", 900_000),
];

/// The genesis command.
pub fn genesis(credentials: &Credentials, master: &MasterKey) -> Result<Command, Failure> {
    let at = wall_clock();
    let mut events = vec![Event::VenueKeyChanged(VenueKey {
        id: VenueKeyId(1),
        name: "demo venue".to_owned(),
        api_key: credentials.venue.api_key.clone(),
        secret_sealed: sealed(&credentials.venue, master)?,
        credential: 1,
        settings: KeySettings::default(),
        expired: false,
    })];
    let assets = assets()?;
    events.extend(assets.iter().cloned().map(Event::AssetAdded));
    for (at, pair) in PAIRS.iter().enumerate() {
        events.push(Event::MarketAdded(market(at, pair, &assets)?));
    }
    for (id, name) in [(ACME, "Acme"), (LIQUIDITY, "Liquidity")] {
        let accounts = vec![AccountId(id.0)];
        events.push(Event::OrganizationCreated(Organization { id, name: name.to_owned(), accounts }));
    }
    for (index, person) in credentials.members.iter().enumerate() {
        events.push(Event::MemberChanged(Box::new(member(index, person, master))));
    }
    for (index, key) in credentials.service_users.iter().chain([&credentials.maker]).enumerate() {
        let service_user = Box::new(service_user(index, key, master, at)?);
        events.push(Event::ServiceUserChanged { service_user, change: ServiceUserChange::Created });
    }
    for (organization, holds) in [(ACME, ACME_HOLDS.as_slice()), (LIQUIDITY, LIQUIDITY_HOLDS.as_slice())] {
        for (code, whole) in holds {
            let asset = find(&assets, code)?;
            let seq = events.len() as u64 + 1;
            events.push(opening(organization, asset, *whole, seq, at));
        }
    }
    events.extend(earn(&assets, at)?);
    events.extend(addresses(&assets)?);
    events.push(Event::PolicySet(Policy {
        organization: ACME,
        workflow: Workflow::InitiateWithdrawal,
        version: 1,
        terms: PolicyTerms::of(1),
    }));
    Ok(Command::Genesis(events))
}

fn sealed(key: &Key, master: &MasterKey) -> Result<Vec<u8>, Failure> {
    let secret = decode_secret(&key.api_secret).ok_or("a secret is base64")?;
    Ok(master.seal(key.api_key.as_bytes(), &secret))
}

fn text<const N: usize>(text: &str) -> Result<arrayvec::ArrayString<N>, Failure> {
    arrayvec::ArrayString::from(text).map_err(|_| format!("{text} is too long").into())
}

fn find<'a>(assets: &'a [Asset], code: &str) -> Result<&'a Asset, Failure> {
    assets.iter().find(|asset| asset.code.as_str() == code).ok_or_else(|| format!("no asset {code}").into())
}

fn assets() -> Result<Vec<Asset>, Failure> {
    let asset = |(index, (code, decimals, display_decimals, method, network)): (usize, &(&str, u8, u8, &str, &str))| {
        let unit = 10i64.pow(u32::from(*decimals));
        let code: AssetCode = text(code)?;
        // A withdrawal costs 4 USD or EUR, 0.00002 BTC, 0.0005 of the others.
        let withdrawal_fee = match code.as_str() {
            "USD" | "EUR" => 4 * unit,
            "BTC" => unit / 50_000,
            _ => unit / 2_000,
        };
        Ok(Asset {
            id: AssetId::at(index),
            code,
            decimals: *decimals,
            display_decimals: *display_decimals,
            method: (*method).to_owned(),
            network: (*network).to_owned(),
            withdrawal_min: Amount(withdrawal_fee * 10),
            withdrawal_fee: Amount(withdrawal_fee),
            deposit_min: Amount(unit / 10_000),
        })
    };
    ASSETS.iter().enumerate().map(asset).collect()
}

fn market(index: usize, pair: &Pair, assets: &[Asset]) -> Result<Market, Failure> {
    let Pair(symbol, price_decimals, qty_decimals, qty_min, cost_min) = *pair;
    let (base, quote) = symbol.split_once('/').ok_or("a symbol is BASE/QUOTE")?;
    let (base, quote) = (find(assets, base)?, find(assets, quote)?);
    let symbol: Symbol = text(symbol)?;
    Ok(Market {
        id: MarketId::at(index),
        symbol,
        base: base.id,
        quote: quote.id,
        base_decimals: base.decimals,
        quote_decimals: quote.decimals,
        price_decimals,
        qty_decimals,
        price_increment: Price(1),
        qty_increment: Quantity(1),
        qty_min: Quantity(qty_min),
        cost_min: Amount(cost_min),
        maker_ppm: 2_500,
        taker_ppm: 4_000,
    })
}

/// Alice has everything, Bob View and Approve, Carol View.
fn member(index: usize, person: &Person, master: &MasterKey) -> Member {
    let id = MemberId::at(index);
    let held: &[Permission] = match index {
        0 => &Permission::ALL,
        1 => &[Permission::View, Permission::Approve],
        _ => &[Permission::View],
    };
    let mut permissions = Permissions::none();
    for workflow in Workflow::ALL {
        held.iter().for_each(|permission| permissions.grant(workflow, *permission));
    }
    Member {
        id,
        organization: ACME,
        name: person.name.clone(),
        email: person.email.clone(),
        status: MemberStatus::Active,
        kyc: Kyc::Verified,
        permissions,
        password_hash: Some(hash_password(&person.password)),
        totp_sealed: Some(master.seal(&totp_context(id), person.totp_secret.as_bytes())),
        invitation: None,
        sign_in_step: 0,
        action_step: 0,
    }
}

fn service_user(index: usize, key: &Key, master: &MasterKey, at: Moment) -> Result<ServiceUser, Failure> {
    let mut settings = KeySettings::default();
    let mut scopes = ScopeSet::ALL;
    let mut organization = ACME;
    match key.name.as_str() {
        "Reporting Script" => {
            scopes = ScopeSet::of(&[
                Scope::Query,
                Scope::QueryOpenOrders,
                Scope::QueryClosedOrders,
                Scope::QueryLedger,
                Scope::ExportData,
            ]);
        }
        "No Stream" => settings.allow_websocket = false,
        "Expired" => settings.expires_at = Some(at.minus_us(86_400_000_000)),
        "Elsewhere" => settings.ip_allowlist = vec!["192.0.2.0/24".parse()?],
        "Market Maker" => organization = LIQUIDITY,
        _ => {}
    }
    Ok(ServiceUser {
        id: ServiceUserId::at(index),
        organization,
        account: AccountId(organization.0),
        name: key.name.clone(),
        api_key: key.api_key.clone(),
        secret_sealed: sealed(key, master)?,
        credential: 1,
        status: KeyStatus::Active,
        scopes,
        settings,
        managers: Vec::new(),
        editor: None,
        claim: None,
        rotation: None,
        retiring: None,
        query_ended: false,
    })
}

/// An opening balance: a deposit like any other, so that the ledger is balanced from its first entry.
fn opening(organization: OrganizationId, asset: &Asset, whole: i64, seq: u64, at: Moment) -> Event {
    let account = AccountId(organization.0);
    let amount = Amount(whole * 10i64.pow(u32::from(asset.decimals)));
    let postings = Movement::new(&Ledger::default())
        .post(Party::Account(account, Wallet::Main), asset.id, amount, Amount::ZERO)
        .post(Party::Outside, asset.id, Amount(-amount.0), Amount::ZERO)
        .postings();
    let address = DepositAddress { address: "opening balance".to_owned(), tag: None };
    let txid = format!("opening-{organization}-{}", asset.code);
    let id = DepositId(seq);
    let (method, network) = (asset.method.clone(), asset.network.clone());
    let (created_at, status, asset) = (at, DepositStatus::Success, asset.id);
    let deposit =
        Deposit { id, organization, account, asset, method, network, amount, address, txid, created_at, status };
    Event::DepositChanged { deposit: Box::new(deposit), postings }
}

fn earn(assets: &[Asset], at: Moment) -> Result<Vec<Event>, Failure> {
    let week = LockType::Bonded(Periods { unbonding_s: 7 * 86_400, ..Periods::default() });
    let strategies = [
        ("ETH", LockType::Flex, (15_000, 20_000)),
        ("ETH", week, (30_000, 38_000)),
        ("SOL", LockType::Flex, (48_000, 56_000)),
    ];
    let strategy = |(index, (code, lock, apr_ppm)): (usize, (&str, LockType, (u32, u32)))| {
        let asset = find(assets, code)?;
        let min = Amount(10i64.pow(u32::from(asset.decimals)) / 100);
        Ok(Event::StrategyAdded(Strategy {
            apr_ppm,
            auto_compound: AutoCompound::Optional { default: true },
            payout_frequency_s: Some(7 * 86_400),
            added_at: at,
            ..Strategy::of(StrategyId::at(index), asset.id, lock, min)
        }))
    };
    strategies.into_iter().enumerate().map(strategy).collect()
}

fn addresses(assets: &[Asset]) -> Result<Vec<Event>, Failure> {
    let mut events = Vec::new();
    for asset in assets {
        let pooled = |number: u32| DepositAddress {
            address: format!("demo-{}-{number:03}", asset.code.to_lowercase()),
            tag: None,
        };
        events.push(Event::DepositAddressesAdded { asset: asset.id, addresses: (1..=100).map(pooled).collect() });
    }
    for (code, key, address) in [
        ("BTC", "cold-1", "bc1q0demo0cold0storage0address0number0one"),
        ("USD", "bank-1", "US00 DEMO 0000 0000 0000 0001"),
    ] {
        let asset = find(assets, code)?;
        let (key, method, address) = (key.to_owned(), asset.method.clone(), address.to_owned());
        let address = WithdrawalAddress { key, method, address, tag: None };
        events.push(Event::AddressAdded { organization: ACME, asset: asset.id, address, usable_at: Moment(0) });
    }
    Ok(events)
}
