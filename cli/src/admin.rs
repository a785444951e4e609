//! Whether the program is well, for whoever looks after it: `/healthz` and `/readyz`.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use underpass_transport_nats::{Connected, Nats, Standing};
use underpass_transport_ws::runner::Runner;

use crate::error::Error;
use crate::listen::bind;

/// How many may ask at once; others wait.
const CONNECTIONS: usize = 64;
/// How long a connection may take: there is one question to each.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait when the system has no sockets left.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(50);

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

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let (status, said) = match (request.uri().path(), request.method()) {
            ("/healthz" | "/readyz", method) if method != Method::GET && method != Method::HEAD => {
                (StatusCode::METHOD_NOT_ALLOWED, json!({ "error": "GET is allowed" }))
            }
            ("/healthz", _) => (StatusCode::OK, json!({ "alive": true })),
            ("/readyz", _) => match self.because() {
                because if because.is_empty() => (StatusCode::OK, json!({ "ready": true })),
                because => (StatusCode::SERVICE_UNAVAILABLE, json!({ "ready": false, "because": because })),
            },
            (_, _) => (StatusCode::NOT_FOUND, json!({ "error": "there are /healthz and /readyz" })),
        };
        let mut response = Response::new(Full::from(format!("{said}\n")));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response
    }
}

/// Answers there until the program ends, if that is wanted. What it is called then, in the line of who is ready.
///
/// # Errors
/// It cannot listen there.
pub(crate) async fn serve(address: Option<&str>, health: Health) -> Result<Option<(&'static str, String)>, Error> {
    let Some(address) = address else { return Ok(None) };
    let (listener, address) = bind(address).await?;
    tokio::spawn(answer_all(listener, health));
    Ok(Some(("admin", format!("http://{address}"))))
}

async fn answer_all(listener: TcpListener, health: Health) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(answer_one(stream, health.clone()))),
                Err(_) => tokio::time::sleep(OUT_OF_SOCKETS).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer_one(stream: TcpStream, health: Health) {
    let service = service_fn(move |request| {
        let answer = health.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    // Whoever asks too slowly, or goes away, has had no answer.
    let _ = tokio::time::timeout(ANSWERED_WITHIN, connection).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(health: &Health, path: &str) -> StatusCode {
        health.answer(&Request::get(path).body(()).unwrap()).status()
    }

    #[test]
    fn it_is_ready_from_when_it_serves_until_it_drains() {
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
            assert_eq!(ask(&health, "/healthz"), StatusCode::OK);
            assert_eq!(ask(&health, "/readyz") == StatusCode::OK, because.is_empty());
        }
        assert_eq!(ask(&health, "/"), StatusCode::NOT_FOUND);
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
