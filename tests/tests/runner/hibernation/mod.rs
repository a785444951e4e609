//! WebSockets that can hibernate: acknowledged, detached, woken over another connection, asleep, restored.

mod acknowledged;
mod asleep;
mod detached;

use std::time::Duration;

use underpass_core::http::{Close, Message};
use underpass_core::protocol::Dialect;
use underpass_core::protocol::tunnel::to_server::{self, Kind as Answer};
use underpass_core::runner::{Action, Config, Event};
use underpass_core::{Machine, RequestKey, Runner};
use underpass_tests::given::hosted::{hosting, life, runs, tells, with_state};
use underpass_tests::given::runner::{answers_close, answers_on, dials, greeting, of, ready_with, small_config};
use underpass_tests::story::Story;
use underpass_tests::wire::message;

pub(super) const FIRST_WAIT: Duration = Duration::from_millis(125);
pub(super) const WITHIN: Duration = Duration::from_millis(100);
pub(super) const SILENT: Duration = Duration::from_secs(30);
pub(super) const LEAVE_IDLE: Duration = Duration::from_secs(1);

/// A runner whose actor has one WebSocket, which can hibernate.
pub(super) fn with_socket() -> (Story<Runner>, RequestKey) {
    with_socket_of(with_state())
}

pub(super) fn with_socket_of(config: Config) -> (Story<Runner>, RequestKey) {
    let mut story = ready_with(config, Dialect::Underpass);
    story.runs_actor(1);
    let key = story.opens_sleeper(1);
    (story, key)
}

/// The actor was started with one WebSocket that slept, and whose last message that was handled had a number.
pub(super) fn with_restored(last: u16) -> (Story<Runner>, RequestKey) {
    let mut story = hosting();
    let key = story.starts_with(2, &[1])[0];
    story.input(Event::WebSocketRestore { key, last }).expect([Action::PauseSource { key }]);
    story.is_running(2);
    (story, key)
}

pub(super) fn small() -> Config {
    Config { stateless: false, ..small_config(1_000) }
}

pub(super) fn comes(key: RequestKey, number: u16, text: &'static str) -> Action {
    Action::WebSocketMessage { key, number, message: Message::Text(text.into()) }
}

pub(super) fn sends(key: RequestKey, text: &'static str) -> Event {
    Event::WebSocketMessage { key, message: Message::Text(text.into()) }
}

pub(super) fn sent(data: &'static [u8]) -> Answer {
    Answer::WebSocketMessage(message(data, false))
}

pub(super) fn not_restored(number: u16) -> Action {
    answers_close(of(1, number), Close::new(1011, "ws.not_restored"))
}

/// The connection is lost, and another is there; the actor is announced.
pub(super) fn comes_back(story: &mut Story<Runner>, generation: u32) -> u64 {
    let next = story.connection() + 1;
    story.passes(FIRST_WAIT).expect([dials(next)]);
    story.is_connected(Dialect::Underpass).actions();
    story.hears(greeting()).expect([tells(next, [runs(&life(generation))])]);
    story.is_told_ready();
    next
}

/// The WebSocket is lost with its connection, and waits.
pub(super) fn is_detached(story: &mut Story<Runner>, key: RequestKey) {
    story.is_lost().expect([Action::PauseSource { key }]);
    assert_eq!(story.machine.stats().detached_sockets, 1);
}

/// The handler closes; the actor stops; the story ends.
pub(super) fn closes_and_ends(mut story: Story<Runner>, key: RequestKey, generation: u32, id: u16) {
    let connection = story.connection();
    story.input(Event::WebSocketClose { key, close: Close::new(1000, "") });
    let close = to_server::WebSocketClose { code: Some(1000), reason: Some("".into()), hibernate: false };
    story.expect([answers_on(connection, of(1, id), Answer::WebSocketClose(close))]);
    story.stops_and_ends(&life(generation));
}
