//! Bodies that nothing more comes of, and actors that are yet to start.

use std::time::Duration;

use bytes::Bytes;
use underpass_core::directory::{Abilities, ActorSeen, ActorState, ChangeOutcome, Revision, RunnerState, Versioned};
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::Body;
use underpass_core::protocol::tunnel::to_server;
use underpass_core::{ApiMisuse, ConfigError, FailureCode, Gateway, Machine, Time};
use underpass_tests::given::gateway::{
    Asked, aborts, chunk, chunk_sent, config, credit, gateway, gateway_with, lonely_gateway, published_abilities,
    publishes, publishes_to, request_start_with, small_config, zeros,
};
use underpass_tests::given::supervisor::{actor, actor_record, runner_id};
use underpass_tests::story::Story;
use underpass_tests::wire::{
    GATEWAY, abilities, gone, open, open_websocket, record, response_chunk, response_start, seen, status,
};

const IDLE: Duration = Duration::from_secs(60);
const ACTOR_START: Duration = Duration::from_secs(30);

fn almost(wait: Duration) -> Duration {
    wait - Duration::from_micros(1)
}

fn idle_request() -> Config {
    Config { idle_request_body: Some(IDLE), ..small_config() }
}

fn idle_response() -> Config {
    Config { idle_response_body: Some(IDLE), ..small_config() }
}

#[test]
fn a_streamed_request_that_nothing_more_comes_of_ends_at_its_deadline() {
    let mut story = gateway_with(idle_request(), abilities(1_000));
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    story.passes(almost(IDLE)).expect([]);
    story.input(chunk(asked.key, zeros(1), false)).expect([publishes(asked, 1, chunk_sent(zeros(1), false))]);
    story.passes_in_silence_until(IDLE).expect_failed(asked, FailureCode::IdleTimeout, [aborts(asked, 2)]);
    assert_eq!(story.machine.stats().timeouts.idle_request_body, 1);
    story.ends();
}

#[test]
fn a_body_that_is_collected_may_be_idle_no_longer() {
    let mut story = gateway_with(idle_request(), published_abilities());
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.passes(almost(IDLE)).expect([]);
    story.input(chunk(asked.key, zeros(1), false)).expect([]);
    story.passes_in_silence_until(IDLE).expect_failed(asked, FailureCode::IdleTimeout, []).ends();
}

#[test]
fn a_client_that_was_told_to_pause_is_not_idle() {
    let mut story = gateway_with(idle_request(), abilities(64));
    let asked = story.opens(open("POST", "/", Body::Stream));
    let key = asked.key;
    story.actions();
    story.input(chunk(key, zeros(1), false)).actions();
    story.passes(2 * IDLE).expect([]);
    story.hears(asked, 0, to_server::Kind::Credit(credit(64))).expect([Action::ResumeSource { key }]);
    story.passes_in_silence_until(IDLE).expect_failed(asked, FailureCode::IdleTimeout, [aborts(asked, 2)]).ends();
}

#[test]
fn a_body_at_its_end_is_not_idle() {
    let mut story = gateway_with(idle_request(), abilities(1_000));
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    story.input(chunk(asked.key, zeros(1), true)).actions();
    story.passes(2 * IDLE).expect([]);
    story.hears(asked, 0, response_start(200, None, false)).actions();
    story.ends();
}

#[test]
fn a_streamed_answer_that_nothing_more_comes_of_ends_at_its_deadline() {
    let mut story = gateway_with(idle_response(), abilities(1_000));
    let asked = story.opens(open("GET", "/", Body::None));
    let key = asked.key;
    story.actions();
    story.hears(asked, 0, response_start(200, None, true)).actions();
    story.passes(almost(IDLE)).expect([]);
    // An empty piece is a sign of life, too.
    story.hears(asked, 1, response_chunk(b"", false)).expect([]);
    story.passes(almost(IDLE)).expect([]);
    let came = Action::ResponseChunk { key, bytes: Bytes::from_static(b"12"), finish: false };
    story.hears(asked, 2, response_chunk(b"12", false)).expect([came]);
    // As long as its client has not taken all, nothing is awaited of the runner.
    story.passes(2 * IDLE).expect([]);
    story.input(Event::Consumed { key, bytes: 1 }).expect([]);
    story.passes(2 * IDLE).expect([]);
    story.input(Event::Consumed { key, bytes: 1 }).expect([]);
    story.passes_in_silence_until(IDLE).expect_failed(asked, FailureCode::IdleTimeout, [aborts(asked, 1)]);
    assert_eq!(story.machine.stats().timeouts.idle_response_body, 1);
    story.ends();
}

#[test]
fn both_bodies_may_be_idle_and_the_clock_may_jump() {
    let config = Config { idle_response_body: Some(IDLE), ..idle_request() };
    let mut story = gateway_with(config, abilities(1_000));
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    story.hears(asked, 0, response_start(200, None, true)).actions();
    story.long_after().expect_failed(asked, FailureCode::IdleTimeout, [aborts(asked, 1)]).ends();
}

