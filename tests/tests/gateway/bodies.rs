//! Bodies of requests and answers, messages, and the credit that they use.

use std::time::Duration;

use bytes::Bytes;
use underpass_core::directory::Abilities;
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::{Body, Close, Message};
use underpass_core::protocol::tunnel::{to_client, to_server};
use underpass_core::{FailureCode, Machine};
use underpass_tests::given::gateway::{
    aborts, chunk, chunk_sent, closes, credit, gateway, gateway_with, published_abilities, publishes,
    request_start_with, small_config, zeros,
};
use underpass_tests::wire::{abilities, gone, message, open, response_chunk, response_start, status};

fn without_credit() -> Abilities {
    Abilities { credit: None, ..abilities(1) }
}

fn granted(total: u32) -> to_server::Kind {
    to_server::Kind::Credit(credit(total))
}

#[test]
fn get_and_head_carry_no_empty_body_but_others_do() {
    for (method, body, travels) in [
        ("GET", Body::None, None),
        ("GET", Body::Whole(Bytes::new()), None),
        ("HEAD", Body::Whole(Bytes::new()), None),
        ("POST", Body::None, None),
        ("POST", Body::Whole(Bytes::new()), Some(Bytes::new())),
        ("GET", Body::Whole(zeros(3)), Some(zeros(3))),
    ] {
        let mut story = gateway();
        let asked = story.opens(open(method, "/", body));
        story.expect([publishes(asked, 0, request_start_with(method, travels, false))]);
        story.hears(asked, 0, response_start(200, None, false));
        story.expect([Action::ResponseStart { key: asked.key, head: status(200), body: Body::None }]).ends();
    }
}

#[test]
fn a_whole_body_goes_in_one_frame_up_to_a_chunk_and_in_chunks_beyond() {
    for (length, chunks) in [(10, vec![]), (11, vec![10, 1]), (20, vec![10, 10]), (25, vec![10, 10, 5])] {
        let mut story = gateway_with(small_config(), without_credit());
        let asked = story.opens(open("POST", "/", Body::Whole(zeros(length))));
        let whole = chunks.is_empty().then(|| zeros(length));
        let start = publishes(asked, 0, request_start_with("POST", whole, !chunks.is_empty()));
        let last = chunks.len();
        let numbered = (1..).zip(chunks);
        let chunks = numbered
            .map(|(number, length)| publishes(asked, number, chunk_sent(zeros(length), usize::from(number) == last)));
        story.expect([start].into_iter().chain(chunks));
        story.hears(asked, 0, response_start(200, None, false)).actions();
        story.ends();
    }
}

#[test]
fn a_whole_body_goes_whole_to_a_runner_without_streams() {
    let mut story = gateway_with(small_config(), published_abilities());
    let asked = story.opens(open("POST", "/", Body::Whole(zeros(100))));
    story.expect([publishes(asked, 0, request_start_with("POST", Some(zeros(100)), false))]);
    story.hears(asked, 0, response_start(200, None, false)).actions();
    story.ends();
}

#[test]
fn a_streamed_body_goes_on_as_it_comes_in_chunks_of_limited_size() {
    let mut story = gateway_with(small_config(), without_credit());
    let asked = story.opens(open("GET", "/", Body::Stream));
    let key = asked.key;
    story.expect([publishes(asked, 0, request_start_with("GET", None, true))]);
    story.input(chunk(key, zeros(4), false)).expect([publishes(asked, 1, chunk_sent(zeros(4), false))]);
    story.input(chunk(key, Bytes::new(), false)).expect([]);
    story.input(chunk(key, zeros(15), false));
    story.expect(
        [2, 3].map(|number| publishes(asked, number, chunk_sent(zeros(if number == 2 { 10 } else { 5 }), false))),
    );
    story.input(chunk(key, Bytes::new(), true)).expect([publishes(asked, 4, chunk_sent(Bytes::new(), true))]);
    story.hears(asked, 0, response_start(200, None, false)).actions();
    story.ends();
}

