//! Machines to begin a story with, and the words that it is told in.

pub mod actors;
pub mod gateway;
pub mod hibernation;
pub mod hosted;
pub mod hosting;
pub mod relay;
pub mod restoring;
pub mod runner;
pub mod supervisor;
