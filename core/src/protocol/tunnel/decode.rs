//! Reading tunnel messages. Payloads, headers and the ids of actors stay slices of the frame.

use bytestring::ByteString;

use super::tag::{ToClientTag, ToServerTag};
use super::{Dialect, ToClientTunnelMessage, ToServerTunnelMessage, to_client, to_server};
use crate::error::{Malformed, PeerError};
use crate::protocol::bare::Reader;
use crate::protocol::ids::{GatewayId, MessageId, RequestId};
use crate::protocol::map::{Map, Pairs};

impl MessageId {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, PeerError> {
        Ok(MessageId {
            gateway_id: GatewayId(reader.array("a gateway id of four bytes")?),
            request_id: RequestId(reader.array("a request id of four bytes")?),
            message_index: reader.u16()?,
        })
    }
}

impl ToClientTunnelMessage {
    pub(crate) fn read(reader: &mut Reader<'_>, dialect: Dialect) -> Result<Self, PeerError> {
        use to_client::{Kind, RequestChunk, RequestStart, WebSocketClose, WebSocketOpen};

        let message_id = MessageId::read(reader)?;
        let message_kind = match ToClientTag::read(reader, dialect)? {
            ToClientTag::RequestStart => Kind::RequestStart(RequestStart {
                actor_id: reader.text()?,
                method: reader.text()?,
                path: reader.text()?,
                headers: headers(reader)?,
                body: optional(reader, Reader::data)?,
                stream: reader.bool()?,
            }),
            ToClientTag::RequestChunk => {
                Kind::RequestChunk(RequestChunk { body: reader.data()?, finish: reader.bool()? })
            }
            ToClientTag::RequestAbort => Kind::RequestAbort,
            ToClientTag::WebSocketOpen => Kind::WebSocketOpen(WebSocketOpen {
                actor_id: reader.text()?,
                path: reader.text()?,
                headers: headers(reader)?,
            }),
            ToClientTag::WebSocketMessage => Kind::WebSocketMessage(web_socket_message(reader)?),
            ToClientTag::WebSocketClose => Kind::WebSocketClose(WebSocketClose {
                code: optional(reader, Reader::u16)?,
                reason: optional(reader, Reader::text)?,
            }),
            ToClientTag::Credit => Kind::Credit(credit(reader)?),
        };
        Ok(ToClientTunnelMessage { message_id, message_kind })
    }
}

impl ToServerTunnelMessage {
    pub(crate) fn read(reader: &mut Reader<'_>, dialect: Dialect) -> Result<Self, PeerError> {
        use to_server::{Kind, ResponseChunk, ResponseStart, WebSocketClose, WebSocketMessageAck, WebSocketOpen};

        let message_id = MessageId::read(reader)?;
        let message_kind = match ToServerTag::read(reader, dialect)? {
            ToServerTag::ResponseStart => Kind::ResponseStart(ResponseStart {
                status: reader.u16()?,
                headers: headers(reader)?,
                body: optional(reader, Reader::data)?,
                stream: reader.bool()?,
            }),
            ToServerTag::ResponseChunk => {
                Kind::ResponseChunk(ResponseChunk { body: reader.data()?, finish: reader.bool()? })
            }
            ToServerTag::ResponseAbort => Kind::ResponseAbort,
            ToServerTag::WebSocketOpen => Kind::WebSocketOpen(WebSocketOpen { can_hibernate: reader.bool()? }),
            ToServerTag::WebSocketMessage => Kind::WebSocketMessage(web_socket_message(reader)?),
            ToServerTag::WebSocketMessageAck => Kind::WebSocketMessageAck(WebSocketMessageAck { index: reader.u16()? }),
            ToServerTag::WebSocketClose => Kind::WebSocketClose(WebSocketClose {
                code: optional(reader, Reader::u16)?,
                reason: optional(reader, Reader::text)?,
                hibernate: reader.bool()?,
            }),
            ToServerTag::Credit => Kind::Credit(credit(reader)?),
        };
        Ok(ToServerTunnelMessage { message_id, message_kind })
    }
}

fn web_socket_message(reader: &mut Reader<'_>) -> Result<to_client::WebSocketMessage, PeerError> {
    Ok(to_client::WebSocketMessage { data: reader.data()?, binary: reader.bool()? })
}

fn credit(reader: &mut Reader<'_>) -> Result<to_client::Credit, PeerError> {
    Ok(to_client::Credit { total: reader.u32()? })
}

fn optional<'f, T>(
    reader: &mut Reader<'f>,
    read: impl FnOnce(&mut Reader<'f>) -> Result<T, PeerError>,
) -> Result<Option<T>, PeerError> {
    if reader.optional()? { read(reader).map(Some) } else { Ok(None) }
}

fn headers(reader: &mut Reader<'_>) -> Result<Map<ByteString>, PeerError> {
    let count = reader.length()?;
    let mut pairs = Pairs::with_room_for(count);
    for _ in 0..count {
        let start = reader.offset();
        let key = reader.text()?;
        pairs.check(&key).map_err(|_| {
            reader.malformed(Malformed::DuplicateMapKey, start, "a header that the map does not have yet")
        })?;
        pairs.push(key, reader.text()?);
    }
    Ok(pairs.into_map())
}
