//! What moves funds: Earn, deposits and withdrawals of Service Users, and the venue operator who answers for custody.

use countersign::domain::decimal::Decimal;
use countersign::domain::exports::{Format, Report};
use countersign::domain::ids::{ExportId, MemberId, StrategyId, WithdrawalId};
use countersign::domain::markets::MarketStatus;
use countersign::domain::text::{AssetCode, ClientId};
use countersign::engine::command::{Command, Credit, EarnMove, Invitee, Paid, Withdraw};
use countersign::engine::deposits::{DepositAddress, DepositStatus};
use countersign::engine::exports::AskedExport;
use countersign::engine::members::Kyc;
use countersign::engine::withdrawals::WithdrawalStatus;
use countersign::engine::workflows::withdrawal::WithdrawalChange;

use super::dice::Dice;
use super::known::Known;
use super::traders::symbol;

pub const ASSETS: [&str; 3] = ["USD", "BTC", "ETH"];

pub fn asset(code: &str) -> AssetCode {
    AssetCode::from(code).unwrap()
}

pub fn client_id(dice: &mut Dice) -> ClientId {
    ClientId::from(&format!("k{}", dice.below(500))).unwrap()
}

/// Below the least, within what is there, or far above it.
fn amount(dice: &mut Dice) -> Decimal {
    match dice.below(20) {
        0 => Decimal::from_units(dice.within(-1, 11_000), 8),
        1 => Decimal::from_units(dice.within(1, i64::MAX - 1), 8),
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
            strategy: StrategyId(dice.within(1, 3) as u16),
            amount: amount(dice),
            allocate: !dice.one_in(3),
            auto_compound: None,
            client_id: dice.one_in(2).then(|| client_id(dice)),
        }),
        4 => {
            let method = dice.one_in(20).then(|| "carrier pigeon".to_owned());
            Command::DepositAddresses { asset: asset(dice.of(&ASSETS)), method, new: dice.one_in(2) }
        }
        5 => {
            let open: Vec<WithdrawalId> = known.withdrawals.keys().copied().collect();
            Command::CancelWithdrawal(dice.any(&open).copied().unwrap_or(WithdrawalId(1)))
        }
        6 => match dice.one_in(4) {
            true => Command::RemoveExport(ExportId(dice.below(4_000))),
            false => Command::AddExport(export(dice)),
        },
        _ => Command::Withdraw(Withdraw {
            change: withdrawal(dice),
            client_id: dice.one_in(2).then(|| client_id(dice)),
            max_fee: dice.one_in(10).then(|| Decimal::from_units(dice.within(0, 2_000), 8)),
            address: dice.one_in(20).then(|| "elsewhere".to_owned()),
        }),
    }
}

fn export(dice: &mut Dice) -> AskedExport {
    AskedExport {
        report: dice.of(&[Report::Trades, Report::Ledgers]),
        format: Format::Csv,
        columns: None,
        start: None,
        end: None,
        description: String::new(),
    }
}

pub fn of_venue(dice: &mut Dice, known: &Known) -> Command {
    match dice.below(24) {
        20 | 21 => Command::PayEarnReward {
            strategy: StrategyId(dice.within(1, 3) as u16),
            amount: Decimal::from_units(dice.within(1, 1_000), 6),
            client_id: client_id(dice),
        },
        22 if dice.one_in(4) => Command::Halt { reason: "a drill".to_owned() },
        22 | 23 => Command::Resume,
        0..9 => {
            let pending = |(id, (_, status)): (&WithdrawalId, &(_, WithdrawalStatus))| {
                (*status == WithdrawalStatus::Pending).then_some(*id)
            };
            let open: Vec<WithdrawalId> = known.withdrawals.iter().filter_map(pending).collect();
            let withdrawal = dice.any(&open).copied().unwrap_or(WithdrawalId(1));
            let result = match dice.one_in(3) {
                true => Paid::Failed { reason: "lost".to_owned() },
                false => Paid::Settled { txid: dice.one_in(2).then(|| "paid".to_owned()) },
            };
            Command::FinishWithdrawal { withdrawal, result }
        }
        9..14 => {
            let unknown = DepositAddress { address: "nowhere".to_owned(), tag: None };
            let found = dice.any(&known.deposit_addresses).cloned();
            let (of, address) = found.map_or((0, unknown), |(asset, address)| (asset.index(), address));
            let txid = format!("tx{}", dice.below(300));
            let status = match dice.below(4) {
                0 => DepositStatus::Pending,
                1 => DepositStatus::Failure,
                _ => DepositStatus::Success,
            };
            let amount = Decimal::from_units(1 + dice.below(3) as i64, 2);
            Command::CreditDeposit(Credit { asset: asset(ASSETS[of.min(2)]), address, amount, txid, status })
        }
        14..16 => {
            let new = |dice: &mut Dice| DepositAddress { address: format!("in{}", dice.below(1_000_000)), tag: None };
            let addresses = (0..dice.within(1, 3)).map(|_| new(dice)).collect();
            Command::AddDepositAddresses { asset: asset(dice.of(&ASSETS)), addresses }
        }
        16 => {
            let kyc = dice.of(&[Kyc::Verified, Kyc::Verified, Kyc::Verified, Kyc::Pending, Kyc::Rejected]);
            Command::SetKyc { member: MemberId(dice.within(1, known.members.len() as i64 + 1) as u32), kyc }
        }
        17 => {
            let number = dice.below(1_000_000);
            let invitee = |at: u64| Invitee {
                name: format!("P{number}-{at}"),
                email: format!("p{number}-{at}@x.test"),
                token_hash: [(number % 251) as u8 ^ at as u8; 32],
            };
            let members = (0..dice.below(3)).map(invitee).collect();
            Command::CreateOrganization { name: format!("O{number}"), members }
        }
        _ => {
            let status = match dice.below(3) {
                0 => dice.of(&[MarketStatus::CancelOnly, MarketStatus::PostOnly, MarketStatus::LimitOnly]),
                _ => MarketStatus::Online,
            };
            Command::SetMarketStatus { symbol: symbol(dice.of(&["BTC/USD", "ETH/USD"])), status }
        }
    }
}
