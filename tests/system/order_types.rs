//! Every order type as a client sees it on `executions` (docs.kraken.com, `executions`).

use countersign::access::scope::ScopeSet;
use countersign::domain::orders::OrderType;
use countersign::server::wall_clock;
use serde_json::{Value, json};

use super::client::{Client, limit};
use super::world::{World, key, other};

/// A world whose last BTC/USD trade was at 1,000, and two bots of different Organizations; the first listens.
async fn traded() -> (World, Client, Client) {
    let world = World::new(&[key(ScopeSet::ALL), other()]).await;
    let (mut bot, mut maker) = (world.bot(1).await, world.bot(2).await);
    maker.call("add_order", limit("sell", "0.1", "1000")).await;
    bot.call("add_order", limit("buy", "0.1", "1000")).await;
    bot.subscribe("executions").await;
    bot.frame("executions").await;
    (world, bot, maker)
}

/// The next `count` items, each by type and status.
async fn told(bot: &mut Client, count: usize) -> Vec<(String, Value)> {
    let mut items = Vec::new();
    while items.len() < count {
        for item in bot.frame("executions").await["data"].as_array().unwrap() {
            let name = |field: &str| item[field].as_str().unwrap().to_owned();
            items.push((format!("{} {}", name("exec_type"), name("order_status")), item.clone()));
        }
    }
    items
}

fn words(items: &[(String, Value)]) -> Vec<&str> {
    items.iter().map(|(word, _)| word.as_str()).collect()
}

/// A trade at this price, which may reach triggers.
async fn print(bot: &mut Client, maker: &mut Client, price: i64) {
    maker.call("add_order", limit("sell", "0.01", price)).await;
    bot.call("add_order", limit("buy", "0.01", price)).await;
}

/// The items of an order until it is filled.
async fn life(bot: &mut Client, placed: &Value) -> Vec<String> {
    let mut words = Vec::new();
    while words.last().is_none_or(|word| word != "filled filled") {
        let items = told(bot, 1).await.into_iter();
        words.extend(items.filter(|(_, item)| item["order_id"] == placed["order_id"]).map(|(word, _)| word));
    }
    words
}

/// Each order sells to the maker: resting ones are met by it, waiting ones sell once their trigger is reached.
#[tokio::test]
async fn every_type_is_told_from_its_placing_to_its_last_fill() {
    let (_world, mut bot, mut maker) = traded().await;
    for order_type in OrderType::ALL {
        print(&mut bot, &mut maker, 1000).await;
        let rests = matches!(order_type, OrderType::Limit | OrderType::Iceberg);
        if !rests {
            maker.call("add_order", limit("buy", "0.2", 900)).await;
        }
        let mut order = limit("sell", "0.2", if rests { 1000 } else { 900 });
        order["order_type"] = json!(order_type.name());
        let trigger = if order_type.takes_profit() { 1050 } else { 950 };
        if order_type.is_triggered() {
            order["triggers"] = json!({"price": if order_type.trails() { 50 } else { trigger }});
        }
        match order_type {
            OrderType::Iceberg => order["display_qty"] = json!("0.1"),
            OrderType::TrailingStopLimit => order["limit_price"] = json!(-50),
            of if !of.is_limit() => drop(order.as_object_mut().unwrap().remove("limit_price")),
            _ => {}
        }
        let placed = bot.call("add_order", order).await;
        if rests {
            maker.call("add_order", limit("buy", "0.2", 1000)).await;
        } else if order_type.is_triggered() {
            print(&mut bot, &mut maker, trigger).await;
        }
        let live: &[&str] = match order_type {
            OrderType::Limit | OrderType::Market => &["trade filled", "filled filled"],
            OrderType::Iceberg => {
                &["trade partially_filled", "iceberg_refill partially_filled", "trade filled", "filled filled"]
            }
            OrderType::StopLoss
            | OrderType::StopLossLimit
            | OrderType::TakeProfit
            | OrderType::TakeProfitLimit
            | OrderType::TrailingStop
            | OrderType::TrailingStopLimit => &["status new", "trade filled", "filled filled"],
        };
        let expected = [&["pending_new pending_new", "new new"], live].concat();
        assert_eq!(life(&mut bot, &placed).await, expected, "{order_type:?}");
    }
}

