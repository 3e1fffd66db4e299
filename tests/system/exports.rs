//! Exports: files of trades and ledger entries, made in the background, fetched once by a link.

use std::collections::HashMap;

use countersign::access::key::KeySettings;
use countersign::access::scope::{Scope, ScopeSet};
use countersign::config::Config;
use countersign::domain::time::{Moment, Period};
use countersign::gateway::credentials::Signed;
use countersign::server::wall_clock;
use serde_json::{Value, json};

use super::client::{Client, code, http, limit, next_nonce, soon};
use super::world::{Governors, World, api_key, key, other, passes, secret, with};

const TRADES: &str = "txid,ordertxid,pair,time,type,ordertype,price,cost,fee,vol,margin,misc,ledgers";
const LEDGERS: &str = "txid,refid,time,type,subtype,aclass,asset,amount,fee,balance,wallet";

/// Fills between the bots of two Organizations: the first one is maker in some and taker in others.
async fn traded(world: &World) -> (Client, Client) {
    let (mut bot, mut peer) = (world.bot(1).await, world.bot(2).await);
    for (at, (maker, taker)) in [("sell", "buy"), ("buy", "sell")].into_iter().enumerate() {
        peer.call("add_order", limit(maker, "0.5", "1000.5")).await;
        bot.call("add_order", limit(taker, "0.25", "1000.5")).await;
        let mut order = limit(taker, "0.125", "1000.5");
        order["fee_preference"] = json!(if at == 0 { "base" } else { "quote" });
        bot.call("add_order", order).await;
        peer.call("cancel_all", json!({})).await;
        bot.call("add_order", limit(maker, "0.1", "999.9")).await;
        peer.call("add_order", limit(taker, "0.05", "999.9")).await;
        bot.call("cancel_all", json!({})).await;
    }
    bot.call("earn_allocate", json!({"strategy_id": "ESTRAT1", "amount": "1.5"})).await;
    (bot, peer)
}

/// Orders an export: its id.
pub async fn ordered(bot: &mut Client, params: Value) -> String {
    bot.call("export_add", params).await["export_id"].as_str().unwrap().to_owned()
}

/// Queries its status until the export is made; returns that status.
pub async fn processed(bot: &mut Client, id: &str) -> Value {
    let made = async {
        loop {
            let status = bot.call("export_status", json!({"export_id": id})).await["exports"][0].take();
            match status["status"].as_str().unwrap() {
                "Processed" => return status,
                other => assert!(["Queued", "Processing"].contains(&other), "{status}"),
            }
        }
    };
    soon("export", made).await
}

pub async fn link(bot: &mut Client, id: &str) -> String {
    bot.call("export_retrieve", json!({"export_id": id})).await["url"].as_str().unwrap().to_owned()
}

/// The rows of an export, its header first.
async fn fetched(world: &World, bot: &mut Client, params: Value) -> Vec<String> {
    let id = ordered(bot, params).await;
    let status = processed(bot, &id).await;
    let (code, _, body) = http(world.address, "GET", &link(bot, &id).await, &[], "").await;
    assert_eq!(code, 200, "{body}");
    assert!(body.ends_with("\r\n"));
    let rows: Vec<String> = body.lines().map(str::to_owned).collect();
    assert_eq!(status["rows"], json!(rows.len() - 1), "{status}");
    rows
}

/// All items of a list, page by page, as raw text.
async fn paged(bot: &mut Client, method: &str, list: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut params = json!({"limit": 3});
    loop {
        let mut page = bot.call(method, params.clone()).await;
        all.append(page[list].as_array_mut().unwrap());
        match page["cursor"].as_str() {
            Some(cursor) => params["cursor"] = json!(cursor),
            None => return all,
        }
    }
}

/// Cells of a row; only the last column of these files is ever quoted.
fn cells<'a>(header: &'a str, row: &'a str) -> HashMap<&'a str, &'a str> {
    let names: Vec<&str> = header.split(',').collect();
    names.iter().copied().zip(row.splitn(names.len(), ',')).collect()
}

