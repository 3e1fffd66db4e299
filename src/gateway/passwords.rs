//! What Members authenticate with: passwords, one-time codes, and the bearer tokens of sessions and invitations.
//!
//! Hashing a password takes tens of milliseconds of CPU and 19 MiB by design: requests go through [`Hashing`], which
//! limits how many hash at once. Bearer tokens are stored only as SHA-256; 256 random bits cannot be guessed, so they
//! need no slow hash.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use totp_rs::{Algorithm, Builder, Secret, Totp};
use zeroize::Zeroizing;

/// The time step of one-time codes, in seconds.
pub const STEP_S: u64 = 30;
/// Passwords that may wait to be hashed.
const WAITING_MAX: usize = 256;

/// Hashes passwords off the runtime's threads, a few at once.
#[derive(Debug)]
pub struct Hashing {
    /// For the passwords being hashed.
    places: Arc<Semaphore>,
    /// For those being hashed and those waiting.
    line: Semaphore,
}

impl Default for Hashing {
    /// As many at once as there are processors.
    fn default() -> Hashing {
        Hashing::new(available_parallelism().map_or(1, NonZero::get), WAITING_MAX)
    }
}

impl Hashing {
    /// Hashes `at_once` passwords at once, while `waiting` more may wait.
    fn new(at_once: usize, waiting: usize) -> Hashing {
        Hashing { places: Arc::new(Semaphore::new(at_once)), line: Semaphore::new(at_once + waiting) }
    }

    /// [`hash_password`], in its turn; `None` when too many wait.
    pub async fn hash(&self, password: Zeroizing<String>) -> Option<String> {
        self.run(move || hash_password(&password)).await
    }

    /// Whether the password is that of the hash, in its turn; `None` when too many wait.
    pub async fn verify(&self, stored: Option<String>, password: Zeroizing<String>) -> Option<bool> {
        self.run(move || verify_password(stored.as_deref(), &password)).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _in_line = self.line.try_acquire().ok()?;
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let work = move || {
            // Moved in here: a client may give up waiting, but its hashing continues.
            let _place = place;
            work()
        };
        tokio::task::spawn_blocking(work).await.ok()
    }
}

/// The argon2id hash of a password as a PHC string, with a salt of its own.
pub fn hash_password(password: &str) -> String {
    Argon2::default()
        .hash_password(password.as_bytes())
        .expect("a password of any length has a hash, and the system has randomness")
        .to_string()
}

