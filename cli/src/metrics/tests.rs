use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::time::Duration;

use openmetrics_parser::prometheus::parse_prometheus;
use underpass_core::failure::{FailureCode, RequestName};
use underpass_core::observe::{Direction, End, Frame, Kind as RequestKind, Note, Opened, Sink};
use underpass_core::protocol::{GatewayId, RequestId};
use underpass_core::{Time, gateway, relay, runner};

use super::*;

/// All machines, which have counted nothing.
fn idle() -> Vec<Value> {
    vec![json!({
        "gateway": gateway::Stats::default(),
        "relay": relay::Stats::default(),
        "runner": runner::Stats::default(),
        "bus": underpass_transport_nats::Stats::default(),
        "nats": { "bus": true, "store": true, "store_away": 0, "max_outgoing_messages": 1, "max_outgoing_bytes": 1 },
        "memory_bus": { "inboxes": 0, "messages": 0, "bytes": 0 },
    })]
}

/// Where there is a number.
fn leaves(value: &Value, at: &str, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| leaves(member, &format!("{at}/{name}"), all));
        }
        Value::Number(_) | Value::Bool(_) => drop(all.insert(at.to_owned())),
        Value::Null | Value::String(_) | Value::Array(_) => panic!("{at}: {value}"),
    }
}

/// What stands before the value in each line: a name, and labels.
fn series(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().0).collect()
}

#[test]
fn whatever_machines_count_is_told_once() {
    let mut counted = BTreeSet::new();
    idle().iter().for_each(|value| leaves(value, "", &mut counted));
    let mut told = Vec::new();
    for metric in names::all() {
        match metric.source {
            Source::Told => {}
            Source::At(at) => told.push(at.to_owned()),
            Source::Of(places) => told.extend(places.iter().map(|(_, at)| (*at).to_owned())),
            Source::Each(at) => {
                told.extend(counted.iter().filter(|leaf| leaf.starts_with(&format!("{at}/"))).cloned());
            }
        }
    }
    told.retain(|at| !at.starts_with("/limits/"));
    let once: BTreeSet<String> = told.iter().cloned().collect();
    assert_eq!(once, counted);
    assert_eq!(told.len(), once.len(), "one is told twice");
}