#[tokio::test]
async fn a_file_of_the_ledger_has_every_entry_as_the_query_tells_it() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, _peer) = traded(&world).await;
    let told = paged(&mut bot, "ledgers", "entries").await;
    let rows = fetched(&world, &mut bot, json!({"report": "ledgers", "format": "CSV"})).await;
    assert_eq!(rows[0], LEDGERS);
    assert_eq!(rows.len() - 1, told.len());
    assert!(told.len() > 12, "{}", told.len());
    for (row, entry) in rows[1..].iter().zip(&told) {
        let of = cells(LEDGERS, row);
        for (column, field) in [
            ("txid", "ledger_id"),
            ("refid", "ref_id"),
            ("time", "timestamp"),
            ("type", "type"),
            ("aclass", "asset_class"),
            ("asset", "asset"),
            ("wallet", "wallet_id"),
        ] {
            assert_eq!(of[column], entry[field].as_str().unwrap(), "{column} of {row}");
        }
        assert_eq!(of["subtype"], entry["subtype"].as_str().unwrap_or_default(), "{row}");
        let decimals = if of["asset"] == "USD" { 4 } else { 8 };
        for column in ["amount", "fee", "balance"] {
            let exact = format!("{:.decimals$}", entry[column].as_f64().unwrap());
            assert_eq!(of[column], exact, "{column} of {row}");
        }
    }
}

#[tokio::test]
async fn a_file_of_trades_has_every_fill_as_the_query_tells_it() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, _peer) = traded(&world).await;
    let told = paged(&mut bot, "trades_history", "trades").await;
    let ledger = paged(&mut bot, "ledgers", "entries").await;
    let rows = fetched(&world, &mut bot, json!({"report": "trades", "format": "csv"})).await;
    assert_eq!(rows[0], TRADES);
    assert_eq!((rows.len() - 1, told.len()), (6, 6));
    for (row, fill) in rows[1..].iter().zip(&told) {
        let of = cells(TRADES, row);
        for (column, field) in [
            ("txid", "exec_id"),
            ("ordertxid", "order_id"),
            ("pair", "symbol"),
            ("time", "timestamp"),
            ("type", "side"),
            ("ordertype", "order_type"),
        ] {
            assert_eq!(of[column], fill[field].as_str().unwrap(), "{column} of {row}");
        }
        let in_base = fill["fees"][0]["asset"] == "BTC";
        let fee_decimals = if in_base { 8 } else { 4 };
        for (column, number, decimals) in [
            ("price", &fill["last_price"], 1),
            ("cost", &fill["cost"], 4),
            ("vol", &fill["last_qty"], 8),
            ("fee", &fill["fees"][0]["qty"], fee_decimals),
        ] {
            assert_eq!(of[column], format!("{:.decimals$}", number.as_f64().unwrap()), "{column} of {row}");
        }
        assert_eq!((of["margin"], of["misc"]), ("0.0000", if in_base { "fcib" } else { "" }));
        // Exactly the ledger's entries of this fill, quoted because of the comma.
        let mut own: Vec<&str> = ledger
            .iter()
            .filter(|entry| entry["ref_id"] == fill["exec_id"])
            .map(|entry| entry["ledger_id"].as_str().unwrap())
            .collect();
        own.reverse();
        assert_eq!(of["ledgers"], format!("\"{}\"", own.join(",")));
    }
    assert!(rows.iter().any(|row| row.contains(",fcib,")));
}

#[tokio::test]
async fn fields_choose_and_order_the_columns_and_tsv_needs_no_quotes() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, _peer) = traded(&world).await;
    let asked = json!({"report": "trades", "format": "tsv", "fields": ["ledgers", "txid"], "description": "=1+1"});
    let rows = fetched(&world, &mut bot, asked).await;
    assert_eq!(rows[0], "ledgers\ttxid");
    assert!(rows[1..].iter().all(|row| row.split('\t').count() == 2 && !row.contains(['"', '='])), "{rows:?}");
    let asked = json!({"report": "ledgers", "format": "csv", "fields": "all"});
    let rows = fetched(&world, &mut bot, asked).await;
    assert_eq!(rows[0], "txid,refid,time,type,subtype,aclass,asset,amount,fee,balance,wallet");
    for (params, named) in [
        (json!({"report": "trades", "format": "csv", "fields": ["txid", "balance"]}), "fields: there is no balance"),
        (json!({"report": "trades", "format": "csv", "fields": ["txid", "txid"]}), "fields: name txid once"),
        (json!({"report": "trades", "format": "csv", "fields": []}), "fields: "),
        (json!({"report": "trades", "format": "csv", "fields": ["txid", "all"]}), "fields: there is no all"),
        (json!({"report": "orders", "format": "csv"}), "report: "),
        (json!({"report": "trades", "format": "xls"}), "format: "),
        (json!({"report": "trades", "format": "csv", "start": "yesterday"}), "start: "),
        (
            json!({"report": "trades", "format": "csv", "start": "2026-01-02T00:00:00Z", "end": "2026-01-02T00:00:00Z"}),
            "end: ",
        ),
        (json!({"report": "trades", "format": "csv", "description": "a\u{7}b"}), "description: "),
    ] {
        let error = bot.refused("export_add", params).await;
        assert!(error.starts_with(&format!("EGeneral:Invalid arguments:{named}")), "{error}");
    }
}

