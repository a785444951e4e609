//! From messages to what a stream takes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;
use underpass_core::http::Close;

use super::Role;
use super::header::{Header, LARGEST_CONTROL, Opcode};
use super::mask::{self, Masks};

/// Larger messages are written in fragments of this size: not everybody takes frames of any size, bytes.
const FRAGMENT: usize = 128 * 1024;

/// A payload of this size is written from where it is; a smaller one is copied, bytes.
const SHARED: usize = 4 * 1024;

/// How many pieces are written at once.
const PIECES: usize = 32;

/// How much of what is masked only when it is written is written at once, bytes.
const MASKED: usize = 128 * 1024;

thread_local! {
    /// Where all the sockets of a thread mask large payloads, on the way out: they may be others' too.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a message is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

/// Gathers frames, and writes them together.
#[derive(Debug)]
pub(crate) struct Writer {
    masks: Option<Masks>,
    /// What is to be written first.
    pieces: VecDeque<Piece>,
    /// What is to be written behind them.
    gathered: BytesMut,
}

/// What is written from where it is.
#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// With what it is still to be masked.
    mask: Option<[u8; 4]>,
}

impl Piece {
    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(mask) = &mut self.mask {
            mask.rotate_left(count % 4);
        }
    }
}

impl Writer {
    /// Has nothing to write.
    pub(crate) fn new(role: Role) -> Self {
        let masks = match role {
            Role::Client => Some(Masks::default()),
            Role::Server => None,
        };
        Writer { masks, pieces: VecDeque::new(), gathered: BytesMut::new() }
    }

    /// Whether all is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.gathered.is_empty()
    }

    /// Lets go of its memory, if all is written.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() {
            self.pieces = VecDeque::new();
            self.gathered = BytesMut::new();
        }
    }

    /// Writes a message that is in pieces.
    pub(crate) fn message(&mut self, kind: Kind, mut head: &[u8], mut body: Bytes, tail: &[u8]) {
        let mut opcode = match kind {
            Kind::Text => Opcode::Text,
            Kind::Binary => Opcode::Binary,
        };
        while body.len() > FRAGMENT {
            self.frame(false, opcode, head, body.split_to(FRAGMENT), &[]);
            (opcode, head) = (Opcode::Continue, &[]);
        }
        self.frame(true, opcode, head, body, tail);
    }

    /// Writes a ping.
    pub(crate) fn ping(&mut self) {
        self.frame(true, Opcode::Ping, &[], Bytes::new(), &[]);
    }

    /// Answers a ping.
    pub(crate) fn pong(&mut self, payload: &[u8]) {
        self.frame(true, Opcode::Pong, payload, Bytes::new(), &[]);
    }

    /// Writes a close. No other frame may follow it.
    pub(crate) fn close(&mut self, close: &Close) {
        let mut payload = [0; LARGEST_CONTROL];
        let mut len = 0;
        if let Some((code, reason)) = close.on_the_socket() {
            len = 2 + reason.len();
            payload[..2].copy_from_slice(&code.to_be_bytes());
            payload[2..len].copy_from_slice(reason.as_bytes());
        }
        self.frame(true, Opcode::Close, &payload[..len], Bytes::new(), &[]);
    }

    fn frame(&mut self, last: bool, opcode: Opcode, head: &[u8], body: Bytes, tail: &[u8]) {
        let len = head.len() + body.len() + tail.len();
        let mask = self.masks.as_mut().map(Masks::next);
        let (header, end) = Header { last, opcode, mask, len: len as u64 }.write();
        let shared = body.len() >= SHARED;
        self.gathered.reserve(end + if shared { head.len() } else { len });
        self.gathered.extend_from_slice(&header[..end]);
        self.gather(head, mask);
        // A mask goes on where it was.
        let mask = mask.map(|mask| rotated(mask, head.len()));
        let behind = mask.map(|mask| rotated(mask, body.len()));
        if shared {
            self.pieces.push_back(Piece { bytes: self.gathered.split().freeze(), mask: None });
            self.pieces.push_back(Piece { bytes: body, mask });
        } else {
            self.gather(&body, mask);
        }
        self.gather(tail, behind);
    }

    fn gather(&mut self, bytes: &[u8], mask: Option<[u8; 4]>) {
        let start = self.gathered.len();
        self.gathered.extend_from_slice(bytes);
        if let Some(mask) = mask {
            mask::apply(&mut self.gathered[start..], mask);
        }
    }

    /// Writes once, as much as the stream takes.
    ///
    /// # Errors
    /// The stream broke.
    pub(crate) fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = Pin::new(stream);
        let mut written = if self.pieces.is_empty() {
            ready!(stream.poll_write(context, &self.gathered))?
        } else if self.masks.is_some() {
            ready!(SCRATCH.with_borrow_mut(|scratch| {
                self.mask_into(scratch);
                stream.poll_write(context, scratch)
            }))?
        } else {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let pieces = self.pieces.iter().map(|piece| &piece.bytes[..]).chain([&self.gathered[..]]);
            let count = slices.iter_mut().zip(pieces).map(|(slice, piece)| *slice = IoSlice::new(piece)).count();
            ready!(stream.poll_write_vectored(context, &slices[..count]))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        while let Some(piece) = self.pieces.front_mut() {
            let taken = written.min(piece.bytes.len());
            piece.advance(taken);
            written -= taken;
            if !piece.bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.pieces.pop_front();
        }
        self.gathered.advance(written);
        Poll::Ready(Ok(()))
    }

    /// What comes first, as it is to be written.
    fn mask_into(&self, scratch: &mut Vec<u8>) {
        scratch.clear();
        let gathered = (&self.gathered[..], None);
        for (bytes, mask) in self.pieces.iter().map(|piece| (&piece.bytes[..], piece.mask)).chain([gathered]) {
            let start = scratch.len();
            scratch.extend_from_slice(&bytes[..bytes.len().min(MASKED - start)]);
            if let Some(mask) = mask {
                mask::apply(&mut scratch[start..], mask);
            }
        }
    }
}

