//! Requests as clients write them, good and bad.

use serde_json::Value;

use super::{Body, parse, parse_message};
use crate::access::operation::Operation;
use crate::domain::decimal::Decimal;
use crate::domain::ids::RequestId;
use crate::engine::command::Command;
use crate::wire::catalogue;

fn refusal(text: &str) -> (String, Option<i64>) {
    let refusal = parse_message(text).and_then(|envelope| parse(&envelope)).expect_err(text);
    (refusal.text, refusal.req_id)
}

fn accept(text: &str) -> super::Request<'_> {
    parse_message(text).and_then(|envelope| parse(&envelope)).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"))
}

#[test]
fn an_order_keeps_every_digit() {
    for qty in ["90071992547.40993123", "\"90071992547.40993123\"", "9007199254740993123e-8"] {
        let text = format!(
            r#"{{"params":{{"order_type":"limit","side":"buy","symbol":"BTC\/USD","order_qty":{qty},"limit_price":1e-08,"token":"T"}},"req_id":7,"method":"add_order"}}"#
        );
        let request = accept(&text);
        assert_eq!((request.operation, request.token.as_deref()), (Operation::AddOrder, Some("T")));
        let Body::Command(Command::PlaceOrder(order)) = request.body else { panic!("{text}") };
        assert_eq!(order.order_qty, Some(Decimal::from_units(9_007_199_254_740_993_123, 8)));
        assert_eq!(order.limit_price, Some(Decimal::from_units(1, 8)));
        assert_eq!(&*order.symbol, "BTC/USD");
    }
}

