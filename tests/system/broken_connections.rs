//! D4-49: wherever a connection breaks, what a client has and what it gets when it resumes add up to the uncut stream.
//! The reader is a plain TCP socket, so that the break comes after any byte and not only between frames.

use std::collections::BTreeSet;

use countersign::access::key::KeySettings;
use countersign::gateway::credentials::Signed;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::{limit, next_nonce, soon};
use super::world::{Wanted, World, api_key, secret, with};

/// Connections that are cut at the same time.
const AT_ONCE: usize = 16;

/// A WebSocket by hand, upgraded, with nothing read behind the answer's head.
async fn upgraded(world: &World) -> TcpStream {
    let (address, nonce) = (world.address, next_nonce());
    let sign = Signed::handshake(&nonce).sign(&secret(1));
    let head = format!(
        "GET /v2 HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         api-key: {}\r\napi-nonce: {nonce}\r\napi-sign: {sign}\r\n\r\n",
        api_key(1)
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(socket.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    socket
}

/// A text frame as a client sends it, masked with zeros.
fn masked(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).unwrap();
    let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
    frame.extend(text.as_bytes());
    frame
}

/// The items in the complete frames of a byte stream that may end anywhere.
fn items(mut bytes: &[u8]) -> Vec<Value> {
    let mut found = Vec::new();
    loop {
        let (length, head) = match bytes {
            [_, 126, high, low, ..] => (usize::from(u16::from_be_bytes([*high, *low])), 4),
            [_, length @ ..=125, ..] => (usize::from(*length), 2),
            // No frame of this run is so long that its length takes eight bytes.
            _ => return found,
        };
        let Some(frame) = bytes.get(head..head + length) else { return found };
        let frame: Value = serde_json::from_slice(frame).unwrap();
        if frame["channel"] == "executions" {
            found.extend(frame["data"].as_array().unwrap().clone());
        }
        bytes = &bytes[head + length..];
    }
}

/// The items in the first `limit` bytes of a connection that resumes from an offset, or all up to the item `last`; and
/// how many bytes there were. The connection is closed afterwards.
async fn cut(world: &World, from: u64, last: &Value, limit: u64) -> (Vec<Value>, usize) {
    let asked = json!({"method": "subscribe", "params": {"channel": "executions", "from_offset": from}});
    let read = async {
        let mut socket = upgraded(world).await;
        socket.write_all(&masked(&asked.to_string())).await.unwrap();
        let mut socket = socket.take(limit);
        let mut bytes = Vec::new();
        while items(&bytes).last() != Some(last) && socket.read_buf(&mut bytes).await.unwrap() > 0 {}
        bytes
    };
    let bytes = soon("last item or cut", read).await;
    (items(&bytes), bytes.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_49_cut_at_every_byte_and_resumed_it_is_the_uncut_stream() {
    // Half of it comes from the journal, the other half from the ring.
    let bot = with(KeySettings { nonce_window: 60_000_000, ..KeySettings::default() });
    let maker = Wanted { organization: 2, ..bot.clone() };
    let world = World::configured(&[bot, maker], |config| config.limits.replay_ring = 4).await;
    let mut bot = world.bot(1).await;
    bot.call("subscribe", json!({"channel": "executions", "snap_orders": false})).await;
    // Fills come in frames of their own.
    let order = |side: &str| limit(side, "0.1", "1000");
    world.bot(2).await.call("add_order", order("sell")).await;
    bot.call("add_order", order("buy")).await;
    bot.call("add_order", order("buy")).await;
    bot.call("cancel_all", json!({})).await;
    bot.call("get_balances", json!({})).await;
    let frames = bot.kept();
    let live = frames.iter().filter(|frame| frame["channel"] == "executions");
    let live: Vec<Value> = live.flat_map(|frame| frame["data"].as_array().unwrap().clone()).collect();
    let (from, uncut, last) = (live[0]["offset"].as_u64().unwrap(), &live[1..], live.last().unwrap());
    let (told, length) = cut(&world, from, last, u64::MAX).await;
    assert_eq!((told.as_slice(), uncut.len()), (uncut, 6));
    let world = &world;
    // Lengths differ by the digits of the connection's number.
    let cuts = futures::stream::iter(0..length as u64 + 8).map(async |limit| {
        let (mut told, bytes) = cut(world, from, last, limit).await;
        assert!(bytes as u64 == limit || told == uncut, "{limit} bytes were asked for, {bytes} came");
        let seen = told.len();
        if seen < uncut.len() {
            let resumed = told.last().map_or(from, |item| item["offset"].as_u64().unwrap());
            told.extend(cut(world, resumed, last, u64::MAX).await.0);
        }
        assert_eq!(told, uncut, "cut after {limit} of {length} bytes and resumed after item {seen}");
        seen
    });
    let ends: BTreeSet<usize> = cuts.buffer_unordered(AT_ONCE).collect().await;
    assert_eq!(ends, BTreeSet::from([0, 1, 2, 6]), "a cut in each frame and behind it");
}
