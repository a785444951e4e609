//! What is told of requests, and of pings, as it happens.

use super::{Kind, Metric, Source};

/// What the metrics of one part are called.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Told {
    pub(in super::super) in_progress: &'static str,
    pub(in super::super) duration: &'static str,
    pub(in super::super) response_start: &'static str,
    pub(in super::super) responses: &'static str,
    pub(in super::super) frames: &'static str,
    pub(in super::super) bytes: &'static str,
    pub(in super::super) round_trip: &'static str,
}

macro_rules! told {
    ($part:literal) => {
        Told {
            in_progress: concat!("underpass_", $part, "_requests_in_progress"),
            duration: concat!("underpass_", $part, "_request_duration_seconds"),
            response_start: concat!("underpass_", $part, "_response_start_seconds"),
            responses: concat!("underpass_", $part, "_responses_total"),
            frames: concat!("underpass_", $part, "_request_frames_total"),
            bytes: concat!("underpass_", $part, "_request_frame_bytes_total"),
            round_trip: concat!("underpass_", $part, "_ping_round_trip_seconds"),
        }
    };
}

pub(in super::super) const GATEWAY: Told = told!("gateway");
pub(in super::super) const RELAY: Told = told!("relay");
pub(in super::super) const RUNNER: Told = told!("runner");

const fn in_progress(told: &Told) -> Metric {
    let help = "Requests that are open, by kind: http, websocket.";
    Metric::gauges(told.in_progress, &["kind"], Source::Told, help)
}

const fn duration(told: &Told) -> Metric {
    let help = "From a request's opening to its end, by kind and end: done, client_gone, aborted, or the failure's code. \
                Its count is that of the requests that ended so.";
    Metric::histogram(told.duration, &["kind", "end"], help)
}

const fn response_start(told: &Told) -> Metric {
    let help = "From a request's opening to the beginning of its answer, by kind.";
    Metric::histogram(told.response_start, &["kind"], help)
}

const fn responses(told: &Told) -> Metric {
    let help = "Answers of handlers that began, by kind and class of status: 1xx to 5xx, or other.";
    Metric::counters(told.responses, &["kind", "status"], Source::Told, help)
}

const fn frames(told: &Told) -> Metric {
    let help = "Frames of requests, by direction and what the protocol calls them. Messages of WebSockets are those of \
                the kinds ToClientWebSocketMessage and ToServerWebSocketMessage.";
    Metric::counters(told.frames, &["direction", "frame"], Source::Told, help)
}

const fn bytes(told: &Told) -> Metric {
    Metric::counters(told.bytes, &["direction", "frame"], Source::Told, "The bytes of those frames.")
}

const fn round_trip(told: &Told, help: &'static str) -> Metric {
    Metric { name: told.round_trip, kind: Kind::Histogram, labels: &[], help, source: Source::Told }
}

pub(super) const METRICS: &[Metric] = &[
    in_progress(&GATEWAY),
    duration(&GATEWAY),
    response_start(&GATEWAY),
    responses(&GATEWAY),
    frames(&GATEWAY),
    bytes(&GATEWAY),
    round_trip(&GATEWAY, "From a gateway's ping to the pong of the relay of a runner that has requests."),
    in_progress(&RELAY),
    duration(&RELAY),
    response_start(&RELAY),
    responses(&RELAY),
    frames(&RELAY),
    bytes(&RELAY),
    round_trip(&RELAY, "From a relay's ping to its runner's pong."),
    in_progress(&RUNNER),
    duration(&RUNNER),
    response_start(&RUNNER),
    responses(&RUNNER),
    frames(&RUNNER),
    bytes(&RUNNER),
];
