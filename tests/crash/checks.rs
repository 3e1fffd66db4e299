//! What must hold after a kill, between what the parties received and what the server says now.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::actors::{Custodian, Trader, Voter};
use super::client::{Client, units};
use super::follower::Follower;
use super::load::Party;

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}")).to_owned()
}

/// Ids by the client's own name for the objects.
type Ids = BTreeSet<(String, String)>;

/// What exists according to the server is what was acknowledged, once: nothing is lost, duplicated or invented. Every
/// request was repeated until it was answered.
fn same(kind: &str, acknowledged: &Ids, there: &Ids) {
    let lost: Vec<_> = acknowledged.difference(there).collect();
    assert!(lost.is_empty(), "{kind}: acknowledged and lost: {lost:?}");
    let invented: Vec<_> = there.difference(acknowledged).collect();
    assert!(invented.is_empty(), "{kind}: doubled, or never acknowledged: {invented:?}");
}

fn acknowledged(parties: &[&Party<Trader>], method: &str, name: &str, id: &str) -> Ids {
    let done = parties.iter().flat_map(|party| party.done_by(method));
    done.map(|(params, result)| (text(params, name), text(result, id))).collect()
}

fn told(items: &[Value], name: &str, id: &str) -> Ids {
    let named = items.iter().filter(|item| item[name].is_string());
    named.map(|item| (text(item, name), text(item, id))).collect()
}

/// The last item of each id.
fn latest<'a>(items: &'a [Value], id: &str) -> BTreeMap<&'a str, &'a Value> {
    items.iter().filter_map(|item| Some((item[id].as_str()?, item))).collect()
}

/// Orders, cancels and fills of one account.
pub fn orders(parties: &[&Party<Trader>], follower: &Follower) {
    let items = follower.told("executions");
    same("orders", &acknowledged(parties, "add_order", "cl_ord_id", "order_id"), &told(items, "cl_ord_id", "order_id"));
    let mut once = BTreeSet::new();
    for item in items {
        let what = match item["exec_type"].as_str() {
            Some("trade") => text(item, "exec_id"),
            Some(kind @ ("new" | "canceled")) => format!("{} {kind}", text(item, "order_id")),
            _ => continue,
        };
        assert!(once.insert(what), "told twice: {item}");
    }
    for (_, result) in parties.iter().flat_map(|party| party.done_by("cancel_order")) {
        let order = text(result, "order_id");
        assert!(once.contains(&format!("{order} canceled")), "{order} was acknowledged as canceled");
    }
}

/// `open_orders` and `query_orders` agree with the stream.
pub async fn order_queries(client: &mut Client, party: &Party<Trader>, follower: &Follower) {
    let states = latest(follower.told("executions"), "order_id");
    let (mut open, mut params) = (BTreeSet::new(), json!({"limit": 500}));
    loop {
        let page = client.call("open_orders", params.clone()).await;
        open.extend(page["orders"].as_array().unwrap().iter().map(|order| text(order, "order_id")));
        let Some(cursor) = page.get("cursor") else { break };
        params["cursor"] = cursor.clone();
    }
    let is_open = |item: &&Value| matches!(item["order_status"].as_str(), Some("new" | "partially_filled"));
    let expected = states.iter().filter(|(_, item)| is_open(item)).map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(open, expected, "open orders");
    let recent: Vec<&Value> = party.done_by("add_order").map(|(params, _)| params).collect();
    let recent: Vec<&Value> = recent.iter().rev().take(50).map(|params| &params["cl_ord_id"]).collect();
    let found = client.call("query_orders", json!({"cl_ord_id": recent})).await;
    let found = found["orders"].as_array().unwrap();
    assert_eq!(found.len(), recent.len(), "{found:?}");
    for order in found {
        assert_eq!(order["order_status"], states[order["order_id"].as_str().unwrap()]["order_status"], "{order}");
    }
}

/// Withdrawals of one account.
pub fn withdrawals(parties: &[&Party<Trader>], follower: &Follower) {
    let there = told(follower.told("withdrawals"), "client_id", "refid");
    same("withdrawals", &acknowledged(parties, "withdraw", "client_id", "refid"), &there);
}

/// Earn operations of one account; its channel does not contain the client's names.
pub fn earned(parties: &[&Party<Trader>], follower: &Follower) {
    let mut all = BTreeSet::new();
    for method in ["earn_allocate", "earn_deallocate"] {
        all.extend(
            acknowledged(parties, method, "client_id", "operation_id").into_iter().map(|(_, id)| (id.clone(), id)),
        );
    }
    same("Earn operations", &all, &told(follower.told("earn"), "operation_id", "operation_id"));
}

/// Deposits of all accounts.
pub fn deposits(custodian: &Party<Custodian>, followers: &[&Follower]) {
    let done = custodian.done_by("credit_deposit");
    let acknowledged: Ids = done.map(|(params, result)| (text(params, "txid"), text(result, "refid"))).collect();
    let mut there = BTreeSet::new();
    for follower in followers {
        there.extend(told(follower.told("deposits"), "txid", "refid"));
    }
    there.retain(|(txid, _)| !txid.starts_with("opening"));
    same("deposits", &acknowledged, &there);
}

