//! `underpass gateway` and `underpass relay`, on a nats-server.

use underpass_nats_server::NatsServer;

use crate::client::{answered_in_pool, assert_answered, exchange};
use crate::harness::Underpass;

/// Starts one on any port; what it is called is behind the `=` of each word of its line.
pub(crate) fn start(command: &str, bus: &str, arguments: &[&str]) -> (Underpass, Vec<String>) {
    let any_port = [command, "--bus", bus, "--listen", "127.0.0.1:0"];
    let mut underpass = Underpass::start(&[&any_port, arguments].concat());
    let line = underpass.ready();
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("ready"), "{line}");
    let named = |word: &str| word.split_once('=').map(|(_, name)| name.to_owned());
    let names = words.map(|word| named(word).unwrap_or_else(|| panic!("{line:?}"))).collect();
    (underpass, names)
}

#[test]
fn a_gateway_and_a_relay_meet_over_nats_and_drain() {
    let nats = NatsServer::start();
    let (mut gateway, addresses) = start("gateway", &nats.url(), &["--admin", "127.0.0.1:0"]);
    let [http, admin] = &addresses[..] else { panic!("{addresses:?}") };
    let (http, admin) = (http.strip_prefix("http://").unwrap(), admin.strip_prefix("http://").unwrap());
    let (mut relay, urls) = start("relay", &nats.url(), &["--token", "old,new"]);
    let mut runner = Underpass::start(&["runner", "--relay", &urls[0], "--token", "new"]);
    assert!(runner.ready().starts_with("ready runner="));
    assert_answered(&answered_in_pool(http, "default", "GET /hello"), "200", "hello");
    assert_answered(&exchange(admin, "GET /healthz", ""), "200", "{\"alive\":true}");
    assert_answered(&exchange(admin, "GET /readyz", ""), "200", "{\"ready\":true}");
    for (program, machine) in [(&mut gateway, "gateway"), (&mut relay, "relay")] {
        // There is nothing to read again, which is no reason to end.
        program.signal("-HUP");
        for (line, what) in program.counters(2).iter().zip([machine, "bus"]) {
            assert!(line.starts_with(&format!("{{\"{what}\":{{")) && line.ends_with("}}"), "{line}");
        }
    }
    // One that is ready knows of all runners.
    let (later, addresses) = start("gateway", &nats.url(), &[]);
    assert_answered(&exchange(addresses[0].strip_prefix("http://").unwrap(), "GET /hello", ""), "200", "hello");
    for mut program in [later, runner, relay, gateway] {
        program.signal("-TERM");
        assert!(program.ended().success());
    }
}

#[test]
fn fleets_with_other_prefixes_do_not_meet() {
    let nats = NatsServer::start();
    let (_ours, http) = start("gateway", &nats.url(), &[]);
    let (_theirs, urls) = start("relay", &nats.url(), &["--bus-prefix", "theirs"]);
    let mut runner = Underpass::start(&["runner", "--relay", &urls[0]]);
    assert!(runner.ready().starts_with("ready runner="));
    let answer = exchange(http[0].strip_prefix("http://").unwrap(), "GET /hello", "");
    assert_answered(&answer, "503", "no_runner");
}
