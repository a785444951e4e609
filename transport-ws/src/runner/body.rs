//! The body of a request, as its handler reads it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use thiserror::Error;

/// The body of a request. What the handler takes of it lets its client send more.
#[derive(Debug)]
pub struct Body {}

/// A request's body broke off: its client went away, or the way to it broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the request's body broke off")]
pub struct BodyError;

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        unimplemented!()
    }

    fn is_end_stream(&self) -> bool {
        unimplemented!()
    }

    fn size_hint(&self) -> SizeHint {
        unimplemented!()
    }
}
