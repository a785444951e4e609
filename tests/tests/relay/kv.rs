//! Calls on actors' stores.

use std::time::Duration;

use underpass_core::Machine;
use underpass_core::kv::{Call, Limits, Query, Read, Write};
use underpass_core::protocol::kv::{KvRequest, KvRequestData, KvResponse, KvResponseData};
use underpass_core::protocol::to_server::StopCode;
use underpass_core::protocol::{ToClient, ToServer, Version};
use underpass_core::relay::{Action, Config, Event};
use underpass_tests::given::hosting::{Heard, Hosting, hosting_with, says};
use underpass_tests::given::relay::calm;
use underpass_tests::given::supervisor::{sleeps, stopped};

fn with_actor(config: Config) -> Hosting {
    let mut hosting = hosting_with(config);
    hosting.takes_in(1, "a", Version::V7).runs(1, "default");
    hosting.saw();
    hosting
}

fn request(request_id: u32, actor_id: &'static str, data: KvRequestData) -> ToServer {
    ToServer::KvRequest(KvRequest { actor_id: actor_id.into(), request_id, data })
}

fn get(request_id: u32) -> ToServer {
    request(request_id, "default", KvRequestData::Get { keys: ["key"].iter().collect() })
}

fn response(request_id: u32, data: KvResponseData) -> Heard {
    Heard::Message(ToClient::KvResponse(KvResponse { request_id, data }))
}

fn error(request_id: u32, message: &'static str) -> Heard {
    response(request_id, KvResponseData::Error { message: message.into() })
}

/// The calls that a store is asked: their numbers, and for which life.
fn asked(hosting: &mut Hosting) -> Vec<(u64, u32)> {
    let calls = hosting.saw().into_iter().filter_map(|action| match action {
        Action::Kv { connection: 1, number, owner, .. } => Some((number, owner.generation)),
        _ => None,
    });
    calls.collect()
}

/// A store answers the call that had this number: they are counted from 1.
fn answered(hosting: &mut Hosting, number: u64) {
    hosting.input(Event::KvAnswered { connection: 1, number, data: KvResponseData::Put });
}

#[test]
fn a_call_goes_to_the_store_in_the_name_of_the_actors_life_and_its_answer_comes_back() {
    let mut hosting = with_actor(calm());
    hosting.says(1, get(7));
    let saw = hosting.saw();
    let [Action::Kv { connection: 1, number: 1, call, owner }] = &saw[..] else { panic!("{saw:?}") };
    let max_bytes = Limits::default().max_answer;
    let keys = ["key"].iter().collect();
    assert_eq!(*call, Call::Read(Read { query: Query::Keys(keys), max_bytes }));
    assert_eq!((&*owner.store.actor_id, owner.generation), ("default", 1));
    assert_eq!((hosting.heard(1), hosting.story.machine.stats().kv_open), (vec![], 1));
    answered(&mut hosting, 1);
    assert_eq!(hosting.heard(1), [response(7, KvResponseData::Put)]);
    hosting.says(1, request(8, "default", KvRequestData::Drop));
    assert!(matches!(&hosting.saw()[..], [Action::Kv { call: Call::Write(Write::Drop), .. }]));
    answered(&mut hosting, 2);
    hosting.ends();
}

#[test]
fn a_call_over_a_limit_is_told_which() {
    let mut hosting = with_actor(Config { kv: Limits { max_key: 2, ..Limits::default() }, ..calm() });
    hosting.says(1, get(7));
    assert_eq!(hosting.heard(1), [error(7, "a key may have 2 bytes, not 3")]);
    assert_eq!((hosting.saw(), hosting.story.machine.stats().kv_refused), (vec![], 1));
    hosting.ends();
}

#[test]
fn only_the_runner_that_hosts_an_actor_may_use_its_store_and_only_until_it_has_stopped() {
    let mut hosting = with_actor(calm());
    let foreign = "this runner does not host that actor";
    hosting.says(1, request(1, "other", KvRequestData::Drop));
    assert_eq!(hosting.heard(1), [error(1, foreign)]);
    // While it stops it may still keep what it has.
    hosting.tells(1, says("default", 1, sleeps()));
    hosting.heard(1);
    hosting.says(1, get(2));
    assert_eq!(asked(&mut hosting), [(1, 1)]);
    hosting.tells(1, says("default", 2, stopped(StopCode::Ok)));
    hosting.says(1, get(3));
    assert_eq!(hosting.heard(1), [error(3, foreign)]);
    answered(&mut hosting, 1);
    assert_eq!(hosting.heard(1), [response(2, KvResponseData::Put)]);
    hosting.ends();
}

