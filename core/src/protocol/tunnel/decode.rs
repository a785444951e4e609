//! Reading tunnel messages, and the codec of their parts that other versions share. Payloads, headers and the ids of actors stay slices of the frame.

use bytes::BufMut;

use super::tag::{ToClientTag, ToServerTag};
use super::{Dialect, ToClientTunnelMessage, ToServerTunnelMessage, to_client, to_server};
use crate::error::PeerError;
use crate::protocol::bare::{Pieces, Reader, Wire, wire_struct};
use crate::protocol::ids::{GatewayId, MessageId, RequestId};

wire_struct!(to_client::RequestStart { actor_id, method, path, headers, body, stream });
wire_struct!(to_client::RequestChunk { body, finish });
wire_struct!(to_client::WebSocketOpen { actor_id, path, headers });
wire_struct!(to_client::WebSocketMessage { data, binary });
wire_struct!(to_client::WebSocketClose { code, reason });
wire_struct!(to_server::ResponseStart { status, headers, body, stream });
wire_struct!(to_server::ResponseChunk { body, finish });
wire_struct!(to_server::WebSocketOpen { can_hibernate });
wire_struct!(to_server::WebSocketMessageAck { index });
wire_struct!(to_server::WebSocketClose { code, reason, hibernate });

impl Wire for MessageId {
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, PeerError> {
        Ok(MessageId {
            gateway_id: GatewayId(reader.array("a gateway id of four bytes")?),
            request_id: RequestId(reader.array("a request id of four bytes")?),
            message_index: reader.u16()?,
        })
    }

    fn write(&self, pieces: &mut Pieces) {
        let head = pieces.plain();
        head.put_slice(&self.gateway_id.0);
        head.put_slice(&self.request_id.0);
        head.put_u16_le(self.message_index);
    }
}

impl ToClientTunnelMessage {
    pub(crate) fn read(reader: &mut Reader<'_>, dialect: Dialect) -> Result<Self, PeerError> {
        use to_client::Kind;

        let message_id = MessageId::read(reader)?;
        let message_kind = match ToClientTag::read(reader, dialect)? {
            ToClientTag::RequestStart => Kind::RequestStart(Wire::read(reader)?),
            ToClientTag::RequestChunk => Kind::RequestChunk(Wire::read(reader)?),
            ToClientTag::RequestAbort => Kind::RequestAbort,
            ToClientTag::WebSocketOpen => Kind::WebSocketOpen(Wire::read(reader)?),
            ToClientTag::WebSocketMessage => Kind::WebSocketMessage(Wire::read(reader)?),
            ToClientTag::WebSocketClose => Kind::WebSocketClose(Wire::read(reader)?),
            ToClientTag::Credit => Kind::Credit(credit(reader)?),
        };
        Ok(ToClientTunnelMessage { message_id, message_kind })
    }
}

impl ToServerTunnelMessage {
    pub(crate) fn read(reader: &mut Reader<'_>, dialect: Dialect) -> Result<Self, PeerError> {
        use to_server::Kind;

        let message_id = MessageId::read(reader)?;
        let message_kind = match ToServerTag::read(reader, dialect)? {
            ToServerTag::ResponseStart => Kind::ResponseStart(Wire::read(reader)?),
            ToServerTag::ResponseChunk => Kind::ResponseChunk(Wire::read(reader)?),
            ToServerTag::ResponseAbort => Kind::ResponseAbort,
            ToServerTag::WebSocketOpen => Kind::WebSocketOpen(Wire::read(reader)?),
            ToServerTag::WebSocketMessage => Kind::WebSocketMessage(Wire::read(reader)?),
            ToServerTag::WebSocketMessageAck => Kind::WebSocketMessageAck(Wire::read(reader)?),
            ToServerTag::WebSocketClose => Kind::WebSocketClose(Wire::read(reader)?),
            ToServerTag::Credit => Kind::Credit(credit(reader)?),
        };
        Ok(ToServerTunnelMessage { message_id, message_kind })
    }
}

fn credit(reader: &mut Reader<'_>) -> Result<to_client::Credit, PeerError> {
    Ok(to_client::Credit { total: reader.u32()? })
}
