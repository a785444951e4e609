//! What must hold of actors with state when everything should have ended, and when all is over: the records, the
//! runners and the supervisors tell the same.

use bytestring::ByteString;
use underpass_core::Machine;
use underpass_core::bus::ConnectionId;
use underpass_core::directory::{ActorRecord, ActorState, RunnerRecord};

use super::fleet::published::Link;
use super::trace::About;
use super::world::World;

impl World<'_> {
    /// Every gateway knows every published runner again, and each runner's handlers have their ends.
    pub(super) fn published_are_ready(&mut self) {
        let fleet = &self.schedule.fleet;
        if !fleet.has_actors() {
            return;
        }
        let ours = self.runners.iter().enumerate().filter(|(index, slot)| {
            slot.running().is_some() && fleet.is_stateful(fleet.pool_of_runner(index % fleet.hosts.runners))
        });
        let running = self.published.iter().filter(|slot| slot.running().is_some()).count() + ours.count();
        let most = running + self.forgotten_runners();
        let pool = self.stateful_pool();
        let mut wrong = None;
        for (index, slot) in self.gateways.iter().enumerate() {
            let Some(process) = &slot.process else { continue };
            let ready = process.machine.ready_runners(&pool);
            if !(running..=most).contains(&ready) {
                wrong = Some(format!("gateway {index} knows {ready} runners with state, there are {running}"));
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
            let hosts = self.hosts_of(&key.actor_id);
            match record.state {
                ActorState::Running(runner) => {
                    running += 1;
                    let is_here = |(at, generation, runs): &(Option<ByteString>, u32, bool)| {
                        at.as_deref() == Some(&*runner.to_string()) && *generation == record.generation && *runs
                    };
                    if hosts.len() != 1 || !hosts.iter().all(is_here) {
                        wrong.push(format!("{} should run as {record:?}, and is there as {hosts:?}", key.actor_id));
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

    /// The runners that have an actor: their ids, which life it is there, and whether it has started and goes on.
    fn hosts_of(&self, actor: &ByteString) -> Vec<(Option<ByteString>, u32, bool)> {
        let published = self.published.iter().filter_map(|slot| slot.process.as_ref());
        let published = published.filter_map(|process| {
            let hosted = process.actors.get(actor)?;
            Some((process.runner_id.clone(), hosted.generation, hosted.runs()))
        });
        let ours = self.runners.iter().filter_map(|slot| slot.process.as_ref());
        let ours = ours.filter_map(|process| {
            let guest = process.hosting.actors.get(actor)?;
            Some((process.hosting.runner_id.clone(), guest.generation, guest.runs()))
        });
        published.chain(ours).collect()
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
        for (index, slot) in self.runners.iter().enumerate() {
            if let Some(process) = slot.process.as_ref().filter(|process| !process.hosting.actors.is_empty()) {
                wrong.push(format!("runner {index} still has {:?}", process.hosting.actors));
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