/// Entries on both sides of each edge: the start is included, the end is not.
#[tokio::test]
async fn d2_22_dates_bound_an_export_on_both_edges() {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, _peer) = traded(&world).await;
    let told = paged(&mut bot, "ledgers", "entries").await;
    let mut times: Vec<String> = told.iter().map(|entry| entry["timestamp"].as_str().unwrap().to_owned()).collect();
    times.dedup();
    let (end, start) = (&times[1], &times[times.len() - 2]);
    let within = |at: &str| *start.as_str() <= *at && *at < *end.as_str();
    let expected: Vec<&str> = told
        .iter()
        .filter(|entry| within(entry["timestamp"].as_str().unwrap()))
        .map(|entry| entry["ledger_id"].as_str().unwrap())
        .collect();
    assert!(!expected.is_empty() && expected.len() < told.len() - 1);
    let asked = json!({"report": "ledgers", "format": "csv", "fields": ["txid"], "start": start, "end": end});
    assert_eq!(fetched(&world, &mut bot, asked.clone()).await[1..], expected);
    // The key's own dates do the same, whatever is requested, and hide exports that reach beyond them.
    let (mut wide, narrow) = (Vec::new(), asked);
    for beyond in [json!({"start": start}), json!({"end": end})] {
        let mut asked = json!({"report": "ledgers", "format": "csv"});
        asked.as_object_mut().unwrap().extend(beyond.as_object().unwrap().clone());
        wide.push(ordered(&mut bot, asked).await);
    }
    let mut alice = world.member("alice").await;
    let settings = json!({"query_start": start, "query_end": end});
    alice.call("edit_service_user", json!({"service_user_id": "SVC1", "settings": settings, "otp": code(0)})).await;
    let asked = json!({"report": "ledgers", "format": "csv", "fields": ["txid"]});
    assert_eq!(fetched(&world, &mut bot, asked).await[1..], expected);
    assert_eq!(fetched(&world, &mut bot, narrow).await[1..], expected);
    for method in ["export_status", "export_retrieve", "export_remove"] {
        for id in &wide {
            let error = bot.refused(method, json!({"export_id": id})).await;
            assert!(error.starts_with("EQuery:Unknown export"), "{method}: {error}");
        }
    }
}

#[tokio::test]
async fn a_link_is_good_for_one_get_and_tells_caches_nothing() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let asked = json!({"report": "ledgers", "format": "csv", "description": "opening"});
    let id = ordered(&mut bot, asked).await;
    let status = processed(&mut bot, &id).await;
    assert_eq!(
        (&status["descr"], &status["report"], &status["format"]),
        (&json!("opening"), &json!("ledgers"), &json!("csv"))
    );
    assert!(status["starttm"].as_str().unwrap() >= status["createdtm"].as_str().unwrap());
    assert!(status["completedtm"].as_str().unwrap() >= status["starttm"].as_str().unwrap());
    let url = link(&mut bot, &id).await;
    assert_eq!(http(world.address, "HEAD", &url, &[], "").await.0, 405, "looking does not use it up");
    let (status, head, body) = http(world.address, "GET", &url, &[], "").await;
    assert_eq!(status, 200);
    for line in [
        "content-type: text/csv; charset=utf-8; header=present",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        &format!("content-disposition: attachment; filename=\"ledgers-{id}.csv\""),
        &format!("content-length: {}", body.len()),
    ] {
        assert!(head.lines().any(|of| of.eq_ignore_ascii_case(line)), "{line} in {head}");
    }
    assert_eq!(body.lines().count(), 4);
    for path in [url.as_str(), "/exports/nonsense", "/exports/..%2Fjournal.db"] {
        let (status, _, body) = http(world.address, "GET", path, &[], "").await;
        assert_eq!(status, 404, "{path}");
        assert!(body.contains("EQuery:Unknown export"), "{body}");
    }
    let (first, second) = (link(&mut bot, &id).await, link(&mut bot, &id).await);
    assert_eq!(http(world.address, "GET", &first, &[], "").await.0, 404, "a new link voids the one before");
    assert_eq!(http(world.address, "GET", &second, &[], "").await.0, 200);
    bot.call("export_remove", json!({"export_id": id})).await;
    assert_eq!(bot.call("export_status", json!({})).await, json!({"exports": []}));
}

