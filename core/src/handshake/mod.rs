//! How a runner and a relay come together, both ends: the opening of the WebSocket (its path, its query, its
//! sub-protocols), and the abilities that the runner's Init announces.

pub(crate) mod abilities;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::protocol::Dialect;

/// Where runners connect.
pub const CONNECT_PATH: &str = "/runners/connect";

/// The sub-protocol of Underpass's own runners.
pub const UNDERPASS_PROTOCOL: &str = "underpass.1";

/// The sub-protocol of published runners.
pub const PUBLISHED_PROTOCOL: &str = "rivet";

/// In front of the token in the sub-protocol that carries it.
const TOKEN_PREFIX: &str = "rivet_token.";

/// Who connects, as its WebSocket's opening says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The `protocol_version` of the query.
    pub protocol_version: u16,
    /// The `namespace` of the query.
    pub namespace: ByteString,
    /// The `runner_key` of the query.
    pub runner_key: ByteString,
    /// Which words follow from the sub-protocol that was chosen.
    pub dialect: Dialect,
}

impl Hello {
    /// Whether its names are not too long, in bytes.
    ///
    /// # Errors
    /// One is.
    pub fn check(&self, max_name: usize) -> Result<(), BadHandshake> {
        match self.names().into_iter().find(|(_, text)| text.len() > max_name) {
            Some((name, _)) => Err(BadHandshake::TooLong { name, max_name }),
            None => Ok(()),
        }
    }

    /// What of the query becomes a part of the name of the runner's record.
    pub(crate) fn names(&self) -> [(&'static str, &ByteString); 2] {
        [("namespace", &self.namespace), ("runner_key", &self.runner_key)]
    }
}

/// What a relay makes of a runner's opening. The token is still to be compared, in constant time, with the relay's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What the relay's machine wants to know.
    pub hello: Hello,
    /// The sub-protocol to answer with; a client that offered some refuses an answer without one.
    pub subprotocol: Option<&'static str>,
    /// The token that the runner brought.
    pub token: Option<ByteString>,
}

/// An opening that is not a runner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadHandshake {
    /// Another path: 404.
    #[error("runners connect to {CONNECT_PATH}")]
    Path,
    /// The query lacks something, or says it wrongly: 400.
    #[error("{0}")]
    Query(&'static str),
    /// A name is longer than the relay allows: 400.
    #[error("{name} has more than {max_name} bytes")]
    TooLong {
        /// Which of the query.
        name: &'static str,
        /// What it may have, bytes.
        max_name: usize,
    },
}

impl BadHandshake {
    /// The HTTP status of the refusal.
    pub fn http_status(self) -> u16 {
        match self {
            BadHandshake::Path => 404,
            BadHandshake::Query(_) | BadHandshake::TooLong { .. } => 400,
        }
    }
}

impl Handshake {
    /// Reads an opening: the path and query of its request, and the values of its `sec-websocket-protocol` fields.
    ///
    /// # Errors
    /// It is not a runner's.
    pub fn read<'a>(
        path_and_query: &str,
        subprotocols: impl IntoIterator<Item = &'a str>,
    ) -> Result<Handshake, BadHandshake> {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        if path.trim_end_matches('/') != CONNECT_PATH {
            return Err(BadHandshake::Path);
        }
        let mut version = None;
        let mut namespace = None;
        let mut runner_key = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "protocol_version" => version = Some(value),
                "namespace" => namespace = Some(value),
                "runner_key" => runner_key = Some(value),
                _ => {}
            }
        }
        let version = version.ok_or(BadHandshake::Query("protocol_version is missing from the query"))?;
        let protocol_version =
            version.parse().map_err(|_| BadHandshake::Query("protocol_version is not a number from 0 to 65535"))?;
        let runner_key = runner_key.filter(|key| !key.is_empty());
        let runner_key = runner_key.ok_or(BadHandshake::Query("runner_key is missing from the query"))?;
        let namespace = namespace.filter(|name| !name.is_empty()).unwrap_or("default".into());

        let offered: Vec<&str> = subprotocols
            .into_iter()
            .flat_map(|field| field.split(','))
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect();
        let (subprotocol, dialect) = if offered.contains(&UNDERPASS_PROTOCOL) {
            (Some(UNDERPASS_PROTOCOL), Dialect::Underpass)
        } else if offered.is_empty() {
            (None, Dialect::Published)
        } else {
            (Some(PUBLISHED_PROTOCOL), Dialect::Published)
        };
        let token = offered.iter().find_map(|name| name.strip_prefix(TOKEN_PREFIX)).map(ByteString::from);
        let hello = Hello {
            protocol_version,
            namespace: namespace.as_ref().into(),
            runner_key: runner_key.as_ref().into(),
            dialect,
        };
        Ok(Handshake { hello, subprotocol, token })
    }
}

