//! The lives of actors that go on, as they are known under the driver's lock.

use std::collections::HashMap;
use std::task::Waker;

use bytestring::ByteString;
use tokio::sync::oneshot;
use underpass_core::RequestKey;
use underpass_core::protocol::kv::KvResponseData;
use underpass_core::runner::ActorLife;

use super::life::Work;
use crate::queue::Sender;

/// Actors by their ids, and their calls on stores. A life is in here until it has stopped, or a later one of the same
/// actor starts, which the machine wants when it has waited for long enough.
#[derive(Default)]
pub(in crate::runner) struct Lives {
    lives: HashMap<ByteString, Entry>,
    calls: HashMap<u64, oneshot::Sender<KvResponseData>>,
    last_call: u64,
}

/// One life.
struct Entry {
    generation: u32,
    phase: Phase,
    /// To the task that leads it, which ends when this is dropped.
    work: Sender<Work>,
}

/// How far a life has come, for what is to become of WebSockets that its handlers drop.
pub(in crate::runner) enum Phase {
    /// It starts. These were restored and dropped.
    Starting { dropped: Vec<RequestKey> },
    /// It runs.
    Running,
    /// Its tasks are being ended.
    Ending,
}

impl Lives {
    /// A life begins.
    pub(in crate::runner) fn begin(&mut self, life: ActorLife, work: Sender<Work>) {
        let ActorLife { actor_id, generation } = life;
        self.lives.insert(actor_id, Entry { generation, phase: Phase::Starting { dropped: Vec::new() }, work });
    }

    /// Gives work to an actor's life: to the one that goes on, or to that generation only.
    ///
    /// # Errors
    /// It is not here: the work comes back.
    #[expect(clippy::result_large_err, reason = "it is moved to a task in any case")]
    pub(in crate::runner) fn give(
        &self,
        actor_id: &ByteString,
        generation: Option<u32>,
        work: Work,
    ) -> Result<Option<Waker>, Work> {
        let entry = self.lives.get(actor_id);
        match entry.filter(|entry| generation.is_none_or(|generation| entry.generation == generation)) {
            Some(entry) => entry.work.push(work),
            None => Err(work),
        }
    }

    fn entry(&mut self, life: &ActorLife) -> Option<&mut Entry> {
        self.lives.get_mut(&life.actor_id).filter(|entry| entry.generation == life.generation)
    }

    pub(in crate::runner) fn phase(&mut self, life: &ActorLife) -> Option<&mut Phase> {
        self.entry(life).map(|entry| &mut entry.phase)
    }

    pub(in crate::runner) fn is_starting(&mut self, life: &ActorLife) -> bool {
        self.phase(life).is_some_and(|phase| matches!(phase, Phase::Starting { .. }))
    }

    /// A life has started: which WebSockets were restored and dropped meanwhile.
    pub(super) fn is_running(&mut self, life: &ActorLife) -> Vec<RequestKey> {
        let Some(phase @ Phase::Starting { .. }) = self.phase(life) else { return Vec::new() };
        match std::mem::replace(phase, Phase::Running) {
            Phase::Starting { dropped } => dropped,
            Phase::Running | Phase::Ending => Vec::new(),
        }
    }

    pub(super) fn is_ending(&mut self, life: &ActorLife) {
        if let Some(phase) = self.phase(life) {
            *phase = Phase::Ending;
        }
    }

    pub(super) fn remove(&mut self, life: &ActorLife) {
        if self.entry(life).is_some() {
            self.lives.remove(&life.actor_id);
        }
    }

    /// The generation of the life of an actor that goes on.
    pub(in crate::runner) fn current(&self, actor_id: &ByteString) -> Option<ActorLife> {
        let entry = self.lives.get(actor_id)?;
        Some(ActorLife { actor_id: actor_id.clone(), generation: entry.generation })
    }

    /// How many there are.
    pub(in crate::runner) fn len(&self) -> usize {
        self.lives.len()
    }

    /// A call on a store begins: its number, and where its answer comes.
    pub(super) fn call(&mut self) -> (u64, oneshot::Receiver<KvResponseData>) {
        let (answer, answered) = oneshot::channel();
        self.last_call += 1;
        self.calls.insert(self.last_call, answer);
        (self.last_call, answered)
    }

    /// A store answered.
    pub(in crate::runner) fn answered(&mut self, call: u64, answer: KvResponseData) {
        if let Some(caller) = self.calls.remove(&call) {
            // The caller may have gone.
            caller.send(answer).ok();
        }
    }
}
