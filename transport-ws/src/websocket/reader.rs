//! From what a stream brings to messages.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use underpass_core::http::Close;

use super::header::{Header, LONGEST, Opcode};
use super::{Role, mask};

/// How much is read at once while nothing is known of what comes, bytes. It is also the most memory that a small
/// message can keep from being freed.
const READ: usize = 16 * 1024;

/// How much is read behind a large frame, so that the head of the next one comes with it, bytes.
const BEHIND: usize = 256;

thread_local! {
    /// Where all the sockets of a thread read, so that none needs room of its own while nothing comes.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A text message.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
    /// A ping, to be answered with the same.
    Ping(Bytes),
    /// The answer to a ping.
    Pong,
    /// The peer closes.
    Close(Close),
}

/// Parses what a stream brings.
#[derive(Debug)]
pub(crate) struct Reader {
    role: Role,
    max_message: usize,
    /// What was read and not parsed.
    buffer: BytesMut,
    /// The head of the frame whose payload is at the beginning of the buffer, or comes there.
    header: Option<Header>,
    /// The message whose last frame has not come.
    message: Option<Fragments>,
}

#[derive(Debug)]
struct Fragments {
    text: bool,
    data: BytesMut,
}

impl Reader {
    /// For messages of at most so many bytes, with what was read behind the handshake.
    pub(crate) fn new(role: Role, max_message: usize, read: &[u8]) -> Self {
        Reader { role, max_message, buffer: BytesMut::from(read), header: None, message: None }
    }

    /// Reads once: how many bytes, none at the end.
    pub(crate) fn poll_fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let missing = self.header.map_or(0, |header| header.len as usize - self.buffer.len());
        if self.buffer.is_empty() && missing < READ {
            // Lets go of what it held for messages that are with others now.
            self.buffer = BytesMut::new();
            return SCRATCH.with_borrow_mut(|scratch| {
                let mut read = ReadBuf::new(scratch);
                ready!(Pin::new(stream).poll_read(context, &mut read))?;
                self.buffer = BytesMut::from(read.filled());
                Poll::Ready(Ok(read.filled().len()))
            });
        }
        self.buffer.reserve(if missing < READ { READ } else { missing + BEHIND });
        pin!(stream.read_buf(&mut self.buffer)).poll(context)
    }

    /// What came next; none if it is not all there.
    ///
    /// # Errors
    /// The peer broke a rule: the socket is to be closed so.
    pub(crate) fn next(&mut self) -> Result<Option<Incoming>, Close> {
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            // It was checked against the largest message.
            let len = header.len as usize;
            if self.buffer.len() < len {
                return Ok(None);
            }
            self.header = None;
            let mut payload = self.buffer.split_to(len);
            if let Some(mask) = header.mask {
                mask::apply(&mut payload, mask);
            }
            match header.opcode {
                Opcode::Ping => return Ok(Some(Incoming::Ping(payload.freeze()))),
                Opcode::Pong => return Ok(Some(Incoming::Pong)),
                Opcode::Close => return close(&payload).map(|close| Some(Incoming::Close(close))),
                Opcode::Text | Opcode::Binary if header.last => {
                    return message(header.opcode == Opcode::Text, payload.freeze()).map(Some);
                }
                Opcode::Text | Opcode::Binary => {
                    self.message = Some(Fragments { text: header.opcode == Opcode::Text, data: payload });
                }
                Opcode::Continue => {
                    let Some(mut fragments) = self.message.take() else {
                        return Err(Close::new(1002, "a fragment of no message"));
                    };
                    fragments.data.extend_from_slice(&payload);
                    if header.last {
                        return message(fragments.text, fragments.data.freeze()).map(Some);
                    }
                    self.message = Some(fragments);
                }
            }
        }
    }

    /// The head of the frame that comes next, if it is there.
    fn header(&mut self) -> Result<Option<Header>, Close> {
        if self.header.is_some() {
            return Ok(self.header);
        }
        let Some((header, len)) = Header::read(&self.buffer[..self.buffer.len().min(LONGEST)])? else {
            return Ok(None);
        };
        self.check(&header)?;
        self.buffer.advance(len);
        self.header = Some(header);
        Ok(self.header)
    }

    /// Whether a frame may come now, before any of its payload is waited for.
    fn check(&self, header: &Header) -> Result<(), Close> {
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(Close::new(1002, "a frame of a client without a mask")),
            (Role::Client, Some(_)) => return Err(Close::new(1002, "a frame of a server with a mask")),
            (Role::Server, Some(_)) | (Role::Client, None) => {}
        }
        let before = match (header.opcode, &self.message) {
            (Opcode::Text | Opcode::Binary, None) => 0,
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Close::new(1002, "a message within the fragments of another"));
            }
            (Opcode::Continue, Some(message)) => message.data.len(),
            (Opcode::Continue, None) => return Err(Close::new(1002, "a fragment of no message")),
            // Limited by itself.
            (Opcode::Ping | Opcode::Pong | Opcode::Close, _) => return Ok(()),
        };
        if header.len > (self.max_message - before) as u64 {
            return Err(Close::new(1009, "the message is too large"));
        }
        Ok(())
    }
}