#[tokio::test]
async fn a_stop_is_told_when_placed_when_reached_and_when_filled() {
    let (_world, mut bot, mut maker) = traded().await;
    maker.call("add_order", limit("buy", "1", "900")).await;
    let stop = json!({"order_type": "stop-loss", "side": "sell", "symbol": "BTC/USD", "order_qty": "0.2",
        "triggers": {"price": "-50", "price_type": "quote"}, "sender_sub_id": "desk-7"});
    bot.call("add_order", stop).await;
    let items = told(&mut bot, 2).await;
    assert_eq!(words(&items), ["pending_new pending_new", "new new"]);
    let trigger = &items[1].1["triggers"];
    let shown = (trigger["status"].as_str(), trigger["actual_price"].to_string(), trigger["price"].to_string());
    assert_eq!(shown, (Some("untriggered"), "950.0".into(), "-50.0".into()), "{trigger}");
    assert_eq!((&items[0].1["stop_price"], &items[0].1["sender_sub_id"]), (&json!(950.0), &json!("desk-7")));
    maker.call("add_order", limit("sell", "0.1", "950")).await;
    bot.call("add_order", limit("buy", "0.1", "950")).await;
    let items = told(&mut bot, 7).await;
    let of_stop: Vec<&(String, Value)> = items.iter().filter(|(_, item)| item["order_type"] == "stop-loss").collect();
    let seen: Vec<&str> = of_stop.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(seen, ["status new", "trade filled", "filled filled"]);
    let fired = &of_stop[0].1["triggers"];
    assert_eq!(
        (&fired["status"], fired["last_price"].to_string()),
        (&json!("triggered"), "950.0".to_owned()),
        "{fired}"
    );
}

#[tokio::test]
async fn an_iceberg_tells_its_slices_and_an_amendment_its_reason() {
    let (_world, mut bot, mut maker) = traded().await;
    let mut iceberg = limit("sell", "1", "1100");
    (iceberg["order_type"], iceberg["display_qty"]) = (json!("iceberg"), json!("0.25"));
    let placed = bot.call("add_order", iceberg).await;
    let items = told(&mut bot, 2).await;
    assert_eq!(items[1].1["display_qty_remain"].to_string(), "0.25");
    maker.call("subscribe", json!({"channel": "book", "symbol": ["BTC/USD"]})).await;
    let book = maker.frame("book").await;
    assert_eq!(book["data"][0]["asks"], json!([{"price": 1100.0, "qty": 0.25}]), "the rest is hidden");
    maker.call("add_order", limit("buy", "0.3", "1100")).await;
    let items = told(&mut bot, 3).await;
    let expected = ["trade partially_filled", "iceberg_refill partially_filled", "trade partially_filled"];
    assert_eq!(words(&items), expected);
    let amended = bot.call("amend_order", json!({"order_id": placed["order_id"], "order_qty": "0.8"})).await;
    assert_eq!(amended["order_id"], placed["order_id"]);
    assert!(amended["amend_id"].as_str().unwrap().starts_with('M'), "{amended}");
    let items = told(&mut bot, 1).await;
    assert_eq!(words(&items), ["amended partially_filled"]);
    let item = &items[0].1;
    assert_eq!(
        (&item["amended"], &item["reason"], item["order_qty"].to_string()),
        (&json!(true), &json!("User requested"), "0.8".into())
    );
    let canceled = bot.call("cancel_order", json!({"order_id": [placed["order_id"]]})).await;
    assert_eq!(canceled["order_id"], placed["order_id"]);
}

/// A client id may stand for an order of another pair than the caller thinks.
#[tokio::test]
async fn an_amendment_that_names_another_pair_is_refused() {
    let (world, mut bot, _maker) = traded().await;
    let elsewhere = json!({"symbol": "ETH/USD", "price_decimals": 2, "qty_decimals": 8, "price_increment": "0.01",
        "qty_min": "0.001", "cost_min": "0.001", "maker_ppm": 1_000, "taker_ppm": 2_000});
    world.venue().await.call("add_market", elsewhere).await;
    let placed = bot.call("add_order", limit("buy", "1", "900")).await;
    let amend = |symbol: &str| json!({"order_id": placed["order_id"], "symbol": symbol, "limit_price": 901});
    let another = "EGeneral:Invalid arguments:symbol: name the pair of the order";
    assert_eq!(bot.refused("amend_order", amend("ETH/USD")).await, another);
    assert!(bot.refused("amend_order", amend("XXX/USD")).await.starts_with("EQuery:Unknown asset pair:symbol"));
    bot.call("amend_order", amend("BTC/USD")).await;
    assert_eq!(words(&told(&mut bot, 3).await), ["pending_new pending_new", "new new", "amended new"]);
}

