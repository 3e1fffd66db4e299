//! The port with TLS: a signed handshake, a certificate renewed while sockets are open, and clients that do not speak
//! TLS.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use countersign::access::scope::ScopeSet;
use countersign::config::Config;
use countersign::gateway::credentials::Signed;
use countersign::gateway::secrets::MasterKey;
use countersign::server::{Plan, Server, ServerError};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::client::{check, limit, next_nonce, soon};
use super::genesis::api_key;
use super::operation::value;
use super::served::Served;
use super::world::{MASTER, World, key, secret};

/// A fresh certificate for `localhost`, in the two files that the settings name.
fn issue(dir: &Path) -> CertificateDer<'static> {
    issue_until(dir, 2090)
}

/// The same, expiring at the beginning of that year.
fn issue_until(dir: &Path, year: i32) -> CertificateDer<'static> {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
    std::fs::write(dir.join("server.crt"), certificate.pem()).unwrap();
    certificate.der().clone()
}

fn under_tls(config: &mut Config, dir: &Path) {
    config.tls.certificate = Some(dir.join("server.crt"));
    config.tls.key = Some(dir.join("server.key"));
}

async fn world(dir: &Path) -> World {
    World::configured(&[key(ScopeSet::ALL)], |config| under_tls(config, dir)).await
}

/// A connection that trusts only this certificate.
async fn connect(address: SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let socket = TcpStream::connect(address).await?;
    connector.connect(ServerName::try_from("localhost").unwrap(), socket).await
}

type Socket = WebSocketStream<TlsStream<TcpStream>>;

async fn signed(address: SocketAddr, trusted: &CertificateDer<'static>) -> Socket {
    let nonce = next_nonce();
    let mut request = format!("wss://localhost:{}/v2", address.port()).into_client_request().unwrap();
    let sign = Signed::handshake(&nonce).sign(&secret(1));
    for (name, value) in [("API-Key", api_key(1)), ("API-Nonce", nonce), ("API-Sign", sign)] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let stream = connect(address, trusted).await.unwrap();
    tokio_tungstenite::client_async(request, stream).await.unwrap().0
}

async fn call(socket: &mut Socket, method: &str, params: Value) -> Value {
    let mut message = json!({"method": method, "req_id": 7});
    if !params.is_null() {
        message["params"] = params;
    }
    socket.send(Message::text(message.to_string())).await.unwrap();
    let answered = async {
        loop {
            let Some(Ok(Message::Text(text))) = socket.next().await else { panic!("no answer to {method}") };
            let frame: Value = serde_json::from_str(&text).unwrap();
            check(&frame);
            if frame["req_id"] == 7 {
                return frame;
            }
        }
    };
    soon(&format!("answer to {method}"), answered).await
}

/// Waits until the server uses a renewed certificate.
async fn renewed(address: SocketAddr, certificate: &CertificateDer<'static>) {
    let taken = async { while connect(address, certificate).await.is_err() {} };
    timeout(Duration::from_secs(20), taken).await.expect("the server looks at its files by itself");
}

#[tokio::test]
async fn a_key_trades_over_tls_and_a_renewed_certificate_drops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let first = issue(dir.path());
    let world = world(dir.path()).await;
    let mut bot = signed(world.address, &first).await;
    let order = limit("buy", 1, 100);
    assert_eq!(call(&mut bot, "add_order", order).await["success"], true);
    let second = issue(dir.path());
    assert_ne!(first, second);
    // The server checks its files by itself; until then the new certificate is not trusted.
    renewed(world.address, &second).await;
    assert!(connect(world.address, &first).await.is_err());
    assert_eq!(call(&mut bot, "ping", Value::Null).await["method"], "pong");
    assert_eq!(call(&mut bot, "cancel_all", json!({})).await["result"]["count"], 1);
    let mut leaving = signed(world.address, &second).await;
    leaving.close(None).await.unwrap();
    let answered = async { while leaving.next().await.transpose().unwrap().is_some() {} };
    timeout(Duration::from_secs(20), answered).await.expect("its close frame is answered");
}

#[tokio::test]
async fn who_speaks_plainly_to_a_tls_port_is_closed_and_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = issue(dir.path());
    let world = world(dir.path()).await;
    let mut plain = TcpStream::connect(world.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    signed(world.address, &trusted).await.close(None).await.unwrap();
    // The dashboard and the cookie.
    let mut page = connect(world.address, &trusted).await.unwrap();
    let origin = format!("https://localhost:{}", world.address.port());
    let body = json!({"email": "alice@acme.test", "password": super::client::PASSWORD, "otp": super::client::code(0)})
        .to_string();
    let request = format!(
        "POST /session HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    page.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = page.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("SameSite=Strict") && answer.contains("; Secure"), "{answer}");
}

#[tokio::test]
async fn d7_79_a_full_server_says_nothing_in_plain_text_on_a_tls_port() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = issue(dir.path());
    let world = World::configured(&[key(ScopeSet::ALL)], |config| {
        under_tls(config, dir.path());
        config.limits.max_connections = 1;
    })
    .await;
    let _first = signed(world.address, &trusted).await;
    let mut second = TcpStream::connect(world.address).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(60), second.read_to_end(&mut answer)).await.expect("it is closed").unwrap();
    assert!(answer.is_empty(), "{answer:?}");
}

