//! Actors that count the messages of each of their WebSockets, and sleep with them.
//!
//! ```text
//! underpass up
//! cargo run --example counters -- ws://127.0.0.1:8081
//! ```
//!
//! Now `ws://127.0.0.1:8080/gateway/anyone/`, opened with the field `x-underpass-pool: counters`, answers each message
//! with its count. `curl -X POST -H 'x-underpass-pool: counters' http://127.0.0.1:8080/gateway/anyone/sleep` has the
//! actor sleep, and its WebSockets with it: their counts go on when it is woken, in this process or another one.

use std::collections::HashMap;
use std::error::Error;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use underpass_core::http::{Close, Message};
use underpass_transport_ws::runner::{
    ActorContext, ActorHandler, Body, Config, HibernatingIncoming, HibernatingWebSocket, Host, KvError, MessageIndex,
    Pending, Runner, SleepingSocket, SocketId,
};

/// What an actor keeps of a WebSocket, in one entry of its store. So neither is ever saved without the other.
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

struct Counters;

impl Host for Counters {
    type Actor = Counter;
    type Error = KvError;

    async fn start(&self, actor: ActorContext, sockets: Vec<SleepingSocket>) -> Result<Counter, KvError> {
        let mut kept: HashMap<Bytes, Bytes> = actor.kv().list_prefix(Tally::KEYS).await?.into_iter().collect();
        for socket in sockets {
            // One of which nothing was kept is closed.
            if let Some(tally) = kept.remove(&Tally::key(socket.id())).and_then(|value| Tally::of_value(&value)) {
                actor.spawn(serve(actor.clone(), socket.restore(tally.last), tally));
            }
        }
        // Their clients have gone.
        for key in kept.into_keys() {
            actor.kv().delete(key).await?;
        }
        Ok(Counter(actor))
    }
}

struct Counter(ActorContext);

impl ActorHandler for Counter {
    type Body = String;
    type Error = KvError;

    /// Says how many messages came in all, over the WebSockets that are open; or has the actor sleep.
    async fn request(&self, request: Request<Body>) -> Result<Response<String>, KvError> {
        let Counter(actor) = self;
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/") => {
                let tallies = actor.kv().list_prefix(Tally::KEYS).await?;
                let counts = tallies.iter().filter_map(|(_, value)| Tally::of_value(value)).map(|tally| tally.count);
                Ok(Response::new(format!("{}\n", counts.sum::<u64>())))
            }
            (&Method::POST, "/sleep") => {
                actor.sleep();
                Ok(Response::new("good night\n".to_owned()))
            }
            _ => {
                let mut response = Response::new("GET / and POST /sleep are all there is\n".to_owned());
                *response.status_mut() = StatusCode::NOT_FOUND;
                Ok(response)
            }
        }
    }

    async fn websocket(&self, _: Request<()>, socket: Pending) {
        let Counter(actor) = self;
        let tally = Tally::default();
        // Before its client can know that it is open.
        match actor.kv().put(Tally::key(socket.id()), tally.to_value()).await {
            Ok(()) => serve(actor.clone(), socket.accept_hibernating(), tally).await,
            Err(error) => eprintln!("a WebSocket was refused: {error}"),
        }
    }
}

/// Counts the messages of a WebSocket until it sleeps or ends.
async fn serve(actor: ActorContext, mut socket: HibernatingWebSocket, tally: Tally) {
    if let Err(error) = count(&actor, &mut socket, tally).await {
        // The next life goes on with what was saved.
        actor.crash(error);
    }
}

async fn count(actor: &ActorContext, socket: &mut HibernatingWebSocket, mut tally: Tally) -> Result<(), KvError> {
    while let Some(incoming) = socket.receive().await {
        match incoming {
            HibernatingIncoming::Message { number, message: _ } => {
                tally = Tally { last: number, count: tally.count + 1 };
                actor.kv().put(Tally::key(socket.id()), tally.to_value()).await?;
                socket.handled(number);
                let count = Message::Text(tally.count.to_string().into());
                if socket.send(count).await.is_err() {
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

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let relay = std::env::args().nth(1).ok_or("usage: counters RELAY_URL")?;
    let mut config = Config { relay_urls: vec![relay.clone()], ..Config::default() };
    config.runner.name = "counters".into();
    config.runner.total_slots = 1_000;
    let runner = Runner::host(config, Counters)?;
    runner.ready().await.map_err(|reason| format!("{reason:?}"))?;
    println!("ready relay={relay}");
    tokio::select! {
        reason = runner.stopped() => Err(format!("{reason:?}").into()),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            runner.drain().await;
            Ok(())
        }
    }
}
