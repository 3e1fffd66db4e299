//! One request in full: what happens to it while somebody is deciding.

use countersign::access::scope::ScopeSet;
use serde_json::{Value, json};

use super::browser::Browser;
use super::client::{Client, ballot, code};
use super::queue::{asked, asked_by_a_key_of_her_own, keys, listed};
use super::world::{World, key, people};

/// Two votes for a withdrawal from now on.
fn stricter() -> serde_json::Value {
    json!({"workflow": "initiate_withdrawal", "quorum": 2, "otp": code(0)})
}

#[tokio::test]
async fn what_is_typed_stays_while_others_vote() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let (mut alice, mut bot) = (world.member("alice").await, world.bot(1).await);
    alice.call("set_policy", stricter()).await;
    let id = asked(&mut bot, "1").await;
    browser.sign_in("bob", 0).await;
    browser.go(&format!("#/request/{id}")).await;
    browser.fill("#decide input[name=otp]", &code(0)).await;
    browser.fill("#decide input[name=comment]", "as ").await;
    let request = alice.call("request_info", json!({"request_id": id})).await;
    alice.call("approve", json!({"requests": ballot(&request), "otp": code(1), "comment": "first"})).await;
    browser.until("return document.querySelector('main').textContent.includes('first')").await;
    keys(&browser, "planned").await;
    assert_eq!(browser.eval("return document.activeElement.value").await, json!("as planned"));
    browser.press("Approve").await;
    browser.wait("#state.approved").await;
    assert!(browser.text("main").await.contains("as planned"));
    assert!(!browser.text("#toasts").await.contains("is now"), "they know what they did");
    assert_eq!(browser.eval("return document.activeElement.id").await, json!("main"));
    browser.close().await;
}

#[tokio::test]
async fn enter_in_the_reason_of_a_rejection_approves_nothing() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = world.bot(1).await;
    let id = asked(&mut bot, "1").await;
    browser.sign_in("bob", 0).await;
    browser.go(&format!("#/request/{id}")).await;
    browser.fill("#decide input[name=otp]", &code(0)).await;
    browser.fill("#decide input[name=comment]", "not mine\u{e007}").await;
    browser.press("Reject").await;
    browser.wait("#state.rejected").await;
    browser.close().await;
}

#[tokio::test]
async fn d3_34_terms_that_change_are_said_and_undo_the_choice() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let (mut alice, mut bot) = (world.member("alice").await, world.bot(1).await);
    let id = asked(&mut bot, "1").await;
    browser.sign_in("bob", 0).await;
    browser.click(&format!("input[data-select={id}]")).await;
    browser.fill("form.bar input[name=otp]", &code(0)).await;
    alice.call("set_policy", stricter()).await;
    browser.until("return document.querySelector('#toasts').textContent.includes('have changed')").await;
    assert_eq!(
        browser.eval(&format!("return document.querySelector('input[data-select={id}]').checked")).await,
        json!(false)
    );
    assert_eq!(browser.eval("return document.querySelector('form.bar').hidden").await, json!(true));
    assert_eq!(browser.eval("return document.querySelector('form.bar input[name=otp]').value").await, json!(""));
    browser.go(&format!("#/request/{id}")).await;
    browser.fill("#decide input[name=otp]", &code(0)).await;
    let again = json!({"workflow": "initiate_withdrawal", "quorum": 2, "expires_after_s": 3600, "otp": code(1)});
    alice.call("set_policy", again).await;
    browser.until("return document.querySelector('#toasts').textContent.includes('The terms of this request')").await;
    assert_eq!(browser.eval("return document.querySelector('#decide input[name=otp]').value").await, json!(""));
    browser.close().await;
}

#[tokio::test]
async fn rule_22_who_manages_the_asking_key_is_told_why_there_is_nothing_to_decide() {
    let (_world, browser, id) = asked_by_a_key_of_her_own().await;
    browser.go(&format!("#/request/{id}")).await;
    browser.wait("#excluded").await;
    assert!(browser.text("#excluded").await.contains("a key that they manage"));
    assert_eq!(browser.eval("return document.getElementById('decide')").await, Value::Null);
    browser.press("Sign out").await;
    browser.sign_in("bob", 0).await;
    browser.wait("#decide").await;
    assert_eq!(browser.eval("return document.getElementById('excluded')").await, Value::Null);
    browser.close().await;
}

#[tokio::test]
async fn rule_27_an_open_request_offers_what_a_freeze_leaves() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let (mut alice, mut bot) = (world.member("alice").await, world.bot(1).await);
    let id = asked(&mut bot, "1").await;
    browser.sign_in("bob", 0).await;
    browser.go(&format!("#/request/{id}")).await;
    browser.fill("#decide input[name=otp]", "123").await;
    browser.fill("#decide input[name=comment]", "not yet").await;
    alice.call("freeze", json!({"scope": "withdrawals", "reason": "a key leaked"})).await;
    browser.until("return document.querySelector('#decide button.primary') === null").await;
    assert_eq!(browser.text("#decide .actions").await, "Reject");
    assert!(browser.text("#decide").await.contains("Withdrawals are frozen"), "it is said why");
    browser.wait(".toast.bad").await;
    assert_eq!(browser.text(".toast.bad bdi").await, "Withdrawals are frozen by alice: a key leaked");
    keys(&browser, ", please").await;
    assert_eq!(browser.eval("return document.activeElement.value").await, json!("not yet, please"));
    // Another client: one that is not read while the browser takes its time is closed as gone.
    let mut alice = Client::member(world.address, "alice@acme.test", 1).await.unwrap();
    let end = alice.call("unfreeze", json!({"reason": "the key is revoked"})).await;
    browser.go(&format!("#/request/{}", end["request_id"].as_str().unwrap())).await;
    let policy = "none governs it; 1 approval needed all the same";
    browser.until(&format!("return document.querySelector('main').textContent.includes('{policy}')")).await;
    assert!(!browser.text("main").await.contains("Payment"), "it is no withdrawal");
    browser.close().await;
}

