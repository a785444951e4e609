//! A whole HTTP exchange, through gateway, relay and runner.

use bytes::Bytes;
use underpass_core::gateway::{self, Open};
use underpass_core::http::{Body, Headers, RequestHead, ResponseHead};
use underpass_core::{relay, runner};
use underpass_tests::trio::Trio;
use underpass_tests::wire::{headers, open, status};

use crate::measure::{self, Cost};
use crate::{beside_goal, head, row};

const GOAL: f64 = 3_000.0;
/// Tombstones at the relay, which in steady state has as many as it may.
const BEFORE: usize = 100_000;

/// A small one with and without header fields, and a larger one.
pub(crate) fn table() {
    let columns = ["an exchange in memory", "time", "allocations", "goal"];
    head("An HTTP exchange through gateway, relay and runner, without sockets", &columns);
    let asked = || {
        headers(&[
            ("accept", "*/*"),
            ("accept-encoding", "gzip, deflate, br"),
            ("host", "underpass.example"),
            ("user-agent", "bench/1.0"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "http"),
        ])
    };
    let answered = || headers(&[("content-type", "text/plain"), ("date", "Sun, 22 Nov 2026 17:00:00 GMT")]);
    let body = Bytes::from_static(&[7; 64]);
    let get = open("GET", "/", Body::None);
    let with_headers = Open { head: RequestHead { headers: asked(), ..get.head.clone() }, ..get.clone() };
    let post = Open { kind: gateway::OpenKind::Http(Body::Whole(Bytes::from(vec![7; 64 << 10]))), ..get.clone() };
    for (what, open, fields) in [
        ("GET, answered with 64 bytes", get, Headers::default()),
        ("GET, six header fields and two", with_headers, answered()),
        ("POST of 64 KiB", post, Headers::default()),
    ] {
        let head = ResponseHead { headers: fields, ..status(200) };
        let [cost, allocations, goal] = beside_goal(exchange(&open, &head, &body), GOAL);
        row(&[what.into(), cost, allocations, goal]);
    }
    println!();
}

fn exchange(open: &Open, head: &ResponseHead, body: &Bytes) -> Cost {
    let mut trio = Trio::alone(gateway::Config::default(), relay::Config::default(), runner::Config::default());
    trio.handler_saw();
    let mut once = || {
        let key = trio.open(open.clone());
        let asked = match &trio.handler_saw()[..] {
            [runner::Action::Request { key, .. }] => *key,
            other => panic!("{other:?}"),
        };
        let answer = runner::Event::ResponseStart { key: asked, head: head.clone(), body: Body::Whole(body.clone()) };
        trio.handler(answer);
        match &trio.client_saw()[..] {
            [gateway::Action::ResponseStart { key: answered, .. }] => assert_eq!(*answered, key),
            other => panic!("{other:?}"),
        }
    };
    for _ in 0..BEFORE {
        once();
    }
    measure::one(once)
}
