//! What can happen to a supervisor, and what it can want done.

use bytestring::ByteString;

use crate::directory::{
    ActorChange, ActorKey, ActorRecord, ActorSeen, ChangeOutcome, DirectoryUnavailable, Revision, RunnerId, RunnerKey,
    RunnerSeen,
};
use crate::protocol::to_client::{AckEvents, CommandWrapper, HibernatingRequest};
use crate::protocol::to_server::{AckCommands, EventWrapper};

/// A runner of a pool with state, as its relay took it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeted {
    /// The connection's number at this relay, never used again.
    pub connection: u64,
    /// The runner's id, the same as on its connections before.
    pub id: RunnerId,
    /// Its place in the directory.
    pub key: RunnerKey,
    /// How many actors it has room for.
    pub slots: u32,
    /// Whether its WebSockets can hibernate: its version has words for it.
    pub hibernates: bool,
    /// Of the record that names this connection. What the directory says of the runner up to here is old.
    pub revision: Revision,
}

/// What can happen to a supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// It is this Unix time now, milliseconds.
    WallClock {
        /// Milliseconds since the Unix epoch.
        unix_ms: i64,
    },
    /// A runner of this relay is in the directory and was sent `ToClientInit`. Not to be said of stateless ones.
    Greeted(Greeted),
    /// The first pong came: the runner has said again what it had to.
    Answered {
        /// On which connection.
        connection: u64,
    },
    /// `ToServerStopping` came.
    Stopping {
        /// On which connection.
        connection: u64,
    },
    /// Place no more actors on a runner: its connection drains.
    Draining {
        /// Which connection.
        connection: u64,
    },
    /// A connection that was greeted ended, in whatever way; its routes are closed.
    Disconnected {
        /// Which.
        connection: u64,
    },
    /// `ToServerEvents` came.
    Events {
        /// On which connection.
        connection: u64,
        /// What happened to actors, in order.
        events: Vec<EventWrapper>,
    },
    /// A client's WebSocket sleeps while this life of its actor runs on without it: the actor is to sleep as well.
    LeftBehind {
        /// On which connection its runner is.
        connection: u64,
        /// Which actor.
        actor_id: ByteString,
        /// Its life.
        generation: u32,
    },
    /// `ToServerAckCommands` came.
    AckCommands {
        /// On which connection.
        connection: u64,
        /// Up to where commands were taken.
        acknowledged: AckCommands,
    },
    /// An actor has no routes any more, after [`Action::FinishRoutes`] or [`Action::EndRoutes`].
    RoutesEnded {
        /// Which.
        actor: ActorKey,
        /// As the action said.
        generation: u32,
    },
    /// The directory shows a runner.
    Runner(RunnerSeen),
    /// The directory shows an actor.
    Actor(ActorSeen),
    /// What became of an [`Action::Change`].
    Changed {
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
    /// The directory has shown all actors that are there, and shows what changes from now on.
    DirectoryBack,
    /// The directory does not show changes for now.
    DirectoryAway,
    /// Place no more actors on runners of this relay.
    Drain,
}

/// What a supervisor can want done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send `ToClientCommands`.
    Commands {
        /// On which connection.
        connection: u64,
        /// What to do.
        commands: Vec<CommandWrapper>,
    },
    /// Send `ToClientAckEvents`.
    AckEvents {
        /// On which connection.
        connection: u64,
        /// Up to where events were taken.
        acknowledged: AckEvents,
    },
    /// Change an actor's record, one at a time per actor and in order, and say what became of it with
    /// [`Event::Changed`].
    Change(ActorChange),
    /// Ask the registry for the WebSockets of an actor, and say with [`Event::Registered`] which there are.
    Registered {
        /// Which actor's.
        actor: ActorKey,
    },
    /// An actor runs: open routes for its WebSockets that slept, and tell their gateways.
    Restore {
        /// On which connection.
        connection: u64,
        /// Which.
        actor: ActorKey,
        /// Its life.
        generation: u32,
        /// The sockets that its runner knows of.
        sockets: Vec<HibernatingRequest>,
        /// Those that there was no room to start it with: they are to be closed at their gateways.
        left_out: Vec<HibernatingRequest>,
    },
    /// Open no more routes to an actor. When its exchanges have ended, close its WebSockets with `hibernate: true`, and
    /// say [`Event::RoutesEnded`].
    FinishRoutes {
        /// On which connection.
        connection: u64,
        /// Which.
        actor: ActorKey,
        /// Its life.
        generation: u32,
    },
    /// Open no more routes to an actor. Abort its exchanges, close its WebSockets with `hibernate: true`, and say
    /// [`Event::RoutesEnded`]. It may come after [`Action::FinishRoutes`]; one answer is enough then.
    EndRoutes {
        /// On which connection.
        connection: u64,
        /// Which.
        actor: ActorKey,
        /// Its life.
        generation: u32,
    },
    /// Show all actors of the directory once more, with [`Event::Actor`]: some were left out for want of room. Nothing
    /// else begins anew.
    ShowActors,
    /// Tell people.
    Log(super::Notice),
}
