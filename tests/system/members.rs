//! Members over real sockets: sessions, live rights, freezes, the audit log, and who may call what
//! (rules 9, 14 to 17, 27, 28, 47).

use countersign::access::operation::Operation;
use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Permissions, Workflow};
use countersign::access::{Rights, permit};
use countersign::engine::members::Kyc;
use countersign::gateway::credentials::decode_secret;
use serde_json::{Value, json};

use super::client::{Client, PASSWORD, ballot, code, http, limit, soon};
use super::scopes::attempt;
use super::verification::journal;
use super::world::{Person, World, key, people, secret};

/// One Member for each permission on each workflow, one with none, one with everything, and that one again without KYC.
fn grid() -> Vec<Person> {
    let mut people = Vec::new();
    for workflow in Workflow::ALL {
        for permission in Permission::ALL {
            let mut permissions = Permissions::none();
            permissions.grant(workflow, permission);
            let name = format!("{}-{}", workflow.name(), permission.name());
            people.push(Person { name, permissions, kyc: Kyc::Verified });
        }
    }
    let (none, all) = (Permissions::none(), Permissions::all());
    let more = [("none", none, Kyc::Verified), ("all", all.clone(), Kyc::Verified), ("unverified", all, Kyc::Pending)];
    people.extend(more.map(|(name, permissions, kyc)| Person { name: name.to_owned(), permissions, kyc }));
    people
}

async fn denied(client: &mut Client, operation: Operation) -> (bool, Value) {
    let reply = attempt(client, operation).await;
    (reply["error"].as_str() == Some("EGeneral:Permission denied"), reply)
}

#[tokio::test]
async fn every_kind_of_member_and_the_venue_may_call_what_the_table_says_and_nothing_else() {
    let people = grid();
    let world = World::peopled(&[key(ScopeSet::ALL)], &people).await;
    for person in &people {
        let mut client = world.member(&person.name).await;
        let rights = Rights::Member { permissions: &person.permissions, verified: person.kyc == Kyc::Verified };
        for operation in Operation::ALL {
            // If executed, it would stop the following ones; rule 27 has its own tests.
            if operation == Operation::Freeze && permit(rights, operation) {
                continue;
            }
            let (denied, reply) = denied(&mut client, operation).await;
            assert_eq!(denied, !permit(rights, operation), "{}: {}: {reply}", person.name, operation.name());
        }
    }
    let mut venue = world.venue().await;
    for operation in Operation::ALL {
        let (denied, reply) = denied(&mut venue, operation).await;
        assert_eq!(denied, !permit(Rights::Venue, operation), "venue: {}: {reply}", operation.name());
    }
}

#[tokio::test]
async fn d2_24_a_service_user_with_every_scope_does_nothing_that_governs() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let request = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    let governs = Operation::ALL.into_iter().filter(|operation| {
        let row = operation.row();
        row.member != countersign::access::operation::MemberRight::No
            && row.service_user == countersign::access::operation::ServiceRight::No
    });
    let mut count = 0;
    for operation in governs {
        count += 1;
        let (denied, reply) = denied(&mut bot, operation).await;
        assert!(denied, "{}: {reply}", operation.name());
    }
    assert!(count > 30, "{count}");
    let status = bot.call("withdraw_status", json!({"refid": request["refid"]})).await;
    assert_eq!(status["withdrawals"][0]["status"], "Initial");
}

#[tokio::test]
async fn an_invited_member_signs_up_and_a_suspended_one_is_out_at_once() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut alice = world.member("alice").await;
    let invited = json!({"name": "Dora", "email": "dora@acme.test", "otp": code(0),
        "permissions": {"initiate_withdrawal": ["approve"]}});
    let reply = alice.call("invite_member", invited).await;
    assert_eq!(reply["state"], "executed");
    let (cookie, _) = Client::sign_up(world.address, &reply["invitation"], "dora@acme.test").await;
    let members = alice.call("members", json!({})).await;
    let dora = members["members"].as_array().unwrap().iter().find(|member| member["name"] == "Dora").unwrap().clone();
    assert_eq!((&dora["status"], &dora["kyc"]), (&json!("active"), &json!("pending")));
    let mut page = Client::with_cookie(world.address, &cookie).await.unwrap();
    assert_eq!(page.call("member_info", json!({})).await["member"]["kyc"], "pending");
    let suspend = json!({"member_id": dora["member_id"], "suspended": true, "otp": code(1)});
    alice.call("edit_member", suspend).await;
    assert_eq!(page.closed().await.0, 4005);
    assert_eq!(Client::with_cookie(world.address, &cookie).await.err().unwrap().status, 401);
}

