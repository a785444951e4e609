//! What a supervisor can be told.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// Limits and deadlines of a supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Actors kept in mind: those that are needed, that a runner has, or whose alarm is set. More are left out and
    /// counted, until there is room again; requests for them fail when they have waited for as long as they may.
    pub max_actors: usize,
    /// Runners of other relays kept in mind. More are not counted on as hosts.
    pub max_runners: usize,
    /// Actors on one runner, however many slots it says that it has.
    pub max_actors_per_runner: u32,
    /// The generation of an actor's first life that the directory knows of. A directory that does not outlive its
    /// relays forgets lives that may still go on, and that stores remember: then it must be newer than all of before,
    /// as a count of the seconds since some day would be.
    pub first_generation: u32,
    /// Bytes of an actor's id. A longer one is started for nobody, and what runners say of it is dropped: gateways must
    /// not take longer ones.
    pub max_actor_id: usize,
    /// Events of one connection held until its pong; more are dropped, and come again on the next connection.
    pub max_held_events: usize,
    /// Bytes of such events, of each connection.
    pub max_held_bytes: usize,
    /// WebSockets that an actor is started with. Those beyond are closed 1013 and counted. A relay lowers it to what its
    /// frames can name.
    pub max_restored: usize,
    /// From a start's command to the actor's first event.
    pub actor_start: Duration,
    /// From the stop of an actor that did not start, or of a life that others hold for over, to its end.
    pub unstarted_stop: Duration,
    /// From any other stop's command to the actor's end, as runners are told.
    pub actor_stop_threshold: Duration,
    /// How long the requests of an actor that is to stop may go on; then they are aborted.
    pub finish: Option<Duration>,
    /// What runners are told: away for longer, they stop their actors.
    pub runner_lost_threshold: Duration,
    /// How much longer is waited until their actors are placed anew.
    pub runner_lost_margin: Duration,
    /// A runner of another relay of which the directory said nothing for so long is lost.
    pub runner_unseen: Duration,
    /// How long an actor that a runner announced may be unknown to the directory, before it is stopped.
    pub stray: Duration,
    /// When there is room again for an actor that was left out, how long until the directory is asked for it.
    pub look_again: Duration,
    /// Between an actor's first crash and its next start; doubled with each crash in a row.
    pub back_off: Duration,
    /// The most that it is doubled to.
    pub max_back_off: Duration,
    /// A crash of an actor that ran for so long is its first.
    pub steady: Duration,
    /// How long after the directory was away it is asked again.
    pub directory_retry: Duration,
    /// How long events wait for others to be acknowledged with.
    pub acknowledge: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_actors: 100_000,
            max_runners: 20_000,
            max_actors_per_runner: 20_000,
            first_generation: 1,
            max_actor_id: 512,
            max_held_events: 20_000,
            max_held_bytes: 16 * 1024 * 1024,
            max_restored: 65_536,
            actor_start: Duration::from_secs(30),
            unstarted_stop: Duration::from_secs(30),
            actor_stop_threshold: Duration::from_secs(1_800),
            finish: None,
            runner_lost_threshold: Duration::from_secs(15),
            runner_lost_margin: Duration::from_secs(5),
            runner_unseen: Duration::from_secs(20),
            stray: Duration::from_secs(5),
            look_again: Duration::from_secs(5),
            back_off: Duration::from_secs(1),
            max_back_off: Duration::from_secs(60),
            steady: Duration::from_secs(60),
            directory_retry: Duration::from_secs(1),
            acknowledge: Duration::from_secs(1),
        }
    }
}

impl Config {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (name, value) in [
            ("max_actors", self.max_actors),
            ("max_runners", self.max_runners),
            ("max_actors_per_runner", self.max_actors_per_runner as usize),
            ("max_actor_id", self.max_actor_id),
            ("max_held_events", self.max_held_events),
            ("max_held_bytes", self.max_held_bytes),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        if self.back_off.is_zero() {
            return Err(ConfigError::Zero("back_off"));
        }
        if self.back_off > self.max_back_off {
            return Err(ConfigError::Order { smaller: "back_off", larger: "max_back_off" });
        }
        Ok(())
    }

    /// The waits after the first crash, the second, and so on; after more crashes the last.
    pub(super) fn back_offs(&self) -> impl Iterator<Item = Duration> {
        let doubled =
            |wait: &Duration| (*wait < self.max_back_off).then(|| wait.saturating_mul(2).min(self.max_back_off));
        core::iter::successors(Some(self.back_off), doubled)
    }
}
