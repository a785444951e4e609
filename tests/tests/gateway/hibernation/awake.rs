//! Awake: what the client says is sent at once and kept until it is acknowledged, within bounds.

use std::time::Duration;

use bytes::Bytes;
use underpass_core::bus::PublishError;
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::{Body, Message};
use underpass_core::protocol::tunnel::to_server::Kind;
use underpass_core::protocol::tunnel::{to_client, to_server};
use underpass_core::{FailureCode, Machine};
use underpass_tests::given::gateway::{closes, credit, give_back, publishes, zeros};
use underpass_tests::given::hibernation::{ack, awake, awake_with, ends, leaves, left, says_text, text_to, usual};
use underpass_tests::wire::{message, open};

const BOUND: usize = 2 * 1024 * 1024;

/// A pending bound of 2 MiB, and 10 messages.
fn small() -> Config {
    Config {
        max_message: BOUND / 2,
        max_whole_body: BOUND / 2,
        max_pending_bytes: BOUND,
        max_pending_messages: 10,
        ..usual()
    }
}

#[test]
fn a_message_goes_out_at_once_and_is_held_until_it_is_acknowledged() {
    let (mut story, asked) = awake();
    story.input(says_text(asked, "hello")).expect([text_to(1, asked, 1, "hello")]);
    assert_eq!(story.machine.stats().buffered, 64, "each counts for at least 64");
    story.hears(asked, 1, ack(1)).expect([]);
    assert_eq!(story.machine.stats().buffered, 0);
    ends(story, asked, 2);
}

#[test]
fn messages_of_the_actor_go_to_the_client_as_ever() {
    let (mut story, asked) = awake();
    let hello = Action::WebSocketMessage { key: asked.key, message: Message::Text("hello".into()) };
    story.hears(asked, 1, Kind::WebSocketMessage(message(b"hello", false))).expect([hello]);
    story.input(Event::Consumed { key: asked.key, bytes: 5 }).expect([]);
    // A gap among them ends it, as that of any other.
    story.hears(asked, 3, ack(1));
    let actions = story.actions();
    assert_eq!((&actions[0], &actions[2]), (&closes(asked, 1, FailureCode::MessageLost), &leaves(asked)));
    assert!(matches!(&actions[1], Action::Failed { failure, .. } if failure.code == FailureCode::MessageLost));
    story.input(left(asked)).ends();
}

#[test]
fn past_half_of_its_bounds_the_client_pauses_and_over_them_it_is_closed() {
    let of_bytes = Config { max_message: 10_000, max_pending_bytes: 100_000, ..usual() };
    for (config, size) in [(of_bytes, 10_000), (small(), 1)] {
        let (mut story, asked) = awake_with(config);
        let binary = || Event::WebSocketMessage { key: asked.key, message: Message::Binary(zeros(size)) };
        for _ in 0..5 {
            assert_eq!(story.input(binary()).actions().len(), 1, "only the message itself");
        }
        let actions = story.input(binary()).actions();
        assert_eq!((actions.len(), &actions[1]), (2, &Action::PauseSource { key: asked.key }));
        for _ in 6..10 {
            assert_eq!(story.input(binary()).actions().len(), 1);
        }
        let last = story.input(binary()).actions();
        assert!(matches!(&last[1], Action::Failed { failure, .. } if failure.code == FailureCode::Overloaded));
        assert_eq!((last.len(), &last[0], &last[2]), (3, &closes(asked, 11, FailureCode::Overloaded), &leaves(asked)));
        story.input(left(asked)).ends();
    }
}

#[test]
fn acknowledgements_let_the_client_go_on() {
    let (mut story, asked) = awake_with(small());
    for number in 1..=5 {
        story.input(says_text(asked, "a")).expect([text_to(1, asked, number, "a")]);
    }
    let pause = Action::PauseSource { key: asked.key };
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 6, "a"), pause]);
    story.hears(asked, 1, ack(1)).expect([Action::ResumeSource { key: asked.key }]);
    ends(story, asked, 2);
}

#[test]
fn a_gibibyte_goes_through_a_pending_bound_of_one_mebibyte() {
    let mebibyte = 1 << 20;
    let config = Config {
        max_message: 64 * 1024,
        max_whole_body: 64 * 1024,
        max_chunk: 64 * 1024,
        max_pending_bytes: mebibyte,
        ..usual()
    };
    let (mut story, asked) = awake_with(config);
    let bytes = Bytes::from(vec![0; 64 * 1024]);
    let mut number = 0_u16;
    let mut carried = 0_u64;
    while carried < 1 << 30 {
        for _ in 0..8 {
            let message = Message::Binary(bytes.clone());
            let event = Event::WebSocketMessage { key: asked.key, message };
            // Not told as a story's input: that would write each of them down.
            story.machine.handle(event, story.now()).expect("no misuse");
            assert_eq!(story.actions().len(), 1);
            carried += bytes.len() as u64;
        }
        number = number.wrapping_add(8);
        story.hears(asked, number / 8, ack(number)).expect([]);
        assert_eq!(story.machine.stats().buffered, 0);
        let total = (carried % (1 << 32)) as u32;
        story.hears(asked, 0, Kind::Credit(credit(total))).expect([]);
    }
    assert_eq!(number, 16_384);
    ends(story, asked, number / 8 + 1);
}

#[test]
fn what_has_no_credit_waits_and_is_bounded_with_what_is_not_acknowledged() {
    let (mut story, asked) = awake_with(small());
    let key = asked.key;
    let half = || Message::Binary(zeros(BOUND / 2));
    let sent = |number| {
        let message = to_client::WebSocketMessage { data: zeros(BOUND / 2), binary: true };
        publishes(asked, number, to_client::Kind::WebSocketMessage(message))
    };
    story.input(Event::WebSocketMessage { key, message: half() }).expect([sent(1), Action::PauseSource { key }]);
    story.input(Event::WebSocketMessage { key, message: half() }).expect([]);
    story.hears(asked, 0, Kind::Credit(credit(BOUND as u32 / 2))).expect([sent(2)]);
    story.hears(asked, 1, ack(2)).expect([]);
    story.hears(asked, 0, Kind::Credit(credit(BOUND as u32))).expect([Action::ResumeSource { key }]);
    ends(story, asked, 2);
}

#[test]
fn a_piece_that_the_bus_will_never_take_fails_it() {
    let (mut story, asked) = awake();
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
    story.input(give_back(text_to(2, asked, 1, "a"), PublishError::TooLarge)).expect([]);
    story.input(give_back(text_to(1, asked, 1, "a"), PublishError::TooLarge));
    let mut actions = story.actions();
    assert_eq!((actions.len(), actions.pop()), (3, Some(leaves(asked))));
    story.input(left(asked)).ends();
}

#[test]
fn a_request_for_the_same_actor_is_none_that_hibernates() {
    let (mut story, asked) = awake();
    let get = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(get, 0, to_server::Kind::ResponseAbort).actions();
    assert_eq!(story.machine.stats().hibernating_actors, 1);
    story.passes(Duration::from_secs(1)).expect([]);
    ends(story, asked, 1);
}
