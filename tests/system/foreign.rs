//! Objects of another Organization: every method, subscription and offset answers as if they did not exist.

use std::collections::BTreeSet;

use countersign::access::operation::{Kind, MemberRight, Operation, ServiceRight};
use countersign::access::scope::ScopeSet;
use serde_json::{Value, json};

use super::client::{Client, ballot, code, code_of};
use super::scopes::sample;
use super::world::{World, key, other};

/// Ids that do not exist, in the samples or in place of ids in the samples.
const ORDER: &str = "OAAAAA-AAAAA-AAAAAA";
const LEDGER: &str = "LAAAAA-AAAAA-AAAAAA";
const EXPORT: &str = "XAAAAA-AAAAA-AAAAAA";
const WITHDRAWAL: &str = "FAAAAA-AAAAA-AAAAAA";
const REQUEST: &str = "RAAAAA-AAAAA-AAAAAA";
const CLIENT_ID: &str = "nobodys-order";
const SERVICE_USER: &str = "SVC999";
const MEMBER: &str = "MEM999";
const ADDRESS: &str = "cold-9";

const PRIVATE: [&str; 7] = ["executions", "balances", "ledger", "deposits", "withdrawals", "earn", "approvals"];
/// The methods that name something of an Organization's.
const NAMING: &str = "amend_order edit_order cancel_order batch_cancel open_orders closed_orders query_orders
    query_ledgers export_status export_retrieve export_remove withdraw withdraw_cancel withdraw_info withdraw_status
    withdraw_addresses request_info approve reject execute cancel_request claim_secret edit_service_user
    rotate_service_user_key remove_service_user cancel_orders edit_member reset_member remove_member policy_explain
    addresses remove_address initiate_withdrawal";

/// For methods whose sample has no id, or not all possible ones: params that do.
fn further() -> Vec<(Operation, Value)> {
    vec![
        (Operation::AmendOrder, json!({"cl_ord_id": CLIENT_ID, "order_qty": 2})),
        (Operation::CancelOrder, json!({"cl_ord_id": [CLIENT_ID]})),
        (Operation::BatchCancel, json!({"orders": [ORDER, "7"], "cl_ord_id": [CLIENT_ID]})),
        (Operation::QueryOrders, json!({"cl_ord_id": [CLIENT_ID]})),
        (Operation::OpenOrders, json!({"cl_ord_id": CLIENT_ID})),
        (Operation::ClosedOrders, json!({"cl_ord_id": CLIENT_ID})),
        (Operation::ExportStatus, json!({"export_id": EXPORT})),
        (Operation::WithdrawStatus, json!({"refid": WITHDRAWAL})),
        (Operation::WithdrawAddresses, json!({"key": ADDRESS})),
        (Operation::Addresses, json!({"key": ADDRESS})),
        (
            Operation::PolicyExplain,
            json!({"asset": "BTC", "key": ADDRESS, "amount": 1, "service_user_id": SERVICE_USER}),
        ),
    ]
}

/// The params of a method with ids that do not exist; the samples have Acme's.
fn about_nothing(operation: Operation) -> Value {
    let text = sample(operation).to_string().replace("cold-1", ADDRESS).replace("nowhere", ADDRESS);
    serde_json::from_str(&text.replace("SVC1", SERVICE_USER).replace("MEM1", MEMBER)).unwrap()
}

