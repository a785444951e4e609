//! Instructions, as valgrind counts them: the same on a busy machine, so there is a most for each.
//!
//! The table starts this program once more for each row, under callgrind, which counts what [`counted`] does.

use std::env;
use std::hint::black_box;
use std::process::{Command, Stdio};

use underpass_core::gateway::Event;
use underpass_core::{Machine, Time};
use underpass_tests::carrying::Carrying;
use underpass_tests::talking::Talking;

use crate::{head, row};

/// By what argument the program knows that it is to be counted.
pub(crate) const ARGUMENT: &str = "count";

/// How often each piece of work is done.
const TIMES: usize = 2_000;

/// Something that is counted.
struct Work {
    name: &'static str,
    payload: usize,
    /// Instructions each time, at most.
    most: usize,
    run: fn(usize),
}

const WORKS: [Work; 7] = [
    Work { name: "a relay carries 64 B to the runner", payload: 64, most: 1_160, run: to_runner },
    Work { name: "a relay carries 1 MiB to the runner", payload: 1 << 20, most: 1_160, run: to_runner },
    Work { name: "a relay carries 64 B to the gateway", payload: 64, most: 1_210, run: to_gateway },
    Work { name: "a relay carries 1 MiB to the gateway", payload: 1 << 20, most: 1_210, run: to_gateway },
    Work { name: "a gateway sends 64 B", payload: 64, most: 1_630, run: sends },
    Work { name: "a gateway receives 64 B", payload: 64, most: 1_210, run: receives },
    Work { name: "a tick with nothing due, 10,000 WebSockets open", payload: 64, most: 190, run: ticks },
];

/// Each work's instructions, and whether none has more than it may.
pub(crate) fn table() -> bool {
    head("Instructions (goals: what the tests allow)", &["what", "instructions", "at most"]);
    let mut kept = true;
    for (number, work) in WORKS.iter().enumerate() {
        let Some(instructions) = count(number) else {
            println!("valgrind is not there, or does not say what it counted.\n");
            return false;
        };
        let fits = instructions <= work.most;
        kept &= fits;
        let most = format!("{}{}", work.most, if fits { "" } else { ", exceeded" });
        row(&[work.name.into(), instructions.to_string(), most]);
    }
    println!();
    kept
}

/// Instructions that a work takes each time.
fn count(number: usize) -> Option<usize> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*instructions::counted*"])
        .arg(env::current_exe().ok()?)
        .args([ARGUMENT, &number.to_string()])
        .stdout(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "))?.1;
    Some(collected.trim().parse::<usize>().ok()? / TIMES)
}

/// Does a work, for who counts.
pub(crate) fn run(number: &str) {
    let work = number.parse().ok().and_then(|number: usize| WORKS.get(number)).expect("the number of a work");
    (work.run)(work.payload);
}

/// What is counted.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

fn to_runner(payload: usize) {
    let mut carrying = Carrying::new(payload);
    black_box(carrying.down());
    counted(&mut || (0..TIMES).for_each(|_| drop(black_box(carrying.down()))));
}

fn to_gateway(payload: usize) {
    let mut carrying = Carrying::new(payload);
    black_box(carrying.up());
    counted(&mut || (0..TIMES).for_each(|_| drop(black_box(carrying.up()))));
}

fn sends(payload: usize) {
    let mut talking = Talking::on(1, payload);
    let most = talking.most();
    for _ in 0..TIMES / most {
        counted(&mut || (0..most).for_each(|_| drop(black_box(talking.sends(0)))));
        talking.settle(0);
    }
    counted(&mut || (0..TIMES % most).for_each(|_| drop(black_box(talking.sends(0)))));
}

fn receives(payload: usize) {
    let mut talking = Talking::on(1, payload);
    let mut left = TIMES;
    while left > 0 {
        let frames = talking.incoming(0, talking.most().min(left));
        left -= frames.len();
        let count = frames.len();
        let mut frames = frames.into_iter();
        counted(&mut || frames.by_ref().for_each(|frame| drop(black_box(talking.receives(0, frame)))));
        for _ in 0..count {
            talking.consumes(0);
        }
    }
}

fn ticks(payload: usize) {
    let mut gateway = Talking::on(10_000, payload).gateway;
    counted(&mut || {
        for _ in 0..TIMES {
            gateway.handle(Event::Tick, Time::ZERO).expect("no misuse");
        }
    });
}
