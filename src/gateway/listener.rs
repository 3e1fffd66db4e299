//! The one port: accepts connections and speaks HTTP/1.1 on them until one upgrades.
//!
//! hyper is driven directly rather than through `axum::serve`: only this way can head size, idle time and the number of
//! connections be limited, and the raw socket be taken back after an upgrade.

use std::{
    convert::Infallible,
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::admission::{Addresses, Admitted};
use super::deadline::Deadline;
use super::metrics::Metrics;
use super::peer::{Peer, client_address, is_among};
use super::refusal::Refusal;
use super::socket::Socket;
use crate::engine::reject::Code;

/// Most bytes of a request's head; hyper answers 431 beyond.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most fields of a request's head; hyper answers 431 beyond.
const HEAD_FIELDS_MAX: usize = 100;
/// How long a connection may take to send a request's head, or stay silent between requests.
const IDLE: Duration = Duration::from_secs(5);
/// How long one request may take in total, body included, and again how long the client may take to read its answer.
const REQUEST: Duration = Duration::from_secs(30);
/// The pause after a failed accept (usually: out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the listener must know.
#[derive(Clone)]
pub struct Options {
    /// Connections open at once, upgraded ones included; at most `Semaphore::MAX_PERMITS`.
    pub max_connections: usize,
    /// Connections of one address open at once; this host and trusted proxies are not counted.
    pub connections_per_address: usize,
    /// Networks of the proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// For TLS connections; `None` for plain ones.
    pub tls: Option<TlsAcceptor>,
    /// Counts connections that find no place.
    pub metrics: Arc<Metrics>,
}

/// One place among [`Options::max_connections`] and those of its address, free again when its last clone is dropped.
/// A request extension, so that an upgraded socket can keep it.
#[derive(Debug, Clone)]
pub struct Place {
    _held: Arc<(OwnedSemaphorePermit, Option<Admitted>)>,
}

/// Serves `app` until `stop` turns true. Then accepts no more, gives requests under way 5 s to finish, and returns
/// when every connection is gone; upgraded ones are ended by their sessions.
pub async fn serve(listener: TcpListener, app: Router, options: Options, mut stop: watch::Receiver<bool>) {
    let all = u32::try_from(options.max_connections).unwrap_or(u32::MAX);
    let (tls, metrics) = (options.tls.clone(), Arc::clone(&options.metrics));
    let places = Places::new(options);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        let (socket, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = match places.take(address.ip()) {
            Ok(place) => place,
            Err(refusal) => {
                tracing::debug!(peer = %address, error = refusal.error, "connection turned away");
                metrics.handshake_refused(refusal.status.as_u16());
                // One try: a full server does not spend a task on a client that it turns away. Nor does it make a TLS
                // handshake with it, without which nothing can be said.
                if tls.is_none() {
                    let _ = socket.try_write(refusal.unasked().as_bytes());
                }
                continue;
            }
        };
        let (app, proxies, tls) = (app.clone(), places.proxies.clone(), tls.clone());
        let connection = Connection { app, peer: address, proxies, place, tls };
        tokio::spawn(connection.run(socket, stop.clone()));
    }
    drop(listener);
    let _ = places.all.acquire_many(all).await;
}

/// Returns once `stop` is true or its sender is gone.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|&stop| stop).await;
}

/// The places for connections, in all and per address.
struct Places {
    all: Arc<Semaphore>,
    addresses: Arc<Addresses>,
    proxies: Arc<[IpNet]>,
}

impl Places {
    fn new(options: Options) -> Places {
        Places {
            all: Arc::new(Semaphore::new(options.max_connections)),
            addresses: Addresses::new(options.connections_per_address),
            proxies: options.trusted_proxies.into(),
        }
    }

    /// A place for a connection from `peer`. A proxy connects for many: the WebSockets that it forwards are counted
    /// when they open, by their clients' addresses.
    fn take(&self, peer: IpAddr) -> Result<Place, Refusal> {
        let permit = self.all.clone().try_acquire_owned().map_err(|_| Refusal::busy())?;
        let peer = peer.to_canonical();
        let admitted = match is_among(&self.proxies, peer) {
            true => None,
            false => Some(self.addresses.enter(peer).ok_or_else(Refusal::crowded)?),
        };
        Ok(Place { _held: Arc::new((permit, admitted)) })
    }
}

