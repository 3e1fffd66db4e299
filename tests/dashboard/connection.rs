//! A connection that is lost and restored, and a session that does not begin or that ends.

use std::net::SocketAddr;

use countersign::access::scope::ScopeSet;
use countersign::config::Config;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::browser::{Browser, Look};
use super::client::{PASSWORD, ballot, code};
use super::genesis::people;
use super::queue::{NOTIFICATIONS, asked, keys, listed};
use super::world::{World, key};

pub const LOST: &str = "#connection[data-state=lost], #connection[data-state=connecting]";
pub const LIVE: &str = "#connection[data-state=live]";

#[tokio::test]
async fn a_form_outlives_a_lost_connection() {
    let mut world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    browser.go("#/service-users").await;
    browser.click("#add").await;
    let form = "form[data-method=create_service_user]";
    browser.fill(&format!("{form} input[name=name]"), "Treasury Bot").await;
    browser.fill(&format!("{form} input[name=otp]"), &code(0)).await;
    world.stop().await;
    browser.wait(LOST).await;
    browser.press("Submit request").await;
    browser.until("return document.querySelector('main .problem').textContent.includes('not connected')").await;
    world.start().await;
    browser.wait(LIVE).await;
    browser.press("Submit request").await;
    let made = browser.wait("dialog input[data-secret='API key']").await;
    assert!(made.prop("value").await.unwrap().is_some());
    browser.close().await;
}

#[tokio::test]
async fn a_form_whose_answer_was_lost_says_what_became_of_its_request_meanwhile() {
    let mut world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    alice.call("set_policy", json!({"workflow": "manage_addresses", "quorum": 1, "otp": code(0)})).await;
    drop(alice);
    browser.hold("add_address").await;
    browser.sign_in("alice", 1).await;
    browser.go("#/addresses").await;
    browser.click("#add").await;
    for (name, value) in [("asset", "BTC"), ("method", "BTC"), ("key", "hot-1"), ("address", "bc1qhot")] {
        browser.fill(&format!("form[data-method=add_address] input[name={name}]"), value).await;
    }
    browser.press("Submit request").await;
    browser.held(1).await;
    world.restart().await;
    browser.until("return document.querySelector('form .problem').textContent.includes('connection was lost')").await;
    let mut bob = world.member("bob").await;
    let request = bob.call("requests", json!({"state": "pending"})).await["requests"][0].take();
    bob.call("reject", json!({"requests": ballot(&request), "reason": "not ours"})).await;
    browser.wait(LIVE).await;
    browser.press("Submit request").await;
    browser.held(2).await;
    browser.answered(1).await;
    browser.wait("#state.rejected").await;
    assert_eq!(browser.text(".toast.bad bdi").await, "The request is rejected: not ours");
    browser.close().await;
}

#[tokio::test]
async fn a_place_that_could_not_be_drawn_says_so_and_is_drawn_later() {
    let mut world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    world.stop().await;
    browser.wait(LOST).await;
    browser.go("#/members").await;
    browser
        .until("return document.querySelector('main .problem')?.textContent.includes('not connected') ?? false")
        .await;
    world.start().await;
    browser.wait("main tbody tr").await;
    assert!(!browser.text("main").await.contains("not connected"));
    browser.close().await;
}

/// A proxy that passes everything on; once silenced, existing connections receive nothing more.
fn passing(listener: TcpListener, server: SocketAddr) -> watch::Sender<bool> {
    let (silence, silent) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut browser, _)) = listener.accept().await {
            let mut silent = silent.clone();
            tokio::spawn(async move {
                let mut upstream = TcpStream::connect(server).await.unwrap();
                let silenced = async { silent.wait_for(|silent| *silent).await.is_ok() };
                tokio::select! {
                    biased;
                    true = silenced => std::future::pending().await,
                    _ = copy_bidirectional(&mut browser, &mut upstream) => {}
                }
            });
        }
    });
    silence
}

#[tokio::test]
async fn a_silent_connection_is_lost_whether_or_not_it_is_open_yet() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let world = World::configured(&[], |config| {
        let chosen = Config::parse(&format!("origins = ['http://{address}']")).unwrap();
        let ours = std::mem::replace(config, chosen);
        (config.listen, config.data_dir, config.rates) = (ours.listen, ours.data_dir, ours.rates);
    })
    .await;
    let silence = passing(listener, world.address);
    let browser = Browser::open(address).await;
    browser.sign_in("bob", 0).await;
    let later = "const now = Date.now; Date.now = () => now() + 11_000";
    silence.send_replace(true);
    browser.eval(later).await;
    browser.wait(LOST).await;
    browser.wait("#connection[data-state=connecting]").await;
    browser.eval(later).await;
    silence.send_replace(false);
    browser.wait(LIVE).await;
    browser.close().await;
}

