//! Metrics, as Prometheus asks for them.
//!
//! What the machines count is asked of them when somebody asks here; what they do not count is told by whoever looks on
//! at their doors. Nothing of it is there unless an admin listener is.

mod fleet;
mod limits;
mod names;
mod pings;
mod requests;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use serde_json::{Map, Value, json};
use underpass_core::observe::Sink;
use underpass_core::{Gateway, Relay, Runner};
use underpass_transport_mem::MemBus;
use underpass_transport_nats::{BusConfig, Nats};
use underpass_transport_ws::Observers;

use fleet::Fleet;
use limits::Limits;
use names::{Kind, Metric, Source};
use pings::Pings;
use requests::Requests;

use crate::seeing::Hop;

const BUILD_INFO: &str = "underpass_build_info";

/// The bounds of what is counted of times, in seconds: 0.1 ms to 5 min.
const BUCKETS: [f64; 20] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    120.0, 300.0,
];

/// How often times are put into buckets; until then each is kept.
const UPKEEP: Duration = Duration::from_secs(1);

const METADATA: Metadata<'static> = Metadata::new("underpass", Level::INFO, None);

/// All metrics of this process. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    /// What the machines count, each under its name.
    counted: Mutex<Counted>,
    /// How much they may hold, each under its name.
    limits: Mutex<Map<String, Value>>,
    fleet: Mutex<Fleet>,
}

/// Who says what is counted.
struct Counted(Box<dyn Fn() -> Vec<Value> + Send>);

impl Default for Counted {
    fn default() -> Self {
        Counted(Box::new(Vec::new))
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").finish_non_exhaustive()
    }
}

impl Metrics {
    /// None yet.
    pub(crate) fn new() -> Self {
        let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS).expect("there are some").build_recorder();
        for Metric { name, kind, help, .. } in names::all() {
            let (name, help) = ((*name).into(), (*help).into());
            match kind {
                Kind::Counter => recorder.describe_counter(name, None, help),
                Kind::Gauge => recorder.describe_gauge(name, None, help),
                Kind::Histogram => recorder.describe_histogram(name, None, help),
            }
        }
        let metrics = Metrics(Arc::new(Shared {
            handle: recorder.handle(),
            recorder,
            counted: Mutex::default(),
            limits: Mutex::default(),
            fleet: Mutex::default(),
        }));
        metrics.gauge(BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))]).set(1.0);
        metrics
    }

    /// What is asked whenever somebody asks here: what each machine counts, under its name.
    pub(crate) fn count(&self, counted: impl Fn() -> Vec<Value> + Send + 'static) {
        *lock(&self.0.counted) = Counted(Box::new(counted));
    }

    /// Has what is told of requests become metrics.
    pub(crate) fn requests(&self, hop: Hop) -> impl Sink + use<> {
        let names = match hop {
            Hop::Gateway => names::GATEWAY,
            Hop::Relay => names::RELAY,
            Hop::Runner => names::RUNNER,
        };
        Requests::new(self, names)
    }

    /// Has what else there is to see of a gateway become metrics.
    pub(crate) fn look_on_at_gateway(&self, observers: &mut Observers<Gateway>) {
        observers.add(Pings::new(self, names::GATEWAY));
        observers.add(Limits(self.clone()));
        observers.add(fleet::Looker::new(self));
    }

    /// The same of a relay.
    pub(crate) fn look_on_at_relay(&self, observers: &mut Observers<Relay>) {
        observers.add(Pings::new(self, names::RELAY));
        observers.add(Limits(self.clone()));
        observers.add(fleet::Looker::new(self));
    }

    /// The same of a runner.
    pub(crate) fn look_on_at_runner(&self, observers: &mut Observers<Runner>) {
        observers.add(Limits(self.clone()));
    }

    /// Where it is asked for.
    pub(crate) fn router(&self) -> Router {
        let metrics = self.clone();
        tokio::spawn(async move {
            let mut times = tokio::time::interval(UPKEEP);
            loop {
                times.tick().await;
                metrics.0.handle.run_upkeep();
            }
        });
        Router::new().route("/metrics", get(told)).with_state(self.clone())
    }

    /// All of it, in the text format of Prometheus.
    fn told(&self) -> String {
        let mut counted = Map::new();
        for machine in (lock(&self.0.counted).0)() {
            if let Value::Object(machine) = machine {
                counted.extend(machine);
            }
        }
        counted.insert("limits".into(), Value::Object(lock(&self.0.limits).clone()));
        let counted = Value::Object(counted);
        for metric in names::all() {
            self.tell(metric, &counted);
        }
        fleet::tell(self);
        self.0.handle.render()
    }

    /// Tells what was counted for a metric, if its machine is here.
    fn tell(&self, metric: &'static Metric, counted: &Value) {
        match (metric.source, metric.labels) {
            (Source::Told, _) => {}
            (Source::At(at), _) => {
                if let Some(value) = counted.pointer(at) {
                    self.set(metric, &[], value);
                }
            }
            (Source::Each(at), labels) => {
                let members = counted.pointer(at).and_then(Value::as_object);
                for (of, value) in members.into_iter().flatten() {
                    let labels: Vec<_> = labels.iter().map(|label| (*label, of.as_str())).collect();
                    self.set(metric, &labels, value);
                }
            }
            (Source::Of(places), labels) => {
                for (of, at) in places {
                    if let Some(value) = counted.pointer(at) {
                        let labels: Vec<_> = labels.iter().map(|label| (*label, *of)).collect();
                        self.set(metric, &labels, value);
                    }
                }
            }
        }
    }

    fn set(&self, metric: &Metric, labels: &[(&'static str, &str)], value: &Value) {
        let number = value.as_u64().unwrap_or_else(|| u64::from(value.as_bool() == Some(true)));
        match metric.kind {
            Kind::Counter => self.counter(metric.name, labels).absolute(number),
            #[allow(clippy::cast_precision_loss, reason = "so much is never held")]
            Kind::Gauge => self.gauge(metric.name, labels).set(number as f64),
            // They are told.
            Kind::Histogram => {}
        }
    }

    fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        self.0.recorder.register_counter(&key(name, labels), &METADATA)
    }

    fn gauge(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
        self.0.recorder.register_gauge(&key(name, labels), &METADATA)
    }

    fn histogram(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Histogram {
        self.0.recorder.register_histogram(&key(name, labels), &METADATA)
    }
}

/// How it stands with NATS.
pub(crate) fn of_nats(nats: &Nats) -> Value {
    let (bus, store) = (*nats.connected().borrow(), *nats.storing().borrow());
    let limits = BusConfig::default();
    json!({
        "bus": bus.there,
        "store": store.there,
        "store_away": store.times_away,
        "max_outgoing_messages": limits.outgoing_messages,
        "max_outgoing_bytes": limits.outgoing_bytes,
    })
}

/// What waits on the bus within a process.
pub(crate) fn of_memory_bus(bus: &MemBus) -> Value {
    let stats = bus.stats();
    json!({ "inboxes": stats.inboxes, "messages": stats.messages, "bytes": stats.bytes })
}

async fn told(State(metrics): State<Metrics>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.told()).into_response()
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    Key::from_parts(name, labels.iter().map(|(label, of)| Label::new(*label, (*of).to_owned())).collect::<Vec<_>>())
}

fn lock<T: ?Sized>(locked: &Mutex<T>) -> MutexGuard<'_, T> {
    locked.lock().unwrap_or_else(PoisonError::into_inner)
}