/// With the clock paused, so that nobody really waits.
#[tokio::test]
async fn d7_79_who_begins_no_tls_is_closed_after_five_seconds() {
    let dir = tempfile::tempdir().unwrap();
    issue(dir.path());
    let world = world(dir.path()).await;
    let began = Instant::now();
    let mut silent = TcpStream::connect(world.address).await.unwrap();
    tokio::time::pause();
    let mut answer = Vec::new();
    let closed = timeout(Duration::from_secs(10), silent.read_to_end(&mut answer)).await;
    let lasted = began.elapsed();
    tokio::time::resume();
    closed.expect("it is closed").unwrap();
    assert!(answer.is_empty(), "{answer:?}");
    assert!((Duration::from_secs(5)..Duration::from_secs(7)).contains(&lasted), "{lasted:?}");
}

/// The server's metric for the end of its certificate.
async fn end_told(address: SocketAddr, trusted: &CertificateDer<'static>) -> u64 {
    let mut asked = connect(address, trusted).await.unwrap();
    asked.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    let _ = asked.read_to_string(&mut text).await;
    value(&text, "countersign_certificate_end_seconds")
}

#[tokio::test]
async fn metrics_tell_when_the_certificate_ends_that_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let first = issue_until(dir.path(), 2040);
    let world = world(dir.path()).await;
    assert_eq!(end_told(world.address, &first).await, 2_208_988_800);
    let second = issue_until(dir.path(), 2041);
    renewed(world.address, &second).await;
    assert_eq!(end_told(world.address, &second).await, 2_240_611_200);
}

#[tokio::test]
async fn a_start_warns_of_a_certificate_that_has_ended_and_says_when() {
    let dir = tempfile::tempdir().unwrap();
    let mut init = Command::new(env!("CARGO_BIN_EXE_countersign"));
    let made = init.arg("init").current_dir(dir.path()).env_remove("COUNTERSIGN_MASTER_KEY").output().unwrap();
    assert!(made.status.success());
    let settings = dir.path().join("countersign.toml");
    let mut text = std::fs::read_to_string(&settings).unwrap().replace("127.0.0.1:8080", "127.0.0.1:0");
    for file in ["certificate", "key"] {
        text = text.replace(&format!("\n# {file} = "), &format!("\n{file} = "));
    }
    std::fs::write(&settings, text).unwrap();
    for (year, wanted) in [(2020, Some("2020-01-01T00:00:00")), (2090, None)] {
        issue_until(dir.path(), year);
        let file = dir.path().join("log");
        let (serve, told) =
            Served::first_line(Served::serving(&settings, ("warn", File::create(&file).unwrap().into()))).await;
        serve.kill();
        let log = std::fs::read_to_string(file).unwrap();
        assert!(told.starts_with("listening on https://"), "{told}{log}");
        let warned = log.lines().find(|line| line.contains("certificate"));
        assert_eq!(warned.is_some(), wanted.is_some(), "{log}");
        assert!(wanted.is_none_or(|end| log.contains(end)), "{log}");
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_refused_by_the_name_of_its_setting() {
    let dir = tempfile::tempdir().unwrap();
    issue(dir.path());
    let other = tempfile::tempdir().unwrap();
    issue(other.path());
    let written = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name)
    };
    let empty = written("empty", "");
    // As `openssl genpkey -aes256` writes it, and as `openssl rsa -traditional -aes256` does.
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGj\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = written("encrypted", encrypted);
    let traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMIGj\n-----END RSA PRIVATE KEY-----\n";
    let traditional = written("traditional", traditional);
    let damaged = written("damaged", "-----BEGIN CERTIFICATE-----\nMIGj\n-----END CERTIFICATE-----\n");
    let (certificate, key) = (dir.path().join("server.crt"), dir.path().join("server.key"));
    for (certificate, key, named, problem) in [
        (&certificate, &other.path().join("server.key"), "tls.key", "not the key of the certificate"),
        (&dir.path().join("nowhere"), &key, "tls.certificate", "No such file"),
        (&empty, &key, "tls.certificate", "there is no certificate in it"),
        (&damaged, &key, "tls.certificate", "it is damaged"),
        (&certificate, &certificate, "tls.key", "there is no private key in it"),
        (&certificate, &encrypted, "tls.key", "it is encrypted: "),
        (&certificate, &traditional, "tls.key", "it is encrypted: "),
    ] {
        let mut config = Config::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), dir.path().join("data"));
        (config.tls.certificate, config.tls.key) = (Some(certificate.clone()), Some(key.clone()));
        let master = MasterKey::from_text(MASTER).unwrap();
        let refused = Server::start(Plan { config, master, genesis: None }).await.unwrap_err();
        assert!(matches!(refused, ServerError::Tls(_)), "{refused}");
        let told = refused.to_string();
        assert!(told.starts_with(named) && told.contains(problem), "{told}");
    }
}
