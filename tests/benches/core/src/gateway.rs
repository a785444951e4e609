//! A gateway sends and receives on a WebSocket.

use std::hint::black_box;

use underpass_core::Frame;
use underpass_tests::talking::Talking;

use crate::measure::{self, Cost};
use crate::{PAYLOADS, beside_goal, head, row};

const GOAL: f64 = 120.0;

/// Both ways, by payload, also where what the client says is kept until it is acknowledged.
pub(crate) fn table() {
    head("A gateway, from the event to the action", &["a gateway", "payload", "time", "allocations", "goal"]);
    for (payload, shown) in PAYLOADS {
        let mut plain = Talking::on(1, payload);
        let mut kept = Talking::on_some_that_hibernate(1, payload);
        for (what, cost) in [
            ("sends", sends(&mut plain)),
            ("receives", receives(&mut plain)),
            ("hears that it was consumed", consumes(&mut plain)),
            ("sends, hibernating", sends(&mut kept)),
            ("receives, hibernating", receives(&mut kept)),
        ] {
            let [cost, allocations, goal] = beside_goal(cost, GOAL);
            row(&[what.into(), shown.into(), cost, allocations, goal]);
        }
    }
    println!();
}

fn sends(talking: &mut Talking) -> Cost {
    let count = talking.most();
    let talking = std::cell::RefCell::new(talking);
    let prepare = |_| talking.borrow_mut().settle(0);
    let cost = measure::each(count, prepare, |()| {
        let mut talking = talking.borrow_mut();
        for _ in 0..count {
            black_box(talking.sends(0));
        }
    });
    talking.borrow_mut().settle(0);
    cost
}

/// What came was consumed before more comes.
fn come(talking: &mut Talking, taken: usize, count: usize) -> Vec<Frame> {
    for _ in 0..taken {
        talking.consumes(0);
    }
    talking.incoming(0, count)
}

fn receives(talking: &mut Talking) -> Cost {
    let count = talking.most();
    let talking = std::cell::RefCell::new(talking);
    let mut taken = 0;
    let prepare = |count| come(&mut talking.borrow_mut(), std::mem::replace(&mut taken, count), count);
    let cost = measure::each(count, prepare, |frames| {
        let mut talking = talking.borrow_mut();
        for frame in frames {
            black_box(talking.receives(0, frame));
        }
    });
    come(&mut talking.borrow_mut(), count, 0);
    cost
}

fn consumes(talking: &mut Talking) -> Cost {
    let count = talking.most();
    let talking = std::cell::RefCell::new(talking);
    let prepare = |count| {
        let mut talking = talking.borrow_mut();
        for frame in talking.incoming(0, count) {
            talking.receives(0, frame);
        }
    };
    measure::each(count, prepare, |()| {
        let mut talking = talking.borrow_mut();
        for _ in 0..count {
            black_box(talking.consumes(0));
        }
    })
}