#[test]
fn bodies_may_be_idle_for_ever_unless_the_configuration_says_otherwise() {
    let mut story = gateway();
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    story.expect_no_deadline().long_after().expect([]);
    story.hears(asked, 0, response_start(200, None, true)).actions();
    story.expect_no_deadline().long_after().expect([]);
    story.input(Event::ClientGone { key: asked.key }).actions();
    story.ends();
}

/// A gateway that knows one runner, whose actors have state; the one that is asked for runs elsewhere, where it can't
/// be reached.
fn stateful(config: Config) -> Story<Gateway> {
    let mut story = gateway_with(config, Abilities { stateless: false, ..abilities(1_000) });
    let record = actor_record(1, ActorState::Running(runner_id(9)));
    let record = Some(Versioned { revision: Revision(1), record });
    story.input(Event::Actor(ActorSeen { key: actor("default"), record })).expect([]);
    story
}

/// The runner of the pool turns out to be one that keeps nothing.
fn stateless(story: &mut Story<Gateway>, abilities: Abilities) {
    story.input(Event::Directory(seen("a", record(1, abilities, RunnerState::Ready))));
}

/// What a request that has waited is called.
fn sent(story: &Story<Gateway>, asked: Asked) -> Asked {
    let id = story.machine.request_name(asked.key).expect("the request is open").request_id;
    Asked { id, ..asked }
}

#[test]
fn a_request_waits_for_its_actor_and_fails_if_that_does_not_start() {
    for wanted in [open("GET", "/", Body::None), open("POST", "/", Body::Whole(zeros(5))), open_websocket("/")] {
        let mut story = stateful(config());
        let asked = story.opens(wanted);
        story.expect([]);
        assert_eq!(story.machine.stats().waiting, 1);
        story.passes_in_silence_until(ACTOR_START).expect_failed(asked, FailureCode::ActorStartTimeout, []);
        assert_eq!(story.machine.stats().timeouts.actor_start, 1);
        story.ends();
    }
}

#[test]
fn an_actor_that_can_be_reached_at_the_last_instant_gets_its_request() {
    let mut story = stateful(config());
    let asked = story.opens(open("GET", "/", Body::None));
    story.passes(almost(ACTOR_START)).expect([]);
    stateless(&mut story, abilities(1_000));
    let asked = sent(&story, asked);
    story.expect([publishes(asked, 0, request_start_with("GET", None, false))]);
    assert_eq!(story.machine.stats().sent_again, 0);
    story.expect_timeout(Some(story.now() + Duration::from_secs(300)));
    story.hears(asked, 0, response_start(200, None, false));
    story.expect([Action::ResponseStart { key: asked.key, head: status(200), body: Body::None }]).ends();
}

#[test]
fn no_actor_starts_for_a_request_that_a_runner_without_state_would_take() {
    let mut story = stateful(config());
    story.input(Event::Directory(seen("b", record(2, abilities(1_000), RunnerState::Full)))).expect([]);
    let asked = story.opens(open("GET", "/", Body::None));
    story.expect([]);
    story.input(Event::ClientGone { key: asked.key }).expect([]);
    story.input(Event::Directory(gone("b"))).input(Event::Directory(gone("a"))).expect([]).ends();
}

#[test]
fn what_comes_while_the_only_runner_moves_goes_to_where_it_comes_again() {
    let mut story = lonely_gateway(config());
    let standing = |state, number| Event::Directory(seen("a", record(number, abilities(1_000), state)));
    story.input(standing(RunnerState::Moving, 1)).expect([]);
    let asked = story.opens(open("POST", "/", Body::None));
    story.expect([]);
    story.input(standing(RunnerState::Ready, 2));
    let next = sent(&story, asked);
    story.expect([publishes_to(2, next, 0, request_start_with("POST", None, false))]);
    assert_eq!(story.machine.stats().sent_again, 0);
    story.hears(next, 0, response_start(200, None, false));
    assert_eq!(story.actions().len(), 1);
    story.ends();
}

#[test]
fn what_finds_no_runner_ready_within_the_grace_fails() {
    let mut story = lonely_gateway(config());
    story.input(Event::Directory(seen("a", record(1, abilities(1_000), RunnerState::Draining)))).expect([]);
    let asked = story.opens(open("POST", "/", Body::None));
    story.passes_in_silence_until(Duration::from_secs(5)).expect_failed(asked, FailureCode::NoRunner, []);
    assert_eq!(story.machine.stats().timeouts.grace, 1);
    story.ends();
}

#[test]
fn a_runner_that_is_away_still_says_that_its_pool_has_actors() {
    let mut story = lonely_gateway(config());
    let mut away = record(1, Abilities { stateless: false, ..abilities(1_000) }, RunnerState::Ready);
    away.connection = None;
    story.input(Event::Directory(seen("a", away))).expect([]);
    let asked = story.opens(open("GET", "/", Body::None));
    assert_eq!(story.actions().len(), 1);
    story.input(Event::ClientGone { key: asked.key }).expect([]);
    let outcome = ChangeOutcome::Unavailable;
    story.input(Event::ActorChanged { actor: actor("default"), outcome }).expect([]);
    // Without a record there is no pool.
    story.input(Event::Directory(gone("a"))).expect([]);
    assert_eq!(story.refuses(open("GET", "/", Body::None)).code, FailureCode::NoRunner);
    story.ends();
}

