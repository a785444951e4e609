//! What carrying a frame costs in allocations: none, however large its payload is; and an idle WebSocket in room.

use bytes::Bytes;
use underpass_core::http::Body;
use underpass_core::{Machine, gateway, relay, runner};
use underpass_tests::carrying::Carrying;
use underpass_tests::talking::Talking;
use underpass_tests::trio::Trio;
use underpass_tests::wire::{open, status};

const PAYLOADS: [usize; 8] = [0, 1, 64, 127, 128, 1_024, 65_536, 1 << 20];

#[test]
fn a_relay_carries_frames_as_they_are_and_allocates_nothing() {
    for payload in PAYLOADS {
        let mut carrying = Carrying::new(payload);
        // The first ones find queues that have yet to grow.
        let frames = (carrying.down(), carrying.up());
        assert!(frames == carrying.expected(), "payload {payload}");

        let counted = allocation_counter::measure(|| {
            for _ in 0..1_000 {
                let _ = (carrying.down(), carrying.up());
            }
        });
        assert_eq!(counted.count_total, 0, "allocations for 2,000 frames of {payload} bytes");
    }
}

#[test]
fn a_gateway_sends_and_receives_and_allocates_nothing() {
    for payload in PAYLOADS {
        for mut talking in [Talking::on(1, payload), Talking::on_some_that_hibernate(1, payload)] {
            let count = talking.most();
            let mut round = |rounds: usize| {
                let mut allocations = 0;
                for _ in 0..rounds {
                    let frames = talking.incoming(0, count);
                    let counted = allocation_counter::measure(|| {
                        for frame in frames {
                            let _ = talking.sends(0);
                            // That its client pauses, once no credit is left.
                            let _ = talking.gateway.poll_action();
                            let _ = (talking.receives(0, frame), talking.consumes(0));
                        }
                        talking.settle(0);
                    });
                    allocations += counted.count_total;
                }
                allocations
            };
            // The first ones find queues that have yet to grow.
            round(3);
            assert_eq!(round(10), 0, "allocations for {} messages of {payload} bytes each way", 10 * count);
        }
    }
}

#[test]
fn an_exchange_allocates_little() {
    /// What the test notes down is in it, and what only a build with optimizations leaves out.
    const MOST: u64 = 17;
    let mut trio = Trio::alone(gateway::Config::default(), relay::Config::default(), runner::Config::default());
    trio.handler_saw();
    let mut exchange = || {
        trio.open(open("GET", "/", Body::None));
        let [runner::Action::Request { key, .. }] = trio.handler_saw()[..] else { panic!("a request") };
        let body = Body::Whole(Bytes::from_static(b"answer"));
        trio.handler(runner::Event::ResponseStart { key, head: status(200), body });
        assert_eq!(trio.client_saw().len(), 1);
    };
    // The first ones find tables and queues that have yet to grow.
    (0..100).for_each(|_| exchange());
    let least = (0..100).map(|_| allocation_counter::measure(&mut exchange).count_total).min();
    assert!(least.is_some_and(|least| least <= MOST), "{least:?} allocations for an exchange");
}

#[test]
fn an_idle_websocket_takes_little_room_and_none_for_what_passed() {
    const MOST: f64 = 256.0;
    const COUNT: usize = 25_000;
    let mut made = None;
    let counted = allocation_counter::measure(|| {
        let mut talking = Talking::on(COUNT, 64);
        for socket in 0..COUNT {
            let frame = talking.incoming(socket, 1).remove(0);
            let _ = (talking.sends(socket), talking.receives(socket, frame), talking.consumes(socket));
            talking.settle(socket);
        }
        made = Some(talking);
    });
    let own = made.expect("it was made").overhead();
    let each = (counted.bytes_current as f64 - own as f64) / COUNT as f64;
    assert!(each <= MOST, "{each:.0} bytes each");
}
