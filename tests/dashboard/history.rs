//! History: what the page lists of the past, and how it updates the list.

use countersign::access::scope::ScopeSet;
use countersign::domain::ids::RequestId;
use serde_json::{Value, json};

use super::browser::Browser;
use super::client::{ballot, code};
use super::connection::{LOST, is_lost, no_offset_of_the_journals};
use super::queue::asked;
use super::world::{World, key};

#[tokio::test]
async fn the_past_is_shown_as_it_stands_now_and_names_who_asked() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let (mut bob, mut bot) = (world.member("bob").await, world.bot(1).await);
    let id = asked(&mut bot, "1").await;
    browser.sign_in("alice", 0).await;
    browser.go("#/history").await;
    browser.wait("main .tag.pending").await;
    let request = bob.call("request_info", json!({"request_id": id})).await;
    bob.call("approve", json!({"requests": ballot(&request), "otp": code(0)})).await;
    browser.wait("main .tag.approved").await;
    assert_eq!(browser.eval("return document.querySelector('main .tag.pending')").await, Value::Null);
    browser.go("#/audit").await;
    browser.fill("input[type=search]", "bot 1").await;
    browser.until("return document.querySelectorAll('main tbody tr').length === 1").await;
    assert!(browser.text("main tbody").await.contains("Bot 1 SVC1"));
    assert!(browser.text("main").await.contains("Removed Members and Service Users appear by id only"));
    browser.close().await;
}

