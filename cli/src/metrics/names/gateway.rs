//! What a gateway holds and has counted.

use super::Source::{Each, Of};
use super::{Metric, counter, gauge};

pub(super) const METRICS: &[Metric] = &[
    gauge("underpass_gateway_requests_open", "/gateway/open", "Requests and WebSockets that are open."),
    gauge("underpass_gateway_requests_limit", "/limits/gateway/max_requests", "How many may be open at once."),
    gauge("underpass_gateway_requests_waiting", "/gateway/waiting", "Of those open, those that wait for a runner."),
    gauge("underpass_gateway_requests_waiting_limit", "/limits/gateway/max_waiting", "How many may wait at once."),
    gauge(
        "underpass_gateway_requests_ending",
        "/gateway/ending",
        "Requests that have ended, and whose end the bus has not taken yet.",
    ),
    gauge(
        "underpass_gateway_websockets_hibernating",
        "/gateway/hibernating",
        "WebSockets that sleep with their actor.",
    ),
    gauge(
        "underpass_gateway_websockets_registered",
        "/gateway/registered",
        "WebSockets that can hibernate and are in the directory's registry.",
    ),
    gauge(
        "underpass_gateway_websockets_leaving",
        "/gateway/leaving",
        "WebSockets that have ended, and may be in the directory's registry yet.",
    ),
    gauge(
        "underpass_gateway_websockets_untold",
        "/gateway/untold",
        "WebSockets that a relay has told to wake on a connection where they can't be yet.",
    ),
    gauge(
        "underpass_gateway_hibernating_actors",
        "/gateway/hibernating_actors",
        "Actors that have WebSockets which can hibernate.",
    ),
    gauge("underpass_gateway_deadlines", "/gateway/deadlines", "Deadlines armed."),
    gauge(
        "underpass_gateway_buffered_bytes",
        "/gateway/buffered",
        "Bytes held for clients and runners, and of bodies that are kept to be sent again.",
    ),
    gauge(
        "underpass_gateway_buffered_per_request_limit_bytes",
        "/limits/gateway/max_buffered",
        "Bytes that may be held for one request and direction.",
    ),
    gauge("underpass_gateway_kept_bodies_bytes", "/gateway/kept_bodies", "Of these, whole bodies collected or kept."),
    gauge(
        "underpass_gateway_kept_bodies_limit_bytes",
        "/limits/gateway/max_kept_bodies",
        "Bytes that whole bodies may have together.",
    ),
    gauge("underpass_gateway_runners", "/gateway/runners", "Runners known that take requests."),
    gauge("underpass_gateway_actors", "/gateway/actors", "Actors known: those that run, or that requests wait for."),
    gauge("underpass_gateway_actors_limit", "/limits/gateway/max_actors", "Running actors kept in mind at most."),
    gauge("underpass_gateway_actor_changes", "/gateway/asking", "Changes of actors' records under way."),
    counter("underpass_gateway_requests_opened_total", "/gateway/opened", "Requests taken in."),
    counter("underpass_gateway_requests_refused_total", "/gateway/refused", "Requests refused at their opening."),
    Metric::counters(
        "underpass_gateway_requests_ended_total",
        &["end"],
        Of(&[
            ("answered", "/gateway/answered"),
            ("client_gone", "/gateway/client_gone"),
            ("failed", "/gateway/failed"),
        ]),
        "Requests that ended, by how: with the handler's answer or close, by their client, or with a failure.",
    ),
    Metric::counters(
        "underpass_gateway_failures_total",
        &["code"],
        Each("/gateway/failures"),
        "Requests refused and failed, by the code that their client was told.",
    ),
    Metric::counters(
        "underpass_gateway_timeouts_total",
        &["deadline"],
        Each("/gateway/timeouts"),
        "Deadlines that passed, by name.",
    ),
    counter("underpass_gateway_requests_sent_again_total", "/gateway/sent_again", "Requests sent to another runner."),
    counter("underpass_gateway_actors_wanted_total", "/gateway/actors_wanted", "Actors that were set wanted."),
    counter(
        "underpass_gateway_actors_unwanted_total",
        "/gateway/actors_unwanted",
        "Actors of which that was taken back, since their requests had gone.",
    ),
    counter("underpass_gateway_websockets_slept_total", "/gateway/slept", "Times that a WebSocket fell asleep."),
    counter("underpass_gateway_websockets_woken_total", "/gateway/woken", "Times that one woke."),
    counter(
        "underpass_gateway_websockets_left_behind_total",
        "/gateway/left_behind",
        "Times that a relay was told that an actor runs on without a WebSocket that sleeps.",
    ),
    counter("underpass_gateway_messages_resent_total", "/gateway/resent", "Clients' messages that were sent again."),
    counter(
        "underpass_gateway_acks_ignored_total",
        "/gateway/acks_ignored",
        "Acknowledgements of messages that were never sent, or were acknowledged before.",
    ),
    Metric::counters(
        "underpass_gateway_frames_dropped_total",
        &["reason"],
        Of(&[
            ("malformed", "/gateway/malformed"),
            ("foreign", "/gateway/foreign"),
            ("stale", "/gateway/stale"),
            ("out_of_turn", "/gateway/out_of_turn"),
        ]),
        "Frames that were dropped, by why: malformed, another gateway's, of a request that is not open or repeated, or \
         senseless in their request's state.",
    ),
    Metric::counters(
        "underpass_gateway_message_gaps_total",
        &["failed"],
        Of(&[("true", "/gateway/gaps"), ("false", "/gateway/gaps_unjudged")]),
        "Gaps in the numbers of runners' messages, by whether they failed their request.",
    ),
    counter("underpass_gateway_losses_told_total", "/gateway/losses_told", "Times that frames were told to be lost."),
    counter("underpass_gateway_probes_total", "/gateway/probes", "Probes that asked what came of requests."),
    counter(
        "underpass_gateway_requests_found_lost_total",
        "/gateway/found_lost",
        "Requests of which something was found to be lost.",
    ),
    counter("underpass_gateway_publish_failures_total", "/gateway/publish_failed", "Publications the bus gave back."),
    counter(
        "underpass_gateway_aborts_retried_total",
        "/gateway/aborts_tried_again",
        "Ends of requests that were published again after the bus had given them back.",
    ),
    counter(
        "underpass_gateway_aborts_given_up_total",
        "/gateway/aborts_given_up",
        "Ends of requests that the bus never took.",
    ),
];
