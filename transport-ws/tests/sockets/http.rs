//! HTTP through the whole tunnel, over real sockets.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::http::{Request, StatusCode};
use axum::Router;
use axum::body::Body as AxumBody;
use axum::response::Response;
use axum::routing::{any, get, post};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use underpass_transport_ws::runner::NoWebSockets;

use crate::tunnel::{Tunnel, client, empty, eventually, full, http2, text, within};

/// A body that says what it is told to, and notes that it was dropped.
struct Told {
    frames: mpsc::Receiver<Result<Bytes, std::io::Error>>,
    dropped: Arc<AtomicBool>,
}

impl http_body::Body for Told {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.frames.poll_recv(context).map(|next| next.map(|bytes| bytes.map(Frame::data)))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
    }
}

/// A route that answers with one told body, whoever holds the sender tells it.
fn told() -> (axum::routing::MethodRouter, mpsc::Sender<Result<Bytes, std::io::Error>>, Arc<AtomicBool>) {
    let (sender, frames) = mpsc::channel(1);
    let dropped = Arc::new(AtomicBool::new(false));
    let body = std::sync::Mutex::new(Some(Told { frames, dropped: dropped.clone() }));
    let body = Arc::new(body);
    let route = get(move || {
        let body = body.clone();
        async move { Response::new(AxumBody::new(body.lock().unwrap().take().unwrap())) }
    });
    (route, sender, dropped)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_answers_and_their_fields_arrive() {
    let router = Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/none", get(|| async { StatusCode::NO_CONTENT }))
        .route(
            "/cookies",
            get(|| async {
                let mut response = Response::new(AxumBody::empty());
                for i in 0..20 {
                    response.headers_mut().append("x-many", i.into());
                }
                for cookie in ["a=1", "b=2", "c=3, d"] {
                    response.headers_mut().append("set-cookie", cookie.parse().unwrap());
                }
                response
            }),
        );
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    let response = tunnel.get("/hello").await;
    assert_eq!((response.status(), &response.headers()["content-length"]), (StatusCode::OK, &"5".parse().unwrap()));
    assert_eq!(text(response).await, "hello");
    let head = Request::head(tunnel.url("/hello")).body(empty()).unwrap();
    let response = within(client().request(head)).await.unwrap();
    assert_eq!((response.status(), &response.headers()["content-length"]), (StatusCode::OK, &"5".parse().unwrap()));
    assert_eq!(text(response).await, "");
    let response = tunnel.get("/none").await;
    assert_eq!((response.status(), text(response).await.as_str()), (StatusCode::NO_CONTENT, ""));
    let response = tunnel.get("/cookies").await;
    let cookies: Vec<_> =
        response.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(cookies, ["a=1", "b=2", "c=3, d"]);
    assert_eq!(response.headers()["x-many"].to_str().unwrap().split(", ").count(), 20);
    assert_eq!(tunnel.get("/nowhere").await.status(), StatusCode::NOT_FOUND);
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_arrive_whole_by_http_1_and_2() {
    let router = Router::new().route("/echo", post(|body: AxumBody| async { Response::new(body) }));
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    let sent: Bytes = (0..10 * 1024 * 1024_u32).map(|i| (i ^ (i >> 11)) as u8).collect();
    for client in [client(), http2()] {
        let request = Request::post(tunnel.url("/echo")).body(full(sent.clone())).unwrap();
        let response = within(client.request(request)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let back = within(response.into_body().collect()).await.unwrap().to_bytes();
        assert!(back == sent, "{} bytes came back", back.len());
    }
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_arrives_piece_by_piece_as_it_is_sent() {
    let (route, sender, dropped) = told();
    let tunnel = Tunnel::start(Router::new().route("/", route), NoWebSockets).await;
    let mut body = tunnel.get("/").await.into_body();
    for piece in ["one", "two", "three"] {
        sender.send(Ok(piece.into())).await.unwrap();
        let frame = within(body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    drop(sender);
    assert!(within(body.frame()).await.is_none());
    assert!(dropped.load(Ordering::SeqCst));
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_sees_the_first_bytes_of_an_upload_before_the_last_are_sent() {
    let (seen, mut first) = mpsc::channel(1);
    let router = Router::new().route(
        "/",
        post(move |body: AxumBody| async move {
            let mut body = body;
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                length += data.len();
                seen.send(data).await.unwrap();
            }
            length.to_string()
        }),
    );
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
    let head =
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    within(socket.read_exact(&mut go_on)).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"3\r\nabc\r\n").await.unwrap();
    assert_eq!(within(first.recv()).await.unwrap(), "abc");
    socket.write_all(b"2\r\nde\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(within(first.recv()).await.unwrap(), "de");
    let mut answer = String::new();
    within(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n5"), "{answer}");
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_is_noticed_in_the_middle_of_a_download() {
    let (route, sender, dropped) = told();
    let tunnel = Tunnel::start(Router::new().route("/", route), NoWebSockets).await;
    let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    sender.send(Ok("first".into())).await.unwrap();
    within(socket.read(&mut [0; 1000])).await.unwrap();
    drop(socket);
    eventually("the body is dropped", || dropped.load(Ordering::SeqCst)).await;
    assert_eq!(tunnel.clients.stats().client_gone, 1);
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_is_noticed_while_it_waits_for_the_answer() {
    struct Noted(Arc<AtomicBool>);
    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (came, gone) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (noted_came, noted_gone) = (came.clone(), gone.clone());
    let router = Router::new().route(
        "/",
        any(move || {
            noted_came.store(true, Ordering::SeqCst);
            let noted = Noted(noted_gone.clone());
            async move {
                std::future::pending::<()>().await;
                drop(noted);
            }
        }),
    );
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    eventually("the request came", || came.load(Ordering::SeqCst)).await;
    drop(socket);
    eventually("the handler is dropped", || gone.load(Ordering::SeqCst)).await;
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_fails_is_a_502_or_a_broken_body_and_never_a_clean_end() {
    let (route, sender, _) = told();
    let panics = || async {
        if true {
            panic!("on purpose");
        }
    };
    let router = Router::new().route("/breaks", route).route("/panics", get(panics));
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    let response = tunnel.get("/panics").await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(response.headers()["x-underpass-error"], "runner_failed");
    for client in [client()] {
        let request = Request::get(tunnel.url("/breaks")).body(empty()).unwrap();
        let mut body = within(client.request(request)).await.unwrap().into_body();
        sender.send(Ok("a piece".into())).await.unwrap();
        within(body.frame()).await.unwrap().unwrap();
        sender.send(Err(std::io::Error::other("on purpose"))).await.unwrap();
        assert!(within(body.frame()).await.unwrap().is_err());
    }
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_stops_its_own_handler_only() {
    let endless = get(|| async {
        let chunks = futures_util::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[7; 16 * 1024])));
        AxumBody::from_stream(chunks)
    });
    let router = Router::new().route("/endless", endless).route("/hello", get(|| async { "hello" }));
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
    socket.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut carried = 0;
    eventually("the download has stopped", || {
        let now = tunnel.relay.stats().to_gateways;
        now > 10 && std::mem::replace(&mut carried, now) == now
    })
    .await;
    assert!(tunnel.clients.stats().buffered <= 256 * 1024 + 64 * 1024, "{:?}", tunnel.clients.stats());
    for _ in 0..20 {
        assert_eq!(text(tunnel.get("/hello").await).await, "hello");
    }
    let mut read = 0;
    let mut buffer = vec![0; 64 * 1024];
    while read < 64 * 1024 * 1024 {
        read += within(socket.read(&mut buffer)).await.unwrap();
    }
    drop(socket);
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_http_2_that_is_reset_is_noticed() {
    let (route, sender, dropped) = told();
    let tunnel = Tunnel::start(Router::new().route("/", route), NoWebSockets).await;
    let client = http2();
    let request = Request::get(tunnel.url("/")).body(empty()).unwrap();
    let mut body = within(client.request(request)).await.unwrap().into_body();
    sender.send(Ok("first".into())).await.unwrap();
    within(body.frame()).await.unwrap().unwrap();
    drop(body);
    eventually("the body is dropped", || dropped.load(Ordering::SeqCst)).await;
    drop(client);
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_stops_reading_stops_its_client_and_loses_nothing() {
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let wait = Arc::new(std::sync::Mutex::new(Some(wait)));
    let router = Router::new().route(
        "/",
        post(move |body: AxumBody| {
            let wait = wait.lock().unwrap().take().unwrap();
            async move {
                let mut body = body;
                wait.await.unwrap();
                let (mut length, mut sum) = (0_u64, 0_u64);
                while let Some(frame) = body.frame().await {
                    let data = frame.unwrap().into_data().unwrap();
                    length += data.len() as u64;
                    sum = data.iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
                }
                format!("{length} {sum}")
            }
        }),
    );
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    let length = 32 * 1024 * 1024;
    let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let sent: Vec<u8> = (0..length as u32).map(|i| (i ^ (i >> 10)) as u8).collect();
    let sum = sent.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let (mut reading, mut writing) = socket.into_split();
    let upload = tokio::spawn(async move {
        writing.write_all(&sent).await.unwrap();
        writing
    });
    let mut carried = 0;
    eventually("the upload has stopped", || {
        let now = tunnel.relay.stats().to_runners;
        now > 2 && std::mem::replace(&mut carried, now) == now
    })
    .await;
    let held = tunnel.clients.stats().buffered + tunnel.relay.stats().buffered + tunnel.runner.stats().buffered;
    assert!(held <= 2 * 256 * 1024, "{held} bytes are held");
    assert!(!upload.is_finished());
    go.send(()).unwrap();
    let mut answer = String::new();
    within(reading.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with(&format!("\r\n\r\n{length} {sum}")), "{answer}");
    within(upload).await.unwrap();
    tunnel.end().await;
}

/// How the bodies of requests ended.
type Ends = Arc<std::sync::Mutex<Vec<Result<usize, ()>>>>;

/// Counts the requests that came, and notes how their bodies ended.
fn uploads() -> (Router, Ends, Arc<AtomicUsize>) {
    let (ends, came) = (Ends::default(), Arc::new(AtomicUsize::new(0)));
    let (noted_ends, noted_came) = (ends.clone(), came.clone());
    let router = Router::new().route(
        "/",
        post(move |body: AxumBody| async move {
            noted_came.fetch_add(1, Ordering::SeqCst);
            let end = body.collect().await.map(|body| body.to_bytes().len()).map_err(drop);
            noted_ends.lock().unwrap().push(end);
            // Only its client's going can end it.
            std::future::pending::<()>().await;
        }),
    );
    (router, ends, came)
}

/// Nothing is left of a client that is no more.
async fn nothing_left(tunnel: &Tunnel) {
    eventually("the gateway has nothing open", || tunnel.clients.stats().open == 0).await;
    eventually("nothing is held for clients", || tunnel.clients.held() == Default::default()).await;
    eventually("no handler is at work", || tunnel.runner.handlers() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_its_client_leaves_ends_with_its_connection() {
    let (router, ends, came) = uploads();
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    for head in ["content-length: 100000\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
        let before = came.load(Ordering::SeqCst);
        let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
        socket.write_all(format!("POST / HTTP/1.1\r\nhost: x\r\n{head}").as_bytes()).await.unwrap();
        eventually("the request came", || came.load(Ordering::SeqCst) > before).await;
        drop(socket);
        nothing_left(&tunnel).await;
    }
    assert_eq!(tunnel.clients.stats().client_gone, 2);
    assert!(ends.lock().unwrap().iter().all(Result::is_err), "{ends:?}");
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_with_a_bad_chunk_size_is_answered_400_and_closed() {
    let (router, ends, came) = uploads();
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    eventually("the request came", || came.load(Ordering::SeqCst) == 1).await;
    socket.write_all(b"xyz\r\n").await.unwrap();
    let mut answer = String::new();
    within(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    nothing_left(&tunnel).await;
    assert!(ends.lock().unwrap().iter().all(Result::is_err), "{ends:?}");
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_breaks_off_in_the_middle_of_its_answer_breaks_the_answer_off() {
    let router = Router::new().route("/", post(|body: AxumBody| async { Response::new(body) }));
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"3\r\nabc\r\n") {
        within(socket.read_buf(&mut answer)).await.unwrap();
    }
    socket.write_all(b"xyz\r\n").await.unwrap();
    let mut rest = Vec::new();
    within(socket.read_to_end(&mut rest)).await.ok();
    assert!(rest.is_empty(), "{rest:?}");
    nothing_left(&tunnel).await;
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_never_comes_is_never_handed_on_as_whole() {
    let (router, ends, _) = uploads();
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    for _ in 0..20 {
        let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
        socket.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n").await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = String::new();
        within(socket.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
        nothing_left(&tunnel).await;
    }
    assert!(ends.lock().unwrap().iter().all(Result::is_err), "{ends:?}");
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_over_http_2_that_is_cancelled_never_looks_whole() {
    let (router, ends, came) = uploads();
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    let client = http2();
    for i in 1..=20 {
        let (sender, frames) = mpsc::channel(1);
        let body = Told { frames, dropped: Arc::default() }.boxed();
        let request = Request::post(tunnel.url("/")).body(body).unwrap();
        let answer = tokio::spawn(client.request(request));
        sender.send(Ok("abc".into())).await.unwrap();
        eventually("the request came", || came.load(Ordering::SeqCst) == i).await;
        answer.abort();
        eventually("the handler sees the end", || ends.lock().unwrap().len() == i || tunnel.runner.handlers() == 0)
            .await;
    }
    drop(client);
    nothing_left(&tunnel).await;
    assert!(ends.lock().unwrap().iter().all(Result::is_err), "{ends:?}");
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_says_nothing_ends_in_the_time_that_is_configured() {
    let head_within = Duration::from_millis(100);
    let config = underpass_transport_ws::clients::Config { head_within, ..Default::default() };
    let tunnel = Tunnel::start_with(config, Default::default(), Router::new(), NoWebSockets).await;
    for said in ["", "G", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost:"] {
        let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
        socket.write_all(said.as_bytes()).await.unwrap();
        let began = Instant::now();
        let mut answer = Vec::new();
        within(socket.read_to_end(&mut answer)).await.ok();
        assert!(began.elapsed() < Duration::from_secs(5), "{said:?}");
    }
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_resets_the_connection_of_an_http_1_0_client() {
    let (route, sender, _) = told();
    let tunnel = Tunnel::start(Router::new().route("/", route), NoWebSockets).await;
    let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.0\r\nhost: x\r\n\r\n").await.unwrap();
    sender.send(Ok("a piece".into())).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"a piece") {
        within(socket.read_buf(&mut answer)).await.unwrap();
    }
    sender.send(Err(std::io::Error::other("on purpose"))).await.unwrap();
    let end = within(socket.read_to_end(&mut answer)).await;
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    nothing_left(&tunnel).await;
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_an_http_1_0_client_ends_with_its_connection() {
    let (route, sender, _) = told();
    let tunnel = Tunnel::start(Router::new().route("/", route), NoWebSockets).await;
    let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    sender.send(Ok("a piece".into())).await.unwrap();
    drop(sender);
    let mut answer = String::new();
    within(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("a piece"), "{answer}");
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_half_closes_behind_its_request_is_gone() {
    let (router, _, came) = uploads();
    let tunnel = Tunnel::start(router, NoWebSockets).await;
    let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
    socket.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc").await.unwrap();
    eventually("the request came", || came.load(Ordering::SeqCst) == 1).await;
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    within(socket.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "");
    nothing_left(&tunnel).await;
    assert_eq!(tunnel.clients.stats().client_gone, 1);
    tunnel.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_connections_that_ask_for_nothing() {
    let tunnel = Tunnel::start(Router::new(), NoWebSockets).await;
    let mut sockets = Vec::new();
    for said in ["", "P", "PRI * HTTP/2.0\r\n", "GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut socket = TcpStream::connect(tunnel.gateway_address).await.unwrap();
        socket.write_all(said.as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    within(sockets[3].read(&mut [0; 1000])).await.unwrap();
    eventually("all of them are there", || tunnel.clients.held().connections == 4).await;
    within(tunnel.clients.drain()).await;
    tunnel.end().await;
}
