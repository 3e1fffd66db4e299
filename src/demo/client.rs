//! A small client of the public protocol, used as a bot, a custody system and a Member's page.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::Failure;
use super::credentials::{Key, Person};
use crate::gateway::credentials::{Signed, decode_secret};
use crate::gateway::passwords::{STEP_S, code_for_step};
use crate::server::wall_clock;

/// How long a step of the story may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a one-time code must still be valid, in seconds.
const CODE_NEEDED_S: u64 = 3;

/// One socket.
pub struct Client {
    socket: WebSocketStream<TcpStream>,
    /// Frames that arrived while waiting for an answer.
    seen: VecDeque<Value>,
    requests: i64,
}

impl Client {
    /// Connects with a signed handshake.
    pub async fn signed(address: SocketAddr, key: &Key) -> Result<Client, Failure> {
        let secret = decode_secret(&key.api_secret).ok_or("a secret is base64")?;
        let nonce = next_nonce().to_string();
        let api_sign = Signed::handshake(&nonce).sign(&secret);
        Client::open(address, &[("API-Key", &key.api_key), ("API-Nonce", &nonce), ("API-Sign", &api_sign)]).await
    }

    /// Signs a Member in with the one-time code of the previous step, and connects with the cookie.
    pub async fn member(address: SocketAddr, person: &Person) -> Result<Client, Failure> {
        let body = json!({"email": person.email, "password": person.password, "otp": code(person).await?});
        let cookie = sign_in(address, &body.to_string()).await?;
        let origin = format!("http://{address}");
        Client::open(address, &[("Cookie", &cookie), ("Origin", &origin)]).await
    }

    async fn open(address: SocketAddr, headers: &[(&'static str, &str)]) -> Result<Client, Failure> {
        let mut request = format!("ws://{address}/v2").into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse()?);
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Client { socket, seen: VecDeque::new(), requests: 0 })
    }

    /// Calls a method: its result, or the text of its refusal.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Result<Value, String>, Failure> {
        self.requests += 1;
        let req_id = self.requests;
        let message = json!({"method": method, "params": params, "req_id": req_id});
        self.socket.send(Message::text(message.to_string())).await?;
        let deadline = tokio::time::Instant::now() + REPLY_TIMEOUT;
        loop {
            let mut frame = tokio::time::timeout_at(deadline, self.read()).await??;
            if frame["req_id"] == json!(req_id) {
                return Ok(match frame["success"] == json!(true) {
                    true => Ok(frame["result"].take()),
                    false => Err(frame["error"].as_str().unwrap_or_default().to_owned()),
                });
            }
            self.seen.push_back(frame);
        }
    }

    /// Calls a method that must succeed.
    pub async fn must(&mut self, method: &str, params: Value) -> Result<Value, Failure> {
        let answer = self.call(method, params).await?;
        answer.map_err(|error| format!("{method} was refused: {error}").into())
    }

    /// Subscribes to a channel; its snapshot is among the next frames.
    pub async fn subscribe(&mut self, channel: &str) -> Result<Value, Failure> {
        self.must("subscribe", json!({"channel": channel})).await
    }

    /// The next item of a channel that is `wanted`; earlier frames are dropped.
    pub async fn item(&mut self, channel: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        let deadline = tokio::time::Instant::now() + REPLY_TIMEOUT;
        loop {
            let frame = match self.seen.pop_front() {
                Some(frame) => frame,
                None => tokio::time::timeout_at(deadline, self.read())
                    .await
                    .map_err(|_| format!("nothing as told came on {channel}"))??,
            };
            if frame["channel"] == channel
                && let Some(items) = frame["data"].as_array()
                && let Some(item) = items.iter().find(|item| wanted(item))
            {
                return Ok(item.clone());
            }
        }
    }

    async fn read(&mut self) -> Result<Value, Failure> {
        loop {
            match self.socket.next().await.ok_or("the server closed the socket")?? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Close(close) => return Err(format!("the server closed the socket: {close:?}").into()),
                _ => {}
            }
        }
    }

    /// Reads and drops what came, so that an idle socket never fills up.
    pub async fn drain(&mut self, during: Duration) -> Result<(), Failure> {
        let until = tokio::time::Instant::now() + during;
        self.seen.clear();
        while let Ok(read) = tokio::time::timeout_at(until, self.read()).await {
            read?;
        }
        Ok(())
    }
}

/// Milliseconds, the coarsest unit that stock clients use, so that any of them can use the key after the story. Within
/// the same millisecond it is the last nonce plus one.
fn next_nonce() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now_ms = wall_clock().0 / 1_000;
    let next = |last: u64| now_ms.max(last + 1);
    next(LAST.update(Ordering::Relaxed, Ordering::Relaxed, next))
}

/// A Member's one-time code of the previous 30 seconds: the current one stays free for the person at the browser.
pub async fn code(person: &Person) -> Result<String, Failure> {
    let now_s = || wall_clock().0 / 1_000_000;
    tokio::time::sleep(Duration::from_secs(wait_s(now_s()))).await;
    let step = now_s() / STEP_S - 1;
    code_for_step(&person.totp_secret, step).ok_or_else(|| "a one-time code secret is base32".into())
}

/// How many seconds to wait at `now_s`: the previous step's code is valid until the current step ends, so when little
/// of that is left, wait for the next.
fn wait_s(now_s: u64) -> u64 {
    let left = STEP_S - now_s % STEP_S;
    if left <= CODE_NEEDED_S { left } else { 0 }
}

/// `POST /session`: the cookie.
async fn sign_in(address: SocketAddr, body: &str) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "POST /session HTTP/1.1\r\nhost: {address}\r\norigin: http://{address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len(),
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.lines().next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        return Err(format!("sign-in was refused: {status}").into());
    }
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).ok_or("sign-in set no cookie")?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_rise_within_a_millisecond() {
        let nonces = [(); 100].map(|()| next_nonce());
        assert!(nonces.is_sorted_by(|earlier, later| earlier < later), "{nonces:?}");
    }

    #[test]
    fn a_code_stays_good_while_it_is_used() {
        for now_s in 0..STEP_S {
            let wait = wait_s(now_s);
            assert!(wait <= CODE_NEEDED_S, "at {now_s}");
            assert!(STEP_S - (now_s + wait) % STEP_S > CODE_NEEDED_S, "at {now_s}");
        }
    }
}
