//! Actors that count: what they are asked to, and the messages of their WebSockets, which sleep when the actor does.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use underpass_core::http::{Close, Message};
use underpass_fleet::REQUEST;
use underpass_fleet::note::{Note, Notebook};
use underpass_transport_ws::runner::{
    ActorContext, ActorHandler, Body, HibernatingIncoming, HibernatingWebSocket, Host, KvError, MessageIndex, Pending,
    SleepingSocket, SocketId,
};

use crate::work::field;

/// Where an actor keeps how often it was called.
const CALLS: &str = "calls";

/// What it keeps of a WebSocket, in one entry of its store. So neither is ever saved without the other.
#[derive(Clone, Copy, Default)]
struct Tally {
    /// The last message's number.
    last: MessageIndex,
    /// How many there were.
    count: u64,
}

impl Tally {
    /// What the keys of all tallies begin with.
    const KEYS: &str = "socket/";

    fn key(socket: SocketId) -> Bytes {
        format!("{}{socket}", Tally::KEYS).into()
    }

    fn to_value(self) -> Vec<u8> {
        [&self.last.to_be_bytes()[..], &self.count.to_be_bytes()].concat()
    }

    fn of_value(value: &[u8]) -> Option<Tally> {
        let (last, count) = value.split_first_chunk()?;
        Some(Tally { last: MessageIndex::from_be_bytes(*last), count: u64::from_be_bytes(count.try_into().ok()?) })
    }
}

pub(crate) struct Counters(pub(crate) Arc<Notebook>);

impl Host for Counters {
    type Actor = Counter;
    type Error = KvError;

    async fn start(&self, actor: ActorContext, sockets: Vec<SleepingSocket>) -> Result<Counter, KvError> {
        let notebook = self.0.clone();
        let mut kept: HashMap<Bytes, Bytes> = actor.kv().list_prefix(Tally::KEYS).await?.into_iter().collect();
        for socket in sockets {
            // One of which nothing was kept has been closed before.
            if let Some(tally) = kept.remove(&Tally::key(socket.id())).and_then(|value| Tally::of_value(&value)) {
                let socket = socket.restore(tally.last);
                actor.spawn(go_on(actor.clone(), notebook.clone(), socket, tally));
            }
        }
        // Their clients have gone.
        for key in kept.into_keys() {
            actor.kv().delete(key).await?;
        }
        let calls =
            actor.kv().get(CALLS).await?.and_then(|kept| kept[..].try_into().ok()).map_or(0, u64::from_be_bytes);
        Ok(Counter { actor, notebook, calls: calls.into() })
    }
}

pub(crate) struct Counter {
    actor: ActorContext,
    notebook: Arc<Notebook>,
    calls: tokio::sync::Mutex<u64>,
}

impl ActorHandler for Counter {
    type Body = String;
    type Error = KvError;

    /// POST / counts, GET / says how far, POST /sleep has the actor sleep.
    async fn request(&self, request: Request<Body>) -> Result<Response<String>, KvError> {
        if let Some(number) = field(request.headers(), REQUEST) {
            self.notebook.write(&Note::Began { request: number, once: request.method() == Method::POST });
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/") => Ok(Response::new(self.calls.lock().await.to_string())),
            (&Method::POST, "/") => {
                let mut calls = self.calls.lock().await;
                self.actor.kv().put(CALLS, (*calls + 1).to_be_bytes()).await?;
                *calls += 1;
                Ok(Response::new(calls.to_string()))
            }
            (&Method::POST, "/sleep") => {
                self.actor.sleep();
                Ok(Response::new(String::new()))
            }
            _ => {
                let mut response = Response::new(String::new());
                *response.status_mut() = StatusCode::NOT_FOUND;
                Ok(response)
            }
        }
    }

    async fn websocket(&self, _: Request<()>, socket: Pending) {
        let Counter { actor, notebook, .. } = self;
        let tally = Tally::default();
        // Before its client can know that it is open.
        match actor.kv().put(Tally::key(socket.id()), tally.to_value()).await {
            Ok(()) => serve(actor, notebook, socket.accept_hibernating(), tally).await,
            Err(error) => eprintln!("a WebSocket was refused: {error}"),
        }
    }
}

/// Says how far it is, since the last answer may be lost, and goes on.
async fn go_on(actor: ActorContext, notebook: Arc<Notebook>, mut socket: HibernatingWebSocket, tally: Tally) {
    let greeting = Message::Text(format!("={}", tally.count).into());
    // If it has ended, that comes next.
    socket.send(greeting).await.ok();
    serve(&actor, &notebook, socket, tally).await;
}

/// Counts the messages of a WebSocket until it sleeps or ends.
async fn serve(actor: &ActorContext, notebook: &Notebook, mut socket: HibernatingWebSocket, tally: Tally) {
    if let Err(error) = count(actor, notebook, &mut socket, tally).await {
        // The next life goes on with what was saved.
        actor.crash(error);
    }
}

/// The messages are 1, 2, 3 and so on, and each must come once.
async fn count(
    actor: &ActorContext,
    notebook: &Notebook,
    socket: &mut HibernatingWebSocket,
    mut tally: Tally,
) -> Result<(), KvError> {
    while let Some(incoming) = socket.receive().await {
        match incoming {
            HibernatingIncoming::Message { number, message } => {
                let next = tally.count + 1;
                if message != Message::Text(next.to_string().into()) {
                    let socket = socket.id();
                    let wrong = format!("the WebSocket {socket} of {} has {message:?} for {next}", actor.id());
                    notebook.write(&Note::Wrong(wrong));
                }
                tally = Tally { last: number, count: next };
                actor.kv().put(Tally::key(socket.id()), tally.to_value()).await?;
                socket.handled(number);
                if socket.send(Message::Text(next.to_string().into())).await.is_err() {
                    // It sleeps, or its client has gone, which comes next.
                    continue;
                }
            }
            HibernatingIncoming::Close(Close { .. }) => actor.kv().delete(Tally::key(socket.id())).await?,
            HibernatingIncoming::Asleep => {}
        }
    }
    Ok(())
}
