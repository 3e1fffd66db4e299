//! More keys than a server starts with: new Organizations, each with a Member, a funded Service User and its key, all
//! made through the public protocol.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::caller::Caller;
use crate::children::CountersignChild;
use crate::connection::Connection;
use crate::credentials::{MemberLogin, ReadyFile, ServiceUser};
use crate::error::LoadError;
use crate::member::{Session, code, code_left};
use crate::mix::Decimal;
use crate::progress::Progress;
use crate::signature::Nonces;
use crate::target::{Overrides, Target};

const READ_BUFFER_BYTES: usize = 16 << 10;
/// The calls for one Organization, which share a one-time code, take far less than this.
const CODE_NEEDED: Duration = Duration::from_secs(5);
const SCOPES: [&str; 10] = [
    "query",
    "earn",
    "deposit",
    "withdraw",
    "query_open_orders",
    "query_closed_orders",
    "modify_orders",
    "cancel_orders",
    "query_ledger",
    "export_data",
];

/// What each Organization is funded with: asset and amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Funds {
    /// Asset.
    pub asset: String,
    /// As text.
    pub amount: String,
}

impl std::str::FromStr for Funds {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        // Otherwise the server would refuse it only after everything else of an Organization was made.
        let is_above_zero =
            |amount: &str| amount.parse::<Decimal>().is_ok() && amount.contains(|digit| ('1'..='9').contains(&digit));
        let parts = text.split_once('=').filter(|(asset, amount)| !asset.is_empty() && is_above_zero(amount));
        let refuse = || LoadError::Setup(format!("{text:?} is not ASSET=AMOUNT with an amount above 0"));
        let (asset, amount) = parts.ok_or_else(refuse)?;
        Ok(Self { asset: asset.into(), amount: amount.into() })
    }
}

/// Makes `count` Organizations and adds each, once it is complete, to the file with its key and Member, so that those
/// made before an error or a signal are kept.
///
/// # Errors
/// The file has no venue key, or the server refuses.
pub async fn prepare(
    target: &Target,
    ready: &mut ReadyFile,
    count: u32,
    funds: &[Funds],
    progress: Progress,
) -> Result<(), LoadError> {
    let key = ready.venue.clone();
    let key =
        key.ok_or_else(|| LoadError::Setup("the keys file has no venue key, which makes Organizations".into()))?;
    let mut nonces = Nonces::default();
    let venue = Connection::open(&target.ws, key.proof(nonces.next_nonce()), READ_BUFFER_BYTES).await?;
    let mut venue = Caller::new(venue);
    // Names and addresses must be new even on a server that was prepared before.
    let tag = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let bar = progress.count("keys made", count.into());
    for number in 0..count {
        let name = format!("load-{tag}-{number}");
        let (member, user) = organization(target, &mut venue, &name).await?;
        fund(target, &mut venue, &user, &mut nonces, funds).await?;
        ready.members.push(member);
        ready.service_users.push(user);
        bar.advance();
    }
    Ok(())
}

/// A server started for a run, with as many keys as its scenario takes: if there are several, each belongs to a new
/// Organization that is made for it.
///
/// # Errors
/// It gives no address, has no such key, or refuses.
pub async fn started(
    child: &CountersignChild,
    keys: usize,
    overrides: &Overrides,
    progress: Progress,
) -> Result<Target, LoadError> {
    let (target, mut ready) = (Target::from_ready(&child.ready, overrides)?, child.ready.clone());
    if keys > 1 {
        let funds: Result<Vec<Funds>, LoadError> = ["USD=1000000", "BTC=10"].iter().map(|text| text.parse()).collect();
        let count = u32::try_from(keys).map_err(|_| LoadError::Setup("too many keys".into()))?;
        prepare(&target, &mut ready, count, &funds?, progress).await?;
    }
    Ok(Target { process: Some(child.process()), ..target.with_keys(&ready, keys, overrides)? })
}

/// An Organization with one Member, who makes one key.
async fn organization(
    target: &Target,
    venue: &mut Caller,
    name: &str,
) -> Result<(MemberLogin, ServiceUser), LoadError> {
    if code_left() < CODE_NEEDED {
        sleep(code_left()).await;
    }
    let email = format!("{name}@load.test");
    let invited = json!([{"name": name, "email": email}]);
    let made = venue.call("create_organization", json!({"name": name, "members": invited})).await?;
    let invitation = text_of(&made["members"][0]["invitation"], "an invitation")?;
    let member_id = text_of(&made["members"][0]["member_id"], "a member_id")?;
    let password = format!("{name} password");
    let path = format!("/invitations/{invitation}");
    let web = target.web()?;
    let answer = web.post(&path, &json!({"password": password}).to_string()).await?;
    let reported: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let totp_secret = text_of(&reported["totp_secret"], &format!("a totp_secret: {}", answer.body))?;
    let member = MemberLogin { name: name.into(), email, password, totp_secret };
    // A code works once, so accepting takes the previous one, which is still valid.
    let answer = web.post(&path, &json!({"otp": code(&member.totp_secret, -1)?}).to_string()).await?;
    if answer.status != 200 {
        return Err(LoadError::Setup(format!("the invitation was not accepted: {}", answer.body)));
    }
    venue.call("set_kyc", json!({"member_id": member_id, "kyc": "verified"})).await?;
    let session = Session::sign_in(target, &member).await?;
    let mut caller = Caller::new(session.open(READ_BUFFER_BYTES).await?);
    let otp = code(&member.totp_secret, 0)?;
    let made = caller.call("create_service_user", json!({"name": name, "scopes": SCOPES, "otp": otp})).await?;
    let user = ServiceUser {
        name: name.into(),
        api_key: text_of(&made["api_key"], "an api_key")?,
        api_secret: text_of(&made["api_secret"], "an api_secret")?,
        organization: Some(name.into()),
    };
    Ok((member, user))
}

/// Deposits to an address of the account.
async fn fund(
    target: &Target,
    venue: &mut Caller,
    user: &ServiceUser,
    nonces: &mut Nonces,
    funds: &[Funds],
) -> Result<(), LoadError> {
    let connection = Connection::open(&target.ws, user.proof(nonces.next_nonce()), READ_BUFFER_BYTES).await?;
    let mut bot = Caller::new(connection);
    for Funds { asset, amount } in funds {
        let address = format!("{}-{}", user.name, asset.to_ascii_lowercase());
        venue.call("add_deposit_addresses", json!({"asset": asset, "addresses": [{"address": address}]})).await?;
        let methods = bot.call("deposit_methods", json!({"asset": asset})).await?;
        let method = &methods["methods"][0]["method"];
        let given = bot.call("deposit_addresses", json!({"asset": asset, "method": method, "new": true})).await?;
        let address = text_of(&given["addresses"][0]["address"], "a deposit address")?;
        let txid = format!("{}-{asset}", user.name);
        let deposit = json!({"asset": asset, "address": address, "amount": amount, "txid": txid});
        venue.call("credit_deposit", deposit).await?;
    }
    Ok(())
}

fn text_of(value: &Value, what: &str) -> Result<String, LoadError> {
    let found = value.as_str().map(str::to_owned);
    found.ok_or_else(|| LoadError::Protocol(format!("the server did not give {what}")))
}
