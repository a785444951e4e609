//! What a journal tells of requests at each hop.

use bytes::Bytes;
use underpass_core::directory::RunnerState;
use underpass_core::gateway;
use underpass_core::http::{Body, Close, Message};
use underpass_core::runner::{self, Action as Handler};
use underpass_core::{Gateway, Machine, RequestKey, Time, relay};
use underpass_tests::trio::Trio;
use underpass_tests::watched::Watched;
use underpass_tests::wire::{
    GATEWAY, abilities, headers, message_id, open, open_websocket, record, request_id, response_start, seen, status,
    to_gateway,
};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Three that have nothing to tell yet.
fn trio() -> Trio {
    let mut trio = Trio::new(gateway::Config::default(), relay::Config::default(), runner::Config::default());
    trio.handler_saw();
    told(&mut trio);
    trio
}

/// What was told of requests: at the gateway, the relay, the runner.
fn told(trio: &mut Trio) -> [Vec<String>; 3] {
    [trio.gateway.told(), trio.relay.told(), trio.runner.told()]
}

/// The key of the only request that the handler was handed.
#[track_caller]
fn handed(trio: &mut Trio) -> RequestKey {
    let saw = trio.handler_saw();
    let key = saw.iter().find_map(|action| match action {
        Handler::Request { key, .. } | Handler::WebSocketOpen { key, .. } => Some(*key),
        _ => None,
    });
    key.unwrap_or_else(|| panic!("no request was handed to the handler: {saw:?}"))
}

fn whole(bytes: &'static [u8]) -> Body {
    Body::Whole(Bytes::from_static(bytes))
}

#[test]
fn each_hop_tells_of_a_request_from_its_opening_to_its_end() {
    let mut trio = trio();
    let mut asked = open("POST", "/echo", whole(b"ping"));
    asked.head.headers = headers(&[("traceparent", TRACE)]);
    trio.open(asked);
    let key = handed(&mut trio);
    trio.handler(runner::Event::ResponseStart { key, head: status(201), body: whole(b"pong") });

    let expected = [
        &format!("opened: Http default POST /echo {TRACE}"),
        "ToClientRequestStart 0",
        "ToServerResponseStart 0",
        "answered: 201",
        "ended: Done",
    ];
    for at_a_hop in told(&mut trio) {
        assert_eq!(at_a_hop, expected);
    }
    trio.finish();
}

#[test]
fn a_websocket_is_told_of_until_either_side_closes() {
    let mut trio = trio();
    let client = trio.open(open_websocket("/ws"));
    let key = handed(&mut trio);
    trio.handler(runner::Event::WebSocketAccept { key, can_hibernate: false });
    trio.client(gateway::Event::WebSocketMessage { key: client, message: Message::Text("hello".into()) });
    let started = [
        "opened: WebSocket default GET /ws -",
        "ToClientWebSocketOpen 0",
        "ToServerWebSocketOpen 0",
        "answered: 101",
        "ToClientWebSocketMessage 1",
    ];
    for at_a_hop in told(&mut trio) {
        assert_eq!(at_a_hop, started);
    }
    trio.client(gateway::Event::WebSocketClose { key: client, close: Close::new(1000, "") });
    let [at_gateway, at_relay, at_runner] = told(&mut trio);
    assert_eq!(at_gateway, ["ToClientWebSocketClose 2", "ended: ClientGone"]);
    assert_eq!(at_relay, ["ToClientWebSocketClose 2", "ended: Done"]);
    assert_eq!(at_runner, at_relay);
    trio.finish();
}

#[test]
fn what_is_refused_was_opened_and_has_ended() {
    let mut trio = trio();
    trio.client(gateway::Event::Drain);
    let refused = trio.gateway.open(open("GET", "/", Body::None), Time::ZERO).expect_err("it drains");
    assert_eq!(refused.0.code.as_str(), "draining");
    let [at_gateway, at_relay, at_runner] = told(&mut trio);
    assert_eq!(at_gateway, ["opened: Http default GET / -", "ended: Failed(Draining)"]);
    assert!(at_relay.is_empty() && at_runner.is_empty());
    trio.finish();
}

