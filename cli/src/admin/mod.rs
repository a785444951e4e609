//! What whoever looks after the program may ask of it, on a listener of its own.

mod health;
mod serve;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::error::Error;
use crate::listen::bind;

pub(crate) use health::{Health, Needs};

/// Answers there until the program ends, if that is wanted. What it is called then, in the line of who is ready.
///
/// # Errors
/// It cannot listen there.
pub(crate) async fn serve(address: Option<&str>, health: Health) -> Result<Option<(&'static str, String)>, Error> {
    let Some(address) = address else { return Ok(None) };
    let (listener, address) = bind(address).await?;
    tokio::spawn(serve::all(listener, router(health)));
    Ok(Some(("admin", format!("http://{address}"))))
}

/// All that is answered there.
pub(crate) fn router(health: Health) -> Router {
    health::router(health).fallback(nowhere).method_not_allowed_fallback(not_so)
}

async fn nowhere() -> Response {
    said(StatusCode::NOT_FOUND, &json!({ "error": "there are /healthz and /readyz" }))
}

async fn not_so() -> Response {
    said(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "GET is allowed" }))
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
            let response = router(Health::default()).call(request).await.unwrap_or_else(|never| match never {});
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        }
    }
}