#[tokio::test]
async fn what_the_server_does_not_take_just_now_is_said_beside_live() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let mut venue = world.venue().await;
    // A server whose storage does not accept writes, once the test says so.
    browser
        .eval(
            "globalThis.system = 'cancel_only'; const read = JSON.parse;
             JSON.parse = (text, ...rest) => read(text.replace('\"cancel_only\"', `\"${system}\"`), ...rest);",
        )
        .await;
    browser.sign_in("bob", 0).await;
    let told = async |text: &str| {
        browser.until(&format!("return document.getElementById('connection')?.textContent === '{text}'")).await;
    };
    let halted = "Live; the venue is halted: no new requests, no approvals";
    for (system, text) in [("cancel_only", halted), ("maintenance", "Live; the server is read-only at the moment")] {
        told("Live").await;
        browser.eval(&format!("system = '{system}'")).await;
        venue.call("halt", json!({"reason": "drill"})).await;
        told(text).await;
        venue.call("resume", json!({})).await;
    }
    venue.call("halt", json!({"reason": "drill"})).await;
    browser.client.refresh().await.unwrap();
    told(halted).await;
    browser.close().await;
}

#[tokio::test]
async fn a_freeze_while_the_connection_is_lost_is_shown_and_leaves_a_form_as_it_is() {
    let mut people = people();
    people[1].permissions = people[0].permissions.clone();
    let mut world = World::peopled(&[], &people).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    browser.go("#/service-users").await;
    browser.click("#add").await;
    let name = "form[data-method=create_service_user] input[name=name]";
    browser.fill(name, "Treasury Bot").await;
    is_lost(&browser, &mut world).await;
    let freeze = json!({"scope": "withdrawals", "reason": "a key leaked"});
    world.member("bob").await.call("freeze", freeze).await;
    browser.eval("tries[0]()").await;
    browser.until("return document.getElementById('freeze')?.textContent === 'Withdrawals are frozen'").await;
    let typed = browser.eval(&format!("return document.querySelector('{name}')?.value")).await;
    assert_eq!(typed, json!("Treasury Bot"));
    browser.close().await;
}

/// From here on the page's timers wait in `tries` until the test lets them act. The driver sets timers, too.
const KEEP_TIMERS: &str = "globalThis.tries = [];
    const later = setTimeout; globalThis.setTimeout = (act, ms) =>
        ms && new Error().stack.includes('/assets/') ? tries.push(act) : later(act, ms);";

/// Makes the page lose its connection to a server that is running again; the page retries only when the test lets it.
pub async fn is_lost(browser: &Browser, world: &mut World) {
    browser.eval(KEEP_TIMERS).await;
    world.stop().await;
    browser.until("return tries.length === 1").await;
    world.start().await;
}

/// Makes the page lose its connection, and reconnect after another tab of the same browser has signed in.
async fn comes_back_as(browser: &Browser, world: &mut World, name: &str) {
    is_lost(browser, world).await;
    signs_in_elsewhere(browser, name, 0).await;
    browser.eval("tries[0]()").await;
}

/// In another tab of the same browser, signs in with the code `step` steps from now.
async fn signs_in_elsewhere(browser: &Browser, name: &str, step: i64) {
    let body = json!({"email": format!("{name}@acme.test"), "password": PASSWORD, "otp": code(step)}).to_string();
    let script = format!(
        "return (await fetch('/session', {{ method: 'POST', body: '{body}',
         headers: {{ 'content-type': 'application/json' }} }})).status"
    );
    assert_eq!(browser.eval(&script).await, json!(200));
}

#[tokio::test]
async fn a_form_that_another_tab_made_needless_goes_once_somebody_looks_at_it() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    signs_in_elsewhere(&browser, "alice", 1).await;
    browser.wait("#sign-in").await;
    browser
        .eval(
            "globalThis.opened = 0; const Plain = WebSocket;
             globalThis.WebSocket = class extends Plain { constructor(address) { super(address); opened += 1; } };
             document.dispatchEvent(new Event('visibilitychange')); dispatchEvent(new Event('focus'));",
        )
        .await;
    belongs_to(&browser, "alice").await;
    assert_eq!(browser.eval("return opened").await, json!(1));
    browser.close().await;
}

