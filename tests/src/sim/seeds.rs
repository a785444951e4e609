//! Many seeds, on a few threads: each seed is a world of its own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::{Schedule, report, run};

/// What the program was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which seeds.
    pub wanted: Wanted,
    /// Whether each is one of WebSockets that can hibernate.
    pub hibernation: bool,
    /// On how many threads.
    pub threads: usize,
    /// Whether all that happens is told.
    pub traces: bool,
    /// Whether it is told how long that took.
    pub timing: bool,
    /// Whether to go on after a seed has failed.
    pub keeps_going: bool,
    /// Whether only the first seed that fails is told, and why.
    pub first_only: bool,
}

/// Which seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This one.
    One(u64),
    /// Many.
    Many {
        /// The first.
        from: u64,
        /// How many.
        count: u64,
    },
}

/// What came of many seeds.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that failed, in order.
    pub failed: Vec<u64>,
    /// All that was handed to machines.
    pub inputs: u64,
    /// All that they wanted done.
    pub actions: u64,
    /// How many were run.
    pub seeds: u64,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn read(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            wanted: Wanted::Many { from: 0, count: 2_000 },
            hibernation: false,
            threads: 2,
            traces: false,
            timing: false,
            keeps_going: false,
            first_only: false,
        };
        let (mut first, mut number) = (0, 2_000);
        let mut one = None;
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next().ok_or(format!("{word} wants a number"))?;
                value.parse::<u64>().map_err(|_| format!("{value} is no number"))
            };
            match &*word {
                "--seed" => one = Some(value()?),
                "--seeds" => number = value()?,
                "--from" => first = value()?,
                "--hibernation" => options.hibernation = true,
                "--soak" => number = 1_000_000,
                "--threads" => options.threads = value()?.max(1) as usize,
                "--trace" => options.traces = true,
                "--timing" => options.timing = true,
                "--first" => options.first_only = true,
                "--keep-going" => options.keeps_going = true,
                _ => return Err(format!("{word} is not known")),
            }
        }
        options.wanted = one.map_or(Wanted::Many { from: first, count: number }, Wanted::One);
        Ok(options)
    }

    /// What a seed decides.
    pub fn schedule(&self, seed: u64) -> Schedule {
        if self.hibernation { Schedule::hibernating(seed) } else { Schedule::of(seed) }
    }

    /// Runs one seed and tells of it. Whether it passed.
    pub fn one(&self, seed: u64) -> bool {
        let started = Instant::now();
        let outcome = run(&self.schedule(seed), self.traces);
        if self.traces {
            for line in outcome.trace.lines() {
                println!("{line}");
            }
        }
        println!("{}", report::line(seed, &outcome));
        self.tell_time(started, outcome.trace.inputs, outcome.trace.actions, 1);
        if outcome.violation.is_some() {
            println!("{}", report::failure(&self.schedule(seed)));
        }
        outcome.violation.is_none()
    }

    /// Runs many and tells of them. Whether all passed.
    pub fn many(&self) -> bool {
        let started = Instant::now();
        let found = self.find();
        if self.first_only {
            if let Some(seed) = found.failed.first() {
                let violation = run(&self.schedule(*seed), false).violation;
                println!(
                    "first: {seed}\nwhy: {}",
                    violation.map_or_else(String::new, |violation| violation.to_string())
                );
            }
            println!("{} seeds, {} failed", found.seeds, found.failed.len());
            return found.failed.is_empty();
        }
        for seed in &found.failed {
            if !self.keeps_going {
                println!("{}", report::failure(&self.schedule(*seed)));
                break;
            }
            println!("{}", report::line(*seed, &run(&self.schedule(*seed), false)));
        }
        println!("{} seeds, {} failed", found.seeds, found.failed.len());
        self.tell_time(started, found.inputs, found.actions, found.seeds);
        found.failed.is_empty()
    }

    /// Runs many. Without `keeps_going`, until one has failed.
    pub fn find(&self) -> Found {
        let (from, count) = match self.wanted {
            Wanted::One(seed) => (seed, 1),
            Wanted::Many { from, count } => (from, count),
        };
        let next = AtomicU64::new(from);
        let stop = AtomicBool::new(false);
        let found = Mutex::new(Found::default());
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    let mut mine = Found::default();
                    while !stop.load(Ordering::Relaxed) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= from + count {
                            break;
                        }
                        let outcome = run(&self.schedule(seed), false);
                        mine.seeds += 1;
                        mine.inputs += outcome.trace.inputs;
                        mine.actions += outcome.trace.actions;
                        if outcome.violation.is_some() {
                            mine.failed.push(seed);
                            stop.store(!self.keeps_going, Ordering::Relaxed);
                        }
                    }
                    let mut found = found.lock().expect("no thread panicked");
                    found.failed.extend(mine.failed);
                    found.seeds += mine.seeds;
                    found.inputs += mine.inputs;
                    found.actions += mine.actions;
                });
            }
        });
        let mut found = found.into_inner().expect("no thread panicked");
        found.failed.sort_unstable();
        found
    }

    fn tell_time(&self, started: Instant, inputs: u64, actions: u64, seeds: u64) {
        if !self.timing {
            return;
        }
        let took = started.elapsed().as_secs_f64();
        let rate = |events: u64| events as f64 / took / 1e6;
        println!(
            "{took:.1} s on {} threads: {:.0} seeds a second; {inputs} events handed to machines and {actions} actions \
             taken from them, {:.2} million events a second ({:.2} million handed in)",
            if seeds == 1 { 1 } else { self.threads },
            seeds as f64 / took,
            rate(inputs + actions),
            rate(inputs),
        );
    }
}
