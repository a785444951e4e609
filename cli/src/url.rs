//! The URLs of the command line: a scheme, a host, and perhaps a port and a path to put in front.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};
use thiserror::Error;

/// What is wrong with a URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum BadUrl {
    #[error("it is not a URL like {0}://127.0.0.1:3000")]
    NoUrl(&'static str),
    #[error("it must start with {expected}://, not with {found}://")]
    Scheme { expected: String, found: String },
    #[error("it has no host")]
    NoHost,
    #[error("its port is no number up to 65535")]
    Port,
    #[error("it must not have a user name")]
    User,
    #[error("it must end with its path: no ? and no #")]
    BehindThePath,
    #[error("it must end with its port: no path")]
    Path,
}

/// Where requests are passed on to: `http://HOST[:PORT][/BASE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target(Url);

/// Where a relay takes runners: `ws://HOST[:PORT]`, or `wss://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RelayUrl(Url);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    scheme: &'static str,
    authority: Authority,
    /// Empty, or a path that starts with a slash and does not end with one.
    base: String,
}

impl Url {
    /// A URL with one of these schemes, of which the first is the one to recommend.
    fn parse(schemes: &[&'static str], text: &str) -> Result<Self, BadUrl> {
        let usual = schemes.first().copied().unwrap_or_default();
        if text.contains(['?', '#']) {
            return Err(BadUrl::BehindThePath);
        }
        let uri: Uri = text.parse().map_err(|_| BadUrl::NoUrl(usual))?;
        let found = uri.scheme().map(Scheme::as_str).ok_or(BadUrl::NoUrl(usual))?;
        let Some(scheme) = schemes.iter().copied().find(|scheme| *scheme == found) else {
            return Err(BadUrl::Scheme { expected: schemes.join(":// or "), found: found.to_owned() });
        };
        let authority = uri.authority().cloned().ok_or(BadUrl::NoHost)?;
        if authority.as_str().contains('@') {
            return Err(BadUrl::User);
        }
        if authority.host().is_empty() {
            return Err(BadUrl::NoHost);
        }
        if authority.as_str() != authority.host() && authority.port_u16().is_none() {
            return Err(BadUrl::Port);
        }
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Url { scheme, authority, base })
    }
}

impl Target {
    /// The URL there of a path, which starts with a slash, and its query.
    pub(crate) fn uri(&self, path_and_query: &str) -> Result<Uri, http::Error> {
        let Url { scheme, authority, base } = &self.0;
        let path_and_query = format!("{base}{path_and_query}");
        Uri::builder().scheme(*scheme).authority(authority.clone()).path_and_query(path_and_query).build()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.base)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Target {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        Url::parse(&["http"], text).map(Target)
    }
}

impl FromStr for RelayUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let url = Url::parse(&["ws", "wss"], text)?;
        if url.base.is_empty() { Ok(RelayUrl(url)) } else { Err(BadUrl::Path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Result<Target, BadUrl> {
        text.parse()
    }

    #[test]
    fn a_base_goes_in_front_of_each_path() {
        for (url, path, expected) in [
            ("http://127.0.0.1:3000", "/", "http://127.0.0.1:3000/"),
            ("http://example.org/", "/a?b=c", "http://example.org/a?b=c"),
            ("http://[::1]:3000/base/", "/a//b", "http://[::1]:3000/base/a//b"),
            ("http://localhost/a/b", "/?c", "http://localhost/a/b/?c"),
        ] {
            assert_eq!(target(url).unwrap().uri(path).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_url_is_told_from_one_of_another_kind() {
        for text in ["", "localhost:3000", "127.0.0.1", "/path", "http://", "http://a b", "http:///path"] {
            assert_eq!(target(text), Err(BadUrl::NoUrl("http")), "{text}");
        }
        let found = |found: &str| Err(BadUrl::Scheme { expected: "http".to_owned(), found: found.to_owned() });
        assert_eq!(target("https://example.org"), found("https"));
        assert_eq!(target("ws://example.org"), found("ws"));
        assert_eq!(target("http://:3000"), Err(BadUrl::NoHost));
        assert_eq!(target("http://a:65536"), Err(BadUrl::Port));
        assert_eq!(target("http://a:"), Err(BadUrl::Port));
        assert_eq!(target("http://me:secret@a"), Err(BadUrl::User));
        assert_eq!(target("http://a/?b"), Err(BadUrl::BehindThePath));
        assert_eq!(target("http://a/#b"), Err(BadUrl::BehindThePath));
    }

    #[test]
    fn a_relay_is_dialled_by_websocket() {
        let relay = |text: &str| text.parse::<RelayUrl>();
        assert_eq!(relay("ws://127.0.0.1:8081/").unwrap().to_string(), "ws://127.0.0.1:8081");
        assert_eq!(relay("wss://relay.example").unwrap().to_string(), "wss://relay.example");
        let expected = BadUrl::Scheme { expected: "ws:// or wss".to_owned(), found: "http".to_owned() };
        assert_eq!(relay("http://127.0.0.1:8081"), Err(expected));
        assert_eq!(relay("ws://127.0.0.1:8081/runners"), Err(BadUrl::Path));
    }
}
