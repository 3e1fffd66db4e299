//! Only those who guess must wait: sign-ins by account and address, and by address (rule 4; checklist 28).

use countersign::access::scope::ScopeSet;
use futures::future::join_all;
use serde_json::json;

use super::client::{Client, PASSWORD, code, http, next_nonce};
use super::settings::token;
use super::world::{World, api_key, key, secret};

/// A world that believes the addresses that its clients claim.
async fn world() -> World {
    World::configured(&[key(ScopeSet::ALL)], |config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()])
        .await
}

/// The status of a sign-in from an address.
async fn sign_in(world: &World, from: &str, email: &str, password: &str) -> u16 {
    let origin = format!("http://{}", world.address);
    let headers = [("Origin", origin.as_str()), ("Content-Type", "application/json"), ("X-Forwarded-For", from)];
    let body = json!({"email": email, "password": password, "otp": code(0)}).to_string();
    http(world.address, "POST", "/session", &headers, &body).await.0
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|found| **found == status).count()
}

#[tokio::test]
async fn d2_28_wrong_passwords_slow_their_sender_down_and_nobody_else() {
    let world = world().await;
    for email in ["alice@acme.test", "ALICE@Acme.test"].into_iter().cycle().take(10) {
        assert_eq!(sign_in(&world, "203.0.113.9", email, "wrong password").await, 401);
    }
    assert_eq!(sign_in(&world, "203.0.113.9", "alice@acme.test", PASSWORD).await, 429, "the pair waits");
    assert_eq!(sign_in(&world, "203.0.113.10", "alice@acme.test", PASSWORD).await, 200, "not the victim elsewhere");
    assert_eq!(sign_in(&world, "203.0.113.9", "bob@acme.test", PASSWORD).await, 200, "and not others there");
}

#[tokio::test]
async fn a_code_that_was_used_is_no_guess() {
    let world = world().await;
    let mut statuses = Vec::new();
    for _ in 0..23 {
        statuses.push(sign_in(&world, ELSEWHERE, "alice@acme.test", PASSWORD).await);
    }
    // The next code may come meanwhile, and signs in once.
    assert_eq!((statuses[0], count(&statuses, 429)), (200, 0), "{statuses:?}");
    assert!(count(&statuses, 401) > 20, "{statuses:?}");
}

#[tokio::test]
async fn d2_28_guesses_at_once_are_judged_no_more_than_guesses_one_after_the_other() {
    let world = world().await;
    let guesses = (0..40).map(|_| sign_in(&world, "203.0.113.9", "alice@acme.test", "a guess"));
    let statuses = join_all(guesses).await;
    assert_eq!((count(&statuses, 401), count(&statuses, 429)), (10, 30), "of one account");
    let emails: Vec<String> = (0..130).map(|number| format!("m{number}@acme.test")).collect();
    let guesses = async |emails: &[String]| {
        join_all(emails.iter().map(|email| sign_in(&world, "203.0.113.10", email, "a guess"))).await
    };
    let mut statuses = guesses(&emails[..65]).await;
    assert_eq!(
        sign_in(&world, "203.0.113.10", "bob@acme.test", PASSWORD).await,
        200,
        "who has an account of their own"
    );
    statuses.extend(guesses(&emails[65..]).await);
    assert_eq!((count(&statuses, 401), count(&statuses, 429)), (100, 30), "of one address");
    assert_eq!(sign_in(&world, "203.0.113.11", "alice@acme.test", PASSWORD).await, 200);
}

#[tokio::test]
async fn a_hundred_failures_of_any_accounts_make_their_address_wait() {
    let world = world().await;
    let emails: Vec<String> = (0..100).map(|number| format!("m{number}@acme.test")).collect();
    let spray = emails.iter().map(|email| sign_in(&world, "203.0.113.9", email, "a guess"));
    assert!(join_all(spray).await.iter().all(|status| *status == 401));
    assert_eq!(sign_in(&world, "203.0.113.9", "alice@acme.test", PASSWORD).await, 429);
    assert_eq!(sign_in(&world, "203.0.113.10", "alice@acme.test", PASSWORD).await, 200);
}

/// An address of an IPv6 network of 64 bits, which belongs to one subscriber.
fn in_one_network(number: u32) -> String {
    format!("2001:db8:0:1:{number:x}::{number:x}")
}
/// Another network's.
const ELSEWHERE: &str = "2001:db8:0:2::1";

