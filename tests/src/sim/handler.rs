//! A handler: it does what its client's plan says, and knows every byte that may come.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;
use underpass_core::RequestKey;
use underpass_core::http::{Body, Close, Message, RequestHead, ResponseHead};
use underpass_core::runner::{Action, Event};

use super::bytes::{actor, farewell, has_taken_already, is_text_message, message};
use super::client::Client;
use super::turn::{self, reading_time};
use super::workload::{Answer, BodyPlan, ClientPlan, Closer, HttpPlan, Pieces, Welcome, Wish};

/// What a handler does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It has thought, and answers.
    Answer,
    /// It sends its next piece.
    Send,
    /// It reads the oldest piece that it has not read.
    Read,
}

/// What a handler wants done.
pub type Turn = turn::Turn<Event, Step>;

/// A handler and the request that it has.
#[derive(Debug)]
pub struct Handler {
    key: RequestKey,
    /// The number of its client.
    pub client: u32,
    up: Bytes,
    down: Bytes,
    stage: Stage,
    /// All of the request has come.
    has_all: bool,
    received: usize,
    messages: usize,
    sent: usize,
    pieces_sent: usize,
    is_paused: bool,
    owes: bool,
    unread: VecDeque<usize>,
    unread_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Thinking,
    Sending,
    /// It has said all that it will say.
    Done,
    /// It was told that nothing more comes.
    Over,
}

impl Handler {
    fn new(key: RequestKey, client: &Client) -> Handler {
        Handler {
            key,
            client: client.plan.number,
            up: client.up.clone(),
            down: client.down.clone(),
            stage: Stage::Thinking,
            has_all: false,
            received: 0,
            messages: 0,
            sent: 0,
            pieces_sent: 0,
            is_paused: false,
            owes: false,
            unread: VecDeque::new(),
            unread_bytes: 0,
        }
    }

    /// Whether it still has something to do, or waits for something.
    pub fn is_busy(&self) -> bool {
        matches!(self.stage, Stage::Thinking | Stage::Sending)
    }

    /// Bytes that it was handed and has not read.
    pub fn unread(&self) -> usize {
        self.unread_bytes
    }

    /// It is given an HTTP request.
    pub fn request(
        key: RequestKey,
        client: &Client,
        actor_id: &str,
        head: &RequestHead,
        body: Body,
        turn: &mut Turn,
    ) -> Handler {
        let mut handler = Handler::new(key, client);
        let Wish::Http(plan) = &client.plan.wish else {
            turn.wrong(|| "a WebSocket's client has an HTTP request".into());
            return handler;
        };
        if actor_id != &*actor(client.plan.number) || head.method != plan.method {
            turn.wrong(|| format!("the request of client {} came as {head:?} for {actor_id}", client.plan.number));
        }
        match body {
            Body::None => handler.has_all = true,
            Body::Whole(bytes) => {
                handler.see(&bytes, turn);
                handler.has_all = true;
            }
            Body::Stream => {}
        }
        if handler.has_all && handler.received != handler.up.len() {
            turn.wrong(|| format!("a whole body of {} bytes has {}", handler.up.len(), handler.received));
        }
        if handler.has_all || plan.is_hasty {
            turn.later.push((plan.thinking, Step::Answer));
        }
        handler
    }

    /// It is asked to take a WebSocket.
    pub fn websocket(key: RequestKey, client: &Client, turn: &mut Turn) -> Handler {
        match &client.plan.wish {
            Wish::WebSocket(plan) => turn.later.push((plan.thinking, Step::Answer)),
            Wish::Http(_) | Wish::Hibernating(_) => turn.wrong(|| "another's client has a WebSocket".into()),
        }
        Handler::new(key, client)
    }

