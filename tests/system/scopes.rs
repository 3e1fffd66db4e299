//! Every scope alone, none and all, against every operation, over real sockets: the server answers according to the
//! committed grid.

use countersign::access::operation::{Kind, Operation};
use countersign::access::scope::{Scope, ScopeSet};
use serde_json::{Value, json};

use super::client::{Client, code};
use super::world::{World, key};

/// Params that are well formed, whatever the answer.
pub fn sample(operation: Operation) -> Value {
    let withdrawal = json!({"asset": "BTC", "key": "cold-1", "amount": "0.001"});
    let vote = json!({"requests": [{"request_id": "RAAAAA-AAAAA-AAAAAA", "digest": "0"}]});
    match operation {
        Operation::AddOrder => json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": 1,
            "limit_price": 10.0, "validate": true}),
        Operation::BatchAdd => {
            let order = json!({"order_type": "limit", "side": "buy", "order_qty": 1, "limit_price": 10.0});
            json!({"symbol": "BTC/USD", "orders": [order.clone(), order], "validate": true})
        }
        Operation::BatchCancel => json!({"orders": ["OAAAAA-AAAAA-AAAAAA", "7"]}),
        Operation::CancelAllOrdersAfter => json!({"timeout": 0}),
        Operation::QueryLedgers => json!({"ledger_id": ["LAAAAA-AAAAA-AAAAAA"]}),
        Operation::ExportAdd => json!({"report": "ledgers", "format": "csv"}),
        Operation::ExportRetrieve | Operation::ExportRemove => json!({"export_id": "XAAAAA-AAAAA-AAAAAA"}),
        Operation::CancelOrder => json!({"order_id": ["OAAAAA-AAAAA-AAAAAA"]}),
        Operation::QueryOrders => json!({"order_id": ["OAAAAA-AAAAA-AAAAAA"]}),
        Operation::EarnAllocate | Operation::EarnDeallocate => json!({"strategy_id": "ESTRAT9", "amount": "1"}),
        Operation::EarnStatus => json!({"strategy_id": "ESTRAT1"}),
        Operation::DepositAddresses => json!({"asset": "XXX"}),
        Operation::WithdrawInfo | Operation::InitiateWithdrawal | Operation::PolicyExplain => withdrawal,
        Operation::Withdraw => json!({"asset": "BTC", "key": "nowhere", "amount": "0.001"}),
        Operation::WithdrawCancel => json!({"refid": "FAAAAA-AAAAA-AAAAAA"}),
        Operation::RequestInfo | Operation::CancelRequest => json!({"request_id": "RAAAAA-AAAAA-AAAAAA"}),
        Operation::Approve | Operation::Execute => vote,
        Operation::Reject => json!({"requests": vote["requests"], "reason": "no"}),
        Operation::ClaimSecret => json!({"request_id": "RAAAAA-AAAAA-AAAAAA", "otp": "000000"}),
        Operation::CreateServiceUser => json!({"name": "x", "scopes": []}),
        Operation::EditServiceUser | Operation::RemoveServiceUser => json!({"service_user_id": "SVC1"}),
        Operation::RotateServiceUserKey | Operation::CancelOrders => json!({"service_user_id": "SVC1"}),
        Operation::InviteMember => json!({"name": "n", "email": "n@x.test", "permissions": {}}),
        Operation::EditMember | Operation::ResetMember | Operation::RemoveMember => json!({"member_id": "MEM1"}),
        Operation::Freeze => json!({"scope": "all", "reason": "r"}),
        Operation::Unfreeze => json!({"reason": "r"}),
        Operation::RemovePolicy => json!({"workflow": "manage_access"}),
        Operation::RemoveAddress => json!({"asset": "BTC", "key": "cold-1"}),
        Operation::SetPolicy => json!({"workflow": "manage_access", "quorum": 1}),
        Operation::AddAddress => json!({"asset": "BTC", "method": "BTC", "key": "k", "address": "a"}),
        Operation::CreateOrganization => json!({"name": "n", "members": []}),
        Operation::AddAsset => {
            json!({"asset": "A", "decimals": 2, "display_decimals": 2, "method": "m", "network": "n",
            "withdrawal_min": 1, "withdrawal_fee": 1, "deposit_min": 1})
        }
        Operation::AddMarket => json!({"symbol": "A/B", "price_decimals": 1, "qty_decimals": 1, "price_increment": 1,
            "qty_min": 1, "cost_min": 1, "maker_ppm": 1, "taker_ppm": 1}),
        Operation::AddEarnStrategy => json!({"asset": "BTC", "lock_type": {"type": "flex"}, "user_min_allocation": 1,
            "apr_estimate": {"low": 1, "high": 2}}),
        Operation::PayEarnReward => json!({"strategy_id": "ESTRAT9", "amount": 1, "client_id": "r"}),
        Operation::Halt => json!({"reason": "r"}),
        Operation::AddDepositAddresses => json!({"asset": "BTC", "addresses": []}),
        Operation::CreditDeposit => json!({"asset": "BTC", "address": "a", "amount": 1, "txid": "t"}),
        Operation::SettleWithdrawal => json!({"refid": "FAAAAA-AAAAA-AAAAAA"}),
        Operation::FailWithdrawal => json!({"refid": "FAAAAA-AAAAA-AAAAAA", "reason": "r"}),
        Operation::AmendOrder => json!({"order_id": "OAAAAA-AAAAA-AAAAAA", "order_qty": 1}),
        Operation::EditOrder => json!({"order_id": "OAAAAA-AAAAA-AAAAAA", "symbol": "BTC/USD", "order_qty": 1}),
        Operation::SetMarketStatus => json!({"symbol": "BTC/USD", "status": "online"}),
        Operation::SetKyc => json!({"member_id": "MEM1", "kyc": "verified"}),
        Operation::Ping => Value::Null,
        _ => json!({}),
    }
}

