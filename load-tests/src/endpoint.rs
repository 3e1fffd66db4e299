//! Where a server is: the parts of its address, and plain HTTP reads from it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

use crate::error::LoadError;
use crate::socket::{Socket, Trust};

/// Longest wait for a connection or for an HTTP answer.
pub const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// An address.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `HOST:PORT`, or `HOST` alone where the address has no port.
    pub authority: String,
    /// The certificates to trust; `None` for a plain address.
    pub trust: Option<Trust>,
    /// Absolute path, without the query.
    pub path: String,
    /// Longest wait for each step of a connection.
    pub wait: Duration,
    /// Size of the system's receive buffer, in bytes; the system's default if `None`.
    pub receive_buffer: Option<u32>,
}

impl Endpoint {
    /// The plain socket of a server on this machine, as the baselines have it.
    pub fn plain(address: SocketAddr) -> Self {
        let (authority, path) = (address.to_string(), "/v2".into());
        Self { authority, trust: None, path, wait: ANSWER_WAIT, receive_buffer: None }
    }

    /// Splits `ws://HOST:PORT/path` or `http://HOST:PORT`, or with `wss` and `https` the address of a server that speaks
    /// TLS; of those, the certificates in the file `ca` are trusted, or without one the system's.
    ///
    /// # Errors
    /// `Setup` for another scheme, a query, a missing host, or a file without certificates.
    pub fn parse(url: &str, ca: Option<&Path>) -> Result<Self, LoadError> {
        let refuse = || LoadError::Setup(format!("{url:?} is not ws[s]://HOST:PORT/PATH or http[s]://HOST:PORT"));
        let (scheme, rest) = url.split_once("://").ok_or_else(refuse)?;
        let is_secure = match scheme {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(refuse()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.is_empty() || rest.contains(['?', '#', '@']) {
            return Err(refuse());
        }
        let (authority, path) = (authority.to_owned(), if path.is_empty() { "/" } else { path }.into());
        let trust = if is_secure { Some(Trust::read(ca)?) } else { None };
        Ok(Self { authority, trust, path, wait: ANSWER_WAIT, receive_buffer: None })
    }

    /// The origin of a page from this address.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.trust.is_some() { "https" } else { "http" }, self.authority)
    }

    /// Host, without the brackets of an IPv6 address, and port.
    fn host_and_port(&self) -> (&str, u16) {
        let named = self.authority.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let usual = if self.trust.is_some() { 443 } else { 80 };
        let (host, port) = named.unwrap_or((&self.authority, usual));
        (host.trim_start_matches('[').trim_end_matches(']'), port)
    }

    /// Opens a connection without Nagle's delay, and puts it under TLS if the address says so.
    ///
    /// # Errors
    /// Refused, no answer in time, or a certificate that is not trusted.
    pub async fn connect(&self) -> Result<Socket, LoadError> {
        let what = format!("connect to {}", self.authority);
        let stream = self.within(&what, self.connected()).await?;
        stream.set_nodelay(true).map_err(LoadError::io(what))?;
        let Some(trust) = &self.trust else { return Ok(Socket::Plain(stream)) };
        let what = format!("agree on TLS with {}, trusting {}", self.authority, trust.file.display());
        self.within(&what, trust.secure(self.host_and_port().0, stream)).await
    }

    async fn connected(&self) -> std::io::Result<TcpStream> {
        let place = self.host_and_port();
        let Some(bytes) = self.receive_buffer else { return TcpStream::connect(place).await };
        let address = lookup_host(place).await?.next().ok_or(std::io::ErrorKind::NotFound)?;
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // Must be set before connecting, because the handshake tells the peer how much it may send.
        socket.set_recv_buffer_size(bytes)?;
        socket.connect(address).await
    }

    /// The body of `GET path`. HTTP 1.0, so that the answer is neither chunked nor kept open.
    ///
    /// # Errors
    /// No answer in time, or one that is not 200.
    pub async fn get(&self, path: &str) -> Result<String, LoadError> {
        let what = format!("GET {path} from {}", self.authority);
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.authority);
        match self.ask(&what, &request).await? {
            Answer { status: 200, body, .. } => Ok(body),
            Answer { status, .. } => Err(LoadError::Protocol(format!("{what}: HTTP status {status}"))),
        }
    }

