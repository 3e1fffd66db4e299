//! A client that checks every frame it sees against `schemas/`.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use countersign::gateway::credentials::Signed;
use countersign::gateway::passwords::code_for_step;
use countersign::server::wall_clock;
use futures::{SinkExt, StreamExt};
use jsonschema::Validator;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Every Member's, in the worlds of the tests.
pub const PASSWORD: &str = "correct horse battery";
pub const TOTP: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

const TIMEOUT: Duration = Duration::from_secs(20);

static SCHEMAS: LazyLock<HashMap<String, Validator>> = LazyLock::new(|| {
    let compile = |(name, text): (String, String)| {
        let schema: Value = serde_json::from_str(&text).unwrap();
        (name.trim_end_matches(".schema.json").to_owned(), jsonschema::validator_for(&schema).unwrap())
    };
    countersign::wire::catalogue::schemas().into_iter().map(compile).collect()
});

/// Nonces go up whatever the clock's resolution.
static NONCE: AtomicU64 = AtomicU64::new(0);

pub fn next_nonce() -> String {
    let now = wall_clock().0;
    let before = NONCE.fetch_max(now, Ordering::Relaxed);
    if before < now { now.to_string() } else { (NONCE.fetch_add(1, Ordering::Relaxed) + 1).to_string() }
}

/// A one-time code `steps` away from now.
pub fn code(steps: i64) -> String {
    code_of(TOTP, steps)
}

/// A one-time code of some secret.
pub fn code_of(secret: &str, steps: i64) -> String {
    let step = (wall_clock().0 / 1_000_000 / 30).checked_add_signed(steps).unwrap();
    code_for_step(secret, step).unwrap()
}

/// Panics unless a frame is as its schema says.
pub fn check(frame: &Value) {
    let name = match (frame["channel"].as_str(), frame["method"].as_str()) {
        (Some(channel), _) => format!("{channel}.frame"),
        (None, Some("pong")) => "ping.reply".to_owned(),
        (None, Some(method)) => format!("{method}.reply"),
        (None, None) => panic!("neither a channel nor a method: {frame}"),
    };
    // A malformed request has no schema of its own, only the refusal's members.
    let Some(schema) = SCHEMAS.get(&name) else {
        assert!(frame["success"] == json!(false) && frame["error"].is_string(), "no schema {name} for {frame}");
        return;
    };
    let problems: Vec<String> = schema.iter_errors(frame).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{name}: {problems:?}\n{frame}");
}

/// An order in BTC/USD, its decimals as numbers or as texts.
pub fn limit(side: &str, qty: impl Serialize, price: impl Serialize) -> Value {
    json!({"order_type": "limit", "side": side, "symbol": "BTC/USD", "order_qty": qty, "limit_price": price})
}

/// A decimal number in units of 10^-10.
pub fn units(number: &Value) -> i128 {
    let text = number.to_string();
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let places = 10 + exponent.parse::<i32>().unwrap() - part.len() as i32;
    format!("{whole}{part}").parse::<i128>().unwrap() * 10_i128.pow(u32::try_from(places).unwrap())
}

/// The ballot for a request as it was seen.
pub fn ballot(request: &Value) -> Value {
    json!([{"request_id": request["request_id"], "digest": request["digest"]}])
}

pub struct Client {
    socket: WebSocketStream<TcpStream>,
    seen: VecDeque<Value>,
    requests: i64,
    /// Time spent waiting for a frame other than a heartbeat.
    waited: Duration,
}

/// An HTTP answer that was not 101.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    pub error: String,
    pub retry_after: bool,
}

impl Client {
    pub async fn bare(address: SocketAddr) -> Client {
        Client::open(address, &[]).await.unwrap()
    }

    pub async fn signed(address: SocketAddr, api_key: &str, secret: &[u8]) -> Result<Client, Refused> {
        let stream = TcpStream::connect(address).await.unwrap();
        Client::signed_over(stream, api_key, secret).await
    }

    /// Over an existing connection.
    pub async fn signed_over(stream: TcpStream, api_key: &str, secret: &[u8]) -> Result<Client, Refused> {
        let nonce = next_nonce();
        let sign = Signed::handshake(&nonce).sign(secret);
        Client::over(stream, &[("API-Key", api_key), ("API-Nonce", &nonce), ("API-Sign", &sign)]).await
    }

