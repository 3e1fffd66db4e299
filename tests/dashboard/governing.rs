//! Governing from the page: policies, addresses, invitations, explain, freeze, sign-out.

use countersign::access::scope::ScopeSet;
use countersign::gateway::passwords::code_for_step;
use countersign::server::wall_clock;
use serde_json::{Value, json};

use super::browser::Browser;
use super::client::{PASSWORD, ballot, code, limit};
use super::genesis::{Person, people};
use super::queue::{asked, keys, listed};
use super::world::{World, key};

#[tokio::test]
async fn a_policy_is_set_an_address_asked_for_and_a_withdrawal_explained() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    browser.go("#/policies").await;
    browser.click("[data-workflow=manage_addresses] button").await;
    let form = "form[data-method=set_policy]";
    browser.fill(&format!("{form} input[name=cool_down_s]"), "3600").await;
    browser.fill(&format!("{form} input[name=otp]"), &code(0)).await;
    browser.press("Submit request").await;
    browser.wait("#state.executed").await;
    assert!(browser.text("#payload").await.contains("3600"));
    browser.go("#/addresses").await;
    browser.click("#add").await;
    for (name, value) in [("asset", "BTC"), ("method", "BTC"), ("key", "hot-1"), ("address", "bc1qhot")] {
        browser.fill(&format!("form[data-method=add_address] input[name={name}]"), value).await;
    }
    browser.press("Submit request").await;
    browser.wait("#state.pending").await;
    browser.go("#/withdraw").await;
    for (name, value) in [("asset", "BTC"), ("key", "cold-1"), ("amount", "1")] {
        browser.fill(&format!("main input[name={name}]"), value).await;
    }
    browser.press("Explain").await;
    browser.wait("#explained dl").await;
    let told = browser.text("#explained").await;
    assert!(told.contains("bob") && !told.contains("alice"), "{told}");
    // The answer was about another address.
    browser.fill("main input[name=key]", "hot-1").await;
    assert_eq!(browser.text("#explained").await, "");
    browser.press("Explain").await;
    browser.wait("#explained .problem").await;
    browser.close().await;
}

#[tokio::test]
async fn a_form_for_a_policy_goes_when_the_policy_changes() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    browser.sign_in("alice", 1).await;
    browser.go("#/policies").await;
    browser.click("[data-workflow=initiate_withdrawal] button").await;
    browser.wait("form[data-method=set_policy]").await;
    let two = json!({"workflow": "initiate_withdrawal", "quorum": 2, "otp": code(0)});
    alice.call("set_policy", two).await;
    browser
        .until("return document.querySelector('main').textContent.includes('has changed since this form was opened')")
        .await;
    assert_eq!(browser.eval("return document.querySelector('form[data-method=set_policy]')").await, Value::Null);
    browser.close().await;
}

#[tokio::test]
async fn rule_23_a_policy_is_removed_from_what_then_lacks_approvers_once_that_is_accepted() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let (mut alice, mut bob) = (world.member("alice").await, world.member("bob").await);
    let looser = json!({"workflow": "initiate_withdrawal", "quorum": 1, "allow_execute": true});
    alice.call("set_policy", looser).await;
    alice.call("set_policy", json!({"workflow": "manage_policies", "quorum": 1, "otp": code(0)})).await;
    let tighter = alice.call("set_policy", json!({"workflow": "initiate_withdrawal", "quorum": 2})).await;
    bob.call("approve", json!({"requests": ballot(&tighter), "otp": code(0)})).await;
    browser.sign_in("alice", 1).await;
    browser.go("#/policies").await;
    // Without this policy the first request is judged by the one for withdrawals again, which needs two votes.
    browser.click("[data-workflow=manage_policies] button.danger").await;
    browser.press("Request removal").await;
    browser
        .until("return document.querySelector('form .problem')?.textContent.includes('would lack approvers') === true")
        .await;
    browser.click("form[data-method=remove_policy] label.check:last-of-type input").await;
    browser.press("Request removal").await;
    browser.wait("#state.pending").await;
    browser.close().await;
}