/// Waits until the page shows that it belongs to this Member.
async fn belongs_to(browser: &Browser, name: &str) {
    browser.until(&format!("return document.querySelector('header')?.textContent.includes('{name}') ?? false")).await;
}

#[tokio::test]
async fn a_page_that_comes_back_as_another_member_says_who_whatever_is_open() {
    let mut world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    browser.click("#freeze").await;
    browser.wait("dialog form").await;
    comes_back_as(&browser, &mut world, "carol").await;
    belongs_to(&browser, "carol").await;
    browser.close().await;
}

#[tokio::test]
async fn a_page_that_comes_back_does_nothing_before_it_knows_for_whom() {
    let mut world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = world.bot(1).await;
    let id = asked(&mut bot, "1").await;
    drop(bot);
    browser.sign_in("bob", 0).await;
    browser.go(&format!("#/request/{id}")).await;
    browser.fill("#decide input[name=comment]", "not this week").await;
    browser.hold("member_info").await;
    comes_back_as(&browser, &mut world, "alice").await;
    browser.held(1).await;
    browser.press("Reject").await;
    browser.until("return document.querySelector('#decide .problem').textContent.includes('not connected')").await;
    let request = world.member("carol").await.call("request_info", json!({"request_id": id})).await;
    assert_eq!((&request["state"], &request["votes"]), (&json!("pending"), &json!([])));
    browser.answered(0).await;
    belongs_to(&browser, "alice").await;
    browser.close().await;
}

#[tokio::test]
async fn who_has_scrolled_down_on_a_phone_sees_that_the_connection_is_lost() {
    let mut world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::look(world.address, Look { width: 390, height: 844, dark: false }).await;
    let mut bot = world.bot(1).await;
    let id = asked(&mut bot, "1").await;
    drop(bot);
    browser.sign_in("bob", 0).await;
    browser.go(&format!("#/request/{id}")).await;
    browser.wait("#decide").await;
    browser.eval("scrollTo(0, document.documentElement.scrollHeight)").await;
    let seen = "return document.getElementById('connection').getBoundingClientRect().bottom > 0";
    assert_eq!(browser.eval(seen).await, json!(false));
    world.stop().await;
    browser.wait(LOST).await;
    browser.until(seen).await;
    browser.close().await;
}

#[tokio::test]
async fn who_signs_out_while_the_page_reconnects_stays_signed_out() {
    let mut world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("bob", 0).await;
    browser.eval(KEEP_TIMERS).await;
    browser
        .eval(
            "globalThis.opened = 0;
             const Plain = WebSocket; globalThis.WebSocket = class extends Plain {
                 constructor(address) { super(address); opened += 1; } };",
        )
        .await;
    world.stop().await;
    browser.until("return tries.length === 1").await;
    world.start().await;
    browser.press("Sign out").await;
    browser.wait("#sign-in").await;
    assert_eq!(browser.eval("tries[0](); return opened").await, json!(0));
    browser.close().await;
}

#[tokio::test]
async fn a_second_press_of_try_again_makes_no_second_connection() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.wait("#sign-in").await;
    // After the sign-in, the first check whether there is a session gets no answer.
    browser
        .eval(
            "const plain = fetch; let signedIn = false; let looks = 0; globalThis.opened = 0;
             globalThis.fetch = async (...asked) => {
                 if (asked.length === 2) signedIn = true;
                 else if (signedIn && looks++ === 0) throw new Error('away');
                 return plain(...asked); };
             const Plain = WebSocket; globalThis.WebSocket = class extends Plain {
                 constructor(address) { super(address); opened += 1; } };",
        )
        .await;
    browser.fill("#sign-in input[type=email]", "bob@acme.test").await;
    browser.fill("#sign-in input[type=password]", PASSWORD).await;
    browser.fill("#sign-in input[name=otp]", &code(0)).await;
    browser.click("#sign-in button.primary").await;
    browser.wait("section.narrow button").await;
    browser.eval("const again = document.querySelector('section button'); again.click(); again.click();").await;
    browser.wait(LIVE).await;
    assert_eq!(browser.eval("return opened").await, json!(1));
    browser.close().await;
}

