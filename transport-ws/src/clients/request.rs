//! Requests of clients: what hyper hands over, made into what a gateway takes.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use underpass_core::bus::Bus;
use underpass_core::gateway::{Event, Open, OpenKind};
use underpass_core::http::{Body, ClientRequest, RequestHead, Target};
use underpass_core::{Failure, FailureCode};

use super::Shared;
use super::connection::Connection;
use super::exchange::{Exchange, Source};
use super::outlets::Delivery;
use super::response::{ResponseBody, answer, failed, refused};
use super::websocket;

/// Who sends a request, as far as its connection says.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// Where it is, in words.
    pub(super) address: ByteString,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
}

/// Answers one request.
pub(super) async fn serve<B: Bus>(
    gateway: Arc<Shared<B>>,
    client: Client,
    request: Request<Incoming>,
    connection: Connection,
) -> Result<Response<ResponseBody<B>>, Infallible> {
    let answered = match websocket::asked_for(&request) {
        Ok(Some(key)) => websocket::serve(&gateway, &client, request, key, connection).await,
        Ok(None) => exchange(&gateway, &client, request, connection).await,
        Err(bad) => {
            tracing::debug!(client = %client.address, ?bad, "a WebSocket was not opened as it must be");
            Ok(bad.answer())
        }
    };
    Ok(answered.unwrap_or_else(|failure| {
        tracing::debug!(client = %client.address, "a request failed: {failure}");
        failed(&failure)
    }))
}

/// Whom a request is for, and its head as the handler shall see it.
pub(super) fn admit<B: Bus>(
    gateway: &Shared<B>,
    client: &Client,
    request: &Parts,
    websocket: bool,
) -> Result<(Target, RequestHead), Failure> {
    if request.method == Method::CONNECT {
        let message = "this is a gateway, not a proxy".into();
        return Err(Failure { code: FailureCode::BadTarget, message, request: None });
    }
    let host_field = || request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let client_request = ClientRequest {
        method: request.method.as_str(),
        path: request.uri.path_and_query().map_or("/", |path| path.as_str()),
        scheme: client.scheme,
        host: request.uri.authority().map(|authority| authority.as_str()).or_else(host_field),
        client: &client.address,
        websocket,
    };
    let fields: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    gateway.admission.admit(client_request, fields.iter().copied())
}

async fn exchange<B: Bus>(
    gateway: &Shared<B>,
    client: &Client,
    request: Request<Incoming>,
    connection: Connection,
) -> Result<Response<ResponseBody<B>>, Failure> {
    let (parts, mut incoming) = request.into_parts();
    let (target, head) = admit(gateway, client, &parts, false)?;
    let expects = parts.headers.contains_key(header::EXPECT);
    // Its answers are as long as its connection.
    let cut = (parts.version == Version::HTTP_10).then_some(connection);
    drop(parts);
    let Ok((body, mut first)) = classify(&mut incoming, expects, gateway.max_chunk).await else {
        return Ok(broken_off());
    };
    let streamed = matches!(body, Body::Stream);
    let (mut exchange, _) = Exchange::open(&gateway.driver, Open { target, head, kind: OpenKind::Http(body) })?;
    if streamed {
        if expects {
            // It was taken in: now its client is told to go on, and before any answer.
            first = match here(&mut incoming).await {
                Ok(Here::Data(data)) => Some(data),
                // Whoever reads on finds out the same.
                Ok(Here::NotYet | Here::Ended) => None,
                Err(BrokenOff) => return Ok(broken_off()),
            };
        }
        exchange.upload(|source| upload(source, incoming, first));
    }
    match exchange.next().await {
        Some(Delivery::Start(head, Body::None)) => answer(&head, ResponseBody::none()),
        Some(Delivery::Start(head, Body::Whole(bytes))) => answer(&head, ResponseBody::Whole(bytes)),
        Some(Delivery::Start(head, Body::Stream)) => answer(&head, ResponseBody::stream(exchange, cut)),
        Some(Delivery::Failed(failure)) => Err(failure),
        None => Ok(broken_off()),
        Some(Delivery::Chunk { .. } | Delivery::Opened) => {
            let message = "the request was given up".into();
            Err(Failure { code: FailureCode::RunnerFailed, message, request: None })
        }
    }
}