#[test]
fn a_streamed_body_is_collected_for_a_runner_without_streams() {
    let mut story = gateway_with(small_config(), published_abilities());
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.expect([]);
    story.input(chunk(asked.key, zeros(60), false)).expect([]);
    story.input(chunk(asked.key, zeros(40), false)).expect([]);
    story.input(chunk(asked.key, Bytes::new(), true));
    story.expect([publishes(asked, 0, request_start_with("POST", Some(zeros(100)), false))]);
    story.hears(asked, 0, response_start(200, None, false)).actions();
    story.ends();
}

#[test]
fn an_empty_streamed_body_of_a_get_is_collected_to_none_and_of_a_post_to_an_empty_one() {
    for (method, travels) in [("GET", None), ("HEAD", None), ("POST", Some(Bytes::new()))] {
        let mut story = gateway_with(small_config(), published_abilities());
        let asked = story.opens(open(method, "/", Body::Stream));
        story.input(chunk(asked.key, Bytes::new(), true));
        story.expect([publishes(asked, 0, request_start_with(method, travels, false))]);
        story.hears(asked, 0, response_start(200, None, false)).actions();
        story.ends();
    }
}

#[test]
fn a_collected_body_over_twenty_mebibytes_fails_and_the_runner_never_hears_of_it() {
    let mut story = gateway_with(Config::default(), published_abilities());
    let asked = story.opens(open("POST", "/", Body::Stream));
    for _ in 0..20 {
        story.input(chunk(asked.key, zeros(1 << 20), false)).expect([]);
    }
    story.input(chunk(asked.key, zeros(1), true)).expect_failed(asked, FailureCode::BodyTooLarge, []);
    // The client goes on sending for a while.
    story.input(chunk(asked.key, zeros(1), true)).expect([]).ends();
}

#[test]
fn a_collected_body_whose_client_goes_away_is_dropped_and_one_whose_runner_does_waits_for_another() {
    let mut story = gateway_with(small_config(), published_abilities());
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.input(chunk(asked.key, zeros(5), false)).expect([]);
    story.input(Event::ClientGone { key: asked.key }).expect([]);
    // A runner that goes away is nothing to a body that is not complete; then nobody is there.
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.input(Event::Directory(gone("a"))).expect([]);
    story.input(chunk(asked.key, zeros(5), true)).expect([]);
    story.passes_in_silence_until(Duration::from_secs(5)).expect_failed(asked, FailureCode::NoRunner, []).ends();
}

#[test]
fn a_streamed_body_is_limited_only_if_the_configuration_says_so() {
    let config = Config { max_streamed_body: Some(30), ..small_config() };
    let mut story = gateway_with(config, without_credit());
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    for number in 1..=3 {
        story.input(chunk(asked.key, zeros(10), false));
        story.expect([publishes(asked, number, chunk_sent(zeros(10), false))]);
    }
    story.input(chunk(asked.key, zeros(1), true));
    story.expect_failed(asked, FailureCode::BodyTooLarge, [aborts(asked, 4)]).ends();
}

#[test]
fn a_sender_spends_its_credit_and_one_chunk_more_and_then_its_client_waits() {
    let mut story = gateway_with(small_config(), abilities(100));
    let asked = story.opens(open("POST", "/", Body::Stream));
    let key = asked.key;
    story.actions();
    story.input(chunk(key, zeros(10), false)).expect([publishes(asked, 1, chunk_sent(zeros(10), false))]);
    // It counted for 64, and 36 are left: one whole chunk passes.
    let second = publishes(asked, 2, chunk_sent(zeros(10), false));
    story.input(chunk(key, zeros(10), false)).expect([second, Action::PauseSource { key }]);
    story.input(chunk(key, zeros(10), false)).expect([]);
    assert_eq!(story.machine.stats().buffered, 10);
    // 100 + 28 is what was sent; one more lets the next pass.
    story.hears(asked, 0, granted(28)).expect([]);
    story.hears(asked, 0, granted(29)).expect([publishes(asked, 3, chunk_sent(zeros(10), false))]);
    story.hears(asked, 0, granted(92)).expect([]);
    story.hears(asked, 0, granted(93)).expect([Action::ResumeSource { key }]);
    // An old or an impossible total changes nothing.
    story.hears(asked, 0, granted(28)).expect([]);
    story.hears(asked, 0, granted(193)).expect([]);
    let fourth = publishes(asked, 4, chunk_sent(zeros(10), false));
    story.input(chunk(key, zeros(10), false)).expect([fourth, Action::PauseSource { key }]);
    story.input(Event::ClientGone { key }).expect([aborts(asked, 5)]).ends();
}

