//! TLS by rustls: the certificate of the port, looked at again when its files change. Open sockets keep the keys
//! that they agreed on; only new handshakes see a new certificate.

use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The two PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate and those that vouch for it, the server's own first.
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

/// When and how large the files were last.
type Look = [Option<(SystemTime, u64)>; 2];

/// The certificate in use.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    present: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be read, or do not belong together.
    pub fn open(files: Files) -> Result<Arc<Certificate>, TlsError> {
        let present = RwLock::new(Arc::new(read(&files)?));
        Ok(Arc::new(Certificate { files, present }))
    }

    /// What takes connections with it.
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

    /// Takes new files over until `stop` turns true. A pair that cannot be used is told in the log, and the one
    /// before stays: the two files of a renewal are rarely written at the same moment.
    pub async fn follow(self: Arc<Certificate>, mut stop: watch::Receiver<bool>) {
        let mut seen = look(&self.files).await;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = super::listener::stopped(&mut stop) => return,
            }
            let now = look(&self.files).await;
            if now == seen {
                continue;
            }
            seen = now;
            let files = self.files.clone();
            match tokio::task::spawn_blocking(move || read(&files)).await {
                Ok(Ok(key)) => {
                    *self.present.write().expect("no holder of this lock panics") = Arc::new(key);
                    tracing::info!("the certificate was reloaded");
                }
                Ok(Err(error)) => tracing::warn!(%error, "the new certificate cannot be used; the old one stays"),
                Err(_) => tracing::warn!("the certificate was not read"),
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.present.read().expect("no holder of this lock panics")))
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
    let private = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| key(error.to_string()))?;
    let private = ring::sign::any_supported_type(&private).map_err(|error| key(error.to_string()))?;
    let certified = CertifiedKey::new(chain, private);
    certified.keys_match().map_err(|_| key("it is not the key of the certificate".to_owned()))?;
    Ok(certified)
}

async fn look(files: &Files) -> Look {
    let mut seen = [None, None];
    for (seen, path) in seen.iter_mut().zip([&files.certificate, &files.key]) {
        let of = tokio::fs::metadata(path).await.ok();
        *seen = of.and_then(|of| Some((of.modified().ok()?, of.len())));
    }
    seen
}
