//! What a Member is shown: everything that matters, safely, on any screen; and the digest computed from it.

use countersign::access::scope::ScopeSet;
use countersign::gateway::credentials::decode_secret;
use serde_json::{Value, json};

use super::browser::{Browser, Look};
use super::client::{Client, ballot, code, code_of};
use super::demo::Demo;
use super::queue::{NOTIFICATIONS, asked, listed, made_by};
use super::world::{World, key};

/// A name that tries to be read as a different one, or as markup.
const HOSTILE: &str = "<img src=x onerror=alert(1)> p\u{430}ypal \u{202e}txt\u{200b}";

#[tokio::test]
async fn d3_45_markup_bidi_and_look_alikes_are_shown_for_what_they_are() {
    let world = World::governed(&[key(ScopeSet::ALL)], false).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    let policy = json!({"workflow": "manage_access", "quorum": 1, "otp": code(0)});
    alice.call("set_policy", policy).await;
    let asked = json!({"name": HOSTILE, "scopes": ["query"]});
    let request = alice.call("create_service_user", asked).await;
    let id = request["request_id"].as_str().unwrap();
    browser.sign_in("bob", 0).await;
    listed(&browser, id, true).await;
    browser.go(&format!("#/request/{id}")).await;
    browser.wait("#payload .digest.good").await;
    let shown = browser.text("#payload").await;
    for part in ["<img src=x onerror=alert(1)>", "U+202E", "U+200B", "mixed: Latin and Cyrillic"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let zone = "return new Intl.DateTimeFormat(undefined, { timeZoneName: 'short' }).formatToParts(new Date())
        .find(({ type }) => type === 'timeZoneName').value";
    let zone = browser.eval(zone).await;
    assert!(browser.text("main time").await.ends_with(zone.as_str().unwrap()), "a time names its zone");
    assert_eq!(browser.eval("return document.querySelectorAll('main img').length").await, json!(0));
    browser.screenshot("hostile-name").await;
    browser.close().await;
}

#[tokio::test]
async fn d3_45_headings_choices_and_notifications_show_names_as_the_lists_do() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = made_by(&mut world.member("alice").await, &world, HOSTILE).await;
    browser.eval(NOTIFICATIONS).await;
    browser.sign_in("alice", 1).await;
    let as_text = "<img src=x onerror=alert(1)> p\u{430}ypal [U+202E]txt[U+200B] (mixed: Latin and Cyrillic)";
    browser.go("#/withdraw").await;
    browser.wait("option[value=SVC1]").await;
    let choice = browser.eval("return document.querySelector('option[value=SVC1]').textContent").await;
    assert_eq!(choice, json!(as_text));
    asked(&mut bot, "1").await;
    browser.until("return notes.length === 1").await;
    assert_eq!(browser.eval("return notes[0]").await, json!(format!("withdraw by {as_text}")));
    browser.go("#/service-users").await;
    for (button, title) in [("Edit", "Edit "), ("Rotate key", "Rotate the key of "), ("Remove", "Remove ")] {
        browser.press("Details").await;
        browser.press(button).await;
        let heading = browser.text("main form h2").await;
        assert!(heading.starts_with(title) && !heading.contains(['\u{202e}', '\u{200b}']), "{heading:?}");
        for part in ["<img src=x onerror=alert(1)>", "U+202E", "U+200B", "mixed: Latin and Cyrillic"] {
            assert!(heading.contains(part), "{part} is not in {heading}");
        }
    }
    browser.close().await;
}

