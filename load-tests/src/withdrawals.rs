//! Complete withdrawals during a load: a key requests them, a Member approves, and custody, once it is sent the
//! release, reports them alternately as paid and as failed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::caller::{Caller, subscription};
use crate::checks::Check;
use crate::connection::{Connection, Received};
use crate::credentials::{MemberLogin, VenueKey};
use crate::endpoint::{ANSWER_WAIT, bounded};
use crate::error::LoadError;
use crate::member::{Session, code, code_left};
use crate::publisher::{Approvals, all_voted};
use crate::scenario::Withdrawal;
use crate::side_thread::Beside;
use crate::signature::Nonces;
use crate::target::Target;

const READ_BUFFER_BYTES: usize = 16 << 10;
/// From one lot to the next, because each needs a one-time code of its own.
const EVERY: Duration = Duration::from_secs(60);
/// The refusal of a code that was used already, such as by the load before.
const CODE_USED: &str = "EGovernance:One-time code used";

/// What is requested at once.
#[derive(Debug, Clone)]
pub struct Lot {
    /// How many, at most as many as one vote may contain.
    pub count: u16,
    /// Each of them.
    pub each: Withdrawal,
}

/// Plays a lot at once and then every minute, until it is told to stop; returns the check over all of them.
///
/// # Errors
/// The keys file has no Member or no venue key, or a socket cannot be opened.
pub async fn play_beside(target: &Target, session: Session, lot: Lot) -> Result<Beside<Check>, LoadError> {
    let missing =
        || LoadError::Setup("withdrawals need the venue key in the keys file, which answers for custody".into());
    let (voter, venue) = (Approvals::voter(target)?.clone(), target.venue.clone().ok_or_else(missing)?);
    let cast = Cast { target: target.clone(), session, voter, venue, lot };
    let prepare = async move {
        // Before the load's sockets: the nonces of a key must arrive in order.
        let parties = cast.open().await?;
        Ok((cast, parties))
    };
    Beside::start("withdrawals", prepare, |(cast, parties), stopped| play(cast, parties, stopped)).await
}

async fn play(cast: Cast, first: Parties, mut stopped: oneshot::Receiver<()>) -> Result<Check, LoadError> {
    let mut check = Check::new("withdrawals are approved, released and confirmed");
    let mut played = cast.play(first).await;
    loop {
        check.looked_at += u64::from(cast.lot.count);
        if let Err(error) = played {
            check.violated(error.to_string());
            return Ok(check);
        }
        tokio::select! {
            _ = &mut stopped => return Ok(check),
            () = sleep(EVERY) => {}
        }
        played = async { cast.play(cast.open().await?).await }.await;
    }
}

/// The participants.
struct Cast {
    target: Target,
    session: Session,
    voter: MemberLogin,
    venue: VenueKey,
    lot: Lot,
}

/// Their sockets, for one lot.
struct Parties {
    bot: Caller,
    member: Caller,
    custody: Caller,
}

impl Cast {
    async fn open(&self) -> Result<Parties, LoadError> {
        let mut nonces = Nonces::default();
        let bot = Caller::new(self.target.open(&mut nonces, 0, READ_BUFFER_BYTES).await?);
        let member = Caller::new(self.session.open(READ_BUFFER_BYTES).await?);
        let proof = self.venue.proof(nonces.next_nonce());
        let mut custody = Caller::new(Connection::open(&self.target.ws, proof, READ_BUFFER_BYTES).await?);
        custody.subscribe(subscription("custody", ""), |_| Ok(())).await?;
        Ok(Parties { bot, member, custody })
    }

    async fn play(&self, Parties { mut bot, mut member, mut custody }: Parties) -> Result<(), LoadError> {
        let Withdrawal { asset, key, amount } = &self.lot.each;
        let (mut votes, mut refids) = (Vec::new(), Vec::new());
        for _ in 0..self.lot.count {
            let asked = bot.call("withdraw", json!({"asset": asset, "key": key, "amount": amount})).await?;
            let request = member.call("request_info", json!({"request_id": asked["request_id"]})).await?;
            votes.push(json!({"request_id": request["request_id"], "digest": request["digest"]}));
            refids.push(asked["refid"].as_str().unwrap_or_default().to_owned());
        }
        let approved = match self.approve(&mut member, &votes).await {
            Err(LoadError::Refused { error, .. }) if error.starts_with(CODE_USED) => {
                sleep(code_left()).await;
                self.approve(&mut member, &votes).await
            }
            approved => approved,
        };
        all_voted("approve", votes.len(), &approved?)?;
        let released = told_of(&mut custody, refids.iter().map(String::as_str).collect());
        bounded(ANSWER_WAIT, "wait until custody is told of what is released", released).await?;
        for two in refids.chunks(2) {
            custody.call("settle_withdrawal", json!({"refid": two[0]})).await?;
            if let Some(other) = two.get(1) {
                custody.call("fail_withdrawal", json!({"refid": other, "reason": "load test"})).await?;
            }
        }
        Ok(())
    }

    async fn approve(&self, member: &mut Caller, votes: &[Value]) -> Result<Value, LoadError> {
        let otp = code(&self.voter.totp_secret, 0)?;
        member.call("approve", json!({"requests": votes, "otp": otp})).await
    }
}

/// Reads what custody is sent until it has all of them.
async fn told_of(custody: &mut Caller, mut released: BTreeSet<&str>) -> Result<(), LoadError> {
    loop {
        while let Received::Text(frame) = custody.connection.next_message()? {
            let frame: Value = serde_json::from_slice(frame).unwrap_or_default();
            let items = frame["data"].as_array().into_iter().flatten();
            for item in items.filter(|item| item["status"] == "Pending") {
                released.remove(item["refid"].as_str().unwrap_or_default());
            }
        }
        if released.is_empty() {
            return Ok(());
        }
        custody.connection.flush().await?;
        custody.connection.receive().await?;
    }
}
