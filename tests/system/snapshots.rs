//! What private channels begin with: all that is open, and of deposits and withdrawals the last that ended; and that
//! nothing comes after their end (rules 37, 41 to 43, docs/funding.md).

use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Permissions, Workflow};
use countersign::engine::members::Kyc;
use serde_json::{Value, json};

use super::client::{Client, ballot, code, limit};
use super::funding::{credit, funded};
use super::world::{Person, World, key, people};

/// How many that ended are shown.
const LAST: usize = 50;

/// What a channel begins with; every item of it is as of one event.
async fn begun(client: &mut Client, params: Value) -> Vec<Value> {
    let channel = params["channel"].as_str().unwrap().to_owned();
    client.call("subscribe", params).await;
    let frame = client.frame(&channel).await;
    assert_eq!(frame["type"], "snapshot");
    let items = frame["data"].as_array().unwrap().clone();
    let offset = items.first().map_or(255, |item| item["offset"].as_u64().unwrap());
    assert!(offset % 256 == 255 && items.iter().all(|item| item["offset"] == offset), "{items:?}");
    client.call("unsubscribe", json!({"channel": channel})).await;
    items
}

/// Which they are and how they stand.
fn shown(items: &[Value]) -> Vec<(Value, Value)> {
    items.iter().map(|item| (item["refid"].clone(), item["status"].clone())).collect()
}

fn to_cold(amount: &str) -> Value {
    json!({"asset": "BTC", "key": "cold-1", "amount": amount})
}

async fn approved(bob: &mut Client, asked: &Value, steps: i64) {
    let request = bob.call("request_info", json!({"request_id": asked["request_id"]})).await;
    let decided = bob.call("approve", json!({"requests": ballot(&request), "otp": code(steps)})).await;
    assert_eq!(decided["requests"][0]["request"]["state"], "approved", "{decided}");
}

#[tokio::test]
async fn deposits_begin_with_the_open_ones_and_the_last_fifty_that_ended() {
    let mut world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut venue) = funded(&world, 1).await;
    let mut told =
        async |txid: &str, status: &str| venue.call("credit_deposit", credit(txid, status)).await["refid"].take();
    let [late, open] = [told("late", "Pending").await, told("open", "Pending").await];
    let mut expected = Vec::new();
    for number in 0..LAST + 3 {
        let status = ["Success", "Failure"][number % 2];
        expected.insert(0, (told(&number.to_string(), status).await, json!(status)));
    }
    // When it ended counts, and when it was made is its place.
    assert_eq!(told("late", "Success").await, late);
    expected.truncate(LAST - 1);
    expected.extend([(open, json!("Pending")), (late, json!("Success"))]);
    let deposits = || json!({"channel": "deposits"});
    assert_eq!(shown(&begun(&mut bot, deposits()).await), expected);
    assert_eq!(begun(&mut bot, json!({"channel": "deposits", "asset": ["ETH"]})).await, [Value::Null; 0]);
    world.restart().await;
    assert_eq!(shown(&begun(&mut world.bot(1).await, deposits()).await), expected, "over a restart");
}

#[tokio::test]
async fn withdrawals_begin_with_the_open_ones_and_the_last_fifty_that_ended_for_keys_and_members() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut bob, mut carol) = (world.bot(1).await, world.member("bob").await, world.member("carol").await);
    let mut asked = Vec::new();
    for _ in 0..LAST + 6 {
        asked.push(bot.call("withdraw", to_cold("0.01")).await);
    }
    let (late, waiting, released) = (asked.remove(0), asked.remove(0), asked.remove(0));
    approved(&mut bob, &released, 0).await;
    for of in asked.iter().chain([&late]) {
        assert_eq!(bot.call("withdraw_cancel", json!({"refid": of["refid"]})).await["canceled"], true);
    }
    let of = |one: &Value, status: &str| (one["refid"].clone(), json!(status));
    let mut expected: Vec<_> = asked.iter().rev().take(LAST - 1).map(|one| of(one, "Failure")).collect();
    expected.extend([of(&released, "Pending"), of(&waiting, "Initial"), of(&late, "Failure")]);
    let withdrawals = json!({"channel": "withdrawals"});
    for client in [&mut bot, &mut carol] {
        assert_eq!(shown(&begun(client, withdrawals.clone()).await), expected);
    }
}

#[tokio::test]
async fn earn_begins_with_what_the_account_has_in_each_strategy_that_it_used() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut venue) = (world.bot(1).await, world.venue().await);
    let earn = || json!({"channel": "earn"});
    assert_eq!(begun(&mut bot, earn()).await, [Value::Null; 0]);
    let moved = |strategy: &str, amount: &str| json!({"strategy_id": strategy, "amount": amount});
    bot.call("earn_allocate", moved("ESTRAT2", "7")).await;
    let unbonds = bot.call("earn_deallocate", moved("ESTRAT2", "2")).await;
    bot.call("earn_allocate", moved("ESTRAT1", "5")).await;
    venue.call("pay_earn_reward", json!({"strategy_id": "ESTRAT1", "amount": "0.25", "client_id": "r-1"})).await;
    bot.call("earn_deallocate", moved("ESTRAT1", "5")).await;
    let items = begun(&mut bot, earn()).await;
    let [flexible, bonded] = &items[..] else { panic!("{items:?}") };
    let numbers = |item: &Value| ["allocated", "total_rewarded"].map(|name| item[name].to_string());
    assert_eq!((&flexible["strategy_id"], numbers(flexible)), (&json!("ESTRAT1"), ["0.0", "0.25"].map(String::from)));
    assert_eq!((&bonded["strategy_id"], numbers(bonded)), (&json!("ESTRAT2"), ["5.0", "0.0"].map(String::from)));
    let stages =
        |item: &Value| ["bonding", "exit_queue", "unbonding"].map(|stage| item[stage].as_array().unwrap().len());
    assert_eq!((stages(flexible), stages(bonded)), ([0, 0, 0], [0, 0, 1]));
    let stage = &bonded["unbonding"][0];
    assert_eq!((&stage["operation_id"], &stage["amount"]), (&unbonds["operation_id"], &json!(2.0)));
    assert_eq!(stage["expires"], unbonds["expires"]);
}