#[tokio::test]
async fn a_late_explanation_is_of_what_was_asked_last() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    browser.hold("policy_explain").await;
    browser.sign_in("alice", 0).await;
    browser.go("#/withdraw").await;
    for (name, value) in [("asset", "BTC"), ("key", "cold-1"), ("amount", "1")] {
        browser.fill(&format!("main input[name={name}]"), value).await;
    }
    let explained = async || browser.eval("return document.getElementById('explained').textContent").await;
    browser.press("Explain").await;
    browser.held(1).await;
    browser.fill("main input[name=key]", "nowhere").await;
    browser.answered(0).await;
    assert_eq!(explained().await, json!(""), "it was about another address");
    browser.press("Explain").await;
    browser.held(2).await;
    browser.fill("main input[name=key]", "cold-1").await;
    browser.press("Explain").await;
    browser.held(3).await;
    browser.answered(2).await;
    assert!(explained().await.to_string().contains("bob"));
    browser.answered(1).await;
    assert!(explained().await.to_string().contains("bob"), "the refusal was about another address");
    browser.close().await;
}

#[tokio::test]
async fn escape_closes_a_dialog_and_does_nothing_else() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    let focused = "return document.activeElement.id";
    for place in ["queue", "members"] {
        browser.go(&format!("#/{place}")).await;
        browser.wait("#freeze").await.send_keys("\u{e007}").await.unwrap();
        browser.fill("dialog input", "a key leaked").await;
        keys(&browser, "\u{e00c}").await;
        browser.until("return document.querySelector('dialog') === null").await;
        assert_eq!(browser.eval(focused).await, json!("freeze"), "the keyboard is where it was");
        assert_eq!(browser.text("#freeze").await, "Freeze");
        assert!(browser.eval("return location.hash").await == json!(format!("#/{place}")));
    }
    browser.close().await;
}

#[tokio::test]
async fn a_dialog_holds_up_no_change_of_rights() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    browser.sign_in("alice", 1).await;
    browser.wait("nav [data-place=addresses]").await;
    browser.click("#freeze").await;
    browser.wait("dialog form").await;
    let less = json!({"member_id": "MEM1", "permissions": {"manage_addresses": []}, "otp": code(0)});
    alice.call("edit_member", less).await;
    browser
        .until("return document.querySelector('nav') !== null && document.querySelector('[data-place=addresses]') === null")
        .await;
    browser.close().await;
}

#[tokio::test]
async fn a_refusal_is_said_in_words_and_leaves_the_keyboard_where_it_was() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    browser.go("#/addresses").await;
    browser.click("#add").await;
    for (name, value) in [("asset", "BTC"), ("method", "BTC"), ("key", "hot-1"), ("address", "bc1qhot")] {
        browser.fill(&format!("form[data-method=add_address] input[name={name}]"), value).await;
    }
    browser.wait("form[data-method=add_address] button").await.send_keys("\u{e007}").await.unwrap();
    let told = "return document.querySelector('form .problem').textContent";
    browser.until(&format!("{told} !== ''")).await;
    let words = "One-time code needed (otp): it takes effect at once; give a one-time code";
    assert_eq!(browser.eval(told).await, json!(words));
    keys(&browser, "\u{e007}").await;
    assert_eq!(browser.eval("return document.activeElement.textContent").await, json!("Submit request"));
    browser.close().await;
}

