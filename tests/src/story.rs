//! One machine, told what happens to it: `given … input … expect`.

use std::fmt::Debug;
use std::time::Duration;

use underpass_core::{ApiMisuse, Machine, Time};

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

    #[track_caller]
    fn nothing_left(&mut self) {
        let left = self.actions();
        assert!(left.is_empty(), "left unexpected at {}: {left:#?}", self.now);
    }
}