#[test]
fn so_many_wait_for_actors_and_no_more_are_taken_in() {
    let mut story = stateful(Config { max_waiting: 1, ..config() });
    let asked = story.opens(open("GET", "/", Body::None));
    assert_eq!(story.refuses(open("GET", "/", Body::None)).code, FailureCode::Overloaded);
    story.input(Event::ClientGone { key: asked.key }).expect([]).ends();
}

#[test]
fn a_streamed_body_pauses_while_its_request_waits() {
    for (abilities, collects) in [(abilities(1_000), false), (published_abilities(), true)] {
        for finished in [false, true] {
            let mut story = stateful(small_config());
            let asked = story.opens(open("POST", "/", Body::Stream));
            let key = asked.key;
            story.expect([Action::PauseSource { key }]);
            story.input(chunk(key, zeros(5), false)).expect([]);
            story.input(chunk(key, zeros(5), finished)).expect([]);
            assert_eq!(story.machine.stats().buffered, 10);
            stateless(&mut story, abilities);
            let asked = sent(&story, asked);
            let start = |body, stream| publishes(asked, 0, request_start_with("POST", body, stream));
            let resumes = (!finished).then_some(Action::ResumeSource { key });
            if collects {
                story.expect(resumes.into_iter().chain(finished.then(|| start(Some(zeros(10)), false))));
            } else {
                let chunks = [1, 2].map(|n| publishes(asked, n, chunk_sent(zeros(5), finished && n == 2)));
                story.expect([start(None, true)].into_iter().chain(chunks).chain(resumes));
            }
            story.input(Event::ClientGone { key }).actions();
            story.ends();
        }
    }
}

#[test]
fn a_client_that_does_not_pause_while_its_request_waits_fails_past_the_bound() {
    let mut story = stateful(small_config());
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    story.input(chunk(asked.key, zeros(small_config().max_buffered), false)).expect([]);
    story.input(chunk(asked.key, zeros(1), false)).expect_failed(asked, FailureCode::Overloaded, []).ends();
}

#[test]
fn a_client_whose_request_waits_may_do_no_more_than_before_an_answer() {
    let mut story = stateful(config());
    let whole = story.opens(open("POST", "/", Body::Whole(zeros(5))));
    let socket = story.opens(open_websocket("/"));
    let text = |key| Event::WebSocketMessage { key, message: underpass_core::http::Message::Text("x".into()) };
    let close = |key| Event::WebSocketClose { key, close: underpass_core::http::Close::default() };
    story.misuse(text(whole.key), ApiMisuse::OutOfTurn("a message for an HTTP exchange"));
    story.misuse(close(whole.key), ApiMisuse::OutOfTurn("a close for an HTTP exchange"));
    story.misuse(text(socket.key), ApiMisuse::OutOfTurn("a message before its WebSocket was opened"));
    story.misuse(close(socket.key), ApiMisuse::OutOfTurn("a close before its WebSocket was opened"));
    story.misuse(chunk(socket.key, zeros(1), true), ApiMisuse::OutOfTurn("a chunk of a body for a WebSocket"));
    for asked in [whole, socket] {
        story.input(Event::ClientGone { key: asked.key }).expect([]);
    }
    story.ends();
}

#[test]
fn waits_that_could_not_work_are_refused() {
    let refused = |config: Config| Gateway::new(config, GATEWAY, 1, Time::ZERO).expect_err("a wrong configuration");
    let zero = Duration::ZERO;
    for (name, config) in [
        ("response_start", Config { response_start: zero, ..config() }),
        ("websocket_open", Config { websocket_open: zero, ..config() }),
        ("websocket_close", Config { websocket_close: zero, ..config() }),
        ("idle_request_body", Config { idle_request_body: Some(zero), ..config() }),
        ("idle_response_body", Config { idle_response_body: Some(zero), ..config() }),
        ("actor_start", Config { actor_start: zero, ..config() }),
        ("grace", Config { grace: zero, ..config() }),
        ("try_again", Config { try_again: zero, ..config() }),
        ("try_again", Config { try_again: Duration::from_nanos(999), ..config() }),
        ("ping_interval", Config { ping_interval: zero, ..config() }),
        ("pong", Config { pong: zero, ..config() }),
        ("runner_unseen", Config { runner_unseen: zero, ..config() }),
        ("abort_again", Config { abort_again: zero, ..config() }),
        ("abort_give_up", Config { abort_give_up: zero, ..config() }),
        ("max_tries", Config { max_tries: 0, ..config() }),
    ] {
        assert_eq!(refused(config), ConfigError::Zero(name));
    }
    let second = Duration::from_secs(1);
    for (smaller, larger, config) in [
        ("ping_interval", "pong", Config { ping_interval: second, pong: second, ..config() }),
        ("abort_again", "abort_give_up", Config { abort_again: second, abort_give_up: second, ..config() }),
    ] {
        assert_eq!(refused(config), ConfigError::Order { smaller, larger });
    }
}
