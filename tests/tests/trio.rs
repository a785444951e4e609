//! Stories of gateway, relay and runner together, in memory and in virtual time.

use std::time::Duration;

use bytes::Bytes;
use underpass_core::gateway::{self, Action as Client};
use underpass_core::http::{Body, Close, Message};
use underpass_core::runner::{self, Action as Handler};
use underpass_core::{FailureCode, Machine, RequestKey, relay};
use underpass_tests::trio::Trio;
use underpass_tests::wire::{head, headers, open, open_websocket, pool, status};

fn trio() -> Trio {
    let mut trio = with_credit(256 * 1024);
    assert_eq!(trio.gateway.ready_runners(&pool()), 1);
    assert!(matches!(trio.notices()[..], [relay::Notice::Ready(_)]));
    trio
}

fn with_credit(credit: u32) -> Trio {
    let runner = runner::Config { credit, ..runner::Config::default() };
    let mut trio = Trio::new(gateway::Config::default(), relay::Config::default(), runner);
    trio.handler_saw();
    trio
}

/// The key of the only request that the handler was handed.
#[track_caller]
fn handed(saw: &[Handler]) -> RequestKey {
    match saw {
        [Handler::Request { key, .. } | Handler::WebSocketOpen { key, .. }, ..] => *key,
        other => panic!("no request was handed to the handler: {other:?}"),
    }
}

fn chunk(bytes: &'static [u8]) -> Bytes {
    Bytes::from_static(bytes)
}

/// A WebSocket that is open, by its keys at the client and at the handler.
fn open_socket(trio: &mut Trio) -> (RequestKey, RequestKey) {
    let client = trio.open(open_websocket("/ws"));
    let handler = handed(&trio.handler_saw());
    trio.handler(runner::Event::WebSocketAccept { key: handler, can_hibernate: false });
    assert_eq!(trio.client_saw(), [Client::WebSocketOpened { key: client }]);
    (client, handler)
}

#[test]
fn a_request_is_answered_whole() {
    let mut trio = trio();
    let key = trio.open(open("POST", "/echo?x=1", Body::Whole(chunk(b"ping"))));
    let saw = trio.handler_saw();
    let handler = handed(&saw);
    let body = Body::Whole(chunk(b"ping"));
    let actor_id = "default".into();
    assert_eq!(saw, [Handler::Request { key: handler, actor_id, head: head("POST", "/echo?x=1"), body }]);

    let body = Body::Whole(chunk(b"pong"));
    trio.handler(runner::Event::ResponseStart { key: handler, head: status(200), body: body.clone() });
    assert_eq!(trio.client_saw(), [Client::ResponseStart { key, head: status(200), body }]);
    assert_eq!(trio.handler_saw(), []);
    trio.finish();
}

#[test]
fn a_get_carries_no_body_not_even_an_empty_one() {
    let mut trio = trio();
    for body in [Body::None, Body::Whole(Bytes::new())] {
        trio.open(open("GET", "/", body));
        let saw = trio.handler_saw();
        assert!(matches!(&saw[..], [Handler::Request { body: Body::None, .. }]), "{saw:?}");
        let key = handed(&saw);
        trio.handler(runner::Event::ResponseStart { key, head: status(204), body: Body::None });
        let saw = trio.client_saw();
        assert!(matches!(&saw[..], [Client::ResponseStart { body: Body::None, .. }]), "{saw:?}");
    }
    trio.finish();
}

#[test]
fn bodies_stream_in_both_directions_each_chunk_as_it_comes() {
    let mut trio = trio();
    let key = trio.open(open("POST", "/", Body::Stream));
    let handler = handed(&trio.handler_saw());
    trio.client(gateway::Event::RequestChunk { key, bytes: chunk(b"one"), finish: false });
    assert_eq!(trio.handler_saw(), [Handler::RequestChunk { key: handler, bytes: chunk(b"one"), finish: false }]);

    trio.handler(runner::Event::ResponseStart { key: handler, head: status(200), body: Body::Stream });
    trio.handler(runner::Event::ResponseChunk { key: handler, bytes: chunk(b"first"), finish: false });
    let began = Client::ResponseStart { key, head: status(200), body: Body::Stream };
    let first = Client::ResponseChunk { key, bytes: chunk(b"first"), finish: false };
    assert_eq!(trio.client_saw(), [began, first]);

    trio.client(gateway::Event::RequestChunk { key, bytes: chunk(b"two"), finish: true });
    assert_eq!(trio.handler_saw(), [Handler::RequestChunk { key: handler, bytes: chunk(b"two"), finish: true }]);
    trio.handler(runner::Event::ResponseChunk { key: handler, bytes: Bytes::new(), finish: true });
    assert_eq!(trio.client_saw(), [Client::ResponseChunk { key, bytes: Bytes::new(), finish: true }]);
    assert_eq!(trio.handler_saw(), [], "the handler is done, and its request's body had come");
    trio.finish();
}