#[tokio::test]
async fn an_invited_member_signs_up_in_the_browser() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    browser.go("#/members").await;
    browser.click("#add").await;
    let form = "form[data-method=invite_member]";
    browser.fill(&format!("{form} input[name=name]"), "Dora").await;
    browser.fill(&format!("{form} input[name=email]"), "dora@acme.test").await;
    browser.fill(&format!("{form} input[name=otp]"), &code(0)).await;
    browser.press("Submit request").await;
    let link = browser.wait("dialog input[data-secret='Invitation link']").await;
    let link = link.prop("value").await.unwrap().unwrap();
    browser.press("I have it").await;
    browser.wait("#state.executed").await;
    browser.press("Sign out").await;
    browser.wait("#sign-in").await;
    browser.client.goto(&link).await.unwrap();
    browser.fill("input[type=password]", PASSWORD).await;
    browser.press("Continue").await;
    let secret = browser.wait("input[data-secret=totp]").await.prop("value").await.unwrap().unwrap();
    let otp = |steps: u64| code_for_step(&secret, wall_clock().0 / 30_000_000 + steps).unwrap();
    browser.fill("input[name=otp]", &otp(0)).await;
    browser.press("Confirm").await;
    browser.wait("#sign-in").await;
    browser.sign_in_as("dora@acme.test", PASSWORD, &otp(1)).await;
    assert!(browser.text("header").await.contains("KYC not verified"));
    browser.close().await;
}

#[tokio::test]
async fn an_invitation_that_waits_for_approval_says_so() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    alice.call("set_policy", json!({"workflow": "manage_access", "quorum": 1, "otp": code(0)})).await;
    let dora = json!({"name": "Dora", "email": "dora@acme.test", "permissions": {}});
    let token = alice.call("invite_member", dora).await["invitation"].take();
    browser.sign_in("bob", 0).await;
    // Also in the page of somebody who is signed in.
    browser.go(&format!("#/invitation/{}", token.as_str().unwrap())).await;
    browser.fill("input[type=password]", PASSWORD).await;
    browser.press("Continue").await;
    browser.until("return document.querySelector('.problem').textContent.includes('not approved yet')").await;
    assert_eq!(browser.eval("return document.querySelector('header')").await, Value::Null);
    browser.client.back().await.unwrap();
    browser.wait("nav [data-place=queue]").await;
    browser.close().await;
}

#[tokio::test]
async fn an_edit_changes_what_was_changed_in_the_form_and_nothing_else() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    browser.sign_in("alice", 1).await;
    browser.go("#/service-users").await;
    browser.press("Details").await;
    browser.press("Edit").await;
    let form = "form[data-method=edit_service_user]";
    browser.wait(form).await;
    // Somebody else takes a scope away while the form is open.
    let expires_at = "2099-01-01T00:00:00.000001Z";
    let less =
        json!({"service_user_id": "SVC1", "scopes": ["query"], "settings": {"expires_at": expires_at}, "otp": code(0)});
    alice.call("edit_service_user", less).await;
    browser.fill(&format!("{form} textarea"), "127.0.0.0/8").await;
    browser.fill(&format!("{form} input[name=otp]"), &code(1)).await;
    browser.press("Submit request").await;
    browser.wait("#state.executed").await;
    let user = alice.call("service_users", json!({})).await["service_users"][0].take();
    assert_eq!(user["scopes"], json!(["query"]));
    assert_eq!(user["settings"]["expires_at"], json!(expires_at));
    assert_eq!(user["settings"]["ip_allowlist"], json!(["127.0.0.0/8"]));
    browser.close().await;
}

