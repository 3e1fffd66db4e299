//! What Members authenticate with: passwords, one-time codes, and the bearer tokens of sessions and invitations.
//!
//! Hashing a password takes tens of milliseconds of CPU and 19 MiB by design: requests go through [`Hashing`], which
//! limits how many hash at once and reuses their memory. Bearer tokens are stored only as SHA-256; 256 random bits
//! cannot be guessed, so they need no slow hash.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Argon2, Block, Params, Version};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use totp_rs::{Algorithm, Builder, Secret, Totp};
use zeroize::Zeroizing;

/// The time step of one-time codes, in seconds.
pub const STEP_S: u64 = 30;
/// Passwords that may wait to be hashed.
const WAITING_MAX: usize = 256;

/// What argon2 fills while it hashes a password: empty, or as the password before left it.
type WorkMemory = Vec<Block>;

/// Hashes passwords off the runtime's threads, a few at once.
pub struct Hashing {
    /// For the passwords being hashed.
    places: Arc<Semaphore>,
    /// For those being hashed and those waiting.
    line: Semaphore,
    /// What no password is hashed in now, one per place at most. Were it freed each time, the allocator would keep some
    /// for every thread that has hashed once.
    idle: Arc<Mutex<Vec<WorkMemory>>>,
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
        Hashing {
            places: Arc::new(Semaphore::new(at_once)),
            line: Semaphore::new(at_once + waiting),
            idle: Arc::default(),
        }
    }

    /// [`hash_password`], in its turn; `None` when too many wait.
    pub async fn hash(&self, password: Zeroizing<String>) -> Option<String> {
        self.run(move |memory| hash_in(memory, &password)).await
    }

    /// Whether the password is that of the hash, in its turn; `None` when too many wait.
    pub async fn verify(&self, stored: Option<String>, password: Zeroizing<String>) -> Option<bool> {
        self.run(move |memory| verify_in(memory, stored.as_deref(), &password)).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&mut WorkMemory) -> T + Send + 'static) -> Option<T> {
        let _in_line = self.line.try_acquire().ok()?;
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let idle = Arc::clone(&self.idle);
        let work = move || {
            // Moved in here: a client may give up waiting, but its hashing continues.
            let _place = place;
            let mut memory = idle.lock().pop().unwrap_or_default();
            let result = work(&mut memory);
            idle.lock().push(memory);
            result
        };
        tokio::task::spawn_blocking(work).await.ok()
    }
}

/// The argon2id hash of a password as a PHC string, with a salt of its own.
pub fn hash_password(password: &str) -> String {
    hash_in(&mut WorkMemory::new(), password)
}

fn hash_in(memory: &mut WorkMemory, password: &str) -> String {
    let mut phc = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::default().into()),
        params: ParamsString::try_from(&Params::DEFAULT).expect("the default parameters have a text form"),
        salt: Some(Salt::generate()),
        hash: None,
    };
    phc.hash = output(memory, password, &phc);
    assert!(phc.hash.is_some(), "a password of any length has a hash");
    phc.to_string()
}

/// Whether the password matches the stored PHC string. With `None` (no such Member) it does the same work, so that the
/// time taken does not reveal which e-mail addresses exist.
fn verify_in(memory: &mut WorkMemory, stored: Option<&str>, password: &str) -> bool {
    let Some(phc) = stored.and_then(|text| PasswordHash::new(text).ok()) else {
        hash_in(memory, password);
        return false;
    };
    // Outputs compare in constant time.
    phc.hash.is_some() && output(memory, password, &phc) == phc.hash
}

