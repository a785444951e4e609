//! Writing tunnel messages. Payloads become the body of the frame, and what is short stays in its inline head.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::tag::{ToClientTag, ToServerTag};
use super::{ToClientTunnelMessage, ToServerTunnelMessage, to_client, to_server};
use crate::frame::Frame;
use crate::protocol::bare::{PutBare, data_len, length_len};
use crate::protocol::ids::MessageId;
use crate::protocol::map::Map;

impl ToClientTunnelMessage {
    /// As [`write`](Self::write) does, for a message that is of no use any more: its payload need not be shared.
    pub(crate) fn into_frame(mut self, lead: &[u8]) -> Frame {
        use to_client::Kind;

        let open = |tag: ToClientTag| Opening { lead, id: self.message_id, tag: tag as u8 };
        match &mut self.message_kind {
            Kind::RequestChunk(chunk) => {
                open(ToClientTag::RequestChunk).payload(core::mem::take(&mut chunk.body), chunk.finish)
            }
            Kind::WebSocketMessage(message) => {
                open(ToClientTag::WebSocketMessage).payload(core::mem::take(&mut message.data), message.binary)
            }
            Kind::RequestStart(_)
            | Kind::RequestAbort
            | Kind::WebSocketOpen(_)
            | Kind::WebSocketClose(_)
            | Kind::Credit(_) => self.write(lead),
        }
    }

    /// The message behind the bytes of `lead`: the tag of the union that it travels in, and a version if any.
    pub(crate) fn write(&self, lead: &[u8]) -> Frame {
        use to_client::Kind;

        let open = |tag: ToClientTag| Opening { lead, id: self.message_id, tag: tag as u8 };
        match &self.message_kind {
            Kind::RequestStart(start) => {
                let texts = [&start.actor_id, &start.method, &start.path];
                let more = texts_len(texts) + headers_len(&start.headers) + body_head_len(&start.body);
                let mut head = open(ToClientTag::RequestStart).long(more);
                for text in texts {
                    head.put_text(text);
                }
                put_headers(&mut head, &start.headers);
                with_body(head, &start.body, start.stream)
            }
            Kind::RequestChunk(chunk) => open(ToClientTag::RequestChunk).payload(chunk.body.clone(), chunk.finish),
            Kind::RequestAbort => open(ToClientTag::RequestAbort).short(|_| {}),
            Kind::WebSocketOpen(socket) => {
                let texts = [&socket.actor_id, &socket.path];
                let mut head = open(ToClientTag::WebSocketOpen).long(texts_len(texts) + headers_len(&socket.headers));
                for text in texts {
                    head.put_text(text);
                }
                put_headers(&mut head, &socket.headers);
                Frame::with_shared_head(head.freeze(), Bytes::new(), None)
            }
            Kind::WebSocketMessage(message) => {
                open(ToClientTag::WebSocketMessage).payload(message.data.clone(), message.binary)
            }
            Kind::WebSocketClose(close) => open(ToClientTag::WebSocketClose).close(close.code, &close.reason, None),
            Kind::Credit(credit) => open(ToClientTag::Credit).short(|head| head.put_u32_le(credit.total)),
        }
    }
}

