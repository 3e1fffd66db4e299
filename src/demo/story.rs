//! The story, played over real sockets. Every step is checked; an unexpected result ends the demo.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::client::{Client, code};
use super::credentials::Credentials;
use super::{Failure, print};
use crate::domain::decimal::Decimal;

/// The refusal of a Service User that tries to decide on a request.
const NOT_PERMITTED: &str = "EGeneral:Permission denied";

fn say(who: &str, words: impl std::fmt::Display) {
    print(format_args!("{who:>13}  {words}"));
}

fn expect(holds: bool, what: &str, found: &Value) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(format!("not as told: {what}; found {found}").into()) }
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// What a Member reads before voting on a withdrawal.
fn described(request: &Value) -> Result<String, Failure> {
    let (payload, by) = (&request["payload"], text(&request["initiator"], "name"));
    let amount =
        Decimal::parse(text(payload, "amount")).map_err(|_| format!("not as told: an amount; found {payload}"))?;
    let [action, asset, key, address] =
        [(request, "action"), (payload, "asset"), (payload, "key"), (payload, "address")]
            .map(|(of, member)| text(of, member));
    Ok(format!("{action} {amount} {asset} to {key} ({address}), asked for by {by}"))
}

/// An amount from a message, in units of 10^-10, which are those of BTC here.
fn units(amount: &Value) -> Result<i64, Failure> {
    let read = Decimal::parse(&amount.to_string()).and_then(|amount| amount.units(10));
    read.map_err(|_| format!("not as told: an amount; found {amount}").into())
}

/// Plays the story.
pub async fn play(address: SocketAddr, credentials: &Credentials) -> Result<(), Failure> {
    print("Countersign: a service user signs, a member countersigns.\n");
    say("world", "Acme holds 1,000,000 USD, 10 BTC, 200 ETH, 1,000 SOL; Liquidity's market maker quotes.");
    say("world", "Withdrawals need one Member's approval, Execute is not allowed; nothing else is under a policy.");
    let mut bot = Client::signed(address, &credentials.service_users[0]).await?;
    let key = bot.must("key_info", json!({})).await?;
    expect(key["service_user"] == "Treasury Bot", "the key is Treasury Bot's", &key)?;
    let scopes = key["scopes"].as_array().map_or(0, Vec::len);
    say("Treasury Bot", format!("signs the handshake and is in, with {scopes} scopes"));
    for channel in ["balances", "executions", "ledger", "withdrawals", "earn"] {
        bot.subscribe(channel).await?;
    }
    say("Treasury Bot", "streams balances, executions, ledger, withdrawals and earn");
    trade(&mut bot).await?;
    stake(&mut bot).await?;
    let mut alice = Client::member(address, &credentials.members[0]).await?;
    let mut bob = Client::member(address, &credentials.members[1]).await?;
    for (member, name) in [(&mut alice, "Alice"), (&mut bob, "Bob")] {
        member.subscribe("approvals").await?;
        say(name, "signs in with password and one-time code and watches the approval queue");
    }
    let (refid, request_id) = ask(&mut bot).await?;
    let mine = |item: &Value| item["request_id"] == json!(request_id);
    alice.item("approvals", mine).await?;
    say("Alice", "sees it arrive");
    let request = bob.item("approvals", mine).await?;
    say("Bob", format!("sees it arrive: {}", described(&request)?));
    let ballot = json!([{"request_id": request_id, "digest": request["digest"]}]);
    let own = bot.call("approve", json!({"requests": ballot})).await?;
    expect(own == Err(NOT_PERMITTED.to_owned()), "a Service User never approves", &json!(own))?;
    say("Treasury Bot", format!("tries to approve its own request and is refused: {NOT_PERMITTED}"));
    let otp = code(&credentials.members[1]).await?;
    let decided = bob.must("approve", json!({"requests": ballot, "otp": otp, "comment": "matches the plan"})).await?;
    let approved = &decided["requests"][0];
    expect(approved["request"]["state"] == "approved", "Bob's vote completes the request", approved)?;
    say("Bob", "approves it with a one-time code; the request is approved");
    settle(address, credentials, &mut bot, &refid).await?;
    books(&mut bot).await
}

