//! What must hold of actors with state when everything should have ended, and when all is over: the records, the
//! runners and the supervisors tell the same.

use underpass_core::Machine;
use underpass_core::bus::ConnectionId;
use underpass_core::directory::{ActorRecord, ActorState, RunnerRecord};

use super::fleet::published::Link;
use super::trace::About;
use super::world::World;

impl World<'_> {
    /// Every gateway knows every published runner again, and each runner's handlers have their ends.
    pub(super) fn published_are_ready(&mut self) {
        if self.schedule.fleet.published.is_empty() {
            return;
        }
        let running = self.published.iter().filter(|slot| slot.running().is_some()).count();
        let most = running + self.forgotten_runners();
        let pool = self.stateful_pool();
        let mut wrong = None;
        for (index, slot) in self.gateways.iter().enumerate() {
            let Some(process) = &slot.process else { continue };
            let ready = process.machine.ready_runners(&pool);
            if !(running..=most).contains(&ready) {
                wrong = Some(format!("gateway {index} knows {ready} published runners, there are {running}"));
            }
        }
        for (index, slot) in self.published.iter().enumerate() {
            let Some(process) = &slot.process else { continue };
            if let Some(client) = process.busy() {
                wrong = Some(format!("the handler of client {client} at published runner {index} was told no end"));
            }
            if !matches!(process.link, Link::Greeted(_)) {
                wrong = Some(format!("published runner {index} is not greeted: {:?}", process.link));
            }
        }
        if let Some(wrong) = wrong {
            self.wrong(About::Nobody, || wrong);
        }
    }

    /// Whether a record is kept for a runner that may come back to its actors: its connection has ended, as far as its
    /// relay could say so.
    pub(super) fn may_come_back(&self, record: &RunnerRecord) -> bool {
        let has_ended = |connection: Option<ConnectionId>| connection.is_none() || self.is_of_dead_relay(connection);
        !record.abilities.stateless && has_ended(record.connection) && has_ended(record.moving)
    }

    /// The records that still name a connection to a relay that is no more: gateways take them for gone when a request
    /// would go there.
    pub(super) fn forgotten_runners(&self) -> usize {
        let records = self.network.runners().map(|(_, versioned)| &versioned.record);
        records.filter(|record| record.connection.is_some() && self.may_come_back(record)).count()
    }

    /// Each actor runs where its record says, or sleeps; the supervisors know it; and no alarm was missed.
    pub(super) fn actors_are_at_rest(&mut self) {
        let mut wrong = Vec::new();
        let mut running = 0;
        for (key, versioned) in self.network.actors() {
            let record = &versioned.record;
            let hosts = self.published.iter().filter_map(|slot| slot.process.as_ref());
            let hosts: Vec<_> =
                hosts.filter_map(|process| Some((process, process.actors.get(&key.actor_id)?))).collect();
            match record.state {
                ActorState::Running(runner) => {
                    running += 1;
                    let is_here = |(process, hosted): &(&super::fleet::PublishedProcess, &super::fleet::Hosted)| {
                        process.runner_id.as_deref() == Some(&*runner.to_string())
                            && hosted.generation == record.generation
                            && hosted.runs()
                    };
                    if hosts.len() != 1 || !hosts.iter().all(is_here) {
                        let lives: Vec<_> =
                            hosts.iter().map(|(process, hosted)| (&process.runner_id, hosted)).collect();
                        wrong.push(format!("{} should run as {record:?}, and is there as {lives:?}", key.actor_id));
                    }
                }
                ActorState::Sleeping if hosts.is_empty() && !self.is_overdue(record) => {}
                ActorState::Sleeping | ActorState::Wanted | ActorState::Starting(_) | ActorState::Stopping(_) => {
                    wrong.push(format!("{} is not at rest: {record:?}, at {} runners", key.actor_id, hosts.len()));
                }
            }
        }
        let supervisors = self.relays.iter().filter_map(|slot| slot.process.as_ref());
        let supervisors: Vec<_> = supervisors.map(|process| process.machine.stats().supervisor).collect();
        let hosted: usize = supervisors.iter().map(|stats| stats.hosted).sum();
        let busy: usize = supervisors.iter().map(|stats| stats.waiting + stats.held_events).sum();
        if (hosted, busy) != (running, 0) {
            wrong.push(format!("{running} actors run, the supervisors tell of {hosted}: {supervisors:?}"));
        }
        if let Some(text) = wrong.into_iter().next() {
            self.wrong(About::Nobody, || text);
        }
    }

    /// Whether an actor should have been woken long ago.
    fn is_overdue(&self, record: &ActorRecord) -> bool {
        record.alarm.is_some_and(|alarm| alarm + 5_000 < self.unix_ms())
    }

    /// Everything was drained: what is wrong with what is left of actors.
    pub(super) fn actors_left(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (index, slot) in self.published.iter().enumerate() {
            if let Some(process) = &slot.process {
                wrong.push(format!("published runner {index} has not stopped, and has {:?}", process.actors));
            }
        }
        for (key, versioned) in self.network.actors() {
            if versioned.record.state.runner().is_some() {
                wrong.push(format!("{} is left as {:?}", key.actor_id, versioned.record));
            }
        }
        wrong
    }
}