#[tokio::test]
async fn approvals_begin_with_the_pending_requests_that_the_member_may_view() {
    let mut people = people();
    let mut narrow = Permissions::none();
    narrow.grant(Workflow::InitiateWithdrawal, Permission::View);
    people.push(Person { name: "erin".to_owned(), permissions: narrow, kyc: Kyc::Verified });
    let world = World::peopled(&[key(ScopeSet::ALL)], &people).await;
    let (mut alice, mut bob, mut bot) = (world.member("alice").await, world.member("bob").await, world.bot(1).await);
    alice.call("set_policy", json!({"workflow": "manage_access", "quorum": 1, "otp": code(0)})).await;
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(bot.call("withdraw", to_cold("0.01")).await);
    }
    let key = alice.call("create_service_user", json!({"name": "Fresh", "scopes": []})).await;
    asked.insert(3, key);
    approved(&mut bob, &asked[0], 0).await;
    let request = bob.call("request_info", json!({"request_id": asked[1]["request_id"]})).await;
    bob.call("reject", json!({"requests": ballot(&request), "reason": "no"})).await;
    bot.call("withdraw_cancel", json!({"refid": asked[2]["refid"]})).await;
    let ids = |items: &[Value]| items.iter().map(|item| item["request_id"].clone()).collect::<Vec<_>>();
    let id = |at: usize| asked[at]["request_id"].clone();
    let of = |workflow: &str| json!({"channel": "approvals", "workflow": workflow});
    let all = json!({"channel": "approvals"});
    let mut viewers = [bob, alice, world.member("erin").await];
    for (at, params, expected) in [
        (0, all.clone(), vec![id(3), id(4)]),
        (1, of("manage_access"), vec![id(3)]),
        (1, of("initiate_withdrawal"), vec![id(4)]),
        (1, of("manage_policies"), vec![]),
        (2, all, vec![id(4)]),
    ] {
        let items = begun(&mut viewers[at], params).await;
        assert_eq!(ids(&items), expected);
        for item in &items {
            assert!(item["state"] == "pending" && item["digest"].is_string() && item.get("can").is_none(), "{item}");
        }
    }
}

#[tokio::test]
async fn rule_37_custody_begins_with_what_is_released_and_not_settled() {
    let mut world = World::governed(&[key(ScopeSet::ALL)], false).await;
    let (mut bot, mut venue) = (world.bot(1).await, world.venue().await);
    let mut released = Vec::new();
    for amount in ["0.1", "0.2", "0.3", "0.4"] {
        released.push(bot.call("withdraw", to_cold(amount)).await["refid"].take());
    }
    venue.call("settle_withdrawal", json!({"refid": released[0]})).await;
    venue.call("fail_withdrawal", json!({"refid": released[2], "reason": "lost"})).await;
    let mut alice = world.member("alice").await;
    let policy = json!({"workflow": "initiate_withdrawal", "quorum": 1, "otp": code(0)});
    alice.call("set_policy", policy).await;
    assert_eq!(bot.call("withdraw", to_cold("0.5")).await["status"], "Initial");
    let payments = |items: &[Value]| {
        let payment = |item: &Value| (item["refid"].clone(), item["status"].clone(), item["payment"].clone());
        items.iter().map(payment).collect::<Vec<_>>()
    };
    let due = |at: usize, net: f64| {
        let payment = json!({"organization_id": "ORG1", "address": "bc1qcold", "net_amount": net});
        (released[at].clone(), json!("Pending"), payment)
    };
    let expected = [due(1, 0.19999), due(3, 0.39999)];
    assert_eq!(payments(&begun(&mut venue, json!({"channel": "custody"})).await), expected);
    world.restart().await;
    let again = begun(&mut world.venue().await, json!({"channel": "custody"})).await;
    assert_eq!(payments(&again), expected, "over a restart");
}

/// In one write, so that the events of the first order are still on their way.
#[tokio::test]
async fn rule_42_nothing_of_a_private_channel_comes_after_the_acknowledgement_of_its_end() {
    const ROUNDS: i64 = 50;
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    for round in 0..ROUNDS {
        bot.subscribe("executions").await;
        let asked = |method: &str, number: i64, params: Value| json!({"method": method, "req_id": 1_000 + 10 * round + number, "params": params});
        let channel = json!({"channel": "executions"});
        let burst = [
            asked("add_order", 1, limit("buy", "0.1", "10")),
            asked("unsubscribe", 2, channel),
            asked("add_order", 3, limit("buy", "0.1", "10")),
            asked("cancel_all", 4, json!({})),
        ];
        assert!(bot.burst(burst).await);
        bot.answer(1_000 + 10 * round + 2).await;
        bot.kept();
        bot.answer(1_000 + 10 * round + 4).await;
        bot.call("key_info", json!({})).await;
        let told: Vec<Value> = bot.kept().into_iter().filter(|frame| frame["channel"] == "executions").collect();
        assert!(told.is_empty(), "{round}: {told:?}");
    }
}