#[test]
fn the_end_of_a_body_needs_no_credit_but_stays_behind_what_does() {
    let mut story = gateway_with(small_config(), abilities(10));
    let asked = story.opens(open("POST", "/", Body::Stream));
    let key = asked.key;
    story.actions();
    let first = publishes(asked, 1, chunk_sent(zeros(10), false));
    story.input(chunk(key, zeros(10), false)).expect([first, Action::PauseSource { key }]);
    story.input(chunk(key, zeros(1), false)).expect([]);
    story.input(chunk(key, Bytes::new(), true)).expect([]);
    let rest = [(2, zeros(1), false), (3, Bytes::new(), true)];
    // The first counted for 64, of which credit had ten.
    story.hears(asked, 0, granted(54)).expect([]);
    story.hears(asked, 0, granted(55)).expect(rest.map(|(n, bytes, end)| publishes(asked, n, chunk_sent(bytes, end))));
    story.hears(asked, 0, response_start(200, None, false)).actions();
    story.ends();
}

#[test]
fn a_client_that_does_not_pause_fails_past_the_bound() {
    let mut story = gateway_with(small_config(), abilities(10));
    let bound = small_config().max_buffered;
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    story.input(chunk(asked.key, zeros(10), false)).actions();
    story.input(chunk(asked.key, zeros(bound), false)).expect([]);
    assert_eq!(story.machine.stats().buffered, bound);
    story.input(chunk(asked.key, zeros(1), false));
    story.expect_failed(asked, FailureCode::Overloaded, [aborts(asked, 2)]).ends();
}

#[test]
fn what_a_client_consumed_is_granted_in_quarters_of_the_credit() {
    let mut story = gateway_with(small_config(), abilities(1_024));
    let asked = story.opens(open("GET", "/", Body::None));
    let key = asked.key;
    story.actions();
    story.hears(asked, 0, response_start(200, None, true)).actions();
    // Each of these counts for 64.
    for number in 1..=10 {
        story.hears(asked, number, response_chunk(&[0; 10], false)).actions();
    }
    let grants = |total| publishes(asked, 0, to_client::Kind::Credit(credit(total)));
    story.input(Event::Consumed { key, bytes: 39 }).expect([]);
    story.input(Event::Consumed { key, bytes: 1 }).expect([grants(256)]);
    story.input(Event::Consumed { key, bytes: 35 }).expect([]);
    story.input(Event::Consumed { key, bytes: 10 }).expect([grants(512)]);
    // No more than was handed out can have been consumed.
    story.input(Event::Consumed { key, bytes: 1_000 }).expect([]);
    assert_eq!(story.machine.stats().buffered, 0);
    // A grant takes no number: the abort has the one behind the start's.
    story.input(Event::ClientGone { key }).expect([aborts(asked, 1)]);
    story.input(Event::Consumed { key, bytes: 50 }).expect([]).ends();
}

#[test]
fn to_a_runner_without_credit_nothing_is_granted() {
    let mut story = gateway_with(small_config(), published_abilities());
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(asked, 0, response_start(200, None, true)).actions();
    story.hears(asked, 1, response_chunk(&[0; 100], false)).actions();
    story.input(Event::Consumed { key: asked.key, bytes: 100 }).expect([]);
    story.hears(asked, 2, response_chunk(b"", true)).actions();
    story.ends();
}

