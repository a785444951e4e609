//! Underpass without an async runtime: `std::net`, threads and channels.
//!
//! Run it, then ask it something:
//!
//! ```sh
//! cargo run -p underpass-core --example blocking
//! curl http://127.0.0.1:8090/hello
//! ```
//!
//! It shows all that an embedder does. Each machine gets a thread with one loop ([`run`]): wait for something to
//! happen, but no longer than the machine wants ([`Machine::poll_timeout`]); hand it in; do what the machine wants
//! done. Here a channel stands for the bus and a map for the directory, and the runner's connection is plain TCP on
//! which each message has its length in front: a transport is whatever carries whole frames in order.
//!
//! What it leaves out: WebSockets of clients, streamed request bodies, and connections that come back. The adapter
//! crates have those.
// The core's rules against IO are for the core, not for those who embed it.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use underpass_core::bus::{RelayId, Subject};
use underpass_core::directory::{ChangeOutcome, Revision, RunnerSeen, RunnerState, Versioned};
use underpass_core::gateway::{self, Open, OpenKind};
use underpass_core::handshake::Hello;
use underpass_core::http::{Admission, Body, ClientRequest, Close, ResponseHead, split_fields};
use underpass_core::protocol::{Dialect, GatewayId, Map};
use underpass_core::{Frame, Gateway, Machine, Relay, RequestKey, Runner, Time, relay, runner};

fn main() -> io::Result<()> {
    // `--once` asks one question, prints the answer and ends, so that this example is a test of itself.
    let once = std::env::args().any(|argument| argument == "--once");
    let clients = TcpListener::bind(if once { "127.0.0.1:0" } else { "127.0.0.1:8090" })?;
    let runners = TcpListener::bind("127.0.0.1:0")?;
    let (address, relay_address) = (clients.local_addr()?, runners.local_addr()?);

    let (gateway, gateway_inbox) = mailbox();
    let (relay, relay_inbox) = mailbox();
    let answers = Answers::default();
    let (ready, is_ready) = mpsc::channel();
    thread::spawn({
        let (relay, answers) = (relay.clone(), answers.clone());
        move || gateway_thread(gateway_inbox, &relay, &answers)
    });
    thread::spawn({
        let gateway = gateway.clone();
        move || relay_thread(relay_inbox, relay, runners, &gateway, &ready)
    });
    thread::spawn(move || runner_thread(relay_address));

    is_ready.recv().expect("the runner connects");
    println!("listening on http://{address}");
    let serve = move || clients.incoming().flatten().for_each(|client| serve_client(client, &gateway, &answers));
    if once {
        thread::spawn(serve);
        ask(address)
    } else {
        serve();
        Ok(())
    }
}

// One loop for all machines.

/// Something to do with a machine, on its thread: mostly, to hand in an event.
type Job<M> = Box<dyn FnOnce(&mut M, Time) + Send>;

/// Where a machine's thread hears what happens.
struct Mailbox<M>(Sender<Job<M>>);

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Mailbox(self.0.clone())
    }
}

fn mailbox<M>() -> (Mailbox<M>, Receiver<Job<M>>) {
    let (sender, receiver) = mpsc::channel();
    (Mailbox(sender), receiver)
}

impl<M: Machine + 'static> Mailbox<M>
where
    M::Event: Send,
{
    fn tell(&self, event: M::Event) {
        self.call(move |machine, now| machine.handle(event, now).expect("this example does not misuse it"));
    }

    fn call(&self, job: impl FnOnce(&mut M, Time) + Send + 'static) {
        // A thread that has ended hears no more, and needs not to.
        let _ = self.0.send(Box::new(job));
    }
}

