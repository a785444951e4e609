//! Counters and gauges of a supervisor.

use serde::Serialize;

/// What a supervisor holds and has counted. Gauges first; the others only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Actors kept in mind.
    pub actors: usize,
    /// Runners kept in mind.
    pub runners: usize,
    /// Connections of runners of this relay.
    pub connections: usize,
    /// Actors of runners of this relay, in whatever state.
    pub hosted: usize,
    /// Actors that wait for a runner with room.
    pub waiting: usize,
    /// Actors whose alarm is set.
    pub alarms: usize,
    /// Actors whose WebSockets the registry is asked for.
    pub asking: usize,
    /// Events held until their connection's pong.
    pub held_events: usize,
    /// Their bytes.
    pub held_bytes: usize,
    /// Deadlines armed.
    pub deadlines: usize,
    /// Actors that this relay took for its runners.
    pub claimed: u64,
    /// Lives that began: the first event came.
    pub started: u64,
    /// Lives that ended, in whatever way.
    pub stopped: u64,
    /// Lives that ended without having been told to, and not well.
    pub crashed: u64,
    /// Starts that no event followed in time.
    pub start_timeouts: u64,
    /// Stops that no end followed in time.
    pub stop_timeouts: u64,
    /// Requests that went on for too long while their actor was to stop.
    pub finish_timeouts: u64,
    /// Alarms that came due.
    pub woken: u64,
    /// Runners whose actors are placed anew.
    pub runners_lost: u64,
    /// Runners of other relays lost because the directory said nothing of them.
    pub runners_unseen: u64,
    /// Lives here of which the directory said that they are over.
    pub superseded: u64,
    /// Changes that another made first.
    pub conflicts: u64,
    /// Changes that could not be made because the directory was away.
    pub unavailable: u64,
    /// Questions that the registry could not answer because the directory was away.
    pub registry_unavailable: u64,
    /// WebSockets of actors that had more than one can be started with.
    pub sockets_left_out: u64,
    /// Events handled.
    pub events: u64,
    /// Events that had been handled before.
    pub duplicate_events: u64,
    /// Events of lives that are over.
    pub stale_events: u64,
    /// Events of actors that their runner does not host.
    pub foreign_events: u64,
    /// Events that there was no room to hold.
    pub dropped_events: u64,
    /// Actors that nobody knew, and that were stopped.
    pub strays_stopped: u64,
    /// Records of actors or runners that there was no room to keep in mind.
    pub untracked: u64,
    /// How often the directory was asked for actors that had been left out, since there was room again.
    pub looked_again: u64,
}
