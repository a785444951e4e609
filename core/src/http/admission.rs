//! What a client asked for, made into what travels: which actor it means, and what its handler sees.

use bytestring::ByteString;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::fields::{end_to_end, join_fields};
use super::{Headers, RequestHead};
use crate::directory::Pool;
use crate::failure::{Failure, FailureCode};

/// Whom a request is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The pool whose runners host the actor.
    pub pool: Pool,
    /// The actor.
    pub actor_id: ByteString,
}

/// A request as its client sent it, less its header fields.
#[derive(Clone, Copy, Debug)]
pub struct ClientRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Where the client believes to be: the `host` field, or HTTP/2's authority.
    pub host: Option<&'a str>,
    /// The client's address, without a port.
    pub client: &'a str,
    /// Whether it opens a WebSocket.
    pub websocket: bool,
}

/// How requests are taken in: plain data, so that an adapter can do it without holding its gateway.
///
/// `/gateway/ACTOR/rest…` reaches the actor ACTOR as `/rest…`; the fields `x-rivet-target: actor` and
/// `x-rivet-actor: ACTOR` do likewise with the path unchanged; anything else reaches the actor `default`.
/// `x-underpass-pool: NAME` asks for a pool. These fields do not travel; nor do hop-by-hop fields, and `expect`, which
/// the gateway answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The namespace whose runners are meant.
    pub namespace: ByteString,
    /// The pool that is meant if the client does not say.
    pub pool: ByteString,
    /// Whether a client's own `x-forwarded-proto` and `-host` are passed on, and its `x-forwarded-for` added to:
    /// right behind a proxy of one's own. Otherwise they are replaced, and its `forwarded` does not travel.
    pub trust_forwarded: bool,
    /// The most bytes that the names and values of a request's fields may have.
    pub max_header_bytes: usize,
}

impl Default for Admission {
    fn default() -> Self {
        Admission {
            namespace: ByteString::from_static("default"),
            pool: ByteString::from_static("default"),
            trust_forwarded: false,
            max_header_bytes: 64 * 1024,
        }
    }
}

/// Fields that are meant for the gateway.
const FOR_THE_GATEWAY: [&str; 4] = ["x-rivet-target", "x-rivet-actor", "x-underpass-pool", "expect"];

/// Fields of a WebSocket's opening that each hop makes anew.
const OF_ONE_WEBSOCKET: [&str; 3] = ["sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"];

impl Admission {
    /// Whom a request is for, and its head as the handler shall see it.
    ///
    /// # Errors
    /// `bad_target` if the request names its actor in no known form, `message_too_large` if its header fields are
    /// over the limit.
    pub fn admit<'a>(
        &self,
        request: ClientRequest<'a>,
        fields: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
    ) -> Result<(Target, RequestHead), Failure> {
        let size: usize = fields.clone().map(|(name, value)| name.len() + value.len()).sum();
        if size > self.max_header_bytes {
            return Err(failure(FailureCode::MessageTooLarge, "the header fields are larger than this gateway takes"));
        }
        let header =
            |wanted: &str| fields.clone().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
        let (actor_id, path) = actor_and_path(request.path, &header)?;
        let pool = match header("x-underpass-pool") {
            Some(name) => text(name).ok_or_else(|| bad_target("x-underpass-pool is not a name"))?,
            None => self.pool.clone(),
        };
        let kept = end_to_end(fields).filter(|(name, _)| {
            let is_one_of = |names: &[&str]| names.iter().any(|other| other.eq_ignore_ascii_case(name));
            !(is_one_of(&FOR_THE_GATEWAY) || request.websocket && is_one_of(&OF_ONE_WEBSOCKET))
        });
        let mut headers = join_fields(kept);
        self.forwarded(&mut headers, &request);
        let target = Target { pool: Pool { namespace: self.namespace.clone(), name: pool }, actor_id };
        Ok((target, RequestHead { method: request.method.into(), path, headers }))
    }

    fn forwarded(&self, headers: &mut Headers, request: &ClientRequest<'_>) {
        if !self.trust_forwarded {
            headers.0.retain(|(name, _)| !name.starts_with("x-forwarded-") && *name != "forwarded");
        }
        match headers.0.iter_mut().find(|(name, _)| *name == "x-forwarded-for") {
            Some((_, clients)) => *clients = format!("{clients}, {}", request.client).into(),
            None => headers.0.push((ByteString::from_static("x-forwarded-for"), request.client.into())),
        }
        let mut unless_there = |name: &'static str, value: &str| {
            if headers.get(name).is_none() {
                headers.0.push((ByteString::from_static(name), value.into()));
            }
        };
        unless_there("x-forwarded-proto", request.scheme);
        if let Some(host) = request.host {
            unless_there("x-forwarded-host", host);
            unless_there("host", host);
        }
    }
}