/// What a client sees, if it is there, whose request's body broke off: hyper closes the connection behind it.
fn broken_off<B: Bus>() -> Response<ResponseBody<B>> {
    refused(StatusCode::BAD_REQUEST, "the request's body broke off")
}

/// A request's body broke off.
struct BrokenOff;

/// How a request's body travels: not at all if there is none, whole if it is small and comes at once, and else as it
/// comes, with the bytes that were read to find out.
///
/// The body of a request that expects `100 Continue` is not touched: hyper sends that when it is first read.
///
/// # Errors
/// It has broken off already. Hyper says so once: whoever reads on sees a body that has ended.
async fn classify(
    incoming: &mut Incoming,
    expects: bool,
    max_chunk: usize,
) -> Result<(Body, Option<Bytes>), BrokenOff> {
    if incoming.is_end_stream() {
        return Ok((Body::None, None));
    }
    let small = incoming.size_hint().exact().filter(|length| *length <= max_chunk as u64);
    let Some(length) = small.filter(|_| !expects) else { return Ok((Body::Stream, None)) };
    let mut gathered: Option<Bytes> = None;
    loop {
        let data = match here(incoming).await? {
            Here::Data(data) => data,
            Here::NotYet => return Ok((Body::Stream, gathered)),
            // It has a length, and ends without it.
            Here::Ended => return Err(BrokenOff),
        };
        let all = match gathered.take() {
            None => data,
            Some(before) => join(before, &data, length),
        };
        if all.len() as u64 == length {
            return Ok((Body::Whole(all), None));
        }
        gathered = Some(all);
        // Hyper reads on when it has been told that this piece was taken.
        yield_now().await;
    }
}

/// Two pieces of a body that has this length.
fn join(before: Bytes, more: &[u8], length: u64) -> Bytes {
    let mut joined = before.try_into_mut().unwrap_or_else(|before| {
        let mut joined = BytesMut::with_capacity(length as usize);
        joined.extend_from_slice(&before);
        joined
    });
    joined.extend_from_slice(more);
    joined.freeze()
}

/// Gives the task that this is in another turn.
async fn yield_now() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What is here of a body.
enum Here {
    Data(Bytes),
    NotYet,
    Ended,
}

async fn here(incoming: &mut Incoming) -> Result<Here, BrokenOff> {
    poll_fn(|context| match Pin::new(&mut *incoming).poll_frame(context) {
        // Trailers do not travel.
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(frame.into_data().map_or(Here::NotYet, Here::Data))),
        Poll::Ready(Some(Err(error))) => {
            tracing::debug!("a request's body broke off: {error}");
            Poll::Ready(Err(BrokenOff))
        }
        Poll::Ready(None) => Poll::Ready(Ok(Here::Ended)),
        Poll::Pending => Poll::Ready(Ok(Here::NotYet)),
    })
    .await
}

/// Hands a request's body in, as it comes and while the gateway wants it.
async fn upload<B: Bus>(source: Source<B>, mut incoming: Incoming, mut first: Option<Bytes>) {
    let key = source.key();
    loop {
        source.gate().pass().await;
        let next = match first.take() {
            Some(bytes) => Some(Ok(bytes)),
            None => match poll_fn(|context| Pin::new(&mut incoming).poll_frame(context)).await {
                // Trailers do not travel.
                Some(Ok(frame)) => Some(Ok(frame.into_data().unwrap_or_default())),
                Some(Err(error)) => Some(Err(error)),
                None => None,
            },
        };
        match next {
            Some(Ok(bytes)) => {
                let finish = incoming.is_end_stream();
                if finish || !bytes.is_empty() {
                    source.tell(Event::RequestChunk { key, bytes, finish });
                }
                if finish {
                    return;
                }
            }
            Some(Err(error)) => {
                tracing::debug!("a request's body broke off: {error}");
                return source.broke_off();
            }
            None => return source.tell(Event::RequestChunk { key, bytes: Bytes::new(), finish: true }),
        }
    }
}
