//! A runner whose actors have state, told to start and to stop them by its relay.

use bytestring::ByteString;
use underpass_core::protocol::control::ActorCheckpoint;
use underpass_core::protocol::kv::{KvRequest, KvRequestData};
use underpass_core::protocol::to_client::{
    AckEvents, ActorConfig, Command, CommandWrapper, HibernatingRequest, StartActor,
};
use underpass_core::protocol::to_server::{
    AckCommands, ActorIntent, ActorState, Event as Said, EventWrapper, StopCode, Stopped,
};
use underpass_core::protocol::tunnel::{to_client, to_server};
use underpass_core::protocol::{Dialect, MessageId, ToClient, ToServer};
use underpass_core::runner::{Action, ActorLife, Config, Event, Sleeping, SocketId};
use underpass_core::{RequestKey, Runner};

use super::relay::websocket_open;
use super::runner::{answers_on, calm, of, ready_with, says_on};
use crate::story::Story;
use crate::wire::message;

/// The actor that the requests of most stories are for.
pub const ACTOR: &str = "default";

/// The usual limits of a runner with state.
pub fn with_state() -> Config {
    Config { stateless: false, ..calm() }
}

/// A runner with state that a relay of Underpass has taken in.
pub fn hosting() -> Story<Runner> {
    ready_with(with_state(), Dialect::Underpass)
}

/// A life of the usual actor.
pub fn life(generation: u32) -> ActorLife {
    life_of(ACTOR, generation)
}

/// A life of an actor.
pub fn life_of(actor_id: &'static str, generation: u32) -> ActorLife {
    ActorLife { actor_id: ByteString::from_static(actor_id), generation }
}

fn checkpoint(actor: &ActorLife, index: i64) -> ActorCheckpoint {
    ActorCheckpoint { actor_id: actor.actor_id.clone(), generation: actor.generation, index }
}

/// What an actor is.
pub fn actor_config() -> ActorConfig {
    ActorConfig { name: "default".into(), key: Some(ACTOR.into()), create_ts: 12, input: None }
}

/// A socket, by the number of its request.
pub fn socket(request: u8) -> SocketId {
    let MessageId { gateway_id, request_id, .. } = of(request, 0);
    SocketId { gateway_id, request_id }
}

/// A relay's command to start a life, with sockets that slept.
pub fn start_command(actor: &ActorLife, requests: &[u8]) -> ToClient {
    let slept = |request: &u8| {
        let SocketId { gateway_id, request_id } = socket(*request);
        HibernatingRequest { gateway_id, request_id }
    };
    let start = StartActor { config: actor_config(), hibernating_requests: requests.iter().map(slept).collect() };
    let inner = Command::StartActor(Box::new(start));
    ToClient::Commands(vec![CommandWrapper { checkpoint: checkpoint(actor, 0), inner }])
}

/// A relay's command to stop a life.
pub fn stop_command(actor: &ActorLife) -> ToClient {
    ToClient::Commands(vec![CommandWrapper { checkpoint: checkpoint(actor, 1), inner: Command::StopActor }])
}

/// A relay took a life's events up to one.
pub fn takes_events(actor: &ActorLife, index: i64) -> ToClient {
    ToClient::AckEvents(AckEvents { last_event_checkpoints: vec![checkpoint(actor, index)] })
}

/// The embedder is to start a life, with nothing that slept.
pub fn starts(actor: &ActorLife) -> Action {
    Action::StartActor { actor: actor.clone(), config: actor_config(), sockets: Vec::new() }
}

/// The embedder is to stop a life.
pub fn stops(actor: &ActorLife) -> Action {
    Action::StopActor { actor: actor.clone() }
}

/// An event, as it travels.
pub fn event(actor: &ActorLife, index: i64, inner: Said) -> EventWrapper {
    EventWrapper { checkpoint: checkpoint(actor, index), inner }
}

/// That a life runs: its first event.
pub fn runs(actor: &ActorLife) -> EventWrapper {
    event(actor, 0, Said::ActorStateUpdate { state: ActorState::Running })
}

/// That a life has stopped, and how.
pub fn has_stopped(actor: &ActorLife, index: i64, error: Option<&'static str>) -> EventWrapper {
    let code = if error.is_some() { StopCode::Error } else { StopCode::Ok };
    let stopped = Stopped { code, message: error.map(ByteString::from_static) };
    event(actor, index, Said::ActorStateUpdate { state: ActorState::Stopped(stopped) })
}

/// That a life wishes something.
pub fn wishes(actor: &ActorLife, index: i64, intent: ActorIntent) -> EventWrapper {
    event(actor, index, Said::ActorIntent { intent })
}

/// When a life wants to be woken.
pub fn alarm(actor: &ActorLife, index: i64, alarm_ts: Option<i64>) -> EventWrapper {
    event(actor, index, Said::ActorSetAlarm { alarm_ts })
}

