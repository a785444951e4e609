//! What a runner serves when it is not told where to pass requests on to.

mod clock;
mod echo;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::{any, get};

pub(crate) use echo::EchoWebSocket;

const PAGE: &str = include_str!("index.html");

const ELSEWHERE: &str = "Nothing is here. The demo serves /, /hello, /echo, /clock and /ws.\n";
const NO_WEBSOCKET: &str = "This is a WebSocket: dial it with ws:// in front. It sends back what it gets.\n";

/// The demo's HTTP side.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(Html(PAGE)))
        .route("/hello", get("hello"))
        .route("/echo", any(echo::echo))
        .route("/clock", get(clock::clock))
        .route("/ws", any((StatusCode::BAD_REQUEST, NO_WEBSOCKET)))
        .fallback((StatusCode::NOT_FOUND, ELSEWHERE))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, header};
    use axum::response::Response;
    use futures_util::{StreamExt, stream};
    use http_body_util::BodyExt;
    use tower_service::Service;

    use super::*;

    async fn answer(request: Request<Body>) -> Response {
        router().call(request).await.unwrap_or_else(|never| match never {})
    }

    async fn text(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
    }

    #[tokio::test]
    async fn hello_says_hello() {
        let response = answer(Request::get("/hello").body(Body::empty()).unwrap()).await;
        assert_eq!(text(response).await, "hello");
    }

    #[tokio::test]
    async fn the_page_needs_nothing_from_elsewhere() {
        let response = answer(Request::get("/").body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        let page = text(response).await;
        for outside in ["src=", "href=\"http", "url(", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[tokio::test]
    async fn echo_begins_before_the_body_has_come() {
        let never_ending = stream::iter([Ok::<_, std::io::Error>("first")]).chain(stream::pending());
        let request = Request::builder().method("PURGE").uri("/echo").header(header::CONTENT_TYPE, "x/y");
        let response = answer(request.body(Body::from_stream(never_ending)).unwrap()).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "x/y");
        let frame = response.into_body().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "first");
    }

    #[tokio::test]
    async fn the_clock_ticks_at_once() {
        let response = answer(Request::get("/clock").body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        let event = response.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(event.starts_with(b"id: 0\ndata: "), "{event:?}");
    }

    #[tokio::test]
    async fn elsewhere_is_nothing() {
        let response = answer(Request::get("/none").body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
}
