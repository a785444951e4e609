//! HTTP requests, from their arrival to the handler's answer.

use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use bytestring::ByteString;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use underpass_core::RequestKey;
use underpass_core::http::{Body as WireBody, RequestHead, ResponseHead, end_to_end, join_fields, split_fields};
use underpass_core::runner::Event;

use super::Actor;
use super::body::Body;
use super::handler::Handler;
use super::outlets::Outlets;
use crate::driver::Driver;

/// A request, less its body.
pub(super) struct Arrival {
    pub(super) actor_id: ByteString,
    pub(super) head: RequestHead,
}

/// The right to answer a request. Dropping it unused tells the runner that the handler failed.
pub(super) struct Answering {
    key: RequestKey,
    driver: Arc<Driver<Outlets>>,
    handler: Arc<Handler>,
    answered: bool,
}

impl Answering {
    pub(super) fn new(key: RequestKey, driver: Arc<Driver<Outlets>>, handler: Arc<Handler>) -> Self {
        Answering { key, driver, handler, answered: false }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let key = self.key;
        self.driver.enter(|inside| {
            let outlet = inside.outlets.requests.remove(&key);
            if outlet.is_some() && !self.answered {
                inside.handle(Event::HandlerFailed { key });
            }
        });
    }
}

/// A request as handlers know it.
///
/// # Errors
/// HTTP cannot carry it; why.
pub(super) fn request<T>(arrival: Arrival, body: T) -> Result<Request<T>, &'static str> {
    let Arrival { actor_id, head: RequestHead { method, path, headers } } = arrival;
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| "its method is none")?;
    *request.uri_mut() = Uri::try_from(&*path).map_err(|_| "its path is none")?;
    for field in split_fields(&headers) {
        let bad = "a header field of it is none";
        let (name, value) = field.map_err(|_| bad)?;
        let name = HeaderName::try_from(name).map_err(|_| bad)?;
        request.headers_mut().append(name, HeaderValue::from_bytes(&value).map_err(|_| bad)?);
    }
    request.extensions_mut().insert(Actor(actor_id));
    Ok(request)
}

/// Has a request answered, until the answer is out or no longer wanted.
pub(super) async fn answer<F, B>(
    call: impl FnOnce(Request<Body>) -> F,
    arrival: Arrival,
    body: Body,
    mut answering: Answering,
    max_chunk: usize,
) where
    F: Future<Output = Result<Response<B>, String>>,
    B: http_body::Body<Data = Bytes>,
    B::Error: Display,
{
    let handler = answering.handler.clone();
    let work = async {
        let request = request(arrival, body).map_err(|problem| format!("the request was not handed on: {problem}"))?;
        respond(call(request).await?, &mut answering, max_chunk).await
    };
    // Dropping the future of the answer, or its body, is how a handler notices that nobody waits any more.
    tokio::select! {
        biased;
        () = handler.stop.pass() => {}
        done = work => if let Err(problem) = done {
            tracing::warn!("{problem}");
        }
    }
}

async fn respond<B>(response: Response<B>, answering: &mut Answering, max_chunk: usize) -> Result<(), String>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Display,
{
    let key = answering.key;
    let (parts, body) = response.into_parts();
    let mut body = std::pin::pin!(body);
    let fields: Vec<_> = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let headers = join_fields(end_to_end(fields.iter().copied()));
    let head = ResponseHead { status: parts.status.as_u16(), headers };
    let (whole, first) = classify(body.as_mut(), max_chunk).await?;
    let streamed = matches!(whole, WireBody::Stream);
    answering.driver.drive(Event::ResponseStart { key, head, body: whole });
    if streamed {
        stream(body, first, answering, max_chunk).await?;
    }
    answering.answered = true;
    Ok(())
}

/// Sends the body of an answer as it comes, and while the runner wants it.
async fn stream<B>(
    mut body: Pin<&mut B>,
    mut first: Option<Bytes>,
    answering: &Answering,
    max_chunk: usize,
) -> Result<(), String>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Display,
{
    let Answering { key, driver, handler, .. } = answering;
    loop {
        handler.gate.pass().await;
        let next = match first.take() {
            Some(bytes) => Some(bytes),
            None => match poll_fn(|context| body.as_mut().poll_frame(context)).await {
                // Trailers do not travel.
                Some(frame) => Some(frame.map_err(broke_off)?.into_data().unwrap_or_default()),
                None => None,
            },
        };
        let mut bytes = next.clone().unwrap_or_default();
        // In pieces, so that a large one does not overrun the machine.
        while bytes.len() > max_chunk {
            driver.drive(Event::ResponseChunk { key: *key, bytes: bytes.split_to(max_chunk), finish: false });
            handler.gate.pass().await;
        }
        let finish = next.is_none() || body.is_end_stream();
        if finish || !bytes.is_empty() {
            driver.drive(Event::ResponseChunk { key: *key, bytes, finish });
        }
        if finish {
            return Ok(());
        }
    }
}

/// How an answer's body travels: not at all if there is none, whole if it is small and here already, and else as it
/// comes, with the bytes that were read to find out.
async fn classify<B>(mut body: Pin<&mut B>, max_chunk: usize) -> Result<(WireBody, Option<Bytes>), String>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Display,
{
    let length = body.size_hint().exact();
    if body.is_end_stream() || length == Some(0) {
        return Ok((WireBody::None, None));
    }
    let Some(length) = length.filter(|length| *length <= max_chunk as u64) else {
        return Ok((WireBody::Stream, None));
    };
    let here = poll_fn(|context| {
        Poll::Ready(match body.as_mut().poll_frame(context) {
            Poll::Ready(Some(frame)) => Some(frame),
            Poll::Ready(None) | Poll::Pending => None,
        })
    });
    match here.await.transpose().map_err(broke_off)?.and_then(|frame| frame.into_data().ok()) {
        Some(data) if data.len() as u64 == length => Ok((WireBody::Whole(data), None)),
        first => Ok((WireBody::Stream, first)),
    }
}

fn broke_off(error: impl Display) -> String {
    format!("the body of an answer broke off: {error}")
}
