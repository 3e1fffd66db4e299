//! The two yardsticks: **E**, a bare typed JSON echo, and **D**, the same behind a group commit.
//!
//! Both parse a v2 `add_order` into a typed struct, answer with a typed reply and flush once per drained input, on
//! tokio-tungstenite and one runtime thread. They do nothing else: no authentication, no order book, no money.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use futures::{FutureExt, SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use crate::error::LoadError;
use crate::group_commit::{GroupCommit, Totals};
use crate::output::print_line;

const READ_BUFFER_BYTES: usize = 8 << 10;
const WRITE_BUFFER_BYTES: usize = 32 << 10;

/// The request that the baselines understand. Unused fields are parsed all the same: every real server has that work,
/// too.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    method: &'a str,
    #[serde(borrow)]
    params: AddOrder<'a>,
    req_id: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "parsed because a server must, answered by nothing")]
struct AddOrder<'a> {
    order_type: &'a str,
    side: &'a str,
    symbol: &'a str,
    order_qty: f64,
    limit_price: Option<f64>,
    time_in_force: Option<&'a str>,
    cl_ord_id: &'a str,
}

#[derive(Debug, Serialize)]
struct Reply<'a> {
    method: &'a str,
    req_id: u64,
    result: Placed<'a>,
    success: bool,
    time_in: &'a str,
    time_out: &'a str,
}

#[derive(Debug, Serialize)]
struct Placed<'a> {
    order_id: &'a str,
    cl_ord_id: &'a str,
}

/// A baseline server on its own runtime thread, until dropped or stopped.
#[derive(Debug)]
pub struct EchoServer {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Totals>>,
}

impl EchoServer {
    /// Listens on `address` (port 0 picks one). With a journal file it is D and appends to that file, otherwise E.
    ///
    /// # Errors
    /// The address or the file cannot be opened.
    pub fn start(address: SocketAddr, journal: Option<&Path>) -> Result<Self, LoadError> {
        let what = || format!("listen on {address}");
        let listener = std::net::TcpListener::bind(address).map_err(LoadError::io(what()))?;
        listener.set_nonblocking(true).map_err(LoadError::io(what()))?;
        let address = listener.local_addr().map_err(LoadError::io(what()))?;
        let journal = journal.map(open_journal).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.map_err(LoadError::io("start a runtime"))?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("echo".into()).spawn(move || {
            let journal = journal.map(|file| Arc::new(GroupCommit::start(file)));
            runtime.block_on(async {
                tokio::select! {
                    result = accept(listener, journal.clone()) => {
                        if let Err(error) = result {
                            print_line(&format!("the baseline server ended: {error}"));
                        }
                    }
                    _ = stopped => {}
                }
            });
            // Ends the sessions, which hold references to the journal.
            drop(runtime);
            journal.and_then(Arc::into_inner).map(GroupCommit::stop).unwrap_or_default()
        });
        let thread = thread.map_err(LoadError::io("start a thread"))?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Ends the server and its connections. The totals are zero for E.
    pub fn stop(mut self) -> Totals {
        self.end()
    }

    fn end(&mut self) -> Totals {
        drop(self.stop.take());
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn open_journal(path: &Path) -> Result<std::fs::File, LoadError> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(LoadError::io(format!("open {}", path.display())))
}

async fn accept(listener: std::net::TcpListener, journal: Option<Arc<GroupCommit>>) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let journal = journal.clone();
        tokio::spawn(async move {
            // A session ends with its socket, whatever the reason; reporting is the client's task.
            let _ = session(stream, journal).await;
        });
    }
}

async fn session(stream: TcpStream, journal: Option<Arc<GroupCommit>>) -> Result<(), SocketError> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(1 << 20);
    let socket = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await?;
    match journal {
        None => echo(socket).await,
        Some(journal) => durable_echo(socket, &journal).await,
    }
}

/// E: answer all that is readable, then flush once.
async fn echo(mut socket: WebSocketStream<TcpStream>) -> Result<(), SocketError> {
    while let Some(message) = socket.next().await {
        let mut next = Some(message);
        while let Some(message) = next {
            if let Message::Text(text) = message? {
                socket.feed(Message::text(answer(&text))).await?;
            }
            next = socket.next().now_or_never().flatten();
        }
        socket.flush().await?;
    }
    Ok(())
}

/// D: puts all that is readable into the open group, and sends a group's replies once it is on disk, while reading
/// continues.
async fn durable_echo(mut socket: WebSocketStream<TcpStream>, journal: &GroupCommit) -> Result<(), SocketError> {
    let mut committed = journal.committed();
    let mut waiting: VecDeque<(u64, Vec<String>)> = VecDeque::new();
    let mut records = Vec::new();
    loop {
        tokio::select! {
            message = socket.next() => {
                let Some(message) = message else { return Ok(()) };
                let mut next = Some(message);
                let mut replies = Vec::new();
                while let Some(message) = next {
                    if let Message::Text(text) = message? {
                        replies.push(answer(&text));
                        records.extend_from_slice(text.as_bytes());
                        records.push(b'\n');
                    }
                    next = socket.next().now_or_never().flatten();
                }
                if !replies.is_empty() {
                    waiting.push_back((journal.append(replies.len() as u64, &records), replies));
                    records.clear();
                }
            }
            changed = committed.changed(), if !waiting.is_empty() => {
                if changed.is_err() {
                    return Ok(());
                }
                let durable = *committed.borrow_and_update();
                while waiting.front().is_some_and(|(group, _)| *group <= durable) {
                    for reply in waiting.pop_front().into_iter().flat_map(|(_, replies)| replies) {
                        socket.feed(Message::text(reply)).await?;
                    }
                }
                socket.flush().await?;
            }
        }
    }
}

/// The typed reply to a typed request, or a refusal with the parser's message.
fn answer(text: &str) -> String {
    let request: Request<'_> = match serde_json::from_str(text) {
        Ok(request) => request,
        Err(error) => return serde_json::json!({"success": false, "error": error.to_string()}).to_string(),
    };
    let reply = Reply {
        method: request.method,
        req_id: request.req_id,
        result: Placed { order_id: "OABCDE-FGHIJ-KLMNOP", cl_ord_id: request.params.cl_ord_id },
        success: true,
        time_in: "2026-01-01T00:00:00.000000Z",
        time_out: "2026-01-01T00:00:00.000000Z",
    };
    serde_json::to_string(&reply).expect("a struct of strings and numbers is always JSON")
}