#[tokio::test]
async fn an_edit_names_both_orders_and_a_closing_order_follows_its_fill() {
    let (_world, mut bot, mut maker) = traded().await;
    let mut order = limit("buy", "0.4", "800");
    order["conditional"] = json!({"order_type": "take-profit", "trigger_price": "10", "trigger_price_type": "pct"});
    bot.call("add_order", order).await;
    assert_eq!(told(&mut bot, 2).await[0].1["contingent"]["trigger_price"].to_string(), "10.0");
    maker.call("add_order", limit("sell", "0.4", "800")).await;
    let items = told(&mut bot, 4).await;
    assert_eq!(words(&items)[..2], ["trade filled", "filled filled"]);
    let closing = &items[3].1;
    let seen = (&closing["order_type"], &closing["side"], closing["triggers"]["actual_price"].to_string());
    assert_eq!(seen, (&json!("take-profit"), &json!("sell"), "880.0".to_owned()), "{closing}");

    let placed = bot.call("add_order", limit("buy", "0.4", "700")).await;
    told(&mut bot, 2).await;
    let edit = json!({"order_id": placed["order_id"], "symbol": "BTC/USD", "limit_price": "710"});
    let edited = bot.call("edit_order", edit).await;
    assert_eq!(edited["original_order_id"], placed["order_id"]);
    let items = told(&mut bot, 3).await;
    assert_eq!(words(&items), ["canceled canceled", "pending_new pending_new", "new new"]);
    assert_eq!(items[2].1["order_id"], edited["order_id"]);
    let named = json!({"order_id": [placed["order_id"], edited["order_id"]]});
    let found = bot.call("query_orders", named).await;
    assert_eq!(found["orders"].as_array().unwrap().len(), 2, "open and closed");
}

/// An order with dates as it is listed before it starts, and what a new subscription says of it.
async fn waiting_order(world: &World, bot: &mut Client) -> (Value, Vec<(String, Value)>) {
    // On a busy machine the first may start before it is listed.
    for start_us in [600_000, 5_000_000, 20_000_000] {
        let start = wall_clock().plus_us(start_us);
        let mut order = limit("buy", "0.1", "700");
        (order["effective_time"], order["time_in_force"], order["expire_time"]) =
            (json!(start.to_string()), json!("gtd"), json!(start.plus_us(900_000).to_string()));
        bot.call("add_order", order).await;
        let mut late = world.bot(1).await;
        late.subscribe("executions").await;
        let waiting = told(&mut late, 1).await;
        let listed = late.call("open_orders", json!({})).await["orders"][0].take();
        if wall_clock() < start {
            return (listed, waiting);
        }
        bot.call("cancel_all", json!({})).await;
        bot.item("executions", |item| item["exec_type"] == "canceled" || item["exec_type"] == "expired").await;
    }
    panic!("nothing is answered within 20 s");
}

#[tokio::test]
async fn orders_with_dates_start_and_end_on_their_own() {
    let (world, mut bot, _maker) = traded().await;
    let (listed, waiting) = waiting_order(&world, &mut bot).await;
    assert_eq!(words(&waiting), ["pending_new pending_new"], "it waits");
    assert_eq!((&listed["exec_type"], &listed["order_status"]), (&json!("pending_new"), &json!("pending_new")));
    let mut resumed = world.bot(1).await;
    resumed.call("subscribe", json!({"channel": "executions", "from_offset": listed["offset"]})).await;
    let items = told(&mut bot, 3).await;
    assert_eq!(words(&items), ["pending_new pending_new", "new new", "expired expired"]);
    assert!(items[1].1["timestamp"].as_str() >= items[0].1["effective_time"].as_str());
    assert!(items[2].1["timestamp"].as_str() >= items[0].1["expire_time"].as_str());
    let late = json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": 1, "limit_price": 1,
        "deadline": "2020-01-01T00:00:00Z"});
    assert_eq!(bot.refused("add_order", late).await, "EService:Deadline elapsed");
}

#[tokio::test]
async fn a_closed_market_says_which_mode_it_is_in() {
    let (world, mut bot, _maker) = traded().await;
    let mut venue = world.venue().await;
    venue.call("set_market_status", json!({"symbol": "BTC/USD", "status": "limit_only"})).await;
    let market = json!({"order_type": "market", "side": "buy", "symbol": "BTC/USD", "order_qty": 1});
    assert_eq!(bot.refused("add_order", market).await, "EService:Market in limit_only mode");
    bot.call("add_order", limit("buy", "0.1", "700")).await;
    let error = bot
        .refused(
            "add_order",
            json!({"order_type": "limit", "side": "buy", "symbol": "BTC/USD",
        "order_qty": 1, "limit_price": 1000, "margin": true}),
        )
        .await;
    assert!(error.starts_with("EOrder:Cannot open position:margin"), "{error}");
}