#[tokio::test]
async fn d3_45_no_two_names_look_alike() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let (other, mixed) = ("another script", "mixed: Latin and another script");
    for (name, shown) in [
        ("Treasury Bot", "Treasury Bot".to_owned()),
        ("Treasury Bot ", "Treasury Bot[U+0020]".to_owned()),
        (" Treasury Bot", "[U+0020]Treasury Bot".to_owned()),
        ("Treasury  Bot", "Treasury[U+0020][U+0020]Bot".to_owned()),
        ("Treasury\u{a0}Bot", "Treasury[U+00A0]Bot".to_owned()),
        ("Treasury Bot\u{e0100}", "Treasury Bot[U+E0100]".to_owned()),
        ("Treasury\u{2800}Bot\u{1d159}", "Treasury[U+2800]Bot[U+1D159]".to_owned()),
        ("Treasury Bot\u{180f}\u{17b4}", "Treasury Bot[U+180F][U+17B4]".to_owned()),
        ("cold\u{2010}1", "cold[U+2010]1".to_owned()),
        ("cold\u{2212}1", "cold[U+2212]1".to_owned()),
        // Lisu, Coptic, Georgian, Thai, Osage, and a Bengali four.
        ("\u{a4d0}\u{a4f3}", format!("\u{a4d0}\u{a4f3} ({other})")),
        ("\u{2ca3}", format!("\u{2ca3} ({other})")),
        ("\u{10d0}", format!("\u{10d0} ({other})")),
        ("\u{e01}old", format!("\u{e01}old ({mixed})")),
        ("\u{104b0}old", format!("\u{104b0}old ({mixed})")),
        ("cold-\u{9ea}", format!("cold-\u{9ea} ({mixed})")),
        // What its own script writes is none of another one.
        ("\u{30b3}\u{30fc}\u{30d2}\u{30fc}", "\u{30b3}\u{30fc}\u{30d2}\u{30fc} (Katakana)".to_owned()),
        ("Z\u{fc}rich 50 %", "Z\u{fc}rich 50 %".to_owned()),
    ] {
        let name = json!(name);
        let script = format!("return (await import('/assets/dom.js')).plain({name})");
        assert_eq!(browser.eval(&script).await, json!(shown));
        let script = format!(
            "const span = (await import('/assets/dom.js')).safe({name});
             const marks = [...span.querySelectorAll('mark')].map((mark) => mark.textContent);
             return [marks, span.querySelector('small')?.textContent ?? '']"
        );
        let marks: Vec<&str> = shown.split('[').skip(1).map(|rest| rest.split_once(']').unwrap().0).collect();
        let script_named = shown.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
        assert_eq!(browser.eval(&script).await, json!([marks, script_named]));
    }
    browser.close().await;
}

#[tokio::test]
async fn d7_84_the_page_computes_the_digests_of_the_committed_examples() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let example: Value = serde_json::from_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
        let script = format!(
            "const {{ digest }} = await import('/assets/digest.js'); const example = {example};
             return await digest(example.organization, example.request)"
        );
        assert_eq!(browser.eval(&script).await, example["request"]["digest"]);
        seen += 1;
    }
    assert!(seen >= 3, "{seen} examples");
    browser.close().await;
}

#[tokio::test]
async fn d3_34_a_request_that_is_not_what_its_digest_says_cannot_be_approved_here() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = world.bot(1).await;
    // A server, or something in between, that shows one address but has another one signed.
    browser
        .eval("const read = JSON.parse; JSON.parse = (text) => read(text.replaceAll('bc1qcold', 'bc1qevil'));")
        .await;
    browser.sign_in("bob", 0).await;
    let id = asked(&mut bot, "1").await;
    listed(&browser, &id, true).await;
    browser.click(&format!("[data-request='{id}']")).await;
    browser.wait("#payload .digest.bad").await;
    let disabled =
        "return [...document.querySelectorAll('#decide button')].find((b) => b.textContent === 'Approve').disabled";
    assert_eq!(browser.eval(disabled).await, json!(true));
    browser.close().await;
}

/// Whether a view shows more than its title.
const DRAWN: &str = "const main = document.querySelector('main');
    return main !== null && main.querySelector('h1') !== null && main.children.length > 1";
/// Cells of several parts: on a phone each would take the place of the next one's name.
const SCATTERED: &str =
    "return [...document.querySelectorAll('main td')].filter((cell) => cell.childNodes.length > 1).length";
/// Headers of tables without a name.
const NAMELESS: &str = "return document.querySelectorAll('th:empty').length";
const PLACES: [&str; 8] =
    ["queue", "history", "withdraw", "service-users", "members", "policies", "addresses", "audit"];

