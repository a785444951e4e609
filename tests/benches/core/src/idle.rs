//! What idle WebSockets cost: room, the time of a tick with nothing due, the time of an event beside them.

use std::hint::black_box;

use underpass_core::{Machine, Relay, Time, gateway, relay};
use underpass_tests::carrying::{opens, relay_with_a_runner};
use underpass_tests::sleepers::Sleepers;
use underpass_tests::talking::Talking;

use crate::measure::{self, Cost};
use crate::{head, row, time};

const COUNTS: [(usize, &str); 4] =
    [(1_000, "1 thousand"), (10_000, "10 thousand"), (100_000, "100 thousand"), (1_000_000, "1 million")];
const PAYLOAD: usize = 64;

/// By their number: at a gateway in whichever way they are idle, and at a relay.
pub(crate) fn table() {
    head(
        "Idle WebSockets (goals: 256 bytes each awake, 1 µs a tick)",
        &["at", "open", "bytes each", "tick with nothing due", "a message sent on one of them", "on any of them"],
    );
    for (count, shown) in COUNTS {
        // Each has said something: what a message needs while it passes is not kept.
        let awake = |mut talking: Talking| {
            for socket in 0..count {
                let frame = talking.incoming(socket, 1).remove(0);
                talking.sends(socket);
                talking.receives(socket, frame);
                talking.consumes(socket);
                talking.settle(socket);
            }
            talking
        };
        let (talking, bytes) = measured(|| awake(Talking::on(count, PAYLOAD)), Talking::overhead);
        report("a gateway", shown, bytes / count as f64, of_talking(talking, count));
        let hibernating = || awake(Talking::on_some_that_hibernate(count, PAYLOAD));
        let (talking, bytes) = measured(hibernating, Talking::overhead);
        report("a gateway, able to hibernate", shown, bytes / count as f64, of_talking(talking, count));
        let listed = |sleepers: &Sleepers| sleepers.keys.capacity() * size_of_val(&sleepers.keys[0]);
        let (mut sleepers, bytes) = measured(|| Sleepers::asleep(count, 100), listed);
        let tick = measure::one(|| sleepers.gateway.handle(gateway::Event::Tick, sleepers.now));
        report("a gateway, asleep", shown, bytes / count as f64, [Some(tick), None, None]);
        let (mut relay, bytes) = measured(|| relay_with_routes(count), |_| 0);
        let tick = measure::one(|| relay.handle(relay::Event::Tick, Time::ZERO));
        report("a relay", shown, bytes / count as f64, [Some(tick), None, None]);
    }
    println!();
}

fn report(at: &str, count: &str, bytes: f64, costs: [Option<Cost>; 3]) {
    let [tick, one, any] = costs.map(|cost| cost.map_or("–".into(), |cost| time(cost.nanoseconds)));
    row(&[at.into(), count.into(), format!("{bytes:.0}"), tick, one, any]);
}

/// What is made, and the bytes that it keeps, less those that the test itself keeps in it.
fn measured<T>(make: impl FnOnce() -> T, own: impl FnOnce(&T) -> usize) -> (T, f64) {
    let mut made = None;
    let counted = allocation_counter::measure(|| made = Some(make()));
    let made = made.expect("it was made");
    let bytes = counted.bytes_current as f64 - own(&made) as f64;
    (made, bytes)
}

fn of_talking(talking: Talking, count: usize) -> [Option<Cost>; 3] {
    let talking = std::cell::RefCell::new(talking);
    let tick = measure::one(|| talking.borrow_mut().gateway.handle(gateway::Event::Tick, Time::ZERO));
    // A step that visits all of them, far from one another.
    let far = 7_919;
    let sends = |step: usize| {
        let mut socket = 0;
        let mut next = move || {
            socket = (socket + step) % count;
            socket
        };
        let prepare = |_| (0..64).map(|_| next()).inspect(|socket| talking.borrow_mut().settle(*socket)).collect();
        measure::each(64, prepare, |sockets: Vec<usize>| {
            let mut talking = talking.borrow_mut();
            for socket in sockets {
                black_box(talking.sends(socket));
            }
        })
    };
    [Some(tick), Some(sends(0)), Some(sends(far))]
}

fn relay_with_routes(count: usize) -> Relay {
    let mut relay = relay_with_a_runner(relay::Config { max_routes_per_connection: count, ..relay::Config::default() });
    for number in 0..count {
        opens(&mut relay, number as u32);
    }
    assert_eq!(relay.stats().routes, count);
    relay
}