#[test]
fn a_large_body_is_cut_and_arrives_whole() {
    let mut trio = with_credit((1 << 21) - 64);
    let body: Bytes = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let key = trio.open(open("POST", "/", Body::Whole(body.clone())));
    let saw = trio.handler_saw();
    let handler = handed(&saw);
    let mut received = Vec::new();
    let mut finished = false;
    for action in saw.into_iter().skip(1) {
        let Handler::RequestChunk { bytes, finish, .. } = action else { panic!("{action:?}") };
        assert!(bytes.len() <= 64 * 1024 && !finished);
        received.extend_from_slice(&bytes);
        finished = finish;
    }
    assert!(finished && received == body);
    trio.handler(runner::Event::ResponseStart { key: handler, head: status(200), body: Body::Whole(body.clone()) });
    let saw = trio.client_saw();
    let sent: Vec<u8> = saw
        .iter()
        .filter_map(|action| match action {
            Client::ResponseChunk { bytes, .. } => Some(bytes.to_vec()),
            _ => None,
        })
        .flatten()
        .collect();
    assert!(sent == body);
    assert!(matches!(saw.last(), Some(Client::ResponseChunk { finish: true, key: last, .. }) if *last == key));
    trio.finish();
}

#[test]
fn a_client_that_reads_slowly_stops_its_own_handler_and_nobody_elses() {
    let mut trio = with_credit(1_000);
    let mut slow_and_quick = Vec::new();
    for _ in 0..2 {
        let client = trio.open(open("GET", "/", Body::None));
        let handler = handed(&trio.handler_saw());
        trio.handler(runner::Event::ResponseStart { key: handler, head: status(200), body: Body::Stream });
        slow_and_quick.push((client, handler));
    }
    trio.client_saw();
    let [(slow, slow_handler), (quick, quick_handler)] = slow_and_quick[..] else { unreachable!() };
    let kilobyte = Bytes::from(vec![1; 1_000]);

    trio.handler(runner::Event::ResponseChunk { key: slow_handler, bytes: kilobyte.clone(), finish: false });
    assert_eq!(trio.handler_saw(), [Handler::PauseSource { key: slow_handler }]);
    for _ in 0..10 {
        trio.handler(runner::Event::ResponseChunk { key: quick_handler, bytes: kilobyte.clone(), finish: false });
        trio.client(gateway::Event::Consumed { key: quick, bytes: 1_000 });
        let pace = [Handler::PauseSource { key: quick_handler }, Handler::ResumeSource { key: quick_handler }];
        assert_eq!(trio.handler_saw(), pace);
    }
    trio.client_saw();
    trio.client(gateway::Event::Consumed { key: slow, bytes: 1_000 });
    assert_eq!(trio.handler_saw(), [Handler::ResumeSource { key: slow_handler }]);
    for key in [slow_handler, quick_handler] {
        trio.handler(runner::Event::ResponseChunk { key, bytes: Bytes::new(), finish: true });
    }
    trio.finish();
}

