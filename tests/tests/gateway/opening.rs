//! Taking requests in, refusing them, and choosing whom they go to.

use underpass_core::directory::{RunnerSeen, RunnerState};
use underpass_core::gateway::{Action, Config, Event, Open};
use underpass_core::http::Body;
use underpass_core::protocol::GatewayId;
use underpass_core::protocol::tunnel::to_client::{Kind, RequestStart, WebSocketClose, WebSocketOpen};
use underpass_core::{ConfigError, FailureCode, Gateway, Machine, Time};
use underpass_tests::given::gateway::{
    Asked, finds_nobody_ready, gateway, gateway_with, lonely_gateway, small_config, zeros,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{
    GATEWAY, abilities, gone, head, headers, message_id, open, open_websocket, pool, record, request_start,
    response_start, seen, to_gateway, to_runner,
};

fn get() -> Open {
    open("GET", "/", Body::None)
}

fn ready(key: &str, number: u64) -> RunnerSeen {
    seen(key, record(number, abilities(1_000), RunnerState::Ready))
}

/// The gateway learns that these runners are ready, each on a connection with its place as number, from 1.
fn among(keys: &[&str], config: Config) -> Story<Gateway> {
    let mut story = lonely_gateway(config);
    for (number, key) in (1..).zip(keys) {
        story.input(Event::Directory(ready(key, number))).expect([]);
    }
    story
}

/// To which connection a new request goes.
#[track_caller]
fn sent_to(story: &mut Story<Gateway>) -> (u64, Asked) {
    let asked = story.opens(get());
    let actions = story.actions();
    let to =
        |number| Action::Publish(to_runner(number, message_id(asked.id, 0), request_start("GET", "/", None, false)));
    let number = (0..10).find(|number| actions == [to(*number)]);
    (number.unwrap_or_else(|| panic!("{actions:?}")), asked)
}

fn answer(story: &mut Story<Gateway>, asked: Asked) {
    story.hears(asked, 0, response_start(204, None, false));
    assert_eq!(story.actions().len(), 1);
}

#[test]
fn without_any_runner_a_request_is_refused() {
    let mut story = lonely_gateway(Config::default());
    let failure = story.refuses(get());
    assert_eq!(failure.code, FailureCode::NoRunner);
    assert_eq!(failure.request.expect("a refused request has a name, too").gateway_id, GATEWAY);
    assert_eq!(story.refuses(open_websocket("/")).code, FailureCode::NoRunner);
    assert_eq!(story.machine.stats().refused, 2);
    story.ends();
}

#[test]
fn a_request_for_an_actor_with_too_long_an_id_is_refused() {
    let of = |bytes: usize, mut open: Open| {
        open.target.actor_id = "a".repeat(bytes).into();
        open
    };
    let mut story = gateway();
    for wanted in [get(), open_websocket("/")] {
        assert_eq!(story.refuses(of(513, wanted)).code, FailureCode::BadTarget);
    }
    assert_eq!(story.machine.stats().refused, 2);
    let asked = story.opens(of(512, get()));
    assert_eq!(story.actions().len(), 1);
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn runners_that_do_not_count_take_no_requests() {
    let with = abilities(1_000);
    let away = {
        let mut away = record(1, with, RunnerState::Ready);
        away.connection = None;
        away
    };
    let of_another_pool = {
        let mut of_another_pool = seen("a", record(1, with, RunnerState::Ready));
        of_another_pool.key.pool.name = "other".into();
        of_another_pool
    };
    let of_another_namespace = {
        let mut of_another_namespace = seen("a", record(1, with, RunnerState::Ready));
        of_another_namespace.key.pool.namespace = "other".into();
        of_another_namespace
    };
    for (seen, is_of_the_pool) in [
        (seen("a", record(1, with, RunnerState::Full)), true),
        (seen("a", record(1, with, RunnerState::Draining)), true),
        (seen("a", record(1, with, RunnerState::Moving)), true),
        (seen("a", away), true),
        (of_another_pool, false),
        (of_another_namespace, false),
    ] {
        let mut story = lonely_gateway(Config::default());
        story.input(Event::Directory(seen.clone())).expect([]);
        if is_of_the_pool {
            finds_nobody_ready(&mut story);
        } else {
            assert_eq!(story.refuses(get()).code, FailureCode::NoRunner, "{seen:?}");
        }
        // Another that counts makes the difference.
        story.input(Event::Directory(ready("b", 2))).expect([]);
        assert_eq!(sent_to(&mut story).0, 2);
    }
}

#[test]
fn a_gateway_has_only_so_many_requests_open() {
    let mut story = gateway_with(Config { max_requests: 2, ..Config::default() }, abilities(1_000));
    let (_, first) = sent_to(&mut story);
    let (_, second) = sent_to(&mut story);
    assert_eq!(story.refuses(get()).code, FailureCode::Overloaded);
    assert_eq!(story.refuses(open_websocket("/")).code, FailureCode::Overloaded);
    answer(&mut story, first);
    let (_, third) = sent_to(&mut story);
    assert_eq!(story.refuses(get()).code, FailureCode::Overloaded);
    answer(&mut story, second);
    answer(&mut story, third);
    assert_eq!((story.machine.stats().opened, story.machine.stats().refused), (3, 3));
    story.ends();
}

#[test]
fn a_runner_has_only_so_many_requests_open_and_then_others_take_them() {
    let mut story = among(&["a", "b"], Config { max_requests_per_runner: 1, ..Config::default() });
    let (one, first) = sent_to(&mut story);
    let (two, second) = sent_to(&mut story);
    assert_eq!((one, two), (1, 2));
    assert_eq!(story.refuses(get()).code, FailureCode::Overloaded);
    answer(&mut story, second);
    let (again, third) = sent_to(&mut story);
    assert_eq!(again, 2);
    answer(&mut story, first);
    answer(&mut story, third);
    story.ends();
}

#[test]
fn a_whole_body_may_be_as_large_as_the_limit_and_no_larger() {
    let mut story = gateway_with(small_config(), abilities(1_000));
    assert_eq!(story.refuses(open("PUT", "/", Body::Whole(zeros(101)))).code, FailureCode::BodyTooLarge);
    let asked = story.opens(open("PUT", "/", Body::Whole(zeros(100))));
    story.actions();
    answer(&mut story, asked);
    story.ends();
}

#[test]
fn a_gateway_that_drains_takes_nothing_new() {
    let mut story = gateway();
    story.input(Event::Drain).expect([Action::Drained]);
    assert_eq!(story.refuses(get()).code, FailureCode::Draining);
    assert_eq!(story.refuses(open_websocket("/")).code, FailureCode::Draining);
    story.input(Event::Drain).expect([]);
    story.ends();
}

#[test]
fn idle_runners_take_turns() {
    let mut story = among(&["a", "b", "c"], Config::default());
    for expected in [1, 2, 3, 1, 2, 3, 1] {
        let (number, asked) = sent_to(&mut story);
        assert_eq!(number, expected);
        answer(&mut story, asked);
    }
    story.ends();
}

#[test]
fn the_runner_with_the_fewest_requests_open_takes_the_next() {
    let mut story = among(&["a", "b", "c"], Config::default());
    let asked: Vec<_> = (0..6).map(|_| sent_to(&mut story)).collect();
    assert_eq!(asked.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 1, 2, 3]);
    for (number, asked) in &asked {
        if *number == 2 {
            answer(&mut story, *asked);
        }
    }
    // Two behind, the second runner gets two in a row, and then it is the turn of the others again.
    let next: Vec<_> = (0..5).map(|_| sent_to(&mut story)).collect();
    assert_eq!(next.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 2, 1, 3, 2]);
    for (_, asked) in next.into_iter().chain(asked.into_iter().filter(|(number, _)| *number != 2)) {
        answer(&mut story, asked);
    }
    story.ends();
}

