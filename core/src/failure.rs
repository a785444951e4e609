//! Failures that a client sees: one code each, with its HTTP answer and its WebSocket close.

use core::fmt;
use core::time::Duration;
use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use crate::http::{Close, ResponseHead};
use crate::protocol::{GatewayId, Map, RequestId};

/// Why a request ended without the handler's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FailureCode {
    /// The request names its actor in no known form.
    BadTarget,
    /// A body is over its limit.
    BodyTooLarge,
    /// A WebSocket message, or a block of headers, is over its limit.
    MessageTooLarge,
    /// No runner of the pool is there.
    NoRunner,
    /// The actor did not start in time.
    ActorStartTimeout,
    /// As many requests are open as may be.
    Overloaded,
    /// What should take it takes nothing new.
    Draining,
    /// The handler aborted.
    RunnerFailed,
    /// The runner's connection ended.
    RunnerLost,
    /// A piece of the answer got lost on the way.
    MessageLost,
    /// The bus did not take a piece.
    BusLost,
    /// No answer began in time.
    ResponseStartTimeout,
    /// The handler did not accept the WebSocket in time.
    WebSocketOpenTimeout,
    /// The handler did not acknowledge a WebSocket's messages in time.
    WebSocketAckTimeout,
    /// An open stream was silent for too long.
    IdleTimeout,
    /// The runner's connection was silent for too long.
    PingTimeout,
    /// Not allowed.
    Refused,
    /// Somebody who looks after the gateway ended it.
    EndedByOperator,
}

impl FailureCode {
    /// All of them.
    pub const ALL: [FailureCode; 18] = [
        FailureCode::BadTarget,
        FailureCode::BodyTooLarge,
        FailureCode::MessageTooLarge,
        FailureCode::NoRunner,
        FailureCode::ActorStartTimeout,
        FailureCode::Overloaded,
        FailureCode::Draining,
        FailureCode::RunnerFailed,
        FailureCode::RunnerLost,
        FailureCode::MessageLost,
        FailureCode::BusLost,
        FailureCode::ResponseStartTimeout,
        FailureCode::WebSocketOpenTimeout,
        FailureCode::WebSocketAckTimeout,
        FailureCode::IdleTimeout,
        FailureCode::PingTimeout,
        FailureCode::Refused,
        FailureCode::EndedByOperator,
    ];

    /// As clients read it.
    pub const fn as_str(self) -> &'static str {
        self.table().0
    }

    /// The status of the HTTP answer.
    pub const fn http_status(self) -> u16 {
        self.table().1
    }

    /// The code of the WebSocket close.
    pub const fn close_code(self) -> u16 {
        self.table().2
    }

    /// How long a client should wait before it tries again, where that may help.
    pub fn retry_after(self) -> Option<Duration> {
        (self.http_status() == 503).then_some(Duration::from_secs(1))
    }

    const fn table(self) -> (&'static str, u16, u16) {
        match self {
            FailureCode::BadTarget => ("bad_target", 400, 1008),
            FailureCode::BodyTooLarge => ("body_too_large", 413, 1009),
            FailureCode::MessageTooLarge => ("message_too_large", 413, 1009),
            FailureCode::NoRunner => ("no_runner", 503, 1013),
            FailureCode::ActorStartTimeout => ("actor_start_timeout", 503, 1013),
            FailureCode::Overloaded => ("overloaded", 503, 1013),
            FailureCode::Draining => ("draining", 503, 1001),
            FailureCode::RunnerFailed => ("runner_failed", 502, 1011),
            FailureCode::RunnerLost => ("runner_lost", 502, 1011),
            FailureCode::MessageLost => ("message_lost", 502, 1011),
            FailureCode::BusLost => ("bus_lost", 502, 1011),
            FailureCode::ResponseStartTimeout => ("response_start_timeout", 504, 1011),
            FailureCode::WebSocketOpenTimeout => ("websocket_open_timeout", 504, 1011),
            FailureCode::WebSocketAckTimeout => ("websocket_ack_timeout", 504, 1011),
            FailureCode::IdleTimeout => ("idle_timeout", 504, 1011),
            FailureCode::PingTimeout => ("ping_timeout", 504, 1011),
            FailureCode::Refused => ("refused", 403, 1008),
            FailureCode::EndedByOperator => ("ended_by_operator", 503, 1013),
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request as people name it: the ids of its gateway and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestName {
    /// Whose.
    pub gateway_id: GatewayId,
    /// Which.
    pub request_id: RequestId,
}

impl fmt::Display for RequestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.gateway_id, self.request_id)
    }
}

/// A failure, ready to be told to a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which.
    pub code: FailureCode,
    /// What happened, for people.
    pub message: Cow<'static, str>,
    /// Of which request, if it got a name.
    pub request: Option<RequestName>,
}

impl Failure {
    /// The answer to an HTTP request that failed before its answer began: head, and a JSON body of `code`, `message`
    /// and `request`.
    pub fn http_answer(&self) -> (ResponseHead, Bytes) {
        let request = self.request.map(|name| name.to_string());
        let body = serde_json::json!({ "code": self.code.as_str(), "message": self.message, "request": request });
        let body = Bytes::from(body.to_string());
        let mut headers = vec![
            (ByteString::from_static("content-type"), ByteString::from_static("application/json")),
            (ByteString::from_static("content-length"), body.len().to_string().into()),
            (ByteString::from_static("x-underpass-error"), ByteString::from_static(self.code.as_str())),
        ];
        if let Some(request) = request {
            headers.push((ByteString::from_static("x-underpass-request"), request.into()));
        }
        if let Some(wait) = self.code.retry_after() {
            headers.push((ByteString::from_static("retry-after"), wait.as_secs().to_string().into()));
        }
        (ResponseHead { status: self.code.http_status(), headers: Map(headers) }, body)
    }

    /// The close of a WebSocket that failed after it was opened; its reason is `CODE#ID`.
    pub fn close(&self) -> Close {
        let reason = match self.request {
            Some(request) => format!("{}#{request}", self.code).into(),
            None => ByteString::from_static(self.code.as_str()),
        };
        Close { code: Some(self.code.close_code()), reason: Some(reason) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match self.request {
            Some(request) => write!(f, " (request {request})"),
            None => Ok(()),
        }
    }
}
