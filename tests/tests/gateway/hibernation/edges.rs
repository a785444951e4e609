//! The edges of its waits and bounds.

use std::time::Duration;

use bytes::Bytes;
use underpass_core::Machine;
use underpass_core::bus::Subject;
use underpass_core::directory::{ActorState, RunnerState};
use underpass_core::failure::FailureCode;
use underpass_core::gateway::{Action, Config};
use underpass_core::http::Message;
use underpass_core::protocol::tunnel::to_server::{Kind, ResponseStart};
use underpass_core::protocol::{Dialect, RequestId, ToRunner};
use underpass_tests::given::actors::{runner, running, shows, shows_runner};
use underpass_tests::given::hibernation::{
    asleep, asleep_with, awake_with, entered, is_here, is_wanted, opens, restored, says_text, sleeps, text_to, usual,
};
use underpass_tests::wire::message;

const SECOND: Duration = Duration::from_secs(1);

fn pinging() -> Config {
    Config { ping_interval: 3 * SECOND, pong: 30 * SECOND, keep_alive: 80 * SECOND, ..usual() }
}

fn text(text: &'static [u8]) -> Kind {
    Kind::WebSocketMessage(message(text, false))
}

/// The requests that pings among these actions name, with their times.
fn pinged(actions: &[Action]) -> Vec<(RequestId, i64)> {
    let ping = |action: &Action| match action {
        Action::Publish(publication) if matches!(publication.to, Subject::Connection(_)) => {
            match ToRunner::decode_framed(&publication.frame, Dialect::Underpass) {
                Ok(ToRunner::Ping(ping)) => Some((ping.request_id, ping.ts)),
                _ => None,
            }
        }
        _ => None,
    };
    actions.iter().filter_map(ping).collect()
}

fn failures(actions: &[Action]) -> Vec<FailureCode> {
    let code = |action: &Action| match action {
        Action::Failed { failure, .. } => Some(failure.code),
        _ => None,
    };
    actions.iter().filter_map(code).collect()
}

/// A published runner that has a message drops it when it comes again, and does not acknowledge it. The actor sleeps
/// While awake, there is a deadline of 30 s for acknowledgements. None is armed for what is sent again.
#[test]
fn what_is_sent_again_must_be_acknowledged_in_time_too() {
    let (mut story, asked) = asleep();
    story.input(says_text(asked, "a"));
    is_wanted(&mut story);
    for (revision, life) in [(4, 4), (6, 5)] {
        story.input(shows(revision, running(2))).expect([]);
        story.input(restored(asked, 2, life)).expect([is_here(2, asked), text_to(2, asked, 1, "a")]);
        if life == 4 {
            story.hears(asked, 0, sleeps()).expect([]);
            story.input(shows(5, ActorState::Sleeping));
            story.actions();
        }
    }
    let mut failed = Vec::new();
    for _ in 0..3_600 {
        story.passes(SECOND);
        failed.extend(failures(&story.actions()));
    }
    assert_eq!(failed, [FailureCode::WebSocketAckTimeout], "an hour later");
}

/// A runner that has spoken over the route was heard of, so its relay has heard this gateway: to begin anew there makes
/// the runner's next number a gap.
#[test]
fn a_clock_that_jumps_between_two_of_a_relays_words_loses_nothing() {
    let (mut story, asked) = asleep_with(pinging());
    story.input(restored(asked, 2, 4)).expect([is_here(2, asked)]);
    let tells = |text: &str| Action::WebSocketMessage { key: asked.key, message: Message::Text(text.into()) };
    story.hears(asked, 0, text(b"a")).expect([tells("a")]);
    story.passes(3_600 * SECOND);
    story.actions();
    // It crossed the first answer.
    story.input(restored(asked, 2, 4));
    story.actions();
    story.hears(asked, 1, text(b"b"));
    let actions = story.actions();
    assert_eq!(failures(&actions), [], "{actions:?}");
    assert_eq!(actions, [tells("b")]);
}

/// What can't be early words of a WebSocket is held, and hardly counted.
#[test]
fn what_comes_early_is_bounded_by_what_it_holds() {
    let config = Config { max_whole_body: 1 << 20, max_message: 1 << 20, max_buffered: 2 << 20, ..usual() };
    let (mut story, asked) = asleep_with(config);
    story.input(restored(asked, 3, 4)).expect([]);
    let body = Bytes::from(vec![0; 1 << 20]);
    for number in 0..200 {
        let body = Some(Bytes::copy_from_slice(&body));
        let start = ResponseStart { status: 200, headers: Default::default(), body, stream: false };
        story.hears(asked, number, Kind::ResponseStart(start)).expect([]);
    }
    story.input(shows_runner(3, runner(3, RunnerState::Ready)));
    // Each that was held is heard now: the first fails it, and the others are stale.
    let kept = 1 + story.machine.stats().stale;
    assert!(kept <= 3, "{kept} MiB were held, and 2 MiB may be");
}

/// The deadline of an actor's start is that of the first who wants it.
#[test]
fn one_that_speaks_late_has_as_long_for_its_actor_as_the_first() {
    let (mut story, first) = awake_with(usual());
    let second = opens(&mut story);
    story.input(entered(second)).expect([]);
    story.hears(first, 1, sleeps()).hears(second, 1, sleeps()).expect([]);
    story.input(shows(2, ActorState::Sleeping)).expect([]);
    story.input(says_text(first, "a"));
    story.actions();
    for _ in 0..299 {
        story.passes(SECOND / 10);
        story.actions();
    }
    story.input(says_text(second, "b"));
    story.actions();
    story.passes(SECOND / 10);
    assert_eq!(failures(&story.actions()).len(), 1, "the second has waited for 0.1 s");
}

/// The first of them is named each time: if its word never comes, that of the others is never asked for.
#[test]
fn the_words_of_all_that_wait_are_asked_for_in_turn() {
    let (mut story, first) = awake_with(pinging());
    let second = opens(&mut story);
    story.input(entered(second)).expect([]);
    story.hears(first, 1, sleeps()).hears(second, 1, sleeps()).expect([]);
    story.input(shows(2, running(2))).expect([]);
    story.input(says_text(first, "a")).input(says_text(second, "b"));
    story.actions();
    let mut named = Vec::new();
    for _ in 0..100 {
        story.passes(SECOND / 4);
        named.extend(pinged(&story.actions()).into_iter().map(|(request_id, _)| request_id));
    }
    assert!(named.contains(&first.id) && named.contains(&second.id), "{named:?}");
}
