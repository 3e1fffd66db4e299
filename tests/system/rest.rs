//! The server over real sockets: the REST calls of stock clients, start and stop.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

use countersign::config::Config;
use countersign::domain::assets::Asset;
use countersign::domain::ids::{AssetId, MarketId};
use countersign::domain::markets::Market;
use countersign::domain::money::{Amount, Price, Quantity};
use countersign::domain::text::{AssetCode, Symbol};
use countersign::engine::command;
use countersign::engine::event::Event;
use countersign::gateway::secrets::MasterKey;
use countersign::server::{Plan, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client::http;
use super::served::Served;
use super::world::MASTER;

fn asset(id: u16, code: &str, decimals: u8) -> Event {
    Event::AssetAdded(Asset {
        id: AssetId(id),
        code: AssetCode::from(code).unwrap(),
        decimals,
        display_decimals: 5,
        method: code.to_owned(),
        network: code.to_owned(),
        withdrawal_min: Amount(1),
        withdrawal_fee: Amount(0),
        deposit_min: Amount(1),
    })
}

fn world() -> Vec<Event> {
    let market = Market {
        id: MarketId(1),
        symbol: Symbol::from("BTC/USD").unwrap(),
        base: AssetId(1),
        quote: AssetId(2),
        base_decimals: 10,
        quote_decimals: 4,
        price_decimals: 1,
        qty_decimals: 8,
        price_increment: Price(1),
        qty_increment: Quantity(1),
        qty_min: Quantity(5_000),
        cost_min: Amount(5_000),
        maker_ppm: 2_500,
        taker_ppm: 4_000,
    };
    vec![asset(1, "BTC", 10), asset(2, "USD", 4), Event::MarketAdded(market)]
}

async fn started(dir: &Path, genesis: Option<Vec<Event>>) -> Server {
    let plan = Plan {
        config: Config::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), dir.to_owned()),
        master: MasterKey::from_text(MASTER).unwrap(),
        genesis: genesis.map(command::Command::Genesis),
    };
    Server::start(plan).await.unwrap()
}

/// Status line and body of one GET.
async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

async fn rest(address: SocketAddr, path: &str) -> Value {
    let (head, body) = get(address, path).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn stock_clients_find_assets_and_pairs_under_the_names_they_ask_for() {
    let dir = tempfile::tempdir().unwrap();
    let server = started(dir.path(), Some(world())).await;
    let address = server.address();
    let pairs = rest(address, "/0/public/AssetPairs?pair=BTC%2FUSD").await;
    let pair = &pairs["result"]["BTC/USD"];
    let expected = json!({"altname": "BTCUSD", "wsname": "BTC/USD", "aclass_base": "currency", "base": "BTC",
        "aclass_quote": "currency", "quote": "USD", "lot": "unit", "cost_decimals": 4, "pair_decimals": 1,
        "lot_decimals": 8, "lot_multiplier": 1, "leverage_buy": [], "leverage_sell": [], "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]], "fee_volume_currency": "USD", "margin_call": 80, "margin_stop": 40,
        "ordermin": "0.00005000", "costmin": "0.5000", "tick_size": "0.1", "status": "online"});
    assert_eq!(*pair, expected);
    let renamed = rest(address, "/0/public/AssetPairs?pair=BTCUSD").await;
    assert_eq!(renamed["result"]["BTCUSD"]["wsname"], "BTC/USD");
    let unknown = rest(address, "/0/public/AssetPairs?pair=BTC%2FUSD,DOGE%2FUSD").await;
    assert_eq!(unknown, json!({"error": ["EQuery:Unknown asset pair"]}));
    let assets = rest(address, "/0/public/Assets").await;
    let usd =
        json!({"aclass": "currency", "altname": "USD", "decimals": 4, "display_decimals": 5, "status": "enabled"});
    assert_eq!((&assets["result"]["USD"], &assets["error"]), (&usd, &json!([])));
    assert_eq!(rest(address, "/0/public/SystemStatus").await["result"]["status"], "online");
    assert!(rest(address, "/0/public/Time").await["result"]["unixtime"].as_u64().unwrap() > 1_700_000_000);
    server.stop().await.unwrap();
}

/// There is one class of asset here; clients ask for others as well, and merge the results by name.
#[tokio::test]
async fn another_class_of_assets_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let server = started(dir.path(), Some(world())).await;
    let address = server.address();
    let none = json!({"error": [], "result": {}});
    for path in ["AssetPairs?aclass_base=tokenized_asset", "AssetPairs?pair=BTC%2FUSD&aclass_base=x", "Assets?aclass=x"]
    {
        assert_eq!(rest(address, &format!("/0/public/{path}")).await, none, "{path}");
    }
    for (path, name) in [("AssetPairs?aclass_base=currency", "BTC/USD"), ("Assets?aclass=currency", "BTC")] {
        assert!(rest(address, &format!("/0/public/{path}")).await["result"][name].is_object(), "{path}");
    }
    server.stop().await.unwrap();
}

