//! A stream up to the end of the answer to a WebSocket's opening.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Lets through the head of the answer that takes a WebSocket, and keeps what comes behind it. An answer that takes
/// none comes whole.
pub(crate) struct Answered<S> {
    stream: S,
    head: Vec<u8>,
    behind: Bytes,
}

impl<S> Answered<S> {
    /// Of which nothing was read.
    pub(crate) fn new(stream: S) -> Self {
        Answered { stream, head: Vec::new(), behind: Bytes::new() }
    }

    /// The stream, and what was read of it behind the head.
    pub(crate) fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.behind)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Answered<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Answered { stream, head, behind } = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(stream).poll_read(context, buffer))?;
        head.extend_from_slice(&buffer.filled()[before..]);
        let end = head.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4);
        if let Some(end) = end.filter(|_| head.starts_with(b"HTTP/1.1 101")) {
            *behind = Bytes::copy_from_slice(&head[end..]);
            buffer.set_filled(buffer.filled().len() - behind.len());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Answered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_comes_behind_the_answer_is_kept() {
        let mut answered = Answered::new(&b"HTTP/1.1 101 x\r\nfield: y\r\n\r\n\x81\x00"[..]);
        let mut read = vec![0; 100];
        let end = answered.read(&mut read).await.unwrap();
        assert_eq!(&read[..end], b"HTTP/1.1 101 x\r\nfield: y\r\n\r\n");
        assert_eq!(answered.into_parts().1, &b"\x81\x00"[..]);
    }

    #[tokio::test]
    async fn a_refusal_comes_whole() {
        let refusal = &b"HTTP/1.1 401 x\r\n\r\nno"[..];
        let mut answered = Answered::new(refusal);
        let mut read = Vec::new();
        answered.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, refusal);
    }
}
