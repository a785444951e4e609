//! The life of a WebSocket that can hibernate: opened, awake, asleep, awake again, closed.

mod acks;
mod asleep;
mod awake;
mod closing;
mod edges;
mod falling_asleep;
mod memory;
mod opening;
mod registry;
mod waking;
mod wanting;
