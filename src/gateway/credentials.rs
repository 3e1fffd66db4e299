//! API keys: making them, and checking what they sign (rule 1).
//!
//! `API-Sign` = base64(HMAC-SHA512(secret, path ‖ SHA-256(nonce ‖ body))). The handshake signs the
//! path `/v2` with an empty body, so that its inner hash is that of the nonce text alone. A test
//! vector for the handshake:
//!
//! ```text
//! secret    Q291bnRlcnNpZ24gdGVzdCB2ZWN0b3I6IGEgc2VydmljZSB1c2VyIHNpZ25zLCBhIG1lbWJlciBjb3VudGVycw==
//! API-Nonce 1700000000000000
//! API-Sign  Yx9onjPvM/6G17sn42GzSIZ8hiZdZxG3AhRkpQjz4lf2/+3meytnJsP0JrYEmVevNyyUbJNNWBKIy700TLNuCg==
//! ```

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

/// The path that a handshake signs, whatever its query string.
const HANDSHAKE_PATH: &str = "/v2";

/// What a client signs, exactly as it was sent: nothing is parsed or normalised first.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// Path of the request, from its first slash and without a query string.
    pub path: &'a str,
    /// The nonce as the client wrote it.
    pub nonce: &'a str,
    /// The raw request body.
    pub body: &'a [u8],
}

impl<'a> Signed<'a> {
    /// What the handshake signs.
    pub fn handshake(nonce: &'a str) -> Self {
        Self { path: HANDSHAKE_PATH, nonce, body: b"" }
    }

    /// The `API-Sign` header that a client with this secret sends.
    pub fn sign(&self, secret: &[u8]) -> String {
        BASE64_STANDARD.encode(self.mac(secret).finalize().into_bytes())
    }

    /// Whether `api_sign` was made with this secret; takes the same time wherever the two differ.
    pub fn verify(&self, secret: &[u8], api_sign: &str) -> bool {
        BASE64_STANDARD.decode(api_sign).is_ok_and(|signature| self.mac(secret).verify_slice(&signature).is_ok())
    }

    fn mac(&self, secret: &[u8]) -> Hmac<Sha512> {
        let inner = Sha256::new().chain_update(self.nonce).chain_update(self.body).finalize();
        let mac = <Hmac<Sha512> as KeyInit>::new_from_slice(secret);
        mac.expect("HMAC takes keys of any length").chain_update(self.path).chain_update(inner)
    }
}

/// A new API key with its secret, in the form that stock clients expect.
pub struct ApiCredentials {
    /// Public name of the key: 56 base64 characters.
    pub api_key: String,
    /// 64 random bytes; commands and the journal only ever get them sealed.
    pub secret: Zeroizing<Vec<u8>>,
}

impl ApiCredentials {
    /// Fresh credentials from the system's randomness.
    pub fn generate() -> Self {
        let key: [u8; 42] = rand::random();
        let mut secret = Zeroizing::new(vec![0; 64]);
        rand::fill(secret.as_mut_slice());
        Self { api_key: BASE64_STANDARD.encode(key), secret }
    }
}

impl fmt::Debug for ApiCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiCredentials").field("api_key", &self.api_key).field("secret", &"***").finish()
    }
}

/// An API secret in base64, as shown to its owner once.
pub fn secret_text(secret: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(BASE64_STANDARD.encode(secret))
}

/// The bytes of an API secret that was given as text; `None` when it is not base64.
pub fn decode_secret(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    BASE64_STANDARD.decode(text).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the venue whose protocol we implement publishes for its REST calls.
    #[test]
    fn the_published_rest_vector_is_reproduced() {
        let secret =
            decode_secret("kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==")
                .unwrap();
        let signed = Signed {
            path: "/0/private/AddOrder",
            nonce: "1616492376594",
            body: b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25",
        };
        assert_eq!(
            signed.sign(&secret),
            "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==",
        );
    }

    /// The vector of the module's comment and of README.
    #[test]
    fn our_own_handshake_vector_holds() {
        let text = "Q291bnRlcnNpZ24gdGVzdCB2ZWN0b3I6IGEgc2VydmljZSB1c2VyIHNpZ25zLCBhIG1lbWJlciBjb3VudGVycw==";
        let secret = decode_secret(text).unwrap();
        let expected = "Yx9onjPvM/6G17sn42GzSIZ8hiZdZxG3AhRkpQjz4lf2/+3meytnJsP0JrYEmVevNyyUbJNNWBKIy700TLNuCg==";
        assert_eq!(Signed::handshake("1700000000000000").sign(&secret), expected);
        assert!(Signed::handshake("1700000000000000").verify(&secret, expected));
        let page = include_str!("credentials.rs").lines().take_while(|l| l.starts_with("//!"));
        let page = page.collect::<Vec<_>>().join("\n");
        assert!(page.contains(text) && page.contains(expected), "the comment states this vector");
    }

    #[test]
    fn d2_16_any_difference_is_refused() {
        let secret = [1; 64];
        let signed = Signed { path: "/a", nonce: "12", body: b"body" };
        let api_sign = signed.sign(&secret);
        assert!(signed.verify(&secret, &api_sign));
        assert!(!signed.verify(&[2; 64], &api_sign));
        assert!(!Signed { path: "/b", ..signed }.verify(&secret, &api_sign));
        assert!(!Signed { nonce: "13", ..signed }.verify(&secret, &api_sign));
        assert!(!Signed { body: b"bodY", ..signed }.verify(&secret, &api_sign));
        assert!(!signed.verify(&secret, ""));
        assert!(!signed.verify(&secret, &api_sign[..44]), "a shortened signature");
        assert!(!signed.verify(&secret, "not base64"));
    }

    #[test]
    fn new_credentials_have_the_stock_form_and_hide_their_secret() {
        let made = ApiCredentials::generate();
        assert_eq!(made.api_key.len(), 56);
        assert_eq!(decode_secret(&secret_text(&made.secret)).unwrap(), made.secret);
        assert_eq!(made.secret.len(), 64);
        assert_ne!(made.api_key, ApiCredentials::generate().api_key);
        assert!(format!("{made:?}").ends_with("secret: \"***\" }"));
    }
}
