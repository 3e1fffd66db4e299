//! Commands of the venue operator, who sets everything up and acts for custody, and reports of the server itself.

use countersign::domain::decimal::Decimal;
use countersign::domain::ids::{MemberId, OrganizationId, WithdrawalId};
use countersign::domain::markets::MarketStatus;
use countersign::domain::time::Moment;
use countersign::engine::command::{Command, Credit, CustodyResult, Invitee, NewAsset, NewMarket, NewStrategy};
use countersign::engine::deposits::{DepositAddress, DepositStatus};
use countersign::engine::earn::{AutoCompound, LockType, Periods, YieldSource};
use countersign::engine::members::Kyc;
use countersign::engine::withdrawals::WithdrawalStatus;

use super::dice::Dice;
use super::governors::service_user;
use super::known::Known;
use super::traders::{any_market, symbol};
use super::treasury::{any_asset, asset, client_id, export_id, strategy};
use super::world::SECOND;

/// A Service User's sockets have gone; or a file is made, or one that was lost is made again.
pub fn report(dice: &mut Dice, known: &Known, now: Moment) -> Command {
    if dice.one_in(2) {
        return Command::Disconnected(service_user(dice, known));
    }
    let started = now.minus_us(dice.below(60 * SECOND));
    Command::FinishExport { export: export_id(dice, known), started, rows: dice.below(1_000) }
}

pub fn command(dice: &mut Dice, known: &Known) -> Command {
    match dice.below(26) {
        0..9 => finish_withdrawal(dice, known),
        9..14 => credit(dice, known),
        14..16 => {
            let new = |dice: &mut Dice| DepositAddress { address: format!("in{}", dice.below(1_000_000)), tag: None };
            let addresses = (0..dice.within(1, 3)).map(|_| new(dice)).collect();
            Command::AddDepositAddresses { asset: any_asset(dice, known), addresses }
        }
        16 => {
            let kyc = dice.of(&[Kyc::Verified, Kyc::Verified, Kyc::Verified, Kyc::Pending, Kyc::Rejected]);
            Command::SetKyc { member: MemberId(dice.within(1, known.members.len() as i64 + 1) as u32), kyc }
        }
        17 => create_organization(dice),
        18 | 19 => {
            let status = match dice.below(3) {
                0 => dice.of(&[MarketStatus::CancelOnly, MarketStatus::PostOnly, MarketStatus::LimitOnly]),
                _ => MarketStatus::Online,
            };
            Command::SetMarketStatus { symbol: any_market(dice, known), status }
        }
        20 | 21 => Command::PayEarnReward {
            strategy: strategy(dice, known),
            amount: Decimal::from_units(dice.within(1, 1_000), 6),
            client_id: client_id(dice),
        },
        22 if dice.one_in(2) => Command::Halt { reason: "a drill".to_owned() },
        22 | 23 => Command::Resume,
        _ => set_up(dice, known),
    }
}

fn finish_withdrawal(dice: &mut Dice, known: &Known) -> Command {
    let pending = |(id, (_, status)): (&WithdrawalId, &(_, WithdrawalStatus))| {
        (*status == WithdrawalStatus::Pending).then_some(*id)
    };
    let open: Vec<WithdrawalId> = known.withdrawals.iter().filter_map(pending).collect();
    let withdrawal = dice.any(&open).copied().unwrap_or(WithdrawalId(1));
    let result = match dice.one_in(3) {
        true => CustodyResult::Failed { reason: "lost".to_owned() },
        false => CustodyResult::Settled { txid: dice.one_in(2).then(|| "paid".to_owned()) },
    };
    Command::FinishWithdrawal { withdrawal, result }
}

fn credit(dice: &mut Dice, known: &Known) -> Command {
    let unknown = DepositAddress { address: "nowhere".to_owned(), tag: None };
    let found = dice.any(&known.deposit_addresses).cloned();
    let (of, address) = found.map_or((0, unknown), |(asset, address)| (asset.index(), address));
    let asset = known.assets[of];
    let txid = format!("tx{}", dice.below(300));
    let status = match dice.below(4) {
        0 => DepositStatus::Pending,
        1 => DepositStatus::Failure,
        _ => DepositStatus::Success,
    };
    let amount = Decimal::from_units(1 + dice.below(3) as i64, 2);
    Command::CreditDeposit(Credit { asset, address, amount, txid, status })
}

