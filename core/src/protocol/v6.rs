//! Version 6: no `KvDeleteRangeRequest`. All else is version 7's.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::kv::{self, KvListQuery};
use super::to_server::{AckCommands, EventWrapper, Init, Pong};
use super::translate::{NamesGateways, Translate, Untranslatable};
use super::tunnel::ToServerTunnelMessage;
use super::{DataList, Memory, Version};

pub use super::{ToClient, ToGateway, ToRunner, ToServerlessServer};

/// `ToServer` of version 6; older versions put in their own events and acknowledgements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToServer<Event = EventWrapper, Ack = AckCommands> {
    /// `ToServerInit`.
    #[serde(rename = "ToServerInit")]
    Init(Init),
    /// `ToServerEvents`.
    #[serde(rename = "ToServerEvents")]
    Events(Vec<Event>),
    /// `ToServerAckCommands`.
    #[serde(rename = "ToServerAckCommands")]
    AckCommands(Ack),
    /// `ToServerStopping`.
    #[serde(rename = "ToServerStopping")]
    Stopping,
    /// `ToServerPong`.
    #[serde(rename = "ToServerPong")]
    Pong(Pong),
    /// `ToServerKvRequest`.
    #[serde(rename = "ToServerKvRequest")]
    KvRequest(KvRequest),
    /// `ToServerTunnelMessage`.
    #[serde(rename = "ToServerTunnelMessage")]
    TunnelMessage(ToServerTunnelMessage),
}

/// `ToServerKvRequest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KvRequest {
    /// Whose store.
    pub actor_id: ByteString,
    /// Repeated in the answer.
    pub request_id: u32,
    /// What to do.
    pub data: KvRequestData,
}

/// `KvRequestData`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvRequestData {
    /// `KvGetRequest`: these keys.
    #[serde(rename = "KvGetRequest")]
    Get {
        /// In the order in which the answer shall have them.
        keys: DataList,
    },
    /// `KvListRequest`: the keys of a range, ascending by bytes.
    #[serde(rename = "KvListRequest")]
    List {
        /// Which.
        query: KvListQuery,
        /// Descending instead.
        reverse: Option<bool>,
        /// At most so many.
        limit: Option<u64>,
    },
    /// `KvPutRequest`: the n-th key gets the n-th value.
    #[serde(rename = "KvPutRequest")]
    Put {
        /// Keys.
        keys: DataList,
        /// As many values.
        values: DataList,
    },
    /// `KvDeleteRequest`: these keys.
    #[serde(rename = "KvDeleteRequest")]
    Delete {
        /// Keys; missing ones do no harm.
        keys: DataList,
    },
    /// `KvDropRequest`: all keys of the actor.
    #[serde(rename = "KvDropRequest")]
    Drop,
}

impl<Event, Ack> NamesGateways for ToServer<Event, Ack> {
    fn names_zero(&self) -> bool {
        match self {
            ToServer::TunnelMessage(message) => message.names_zero(),
            ToServer::Init(_)
            | ToServer::Events(_)
            | ToServer::AckCommands(_)
            | ToServer::Stopping
            | ToServer::Pong(_)
            | ToServer::KvRequest(_) => false,
        }
    }
}

impl Translate<super::ToServer> for ToServer {
    fn translate(self, _: &mut Memory) -> Result<super::ToServer, Untranslatable> {
        use super::ToServer as Newer;

        Ok(match self {
            ToServer::Init(init) => Newer::Init(init),
            ToServer::Events(events) => Newer::Events(events),
            ToServer::AckCommands(acks) => Newer::AckCommands(acks),
            ToServer::Stopping => Newer::Stopping,
            ToServer::Pong(pong) => Newer::Pong(pong),
            ToServer::KvRequest(request) => Newer::KvRequest(request.into()),
            ToServer::TunnelMessage(message) => Newer::TunnelMessage(message),
        })
    }
}

impl Translate<ToServer> for super::ToServer {
    fn translate(self, _: &mut Memory) -> Result<ToServer, Untranslatable> {
        use super::ToServer as Newer;

        Ok(match self {
            Newer::Init(init) => ToServer::Init(init),
            Newer::Events(events) => ToServer::Events(events),
            Newer::AckCommands(acks) => ToServer::AckCommands(acks),
            Newer::Stopping => ToServer::Stopping,
            Newer::Pong(pong) => ToServer::Pong(pong),
            Newer::KvRequest(request) => ToServer::KvRequest(request.try_into()?),
            Newer::TunnelMessage(message) => ToServer::TunnelMessage(message),
        })
    }
}

impl From<KvRequest> for kv::KvRequest {
    fn from(KvRequest { actor_id, request_id, data }: KvRequest) -> Self {
        use kv::KvRequestData as Newer;

        let data = match data {
            KvRequestData::Get { keys } => Newer::Get { keys },
            KvRequestData::List { query, reverse, limit } => Newer::List { query, reverse, limit },
            KvRequestData::Put { keys, values } => Newer::Put { keys, values },
            KvRequestData::Delete { keys } => Newer::Delete { keys },
            KvRequestData::Drop => Newer::Drop,
        };
        kv::KvRequest { actor_id, request_id, data }
    }
}

impl TryFrom<kv::KvRequest> for KvRequest {
    type Error = Untranslatable;

    fn try_from(kv::KvRequest { actor_id, request_id, data }: kv::KvRequest) -> Result<Self, Untranslatable> {
        use kv::KvRequestData as Newer;

        let data = match data {
            Newer::Get { keys } => KvRequestData::Get { keys },
            Newer::List { query, reverse, limit } => KvRequestData::List { query, reverse, limit },
            Newer::Put { keys, values } => KvRequestData::Put { keys, values },
            Newer::Delete { keys } => KvRequestData::Delete { keys },
            Newer::DeleteRange { .. } => {
                return Err(Untranslatable::Needs { message: "KvDeleteRangeRequest", version: Version::V7 });
            }
            Newer::Drop => KvRequestData::Drop,
        };
        Ok(KvRequest { actor_id, request_id, data })
    }
}
