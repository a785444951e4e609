//! All metrics: what they are called, what they say, and where that comes from.
//!
//! What is served is made of these tables, and so is the page that operators read.

mod gateway;
mod nats;
mod process;
mod relay;
mod runner;
mod told;

pub(super) use told::{GATEWAY, RELAY, RUNNER, Told};

/// A metric.
#[derive(Debug)]
pub(super) struct Metric {
    /// As Prometheus calls it.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// By what it is told apart; each has few values.
    pub(super) labels: &'static [&'static str],
    /// What it says.
    pub(super) help: &'static str,
    pub(super) source: Source,
}

/// What a metric's numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often there was how much.
    Histogram,
}

/// Where a metric's numbers come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// They are told as things happen.
    Told,
    /// What is counted, or held, there: a JSON pointer.
    At(&'static str),
    /// Each member of what is there, with its name as the label.
    Each(&'static str),
    /// What is at the second of each, with the first as the label.
    Of(&'static [(&'static str, &'static str)]),
}

/// The metrics of each part, which the process has or has not.
pub(super) const ALL: [(&str, &[Metric]); 6] = [
    ("Process", process::METRICS),
    ("Gateway", gateway::METRICS),
    ("Relay", relay::METRICS),
    ("Runner", runner::METRICS),
    ("Requests, as each part of their way sees them", told::METRICS),
    ("NATS", nats::METRICS),
];

#[cfg(test)]
impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Each metric.
pub(super) fn all() -> impl Iterator<Item = &'static Metric> {
    ALL.into_iter().flat_map(|(_, metrics)| metrics)
}

const fn counter(name: &'static str, at: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels: &[], help, source: Source::At(at) }
}

const fn gauge(name: &'static str, at: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels: &[], help, source: Source::At(at) }
}

impl Metric {
    /// A counter by what is there, under these labels.
    const fn counters(
        name: &'static str,
        labels: &'static [&'static str],
        source: Source,
        help: &'static str,
    ) -> Metric {
        Metric { name, kind: Kind::Counter, labels, help, source }
    }

    const fn gauges(name: &'static str, labels: &'static [&'static str], source: Source, help: &'static str) -> Metric {
        Metric { name, kind: Kind::Gauge, labels, help, source }
    }

    const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
        Metric { name, kind: Kind::Histogram, labels, help, source: Source::Told }
    }
}
