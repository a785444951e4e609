//! A relay that drains: it takes nothing new, lets runners go elsewhere, and finishes what is open.

use core::time::Duration;

use super::connection::{Connection, Session};
use super::end::Cause;
use super::{Action, Config, Deadline, Relay};
use crate::directory::RunnerState;
use crate::http::Close;
use crate::machine::deadline::Deadlines;
use crate::protocol::{Dialect, ToClient};
use crate::supervisor;
use crate::time::Time;

/// Whether a relay drains, and how far it has come.
#[derive(Debug)]
pub(super) enum Drain {
    /// It does not.
    Serving,
    /// It does.
    Begun {
        /// What is still to happen.
        steps: Deadlines<Step, ()>,
        /// Whether connections on which nothing is open are closed.
        closes_idle: bool,
        /// Connections on which nothing is open any more, since they were last looked at.
        emptied: Vec<u64>,
    },
    /// Nothing is open any more.
    Done,
}

/// The named deadlines of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Connections on which nothing is open are closed from here on.
    Idle,
    /// Published runners are waited for no longer.
    Published,
    /// Nothing is waited for any longer.
    Limit,
}

impl Drain {
    fn begin(config: &Config, now: Time) -> Self {
        let limit = config.drain_limit.map(|limit| (Step::Limit, limit));
        let waits: Vec<(Step, Duration)> = [(Step::Idle, config.drain_idle), (Step::Published, config.drain_published)]
            .into_iter()
            .chain(limit)
            .collect();
        let mut steps = Deadlines::new(waits.iter().copied());
        for (step, _) in waits {
            steps.arm(step, (), now);
        }
        Drain::Begun { steps, closes_idle: false, emptied: Vec::new() }
    }

    /// Whether new connections are refused.
    pub(super) fn has_begun(&self) -> bool {
        match self {
            Drain::Serving => false,
            Drain::Begun { .. } | Drain::Done => true,
        }
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        match self {
            Drain::Begun { steps, .. } => steps.next_due(),
            Drain::Serving | Drain::Done => None,
        }
    }

    pub(super) fn deadlines(&self) -> usize {
        match self {
            Drain::Begun { steps, .. } => steps.len(),
            Drain::Serving | Drain::Done => 0,
        }
    }

    fn pop_due(&mut self, now: Time) -> Option<Step> {
        match self {
            Drain::Begun { steps, .. } => steps.pop_due(now).map(|(step, ())| step),
            Drain::Serving | Drain::Done => None,
        }
    }
}

fn draining() -> Close {
    Close::new(1001, "relay.draining")
}

impl Relay {
    pub(super) fn drain(&mut self, now: Time) {
        match self.drain {
            Drain::Serving => self.drain = Drain::begin(&self.config, now),
            Drain::Begun { .. } | Drain::Done => return,
        }
        self.tell_supervisor(supervisor::Event::Drain, now);
        for number in self.numbers() {
            self.let_go(number);
        }
    }

    /// Nothing new goes to a connection; its runner goes elsewhere. Whether anything may still be open on it.
    fn let_go(&mut self, number: u64) -> bool {
        let Some(connection) = self.connections.get_mut(&number) else { return false };
        let state = match connection.hello.dialect {
            Dialect::Underpass => RunnerState::Moving,
            Dialect::Published => RunnerState::Draining,
        };
        match connection.session {
            Session::AwaitingInit { .. } | Session::Registering | Session::Settling => {
                self.close(number, draining());
                false
            }
            Session::Ready => {
                connection.session = Session::Draining;
                self.set_state(number, state);
                true
            }
            // It goes by itself.
            Session::Draining | Session::Stopping | Session::Closing => false,
        }
    }

    /// One connection drains as all do when the relay does. Its runner may come to this relay again.
    pub(super) fn drain_runner(&mut self, number: u64, now: Time) {
        if self.drain.has_begun() || !self.let_go(number) {
            return;
        }
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let end = match connection.hello.dialect {
            Dialect::Published => Some(Deadline::DrainPublished),
            Dialect::Underpass => self.config.drain_limit.map(|_| Deadline::DrainLimit),
        };
        connection.drain = [Some(Deadline::DrainIdle), end]
            .map(|deadline| deadline.map(|deadline| self.deadlines.arm(deadline, number, now)));
        self.pass_on(number, supervisor::Event::Draining { connection: number }, now);
    }

    /// A connection that drains alone is closed when nothing is open on it; else it is looked at again.
    pub(super) fn drain_idle_due(&mut self, number: u64, now: Time) {
        let is_done_with = self.is_done_with(number, true);
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if is_done_with {
            connection.drain[0] = None;
            self.close(number, draining());
        } else {
            connection.drain[0] = Some(self.deadlines.arm(Deadline::DrainIdle, number, now));
        }
    }