impl ToServerTunnelMessage {
    /// The message behind the bytes of `lead`: the tag of the union that it travels in, and a version if any.
    pub(crate) fn write(&self, lead: &[u8]) -> Frame {
        use to_server::Kind;

        let open = |tag: ToServerTag| Opening { lead, id: self.message_id, tag: tag as u8 };
        match &self.message_kind {
            Kind::ResponseStart(start) => {
                let more = size_of_val(&start.status) + headers_len(&start.headers) + body_head_len(&start.body);
                let mut head = open(ToServerTag::ResponseStart).long(more);
                head.put_u16_le(start.status);
                put_headers(&mut head, &start.headers);
                with_body(head, &start.body, start.stream)
            }
            Kind::ResponseChunk(chunk) => open(ToServerTag::ResponseChunk).payload(chunk.body.clone(), chunk.finish),
            Kind::ResponseAbort => open(ToServerTag::ResponseAbort).short(|_| {}),
            Kind::WebSocketOpen(socket) => {
                open(ToServerTag::WebSocketOpen).short(|head| head.put_bool(socket.can_hibernate))
            }
            Kind::WebSocketMessage(message) => {
                open(ToServerTag::WebSocketMessage).payload(message.data.clone(), message.binary)
            }
            Kind::WebSocketMessageAck(ack) => {
                open(ToServerTag::WebSocketMessageAck).short(|head| head.put_u16_le(ack.index))
            }
            Kind::WebSocketClose(close) => {
                open(ToServerTag::WebSocketClose).close(close.code, &close.reason, Some(close.hibernate))
            }
            Kind::Credit(credit) => open(ToServerTag::Credit).short(|head| head.put_u32_le(credit.total)),
        }
    }
}

/// Bytes of a message's id and of the tag of its kind.
const ID_AND_TAG: usize = 11;

/// What each tunnel message starts with.
struct Opening<'a> {
    lead: &'a [u8],
    id: MessageId,
    tag: u8,
}

impl Opening<'_> {
    fn put(&self, head: &mut impl BufMut) {
        head.put_slice(self.lead);
        head.put_slice(&self.id.gateway_id.0);
        head.put_slice(&self.id.request_id.0);
        head.put_u16_le(self.id.message_index);
        head.put_u8(self.tag);
    }

    /// A frame that is all inline head.
    fn short(&self, write: impl FnOnce(&mut &mut [u8])) -> Frame {
        self.around(Bytes::new(), None, write)
    }

    /// A frame of an inline head, a payload that goes as it is, and a bool.
    fn payload(&self, payload: Bytes, last: bool) -> Frame {
        let length = payload.len();
        self.around(payload, Some(last), |head| head.put_length(length))
    }

    fn close(&self, code: Option<u16>, reason: &Option<ByteString>, hibernate: Option<bool>) -> Frame {
        let text = reason.clone().unwrap_or_default().into_bytes();
        self.around(text, hibernate, |head| {
            head.put_bool(code.is_some());
            if let Some(code) = code {
                head.put_u16_le(code);
            }
            head.put_bool(reason.is_some());
            if let Some(reason) = reason {
                head.put_length(reason.len());
            }
        })
    }

    fn around(&self, body: Bytes, last: Option<bool>, write: impl FnOnce(&mut &mut [u8])) -> Frame {
        Frame::with_inline_head(body, last.map(u8::from), |room| {
            self.put(room);
            write(room);
        })
    }

    /// A head that has room for exactly so many bytes more, so that it can be shared without another allocation.
    fn long(&self, more: usize) -> BytesMut {
        let mut head = BytesMut::with_capacity(self.lead.len() + ID_AND_TAG + more);
        self.put(&mut head);
        head
    }
}

fn texts_len<const N: usize>(texts: [&ByteString; N]) -> usize {
    texts.iter().map(|text| data_len(text.len())).sum()
}

fn headers_len(headers: &Map<ByteString>) -> usize {
    let pairs: usize = headers.iter().map(|(name, value)| data_len(name.len()) + data_len(value.len())).sum();
    length_len(headers.len()) + pairs
}

/// How many bytes of head stand in front of a body.
fn body_head_len(body: &Option<Bytes>) -> usize {
    1 + body.as_ref().map_or(0, |body| length_len(body.len()))
}

fn put_headers(head: &mut BytesMut, headers: &Map<ByteString>) {
    head.put_length(headers.len());
    for (name, value) in headers.iter() {
        head.put_text(name);
        head.put_text(value);
    }
}

fn with_body(mut head: BytesMut, body: &Option<Bytes>, stream: bool) -> Frame {
    head.put_bool(body.is_some());
    if let Some(body) = body {
        head.put_length(body.len());
    }
    Frame::with_shared_head(head.freeze(), body.clone().unwrap_or_default(), Some(u8::from(stream)))
}
