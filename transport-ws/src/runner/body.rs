//! The body of a request, as its handler reads it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use thiserror::Error;
use underpass_core::RequestKey;
use underpass_core::runner::Event;

use super::handler::Delivery;
use super::outlets::Outlets;
use crate::driver::Driver;
use crate::queue::Receiver;

/// The body of a request. What the handler takes of it lets its client send more; what it leaves when it drops the
/// body is thrown away.
pub struct Body(Kind);

enum Kind {
    /// All that is left of it.
    Whole(Bytes),
    /// It comes as the client sends it.
    Stream(Stream),
}

struct Stream {
    key: RequestKey,
    driver: Arc<Driver<Outlets>>,
    chunks: Receiver<Delivery>,
    finished: bool,
}

/// A request's body broke off: its client went away, or the way to it broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the request's body broke off")]
pub struct BodyError;

impl Body {
    /// A body that is here.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Body(Kind::Whole(bytes))
    }

    /// A body that comes.
    pub(super) fn stream(key: RequestKey, driver: Arc<Driver<Outlets>>, chunks: Receiver<Delivery>) -> Self {
        Body(Kind::Stream(Stream { key, driver, chunks, finished: false }))
    }
}

impl Stream {
    fn consumed(&self, bytes: usize) {
        if bytes > 0 {
            self.driver.drive(Event::Consumed { key: self.key, bytes });
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // What comes from now on is consumed where it would be put in.
        let left = self.chunks.close();
        self.consumed(left.iter().map(Delivery::len).sum());
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Stream(stream) => loop {
                if stream.finished {
                    return Poll::Ready(None);
                }
                match ready!(stream.chunks.poll_next(context)) {
                    Some(Delivery::Chunk { bytes, finish }) => {
                        stream.finished = finish;
                        if !bytes.is_empty() {
                            stream.consumed(bytes.len());
                            return Poll::Ready(Some(Ok(Frame::data(bytes))));
                        }
                    }
                    // Nothing else comes of a body but its early end.
                    Some(Delivery::Message { .. } | Delivery::Close(_) | Delivery::Asleep) | None => {
                        stream.finished = true;
                        return Poll::Ready(Some(Err(BodyError)));
                    }
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Stream(stream) => stream.finished,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Whole(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Kind::Stream(stream) => write!(f, "Body(stream, finished: {})", stream.finished),
        }
    }
}
