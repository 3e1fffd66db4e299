//! TLS by rustls: the port's certificate, reloaded when its files change. Open sockets keep the keys that they agreed
//! on; only new handshakes use a new certificate.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{CertificateError, Error, RootCertStore, ServerConfig};

use super::listener::stopped;
use crate::domain::time::Moment;

/// The time between two checks of the files.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The two PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The server's certificate, followed by its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used; names the setting.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate's file.
    #[error("tls.certificate: {path}: {problem}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The key's file, or a key of another certificate.
    #[error("tls.key: {path}: {problem}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// When the files last changed, including their permissions: second and nanosecond.
type FileStamps = [Option<(i64, i64)>; 2];

/// The certificate in use.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    /// The state of the files before they were first read: a start may take long.
    opened: FileStamps,
    present: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the files. An expired certificate is logged and still served: clients judge it.
    ///
    /// # Errors
    /// When they cannot be read, or do not belong together.
    pub fn open(files: Files) -> Result<Arc<Certificate>, TlsError> {
        let opened = look(&files);
        let present = RwLock::new(Arc::new(read(&files)?));
        Ok(Arc::new(Certificate { files, opened, present }))
    }

    /// When the certificate in use expires, in seconds since 1970.
    pub fn end(&self) -> Option<u64> {
        end(&self.present.read())
    }

    /// The acceptor for TLS connections.
    pub fn acceptor(self: &Arc<Certificate>) -> TlsAcceptor {
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has what the default versions need")
            .with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Loads new files until `stop` turns true. An unusable pair is logged, and the one before stays: the two files of
    /// a renewal are rarely written at the same moment. It is tried again at each check, since the problem may
    /// disappear without a visible change.
    pub async fn follow(self: Arc<Certificate>, mut stop: watch::Receiver<bool>) {
        let (mut seen, mut reported) = (self.opened, None);
        loop {
            tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = stopped(&mut stop) => return,
            }
            let files = self.files.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let now = look(&files);
                (now != seen).then(|| (now, read(&files)))
            });
            let (now, new) = match looked.await {
                Ok(Some(changed)) => changed,
                Ok(None) => continue,
                Err(_) => {
                    tracing::warn!("the certificate was not read");
                    continue;
                }
            };
            match new {
                Ok(key) => {
                    (seen, reported) = (now, None);
                    *self.present.write() = Arc::new(key);
                    tracing::info!("the certificate was reloaded");
                }
                Err(error) => {
                    let failed = Some((now, error.to_string()));
                    if reported != failed {
                        tracing::warn!(%error, "the new certificate cannot be used; the old one stays");
                        reported = failed;
                    }
                }
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.present.read()))
    }
}

fn read(files: &Files) -> Result<CertifiedKey, TlsError> {
    let certificate = |problem: String| TlsError::Certificate { path: files.certificate.clone(), problem };
    let key = |problem: String| TlsError::Key { path: files.key.clone(), problem };
    let chain = CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(certificate("there is no certificate in it".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| key(without_key(&files.key, &error)))?;
    let private = ring::sign::any_supported_type(&private).map_err(|error| key(error.to_string()))?;
    let certified = CertifiedKey::new(chain, private);
    certified.keys_match().map_err(|error| match error {
        Error::InconsistentKeys(_) => key("it is not the key of the certificate".to_owned()),
        _ => certificate("it is damaged, or no X.509 certificate".to_owned()),
    })?;
    if let Some(end) = end(&certified).filter(|end| *end <= UnixTime::now().as_secs()) {
        let end = Moment(end.saturating_mul(1_000_000));
        tracing::warn!(%end, "the certificate has expired, and clients refuse it: renew it");
    }
    Ok(certified)
}

/// The problem of a file without a usable key.
fn without_key(path: &Path, error: &pem::Error) -> String {
    // Both forms of a key under a passphrase say so in plain text.
    if std::fs::read_to_string(path).is_ok_and(|text| text.contains("ENCRYPTED")) {
        return "it is encrypted: give it without a passphrase, as `openssl pkey -in FILE -out PLAIN` writes it"
            .to_owned();
    }
    match error {
        pem::Error::NoItemsFound => "there is no private key in it".to_owned(),
        _ => error.to_string(),
    }
}

/// When a certificate expires, in seconds since 1970. rustls reports it when asked about a time beyond.
fn end(served: &CertifiedKey) -> Option<u64> {
    let own = ParsedCertificate::try_from(served.cert.first()?).ok()?;
    let beyond = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    match verify_server_cert_signed_by_trust_anchor(&own, &RootCertStore::empty(), &[], beyond, &[]) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => Some(not_after.as_secs()),
        _ => None,
    }
}