#[test]
fn a_runner_that_comes_later_takes_requests_until_it_has_as_many_as_the_others() {
    let mut story = among(&["a"], Config::default());
    let (_, first) = sent_to(&mut story);
    let (_, second) = sent_to(&mut story);
    story.input(Event::Directory(ready("b", 2))).expect([]);
    let next: Vec<_> = (0..3).map(|_| sent_to(&mut story)).collect();
    assert_eq!(next.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 2, 1]);
    for asked in next.into_iter().map(|(_, asked)| asked).chain([first, second]) {
        answer(&mut story, asked);
    }
    story.input(Event::Directory(gone("b"))).expect([]);
    assert_eq!(story.machine.ready_runners(&pool()), 1);
    story.ends();
}

#[test]
fn request_ids_start_where_the_seed_says_and_go_on_one_by_one() {
    let ids = |seed| {
        let gateway = Gateway::new(Config::default(), GATEWAY, seed, Time::ZERO).expect("a gateway's configuration");
        let mut story = Story::given(gateway);
        story.input(Event::Directory(ready("a", 1)));
        (0..3).map(|_| u32::from_be_bytes(sent_to(&mut story).1.id.0)).collect::<Vec<_>>()
    };
    let first = ids(1);
    assert_eq!(first, [first[0], first[0] + 1, first[0] + 2]);
    assert_eq!(first, ids(1), "the same seed gives the same ids");
    assert_ne!(first, ids(2), "another gives others");
}

