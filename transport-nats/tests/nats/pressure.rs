//! More comes than is taken.

use std::time::Duration;

use tokio::time::timeout;
use underpass_core::bus::{Address, Bus, Delivery, Subject};
use underpass_nats_server::NatsServer;
use underpass_transport_nats::{BusConfig, Config};

use crate::given::{Holder, RELAY, answer, bus, config, connect, delivery, tell};

/// How long nothing comes when nothing more is to come.
const SILENCE: Duration = Duration::from_millis(200);

/// Publishes numbers without a pause, then waits until the last has come. What was missing before each that came, and
/// whether that was told.
async fn flood(gateway: &mut Holder, relay: &Holder, frames: u32) -> u32 {
    for number in 0..frames {
        relay.publish(answer(number.to_be_bytes().to_vec()));
    }
    let (mut next, mut missing, mut told) = (0, 0, false);
    while next < frames {
        // When nothing comes any more the last was among those that are missing.
        let Ok(came) = timeout(SILENCE, gateway.next()).await else {
            relay.publish(answer((frames - 1).to_be_bytes().to_vec()));
            continue;
        };
        match came {
            Delivery::Lost { from } => {
                assert_eq!(from, Some(Address::Relay(RELAY)));
                told = true;
            }
            Delivery::Frame { frame, reply_to: Some(Subject::Connection(_)), .. } => {
                let number = u32::from_be_bytes(frame.into_bytes()[..].try_into().unwrap());
                assert!(number >= next, "{number} came after {next}");
                assert!(number == next || told, "{next} is missing before {number}, and nobody said so");
                missing += number - next;
                (next, told) = (number + 1, false);
            }
            other => panic!("{other:?}"),
        }
    }
    missing
}

#[test]
fn frames_that_a_small_subscription_has_no_room_for_are_missed() {
    tell(async {
        let server = NatsServer::start();
        let bus = BusConfig { subscription_messages: 4, ..bus() };
        let mut gateway = Holder::gateway(connect(Config { bus, ..config(&server) }).await).await;
        let relay = Holder::relay(connect(config(&server)).await).await;
        let missing = flood(&mut gateway, &relay, 20_000).await;
        assert!(missing > 0);
        assert!(gateway.bus.stats().gaps > 0);
    });
}

#[test]
fn frames_that_a_small_inbox_has_no_room_for_are_missed() {
    tell(async {
        let server = NatsServer::start();
        let bus = BusConfig { inbox_messages: 4, ..bus() };
        let mut gateway = Holder::gateway(connect(Config { bus, ..config(&server) }).await).await;
        let relay = Holder::relay(connect(config(&server)).await).await;
        let missing = flood(&mut gateway, &relay, 20_000).await;
        assert!(missing > 0);
        assert!(gateway.bus.stats().dropped > 0);
        assert_eq!(gateway.bus.stats().gaps, 0);
    });
}

#[test]
fn nothing_is_missed_as_it_comes() {
    tell(async {
        let server = NatsServer::start();
        let mut gateway = Holder::gateway(connect(config(&server)).await).await;
        let relay = Holder::relay(connect(config(&server)).await).await;
        assert_eq!(flood(&mut gateway, &relay, 60_000).await, 0);
        relay.bus.flush().await;
        assert_eq!(relay.bus.stats().outgoing, 0);
    });
}

#[test]
fn what_was_flushed_arrives_though_the_bus_is_gone() {
    tell(async {
        let server = NatsServer::start();
        let mut gateway = Holder::gateway(connect(config(&server)).await).await;
        let bus = connect(config(&server)).await.bus();
        for number in 0..10_000_u32 {
            bus.publish(answer(number.to_be_bytes().to_vec())).unwrap();
        }
        bus.flush().await;
        drop(bus);
        for number in 0..10_000_u32 {
            assert_eq!(gateway.next().await, delivery(answer(number.to_be_bytes().to_vec())));
        }
    });
}

#[test]
fn a_gap_that_a_stranger_makes_is_told_of_its_publisher_alone() {
    tell(async {
        let server = NatsServer::start();
        let mut gateway = Holder::gateway(connect(config(&server)).await).await;
        let relay = connect(config(&server)).await.bus();
        relay.publish(answer("a")).unwrap();
        assert_eq!(gateway.next().await, delivery(answer("a")));
        // Its next frame is published where the gateway is not: its address is given back meanwhile.
        drop(gateway);
        relay.publish(answer("b")).unwrap();
        let mut gateway = Holder::gateway(connect(config(&server)).await).await;
        let mut payloads = Vec::new();
        let other = connect(config(&server)).await.bus();
        other.publish(answer("x")).unwrap();
        while payloads.len() < 2 {
            relay.publish(answer("c")).unwrap();
            match gateway.next().await {
                Delivery::Frame { frame, .. } => {
                    let payload = frame.into_bytes();
                    if !payloads.contains(&payload) && payload != "b" {
                        payloads.push(payload);
                    }
                }
                Delivery::Lost { from } => {
                    assert_eq!(from, Some(Address::Relay(RELAY)));
                    assert!(!payloads.contains(&"c".into()));
                }
                told => panic!("{told:?}"),
            }
        }
    });
}
