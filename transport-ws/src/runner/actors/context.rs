//! What an actor can do for itself.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytestring::ByteString;
use underpass_core::protocol::to_client::ActorConfig;
use underpass_core::runner::{ActorLife, Event};

use super::life::Work;
use super::store::Kv;
use crate::driver::Driver;
use crate::runner::outlets::Outlets;

/// One life of an actor: who it is, and what it can do for itself. Clones are handles of the same one; they may outlive
/// it, and then do nothing.
#[derive(Clone)]
pub struct ActorContext {
    pub(super) life: ActorLife,
    config: Arc<ActorConfig>,
    pub(super) driver: Arc<Driver<Outlets>>,
}

impl ActorContext {
    pub(in crate::runner) fn new(life: ActorLife, config: ActorConfig, driver: Arc<Driver<Outlets>>) -> Self {
        ActorContext { life, config: Arc::new(config), driver }
    }

    /// The actor's id.
    pub fn id(&self) -> &ByteString {
        &self.life.actor_id
    }

    /// Which of its lives this is: a later one has a greater number.
    pub fn generation(&self) -> u32 {
        self.life.generation
    }

    /// What it was made as.
    pub fn config(&self) -> &ActorConfig {
        &self.config
    }

    /// Its key-value store, which it keeps from life to life.
    pub fn kv(&self) -> Kv<'_> {
        Kv::of(self)
    }

    /// It would like to sleep until something comes for it: it is told to stop when its HTTP exchanges have ended. Its
    /// WebSockets sleep with it, those that cannot are closed.
    pub fn sleep(&self) {
        self.driver.drive(Event::ActorSleep { actor: self.life.clone() });
    }

    /// It would like to end: as [`sleep`](ActorContext::sleep), and its alarm is forgotten.
    pub fn destroy(&self) {
        self.driver.drive(Event::ActorDestroy { actor: self.life.clone() });
    }

    /// Wakes it at some time, if it sleeps then. There is one alarm; none clears it.
    pub fn set_alarm(&self, at: Option<SystemTime>) {
        let at = at.map(|at| {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
        self.driver.drive(Event::ActorAlarm { actor: self.life.clone(), at });
    }

    /// It can't go on: it ends as if it had panicked, but for its WebSockets, which all sleep if they can. It is started
    /// again a while later if something wants it.
    pub fn crash(&self, error: impl fmt::Display) {
        self.is_ending();
        self.give(Work::Crash(error.to_string()));
    }

    /// Runs a task that ends with the actor, at the latest. If it panics, the actor crashes.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.give(Work::Task(Box::pin(task)));
    }

    #[expect(clippy::result_large_err, reason = "what comes back is dropped")]
    fn give(&self, work: Work) {
        let ActorLife { actor_id, generation } = &self.life;
        match self.driver.enter(|inside| inside.outlets.lives.give(actor_id, Some(*generation), work)) {
            Ok(waker) => waker.into_iter().for_each(|waker| waker.wake()),
            // It is over.
            Err(work) => drop(work),
        }
    }

    /// It has started. WebSockets that it restored and dropped meanwhile are closed.
    pub(super) fn is_running(&self) {
        self.driver.enter(|inside| {
            let dropped = inside.outlets.lives.is_running(&self.life);
            inside.handle(Event::ActorRunning { actor: self.life.clone() });
            for key in dropped {
                let close = underpass_core::http::Close { code: Some(1000), reason: None };
                inside.handle(Event::WebSocketClose { key, close });
            }
        });
    }

    /// Its tasks are being ended.
    pub(super) fn is_ending(&self) {
        self.driver.enter(|inside| inside.outlets.lives.is_ending(&self.life));
    }

    /// Nothing of it goes on.
    pub(in crate::runner) fn has_stopped(&self, error: Option<String>) {
        let actor = self.life.clone();
        self.driver.enter(|inside| {
            inside.outlets.lives.remove(&actor);
            inside.handle(Event::ActorStopped { actor, error: error.map(ByteString::from) });
        });
    }
}

impl fmt::Debug for ActorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorContext").field("life", &self.life).field("config", &self.config).finish_non_exhaustive()
    }
}