/// A message that begins with its method is parsed in one pass, others are not; the result is the same.
#[test]
fn an_order_is_the_same_wherever_its_method_stands() {
    let orders = [
        r#"{"order_type":"limit","side":"sell","symbol":"BTC/USD","order_qty":1.25,"limit_price":"45283.1","cl_ord_id":"a-1","token":"T"}"#,
        r#"{"order_type":"stop-loss-limit","side":"buy","symbol":"BTC/USD","order_qty":1,"limit_price":2,"triggers":{"price":"1e3"}}"#,
        r#"{"order_type":"settle-position","side":"buy","token":"T"}"#,
        r#"{"order_type":"limit","side":"up","symbol":"BTC/USD"}"#,
        r#"{"order_type":"limit","symbol":"BTC/USD"}"#,
        r#"{"order_type":"limit","side":"buy","symbol":"BTC/USD","lots":2}"#,
        r#"["limit","buy","BTC/USD"]"#,
        "null",
        "7",
    ];
    for params in orders {
        for req_id in ["7", "null", "7.5", "\"7\""] {
            let first = format!(r#"{{"method": "add_order","params":{params},"req_id":{req_id}}}"#);
            let last = format!(r#"{{"params":{params},"req_id":{req_id},"method":"add_order"}}"#);
            let read = |text: &str| {
                let request = parse_message(text).and_then(|envelope| parse(&envelope));
                request.map(|request| format!("{request:?}"))
            };
            assert_eq!(read(&first), read(&last), "{first}");
        }
    }
}

#[test]
fn refusals_have_the_protocols_texts_and_the_request_number() {
    let order = |rest: &str| {
        format!(
            r#"{{"method":"add_order","req_id":3,"params":{{"order_type":"limit","side":"buy","symbol":"A/B"{rest}}}}}"#
        )
    };
    for (text, expected) in [
        (order(r#","order_qty":"x""#), "Order_qty field must be a number_float"),
        (order(r#","order_qty":1,"limit_price":true"#), "Limit_price field must be a number_float"),
        (order(r#","triggers":{"price":"x"}"#), "Triggers.price field must be a number_float"),
        (
            order(r#","conditional":{"order_type":"limit","limit_price":"x"}"#),
            "Conditional.limit_price field must be a number_float",
        ),
        (
            order(r#","conditional":{"order_type":"stop-loss","trigger_price":1,"trigger_price_type":"x"}"#),
            "EGeneral:Invalid arguments:conditional.trigger_price_type: give static, pct or quote",
        ),
        (order(r#","order_qty":1e999"#), "EGeneral:Invalid arguments:order_qty: give a number of at most 18 digits"),
        (order(r#","order_qty":1,"lots":2"#), "Unsupported field: 'lots' for the given msg type: add_order"),
        (order(r#","triggers":{}"#), "EGeneral:Invalid arguments:triggers.price: this field is needed"),
        (order(r#","order_qty":1,"order_qty":2"#), "EGeneral:Invalid arguments:order_qty: give this field once"),
        (
            r#"{"method":"edit_order","req_id":3,"params":{"order_id":"O","symbol":"A/B","triggers":{"price":2}}}"#
                .into(),
            "EGeneral:Invalid arguments:triggers: an edit cannot give or change them; amend_order takes trigger_price",
        ),
        (
            r#"{"method":"ledgers","req_id":3,"params":{"type":"trades"}}"#.into(),
            "EGeneral:Invalid arguments:type: give trade, deposit, withdrawal, transfer, staking or reward",
        ),
        (
            r#"{"method":"subscribe","req_id":3,"params":{"channel":"ledger","type":["trade","all"]}}"#.into(),
            "EGeneral:Invalid arguments:type: give trade, deposit, withdrawal, transfer, staking or reward",
        ),
        (
            r#"{"method":"subscribe","req_id":3,"params":{"channel":"book","symbol":["A/B"],"from_offset":0}}"#.into(),
            "EGeneral:Invalid arguments:from_offset: the items of this channel have no offset; leave it out",
        ),
        (r#"{"method":"fly","req_id":3}"#.into(), "EGeneral:Unknown method"),
        (r#"{"method":"ticker","req_id":3}"#.into(), "EGeneral:Unknown method"),
        (r#"{"method":"ping","x":1,"req_id":3}"#.into(), "Unsupported field: 'x' for the given msg type: ping"),
        (
            r#"{"method":"ping","params":{},"req_id":3}"#.into(),
            "Unsupported field: 'params' for the given msg type: ping",
        ),
        (r#"{"req_id":3}"#.into(), "EGeneral:Invalid arguments:method: this field is needed"),
        (r#"{"event":"ping","req_id":3}"#.into(), "EGeneral:Invalid arguments:method: this field is needed"),
        (r#"{"method":"subscribe","req_id":3,"params":{"channel":"tea"}}"#.into(), "Subscription name invalid"),
        (
            r#"{"method":"subscribe","req_id":3,"params":{"channel":"book","symbol":7}}"#.into(),
            "Symbol field must be an array",
        ),
    ] {
        assert_eq!(refusal(&text), (expected.to_owned(), Some(3)), "{text}");
    }
    assert_eq!(refusal("{\"method\":"), ("Malformed request".to_owned(), None));
    assert_eq!(refusal(r#"{"method":"ping","req_id":"3"}"#).1, None);
    let deep = format!(r#"{{"method":"key_info","req_id":3,"params":{}{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    assert!(refusal(&deep).0.starts_with("EGeneral:Invalid arguments"));
}

#[test]
fn the_type_of_a_price_that_is_not_given_is_refused() {
    let order = r#"{"order_type":"limit","side":"buy","symbol":"A/B","order_qty":1,"#;
    for (method, params, field) in [
        ("add_order", format!(r#"{order}"limit_price_type":"quote"}}"#), "limit_price_type"),
        (
            "add_order",
            format!(r#"{order}"conditional":{{"order_type":"limit","limit_price":80,"trigger_price_type":"pct"}}}}"#),
            "conditional.trigger_price_type",
        ),
        ("amend_order", r#"{"order_id":"O","limit_price_type":"pct"}"#.into(), "limit_price_type"),
        (
            "amend_order",
            r#"{"order_id":"O","limit_price_type":"static","trigger_price_type":"pct"}"#.into(),
            "trigger_price_type",
        ),
    ] {
        let (refused, _) = refusal(&format!(r#"{{"method":"{method}","params":{params}}}"#));
        assert_eq!(refused, format!("EGeneral:Invalid arguments:{field}: give it with its price"), "{params}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_refused_by_the_name_of_its_field() {
    const SETTINGS: &str = "edit_service_user";
    for (method, params, expected) in [
        ("add_order", r#"{"side":5}"#, "side: give a string"),
        ("add_order", r#"{"post_only":"yes"}"#, "post_only: give true or false"),
        ("add_order", r#"{"order_userref":1.5}"#, "order_userref: give an integer"),
        ("add_order", r#"{"triggers":5}"#, "triggers: give an object"),
        ("add_order", r#"{"conditional":[]}"#, "conditional: give an object"),
        // serde would accept an array for a struct, member by member.
        ("add_order", r#"{"triggers":["last",5,"static",null]}"#, "triggers: give an object"),
        ("add_order", r#"{"conditional":["limit",5,null,null,null,null]}"#, "conditional: give an object"),
        ("approve", r#"{"requests":[["R","00"]]}"#, "requests[0]: give an object"),
        ("add_order", r#"{"conditional":{"order_type":7}}"#, "conditional.order_type: give a string"),
        ("add_order", r#"{"cl_ord_id":"\ud800"}"#, "cl_ord_id: unexpected end of hex escape"),
        ("batch_add", r#"{"symbol":"A/B","orders":[7]}"#, "orders[0]: give an object"),
        (
            "batch_add",
            r#"{"symbol":"A/B","orders":[{"order_type":"limit","side":"buy"},{"order_type":"limit"}]}"#,
            "orders[1].side: this field is needed",
        ),
        ("subscribe", r#"{"channel":"book","depth":"10"}"#, "depth: give an integer from 0 to 4294967295"),
        (
            "subscribe",
            r#"{"channel":"ledger","from_offset":-1}"#,
            "from_offset: give an integer from 0 to 9007199254740991",
        ),
        (SETTINGS, r#"{"ip_allowlist":"::1"}"#, "settings.ip_allowlist: give an array"),
        (SETTINGS, r#"{"ip_allowlist":[1]}"#, "settings.ip_allowlist[0]: give a string"),
        (
            SETTINGS,
            r#"{"ip_allowlist":["127.0.0.1/08"]}"#,
            "settings.ip_allowlist: give addresses or networks such as 10.0.0.0/8",
        ),
        (SETTINGS, r#"{"nonce_window":-1}"#, "settings.nonce_window: give an integer from 0 to 18446744073709551615"),
        (SETTINGS, r#"{"query_end":"soon"}"#, "settings.query_end: give an RFC 3339 time"),
        (SETTINGS, r#"{"on_stop":"x"}"#, "settings.on_stop: give cancel or keep"),
        ("cancel_all_orders_after", r#"{"timeout":null}"#, "timeout: give an integer from 0 to 86399"),
        ("cancel_all_orders_after", r#"{"timeout":-1}"#, "timeout: give an integer from 0 to 86399"),
        ("cancel_all_orders_after", r#"{"timeout":1.5}"#, "timeout: give an integer from 0 to 86399"),
        ("cancel_all_orders_after", r#"{"timeout":86400}"#, "timeout: give an integer from 0 to 86399"),
    ] {
        let params = match method {
            SETTINGS => format!(r#"{{"service_user_id":"SVC1","settings":{params}}}"#),
            _ => params.to_owned(),
        };
        let text = format!(r#"{{"method":"{method}","params":{params},"req_id":3}}"#);
        assert_eq!(refusal(&text), (format!("EGeneral:Invalid arguments:{expected}"), Some(3)), "{text}");
    }
    let list = r#"{"method":"batch_add","params":{"symbol":"A/B","orders":{}},"req_id":3}"#;
    assert_eq!(refusal(list).0, "Orders field must be an array");
    assert_eq!(refusal(r#"{"method":1,"req_id":3}"#).0, "EGeneral:Invalid arguments:method: give a string");
}

/// An option that was acknowledged but not applied would be relied on.
#[test]
fn an_option_that_the_channel_does_not_have_is_refused_by_name() {
    let private = ["executions", "balances", "ledger", "earn", "deposits", "withdrawals", "approvals", "custody"];
    let public = ["status", "instrument", "ticker", "book", "level3", "trade", "ohlc"];
    for (option, value, channels) in [
        ("asset", r#"["BTC"]"#, &["ledger", "deposits", "withdrawals"][..]),
        ("type", r#"["trade"]"#, &["ledger"]),
        ("workflow", r#""manage_access""#, &["approvals"]),
        ("symbol", r#"["BTC/USD"]"#, &["ticker", "book", "level3", "trade", "ohlc"]),
        ("depth", "10", &["book", "level3"]),
        ("interval", "5", &["ohlc"]),
        ("event_trigger", r#""bbo""#, &["ticker"]),
        ("cancel_on_disconnect", "true", &["executions"]),
    ] {
        for channel in private.iter().chain(&public) {
            let params = format!(r#"{{"channel":"{channel}","{option}":{value}}}"#);
            let text = format!(r#"{{"method":"subscribe","params":{params},"req_id":3}}"#);
            let refused = parse_message(&text).and_then(|envelope| parse(&envelope)).err().map(|refused| refused.text);
            let expected =
                format!("EGeneral:Invalid arguments:{option}: this channel has no such option; leave it out");
            assert_eq!(refused, (!channels.contains(channel)).then_some(expected), "{text}");
        }
    }
}

#[test]
fn a_refusal_answers_to_the_method_of_its_request() {
    for method in ["add_order", "subscribe", "nothing"] {
        for rest in [r#""req_id":"3""#, r#""req_id":3.5"#, r#""req_id":18446744073709551615"#, r#""req_id":3,"x":1"#] {
            let text = format!(r#"{{"method":"{method}",{rest}}}"#);
            let Err(refusal) = parse_message(&text) else { panic!("{text}") };
            assert_eq!(refusal.method.as_deref(), Some(method), "{text} gave {}", refusal.text);
        }
    }
}

/// As in the published schema.
#[test]
fn rule_46_the_number_of_a_request_has_64_bits_and_a_sign() {
    let schemas = catalogue::schemas();
    let (_, schema) = schemas.iter().find(|(file, _)| file == "ping.request.schema.json").unwrap();
    let schema: Value = serde_json::from_str(schema).unwrap();
    let [least, most] = ["minimum", "maximum"].map(|bound| schema["properties"]["req_id"][bound].as_i64().unwrap());
    let sent = |number: i128| format!(r#"{{"method":"ping","req_id":{number}}}"#);
    for number in [least, most] {
        assert_eq!(parse_message(&sent(number.into())).unwrap().req_id, Some(number));
    }
    for number in [i128::from(least) - 1, i128::from(most) + 1] {
        let reported =
            format!("EGeneral:Invalid arguments:req_id: give an integer from {least} to {most}, or leave it out");
        assert_eq!(refusal(&sent(number)), (reported, None));
    }
}

#[test]
fn what_an_acknowledgement_holds_is_accepted_back() {
    let text = r#"{"method":"subscribe","params":{"channel":"executions","snap_orders":true,"snap_trades":false,"maxratecount":60,"snapshot":true,"warnings":["w"],"token":"T"}}"#;
    assert_eq!(accept(text).operation, Operation::Executions);
    let text = r#"{"method":"subscribe","params":{"channel":"book","symbol":"BTC/USD","depth":10,"snapshot":true}}"#;
    let Body::Subscribe(channel) = accept(text).body else { panic!() };
    assert_eq!((channel.symbols, channel.depth), (Some(vec!["BTC/USD".to_owned()]), Some(10)));
}

#[test]
fn a_cursor_that_no_page_gave_is_refused_by_name() {
    let paged = [
        "ledgers",
        "trades_history",
        "closed_orders",
        "audit_log",
        "deposit_status",
        "withdraw_status",
        "open_orders",
        "requests",
        "earn_strategies",
        "earn_allocations",
    ];
    for method in paged {
        for cursor in ["", "nowhere", "1.", ".1", "1.2.3", "18446744073709551616.1"] {
            let text = format!(r#"{{"method":"{method}","req_id":3,"params":{{"cursor":"{cursor}"}}}}"#);
            let expected = "EGeneral:Invalid arguments:cursor: give the cursor of the page before";
            let request = parse_message(&text).and_then(|envelope| parse(&envelope));
            assert_eq!(request.map_err(|refusal| refusal.text), Err(expected.to_owned()), "{text}");
        }
    }
}

#[test]
fn rule_28_debug_output_shows_neither_token_nor_code() {
    let text = format!(
        r#"{{"method":"claim_secret","params":{{"request_id":"{}","otp":"271828","token":"tok-314159"}}}}"#,
        RequestId(1)
    );
    let request = accept(&text);
    assert!(matches!(&request.body, Body::Coded(_, Some(code)) if &**code == "271828"));
    let shown = format!("{request:?}");
    assert!(!shown.contains("271828") && !shown.contains("314159"), "{shown}");
}
