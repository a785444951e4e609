//! The inspector's page.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router() -> Router {
    Router::new()
        .route("/", get(|| file("text/html; charset=utf-8", include_str!("page/inspector.html"))))
        .route("/inspector.css", get(|| file("text/css; charset=utf-8", include_str!("page/inspector.css"))))
        .route("/inspector.js", get(|| file("text/javascript; charset=utf-8", include_str!("page/inspector.js"))))
        .route("/tables.js", get(|| file("text/javascript; charset=utf-8", include_str!("page/tables.js"))))
}

async fn file(kind: &'static str, what: &'static str) -> Response {
    let mut response = what.into_response();
    let fields: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fields {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
