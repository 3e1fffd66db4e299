//! Keys made on a server that accepts everything, until it refuses or the program is ended: what was made is kept.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

use std::path::Path;
use std::process::{Command, Stdio};

use futures::{SinkExt, StreamExt};
use load_tests::credentials::ReadyFile;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};
use tokio_tungstenite::tungstenite::Message;

/// What it does when a third Organization is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Third {
    Refused,
    /// It does not answer, and the test is told.
    Awaited,
}

/// Everything that is used of any call's result.
fn result() -> Value {
    json!({"members": [{"invitation": "i", "member_id": "m"}], "api_key": "k", "api_secret": "cw==",
           "methods": [{"method": "wire"}], "addresses": [{"address": "a"}]})
}

async fn serve_socket(stream: TcpStream, third: Third, came: mpsc::UnboundedSender<()>) {
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let mut organizations = 0;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(request) = message else { continue };
        let request: Value = serde_json::from_str(&request).unwrap();
        organizations += u32::from(request["method"] == "create_organization");
        let reply = match (organizations, third) {
            (3, Third::Awaited) => {
                came.send(()).unwrap();
                continue;
            }
            (3, Third::Refused) => json!({"req_id": request["req_id"], "success": false, "error": "EVenue:Full"}),
            _ => json!({"req_id": request["req_id"], "success": true, "result": result()}),
        };
        socket.send(Message::text(reply.to_string())).await.unwrap();
    }
}

async fn serve_page(mut stream: TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
    }
    let body = json!({"totp_secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"});
    let answer = format!("HTTP/1.0 200 OK\r\nSet-Cookie: session=s\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// The ready file of a venue without users, and a receiver for the third Organization.
async fn start(third: Third) -> (Value, mpsc::UnboundedReceiver<()>) {
    let (sockets, pages) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (ws, http) = (sockets.local_addr().unwrap(), pages.local_addr().unwrap());
    let (came, third_came) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                socket = sockets.accept() => drop(tokio::spawn(serve_socket(socket.unwrap().0, third, came.clone()))),
                page = pages.accept() => drop(tokio::spawn(serve_page(page.unwrap().0))),
            }
        }
    });
    let venue = json!({"api_key": "v", "api_secret": "cw=="});
    let ready = json!({"ws": format!("ws://{ws}/v2"), "http": format!("http://{http}"), "service_users": [],
                       "venue": venue});
    (ready, third_came)
}

#[tokio::test]
async fn keys_that_are_made_before_an_error_or_an_end_are_kept() {
    for (third, why) in [(Third::Refused, "create_organization was refused: EVenue:Full"), (Third::Awaited, "SIGINT")] {
        let (ready, mut third_came) = start(third).await;
        let at = |name: &str| Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("prepare-{third:?}-{name}.json"));
        let (keys, output) = (at("ready"), at("keys"));
        std::fs::write(&keys, ready.to_string()).unwrap();
        let _ = std::fs::remove_file(&output);
        let mut command = Command::new(env!("CARGO_BIN_EXE_load-tests"));
        command.args(["prepare", "--organizations", "5", "--keys"]).arg(keys).arg("--output").arg(&output);
        let program = command.stderr(Stdio::piped()).spawn().unwrap();
        if third == Third::Awaited {
            timeout(Duration::from_secs(60), third_came.recv()).await.unwrap().unwrap();
            assert!(Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap().success());
        }
        let ended = tokio::task::spawn_blocking(move || program.wait_with_output().unwrap()).await.unwrap();
        let reported = String::from_utf8_lossy(&ended.stderr);
        assert!(
            !ended.status.success() && reported.contains("2 of 5 keys were made: ") && reported.contains(why),
            "{reported}"
        );
        let kept = ReadyFile::read(&output).unwrap();
        assert_eq!((kept.service_users.len(), kept.members.len()), (2, 2));
        assert_ne!(kept.service_users[0].name, kept.service_users[1].name);
    }
}

#[test]
fn keys_that_could_not_be_kept_are_not_made() {
    let keys = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lost-keys.json");
    let venue = json!({"api_key": "v", "api_secret": "cw=="});
    std::fs::write(&keys, json!({"ws": "ws://127.0.0.1:1/v2", "service_users": [], "venue": venue}).to_string())
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_load-tests"));
    let output = command.arg("prepare").arg("--keys").arg(keys).args(["--output", "/no/such/directory/keys"]).output();
    let reported = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
    assert!(reported.contains("write /no/such/directory/keys"), "{reported}");
}

#[test]
fn an_amount_that_no_server_takes_is_refused_before_anything_is_made() {
    for wrong in ["USD=-5", "USD=0.00", "USD=much", "USD=", "=5", "USD"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_load-tests"));
        command.args(["prepare", "--keys", "/no/such/keys", "--output", "/no/such/output", "--fund", wrong]);
        let output = command.output().unwrap();
        let reported = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && reported.contains("is not ASSET=AMOUNT with an amount above 0"),
            "{reported}"
        );
    }
}
