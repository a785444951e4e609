//! One machine, told what happens to it: `given … input … expect`.

use std::fmt::Debug;
use std::time::Duration;

use underpass_core::{
    ApiMisuse, Gateway, Machine, Relay, Runner, Supervisor, Time, gateway, relay, runner, supervisor,
};

/// A conversation with one machine, in virtual time.
///
/// Each [`input`](Story::input) may make the machine want things; [`expect`](Story::expect) names all of them. What
/// was left unexpected fails the story at the next input, or at its end.
#[derive(Debug)]
pub struct Story<M: Machine> {
    /// The machine, to ask it things.
    pub machine: M,
    now: Time,
}

impl<M: Machine> Story<M>
where
    M::Action: Debug + PartialEq,
{
    /// Begins with a machine at time zero.
    pub fn given(machine: M) -> Self {
        Story { machine, now: Time::ZERO }
    }

    /// What time it is.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Something happens.
    #[track_caller]
    pub fn input(&mut self, event: M::Event) -> &mut Self {
        let shown = format!("{event:?}");
        if let Err(misuse) = self.try_input(event) {
            panic!("misuse at {}: {misuse}: {shown}", self.now);
        }
        self
    }

    /// Something happens that may be a misuse.
    #[track_caller]
    pub fn try_input(&mut self, event: M::Event) -> Result<(), ApiMisuse> {
        self.nothing_left();
        self.machine.handle(event, self.now)
    }

    /// All that the machine wants done, in order.
    #[track_caller]
    pub fn expect(&mut self, expected: impl IntoIterator<Item = M::Action>) -> &mut Self {
        for (place, expected) in expected.into_iter().enumerate() {
            match self.machine.poll_action() {
                Some(action) => assert_eq!(action, expected, "action {place} at {}", self.now),
                None => panic!("nothing more was wanted at {}, but expected was {expected:?}", self.now),
            }
        }
        self.nothing_left();
        self
    }

    /// All that the machine wants done, to look at.
    pub fn actions(&mut self) -> Vec<M::Action> {
        std::iter::from_fn(|| self.machine.poll_action()).collect()
    }

    /// Time passes, and the machine is told.
    #[track_caller]
    pub fn after(&mut self, duration: Duration, tick: M::Event) -> &mut Self {
        self.now += duration;
        self.input(tick)
    }

    /// When the machine wants to be told the time.
    #[track_caller]
    pub fn expect_timeout(&mut self, expected: Option<Time>) -> &mut Self {
        assert_eq!(self.machine.poll_timeout(), expected, "timeout at {}", self.now);
        self
    }

    /// Fails if the machine wants something that was not expected.
    #[track_caller]
    pub fn nothing_left(&mut self) {
        let left = self.actions();
        assert!(left.is_empty(), "left unexpected at {}: {left:#?}", self.now);
    }
}

/// A machine that can say what it still holds.
pub trait AtRest: Machine {
    /// That time has passed.
    fn tick() -> Self::Event;

    /// What it holds, by name; nothing but zeros when nothing is open.
    fn holds(&self) -> Vec<(&'static str, usize)>;
}

impl AtRest for Gateway {
    fn tick() -> gateway::Event {
        gateway::Event::Tick
    }

    fn holds(&self) -> Vec<(&'static str, usize)> {
        let stats = self.stats();
        vec![
            ("requests", stats.open),
            ("waiting", stats.waiting),
            ("asking", stats.asking),
            ("hibernating", stats.hibernating),
            ("registered", stats.registered),
            ("leaving the registry", stats.leaving),
            ("actors of those that can hibernate", stats.hibernating_actors),
            ("relays' words", stats.untold),
            ("kept bodies", stats.kept_bodies),
            ("ending", stats.ending),
            ("deadlines", stats.deadlines),
            ("bytes", stats.buffered),
        ]
    }
}

impl AtRest for Relay {
    fn tick() -> relay::Event {
        relay::Event::Tick
    }

    fn holds(&self) -> Vec<(&'static str, usize)> {
        let stats = self.stats();
        vec![
            ("connections", stats.connections),
            ("ready", stats.ready),
            ("registrations", stats.registrations),
            ("routes", stats.routes),
            ("ending", stats.ending),
            ("ageing", stats.ageing),
            ("tombstones", stats.tombstones),
            ("deadlines", stats.deadlines),
            ("bytes", stats.buffered),
            ("calls", stats.kv_open),
            ("bytes of calls", stats.kv_waiting),
            ("actors", stats.supervisor.actors),
            ("runners", stats.supervisor.runners),
            ("connections of actors", stats.supervisor.connections),
            ("deadlines of actors", stats.supervisor.deadlines),
            ("questions about actors", stats.supervisor.asking),
        ]
    }
}

impl AtRest for Runner {
    fn tick() -> runner::Event {
        runner::Event::Tick
    }

    fn holds(&self) -> Vec<(&'static str, usize)> {
        let stats = self.stats();
        vec![
            ("connections", stats.connections),
            ("requests", stats.open),
            ("actors", stats.actors),
            ("ended actors", stats.ended_actors),
            ("calls", stats.kv_open),
            ("deadlines", stats.deadlines),
            ("bytes", stats.buffered),
        ]
    }
}

impl AtRest for Supervisor {
    fn tick() -> supervisor::Event {
        supervisor::Event::Tick
    }

    fn holds(&self) -> Vec<(&'static str, usize)> {
        let stats = self.stats();
        vec![
            ("actors", stats.actors),
            ("runners", stats.runners),
            ("connections", stats.connections),
            ("hosted", stats.hosted),
            ("waiting", stats.waiting),
            ("alarms", stats.alarms),
            ("questions", stats.asking),
            ("events", stats.held_events),
            ("deadlines", stats.deadlines),
        ]
    }
}

impl<M: AtRest> Story<M>
where
    M::Action: Debug + PartialEq,
{
    /// Time passes, and the machine is told.
    #[track_caller]
    pub fn passes(&mut self, duration: Duration) -> &mut Self {
        self.after(duration, M::tick())
    }

    /// Time passes until just before a deadline, and nothing happens; then it is there.
    #[track_caller]
    pub fn passes_in_silence_until(&mut self, deadline: Duration) -> &mut Self {
        let last = Duration::from_micros(1);
        self.passes(deadline - last).expect([]);
        self.passes(last)
    }

    /// The embedder does something that it must not. The machine says so, and has not changed.
    #[track_caller]
    pub fn misuse(&mut self, event: M::Event, expected: ApiMisuse) -> &mut Self {
        let shown = format!("{event:?}");
        let before = (format!("{:?}", self.machine.stats()), self.machine.poll_timeout());
        assert_eq!(self.try_input(event), Err(expected), "{shown}");
        let after = (format!("{:?}", self.machine.stats()), self.machine.poll_timeout());
        assert_eq!(before, after, "a misuse changed the machine: {shown}");
        self.expect([])
    }

    /// The story ends: no table holds anything, no timer is left, and time brings nothing more.
    #[track_caller]
    pub fn ends(&mut self) {
        self.nothing_left();
        let left: Vec<_> = self.machine.holds().into_iter().filter(|(_, count)| *count > 0).collect();
        assert!(left.is_empty(), "held at the end: {left:?}");
        self.expect_timeout(None);
        self.passes(Duration::from_secs(3_600)).expect([]);
    }
}
