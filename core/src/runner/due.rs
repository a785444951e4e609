//! The named deadlines of a runner's actors and of what is theirs.

use super::Runner;
use super::actors::ActorSlot;
use super::config::Config;
use crate::machine::RequestKey;
use crate::machine::deadline::Deadlines;
use crate::time::Time;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    /// The embedder must have stopped an actor.
    ActorStop,
    /// The end of a life was told long ago.
    Forget,
    /// The gateway of a WebSocket that is attached nowhere must have sent something.
    GatewaySilent,
    /// A store must have answered.
    KvAnswer,
}

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Actor(ActorSlot),
    Socket(RequestKey),
    Call(u64),
}

pub(super) fn deadlines(config: &Config) -> Deadlines<Deadline, Owner> {
    Deadlines::new([
        (Deadline::ActorStop, config.actor_stop),
        (Deadline::Forget, config.forget),
        (Deadline::GatewaySilent, config.gateway_silent),
        (Deadline::KvAnswer, config.kv_answer),
    ])
}

impl Runner {
    /// Does what is due.
    pub(super) fn look_at_deadlines(&mut self, now: Time) {
        while let Some((deadline, owner)) = self.deadlines.pop_due(now) {
            match (deadline, owner) {
                (Deadline::ActorStop, Owner::Actor(slot)) => self.actor_stop_timed_out(slot, now),
                (Deadline::Forget, Owner::Actor(slot)) => self.forget_is_due(slot),
                (Deadline::GatewaySilent, Owner::Socket(key)) => self.gateway_is_silent(key),
                (Deadline::KvAnswer, Owner::Call(call)) => self.kv_timed_out(call),
                // They are armed for no other.
                (Deadline::ActorStop | Deadline::Forget, Owner::Socket(_) | Owner::Call(_))
                | (Deadline::GatewaySilent, Owner::Actor(_) | Owner::Call(_))
                | (Deadline::KvAnswer, Owner::Actor(_) | Owner::Socket(_)) => {}
            }
        }
        self.look_at_acks(now);
    }
}