#[test]
fn the_numbers_of_a_runner_that_may_leave_some_out_are_counted_and_not_judged() {
    let mut story = gateway_with(small_config(), published_abilities());
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    for (number, jumps) in [(0, 0), (1, 0), (7, 1), (8, 1), (8, 2), (0, 3)] {
        let kind =
            if number == 0 && jumps == 0 { response_start(200, None, true) } else { response_chunk(b"x", false) };
        assert_eq!(story.hears(asked, number, kind).actions().len(), 1);
        assert_eq!((story.machine.stats().gaps_unjudged, story.machine.stats().gaps), (jumps, 0));
    }
    story.hears(asked, 1, response_chunk(b"", true)).actions();
    story.ends();
}

#[test]
fn an_answer_that_its_client_does_not_read_fails_past_the_bound() {
    let mut story = gateway_with(small_config(), published_abilities());
    let bound = small_config().max_buffered;
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(asked, 0, response_start(200, None, true)).actions();
    let body = |length| to_server::Kind::ResponseChunk(to_server::ResponseChunk { body: zeros(length), finish: false });
    let bytes = zeros(bound);
    story.hears(asked, 1, body(bound)).expect([Action::ResponseChunk { key: asked.key, bytes, finish: false }]);
    story.hears(asked, 2, body(1)).expect_failed(asked, FailureCode::Overloaded, [aborts(asked, 1)]);
    story.ends();
}

#[test]
fn an_answer_streams_each_chunk_as_it_comes_and_ends_with_the_last() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    let key = asked.key;
    story.actions();
    let bytes = |bytes: &'static [u8]| Bytes::from_static(bytes);
    story.hears(asked, 0, response_start(206, Some(b"first"), true)).expect([
        Action::ResponseStart { key, head: status(206), body: Body::Stream },
        Action::ResponseChunk { key, bytes: bytes(b"first"), finish: false },
    ]);
    story.hears(asked, 1, response_chunk(b"", false)).expect([]);
    let second = Action::ResponseChunk { key, bytes: bytes(b"second"), finish: false };
    story.hears(asked, 2, response_chunk(b"second", false)).expect([second]);
    let last = Action::ResponseChunk { key, bytes: bytes(b"last"), finish: true };
    story.hears(asked, 3, response_chunk(b"last", true)).expect([last]);
    assert_eq!(story.machine.stats().answered, 1);
    story.ends();
}

#[test]
fn an_answer_begins_with_an_empty_piece_without_a_chunk_of_its_own() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(asked, 0, response_start(200, Some(b""), true));
    story.expect([Action::ResponseStart { key: asked.key, head: status(200), body: Body::Stream }]);
    story.input(Event::ClientGone { key: asked.key }).expect([aborts(asked, 1)]).ends();
}

#[test]
fn messages_wait_for_credit_in_order_and_the_close_stays_behind_them() {
    let mut story = gateway_with(small_config(), abilities(10));
    let asked = story.opens_websocket();
    let key = asked.key;
    let text = |text: &'static str| Event::WebSocketMessage { key, message: Message::Text(text.into()) };
    let sent = |number, bytes: &'static [u8]| {
        publishes(asked, number, to_client::Kind::WebSocketMessage(message(bytes, false)))
    };
    // One whole message may overdraw.
    let first = sent(1, b"twelve bytes");
    story.input(text("twelve bytes")).expect([first, Action::PauseSource { key }]);
    // An empty one waits its turn, too.
    story.input(text("")).expect([]);
    story.input(text("three")).expect([]);
    story.input(Event::WebSocketClose { key, close: Close::new(4000, "bye") }).expect([]);
    let close = to_client::Kind::WebSocketClose(Close::new(4000, "bye").into_wire());
    // Each counts for 64.
    story.hears(asked, 0, granted(54)).expect([]);
    story.hears(asked, 0, granted(55)).expect([sent(2, b"")]);
    story.hears(asked, 0, granted(119)).expect([sent(3, b"three"), publishes(asked, 4, close)]);
    assert_eq!(story.machine.stats().client_gone, 1);
    story.ends();
}