#[test]
fn a_handler_that_reads_slowly_stops_its_own_client() {
    let mut trio = with_credit(1_000);
    let key = trio.open(open("POST", "/", Body::Stream));
    let handler = handed(&trio.handler_saw());
    let bytes = Bytes::from(vec![1; 1_000]);
    trio.client(gateway::Event::RequestChunk { key, bytes: bytes.clone(), finish: false });
    assert_eq!(trio.client_saw(), [Client::PauseSource { key }]);
    // One that was on its way already waits at the gateway.
    trio.client(gateway::Event::RequestChunk { key, bytes: bytes.clone(), finish: false });
    assert_eq!(trio.gateway.stats().buffered, 1_000);
    assert_eq!(trio.handler_saw().len(), 1);
    trio.handler(runner::Event::Consumed { key: handler, bytes: 1_000 });
    assert_eq!(trio.handler_saw().len(), 1, "the waiting one came");
    assert_eq!(trio.client_saw(), [], "and took the credit");
    trio.handler(runner::Event::Consumed { key: handler, bytes: 1_000 });
    assert_eq!(trio.client_saw(), [Client::ResumeSource { key }]);
    trio.client(gateway::Event::ClientGone { key });
    assert_eq!(trio.handler_saw(), [Handler::Aborted { key: handler }]);
    trio.finish();
}

#[test]
fn a_client_that_goes_away_reaches_the_handler_as_an_abort() {
    let mut trio = trio();
    let key = trio.open(open("GET", "/", Body::None));
    let handler = handed(&trio.handler_saw());
    trio.client(gateway::Event::ClientGone { key });
    assert_eq!(trio.handler_saw(), [Handler::Aborted { key: handler }]);
    // An answer that comes all the same goes nowhere.
    trio.handler(runner::Event::ResponseStart { key: handler, head: status(200), body: Body::None });
    assert_eq!(trio.client_saw(), []);
    trio.finish();
}

#[test]
fn a_handler_that_fails_is_a_502_before_its_answer_and_a_broken_body_after() {
    let mut trio = trio();
    for begun in [false, true] {
        let key = trio.open(open("GET", "/", Body::None));
        let handler = handed(&trio.handler_saw());
        if begun {
            trio.handler(runner::Event::ResponseStart { key: handler, head: status(200), body: Body::Stream });
            trio.handler(runner::Event::ResponseChunk { key: handler, bytes: chunk(b"half"), finish: false });
            assert_eq!(trio.client_saw().len(), 2);
        }
        trio.handler(runner::Event::HandlerFailed { key: handler });
        let saw = trio.client_saw();
        let [Client::Failed { key: failed, failure }] = &saw[..] else { panic!("{saw:?}") };
        assert_eq!((*failed, failure.code), (key, FailureCode::RunnerFailed));
        assert_eq!(failure.http_answer().0.status, 502);
    }
    trio.finish();
}

#[test]
fn an_answer_before_the_end_of_the_request_ends_both() {
    let mut trio = trio();
    let key = trio.open(open("POST", "/", Body::Stream));
    let handler = handed(&trio.handler_saw());
    trio.handler(runner::Event::ResponseStart { key: handler, head: status(413), body: Body::None });
    assert_eq!(trio.client_saw(), [Client::ResponseStart { key, head: status(413), body: Body::None }]);
    assert_eq!(trio.handler_saw(), [Handler::Aborted { key: handler }]);
    // What the client sends on is ignored.
    trio.client(gateway::Event::RequestChunk { key, bytes: chunk(b"more"), finish: true });
    assert_eq!(trio.handler_saw(), []);
    trio.finish();
}

#[test]
fn messages_of_a_websocket_go_both_ways_in_order() {
    let mut trio = trio();
    let (client, handler) = open_socket(&mut trio);
    let messages = [
        Message::Text("hello".into()),
        Message::Binary(chunk(&[0, 255])),
        Message::Text("".into()),
        Message::Binary(Bytes::new()),
    ];
    for message in &messages {
        trio.client(gateway::Event::WebSocketMessage { key: client, message: message.clone() });
        trio.handler(runner::Event::WebSocketMessage { key: handler, message: message.clone() });
    }
    let comes =
        |(number, message): (_, &Message)| Handler::WebSocketMessage { key: handler, number, message: message.clone() };
    let expected: Vec<_> = (1..).zip(&messages).map(comes).collect();
    assert_eq!(trio.handler_saw(), expected);
    let expected: Vec<_> =
        messages.iter().map(|message| Client::WebSocketMessage { key: client, message: message.clone() }).collect();
    assert_eq!(trio.client_saw(), expected);

    let close = Close::new(4001, "bye");
    trio.client(gateway::Event::WebSocketClose { key: client, close: close.clone() });
    assert_eq!(trio.handler_saw(), [Handler::WebSocketClose { key: handler, close }]);
    trio.finish();
}

