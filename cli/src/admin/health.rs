//! Whether the program is well: `/healthz` and `/readyz`.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use futures_util::FutureExt;
use serde_json::json;
use tokio::sync::watch;
use underpass_transport_nats::{Connected, Nats, Standing};
use underpass_transport_ws::runner::Runner;

use super::said;

/// How it stands with the program. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Health(Arc<Mutex<Stage>>);

#[derive(Default)]
enum Stage {
    /// It does not serve yet.
    #[default]
    Starting,
    /// It serves, if what it needs is there.
    Serving(Needs),
    /// It takes nothing new.
    Draining,
}

/// What must be there so that the program can serve.
pub(crate) enum Needs {
    /// Only itself.
    Nothing,
    /// The ways to NATS, and what is kept there.
    Nats { bus: watch::Receiver<Connected>, store: watch::Receiver<Connected>, directory: watch::Receiver<Standing> },
    /// A relay that has taken this runner in.
    Relay(Runner),
}

impl Needs {
    /// NATS, for the bus and for what it keeps.
    pub(crate) fn nats(nats: &Nats, directory: watch::Receiver<Standing>) -> Self {
        Needs::Nats { bus: nats.connected(), store: nats.storing(), directory }
    }

    /// What is not there.
    fn missing(&self) -> Vec<&'static str> {
        match self {
            Needs::Nothing => Vec::new(),
            Needs::Nats { bus, store, directory } => {
                let bus = (!bus.borrow().there).then_some("bus_away");
                let store = (!store.borrow().there).then_some("store_away");
                let kept = match *directory.borrow() {
                    Standing::Kept => None,
                    Standing::Away => Some("store_away"),
                    Standing::Taken => Some("id_taken"),
                    Standing::Ended => Some("directory_ended"),
                };
                bus.into_iter().chain(store.or(kept)).collect()
            }
            Needs::Relay(runner) => {
                let is_ready = runner.ready().now_or_never().is_some_and(|ready| ready.is_ok());
                if is_ready { Vec::new() } else { vec!["relay_away"] }
            }
        }
    }
}

impl Health {
    /// It serves from here on.
    pub(crate) fn serves(&self, needs: Needs) {
        self.enter(Stage::Serving(needs));
    }

    /// It takes nothing new from here on.
    pub(crate) fn drains(&self) {
        self.enter(Stage::Draining);
    }

    fn enter(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// Why it takes nothing new: nothing if it does.
    fn because(&self) -> Vec<&'static str> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Stage::Starting => vec!["starting"],
            Stage::Serving(needs) => needs.missing(),
            Stage::Draining => vec!["draining"],
        }
    }
}

/// Both probes.
pub(super) fn router(health: Health) -> Router {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).with_state(health)
}

async fn alive() -> Response {
    said(StatusCode::OK, &json!({ "alive": true }))
}

async fn ready(State(health): State<Health>) -> Response {
    match health.because() {
        because if because.is_empty() => said(StatusCode::OK, &json!({ "ready": true })),
        because => said(StatusCode::SERVICE_UNAVAILABLE, &json!({ "ready": false, "because": because })),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower_service::Service;

    use super::*;

    async fn ask(health: &Health, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router(health.clone()).call(request).await.unwrap_or_else(|never| match never {}).status()
    }

    #[tokio::test]
    async fn it_is_ready_from_when_it_serves_until_it_drains() {
        let health = Health::default();
        for (because, enter) in [
            (vec!["starting"], None),
            (vec![], Some(Stage::Serving(Needs::Nothing))),
            (vec!["draining"], Some(Stage::Draining)),
        ] {
            if let Some(stage) = enter {
                health.enter(stage);
            }
            assert_eq!(health.because(), because);
            assert_eq!(ask(&health, "/healthz").await, StatusCode::OK);
            assert_eq!(ask(&health, "/readyz").await == StatusCode::OK, because.is_empty());
        }
    }

    #[test]
    fn what_nats_does_not_have_is_said_once() {
        let way = |there| watch::channel(Connected { there, times_away: 0 }).1;
        for (bus, store, standing, missing) in [
            (true, true, Standing::Kept, vec![]),
            (false, false, Standing::Away, vec!["bus_away", "store_away"]),
            (true, true, Standing::Away, vec!["store_away"]),
            (true, true, Standing::Taken, vec!["id_taken"]),
            (false, true, Standing::Ended, vec!["bus_away", "directory_ended"]),
        ] {
            let directory = watch::channel(standing).1;
            let needs = Needs::Nats { bus: way(bus), store: way(store), directory };
            assert_eq!(needs.missing(), missing, "{standing:?}");
        }
    }
}
