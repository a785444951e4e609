//! Runs seeds of the simulator.
//!
//! ```text
//! sim --seed N [--trace]        one seed; the same twice
//! sim --seeds N [--from M]      so many
//! sim --soak                    a million
//!     --hibernation             only such seeds as have WebSockets that can hibernate
//!     --threads N               on so many threads, each with its own seeds (2)
//!     --timing                  how long it took, and how many events a second those were
//!     --first                   only which seed fails first, and why; as tests/planted wants it
//!     --keep-going              also after a seed has failed
//! ```

use std::process::ExitCode;

use underpass_tests::sim::seeds::{Options, Wanted};

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("sim: {wrong}; see tests/src/bin/sim.rs");
            return ExitCode::from(2);
        }
    };
    let passed = match options.wanted {
        Wanted::One(seed) => options.one(seed),
        Wanted::Many { .. } => options.many(),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