#[tokio::test]
async fn rule_16_a_session_that_idles_ends_with_all_its_sockets() {
    let world = World::configured(&[], |config| config.limits.member_idle_s = 3).await;
    let mut carol = world.member("carol").await;
    carol.subscribe("approvals").await;
    assert_eq!(carol.closed().await, (4005, "session ended".to_owned()));
    let log = world.member("alice").await.call("audit_log", json!({})).await;
    let end = log["entries"].as_array().unwrap().iter().find(|entry| entry["action"] == "sign_out").unwrap();
    assert_eq!((&end["actor"], &end["subject"]), (&json!("server"), &json!("MEM3")), "it was not her doing");
}

#[tokio::test]
async fn rule_16_a_session_that_is_never_used_idles_from_its_sign_in() {
    let world = World::configured(&[], |config| config.limits.member_idle_s = 3).await;
    let cookie = Client::sign_in(world.address, "carol@acme.test", 0).await;
    let status = async || http(world.address, "GET", "/session", &[("Cookie", &cookie)], "").await.0;
    assert_eq!(status().await, 200);
    // To look is no use of it.
    soon("end of the session", async { while status().await == 200 {} }).await;
    assert_eq!(status().await, 401);
}

#[tokio::test]
async fn rule_16_a_sign_in_ends_the_session_whose_cookie_it_replaces() {
    let world = World::new(&[]).await;
    let cookie = Client::sign_in(world.address, "carol@acme.test", 0).await;
    let mut carol = Client::with_cookie(world.address, &cookie).await.unwrap();
    let mut elsewhere = Client::member(world.address, "carol@acme.test", 1).await.unwrap();
    let origin = format!("http://{}", world.address);
    let sign_in = async |password: &str| {
        let headers = [("Origin", origin.as_str()), ("Content-Type", "application/json"), ("Cookie", cookie.as_str())];
        let body = json!({"email": "alice@acme.test", "password": password, "otp": code(0)}).to_string();
        http(world.address, "POST", "/session", &headers, &body).await.0
    };
    assert_eq!(sign_in("correct cow battery").await, 401);
    carol.call("member_info", json!({})).await;
    assert_eq!(sign_in(PASSWORD).await, 200);
    assert_eq!(carol.closed().await, (4005, "session ended".to_owned()));
    elsewhere.call("member_info", json!({})).await;
    let log = Client::member(world.address, "alice@acme.test", 1).await.unwrap().call("audit_log", json!({})).await;
    let end = log["entries"].as_array().unwrap().iter().find(|entry| entry["action"] == "sign_out").unwrap();
    assert_eq!((&end["actor"], &end["subject"]), (&json!("server"), &json!("MEM3")), "she did not sign out herself");
}

#[tokio::test]
async fn rule_27_a_freeze_closes_keys_and_tells_every_member() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut alice, mut bob, mut bot) = (world.member("alice").await, world.member("bob").await, world.bot(1).await);
    bot.call("add_order", limit("buy", 1, 10.0)).await;
    let frozen = alice.call("freeze", json!({"scope": "all", "reason": "a key leaked"})).await;
    assert_eq!((&frozen["frozen"]["scope"], &frozen["frozen"]["member_id"]), (&json!("all"), &json!("MEM1")));
    assert_eq!(bob.item("status", |item| item.get("frozen").is_some()).await["frozen"], "all");
    assert_eq!(bot.closed().await, (4001, "frozen".to_owned()));
    let refused = Client::signed(world.address, "key-1", &secret(1)).await.err().unwrap();
    assert_eq!(refused.status, 403, "{}", refused.error);
    let freeze = bob.call("member_info", json!({})).await["frozen"].take();
    assert_eq!((&freeze["reason"], &freeze), (&json!("a key leaked"), &frozen["frozen"]));
    let request = alice.call("unfreeze", json!({"reason": "revoked it"})).await;
    assert_eq!((&request["state"], &request["policy"]["quorum"]), (&json!("pending"), &json!(1)));
    bob.call("approve", json!({"requests": ballot(&request), "otp": code(0)})).await;
    assert_eq!(alice.item("status", |item| item["frozen"] == "none").await["frozen"], "none");
    let log = alice.call("audit_log", json!({})).await;
    let end = log["entries"].as_array().unwrap().iter().find(|entry| entry["action"] == "unfreeze.approved").unwrap();
    assert_eq!(end["policy_version"], Value::Null, "no policy governs Manage Access");
    let mut bot = world.bot(1).await;
    let orders = bot.call("open_orders", json!({})).await;
    assert_eq!(orders["orders"], json!([]), "its orders were canceled");
}