/// As krakenex asks whatever is public.
#[tokio::test]
async fn what_is_public_may_be_posted_for_as_a_form_or_as_json() {
    const FORM: &str = "application/x-www-form-urlencoded";
    let dir = tempfile::tempdir().unwrap();
    let server = started(dir.path(), Some(world())).await;
    let post = async |name: &str, kind: &str, body: &str| {
        let headers = [("Content-Type", kind)];
        let headers = if kind.is_empty() { &[][..] } else { &headers };
        let (status, _, text) = http(server.address(), "POST", &format!("/0/public/{name}"), headers, body).await;
        assert_eq!(status, 200, "{name} {body}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    for (kind, body) in [(FORM, "pair=BTC%2FUSD"), ("application/json", r#"{"pair": "BTC/USD"}"#)] {
        assert_eq!(post("AssetPairs", kind, body).await["result"]["BTC/USD"]["wsname"], "BTC/USD");
    }
    assert_eq!(post("Assets", FORM, "asset=DOGE").await, json!({"error": ["EQuery:Unknown asset"]}));
    for (name, member) in
        [("Assets", "BTC"), ("AssetPairs", "BTC/USD"), ("Time", "unixtime"), ("SystemStatus", "status")]
    {
        assert!(!post(name, "", "").await["result"][member].is_null(), "{name}");
    }
    let asked = post("AssetPairs?pair=BTCUSD", "", "").await;
    assert_eq!(asked["result"]["BTCUSD"]["wsname"], "BTC/USD", "the query counts where there is no body");
    assert_eq!(post("", "", "").await, json!({"error": ["EGeneral:Unknown method"]}));
    let twice = json!({"error": ["EGeneral:Invalid arguments:params: give a form or JSON, each name once"]});
    assert_eq!(post("Assets", FORM, "asset=BTC&asset=USD").await, twice);
    // serde would take an array for a struct, member by member.
    assert_eq!(post("Assets", "application/json", r#"["BTC",null,null,null]"#).await, twice);
    assert_eq!(rest(server.address(), "/0/public/Assets?asset=BTC&asset=USD").await, twice);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stopped_server_goes_on_where_it_was_and_frees_its_data() {
    let dir = tempfile::tempdir().unwrap();
    started(dir.path(), Some(world())).await.stop().await.unwrap();
    let server = started(dir.path(), None).await;
    let (head, body) = get(server.address(), "/").await;
    assert!(head.starts_with("HTTP/1.1 200") && body.contains("Countersign"), "{head}");
    assert_eq!(rest(server.address(), "/0/public/Assets?asset=BTC").await["result"]["BTC"]["altname"], "BTC");
    server.stop().await.unwrap();
}

/// A browser without an icon link requests `/favicon.ico`.
#[tokio::test]
async fn the_page_names_an_icon_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = started(dir.path(), Some(world())).await;
    let (_, page) = get(server.address(), "/").await;
    let named = page.split_once("<link rel=\"icon\" href=\"").and_then(|(_, rest)| rest.split_once('"'));
    let (head, icon) = get(server.address(), named.expect("it names one").0).await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: image/svg+xml"), "{head}");
    assert!(icon.starts_with("<svg "), "{icon}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn serve_refuses_data_in_use_and_stops_clean_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.current_dir(dir.path()).env_remove("COUNTERSIGN_MASTER_KEY");
        command
    };
    assert!(program().arg("init").output().unwrap().status.success());
    let settings = dir.path().join("countersign.toml");
    let text = std::fs::read_to_string(&settings).unwrap().replace("127.0.0.1:8080", "127.0.0.1:0");
    std::fs::write(&settings, text).unwrap();
    let mut first = Served::start(&settings, ("info", Stdio::inherit())).await;
    assert_eq!(get(first.address, "/healthz").await.1, "ok\n");

    let second = Served::command("serve", &settings).output().unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8(second.stderr).unwrap().contains("in use by another process"));

    first.terminate();
    assert!(first.ended().await.success());
    let verified = program().args(["verify", "--data", "data"]).output().unwrap();
    assert!(String::from_utf8(verified.stdout).unwrap().contains("snapshots   1 agree"));
}