#[test]
fn a_handler_closes_its_websocket_with_code_and_reason() {
    let mut trio = trio();
    let (client, handler) = open_socket(&mut trio);
    let close = Close::new(4002, "done");
    trio.handler(runner::Event::WebSocketClose { key: handler, close: close.clone() });
    assert_eq!(trio.client_saw(), [Client::WebSocketClose { key: client, close }]);
    trio.finish();
}

#[test]
fn a_close_never_overtakes_the_messages_before_it() {
    let mut trio = with_credit(10);
    let (client, handler) = open_socket(&mut trio);
    let message = || Message::Binary(chunk(&[7; 10]));
    for _ in 0..2 {
        trio.handler(runner::Event::WebSocketMessage { key: handler, message: message() });
    }
    trio.handler(runner::Event::WebSocketClose { key: handler, close: Close::new(1000, "") });
    assert_eq!(trio.client_saw(), [Client::WebSocketMessage { key: client, message: message() }]);
    trio.client(gateway::Event::Consumed { key: client, bytes: 10 });
    let second = Client::WebSocketMessage { key: client, message: message() };
    assert_eq!(trio.client_saw(), [second, Client::WebSocketClose { key: client, close: Close::new(1000, "") }]);

    trio.handler_saw();
    let (client, handler) = open_socket(&mut trio);
    for _ in 0..2 {
        trio.client(gateway::Event::WebSocketMessage { key: client, message: message() });
    }
    trio.client(gateway::Event::WebSocketClose { key: client, close: Close::new(1000, "") });
    assert_eq!(trio.handler_saw(), [Handler::WebSocketMessage { key: handler, number: 1, message: message() }]);
    trio.handler(runner::Event::Consumed { key: handler, bytes: 10 });
    let second = Handler::WebSocketMessage { key: handler, number: 2, message: message() };
    assert_eq!(trio.handler_saw(), [second, Handler::WebSocketClose { key: handler, close: Close::new(1000, "") }]);
    trio.finish();
}

#[test]
fn a_close_that_waits_for_a_handler_that_never_reads_overtakes_at_its_deadline() {
    let mut trio = with_credit(10);
    let (client, handler) = open_socket(&mut trio);
    for _ in 0..2 {
        let message = Message::Binary(chunk(&[7; 10]));
        trio.client(gateway::Event::WebSocketMessage { key: client, message });
    }
    trio.client(gateway::Event::WebSocketClose { key: client, close: Close::new(1000, "") });
    trio.handler_saw();
    trio.advance(Duration::from_micros(9_999_999));
    assert_eq!(trio.handler_saw(), []);
    trio.advance(Duration::from_micros(1));
    assert_eq!(trio.handler_saw(), [Handler::WebSocketClose { key: handler, close: Close::abnormal() }]);
    trio.finish();
}

#[test]
fn a_websocket_that_the_handler_refuses_is_an_http_answer() {
    let mut trio = trio();
    let client = trio.open(open_websocket("/ws"));
    let handler = handed(&trio.handler_saw());
    trio.handler(runner::Event::HandlerFailed { key: handler });
    let saw = trio.client_saw();
    let [Client::Failed { key, failure }] = &saw[..] else { panic!("{saw:?}") };
    assert_eq!((*key, failure.code), (client, FailureCode::RunnerFailed));
    trio.finish();
}

#[test]
fn a_client_whose_socket_is_cut_closes_1006_at_the_handler() {
    let mut trio = trio();
    let (client, handler) = open_socket(&mut trio);
    trio.client(gateway::Event::ClientGone { key: client });
    assert_eq!(trio.handler_saw(), [Handler::WebSocketClose { key: handler, close: Close::abnormal() }]);
    trio.finish();
}

