//! Asleep: what its client and late frames do to it.

use underpass_core::directory::ActorState;
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::Message;
use underpass_core::protocol::tunnel::to_client;
use underpass_core::protocol::tunnel::to_server::Kind;
use underpass_core::protocol::{ToGateway, to_gateway};
use underpass_core::{ApiMisuse, FailureCode, Machine};
use underpass_tests::given::actors::{conflict, running, says, takes_back, wants_first};
use underpass_tests::given::gateway::publishes_to;
use underpass_tests::given::gateway::{chunk, credit, zeros};
use underpass_tests::given::hibernation::{
    ack, asleep, asleep_with, awake, client_closes, ends, is_here, is_here_at, is_wanted, leaves, left, restored,
    says_text, sleeps, text_to, usual,
};
use underpass_tests::wire::{GATEWAY, connection, message, response_start};

#[test]
fn it_holds_no_deadline_but_the_registrys() {
    let (story, asked) = asleep();
    assert_eq!((story.machine.stats().deadlines, story.machine.stats().buffered), (1, 0));
    let (mut story, asked) = (story, asked);
    story.input(restored(asked, 1, 4)).expect([is_here(1, asked)]);
    ends(story, asked, 0);
}

#[test]
fn an_abort_and_other_late_frames_change_nothing_but_a_counter() {
    let (mut story, asked) = asleep();
    let late = [
        Kind::ResponseAbort,
        Kind::WebSocketMessage(message(b"late", false)),
        Kind::Credit(credit(9)),
        response_start(200, None, false),
        sleeps(),
    ];
    let count = late.len() as u64;
    for kind in late {
        story.hears(asked, 2, kind).expect([]);
    }
    story.hears(asked, 2, ack(1)).expect([]);
    let stats = story.machine.stats();
    assert_eq!((stats.stale, stats.acks_ignored, stats.hibernating, stats.slept), (count, 1, 1, 1));
    story.input(restored(asked, 1, 4)).expect([is_here(1, asked)]);
    ends(story, asked, 0);
}

#[test]
fn a_late_acknowledgement_is_taken_and_the_actor_no_longer_wanted_for_it() {
    let (mut story, asked) = awake();
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
    story.input(Event::NoResponders { to: connection(1) }).expect([]);
    story.input(underpass_tests::given::actors::shows(2, ActorState::Sleeping));
    story.expect([underpass_tests::given::actors::wants(2)]);
    story.input(underpass_tests::given::actors::stored(3)).expect([]);
    let before = says(2, ActorState::Sleeping).record;
    story.hears(asked, 1, ack(1)).expect([takes_back(3, Some(before))]);
    story.input(underpass_tests::given::actors::stored(4)).expect([]);
    assert_eq!((story.machine.stats().buffered, story.machine.stats().deadlines), (0, 1));
    story.input(restored(asked, 1, 4)).expect([is_here_at(1, asked, 2)]);
    story.input(says_text(asked, "b")).expect([text_to(1, asked, 2, "b")]);
    story.hears(asked, 0, ack(2)).expect([]);
    ends(story, asked, 1);
}

#[test]
fn messages_are_bounded_as_when_it_is_awake() {
    let config = Config { max_pending_messages: 4, ..usual() };
    let (mut story, asked) = asleep_with(config);
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    story.input(says_text(asked, "b")).expect([]);
    story.input(says_text(asked, "c")).expect([Action::PauseSource { key: asked.key }]);
    story.input(says_text(asked, "d")).expect([]);
    story.input(says_text(asked, "e"));
    let actions = story.actions();
    assert!(matches!(&actions[0], Action::Failed { failure, .. } if failure.code == FailureCode::Overloaded));
    assert_eq!(actions[1..], [takes_back(3, Some(says(2, ActorState::Sleeping).record)), leaves(asked)]);
    story.input(left(asked)).input(underpass_tests::given::actors::stored(4)).ends();
}