#[tokio::test]
async fn who_executed_a_request_that_another_approved_is_named_in_the_past_and_on_its_page() {
    let world = World::governed(&[], false).await;
    let browser = Browser::open(world.address).await;
    let (mut alice, mut bob, mut carol) =
        (world.member("alice").await, world.member("bob").await, world.member("carol").await);
    let more =
        json!({"member_id": "MEM3", "permissions": {"initiate_withdrawal": ["approve", "execute"]}, "otp": code(0)});
    alice.call("edit_member", more).await;
    let policy = json!({"workflow": "initiate_withdrawal", "quorum": 2, "allow_execute": true, "otp": code(1)});
    alice.call("set_policy", policy).await;
    let request = alice.call("initiate_withdrawal", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    for (member, method) in [(&mut bob, "approve"), (&mut carol, "execute")] {
        member.call(method, json!({"requests": ballot(&request), "otp": code(0)})).await;
    }
    browser.sign_in("alice", 1).await;
    browser.go("#/history").await;
    browser.wait("main .tag.executed").await;
    let row = "return [...document.querySelectorAll('main tbody tr')]
        .find((row) => row.textContent.includes('cold-1')).lastElementChild.textContent";
    assert_eq!(browser.eval(row).await, json!("bob ✓ Executed by carol"));
    browser.go(&format!("#/request/{}", request["request_id"].as_str().unwrap())).await;
    let told = r"return document.querySelector('.columns > :last-child dl')?.innerText.includes('Executed by\ncarol')";
    browser.until(told).await;
    browser.close().await;
}

#[tokio::test]
async fn the_past_is_drawn_once_for_what_came_as_one_and_leaves_the_keyboard_where_it_is() {
    let world = World::new(&[0; 2].map(|_| key(ScopeSet::ALL))).await;
    let browser = Browser::open(world.address).await;
    let (mut alice, mut bob, mut bot) = (world.member("alice").await, world.member("bob").await, world.bot(1).await);
    let mut ids = Vec::new();
    for amount in ["1", "2", "3"] {
        ids.push(asked(&mut bot, amount).await);
    }
    let last = asked(&mut world.bot(2).await, "1").await;
    browser
        .eval(
            "globalThis.frames = 0;
             const on = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage');
             Object.defineProperty(WebSocket.prototype, 'onmessage', { set(heard) { on.set.call(this, (event) => {
                 frames += event.data.includes('\"canceled\"'); heard(event); }); } });",
        )
        .await;
    browser.sign_in("alice", 1).await;
    browser.go("#/history").await;
    let count = |state: &str, count: usize| {
        format!("return document.querySelectorAll('main tbody .tag.{state}').length === {count}")
    };
    browser.until(&count("pending", 4)).await;
    let link = |id: &str| format!("document.querySelector('main a[href=\"#/request/{id}\"]')");
    browser
        .eval(&format!(
            "{}.focus(); globalThis.draws = 0;
             const drawn = new MutationObserver((records) => (draws += records.length));
             drawn.observe(document.querySelector('main .scroll').parentElement, {{ childList: true }});",
            link(&ids[1])
        ))
        .await;
    // Its pending requests end in the same journal entry.
    alice.call("edit_service_user", json!({"service_user_id": "SVC1", "disabled": true, "otp": code(0)})).await;
    browser.until(&count("canceled", 3)).await;
    // Usually all of it is one frame.
    assert_eq!(browser.eval("return draws").await, browser.eval("return frames").await);
    let focused = browser.eval("return document.activeElement.hash ?? document.activeElement.id");
    assert_eq!(focused.await, json!(format!("#/request/{}", ids[1])), "the keyboard stays");
    browser
        .eval(
            "const select = document.querySelector('main select');
             select.value = 'pending'; select.dispatchEvent(new Event('change'));",
        )
        .await;
    browser.until("return document.querySelectorAll('main tbody tr').length === 1").await;
    browser.eval(&format!("{}.focus()", link(&last))).await;
    let request = bob.call("request_info", json!({"request_id": last})).await;
    bob.call("approve", json!({"requests": ballot(&request), "otp": code(0)})).await;
    browser.until(&count("pending", 0)).await;
    assert_eq!(browser.text("main .empty").await, "No matching requests.");
    assert_eq!(browser.eval("return document.activeElement.id").await, json!("main"), "the keyboard goes on from here");
    browser.close().await;
}

#[tokio::test]
async fn the_past_shows_nothing_but_what_was_chosen_also_while_that_cannot_be_loaded() {
    let mut world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = world.bot(1).await;
    asked(&mut bot, "1").await;
    drop(bot);
    browser.sign_in("bob", 0).await;
    browser.go("#/history").await;
    browser.wait("main .tag.pending").await;
    world.stop().await;
    browser.wait(LOST).await;
    let choose = |state: &str| {
        format!(
            "const select = document.querySelector('main select');
             select.value = '{state}'; select.dispatchEvent(new Event('change'));"
        )
    };
    browser.eval(&choose("approved")).await;
    browser.until("return document.querySelector('main .tag') === null").await;
    assert_eq!(browser.text("main .empty").await, "", "nobody has looked");
    world.start().await;
    browser.wait("main .empty").await;
    browser.eval(&choose("pending")).await;
    browser.wait("main .tag.pending").await;
    browser.close().await;
}

/// History in Alice's page, with one request that waits, and its id.
async fn with_a_request_that_waits(world: &World) -> (Browser, String) {
    let id = asked(&mut world.bot(1).await, "1").await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    browser.go("#/history").await;
    browser.wait("main .tag.pending").await;
    (browser, id)
}

/// Bob approves the request.
async fn approved(world: &World, id: &str) {
    let mut bob = world.member("bob").await;
    let request = bob.call("request_info", json!({"request_id": id})).await;
    bob.call("approve", json!({"requests": ballot(&request), "otp": code(0)})).await;
}

#[tokio::test]
async fn what_ended_while_the_connection_was_lost_is_shown_also_when_it_was_lost_twice() {
    let mut world = World::new(&[key(ScopeSet::ALL)]).await;
    let (browser, id) = with_a_request_that_waits(&world).await;
    let record = "globalThis.resumed = []; const send = WebSocket.prototype.send;
        WebSocket.prototype.send = function (text) {
            if (text.includes('\"subscribe\"')) resumed.push(text.includes('\"from_offset\"'));
            send.call(this, text);
        };";
    browser.eval(record).await;
    is_lost(&browser, &mut world).await;
    // The connection is lost again before it has resumed.
    browser.hold("subscribe").await;
    browser.eval("tries[0]()").await;
    browser.held(1).await;
    is_lost(&browser, &mut world).await;
    approved(&world, &id).await;
    browser.eval("tries[0]()").await;
    browser.held(2).await;
    browser.until("return resumed.length === 2 && resumed.every(Boolean)").await;
    browser.answered(1).await;
    browser.wait("main .tag.approved").await;
    browser.close().await;
}

#[tokio::test]
async fn what_a_snapshot_leaves_out_is_listed_anew() {
    let mut world = World::new(&[key(ScopeSet::ALL)]).await;
    let (browser, id) = with_a_request_that_waits(&world).await;
    no_offset_of_the_journals(&browser).await;
    is_lost(&browser, &mut world).await;
    approved(&world, &id).await;
    browser.eval("tries[0]()").await;
    browser.until("return tries.length === 2").await;
    browser.eval("tries[1]()").await;
    browser.wait("main .tag.approved").await;
    browser.close().await;
}

#[tokio::test]
async fn what_was_looked_for_is_there_again_after_back() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (browser, id) = with_a_request_that_waits(&world).await;
    approved(&world, &id).await;
    let second = asked(&mut world.bot(1).await, "2").await;
    browser
        .eval(
            "const select = document.querySelector('main select');
             select.value = 'pending'; select.dispatchEvent(new Event('change'));",
        )
        .await;
    browser.fill("main input[type=search]", "2.0").await;
    browser.until("return document.querySelectorAll('main tbody tr').length === 1").await;
    browser.click(&format!("main a[href='#/request/{second}']")).await;
    browser.wait("#payload").await;
    browser.client.back().await.unwrap();
    browser.wait("main tbody tr").await;
    let chosen = "return ['select', 'input'].map((name) => document.querySelector(`main ${name}`).value)";
    assert_eq!(browser.eval(chosen).await, json!(["pending", "2.0"]));
    assert_eq!(browser.eval("return document.querySelectorAll('main tbody tr').length").await, json!(1));
    browser.press("History").await;
    browser.wait("main .tag.approved").await;
    browser.close().await;
}