/// The actor that is meant, and the path as it shall see it.
fn actor_and_path<'a>(
    path: &str,
    header: &impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<(ByteString, ByteString), Failure> {
    if let Some(named) = path.strip_prefix("/gateway/") {
        let end = named.find(['/', '?']).unwrap_or(named.len());
        let (actor, rest) = named.split_at(end);
        let actor = percent_decode_str(actor).decode_utf8().map_err(|_| bad_target("the actor's name is not UTF-8"))?;
        if actor.is_empty() {
            return Err(bad_target("no actor is named behind /gateway/"));
        }
        let rest = if rest.starts_with('/') { rest.into() } else { format!("/{rest}").into() };
        return Ok((actor.as_ref().into(), rest));
    }
    let path = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
    match (header("x-rivet-target"), header("x-rivet-actor")) {
        (None, None) => Ok((ByteString::from_static("default"), path)),
        (Some(b"actor"), Some(actor)) => {
            let actor = text(actor).ok_or_else(|| bad_target("x-rivet-actor is not a name"))?;
            Ok((actor, path))
        }
        (Some(b"actor"), None) => Err(bad_target("x-rivet-target: actor needs x-rivet-actor")),
        (Some(_), _) => Err(bad_target("x-rivet-target can only be actor")),
        (None, Some(_)) => Err(bad_target("x-rivet-actor needs x-rivet-target: actor")),
    }
}

/// A header's value as a name: UTF-8 and not empty.
fn text(value: &[u8]) -> Option<ByteString> {
    core::str::from_utf8(value).ok().map(str::trim).filter(|text| !text.is_empty()).map(ByteString::from)
}

fn bad_target(message: &'static str) -> Failure {
    failure(FailureCode::BadTarget, message)
}

fn failure(code: FailureCode, message: &'static str) -> Failure {
    Failure { code, message: message.into(), request: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(path: &str, fields: &[(&str, &[u8])]) -> Result<(Target, RequestHead), Failure> {
        let request = ClientRequest {
            method: "GET",
            path,
            scheme: "http",
            host: Some("example.org"),
            client: "192.0.2.1",
            websocket: false,
        };
        Admission::default().admit(request, fields.iter().copied())
    }

    #[track_caller]
    fn reaches(path: &str, fields: &[(&str, &[u8])], actor: &str, as_path: &str) {
        let (target, head) = admit(path, fields).unwrap();
        assert_eq!((&*target.actor_id, &*head.path), (actor, as_path), "{path}");
    }

    #[test]
    fn a_path_may_name_an_actor() {
        reaches("/gateway/a/rest?x=1", &[], "a", "/rest?x=1");
        reaches("/gateway/a", &[], "a", "/");
        reaches("/gateway/a?x=1", &[], "a", "/?x=1");
        reaches("/gateway/a%2Fb//c", &[], "a/b", "//c");
        reaches("/gateway", &[], "default", "/gateway");
        reaches("/", &[], "default", "/");
    }

    #[test]
    fn header_fields_may_name_an_actor() {
        reaches("/p", &[("X-Rivet-Target", b"actor"), ("x-rivet-actor", b"b")], "b", "/p");
    }

    #[test]
    fn other_forms_are_refused() {
        type Fields = [(&'static str, &'static [u8])];
        let forms: [(&str, &Fields); 6] = [
            ("/gateway/", &[]),
            ("/gateway//x", &[]),
            ("/gateway/%ff/", &[]),
            ("/", &[("x-rivet-target", b"service")]),
            ("/", &[("x-rivet-target", b"actor")]),
            ("/", &[("x-rivet-actor", b"a")]),
        ];
        for (path, fields) in forms {
            assert_eq!(admit(path, fields).unwrap_err().code, FailureCode::BadTarget, "{path} {fields:?}");
        }
    }

    #[test]
    fn the_handler_sees_who_asked_and_not_what_was_for_the_gateway() {
        let fields: [(&str, &[u8]); 5] = [
            ("x-underpass-pool", b"blue"),
            ("x-forwarded-for", b"6.6.6.6"),
            ("connection", b"keep-alive"),
            ("expect", b"100-continue"),
            ("accept", b"*/*"),
        ];
        let (target, head) = admit("/", &fields).unwrap();
        assert_eq!(&*target.pool.name, "blue");
        let pairs: Vec<_> = head.headers.iter().map(|(name, value)| (name, &**value)).collect();
        let expected = [
            ("accept", "*/*"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "example.org"),
            ("host", "example.org"),
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn what_is_of_one_websocket_stays_there_and_is_a_field_like_others_elsewhere() {
        let fields: [(&str, &[u8]); 3] =
            [("Sec-WebSocket-Key", b"a"), ("sec-websocket-protocol", b"chat"), ("accept", b"*/*")];
        for (websocket, expected) in [
            (true, &["sec-websocket-protocol", "accept"][..]),
            (false, &["sec-websocket-key", "sec-websocket-protocol", "accept"]),
        ] {
            let request = ClientRequest { method: "GET", path: "/", scheme: "http", host: None, client: "", websocket };
            let (_, head) = Admission::default().admit(request, fields.into_iter()).unwrap();
            let names = head.headers.iter().map(|(name, _)| name).filter(|name| !name.starts_with("x-forwarded"));
            assert_eq!(names.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn header_fields_are_limited() {
        let large = vec![b'a'; 64 * 1024];
        assert_eq!(admit("/", &[("x", &large)]).unwrap_err().code, FailureCode::MessageTooLarge);
        assert!(admit("/", &[("x", &large[1..])]).is_ok());
    }
}
