//! What the inspector says as JSON, and what it can have done.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::client::{assert_answered, connect, exchange};
use crate::harness::{SOON, Underpass};

/// `underpass up` with an admin listener there; its gateway's address, and the listener's.
fn up(arguments: &[&str]) -> (Underpass, String, String) {
    let (underpass, gateway, rest) = Underpass::up(arguments);
    let admin = rest.split_once(" admin=http://").unwrap_or_else(|| panic!("{rest:?}")).1.to_owned();
    (underpass, gateway, admin)
}

/// Asks until the answer has this part.
fn until(admin: &str, path: &str, part: &str) -> String {
    let start = Instant::now();
    loop {
        let answer = exchange(admin, &format!("GET {path}"), "");
        if answer.contains(part) {
            return answer;
        }
        assert!(start.elapsed() < SOON, "{answer}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// What the field of a JSON answer says first.
fn field<'a>(answer: &'a str, name: &str) -> &'a str {
    let (_, rest) = answer.split_once(&format!("\"{name}\":\"")).unwrap_or_else(|| panic!("{answer}"));
    rest.split('"').next().unwrap()
}

#[test]
fn what_is_open_is_told_of_and_can_be_ended() {
    let (_underpass, gateway, admin) = up(&["--admin", "0"]);
    assert_answered(&exchange(&gateway, "POST /echo?token=secret", "secret"), "200", "secret");
    let finished = until(&admin, "/api/finished", "\"end\":\"done\"");
    assert!(finished.contains("\"path\":\"/echo\"") && !finished.contains("secret"), "{finished}");

    let mut clock = connect(&gateway);
    write!(clock, "GET /clock HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let open = until(&admin, "/api/requests", "\"state\":\"answered\"");
    let name = field(&open, "name");
    let whole = exchange(&admin, &format!("GET /api/requests/{name}"), "");
    for part in ["\"timeline\":[", "ToClientRequestStart", "ToServerResponseStart", "\"hop\":\"runner\""] {
        assert_answered(&whole, "200", part);
    }
    assert_answered(&exchange(&admin, &format!("POST /api/requests/{name}/end"), ""), "200", name);
    // The answer breaks off: its last chunk does not come.
    let mut rest = Vec::new();
    clock.read_to_end(&mut rest).unwrap();
    assert!(!rest.ends_with(b"\r\n0\r\n\r\n"));
    assert!(until(&admin, "/api/finished", "ended_by_operator").contains(name));
    assert_answered(&exchange(&admin, &format!("POST /api/requests/{name}/end"), ""), "404", "no request");
}

#[test]
fn a_runner_that_is_drained_comes_again_by_another_connection() {
    let (_underpass, gateway, admin) = up(&["--admin", "0"]);
    let runners = until(&admin, "/api/runners", "\"state\":\"ready\"");
    assert!(runners.contains("\"connection\":{\"number\":1,"), "{runners}");
    let drain = format!("POST /api/runners/{}/drain", field(&runners, "id"));
    assert_answered(&exchange(&admin, &drain, ""), "202", "draining");
    until(&admin, "/api/runners", "\"connection\":{\"number\":2,");
    until(&admin, "/api/runners", "\"state\":\"ready\"");
    assert_answered(&exchange(&gateway, "GET /hello", ""), "200", "hello");
    assert_answered(&exchange(&admin, "POST /api/runners/nobody/drain", ""), "404", "no runner");
}

#[test]
fn bodies_are_shown_if_that_was_asked_for() {
    let (_underpass, gateway, admin) = up(&["--admin", "0", "--inspect-bodies"]);
    assert_answered(&exchange(&gateway, "POST /echo", "there and back"), "200", "there and back");
    let finished = until(&admin, "/api/finished", "\"end\":\"done\"");
    let whole = exchange(&admin, &format!("GET /api/requests/{}", field(&finished, "name")), "");
    assert_eq!(whole.matches("\"text\":\"there and back\"").count(), 2, "{whole}");
}

/// Follows the events of the admin listener, and what that is answered first.
fn follow(admin: &str) -> (TcpStream, String) {
    let mut stream = connect(admin);
    write!(stream, "GET /api/events HTTP/1.1\r\nhost: {admin}\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    (stream, String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn probes_are_answered_however_many_follow_the_events() {
    let (_underpass, _, admin) = up(&["--admin", "0"]);
    let followers: Vec<_> = (0..16).map(|_| follow(&admin)).collect();
    assert!(followers.iter().all(|(_, answer)| answer == "HTTP/1.1 200"), "{followers:?}");
    for _ in 0..100 {
        assert_answered(&exchange(&admin, "GET /api/events", ""), "503", "as many follow already");
    }
    assert_answered(&exchange(&admin, "GET /readyz", ""), "200", "ready");
    drop(followers);
    let start = Instant::now();
    while follow(&admin).1 != "HTTP/1.1 200" {
        assert!(start.elapsed() < SOON);
    }
}

#[test]
fn a_list_has_as_many_rows_as_are_wanted() {
    let (_underpass, gateway, admin) = up(&["--admin", "0"]);
    for _ in 0..3 {
        assert_answered(&exchange(&gateway, "GET /hello", ""), "200", "hello");
    }
    until(&admin, "/api/finished?limit=2", "\"left_out\":1");
    assert_answered(&exchange(&admin, "GET /api/finished?limit=1000000", ""), "200", "\"left_out\":0");
    assert_answered(&exchange(&admin, "GET /api/runners", ""), "200", "\"has_more\":false");
}

#[test]
fn others_than_this_host_do_not_see_the_inspector() {
    let (_underpass, _, admin) = up(&["--admin", "0.0.0.0:0"]);
    assert_answered(&exchange(&admin, "GET /healthz", ""), "200", "alive");
    assert_answered(&exchange(&admin, "GET /metrics", ""), "200", "underpass_build_info");
    assert_answered(&exchange(&admin, "GET /api/requests", ""), "404", "error");
    let (_underpass, _, admin) = up(&["--admin", "0.0.0.0:0", "--admin-open"]);
    assert_answered(&exchange(&admin, "GET /api/requests", ""), "200", "requests");
}