#[test]
fn a_runner_that_is_lost_fails_its_requests_and_comes_back() {
    let mut trio = trio();
    let request = trio.open(open("POST", "/", Body::None));
    let handed_request = handed(&trio.handler_saw());
    let (socket, handed_socket) = open_socket(&mut trio);
    trio.handler_saw();
    trio.cut();
    let failures: Vec<_> = trio
        .client_saw()
        .into_iter()
        .map(|action| match action {
            Client::Failed { key, failure } => (key, failure.code),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(failures, [(request, FailureCode::RunnerLost), (socket, FailureCode::RunnerLost)]);
    let close = Close::abnormal();
    let told = [Handler::Aborted { key: handed_request }, Handler::WebSocketClose { key: handed_socket, close }];
    assert_eq!(trio.handler_saw(), told);
    assert_eq!(trio.gateway.ready_runners(&pool()), 0);

    trio.advance(Duration::from_millis(200));
    assert_eq!(trio.gateway.ready_runners(&pool()), 1);
    assert!(matches!(trio.handler_saw()[..], [Handler::Ready { .. }]));
    trio.open(open("GET", "/", Body::None));
    let key = handed(&trio.handler_saw());
    trio.handler(runner::Event::ResponseStart { key, head: status(200), body: Body::None });
    assert_eq!(trio.client_saw().len(), 1);
    trio.finish();
}

#[test]
fn a_get_whose_runner_is_lost_is_sent_again_when_it_comes_back() {
    let mut trio = trio();
    let request = trio.open(open("GET", "/", Body::None));
    let first = handed(&trio.handler_saw());
    trio.cut();
    assert_eq!(trio.client_saw(), [], "it waits");
    assert_eq!(trio.handler_saw(), [Handler::Aborted { key: first }]);
    trio.advance(Duration::from_millis(200));
    let saw = trio.handler_saw();
    assert!(matches!(saw[..], [Handler::Ready { .. }, Handler::Request { .. }]));
    let second = handed(&saw[1..]);
    trio.handler(runner::Event::ResponseStart { key: second, head: status(200), body: Body::None });
    assert!(matches!(trio.client_saw()[..], [Client::ResponseStart { key, .. }] if key == request));
    trio.finish();
}

#[test]
fn without_a_runner_a_request_is_refused_at_once() {
    let mut trio = trio();
    let mut other = open("GET", "/", Body::None);
    other.target.pool.name = "other".into();
    let refused = trio.gateway.open(other, underpass_core::Time::ZERO).unwrap_err().0;
    assert_eq!(refused.code, FailureCode::NoRunner);
    let (head, _) = refused.http_answer();
    assert_eq!((head.status, head.headers.get("retry-after").map(|value| &**value)), (503, Some("1")));
    trio.finish();
}

#[test]
fn the_deadline_of_an_answer_aborts_its_handler() {
    let mut trio = trio();
    let key = trio.open(open("GET", "/", Body::None));
    let handler = handed(&trio.handler_saw());
    trio.advance(Duration::from_micros(299_999_999));
    assert_eq!((trio.client_saw(), trio.handler_saw()), (vec![], vec![]));
    trio.advance(Duration::from_micros(1));
    let saw = trio.client_saw();
    assert!(
        matches!(&saw[..], [Client::Failed { key: failed, failure }]
            if *failed == key && failure.code == FailureCode::ResponseStartTimeout),
        "{saw:?}"
    );
    assert_eq!(trio.handler_saw(), [Handler::Aborted { key: handler }]);
    trio.finish();
}

#[test]
fn a_runner_with_a_full_outbox_makes_its_handlers_wait() {
    let mut trio = trio();
    let key = trio.open(open("GET", "/", Body::None));
    let handler = handed(&trio.handler_saw());
    trio.handler(runner::Event::ResponseStart { key: handler, head: status(200), body: Body::Stream });
    let connection = trio.connection();
    trio.handler(runner::Event::PeerBlocked { connection });
    trio.client_saw();
    trio.handler(runner::Event::ResponseChunk { key: handler, bytes: chunk(b"late"), finish: false });
    assert_eq!(trio.handler_saw(), [Handler::PauseSource { key: handler }]);
    assert_eq!(trio.client_saw(), []);
    trio.handler(runner::Event::PeerWritable { connection });
    assert_eq!(trio.handler_saw(), [Handler::ResumeSource { key: handler }]);
    assert_eq!(trio.client_saw(), [Client::ResponseChunk { key, bytes: chunk(b"late"), finish: false }]);
    trio.handler(runner::Event::ResponseChunk { key: handler, bytes: Bytes::new(), finish: true });
    trio.finish();
}

#[test]
fn a_relay_keeps_what_a_blocked_runner_has_no_room_for() {
    let mut trio = trio();
    let (client, handler) = open_socket(&mut trio);
    let connection = trio.connection();
    trio.at_relay(relay::Event::PeerBlocked { connection });
    for text in ["one", "two"] {
        trio.client(gateway::Event::WebSocketMessage { key: client, message: Message::Text(text.into()) });
    }
    trio.client(gateway::Event::WebSocketClose { key: client, close: Close::new(1000, "") });
    assert_eq!(trio.handler_saw(), []);
    assert!(trio.relay.stats().buffered > 0);
    trio.at_relay(relay::Event::PeerWritable { connection });
    let message = |number, text: &'static str| Handler::WebSocketMessage {
        key: handler,
        number,
        message: Message::Text(text.into()),
    };
    let close = Handler::WebSocketClose { key: handler, close: Close::new(1000, "") };
    assert_eq!(trio.handler_saw(), [message(1, "one"), message(2, "two"), close]);
    trio.finish();
}

#[test]
fn a_runner_that_drains_finishes_what_is_open_and_takes_nothing_new() {
    let mut trio = trio();
    let key = trio.open(open("GET", "/", Body::None));
    let handler = handed(&trio.handler_saw());
    let (socket, handed_socket) = open_socket(&mut trio);
    trio.handler(runner::Event::Drain);
    assert_eq!(trio.gateway.ready_runners(&pool()), 0);
    assert_eq!((trio.handler_saw(), trio.client_saw()), (vec![], vec![]));
    let message = Message::Text("last words".into());
    trio.handler(runner::Event::WebSocketMessage { key: handed_socket, message: message.clone() });
    trio.handler(runner::Event::ResponseStart { key: handler, head: status(200), body: Body::None });
    let close = Close::new(1001, "draining");
    let told = Handler::WebSocketClose { key: handed_socket, close: close.clone() };
    assert_eq!(trio.handler_saw(), [told]);
    trio.advance(Duration::from_secs(1));
    assert_eq!(trio.handler_saw(), [Handler::Stopped(runner::StopReason::Drained)]);
    let said = Client::WebSocketMessage { key: socket, message };
    let answered = Client::ResponseStart { key, head: status(200), body: Body::None };
    assert_eq!(trio.client_saw(), [said, answered, Client::WebSocketClose { key: socket, close }]);
    trio.finish();
}

#[test]
fn a_gateway_that_drains_finishes_what_is_open_and_refuses_the_rest() {
    let mut trio = trio();
    let key = trio.open(open("GET", "/", Body::None));
    let handler = handed(&trio.handler_saw());
    trio.client(gateway::Event::Drain);
    assert_eq!(trio.client_saw(), []);
    let refused = trio.gateway.open(open("GET", "/", Body::None), underpass_core::Time::ZERO).unwrap_err().0;
    assert_eq!(refused.code, FailureCode::Draining);
    trio.handler(runner::Event::ResponseStart { key: handler, head: status(200), body: Body::None });
    let answered = Client::ResponseStart { key, head: status(200), body: Body::None };
    assert_eq!(trio.client_saw(), [answered, Client::Drained]);
    trio.finish();
}

fn with_length(length: &'static str) -> underpass_core::http::ResponseHead {
    underpass_core::http::ResponseHead { headers: headers(&[("content-length", length)]), ..status(200) }
}

#[test]
fn an_answer_whose_length_is_not_what_it_says_is_broken_and_never_passed_on_as_whole() {
    let mut trio = trio();
    for length in ["3", "100", "x", "", "5, 5", "+5"] {
        let key = trio.open(open("GET", "/", Body::None));
        let handler = handed(&trio.handler_saw());
        let (head, body) = (with_length(length), Body::Whole(chunk(b"hello")));
        trio.handler(runner::Event::ResponseStart { key: handler, head, body });
        let saw = trio.client_saw();
        assert!(matches!(&saw[..], [Client::Failed { key: failed, .. }] if *failed == key), "{length}: {saw:?}");
    }
    for (length, pieces) in [("3", [&b"he"[..], b"llo"]), ("6", [b"he", b"llo"]), ("2", [b"he", b"llo"])] {
        let key = trio.open(open("GET", "/", Body::None));
        let handler = handed(&trio.handler_saw());
        trio.handler(runner::Event::ResponseStart { key: handler, head: with_length(length), body: Body::Stream });
        for (bytes, finish) in [(pieces[0], false), (pieces[1], true)] {
            trio.handler(runner::Event::ResponseChunk { key: handler, bytes: bytes.into(), finish });
        }
        let saw = trio.client_saw();
        assert!(matches!(saw.last(), Some(Client::Failed { key: failed, .. }) if *failed == key), "{length}: {saw:?}");
    }
    trio.finish();
}

#[test]
fn an_answer_without_a_body_may_tell_the_length_of_one() {
    let mut trio = trio();
    for (method, code) in [("HEAD", 200), ("GET", 304)] {
        let key = trio.open(open(method, "/", Body::None));
        let handler = handed(&trio.handler_saw());
        let head = underpass_core::http::ResponseHead { status: code, ..with_length("1000") };
        trio.handler(runner::Event::ResponseStart { key: handler, head: head.clone(), body: Body::None });
        assert_eq!(trio.client_saw(), [Client::ResponseStart { key, head, body: Body::None }]);
    }
    trio.finish();
}

#[test]
fn an_upload_may_take_as_long_as_its_client_wants_and_its_answer_may_not() {
    let mut trio = trio();
    let key = trio.open(open("POST", "/", Body::Stream));
    let handler = handed(&trio.handler_saw());
    for _ in 0..100 {
        trio.advance(Duration::from_secs(10));
        trio.client(gateway::Event::RequestChunk { key, bytes: chunk(b"more"), finish: false });
    }
    trio.client(gateway::Event::RequestChunk { key, bytes: Bytes::new(), finish: true });
    assert_eq!((trio.client_saw(), trio.handler_saw().len()), (vec![], 101));
    trio.advance(Duration::from_secs(300));
    let saw = trio.client_saw();
    assert!(
        matches!(&saw[..], [Client::Failed { failure, .. }] if failure.code == FailureCode::ResponseStartTimeout),
        "{saw:?}"
    );
    assert_eq!(trio.handler_saw(), [Handler::Aborted { key: handler }]);
    trio.finish();
}

#[test]
fn a_handler_that_neither_reads_nor_answers_has_its_deadline_too() {
    let mut trio = with_credit(4);
    let key = trio.open(open("POST", "/", Body::Stream));
    let handler = handed(&trio.handler_saw());
    trio.client(gateway::Event::RequestChunk { key, bytes: chunk(b"more"), finish: false });
    assert_eq!(trio.client_saw(), [Client::PauseSource { key }]);
    trio.advance(Duration::from_secs(200));
    trio.handler(runner::Event::Consumed { key: handler, bytes: 4 });
    assert_eq!(trio.client_saw(), [Client::ResumeSource { key }]);
    trio.client(gateway::Event::RequestChunk { key, bytes: chunk(b"more"), finish: false });
    trio.advance(Duration::from_micros(299_999_999));
    assert_eq!(trio.client_saw(), [Client::PauseSource { key }]);
    trio.advance(Duration::from_micros(1));
    assert!(matches!(trio.client_saw()[..], [Client::Failed { .. }]));
    trio.finish();
}

#[test]
fn a_gateway_that_was_taken_for_gone_and_lives_hears_with_its_next_ping_of_all_that_ended() {
    let mut trio = trio();
    let sockets: Vec<_> = (0..50).map(|_| open_socket(&mut trio).0).collect();
    trio.at_relay(relay::Event::NoResponders { gateway: underpass_tests::wire::GATEWAY });
    assert_eq!(trio.handler_saw().len(), sockets.len());
    assert_eq!(trio.client_saw(), []);
    trio.advance(gateway::Config::default().ping_interval);
    let mut ended: Vec<_> = trio
        .client_saw()
        .iter()
        .map(|saw| match saw {
            Client::Failed { key, .. } => *key,
            other => panic!("{other:?}"),
        })
        .collect();
    ended.sort_unstable();
    assert_eq!(ended, sockets);
    trio.finish();
}
