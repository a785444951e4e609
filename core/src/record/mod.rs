//! Writing down what passes a machine's doors, and doing it again.
//!
//! A machine is made of its [`Origin`](crate::Machine::Origin) and does nothing by itself: who knows that, and each
//! event with its time, knows all it will do. A [`Recorder`] writes them down, and each action behind the events that
//! it follows from. [`Replays`] reads that again, makes the same machines, hands the same events in and finds the first
//! action that is another than the recorded one: another byte, or another order. So a fault that was seen once can be
//! looked at as often as one likes, without the network in which it happened.
//!
//! # What is in a recording
//!
//! A heading: `underpass recording`, a line feed, the version of this layout (a byte), which version of this crate wrote
//! it and whether bodies are in it. Then records, each behind its length (`u32`, little endian): of which machine, when,
//! [what](What), and the value as BARE writes it. One file holds as many machines as its process has. The layout of
//! those values is that of the types, so a recording is read by the version of this crate that wrote it, and by no
//! other. It ends with a word about [why](End); one that was cut short, since its process was killed, is good up to
//! there.
//!
//! # What is not in it
//!
//! Unless bodies are asked for, the bytes of bodies, of WebSocket messages and of values in key-value stores are zeros
//! (of a text that is not UTF-8, `0xff`), and the values of fields that let somebody in (`authorization`, `cookie` and
//! the like) are asterisks. Their lengths are kept, and no machine looks further, so what it does is the same. A frame
//! that breaks the protocol is written as it came, since nobody can tell what in it is a body. All else is there: paths
//! and queries, other fields, actors' ids, stores' keys, runners' keys, reasons of closes.
//!
//! ```
//! use underpass_core::gateway::{self, Gateway};
//! use underpass_core::observe::Observer;
//! use underpass_core::protocol::GatewayId;
//! use underpass_core::record::{End, Heading, Line, MachineKind, Recorder, Recording, Replays};
//! use underpass_core::{Machine, Time};
//!
//! let mut recorder = Recorder::new(Heading::new(false).to_bytes(), 0, false);
//! let config = gateway::Config::default();
//! let origin = gateway::Origin { config, id: GatewayId([1; 4]), seed: 7 };
//! recorder.made(&origin, Time::ZERO);
//! let mut gateway = Gateway::made_of(origin, Time::ZERO)?;
//!
//! let now = Time::from_millis(5);
//! recorder.event(&gateway, &gateway::Event::Drain, now);
//! gateway.handle(gateway::Event::Drain, now)?;
//! while let Some(action) = gateway.poll_action() {
//!     recorder.action(&gateway, &action, now);
//! }
//!
//! let recording = Recording::read(recorder.into_log().into())?;
//! let mut replays = Replays::of(&recording);
//! for line in recording.lines() {
//!     match line? {
//!         Line::Record(record) => {
//!             assert_eq!(record.machine.kind, MachineKind::Gateway);
//!             println!("{} {:?}", record.at, replays.step(&record)?);
//!         }
//!         Line::End(end) => assert_eq!(end, End::Cut),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blank;
mod layout;
mod machines;
mod recorder;
mod recording;
mod replay;

pub use blank::Blanks;
pub use layout::{End, Heading, MachineKind, MachineName, What};
pub use machines::Recordable;
pub use recorder::{Log, Recorder};
pub use recording::{BadRecording, Line, Record, Recording};
pub use replay::{Replay, ReplayError, Replays, Step, Trouble};