/// What a password comes to by the algorithm, parameters and salt of a PHC string; `None` where argon2 cannot use them.
fn output(memory: &mut WorkMemory, password: &str, phc: &PasswordHash) -> Option<Output> {
    let algorithm = argon2::Algorithm::try_from(phc.algorithm.as_str()).ok()?;
    let version = Version::try_from(phc.version?).ok()?;
    let params = Params::try_from(phc).ok()?;
    let salt = phc.salt?;
    let mut bytes = [0; Output::MAX_LENGTH];
    let bytes = bytes.get_mut(..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN))?;
    memory.resize(params.block_count(), Block::new());
    let argon2 = Argon2::new(algorithm, version, params);
    argon2.hash_password_into_with_memory(password.as_bytes(), &salt, bytes, memory).ok()?;
    Output::new(bytes).ok()
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

    use argon2::{PasswordHasher as _, PasswordVerifier as _};
    use futures::FutureExt as _;

    use super::*;

    /// Base32 of the ASCII secret of RFC 6238, appendix B.
    const RFC_SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[tokio::test]
    async fn d2_28_few_passwords_are_hashed_at_once_and_a_bounded_number_waits() {
        let hashing = Hashing::new(1, 2);
        let (go_on, told) = std::sync::mpsc::channel::<()>();
        let mut first = Box::pin(hashing.run(move |_| told.recv().is_ok()));
        let mut waiting = [(); 2].map(|()| Box::pin(hashing.run(|_| true)));
        assert!((&mut first).now_or_never().is_none());
        assert!(waiting.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
        assert_eq!(hashing.run(|_| true).await, None, "one too many");
        drop(first);
        assert!(waiting.iter_mut().all(|waiting| waiting.now_or_never().is_none()), "its work goes on");
        go_on.send(()).unwrap();
        for waiting in waiting {
            assert_eq!(waiting.await, Some(true));
        }
        assert_eq!(hashing.run(|_| true).await, Some(true));
    }

    #[tokio::test]
    async fn those_hashed_at_once_have_each_a_memory_that_the_next_ones_use() {
        let hashing = Hashing::new(2, 6);
        let all = (0..8).map(|_| hashing.run(|memory| memory.resize(1, Block::new())));
        assert!(futures::future::join_all(all).await.iter().all(Option::is_some));
        let kept: Vec<usize> = hashing.idle.lock().iter().map(Vec::len).collect();
        assert!(kept == [1] || kept == [1, 1], "{kept:?}");
        let found = hashing.run(|memory| memory.len()).await;
        assert_eq!((found, hashing.idle.lock().len()), (Some(1), kept.len()));
    }

    #[test]
    fn memory_that_was_used_before_changes_no_hash() {
        let mut memory = WorkMemory::new();
        for password in ["", "correct horse", "correct horsf"] {
            let stored = hash_in(&mut memory, password);
            let parsed = PasswordHash::new(&stored).unwrap();
            assert_eq!(Argon2::default().verify_password(password.as_bytes(), &parsed), Ok(()));
            let theirs = Argon2::default().hash_password_with_salt(password.as_bytes(), &parsed.salt.unwrap()).unwrap();
            assert_eq!(theirs.to_string(), stored);
            assert!(verify_in(&mut memory, Some(&stored), password));
            assert!(!verify_in(&mut memory, Some(&stored), "a guess"));
        }
    }

    #[test]
    fn a_password_verifies_against_its_own_hash_only() {
        let stored = hash_password("correct horse");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let verify = |stored, password| verify_in(&mut WorkMemory::new(), stored, password);
        assert!(verify(Some(&*stored), "correct horse"));
        assert!(!verify(Some(&*stored), "correct horsf"));
        assert!(!verify(Some("not a hash"), "correct horse"));
        assert!(!verify(Some(stored.rsplit_once('$').unwrap().0), "correct horse"), "a salt, but no hash");
        assert!(!verify(None, "correct horse"));
    }

    /// So that the time does not reveal which addresses exist. Without the work it would be a thousandth.
    #[test]
    fn an_unknown_member_takes_as_long_as_a_wrong_password() {
        let stored = hash_password("correct horse");
        let took = |stored| {
            let began = Instant::now();
            assert!(!verify_in(&mut WorkMemory::new(), stored, "a guess"));
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
