//! Requests, votes and secrets between bots, Members and custody, over real sockets (rules 15 to 32, 37).

use std::collections::BTreeMap;

use countersign::access::scope::ScopeSet;
use countersign::access::workflow::{Permission, Permissions, Workflow};
use countersign::domain::ids::RequestId;
use countersign::engine::members::Kyc;
use countersign::gateway::credentials::decode_secret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::client::{Client, PASSWORD, ballot, code, code_of, cookie, http, post};
use super::replay::items;
use super::world::{Person, World, key};

/// The digest as a page makes it: SHA-256 of the canonical JSON of what the Member sees (rule 24).
fn digest(organization: &str, request: &Value) -> String {
    let initiator = json!({"type": request["initiator"]["type"], "id": request["initiator"]["id"]});
    let subject: BTreeMap<&str, Value> = [
        ("organization", json!(organization)),
        ("initiator", initiator),
        ("policy", request["policy"].clone()),
        ("payload", request["payload"].clone()),
    ]
    .into_iter()
    .chain(
        ["request_id", "workflow", "action", "created_at", "expires_at"]
            .map(|member| (member, request[member].clone())),
    )
    .collect();
    // serde_json keeps members in order of their names, and writes no blanks.
    hex::encode(Sha256::digest(serde_json::to_string(&subject).unwrap()))
}

#[tokio::test]
async fn the_three_digest_vectors_hold() {
    for name in ["withdraw", "create_service_user", "set_policy"] {
        let text = std::fs::read_to_string(format!("schemas/examples/digest-{name}.json")).unwrap();
        let vector: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(digest(vector["organization"].as_str().unwrap(), &vector["request"]), vector["request"]["digest"]);
    }
}

#[tokio::test]
async fn a_withdrawal_is_held_decided_released_and_settled_once() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut bob, mut custody) = (world.bot(1).await, world.member("bob").await, world.venue().await);
    bob.subscribe("approvals").await;
    custody.subscribe("custody").await;
    let params = json!({"asset": "BTC", "key": "cold-1", "amount": "1", "client_id": "w-1"});
    let withdrawal = bot.call("withdraw", params.clone()).await;
    assert_eq!(bot.call("withdraw", params).await, withdrawal, "the same again is the same withdrawal");
    let unknown = json!({"asset": "BTC", "key": "cold-2", "amount": "1"});
    assert!(bot.refused("withdraw", unknown).await.starts_with("EFunding:Unknown withdraw key"));
    let balances = bot.call("get_balances", json!({})).await;
    assert_eq!(balances["balances"][1]["held"].to_string(), "1.0");
    let request = bob.item("approvals", |item| item["request_id"] == withdrawal["request_id"]).await;
    assert_eq!(digest("Acme", &request), request["digest"]);
    let stale = json!({"requests": [{"request_id": request["request_id"], "digest": "00"}], "otp": code(0)});
    let decided = bob.call("approve", stale).await;
    assert!(decided["requests"][0]["error"].as_str().unwrap().starts_with("EGovernance:Digest changed"), "{decided}");
    let wrong = json!({"requests": ballot(&request), "otp": "000000"});
    assert!(bob.refused("approve", wrong).await.starts_with("EGovernance:One-time code wrong"));
    let mut alone = None;
    for steps in [0, 1] {
        let decided = bob.reply("approve", json!({"requests": ballot(&request), "otp": code(steps)})).await;
        if decided["success"] == true {
            alone = Some(decided);
            break;
        }
    }
    let decided = alone.expect("one of two codes is not spent");
    assert_eq!(decided["result"]["requests"][0]["request"]["state"], "approved", "{decided}");
    let paid = custody.item("custody", |item| item["status"] == "Pending").await;
    assert_eq!((&paid["refid"], paid["payment"]["net_amount"].to_string()), (&withdrawal["refid"], "0.99999".into()));
    let refid = json!({"refid": withdrawal["refid"]});
    assert_eq!(bot.call("withdraw_cancel", refid.clone()).await["canceled"], false);
    custody.call("settle_withdrawal", refid.clone()).await;
    custody.call("settle_withdrawal", refid.clone()).await;
    let contradiction = json!({"refid": withdrawal["refid"], "reason": "lost"});
    assert!(custody.refused("fail_withdrawal", contradiction).await.starts_with("EFunding:Already finished"));
    let status = bot.call("withdraw_status", refid).await;
    assert_eq!(status["withdrawals"][0]["status"], "Success");
}

