//! Upgrades and their sockets, over real connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::{Router, routing::any};
use futures::{SinkExt, StreamExt, poll};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, watch},
};
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::gateway::listener::{self, Options};

type Client = WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

/// Answers every text with itself in frames of our own, and reports binary frames and its end.
async fn echo(mut socket: WebSocket, report: mpsc::UnboundedSender<String>) {
    let mut out = Vec::new();
    while let Some(read) = socket.next().await {
        match read {
            Ok(Message::Text(text)) => {
                out.clear();
                frame::push_text(&mut out, text.as_bytes());
                socket.flush().await.unwrap();
                socket.get_mut().write_all(&out).await.unwrap();
            }
            Ok(Message::Binary(bytes)) => report.send(format!("binary {}", bytes.len())).unwrap(),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => {}
            Err(error) => {
                report.send(error.to_string()).unwrap();
                if let Some(why) = refused(&error) {
                    close(socket, why).await;
                }
                return;
            }
        }
    }
    report.send("closed".into()).unwrap();
}

struct Server {
    address: SocketAddr,
    reports: mpsc::UnboundedReceiver<String>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

async fn start() -> Server {
    let (report, reports) = mpsc::unbounded_channel();
    let handler = async move |upgrade: Upgrade| upgrade.accept(Handle::current(), move |socket| echo(socket, report));
    let app = Router::new().route("/v2", any(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let options = Options {
        max_connections: 8,
        connections_per_address: 8,
        trusted_proxies: Vec::new(),
        tls: None,
        metrics: Arc::default(),
    };
    let task = tokio::spawn(listener::serve(listener, app, options, stopped));
    Server { address, reports, stop, task }
}

impl Server {
    async fn connect(&self) -> Client {
        tokio_tungstenite::connect_async(format!("ws://{}/v2", self.address)).await.unwrap().0
    }
}

#[tokio::test]
async fn a_message_of_the_greatest_size_passes_both_ways() {
    let server = start().await;
    let mut client = server.connect().await;
    let text = "x".repeat(MESSAGE_BYTES_MAX);
    client.send(Message::text(text.as_str())).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::text(text));
}

#[tokio::test]
async fn d1_03_fragments_beyond_the_limit_and_broken_text_have_their_codes() {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    let server = start().await;
    let fragment = |code, last, byte: u8| {
        Message::Frame(Frame::message(vec![byte; MESSAGE_BYTES_MAX - 1], OpCode::Data(code), last))
    };
    for (frames, code) in [
        (vec![fragment(Data::Text, false, b'x'), fragment(Data::Continue, true, b'x')], 1009),
        (vec![fragment(Data::Text, true, 0xff)], 1007),
        (vec![fragment(Data::Continue, true, b'x')], 1002),
    ] {
        let mut client = server.connect().await;
        for frame in frames {
            let _ = client.send(frame).await;
        }
        let Some(Ok(Message::Close(Some(frame)))) = client.next().await else { panic!("a close frame") };
        assert_eq!(u16::from(frame.code), code);
    }
}

#[tokio::test]
async fn a_binary_frame_reaches_the_session() {
    let mut server = start().await;
    let mut client = server.connect().await;
    client.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(server.reports.recv().await.unwrap(), "binary 3");
}

/// Pongs come from tungstenite, texts from us, on one socket and in the order of their causes.
#[tokio::test]
async fn pongs_and_frames_of_our_own_share_the_socket() {
    let server = start().await;
    let (mut sink, mut stream) = server.connect().await.split();
    let messages: Vec<Message> = (0..200)
        .flat_map(|n| [Message::Ping(format!("{n}").into()), Message::text(format!("{n} ").repeat(n * 17))])
        .collect();
    let expected: Vec<Message> = messages
        .iter()
        .map(|message| match message {
            Message::Ping(bytes) => Message::Pong(bytes.clone()),
            other => other.clone(),
        })
        .collect();
    let send = async {
        for message in messages {
            sink.send(message).await.unwrap();
        }
    };
    let receive = async {
        for expected in &expected {
            assert_eq!(&stream.next().await.unwrap().unwrap(), expected);
        }
    };
    tokio::join!(send, receive);
}

#[tokio::test]
async fn a_stopping_server_waits_for_open_sockets() {
    let mut server = start().await;
    let mut client = server.connect().await;
    server.stop.send(true).unwrap();
    client.send(Message::text("still here")).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::text("still here"));
    assert!(!server.task.is_finished());
    client.close(None).await.unwrap();
    assert_eq!(server.reports.recv().await.unwrap(), "closed");
    server.task.await.unwrap();
}

const SOUND: &str = "GET /v2 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/// The head of the answer, lower case.
async fn head(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(answer).unwrap().to_lowercase()
}

#[tokio::test]
async fn d1_15_a_sound_upgrade_is_answered_without_extensions() {
    let server = start().await;
    let head = head(server.address, SOUND).await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    assert!(!head.contains("extensions"), "{head}");
}

/// Browsers and others that offer one fail without it. Which one makes no difference here, so they get their first.
#[tokio::test]
async fn the_subprotocol_that_a_client_offers_first_is_the_one_agreed_to() {
    let server = start().await;
    for (offered, agreed) in [
        ("Sec-WebSocket-Protocol: v2.json, other\r\n", Some("v2.json")),
        ("Sec-WebSocket-Protocol: first\r\nSec-WebSocket-Protocol: second\r\n", Some("first")),
        ("Sec-WebSocket-Protocol:  a!#$%&'*+-.^_`|~9 ,b\r\n", Some("a!#$%&'*+-.^_`|~9")),
        ("", None),
        ("Sec-WebSocket-Protocol: \r\n", None),
        ("Sec-WebSocket-Protocol: ,b\r\n", None),
        ("Sec-WebSocket-Protocol: a b\r\n", None),
        ("Sec-WebSocket-Protocol: a/b\r\n", None),
        ("Sec-WebSocket-Protocol: \"a\"\r\n", None),
    ] {
        let head = head(server.address, &SOUND.replacen("Host: a\r\n", &format!("Host: a\r\n{offered}"), 1)).await;
        assert!(head.starts_with("http/1.1 101 "), "{offered}{head}");
        let protocol = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(protocol, agreed, "{offered}");
    }
}

#[tokio::test]
async fn what_comes_along_with_the_upgrade_is_the_first_message() {
    let server = start().await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    // A masked text frame with the mask 0 and the payload "hi", in the same segment as the request.
    let request = [SOUND.as_bytes(), &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']].concat();
    socket.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n\x81\x02hi") {
        answer.push(socket.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn d1_01_malformed_upgrades_are_refused_before_101() {
    let server = start().await;
    for (from, to, status) in [
        ("GET ", "POST ", 405),
        ("HTTP/1.1", "HTTP/1.0", 400),
        ("Version: 13", "Version: 8", 426),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        ("keep-alive, Upgrade", "keep-alive", 426),
        ("keep-alive, Upgrade", "keep-alive, Upgrades", 426),
        ("Upgrade: WebSocket\r\n", "", 426),
        ("Upgrade: WebSocket", "Upgrade: h2c", 426),
        ("Upgrade: WebSocket", "Upgrade: WebSockets", 426),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZSE=", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j????", 400),
        ("Sec-WebSocket-Ext", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX", 400),
    ] {
        let request = SOUND.replacen(from, to, 1);
        assert_ne!(request, SOUND);
        let head = head(server.address, &request).await;
        let code: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(code, status, "{request}{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
        assert_eq!(head.contains("sec-websocket-version: 13"), status == 426, "{head}");
    }
}

/// A client's frame: first byte, payload, and whether it is masked (with the mask 0).
fn raw(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    let mut frame = vec![first, length | if masked { 0x80 } else { 0 }];
    if masked {
        frame.extend([0; 4]);
    }
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn d1_03_frames_against_the_rules_close_with_1002_or_1007() {
    const TEXT: u8 = 0x81;
    let server = start().await;
    for (name, frames, code) in [
        ("unmasked", raw(TEXT, false, b"hi"), 1002),
        ("reserved bit 1, as of a compressed frame", raw(TEXT | 0x40, true, b"hi"), 1002),
        ("reserved bit 2", raw(TEXT | 0x20, true, b"hi"), 1002),
        ("reserved bit 3", raw(TEXT | 0x10, true, b"hi"), 1002),
        ("reserved data opcode", raw(0x83, true, b"hi"), 1002),
        ("reserved control opcode", raw(0x8b, true, b"hi"), 1002),
        ("fragmented ping", raw(0x09, true, b"hi"), 1002),
        ("long ping", [&[0x89, 0xfe, 0, 126, 0, 0, 0, 0], &[b'x'; 126][..]].concat(), 1002),
        ("continuation of nothing", raw(0x80, true, b"hi"), 1002),
        ("text inside a fragmented text", [raw(0x01, true, b"a"), raw(TEXT, true, b"b")].concat(), 1002),
        ("text that is not UTF-8", raw(TEXT, true, &[0xc3, 0x28]), 1007),
        ("a surrogate", raw(TEXT, true, &[0xed, 0xa0, 0x80]), 1007),
        ("UTF-8 cut off at the end", raw(TEXT, true, &[0xe2, 0x82]), 1007),
    ] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(SOUND.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(socket.read_u8().await.unwrap());
        }
        socket.write_all(&frames).await.unwrap();
        let head = [socket.read_u8().await.unwrap(), socket.read_u8().await.unwrap()];
        assert_eq!(head[0], 0x88, "{name}: a close frame");
        assert_eq!(socket.read_u16().await.unwrap(), code, "{name}");
    }
}

#[tokio::test]
async fn d7_86_a_session_that_panics_ends_alone_and_frees_its_place() {
    let handler = async |upgrade: Upgrade| {
        upgrade.accept(Handle::current(), async |mut socket: WebSocket| match socket.next().await {
            Some(Ok(Message::Text(text))) if text == "panic" => panic!("as the test asked"),
            Some(Ok(message)) => socket.send(message).await.unwrap(),
            _ => {}
        })
    };
    let app = Router::new().route("/v2", any(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_stop, stopped) = watch::channel(false);
    let options = Options {
        max_connections: 2,
        connections_per_address: 8,
        trusted_proxies: Vec::new(),
        tls: None,
        metrics: Arc::default(),
    };
    tokio::spawn(listener::serve(listener, app, options, stopped));
    let connect = async || tokio_tungstenite::connect_async(format!("ws://{address}/v2")).await;
    let mut other = connect().await.unwrap().0;
    for _ in 0..5 {
        // A place becomes free a moment after the connection was seen to end.
        let admitted = async {
            loop {
                if let Ok((socket, _)) = connect().await {
                    return socket;
                }
            }
        };
        let mut doomed = time::timeout(Duration::from_secs(20), admitted).await.expect("its place is free");
        doomed.send(Message::text("panic")).await.unwrap();
        assert!(!matches!(doomed.next().await, Some(Ok(_))), "it ends without an answer");
    }
    other.send(Message::text("alive")).await.unwrap();
    assert_eq!(other.next().await.unwrap().unwrap(), Message::text("alive"));
}

/// A peer that reads nothing while it pings leaves pongs half written.
#[tokio::test]
async fn a_close_frame_comes_after_the_pongs_that_are_on_their_way() {
    const PINGS: usize = 400;
    let listening = TcpSocket::new_v4().unwrap();
    listening.set_send_buffer_size(4_096).unwrap();
    listening.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = listening.listen(1).unwrap();
    let connecting = TcpSocket::new_v4().unwrap();
    connecting.set_recv_buffer_size(4_096).unwrap();
    let client = connecting.connect(listener.local_addr().unwrap()).await.unwrap();
    let socket = Socket::plain(listener.accept().await.unwrap().0);
    let mut socket = WebSocket::from_raw_socket(socket, Role::Server, Some(config())).await;
    let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    for _ in 0..PINGS {
        client.feed(Message::Ping(vec![b'x'; 125].into())).await.unwrap();
    }
    client.flush().await.unwrap();
    for _ in 0..PINGS {
        assert!(matches!(socket.next().await, Some(Ok(Message::Ping(_)))));
    }
    assert!(poll!(SinkExt::<Message>::flush(&mut socket)).is_pending(), "the buffers of both ends hold them all");
    let reading = async move {
        for _ in 0..PINGS {
            assert!(matches!(client.next().await, Some(Ok(Message::Pong(bytes))) if bytes.len() == 125));
        }
        client.next().await
    };
    let ((), closed) = tokio::join!(close(socket, Close::PlannedRestart), reading);
    let Some(Ok(Message::Close(Some(frame)))) = closed else { panic!("{closed:?}") };
    assert_eq!(u16::from(frame.code), 1012);
}
