//! The queue, live: what arrives, what leaves, and what happens when the server is lost.

use countersign::access::scope::ScopeSet;
use countersign::engine::members::Kyc;
use countersign::gateway::credentials::decode_secret;
use serde_json::{Value, json};

use super::browser::Browser;
use super::client::{Client, ballot, code};
use super::genesis::people;
use super::world::{World, key};

/// Counts desktop notifications instead of showing them.
pub const NOTIFICATIONS: &str = "globalThis.notes = []; globalThis.Notification = class {
    static permission = 'granted'; constructor(title, options) { notes.push(options.body); } };";

pub async fn asked(bot: &mut Client, amount: &str) -> String {
    let withdrawal = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": amount})).await;
    withdrawal["request_id"].as_str().unwrap().to_owned()
}

/// A bot whose key a Member makes, and so manages.
pub async fn made_by(member: &mut Client, world: &World, name: &str) -> Client {
    let asked = json!({"name": name, "scopes": ["withdraw"], "otp": code(0)});
    let made = member.call("create_service_user", asked).await;
    let [api_key, secret] = ["api_key", "api_secret"].map(|name| made[name].as_str().unwrap());
    Client::signed(world.address, api_key, &decode_secret(secret).unwrap()).await.unwrap()
}

/// Alice's page, and a request of a key that she manages.
pub async fn asked_by_a_key_of_her_own() -> (World, Browser, String) {
    let mut people = people();
    people[1].permissions = people[0].permissions.clone();
    let world = World::peopled(&[], &people).await;
    let browser = Browser::open(world.address).await;
    let mut bot = made_by(&mut world.member("alice").await, &world, "Treasury Bot").await;
    let id = asked(&mut bot, "1").await;
    browser.sign_in("alice", 1).await;
    (world, browser, id)
}

/// Waits until a request is in the queue, or no longer is.
pub async fn listed(browser: &Browser, id: &str, there: bool) {
    let found = format!("document.querySelector('[data-request=\"{id}\"]') !== null");
    browser.until(&format!("return ({found}) === {there}")).await;
}

#[tokio::test]
async fn a_request_arrives_while_the_page_is_open_is_approved_and_leaves() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = world.bot(1).await;
    bot.subscribe("withdrawals").await;
    browser.eval(NOTIFICATIONS).await;
    browser.sign_in("bob", 0).await;
    assert!(browser.text("main").await.contains("No request is waiting for a decision"));
    let id = asked(&mut bot, "1.5").await;
    listed(&browser, &id, true).await;
    browser.until("return document.title === '(1) Queue – Countersign'").await;
    assert_eq!(browser.eval("return notes").await, json!(["withdraw by Bot 1"]));
    browser.click(&format!("[data-request='{id}']")).await;
    browser.wait("#payload .digest.good").await;
    let shown = browser.text("main").await;
    for part in ["1.5", "BTC", "cold-1", "bc1qcold", "0.00001", "Bot 1", "SVC1", "version 1, 1 approval needed"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    browser.fill("#decide input[name=otp]", &code(0)).await;
    browser.fill("#decide input[name=comment]", "as planned").await;
    browser.press("Approve").await;
    browser.wait("#state.approved").await;
    assert!(browser.text("main").await.contains("as planned"));
    let released = bot.item("withdrawals", |item| item["request_id"] == json!(id) && item["status"] == "Pending").await;
    assert_eq!(released["amount"].to_string(), "1.5");
    browser.go("#/queue").await;
    listed(&browser, &id, false).await;
    browser.until("return document.title === 'Queue – Countersign'").await;
    browser.close().await;
}

#[tokio::test]
async fn what_arrives_moves_nothing_under_the_pointer_and_covers_little() {
    let world = World::new(&[0; 4].map(|_| key(ScopeSet::ALL))).await;
    let browser = Browser::open(world.address).await;
    let mut bot = world.bot(1).await;
    let first = asked(&mut bot, "1").await;
    browser.sign_in("bob", 0).await;
    listed(&browser, &first, true).await;
    let link = format!("document.querySelector('[data-request={first}]')");
    browser.eval(&format!("globalThis.link = {link}; link.focus()")).await;
    // However long the test takes, no message disappears because of its age.
    browser.eval("const later = setTimeout; globalThis.setTimeout = (act, ms) => ms < 6000 && later(act, ms)").await;
    let mut last = String::new();
    for number in [1, 1, 2, 3, 4] {
        last = asked(&mut world.bot(number).await, "1").await;
    }
    listed(&browser, &last, true).await;
    assert_eq!(browser.eval("return link.isConnected && document.activeElement === link").await, json!(true));
    assert_eq!(browser.eval("return link.closest('tr').rowIndex").await, json!(1));
    let told = browser.eval("return [...document.querySelectorAll('.toast')].map((one) => one.textContent)").await;
    assert_eq!(told, json!([2, 3, 4].map(|number| format!("New request: withdraw by Bot {number}"))));
    browser.close().await;
}

