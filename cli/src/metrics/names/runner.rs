//! What a runner holds and has counted.

use super::Source::{Each, Of};
use super::{Metric, counter, gauge};

pub(super) const METRICS: &[Metric] = &[
    gauge("underpass_runner_ready", "/runner/ready", "1 if a relay has taken it in."),
    gauge("underpass_runner_dials_again", "/runner/dials_again", "1 if it waits to dial again."),
    gauge("underpass_runner_connections", "/runner/connections", "Connections dialled, open or closing; at most 2."),
    gauge("underpass_runner_requests_open", "/runner/open", "Requests and WebSockets that are open."),
    gauge("underpass_runner_requests_limit", "/limits/runner/max_requests", "How many may be open at once."),
    gauge("underpass_runner_deadlines", "/runner/deadlines", "Deadlines armed."),
    gauge("underpass_runner_buffered_bytes", "/runner/buffered", "Bytes held for handlers and for the relay."),
    gauge(
        "underpass_runner_buffered_per_request_limit_bytes",
        "/limits/runner/max_buffered",
        "Bytes that may be held for one request and direction.",
    ),
    gauge("underpass_runner_actors", "/runner/actors", "Actors that go on."),
    gauge("underpass_runner_slots", "/limits/runner/total_slots", "How many actors it has room for."),
    gauge("underpass_runner_ended_actors", "/runner/ended_actors", "Actors whose end is kept in mind."),
    gauge(
        "underpass_runner_websockets_detached",
        "/runner/detached_sockets",
        "WebSockets that are attached to no connection.",
    ),
    gauge("underpass_runner_kv_open", "/runner/kv_open", "Calls on stores that are not answered."),
    counter("underpass_runner_requests_opened_total", "/runner/opened", "Requests that came, and sockets that woke."),
    Metric::counters(
        "underpass_runner_requests_ended_total",
        &["end"],
        Of(&[
            ("answered", "/runner/answered"),
            ("aborted", "/runner/aborted"),
            ("lost", "/runner/lost"),
            ("failed", "/runner/failed"),
            ("asleep", "/runner/asleep"),
        ]),
        "Requests that ended, by how: by the handler, by their client, with their connection or gateway, with a \
         failure, or asleep with their actor.",
    ),
    counter("underpass_runner_requests_refused_total", "/runner/refused", "Requests that no handler heard of."),
    Metric::counters(
        "underpass_runner_failures_total",
        &["code"],
        Each("/runner/failures"),
        "Requests that failed or were refused, by code.",
    ),
    Metric::counters(
        "underpass_runner_timeouts_total",
        &["deadline"],
        Each("/runner/timeouts"),
        "Deadlines that passed, by name.",
    ),
    Metric::counters(
        "underpass_runner_frames_dropped_total",
        &["reason"],
        Of(&[("malformed", "/runner/malformed"), ("late", "/runner/late")]),
        "Frames that were dropped, by why: malformed, or of a request that is not open.",
    ),
    counter("underpass_runner_message_gaps_total", "/runner/gaps", "Gaps in the numbers of messages."),
    counter("underpass_runner_actors_started_total", "/runner/actors_started", "Lives of actors that began."),
    counter("underpass_runner_actors_stopped_total", "/runner/actors_stopped", "Lives of actors that ended."),
    counter("underpass_runner_actors_refused_total", "/runner/refused_actors", "Lives for which there was no room."),
    Metric::counters(
        "underpass_runner_commands_ignored_total",
        &["reason"],
        Of(&[("repeated", "/runner/repeated_commands"), ("stale", "/runner/stale_commands")]),
        "Commands that came again, or for lives that are over.",
    ),
    counter("underpass_runner_renamed_total", "/runner/renamed", "Times that a relay gave it another id."),
    Metric::counters(
        "underpass_runner_websockets_restored_total",
        &["taken"],
        Of(&[("true", "/runner/restored"), ("false", "/runner/not_restored")]),
        "WebSockets that slept and were handed to handlers, by whether these went on with them.",
    ),
    counter(
        "underpass_runner_websockets_detached_total",
        "/runner/detached",
        "Times one was left without a connection.",
    ),
    counter("underpass_runner_websockets_attached_total", "/runner/attached", "Times one was woken over a connection."),
    counter("underpass_runner_messages_repeated_total", "/runner/repeats", "Messages that came again."),
    counter("underpass_runner_acks_total", "/runner/acks", "Acknowledgements of messages."),
    counter("underpass_runner_kv_calls_total", "/runner/kv_calls", "Calls on stores."),
    counter("underpass_runner_kv_refused_total", "/runner/kv_refused", "Those that were refused here."),
    counter("underpass_runner_kv_late_total", "/runner/kv_late", "Answers of stores for which nobody waited."),
    counter("underpass_runner_dials_total", "/runner/dials", "Times that it dialled."),
    counter("underpass_runner_moves_total", "/runner/moves", "Times it went from a relay that drains to another."),
];