fn rotated(mut mask: [u8; 4], by: usize) -> [u8; 4] {
    mask.rotate_left(by % 4);
    mask
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::super::{Incoming, Reader};
    use super::*;

    /// What a stream took that takes at most so many bytes at once.
    struct Narrow(Vec<u8>, usize);

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_one_end_writes_the_other_reads() {
        let large = Bytes::from((0..300_000_u32).map(|i| i as u8).collect::<Vec<_>>());
        for (role, peer) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
            for narrow in [1_000, 1 << 20] {
                let mut stream = Narrow(Vec::new(), narrow);
                let mut writer = Writer::new(role);
                writer.message(Kind::Text, &[], Bytes::from_static("é".as_bytes()), &[]);
                writer.ping();
                writer.message(Kind::Binary, &[1, 2], large.clone(), &[3]);
                writer.pong(b"!");
                writer.message(Kind::Binary, &[1, 2], Bytes::from_static(&[9; 5_000]), &[]);
                writer.message(Kind::Binary, &[], Bytes::new(), &[]);
                writer.close(&Close::new(4001, "x".repeat(200)));
                while !writer.is_empty() {
                    poll_fn(|context| writer.poll_write(&mut stream, context)).await.unwrap();
                }
                writer.rest();
                assert_eq!(writer.gathered.capacity(), 0);
                let mut reader = Reader::new(peer, 1 << 20, &stream.0);
                let mut all = Vec::new();
                while let Some(incoming) = reader.next().unwrap() {
                    all.push(incoming);
                }
                let ping = all.iter().position(|incoming| *incoming == Incoming::Ping(Bytes::new()));
                all.remove(ping.expect("the ping"));
                let pong = all.iter().position(|incoming| *incoming == Incoming::Pong).expect("the pong");
                all.remove(pong);
                let expected = [
                    Incoming::Text("é".into()),
                    Incoming::Binary([&[1, 2], &large[..], &[3]].concat().into()),
                    Incoming::Binary([&[1, 2][..], &[9; 5_000]].concat().into()),
                    Incoming::Binary(Bytes::new()),
                    Incoming::Close(Close::new(4001, "x".repeat(123))),
                ];
                assert!(all == expected, "{role:?}, {narrow} bytes at once");
            }
        }
    }
}