    /// Posts JSON from this address's own origin.
    ///
    /// # Errors
    /// No answer in time. A refusal is an answer.
    pub async fn post(&self, path: &str, body: &str) -> Result<Answer, LoadError> {
        let origin = format!("Origin: {}\r\nContent-Type: application/json\r\n", self.origin());
        self.post_with(path, &origin, body).await
    }

    /// Posts a form signed with a key, as the REST endpoints want it.
    ///
    /// # Errors
    /// No answer in time. A refusal is an answer.
    pub async fn post_signed(
        &self,
        path: &str,
        body: &str,
        api_key: &str,
        signature: &str,
    ) -> Result<Answer, LoadError> {
        let form = "Content-Type: application/x-www-form-urlencoded";
        self.post_with(path, &format!("API-Key: {api_key}\r\nAPI-Sign: {signature}\r\n{form}\r\n"), body).await
    }

    async fn post_with(&self, path: &str, headers: &str, body: &str) -> Result<Answer, LoadError> {
        let what = format!("POST {path} to {}", self.authority);
        let (host, length) = (&self.authority, body.len());
        let request =
            format!("POST {path} HTTP/1.0\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        self.ask(&what, &request).await
    }

    /// Limits one network step by this endpoint's wait and adds context to its error.
    pub async fn within<T>(&self, what: &str, step: impl Future<Output = std::io::Result<T>>) -> Result<T, LoadError> {
        within(self.wait, what, step).await
    }

    async fn ask(&self, what: &str, request: &str) -> Result<Answer, LoadError> {
        let mut stream = self.connect().await?;
        let mut answer = Vec::new();
        self.within(what, async {
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await?;
            stream.read_to_end(&mut answer).await
        })
        .await?;
        let answer = String::from_utf8_lossy(&answer);
        let refuse = || LoadError::Protocol(format!("{what}: not an HTTP answer"));
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(refuse)?;
        let mut headers = head.lines().filter_map(|line| line.split_once(':'));
        let cookie = headers.find(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        let cookie = cookie.map(|(_, value)| value.split(';').next().unwrap_or_default().trim().to_owned());
        Ok(Answer { status: status(head).ok_or_else(refuse)?, cookie, body: body.to_owned() })
    }
}

/// What a `POST` was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `name=value` of a cookie that was set.
    pub cookie: Option<String>,
    /// The body.
    pub body: String,
}

/// The status code of an HTTP head.
pub fn status(head: &str) -> Option<u16> {
    head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

/// Limits one network step and adds context to its error.
pub async fn within<T>(
    wait: Duration,
    what: &str,
    step: impl Future<Output = std::io::Result<T>>,
) -> Result<T, LoadError> {
    bounded(wait, what, async { step.await.map_err(LoadError::io(what)) }).await
}

/// Limits several steps together, each of which returns its own error.
pub async fn bounded<T>(
    wait: Duration,
    what: &str,
    steps: impl Future<Output = Result<T, LoadError>>,
) -> Result<T, LoadError> {
    let late = |_| Err(LoadError::Io { what: what.into(), source: std::io::ErrorKind::TimedOut.into() });
    timeout(wait, steps).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_split_into_authority_and_path() {
        let socket = Endpoint::parse("ws://127.0.0.1:8080/v2", None).unwrap();
        assert_eq!((socket.authority.as_str(), socket.path.as_str()), ("127.0.0.1:8080", "/v2"));
        let web = Endpoint::parse("http://localhost", None).unwrap();
        assert_eq!((web.origin().as_str(), web.path.as_str()), ("http://localhost", "/"));
        for wrong in ["wsx://host/v2", "ws:///v2", "host:80", "ws://host/v2?token=1", "ws://user@host/v2"] {
            assert!(Endpoint::parse(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn where_an_address_has_no_port_it_is_the_scheme_s() {
        for (url, place) in [
            ("ws://host/v2", ("host", 80)),
            ("ws://host:1/v2", ("host", 1)),
            ("http://[::1]", ("::1", 80)),
            ("http://[::1]:2", ("::1", 2)),
        ] {
            assert_eq!(Endpoint::parse(url, None).unwrap().host_and_port(), place, "{url}");
        }
    }
}
