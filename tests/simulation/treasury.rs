//! Funds of Service Users: Earn, deposits, withdrawals and exports.

use countersign::domain::decimal::Decimal;
use countersign::domain::exports::{Format, Report};
use countersign::domain::ids::{ExportId, StrategyId, WithdrawalId};
use countersign::domain::text::{AssetCode, ClientId};
use countersign::domain::time::Period;
use countersign::engine::command::{Command, EarnMove, Withdraw};
use countersign::engine::exports::RequestedExport;
use countersign::engine::workflows::withdrawal::WithdrawalChange;

use super::dice::Dice;
use super::known::Known;

pub fn asset(code: &str) -> AssetCode {
    AssetCode::from(code).unwrap()
}

/// One of the first three, mostly.
pub fn any_asset(dice: &mut Dice, known: &Known) -> AssetCode {
    let common = known.assets.len().min(3);
    let some = if dice.one_in(5) { &known.assets[..] } else { &known.assets[..common] };
    *dice.any(some).expect("genesis has assets")
}

/// There may be none with that number.
pub fn strategy(dice: &mut Dice, known: &Known) -> StrategyId {
    let last = if dice.one_in(3) { known.strategies + 1 } else { 3 };
    StrategyId(dice.within(1, i64::from(last)) as u16)
}

pub fn export_id(dice: &mut Dice, known: &Known) -> ExportId {
    let all: Vec<ExportId> = known.exports.iter().copied().collect();
    dice.any(&all).copied().unwrap_or(ExportId(1))
}

pub fn client_id(dice: &mut Dice) -> ClientId {
    ClientId::from(&format!("k{}", dice.below(500))).unwrap()
}

/// Below the least, within what is there, about all of it, or far above it.
fn amount(dice: &mut Dice) -> Decimal {
    match dice.below(20) {
        0 => Decimal::from_units(dice.within(-1, 11_000), 8),
        1 => Decimal::from_units(dice.within(1, i64::MAX - 1), 8),
        2 => Decimal::from_units(dice.within(1, 10_000), 2),
        _ => Decimal::from_units(dice.within(1, 300), 2),
    }
}

pub fn withdrawal(dice: &mut Dice) -> WithdrawalChange {
    let (code, key) = dice.of(&[("BTC", "cold-1"), ("BTC", "cold-1"), ("BTC", "cold-2"), ("ETH", "vault")]);
    WithdrawalChange { asset: asset(code), key: key.to_owned(), amount: amount(dice) }
}

pub fn of_service_user(dice: &mut Dice, known: &Known) -> Command {
    match dice.below(10) {
        0..4 => Command::Earn(EarnMove {
            strategy: strategy(dice, known),
            amount: amount(dice),
            allocate: !dice.one_in(3),
            auto_compound: dice.one_in(5).then(|| dice.one_in(2)),
            client_id: dice.one_in(2).then(|| client_id(dice)),
        }),
        4 => {
            let method = dice.one_in(20).then(|| "carrier pigeon".to_owned());
            Command::DepositAddresses { asset: any_asset(dice, known), method, new: dice.one_in(2) }
        }
        5 => {
            let open: Vec<WithdrawalId> = known.withdrawals.keys().copied().collect();
            Command::CancelWithdrawal(dice.any(&open).copied().unwrap_or(WithdrawalId(1)))
        }
        6 => match dice.one_in(4) {
            true => Command::RemoveExport(export_id(dice, known)),
            false => Command::AddExport(export(dice)),
        },
        _ => Command::Withdraw(Withdraw {
            change: withdrawal(dice),
            client_id: dice.one_in(2).then(|| client_id(dice)),
            max_fee: dice.one_in(10).then(|| Decimal::from_units(dice.within(0, 2_000), 8)),
            address: dice.one_in(10).then(|| dice.of(&["to-cold-1", "bc1qcold", "elsewhere"]).to_owned()),
        }),
    }
}

fn export(dice: &mut Dice) -> RequestedExport {
    RequestedExport {
        report: dice.of(&[Report::Trades, Report::Ledgers]),
        format: Format::Csv,
        columns: None,
        period: Period::ALWAYS,
        description: String::new(),
    }
}