#[tokio::test]
async fn a_link_dies_with_the_right_that_it_was_asked_for_with() {
    let (world, mut governors) = Governors::with(&[key(ScopeSet::ALL), key(ScopeSet::ALL), key(ScopeSet::ALL)]).await;
    let mut links = Vec::new();
    for number in 1..=3 {
        let mut bot = world.bot(number).await;
        let id = ordered(&mut bot, json!({"report": "ledgers", "format": "csv"})).await;
        processed(&mut bot, &id).await;
        links.push(link(&mut bot, &id).await);
    }
    let scopes: Vec<&str> = ScopeSet::ALL.iter().filter(|scope| *scope != Scope::ExportData).map(Scope::name).collect();
    let edits = [
        json!({"service_user_id": "SVC1", "scopes": scopes}),
        json!({"service_user_id": "SVC2", "disabled": true}),
        json!({"service_user_id": "SVC3", "settings": {"ip_allowlist": ["192.0.2.0/24"]}}),
    ];
    for (edit, url) in edits.into_iter().zip(links) {
        let request = governors.act("edit_service_user", edit).await;
        assert_eq!(request["state"], "executed", "{request}");
        assert_eq!(http(world.address, "GET", &url, &[], "").await.0, 403);
        assert_eq!(http(world.address, "GET", &url, &[], "").await.0, 404, "and it is used up");
    }
}

/// Both speak through a proxy of ours.
#[tokio::test]
async fn d1_11_a_link_is_for_who_comes_from_where_the_key_may_be_used() {
    let listed = KeySettings { ip_allowlist: vec!["203.0.113.0/24".parse().unwrap()], ..KeySettings::default() };
    let proxies = |config: &mut Config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let world = World::configured(&[with(listed)], proxies).await;
    let (nonce, name) = (next_nonce(), api_key(1));
    let sign = Signed::handshake(&nonce).sign(&secret(1));
    let signed = [("API-Key", name.as_str()), ("API-Nonce", &nonce), ("API-Sign", &sign)];
    let from = |address| [("X-Forwarded-For", address)];
    let opened = Client::open(world.address, &[&signed[..], &from("203.0.113.9")].concat()).await;
    let mut bot = opened.unwrap();
    let id = ordered(&mut bot, json!({"report": "ledgers", "format": "csv"})).await;
    processed(&mut bot, &id).await;
    for (address, status) in [("198.51.100.1", 403), ("203.0.113.77", 200)] {
        let url = link(&mut bot, &id).await;
        assert_eq!(http(world.address, "GET", &url, &from(address), "").await.0, status, "{address}");
    }
}

#[tokio::test]
async fn d2_23_an_export_of_another_account_does_not_exist() {
    let world = World::new(&[key(ScopeSet::ALL), other(), key(ScopeSet::of(&[Scope::ExportData]))]).await;
    let (mut bot, mut stranger) = (world.bot(1).await, world.bot(2).await);
    let id = ordered(&mut bot, json!({"report": "ledgers", "format": "csv"})).await;
    processed(&mut bot, &id).await;
    let invented = "XAAAAA-AAAAA-AAAAAA";
    for method in ["export_status", "export_retrieve", "export_remove"] {
        let foreign = stranger.refused(method, json!({"export_id": id})).await;
        assert_eq!(foreign, stranger.refused(method, json!({"export_id": invented})).await.replace(invented, &id));
    }
    assert_eq!(stranger.call("export_status", json!({})).await, json!({"exports": []}));
    // Another key of the same account sees it.
    let mut colleague = world.bot(3).await;
    assert_eq!(colleague.call("export_status", json!({})).await["exports"][0]["id"], json!(id));
}

