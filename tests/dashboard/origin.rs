//! Foreign pages and modified files: what must not work.

use std::net::SocketAddr;

use countersign::access::scope::ScopeSet;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::browser::Browser;
use super::client::http;
use super::world::{World, key};

/// Another party's page, on another port of the same machine: for cookies the browser treats it as the same site.
async fn foreign_page() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut seen = [0; 2048];
            let _ = socket.read(&mut seen).await;
            let page = "<!doctype html><title>elsewhere</title>";
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n";
            let answer = format!("{head}content-length: {}\r\n\r\n{page}", page.len());
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn d1_06_a_page_of_another_origin_gets_no_socket_with_the_members_cookie() {
    let world = World::new(&[key(ScopeSet::ALL)]).await;
    let elsewhere = foreign_page().await;
    let browser = Browser::open(world.address).await;
    browser.sign_in("bob", 0).await;
    browser.client.goto(&format!("http://{elsewhere}/")).await.unwrap();
    let script = format!(
        "return await new Promise((done) => {{ const socket = new WebSocket('ws://{}/v2');
         socket.onmessage = () => done('open'); socket.onclose = (event) => done(`closed ${{event.code}}`); }})",
        world.address
    );
    assert_eq!(browser.eval(&script).await, json!("closed 1006"));
    let signed_out = format!(
        "return await fetch('http://{}/session', {{method: 'DELETE', credentials: 'include'}}).then((a) => `answered ${{a.status}}`, () => 'refused')",
        world.address
    );
    assert_eq!(browser.eval(&signed_out).await, json!("refused"));
    browser.go("").await;
    browser.wait("#connection[data-state=live]").await;
    assert_eq!(browser.eval("return document.cookie").await, json!(""), "no script sees the cookie");
    browser.close().await;
}

#[tokio::test]
async fn d7_84_the_page_lets_nothing_else_in() {
    let world = World::new(&[]).await;
    for path in ["/", "/assets/app.js", "/assets/style.css", "/assets/pages/queue.js"] {
        let (status, head, body) = http(world.address, "GET", path, &[], "").await;
        assert_eq!(status, 200, "{path}");
        let line = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        let policy = line("content-security-policy: ");
        let (before, rest) = policy.split_once("'sha256-").unwrap();
        let (_, behind) = rest.split_once('\'').unwrap();
        assert_eq!(
            (before, behind),
            (
                "default-src 'none'; script-src 'self' ",
                "; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
            ),
            "{path}"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("integrity-policy", "blocked-destinations=(script)"),
        ] {
            assert_eq!(line(&format!("{name}: ")), value, "{path}: {name}");
        }
        assert!(!body.contains("http://") && !body.contains("https://"), "{path} names another host");
    }
    assert_eq!(http(world.address, "GET", "/assets/../Cargo.toml", &[], "").await.0, 404);
}

/// Passes everything on, but changes one word of one file on its way.
async fn tampering(server: SocketAddr, file: &'static str, from: &'static str, to: &'static str) -> SocketAddr {
    assert_eq!(from.len(), to.len());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut browser, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 16 * 1024];
                let read = browser.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..read]).replace("keep-alive", "close");
                let mut upstream = TcpStream::connect(server).await.unwrap();
                upstream.write_all(text.as_bytes()).await.unwrap();
                let mut answer = Vec::new();
                let _ = upstream.read_to_end(&mut answer).await;
                let answer = String::from_utf8_lossy(&answer).into_owned();
                let changed = if text.starts_with(&format!("GET {file} ")) { answer.replace(from, to) } else { answer };
                let _ = browser.write_all(changed.as_bytes()).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn d7_84_a_changed_file_does_not_run() {
    let world = World::new(&[]).await;
    let untouched = tampering(world.address, "/assets/digest.js", "sort()", "sort()").await;
    let browser = Browser::open(untouched).await;
    browser.wait("#sign-in").await;
    browser.close().await;
    let changed = tampering(world.address, "/assets/digest.js", "sort()", "flat()").await;
    let browser = Browser::open(changed).await;
    browser.until("return document.readyState === 'complete'").await;
    let imported = browser.eval("return await import('/assets/digest.js').then(() => 'ran', () => 'refused')").await;
    assert_eq!(imported, json!("refused"));
    let app = browser.eval("return await import('/assets/app.js').then(() => 'ran', () => 'refused')").await;
    assert_eq!(app, json!("refused"), "nor does what imports it");
    assert_eq!(browser.eval("return document.getElementById('app').children.length").await, json!(0));
    browser.close().await;
}
