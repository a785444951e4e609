//! Who may look and press buttons: pages of other origins may not, though a browser that shows them reaches this.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::json;

use super::said;

/// Lets nobody in who calls this host by a name that somebody else may have made up, nor has a page of another origin
/// do anything.
pub(super) async fn check(request: Request, next: Next) -> Response {
    let fields = request.headers();
    let asks_for = field(fields, &header::HOST).unwrap_or_default();
    if !is_address(asks_for) {
        return refused("call this host by its address, or by localhost");
    }
    let only_looks = request.method() == Method::GET || request.method() == Method::HEAD;
    if !only_looks && is_of_another_origin(fields, asks_for) {
        return refused("a page of another origin may not do this");
    }
    next.run(request).await
}

fn refused(why: &str) -> Response {
    said(StatusCode::FORBIDDEN, &json!({ "error": why }))
}

fn field(fields: &HeaderMap, name: impl header::AsHeaderName) -> Option<&str> {
    fields.get(name).map(|value| value.to_str().unwrap_or("unreadable"))
}

/// A name can be made to lead here by whoever has it; an address can't.
fn is_address(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Browsers say so, of themselves; what is no browser says neither.
fn is_of_another_origin(fields: &HeaderMap, host: &str) -> bool {
    let origin = field(fields, header::ORIGIN).is_some_and(|origin| origin.strip_prefix("http://") != Some(host));
    let site = field(fields, "sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    origin || site
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_no_names_of_others() {
        for host in ["127.0.0.1", "127.0.0.1:9090", "[::1]:9090", "[::1]", "localhost:1", "LOCALHOST", "10.0.0.3:80"] {
            assert!(is_address(host), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:9090", "localhost.evil.example", "127.0.0.1.evil.example:1", "[x]"]
        {
            assert!(!is_address(host), "{host}");
        }
    }

    #[test]
    fn what_a_page_of_another_origin_asks_is_told_by_its_browser() {
        let fields = |fields: &[(&'static str, &'static str)]| {
            fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
        };
        for (another, said) in [
            (false, &[][..]),
            (false, &[("origin", "http://127.0.0.1:1"), ("sec-fetch-site", "same-origin")]),
            (true, &[("origin", "http://127.0.0.1:2")]),
            (true, &[("origin", "null")]),
            (true, &[("sec-fetch-site", "same-site")]),
            (true, &[("sec-fetch-site", "cross-site")]),
        ] {
            assert_eq!(is_of_another_origin(&fields(said), "127.0.0.1:1"), another, "{said:?}");
        }
    }
}