#[tokio::test]
async fn a_created_key_shows_its_secret_once_and_to_its_maker_alone() {
    let world = World::new(&[]).await;
    let mut alice = world.member("alice").await;
    let mut made = json!({"name": "Fresh", "scopes": ["query"], "otp": code(0), "client_id": "c-1"});
    let created = alice.call("create_service_user", made.clone()).await;
    assert_eq!(created["state"], "executed", "{created}");
    let secret = decode_secret(created["api_secret"].as_str().unwrap()).unwrap();
    let mut bot = Client::signed(world.address, created["api_key"].as_str().unwrap(), &secret).await.unwrap();
    assert_eq!(bot.call("key_info", json!({})).await["scopes"], json!(["query"]));
    // Repeating it needs no code, but a wrong one is refused.
    for otp in [json!(code(0)), Value::Null] {
        made["otp"] = otp;
        let again = alice.call("create_service_user", made.clone()).await;
        assert_eq!((&again["request_id"], again.get("api_secret")), (&created["request_id"], None));
    }
    made["otp"] = json!(code(-10));
    assert!(alice.refused("create_service_user", made).await.starts_with("EGovernance:One-time code wrong"));
    let users = alice.call("service_users", json!({})).await.to_string();
    assert!(users.contains("Fresh") && !users.contains("secret"), "{users}");
    let claim = json!({"request_id": created["request_id"], "otp": code(1)});
    assert!(alice.refused("claim_secret", claim.clone()).await.starts_with("EGovernance:Nothing to claim"));
    assert_eq!(world.member("bob").await.refused("claim_secret", claim).await, "EGeneral:Permission denied");
}

#[tokio::test]
async fn nobody_approves_their_own_request_and_viewers_do_not_vote() {
    let world = World::new(&[]).await;
    let (mut alice, mut carol) = (world.member("alice").await, world.member("carol").await);
    let withdrawal = json!({"asset": "BTC", "key": "cold-1", "amount": "1"});
    let request = alice.call("initiate_withdrawal", withdrawal).await;
    assert_eq!(request["state"], "pending");
    let votes = json!({"requests": ballot(&request), "otp": code(0)});
    let own = alice.call("approve", votes.clone()).await;
    assert!(own["requests"][0]["error"].as_str().unwrap().starts_with("EGovernance:Own request"), "{own}");
    let viewer = carol.call("approve", votes).await;
    assert!(viewer["requests"][0]["error"].as_str().unwrap().starts_with("EGovernance:Not eligible"), "{viewer}");
    let shown = carol.call("request_info", json!({"request_id": request["request_id"]})).await;
    assert_eq!(shown["can"], json!([]));
    let canceled = alice.call("cancel_request", json!({"request_id": request["request_id"]})).await;
    assert_eq!(canceled["state"], "canceled");
}

#[tokio::test]
async fn an_invited_member_sets_password_and_code_and_signs_in() {
    let world = World::new(&[]).await;
    let mut venue = world.venue().await;
    let members = json!([{"name": "Dora", "email": "dora@new.test"}, {"name": "Emil", "email": "emil@new.test"}]);
    let made = venue.call("create_organization", json!({"name": "New", "members": members})).await;
    let invitation = &made["members"][0]["invitation"];
    let (cookie, totp) = Client::sign_up(world.address, invitation, "dora@new.test").await;
    let mut dora = Client::with_cookie(world.address, &cookie).await.unwrap();
    let member = dora.call("member_info", json!({})).await["member"].take();
    assert_eq!((&member["name"], &member["email"]), (&json!("Dora"), &json!("dora@new.test")));
    let path = format!("/invitations/{}", invitation.as_str().unwrap());
    for body in [json!({"otp": code_of(&totp, 1)}), json!({"password": PASSWORD})] {
        assert_eq!(post(world.address, &path, &body).await.0, 404, "an invitation serves once");
    }
}

