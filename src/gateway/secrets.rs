//! The master key, and what is derived from it.
//!
//! Checking a signature needs a key's secret in plain form, and the journal keeps everything for ever. So secrets are
//! sealed before they enter commands: the engine and the storage below it only have bytes that are useless without the
//! master key, which is kept outside the data directory.

use std::{
    fmt, fs, io,
    io::{Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The environment variable that carries the master key in base64; it wins over a file.
pub const MASTER_KEY_VARIABLE: &str = "COUNTERSIGN_MASTER_KEY";

const NONCE_BYTES: usize = 24;

/// Creates a file that only its owner can read, from the start.
///
/// # Errors
/// When there is one already, or the system refuses.
pub fn create_private(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a new file that only its owner can read, and syncs it; on failure there is no file.
///
/// # Errors
/// When there is one already, or the system refuses.
pub fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = create_private(path)?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    if written.is_err() {
        // If the disk also refuses this, part of the file may stay.
        let _ = fs::remove_file(path);
    }
    written
}

/// Why there is no usable master key. The messages tell the operator what to do.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// Neither a file nor the environment variable was given.
    #[error("no master key: set master_key_file or the variable {MASTER_KEY_VARIABLE}")]
    Missing,
    /// The file cannot be read or written.
    #[error("master key file {path}: {source}")]
    File {
        /// The file at fault.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner may use the file.
    #[error("master key file {path} has mode {mode:04o}: make it 0600")]
    TooOpen {
        /// The file at fault.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A copy of the data directory would carry the key along.
    #[error("master key file {0} is inside the data directory: keep it elsewhere")]
    InsideData(PathBuf),
    /// The text is not the base64 of 32 bytes.
    #[error("the master key is not 32 bytes in base64")]
    Malformed,
    /// The file's text is not.
    #[error("master key file {0} does not hold 32 bytes in base64: give the one that `init` made")]
    Contents(PathBuf),
    /// The environment variable's is not.
    #[error("{MASTER_KEY_VARIABLE} is not 32 bytes in base64")]
    Variable,
}

/// A sealed secret that this master key and context do not open: another key sealed it, or its
/// bytes were changed or moved to another owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed secret does not open under this master key")]
pub struct OpenError;

/// The 32 bytes that protect every secret on this server. Wiped when dropped.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

impl MasterKey {
    /// The key from the environment, else from `file`, which must lie outside `data_dir`.
    pub fn load(file: Option<&Path>, data_dir: &Path) -> Result<Self, MasterKeyError> {
        if let Some(key) = Self::given()? {
            return Ok(key);
        }
        let file = file.ok_or(MasterKeyError::Missing)?;
        refuse_inside(file, data_dir)?;
        Self::from_file(file)
    }

    /// The key from the environment, if there is one.
    pub fn given() -> Result<Option<Self>, MasterKeyError> {
        let Ok(text) = std::env::var(MASTER_KEY_VARIABLE) else { return Ok(None) };
        Self::from_text(&Zeroizing::new(text)).map(Some).map_err(|_| MasterKeyError::Variable)
    }

    /// The key from a file that only its owner may use. The location of the file is not checked: the demo keeps its own
    /// beside its data.
    pub fn from_file(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |source| file_error(path, source);
        let mut file = fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        if mode & 0o177 != 0 {
            return Err(MasterKeyError::TooOpen { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(failed)?;
        Self::from_text(&text).map_err(|_| MasterKeyError::Contents(path.to_owned()))
    }

    /// The key from its text form, base64 of 32 bytes.
    pub fn from_text(text: &str) -> Result<Self, MasterKeyError> {
        let bytes = BASE64_STANDARD.decode(text.trim()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| MasterKeyError::Malformed)?;
        let key = bytes.as_slice().try_into().map_err(|_| MasterKeyError::Malformed)?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// A fresh key, written to a new file of mode 0600. An existing file is never overwritten:
    /// that would make every secret sealed under it unreadable.
    pub fn generate(path: &Path) -> Result<Self, MasterKeyError> {
        let key = Self(Zeroizing::new(rand::random()));
        let text = Zeroizing::new(BASE64_STANDARD.encode(*key.0) + "\n");
        write_private(path, text.as_bytes()).map_err(|source| file_error(path, source))?;
        Ok(key)
    }

    /// Encrypts `plain` so that it opens only with the same `context`, for instance the id of the
    /// key that it belongs to.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        // 24 random bytes never repeat in practice, so no counter has to survive a restart.
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: plain, aad: context };
        let encrypted =
            self.cipher().encrypt(&XNonce::from(nonce), payload).expect("encryption fails only beyond 256 GiB");
        [nonce.as_slice(), &encrypted].concat()
    }

    /// Decrypts what [`seal`](Self::seal) made for the same `context`.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (nonce, encrypted) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError)?;
        let payload = Payload { msg: encrypted, aad: context };
        let plain = self.cipher().decrypt(&XNonce::from(*nonce), payload);
        plain.map(Zeroizing::new).map_err(|_| OpenError)
    }

    /// A key of its own for one purpose: HMAC-SHA256 of the label under the master key.
    pub fn subkey(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut mac =
            <Hmac<Sha256> as KeyInit>::new_from_slice(self.0.as_slice()).expect("HMAC takes keys of any length");
        mac.update(label.as_bytes());
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.subkey("countersign seal 1")).into())
    }
}

/// Refuses a key file inside the data directory: whoever copies the data would have the key.
///
/// # Errors
/// When it is inside, or that cannot be determined.
pub fn refuse_inside(file: &Path, data_dir: &Path) -> Result<(), MasterKeyError> {
    // A file that does not exist yet is judged by its directory.
    let there = if file.exists() { file } else { file.parent().unwrap_or(file) };
    let file_at = fs::canonicalize(there).map_err(|source| file_error(file, source))?;
    // A data directory that does not exist yet contains nothing.
    let inside = fs::canonicalize(data_dir).is_ok_and(|dir| file_at.starts_with(dir));
    if inside { Err(MasterKeyError::InsideData(file.to_owned())) } else { Ok(()) }
}

fn file_error(path: &Path, source: io::Error) -> MasterKeyError {
    MasterKeyError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MasterKey {
        MasterKey(Zeroizing::new([7; 32]))
    }

    #[test]
    fn a_sealed_secret_opens_only_whole_in_its_context_and_under_its_key() {
        let sealed = key().seal(b"key 1", b"secret");
        assert_eq!(key().open(b"key 1", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(key().open(b"key 2", &sealed), Err(OpenError));
        let other = MasterKey(Zeroizing::new([8; 32]));
        assert_eq!(other.open(b"key 1", &sealed), Err(OpenError));
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert_eq!(key().open(b"key 1", &changed), Err(OpenError), "byte {position}");
            assert_eq!(key().open(b"key 1", &sealed[..position]), Err(OpenError));
        }
        assert_ne!(sealed, key().seal(b"key 1", b"secret"), "the nonce is fresh each time");
    }

    #[test]
    fn subkeys_differ_by_label_and_nothing_shows_in_debug() {
        assert_ne!(key().subkey("a"), key().subkey("b"));
        assert_eq!(key().subkey("a"), key().subkey("a"));
        assert_eq!(format!("{:?}", key()), "MasterKey(***)");
    }

    #[test]
    fn a_generated_file_is_private_read_back_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let made = MasterKey::generate(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(MasterKey::from_file(&path).unwrap().0, made.0);
        let again = MasterKey::generate(&path);
        assert!(matches!(again, Err(MasterKeyError::File { source, .. })
            if source.kind() == io::ErrorKind::AlreadyExists));
    }

    #[test]
    fn an_unusable_file_says_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        assert!(matches!(MasterKey::from_file(&path), Err(MasterKeyError::File { .. })));
        MasterKey::generate(&path).unwrap();
        assert!(matches!(refuse_inside(&path, dir.path()), Err(MasterKeyError::InsideData(_))));
        assert!(refuse_inside(&path, &dir.path().join("data")).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let open = MasterKey::from_file(&path).unwrap_err();
        assert!(open.to_string().ends_with("has mode 0640: make it 0600"), "{open}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "c2hvcnQ=").unwrap();
        assert!(matches!(MasterKey::from_file(&path), Err(MasterKeyError::Contents(_))));
    }
}
