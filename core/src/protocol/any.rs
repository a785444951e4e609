//! Any message of any version: for tools and tests, which learn only when they run what they look at.

use core::fmt;
use core::str::FromStr;

use serde::de::DeserializeSeed;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::bare::Reader;
use super::bus;
use super::codec::Codec;
use super::translate::{Memory, NamesGateways, Translate, Untranslatable};
use super::{Version, v1, v2, v3, v4, v5, v6};
use crate::error::PeerError;
use crate::frame::Frame;

/// The type of a message: a union, and the version that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Schema {
    union: Union,
    version: Version,
}

/// The version does not have the union.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{union} needs {needs}")]
pub struct NoSuchUnion {
    /// Which.
    pub union: Union,
    /// The oldest version that has it.
    pub needs: Version,
}

/// No union has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no such union, but ToServer, ToClient, ToRunner, ToGateway, ToServerlessServer")]
pub struct NoSuchName;

impl Schema {
    /// The type of a union's messages in a version.
    ///
    /// # Errors
    /// There is no [`ToRunner`](Union::ToRunner) before version 3.
    pub fn new(union: Union, version: Version) -> Result<Self, NoSuchUnion> {
        let needs = match union {
            Union::ToRunner => Version::V3,
            Union::ToServer | Union::ToClient | Union::ToGateway | Union::ToServerlessServer => Version::V1,
        };
        if version < needs {
            return Err(NoSuchUnion { union, needs });
        }
        Ok(Schema { union, version })
    }

    /// Every union of every version.
    pub fn all() -> impl Iterator<Item = Schema> {
        Version::ALL
            .into_iter()
            .flat_map(|version| Union::ALL.into_iter().filter_map(move |union| Schema::new(union, version).ok()))
    }

    /// Which union.
    pub fn union(self) -> Union {
        self.union
    }

    /// Of which version.
    pub fn version(self) -> Version {
        self.version
    }
}

impl Schema {
    /// Reads a frame of the bus: the version in two bytes, then a message of this type.
    ///
    /// # Errors
    /// As for [`decode`](Schema::decode), and [`BadVersion`](crate::Malformed::BadVersion) if the frame bears another.
    pub fn decode_framed(self, frame: &Frame) -> Result<Message, PeerError> {
        bus::read_version(&mut Reader::new(frame), self.version)?;
        let shift = |error: PeerError| PeerError { offset: error.offset + bus::VERSION_BYTES.len(), ..error };
        self.decode(&frame.clone().skip(bus::VERSION_BYTES.len())).map_err(shift)
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.union, self.version)
    }
}

/// Declares the unions, with their type in each version.
macro_rules! unions {
    ($($(#[$doc:meta])* $union:ident { $($version:ident: $type:ty,)* } steps { $($old:ident $new:ident)* } since $oldest:ident)*) => {
        /// The unions of the protocol, by the names that the schema gives them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Union {
            $($(#[$doc])* $union,)*
        }

        impl Union {
            /// All of them.
            pub const ALL: [Union; [$(Union::$union),*].len()] = [$(Union::$union),*];

            /// Its name in the schema.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Union::$union => stringify!($union),)*
                }
            }
        }

        $(
            $(#[$doc])*
            ///
            /// In any version that has it.
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub enum $union {
                $(
                    #[doc = concat!("In version ", stringify!($version), ".")]
                    $version($type),
                )*
            }

            impl $union {
                fn version(&self) -> Version {
                    match self {
                        $($union::$version(_) => Version::$version,)*
                    }
                }

                fn decode(version: Version, frame: &Frame) -> Result<Self, PeerError> {
                    match version {
                        $(Version::$version => <$type as Codec>::decode(frame).map($union::$version),)*
                        #[allow(unreachable_patterns)]
                        Version::V1 | Version::V2 => unreachable!("a schema names no union that its version lacks"),
                    }
                }

                fn encode(&self) -> Frame {
                    match self {
                        $($union::$version(message) => Codec::encode(message),)*
                    }
                }

                fn deserialize<'de, D: Deserializer<'de>>(version: Version, source: D) -> Result<Self, D::Error> {
                    match version {
                        $(Version::$version => <$type>::deserialize(source).map($union::$version),)*
                        #[allow(unreachable_patterns)]
                        Version::V1 | Version::V2 => unreachable!("a schema names no union that its version lacks"),
                    }
                }

                fn names_zero(&self) -> bool {
                    match self {
                        $($union::$version(message) => message.names_zero(),)*
                    }
                }

                /// The same in the next newer version, if there is one.
                fn newer(self, memory: &mut Memory) -> Result<Self, Untranslatable> {
                    match self {
                        $($union::$old(message) => message.translate(memory).map($union::$new),)*
                        $union::V7(_) => Ok(self),
                    }
                }

                /// The same in the next older version, if there is one.
                fn older(self, memory: &mut Memory) -> Result<Self, Untranslatable> {
                    match self {
                        $($union::$new(message) => message.translate(memory).map($union::$old),)*
                        $union::$oldest(_) => {
                            Err(Untranslatable::Needs { message: stringify!($union), version: Version::$oldest })
                        }
                    }
                }
            }

            impl Serialize for $union {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    match self {
                        $($union::$version(message) => message.serialize(serializer),)*
                    }
                }
            }
        )*

        /// A message of any union in any version. Serialized, it is that message and nothing besides.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Message {
            $($(#[$doc])* $union($union),)*
        }

        impl Message {
            /// Its type.
            pub fn schema(&self) -> Schema {
                match self {
                    $(Message::$union(message) => Schema { union: Union::$union, version: message.version() },)*
                }
            }

            /// Its bytes. Payloads of tunnel messages are shared, not copied.
            pub fn encode(&self) -> Frame {
                match self {
                    $(Message::$union(message) => message.encode(),)*
                }
            }

            fn names_zero(&self) -> bool {
                match self {
                    $(Message::$union(message) => message.names_zero(),)*
                }
            }

            fn newer(self, memory: &mut Memory) -> Result<Self, Untranslatable> {
                match self {
                    $(Message::$union(message) => message.newer(memory).map(Message::$union),)*
                }
            }

            fn older(self, memory: &mut Memory) -> Result<Self, Untranslatable> {
                match self {
                    $(Message::$union(message) => message.older(memory).map(Message::$union),)*
                }
            }
        }

        impl Serialize for Message {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Message::$union(message) => message.serialize(serializer),)*
                }
            }
        }

        impl Schema {
            /// Reads a message of this type, without a version in front. Payloads of tunnel messages stay slices of
            /// the frame.
            ///
            /// # Errors
            /// The first rule that the bytes break, and where.
            pub fn decode(self, frame: &Frame) -> Result<Message, PeerError> {
                match self.union {
                    $(Union::$union => $union::decode(self.version, frame).map(Message::$union),)*
                }
            }
        }

        impl<'de> DeserializeSeed<'de> for Schema {
            type Value = Message;

            fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Message, D::Error> {
                match self.union {
                    $(Union::$union => $union::deserialize(self.version, source).map(Message::$union),)*
                }
            }
        }
    };
}