fn look(files: &Files) -> FileStamps {
    [&files.certificate, &files.key].map(|path| std::fs::metadata(path).ok().map(|of| (of.ctime(), of.ctime_nsec())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;

    fn issue(dir: &Path) -> Files {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = Files { certificate: dir.join("server.crt"), key: dir.join("server.key") };
        std::fs::write(&files.key, issued.signing_key.serialize_pem()).unwrap();
        std::fs::write(&files.certificate, issued.cert.pem()).unwrap();
        files
    }

    fn served(certificate: &Certificate) -> Arc<CertifiedKey> {
        Arc::clone(&certificate.present.read())
    }

    /// Waits until another certificate is served.
    async fn taken_over(certificate: &Certificate, before: &Arc<CertifiedKey>) {
        let renewed = async {
            while Arc::ptr_eq(before, &served(certificate)) {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(10 * POLL_INTERVAL, renewed).await.expect("the new certificate is served");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_renewed_while_the_server_starts_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let certificate = Certificate::open(issue(dir.path())).unwrap();
        let first = served(&certificate);
        // The file system's clock may stand still for a while.
        while look(&certificate.files) == certificate.opened {
            issue(dir.path());
        }
        let (_stop, stopping) = watch::channel(false);
        tokio::spawn(Arc::clone(&certificate).follow(stopping));
        taken_over(&certificate, &first).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_pair_that_does_not_belong_together_is_not_taken_over_and_is_tried_until_it_does() {
        let dir = tempfile::tempdir().unwrap();
        let certificate = Certificate::open(issue(dir.path())).unwrap();
        let (first, files) = (served(&certificate), &certificate.files);
        let (_stop, stopping) = watch::channel(false);
        tokio::spawn(Arc::clone(&certificate).follow(stopping));
        let [renewed, another] =
            [(); 2].map(|()| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
        // Two keys with the same change time, as far as the file system's clock can tell, like one that is read while
        // it is written. Each try uses new files, because the change time of a file that was looked at gets finer.
        let alike = (0..10_000).find_map(|tried| {
            let keys = [("own", &renewed), ("other", &another)].map(|(name, issued)| {
                let path = dir.path().join(format!("{name}-{tried}"));
                std::fs::write(&path, issued.signing_key.serialize_pem()).unwrap();
                path
            });
            let [own, other] = keys.each_ref().map(|key| look(&Files { key: key.clone(), ..files.clone() }));
            (own == other).then_some(keys)
        });
        let [own, other] = alike.expect("two files can be written at the same time");
        let give = |key: &Path| {
            std::fs::remove_file(&files.key).unwrap();
            symlink(key, &files.key).unwrap();
        };
        give(&other);
        std::fs::write(&files.certificate, renewed.cert.pem()).unwrap();
        tokio::time::sleep(3 * POLL_INTERVAL).await;
        assert!(Arc::ptr_eq(&first, &served(&certificate)), "it is another certificate's key");
        give(&own);
        taken_over(&certificate, &first).await;
    }

    #[test]
    fn files_that_were_given_to_the_servers_user_are_looked_at_again() {
        let dir = tempfile::tempdir().unwrap();
        let files = issue(dir.path());
        let before = look(&files);
        assert_eq!(look(&files), before);
        // For longer than the file system's clock stands still.
        let changed = (0..1_000_000).any(|_| {
            std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o600)).unwrap();
            look(&files) != before
        });
        assert!(changed);
    }
}
