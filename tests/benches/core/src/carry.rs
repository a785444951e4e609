//! A relay carries a frame.

use underpass_tests::carrying::Carrying;

use crate::{PAYLOADS, beside_goal, head, measure, reference, row, time};

const GOAL: f64 = 60.0;

/// Both ways, by payload.
pub(crate) fn table() {
    let columns = ["a relay carries", "payload", "memcpy", "decode and encode", "relay", "allocations", "goal"];
    head("A relay, from the frame to the action", &columns);
    for (payload, shown) in PAYLOADS {
        let mut carrying = Carrying::new(payload);
        let (down, up) = (carrying.down(), carrying.up());
        let copy = reference::copy(payload);
        let whole = [reference::decode_and_encode(&carrying.from_bus()), reference::decode_and_encode(&up)];
        drop(down);
        let to_runner = measure::one(|| carrying.down());
        let to_gateway = measure::one(|| carrying.up());
        for (way, whole, cost) in [("to the runner", whole[0], to_runner), ("to the gateway", whole[1], to_gateway)] {
            let [cost, allocations, goal] = beside_goal(cost, GOAL);
            let (copy, whole) = (time(copy.nanoseconds), time(whole.nanoseconds));
            row(&[way.into(), shown.into(), copy, whole, cost, allocations, goal]);
        }
    }
    println!();
}