/// Sends a well-formed request for an operation: the reply.
pub async fn attempt(client: &mut Client, operation: Operation) -> Value {
    match operation.row().kind {
        Kind::Stream => {
            let mut params = json!({"channel": operation.name()});
            if matches!(
                operation,
                Operation::Ticker | Operation::Book | Operation::Level3 | Operation::Trade | Operation::Ohlc
            ) {
                params["symbol"] = json!(["BTC/USD"]);
            }
            client.reply("subscribe", params).await
        }
        Kind::Read | Kind::Write if operation == Operation::SettlePosition => {
            let order = json!({"order_type": "settle-position", "side": "buy", "symbol": "BTC/USD", "order_qty": 0});
            client.reply("add_order", order).await
        }
        Kind::Read | Kind::Write => {
            let mut params = sample(operation);
            // A wrong code is refused before anything else is checked.
            if operation == Operation::ClaimSecret {
                params["otp"] = json!(code(0));
            }
            client.reply(operation.name(), params).await
        }
    }
}

/// Whether the principal of a column may call an operation.
fn grid_admits(column: u8, operation: Operation) -> bool {
    let mut rows = include_str!("../repository/scopes.txt").lines().rev();
    let row = rows.find(|row| row.rsplit(' ').next() == Some(operation.name())).unwrap();
    row.split(' ').nth(column.into()) == Some("x")
}

#[tokio::test]
async fn d2_20_every_scope_opens_what_the_table_says_and_nothing_else() {
    // In the order of the grid's columns after that of a bare socket, so that each key's number is its column's.
    let mut sets = vec![ScopeSet::NONE];
    sets.extend(Scope::ALL.into_iter().map(|scope| ScopeSet::of(&[scope])));
    sets.push(ScopeSet::ALL);
    let keys: Vec<_> = sets.iter().map(|scopes| key(*scopes)).collect();
    let world = World::new(&keys).await;
    for (number, scopes) in (1..).zip(&sets) {
        let mut bot = world.bot(number).await;
        for operation in Operation::ALL {
            let reply = attempt(&mut bot, operation).await;
            let denied = reply["error"].as_str() == Some("EGeneral:Permission denied");
            let allowed = grid_admits(number, operation);
            assert_eq!(denied, !allowed, "{} with {:?}: {reply}", operation.name(), scopes.iter().collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn d1_07_a_bare_socket_has_public_data_only() {
    let world = World::new(&[]).await;
    let mut bare = Client::bare(world.address).await;
    for operation in Operation::ALL {
        let reply = attempt(&mut bare, operation).await;
        let refused = reply["error"].as_str() == Some("Token(s) not found");
        assert_eq!(refused, !grid_admits(0, operation), "{}: {reply}", operation.name());
        assert!(refused || reply["error"].is_null(), "{}: {reply}", operation.name());
    }
}