    /// A connection that drains alone is waited for no longer. Whether it was still to be closed.
    pub(super) fn drain_over(&mut self, number: u64, now: Time) -> bool {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.drain[1] = None;
        }
        if !self.end_open(number, now) {
            return false;
        }
        // It is closed once its actors have stopped, when it is looked at for being idle.
        let stops = self.stops(number);
        if !stops {
            self.close(number, draining());
        }
        !stops
    }

    /// The record says that its runner moves: it is told to, and comes to another relay as one that moves.
    pub(super) fn tell_to_move(&mut self, number: u64) {
        let Some(connection) = self.connections.get(&number) else { return };
        match connection.session {
            Session::Draining => self.tell_runner(number, ToClient::Draining),
            Session::AwaitingInit { .. }
            | Session::Registering
            | Session::Settling
            | Session::Ready
            | Session::Stopping
            | Session::Closing => {}
        }
    }

    /// Nothing is open on a connection any more, or its runner has moved.
    pub(super) fn emptied(&mut self, number: u64) {
        match &mut self.drain {
            Drain::Begun { emptied, .. } => emptied.push(number),
            Drain::Serving | Drain::Done => {}
        }
    }

    /// What a drain does in time, and after each event.
    pub(super) fn go_on_draining(&mut self, now: Time) {
        while let Some(step) = self.drain.pop_due(now) {
            match step {
                Step::Idle => self.close_idle(),
                Step::Published => self.end_published(now),
                Step::Limit => {
                    for number in self.numbers() {
                        if self.end_open(number, now) {
                            self.close(number, draining());
                            self.counted.timeouts.drain_limit += 1;
                        }
                    }
                }
            }
        }
        self.close_emptied();
        self.note_drained();
    }

    /// Ends what is open with published runners, and closes their connections. Those that stop are looked at again.
    fn end_published(&mut self, now: Time) {
        let mut some_stop = false;
        for number in self.numbers() {
            let is_published = |it: &Connection| it.hello.dialect == Dialect::Published;
            if !self.connections.get(&number).is_some_and(is_published) || !self.end_open(number, now) {
                continue;
            }
            if self.stops(number) {
                some_stop = true;
            } else {
                self.close(number, draining());
                self.counted.timeouts.drain_published += 1;
            }
        }
        match &mut self.drain {
            Drain::Begun { steps, .. } if some_stop => {
                steps.arm(Step::Published, (), now);
            }
            Drain::Begun { .. } | Drain::Serving | Drain::Done => {}
        }
    }

    fn close_idle(&mut self) {
        let numbers = self.numbers();
        match &mut self.drain {
            Drain::Begun { closes_idle, emptied, .. } => {
                *closes_idle = true;
                *emptied = numbers;
            }
            Drain::Serving | Drain::Done => {}
        }
    }

    fn close_emptied(&mut self) {
        let (emptied, closes_idle) = match &mut self.drain {
            Drain::Begun { emptied, closes_idle, .. } => (core::mem::take(emptied), *closes_idle),
            Drain::Serving | Drain::Done => return,
        };
        for number in emptied {
            if self.is_done_with(number, closes_idle) {
                self.close(number, draining());
            }
        }
    }

    /// Whether nothing is open on a connection that drains, and its runner has moved or need not be waited for.
    fn is_done_with(&self, number: u64, closes_idle: bool) -> bool {
        let Some(connection) = self.connections.get(&number) else { return false };
        let is_empty = connection.routes.len() == 0;
        let has_moved = self.registrations.get(&number).is_some_and(|registration| registration.has_moved());
        is_empty && !self.stops(number) && (closes_idle || has_moved)
    }

    /// Whether a runner that said goodbye still has actors. It goes when they have stopped: until then they are not
    /// started elsewhere, and as soon as its connection ends they are.
    fn stops(&self, number: u64) -> bool {
        let said_goodbye = |it: &Connection| matches!(it.session, Session::Stopping);
        self.connections.get(&number).is_some_and(said_goodbye) && self.supervisor.has_actors(number)
    }

    /// Ends what is open on a connection. Whether it is still to be closed.
    fn end_open(&mut self, number: u64, now: Time) -> bool {
        let Some(connection) = self.connections.get(&number) else { return false };
        if matches!(connection.session, Session::Closing) {
            return false;
        }
        for id in self.routes.of_connection(&connection.routes) {
            if self.routes.hibernates(id) {
                self.put_to_sleep(id, Cause::Draining, now);
            } else {
                self.abort_route(id, Cause::Draining, now);
            }
        }
        true
    }

    fn note_drained(&mut self) {
        match self.drain {
            Drain::Begun { .. } => {}
            Drain::Serving | Drain::Done => return,
        }
        let changes = self.registrations.len() + self.actor_changes;
        if self.connections.is_empty() && changes == 0 && self.endings.len() == 0 {
            self.drain = Drain::Done;
            self.actions.push_back(Action::Drained);
        }
    }

    /// The numbers of all connections, in order.
    fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.connections.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }
}
