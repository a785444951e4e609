//! A gateway, and a WebSocket that can hibernate: to the actor of all requests, which lives for the third time.

use underpass_core::Gateway;
use underpass_core::directory::{ActorState, DirectoryUnavailable, HibernatingSocket, RegistryChange};
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::{Close, Message};
use underpass_core::protocol::tunnel::{to_client, to_server};
use underpass_core::protocol::{ToGateway, to_gateway};

use crate::given::actors::{conflict, gateway_of_actors, running, says, shows, stored, wants, wants_first};
use crate::given::gateway::{Asked, config, credit, publishes_to};
use crate::given::supervisor::actor;
use crate::story::Story;
use crate::wire::{GATEWAY, connection, open_websocket};

/// The life of the actor in which the WebSocket is opened.
pub const FIRST_LIFE: u32 = 3;

/// A gateway that knows the runners 1 and 2, and that the actor runs on the first.
pub fn gateway_that_hibernates(config: Config) -> Story<Gateway> {
    let mut story = gateway_of_actors(config);
    story.input(shows(1, running(1))).expect([]);
    story
}

/// A WebSocket on connection 1 that is open, and not yet in the registry.
pub fn unregistered(config: Config) -> (Story<Gateway>, Asked) {
    let mut story = gateway_that_hibernates(config);
    let asked = opens(&mut story);
    (story, asked)
}

/// Opens a WebSocket that can hibernate.
#[track_caller]
pub fn opens(story: &mut Story<Gateway>) -> Asked {
    let asked = story.opens(open_websocket("/"));
    story.actions();
    story.hears(asked, 0, taken(true)).expect([Action::WebSocketOpened { key: asked.key }, enters(asked)]);
    asked
}

/// A WebSocket that is awake on connection 1, and in the registry.
pub fn awake_with(config: Config) -> (Story<Gateway>, Asked) {
    let (mut story, asked) = unregistered(config);
    story.input(entered(asked)).expect([]);
    (story, asked)
}

/// The same with the usual configuration.
pub fn awake() -> (Story<Gateway>, Asked) {
    awake_with(usual())
}

/// The usual one, that sends again.
pub fn usual() -> Config {
    Config { max_tries: 3, ..config() }
}

/// A WebSocket that sleeps as its actor does.
pub fn asleep() -> (Story<Gateway>, Asked) {
    asleep_with(usual())
}

/// The same with another configuration.
pub fn asleep_with(config: Config) -> (Story<Gateway>, Asked) {
    let (mut story, asked) = awake_with(config);
    story.hears(asked, 1, sleeps()).expect([]);
    story.input(shows(2, ActorState::Sleeping)).expect([]);
    (story, asked)
}

/// The runner takes a WebSocket.
pub fn taken(can_hibernate: bool) -> to_server::Kind {
    to_server::Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate })
}

/// The actor goes to sleep.
pub fn sleeps() -> to_server::Kind {
    to_server::Kind::WebSocketClose(to_server::WebSocketClose { code: None, reason: None, hibernate: true })
}

/// The handler closes.
pub fn closed_by_handler() -> to_server::Kind {
    let (code, reason) = (Some(1000), Some("done".into()));
    to_server::Kind::WebSocketClose(to_server::WebSocketClose { code, reason, hibernate: false })
}

/// All messages up to this number are handled.
pub fn ack(index: u16) -> to_server::Kind {
    to_server::Kind::WebSocketMessageAck(to_server::WebSocketMessageAck { index })
}

/// How the registry knows a WebSocket.
pub fn socket(asked: Asked) -> HibernatingSocket {
    HibernatingSocket { actor: actor("default"), gateway_id: GATEWAY, request_id: asked.id }
}

/// A WebSocket is to be entered in the registry.
pub fn enters(asked: Asked) -> Action {
    Action::Registry(RegistryChange::Enter(socket(asked)))
}