#[test]
fn names_follow_the_conventions() {
    let mut names = BTreeSet::new();
    for Metric { name, kind, labels, help, source } in names::all() {
        assert!(names.insert(name), "{name} is there twice");
        assert!(name.starts_with("underpass_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert_eq!(name.ends_with("_seconds"), *kind == Kind::Histogram, "{name}");
        assert!(help.ends_with('.') && !help.contains(['\n', '|']), "{name}: {help}");
        match source {
            Source::Told => {}
            Source::At(_) => assert!(labels.is_empty(), "{name}"),
            Source::Each(_) | Source::Of(_) => assert_eq!(labels.len(), 1, "{name}"),
        }
    }
}

#[test]
fn what_is_told_can_be_read() {
    let metrics = Metrics::new();
    metrics.count(idle);
    let _requests = Requests::new(&metrics, names::GATEWAY);
    let text = metrics.told();
    let read = parse_prometheus(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let typed = |name: &str| format!("{:?}", read.families[name].family_type);
    assert_eq!(typed("underpass_gateway_requests_open"), "Gauge");
    assert_eq!(typed("underpass_gateway_timeouts_total"), "Counter");
    assert_eq!(typed("underpass_gateway_request_duration_seconds"), "Histogram");
    for line in [
        "underpass_gateway_timeouts_total{deadline=\"response_start\"} 0",
        "underpass_gateway_failures_total{code=\"no_runner\"} 0",
        "underpass_nats_connected{connection=\"bus\"} 1",
        "# HELP underpass_gateway_requests_open Requests and WebSockets that are open.",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}\n{text}");
    }
}

#[test]
fn of_machines_that_are_not_here_nothing_is_told() {
    let text = Metrics::new().told();
    for part in ["gateway", "relay", "runner", "nats", "supervisor", "directory"] {
        assert!(!text.contains(&format!("underpass_{part}_")), "{text}");
    }
}

fn name(number: u32) -> RequestName {
    RequestName { gateway_id: GatewayId([1; 4]), request_id: RequestId(number.to_le_bytes()) }
}

/// A request from its opening to its end, 20 ms later.
fn passes(requests: &mut Requests, number: u32, kind: RequestKind, end: End) {
    let (actor_id, path) = (format!("actor-{number}"), format!("/path/{number}?secret={number}"));
    let request = name(number);
    let opened =
        Opened { request, kind, actor_id: &actor_id, method: "GET", path: &path, traceparent: Some(&actor_id) };
    let frame = Frame { direction: Direction::ToGateway, kind: "ToServerResponseStart", message_index: 0, bytes: 100 };
    requests.note(&Note::Opened(opened), Time::from_millis(10));
    requests.note(&Note::Frame { request, frame }, Time::from_millis(15));
    requests.note(&Note::Answered { request, status: 204 }, Time::from_millis(15));
    requests.note(&Note::Ended { request, end }, Time::from_millis(30));
}

#[test]
fn a_thousand_requests_have_the_labels_of_one() {
    let metrics = Metrics::new();
    let mut requests = Requests::new(&metrics, names::GATEWAY);
    passes(&mut requests, 0, RequestKind::Http, End::Done);
    let of_one = metrics.told();
    for number in 1..1_000 {
        passes(&mut requests, number, RequestKind::Http, End::Done);
    }
    let of_a_thousand = metrics.told();
    assert_eq!(series(&of_one), series(&of_a_thousand));
    assert!(!of_a_thousand.contains("actor-") && !of_a_thousand.contains("secret"));
    for line in [
        "underpass_gateway_requests_in_progress{kind=\"http\"} 0",
        "underpass_gateway_responses_total{kind=\"http\",status=\"2xx\"} 1000",
        "underpass_gateway_request_duration_seconds_count{kind=\"http\",end=\"done\"} 1000",
        "underpass_gateway_request_duration_seconds_bucket{kind=\"http\",end=\"done\",le=\"0.01\"} 0",
        "underpass_gateway_request_duration_seconds_bucket{kind=\"http\",end=\"done\",le=\"0.025\"} 1000",
        "underpass_gateway_response_start_seconds_bucket{kind=\"http\",le=\"0.005\"} 1000",
        "underpass_gateway_request_frame_bytes_total{direction=\"to_gateway\",frame=\"ToServerResponseStart\"} 100000",
    ] {
        assert!(of_a_thousand.lines().any(|told| told == line), "{line}\n{of_a_thousand}");
    }
    assert_eq!(requests.open(), 0);
}

#[test]
fn all_ends_of_all_kinds_are_not_many_series() {
    let metrics = Metrics::new();
    let mut requests = Requests::new(&metrics, names::GATEWAY);
    let failures = FailureCode::ALL.into_iter().map(End::Failed);
    let ends = [End::Done, End::ClientGone, End::Aborted].into_iter().chain(failures);
    for (number, end) in (0..).zip(ends) {
        passes(&mut requests, 2 * number, RequestKind::Http, end);
        passes(&mut requests, 2 * number + 1, RequestKind::WebSocket, end);
    }
    let text = metrics.told();
    parse_prometheus(&text).unwrap_or_else(|error| panic!("{error}"));
    assert!(series(&text).len() < 1_100, "{}", series(&text).len());
}

#[test]
fn a_pong_tells_how_long_its_ping_took() {
    let metrics = Metrics::new();
    let mut pings = Pings::new(&metrics, names::RELAY);
    pings.pinged(1, 1_000, Time::from_millis(0));
    pings.pinged(1, 1_000, Time::from_millis(3_000));
    pings.ponged(&2, 1_000, Time::from_millis(3_001));
    pings.ponged(&1, 999, Time::from_millis(3_001));
    pings.ponged(&1, 1_000, Time::from_millis(3_001));
    pings.ponged(&1, 1_000, Time::from_millis(3_002));
    let text = metrics.told();
    for line in ["underpass_relay_ping_round_trip_seconds_count 1", "underpass_relay_ping_round_trip_seconds_sum 3.001"]
    {
        assert!(text.lines().any(|told| told == line), "{line}\n{text}");
    }
}

#[test]
fn pings_that_nobody_answers_are_given_up() {
    let mut pings = Pings::new(&Metrics::new(), names::RELAY);
    let sent = Time::from_millis(1);
    for number in 0..100_000 {
        pings.pinged(number, 0, sent);
    }
    let at_first = pings.waited_for();
    pings.pinged(100_000, 0, sent + Duration::from_secs(30));
    assert_eq!((at_first, pings.waited_for()), (65_536, 1));
}

/// What operators read of each metric.
fn page() -> String {
    let mut page = String::new();
    for (part, metrics) in names::ALL {
        write!(page, "\n## {part}\n\n| metric | type | labels | what it says |\n| --- | --- | --- | --- |\n").unwrap();
        for Metric { name, kind, labels, help, .. } in metrics {
            let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            writeln!(page, "| `{name}` | {} | {labels} | {help} |", kind.as_str()).unwrap();
        }
    }
    page
}

fn file(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_page_says_what_there_is() {
    const TABLES: &str = "<!-- Made of the program's tables: UPDATE_SNAPSHOTS=1 writes it anew. -->\n";
    let path = file("docs/metrics.md");
    let text = fs::read_to_string(&path).unwrap();
    let (front, tables) = text.split_once(TABLES).unwrap();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        fs::write(&path, format!("{front}{TABLES}{}", page())).unwrap();
    } else {
        assert_eq!(tables, page(), "UPDATE_SNAPSHOTS=1 writes it anew");
    }
}

#[test]
fn dashboard_and_alerts_ask_for_what_there_is() {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    for name in ["observability/dashboard.json", "observability/alerts.yaml"] {
        let text = fs::read_to_string(file(name)).unwrap();
        let asked: BTreeSet<&str> =
            text.split(|letter| !is_of_name(letter)).filter(|word| word.starts_with("underpass_")).collect();
        assert!(asked.len() > 5, "{name}");
        for word in asked {
            let is_there = names::all().any(|Metric { name, kind, .. }| match kind {
                Kind::Counter | Kind::Gauge => *name == word,
                Kind::Histogram => ["_bucket", "_sum", "_count"].map(|of| format!("{name}{of}")).contains(&word.into()),
            });
            assert!(is_there, "{name} asks for {word}");
        }
    }
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(file("observability/dashboard.json")).unwrap()).unwrap();
    assert!(!dashboard["panels"].as_array().unwrap().is_empty());
}