#[test]
fn a_client_that_goes_away_is_an_end_at_each_hop() {
    let mut trio = trio();
    let key = trio.open(open("GET", "/slow", Body::None));
    trio.client(gateway::Event::ClientGone { key });
    let ends = told(&mut trio).map(|told| told.last().cloned().unwrap_or_default());
    assert_eq!(ends, ["ended: ClientGone", "ended: Aborted", "ended: Aborted"]);
    trio.finish();
}

#[test]
fn a_handler_that_fails_is_told_with_its_code_where_that_is_known() {
    let mut trio = trio();
    trio.open(open("POST", "/", whole(b"")));
    let key = handed(&mut trio);
    trio.handler(runner::Event::HandlerFailed { key });
    let ends = told(&mut trio).map(|told| told.last().cloned().unwrap_or_default());
    assert_eq!(ends, ["ended: Failed(RunnerFailed)", "ended: Aborted", "ended: Failed(RunnerFailed)"]);
    trio.finish();
}

#[test]
fn one_that_is_sent_again_is_the_same_at_its_gateway_and_another_behind_it() {
    let mut trio = trio();
    trio.open(open("GET", "/again", Body::None));
    handed(&mut trio);
    trio.cut();
    trio.advance(std::time::Duration::from_secs(2));
    let key = handed(&mut trio);
    trio.handler(runner::Event::ResponseStart { key, head: status(200), body: Body::None });
    let [at_gateway, at_relay, at_runner] = told(&mut trio);
    let opened = "opened: Http default GET /again -";
    let (start, answer) = ("ToClientRequestStart 0", "ToServerResponseStart 0");
    assert_eq!(at_gateway, [opened, start, "sent again", start, answer, "answered: 200", "ended: Done"]);
    assert_eq!(at_relay, [opened, start, "ended: Aborted", opened, start, answer, "answered: 200", "ended: Done"]);
    assert_eq!(at_runner, at_relay);
    trio.finish();
}

#[test]
fn one_that_was_given_up_and_is_answered_elsewhere_is_not_broken_off() {
    let origin = gateway::Origin { config: gateway::Config::default(), id: GATEWAY, seed: 1 };
    let mut gateway = Watched::<Gateway>::made_of(origin, Time::ZERO, None).expect("a gateway's configuration");
    gateway.told();
    let shows = |number| gateway::Event::Directory(seen("key", record(number, abilities(1 << 20), RunnerState::Ready)));
    let mut now = Time::ZERO;
    gateway.handle(shows(1), now).expect("no misuse");
    let key = gateway.open(open("GET", "/", Body::None), now).expect("it is taken in");
    let first = request_id(&gateway, key);
    // Its runner is silent until it is given up.
    while gateway.stats().timeouts.pong == 0 {
        while gateway.poll_action().is_some() {}
        now = gateway.poll_timeout().expect("a deadline");
        gateway.handle(gateway::Event::Tick, now).expect("no misuse");
    }
    while gateway.poll_action().is_some() {}
    gateway.handle(shows(2), now).expect("no misuse");
    while gateway.poll_action().is_some() {}
    let again = request_id(&gateway, key);
    assert_ne!(again, first);
    let frame = to_gateway(message_id(again, 0), response_start(200, None, false));
    gateway.handle(gateway::Event::Received { from: None, frame }, now).expect("no misuse");
    while gateway.poll_action().is_some() {}
    let told = gateway.told();
    assert!(told.contains(&"ToClientRequestAbort 1".to_owned()), "{told:?}");
    assert_eq!(told[told.len() - 2..], ["answered: 200", "ended: Done"]);
    assert_eq!(gateway.wrong(), None);
}