#[tokio::test]
async fn a_policy_that_is_set_anew_keeps_nothing_of_the_one_before() {
    let world = World::governed(&[], false).await;
    let mut alice = world.member("alice").await;
    let rule = json!({"asset": "BTC", "amount_from": "5", "quorum": 1, "allow_execute": false});
    let all = json!({"workflow": "initiate_withdrawal", "quorum": 1, "reject_quorum": 2, "allow_execute": true,
        "expires_after_s": 60, "exclude_key_managers": false, "rules": [rule], "otp": code(0)});
    alice.call("set_policy", all.clone()).await;
    let mut shown = alice.call("policies", json!({})).await["policies"][0].take();
    for name in ["reject_quorum", "allow_execute", "expires_after_s", "exclude_key_managers"] {
        assert_eq!(shown[name], all[name], "{name}");
    }
    assert_eq!(shown["rules"].as_array().unwrap().len(), 1);
    // It loosens the rules, so it is judged under what it replaces.
    let params = json!({"workflow": "initiate_withdrawal", "quorum": 1});
    let request = alice.call("set_policy", params).await;
    let mut bob = world.member("bob").await;
    bob.call("approve", json!({"requests": ballot(&request), "otp": code(0)})).await;
    shown = alice.call("policies", json!({})).await["policies"][0].take();
    for (name, usual) in [
        ("reject_quorum", json!(1)),
        ("allow_execute", json!(false)),
        ("expires_after_s", json!(604_800)),
        ("exclude_key_managers", json!(true)),
        ("cool_down_s", json!(0)),
        ("rules", json!([])),
    ] {
        assert_eq!(shown[name], usual, "{name}");
    }
}

#[tokio::test]
async fn the_link_of_an_invitation_or_a_reset_is_shown_once() {
    let world = World::new(&[]).await;
    let mut alice = world.member("alice").await;
    let invite = json!({"name": "Dora", "email": "dora@acme.test", "permissions": {}});
    for (steps, (method, mut params)) in
        (0..).zip([("invite_member", invite), ("reset_member", json!({"member_id": "MEM3"}))])
    {
        (params["client_id"], params["otp"]) = (json!(method), json!(code(steps)));
        let first = alice.call(method, params.clone()).await;
        assert!(first["invitation"].is_string(), "{first}");
        params.as_object_mut().unwrap().remove("otp");
        let again = alice.call(method, params).await;
        assert_eq!((&again["request_id"], again.get("invitation")), (&first["request_id"], None));
        let listed = alice.call("request_info", json!({"request_id": first["request_id"]})).await;
        assert!(!listed.to_string().contains(first["invitation"].as_str().unwrap()), "{listed}");
    }
}

#[tokio::test]
async fn d1_08_a_cookie_needs_its_origin_and_ends_with_its_session() {
    let world = World::new(&[]).await;
    let body = json!({"email": "alice@acme.test", "password": PASSWORD, "otp": code(0)}).to_string();
    let origin = format!("http://{}", world.address);
    let post = async |origin: &str, body: &str| {
        let headers = [("Origin", origin), ("Content-Type", "application/json")];
        http(world.address, "POST", "/session", &headers, body).await
    };
    assert_eq!(post("http://evil.test", &body).await.0, 403);
    assert_eq!(post(&origin, &body.replace("horse", "cow")).await.0, 401);
    let (status, head, _) = post(&origin, &body).await;
    assert_eq!(status, 200, "{head}");
    let line = head.lines().find(|line| line.starts_with("set-cookie: ")).unwrap();
    assert!(["HttpOnly", "SameSite=Strict", "Path=/"].iter().all(|flag| line.contains(flag)), "{line}");
    assert_eq!(post(&origin, &body).await.0, 401, "a code serves once");
    let cookie = cookie(&head);
    let open = async |origin: &str| Client::open(world.address, &[("Cookie", cookie), ("Origin", origin)]).await;
    assert_eq!(open("http://evil.test").await.err().unwrap().status, 403);
    let mut alice = open(&origin).await.unwrap();
    assert_eq!(alice.call("member_info", json!({})).await["member"]["name"], "alice");
    let end = async |origin: &str| {
        let headers = [("Cookie", cookie), ("Origin", origin)];
        http(world.address, "DELETE", "/session", &headers, "").await.0
    };
    assert_eq!(end("http://evil.test").await, 403);
    alice.call("member_info", json!({})).await;
    assert_eq!(end(&origin).await, 200);
    assert_eq!(alice.closed().await, (4005, "session ended".to_owned()));
    assert_eq!(open(&origin).await.err().unwrap().status, 401);
}