#[tokio::test]
async fn a_request_says_what_becomes_of_its_payment() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let (mut bob, mut bot, mut venue) = (world.member("bob").await, world.bot(1).await, world.venue().await);
    browser.sign_in("alice", 0).await;
    for (step, method, result, becomes) in [
        (0, "settle_withdrawal", json!({"txid": "tx-1"}), ["settled (", "), transaction tx-1"]),
        (1, "fail_withdrawal", json!({"reason": "no such account"}), ["failed (", "): no such account"]),
    ] {
        let asked = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
        let refid = asked["refid"].as_str().unwrap();
        let place = format!("#/request/{}", asked["request_id"].as_str().unwrap());
        browser.go(&place).await;
        browser.wait("#state.pending").await;
        browser.until(&fact("address name", "cold-1")).await;
        assert!(!browser.text("main").await.contains("Payment"), "custody does not have it");
        let request = bob.call("request_info", json!({"request_id": asked["request_id"]})).await;
        bob.call("approve", json!({"requests": ballot(&request), "otp": code(step)})).await;
        browser.until(&fact("Payment", &format!("pending at custody ({refid})"))).await;
        browser.until("return document.querySelector('#toasts').textContent.includes('is now approved')").await;
        let mut params = result;
        params["refid"] = json!(refid);
        venue.call(method, params).await;
        let became = becomes.join(refid);
        browser.until(&fact("Payment", &became)).await;
        browser.go("#/queue").await;
        browser.go(&place).await;
        browser.until(&fact("Payment", &became)).await;
    }
    browser.close().await;
}

/// Whether the page has a fact of this name and text.
fn fact(name: &str, text: &str) -> String {
    format!(
        "return [...document.querySelectorAll('main dt')].some((name) =>
             name.textContent === '{name}' && name.nextElementSibling.textContent === '{text}')"
    )
}

#[tokio::test]
async fn what_lets_everything_in_is_not_said_to_be_none() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    let settings = json!({"ip_allowlist": ["10.0.0.0/8"], "expires_at": "2100-01-01T00:00:00Z"});
    let user = json!({"name": "Treasury Bot", "scopes": ["query"], "settings": settings, "otp": code(0)});
    alice.call("create_service_user", user).await;
    alice.call("set_policy", json!({"workflow": "manage_access", "quorum": 1, "otp": code(1)})).await;
    let listed = alice.call("service_users", json!({})).await;
    let open = json!({"service_user_id": listed["service_users"][0]["service_user_id"], "settings": {"ip_allowlist": [], "expires_at": null}});
    let request = alice.call("edit_service_user", open).await;
    browser.sign_in("bob", 0).await;
    browser.go(&format!("#/request/{}", request["request_id"].as_str().unwrap())).await;
    browser.wait("#state.pending").await;
    let shown = browser.text("#payload").await;
    assert!(shown.contains("any address") && shown.contains("never") && !shown.contains("none"), "{shown}");
    browser.close().await;
}

#[tokio::test]
async fn a_request_that_too_few_may_approve_says_so() {
    let mut people = people();
    people[1].permissions = people[2].permissions.clone();
    let world = World::peopled(&[], &people).await;
    let browser = Browser::open(world.address).await;
    let asked = json!({"asset": "BTC", "key": "cold-1", "amount": "1"});
    let request = world.member("alice").await.call("initiate_withdrawal", asked).await;
    assert_eq!(request["state"], "pending");
    browser.sign_in("alice", 1).await;
    browser.go(&format!("#/request/{}", request["request_id"].as_str().unwrap())).await;
    browser.wait("#state.pending").await;
    let told = browser.text("main").await;
    assert!(told.contains("Could approve\nnobody") && told.contains("votes cannot complete it"), "{told}");
    browser.close().await;
}

#[tokio::test]
async fn what_a_place_still_waits_for_is_not_drawn_over_the_next_one() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = world.bot(1).await;
    let id = asked(&mut bot, "1").await;
    // An answer that takes long: the next place is there before it.
    browser.hold("request_info").await;
    browser.sign_in("bob", 0).await;
    listed(&browser, &id, true).await;
    browser.click(&format!("[data-request='{id}']")).await;
    browser.held(1).await;
    browser.go("#/queue").await;
    listed(&browser, &id, true).await;
    browser.answered(0).await;
    browser.eval("const { digest } = await import('/assets/digest.js'); await digest('Acme', { initiator: {} })").await;
    assert!(browser.text("main").await.starts_with("Queue"));
    browser.close().await;
}