    /// Its runner wants something done.
    pub fn sees(&mut self, action: Action, plan: &ClientPlan, turn: &mut Turn) {
        if self.stage == Stage::Over {
            return turn.wrong(|| format!("after its end a handler sees {action:?}"));
        }
        match action {
            Action::RequestChunk { bytes, finish, .. } => {
                if self.has_all {
                    turn.wrong(|| "a chunk behind the end of its body".into());
                }
                self.see(&bytes, turn);
                if finish {
                    self.has_all = true;
                    if self.received != self.up.len() {
                        turn.wrong(|| format!("a clean end behind {} of {} bytes", self.received, self.up.len()));
                    }
                    if let Wish::Http(HttpPlan { is_hasty: false, thinking, .. }) = &plan.wish {
                        turn.later.push((*thinking, Step::Answer));
                    }
                } else {
                    self.take(bytes.len(), plan, turn);
                }
            }
            Action::WebSocketMessage { message, .. } => self.message(message, plan, turn),
            Action::Aborted { .. } | Action::WebSocketClose { .. } => self.stage = Stage::Over,
            Action::PauseSource { .. } => self.is_paused = true,
            Action::ResumeSource { .. } => {
                self.is_paused = false;
                if core::mem::take(&mut self.owes) {
                    turn.later.push((Duration::ZERO, Step::Send));
                }
            }
            other @ (Action::Request { .. } | Action::WebSocketOpen { .. } | Action::WebSocketAsleep { .. }) => {
                turn.wrong(|| format!("the same request again: {other:?}"));
            }
            // Those are not about a request.
            _ => {}
        }
    }

    fn message(&mut self, message: Message, plan: &ClientPlan, turn: &mut Turn) {
        let (place, length) = (self.messages, message.len());
        let planned = match &plan.wish {
            Wish::WebSocket(socket) => socket.up.lengths.get(place).copied(),
            Wish::Http(_) | Wish::Hibernating(_) => None,
        };
        let is_text = matches!(message, Message::Text(_));
        if planned != Some(length) || is_text != is_text_message(place) {
            turn.wrong(|| format!("message {place} has {length} bytes, planned were {planned:?}; text: {is_text}"));
        }
        match message {
            Message::Text(text) => self.see(text.as_bytes(), turn),
            Message::Binary(bytes) => self.see(&bytes, turn),
        }
        self.messages += 1;
        self.take(length, plan, turn);
    }