/// Drives a machine as long as somebody may still have something for it.
fn run<M: Machine>(
    mut machine: M,
    jobs: &Receiver<Job<M>>,
    tick: impl Fn() -> M::Event,
    mut act: impl FnMut(M::Action),
) {
    // The core has no clock: a `Time` is made of one here.
    let start = Instant::now();
    let now = || Time::from_micros(start.elapsed().as_micros() as u64);
    loop {
        while let Some(action) = machine.poll_action() {
            act(action);
        }
        let job = match machine.poll_timeout() {
            Some(due) => jobs.recv_timeout(due.since(now())),
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match job {
            Ok(job) => job(&mut machine, now()),
            Err(RecvTimeoutError::Timeout) => machine.handle(tick(), now()).expect("a tick is no misuse"),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

// The gateway: clients in front of it, the bus behind.

type Answer = (ResponseHead, Bytes);

/// Where the answer to each request goes.
type Answers = Arc<Mutex<HashMap<RequestKey, Sender<Answer>>>>;

fn gateway_thread(inbox: Receiver<Job<Gateway>>, relay: &Mailbox<Relay>, answers: &Answers) {
    let gateway = Gateway::new(gateway::Config::default(), GatewayId(*b"only"), 1, Time::ZERO);
    let gateway = gateway.expect("the default configuration works");
    let mut begun: HashMap<RequestKey, (ResponseHead, Vec<u8>)> = HashMap::new();
    let answer = |key, head, body| {
        if let Some(client) = answers.lock().unwrap().remove(&key) {
            let _ = client.send((head, body));
        }
    };
    run(
        gateway,
        &inbox,
        || gateway::Event::Tick,
        |action| {
            match action {
                gateway::Action::Publish(publication) => {
                    // The bus: the relay is the only one that listens.
                    if let Subject::Connection(connection) = publication.to {
                        let frame = publication.frame;
                        relay.tell(relay::Event::FromBus { connection: connection.number, frame });
                    }
                }
                gateway::Action::ResponseStart { key, head, body: Body::None } => answer(key, head, Bytes::new()),
                gateway::Action::ResponseStart { key, head, body: Body::Whole(body) } => answer(key, head, body),
                // This example collects what is streamed. A real one passes each chunk on, and says `Consumed` for it
                // when its client has taken it, so that the handler may send more.
                gateway::Action::ResponseStart { key, head, body: Body::Stream } => {
                    begun.insert(key, (head, Vec::new()));
                }
                gateway::Action::ResponseChunk { key, bytes, finish } => {
                    if let Some((head, mut body)) = begun.remove(&key) {
                        body.extend_from_slice(&bytes);
                        if finish {
                            answer(key, head, body.into());
                        } else {
                            begun.insert(key, (head, body));
                        }
                    }
                }
                gateway::Action::Failed { key, failure } => {
                    begun.remove(&key);
                    let (head, body) = failure.http_answer();
                    answer(key, head, body);
                }
                // No WebSockets and no streamed request bodies here, no actors with state, and this gateway is never
                // drained.
                gateway::Action::WebSocketOpened { .. }
                | gateway::Action::WebSocketMessage { .. }
                | gateway::Action::WebSocketClose { .. }
                | gateway::Action::PauseSource { .. }
                | gateway::Action::ResumeSource { .. }
                | gateway::Action::Actor(_)
                | gateway::Action::Registry(_)
                | gateway::Action::Drained => {}
            }
        },
    );
}

/// Reads one request as simply as can be, asks the gateway, writes the answer.
fn serve_client(client: TcpStream, gateway: &Mailbox<Gateway>, answers: &Answers) {
    let (gateway, answers) = (gateway.clone(), answers.clone());
    thread::spawn(move || -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap_or("GET"), words.next().unwrap_or("/"));
        let request = ClientRequest {
            method,
            path,
            scheme: "http",
            host: None,
            client: &client.peer_addr()?.ip().to_string(),
            websocket: false,
        };
        let (sender, receiver) = mpsc::channel();
        match Admission::default().admit(request, std::iter::empty()) {
            Ok((target, head)) => {
                let open = Open { target, head, kind: OpenKind::Http(Body::None) };
                // `open` is the one door that answers at once: its caller needs the key.
                gateway.call(move |gateway, now| match gateway.open(open, now) {
                    Ok(key) => drop(answers.lock().unwrap().insert(key, sender)),
                    Err(refused) => drop(sender.send(refused.0.http_answer())),
                });
            }
            Err(failure) => drop(sender.send(failure.http_answer())),
        }
        let Ok((head, body)) = receiver.recv() else { return Ok(()) };
        let mut answer = format!("HTTP/1.0 {} \r\n", head.status).into_bytes();
        for (name, value) in split_fields(&head.headers).flatten() {
            answer.extend_from_slice(&[name.as_bytes(), b": ", &value, b"\r\n"].concat());
        }
        answer.extend_from_slice(&[b"\r\n", &body[..]].concat());
        (&client).write_all(&answer)
    });
}

// The relay: the bus on one side, runners' connections on the other.

fn relay_thread(
    inbox: Receiver<Job<Relay>>,
    relay: Mailbox<Relay>,
    runners: TcpListener,
    gateway: &Mailbox<Gateway>,
    ready: &Sender<()>,
) {
    let machine = Relay::new(relay::Config::default(), RelayId(uuid::Uuid::from_u128(1)), 2, Time::ZERO);
    let machine = machine.expect("the default configuration works");
    let sockets: Arc<Mutex<HashMap<u64, TcpStream>>> = Arc::default();
    thread::spawn({
        let (relay, sockets) = (relay.clone(), sockets.clone());
        move || {
            for (number, socket) in (1..).zip(runners.incoming().flatten()) {
                let (relay, sockets) = (relay.clone(), sockets.clone());
                thread::spawn(move || {
                    sockets.lock().unwrap().insert(number, socket.try_clone()?);
                    // On a WebSocket this stands in the query of its opening.
                    let hello = Hello {
                        protocol_version: 7,
                        namespace: "default".into(),
                        runner_key: format!("runner-{number}").into(),
                        dialect: Dialect::Underpass,
                    };
                    relay.tell(relay::Event::Connected { connection: number, hello });
                    while let Ok(frame) = read_frame(&socket) {
                        relay.tell(relay::Event::FromRunner { connection: number, frame });
                    }
                    relay.tell(relay::Event::Disconnected { connection: number });
                    sockets.lock().unwrap().remove(&number);
                    io::Result::Ok(())
                });
            }
        }
    });
    let mut revision = 0;
    run(
        machine,
        &inbox,
        || relay::Event::Tick,
        |action| match action {
            relay::Action::Send { connection, frame } => {
                if let Some(socket) = sockets.lock().unwrap().get(&connection) {
                    // Whoever can't write now ends: its reader finds out.
                    let _ = write_frame(socket, &frame);
                }
            }
            relay::Action::Close { connection, .. } => {
                if let Some(socket) = sockets.lock().unwrap().get(&connection) {
                    let _ = socket.shutdown(std::net::Shutdown::Both);
                }
            }
            relay::Action::Publish(publication) => gateway.tell(gateway::Event::Received {
                from: publication.reply_to.and_then(Subject::connection),
                frame: publication.frame,
            }),
            relay::Action::Directory { connection, change } => {
                // The directory: every change succeeds, since nobody else makes any.
                revision += 1;
                let revision = Revision(revision);
                let record = change.record.map(|record| Versioned { revision, record });
                let is_ready = record.as_ref().is_some_and(|versioned| versioned.record.state == RunnerState::Ready);
                gateway.tell(gateway::Event::Directory(RunnerSeen { key: change.key, record }));
                if is_ready {
                    let ready = ready.clone();
                    gateway.call(move |_, _| ready.send(()).unwrap_or_default());
                }
                relay.tell(relay::Event::Directory { connection, outcome: ChangeOutcome::Stored(revision) });
            }
            // The runner's actors have no state, and it speaks the newest version.
            relay::Action::Ping { .. }
            | relay::Action::Actor(_)
            | relay::Action::Registered { .. }
            | relay::Action::Kv { .. } => {}
            relay::Action::ShowActors => {}
            // The relay is shown no runners but its own.
            relay::Action::Forget(_) => {}
            relay::Action::LogActors(notice) => eprintln!("{notice}"),
            relay::Action::Log { connection, notice } => eprintln!("connection {connection}: {notice}"),
            relay::Action::Drained => {}
        },
    );
}

// The runner: dials the relay, and hands requests to a handler.

fn runner_thread(relay: SocketAddr) {
    let runner = Runner::new(runner::Config::default(), "only".into(), 3, Time::ZERO);
    let (mailbox, inbox) = mailbox();
    let sockets: Arc<Mutex<HashMap<u64, TcpStream>>> = Arc::default();
    run(
        runner.expect("the default configuration works"),
        &inbox,
        || runner::Event::Tick,
        |action| match action {
            runner::Action::Dial { connection } => {
                match TcpStream::connect(relay).and_then(|stream| Ok((stream.try_clone()?, stream))) {
                    Ok((reader, writer)) => {
                        sockets.lock().unwrap().insert(connection, writer);
                        mailbox.tell(runner::Event::Connected { connection, dialect: Dialect::Underpass });
                        let (mailbox, sockets) = (mailbox.clone(), sockets.clone());
                        thread::spawn(move || {
                            while let Ok(frame) = read_frame(&reader) {
                                mailbox.tell(runner::Event::Received { connection, frame: Frame::from(frame) });
                            }
                            sockets.lock().unwrap().remove(&connection);
                            mailbox.tell(runner::Event::Disconnected { connection, close: None });
                        });
                    }
                    Err(_) => mailbox.tell(runner::Event::Disconnected { connection, close: None }),
                }
            }
            runner::Action::Send { connection, frame } => {
                if let Some(socket) = sockets.lock().unwrap().get(&connection) {
                    let _ = write_frame(socket, &frame);
                }
            }
            runner::Action::Disconnect { connection, .. } => {
                if let Some(socket) = sockets.lock().unwrap().get(&connection) {
                    // Its reader finds out, and says so.
                    let _ = socket.shutdown(std::net::Shutdown::Both);
                }
            }
            // The handler. It could be slow: then it would have a thread of its own, and answer through the mailbox.
            runner::Action::Request { key, actor_id, head, .. } => {
                let text = format!("{} {} for {actor_id}, over the tunnel\n", head.method, head.path);
                let headers = Map(vec![("content-length".into(), text.len().to_string().into())]);
                let head = ResponseHead { status: 200, headers };
                mailbox.tell(runner::Event::ResponseStart { key, head, body: Body::Whole(text.into()) });
            }
            runner::Action::WebSocketOpen { key, .. } => {
                mailbox.tell(runner::Event::WebSocketClose { key, close: Close::new(1011, "not here") });
            }
            runner::Action::Ready { .. }
            | runner::Action::RequestChunk { .. }
            | runner::Action::Aborted { .. }
            | runner::Action::WebSocketMessage { .. }
            | runner::Action::WebSocketAsleep { .. }
            | runner::Action::StartActor { .. }
            | runner::Action::StopActor { .. }
            | runner::Action::KvAnswered { .. }
            | runner::Action::WebSocketClose { .. }
            | runner::Action::PauseSource { .. }
            | runner::Action::ResumeSource { .. } => {}
            runner::Action::Stopped(reason) => eprintln!("the runner stopped: {reason:?}"),
        },
    );
}

// Frames on a TCP connection: a length of four bytes, then the frame's pieces.

fn read_frame(mut socket: &TcpStream) -> io::Result<Bytes> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    socket.read_exact(&mut frame)?;
    Ok(frame.into())
}

fn write_frame(mut socket: &TcpStream, frame: &Frame) -> io::Result<()> {
    socket.write_all(&(frame.len() as u32).to_be_bytes())?;
    frame.pieces().into_iter().try_for_each(|piece| socket.write_all(piece))
}

/// Asks the question that `--once` asks, as any client would.
fn ask(address: SocketAddr) -> io::Result<()> {
    let mut socket = TcpStream::connect(address)?;
    socket.write_all(b"GET /gateway/somebody/hello HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    print!("{answer}");
    assert!(answer.ends_with("GET /hello for somebody, over the tunnel\n"));
    Ok(())
}
