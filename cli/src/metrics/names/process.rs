//! What a process is, and what it knows of the fleet.

use super::Source::Told;
use super::{Kind, Metric, gauge};

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: super::super::BUILD_INFO,
        kind: Kind::Gauge,
        labels: &["version"],
        help: "1; the label tells which version runs.",
        source: Told,
    },
    Metric {
        name: super::super::fleet::RUNNERS,
        kind: Kind::Gauge,
        labels: &["namespace", "pool", "state"],
        help: "Runners that the directory tells of, by pool and state: ready, full, draining, moving, away. Pools beyond \
               the first 50 are `other`. Each gateway and each relay tells of all runners.",
        source: Told,
    },
    Metric {
        name: super::super::fleet::ACTORS,
        kind: Kind::Gauge,
        labels: &["state"],
        help: "Actors that the directory tells of, by state: wanted, starting, running, stopping, sleeping. Each gateway \
               and each relay tells of all, of the first million at most.",
        source: Told,
    },
    gauge("underpass_memory_bus_inboxes", "/memory_bus/inboxes", "Addresses held on the bus within a process (`up`)."),
    gauge("underpass_memory_bus_frames", "/memory_bus/messages", "Frames that wait there."),
    gauge("underpass_memory_bus_bytes", "/memory_bus/bytes", "The bytes of those frames."),
];