#[tokio::test]
async fn earn_and_deposits_are_immediate() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut bot, mut venue) = (world.bot(1).await, world.venue().await);
    bot.subscribe("earn").await;
    bot.subscribe("deposits").await;
    let earned = bot.call("earn_allocate", json!({"strategy_id": "ESTRAT2", "amount": 5})).await;
    assert_eq!(earned["state"], "allocated");
    let back = bot.call("earn_deallocate", json!({"strategy_id": "ESTRAT2", "amount": 2})).await;
    assert_eq!(back["state"], "unbonding");
    assert!(bot.item("earn", |item| item["state"] == "unbonding").await["expires"].is_string());
    let status = bot.call("earn_status", json!({"strategy_id": "ESTRAT2"})).await;
    assert_eq!((status["allocated"].to_string(), status["unbonding"].as_array().unwrap().len()), ("3.0".into(), 1));
    let error = bot.refused("earn_allocate", json!({"strategy_id": "ESTRAT1", "amount": "0.000001"})).await;
    assert!(error.starts_with("EEarnings:Below min"), "{error}");
    let pool = json!({"asset": "BTC", "addresses": [{"address": "bc1qpool"}]});
    venue.call("add_deposit_addresses", pool).await;
    let mine = bot.call("deposit_addresses", json!({"asset": "BTC"})).await;
    assert_eq!(mine["addresses"][0]["address"], "bc1qpool");
    let credit = json!({"asset": "BTC", "address": "bc1qpool", "amount": "0.5", "txid": "t-1"});
    let credited = venue.call("credit_deposit", credit.clone()).await;
    assert_eq!(venue.call("credit_deposit", credit).await, credited, "the same txid is the same deposit");
    assert_eq!(bot.item("deposits", |item| item["txid"] == "t-1").await["refid"], credited["refid"]);
    let balances = bot.call("get_balances", json!({})).await;
    assert_eq!(balances["balances"][1]["balance"].to_string(), "100.5");
}

#[tokio::test]
async fn a_member_resumes_with_what_may_be_viewed_and_nothing_else() {
    let mut only = Permissions::none();
    only.grant(Workflow::InitiateWithdrawal, Permission::Approve);
    let mut people = super::world::people();
    people.push(Person { name: "erin".to_owned(), permissions: only, kyc: Kyc::Verified });
    let world = World::peopled(&[key(ScopeSet::ALL)], &people).await;
    let (mut alice, mut bot, mut erin) = (world.member("alice").await, world.bot(1).await, world.member("erin").await);
    erin.subscribe("approvals").await;
    let first = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "1"})).await;
    let seen = erin.item("approvals", |item| item["request_id"] == first["request_id"]).await;
    let policy = json!({"workflow": "manage_access", "quorum": 1, "otp": code(0)});
    let hidden = alice.call("set_policy", policy).await;
    let second = bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "2"})).await;
    let mut again = Client::member(world.address, "erin@acme.test", 1).await.unwrap();
    let from = json!({"channel": "approvals", "from_offset": seen["offset"]});
    again.call("subscribe", from).await;
    let frame = again.frame("approvals").await;
    let ids: Vec<&Value> = frame["data"].as_array().unwrap().iter().map(|item| &item["request_id"]).collect();
    assert_eq!(ids, [&second["request_id"]], "the change of a policy is not hers to see");
    assert_eq!(alice.call("request_info", json!({"request_id": hidden["request_id"]})).await["state"], "executed");
    // Not even whether it exists: the id of the first event belongs to no request.
    let (hidden_id, none) = (&hidden["request_id"], json!(RequestId(1).to_string()));
    for method in ["request_info", "cancel_request"] {
        let refused = again.refused(method, json!({"request_id": hidden_id})).await;
        assert!(refused.starts_with("EGovernance:Unknown request"), "{method}: {refused}");
        assert_eq!(refused, again.refused(method, json!({"request_id": none})).await, "{method}");
    }
    let ballots = [hidden_id, &none].map(|id| json!({"request_id": id, "digest": hidden["digest"]}));
    let votes = again.call("approve", json!({"requests": ballots, "otp": code(0)})).await;
    assert!(votes["requests"][0]["error"].as_str().unwrap().starts_with("EGovernance:Unknown request"), "{votes}");
    assert_eq!(votes["requests"][0]["error"], votes["requests"][1]["error"]);
}