#[tokio::test]
async fn a_member_who_may_list_the_others_is_told_when_the_venue_changes_one() {
    let mut people = people();
    people[1].permissions = Permissions::none();
    let world = World::peopled(&[], &people).await;
    let (mut alice, mut bob, mut carol) =
        (world.member("alice").await, world.member("bob").await, world.member("carol").await);
    world.venue().await.call("set_kyc", json!({"member_id": "MEM3", "kyc": "rejected"})).await;
    alice.call("freeze", json!({"scope": "withdrawals", "reason": "drill"})).await;
    let announced = |item: &Value| ["members", "rights", "frozen"].iter().any(|name| item.get(*name).is_some());
    for (member, name, word) in
        [(&mut alice, "members", "changed"), (&mut bob, "frozen", "withdrawals"), (&mut carol, "rights", "changed")]
    {
        assert_eq!(member.item("status", announced).await[name], word);
    }
}

#[tokio::test]
async fn rule_28_a_rotated_key_takes_over_and_the_old_one_serves_its_overlap() {
    let world = World::new(&[key(ScopeSet::ALL), key(ScopeSet::ALL)]).await;
    let mut alice = world.member("alice").await;
    let (mut first, mut second) = (world.bot(1).await, world.bot(2).await);
    let rotate = |user: &str, overlap: u64, otp| json!({"service_user_id": user, "overlap_s": overlap, "otp": otp});
    let kept = alice.call("rotate_service_user_key", rotate("SVC1", 600, code(0))).await;
    let secret_text = kept["api_secret"].as_str().unwrap();
    let generated = decode_secret(secret_text).unwrap();
    let fresh = Client::signed(world.address, kept["api_key"].as_str().unwrap(), &generated).await;
    assert_eq!(fresh.unwrap().call("key_info", json!({})).await["service_user_id"], "SVC1");
    assert_eq!(first.call("key_info", json!({})).await["service_user_id"], "SVC1", "the old socket stays");
    world.bot(1).await.call("key_info", json!({})).await;
    alice.call("rotate_service_user_key", rotate("SVC2", 0, code(1))).await;
    assert_eq!(second.closed().await, (4001, "key rotated".to_owned()));
    let users = alice.call("service_users", json!({})).await;
    let of = |at: usize| users["service_users"][at].clone();
    assert!(of(0)["retiring_until"].is_string() && of(1).get("retiring_until").is_none());
    assert!(of(0)["last_seen"].is_string() && of(0)["open_connections"].as_u64().unwrap() >= 1, "{users}");
    assert!(!users.to_string().contains(secret_text));
    assert_eq!(Client::signed(world.address, "key-2", &secret(2)).await.err().unwrap().status, 401);
}

#[tokio::test]
async fn rule_9_members_cancel_a_bots_orders() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut alice, mut bot) = (world.member("alice").await, world.bot(1).await);
    bot.subscribe("executions").await;
    bot.call("add_order", limit("buy", 1, 10.0)).await;
    assert_eq!(alice.call("cancel_orders", json!({"service_user_id": "SVC1"})).await["count"], 1);
    assert_eq!(bot.item("executions", |item| item["exec_type"] == "canceled").await["reason"], "Canceled by a Member");
}