#[tokio::test]
async fn an_order_for_an_export_survives_a_restart_and_a_lost_file_is_made_again() {
    let mut world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, peer) = traded(&world).await;
    let before = fetched(&world, &mut bot, json!({"report": "ledgers", "format": "csv"})).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(ordered(&mut bot, json!({"report": "ledgers", "format": "csv"})).await);
    }
    // What comes later is not in them.
    bot.call("earn_allocate", json!({"strategy_id": "ESTRAT1", "amount": "1"})).await;
    drop((bot, peer));
    world.stop().await;
    // As after a crash: one file truncated, one missing, one unknown.
    let files = world.dir().join("exports");
    std::fs::write(files.join(format!("{}.csv.part", ids[0])), "txid,ref").unwrap();
    let _ = std::fs::remove_file(files.join(format!("{}.csv", ids[1])));
    std::fs::write(files.join("XAAAAA-AAAAA-AAAAAA.csv"), "stray").unwrap();
    world.start().await;
    let mut bot = world.bot(1).await;
    for id in &ids {
        processed(&mut bot, id).await;
        let made = async {
            loop {
                let url = link(&mut bot, id).await;
                let (status, _, body) = http(world.address, "GET", &url, &[], "").await;
                if status == 200 {
                    return body;
                }
                assert_eq!(status, 503, "only while it is made again: {body}");
            }
        };
        let body = soon("file", made).await;
        assert_eq!(body.lines().collect::<Vec<_>>(), before);
    }
    drop(bot);
    world.stop().await;
    let mut left: Vec<String> =
        std::fs::read_dir(&files).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.retain(|name| !ids.iter().any(|id| *name == format!("{id}.csv")));
    assert_eq!(left.len(), 1, "the first one; neither a part nor a stray: {left:?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_begun_holds_up_no_other_organization() {
    let mut world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let asked = json!({"report": "ledgers", "format": "csv"});
    let mut bot = world.bot(1).await;
    let id = ordered(&mut bot, asked.clone()).await;
    processed(&mut bot, &id).await;
    drop(bot);
    world.stop().await;
    // The file is lost, and a directory has the name that it has while it is made again.
    let files = world.dir().join("exports");
    let (file, part) = (files.join(format!("{id}.csv")), files.join(format!("{id}.csv.part")));
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&part).unwrap();
    world.start().await;
    let (mut bot, mut peer) = (world.bot(1).await, world.bot(2).await);
    let others = ordered(&mut peer, asked).await;
    processed(&mut peer, &others).await;
    assert_eq!(http(world.address, "GET", &link(&mut bot, &id).await, &[], "").await.0, 503);
    std::fs::remove_dir(&part).unwrap();
    passes(5).await;
    let made = async { while http(world.address, "GET", &link(&mut bot, &id).await, &[], "").await.0 != 200 {} };
    soon("file", made).await;
}

#[tokio::test]
async fn an_export_is_removed_while_it_waits_or_is_made_and_the_queue_is_bounded() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let mut bot = world.bot(1).await;
    let asked = json!({"report": "ledgers", "format": "csv"});
    // All in one read, so that none is made before it is removed.
    for req_id in 1_001..=1_010 {
        bot.send(json!({"method": "export_add", "req_id": req_id, "params": asked}).to_string()).await;
    }
    let mut ids = Vec::new();
    for req_id in 1_001..=1_010 {
        let reply = bot.answer(req_id).await;
        match reply["success"].as_bool().unwrap() {
            true => ids.push(reply["result"]["export_id"].as_str().unwrap().to_owned()),
            false => {
                assert!(reply["error"].as_str().unwrap().starts_with("EGeneral:Limit reached:report: "), "{reply}")
            }
        }
    }
    assert!(ids.len() >= 5, "{}", ids.len());
    for id in &ids {
        assert_eq!(bot.call("export_remove", json!({"export_id": id})).await, json!({"removed": true}));
        assert!(bot.refused("export_remove", json!({"export_id": id})).await.starts_with("EQuery:Unknown export"));
    }
    let last = ordered(&mut bot, asked).await;
    processed(&mut bot, &last).await;
    assert_eq!(bot.call("export_status", json!({})).await["exports"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_whose_dates_are_over_still_gets_what_lies_within_them() {
    let now = wall_clock();
    let ended =
        KeySettings { query_dates: Period { from: None, until: Some(Moment(now.0 - 1)) }, ..KeySettings::default() };
    let world = World::new(&[with(ended)]).await;
    let rows = fetched(&world, &mut world.bot(1).await, json!({"report": "ledgers", "format": "csv"})).await;
    assert_eq!(rows, [LEDGERS], "the opening entries are younger than that");
}
