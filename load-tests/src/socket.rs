//! The bytes of a connection, plain or under TLS, and whose certificates are trusted.

use std::io::{Error, ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::error::LoadError;

/// Where distributions keep their trusted authorities: Debian and relatives, Fedora and relatives, openSUSE.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// The bytes of a connection.
#[derive(Debug)]
pub enum Socket {
    /// Plain.
    Plain(TcpStream),
    /// With TLS. Written bytes are sent by a flush.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<IoResult<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<IoResult<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<IoResult<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<IoResult<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// The certificates to trust.
#[derive(Debug, Clone)]
pub struct Trust {
    config: Arc<ClientConfig>,
    /// The file that names them.
    pub file: PathBuf,
}

impl Trust {
    /// Trusts the certificates in this PEM file, or without one those that the system trusts.
    ///
    /// # Errors
    /// The file cannot be read or holds no certificate; or no file of the system's is found.
    pub fn read(ca: Option<&Path>) -> Result<Self, LoadError> {
        let file = ca.map(Path::to_owned).or_else(system);
        let file = file.ok_or_else(|| LoadError::Setup("the system's certificates are not found: give --ca".into()))?;
        let refuse = |why: String| LoadError::Setup(format!("--ca {}: {why}", file.display()));
        let read = CertificateDer::pem_file_iter(&file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut roots = RootCertStore::empty();
        // The system's list may have some that this library cannot use.
        let (added, _) = roots.add_parsable_certificates(read.map_err(|error| refuse(error.to_string()))?);
        if added == 0 {
            return Err(refuse("there is no certificate in it".into()));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().map_err(|error| refuse(error.to_string()))?;
        Ok(Self { config: Arc::new(config.with_root_certificates(roots).with_no_client_auth()), file })
    }

    /// Puts a connection to `host` under TLS.
    ///
    /// # Errors
    /// It does not speak TLS, or its certificate is not trusted or for another name.
    pub async fn secure(&self, host: &str, stream: TcpStream) -> IoResult<Socket> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| Error::new(ErrorKind::InvalidInput, error))?;
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await?;
        Ok(Socket::Tls(Box::new(stream)))
    }
}

/// The first of the system's files that exists; `SSL_CERT_FILE` overrides it, as for other programs.
fn system() -> Option<PathBuf> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    named.or_else(|| SYSTEM.map(PathBuf::from).into_iter().find(|path| path.exists()))
}
