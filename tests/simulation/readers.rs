//! Queries: by Service Users, Members, the venue operator, the server, and holders of a token or a cookie.

use countersign::access::operation::{Operation, ServiceRight};
use countersign::domain::cursor::Cursor;
use countersign::domain::ids::{RequestId, ServiceUserId};
use countersign::domain::time::{Moment, Period};
use countersign::engine::command::OrderRef;
use countersign::engine::holdings::EarnFilter;
use countersign::engine::keys::KeyRef;
use countersign::engine::query::{AddressFilter, MethodFilter, OrderFilter, Query, RequestFilter};
use countersign::engine::transfers::TransferFilter;

use super::coverage::channels;
use super::dice::Dice;
use super::known::Known;
use super::traders::client_order_id;
use super::treasury::{any_asset, export_id, strategy, withdrawal};
use super::world::{DAY, START};

pub fn of_service_user(dice: &mut Dice, known: &Known) -> Query {
    let filter = EarnFilter { limit: 5, ..EarnFilter::default() };
    match dice.below(16) {
        0 => Query::Balances,
        1 => Query::OpenOrders(OrderFilter { limit: Some(5), ..OrderFilter::default() }),
        2 => Query::Orders(vec![OrderRef::ClientId(client_order_id(dice))]),
        3 => Query::KeyInfo,
        4 => Query::EarnAllocations(filter),
        5 => Query::EarnStrategies(filter),
        6 => Query::EarnStatus(strategy(dice, known)),
        7 => Query::Withdrawals(transfers(dice, known)),
        8 => Query::Deposits(transfers(dice, known)),
        9 => Query::WithdrawInfo(withdrawal(dice)),
        10 => Query::Exports(Operation::ExportStatus, None),
        11 => Query::Exports(Operation::ExportRetrieve, Some(export_id(dice, known))),
        12 => {
            let asset = Some(any_asset(dice, known));
            Query::Methods(Operation::DepositMethods, MethodFilter { asset, ..MethodFilter::default() })
        }
        13 => Query::Addresses(Operation::WithdrawAddresses, AddressFilter::default()),
        14 => Query::History(Operation::Ledgers),
        _ => {
            let mut channels = channels();
            channels.retain(|channel| channel.row().service_user != ServiceRight::No);
            Query::Subscribe { channel: dice.of(&channels), open_orders: !dice.one_in(3) }
        }
    }
}

fn transfers(dice: &mut Dice, known: &Known) -> TransferFilter {
    let ids: Vec<u64> = known.withdrawals.keys().map(|id| id.0).collect();
    let id = |dice: &mut Dice| dice.any(&ids).copied().unwrap_or(1);
    let at = |dice: &mut Dice| Moment(START.0 + dice.below(DAY));
    TransferFilter {
        asset: dice.one_in(4).then(|| any_asset(dice, known)),
        method: dice.one_in(8).then(|| dice.of(&["BTC", "ETH", "carrier pigeon"]).to_owned()),
        id: dice.one_in(8).then(|| id(dice)),
        period: Period { from: dice.one_in(8).then(|| at(dice)), until: dice.one_in(8).then(|| at(dice)) },
        before: dice.one_in(4).then(|| Cursor { at: at(dice), id: id(dice) }),
        limit: dice.of(&[1, 2, 5, 500]),
    }
}

pub fn of_member(dice: &mut Dice, known: &Known) -> Query {
    match dice.below(10) {
        0 => Query::Requests(RequestFilter { limit: Some(5), ..RequestFilter::default() }),
        1 => {
            let all: Vec<RequestId> = known.requests.keys().copied().collect();
            Query::Request(dice.any(&all).copied().unwrap_or(RequestId(1)))
        }
        2 => Query::Policies,
        3 => Query::Members,
        4 => Query::ServiceUsers,
        5 => Query::MemberInfo,
        6 => {
            let service_user = dice.one_in(2).then(|| ServiceUserId(dice.within(1, 4) as u32));
            Query::Explain { change: withdrawal(dice), service_user }
        }
        7 => Query::Addresses(Operation::Addresses, AddressFilter::default()),
        8 => Query::Audit,
        _ => Query::Subscribe { channel: Operation::Approvals, open_orders: true },
    }
}

/// What a token or a cookie leads to.
pub fn of_stranger(dice: &mut Dice, known: &Known, key: ServiceUserId) -> Query {
    match dice.one_in(2) {
        true => Query::Bind(KeyRef::ServiceUser(key)),
        false => Query::BindMember(dice.any(&known.cookies).copied().unwrap_or_default()),
    }
}
