//! How long requests take, and what goes over them.

use std::collections::HashMap;

use metrics::{Counter, Gauge, Histogram};
use underpass_core::Time;
use underpass_core::failure::RequestName;
use underpass_core::observe::{Direction, End, Frame, Kind, Note, Sink};

use super::Metrics;
use super::names::Told;

/// Makes metrics of what one machine's journal tells. Labels have few values each, whatever clients send.
pub(super) struct Requests {
    metrics: Metrics,
    told: Told,
    /// Those that are open; a journal tells of so many at most.
    open: HashMap<RequestName, (Kind, Time)>,
    http: OfKind,
    websocket: OfKind,
    durations: HashMap<(Kind, End), Histogram>,
    responses: HashMap<(Kind, &'static str), Counter>,
    /// How many of a kind, and their bytes.
    frames: HashMap<(Direction, &'static str), (Counter, Counter)>,
}

struct OfKind {
    in_progress: Gauge,
    response_start: Histogram,
}

impl OfKind {
    fn new(metrics: &Metrics, told: Told, kind: Kind) -> Self {
        let labels = [("kind", name_of_kind(kind))];
        OfKind {
            in_progress: metrics.gauge(told.in_progress, &labels),
            response_start: metrics.histogram(told.response_start, &labels),
        }
    }
}

impl Requests {
    pub(super) fn new(metrics: &Metrics, told: Told) -> Self {
        let mut requests = Requests {
            metrics: metrics.clone(),
            told,
            open: HashMap::new(),
            http: OfKind::new(metrics, told, Kind::Http),
            websocket: OfKind::new(metrics, told, Kind::WebSocket),
            durations: HashMap::new(),
            responses: HashMap::new(),
            frames: HashMap::new(),
        };
        // What comes about in any fleet is there from the beginning, so that its first time shows as a rise.
        for kind in [Kind::Http, Kind::WebSocket] {
            for end in [End::Done, End::ClientGone, End::Aborted] {
                requests.duration(kind, end);
            }
            for class in CLASSES {
                requests.response(kind, class);
            }
        }
        requests.frame(Direction::ToRunner, "ToClientRequestStart");
        requests.frame(Direction::ToGateway, "ToServerResponseStart");
        requests
    }

    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    fn of_kind(&self, kind: Kind) -> &OfKind {
        match kind {
            Kind::Http => &self.http,
            Kind::WebSocket => &self.websocket,
        }
    }

    fn duration(&mut self, kind: Kind, end: End) -> &Histogram {
        let (metrics, told) = (&self.metrics, &self.told);
        self.durations.entry((kind, end)).or_insert_with(|| {
            metrics.histogram(told.duration, &[("kind", name_of_kind(kind)), ("end", name_of_end(end))])
        })
    }

    fn response(&mut self, kind: Kind, class: &'static str) -> &Counter {
        let (metrics, told) = (&self.metrics, &self.told);
        self.responses
            .entry((kind, class))
            .or_insert_with(|| metrics.counter(told.responses, &[("kind", name_of_kind(kind)), ("status", class)]))
    }

    fn frame(&mut self, direction: Direction, kind: &'static str) -> &(Counter, Counter) {
        let (metrics, told) = (&self.metrics, &self.told);
        self.frames.entry((direction, kind)).or_insert_with(|| {
            let labels = [("direction", name_of_direction(direction)), ("frame", kind)];
            (metrics.counter(told.frames, &labels), metrics.counter(told.bytes, &labels))
        })
    }
}

impl Sink for Requests {
    fn note(&mut self, note: &Note<'_>, now: Time) {
        match note {
            Note::Opened(opened) => {
                self.open.insert(opened.request, (opened.kind, now));
                self.of_kind(opened.kind).in_progress.increment(1.0);
            }
            Note::Frame { frame: Frame { direction, kind, bytes, .. }, .. } => {
                let (frames, all_bytes) = self.frame(*direction, kind);
                frames.increment(1);
                all_bytes.increment(*bytes as u64);
            }
            Note::Answered { request, status } => {
                let Some((kind, opened)) = self.open.get(request).copied() else { return };
                self.of_kind(kind).response_start.record(now.since(opened));
                self.response(kind, class(*status)).increment(1);
            }
            // The machines count those.
            Note::SentAgain { .. } | Note::Slept { .. } | Note::Woke { .. } => {}
            Note::Ended { request, end } => {
                let Some((kind, opened)) = self.open.remove(request) else { return };
                self.of_kind(kind).in_progress.decrement(1.0);
                self.duration(kind, *end).record(now.since(opened));
            }
        }
    }
}

const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

fn class(status: u16) -> &'static str {
    let [first @ .., other] = CLASSES;
    usize::from(status / 100).checked_sub(1).and_then(|index| first.get(index)).unwrap_or(&other)
}

fn name_of_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Http => "http",
        Kind::WebSocket => "websocket",
    }
}

fn name_of_end(end: End) -> &'static str {
    match end {
        End::Done => "done",
        End::ClientGone => "client_gone",
        End::Aborted => "aborted",
        End::Failed(code) => code.as_str(),
    }
}

fn name_of_direction(direction: Direction) -> &'static str {
    match direction {
        Direction::ToRunner => "to_runner",
        Direction::ToGateway => "to_gateway",
    }
}
