//! What WebSockets that can hibernate cost: room while they sleep, and nothing for each message while they do not.

use bytes::Bytes;
use underpass_core::Machine;
use underpass_core::gateway::Event;
use underpass_core::http::Message;
use underpass_core::protocol::tunnel::to_server::{Kind, WebSocketMessage};
use underpass_tests::given::actors::running;
use underpass_tests::given::gateway::credit;
use underpass_tests::given::hibernation::ack;
use underpass_tests::sleepers::{Sleepers, actor};

/// Bytes for each WebSocket that sleeps.
const GOAL: f64 = 256.0;

#[test]
fn one_that_sleeps_takes_little_room_whether_or_not_it_shares_its_actor() {
    for of_each_actor in [100, 1] {
        let count = 100_000;
        let mut built = None;
        let counted = allocation_counter::measure(|| built = Some(Sleepers::asleep(count, of_each_actor)));
        let sleepers = built.expect("it was built");
        let stats = sleepers.gateway.stats();
        assert_eq!((stats.hibernating, stats.hibernating_actors), (count, count / of_each_actor));
        // The test's own list of them is not the gateway's.
        let listed = sleepers.keys.capacity() * size_of_val(&sleepers.keys[0]);
        let each = (counted.bytes_current as f64 - listed as f64) / count as f64;
        println!("{of_each_actor} of each actor: {each:.1} bytes for each WebSocket that sleeps");
        assert!(each <= GOAL, "{each:.1} bytes each, {of_each_actor} of each actor");
    }
}

#[test]
fn one_that_is_awake_allocates_nothing_for_a_message_of_either_side() {
    let mut sleepers = Sleepers::new(1);
    let actor = actor(0);
    sleepers.shows(&actor, 1, running(1));
    let id = sleepers.opens(&actor);
    let key = sleepers.keys[0];
    let mut carry = |from: u16, to: u16| {
        for number in from..to {
            let message = Message::Binary(Bytes::from_static(&[0; 1_024]));
            sleepers.input(Event::WebSocketMessage { key, message });
            let data = Bytes::from_static(&[0; 1_024]);
            sleepers.hears(id, 2 * number - 1, Kind::WebSocketMessage(WebSocketMessage { data, binary: true }));
            sleepers.input(Event::Consumed { key, bytes: 1_024 });
            sleepers.hears(id, 2 * number, ack(number));
            sleepers.hears(id, 0, Kind::Credit(credit(u32::from(number) * 1_024)));
        }
    };
    // The first ones find queues that have yet to grow.
    carry(1, 100);
    let counted = allocation_counter::measure(|| carry(100, 1_100));
    assert_eq!(counted.count_total, 0, "allocations for 1,000 messages of each side");
}
