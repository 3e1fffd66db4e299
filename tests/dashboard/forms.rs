//! Forms: what they send, what they show while waiting for an answer, and what happens when an answer is lost.

use countersign::access::scope::ScopeSet;
use serde_json::{Value, json};

use super::browser::Browser;
use super::client::{ballot, code};
use super::connection::LIVE;
use super::queue::{asked, keys};
use super::world::{World, key};

/// Waits until the form says that its answer was lost, and the page is connected again.
async fn is_lost(browser: &Browser, world: &mut World) {
    world.restart().await;
    browser.until("return document.querySelector('form .problem').textContent.includes('connection was lost')").await;
    browser.wait(LIVE).await;
}

/// The form of a withdrawal, filled in.
async fn withdrawal(browser: &Browser, [asset, to, amount]: [&str; 3]) {
    browser.go("#/withdraw").await;
    for (name, value) in [("asset", asset), ("key", to), ("amount", amount)] {
        browser.fill(&format!("form[data-method=initiate_withdrawal] input[name={name}]"), value).await;
    }
}

#[tokio::test]
async fn rule_28_what_only_a_lost_answer_showed_is_said_to_be_lost() {
    let mut world = World::new(&[]).await;
    for (step, place, method, advice) in [
        (0, "service-users", "create_service_user", "rotate the key"),
        (1, "members", "invite_member", "reset the Member"),
    ] {
        let browser = Browser::open(world.address).await;
        browser.hold(method).await;
        browser.sign_in("alice", step).await;
        browser.go(&format!("#/{place}")).await;
        browser.click("#add").await;
        let form = format!("form[data-method={method}]");
        browser.fill(&format!("{form} input[name=name]"), "Dora").await;
        if method == "invite_member" {
            browser.fill(&format!("{form} input[name=email]"), "dora@acme.test").await;
        }
        browser.fill(&format!("{form} input[name=otp]"), &code(step)).await;
        browser.press("Submit request").await;
        browser.held(1).await;
        is_lost(&browser, &mut world).await;
        browser.press("Submit request").await;
        browser.held(2).await;
        browser.answered(1).await;
        browser.wait("#state.executed").await;
        let said = browser.text(".toast.bad bdi").await;
        assert!(said.contains("in an answer that was lost") && said.contains(advice), "{said}");
        browser.close().await;
    }
}

#[tokio::test]
async fn rule_28_a_secret_that_can_still_be_claimed_is_not_said_to_be_lost() {
    let mut world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    alice.call("set_policy", json!({"workflow": "manage_access", "quorum": 1, "otp": code(0)})).await;
    drop(alice);
    browser.hold("create_service_user").await;
    browser.sign_in("alice", 1).await;
    browser.go("#/service-users").await;
    browser.click("#add").await;
    browser.fill("form[data-method=create_service_user] input[name=name]", "Treasury Bot").await;
    browser.press("Submit request").await;
    browser.held(1).await;
    is_lost(&browser, &mut world).await;
    let mut bob = world.member("bob").await;
    let request = bob.call("requests", json!({"state": "pending"})).await["requests"][0].take();
    bob.call("approve", json!({"requests": ballot(&request), "otp": code(0)})).await;
    browser.press("Submit request").await;
    browser.held(2).await;
    browser.answered(1).await;
    browser.wait("#claim").await;
    assert_eq!(browser.text(".toast.bad").await, "");
    browser.close().await;
}

#[tokio::test]
async fn rule_30_a_form_that_was_changed_after_its_answer_was_lost_says_so_once_and_can_be_sent() {
    let mut world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.hold("initiate_withdrawal").await;
    browser.sign_in("alice", 0).await;
    withdrawal(&browser, ["BTC", "cold-1", "0.52"]).await;
    browser.press("Submit request").await;
    browser.held(1).await;
    is_lost(&browser, &mut world).await;
    browser.fill("main input[name=amount]", "0.53").await;
    browser.press("Submit request").await;
    browser.held(2).await;
    browser.answered(1).await;
    let said = browser.text("main form > .problem").await;
    assert!(said.contains("An earlier try of this form reached the server with other terms"), "{said}");
    assert_eq!(browser.eval("return document.querySelector('.problem a').hash").await, json!("#/queue"));
    browser.press("Submit request").await;
    browser.held(3).await;
    browser.answered(2).await;
    browser.wait("#state.pending").await;
    assert!(browser.text("#payload").await.contains("0.53"));
    browser.close().await;
}