/// Whether the password matches the stored PHC string. With `None` (no such Member) it does the same work, so that the
/// time taken does not reveal which e-mail addresses exist.
fn verify_password(stored: Option<&str>, password: &str) -> bool {
    let Some(hash) = stored.and_then(|text| PasswordHash::new(text).ok()) else {
        hash_password(password);
        return false;
    };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

/// A fresh one-time-code secret of 160 bits in base32, as authenticator apps take it.
pub fn new_totp_secret() -> Zeroizing<String> {
    Zeroizing::new(Secret::new_stack(rand::random()).to_base32())
}

/// The 30-second step that this code belongs to: the current one or a neighbour. The engine spends the step, so that no
/// code works twice. `now` is in seconds since 1970.
pub fn matching_step(secret: &str, code: &str, now: u64) -> Option<u64> {
    totp(secret)?.check(code, now)
}

/// The code of a step, as the Member's app shows it; `None` when the secret is not 16 bytes or
/// more of base32.
pub fn code_for_step(secret: &str, step: u64) -> Option<String> {
    Some(totp(secret)?.generate(step.checked_mul(STEP_S)?).to_string())
}

fn totp(secret: &str) -> Option<Totp> {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_skew(1)
        .with_step_duration(STEP_S)
        .with_secret(Secret::try_from_base32(secret).ok()?)
        .build()
        .ok()
}

/// A new bearer token for a session cookie or an invitation: 43 URL-safe characters.
pub fn new_bearer_token() -> Zeroizing<String> {
    Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// The form in which a bearer token is stored and looked up.
pub fn bearer_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures::FutureExt as _;

    use super::*;

    /// Base32 of the ASCII secret of RFC 6238, appendix B.
    const RFC_SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[tokio::test]
    async fn d2_28_few_passwords_are_hashed_at_once_and_a_bounded_number_waits() {
        let hashing = Hashing::new(1, 2);
        let (go_on, told) = std::sync::mpsc::channel::<()>();
        let mut first = Box::pin(hashing.run(move || told.recv().is_ok()));
        let mut waiting = [(); 2].map(|()| Box::pin(hashing.run(|| true)));
        assert!((&mut first).now_or_never().is_none());
        assert!(waiting.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
        assert_eq!(hashing.run(|| true).await, None, "one too many");
        drop(first);
        assert!(waiting.iter_mut().all(|waiting| waiting.now_or_never().is_none()), "its work goes on");
        go_on.send(()).unwrap();
        for waiting in waiting {
            assert_eq!(waiting.await, Some(true));
        }
        assert_eq!(hashing.run(|| true).await, Some(true));
    }

    #[test]
    fn a_password_verifies_against_its_own_hash_only() {
        let stored = hash_password("correct horse");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify_password(Some(&stored), "correct horse"));
        assert!(!verify_password(Some(&stored), "correct horsf"));
        assert!(!verify_password(Some("not a hash"), "correct horse"));
        assert!(!verify_password(None, "correct horse"));
    }

    /// So that the time does not reveal which addresses exist. Without the work it would be a thousandth.
    #[test]
    fn an_unknown_member_takes_as_long_as_a_wrong_password() {
        let stored = hash_password("correct horse");
        let took = |stored| {
            let began = Instant::now();
            assert!(!verify_password(stored, "a guess"));
            began.elapsed()
        };
        // Other work on the machine may slow down one of the two.
        assert!((0..3).any(|_| took(None) >= took(Some(&*stored)) / 4));
    }

    #[test]
    fn codes_follow_the_rfc() {
        // The appendix prints eight digits; ours are the last six.
        for (time, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(code_for_step(RFC_SECRET, time / STEP_S).unwrap(), code);
            assert_eq!(matching_step(RFC_SECRET, code, time), Some(time / STEP_S));
        }
    }

    #[test]
    fn a_code_counts_one_step_either_way() {
        let step = 50_000_000;
        let code = code_for_step(RFC_SECRET, step).unwrap();
        let resolve_from = |other: u64| matching_step(RFC_SECRET, &code, other * STEP_S + 29);
        assert_eq!(resolve_from(step - 2), None);
        assert_eq!(resolve_from(step - 1), Some(step));
        assert_eq!(resolve_from(step), Some(step));
        assert_eq!(resolve_from(step + 1), Some(step));
        assert_eq!(resolve_from(step + 2), None);
    }

    #[test]
    fn malformed_codes_and_secrets_match_nothing() {
        let code = code_for_step(RFC_SECRET, 1).unwrap();
        for bad in ["", "12345", "1234567", "+12345", "abcdef", "１２"] {
            assert_eq!(matching_step(RFC_SECRET, bad, STEP_S), None, "{bad}");
        }
        for secret in ["", "GEZDGNBV", "not base32!"] {
            assert_eq!(matching_step(secret, &code, STEP_S), None, "{secret}");
        }
    }

    #[test]
    fn fresh_secrets_and_tokens_are_long_and_differ() {
        let secret = new_totp_secret();
        assert_eq!(secret.len(), 32);
        assert!(code_for_step(&secret, 1).is_some());
        assert_ne!(secret, new_totp_secret());
        let token = new_bearer_token();
        assert_eq!(token.len(), 43);
        assert_ne!(bearer_hash(&token), bearer_hash(&new_bearer_token()));
    }
}