#[test]
fn request_ids_wrap() {
    /// A seed whose first number is the largest.
    const LAST_ID_FIRST: u64 = 0x561a_c6db_83ab_17a4;
    let gateway = Gateway::new(Config::default(), GATEWAY, LAST_ID_FIRST, Time::ZERO);
    let mut story = Story::given(gateway.expect("a gateway's configuration"));
    story.input(Event::Directory(ready("a", 1)));
    let ids: Vec<_> = (0..3).map(|_| sent_to(&mut story).1.id.0).collect();
    assert_eq!(ids, [[255; 4], [0; 4], [0, 0, 0, 1]]);
}

#[test]
fn a_websocket_is_opened_with_its_path_and_fields() {
    let mut story = gateway();
    let mut wanted = open_websocket("/ws?x=1");
    wanted.head.headers = headers(&[("cookie", "a=1")]);
    let headers = wanted.head.headers.clone();
    let asked = story.opens(wanted);
    let wanted = WebSocketOpen { actor_id: "default".into(), path: "/ws?x=1".into(), headers };
    story.expect([Action::Publish(to_runner(1, message_id(asked.id, 0), Kind::WebSocketOpen(wanted)))]);
    let gone = Kind::WebSocketClose(WebSocketClose { code: Some(1006), reason: None });
    story.input(Event::ClientGone { key: asked.key });
    story.expect([Action::Publish(to_runner(1, message_id(asked.id, 1), gone))]).ends();
}

#[test]
fn what_is_said_to_another_key_in_the_same_slot_does_nothing() {
    let mut story = gateway();
    let (_, first) = sent_to(&mut story);
    answer(&mut story, first);
    let (_, second) = sent_to(&mut story);
    assert_ne!(first.key, second.key);
    story.input(Event::ClientGone { key: first.key }).expect([]);
    assert_eq!(story.machine.request_name(first.key), None);
    story.input(Event::Received {
        from: None,
        frame: to_gateway(message_id(first.id, 0), response_start(200, None, false)),
    });
    story.expect([]);
    answer(&mut story, second);
    story.ends();
}

#[test]
fn a_configuration_that_could_not_work_is_refused() {
    let refused = |config: Config| Gateway::new(config, GATEWAY, 1, Time::ZERO).expect_err("a wrong configuration");
    let usual = Config::default;
    assert_eq!(refused(Config { max_requests: 0, ..usual() }), ConfigError::Zero("max_requests"));
    let per_runner = Config { max_requests_per_runner: 0, ..usual() };
    assert_eq!(refused(per_runner), ConfigError::Zero("max_requests_per_runner"));
    assert_eq!(refused(Config { max_chunk: 0, ..usual() }), ConfigError::Zero("max_chunk"));
    let small = small_config().max_buffered - 1;
    for (bound, config) in [
        ("max_buffered", Config { max_buffered: small, ..small_config() }),
        ("bus_largest_message", Config { bus_largest_message: small, ..small_config() }),
        ("max_buffered", Config { max_message: usize::MAX, ..usual() }),
        ("max_buffered", Config { max_header_bytes: usize::MAX, ..usual() }),
        ("max_kept_bodies", Config { max_kept_bodies: small_config().max_whole_body - 1, ..small_config() }),
    ] {
        let error = refused(config);
        assert!(matches!(error, ConfigError::BoundBelowLargest { bound: named, .. } if named == bound), "{error}");
    }
    let zero = Gateway::new(usual(), GatewayId::ZERO, 1, Time::ZERO).expect_err("a zero id");
    assert_eq!(zero, ConfigError::ZeroGatewayId);
}

#[test]
fn the_head_of_a_request_arrives_as_it_was_admitted() {
    let mut story = gateway();
    let mut wanted = get();
    wanted.head = head("PATCH", "/a%20b?c");
    wanted.head.headers = headers(&[("accept", "*/*"), ("x-empty", "")]);
    wanted.target.actor_id = "someone".into();
    let asked = story.opens(wanted.clone());
    let start = RequestStart {
        actor_id: "someone".into(),
        method: "PATCH".into(),
        path: "/a%20b?c".into(),
        headers: wanted.head.headers,
        body: None,
        stream: false,
    };
    let start = Kind::RequestStart(start);
    story.expect([Action::Publish(to_runner(1, message_id(asked.id, 0), start))]);
    answer(&mut story, asked);
    story.ends();
}
