//! How it stands with NATS.

use super::Source::Of;
use super::{Metric, counter, gauge};

pub(super) const METRICS: &[Metric] = &[
    Metric::gauges(
        "underpass_nats_connected",
        &["connection"],
        Of(&[("bus", "/nats/bus"), ("store", "/nats/store")]),
        "1 if NATS is there: for the bus, and for what is stored.",
    ),
    Metric::counters(
        "underpass_nats_disconnects_total",
        &["connection"],
        Of(&[("bus", "/bus/away"), ("store", "/nats/store_away")]),
        "Times that NATS was away, and was connected to again if it is there.",
    ),
    counter("underpass_nats_frames_published_total", "/bus/published", "Frames published that were not cut."),
    counter("underpass_nats_frames_rejected_total", "/bus/rejected", "Frames that went back to their publishers."),
    counter("underpass_nats_frames_delivered_total", "/bus/delivered", "Frames that came."),
    counter("underpass_nats_large_frames_total", "/bus/large", "Frames that arrived in pieces."),
    Metric::counters(
        "underpass_nats_frames_dropped_total",
        &["reason"],
        Of(&[("full", "/bus/dropped"), ("late", "/bus/late"), ("malformed", "/bus/malformed")]),
        "Frames that came and were dropped, by why: no room, behind later ones, or not Underpass's.",
    ),
    counter("underpass_nats_gaps_total", "/bus/gaps", "Gaps in the numbers of frames that came."),
    gauge("underpass_nats_inboxes", "/bus/inboxes", "Addresses that are held."),
    gauge("underpass_nats_outgoing_frames", "/bus/outgoing", "Frames that wait to be published."),
    gauge("underpass_nats_outgoing_frames_limit", "/nats/max_outgoing_messages", "How many may wait."),
    gauge("underpass_nats_outgoing_bytes", "/bus/outgoing_bytes", "The bytes of those frames."),
    gauge("underpass_nats_outgoing_limit_bytes", "/nats/max_outgoing_bytes", "How many bytes may wait."),
];
