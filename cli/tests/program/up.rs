//! `underpass up` and `underpass runner`, over real sockets.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use crate::client::{answered_in_pool, assert_answered, connect, exchange, exchange_in_pool};
use crate::harness::Underpass;

#[test]
fn the_demo_answers_when_it_says_that_it_is_ready() {
    let (_underpass, gateway, _) = Underpass::up(&[]);
    assert_answered(&exchange(&gateway, "GET /hello", ""), "200", "hello");
    assert_answered(&exchange(&gateway, "GET /gateway/actor/hello", ""), "200", "hello");
    assert_answered(&exchange(&gateway, "POST /echo", "back again"), "200", "back again");
    assert_answered(&exchange(&gateway, "GET /gateway/actor", ""), "200", "<title>Underpass</title>");
    assert_answered(&exchange(&gateway, "GET /none", ""), "404", "The demo serves");
}

#[test]
fn a_target_is_reached_through_the_tunnel_and_missed_when_it_is_gone() {
    let (demo, target, _) = Underpass::up(&[]);
    let (_underpass, gateway, _) = Underpass::up(&["--to", &format!("http://{target}/gateway/a")]);
    assert_answered(&exchange(&gateway, "GET /hello", ""), "200", "hello");
    assert_answered(&exchange(&gateway, "PUT /echo", "back again"), "200", "back again");
    drop(demo);
    assert_answered(&exchange(&gateway, "GET /hello", ""), "502", "runner_failed");
}

#[test]
fn another_process_joins_with_a_pool_of_its_own() {
    let (_underpass, gateway, relay) = Underpass::up(&["--token", "abc"]);
    let mut runner =
        Underpass::start(&["runner", "--relay", &relay, "--token", "abc", "--name", "other", "--key", "k"]);
    assert_eq!(runner.ready(), format!("ready runner=k relay={relay}"));
    assert_answered(&answered_in_pool(&gateway, "other", "GET /hello"), "200", "hello");
    runner.signal("-INT");
    assert!(runner.ended().success());
    assert_answered(&exchange_in_pool(&gateway, "other", "GET /hello", ""), "503", "no_runner");
}

#[test]
fn a_token_on_one_side_only_is_refused() {
    let (_with, _, wants) = Underpass::up(&["--token", "abc"]);
    let (_without, _, wants_none) = Underpass::up(&[]);
    for arguments in [
        &["runner", "--relay", &wants][..],
        &["runner", "--relay", &wants, "--token", "abd"],
        &["runner", "--relay", &wants_none, "--token", "abc"],
    ] {
        let mut runner = Underpass::start(arguments);
        assert!(!runner.ended().success());
        let complaint = runner.complaint();
        let line = complaint.lines().last().unwrap();
        assert!(line.starts_with("underpass: the relay at ws://") && line.contains("--token"), "{complaint}");
    }
}

#[test]
fn a_runner_that_another_replaces_says_so_and_fails() {
    let (_underpass, gateway, relay) = Underpass::up(&[]);
    let replaced = ["runner", "--relay", &relay, "--name", "other", "--key", "k"];
    let mut first = Underpass::start(&replaced);
    first.ready();
    let mut second = Underpass::start(&replaced);
    second.ready();
    assert!(!first.ended().success());
    let complaint = first.complaint();
    assert!(complaint.contains("another runner with the key k took this one's place"), "{complaint}");
    assert_answered(&answered_in_pool(&gateway, "other", "GET /hello"), "200", "hello");
}

#[test]
fn a_runner_that_was_killed_serves_again_when_it_is_back() {
    let (_underpass, gateway, relay) = Underpass::up(&[]);
    let other = ["runner", "--relay", &relay, "--name", "other", "--key", "k"];
    for _ in 0..3 {
        let mut runner = Underpass::start(&other);
        runner.ready();
        assert_answered(&answered_in_pool(&gateway, "other", "GET /hello"), "200", "hello");
        // Dropping it kills it.
    }
}

#[test]
fn a_runner_waits_for_its_relay() {
    let (underpass, _, relay) = Underpass::up(&[]);
    let listen = relay.strip_prefix("ws://").unwrap().to_owned();
    drop(underpass);
    let mut runner = Underpass::start(&["runner", "--relay", &relay]);
    thread::sleep(Duration::from_millis(500));
    let _underpass = Underpass::start(&["up", "--listen", "127.0.0.1:0", "--runners", &listen]);
    assert!(runner.ready().starts_with("ready runner="));
}

#[test]
fn an_interrupt_lets_open_requests_finish() {
    let (mut underpass, gateway, _) = Underpass::up(&[]);
    let mut stream = connect(&gateway);
    write!(stream, "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 10\r\n\r\nfirst").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"first") && !answer.ends_with(b"first\r\n") {
        let mut some = [0; 1024];
        let length = stream.read(&mut some).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend(&some[..length]);
    }
    underpass.signal("-INT");
    thread::sleep(Duration::from_millis(300));
    assert!(underpass.is_running());
    stream.write_all(b" last").unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains(" last"), "{rest}");
    assert!(underpass.ended().success());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (mut underpass, gateway, _) = Underpass::up(&[]);
    let mut stream = connect(&gateway);
    write!(stream, "GET /clock HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 64]).unwrap();
    underpass.signal("-TERM");
    thread::sleep(Duration::from_millis(300));
    assert!(underpass.is_running());
    underpass.signal("-INT");
    assert_eq!(underpass.ended().code(), Some(130));
}

#[test]
fn whoever_asks_is_told_the_counters() {
    let (mut underpass, gateway, relay) = Underpass::up(&[]);
    assert_answered(&exchange(&gateway, "GET /hello", ""), "200", "hello");
    let mut runner = Underpass::start(&["runner", "--relay", &relay, "--name", "other"]);
    runner.ready();
    for (program, machines) in [(&mut underpass, &["gateway", "relay", "runner"][..]), (&mut runner, &["runner"])] {
        let counters = program.counters(machines.len());
        for (line, machine) in counters.iter().zip(machines) {
            assert!(line.starts_with(&format!("{{\"{machine}\":{{")) && line.ends_with("}}"), "{line}");
            assert!(line.contains("\"opened\":1") || machines.len() == 1, "{line}");
        }
    }
}