#[tokio::test]
async fn an_edit_gives_back_nothing_that_others_took_while_its_form_was_open() {
    let mut people = people();
    people[1].permissions = people[0].permissions.clone();
    people[2].permissions = people[0].permissions.clone();
    let world = World::peopled(&[key(ScopeSet::ALL)], &people).await;
    let browser = Browser::open(world.address).await;
    let mut bob = world.member("bob").await;
    browser.sign_in("alice", 0).await;
    let refused = async |form: &str, what: &str| {
        browser.fill(&format!("{form} input[name=otp]"), &code(0)).await;
        browser.press("Submit request").await;
        let told = format!("return document.querySelector('{form} .problem')?.textContent");
        browser.until(&format!("{told} !== ''")).await;
        let words = "Reopen the form to see the new value.";
        let words = format!("This has changed since the form was opened: {what}. {words}");
        assert_eq!(browser.eval(&told).await, json!(words));
    };
    browser.go("#/service-users").await;
    browser.press("Details").await;
    browser.press("Edit").await;
    let form = "form[data-method=edit_service_user]";
    browser.wait(form).await;
    let less = json!({"service_user_id": "SVC1", "scopes": ["query"], "otp": code(0)});
    bob.call("edit_service_user", less).await;
    browser.click(&format!("{form} input[name=earn]")).await;
    refused(form, "scopes").await;
    assert_eq!(bob.call("service_users", json!({})).await["service_users"][0]["scopes"], json!(["query"]));
    browser.go("#/members").await;
    browser.click("button[aria-label^='Change carol']").await;
    let form = "form[data-method=edit_member]";
    browser.wait(form).await;
    let left = json!(["view", "initiate", "approve"]);
    let less = json!({"member_id": "MEM3", "permissions": {"manage_policies": left}, "otp": code(1)});
    bob.call("edit_member", less).await;
    browser
        .eval(&format!(
            "const boxes = [...document.querySelectorAll('{form} fieldset')]
                 .find((one) => one.textContent.startsWith('manage policies')).querySelectorAll('input');
             boxes[1].click();"
        ))
        .await;
    refused(form, "manage policies").await;
    assert_eq!(bob.call("members", json!({})).await["members"][2]["permissions"]["manage_policies"], left);
    browser.close().await;
}

#[tokio::test]
async fn a_number_that_was_emptied_is_not_taken_for_0() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("alice", 0).await;
    let detail = "main section button:nth-of-type";
    for (place, buttons, method) in [
        ("policies", ["[data-workflow=manage_addresses] button"].as_slice(), "set_policy"),
        ("service-users", &["[data-user='Bot 1']", &format!("{detail}(1)")], "edit_service_user"),
        ("service-users", &["[data-user='Bot 1']", &format!("{detail}(2)")], "rotate_service_user_key"),
    ] {
        browser.go(&format!("#/{place}")).await;
        for button in buttons {
            browser.click(button).await;
        }
        let form = format!("form[data-method={method}]");
        browser.wait(&form).await;
        let numbers = format!("[...document.querySelectorAll('{form} [type=number]')]");
        browser.eval(&format!("for (const input of {numbers}) input.value = ''")).await;
        browser.press("Submit request").await;
        let marked = format!("return {numbers}.length > 0 && {numbers}.every((input) => input.matches(':invalid'))");
        assert_eq!(browser.eval(&marked).await, json!(true), "{method}");
        assert_eq!(browser.eval("return document.activeElement.type").await, json!("number"), "{method}");
    }
    browser.close().await;
}

#[tokio::test]
async fn a_freeze_from_the_page_is_seen_and_ended_by_others() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let browser = Browser::open(world.address).await;
    let (mut bob, mut bot) = (world.member("bob").await, world.bot(1).await);
    bob.subscribe("approvals").await;
    browser.sign_in("alice", 0).await;
    browser.click("#freeze").await;
    browser.fill("dialog input", "a key leaked").await;
    browser.press("Freeze now").await;
    browser.until("return document.getElementById('freeze').textContent === 'Withdrawals are frozen'").await;
    assert_eq!(browser.eval("return document.activeElement.id").await, json!("freeze"), "the keyboard stays there");
    let withdrawal = json!({"asset": "BTC", "key": "cold-1", "amount": "1"});
    assert!(bot.refused("withdraw", withdrawal.clone()).await.starts_with("EGovernance:Frozen"));
    browser.click("#freeze").await;
    assert!(browser.text("dialog p").await.contains("by you: a key leaked"));
    // Only votes can complete it, so the page must not offer to complete it at once.
    assert_eq!(browser.eval("return document.querySelectorAll('dialog input').length").await, json!(1));
    browser.fill("dialog input", "the key is revoked").await;
    browser.press("Request unfreeze").await;
    browser.wait("#state.pending").await;
    let request = bob.item("approvals", |item: &Value| item["action"] == "unfreeze").await;
    bob.call("approve", json!({"requests": ballot(&request), "otp": code(0)})).await;
    browser.wait("#state.approved").await;
    browser.until("return document.getElementById('freeze').textContent === 'Freeze'").await;
    bot.call("withdraw", withdrawal).await;
    browser.press("Sign out").await;
    browser.wait("#sign-in").await;
    assert_eq!(browser.eval("return document.activeElement.name").await, json!("email"));
    browser.close().await;
}