fn message(text: bool, data: Bytes) -> Result<Incoming, Close> {
    if !text {
        return Ok(Incoming::Binary(data));
    }
    ByteString::try_from(data).map(Incoming::Text).map_err(|_| Close::new(1007, "not UTF-8"))
}

fn close(payload: &[u8]) -> Result<Close, Close> {
    match payload {
        [] => Ok(Close::default()),
        [_] => Err(Close::new(1002, "half a code in a close")),
        [high, low, reason @ ..] => {
            let reason = str::from_utf8(reason).map_err(|_| Close::new(1007, "not UTF-8"))?;
            let close = Close::new(u16::from_be_bytes([*high, *low]), reason);
            // Some codes are never sent.
            Ok(if close.on_the_socket().is_some() { close } else { Close::new(1002, "Protocol violation") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(last: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let header = Header { last, opcode, mask: Some([1, 2, 3, 4]), len: payload.len() as u64 };
        let (head, end) = header.write();
        let mut bytes = [&head[..end], payload].concat();
        mask::apply(&mut bytes[end..], [1, 2, 3, 4]);
        bytes
    }

    /// All that comes of it, read in pieces of this size.
    async fn read(bytes: &[u8], piece: usize) -> Result<Vec<Incoming>, Close> {
        let mut reader = Reader::new(Role::Server, 100_000, &[]);
        let mut all = Vec::new();
        for mut piece in bytes.chunks(piece) {
            while !piece.is_empty() {
                std::future::poll_fn(|context| reader.poll_fill(&mut piece, context)).await.unwrap();
                while let Some(incoming) = reader.next()? {
                    all.push(incoming);
                }
            }
        }
        Ok(all)
    }

    #[tokio::test]
    async fn messages_come_whole_however_they_are_cut() {
        let large = vec![7; 90_000];
        let bytes = [
            frame(true, Opcode::Text, "é".as_bytes()),
            frame(false, Opcode::Binary, b"in "),
            frame(true, Opcode::Ping, b"?"),
            frame(false, Opcode::Continue, b""),
            frame(true, Opcode::Continue, b"pieces"),
            frame(true, Opcode::Binary, &large),
            frame(true, Opcode::Pong, b""),
            frame(true, Opcode::Binary, b""),
            frame(true, Opcode::Close, b"\x0f\xa0bye"),
        ]
        .concat();
        let expected = [
            Incoming::Text("é".into()),
            Incoming::Ping(Bytes::from_static(b"?")),
            Incoming::Binary(Bytes::from_static(b"in pieces")),
            Incoming::Binary(large.into()),
            Incoming::Pong,
            Incoming::Binary(Bytes::new()),
            Incoming::Close(Close::new(4000, "bye")),
        ];
        for piece in [1, 2, 3, 1_000, 20_000, bytes.len()] {
            assert_eq!(read(&bytes, piece).await.as_deref(), Ok(&expected[..]), "in pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn what_breaks_a_rule_is_closed_with_the_code_for_it() {
        for (bytes, code) in [
            (frame(true, Opcode::Continue, b""), 1002),
            ([frame(false, Opcode::Text, b""), frame(true, Opcode::Text, b"")].concat(), 1002),
            (b"\x82\x00".to_vec(), 1002),
            (frame(true, Opcode::Close, b"\x03"), 1002),
            (frame(true, Opcode::Close, b"\x03\xe8\xff"), 1007),
            (frame(true, Opcode::Text, b"\xff"), 1007),
            (frame(true, Opcode::Binary, &[0; 100_001])[..14].to_vec(), 1009),
            ([frame(false, Opcode::Text, &[0; 60_000]), frame(true, Opcode::Continue, &[0; 60_000])].concat(), 1009),
            (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00".to_vec(), 1009),
        ] {
            assert_eq!(read(&bytes, 1_000).await.unwrap_err().code, Some(code));
        }
    }

    #[tokio::test]
    async fn nothing_is_held_when_nothing_is_under_way() {
        let mut reader = Reader::new(Role::Server, 100_000, &[]);
        let bytes = frame(true, Opcode::Binary, &[0; 90_000]);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            std::future::poll_fn(|context| reader.poll_fill(&mut rest, context)).await.unwrap();
            drop(reader.next());
        }
        let mut nothing = tokio::io::empty();
        std::future::poll_fn(|context| reader.poll_fill(&mut nothing, context)).await.unwrap();
        assert_eq!(reader.buffer.capacity(), 0);
    }
}