/// The runner tells its relay of events.
pub fn tells(connection: u64, events: impl IntoIterator<Item = EventWrapper>) -> Action {
    says_on(connection, ToServer::Events(events.into_iter().collect()))
}

/// The runner has taken a life's command.
pub fn takes_command(connection: u64, actor: &ActorLife, index: i64) -> Action {
    let last_command_checkpoints = vec![checkpoint(actor, index)];
    says_on(connection, ToServer::AckCommands(AckCommands { last_command_checkpoints }))
}

/// The runner asks its relay for something of a store.
pub fn asks_store(connection: u64, request_id: u32, data: KvRequestData) -> Action {
    says_on(connection, ToServer::KvRequest(KvRequest { actor_id: ACTOR.into(), request_id, data }))
}

/// The runner acknowledges messages of a WebSocket.
pub fn acknowledges(connection: u64, id: MessageId, index: u16) -> Action {
    let ack = to_server::WebSocketMessageAck { index };
    answers_on(connection, id, to_server::Kind::WebSocketMessageAck(ack))
}

/// The runner has a WebSocket sleep at its gateway.
pub fn lets_sleep(connection: u64, id: MessageId) -> Action {
    let (code, reason) = (Some(1001), Some("runner.moved".into()));
    let close = to_server::WebSocketClose { code, reason, hibernate: true };
    answers_on(connection, id, to_server::Kind::WebSocketClose(close))
}

/// A client's text.
pub fn text(bytes: &'static [u8]) -> to_client::Kind {
    to_client::Kind::WebSocketMessage(message(bytes, false))
}

/// The word with which a gateway wakes a WebSocket.
pub fn wakes() -> to_client::Kind {
    to_client::Kind::Credit(to_client::Credit { total: 0 })
}

impl Story<Runner> {
    /// The usual actor is started and runs.
    #[track_caller]
    pub fn runs_actor(&mut self, generation: u32) -> ActorLife {
        let actor = life(generation);
        self.runs_life(&actor);
        actor
    }

    /// An actor is started and runs.
    #[track_caller]
    pub fn runs_life(&mut self, actor: &ActorLife) {
        let connection = self.connection();
        self.hears(start_command(actor, &[])).expect([starts(actor)]);
        self.input(Event::ActorRunning { actor: actor.clone() });
        self.expect([tells(connection, [runs(actor)]), takes_command(connection, actor, 0)]);
    }

    /// The usual actor is started with sockets that slept: their keys.
    #[track_caller]
    pub fn starts_with(&mut self, generation: u32, requests: &[u8]) -> Vec<RequestKey> {
        self.hears(start_command(&life(generation), requests));
        let actions = self.actions();
        let [Action::StartActor { sockets, .. }] = &actions[..] else { panic!("not one start: {actions:?}") };
        let found: Vec<_> = sockets.iter().map(|Sleeping { socket, .. }| *socket).collect();
        assert_eq!(found, requests.iter().map(|request| socket(*request)).collect::<Vec<_>>());
        sockets.iter().map(|Sleeping { key, .. }| *key).collect()
    }

    /// The usual actor, which has started, runs.
    #[track_caller]
    pub fn is_running(&mut self, generation: u32) -> &mut Self {
        let (actor, connection) = (life(generation), self.connection());
        self.input(Event::ActorRunning { actor: actor.clone() });
        self.expect([tells(connection, [runs(&actor)]), takes_command(connection, &actor, 0)])
    }

    /// A WebSocket that can hibernate comes and is taken.
    #[track_caller]
    pub fn opens_sleeper(&mut self, request: u8) -> RequestKey {
        let connection = self.connection();
        let key = self.is_handed(request, websocket_open());
        let taken = to_server::Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: true });
        self.input(Event::WebSocketAccept { key, can_hibernate: true });
        self.expect([answers_on(connection, of(request, 0), taken)]);
        key
    }

    /// The embedder has stopped an actor.
    #[track_caller]
    pub fn is_stopped(&mut self, actor: &ActorLife) -> &mut Self {
        self.input(Event::ActorStopped { actor: actor.clone(), error: None })
    }

    /// The runner with one running actor, on which nothing else is open, is drained; the story ends.
    #[track_caller]
    pub fn stops_and_ends(&mut self, actor: &ActorLife) {
        let connection = self.connection();
        self.input(Event::Drain).expect([says_on(connection, ToServer::Stopping)]);
        self.hears(stop_command(actor)).expect([stops(actor), takes_command(connection, actor, 1)]);
        self.input(Event::ActorStopped { actor: actor.clone(), error: None });
        assert!(matches!(&self.actions()[..], [Action::Send { .. }, Action::Disconnect { .. }]));
        self.is_lost().expect([Action::Stopped(underpass_core::runner::StopReason::Drained)]);
        self.ends();
    }
}
