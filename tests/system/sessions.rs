//! Members' sessions over HTTP: the cookie, the body of a sign-in, and what keeps a session open (rules 6, 16).

use countersign::access::scope::ScopeSet;
use serde_json::json;

use super::checklist::serve_page_from;
use super::client::{Client, PASSWORD, code, http, next_nonce, soon};
use super::settings::token;
use super::world::{World, key};

fn credentials(name: &str, steps: i64) -> String {
    json!({"email": format!("{name}@acme.test"), "password": PASSWORD, "otp": code(steps)}).to_string()
}

/// The line that an answer sets a cookie with.
fn set_cookie(head: &str) -> &str {
    head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap_or_else(|| panic!("no cookie: {head}"))
}

#[tokio::test]
async fn rule_16_the_cookie_is_out_of_reach_for_scripts_other_sites_and_plain_connections() {
    let proxied = "https://trade.example.com";
    let secure = World::configured(&[], |config| serve_page_from(config, proxied)).await;
    let plain = World::new(&[]).await;
    let own = format!("http://{}", plain.address);
    for (world, origin, flag) in [(&plain, own.as_str(), ""), (&secure, proxied, "; Secure")] {
        let headers = [("Origin", origin), ("Content-Type", "application/json")];
        let (status, head, _) = http(world.address, "POST", "/session", &headers, &credentials("alice", 0)).await;
        assert_eq!(status, 200, "{head}");
        let (cookie, attributes) = set_cookie(&head).split_once("; ").unwrap();
        assert_eq!(attributes, format!("HttpOnly; SameSite=Strict; Path=/; Max-Age=43200{flag}"));
        let (name, token) = cookie.split_once('=').unwrap();
        assert!(name == "countersign_session" && token.len() >= 43, "{cookie}");
        let headers = [("Origin", origin), ("Cookie", cookie)];
        let (status, head, _) = http(world.address, "DELETE", "/session", &headers, "").await;
        assert_eq!(status, 200, "{head}");
        let gone = format!("countersign_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0{flag}");
        assert_eq!(set_cookie(&head), gone, "it is taken away");
    }
}

#[tokio::test]
async fn rule_16_the_cookie_is_found_among_others_and_is_no_other() {
    let world = World::new(&[]).await;
    let own = Client::sign_in(world.address, "alice@acme.test", 0).await;
    let token = own.strip_prefix("countersign_session=").unwrap();
    let origin = format!("http://{}", world.address);
    for (lines, status) in [
        (vec![format!("theme=dark; {own}; lang=en")], 200),
        (vec![format!("theme=dark;{own}")], 200),
        (vec!["theme=dark".to_owned(), own.clone()], 200),
        (vec![format!("countersign_session_old=none; {own}")], 200),
        (vec![format!("old_{own}")], 401),
        (vec![format!("countersign_session_old={token}")], 401),
        (vec![format!("Countersign_Session={token}")], 401),
        (vec![format!("theme={own}")], 401),
        (vec![format!("{own}x")], 401),
    ] {
        let mut headers: Vec<(&str, &str)> = lines.iter().map(|line| ("Cookie", line.as_str())).collect();
        headers.push(("Origin", &origin));
        assert_eq!(http(world.address, "GET", "/session", &headers, "").await.0, status, "{lines:?}");
        let [line] = &lines[..] else { continue };
        let opened = Client::with_cookie(world.address, line).await;
        match opened {
            // Without a session's cookie the socket is bare, and nobody's.
            Ok(mut socket) => {
                let told = socket.reply("member_info", json!({})).await;
                assert_eq!(told["success"], status == 200, "{line}: {told}");
            }
            Err(refused) => assert_eq!((refused.status, status), (401, 401), "{line}"),
        }
    }
}

