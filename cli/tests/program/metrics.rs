//! `/metrics` of the admin listener.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use openmetrics_parser::prometheus::parse_prometheus;
use underpass_nats_server::NatsServer;

use crate::client::{answered_in_pool, assert_answered, exchange};
use crate::fleet::start;
use crate::harness::{SOON, Underpass};

/// What the page promises, by part: names and labels.
fn promised(parts: &[&str]) -> Vec<(&'static str, BTreeSet<&'static str>)> {
    let page = include_str!("../../docs/metrics.md");
    let sections = page.split("\n## ").filter(|section| parts.iter().any(|part| section.starts_with(part)));
    let rows = sections.flat_map(|section| section.lines().filter(|line| line.starts_with("| `")));
    let promised: Vec<_> = rows
        .map(|row| {
            let mut cells = row.split('|').map(str::trim).skip(1);
            let name = cells.next().unwrap().trim_matches('`');
            let labels = cells.nth(1).unwrap().split(", ").map(|label| label.trim_matches('`'));
            (name, labels.filter(|label| !label.is_empty()).collect())
        })
        .collect();
    assert!(promised.len() >= parts.len());
    promised
}

/// What is told there now. It is what Prometheus can read.
fn told(admin: &str) -> String {
    let answer = exchange(admin, "GET /metrics", "");
    assert_answered(&answer, "200", "content-type: text/plain; version=0.0.4");
    let (_, text) = answer.split_once("\r\n\r\n").unwrap();
    parse_prometheus(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    text.to_owned()
}

fn assert_kept(promised: &[(&str, BTreeSet<&str>)], text: &str) {
    let read = parse_prometheus(text).unwrap();
    for (name, labels) in promised {
        let family = read.families.get(*name).unwrap_or_else(|| panic!("{name} is not told\n{text}"));
        let told: BTreeSet<&str> = family.get_label_names().iter().map(String::as_str).collect();
        assert_eq!(told, *labels, "{name}");
    }
}

/// The value of one line.
fn value(text: &str, series: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not told\n{text}")).parse().unwrap()
}

/// What stands before the values.
fn all_series(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().0).collect()
}

#[test]
fn up_tells_all_that_is_promised_however_many_actors_and_paths_there_are() {
    let (_underpass, gateway, rest) = Underpass::up(&["--admin", "127.0.0.1:0"]);
    let (_, admin) = rest.split_once(" admin=http://").unwrap();
    let hello = |number: usize| {
        let request = format!("GET /gateway/actor-{number}/hello?secret={number}");
        assert_answered(&exchange(&gateway, &request, ""), "200", "hello");
    };
    hello(0);
    assert_answered(&exchange(&gateway, "POST /echo", "back again"), "200", "back again");
    let of_few = told(admin);
    assert_kept(&promised(&["Process", "Gateway", "Relay", "Runner", "Requests"]), &of_few);

    (1..1_000).for_each(hello);
    let start = Instant::now();
    let of_many = loop {
        let text = told(admin);
        let ended = ["gateway", "relay", "runner"].map(|part| {
            value(&text, &format!("underpass_{part}_request_duration_seconds_count{{kind=\"http\",end=\"done\"}}"))
        });
        if ended == [1_001; 3] || start.elapsed() > SOON {
            assert_eq!(ended, [1_001; 3]);
            break text;
        }
        thread::sleep(Duration::from_millis(10));
    };
    for part in ["gateway", "relay", "runner"] {
        assert_eq!(value(&of_many, &format!("underpass_{part}_requests_in_progress{{kind=\"http\"}}")), 0);
    }
    assert_eq!(value(&of_many, "underpass_gateway_requests_opened_total"), 1_001);
    assert_eq!(value(&of_many, "underpass_gateway_responses_total{kind=\"http\",status=\"2xx\"}"), 1_001);
    let pool = "underpass_directory_runners{namespace=\"default\",pool=\"default\",state=\"ready\"}";
    assert_eq!(value(&of_many, pool), 1);
    assert!(!of_many.contains("actor-") && !of_many.contains("secret"), "{of_many}");
    let more = all_series(&of_many).difference(&all_series(&of_few)).count();
    assert!(more < 10, "{more} more series");
}

#[test]
fn members_of_a_fleet_tell_of_nats() {
    let nats = NatsServer::start();
    let (_gateway, addresses) = start("gateway", &nats.url(), &["--admin", "127.0.0.1:0"]);
    let (_relay, urls) = start("relay", &nats.url(), &["--admin", "127.0.0.1:0"]);
    let mut runner = Underpass::start(&["runner", "--relay", &urls[0], "--admin", "127.0.0.1:0"]);
    let line = runner.ready();
    let [of_gateway, of_relay] = [&addresses[1], &urls[1]].map(|url| url.strip_prefix("http://").unwrap());
    let (_, of_runner) = line.split_once(" admin=http://").unwrap();
    let http = addresses[0].strip_prefix("http://").unwrap();
    assert_answered(&answered_in_pool(http, "default", "GET /hello"), "200", "hello");
    for (admin, part, others) in
        [(of_gateway, "Gateway", ["relay", "runner"]), (of_relay, "Relay", ["gateway", "runner"])]
    {
        let text = told(admin);
        assert_kept(&promised(&[part, "NATS"]), &text);
        for other in others {
            assert!(!text.contains(&format!("\nunderpass_{other}_")), "{text}");
        }
        for connection in ["bus", "store"] {
            assert_eq!(value(&text, &format!("underpass_nats_connected{{connection=\"{connection}\"}}")), 1);
            assert_eq!(value(&text, &format!("underpass_nats_disconnects_total{{connection=\"{connection}\"}}")), 0);
        }
        assert!(value(&text, "underpass_nats_frames_published_total") > 0);
    }
    assert_kept(&promised(&["Runner"]), &told(of_runner));
}
