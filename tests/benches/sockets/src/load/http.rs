//! HTTP/1.1: connections that send the next request when they have the answer to the last.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Cell, Span};
use crate::handler::HELLO;

/// What is sent, and what must come back.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Exchange {
    /// `GET /`.
    pub(crate) fn get(pool: &str) -> Self {
        let request = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx-underpass-pool: {pool}\r\n\r\n").into_bytes();
        Exchange { request, answer: HELLO.into() }
    }

    /// `POST /count` with a body of this many bytes.
    pub(crate) fn post(pool: &str, size: usize) -> Self {
        Exchange { request: post(pool, "/count", &body(size)), answer: size.to_string().into() }
    }

    /// `POST /echo`, likewise.
    pub(crate) fn echo(pool: &str, size: usize) -> Self {
        Exchange { request: post(pool, "/echo", &body(size)), answer: body(size) }
    }
}

fn post(pool: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nx-underpass-pool: {pool}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Bytes of which none is like its neighbours.
pub(crate) fn body(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 167 + at / 256) as u8).collect()
}

/// Measures one cell.
///
/// # Errors
/// An answer was not the right one, or a connection broke.
pub(crate) async fn load(
    address: SocketAddr,
    exchange: &Exchange,
    connections: usize,
    duration: std::time::Duration,
) -> io::Result<Cell> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let span = Span::of(duration);
    let mut running = JoinSet::new();
    for connection in open {
        running.spawn(exchanges(connection, exchange.clone(), span));
    }
    let mut times = Vec::new();
    while let Some(done) = running.join_next().await {
        times.append(&mut done??);
    }
    Ok(Cell::new(times, span))
}

/// How many nanoseconds each exchange took that ended within the span.
async fn exchanges(mut connection: Connection, exchange: Exchange, span: Span) -> io::Result<Vec<u32>> {
    let mut times = Vec::new();
    let mut begun = Instant::now();
    loop {
        connection.exchange(&exchange).await?;
        let now = Instant::now();
        if span.has_ended(now) {
            return Ok(times);
        }
        if span.has_begun(now) {
            times.push(u32::try_from((now - begun).as_nanos()).unwrap_or(u32::MAX));
        }
        begun = now;
    }
}

struct Connection {
    stream: TcpStream,
    came: Vec<u8>,
    body: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, came: Vec::with_capacity(1 << 17), body: Vec::new() })
    }

    async fn exchange(&mut self, exchange: &Exchange) -> io::Result<()> {
        self.stream.write_all(&exchange.request).await?;
        self.came.clear();
        while !self.is_answered()? {
            if self.stream.read_buf(&mut self.came).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if self.body == exchange.answer { Ok(()) } else { Err(wrong(&self.came)) }
    }

    /// Whether the answer has come whole; then `body` is its body.
    fn is_answered(&mut self) -> io::Result<bool> {
        let Some(end) = find(&self.came, b"\r\n\r\n") else { return Ok(false) };
        let (head, rest) = (&self.came[..end], &self.came[end + 4..]);
        if !head.starts_with(b"HTTP/1.1 200 ") {
            return Err(wrong(&self.came));
        }
        self.body.clear();
        if let Some(length) = field(head, "content-length") {
            let length: usize = length.parse().map_err(io::Error::other)?;
            if rest.len() >= length {
                self.body.extend_from_slice(rest);
            }
            Ok(rest.len() >= length)
        } else {
            unchunk(rest, &mut self.body)
        }
    }
}

/// Whether all chunks have come; `body` gets what is in them.
fn unchunk(mut rest: &[u8], body: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let Some(line) = find(rest, b"\r\n") else { return Ok(false) };
        let size = std::str::from_utf8(&rest[..line]).map_err(io::Error::other)?;
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        let Some(chunk) = rest.get(line + 2..line + 2 + size + 2) else { return Ok(false) };
        if size == 0 {
            return Ok(true);
        }
        body.extend_from_slice(&chunk[..size]);
        rest = &rest[line + 2 + size + 2..];
    }
}

fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    std::str::from_utf8(head).ok()?.split("\r\n").find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn wrong(came: &[u8]) -> io::Error {
    let shown = String::from_utf8_lossy(&came[..came.len().min(500)]);
    io::Error::other(format!("a wrong answer: {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_chunks_is_put_together_when_it_is_whole() {
        let chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        for length in 0..chunks.len() {
            assert!(!unchunk(&chunks[..length], &mut Vec::new()).unwrap(), "{length}");
        }
        let mut body = Vec::new();
        assert!(unchunk(chunks, &mut body).unwrap());
        assert_eq!(body, b"abcde");
    }
}
