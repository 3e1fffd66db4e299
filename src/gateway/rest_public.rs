//! What anybody may read over HTTP: schemas, and the public REST calls that stock clients make beside their sockets.
//! These always answer HTTP 200 with `{"error": [], "result": …}`, and POST works as well (krakenex).

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::context::Gateway;
use super::http_request::is_json;
use super::refusal::Refusal;
use crate::domain::assets::Asset;
use crate::domain::decimal::units_text;
use crate::domain::markets::{Market, MarketStatus};
use crate::domain::text::Symbol;
use crate::engine::reference::Reference;
use crate::engine::reject::{Code, Reject};
use crate::wire::leaf::Object;
use crate::wire::published;

/// `/schemas/…` and the routes under `/0/public/`.
pub fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/schemas/{file}", get(schema))
        .route("/0/public/Time", get(time).post(time))
        .route("/0/public/SystemStatus", get(system_status).post(system_status))
        .route("/0/public/Assets", get(assets).post(assets))
        .route("/0/public/AssetPairs", get(asset_pairs).post(asset_pairs))
        .route("/0/public/", any(unknown_method))
        .route("/0/public/{*method}", any(unknown_method))
        .with_state(gateway)
}

/// A message's JSON Schema, or the AsyncAPI document of them all.
async fn schema(Path(file): Path<String>) -> Response {
    static FILES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| published().into_iter().collect());
    let kind = match file.as_str() {
        "asyncapi.json" => "application/vnd.aai.asyncapi+json",
        _ => "application/schema+json",
    };
    match FILES.get(&file) {
        Some(text) => ([(header::CONTENT_TYPE, kind)], text.as_str()).into_response(),
        None => {
            let reject = Reject::field(Code::UnknownMethod, "file", "no such schema");
            Refusal::new(StatusCode::NOT_FOUND, reject).into_response()
        }
    }
}

/// The envelope of REST answers.
#[derive(Serialize)]
struct Envelope<T> {
    error: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<T>,
}

fn found<T>(result: T) -> Json<Envelope<T>> {
    Json(Envelope { error: Vec::new(), result: Some(result) })
}

fn refused<T>(reject: impl Into<Reject>) -> Json<Envelope<T>> {
    Json(Envelope { error: vec![reject.into().text()], result: None })
}

async fn unknown_method() -> Json<Envelope<()>> {
    refused(Code::UnknownMethod)
}

#[derive(Serialize)]
struct Time {
    unixtime: u64,
    rfc1123: String,
}

async fn time(State(gateway): State<Arc<Gateway>>) -> Json<Envelope<Time>> {
    let now = (gateway.clock)();
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_micros(now.0);
    found(Time { unixtime: now.0 / 1_000_000, rfc1123: httpdate::fmt_http_date(at) })
}

#[derive(Serialize)]
struct SystemStatus {
    status: &'static str,
    timestamp: String,
}

async fn system_status(State(gateway): State<Arc<Gateway>>) -> Json<Envelope<SystemStatus>> {
    found(SystemStatus { status: gateway.directory.system(), timestamp: (gateway.clock)().to_string() })
}

/// The only class of assets here.
const CLASS: &str = "currency";