#[test]
fn so_many_calls_are_open_at_once_and_so_many_bytes_of_others_wait_in_order() {
    let bytes = get(0).encode().len();
    let mut hosting = with_actor(Config { max_kv_calls: 2, max_kv_waiting: 2 * bytes, ..calm() });
    for id in 1..=5 {
        hosting.says(1, get(id));
    }
    assert_eq!(asked(&mut hosting), [(1, 1), (2, 1)]);
    assert_eq!(hosting.heard(1), [error(5, "too many calls of this runner wait")]);
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.kv_open, stats.kv_waiting), (2, 2 * bytes));
    answered(&mut hosting, 2);
    assert_eq!(asked(&mut hosting), [(3, 1)]);
    answered(&mut hosting, 1);
    assert_eq!(asked(&mut hosting), [(4, 1)]);
    for id in [3, 4] {
        answered(&mut hosting, id);
    }
    assert_eq!(asked(&mut hosting), []);
    hosting.ends();
}

#[test]
fn an_answer_for_a_connection_that_has_ended_is_nothing() {
    let mut hosting = with_actor(calm());
    hosting.says(1, get(1)).cuts(1);
    answered(&mut hosting, 1);
    assert_eq!((hosting.heard(1), hosting.story.machine.stats().kv_late), (vec![], 1));
    hosting.ends();
}

#[test]
fn a_store_that_does_not_answer_for_ten_seconds_is_an_error_and_its_place_is_free() {
    let mut hosting = with_actor(Config { max_kv_calls: 1, pong: Duration::from_secs(3_600), ..calm() });
    hosting.says(1, get(7)).says(1, get(8));
    assert_eq!(asked(&mut hosting), [(1, 1)]);
    hosting.passes(Duration::from_secs(10) - Duration::from_micros(1));
    assert_eq!((hosting.heard(1), asked(&mut hosting)), (vec![], vec![]));
    hosting.passes(Duration::from_micros(1));
    assert_eq!(hosting.heard(1), [error(7, "the store did not answer in time")]);
    assert_eq!(asked(&mut hosting), [(2, 1)], "the next one has its time for itself");
    // Its answer, when it comes, is nobody's: not even that of the call that has its request id now.
    hosting.says(1, get(7));
    answered(&mut hosting, 1);
    assert_eq!(hosting.heard(1), []);
    answered(&mut hosting, 2);
    assert_eq!(hosting.heard(1), [response(8, KvResponseData::Put)]);
    answered(&mut hosting, 3);
    assert_eq!(hosting.heard(1), [response(7, KvResponseData::Put)]);
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.timeouts.kv_answer, stats.kv_late, stats.kv_open), (1, 1, 0));
    hosting.ends();
}

#[test]
fn a_clock_that_jumps_an_hour_gives_each_call_up_once() {
    let mut hosting = with_actor(Config { max_kv_calls: 2, pong: Duration::from_secs(7_200), ..calm() });
    for id in 1..=3 {
        hosting.says(1, get(id));
    }
    hosting.jumps(Duration::from_secs(3_600));
    let timed_out = |id| error(id, "the store did not answer in time");
    assert_eq!(hosting.heard(1), [timed_out(1), timed_out(2)]);
    assert_eq!(hosting.story.machine.stats().timeouts.kv_answer, 2);
    answered(&mut hosting, 3);
    assert_eq!(hosting.heard(1), [response(3, KvResponseData::Put)]);
    hosting.ends();
}

#[test]
fn a_runner_that_does_not_read_its_answers_is_told_so_and_then_closed() {
    let mut hosting = with_actor(Config {
        max_frame: 1_000,
        outbox: 1_000,
        max_buffered: 1_000,
        max_backlog: 1_000,
        bus_largest_message: 1_002,
        ..calm()
    });
    hosting.input(Event::PeerBlocked { connection: 1 });
    for id in 0..60 {
        hosting.says(1, get(id));
        answered(&mut hosting, u64::from(id) + 1);
        if hosting.story.machine.stats().connections == 0 {
            break;
        }
    }
    let saw = hosting.saw();
    let closed = saw.iter().any(|action| matches!(action, Action::Close { close, .. } if close.code == Some(1013)));
    assert!(closed || hosting.story.machine.stats().buffered <= 1_100, "{saw:?}");
    hosting.ends();
}