/// The rows of accepted votes in an answer; each is judged alone (rule 15).
pub fn taken(result: &Value) -> impl Iterator<Item = &Value> {
    result["requests"].as_array().unwrap().iter().filter(|row| row["success"] == true)
}

/// Votes: all acknowledged ones exist, all existing ones were cast, and each request went where its votes sent it.
/// Returns how many have votes and wait for more.
pub fn votes(quorum: usize, voters: &[Party<Voter>], approvals: &Follower, account: &Follower) -> usize {
    let mut requests = latest(approvals.told("approvals"), "request_id");
    requests.retain(|_, request| request["workflow"] == "initiate_withdrawal");
    let withdrawals = latest(account.told("withdrawals"), "request_id");
    let mut half_reached = 0;
    for (id, request) in &requests {
        let votes = request["votes"].as_array().unwrap();
        for vote in votes {
            let number: usize = text(vote, "name")[1..].parse().unwrap();
            let cast =
                voters[number].mind.sent.iter().any(|(request, sent)| request == id && vote["decision"] == *sent);
            assert!(cast, "nobody cast {vote} on {id}");
        }
        let names: BTreeSet<String> = votes.iter().map(|vote| text(vote, "name")).collect();
        assert_eq!(names.len(), votes.len(), "one vote each: {request}");
        let against = votes.iter().filter(|vote| vote["decision"] == "reject").count();
        let state = match (votes.len() - against, against) {
            (votes, 0) if votes < quorum => "pending",
            (votes, 0) if votes == quorum => "approved",
            (votes, 1) if votes < quorum => "rejected",
            _ => panic!("it was decided before: {request}"),
        };
        assert_eq!(request["state"], state, "{request}");
        half_reached += usize::from(state == "pending" && !votes.is_empty());
        let status = withdrawals[id]["status"].as_str().unwrap();
        let follows = match state {
            "approved" => is_released(withdrawals[id]),
            "rejected" => status == "Failure",
            _ => status == "Initial",
        };
        assert!(follows, "{request}: {}", withdrawals[id]);
    }
    for (number, voter) in voters.iter().enumerate() {
        for method in ["approve", "reject"] {
            for row in voter.done_by(method).flat_map(|(_, result)| taken(result)) {
                let own = |vote: &Value| vote["name"] == format!("m{number}") && vote["decision"] == method;
                let votes = requests[row["request_id"].as_str().unwrap()]["votes"].as_array().unwrap();
                assert!(votes.iter().any(own), "acknowledged: {row}");
            }
        }
    }
    half_reached
}

/// Items of withdrawals that were released; each must be sent to custody.
pub fn released(items: &[Value]) -> usize {
    items.iter().filter(|item| item["refid"].is_string() && is_released(item)).count()
}

fn is_released(item: &Value) -> bool {
    item["status"] != "Initial" && item["status-prop"] != "canceled"
}

/// What custody was told to pay was approved, and custody's reports are final.
pub fn settlements(custodian: &Party<Custodian>, custody: &Follower, account: &Follower) {
    let released = latest(custody.told("custody"), "refid");
    let withdrawals = latest(account.told("withdrawals"), "refid");
    for (refid, item) in &withdrawals {
        assert_eq!(released.contains_key(refid), is_released(item), "{item}");
    }
    for (method, status) in [("settle_withdrawal", "Success"), ("fail_withdrawal", "Failure")] {
        for (params, _) in custodian.done_by(method) {
            let refid = text(params, "refid");
            let told = (&released[refid.as_str()]["status"], &withdrawals[refid.as_str()]["status"]);
            assert_eq!(told, (&json!(status), &json!(status)), "{refid}");
        }
    }
}

/// Amounts minus fees by asset and wallet.
fn added_up(entries: &[Value]) -> BTreeMap<(String, String), i128> {
    let mut sums = BTreeMap::new();
    for entry in entries {
        let place = (text(entry, "asset"), text(entry, "wallet_id"));
        *sums.entry(place).or_default() += units(&entry["amount"]) - units(&entry["fee"]);
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

/// Balances summed up from the first entry on, from two channels, equal those of a fresh snapshot.
pub async fn balances(client: &mut Client, follower: &Follower) {
    client.subscribe("balances").await;
    let snapshot = client.frame("balances").await;
    let mut fresh = BTreeMap::new();
    for of in snapshot["data"].as_array().unwrap() {
        for wallet in of["wallets"].as_array().unwrap() {
            fresh.insert((text(of, "asset"), text(wallet, "id")), units(&wallet["balance"]));
        }
    }
    fresh.retain(|_, units| *units != 0);
    for channel in ["balances", "ledger"] {
        assert_eq!(added_up(follower.told(channel)), fresh, "{channel}");
    }
}

/// What one account gave in trades, the other got.
pub fn trades_balance(followers: &[&Follower]) {
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    for follower in followers {
        for entry in follower.told("ledger").iter().filter(|entry| entry["type"] == "trade") {
            *sums.entry(text(entry, "asset")).or_default() += units(&entry["amount"]);
        }
    }
    assert!(sums.values().all(|sum| *sum == 0), "{sums:?}");
}
