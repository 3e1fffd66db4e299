//! A bot with a signed handshake: it quotes, loses an answer, resumes, asks again, amends and cancels.
//!
//! `cargo run --example quoting_bot -- ws://127.0.0.1:8080/v2 API_KEY API_SECRET`

use std::collections::VecDeque;
use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Failure = Box<dyn Error + Send + Sync>;

const PATIENCE: Duration = Duration::from_secs(20);

/// Who the bot is, and where.
struct Account {
    url: String,
    key: String,
    secret: String,
}

impl Account {
    /// `API-Sign` = base64(HMAC-SHA512(secret, "/v2" followed by SHA-256 of the nonce)).
    fn sign(&self, nonce: &str) -> Result<String, Failure> {
        let mut mac = <Hmac<Sha512> as KeyInit>::new_from_slice(&BASE64_STANDARD.decode(&self.secret)?)?;
        mac.update(b"/v2");
        mac.update(&Sha256::digest(nonce));
        Ok(BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// Connects and subscribes to `executions` with these options.
    async fn connect(&self, mut executions: Value) -> Result<Bot, Failure> {
        // A nonce is higher than any before on this key: nanoseconds.
        let nonce = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos().to_string();
        let mut request = self.url.as_str().into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("API-Key", self.key.parse()?);
        headers.insert("API-Sign", self.sign(&nonce)?.parse()?);
        headers.insert("API-Nonce", nonce.parse()?);
        let mut bot = Bot { socket: connect_async(request).await?.0, executions: VecDeque::new(), requests: 0 };
        executions["channel"] = json!("executions");
        bot.call("subscribe", executions).await?;
        Ok(bot)
    }
}

/// One connection; executions that come while a reply is waited for are kept.
struct Bot {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    executions: VecDeque<Value>,
    requests: u64,
}

impl Bot {
    /// Sends a request: its number.
    async fn send(&mut self, method: &str, params: Value) -> Result<u64, Failure> {
        self.requests += 1;
        let message = json!({"method": method, "params": params, "req_id": self.requests});
        self.socket.send(Message::text(message.to_string())).await?;
        Ok(self.requests)
    }

    /// Sends a request and waits for its result.
    async fn call(&mut self, method: &str, params: Value) -> Result<Value, Failure> {
        let req_id = self.send(method, params).await?;
        loop {
            let mut reply = self.read().await?;
            if reply["req_id"] == req_id {
                return match reply["success"] == true {
                    true => Ok(reply["result"].take()),
                    false => Err(format!("{method}: {}", reply["error"]).into()),
                };
            }
        }
    }

    /// The next execution of that kind of that order.
    async fn execution(&mut self, cl_ord_id: &str, exec_type: &str) -> Result<Value, Failure> {
        loop {
            match self.executions.pop_front() {
                Some(item) if item["cl_ord_id"] == cl_ord_id && item["exec_type"] == exec_type => return Ok(item),
                Some(_) => {}
                None => drop(self.read().await?),
            }
        }
    }

    /// The next frame; executions are put aside as well.
    async fn read(&mut self) -> Result<Value, Failure> {
        let message = tokio::time::timeout(PATIENCE, self.socket.next()).await?.ok_or("the server has left")??;
        let Message::Text(text) = message else { return Ok(Value::Null) };
        let frame: Value = serde_json::from_str(&text)?;
        if frame["channel"] == "executions" {
            self.executions.extend(frame["data"].as_array().cloned().unwrap_or_default());
        }
        Ok(frame)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what| arguments.next().ok_or(format!("give the {what}"));
    let account = Account { url: next("address")?, key: next("key")?, secret: next("secret")? };
    let mut bot = account.connect(json!({"snap_orders": false})).await?;

    // One id for each intent, not for each try: whoever repeats it gets the same order, never a second one.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() % 1_000_000_000;
    let (first, second) = (format!("first-{now}"), format!("second-{now}"));
    let quote = |id: &str| {
        json!({"symbol": "BTC/USD", "side": "buy", "order_type": "limit", "order_qty": "0.01",
            "limit_price": "40000", "cl_ord_id": id})
    };
    println!("placed {}", bot.call("add_order", quote(&first)).await?["order_id"]);
    let seen = bot.execution(&first, "new").await?["offset"].take();

    // The connection breaks with an order on its way. Did it arrive?
    bot.send("add_order", quote(&second)).await?;
    drop(bot);
    let mut bot = account.connect(json!({"from_offset": seen})).await?; // exactly what came after that offset
    let placed = bot.call("add_order", quote(&second)).await?; // asking again is safe
    assert_eq!(bot.execution(&second, "new").await?["order_id"], placed["order_id"]);
    println!("resumed; one order for sure: {}", placed["order_id"]);

    bot.call("amend_order", json!({"cl_ord_id": second, "limit_price": "40100"})).await?;
    assert_eq!(bot.execution(&second, "amended").await?["limit_price"].as_f64(), Some(40_100.0));
    for id in [&first, &second] {
        bot.call("cancel_order", json!({"cl_ord_id": [id]})).await?;
        bot.execution(id, "canceled").await?;
    }
    println!("amended and canceled");
    Ok(bot.socket.close(None).await?)
}