#[tokio::test]
async fn an_order_whose_fields_do_not_go_together_is_refused_by_the_one_that_is_wrong() {
    let (_world, mut bot, mut maker) = traded().await;
    maker.call("add_order", limit("buy", "5", "900")).await;
    let soon = wall_clock().plus_us(60_000_000).to_string();
    let limited = || json!({"order_type": "limit", "order_qty": 1, "limit_price": 10});
    let market = || json!({"order_type": "market", "order_qty": 1});
    let iceberg = || json!({"order_type": "iceberg", "order_qty": 1, "limit_price": 10, "display_qty": "0.5"});
    let stop = || json!({"order_type": "stop-loss", "order_qty": 1, "triggers": {"price": 20}});
    let trailing = || {
        json!({"order_type": "trailing-stop-limit", "order_qty": 1, "limit_price": 1,
        "triggers": {"price": 5, "price_type": "quote"}})
    };
    let closes = |conditional: Value| json!({"conditional": conditional});
    for (order, change, field) in [
        (limited(), json!({"limit_price": null}), "limit_price"),
        (market(), json!({"limit_price": 10}), "limit_price"),
        (stop(), json!({"limit_price": 10}), "limit_price"),
        (limited(), json!({"limit_price_type": "quote"}), "limit_price_type"),
        (trailing(), json!({"limit_price_type": "static"}), "limit_price_type"),
        (limited(), json!({"time_in_force": "gtd"}), "expire_time"),
        (limited(), json!({"expire_time": soon}), "expire_time"),
        (market(), json!({"time_in_force": "fok"}), "time_in_force"),
        (market(), json!({"time_in_force": "gtd", "expire_time": soon}), "time_in_force"),
        (stop(), json!({"time_in_force": "fok"}), "time_in_force"),
        (iceberg(), json!({"time_in_force": "ioc"}), "time_in_force"),
        (market(), json!({"post_only": true}), "post_only"),
        (limited(), json!({"post_only": true, "time_in_force": "ioc"}), "post_only"),
        (limited(), json!({"display_qty": "0.5"}), "display_qty"),
        (iceberg(), json!({"display_qty": null}), "display_qty"),
        (limited(), json!({"triggers": {"price": 20}}), "triggers"),
        (stop(), json!({"triggers": null}), "triggers"),
        (trailing(), json!({"triggers": {"price": 5, "price_type": "static"}}), "triggers"),
        (trailing(), json!({"triggers": {"price": -5, "price_type": "quote"}}), "triggers"),
        (limited(), json!({"order_qty": null}), "order_qty"),
        (limited(), json!({"cash_order_qty": 5}), "cash_order_qty"),
        (market(), json!({"cash_order_qty": 5}), "cash_order_qty"),
        (market(), json!({"cash_order_qty": 5, "order_qty": null, "side": "sell"}), "cash_order_qty"),
        (market(), json!({"cash_order_qty": 0, "order_qty": null}), "cash_order_qty"),
        (limited(), closes(json!({"order_type": "market"})), "conditional"),
        (limited(), closes(json!({"order_type": "limit"})), "conditional"),
        (limited(), closes(json!({"order_type": "limit", "limit_price": 20, "trigger_price": 20})), "conditional"),
        (limited(), closes(json!({"order_type": "stop-loss", "limit_price": 20})), "conditional"),
        (
            limited(),
            closes(json!({"order_type": "trailing-stop", "trigger_price": -5, "trigger_price_type": "quote"})),
            "conditional",
        ),
        (limited(), json!({"sender_sub_id": "desk 7"}), "sender_sub_id"),
        (limited(), json!({"symbol": null}), "symbol"),
        (limited(), json!({"symbol": "A".repeat(25)}), "symbol"),
    ] {
        let mut asked = json!({"side": "buy", "symbol": "BTC/USD", "validate": true});
        for part in [&order, &change] {
            asked.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        }
        asked.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let refused = bot.refused("add_order", asked.clone()).await;
        assert!(refused.starts_with(&format!("EGeneral:Invalid arguments:{field}: ")), "{asked}: {refused}");
    }
    // Each of them is sound as it was.
    for mut order in [limited(), market(), iceberg(), stop(), trailing()] {
        (order["side"], order["symbol"], order["validate"]) = (json!("sell"), json!("BTC/USD"), json!(true));
        bot.call("add_order", order).await;
    }
}