#[tokio::test]
async fn a_page_whose_member_gains_or_loses_rights_shows_what_may_be_seen_now() {
    let mut people = people();
    people[2].permissions = people[1].permissions.clone();
    let world = World::peopled(&[key(ScopeSet::ALL)], &people).await;
    let browser = Browser::open(world.address).await;
    let (mut alice, mut bot) = (world.member("alice").await, world.bot(1).await);
    let id = asked(&mut bot, "1").await;
    browser.sign_in("bob", 0).await;
    listed(&browser, &id, true).await;
    for (step, rights, views) in [(0, json!([]), false), (1, json!(["view"]), true)] {
        let edit = json!({"member_id": "MEM2", "permissions": {"initiate_withdrawal": rights}, "otp": code(step)});
        alice.call("edit_member", edit).await;
        listed(&browser, &id, views).await;
        browser
            .until(&format!("return (document.querySelector('nav [data-place=withdraw]') !== null) === {views}"))
            .await;
    }
    browser.close().await;
}

#[tokio::test]
async fn rule_36_what_the_venue_sets_of_a_member_reaches_the_list_of_members() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let mut venue = world.venue().await;
    browser.sign_in("alice", 0).await;
    browser.go("#/members").await;
    for kyc in ["rejected", "verified"] {
        venue.call("set_kyc", json!({"member_id": "MEM3", "kyc": kyc})).await;
        let shown = format!(
            "return [...document.querySelectorAll('main tbody tr')].some((row) =>
                 row.textContent.includes('carol') && row.children[3].textContent === '{kyc}')"
        );
        browser.until(&shown).await;
    }
    browser.close().await;
}

#[tokio::test]
async fn a_list_drawn_anew_leaves_the_keyboard_on_its_row_however_much_is_named_alike() {
    let world = World::new(&[]).await;
    let browser = Browser::open(world.address).await;
    let mut alice = world.member("alice").await;
    let address = json!({"asset": "ETH", "method": "ETH", "key": "cold-1", "address": "0xcold", "otp": code(0)});
    alice.call("add_address", address).await;
    let bob = json!({"name": "bob", "email": "bob@other.test", "permissions": {}, "otp": code(1)});
    alice.call("invite_member", bob).await;
    browser.sign_in("alice", 1).await;
    let freeze = json!({"scope": "withdrawals", "reason": "a key leaked"});
    let unfreeze = json!({"reason": "the key is revoked"});
    let more = json!({"scope": "all", "reason": "another key leaked"});
    for (place, row, method, params, title) in [
        ("addresses", "0xcold", "freeze", freeze, "Remove ETH cold-1"),
        ("members", "bob@other.test", "unfreeze", unfreeze, "Change bob, bob@other.test"),
        ("policies", "manage addresses", "freeze", more, "Policy of manage addresses"),
    ] {
        browser.go(&format!("#/{place}")).await;
        let rows = "[...document.querySelectorAll('main tbody tr, main [data-workflow]')]";
        let row = format!("{rows}.find((one) => one.textContent.includes('{row}'))");
        browser.until(&format!("return {row} !== undefined")).await;
        browser
            .eval(&format!(
                "const row = {row};
                 globalThis.held = row.querySelector('button'); held.focus();"
            ))
            .await;
        alice.call(method, params).await;
        browser.until("return !held.isConnected").await;
        keys(&browser, "\u{e007}").await;
        assert_eq!(browser.text("main form h2").await, title);
    }
    browser.close().await;
}

