//! A client that speaks plain HTTP/1.1.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::SOON;

/// A connection that waits, but not for ever.
pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Sends a request and returns the whole answer; the connection is closed behind it.
pub(crate) fn exchange(address: &str, request: &str, body: &str) -> String {
    exchange_in_pool(address, "default", request, body)
}

/// The same in another pool.
pub(crate) fn exchange_in_pool(address: &str, pool: &str, request: &str, body: &str) -> String {
    let mut stream = connect(address);
    let length = body.len();
    let fields = format!("host: {address}\r\nx-underpass-pool: {pool}\r\nconnection: close");
    write!(stream, "{request} HTTP/1.1\r\n{fields}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Asks until a runner of the pool answers: a gateway may hear of a runner a moment after the runner was taken in.
pub(crate) fn answered_in_pool(address: &str, pool: &str, request: &str) -> String {
    let start = Instant::now();
    loop {
        let answer = exchange_in_pool(address, pool, request, "");
        if !answer.contains("no_runner") || start.elapsed() > SOON {
            return answer;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[track_caller]
pub(crate) fn assert_answered(answer: &str, status: &str, part: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(part), "{answer}");
}
