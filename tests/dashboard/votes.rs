//! Votes from the queue: who is offered one, what one code carries, and what is said of it.

use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Permissions, Workflow};
use serde_json::json;

use super::browser::Browser;
use super::client::code;
use super::genesis::people;
use super::queue::{asked, listed};
use super::world::{World, key};

/// Selects these requests and approves them with one code.
async fn approve(browser: &Browser, ids: &[String]) {
    for id in ids {
        browser.click(&format!("input[data-select={id}]")).await;
    }
    browser.fill("form.bar input[name=otp]", &code(0)).await;
    browser.press(&format!("Approve {} selected", ids.len())).await;
}

#[tokio::test]
async fn another_is_rejected_with_a_reason_and_one_code_approves_several() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = world.bot(1).await;
    browser.sign_in("bob", 0).await;
    let mut ids = Vec::new();
    for amount in ["1", "2", "3"] {
        ids.push(asked(&mut bot, amount).await);
    }
    listed(&browser, &ids[2], true).await;
    browser.click(&format!("[data-request='{}']", ids[0])).await;
    browser.fill("#decide input[name=comment]", "not this week").await;
    browser.press("Reject").await;
    browser.wait("#state.rejected").await;
    browser.go("#/queue").await;
    listed(&browser, &ids[0], false).await;
    for id in &ids[1..] {
        browser.click(&format!("input[data-select={id}]")).await;
    }
    assert!(browser.text("main tbody").await.contains("bc1qcold"), "what a vote is about is seen before it");
    browser.fill("form.bar input[name=otp]", &code(0)).await;
    browser.press("Approve 2 selected").await;
    for id in &ids[1..] {
        listed(&browser, id, false).await;
    }
    assert_eq!(browser.eval("return document.activeElement.id").await, json!("main"), "the keyboard goes on from here");
    browser.go("#/history").await;
    browser.fill("input[type=search]", "not this week").await;
    browser.until("return document.querySelectorAll('main tbody tr').length === 1").await;
    assert!(browser.text("main tbody").await.contains("rejected"));
    browser.close().await;
}

#[tokio::test]
async fn a_request_that_fails_on_its_last_vote_is_not_said_to_be_approved() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    alice.call("set_policy", json!({"workflow": "manage_addresses", "quorum": 1, "otp": code(0)})).await;
    let mut ids = Vec::new();
    for address in ["bc1qhot", "bc1qother"] {
        let asked = json!({"asset": "BTC", "method": "BTC", "key": "hot-1", "address": address});
        ids.push(alice.call("add_address", asked).await["request_id"].as_str().unwrap().to_owned());
    }
    browser.sign_in("bob", 0).await;
    approve(&browser, &ids).await;
    browser.wait(".toast.good").await;
    assert_eq!(browser.text(".toast.good").await, "Votes recorded: 1. Requests approved by them: 1.");
    let failed = browser.text(".toast.bad").await;
    assert!(failed.contains(&ids[1]) && failed.contains("choose another name"), "{failed}");
    browser.close().await;
}

#[tokio::test]
async fn many_requests_are_one_notification_and_no_more_are_approved_than_one_code_may() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    browser
        .eval(
            "globalThis.notes = new Map(); globalThis.Notification = class {
             static permission = 'granted'; constructor(title, { tag }) { notes.set(tag, title); } };",
        )
        .await;
    browser.sign_in("bob", 0).await;
    let mut bot = world.bot(1).await;
    let mut last = String::new();
    for _ in 0..51 {
        last = asked(&mut bot, "1").await;
    }
    listed(&browser, &last, true).await;
    let notes = browser.eval("return [...notes.values()]").await;
    assert_eq!(notes, json!(["Countersign: 51 requests are waiting"]));
    browser.eval("for (const box of document.querySelectorAll('[data-select]')) box.click()").await;
    browser.fill("form.bar input[name=otp]", &code(0)).await;
    browser.press("Approve 51 selected").await;
    browser.until("return document.querySelector('form.bar .problem').textContent !== ''").await;
    assert_eq!(browser.text("form.bar .problem").await, "One code approves at most 50 requests: unselect 1.");
    browser.close().await;
}

#[tokio::test]
async fn a_vote_that_others_must_follow_is_not_said_to_approve() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    alice.call("set_policy", json!({"workflow": "initiate_withdrawal", "quorum": 2, "otp": code(0)})).await;
    let id = asked(&mut world.bot(1).await, "1").await;
    browser.sign_in("bob", 0).await;
    approve(&browser, &[id]).await;
    browser.wait(".toast.good").await;
    assert_eq!(browser.text(".toast.good").await, "Votes recorded: 1. Requests approved by them: 0.");
    browser.until("return document.querySelector('main tbody').textContent.includes('1 of 2')").await;
    let row = browser.text("main tbody").await;
    assert!(row.contains("you approved"), "{row}");
    browser.close().await;
}

/// Rule 23: while Manage Policies has no policy, that of withdrawals judges its own end.
#[tokio::test]
async fn rule_23_who_approves_withdrawals_is_offered_the_vote_on_the_end_of_their_policy() {
    let mut people = people();
    people[1].permissions = Permissions::none();
    people[1].permissions.grant(Workflow::InitiateWithdrawal, Permission::Approve);
    let world = World::peopled(&[], &people).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    let request = alice.call("remove_policy", json!({"workflow": "initiate_withdrawal"})).await;
    assert_eq!((&request["workflow"], &request["state"]), (&json!("manage_policies"), &json!("pending")));
    let id = request["request_id"].as_str().unwrap();
    browser.sign_in("bob", 0).await;
    approve(&browser, &[id.to_owned()]).await;
    listed(&browser, id, false).await;
    let ended = alice.call("request_info", json!({"request_id": id})).await;
    assert_eq!(ended["state"], "approved");
    browser.close().await;
}