/// `asset` or `pair`: comma-separated names; absent means all. `aclass` or `aclass_base`: only those of a class;
/// another class has none, and clients that ask for several classes merge the results (nautilus_trader).
#[derive(Deserialize)]
struct Names {
    asset: Option<String>,
    aclass: Option<String>,
    pair: Option<String>,
    aclass_base: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for Names {
    type Rejection = Response;

    /// From the body of a POST, as a form, or as JSON if it says so; without a body, from the query.
    async fn from_request(request: Request, state: &S) -> Result<Names, Response> {
        let json = is_json(request.headers());
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = match *request.method() {
            Method::POST => Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?,
            _ => Bytes::new(),
        };
        let read = if body.is_empty() {
            serde_urlencoded::from_str(&query).ok()
        } else if json {
            serde_json::from_slice(&body).map(Object::into_inner).ok()
        } else {
            serde_urlencoded::from_bytes(&body).ok()
        };
        read.ok_or_else(|| {
            refused::<()>(Reject::invalid("params", "give a form or JSON, each name once")).into_response()
        })
    }
}

#[derive(Serialize)]
struct AssetInfo {
    aclass: &'static str,
    altname: String,
    decimals: u8,
    display_decimals: u8,
    status: &'static str,
}

impl AssetInfo {
    fn new(asset: &Asset) -> AssetInfo {
        AssetInfo {
            aclass: CLASS,
            altname: asset.code.to_string(),
            decimals: asset.decimals,
            display_decimals: asset.display_decimals,
            status: "enabled",
        }
    }
}

async fn assets(State(gateway): State<Arc<Gateway>>, names: Names) -> Json<Envelope<BTreeMap<String, AssetInfo>>> {
    if names.aclass.is_some_and(|class| class != CLASS) {
        return found(BTreeMap::new());
    }
    let reference = gateway.directory.reference();
    let find = |name: &str| reference.find_asset(name).ok();
    match chosen(names.asset.as_deref(), reference.assets(), |asset| asset.code.to_string(), find) {
        Some(chosen) => found(chosen.into_iter().map(|(name, asset)| (name, AssetInfo::new(asset))).collect()),
        None => refused(Code::UnknownAsset),
    }
}

/// Fees are `[[volume, percent]]` as JSON numbers, minima decimal strings.
#[derive(Serialize)]
struct PairInfo {
    altname: String,
    wsname: String,
    aclass_base: &'static str,
    base: String,
    aclass_quote: &'static str,
    quote: String,
    lot: &'static str,
    cost_decimals: u8,
    pair_decimals: u8,
    lot_decimals: u8,
    lot_multiplier: u8,
    leverage_buy: [u8; 0],
    leverage_sell: [u8; 0],
    fees: [(u8, Box<RawValue>); 1],
    fees_maker: [(u8, Box<RawValue>); 1],
    fee_volume_currency: String,
    margin_call: u8,
    margin_stop: u8,
    ordermin: String,
    costmin: String,
    tick_size: String,
    status: &'static str,
}

impl PairInfo {
    fn new(reference: &Reference, market: &Market) -> PairInfo {
        let quote = reference.asset(market.quote).code.to_string();
        PairInfo {
            altname: market.symbol.replace('/', ""),
            wsname: market.symbol.to_string(),
            aclass_base: CLASS,
            base: reference.asset(market.base).code.to_string(),
            aclass_quote: CLASS,
            quote: quote.clone(),
            // v2's REST has it for every pair, and kraken-async-rs cannot parse one without it.
            lot: "unit",
            cost_decimals: market.quote_decimals,
            pair_decimals: market.price_decimals,
            lot_decimals: market.qty_decimals,
            lot_multiplier: 1,
            leverage_buy: [],
            leverage_sell: [],
            fees: [(0, percent(market.taker_ppm))],
            fees_maker: [(0, percent(market.maker_ppm))],
            fee_volume_currency: quote,
            margin_call: 80,
            margin_stop: 40,
            ordermin: units_text(market.qty_min.0, market.qty_decimals),
            costmin: units_text(market.cost_min.0, market.quote_decimals),
            tick_size: units_text(market.price_increment.0, market.price_decimals),
            // REST clients' lists of statuses do not have `maintenance`; one such pair would make them fail on all
            // (nautilus_trader, kraken-async-rs). Either status allows only cancels.
            status: match reference.status(market.id) {
                MarketStatus::Maintenance => MarketStatus::CancelOnly.name(),
                status => status.name(),
            },
        }
    }
}

/// Parts per million as a JSON number of percent.
fn percent(ppm: u32) -> Box<RawValue> {
    RawValue::from_string(units_text(i64::from(ppm), 4)).expect("a decimal is JSON")
}

/// The stock order book client looks for the result under the exact name that it asked for.
async fn asset_pairs(State(gateway): State<Arc<Gateway>>, names: Names) -> Json<Envelope<BTreeMap<String, PairInfo>>> {
    if names.aclass_base.is_some_and(|class| class != CLASS) {
        return found(BTreeMap::new());
    }
    let reference = gateway.directory.reference();
    let find = |name: &str| {
        let exact = Symbol::from(name).ok().and_then(|symbol| reference.find_market(&symbol).ok());
        exact.or_else(|| reference.markets().iter().find(|market| market.symbol.replace('/', "") == name))
    };
    match chosen(names.pair.as_deref(), reference.markets(), |market| market.symbol.to_string(), find) {
        Some(chosen) => {
            found(chosen.into_iter().map(|(name, market)| (name, PairInfo::new(&reference, market))).collect())
        }
        None => refused(Code::UnknownMarket),
    }
}

/// The records of a comma-separated list under the names asked for, or all; `None` if one is unknown.
fn chosen<'a, T>(
    list: Option<&str>,
    all: &'a [T],
    name: impl Fn(&T) -> String,
    find: impl Fn(&str) -> Option<&'a T>,
) -> Option<Vec<(String, &'a T)>> {
    match list {
        None => Some(all.iter().map(|record| (name(record), record)).collect()),
        Some(list) => list.split(',').map(|each| Some((each.to_owned(), find(each)?))).collect(),
    }
}