#[test]
fn messages_of_an_open_websocket_come_to_the_client_and_are_granted_for() {
    let mut story = gateway_with(small_config(), abilities(512));
    let asked = story.opens_websocket();
    let key = asked.key;
    let kind = |bytes, binary| to_server::Kind::WebSocketMessage(message(bytes, binary));
    story.hears(asked, 1, kind("é".as_bytes(), false));
    story.expect([Action::WebSocketMessage { key, message: Message::Text("é".into()) }]);
    story.hears(asked, 2, kind(&[255], true));
    story.expect([Action::WebSocketMessage { key, message: Message::Binary(Bytes::from_static(&[255])) }]);
    let grant = publishes(asked, 0, to_client::Kind::Credit(credit(128)));
    story.input(Event::Consumed { key, bytes: 3 }).expect([grant]);
    let close = to_server::WebSocketClose { code: Some(4001), reason: Some("over".into()), hibernate: false };
    story.hears(asked, 3, to_server::Kind::WebSocketClose(close));
    story.expect([Action::WebSocketClose { key, close: Close::new(4001, "over") }]).ends();
}

#[test]
fn messages_before_the_handler_took_the_websocket_come_behind_its_opening() {
    let mut story = gateway();
    let asked = story.opens(underpass_tests::wire::open_websocket("/"));
    let key = asked.key;
    story.actions();
    for (number, text) in [(0, &b"one"[..]), (1, b"two")] {
        story.hears(asked, number, to_server::Kind::WebSocketMessage(message(text, false))).expect([]);
    }
    // Each counts for 64.
    assert_eq!(story.machine.stats().buffered, 128);
    story.hears(asked, 2, to_server::Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: true }));
    let came = |text: &'static str| Action::WebSocketMessage { key, message: Message::Text(text.into()) };
    story.expect([Action::WebSocketOpened { key }, came("one"), came("two")]);
    story.input(Event::ClientGone { key }).actions();
    story.ends();
}

#[test]
fn messages_that_are_too_large_fail_their_websocket_in_either_direction() {
    let mut story = gateway_with(small_config(), abilities(1_000));
    let asked = story.opens_websocket();
    let message = Message::Binary(zeros(100));
    story.input(Event::WebSocketMessage { key: asked.key, message });
    assert_eq!(story.actions().len(), 1);
    let message = Message::Binary(zeros(101));
    let close = closes(asked, 2, FailureCode::MessageTooLarge);
    story.input(Event::WebSocketMessage { key: asked.key, message });
    story.expect_failed(asked, FailureCode::MessageTooLarge, [close]);

    let asked = story.opens_websocket();
    let from =
        |length| to_server::Kind::WebSocketMessage(to_client::WebSocketMessage { data: zeros(length), binary: true });
    story.hears(asked, 1, from(100));
    assert_eq!(story.actions().len(), 1);
    let close = closes(asked, 1, FailureCode::MessageTooLarge);
    story.hears(asked, 2, from(101)).expect_failed(asked, FailureCode::MessageTooLarge, [close]);
    story.ends();
}

#[test]
fn a_client_of_a_websocket_that_does_not_pause_fails_past_the_bound() {
    let mut story = gateway_with(small_config(), abilities(10));
    let asked = story.opens_websocket();
    let send = || Event::WebSocketMessage { key: asked.key, message: Message::Binary(zeros(100)) };
    story.input(send()).actions();
    let fit = small_config().max_buffered / 100;
    for _ in 0..fit {
        story.input(send()).expect([]);
    }
    let close = closes(asked, 2, FailureCode::Overloaded);
    story.input(send()).expect_failed(asked, FailureCode::Overloaded, [close]).ends();
}
