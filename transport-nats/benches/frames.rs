//! Frames a second and their latency, over the bus and beside it over the client alone, in turn.
//!
//! ```sh
//! cargo bench -p underpass-transport-nats --bench frames
//! ```

use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use bytes::Bytes;
use futures_util::StreamExt;
use underpass_core::Frame;
use underpass_core::bus::{Address, Bus, ConnectionId, Delivery, Inbox, Publication, RelayId, Subject};
use underpass_core::protocol::GatewayId;
use underpass_nats_server::NatsServer;
use underpass_transport_nats::{BusConfig, Config, Nats, NatsBus, NatsInbox};
use uuid::Uuid;

const GATEWAY: GatewayId = GatewayId([0, 0, 0, 7]);
const RELAY: RelayId = RelayId(Uuid::from_u128(1));
/// Payloads in bytes, and how many of them.
const SIZES: [(usize, u32); 3] = [(64, 1_000_000), (1024, 500_000), (64 * 1024, 15_000)];
const ROUNDS: u32 = 3;
const ECHOES: u32 = 5_000;

#[tokio::main]
async fn main() {
    let server = NatsServer::start();
    println!("| frames a second, of so many bytes | async-nats alone | the bus | share |");
    println!("| --- | --- | --- | --- |");
    for (size, count) in SIZES {
        let (mut alone, mut bus) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            alone.push(f64::from(count) / flood_alone(&server, size, count).await.as_secs_f64());
            bus.push(f64::from(count) / flood(&server, size, count).await.as_secs_f64());
        }
        let (alone, bus) = (median(alone), median(bus));
        println!("| {size} | {alone:.0} | {bus:.0} | {:.2} |", bus / alone);
    }
    println!("\n| there and back, so many bytes | async-nats alone | the bus |");
    println!("| --- | --- | --- |");
    for (size, _) in SIZES {
        let alone = echo_alone(&server, size).await;
        let bus = echo(&server, size).await;
        let shown = |times: &[Duration]| {
            let at = |share: usize| times[times.len() * share / 100].as_micros();
            format!("p50 {} µs, p99 {} µs", at(50), at(99))
        };
        println!("| {size} | {} | {} |", shown(&alone), shown(&bus));
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

async fn client(server: &NatsServer) -> async_nats::Client {
    ConnectOptions::new().subscription_capacity(1 << 22).connect(server.url()).await.unwrap()
}

async fn flood_alone(server: &NatsServer, size: usize, count: u32) -> Duration {
    let (ours, theirs) = (client(server).await, client(server).await);
    let mut inbox = ours.subscribe("flood").await.unwrap();
    attached(&ours).await;
    let payload = Bytes::from(vec![7; size]);
    let start = Instant::now();
    let reading = tokio::spawn(async move {
        for _ in 0..count {
            inbox.next().await.unwrap();
        }
    });
    for _ in 0..count {
        theirs.publish("flood", payload.clone()).await.unwrap();
    }
    reading.await.unwrap();
    start.elapsed()
}

/// Waits until the server has heard of the subscriptions.
async fn attached(client: &async_nats::Client) {
    let _ = client.request("nobody", Bytes::new()).await;
}

/// With as much room as the client has alone: here nobody waits for anybody, as requests do.
async fn bus(server: &NatsServer) -> NatsBus {
    let room = 1 << 22;
    let bus =
        BusConfig { subscription_messages: room, inbox_messages: room, inbox_bytes: 1 << 32, ..BusConfig::default() };
    Nats::connect(Config { servers: vec![server.url()], bus, ..Config::default() }).await.unwrap().bus()
}

fn publication(to: Subject, from: Subject, payload: &Bytes) -> Publication {
    Publication { to, reply_to: Some(from), frame: Frame::new(b"a small head", payload.clone(), None) }
}

fn gateway() -> Subject {
    Subject::Gateway(GATEWAY)
}

fn connection() -> Subject {
    Subject::Connection(ConnectionId { relay: RELAY, number: 1 })
}

async fn flood(server: &NatsServer, size: usize, count: u32) -> Duration {
    let (ours, theirs) = (bus(server).await, bus(server).await);
    let mut inbox = ours.attach(Address::Gateway(GATEWAY)).await.unwrap();
    let payload = Bytes::from(vec![7; size]);
    let start = Instant::now();
    let reading = tokio::spawn(async move {
        let (mut came, mut deliveries) = (0, Vec::new());
        while came < count {
            inbox.receive(&mut deliveries).await.unwrap();
            for delivery in deliveries.drain(..) {
                assert!(matches!(delivery, Delivery::Frame { .. }), "{delivery:?}");
                came += 1;
            }
        }
    });
    for _ in 0..count {
        let mut next = publication(gateway(), connection(), &payload);
        while let Err(full) = theirs.publish(next) {
            // As the client alone waits when it is full.
            next = full.publication;
            theirs.flush().await;
        }
    }
    reading.await.unwrap();
    start.elapsed()
}

async fn echo_alone(server: &NatsServer, size: usize) -> Vec<Duration> {
    let (ours, theirs) = (client(server).await, client(server).await);
    let (mut there, mut back) = (theirs.subscribe("there").await.unwrap(), ours.subscribe("back").await.unwrap());
    attached(&ours).await;
    attached(&theirs).await;
    let echoing = tokio::spawn(async move {
        while let Some(message) = there.next().await {
            theirs.publish("back", message.payload).await.unwrap();
        }
    });
    let payload = Bytes::from(vec![7; size]);
    let mut times = Vec::new();
    for _ in 0..ECHOES {
        let start = Instant::now();
        ours.publish("there", payload.clone()).await.unwrap();
        back.next().await.unwrap();
        times.push(start.elapsed());
    }
    echoing.abort();
    times.sort();
    times
}

async fn echo(server: &NatsServer, size: usize) -> Vec<Duration> {
    let (ours, theirs) = (bus(server).await, bus(server).await);
    let mut back = ours.attach(Address::Gateway(GATEWAY)).await.unwrap();
    let mut there = theirs.attach(Address::Relay(RELAY)).await.unwrap();
    let payload = Bytes::from(vec![7; size]);
    let answer = payload.clone();
    let echoing = tokio::spawn(async move {
        loop {
            one(&mut there).await;
            theirs.publish(publication(gateway(), connection(), &answer)).unwrap();
        }
    });
    let mut times = Vec::new();
    for _ in 0..ECHOES {
        let start = Instant::now();
        ours.publish(publication(connection(), gateway(), &payload)).unwrap();
        one(&mut back).await;
        times.push(start.elapsed());
    }
    echoing.abort();
    times.sort();
    times
}

async fn one(inbox: &mut NatsInbox) {
    let mut deliveries = Vec::new();
    inbox.receive(&mut deliveries).await.unwrap();
    assert_eq!(deliveries.len(), 1, "{deliveries:?}");
}
