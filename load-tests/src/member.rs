//! Members: signing in over HTTP, one-time codes, dashboards' sockets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use totp_rs::{Algorithm, Builder, Secret};

use crate::connection::{Connection, Proof};
use crate::credentials::MemberLogin;
use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::target::Target;

/// RFC 6238's usual step.
const STEP_S: u64 = 30;

/// A Member who is signed in; any number of sockets can be opened with it.
#[derive(Debug, Clone)]
pub struct Session {
    /// The Member's.
    pub name: String,
    cookie: String,
    origin: String,
    ws: Endpoint,
}

impl Session {
    /// Signs in with the current one-time code, which spends it.
    ///
    /// # Errors
    /// No web address is known, `Refused` if the server says that the Member may not, or the answer is not a session.
    pub async fn sign_in(target: &Target, member: &MemberLogin) -> Result<Self, LoadError> {
        let web = target.web()?;
        let otp = code(&member.totp_secret, 0)?;
        let body = json!({"email": member.email, "password": member.password, "otp": otp}).to_string();
        let answer = web.post("/session", &body).await?;
        let name = &member.name;
        let cookie = answer.cookie.ok_or_else(|| match (answer.status, answer.body) {
            (401 | 403, error) => {
                LoadError::Refused { method: format!("the sign-in of {name} (a code serves once; wait 30 s)"), error }
            }
            (status, body) => {
                LoadError::Protocol(format!("the sign-in of {name} was answered with HTTP {status}: {body}"))
            }
        })?;
        Ok(Self { name: member.name.clone(), cookie, origin: web.origin(), ws: target.ws.clone() })
    }

    /// Opens one of the Member's sockets.
    ///
    /// # Errors
    /// The handshake fails.
    pub async fn open(&self, buffer: usize) -> Result<Connection, LoadError> {
        let proof = Proof::Cookie { cookie: &self.cookie, origin: &self.origin };
        Connection::open(&self.ws, proof, buffer).await
    }
}

/// The one-time code `steps` of 30 seconds from now.
///
/// # Errors
/// The secret is not base32.
pub fn code(secret: &str, steps: i64) -> Result<String, LoadError> {
    let at = (now_s() / STEP_S).saturating_add_signed(steps) * STEP_S;
    let refuse = || LoadError::Setup("a Member's totp_secret is not base32 of 16 bytes or more".into());
    let totp = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_skew(1)
        .with_step_duration(STEP_S)
        .with_secret(Secret::try_from_base32(secret).map_err(|_| refuse())?)
        .build()
        .map_err(|_| refuse())?;
    Ok(totp.generate(at).to_string())
}

/// For how long the current code remains the current one.
pub fn code_left() -> Duration {
    Duration::from_secs(STEP_S - now_s() % STEP_S)
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