/// A WebSocket is to be taken out of the registry.
pub fn leaves(asked: Asked) -> Action {
    Action::Registry(RegistryChange::Leave(socket(asked)))
}

/// The registry is to hear that the gateway lives.
pub fn keeps_alive() -> Action {
    Action::Registry(RegistryChange::KeepAlive(GATEWAY))
}

/// It was entered.
pub fn entered(asked: Asked) -> Event {
    Event::RegistryChanged { change: RegistryChange::Enter(socket(asked)), outcome: Ok(()) }
}

/// It was taken out.
pub fn left(asked: Asked) -> Event {
    Event::RegistryChanged { change: RegistryChange::Leave(socket(asked)), outcome: Ok(()) }
}

/// That the gateway lives was heard.
pub fn kept_alive() -> Event {
    Event::RegistryChanged { change: RegistryChange::KeepAlive(GATEWAY), outcome: Ok(()) }
}

/// The directory was away.
pub fn unavailable(change: RegistryChange) -> Event {
    Event::RegistryChanged { change, outcome: Err(DirectoryUnavailable) }
}

/// A relay opened a route for a WebSocket: this life of its actor runs on that connection.
pub fn restored(asked: Asked, number: u64, generation: u32) -> Event {
    let (request_id, connection) = (asked.id, connection(number).into());
    let restored = to_gateway::Restored { gateway_id: GATEWAY, request_id, connection, generation };
    Event::Received { from: None, frame: ToGateway::Restored(restored).encode_framed() }
}

/// The gateway tells a relay that it knows of the route, and that the client's first message follows.
pub fn is_here(number: u64, asked: Asked) -> Action {
    is_here_at(number, asked, 1)
}

/// The same, and that the client's message of this number follows.
pub fn is_here_at(number: u64, asked: Asked, next: u16) -> Action {
    publishes_to(number, asked, next, to_client::Kind::Credit(credit(0)))
}

/// A client says something.
pub fn says_text(asked: Asked, text: &'static str) -> Event {
    Event::WebSocketMessage { key: asked.key, message: Message::Text(text.into()) }
}

/// What a client said goes to a connection.
pub fn text_to(number: u64, asked: Asked, index: u16, text: &'static str) -> Action {
    publishes_to(number, asked, index, to_client::Kind::WebSocketMessage(crate::wire::message(text.as_bytes(), false)))
}

/// A client closes.
pub fn client_closes(asked: Asked) -> Event {
    Event::WebSocketClose { key: asked.key, close: Close::new(1000, "bye") }
}

/// That goes to a connection.
pub fn close_to(number: u64, asked: Asked, index: u16) -> Action {
    let close = to_client::WebSocketClose { code: Some(1000), reason: Some("bye".into()) };
    publishes_to(number, asked, index, to_client::Kind::WebSocketClose(close))
}

/// That its client was cut goes to a connection.
pub fn cut_to(number: u64, asked: Asked, index: u16) -> Action {
    let close = to_client::WebSocketClose { code: Some(1006), reason: None };
    publishes_to(number, asked, index, to_client::Kind::WebSocketClose(close))
}

/// The actor, of which the gateway knows nothing any more, is set wanted behind its record of revision 2.
#[track_caller]
pub fn is_wanted(story: &mut Story<Gateway>) {
    let created_at = (story.now().as_micros() / 1_000) as i64;
    story.expect([wants_first(created_at)]);
    story.input(conflict(Some(says(2, ActorState::Sleeping)))).expect([wants(2)]);
    story.input(stored(3)).expect([]);
}

/// The handler closes one that is awake, and it leaves the registry.
#[track_caller]
pub fn ends(mut story: Story<Gateway>, asked: Asked, number: u16) {
    let close = Close::new(1000, "done");
    story.hears(asked, number, closed_by_handler());
    story.expect([Action::WebSocketClose { key: asked.key, close }, leaves(asked)]);
    story.input(left(asked)).ends();
}
