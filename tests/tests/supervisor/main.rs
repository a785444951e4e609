//! The supervisor of actors, told by synthetic events.

mod directory;
mod events;
mod hibernation;
mod left_out;
mod placing;
mod returning;
mod several;
mod shutdown;
mod sleeping;
mod starting;
