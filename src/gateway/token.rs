//! WebSocket tokens: returned by `GetWebSocketsToken`, sent back in `params.token` (rule 5).
//!
//! A token is its own record: the claims and a MAC over them under a sub-key of the master key. Nothing is stored, so
//! it stays valid across restarts. It only says who asks; what they may do depends on the key at the time of use.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::secrets::MasterKey;
use crate::domain::ids::{ServiceUserId, VenueKeyId};
use crate::domain::time::Moment;
use crate::engine::keys::KeyRef;

/// The lifetime of a token in seconds, as reported to clients.
pub const LIFETIME_S: u64 = 900;
/// Seconds beyond [`LIFETIME_S`] for which it is still accepted, for requests under way and slow clocks.
const GRACE_S: u64 = 60;

/// Kinds of key in a token.
const SERVICE_USER: u8 = 1;
const VENUE: u8 = 2;

const CLAIMS_BYTES: usize = 1 + 4 + 4 + 8 + 16;
const MAC_BYTES: usize = 32;

/// The contents of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// The key that asked for the token.
    pub key: KeyRef,
    /// Version of that key's secret: a rotation voids older tokens.
    pub credential_version: u32,
    /// When it was made.
    pub issued_at: Moment,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Ours, but too old.
    #[error("token expired")]
    Expired,
    /// Not made by this server.
    #[error("token invalid")]
    Invalid,
}

/// Makes and checks tokens.
pub struct Tokens {
    key: Zeroizing<[u8; 32]>,
}

impl Tokens {
    /// Tokens under this server's master key.
    pub fn new(master: &MasterKey) -> Self {
        Self { key: master.subkey("countersign token 1") }
    }

    /// The text form of a token with these claims. Two tokens are never the same.
    pub fn mint(&self, claims: &Claims) -> String {
        let mut bytes = Vec::with_capacity(CLAIMS_BYTES + MAC_BYTES);
        let (kind, id) = match claims.key {
            KeyRef::ServiceUser(id) => (SERVICE_USER, id.0),
            KeyRef::Venue(id) => (VENUE, id.0),
        };
        bytes.push(kind);
        bytes.extend(id.to_be_bytes());
        bytes.extend(claims.credential_version.to_be_bytes());
        bytes.extend(claims.issued_at.0.to_be_bytes());
        bytes.extend(rand::random::<[u8; 16]>());
        let mac = self.mac(&bytes).finalize().into_bytes();
        bytes.extend(mac);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The claims of a token that this server made and that is young enough at `now`. A socket that has used a token
    /// may keep using it after [`TokenError::Expired`].
    pub fn verify(&self, token: &str, now: Moment) -> Result<Claims, TokenError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenError::Invalid)?;
        let (claimed, mac) = bytes.split_first_chunk::<CLAIMS_BYTES>().ok_or(TokenError::Invalid)?;
        self.mac(claimed).verify_slice(mac).map_err(|_| TokenError::Invalid)?;
        let claims = decode(claimed).ok_or(TokenError::Invalid)?;
        // One from further ahead than clocks differ was made before the clock was set back, and would live longer.
        let from = claims.issued_at.minus_us(GRACE_S * 1_000_000);
        let lives = now.is_within(from, (GRACE_S + LIFETIME_S + GRACE_S) * 1_000_000 + 1);
        if lives { Ok(claims) } else { Err(TokenError::Expired) }
    }

    fn mac(&self, claims: &[u8]) -> Hmac<Sha256> {
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.key.as_slice());
        mac.expect("HMAC takes keys of any length").chain_update(claims)
    }
}

/// `None` for a kind of key that no server mints.
fn decode(bytes: &[u8; CLAIMS_BYTES]) -> Option<Claims> {
    let [kind, k0, k1, k2, k3, v0, v1, v2, v3, t0, t1, t2, t3, t4, t5, t6, t7, ..] = *bytes;
    let id = u32::from_be_bytes([k0, k1, k2, k3]);
    let key = match kind {
        SERVICE_USER => KeyRef::ServiceUser(ServiceUserId(id)),
        VENUE => KeyRef::Venue(VenueKeyId(id)),
        _ => return None,
    };
    Some(Claims {
        key,
        credential_version: u32::from_be_bytes([v0, v1, v2, v3]),
        issued_at: Moment(u64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIMS: Claims =
        Claims { key: KeyRef::Venue(VenueKeyId(77)), credential_version: 3, issued_at: Moment(1_700_000_000_000_000) };

    fn tokens(byte: u8) -> Tokens {
        Tokens { key: Zeroizing::new([byte; 32]) }
    }

    #[test]
    fn d6_74_a_token_lives_its_time_and_the_grace_whatever_the_clock_is_set_to() {
        let token = tokens(1).mint(&CLAIMS);
        let after = |us| tokens(1).verify(&token, CLAIMS.issued_at.plus_us(us));
        assert_eq!(after(0), Ok(CLAIMS));
        assert_eq!(after(960_000_000), Ok(CLAIMS));
        assert_eq!(after(960_000_001), Err(TokenError::Expired));
        let before = |us| tokens(1).verify(&token, Moment(CLAIMS.issued_at.0 - us));
        assert_eq!((before(60_000_000), before(60_000_001)), (Ok(CLAIMS), Err(TokenError::Expired)));
        assert_ne!(token, tokens(1).mint(&CLAIMS));
    }

    #[test]
    fn tokens_of_older_servers_stay_readable() {
        let said = |claims| BASE64_URL_SAFE_NO_PAD.decode(tokens(1).mint(&claims)).unwrap()[..17].to_vec();
        let issued_at = CLAIMS.issued_at.0.to_be_bytes();
        assert_eq!(said(CLAIMS), [&[2, 0, 0, 0, 77, 0, 0, 0, 3][..], &issued_at].concat());
        let key = KeyRef::ServiceUser(ServiceUserId(5));
        assert_eq!(said(Claims { key, ..CLAIMS }), [&[1, 0, 0, 0, 5, 0, 0, 0, 3][..], &issued_at].concat());
    }

    #[test]
    fn a_forged_or_cut_token_is_invalid() {
        let token = tokens(1).mint(&CLAIMS);
        assert_eq!(tokens(2).verify(&token, CLAIMS.issued_at), Err(TokenError::Invalid));
        let raw = BASE64_URL_SAFE_NO_PAD.decode(&token).unwrap();
        for position in 0..raw.len() {
            let mut forged = raw.clone();
            forged[position] ^= 0x10;
            for bytes in [&forged, &raw[..position]] {
                let text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
                let verdict = tokens(1).verify(&text, CLAIMS.issued_at);
                assert_eq!(verdict, Err(TokenError::Invalid), "byte {position}");
            }
        }
        for text in ["", "x", "not/base64url", "ä"] {
            assert_eq!(tokens(1).verify(text, CLAIMS.issued_at), Err(TokenError::Invalid), "{text}");
        }
    }
}