#[tokio::test]
async fn d3_31_two_last_votes_at_once_release_once_and_d3_33_all_observers_agree() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut alice, mut bob, mut bot) = (world.member("alice").await, world.member("bob").await, world.bot(1).await);
    let mut carol = world.member("carol").await;
    bot.subscribe("withdrawals").await;
    bot.subscribe("ledger").await;
    for observer in [&mut alice, &mut bob, &mut carol] {
        observer.subscribe("approvals").await;
    }
    let withdrawal = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    let mine = |item: &Value| item["request_id"] == withdrawal["request_id"];
    let request = alice.item("approvals", mine).await;
    let votes = json!({"requests": ballot(&request), "otp": code(0)});
    let (one, other) = tokio::join!(alice.call("approve", votes.clone()), bob.call("approve", votes));
    let won = [&one, &other].into_iter().filter(|reply| reply["requests"][0]["success"] == true).count();
    assert_eq!(won, 1, "{one} {other}");
    let late = [&one, &other].into_iter().find(|reply| reply["requests"][0]["success"] == false).unwrap();
    assert!(late["requests"][0]["error"].as_str().unwrap().starts_with("EGovernance:Not pending"), "{late}");
    let ended = |item: &Value| mine(item) && item["state"] != "pending";
    for observer in [&mut alice, &mut bob, &mut carol] {
        assert_eq!(observer.item("approvals", ended).await["state"], "approved");
    }
    assert_eq!(bot.item("withdrawals", |item| mine(item) && item["status"] != "Initial").await["status"], "Pending");
    let ledger = bot.call("ledgers", json!({"type": "withdrawal"})).await;
    assert_eq!(ledger["entries"].as_array().unwrap().len(), 1, "one debit");
}

#[tokio::test]
async fn d3_46_a_dashboard_that_does_not_listen_changes_nothing() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bob, mut bot) = (world.member("bob").await, world.bot(1).await);
    // One that never reads, and one that vanishes.
    let mut deaf = world.member("alice").await;
    deaf.subscribe("approvals").await;
    let mut gone = world.member("carol").await;
    gone.subscribe("approvals").await;
    drop(gone);
    let withdrawal = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    let request = bob.call("request_info", json!({"request_id": withdrawal["request_id"]})).await;
    let decided = bob.call("approve", json!({"requests": ballot(&request), "otp": code(0)})).await;
    assert_eq!(decided["requests"][0]["request"]["state"], "approved");
    let seen = deaf.item("approvals", |item| item["state"] == "approved").await;
    assert_eq!(seen["request_id"], withdrawal["request_id"], "told once it listens");
}

/// The audit log, page by page, oldest first.
async fn audited(client: &mut Client) -> Vec<Value> {
    let (mut entries, mut params) = (Vec::new(), json!({"limit": 3}));
    loop {
        let page = client.call("audit_log", params.clone()).await;
        entries.extend(page["entries"].as_array().unwrap().clone());
        if !page["cursor"].is_string() {
            break;
        }
        params["cursor"] = page["cursor"].clone();
    }
    entries.reverse();
    entries
}