unions! {
    /// Runner to relay.
    ToServer {
        V1: v1::ToServer,
        V2: v2::ToServer,
        V3: v3::ToServer,
        V4: v4::ToServer,
        V5: v5::ToServer,
        V6: v6::ToServer,
        V7: super::ToServer,
    }
    steps { V1 V2 V2 V3 V3 V4 V4 V5 V5 V6 V6 V7 } since V1
    /// Relay to runner.
    ToClient {
        V1: v1::ToClient,
        V2: v2::ToClient,
        V3: v3::ToClient,
        V4: v4::ToClient,
        V5: v5::ToClient,
        V6: v6::ToClient,
        V7: super::ToClient,
    }
    steps { V1 V2 V2 V3 V3 V4 V4 V5 V5 V6 V6 V7 } since V1
    /// To a relay, on the bus.
    ToRunner {
        V3: v3::ToRunner,
        V4: v4::ToRunner,
        V5: v5::ToRunner,
        V6: v6::ToRunner,
        V7: super::ToRunner,
    }
    steps { V3 V4 V4 V5 V5 V6 V6 V7 } since V3
    /// To a gateway, on the bus.
    ToGateway {
        V1: v1::ToGateway,
        V2: v2::ToGateway,
        V3: v3::ToGateway,
        V4: v4::ToGateway,
        V5: v5::ToGateway,
        V6: v6::ToGateway,
        V7: super::ToGateway,
    }
    steps { V1 V2 V2 V3 V3 V4 V4 V5 V5 V6 V6 V7 } since V1
    /// To a serverless runner.
    ToServerlessServer {
        V1: v1::ToServerlessServer,
        V2: v2::ToServerlessServer,
        V3: v3::ToServerlessServer,
        V4: v4::ToServerlessServer,
        V5: v5::ToServerlessServer,
        V6: v6::ToServerlessServer,
        V7: super::ToServerlessServer,
    }
    steps { V1 V2 V2 V3 V3 V4 V4 V5 V5 V6 V6 V7 } since V1
}

impl Message {
    /// The same message in another version, step by step.
    ///
    /// # Errors
    /// A version on the way cannot say it, or it may not be passed on: an acknowledgement, the id of a gateway that is
    /// none.
    pub fn translate(self, to: Version, memory: &mut Memory) -> Result<Message, Untranslatable> {
        if self.schema().version() != to && self.names_zero() {
            return Err(Untranslatable::ZeroGatewayId);
        }
        let mut message = self;
        while message.schema().version() < to {
            message = message.newer(memory)?;
        }
        while message.schema().version() > to {
            message = message.older(memory)?;
        }
        Ok(message)
    }
}

impl fmt::Display for Union {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Union {
    type Err = NoSuchName;

    fn from_str(name: &str) -> Result<Self, NoSuchName> {
        Union::ALL.into_iter().find(|union| union.name() == name).ok_or(NoSuchName)
    }
}