/// The page's calls that no other test covers. Bob connects only after the slow browser: unread sockets are closed.
#[tokio::test]
async fn each_change_that_the_page_offers_is_asked_for_and_takes_effect() {
    let mut people = people();
    people.push(Person { name: "dora".to_owned(), ..people[2].clone() });
    let world = World::peopled(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], &people).await;
    let browser = Browser::open(world.address).await;
    let (mut alice, mut bot) = (world.member("alice").await, world.bot(1).await);
    alice.call("set_policy", json!({"workflow": "manage_access", "quorum": 1, "otp": code(0)})).await;
    bot.subscribe("executions").await;
    bot.call("add_order", limit("buy", 1, 10)).await;
    browser.sign_in("alice", 1).await;
    browser.go("#/service-users").await;
    browser.click("[data-user='Bot 1']").await;
    browser.press("Cancel its orders").await;
    browser.press("Cancel all of them").await;
    bot.item("executions", |item| item["exec_type"] == "canceled").await;
    browser.until("return document.querySelector('.toast.good')?.textContent === '1 order canceled'").await;
    let [carol, dora] = ["carol", "dora"].map(|name| format!("button[aria-label^='Change {name}']"));
    for (place, buttons, method) in [
        ("service-users", &["[data-user='Bot 1']", "section button:nth-of-type(2)"][..], "rotate_service_user_key"),
        ("service-users", &["[data-user='Bot 2']", "section button:nth-of-type(3)"], "remove_service_user"),
        ("policies", &["[data-workflow=initiate_withdrawal] .danger"], "remove_policy"),
        ("members", &[&carol], "reset_member"),
        ("members", &[&dora], "remove_member"),
        ("withdraw", &[], "initiate_withdrawal"),
        ("addresses", &["tbody .danger"], "remove_address"),
    ] {
        browser.go(&format!("#/{place}")).await;
        for button in buttons {
            browser.click(&format!("main {button}")).await;
        }
        let form = format!("form[data-method={method}]");
        match method {
            "initiate_withdrawal" => {
                for (name, value) in [("asset", "BTC"), ("key", "cold-1"), ("amount", "1")] {
                    browser.fill(&format!("{form} input[name={name}]"), value).await;
                }
            }
            "remove_address" => browser.fill(&format!("{form} input[name=otp]"), &code(1)).await,
            _ => {}
        }
        browser.click(&format!("{form} > .actions button")).await;
        if method == "reset_member" {
            browser.press("I have it").await;
        }
        // Addresses are under no policy.
        browser.wait(if method == "remove_address" { "#state.executed" } else { "#state.pending" }).await;
    }
    let mut bob = world.member("bob").await;
    let failed = bob.call("requests", json!({"state": "failed"})).await;
    assert_eq!(failed["requests"][0]["action"], "withdraw", "its address is gone: {failed}");
    let pending = bob.call("requests", json!({"state": "pending"})).await["requests"].take();
    let votes: Vec<Value> = pending.as_array().unwrap().iter().map(|request| ballot(request)[0].take()).collect();
    let decided = bob.call("approve", json!({"requests": votes, "otp": code(0)})).await;
    let states = decided["requests"].as_array().unwrap().iter().map(|one| &one["request"]["state"]);
    assert_eq!(states.collect::<Vec<_>>(), vec!["approved"; 5], "{decided}");
    let users = bob.call("service_users", json!({})).await["service_users"].take();
    assert_eq!((&users[0]["unclaimed"]["member_id"], users.get(1)), (&json!("MEM1"), None), "{users}");
    let policies = bob.call("policies", json!({})).await["policies"].take();
    assert_eq!((&policies[0]["workflow"], policies.get(1)), (&json!("manage_access"), None), "{policies}");
    let members = bob.call("members", json!({})).await["members"].take();
    assert_eq!((&members[2]["status"], members.get(3)), (&json!("invited"), None), "{members}");
    assert_eq!(bob.call("addresses", json!({})).await["addresses"], json!([]));
    browser.close().await;
}