/// The demo's world after its story, and two withdrawals that wait.
#[tokio::test]
async fn every_place_opens_and_fits_in_light_in_dark_and_on_a_phone() {
    let dir = tempfile::tempdir().unwrap();
    let demo = Demo::start(dir.path(), None);
    let address = demo.text("/http").trim_start_matches("http://").parse().unwrap();
    let [key, secret] = demo.treasury_bot();
    let mut bot = Client::signed(address, &key, &decode_secret(&secret).unwrap()).await.unwrap();
    let id = asked(&mut bot, "0.25").await;
    asked(&mut bot, "1.5").await;
    let looks = [
        ("light", Look { width: 1280, height: 900, dark: false }, (0, 0)),
        ("dark", Look { width: 1280, height: 900, dark: true }, (0, 1)),
        ("phone", Look { width: 390, height: 844, dark: false }, (1, 0)),
    ];
    for (name, look, (member, steps)) in looks {
        let browser = Browser::look(address, look).await;
        browser.wait("#sign-in").await;
        browser.screenshot(&format!("sign-in-{name}")).await;
        let text = |field: &str| demo.text(&format!("/members/{member}/{field}"));
        let otp = code_of(&text("totp_secret"), steps);
        browser.sign_in_as(&text("email"), &text("password"), &otp).await;
        let request = format!("request/{id}");
        for place in PLACES.into_iter().chain([request.as_str()]) {
            browser.go(&format!("#/{place}")).await;
            browser.until(DRAWN).await;
            let wide = browser.eval("return document.documentElement.scrollWidth - innerWidth").await;
            assert!(wide.as_i64().unwrap() <= 0, "{place} is {wide} px too wide on {name}");
            assert_eq!(browser.eval(SCATTERED).await, json!(0), "{place}");
            assert_eq!(browser.eval(NAMELESS).await, json!(0), "{place}");
            assert_eq!(browser.text(".toast.bad").await, "", "{place}");
            let told = browser.text("main").await;
            assert!(
                !told.contains("null") && !told.contains("undefined"),
                "{place} tells of what is not there: {told}"
            );
            let file = place.split('/').next().unwrap();
            browser.screenshot(&format!("{file}-{name}")).await;
        }
        let queue = "const [link] = document.querySelectorAll('nav a'); return link.textContent";
        assert_eq!(browser.eval(queue).await, json!("Queue 2"), "a screen reader reads two words");
        browser.close().await;
    }
}

#[tokio::test]
async fn however_long_a_name_or_comment_is_nothing_beside_it_leaves_the_screen() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let mut bot = made_by(&mut world.member("alice").await, &world, &"W".repeat(64)).await;
    let id = asked(&mut bot, "1").await;
    let mut bob = world.member("bob").await;
    let request = bob.call("request_info", json!({"request_id": id})).await;
    bob.call("approve", json!({"requests": ballot(&request), "otp": code(0), "comment": "W".repeat(400)})).await;
    asked(&mut bot, "2").await;
    browser.sign_in("bob", 1).await;
    let request = format!("request/{id}");
    for place in ["queue", "history", "service-users", "audit", &request] {
        browser.go(&format!("#/{place}")).await;
        browser.wait("main tbody .foreign").await;
        let wide =
            "return [...document.querySelectorAll('main .scroll')].map((one) => one.scrollWidth - one.clientWidth)";
        assert_eq!(browser.eval(wide).await, json!([0]), "{place}");
        browser.screenshot(&format!("long-name-{}", place.split('/').next().unwrap())).await;
    }
    browser.close().await;
}

#[tokio::test]
async fn a_page_is_named_in_its_title_and_marked_in_the_navigation() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    for (place, title) in [("members", "Members"), ("request/RQ1", "Request")] {
        browser.go(&format!("#/{place}")).await;
        browser.until(&format!("return document.title === '{title} – Countersign'")).await;
    }
    // With forced colours every border is visible.
    let marked = "return [...document.querySelectorAll('nav a')]
        .filter((link) => getComputedStyle(link).borderBottomWidth !== '0px').map(({ textContent }) => textContent)";
    assert_eq!(browser.eval(marked).await, json!(["Queue "]));
    browser.press("Sign out").await;
    browser.until("return document.title === 'Countersign'").await;
    browser.close().await;
}