#[test]
fn a_message_over_the_limit_fails_it() {
    let config = Config { max_message: 10, ..usual() };
    let (mut story, asked) = asleep_with(config);
    story.input(Event::WebSocketMessage { key: asked.key, message: Message::Binary(zeros(11)) });
    let actions = story.actions();
    assert!(matches!(&actions[0], Action::Failed { failure, .. } if failure.code == FailureCode::MessageTooLarge));
    assert_eq!(actions[1..], [leaves(asked)]);
    story.input(left(asked)).ends();
}

#[test]
fn what_makes_no_sense_is_a_misuse_as_when_it_is_awake() {
    let (mut story, asked) = asleep();
    let body = ApiMisuse::OutOfTurn("a chunk of a body for a WebSocket");
    story.misuse(chunk(asked.key, zeros(1), false), body);
    story.input(client_closes(asked));
    is_wanted(&mut story);
    story.misuse(says_text(asked, "a"), ApiMisuse::OutOfTurn("a message behind the close of its WebSocket"));
    story.misuse(client_closes(asked), ApiMisuse::OutOfTurn("a second close of a WebSocket"));
    story.input(Event::ClientGone { key: asked.key }).expect([]);
}

#[test]
fn what_its_client_consumes_then_is_granted_to_nobody() {
    let (mut story, asked) = awake();
    let key = asked.key;
    let bytes = 1 << 19;
    let data = zeros(bytes);
    let binary = to_client::WebSocketMessage { data: data.clone(), binary: true };
    let heard = || Action::WebSocketMessage { key, message: Message::Binary(data.clone()) };
    story.hears(asked, 1, Kind::WebSocketMessage(binary.clone())).expect([heard()]);
    story.hears(asked, 2, sleeps()).expect([]);
    assert_eq!(story.machine.stats().buffered, bytes);
    story.input(Event::Consumed { key, bytes: 10 }).expect([]);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked)]);
    assert_eq!(story.machine.stats().buffered, bytes, "not consumed to its end");
    story.hears(asked, 0, Kind::WebSocketMessage(binary)).expect([heard()]);
    story.input(Event::Consumed { key, bytes: bytes - 10 }).expect([]);
    let granted = publishes_to(2, asked, 0, to_client::Kind::Credit(credit(bytes as u32)));
    story.input(Event::Consumed { key, bytes }).expect([granted]);
    story.hears(asked, 1, sleeps()).expect([]);
    story.input(restored(asked, 2, 5)).expect([is_here(2, asked)]);
    ends(story, asked, 0);
}

#[test]
fn one_whose_client_consumed_all_holds_nothing_of_it() {
    let (mut story, asked) = awake();
    let key = asked.key;
    let hello = Action::WebSocketMessage { key, message: Message::Text("hello".into()) };
    story.hears(asked, 1, Kind::WebSocketMessage(message(b"hello", false))).expect([hello]);
    story.hears(asked, 2, sleeps()).expect([]);
    story.input(Event::Consumed { key, bytes: 5 }).expect([]);
    assert_eq!(story.machine.stats().buffered, 0);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked)]);
    ends(story, asked, 0);
}

#[test]
fn a_route_that_stands_for_it_is_aborted() {
    let (mut story, asked) = asleep();
    let route = to_gateway::RouteOpen { gateway_id: GATEWAY, request_id: asked.id, connection: connection(1).into() };
    story.input(Event::Received { from: None, frame: ToGateway::RouteOpen(route).encode_framed() });
    assert_eq!(story.actions().len(), 1);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked)]);
    ends(story, asked, 0);
}

#[test]
fn the_client_that_says_something_first_hears_of_a_record_that_is_not_known_here() {
    let (mut story, asked) = asleep();
    story.input(says_text(asked, "a")).expect([wants_first(0)]);
    story.input(conflict(Some(says(7, running(2))))).expect([]);
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
    story.hears(asked, 0, ack(1)).expect([]);
    ends(story, asked, 1);
}