async fn trade(bot: &mut Client) -> Result<(), Failure> {
    let placed = bot
        .must(
            "add_order",
            json!({"order_type": "market", "side": "buy", "symbol": "BTC/USD", "order_qty": 0.1, "cl_ord_id": "demo-1"}),
        )
        .await?;
    let order_id = text(&placed, "order_id").to_owned();
    say("Treasury Bot", format!("buys 0.1 BTC at market: order {order_id}"));
    let fill =
        bot.item("executions", |item| item["exec_type"] == "trade" && item["order_id"] == json!(order_id)).await?;
    say(
        "Treasury Bot",
        format!("is filled: {} BTC at {} USD, fee {}", fill["last_qty"], fill["last_price"], fill["fees"][0]["qty"]),
    );
    let resting = bot
        .must(
            "add_order",
            json!({"order_type": "limit", "side": "sell", "symbol": "ETH/USD", "order_qty": 1, "limit_price": 9000}),
        )
        .await?;
    let order_id = text(&resting, "order_id").to_owned();
    bot.must("cancel_order", json!({"order_id": [order_id]})).await?;
    bot.item("executions", |item| item["exec_type"] == "canceled" && item["order_id"] == json!(order_id)).await?;
    say("Treasury Bot", "rests a sell of 1 ETH at 9,000 USD, thinks better of it and cancels it");
    Ok(())
}

async fn stake(bot: &mut Client) -> Result<(), Failure> {
    let strategies = bot.must("earn_strategies", json!({"asset": "ETH"})).await?;
    let all = strategies["strategies"].as_array().cloned().unwrap_or_default();
    let bonded = all.iter().find(|strategy| strategy["lock_type"]["type"] == "bonded");
    let strategy = bonded.ok_or("not as told: ETH can be bonded")?;
    let strategy_id = text(strategy, "id").to_owned();
    let earned = bot.must("earn_allocate", json!({"strategy_id": strategy_id, "amount": "32"})).await?;
    expect(earned["state"] == "allocated", "staking is immediate", &earned)?;
    bot.item("earn", |item| item["operation_id"] == earned["operation_id"]).await?;
    say("Treasury Bot", "stakes 32 ETH, bonded; no approval is needed");
    Ok(())
}

/// Asks for the withdrawal; returns its refid and its request.
async fn ask(bot: &mut Client) -> Result<(String, String), Failure> {
    let asked = bot.must("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "0.5"})).await?;
    expect(asked["status"] == "Initial", "the withdrawal waits", &asked)?;
    let (refid, request_id) = (text(&asked, "refid").to_owned(), text(&asked, "request_id").to_owned());
    say("Treasury Bot", format!("asks to withdraw 0.5 BTC to cold-1: {refid} waits for request {request_id}"));
    bot.item("withdrawals", |item| item["refid"] == json!(refid) && item["status"] == "Initial").await?;
    Ok((refid, request_id))
}

async fn settle(address: SocketAddr, credentials: &Credentials, bot: &mut Client, refid: &str) -> Result<(), Failure> {
    let reached = |status: &'static str| move |item: &Value| item["refid"] == json!(refid) && item["status"] == status;
    bot.item("withdrawals", reached("Pending")).await?;
    say("Treasury Bot", "sees it released to custody");
    let mut custody = Client::signed(address, &credentials.venue).await?;
    custody.subscribe("custody").await?;
    let payment = custody.item("custody", reached("Pending")).await?;
    say(
        "Custody",
        format!("pays {} BTC to {}", payment["payment"]["net_amount"], text(&payment["payment"], "address")),
    );
    custody.must("settle_withdrawal", json!({"refid": refid})).await?;
    bot.item("withdrawals", reached("Success")).await?;
    say("Treasury Bot", "sees it settled");
    Ok(())
}

async fn books(bot: &mut Client) -> Result<(), Failure> {
    let balances = bot.must("get_balances", json!({})).await?;
    for balance in balances["balances"].as_array().into_iter().flatten() {
        let (asset, total, available) = (text(balance, "asset"), &balance["balance"], &balance["available"]);
        say("Treasury Bot", format!("holds {total} {asset}, {available} of it available"));
    }
    let held = balances["balances"].as_array().into_iter().flatten().any(|balance| balance["held"] != json!(0.0));
    expect(!held, "nothing is held any more", &balances)?;
    let ledger = bot.must("ledgers", json!({"asset": "BTC", "type": "withdrawal"})).await?;
    let entry = &ledger["entries"][0];
    expect(entry["type"] == "withdrawal", "the ledger has the withdrawal", &ledger)?;
    let paid = units(&entry["fee"])? - units(&entry["amount"])?;
    expect(paid == 5_000_000_000, "amount and fee come to the 0.5 BTC that were asked for", entry)?;
    let own = balances["balances"].as_array().into_iter().flatten().find(|balance| balance["asset"] == "BTC");
    expect(own.is_some_and(|own| own["balance"] == entry["balance"]), "the ledger ends at the balance", entry)?;
    say(
        "Treasury Bot",
        format!("reads its ledger: BTC {} fee {} balance {}", entry["amount"], entry["fee"], entry["balance"]),
    );
    print("\nThe demo is complete; every step went as expected.");
    Ok(())
}
