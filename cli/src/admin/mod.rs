//! What whoever looks after the program may ask of it, on a listener of its own.

mod api;
mod health;
mod origin;
mod page;
mod rows;
mod serve;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use serde_json::{Value, json};

use crate::error::Error;
use crate::listen::bind;
use crate::metrics::Metrics;
use crate::seeing::Seeing;

pub(crate) use health::{Health, Needs};

/// Answers there until the program ends, if that is wanted. What it is called then, in the line of who is ready.
///
/// # Errors
/// It cannot listen there.
pub(crate) async fn serve(
    address: Option<&str>,
    health: Health,
    seeing: &Seeing,
) -> Result<Option<(&'static str, String)>, Error> {
    let Some(address) = address else { return Ok(None) };
    let (listener, address) = bind(address).await?;
    tokio::spawn(serve::all(listener, router(health, seeing, address.ip().to_canonical().is_loopback())));
    Ok(Some(("admin", format!("http://{address}"))))
}

/// All that is answered there. The inspector is for this host alone, unless it is to be open.
pub(crate) fn router(health: Health, seeing: &Seeing, is_of_this_host: bool) -> Router {
    let metrics = seeing.metrics().map(Metrics::router);
    let metrics = metrics.map(|metrics| match is_of_this_host {
        true => metrics.layer(middleware::from_fn(origin::check)),
        // Whoever collects them may call it by any name.
        false => metrics,
    });
    let metrics = metrics.unwrap_or_default();
    let inspector = seeing.inspector().filter(|inspector| is_of_this_host || inspector.is_open);
    let inspector = inspector.map(|inspector| {
        page::router().merge(api::router(inspector.clone())).layer(middleware::from_fn(origin::check))
    });
    let inspector = inspector.unwrap_or_default();
    health::router(health).merge(metrics).merge(inspector).fallback(nowhere).method_not_allowed_fallback(not_so)
}

async fn nowhere() -> Response {
    said(StatusCode::NOT_FOUND, &json!({ "error": "there are /, /api/, /healthz, /readyz and /metrics" }))
}

async fn not_so() -> Response {
    said(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "another method is allowed" }))
}

/// An answer in JSON, on a line.
fn said(status: StatusCode, what: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{what}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Method, Request};
    use tower_service::Service;

    use super::*;

    #[tokio::test]
    async fn what_is_not_there_and_what_is_not_allowed_is_said() {
        for (method, path, status) in [
            (Method::GET, "/healthz", StatusCode::OK),
            (Method::HEAD, "/healthz", StatusCode::OK),
            (Method::POST, "/healthz", StatusCode::METHOD_NOT_ALLOWED),
            (Method::POST, "/readyz", StatusCode::METHOD_NOT_ALLOWED),
            (Method::GET, "/nowhere", StatusCode::NOT_FOUND),
        ] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let response = router(Health::default(), &Seeing::default(), true)
                .call(request)
                .await
                .unwrap_or_else(|never| match never {});
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        }
    }
}
