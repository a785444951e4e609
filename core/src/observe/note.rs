//! What there is to tell of requests.

use crate::failure::{FailureCode, RequestName};
use crate::time::Time;

/// Who wants to hear of requests.
pub trait Sink: Send {
    /// Something happened to a request.
    fn note(&mut self, note: &Note<'_>, now: Time);
}

/// Several that want to hear of the same.
impl<S: Sink + ?Sized> Sink for Vec<Box<S>> {
    fn note(&mut self, note: &Note<'_>, now: Time) {
        self.iter_mut().for_each(|sink| sink.note(note, now));
    }
}

/// Something that happened to a request, as one hop of its way saw it.
///
/// Of each request, [`Opened`](Note::Opened) comes first and [`Ended`](Note::Ended) last, each once, and all bear the name
/// that it was opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note<'a> {
    /// It was taken in.
    Opened(Opened<'a>),
    /// A frame of it came, or went on.
    Frame {
        /// Whose.
        request: RequestName,
        /// Which.
        frame: Frame,
    },
    /// The answer began, or the WebSocket was opened (101).
    Answered {
        /// Whose.
        request: RequestName,
        /// The status.
        status: u16,
    },
    /// Its runner went away before anything was answered, and it goes to another. Only gateways know.
    SentAgain {
        /// Whose.
        request: RequestName,
        /// Its name at the hops behind this one, from here on.
        again: RequestName,
    },
    /// The WebSocket fell asleep. Only gateways know.
    Slept {
        /// Whose.
        request: RequestName,
    },
    /// It woke. Only gateways know.
    Woke {
        /// Whose.
        request: RequestName,
    },
    /// Nothing more comes of it.
    Ended {
        /// Whose.
        request: RequestName,
        /// How.
        end: End,
    },
}

/// A request that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// Its name, the same at each hop.
    pub request: RequestName,
    /// What was opened.
    pub kind: Kind,
    /// The actor that it is for.
    pub actor_id: &'a str,
    /// The method; of a WebSocket, GET.
    pub method: &'a str,
    /// Path and query; empty of a WebSocket that slept and is here with a life of its actor.
    pub path: &'a str,
    /// The client's [`traceparent`](https://www.w3.org/TR/trace-context/), if it sent one.
    pub traceparent: Option<&'a str>,
}

/// What a client opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An HTTP exchange.
    Http,
    /// A WebSocket.
    WebSocket,
}

/// A frame of a request, without what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it goes.
    pub direction: Direction,
    /// What the protocol calls it: `ToClientRequestStart` and so on.
    pub kind: &'static str,
    /// Its number among those of its request and direction.
    pub message_index: u16,
    /// Bytes, all in all.
    pub bytes: usize,
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the runner, whom the protocol calls the client of its tunnel.
    ToRunner,
    /// To the gateway.
    ToGateway,
}

/// How a request ended, as one hop saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// With the handler's answer, or a close of either side.
    Done,
    /// Its client closed or went away first.
    ClientGone,
    /// It failed or was refused with this code. Gateways know all of them, runners their own.
    Failed(FailureCode),
    /// It broke off; the gateway knows why.
    Aborted,
}