    /// Signs in with the code `steps` away from now.
    pub async fn member(address: SocketAddr, email: &str, steps: i64) -> Result<Client, Refused> {
        let cookie = Client::sign_in(address, email, steps).await;
        Client::with_cookie(address, &cookie).await
    }

    /// Signs in with the code `steps` away from now; returns the cookie.
    pub async fn sign_in(address: SocketAddr, email: &str, steps: i64) -> String {
        Client::sign_in_as(address, email, &code(steps)).await
    }

    /// The same, with a code of the Member's own secret.
    async fn sign_in_as(address: SocketAddr, email: &str, otp: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD, "otp": otp});
        let (status, head, answer) = post(address, "/session", &body).await;
        assert_eq!(status, 200, "{answer}");
        cookie(&head).to_owned()
    }

    /// An invited Member sets password and second factor and signs in: the cookie, and the factor's secret.
    pub async fn sign_up(address: SocketAddr, invitation: &Value, email: &str) -> (String, String) {
        let path = format!("/invitations/{}", invitation.as_str().unwrap());
        let (_, _, answer) = post(address, &path, &json!({"password": PASSWORD})).await;
        let secret = answer["totp_secret"].as_str().unwrap_or_else(|| panic!("no secret: {answer}")).to_owned();
        let (status, _, answer) = post(address, &path, &json!({"otp": code_of(&secret, 0)})).await;
        assert_eq!(status, 200, "{answer}");
        (Client::sign_in_as(address, email, &code_of(&secret, 1)).await, secret)
    }

    /// A socket of the Member who signed in.
    pub async fn with_cookie(address: SocketAddr, cookie: &str) -> Result<Client, Refused> {
        Client::open(address, &[("Cookie", cookie), ("Origin", &format!("http://{address}"))]).await
    }

    pub async fn open(address: SocketAddr, headers: &[(&'static str, &str)]) -> Result<Client, Refused> {
        Client::over(TcpStream::connect(address).await.unwrap(), headers).await
    }

    /// Over an existing connection.
    pub async fn over(stream: TcpStream, headers: &[(&'static str, &str)]) -> Result<Client, Refused> {
        let address = stream.peer_addr().unwrap();
        let mut request = format!("ws://{address}/v2").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        stream.set_nodelay(true).unwrap();
        match soon("answer to an upgrade", tokio_tungstenite::client_async(request, stream)).await {
            Ok((socket, _)) => Ok(Client { socket, seen: VecDeque::new(), requests: 0, waited: Duration::ZERO }),
            Err(Error::Http(response)) => {
                let body: Value = serde_json::from_slice(response.body().as_deref().unwrap_or(b"null")).unwrap();
                let error = body["error"][0].as_str().unwrap_or_default().to_owned();
                let retry_after = response.headers().contains_key("retry-after");
                Err(Refused { status: response.status().as_u16(), error, retry_after })
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends text as it stands.
    pub async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    /// Sends to a server that may have closed already.
    pub async fn try_send(&mut self, text: &str) -> bool {
        self.socket.send(Message::text(text)).await.is_ok()
    }

    /// Waits for the answer to a ping without a number.
    pub async fn pong(&mut self) {
        soon("pong", async { while self.next().await["method"] != "pong" {} }).await;
    }

    pub async fn send_binary(&mut self, bytes: Vec<u8>) {
        // The server may close while this is on its way.
        let _ = self.socket.send(Message::binary(bytes)).await;
    }

    /// Sends a frame of any kind to a server that may have closed already.
    pub async fn send_frame(&mut self, frame: Message) {
        let _ = self.socket.send(frame).await;
    }

    /// Calls a method: the whole reply.
    pub async fn reply(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let req_id = self.requests;
        let mut message = json!({"method": method, "req_id": req_id});
        if !params.is_null() {
            message["params"] = params;
        }
        self.send(message.to_string()).await;
        self.answer(req_id).await
    }

    /// The reply to a number; frames before it are kept.
    pub async fn answer(&mut self, req_id: i64) -> Value {
        let answer = async {
            loop {
                let frame = self.read().await.unwrap();
                if frame["req_id"] == json!(req_id) {
                    return frame;
                }
                self.seen.push_back(frame);
            }
        };
        soon(&format!("answer to {req_id}"), answer).await
    }

    /// Calls a method that must succeed: its result.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        let mut reply = self.reply(method, params).await;
        assert_eq!(reply["success"], json!(true), "{method}: {reply}");
        reply["result"].take()
    }

    /// Calls a method that must be refused: the text.
    pub async fn refused(&mut self, method: &str, params: Value) -> String {
        let reply = self.reply(method, params).await;
        assert_eq!(reply["success"], json!(false), "{method}: {reply}");
        reply["error"].as_str().unwrap().to_owned()
    }

    pub async fn subscribe(&mut self, channel: &str) -> Value {
        self.call("subscribe", json!({"channel": channel})).await
    }

    /// The next frame of a channel, in order; others are dropped.
    pub async fn frame(&mut self, channel: &str) -> Value {
        let frame = async {
            loop {
                let frame = self.next().await;
                if frame["channel"] == channel {
                    return frame;
                }
            }
        };
        soon(channel, frame).await
    }

    /// The next item of a channel that is `wanted`.
    pub async fn item(&mut self, channel: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let item = async {
            loop {
                let frame = self.frame(channel).await;
                let items = frame["data"].as_array().cloned().unwrap_or_default();
                if let Some(item) = items.into_iter().find(&wanted) {
                    return item;
                }
            }
        };
        soon(&format!("item of {channel} as wanted"), item).await
    }

    /// The frames that arrived before the last answer and were not awaited.
    pub fn kept(&mut self) -> Vec<Value> {
        self.seen.drain(..).collect()
    }

    /// The next frame of any kind.
    pub async fn next(&mut self) -> Value {
        self.next_or_end().await.unwrap()
    }

    /// The next frame of any kind, or how the server closed the socket.
    pub async fn next_or_end(&mut self) -> Result<Value, (u16, String)> {
        match self.seen.pop_front() {
            Some(frame) => Ok(frame),
            None => self.read().await,
        }
    }

    /// Sends all in one write; `false` when nobody receives it any more.
    pub async fn burst(&mut self, messages: impl IntoIterator<Item = Value>) -> bool {
        for message in messages {
            if self.socket.feed(Message::text(message.to_string())).await.is_err() {
                return false;
            }
        }
        self.socket.flush().await.is_ok()
    }

    /// Sends all and closes, in one write.
    pub async fn last_words(&mut self, messages: impl IntoIterator<Item = Value>) {
        for message in messages {
            self.socket.feed(Message::text(message.to_string())).await.unwrap();
        }
        self.socket.close(None).await.unwrap();
    }

    /// Closes in order.
    pub async fn close(mut self) {
        self.socket.close(None).await.unwrap();
    }

    /// Reads until the server closes: code and reason.
    pub async fn closed(&mut self) -> (u16, String) {
        let closed = async {
            loop {
                if let Err(closed) = self.read().await {
                    return closed;
                }
            }
        };
        soon("close", closed).await
    }

    /// The next frame from the socket, or how the server closed it.
    pub async fn read(&mut self) -> Result<Value, (u16, String)> {
        loop {
            let began = Instant::now();
            let message = tokio::time::timeout(TIMEOUT, self.socket.next()).await.expect("a frame within 20 s");
            self.waited += began.elapsed();
            assert!(self.waited < TIMEOUT * 3, "nothing but heartbeats within a minute");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    check(&frame);
                    if frame["channel"] != "heartbeat" {
                        self.waited = Duration::ZERO;
                    }
                    return Ok(frame);
                }
                Some(Ok(Message::Close(Some(close)))) => return Err((close.code.into(), close.reason.to_string())),
                Some(Ok(Message::Close(None))) | None => return Err((1005, String::new())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err((1006, error.to_string())),
            }
        }
    }
}

/// Waits for something in particular, but no longer than a minute: other messages must not make it wait for ever.
pub async fn soon<T>(what: &str, comes: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT * 3, comes).await.unwrap_or_else(|_| panic!("no {what} within a minute"))
}

/// The cookie that an answer sets.
pub fn cookie(head: &str) -> &str {
    let line = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    line.unwrap_or_else(|| panic!("no cookie: {head}")).split(';').next().unwrap()
}

/// Posts as the page does: status, head and what the body says.
pub async fn post(address: SocketAddr, path: &str, body: &Value) -> (u16, String, Value) {
    let origin = format!("http://{address}");
    let headers = [("Origin", origin.as_str()), ("Content-Type", "application/json")];
    let (status, head, answer) = http(address, "POST", path, &headers, &body.to_string()).await;
    (status, head, serde_json::from_str(&answer).unwrap_or_default())
}

/// One HTTP request on a connection of its own: status, head and body.
pub async fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, String) {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = soon(&format!("answer to {method} {path}"), exchange).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}