/// The path and query of a runner's opening.
pub fn connect_path(hello: &Hello) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("protocol_version", &hello.protocol_version.to_string())
        .append_pair("namespace", &hello.namespace)
        .append_pair("runner_key", &hello.runner_key)
        .finish();
    format!("{CONNECT_PATH}?{query}")
}

/// The sub-protocols that Underpass's runner offers: its own, the published one, and the token if it has one.
pub fn offered_subprotocols(token: Option<&str>) -> String {
    let mut offered = format!("{UNDERPASS_PROTOCOL}, {PUBLISHED_PROTOCOL}");
    if let Some(token) = token {
        offered.push_str(", ");
        offered.push_str(TOKEN_PREFIX);
        offered.push_str(token);
    }
    offered
}

/// Which words follow from the sub-protocol that a relay chose.
pub fn dialect_of(subprotocol: Option<&str>) -> Dialect {
    if subprotocol == Some(UNDERPASS_PROTOCOL) { Dialect::Underpass } else { Dialect::Published }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/runners/connect?protocol_version=7&namespace=n%20s&runner_key=k";

    #[test]
    fn what_the_runner_writes_is_what_the_relay_reads() {
        let read = Handshake::read(PATH, ["underpass.1, rivet", "rivet_token.a.b"]).unwrap();
        assert_eq!(connect_path(&read.hello), PATH.replace("%20", "+"));
        assert_eq!(Handshake::read(&connect_path(&read.hello), ["underpass.1"]).unwrap().hello, read.hello);
        assert_eq!(read.token.as_deref(), Some("a.b"));
        assert_eq!(offered_subprotocols(Some("a.b")), "underpass.1, rivet, rivet_token.a.b");
    }

    #[test]
    fn the_own_sub_protocol_is_chosen_if_offered_and_the_published_one_otherwise() {
        let chosen = |offer: &'static str| Handshake::read(PATH, [offer]).unwrap().subprotocol;
        assert_eq!(chosen("rivet, underpass.1"), Some("underpass.1"));
        assert_eq!(chosen("rivet, rivet_token.x"), Some("rivet"));
        assert_eq!(chosen(""), None);
        assert_eq!(dialect_of(Some("underpass.1")), Dialect::Underpass);
        assert_eq!(dialect_of(Some("rivet")), Dialect::Published);
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        let hello = |namespace: usize, key: usize| Hello {
            protocol_version: 7,
            namespace: "n".repeat(namespace).into(),
            runner_key: "k".repeat(key).into(),
            dialect: Dialect::Published,
        };
        assert_eq!(hello(8, 8).check(8), Ok(()));
        for (long, name) in [(hello(9, 8), "namespace"), (hello(8, 9), "runner_key")] {
            let refused = long.check(8).unwrap_err();
            assert_eq!(refused, BadHandshake::TooLong { name, max_name: 8 });
            assert_eq!(refused.http_status(), 400);
        }
    }

    #[test]
    fn what_is_not_a_runners_is_refused() {
        let refused = |path: &str| Handshake::read(path, []).unwrap_err().http_status();
        assert_eq!(refused("/"), 404);
        assert_eq!(refused("/runners/connect?namespace=n&runner_key=k"), 400);
        assert_eq!(refused("/runners/connect?protocol_version=x&runner_key=k"), 400);
        assert_eq!(refused("/runners/connect?protocol_version=7"), 400);
    }
}