    fn see(&mut self, bytes: &[u8], turn: &mut Turn) {
        let expected = self.up.get(self.received..self.received + bytes.len());
        if expected != Some(bytes) {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(32)]).into_owned();
            turn.wrong(|| {
                let (received, all) = (self.received, self.up.len());
                format!("a handler sees {} wrong bytes behind {received} of {all}: {shown:?}", bytes.len())
            });
        }
        self.received += bytes.len();
    }

    fn take(&mut self, bytes: usize, plan: &ClientPlan, turn: &mut Turn) {
        let reading = reading(plan);
        if reading.is_zero() {
            turn.events.push(Event::Consumed { key: self.key, bytes });
            return;
        }
        self.unread.push_back(bytes);
        self.unread_bytes += bytes;
        if self.unread.len() == 1 {
            turn.later.push((reading_time(reading, bytes), Step::Read));
        }
    }

    /// It is time for something that it meant to do.
    pub fn step(&mut self, step: Step, plan: &ClientPlan, turn: &mut Turn) {
        match (step, self.stage) {
            (_, Stage::Over) => {}
            (Step::Read, _) => {
                let Some(bytes) = self.unread.pop_front() else { return };
                self.unread_bytes -= bytes;
                turn.events.push(Event::Consumed { key: self.key, bytes });
                if let Some(next) = self.unread.front() {
                    turn.later.push((reading_time(reading(plan), *next), Step::Read));
                }
            }
            (Step::Answer, Stage::Thinking) => self.answer(plan, turn),
            (Step::Send, Stage::Sending) if self.is_paused && !has_taken_already(self.pieces_sent) => self.owes = true,
            (Step::Send, Stage::Sending) => self.send(plan, turn),
            (Step::Answer | Step::Send, _) => {}
        }
    }

    fn answer(&mut self, plan: &ClientPlan, turn: &mut Turn) {
        let key = self.key;
        self.stage = Stage::Done;
        match &plan.wish {
            Wish::Http(http) => {
                let headers = [("x-client".into(), plan.number.to_string().into())].into_iter().collect();
                let head = ResponseHead { status: 200, headers };
                let mut start = |body| turn.events.push(Event::ResponseStart { key, head: head.clone(), body });
                match &http.answer {
                    Answer::Clean(BodyPlan::None) => start(Body::None),
                    Answer::Clean(BodyPlan::Whole(_)) => start(Body::Whole(self.down.clone())),
                    Answer::Clean(BodyPlan::Streamed(pieces)) | Answer::BreaksOff(pieces) => {
                        start(Body::Stream);
                        self.stage = Stage::Sending;
                        turn.later.push((pieces.gap, Step::Send));
                    }
                    Answer::Fails => turn.events.push(Event::HandlerFailed { key }),
                    Answer::Never => self.stage = Stage::Thinking,
                }
            }
            Wish::WebSocket(socket) => match socket.welcome {
                Welcome::Accepted => {
                    turn.events.push(Event::WebSocketAccept { key, can_hibernate: false });
                    self.stage = Stage::Sending;
                    turn.later.push((socket.down.gap, Step::Send));
                }
                Welcome::Refused => {
                    turn.events.push(Event::WebSocketClose { key, close: Close::new(4_001, "no") });
                }
                Welcome::Failed => turn.events.push(Event::HandlerFailed { key }),
                Welcome::Ignored => self.stage = Stage::Thinking,
            },
            // Keepers have those.
            Wish::Hibernating(_) => {}
        }
    }

    fn send(&mut self, plan: &ClientPlan, turn: &mut Turn) {
        let key = self.key;
        let pieces = pieces(plan);
        let Some(length) = pieces.lengths.get(self.pieces_sent).copied() else { return };
        let is_last = self.pieces_sent + 1 == pieces.lengths.len();
        let bytes = self.down.slice(self.sent..self.sent + length);
        match &plan.wish {
            Wish::Http(http) => {
                let finish = is_last && matches!(http.answer, Answer::Clean(_));
                turn.events.push(Event::ResponseChunk { key, bytes, finish });
                if is_last {
                    self.stage = Stage::Done;
                    if !finish {
                        turn.events.push(Event::HandlerFailed { key });
                    }
                }
            }
            Wish::WebSocket(socket) => {
                turn.events.push(Event::WebSocketMessage { key, message: message(self.pieces_sent, bytes) });
                // One that does not close waits for its client to do so.
                if is_last && socket.closer == Closer::Handler {
                    turn.events.push(Event::WebSocketClose { key, close: farewell(plan.number) });
                    self.stage = Stage::Done;
                }
            }
            Wish::Hibernating(_) => {}
        }
        self.sent += length;
        self.pieces_sent += 1;
        if !is_last {
            turn.later.push((pieces.gap, Step::Send));
        }
    }
}

fn reading(plan: &ClientPlan) -> Duration {
    match &plan.wish {
        Wish::Http(http) => http.reading,
        Wish::WebSocket(socket) => socket.reading,
        Wish::Hibernating(_) => Duration::ZERO,
    }
}

fn pieces(plan: &ClientPlan) -> &Pieces {
    static NONE: Pieces = Pieces { lengths: Vec::new(), gap: Duration::ZERO };
    match &plan.wish {
        Wish::Http(HttpPlan {
            answer: Answer::Clean(BodyPlan::Streamed(pieces)) | Answer::BreaksOff(pieces), ..
        }) => pieces,
        Wish::Http(_) | Wish::Hibernating(_) => &NONE,
        Wish::WebSocket(socket) => &socket.down,
    }
}