struct Connection {
    app: Router,
    peer: SocketAddr,
    proxies: Arc<[IpNet]>,
    place: Place,
    tls: Option<TlsAcceptor>,
}

impl Connection {
    async fn run(self, socket: TcpStream, mut stop: watch::Receiver<bool>) {
        // Small frames must be sent at once; if this fails, the socket is dead already.
        let _ = socket.set_nodelay(true);
        let socket = match &self.tls {
            None => Socket::plain(socket),
            Some(tls) => match time::timeout(IDLE, tls.accept(socket)).await {
                Ok(Ok(socket)) => Socket::Tls(Box::new(socket)),
                // A peer that does not speak TLS, or says nothing, cannot be sent anything.
                Ok(Err(_)) | Err(_) => return,
            },
        };
        let service = service_fn(|request| self.answer(request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEAD_FIELDS_MAX)
            .serve_connection(TokioIo::new(Deadline::new(socket, REQUEST)), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                // A client that reads a long answer too slowly must not delay the stop.
                time::timeout(IDLE, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %self.peer, %error, "connection ended early");
        }
    }

    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let mut request = request.map(Body::new);
        let peer = client_address(self.peer.ip(), request.headers(), &self.proxies);
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(self.place.clone());
        let answer = self.app.clone().oneshot(request);
        async {
            let late = Refusal::new(StatusCode::REQUEST_TIMEOUT, Code::Timeout);
            time::timeout(REQUEST, answer).await.unwrap_or_else(|_| Ok(late.into_response()))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Bytes, routing::get};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn options() -> Options {
        let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        Options { max_connections: 8, connections_per_address: 2, trusted_proxies, tls: None, metrics: Arc::default() }
    }

    /// A server on a free port, the switch that stops it, and its end.
    async fn start(max_connections: usize) -> (SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
        let app = Router::new()
            .route(
                "/",
                get(|peer: axum::Extension<Peer>| async move { peer.0.0.to_string() }).post(async |_: Bytes| ()),
            )
            .route("/large", get(async || vec![0; 64 << 20]));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let options = Options { max_connections, ..options() };
        (address, stop, tokio::spawn(serve(listener, app, options, stopped)))
    }

    /// Sends `request` and reads until the server closes.
    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        // The server may close before all is sent; what matters is its answer.
        let _ = socket.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn d1_10_a_request_sees_the_forwarded_address_of_a_trusted_proxy() {
        let (address, _stop, _server) = start(4).await;
        let answer =
            exchange(address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-forwarded-for: 9.9.9.9\r\n\r\n");
        assert!(answer.await.ends_with("9.9.9.9"));
    }

    #[tokio::test]
    async fn d1_04_a_head_beyond_its_limits_is_refused() {
        let (address, _stop, _server) = start(4).await;
        let one_field = |bytes: usize| format!("x: {}\r\n", "y".repeat(bytes));
        for fields in [one_field(HEAD_BYTES_MAX), one_field(20_000_000), "x: y\r\n".repeat(HEAD_FIELDS_MAX + 1)] {
            let start = time::Instant::now();
            let answer = exchange(address, &format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(), "{answer}");
            assert!(start.elapsed() < IDLE, "it is refused by its size, not by its time");
        }
    }

    /// All these bytes are read but are no whole head: with unread ones the answer would be lost at the close.
    #[tokio::test]
    async fn d1_04_a_head_that_fills_its_room_is_answered_with_431_and_one_that_just_fits_is_read() {
        let (address, _stop, _server) = start(4).await;
        let (begun, ended) = ("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: ", "\r\n\r\n");
        let filled = format!("{begun:y<HEAD_BYTES_MAX$}");
        let answer = exchange(address, &filled).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        let whole = format!("{}{ended}", &filled[..HEAD_BYTES_MAX - ended.len()]);
        let answer = exchange(address, &whole).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn d1_04_and_d7_79_what_comes_a_byte_a_second_is_cut_off_when_its_time_is_over() {
        let (head, post) =
            ("GET / HTTP/1.1\r\nhost: a\r\nx: ", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 999\r\n\r\n");
        // A client that has not sent a whole head gets no answer.
        for (whole, drops, reported, time) in [("", head, "", IDLE), (post, "", "HTTP/1.1 408 ", REQUEST)] {
            let (address, _stop, _server) = start(4).await;
            let mut socket = TcpStream::connect(address).await.unwrap();
            let (mut incoming, mut outgoing) = socket.split();
            outgoing.write_all(whole.as_bytes()).await.unwrap();
            let (began, mut second) = (time::Instant::now(), time::interval(Duration::from_secs(1)));
            let (mut drops, mut answer) = (drops.bytes().chain(std::iter::repeat(b'y')), Vec::new());
            loop {
                tokio::select! {
                    read = incoming.read_buf(&mut answer) => if read.unwrap_or(0) == 0 { break },
                    // The connection may be closing at this very moment.
                    _ = second.tick() => drop(outgoing.write_all(&[drops.next().unwrap()]).await),
                }
                assert!(began.elapsed() < time * 3, "it is open still");
            }
            let (answer, lasted) = (String::from_utf8(answer).unwrap(), began.elapsed());
            assert!(answer.starts_with(reported) && answer.is_empty() == reported.is_empty(), "{answer}");
            assert!((time..=time + Duration::from_secs(2)).contains(&lasted), "{lasted:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn d1_04_and_d7_79_a_silent_connection_is_closed_after_five_seconds() {
        let (address, _stop, _server) = start(4).await;
        let start = time::Instant::now();
        for request in ["", "GET / HTT", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"] {
            exchange(address, request).await;
        }
        let seconds = start.elapsed().as_secs();
        assert!((15..20).contains(&seconds), "{seconds} s for three connections");
    }

    #[tokio::test]
    async fn d7_79_a_full_server_says_so_and_has_room_again_afterwards() {
        let (address, _stop, _server) = start(1).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(first.read(&mut [0; 512]).await.unwrap() > 0);
        let mut second = TcpStream::connect(address).await.unwrap();
        let mut answer = String::new();
        second.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\n{\"error\":[\"EService:Busy\"]}"));
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        assert!(answer.contains(&format!("content-length: {}\r\n", body.len())));
        drop(first);
        let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let admitted = async { while !exchange(address, request).await.contains("200 OK") {} };
        time::timeout(Duration::from_secs(20), admitted).await.expect("there is room again");
    }

    #[test]
    fn d7_79_an_address_takes_no_more_connections_than_it_may_and_leaves_places_to_others() {
        let places = Places::new(options());
        let take = |peer: &str| places.take(peer.parse().unwrap());
        let kept = [take("192.0.2.1").unwrap(), take("::ffff:192.0.2.1").unwrap()];
        for _ in 0..8 {
            assert_eq!(take("192.0.2.1").unwrap_err(), Refusal::crowded(), "upgraded or not");
        }
        let _others = [take("::ffff:192.0.2.2").unwrap(), take("2001:db8::1").unwrap(), take("2001:db8::2").unwrap()];
        assert_eq!(take("2001:db8::3").unwrap_err(), Refusal::crowded(), "an IPv6 network is one address");
        let _proxied = [take("10.0.0.1").unwrap(), take("10.0.0.1").unwrap(), take("10.0.0.1").unwrap()];
        assert_eq!(take("10.0.0.1").unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE, "all eight are taken");
        drop(kept);
        take("192.0.2.1").unwrap();
    }

    #[tokio::test]
    async fn stopping_closes_the_port_and_waits_for_connections() {
        let (address, stop, server) = start(4).await;
        let mut open = TcpStream::connect(address).await.unwrap();
        open.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(open.read(&mut [0; 512]).await.unwrap() > 0);
        stop.send(true).unwrap();
        assert_eq!(open.read(&mut [0; 512]).await.unwrap(), 0, "an idle connection is closed");
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn d7_79_who_does_not_take_an_answer_does_not_keep_a_place() {
        let (address, _stop, _server) = start(1).await;
        let mut still = TcpStream::connect(address).await.unwrap();
        still.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(still.read(&mut [0; 512]).await.unwrap() > 0);
        let start = time::Instant::now();
        while !exchange(address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.contains("200 OK") {
            time::advance(Duration::from_secs(1)).await;
            assert!(start.elapsed() <= REQUEST * 2, "its place is still taken");
        }
        assert!(start.elapsed() >= REQUEST - IDLE, "a slow one has time");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_a_large_answer_does_not_hold_a_stop_up() {
        let (address, stop, server) = start(4).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(slow.read(&mut [0; 512]).await.unwrap() > 0);
        let start = time::Instant::now();
        stop.send(true).unwrap();
        server.await.unwrap();
        assert!(start.elapsed() <= IDLE * 2, "{:?}", start.elapsed());
    }
}