#[tokio::test]
async fn what_went_wrong_is_said_once_and_stays_until_it_is_dismissed() {
    let mut world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("bob", 0).await;
    world.stop().await;
    browser.wait(LOST).await;
    for _ in 0..2 {
        browser.press("Sign out").await;
        browser.wait(".toast.bad").await;
    }
    world.start().await;
    browser.wait(LIVE).await;
    let mut bot = world.bot(1).await;
    let mut last = String::new();
    for _ in 0..5 {
        last = asked(&mut bot, "1").await;
    }
    listed(&browser, &last, true).await;
    assert_eq!(browser.eval("return document.querySelectorAll('.toast.bad').length").await, json!(1));
    browser.click(".toast.bad button").await;
    assert_eq!(browser.eval("return document.querySelectorAll('.toast.bad').length").await, json!(0));
    browser.close().await;
}

/// From now on the page resumes from an offset beyond the journal, which a journal restored from a backup refuses.
pub async fn no_offset_of_the_journals(browser: &Browser) {
    browser
        .eval(
            "const send = WebSocket.prototype.send; WebSocket.prototype.send = function (text) {
             send.call(this, text.replace(/\"from_offset\":[0-9]+/, '\"from_offset\":9007199254740991')); };",
        )
        .await;
}

#[tokio::test]
async fn a_position_that_is_not_the_journals_costs_a_snapshot_and_nothing_else() {
    let mut world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = world.bot(1).await;
    let id = asked(&mut bot, "1").await;
    browser.sign_in("bob", 0).await;
    listed(&browser, &id, true).await;
    no_offset_of_the_journals(&browser).await;
    drop(bot);
    world.stop().await;
    browser.wait(LOST).await;
    world.start().await;
    browser.wait(LIVE).await;
    listed(&browser, &id, true).await;
    browser.close().await;
}

#[tokio::test]
async fn a_session_that_ends_says_why_and_leaves_no_secret_on_the_screen() {
    let world = World::governed(&[], false).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    let more = json!({"member_id": "MEM2", "permissions": {"manage_access": ["initiate"]}, "otp": code(0)});
    alice.call("edit_member", more).await;
    browser.eval(NOTIFICATIONS).await;
    browser.sign_in("bob", 0).await;
    browser.go("#/service-users").await;
    browser.click("#add").await;
    let form = "form[data-method=create_service_user]";
    browser.fill(&format!("{form} input[name=name]"), "Treasury Bot").await;
    browser.fill(&format!("{form} input[name=otp]"), &code(0)).await;
    browser.press("Submit request").await;
    // A slip of the keyboard does not close it, wherever the focus is.
    browser.wait("dialog input").await.send_keys("\u{e00c}\u{e00c}").await.unwrap();
    browser.click("dialog p").await;
    keys(&browser, "\u{e00c}\u{e00c}").await;
    assert_eq!(browser.eval("return document.querySelectorAll('dialog[open]').length").await, json!(1));
    alice.call("edit_member", json!({"member_id": "MEM2", "suspended": true, "otp": code(1)})).await;
    browser.wait("#sign-in").await;
    assert!(
        browser
            .text("#sign-in")
            .await
            .contains("Your session has ended: you were suspended, reset or removed; ask a Member who manages access.")
    );
    assert_eq!(browser.eval("return document.querySelectorAll('dialog').length").await, json!(0));
    let told = browser.eval("return [document.title, notes]").await;
    assert_eq!(told, json!(["Signed out – Countersign", ["Sign in again to be told of requests."]]));
    browser.close().await;
}

#[tokio::test]
async fn who_could_not_be_signed_out_is_told_so() {
    let mut world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("bob", 0).await;
    world.stop().await;
    browser.wait(LOST).await;
    browser.press("Sign out").await;
    browser
        .until("return document.querySelector('.toast.bad')?.textContent.includes('still signed in') ?? false")
        .await;
    world.start().await;
    browser.wait(LIVE).await;
    browser.press("Sign out").await;
    browser.wait("#sign-in").await;
    browser.close().await;
}

#[tokio::test]
async fn who_tries_too_often_is_told_how_long_to_wait() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.wait("#sign-in").await;
    browser
        .eval(
            "globalThis.fetch = async () => new Response('{\"error\":[\"EAPI:Rate limit exceeded\"]}',
             { status: 429, headers: { 'retry-after': '7' } });",
        )
        .await;
    browser.fill("#sign-in input[type=email]", "bob@acme.test").await;
    browser.fill("#sign-in input[type=password]", PASSWORD).await;
    browser.fill("#sign-in input[name=otp]", &code(0)).await;
    browser.click("#sign-in button.primary").await;
    browser.until("return document.querySelector('.problem').textContent.includes('wait 7 s')").await;
    browser.close().await;
}
