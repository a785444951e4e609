//! What can happen to a relay, and what it can want done.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bus::{Address, Publication, Rejected};
use crate::directory::{
    ActorChange, ActorKey, ActorRecord, ActorSeen, ChangeOutcome, DirectoryUnavailable, RunnerChange, RunnerSeen,
};
use crate::frame::Frame;
use crate::handshake::Hello;
use crate::http::Close;
use crate::kv::{Call, Owner};
use crate::protocol::GatewayId;
use crate::protocol::kv::KvResponseData;
use crate::protocol::to_client::HibernatingRequest;
use crate::supervisor;

/// What can happen to a relay.
///
/// Connections are numbered by the adapter, which never uses a number again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// It is this Unix time now, milliseconds.
    WallClock {
        /// Milliseconds since the Unix epoch.
        unix_ms: i64,
    },
    /// A runner's WebSocket was opened.
    Connected {
        /// A number of its own.
        connection: u64,
        /// Who it is.
        hello: Hello,
    },
    /// A runner sent a binary message.
    FromRunner {
        /// On which connection.
        connection: u64,
        /// The message.
        frame: Bytes,
    },
    /// A runner sent a text message.
    TextFromRunner {
        /// On which connection.
        connection: u64,
    },
    /// A runner's WebSocket answered an [`Action::Ping`].
    Ponged {
        /// On which connection.
        connection: u64,
    },
    /// A runner's WebSocket ended, in whatever way. To be said once, also after [`Action::Close`].
    Disconnected {
        /// Which.
        connection: u64,
    },
    /// A connection's outbox has no room for another frame of any size.
    PeerBlocked {
        /// Which.
        connection: u64,
    },
    /// It has room again.
    PeerWritable {
        /// Which.
        connection: u64,
    },
    /// The bus delivered a frame for a connection.
    FromBus {
        /// Which.
        connection: u64,
        /// With the version in front.
        frame: Frame,
    },
    /// The bus gave a publication back.
    PublishFailed(Rejected),
    /// The bus found nobody listening at a gateway that this relay published to.
    NoResponders {
        /// Which.
        gateway: GatewayId,
    },
    /// The bus lost frames, and which is not known.
    Lost {
        /// Whose they were; none: anybody's, and frames of this relay may be lost as well.
        from: Option<Address>,
    },
    /// What became of an [`Action::Directory`].
    Directory {
        /// The connection whose runner it was about.
        connection: u64,
        /// What became of it.
        outcome: ChangeOutcome,
    },
    /// The directory shows a runner, of this relay or of another.
    Runner(RunnerSeen),
    /// The directory shows an actor.
    Actor(ActorSeen),
    /// What became of an [`Action::Actor`].
    ActorChanged {
        /// Whose record it was about.
        actor: ActorKey,
        /// What became of it.
        outcome: ChangeOutcome<ActorRecord>,
    },
    /// What the registry has of an actor that was asked for with [`Action::Registered`].
    Registered {
        /// Which.
        actor: ActorKey,
        /// Its clients' WebSockets that can hibernate.
        sockets: Result<Vec<HibernatingRequest>, DirectoryUnavailable>,
    },
    /// The directory has shown all runners and actors that are there, and shows what changes from now on.
    DirectoryBack,
    /// The directory does not show changes for now.
    DirectoryAway,
    /// A store answered an [`Action::Kv`].
    KvAnswered {
        /// Whose runner asked.
        connection: u64,
        /// As the action said.
        number: u64,
        /// The answer.
        data: KvResponseData,
    },
    /// Somebody who looks after the relay wants a runner's connection to drain: nothing new goes to it, its runner may
    /// come again, what is open ends, and then it is closed.
    DrainRunner {
        /// Which.
        connection: u64,
    },
    /// Take no new connections; let runners go elsewhere; finish what is open, then close.
    Drain,
}

/// What a relay can want done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Send a binary message to a runner.
    Send {
        /// On which connection.
        connection: u64,
        /// The message.
        frame: Frame,
    },
    /// Ping a runner's WebSocket, behind what was sent before, and say when it answered. Old runners know no other
    /// ping.
    Ping {
        /// Which.
        connection: u64,
    },
    /// Close a runner's WebSocket, behind what was sent before.
    Close {
        /// Which.
        connection: u64,
        /// How.
        close: Close,
    },
    /// Give this to the bus.
    Publish(Publication),
    /// Change a runner's record, one at a time per connection and in order, and say what became of it with
    /// [`Event::Directory`].
    Directory {
        /// The connection whose runner it is about.
        connection: u64,
        /// The change.
        change: RunnerChange,
    },
    /// Remove a runner's record that nobody writes any more, if it is still as expected. What became of it the directory
    /// shows.
    Forget(RunnerChange),
    /// Change an actor's record, one at a time per actor, and say what became of it with [`Event::ActorChanged`].
    Actor(ActorChange),
    /// Ask the registry for the WebSockets of an actor, and say with [`Event::Registered`] which there are.
    Registered {
        /// Which actor's.
        actor: ActorKey,
    },
    /// Show all actors of the directory once more, with [`Event::Actor`]: some were left out for want of room. Nothing
    /// else begins anew, and the directory is not away for it.
    ShowActors,
    /// Ask an actor's store, in the order of these actions, and say what it answered with [`Event::KvAnswered`],
    /// however late.
    Kv {
        /// Whose runner asks.
        connection: u64,
        /// The call's own, to be repeated.
        number: u64,
        /// What is asked.
        call: Call,
        /// Whose store, and in whose name.
        owner: Owner,
    },
    /// Tell people of actors.
    LogActors(supervisor::Notice),
    /// Tell people.
    Log {
        /// About which connection.
        connection: u64,
        /// What. Written down, it is what people are told.
        #[serde(serialize_with = "super::notice::write", deserialize_with = "super::notice::read")]
        notice: super::Notice,
    },
    /// After [`Event::Drain`]: nothing is open any more.
    Drained,
}
