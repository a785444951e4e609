//! WebSockets: one sends a number of messages, and the next ones as those come back.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use super::http::body;
use super::{Cell, Span};

const BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;

/// Measures one cell. How long each message took is told only if one is outstanding at a time.
///
/// # Errors
/// A message was not the right one, or the connection broke.
pub(crate) async fn load(
    address: SocketAddr,
    pool: &str,
    size: usize,
    outstanding: usize,
    duration: Duration,
) -> io::Result<Cell> {
    let socket = Socket::open(address, pool).await?;
    let message = body(size);
    let mut sending = Sending::new(&message, outstanding);
    let mut receiving = Receiving { message, came: Vec::with_capacity(1 << 18), read: 0 };
    let span = Span::of(duration);
    let (mut times, mut count, mut begun) = (Vec::new(), 0_u64, Instant::now());
    loop {
        let interest = if sending.is_idle() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let ready = socket.stream.ready(interest).await?;
        let returned = if ready.is_readable() { receiving.read(&socket.stream)? } else { 0 };
        sending.again(returned);
        sending.write(&socket.stream)?;
        let now = Instant::now();
        if span.has_ended(now) {
            let rate = count as f64 / span.seconds();
            return Ok(Cell { rate, ..Cell::new(times, span) });
        }
        if span.has_begun(now) && returned > 0 {
            count += returned as u64;
            if outstanding == 1 {
                times.push(u32::try_from((now - begun).as_nanos()).unwrap_or(u32::MAX));
            }
        }
        if returned > 0 {
            begun = now;
        }
    }
}

/// An open WebSocket.
pub(crate) struct Socket {
    stream: TcpStream,
}

impl Socket {
    /// Opens one.
    ///
    /// # Errors
    /// It was not taken.
    pub(crate) async fn open(address: SocketAddr, pool: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let asked = format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\
             x-underpass-pool: {pool}\r\n\r\n"
        );
        stream.write_all(asked.as_bytes()).await?;
        let mut came = Vec::new();
        while !came.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut came).await? == 0 {
                break;
            }
        }
        if came.starts_with(b"HTTP/1.1 101 ") {
            Ok(Socket { stream })
        } else {
            Err(io::Error::other(format!("no WebSocket: {}", String::from_utf8_lossy(&came))))
        }
    }

    /// Sends a message, and waits until it has come back.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn round(&mut self, size: usize) -> io::Result<()> {
        let message = body(size);
        self.stream.write_all(&frame(&message)).await?;
        let mut receiving = Receiving { message, came: Vec::new(), read: 0 };
        loop {
            self.stream.readable().await?;
            if receiving.read(&self.stream)? > 0 {
                return Ok(());
            }
        }
    }
}

/// A message as a client sends it.
fn frame(message: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let length = message.len();
    let mut frame = vec![BINARY];
    match length {
        0..=125 => frame.push(MASKED | length as u8),
        126..=0xffff => {
            frame.push(MASKED | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(MASKED | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(message.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// What is still to be sent: the same message over and over.
struct Sending {
    /// A few frames, one behind the other.
    frames: Vec<u8>,
    frame: usize,
    /// Bytes that are due, and how far into a frame the first of them is.
    due: usize,
    at: usize,
}

impl Sending {
    fn new(message: &[u8], outstanding: usize) -> Self {
        let one = frame(message);
        let few = outstanding.min((1 << 18) / one.len()).max(1);
        Sending { frames: one.repeat(few), frame: one.len(), due: outstanding * one.len(), at: 0 }
    }

    fn is_idle(&self) -> bool {
        self.due == 0
    }

    fn again(&mut self, messages: usize) {
        self.due += messages * self.frame;
    }

    fn write(&mut self, stream: &TcpStream) -> io::Result<()> {
        while self.due > 0 {
            let end = self.frames.len().min(self.at + self.due);
            match stream.try_write(&self.frames[self.at..end]) {
                Ok(written) => {
                    self.due -= written;
                    self.at = (self.at + written) % self.frame;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What comes back.
struct Receiving {
    message: Vec<u8>,
    came: Vec<u8>,
    /// So far it has been read.
    read: usize,
}

impl Receiving {
    /// Reads once: how many messages are whole now.
    fn read(&mut self, stream: &TcpStream) -> io::Result<usize> {
        self.came.drain(..self.read);
        self.read = 0;
        self.came.reserve(1 << 16);
        match stream.try_read_buf(&mut self.came) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error),
        }
        let mut messages = 0;
        while self.take()? {
            messages += 1;
        }
        Ok(messages)
    }

    /// Whether the next message is there, which must be the one that was sent.
    fn take(&mut self) -> io::Result<bool> {
        let rest = &self.came[self.read..];
        let &[kind, length, ..] = rest else { return Ok(false) };
        let (head, length) = match length {
            126 => match rest.get(2..4) {
                Some(bytes) => (4, bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))),
                None => return Ok(false),
            },
            127 => match rest.get(2..10) {
                Some(bytes) => (10, bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))),
                None => return Ok(false),
            },
            length => (2, usize::from(length)),
        };
        let Some(payload) = rest.get(head..head + length) else { return Ok(false) };
        if kind != BINARY || payload != self.message {
            return Err(io::Error::other(format!("a frame of kind {kind:#x} with {length} bytes that are not ours")));
        }
        self.read += head + length;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_each_size_are_taken_when_they_are_whole() {
        for size in [0, 1, 125, 126, 0xffff, 0x1_0000] {
            let message = body(size);
            let mut sent = frame(&message);
            // As a server sends it: not masked.
            let head = sent.len() - size - 4;
            sent.drain(head..head + 4);
            sent[1] &= !MASKED;
            sent.splice(head.., message.iter().copied());
            let mut receiving = Receiving { message, came: sent[..sent.len() - 1].to_vec(), read: 0 };
            assert!(!receiving.take().unwrap(), "{size}");
            receiving.came = sent;
            assert!(receiving.take().unwrap(), "{size}");
            assert_eq!(receiving.read, receiving.came.len());
        }
    }
}