#[tokio::test]
async fn only_what_one_may_vote_on_can_be_selected() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = world.bot(1).await;
    let id = asked(&mut bot, "1").await;
    browser.sign_in("bob", 0).await;
    let choice = browser.wait(&format!("input[data-select={id}]")).await;
    let named = browser
        .eval(
            "return [...document.querySelectorAll('[data-select]')].map((box) =>
        box.getAttribute('aria-labelledby').split(' ').map((id) => document.getElementById(id).textContent).join(' '))",
        )
        .await;
    assert_eq!(named, json!(["withdraw 1.00000000 BTC to cold-1"]));
    drop(choice);
    browser.press("Sign out").await;
    browser.sign_in("carol", 0).await;
    listed(&browser, &id, true).await;
    assert_eq!(browser.eval("return document.querySelectorAll('[data-select]').length").await, json!(0));
    browser.close().await;
}

#[tokio::test]
async fn where_no_digest_can_be_computed_nothing_can_be_selected() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = world.bot(1).await;
    let id = asked(&mut bot, "1").await;
    // As over plain HTTP from another machine.
    browser.eval("Object.defineProperty(crypto, 'subtle', { value: undefined })").await;
    browser.sign_in("bob", 0).await;
    listed(&browser, &id, true).await;
    assert_eq!(browser.eval("return document.querySelectorAll('[data-select]').length").await, json!(0));
    browser.click(&format!("[data-request='{id}']")).await;
    browser.wait("#payload .digest.unknown").await;
    browser.close().await;
}

#[tokio::test]
async fn rule_14_who_is_not_verified_may_look_on_and_is_offered_nothing_else() {
    let mut people = people();
    people[0].kyc = Kyc::Pending;
    let world = World::peopled(&[key(ScopeSet::ALL)], &people).await;
    let browser = Browser::open(world.address).await;
    let id = asked(&mut world.bot(1).await, "1").await;
    browser.sign_in("alice", 0).await;
    listed(&browser, &id, true).await;
    assert_eq!(browser.eval("return document.querySelectorAll('[data-select]').length").await, json!(0));
    for (place, generated, buttons) in [
        ("withdraw", "#explained", json!(["Explain"])),
        ("service-users", "tbody tr", json!(["Details"])),
        ("members", "tbody tr", json!([])),
        ("policies", "section", json!([])),
        ("addresses", "tbody tr", json!([])),
    ] {
        browser.go(&format!("#/{place}")).await;
        browser.wait(&format!("main {generated}")).await;
        let offered = "return [...document.querySelectorAll('main button')].map((one) => one.textContent)";
        assert_eq!(browser.eval(offered).await, buttons, "{place}");
    }
    browser.go("#/service-users").await;
    browser.press("Details").await;
    assert_eq!(browser.text("main section .actions").await, "Close");
    assert_eq!(browser.text("#freeze").await, "");
    browser.close().await;
}

#[tokio::test]
async fn the_page_says_that_the_server_is_lost_and_resumes_by_itself() {
    let mut world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = world.bot(1).await;
    let first = asked(&mut bot, "1").await;
    browser.sign_in("bob", 0).await;
    listed(&browser, &first, true).await;
    drop(bot);
    world.stop().await;
    browser.wait("#connection[data-state=lost], #connection[data-state=connecting]").await;
    world.start().await;
    // Something happens before the page has reconnected: it must not be missed.
    let mut bot = world.bot(1).await;
    let second = asked(&mut bot, "2").await;
    browser.wait("#connection[data-state=live]").await;
    listed(&browser, &first, true).await;
    listed(&browser, &second, true).await;
    browser.close().await;
}

