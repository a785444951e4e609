//! The server goes away, and comes again.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use underpass_core::bus::{Bus, Delivery, Publication, PublishError};
use underpass_nats_server::NatsServer;
use underpass_transport_nats::{BusConfig, Config};

use crate::given::{Holder, answer, bus, chunk, config, connect, delivery, pattern, ping, rejected, tell};

#[test]
fn what_is_published_meanwhile_arrives_when_it_is_back_and_both_sides_know_that_something_may_be_lost() {
    tell(async {
        let mut server = NatsServer::start();
        let mut gateway = Holder::gateway(connect(config(&server)).await).await;
        let mut relay = Holder::relay(connect(config(&server)).await).await;
        for round in 0..3_u8 {
            server.kill();
            gateway.until(false).await;
            relay.until(false).await;
            relay.publish(answer(vec![round]));
            gateway.publish(chunk(round, pattern(round, 100_000)));
            server.start_again();
            let lost = Delivery::Lost { from: None };
            assert_eq!(gateway.next().await, lost);
            assert_eq!(gateway.next().await, delivery(answer(vec![round])));
            assert_eq!(relay.next().await, lost);
            assert_eq!(relay.next().await, delivery(chunk(round, pattern(round, 100_000))));
        }
        assert_eq!((gateway.bus.stats().away, gateway.bus.stats().gaps), (3, 0));
    });
}

#[test]
fn what_waits_for_a_server_that_comes_back_with_less_room_keeps_its_order() {
    tell(async {
        let mut server = NatsServer::start();
        let gateway = Holder::gateway(connect(config(&server)).await).await;
        let mut relay = Holder::relay(connect(config(&server)).await).await;
        server.kill();
        gateway.until(false).await;
        relay.until(false).await;
        let lengths = [100_000, 10, 3_000_000, 20];
        for request in [1, 2] {
            for length in lengths {
                gateway.publish(chunk(request, pattern(request, length)));
            }
            gateway.publish(ping(request));
        }
        server.start_again_with("max_payload: 64KB");
        let (mut came, mut pings) = ([Vec::new(), Vec::new()], 0);
        while came.iter().any(|came| came.len() < lengths.len()) || pings < 2 {
            let next = relay.next_but_losses().await;
            // Nothing was published behind the first that it could overtake, nor before the second.
            if next == delivery(ping(pings + 1)) {
                assert!(came[..=usize::from(pings)].iter().all(|came| came.len() == lengths.len()), "{came:?}");
                pings += 1;
                continue;
            }
            let is_next = |request: usize| {
                let length = lengths.get(came[request].len())?;
                let seed = request as u8 + 1;
                (next == delivery(chunk(seed, pattern(seed, *length)))).then_some((request, *length))
            };
            let (request, length) = is_next(0).or_else(|| is_next(1)).expect("what is next of one of the requests");
            came[request].push(length);
        }
        assert_eq!(gateway.bus.stats().outgoing, 0);
    });
}

#[test]
fn what_waits_for_it_too_long_comes_back() {
    tell(async {
        let mut server = NatsServer::start();
        let bus = BusConfig { publish: Duration::from_millis(200), receipt: Duration::from_millis(400), ..bus() };
        let mut gateway = Holder::gateway(connect(Config { bus, ..config(&server) }).await).await;
        server.kill();
        gateway.until(false).await;
        let (small, large) = (chunk(1, pattern(1, 10)), chunk(2, pattern(2, 3_000_000)));
        let behind = chunk(2, pattern(2, 20));
        for publication in [&large, &behind, &small] {
            gateway.publish(publication.clone());
        }
        let mut waiting = vec![small, large, behind];
        while !waiting.is_empty() {
            let back = gateway.next().await;
            let is_back = |waiting: &Publication| back == rejected(waiting.clone(), PublishError::Disconnected);
            let place = waiting.iter().position(is_back).expect("one that waits");
            waiting.remove(place);
        }
        let stats = gateway.bus.stats();
        assert_eq!((stats.outgoing, stats.outgoing_bytes, stats.rejected), (0, 0, 3));
    });
}

#[test]
fn one_small_frame_behind_which_nothing_comes_comes_back_as_well() {
    tell(async {
        let mut server = NatsServer::start();
        let bus = BusConfig { publish: Duration::from_millis(200), ..bus() };
        let mut gateway = Holder::gateway(connect(Config { bus, ..config(&server) }).await).await;
        server.kill();
        gateway.until(false).await;
        // Nothing is under way, and so nobody looks when to come back.
        tokio::time::sleep(Duration::from_millis(100)).await;
        gateway.publish(chunk(1, pattern(1, 10)));
        let back = timeout(Duration::from_secs(2), gateway.next()).await.expect("it comes back in time");
        assert_eq!(back, rejected(chunk(1, pattern(1, 10)), PublishError::Disconnected));
    });
}