#[tokio::test]
async fn d2_28_sign_ins_from_all_over_an_ipv6_network_count_as_from_one_address() {
    let world = world().await;
    for number in 0..10 {
        assert_eq!(sign_in(&world, &in_one_network(number), "alice@acme.test", "a guess").await, 401);
    }
    assert_eq!(sign_in(&world, &in_one_network(10), "alice@acme.test", PASSWORD).await, 429, "of one account");
    assert_eq!(sign_in(&world, ELSEWHERE, "alice@acme.test", PASSWORD).await, 200);
    let guess = async |number: u32| {
        let email = format!("m{number}@acme.test");
        sign_in(&world, &in_one_network(number), &email, "a guess").await
    };
    let statuses = join_all((0..120).map(guess)).await;
    assert_eq!((count(&statuses, 401), count(&statuses, 429)), (90, 30), "of any account, the ten among them");
    assert_eq!(sign_in(&world, ELSEWHERE, "bob@acme.test", PASSWORD).await, 200);
}

#[tokio::test]
async fn d2_28_signatures_from_all_over_an_ipv6_network_count_as_from_one_address() {
    let world = world().await;
    let forged = async |from: &str| {
        let headers = [("API-Key", "key-1"), ("API-Nonce", "1"), ("API-Sign", "AAAA"), ("X-Forwarded-For", from)];
        Client::open(world.address, &headers).await.err().unwrap().status
    };
    for number in 0..10 {
        assert_eq!(forged(&in_one_network(number)).await, 401);
    }
    assert_eq!(forged(&in_one_network(10)).await, 429);
    assert_eq!(forged(ELSEWHERE).await, 401);
}

#[tokio::test]
async fn d2_28_wrong_codes_of_a_session_count_wherever_they_come_from_and_of_that_session_alone() {
    let world = world().await;
    let cookie = Client::sign_in(world.address, "alice@acme.test", 0).await;
    let origin = format!("http://{}", world.address);
    let invite = async |cookie: &str, from: &str, code: String| {
        let headers = [("Cookie", cookie), ("Origin", &origin), ("X-Forwarded-For", from)];
        let mut alice = Client::open(world.address, &headers).await.unwrap();
        let params = json!({"name": "Dora", "email": "dora@acme.test", "otp": code,
            "permissions": {"initiate_withdrawal": ["approve"]}});
        let reply = alice.reply("invite_member", params).await;
        reply["error"].as_str().map(str::to_owned)
    };
    for number in 0..10 {
        let refused = invite(&cookie, &format!("203.0.113.{number}"), code(9)).await.unwrap();
        assert!(refused.starts_with("EGovernance:One-time code wrong"), "{refused}");
    }
    for guessed in [code(9), code(0)] {
        let refused = invite(&cookie, ELSEWHERE, guessed).await.unwrap();
        assert!(refused.starts_with("EAPI:Rate limit exceeded:otp"), "{refused}");
    }
    let another = Client::sign_in(world.address, "alice@acme.test", 1).await;
    assert_eq!(invite(&another, ELSEWHERE, code(0)).await, None, "who signs in again goes on");
    for _ in 0..11 {
        let refused = invite(&another, ELSEWHERE, code(0)).await.unwrap();
        assert!(refused.starts_with("EGeneral:Already exists:email"), "a right code is no guess: {refused}");
    }
}

/// Each accepted one is a journal entry; a refused one is not, and anybody who saw it once may replay it.
#[tokio::test]
async fn d7_78_a_key_is_admitted_so_often_in_a_minute_and_others_are_not_held_up() {
    let world = World::configured(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], |config| {
        config.limits.connections_per_key = 1;
    })
    .await;
    let seen = next_nonce();
    assert_eq!(token(&world, 1, &seen).await["error"], json!([]));
    for _ in 0..150 {
        assert_eq!(token(&world, 1, &seen).await["error"], json!(["EAPI:Invalid nonce"]));
    }
    for _ in 1..100 {
        assert_eq!(token(&world, 1, &next_nonce()).await["error"], json!([]));
    }
    assert_eq!(token(&world, 1, &next_nonce()).await["error"], json!(["EAPI:Rate limit exceeded"]));
    let refused = Client::signed(world.address, &api_key(1), &secret(1)).await.err().unwrap();
    assert_eq!((refused.status, refused.retry_after), (429, true), "{refused:?}");
    world.bot(2).await.call("key_info", json!({})).await;
}

#[tokio::test]
async fn rule_4_a_key_is_admitted_four_times_as_often_in_a_minute_as_it_may_have_sockets() {
    const SOCKETS: usize = 30;
    let world = World::configured(&[key(ScopeSet::ALL), key(ScopeSet::ALL)], |config| {
        config.limits.connections_per_key = SOCKETS;
    })
    .await;
    for _ in 0..2 * SOCKETS {
        assert_eq!(token(&world, 1, &next_nonce()).await["error"], json!([]));
        world.bot(1).await.close().await;
    }
    assert_eq!(token(&world, 1, &next_nonce()).await["error"], json!(["EAPI:Rate limit exceeded"]));
    let refused = Client::signed(world.address, &api_key(1), &secret(1)).await.err().unwrap();
    assert_eq!((refused.status, refused.retry_after), (429, true), "{refused:?}");
    world.bot(2).await.call("key_info", json!({})).await;
}