#[tokio::test]
async fn spaces_around_what_is_typed_are_not_sent() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    withdrawal(&browser, [" BTC", "cold-1 ", " 0.5 "]).await;
    browser.press("Submit request").await;
    browser.wait("#state.pending").await;
    assert!(browser.text("#payload").await.contains("0.50000000"));
    browser.close().await;
}

#[tokio::test]
async fn what_the_server_would_refuse_for_its_size_is_marked_in_the_form() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    browser.go("#/service-users").await;
    browser.click("#add").await;
    let form = "form[data-method=create_service_user]";
    let marked =
        async |css: &str| browser.eval(&format!("return document.querySelector('{css}').matches(':invalid')")).await;
    let name = format!("{form} input[name=name]");
    // 64 bytes, and one more.
    for (letters, yes) in [("\u{fc}".repeat(32), false), ("\u{fc}".repeat(32) + "x", true)] {
        browser.fill(&name, &letters).await;
        assert_eq!(marked(&name).await, json!(yes), "{letters}");
    }
    // A number that a JavaScript number cannot represent.
    browser.fill(&format!("{form} input[type=number]"), "9007199254740993").await;
    assert_eq!(marked(&format!("{form} input[type=number]")).await, json!(true));
    let id = asked(&mut world.bot(1).await, "1").await;
    browser.go(&format!("#/request/{id}")).await;
    browser.press("Reject").await;
    assert!(browser.text("#decide .problem").await.contains("say why"));
    browser.fill("#decide input[name=comment]", &"\u{fc}".repeat(251)).await;
    browser.press("Reject").await;
    assert_eq!(marked("#decide input[name=comment]").await, json!(true));
    assert_eq!(browser.eval("return document.activeElement.name").await, json!("comment"));
    browser.fill("#decide input[name=comment]", &"\u{fc}".repeat(250)).await;
    browser.press("Reject").await;
    browser.wait("#state.rejected").await;
    browser.close().await;
}

#[tokio::test]
async fn a_form_says_that_it_is_sent_until_the_answer_is_there() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.hold("initiate_withdrawal").await;
    browser.sign_in("alice", 0).await;
    withdrawal(&browser, ["BTC", "nowhere", "1"]).await;
    let busy = "return document.querySelector('main form').getAttribute('aria-busy')";
    browser.press("Submit request").await;
    browser.held(1).await;
    assert_eq!(browser.eval(busy).await, json!("true"));
    browser.answered(0).await;
    assert_eq!(browser.eval(busy).await, Value::Null);
    browser.close().await;
}

#[tokio::test]
async fn enter_in_an_empty_code_field_sends_nothing() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    alice.call("set_policy", json!({"workflow": "manage_access", "quorum": 1, "otp": code(0)})).await;
    browser
        .eval(
            "globalThis.removals = 0; const send = WebSocket.prototype.send;
             WebSocket.prototype.send = function (text) {
                 removals += text.includes('remove_service_user'); send.call(this, text); };",
        )
        .await;
    browser.sign_in("alice", 1).await;
    browser.go("#/service-users").await;
    browser.press("Details").await;
    browser.press("Remove").await;
    browser.wait("form[data-method=remove_service_user] input[name=otp]").await.click().await.unwrap();
    keys(&browser, "\u{e007}").await;
    assert_eq!(browser.eval("return removals").await, json!(0));
    assert_eq!(
        browser.eval("return document.querySelector('main form .actions button').className").await,
        json!("danger")
    );
    browser.press("Request removal").await;
    browser.wait("#state.pending").await;
    browser.close().await;
}