#[test]
fn large_frames_that_wait_for_each_other_come_back_when_each_has_waited_too_long() {
    tell(async {
        let mut server = NatsServer::start();
        let bus = BusConfig { publish: Duration::from_secs(1), receipt: Duration::from_secs(3), ..bus() };
        let mut gateway = Holder::gateway(connect(Config { bus, ..config(&server) }).await).await;
        server.kill();
        gateway.until(false).await;
        let large = [1, 2, 3, 4].map(|request| chunk(request, pattern(request, 3_000_000)));
        for publication in &large {
            gateway.publish(publication.clone());
        }
        let start = Instant::now();
        for _ in &large {
            assert!(matches!(gateway.next().await, Delivery::Rejected(_)));
        }
        let took = start.elapsed();
        assert!(took > Duration::from_millis(800) && took < Duration::from_millis(1900), "{took:?}");
        assert_eq!((gateway.bus.stats().outgoing, gateway.bus.stats().outgoing_bytes), (0, 0));
    });
}

#[test]
fn a_bus_that_may_not_hold_more_gives_it_back_at_once() {
    tell(async {
        let mut server = NatsServer::start();
        let bus = BusConfig { outgoing_messages: 2, ..bus() };
        let mut relay = Holder::relay(connect(Config { bus, ..config(&server) }).await).await;
        let mut gateway = Holder::gateway(connect(config(&server)).await).await;
        server.kill();
        relay.until(false).await;
        relay.publish(answer("a"));
        relay.publish(answer("b"));
        let full = relay.bus.publish(answer("c")).unwrap_err();
        assert_eq!((full.reason, full.publication), (PublishError::Full, answer("c")));
        server.start_again();
        for payload in ["a", "b"] {
            assert_eq!(gateway.next_but_losses().await, delivery(answer(payload)));
        }
        assert_eq!(relay.next().await, Delivery::Lost { from: None });
        relay.publish(answer("d"));
        assert_eq!(gateway.next().await, delivery(answer("d")));
    });
}

#[test]
fn a_server_that_stands_still_loses_nothing_that_it_has_taken() {
    tell(async {
        let server = NatsServer::start();
        let mut gateway = Holder::gateway(connect(config(&server)).await).await;
        let relay = Holder::relay(connect(config(&server)).await).await;
        server.freeze();
        // More than fits on the way: the rest waits here.
        const FRAMES: usize = 300;
        for frame in 0..FRAMES {
            relay.publish(answer(pattern(frame as u8, 60_000)));
            tokio::task::yield_now().await;
        }
        assert!(relay.bus.stats().outgoing > 0);
        server.thaw();
        for frame in 0..FRAMES {
            assert_eq!(gateway.next().await, delivery(answer(pattern(frame as u8, 60_000))));
        }
        assert_eq!((relay.bus.stats().outgoing, gateway.bus.stats().away), (0, 0));
    });
}

#[test]
fn a_large_frame_that_the_server_dies_over_arrives_once_or_comes_back() {
    tell(async {
        let mut server = NatsServer::start();
        let bus = BusConfig { receipt: Duration::from_secs(2), window: 2_000_000, ..bus() };
        let mut gateway = Holder::gateway(connect(Config { bus, ..config(&server) }).await).await;
        let mut relay = Holder::relay(connect(config(&server)).await).await;
        let (mut arrived, mut returned) = (0, 0);
        for round in 0..5_u8 {
            let sent = chunk(round, pattern(round, 8_000_000));
            gateway.publish(sent.clone());
            // Somewhere on its way.
            for _ in 0..10 * u32::from(round) {
                tokio::task::yield_now().await;
            }
            server.kill();
            gateway.until(false).await;
            server.start_again();
            // Behind it goes another, so that nothing more can come of the first.
            let last = chunk(round, pattern(round, 10));
            let mut ends = 0;
            gateway.publish(last.clone());
            while ends < 2 {
                let told = tokio::select! {
                    came = relay.next_but_losses() => {
                        arrived += usize::from(came == delivery(sent.clone()));
                        came
                    }
                    back = gateway.next_but_losses() => {
                        let reasons = [PublishError::Disconnected, PublishError::Unsure];
                        returned += usize::from(reasons.iter().any(|reason| back == rejected(sent.clone(), *reason)));
                        back
                    }
                };
                ends += 1;
                assert!(matches!(told, Delivery::Frame { .. } | Delivery::Rejected(_)), "{told:?}");
            }
        }
        assert_eq!(arrived + returned, 5, "{arrived} arrived, {returned} came back");
        assert!(arrived >= 1);
    });
}
