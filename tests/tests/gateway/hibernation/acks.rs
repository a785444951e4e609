//! Acknowledgements: in time, and none but of what was sent.

use std::time::Duration;

use underpass_core::gateway::{Action, Config};
use underpass_core::{FailureCode, Machine};
use underpass_tests::given::gateway::closes;
use underpass_tests::given::hibernation::{ack, awake, awake_with, ends, leaves, left, says_text, text_to, usual};

const ACK: Duration = Duration::from_secs(30);

#[test]
fn an_ack_covers_all_messages_up_to_it() {
    let (mut story, asked) = awake();
    for number in 1..=3 {
        story.input(says_text(asked, "a")).expect([text_to(1, asked, number, "a")]);
    }
    story.hears(asked, 1, ack(2)).expect([]);
    assert_eq!(story.machine.stats().buffered, 64);
    story.hears(asked, 2, ack(3)).expect([]);
    assert_eq!((story.machine.stats().buffered, story.machine.stats().acks_ignored), (0, 0));
    ends(story, asked, 3);
}

#[test]
fn an_ack_that_lies_changes_nothing_but_a_counter() {
    let (mut story, asked) = awake();
    for number in 1..=3 {
        story.input(says_text(asked, "a")).expect([text_to(1, asked, number, "a")]);
    }
    story.hears(asked, 1, ack(1)).expect([]);
    let lies = [0, 1, 4, 5, 100, 32_767, 32_768, 32_769, 32_770, 40_000, 65_534, 65_535];
    for (number, lie) in (2..).zip(lies) {
        story.hears(asked, number, ack(lie)).expect([]);
        assert_eq!(story.machine.stats().buffered, 128, "behind an ack of {lie}");
    }
    assert_eq!(story.machine.stats().acks_ignored, lies.len() as u64);
    let next = 2 + lies.len() as u16;
    story.hears(asked, next, ack(3)).expect([]);
    assert_eq!(story.machine.stats().buffered, 0);
    ends(story, asked, next + 1);
}

#[test]
fn acks_hold_across_the_wrap_of_the_numbers() {
    let (mut story, asked) = awake();
    let mut heard = 1_u16;
    for number in 1..=65_533_u16 {
        story.input(says_text(asked, "a")).expect([text_to(1, asked, number, "a")]);
        if number % 1_000 == 0 || number == 65_533 {
            let total = u32::from(number) * 64;
            story.hears(asked, heard, ack(number)).hears(asked, 0, credit(total)).expect([]);
            heard += 1;
        }
    }
    for number in [65_534, 65_535, 0, 1] {
        story.input(says_text(asked, "a")).expect([text_to(1, asked, number, "a")]);
    }
    for lie in [2, 3, 32_767, 32_768, 65_533, 65_532] {
        story.hears(asked, heard, ack(lie)).expect([]);
        heard += 1;
    }
    assert_eq!((story.machine.stats().buffered, story.machine.stats().acks_ignored), (256, 6));
    story.hears(asked, heard, ack(65_535)).expect([]);
    assert_eq!(story.machine.stats().buffered, 128);
    story.hears(asked, heard + 1, ack(65_535)).hears(asked, heard + 2, ack(0)).expect([]);
    assert_eq!((story.machine.stats().buffered, story.machine.stats().acks_ignored), (64, 7));
    story.hears(asked, heard + 3, ack(1)).expect([]);
    ends(story, asked, heard + 4);
}

fn credit(total: u32) -> underpass_core::protocol::tunnel::to_server::Kind {
    underpass_core::protocol::tunnel::to_server::Kind::Credit(underpass_tests::given::gateway::credit(total))
}

#[test]
fn a_message_that_is_not_acknowledged_in_time_fails_its_websocket() {
    let (mut story, asked) = awake();
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
    story.passes_in_silence_until(ACK);
    let code = FailureCode::WebSocketAckTimeout;
    let mut actions = story.actions();
    assert_eq!((actions.pop(), actions.len()), (Some(leaves(asked)), 2));
    assert_eq!(actions[0], closes(asked, 2, code));
    assert!(matches!(&actions[1], Action::Failed { failure, .. } if failure.code == code));
    assert_eq!(story.machine.stats().timeouts.websocket_ack, 1);
    story.input(left(asked)).ends();
}

#[test]
fn each_ack_that_covers_something_gives_the_rest_as_long_again_and_a_lie_does_not() {
    let (mut story, asked) = awake();
    for number in 1..=2 {
        story.input(says_text(asked, "a")).expect([text_to(1, asked, number, "a")]);
    }
    let second = Duration::from_secs(1);
    story.passes(ACK - second).expect([]);
    story.hears(asked, 1, ack(1)).expect([]);
    story.passes(second).expect([]);
    story.hears(asked, 2, ack(9)).expect([]);
    story.passes(ACK - second - Duration::from_micros(1));
    assert!(story.actions().iter().all(|action| matches!(action, Action::Registry(_))));
    story.passes(Duration::from_micros(1));
    assert_eq!(story.actions().len(), 3, "closed at both ends, and out of the registry");
    story.input(left(asked));
}

#[test]
fn what_a_silent_connection_does_not_acknowledge_is_kept_for_another() {
    let interval = Duration::from_secs(3);
    let (mut story, asked) = awake_with(Config { ping_interval: interval, pong: ACK, ..usual() });
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
    let pings = |action: &Action| matches!(action, Action::Publish(_) | Action::Registry(_));
    for _ in 0..10 {
        story.passes(interval);
        assert!(story.actions().iter().all(pings), "it is not the handler that is silent");
    }
    story.passes(interval);
    story.actions();
    let stats = story.machine.stats();
    assert_eq!((stats.timeouts.websocket_ack, stats.timeouts.pong, stats.failed), (0, 1, 0));
    assert_eq!((stats.hibernating, stats.buffered), (1, 64));
}

#[test]
fn no_deadline_runs_while_all_is_acknowledged() {
    let (mut story, asked) = awake_with(usual());
    let idle = story.machine.stats().deadlines;
    story.input(says_text(asked, "a")).expect([text_to(1, asked, 1, "a")]);
    assert_eq!(story.machine.stats().deadlines, idle + 1);
    story.hears(asked, 1, ack(1)).expect([]);
    assert_eq!(story.machine.stats().deadlines, idle);
    ends(story, asked, 2);
}