fn create_organization(dice: &mut Dice) -> Command {
    let number = dice.below(1_000_000);
    let invitee = |at: u64| Invitee {
        name: format!("P{number}-{at}"),
        email: format!("p{number}-{at}@x.test"),
        token_hash: [(number % 251) as u8 ^ at as u8; 32],
    };
    let members = (0..dice.below(3)).map(invitee).collect();
    Command::CreateOrganization { name: format!("O{number}"), members }
}

/// Something new to own, to trade or to earn with, now and then invalid.
fn set_up(dice: &mut Dice, known: &Known) -> Command {
    match dice.below(3) {
        0 => {
            let code = if dice.one_in(10) { "lower".to_owned() } else { format!("A{}", dice.below(30)) };
            let decimals = dice.of(&[0, 2, 6, 8, 12, 13]);
            let amount = |dice: &mut Dice| Decimal::from_units(dice.within(-1, 100), decimals.min(12));
            Command::AddAsset {
                asset: NewAsset {
                    code: asset(&code),
                    decimals,
                    display_decimals: dice.below(3) as u8,
                    method: code,
                    network: "chain".to_owned(),
                    withdrawal_min: amount(dice),
                    withdrawal_fee: amount(dice),
                    deposit_min: amount(dice),
                },
            }
        }
        1 => Command::AddMarket { market: market(dice, known) },
        _ => Command::AddEarnStrategy { strategy: new_strategy(dice, known) },
    }
}

fn market(dice: &mut Dice, known: &Known) -> NewMarket {
    let (base, quote) = (any_asset(dice, known), any_asset(dice, known));
    let (price_decimals, qty_decimals) = (dice.of(&[0, 1, 1, 1, 2, 5, 12, 13]), dice.of(&[0, 3, 3, 4, 8, 12]));
    // Zero is invalid as an increment and as a quantity, but a fee may be the whole amount.
    let units = |dice: &mut Dice| if dice.one_in(20) { 0 } else { dice.within(1, 5) };
    NewMarket {
        symbol: symbol(&format!("{base}/{quote}")),
        price_decimals,
        qty_decimals,
        price_increment: Decimal::from_units(units(dice), price_decimals.min(12)),
        qty_min: Decimal::from_units(units(dice), qty_decimals),
        cost_min: Decimal::from_units(dice.within(0, 100), dice.of(&[0, 0, 2])),
        maker_ppm: dice.of(&[0, 1_000, 1_000, 333_333, 1_000_000, 1_000_001]),
        taker_ppm: dice.of(&[0, 2_500, 333_333, 1_000_000]),
    }
}

fn new_strategy(dice: &mut Dice, known: &Known) -> NewStrategy {
    let seconds = |dice: &mut Dice| dice.of(&[0, 0, 60, 3_600, 30 * 86_400, 11 * 366 * 86_400]);
    let lock = match dice.one_in(3) {
        true => LockType::Flex,
        false => LockType::Bonded(Periods {
            bonding_s: seconds(dice),
            exit_queue_s: seconds(dice),
            unbonding_s: seconds(dice),
        }),
    };
    let cap = |dice: &mut Dice| dice.one_in(3).then(|| Decimal::from_units(dice.within(0, 500), 2));
    NewStrategy {
        asset: any_asset(dice, known),
        lock,
        min: Decimal::from_units(dice.within(0, 10), 2),
        user_cap: cap(dice),
        total_cap: cap(dice),
        apr: (Decimal::from_units(dice.within(0, 3), 0), Decimal::from_units(dice.within(1, 10), 0)),
        auto_compound: dice.of(&[
            AutoCompound::Enabled,
            AutoCompound::Disabled,
            AutoCompound::Optional { default: true },
            AutoCompound::Optional { default: false },
        ]),
        yield_source: dice.of(&[YieldSource::Staking, YieldSource::OffChain]),
        payout_frequency_s: dice.one_in(2).then(|| seconds(dice)),
        organizations: dice.one_in(3).then(|| vec![OrganizationId(dice.within(1, 4) as u32)]),
    }
}