#[tokio::test]
async fn rule_22_who_lost_a_vote_and_may_vote_again_can_select_the_request() {
    let mut people = people();
    people[2].permissions = people[0].permissions.clone();
    let world = World::peopled(&[key(ScopeSet::ALL)], &people).await;
    let browser = Browser::open(world.address).await;
    let (mut alice, mut bob, mut carol) =
        (world.member("alice").await, world.member("bob").await, world.member("carol").await);
    let mut bot = world.bot(1).await;
    carol.call("set_policy", json!({"workflow": "initiate_withdrawal", "quorum": 2, "otp": code(0)})).await;
    let id = asked(&mut bot, "1").await;
    let digest = bob.call("request_info", json!({"request_id": id})).await["digest"].clone();
    let vote = json!({"requests": [{"request_id": id, "digest": digest}], "otp": code(0)});
    bob.call("approve", vote).await;
    browser.sign_in("bob", 1).await;
    listed(&browser, &id, true).await;
    let selects = format!("return document.querySelector('input[data-select={id}]') !== null");
    assert_eq!(browser.eval(&selects).await, json!(false), "it is voted on");
    for (step, rights) in [(0, json!(["view"])), (1, json!(["view", "approve"]))] {
        let edit = json!({"member_id": "MEM2", "permissions": {"initiate_withdrawal": rights},
            "strand_pending": true, "otp": code(step)});
        alice.call("edit_member", edit).await;
    }
    browser.until(&selects).await;
    browser.close().await;
}

#[tokio::test]
async fn rule_22_who_manages_the_asking_key_cannot_select_its_request_and_is_told_so() {
    let (_world, browser, id) = asked_by_a_key_of_her_own().await;
    browser.wait(&format!("input[data-select={id}]")).await.send_keys(" ").await.unwrap();
    browser.wait(".toast.bad").await;
    assert!(browser.text(".toast.bad").await.contains(&format!("You cannot approve {id} now:")));
    chosen(&browser, &id, false).await;
    assert_eq!(browser.eval("return document.activeElement.dataset.select").await, json!(id), "the keyboard stays");
    browser.close().await;
}

#[tokio::test]
async fn rule_27_what_a_freeze_keeps_from_being_selected_can_be_selected_after_it() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let cookie = Client::sign_in(world.address, "bob@acme.test", 0).await;
    let id = asked(&mut world.bot(1).await, "1").await;
    let freeze = json!({"scope": "withdrawals", "reason": "a key leaked"});
    world.member("alice").await.call("freeze", freeze).await;
    browser.hold("request_info").await;
    browser.sign_in("bob", 1).await;
    let choice = format!("input[data-select={id}]");
    browser.click(&choice).await;
    browser.held(1).await;
    browser.answered(0).await;
    assert!(browser.text(".toast.bad bdi").await.contains("Withdrawals are frozen"));
    chosen(&browser, &id, false).await;
    // Not before: a client that is not read is closed as gone, and the browser may take its time.
    let mut alice = Client::member(world.address, "alice@acme.test", 1).await.unwrap();
    let mut bob = Client::with_cookie(world.address, &cookie).await.unwrap();
    let request = alice.call("unfreeze", json!({"reason": "the key is revoked"})).await;
    bob.call("approve", json!({"requests": ballot(&request), "otp": code(0)})).await;
    browser.click(&choice).await;
    browser.held(2).await;
    browser.answered(1).await;
    chosen(&browser, &id, true).await;
    browser.close().await;
}

#[tokio::test]
async fn whether_one_may_vote_is_asked_of_what_is_selected_when_the_answer_comes() {
    let mut people = people();
    people[1].permissions = people[0].permissions.clone();
    people[2].permissions = people[0].permissions.clone();
    let mut world = World::peopled(&[], &people).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    alice.call("set_policy", json!({"workflow": "initiate_withdrawal", "quorum": 2, "otp": code(0)})).await;
    let mut bot = made_by(&mut world.member("bob").await, &world, "Treasury Bot").await;
    let id = asked(&mut bot, "1").await;
    browser.hold("request_info").await;
    browser.sign_in("bob", 1).await;
    let choice = format!("input[data-select={id}]");
    browser.click(&choice).await;
    browser.held(1).await;
    browser.click(&choice).await;
    browser.answered(0).await;
    assert_eq!(browser.text(".toast.bad").await, "", "it is not selected any more");
    chosen(&browser, &id, false).await;
    browser.click(&choice).await;
    browser.held(2).await;
    let request = alice.call("request_info", json!({"request_id": id})).await;
    alice.call("approve", json!({"requests": ballot(&request), "otp": code(1)})).await;
    browser.until("return document.querySelector('main tbody').textContent.includes('1 of 2')").await;
    chosen(&browser, &id, true).await;
    browser.answered(1).await;
    chosen(&browser, &id, false).await;
    drop(bot);
    world.stop().await;
    browser.wait("#connection[data-state=lost], #connection[data-state=connecting]").await;
    browser.click(&choice).await;
    browser.until("return document.querySelector('#toasts').textContent.includes('not connected')").await;
    chosen(&browser, &id, false).await;
    browser.close().await;
}