#[tokio::test]
async fn a_new_request_is_shown_among_the_past_if_it_is_what_was_chosen() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (browser, id) = with_a_request_that_waits(&world).await;
    let first = "return document.querySelector('main tbody a').hash";
    let second = asked(&mut world.bot(1).await, "2").await;
    browser.until(&format!("{first} === '#/request/{second}'")).await;
    browser
        .eval(
            "const select = document.querySelector('main select');
             select.value = 'approved'; select.dispatchEvent(new Event('change'));",
        )
        .await;
    browser.wait("main .empty").await;
    approved(&world, &id).await;
    browser.until(&format!("return document.querySelector('main tbody a')?.hash === '#/request/{id}'")).await;
    browser.close().await;
}

/// As where few of the requests fit what was chosen, or may be viewed.
#[tokio::test]
async fn an_empty_page_that_has_a_cursor_is_not_the_end_of_the_past() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    asked(&mut world.bot(1).await, "1").await;
    let beyond = RequestId(1_000);
    browser
        .eval(&format!(
            "globalThis.pages = 0;
             const on = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage');
             Object.defineProperty(WebSocket.prototype, 'onmessage', {{ set(heard) {{ on.set.call(this, (event) => {{
                 const frame = JSON.parse(event.data);
                 if (!frame.result?.requests || ++pages > 2) return heard(event);
                 frame.result = {{ requests: [], cursor: '{beyond}' }};
                 heard(new MessageEvent('message', {{ data: JSON.stringify(frame) }})); }}); }} }});"
        ))
        .await;
    browser.sign_in("alice", 0).await;
    browser.go("#/history").await;
    browser.wait("main .tag.pending").await;
    assert_eq!(browser.eval("return pages").await, json!(3));
    browser.close().await;
}
