//! A Service User through an approval: requested by one Member, approved by another, claimed once, used on a socket.

use countersign::access::scope::ScopeSet;
use countersign::gateway::credentials::decode_secret;
use serde_json::{Value, json};

use super::browser::Browser;
use super::client::{Client, ballot, code};
use super::world::{World, key};

#[tokio::test]
async fn a_created_key_is_approved_claimed_and_used() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    let policy = json!({"workflow": "manage_access", "quorum": 1, "otp": code(0)});
    alice.call("set_policy", policy).await;
    browser.sign_in("alice", 1).await;
    browser.go("#/service-users").await;
    browser.click("#add").await;
    browser.fill("form[data-method=create_service_user] input[name=name]", "Treasury Bot").await;
    for scope in ["query", "withdraw", "query_ledger"] {
        browser.click(&format!("form[data-method=create_service_user] input[name={scope}]")).await;
    }
    browser.press("Submit request").await;
    browser.wait("#state.pending").await;
    assert!(!browser.text("#toasts").await.contains("New request"), "nobody is told of their own");
    let shown = browser.text("#payload").await;
    assert!(shown.contains("Treasury Bot") && shown.contains("Withdraw\nQuery ledger entries"), "{shown}");
    let id = browser.eval("return location.hash.split('/')[2]").await;
    let mut bob = world.member("bob").await;
    let request = bob.call("request_info", json!({"request_id": id})).await;
    bob.call("approve", json!({"requests": ballot(&request), "otp": code(0)})).await;
    // The page learns of the approval by itself, and offers the secret to the Member who asked.
    browser.wait("#state.approved").await;
    browser.fill("#claim input[name=otp]", &code(1)).await;
    browser.press("Show the secret").await;
    let value = async |name: &str| {
        let input = browser.wait(&format!("dialog input[data-secret='{name}']")).await;
        input.prop("value").await.unwrap().unwrap()
    };
    let (api_key, secret) = (value("API key").await, value("API secret").await);
    browser.press("I have it").await;
    let mut bot = Client::signed(world.address, &api_key, &decode_secret(&secret).unwrap()).await.unwrap();
    let info = bot.call("key_info", json!({})).await;
    assert_eq!(
        (&info["service_user"], &info["scopes"]),
        (&json!("Treasury Bot"), &json!(["query", "withdraw", "query_ledger"]))
    );
    browser.until("return document.querySelector('[data-user=\"Treasury Bot\"]') !== null").await;
    browser.click("[data-user='Treasury Bot']").await;
    let all = "return document.documentElement.outerHTML
        + [...document.querySelectorAll('input, textarea')].map((input) => input.value).join()";
    assert!(!browser.eval(all).await.as_str().unwrap().contains(&secret), "it is shown once");
    browser.close().await;
}

#[tokio::test]
async fn however_much_happens_while_a_list_loads_it_is_loaded_once_more() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    alice.call("set_policy", json!({"workflow": "manage_access", "quorum": 1, "otp": code(0)})).await;
    browser
        .eval(
            "globalThis.loads = 0;
             const send = WebSocket.prototype.send; WebSocket.prototype.send = function (text) {
                 loads += JSON.parse(text).method === 'service_users'; send.call(this, text); };",
        )
        .await;
    browser.hold("service_users").await;
    browser.sign_in("alice", 1).await;
    browser.go("#/service-users").await;
    browser.held(1).await;
    for number in 1..=5 {
        alice.call("create_service_user", json!({"name": format!("Bot {number}"), "scopes": ["query"]})).await;
    }
    browser.until("return document.title.startsWith('(5)')").await;
    browser.answered(0).await;
    browser.held(2).await;
    browser.answered(1).await;
    assert_eq!(browser.eval("return loads").await, json!(2));
    browser.close().await;
}

#[tokio::test]
async fn a_key_whose_request_was_executed_later_is_claimed() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    let policy = json!({"workflow": "manage_access", "quorum": 1, "allow_execute": true, "otp": code(0)});
    alice.call("set_policy", policy).await;
    let request = alice.call("create_service_user", json!({"name": "Treasury Bot", "scopes": ["query"]})).await;
    browser.sign_in("alice", 1).await;
    browser.go(&format!("#/request/{}", request["request_id"].as_str().unwrap())).await;
    browser.fill("#decide input[name=otp]", &code(1)).await;
    browser.fill("#decide input[name=comment]", "board resolution 12").await;
    browser.press("Execute").await;
    browser.wait("#state.executed").await;
    browser.wait("#claim input[name=otp]").await;
    let details = browser.text(".columns > :last-child dl").await;
    for part in ["Executed by\nalice", "Said with Execute\nboard resolution 12"] {
        assert!(details.contains(part), "{part} is not in\n{details}");
    }
    browser.go("#/history").await;
    browser.wait("main .tag.executed").await;
    let row = "return [...document.querySelectorAll('main tbody tr')]
        .find((row) => row.textContent.includes('Treasury Bot')).lastElementChild.textContent";
    assert_eq!(browser.eval(row).await, json!("Executed by alice"));
    browser.close().await;
}

/// Alice's page shows the details of the only Service User; she also has a client besides the page.
async fn looked_at() -> (World, Client, Browser) {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let alice = world.member("alice").await;
    browser.sign_in("alice", 1).await;
    browser.go("#/service-users").await;
    browser.press("Details").await;
    (world, alice, browser)
}

#[tokio::test]
async fn a_change_reaches_the_list_and_the_closer_look_and_leaves_the_keyboard_where_it_is() {
    let (_world, mut alice, browser) = looked_at().await;
    browser.wait("[data-user='Bot 1']").await.send_keys("\u{e008}").await.unwrap();
    assert_eq!(browser.eval("return document.activeElement.dataset.user").await, json!("Bot 1"));
    let disabled = json!({"service_user_id": "SVC1", "disabled": true, "otp": code(0)});
    alice.call("edit_service_user", disabled).await;
    browser.wait("main .tag.disabled").await;
    assert!(browser.text("main section dl").await.contains("disabled"));
    assert_eq!(browser.eval("return document.activeElement.dataset.user").await, json!("Bot 1"));
    browser.close().await;
}

#[tokio::test]
async fn a_closer_look_is_drawn_anew_for_what_it_shows_alone_and_goes_with_its_service_user() {
    let (world, mut alice, browser) = looked_at().await;
    browser.eval("globalThis.held = document.querySelector('main section button'); held.focus()").await;
    // The list shows that it has connected.
    let _bot = world.bot(1).await;
    let another = json!({"name": "Treasury Bot", "scopes": ["query"], "otp": code(0)});
    alice.call("create_service_user", another).await;
    browser.wait("[data-user='Treasury Bot']").await;
    assert_eq!(browser.eval("return document.activeElement === held").await, json!(true));
    alice.call("remove_service_user", json!({"service_user_id": "SVC1", "otp": code(1)})).await;
    browser.until("return document.querySelector('[data-user=\"Bot 1\"]') === null").await;
    assert_eq!(browser.eval("return document.querySelector('main section')").await, Value::Null);
    assert_eq!(browser.eval("return document.activeElement.id").await, json!("main"), "the keyboard goes on from here");
    browser.close().await;
}
