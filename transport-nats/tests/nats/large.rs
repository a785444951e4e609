//! Frames larger than the server takes.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use underpass_core::bus::{Bus, Delivery, PublishError};
use underpass_nats_server::NatsServer;
use underpass_transport_nats::{BusConfig, Config};

use crate::given::{Holder, answer, bus, chunk, config, connect, connection, delivery, pattern, rejected, tell};

#[test]
fn a_server_that_takes_little_carries_large_frames_both_ways() {
    tell(async {
        let server = NatsServer::with("max_payload: 64KB");
        let mut gateway = Holder::gateway(connect(config(&server)).await).await;
        let mut relay = Holder::relay(connect(config(&server)).await).await;
        for length in [65_000, 65_536, 66_000, 5 * 1024 * 1024] {
            let (there, back) = (chunk(1, pattern(1, length)), answer(pattern(2, length)));
            gateway.publish(there.clone());
            relay.publish(back.clone());
            assert!(relay.next().await == delivery(there));
            assert!(gateway.next().await == delivery(back));
        }
    });
}

#[test]
fn small_frames_of_other_requests_pass_a_large_one_and_those_of_its_own_do_not() {
    tell(async {
        let server = NatsServer::start();
        let gateway = Holder::gateway(connect(config(&server)).await).await;
        let mut relay = Holder::relay(connect(config(&server)).await).await;
        let (large, behind, other) = (pattern(1, 9_000_000), pattern(1, 10), pattern(2, 10));
        gateway.publish(chunk(1, large.clone()));
        gateway.publish(chunk(1, behind.clone()));
        gateway.publish(chunk(2, other.clone()));
        for expected in [chunk(2, other), chunk(1, large), chunk(1, behind)] {
            assert!(relay.next().await == delivery(expected));
        }
    });
}

#[test]
fn many_large_frames_to_one_subscriber_do_not_have_it_cut_off() {
    tell(async {
        // All of them are more than the server keeps for a subscriber.
        let server = NatsServer::with("max_pending: 12MB");
        let mut gateway = Holder::gateway(connect(config(&server)).await).await;
        let mut relays = Vec::new();
        for seed in 0..4 {
            let bus = connect(config(&server)).await.bus();
            bus.publish(answer(pattern(seed, 32 * 1024 * 1024))).unwrap();
            relays.push(bus);
        }
        let mut came = Vec::new();
        for _ in 0..4 {
            let Delivery::Frame { frame, .. } = gateway.next().await else { panic!() };
            let body = frame.into_bytes();
            came.push(body[0]);
            assert!(body == pattern(body[0], 32 * 1024 * 1024));
        }
        came.sort();
        assert_eq!(came, [0, 1, 2, 3]);
        assert_eq!((gateway.bus.stats().away, gateway.bus.stats().delivered), (0, 4));
    });
}

#[test]
fn a_large_frame_for_nobody_comes_back() {
    tell(async {
        let server = NatsServer::start();
        let mut gateway = Holder::gateway(connect(config(&server)).await).await;
        let (large, behind) = (chunk(1, pattern(1, 3_000_000)), chunk(1, pattern(1, 10)));
        gateway.publish(large.clone());
        gateway.publish(behind.clone());
        assert_eq!(gateway.next().await, rejected(large, PublishError::NoResponders));
        assert_eq!(gateway.next().await, rejected(behind, PublishError::NoResponders));
        assert_eq!(gateway.next().await, Delivery::NoResponders { to: connection(1) });
        assert_eq!(gateway.bus.stats().outgoing, 0);
    });
}

#[test]
fn a_large_frame_of_which_nothing_is_heard_comes_back_and_holds_nobody_up() {
    tell(async {
        let server = NatsServer::start();
        let bus = BusConfig { receipt: Duration::from_millis(300), ..bus() };
        let mut gateway = Holder::gateway(connect(Config { bus, ..config(&server) }).await).await;
        // Somebody listens, and is no relay.
        let stranger = async_nats::connect(server.url()).await.unwrap();
        let mut heard = stranger.subscribe(format!("underpass.{}", connection(1))).await.unwrap();
        stranger.flush().await.unwrap();
        let _ = stranger.request("nobody", "".into()).await;
        let (first, second, other) =
            (chunk(1, pattern(1, 3_000_000)), chunk(2, pattern(2, 3_000_000)), chunk(3, pattern(3, 10)));
        for publication in [&first, &second, &other] {
            gateway.publish(publication.clone());
        }
        // The first is announced, the other passes it, the second is announced when the first is given up.
        for kind in [0x11, 0x10, 0x11] {
            assert_eq!(heard.next().await.unwrap().payload[0], kind);
        }
        for publication in [first, second] {
            assert_eq!(gateway.next().await, rejected(publication, PublishError::Disconnected));
        }
    });
}

#[test]
fn a_frame_larger_than_the_other_side_takes_comes_back() {
    tell(async {
        let server = NatsServer::start();
        let bus = BusConfig { largest_message: 2_000_000, ..bus() };
        let mut relay = Holder::relay(connect(Config { bus, ..config(&server) }).await).await;
        let mut gateway = Holder::gateway(connect(config(&server)).await).await;
        let large = chunk(1, pattern(1, 2_000_001));
        gateway.publish(large.clone());
        assert_eq!(gateway.next().await, rejected(large, PublishError::TooLarge));
        gateway.publish(chunk(2, pattern(2, 10)));
        assert_eq!(relay.next().await, delivery(chunk(2, pattern(2, 10))));
    });
}

#[test]
fn a_large_frame_that_arrived_and_of_which_no_word_came_back_is_said_to_have_arrived_perhaps() {
    tell(async {
        let server = NatsServer::start();
        let slow = BusConfig { receipt: Duration::from_secs(1), ..bus() };
        let mut gateway = Holder::gateway(connect(Config { bus: slow, ..config(&server) }).await).await;
        let servers = vec![without_receipts(&server, 1).await];
        let mut relay = Holder::relay(connect(Config { servers, ..config(&server) }).await).await;
        let (large, behind) = (chunk(1, pattern(1, 3_000_000)), chunk(1, pattern(1, 10)));
        gateway.publish(large.clone());
        gateway.publish(behind.clone());
        assert!(relay.next().await == delivery(large.clone()));
        assert!(gateway.next().await == rejected(large, PublishError::Unsure));
        // This never went out.
        assert_eq!(gateway.next().await, rejected(behind, PublishError::Disconnected));
        assert_eq!(gateway.bus.stats().outgoing, 0);
    });
}

/// A way to the server on which nothing that a client says goes through behind so many receipts.
async fn without_receipts(server: &NatsServer, but: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, behind) = (format!("nats://{}", listener.local_addr().unwrap()), server.address().to_owned());
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = TcpStream::connect(&behind).await.unwrap().into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let (mut buffer, mut receipts) = (vec![0; 65_536], 0);
                while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                    to_server.write_all(&buffer[..length]).await.unwrap();
                    receipts += buffer[..length].windows(19).filter(|window| window == b"PUB underpass.back.").count();
                    if receipts >= but {
                        // It stays open.
                        std::future::pending::<()>().await;
                    }
                }
            });
        }
    });
    url
}
