//! A span for each request, and an event at its end: one hop's part of what can be followed by the request's name.
//!
//! Neither says anything of bodies, of header fields or of the path, which may have a token in its query.

use std::collections::HashMap;

use tracing::field::Empty;
use tracing::{Level, Span};
use underpass_core::Time;
use underpass_core::failure::RequestName;
use underpass_core::observe::{Direction, End, Kind, Note, Opened, Sink};

/// What a filter calls them.
pub(crate) const TARGET: &str = "underpass::requests";

/// Makes spans of what a journal tells.
#[derive(Debug)]
pub(crate) struct Spans {
    hop: &'static str,
    open: HashMap<RequestName, Request>,
}

#[derive(Debug)]
struct Request {
    span: Span,
    since: Time,
    to_runner: usize,
    to_gateway: usize,
}

impl Spans {
    /// Spans of a gateway, a relay or a runner; none if nobody wants them.
    pub(crate) fn at(hop: &'static str) -> Option<Self> {
        tracing::enabled!(target: TARGET, Level::INFO).then(|| Spans { hop, open: HashMap::new() })
    }

    fn opened(&mut self, opened: &Opened<'_>, now: Time) {
        let &Opened { request, kind, method, traceparent, .. } = opened;
        let kind = match kind {
            Kind::Http => "http",
            Kind::WebSocket => "websocket",
        };
        let trace_id = traceparent.and_then(trace_id);
        let span = tracing::info_span!(
            target: TARGET,
            parent: None,
            "request",
            hop = self.hop,
            %request,
            kind,
            method,
            trace_id,
            again = Empty,
            status = Empty,
            end = Empty,
        );
        #[cfg(feature = "otlp")]
        if let Some(traceparent) = traceparent.filter(|_| trace_id.is_some()) {
            crate::log::continues(&span, traceparent);
        }
        span.in_scope(|| tracing::debug!(target: TARGET, "opened"));
        self.open.insert(request, Request { span, since: now, to_runner: 0, to_gateway: 0 });
    }

    fn ended(&mut self, request: RequestName, end: End, now: Time) {
        let Some(Request { span, since, to_runner, to_gateway }) = self.open.remove(&request) else { return };
        let end = match end {
            End::Done => "done",
            End::ClientGone => "client_gone",
            End::Failed(code) => code.as_str(),
            End::Aborted => "aborted",
        };
        span.record("end", end);
        let ms = now.since(since).as_micros() as f64 / 1_000.0;
        span.in_scope(|| tracing::info!(target: TARGET, ms, to_runner, to_gateway, "ended"));
    }
}

impl Sink for Spans {
    fn note(&mut self, note: &Note<'_>, now: Time) {
        let request = match note {
            Note::Opened(opened) => return self.opened(opened, now),
            Note::Ended { request, end } => return self.ended(*request, *end, now),
            Note::Frame { request, .. }
            | Note::Answered { request, .. }
            | Note::SentAgain { request, .. }
            | Note::Slept { request }
            | Note::Woke { request } => request,
        };
        let Some(Request { span, to_runner, to_gateway, .. }) = self.open.get_mut(request) else { return };
        match note {
            Note::Frame { frame, .. } => {
                match frame.direction {
                    Direction::ToRunner => *to_runner += frame.bytes,
                    Direction::ToGateway => *to_gateway += frame.bytes,
                }
                let (kind, number, bytes) = (frame.kind, frame.message_index, frame.bytes);
                span.in_scope(|| tracing::trace!(target: TARGET, kind, number, bytes, "frame"));
            }
            Note::Answered { status, .. } => {
                span.record("status", *status);
                span.in_scope(|| tracing::debug!(target: TARGET, "answered"));
            }
            Note::SentAgain { again, .. } => {
                span.record("again", tracing::field::display(again));
                span.in_scope(|| tracing::info!(target: TARGET, "sent again"));
            }
            Note::Slept { .. } => span.in_scope(|| tracing::debug!(target: TARGET, "slept")),
            Note::Woke { .. } => span.in_scope(|| tracing::debug!(target: TARGET, "woke")),
            Note::Opened(_) | Note::Ended { .. } => {}
        }
    }
}

/// The trace of a `traceparent` field, if it is one: what else a client says is not logged.
fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.trim().split('-');
    let is_hex = |part: &&str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_id = |part: &&str| is_hex(part) && part.bytes().any(|byte| byte != b'0');
    parts.next().filter(|version| version.len() == 2 && is_hex(version) && *version != "ff")?;
    let trace_id = parts.next().filter(|id| id.len() == 32 && is_id(id))?;
    parts.next().filter(|id| id.len() == 16 && is_id(id))?;
    parts.next().filter(|flags| flags.len() == 2 && is_hex(flags))?;
    Some(trace_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_trace_is_taken_for_one() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(trace_id(&format!("00-{id}-b7ad6b7169203331-01")), Some(id));
        assert_eq!(trace_id(&format!("01-{id}-b7ad6b7169203331-01-more")), Some(id));
        for wrong in [
            "",
            "secret",
            id,
            &format!("00-{id}"),
            &format!("00-{id}-b7ad6b7169203331"),
            &format!("00-{id}-0000000000000000-01"),
            &format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            &format!("00-{}-b7ad6b7169203331-01", id.to_uppercase()),
            &format!("ff-{id}-b7ad6b7169203331-01"),
            &format!("00-{id}-b7ad6b7169203331-0x"),
        ] {
            assert_eq!(trace_id(wrong), None, "{wrong}");
        }
    }
}
