//! Answers to clients.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use thiserror::Error;
use underpass_core::bus::Bus;
use underpass_core::http::{ResponseHead, end_to_end, split_fields};
use underpass_core::{Failure, FailureCode};

use super::connection::Connection;
use super::exchange::Exchange;
use super::outlets::Delivery;

/// The body of an answer.
pub(super) enum ResponseBody<B: Bus> {
    /// All that is left of it.
    Whole(Bytes),
    /// It comes as the handler sends it.
    Stream {
        exchange: Exchange<B>,
        finished: bool,
        /// The connection, if only its end tells where the body ends.
        cut: Option<Connection>,
    },
}

/// The answer broke off. Hyper then breaks the body off, too, so that nobody takes it for whole.
#[derive(Clone, Copy, Debug, Error)]
#[error("the answer broke off")]
pub(super) struct BrokenOff;

impl<B: Bus> ResponseBody<B> {
    /// A body that comes as the handler sends it; this connection is reset if it breaks off.
    pub(super) fn stream(exchange: Exchange<B>, cut: Option<Connection>) -> Self {
        ResponseBody::Stream { exchange, finished: false, cut }
    }

    /// No body.
    pub(super) fn none() -> Self {
        ResponseBody::Whole(Bytes::new())
    }
}

impl<B: Bus> http_body::Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut *self {
            ResponseBody::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            ResponseBody::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            ResponseBody::Stream { finished: true, .. } => Poll::Ready(None),
            ResponseBody::Stream { exchange, finished, cut } => loop {
                match std::task::ready!(exchange.poll_next(context)) {
                    Some(Delivery::Chunk { bytes, finish }) => {
                        *finished = finish;
                        if !bytes.is_empty() {
                            exchange.consumed(bytes.len());
                            return Poll::Ready(Some(Ok(Frame::data(bytes))));
                        }
                        if finish {
                            return Poll::Ready(None);
                        }
                    }
                    ended => {
                        // If not, the request broke off: the gateway says nothing else of an answer that has begun.
                        if let Some(Delivery::Failed(failure)) = ended {
                            tracing::debug!("an answer broke off: {failure}");
                        }
                        *finished = true;
                        if let Some(connection) = cut {
                            connection.reset();
                        }
                        return Poll::Ready(Some(Err(BrokenOff)));
                    }
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Whole(bytes) => bytes.is_empty(),
            ResponseBody::Stream { finished, .. } => *finished,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            ResponseBody::Stream { .. } => SizeHint::default(),
        }
    }
}

/// The handler's answer.
///
/// # Errors
/// HTTP cannot carry its status or its fields.
pub(super) fn answer<B: Bus>(head: &ResponseHead, body: ResponseBody<B>) -> Result<Response<ResponseBody<B>>, Failure> {
    let status = StatusCode::from_u16(head.status).ok().filter(|status| !status.is_informational());
    let status = status.ok_or_else(|| runner_failed("the handler answered with a status that is none"))?;
    let fields = split_fields(&head.headers).collect::<Result<Vec<_>, _>>();
    let fields =
        fields.map_err(|_| runner_failed("the handler answered with a header field that HTTP cannot carry"))?;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in end_to_end(fields.iter().map(|(name, value)| (*name, &**value))) {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value)) else {
            return Err(runner_failed("the handler answered with a header field that HTTP cannot carry"));
        };
        response.headers_mut().append(name, value);
    }
    Ok(response)
}

fn runner_failed(message: &'static str) -> Failure {
    Failure { code: FailureCode::RunnerFailed, message: message.into(), request: None }
}

/// The answer to what is no request.
pub(super) fn refused<B: Bus>(status: StatusCode, message: &str) -> Response<ResponseBody<B>> {
    let mut response = Response::new(ResponseBody::Whole(Bytes::from(format!("{message}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The answer that tells of a failure.
pub(super) fn failed<B: Bus>(failure: &Failure) -> Response<ResponseBody<B>> {
    let (head, body) = failure.http_answer();
    answer(&head, ResponseBody::Whole(body)).unwrap_or_else(|_| {
        let mut response = Response::new(ResponseBody::none());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    })
}