/// Whether that request, and no other, is selected.
async fn chosen(browser: &Browser, id: &str, yes: bool) {
    let shown = "const box = document.querySelector(`input[data-select=${id}]`);
        return [box.checked, !box.closest('tr').querySelector('.full').hidden, !document.querySelector('form.bar').hidden]";
    let shown = browser.eval(&shown.replace("${id}", id)).await;
    assert_eq!(shown, json!([yes, yes, yes]), "selected, shown in full, and to be approved");
}

/// Bob's queue, with more of the bot's requests than a window shows.
async fn crowded(world: &World, bot: &mut Client) -> Browser {
    let mut last = String::new();
    for _ in 0..30 {
        last = asked(bot, "1").await;
    }
    let browser = Browser::open(world.address).await;
    browser.sign_in("bob", 0).await;
    listed(&browser, &last, true).await;
    browser
}

#[tokio::test]
async fn the_bar_of_a_vote_covers_nothing_that_has_the_keyboard() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let browser = crowded(&world, &mut bot).await;
    browser.wait("input[data-select]").await.send_keys(" ").await.unwrap();
    let free = "const at = document.activeElement.getBoundingClientRect();
        return at.bottom <= document.querySelector('form.bar').getBoundingClientRect().top";
    for _ in 0..58 {
        keys(&browser, "\u{e004}").await;
        assert_eq!(browser.eval(free).await, json!(true));
    }
    browser.close().await;
}

#[tokio::test]
async fn a_row_that_is_drawn_anew_scrolls_nobody_back_to_it() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut alice, mut bot) = (world.member("alice").await, world.bot(1).await);
    alice.call("set_policy", json!({"workflow": "initiate_withdrawal", "quorum": 2, "otp": code(0)})).await;
    let first = asked(&mut bot, "1").await;
    let browser = crowded(&world, &mut bot).await;
    let row = format!("document.querySelector('[data-request={first}]')");
    browser.eval(&format!("{row}.focus(); scrollTo(0, document.documentElement.scrollHeight)")).await;
    let scrolled = browser.eval("return scrollY").await;
    let request = alice.call("request_info", json!({"request_id": first})).await;
    alice.call("approve", json!({"requests": ballot(&request), "otp": code(1)})).await;
    browser.until(&format!("return {row}.closest('tr').textContent.includes('1 of 2')")).await;
    assert_eq!(browser.eval(&format!("return document.activeElement === {row}")).await, json!(true));
    assert_eq!(browser.eval("return scrollY").await, scrolled);
    assert_ne!(scrolled, json!(0));
    browser.close().await;
}

#[tokio::test]
async fn a_request_can_be_decided_with_the_keyboard_alone() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = world.bot(1).await;
    let id = asked(&mut bot, "1").await;
    browser.sign_in("bob", 0).await;
    listed(&browser, &id, true).await;
    // From the top of the page, the Tab key alone reaches the request, then the code, then Approve.
    tab_to(&browser, &format!("document.activeElement.dataset.request === '{id}'")).await;
    keys(&browser, "\u{e007}").await;
    browser.wait("#payload .digest.good").await;
    tab_to(&browser, "document.activeElement.name === 'otp'").await;
    keys(&browser, &code(0)).await;
    tab_to(&browser, "document.activeElement.textContent === 'Approve'").await;
    keys(&browser, "\u{e007}").await;
    browser.wait("#state.approved").await;
    browser.close().await;
}

pub async fn keys(browser: &Browser, text: &str) {
    browser.client.active_element().await.unwrap().send_keys(text).await.unwrap();
}

async fn tab_to(browser: &Browser, there: &str) {
    for _ in 0..60 {
        keys(browser, "\u{e004}").await;
        if browser.eval(&format!("return {there}")).await == Value::Bool(true) {
            return;
        }
    }
    panic!("Tab does not reach: {there}");
}

#[tokio::test]
async fn who_had_the_keyboard_on_a_row_that_goes_has_it_on_the_next() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("bob", 0).await;
    let (mut alice, mut bot) = (world.member("alice").await, world.bot(1).await);
    let mut ids = Vec::new();
    for amount in ["1", "2", "3"] {
        ids.push(asked(&mut bot, amount).await);
    }
    listed(&browser, &ids[2], true).await;
    browser.eval(&format!("document.querySelector('[data-request={}]').focus()", ids[1])).await;
    let focused = "return document.activeElement.dataset.request ?? document.activeElement.id";
    for (decided, next) in [(1, ids[2].as_str()), (2, "main")] {
        let request = alice.call("request_info", json!({"request_id": ids[decided]})).await;
        alice.call("reject", json!({"requests": ballot(&request), "reason": "not ours"})).await;
        listed(&browser, &ids[decided], false).await;
        assert_eq!(browser.eval(focused).await, json!(next));
    }
    browser.close().await;
}
