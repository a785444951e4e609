//! One value of any union of the protocol, for tests that go over all of them.

use underpass_core::protocol::{Dialect, ToClient, ToGateway, ToRunner, ToServer, ToServerlessServer};
use underpass_core::{Frame, PeerError};

/// A value of one of the unions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyUnion {
    /// Runner to relay.
    ToServer(ToServer),
    /// Relay to runner.
    ToClient(ToClient),
    /// To a relay, on the bus.
    ToRunner(ToRunner),
    /// To a gateway, on the bus.
    ToGateway(ToGateway),
    /// To a serverless runner.
    ToServerlessServer(ToServerlessServer),
}

impl AnyUnion {
    /// The names of the unions.
    pub const NAMES: [&str; 5] = ["ToServer", "ToClient", "ToRunner", "ToGateway", "ToServerlessServer"];

    /// The name of the value's union.
    pub fn union_name(&self) -> &'static str {
        match self {
            AnyUnion::ToServer(_) => "ToServer",
            AnyUnion::ToClient(_) => "ToClient",
            AnyUnion::ToRunner(_) => "ToRunner",
            AnyUnion::ToGateway(_) => "ToGateway",
            AnyUnion::ToServerlessServer(_) => "ToServerlessServer",
        }
    }

    /// Reads the bare value of the union of that name.
    pub fn decode(union: &str, frame: &Frame, dialect: Dialect) -> Result<AnyUnion, PeerError> {
        match union {
            "ToServer" => ToServer::decode(frame, dialect).map(AnyUnion::ToServer),
            "ToClient" => ToClient::decode(frame, dialect).map(AnyUnion::ToClient),
            "ToRunner" => ToRunner::decode(frame, dialect).map(AnyUnion::ToRunner),
            "ToGateway" => ToGateway::decode(frame, dialect).map(AnyUnion::ToGateway),
            "ToServerlessServer" => ToServerlessServer::decode(frame).map(AnyUnion::ToServerlessServer),
            unknown => panic!("no union is called {unknown}"),
        }
    }

    /// Writes the bare value.
    pub fn encode(&self) -> Frame {
        match self {
            AnyUnion::ToServer(value) => value.encode(),
            AnyUnion::ToClient(value) => value.encode(),
            AnyUnion::ToRunner(value) => value.encode(),
            AnyUnion::ToGateway(value) => value.encode(),
            AnyUnion::ToServerlessServer(value) => value.encode(),
        }
    }

    /// Reads the value as serde_bare alone does, which is lenient but an independent witness for good bytes.
    pub fn decode_by_serde_bare(union: &str, bytes: &[u8]) -> Result<AnyUnion, serde_bare::error::Error> {
        match union {
            "ToServer" => serde_bare::from_slice(bytes).map(AnyUnion::ToServer),
            "ToClient" => serde_bare::from_slice(bytes).map(AnyUnion::ToClient),
            "ToRunner" => serde_bare::from_slice(bytes).map(AnyUnion::ToRunner),
            "ToGateway" => serde_bare::from_slice(bytes).map(AnyUnion::ToGateway),
            "ToServerlessServer" => serde_bare::from_slice(bytes).map(AnyUnion::ToServerlessServer),
            unknown => panic!("no union is called {unknown}"),
        }
    }

    /// Writes the value as serde_bare alone does.
    pub fn encode_by_serde_bare(&self) -> Vec<u8> {
        match self {
            AnyUnion::ToServer(value) => serde_bare::to_vec(value),
            AnyUnion::ToClient(value) => serde_bare::to_vec(value),
            AnyUnion::ToRunner(value) => serde_bare::to_vec(value),
            AnyUnion::ToGateway(value) => serde_bare::to_vec(value),
            AnyUnion::ToServerlessServer(value) => serde_bare::to_vec(value),
        }
        .expect("protocol values are BARE")
    }
}
