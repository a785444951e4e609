//! The registry: each socket is entered and taken out once, and all are kept alive together.

use std::time::Duration;

use underpass_core::directory::RegistryChange;
use underpass_core::gateway::Config;
use underpass_core::{FailureCode, Machine};
use underpass_tests::given::hibernation::{
    awake, closed_by_handler, ends, entered, enters, gateway_that_hibernates, keeps_alive, kept_alive, leaves, left,
    opens, socket, unavailable, unregistered, usual,
};
use underpass_tests::wire::{GATEWAY, open_websocket};

const KEEP_ALIVE: Duration = Duration::from_secs(45);
const AGAIN: Duration = Duration::from_secs(1);

#[test]
fn entering_is_tried_again_each_second_while_the_directory_is_away() {
    let (mut story, asked) = unregistered(usual());
    for _ in 0..3 {
        story.input(unavailable(RegistryChange::Enter(socket(asked)))).expect([]);
        story.passes_in_silence_until(AGAIN).expect([enters(asked)]);
    }
    story.input(entered(asked)).expect([]);
    assert_eq!(story.machine.stats().registered, 1);
    ends(story, asked, 1);
}

#[test]
fn leaving_is_tried_again_each_second_though_the_socket_is_no_more() {
    let (mut story, asked) = awake();
    story.hears(asked, 1, closed_by_handler()).actions();
    for _ in 0..3 {
        assert_eq!((story.machine.stats().open, story.machine.stats().leaving), (0, 1));
        story.input(unavailable(RegistryChange::Leave(socket(asked)))).expect([]);
        story.passes_in_silence_until(AGAIN).expect([leaves(asked)]);
    }
    story.input(left(asked)).ends();
}

#[test]
fn one_that_ends_before_it_is_entered_leaves_behind_that() {
    for outcome in [entered, |asked| unavailable(RegistryChange::Enter(socket(asked)))] {
        let (mut story, asked) = unregistered(usual());
        story.hears(asked, 1, closed_by_handler());
        assert_eq!(story.actions().len(), 1);
        story.input(outcome(asked)).expect([leaves(asked)]);
        story.input(left(asked)).ends();
    }
}

#[test]
fn one_that_ends_before_it_is_entered_again_leaves_when_it_would_be() {
    let (mut story, asked) = unregistered(usual());
    story.input(unavailable(RegistryChange::Enter(socket(asked)))).expect([]);
    story.hears(asked, 1, closed_by_handler());
    assert_eq!(story.actions().len(), 1);
    story.passes_in_silence_until(AGAIN).expect([leaves(asked)]);
    story.input(left(asked)).ends();
}

#[test]
fn those_that_have_not_left_count_as_requests() {
    let mut story = gateway_that_hibernates(Config { max_requests: 1, ..usual() });
    let asked = opens(&mut story);
    story.input(entered(asked)).expect([]);
    story.hears(asked, 1, closed_by_handler()).actions();
    assert_eq!(story.refuses(open_websocket("/")).code, FailureCode::Overloaded);
    story.input(left(asked)).expect([]);
    let next = opens(&mut story);
    story.input(entered(next)).expect([]);
    ends(story, next, 1);
}

#[test]
fn all_that_are_entered_are_kept_alive_by_one_word_each_45_seconds() {
    let (mut story, first) = awake();
    let second = opens(&mut story);
    story.input(entered(second)).expect([]);
    for _ in 0..3 {
        story.passes_in_silence_until(KEEP_ALIVE).expect([keeps_alive()]);
        story.input(kept_alive()).expect([]);
    }
    story.hears(first, 1, closed_by_handler()).actions();
    story.input(left(first)).expect([]);
    story.passes_in_silence_until(KEEP_ALIVE).expect([keeps_alive()]);
    story.input(kept_alive()).expect([]);
    ends(story, second, 1);
}

#[test]
fn keeping_alive_is_tried_again_after_a_second() {
    let (mut story, asked) = awake();
    story.passes_in_silence_until(KEEP_ALIVE).expect([keeps_alive()]);
    for _ in 0..3 {
        story.input(unavailable(RegistryChange::KeepAlive(GATEWAY))).expect([]);
        story.passes_in_silence_until(AGAIN).expect([keeps_alive()]);
    }
    story.input(kept_alive()).expect([]);
    // The next is due as if nothing had been the matter.
    story.passes_in_silence_until(KEEP_ALIVE - 3 * AGAIN).expect([keeps_alive()]);
    story.input(kept_alive()).expect([]);
    ends(story, asked, 1);
}

#[test]
fn one_word_is_under_way_at_a_time() {
    let (mut story, asked) = awake();
    story.passes_in_silence_until(KEEP_ALIVE).expect([keeps_alive()]);
    story.passes_in_silence_until(KEEP_ALIVE).expect([]);
    story.input(unavailable(RegistryChange::KeepAlive(GATEWAY))).expect([]);
    ends(story, asked, 1);
}

#[test]
fn nothing_is_kept_alive_when_all_have_left() {
    let (mut story, asked) = awake();
    story.passes_in_silence_until(KEEP_ALIVE).expect([keeps_alive()]);
    story.hears(asked, 1, closed_by_handler()).actions();
    story.input(unavailable(RegistryChange::KeepAlive(GATEWAY))).input(left(asked)).ends();
}

#[test]
fn what_may_have_run_out_is_entered_again() {
    let (mut story, first) = awake();
    let second = opens(&mut story);
    story.input(entered(second)).expect([]);
    story.passes_in_silence_until(KEEP_ALIVE).expect([keeps_alive()]);
    for _ in 0..45 {
        story.input(unavailable(RegistryChange::KeepAlive(GATEWAY))).expect([]);
        story.passes_in_silence_until(AGAIN).expect([keeps_alive()]);
    }
    story.input(kept_alive()).expect([enters(first), enters(second)]);
    assert_eq!(story.machine.stats().registered, 2, "they may sleep meanwhile");
    // One ends before it is entered, the other is entered.
    story.hears(first, 1, closed_by_handler());
    assert_eq!(story.actions().len(), 1);
    story.input(entered(first)).expect([leaves(first)]);
    story.input(left(first)).input(entered(second)).expect([]);
    ends(story, second, 1);
}

#[test]
fn what_can_not_have_run_out_is_not_entered_again() {
    let (mut story, asked) = awake();
    story.passes_in_silence_until(KEEP_ALIVE).expect([keeps_alive()]);
    for _ in 0..44 {
        story.input(unavailable(RegistryChange::KeepAlive(GATEWAY))).expect([]);
        story.passes_in_silence_until(AGAIN).expect([keeps_alive()]);
    }
    story.input(kept_alive()).expect([]);
    ends(story, asked, 1);
}