/// How a channel shows that each of `count` requests ended: `member` of its first item where that is not `begins`.
async fn ends(
    client: &mut Client,
    channel: &str,
    (member, begins): (&str, &str),
    count: usize,
) -> BTreeMap<String, Value> {
    let mut ends = BTreeMap::new();
    while ends.len() < count {
        for item in items(&[client.frame(channel).await], channel).iter().filter(|item| item[member] != begins) {
            let before = ends.insert(item["request_id"].to_string(), item[member].clone());
            assert!(before.is_none(), "it ends once: {item}");
        }
    }
    ends
}

/// The bot cancels requests one by one from the first on, Alice rejects them from the last on, and Bob approves all at
/// once as soon as either has ended one; the one in the middle is left to him, who may come late.
#[tokio::test]
async fn d3_33_cancels_rejections_and_approvals_at_once_end_each_request_in_one_state_for_all_observers() {
    const ASKED: usize = 31;
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let (mut alice, mut bob, mut bot) = (world.member("alice").await, world.member("bob").await, world.bot(1).await);
    let mut carol = world.member("carol").await;
    bot.subscribe("withdrawals").await;
    for observer in [&mut alice, &mut bob, &mut carol] {
        observer.subscribe("approvals").await;
    }
    let (mut withdrawals, mut ballots) = (Vec::new(), Vec::new());
    for _ in 0..ASKED {
        withdrawals.push(bot.call("withdraw", json!({"asset": "BTC", "key": "cold-1", "amount": "0.1"})).await);
        let request = json!({"request_id": withdrawals.last().unwrap()["request_id"]});
        ballots.push(ballot(&carol.call("request_info", request).await)[0].take());
    }
    let succeeded = |vote: &&Value| vote["success"] == true;
    let both = tokio::sync::Barrier::new(3);
    let cancel = async {
        let mut done = 0;
        for of in withdrawals.iter().filter(|of| **of != withdrawals[ASKED / 2]) {
            let reply = bot.reply("withdraw_cancel", json!({"refid": of["refid"]})).await;
            done += usize::from(reply["result"]["canceled"] == true);
            if of == &withdrawals[0] {
                both.wait().await;
            }
        }
        done
    };
    let reject = async {
        let mut done = 0;
        for ballot in ballots.iter().rev().filter(|ballot| **ballot != ballots[ASKED / 2]) {
            let reply = alice.call("reject", json!({"requests": [ballot], "reason": "not this one"})).await;
            done += reply["requests"].as_array().unwrap().iter().filter(succeeded).count();
            if ballot == &ballots[ASKED - 1] {
                both.wait().await;
            }
        }
        done
    };
    let approve = async {
        both.wait().await;
        let reply = bob.call("approve", json!({"requests": ballots, "otp": code(0)})).await;
        reply["requests"].as_array().unwrap().iter().filter(succeeded).count()
    };
    let (canceled, rejected, approved) = tokio::join!(cancel, reject, approve);
    let done = [canceled, rejected, approved];
    assert!(done.iter().sum::<usize>() == ASKED && done.iter().all(|won| *won > 0), "{done:?}");

    let (mut states, mut statuses) = (BTreeMap::new(), BTreeMap::new());
    for of in &withdrawals {
        let state = carol.call("request_info", json!({"request_id": of["request_id"]})).await["state"].take();
        let status = if state == "approved" { "Pending" } else { "Failure" };
        let listed = bot.call("withdraw_status", json!({"refid": of["refid"]})).await;
        assert_eq!(listed["withdrawals"][0]["status"], status, "{state}");
        statuses.insert(of["request_id"].to_string(), json!(status));
        states.insert(of["request_id"].to_string(), state);
    }
    let count = |state: &str| states.values().filter(|of| **of == state).count();
    assert_eq!(["canceled", "rejected", "approved"].map(count), done);
    for observer in [&mut alice, &mut bob, &mut carol] {
        assert_eq!(ends(observer, "approvals", ("state", "pending"), ASKED).await, states);
        observer.call("member_info", json!({})).await;
        assert_eq!(items(&observer.kept(), "approvals"), [Value::Null; 0], "each ends once");
    }
    assert_eq!(ends(&mut bot, "withdrawals", ("status", "Initial"), ASKED).await, statuses);
}