#[tokio::test]
async fn d3_47_every_decision_is_in_the_audit_log_with_the_hash_of_its_journal_row() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut alice, mut bob, mut bot) = (world.member("alice").await, world.member("bob").await, world.bot(1).await);
    let mut venue = world.venue().await;
    let withdrawal = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    let request = bob.call("request_info", json!({"request_id": withdrawal["request_id"]})).await;
    let vote = json!({"requests": ballot(&request), "otp": code(0), "comment": "as planned"});
    bob.call("approve", vote).await;
    venue.call("settle_withdrawal", json!({"refid": withdrawal["refid"], "txid": "tx-1"})).await;
    let other = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    let request = bob.call("request_info", json!({"request_id": other["request_id"]})).await;
    bob.call("reject", json!({"requests": ballot(&request), "reason": "not this one"})).await;
    bot.call("add_order", limit("buy", 1, 10.0)).await;
    alice.call("cancel_orders", json!({"service_user_id": "SVC1"})).await;
    venue.call("set_kyc", json!({"member_id": "MEM3", "kyc": "rejected"})).await;
    let freeze = json!({"scope": "withdrawals", "reason": "drill"});
    alice.call("freeze", freeze).await;
    // A Member verified before signing up is verified, not invited again; a suspended one did not sign out.
    alice
        .call("invite_member", json!({"name": "Dora", "email": "d@acme.test", "permissions": {}, "otp": code(0)}))
        .await;
    venue.call("set_kyc", json!({"member_id": "MEM4", "kyc": "verified"})).await;
    let carol = world.member("carol").await;
    alice.call("edit_member", json!({"member_id": "MEM3", "suspended": true, "otp": code(1)})).await;
    drop(carol);
    let entries = audited(&mut alice).await;
    let actions: Vec<(&str, &str)> = entries
        .iter()
        .map(|entry| (entry["actor"].as_str().unwrap(), entry["action"].as_str().unwrap()))
        .filter(|(_, action)| *action != "sign_in")
        .collect();
    let expected = [
        ("SVC1", "withdraw.requested"),
        ("MEM2", "withdraw.vote_approve"),
        ("MEM2", "withdraw.approved"),
        ("VEN1", "settle_withdrawal"),
        ("SVC1", "withdraw.requested"),
        ("MEM2", "withdraw.vote_reject"),
        ("MEM2", "withdraw.rejected"),
        ("MEM1", "cancel_orders"),
        ("VEN1", "set_kyc"),
        ("MEM1", "freeze"),
        ("MEM1", "invite_member.requested"),
        ("MEM1", "invite_member.executed"),
        ("VEN1", "set_kyc"),
        ("MEM1", "sign_out"),
        ("MEM1", "edit_member.requested"),
        ("MEM1", "edit_member.executed"),
    ];
    assert_eq!(actions, expected);
    let of = |action: &str| entries.iter().find(|entry| entry["action"] == action).unwrap();
    let vote = of("withdraw.vote_approve");
    assert_eq!((&vote["detail"], &vote["policy_version"]), (&json!("as planned"), &json!(1)));
    assert_eq!(vote["hash"], of("withdraw.approved")["hash"], "one journal entry");
    assert_eq!(of("settle_withdrawal")["detail"], "tx-1");
    let mut rows = journal(world.dir()).await;
    let row = "SELECT digest FROM journal WHERE first_seq <= $1 ORDER BY first_seq DESC LIMIT 1";
    for entry in &entries {
        let seq = entry["offset"].as_i64().unwrap() / 256;
        let digest: Vec<u8> = sqlx::query_scalar(row).bind(seq).fetch_one(&mut rows).await.unwrap();
        assert_eq!(entry["hash"], hex::encode(digest), "{entry}");
    }
    let refused = bob.call("audit_log", json!({"limit": 1, "start": "2100-01-01T00:00:00Z"})).await;
    assert_eq!(refused["entries"], json!([]));
}

#[tokio::test]
async fn d3_47_a_vote_is_told_once_though_its_message_changes_the_policy_of_what_it_votes_on() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut alice, mut bob, mut bot) = (world.member("alice").await, world.member("bob").await, world.bot(1).await);
    for (workflow, quorum, steps) in [("initiate_withdrawal", 2, 0), ("manage_policies", 1, 1)] {
        alice.call("set_policy", json!({"workflow": workflow, "quorum": quorum, "otp": code(steps)})).await;
    }
    let withdrawal = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    let waits = bob.call("request_info", json!({"request_id": withdrawal["request_id"]})).await;
    let shorter = json!({"workflow": "initiate_withdrawal", "quorum": 2, "expires_after_s": 600});
    let shorter = alice.call("set_policy", shorter).await;
    let both = json!([ballot(&waits)[0], ballot(&shorter)[0]]);
    let decided = bob.call("approve", json!({"requests": both, "otp": code(0)})).await;
    assert_eq!(decided["requests"][1]["request"]["state"], "approved", "{decided}");
    let log = alice.call("audit_log", json!({})).await;
    let of = |entry: &&Value| entry["subject"] == waits["request_id"];
    let actions: Vec<&Value> =
        log["entries"].as_array().unwrap().iter().filter(of).map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["withdraw.restated", "withdraw.vote_approve", "withdraw.requested"]);
}

#[tokio::test]
async fn requests_come_in_pages_newest_first() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bob, mut bot) = (world.member("bob").await, world.bot(1).await);
    let mut ids = Vec::new();
    for _ in 0..5 {
        let made = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
        ids.insert(0, made["request_id"].clone());
    }
    let mut seen = Vec::new();
    let mut params = json!({"limit": 2, "state": "pending"});
    loop {
        let page = bob.call("requests", params.clone()).await;
        seen.extend(page["requests"].as_array().unwrap().iter().map(|request| request["request_id"].clone()));
        assert!(
            page["requests"].as_array().unwrap().iter().all(|request| request["can"] == json!(["approve", "reject"]))
        );
        match page.get("cursor") {
            Some(cursor) => params["cursor"] = cursor.clone(),
            None => break,
        }
    }
    assert_eq!(seen, ids);
}