/// Pairs of existing things and the invented id that replaces each.
struct Things(Vec<(String, &'static str)>);

impl Things {
    fn there(&self, nothing: &Value) -> Value {
        let text = self.0.iter().fold(nothing.to_string(), |text, (there, invented)| text.replace(invented, there));
        serde_json::from_str(&text).unwrap()
    }

    /// A reply without its times and numbers, and with invented ids.
    fn blind(&self, mut reply: Value) -> String {
        for own in ["time_in", "time_out", "req_id"] {
            reply.as_object_mut().unwrap().remove(own);
        }
        self.0.iter().fold(reply.to_string(), |text, (there, invented)| text.replace(there.as_str(), invented))
    }
}

/// An order of Acme's, resting: its id and its client id.
async fn resting(bot: &mut Client, number: usize) -> [(String, &'static str); 2] {
    let id = format!("acmes-{number}");
    let order = json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": 1, "limit_price": 10,
        "cl_ord_id": id});
    let placed = bot.call("add_order", order).await["order_id"].as_str().unwrap().to_owned();
    [(placed, ORDER), (id, CLIENT_ID)]
}

/// Acme's objects other than orders.
async fn things(bot: &mut Client) -> Vec<(String, &'static str)> {
    let withdrawal = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    let ledgers = bot.call("ledgers", json!({})).await;
    let export = bot.call("export_add", json!({"report": "ledgers", "format": "csv"})).await;
    [
        (&withdrawal["refid"], WITHDRAWAL),
        (&withdrawal["request_id"], REQUEST),
        (&ledgers["entries"][0]["ledger_id"], LEDGER),
        (&export["export_id"], EXPORT),
        (&json!("SVC1"), SERVICE_USER),
        (&json!("MEM1"), MEMBER),
        (&json!("cold-1"), ADDRESS),
    ]
    .map(|(there, invented)| (there.as_str().unwrap().to_owned(), invented))
    .to_vec()
}

/// An approved Service User of Acme's whose secret waits for Alice; returns the request.
async fn unclaimed(alice: &mut Client, bob: &mut Client) -> String {
    alice.call("set_policy", json!({"workflow": "manage_access", "quorum": 1, "otp": code(0)})).await;
    let request = alice.call("create_service_user", json!({"name": "Later", "scopes": []})).await;
    let decided = bob.call("approve", json!({"requests": ballot(&request), "otp": code(0)})).await;
    assert_eq!(decided["requests"][0]["request"]["state"], "approved", "{decided}");
    request["request_id"].as_str().unwrap().to_owned()
}

/// Dora of an Organization of her own, with every permission and verified; and the secret of her one-time codes.
async fn dora(world: &World) -> (Client, String) {
    let mut venue = world.venue().await;
    let members = json!([{"name": "Dora", "email": "dora@new.test"}, {"name": "Emil", "email": "emil@new.test"}]);
    let made = venue.call("create_organization", json!({"name": "New", "members": members})).await;
    let (cookie, totp) = Client::sign_up(world.address, &made["members"][0]["invitation"], "dora@new.test").await;
    for member in made["members"].as_array().unwrap() {
        venue.call("set_kyc", json!({"member_id": member["member_id"], "kyc": "verified"})).await;
    }
    (Client::with_cookie(world.address, &cookie).await.unwrap(), totp)
}

/// Acme with a bot and Alice, and another Organization with a bot and Dora; with the secret of her one-time codes.
struct Neighbours {
    world: World,
    bot: Client,
    foreign_bot: Client,
    alice: Client,
    dora: Client,
    totp: String,
}

impl Neighbours {
    async fn new() -> Neighbours {
        let world = World::new(&[key(ScopeSet::ALL), other()]).await;
        let (bot, foreign_bot) = (world.bot(1).await, world.bot(2).await);
        let (alice, (dora, totp)) = (world.member("alice").await, dora(&world).await);
        Neighbours { world, bot, foreign_bot, alice, dora, totp }
    }
}

#[tokio::test]
async fn d2_23_every_method_answers_about_what_another_organization_has_as_if_it_were_not_there() {
    let Neighbours { world, mut bot, mut foreign_bot, mut alice, mut dora, totp } = Neighbours::new().await;
    let things = things(&mut bot).await;
    let creation = unclaimed(&mut alice, &mut world.member("bob").await).await;
    let samples = Operation::ALL.into_iter().filter(|operation| operation.row().kind != Kind::Stream);
    let mut methods = BTreeSet::new();
    let samples = samples.map(|operation| (operation, about_nothing(operation)));
    for (number, (operation, mut nothing)) in further().into_iter().chain(samples).enumerate() {
        let row = operation.row();
        let mut things = Things([things.clone(), resting(&mut bot, number).await.to_vec()].concat());
        match operation {
            Operation::ClaimSecret => things.0.insert(0, (creation.clone(), REQUEST)),
            Operation::ClosedOrders => drop(bot.call("cancel_all", json!({})).await),
            _ => {}
        }
        let (owner, stranger) = match (row.service_user, row.member) {
            (ServiceRight::No, MemberRight::No) => continue, // The venue operator is of no Organization.
            (ServiceRight::No, _) => (&mut alice, &mut dora),
            _ => (&mut bot, &mut foreign_bot),
        };
        let mut there = things.there(&nothing);
        if there == nothing {
            continue;
        }
        methods.insert(row.name);
        let mut owners = there.clone();
        if matches!(operation, Operation::Approve | Operation::Execute | Operation::ClaimSecret) {
            // A refusal does not use up a code, and these votes are refused: their digest is not the request's.
            let own = code(1);
            let foreign = code_of(&totp, 0);
            (owners["otp"], there["otp"], nothing["otp"]) = (json!(own), json!(foreign), json!(foreign));
        }
        let reply = things.blind(stranger.reply(row.name, there.clone()).await);
        assert!(!reply.contains("Unknown method") && !reply.contains("Unsupported field"), "{}: {reply}", row.name);
        assert_eq!(reply, things.blind(stranger.reply(row.name, nothing).await), "{} {there}", row.name);
        // It exists: its owner gets a different answer.
        assert_ne!(reply, things.blind(owner.reply(row.name, owners).await), "{} {there}", row.name);
    }
    assert_eq!(methods, NAMING.split_whitespace().collect(), "a new method that names something comes here");
}

/// Causes something of Acme's on each private channel.
async fn busy(world: &World, bot: &mut Client) {
    let mut venue = world.venue().await;
    bot.call("earn_allocate", json!({"strategy_id": "ESTRAT1", "amount": "1"})).await;
    bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    resting(bot, 1).await;
    venue.call("add_deposit_addresses", json!({"asset": "BTC", "addresses": [{"address": "bc1qpool"}]})).await;
    bot.call("deposit_addresses", json!({"asset": "BTC"})).await;
    let deposit = json!({"asset": "BTC", "address": "bc1qpool", "amount": "0.5", "txid": "t-1"});
    venue.call("credit_deposit", deposit).await;
}

#[tokio::test]
async fn d2_23_no_subscription_and_no_offset_leads_to_what_another_organization_has() {
    let Neighbours { world, mut bot, mut foreign_bot, mut alice, mut dora, totp } = Neighbours::new().await;
    for channel in PRIVATE {
        let of_members = channel == "approvals";
        let (owner, stranger) = if of_members { (&mut alice, &mut dora) } else { (&mut bot, &mut foreign_bot) };
        owner.subscribe(channel).await;
        stranger.subscribe(channel).await;
        assert_eq!(stranger.frame(channel).await["type"], "snapshot");
    }
    busy(&world, &mut bot).await;
    let request = alice.item("approvals", |item| item["offset"].is_u64() && item["initiator"]["id"] == "SVC1").await;
    bot.call("get_balances", json!({})).await;
    let frames = bot.kept();
    for channel in PRIVATE {
        let of_members = channel == "approvals";
        let (owner, stranger) = if of_members { (&mut alice, &mut dora) } else { (&mut bot, &mut foreign_bot) };
        let update = frames.iter().find(|frame| frame["channel"] == channel && frame["type"] == "update");
        let item = update.map_or(&request, |frame| &frame["data"][0]);
        let theirs = item["offset"].as_u64().unwrap();
        let from = |offset: u64| json!({"channel": channel, "from_offset": offset});
        let again = async |client: &mut Client, offset: u64| {
            client.call("unsubscribe", json!({"channel": channel})).await;
            client.reply("subscribe", from(offset)).await
        };
        // To others an offset of Acme's is as unknown as one that does not exist; to Acme it is known.
        let refused = again(stranger, theirs).await["error"].take();
        assert!(
            refused.as_str().unwrap().starts_with("EGeneral:Invalid arguments:from_offset"),
            "{channel}: {refused}"
        );
        assert_eq!(refused, stranger.refused("subscribe", from(theirs / 256 * 256 + 200)).await, "{channel}");
        // From an earlier offset, as a snapshot may have, only its owner gets it.
        let before = theirs / 256 * 256 - 1;
        assert_eq!(again(owner, before).await["success"], json!(true), "{channel}");
        assert_eq!(owner.frame(channel).await["data"][0]["offset"], json!(theirs), "{channel}");
        stranger.call("subscribe", from(before)).await;
        assert_eq!(again(owner, theirs).await["success"], json!(true), "{channel}");
    }
    foreign_bot.call("get_balances", json!({})).await;
    let updates: Vec<Value> = foreign_bot.kept().into_iter().filter(|frame| frame["type"] == "update").collect();
    assert!(updates.is_empty(), "{updates:?}");
    let emil = json!({"name": "Emil", "email": "emil@other.test", "permissions": {}, "otp": code_of(&totp, 0)});
    dora.call("invite_member", emil).await;
    let first = dora.item("approvals", |_| true).await;
    assert_eq!(first["initiator"]["name"], "Dora", "{first}");
}

#[tokio::test]
async fn rule_27_a_freeze_is_told_to_its_own_organization_and_leaves_the_sockets_of_others() {
    let Neighbours { world, mut bot, mut foreign_bot, mut alice, mut dora, totp } = Neighbours::new().await;
    for client in [&mut bot, &mut foreign_bot] {
        client.subscribe("executions").await;
    }
    resting(&mut foreign_bot, 1).await;
    alice.call("freeze", json!({"scope": "all", "reason": "a key leaked"})).await;
    assert_eq!(bot.closed().await, (4001, "frozen".to_owned()));
    alice.item("status", |item| item["frozen"] == "all").await;
    assert_eq!(foreign_bot.call("open_orders", json!({})).await["orders"].as_array().unwrap().len(), 1);
    resting(&mut foreign_bot, 2).await;
    world.bot(2).await.call("get_balances", json!({})).await;
    let fay = json!({"name": "Fay", "email": "fay@new.test", "permissions": {}, "otp": code_of(&totp, 0)});
    dora.call("invite_member", fay).await;
    let info = dora.call("member_info", json!({})).await;
    assert!(info.get("frozen").is_none(), "{info}");
    for client in [&mut foreign_bot, &mut dora] {
        let told: Vec<Value> = client.kept().into_iter().filter(|frame| frame.to_string().contains("frozen")).collect();
        assert!(told.is_empty(), "{told:?}");
    }
}