/// Any application of the same host may set cookies, and browsers send them as they are.
#[tokio::test]
async fn rule_6_a_cookie_is_found_beside_one_that_is_not_ascii_and_never_downgraded() {
    let world = World::new(&[]).await;
    let own = Client::sign_in(world.address, "alice@acme.test", 0).await;
    let ours = format!("http://{}", world.address);
    for (line, status) in [(format!("name=Zoë; {own}"), 200), (format!("{own}ë"), 401)] {
        let headers = [("Cookie", line.as_str()), ("Origin", &ours)];
        assert_eq!(http(world.address, "GET", "/session", &headers, "").await.0, status, "{line}");
        let upgrade = [
            ("Cookie", line.as_str()),
            ("Origin", "http://elsewhere.test"),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        assert_eq!(http(world.address, "GET", "/v2", &upgrade, "").await.0, 403, "{line}");
    }
}

#[tokio::test]
async fn rule_16_a_sign_in_and_an_invitation_are_taken_as_json_alone() {
    let world = World::new(&[]).await;
    let origin = format!("http://{}", world.address);
    let members = json!([{"name": "Dora", "email": "dora@new.test"}]);
    let made = world.venue().await.call("create_organization", json!({"name": "New", "members": members})).await;
    let invitation = format!("/invitations/{}", made["members"][0]["invitation"].as_str().unwrap());
    let bodies = [("/session", credentials("alice", 0)), (&invitation, json!({"password": PASSWORD}).to_string())];
    let post = async |path: &str, kind: Option<&str>, body: &str| {
        let mut headers = vec![("Origin", origin.as_str())];
        headers.extend(kind.map(|kind| ("Content-Type", kind)));
        let (status, _, answer) = http(world.address, "POST", path, &headers, body).await;
        (status, answer)
    };
    // What a page of another site can have a browser send without asking first, and what is only like JSON.
    let others = [
        None,
        Some(""),
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=application/json"),
        Some("text/json"),
        Some("application/jsonp"),
        Some("text/plain, application/json"),
    ];
    let refused = json!({"error": ["EGeneral:Invalid arguments: send application/json"]}).to_string();
    for (path, body) in &bodies {
        // More often than a wrong password may be given.
        for kind in others.into_iter().chain(others) {
            assert_eq!(post(path, kind, body).await, (415, refused.clone()), "{path} {kind:?}");
        }
    }
    // Nothing was spent.
    for (path, body) in &bodies {
        let (status, answer) = post(path, Some("application/json"), body).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
}

#[tokio::test]
async fn rule_16_nobody_signs_in_or_out_from_a_page_that_is_not_ours() {
    let world = World::new(&[]).await;
    let own = format!("http://{}", world.address);
    let cookie = Client::sign_in(world.address, "alice@acme.test", 0).await;
    let body = credentials("bob", 0);
    let typed = ("Content-Type", "application/json");
    let shouted = own.to_uppercase();
    for origin in [None, Some(""), Some("null"), Some(shouted.as_str()), Some("http://evil.test")] {
        let origin = origin.map(|origin| ("Origin", origin));
        for (method, more, body) in [("POST", typed, body.as_str()), ("DELETE", ("Cookie", cookie.as_str()), "")] {
            let headers: Vec<(&str, &str)> = [more].into_iter().chain(origin).collect();
            let (status, head, answer) = http(world.address, method, "/session", &headers, body).await;
            assert_eq!(status, 403, "{method} {origin:?}: {answer}");
            assert!(answer.contains("EGeneral:Permission denied:origin") && !head.contains("set-cookie"), "{head}");
        }
    }
    Client::with_cookie(world.address, &cookie).await.unwrap().call("member_info", json!({})).await;
    let headers = [typed, ("Origin", own.as_str())];
    assert_eq!(http(world.address, "POST", "/session", &headers, &body).await.0, 200, "no code was spent");
}

/// The server sends a heartbeat a second, which is when each of them does something.
#[tokio::test]
async fn rule_16_a_session_is_kept_by_what_its_member_does_and_by_no_ping() {
    let world = World::configured(&[], |config| config.limits.member_idle_s = 8).await;
    let acting = Client::sign_in(world.address, "alice@acme.test", 0).await;
    let (mut acting, mut elsewhere) = (
        Client::with_cookie(world.address, &acting).await.unwrap(),
        Client::with_cookie(world.address, &acting).await.unwrap(),
    );
    let mut pinging = world.member("carol").await;
    for socket in [&mut acting, &mut pinging] {
        socket.subscribe("approvals").await;
    }
    let acts = async {
        loop {
            acting.frame("heartbeat").await;
            acting.call("member_info", json!({})).await;
        }
    };
    let pings = async {
        loop {
            match pinging.read().await {
                Ok(frame) if frame["channel"] == "heartbeat" => drop(pinging.try_send(r#"{"method":"ping"}"#).await),
                Ok(_) => {}
                Err(closed) => return closed,
            }
        }
    };
    let closed = tokio::select! {
        closed = soon("end of the session that only pings", pings) => closed,
        () = acts => unreachable!("it acts on"),
    };
    assert_eq!(closed, (4005, "session ended".to_owned()));
    // The session began before the other, and serves each of its sockets.
    assert_eq!(acting.call("member_info", json!({})).await["member"]["name"], "alice");
    assert_eq!(elsewhere.call("member_info", json!({})).await["member"]["name"], "alice");
}

#[tokio::test]
async fn rule_16_a_session_survives_a_restart() {
    let mut world = World::new(&[]).await;
    let cookie = Client::sign_in(world.address, "alice@acme.test", 0).await;
    world.restart().await;
    let mut alice = Client::with_cookie(world.address, &cookie).await.unwrap();
    assert_eq!(alice.call("member_info", json!({})).await["member"]["name"], "alice");
}

#[tokio::test]
async fn rule_6_a_members_socket_takes_no_key_and_a_keys_socket_no_other_key() {
    let world = World::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)]).await;
    let token = token(&world, 1, &next_nonce()).await["result"]["token"].take();
    let (mut alice, mut bot) = (world.member("alice").await, world.bot(2).await);
    for (socket, own) in [(&mut alice, "member_info"), (&mut bot, "key_info")] {
        for (method, params) in [("key_info", json!({})), ("subscribe", json!({"channel": "balances"}))] {
            let mut params = params;
            params["token"] = token.clone();
            let error = socket.refused(method, params).await;
            assert!(error.starts_with("ESession:Invalid session"), "{method}: {error}");
        }
        socket.call(own, json!({})).await;
    }
}
