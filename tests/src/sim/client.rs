//! A client: it does what its plan says, and knows every byte that it may see.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;
use underpass_core::gateway::{Action, Event, Open, OpenKind};
use underpass_core::http::{Body, Close, Message, RequestHead, ResponseHead, Target};
use underpass_core::protocol::Map;
use underpass_core::{FailureCode, RequestKey, Time};

use super::bytes::{Way, actor, body, farewell, has_taken_already, is_text_message, message, pool};
use super::hibernation::Talk;
use super::schedule::PATIENCE;
use super::turn::{self, reading_time};
use super::workload::{Answer, BodyPlan, ClientPlan, Closer, HttpPlan, Pieces, WebSocketPlan, Wish};

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It comes.
    Open,
    /// It sends its next piece.
    Send,
    /// It reads the oldest piece that it has not read.
    Read,
    /// It closes its WebSocket.
    Close,
    /// It goes away without a word.
    Leave,
    /// It goes away if it has seen nothing new for too long.
    LoseHeart,
    /// All is well again: it has its last words answered, and closes.
    Finish,
}

/// What a client wants done.
pub type Turn = turn::Turn<Event, Step>;

/// A client and its request.
#[derive(Debug)]
pub struct Client {
    /// What it does.
    pub plan: ClientPlan,
    /// All that it sends.
    pub up: Bytes,
    /// All that it may see.
    pub down: Bytes,
    /// Its request, once it has come.
    pub key: Option<RequestKey>,
    stage: Stage,
    sent: usize,
    pieces_sent: usize,
    is_paused: bool,
    /// It is to send, but was told to pause.
    owes: bool,
    received: usize,
    messages: usize,
    /// The lengths of what it was handed and has not read.
    unread: VecDeque<usize>,
    unread_bytes: usize,
    last_news: Time,
    /// What goes on on a WebSocket that can hibernate.
    pub talk: Talk,
    /// How often its request was handed to a handler.
    pub deliveries: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Coming,
    Waiting,
    /// An answer has begun, or a WebSocket is open.
    Begun,
    Ended(End),
}

/// How a client's request ended, for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With all that its handler had for it.
    Whole,
    /// With a code.
    Failed(FailureCode),
    /// It closed, having all that it wanted.
    Closed,
    /// It went away, as it meant to.
    Left,
    /// It went away, having waited too long.
    LostHeart,
    /// Its gateway died.
    GatewayDied,
    /// Its actor stopped, and its WebSocket with it.
    ActorStopped,
    /// The next life of its actor knew nothing of its WebSocket.
    NotRestored,
    /// A message to its handler was missing.
    Skipped,
}

impl Client {
    /// One that has not come yet.
    pub fn new(plan: ClientPlan) -> Client {
        let (up, down) = match &plan.wish {
            Wish::Http(http) => {
                let down = match &http.answer {
                    Answer::Clean(body) => body.total(),
                    Answer::BreaksOff(pieces) => pieces.total(),
                    Answer::Fails | Answer::Never => 0,
                };
                (http.body.total(), down)
            }
            Wish::WebSocket(socket) => (socket.up.total(), socket.down.total()),
            Wish::Hibernating(_) => (0, 0),
        };
        Client {
            up: body(plan.number, Way::Up, up),
            down: body(plan.number, Way::Down, down),
            plan,
            key: None,
            stage: Stage::Coming,
            sent: 0,
            pieces_sent: 0,
            is_paused: false,
            owes: false,
            received: 0,
            messages: 0,
            unread: VecDeque::new(),
            unread_bytes: 0,
            last_news: Time::ZERO,
            talk: Talk::default(),
            deliveries: 0,
        }
    }

    /// How its request ended, if it has.
    pub fn end(&self) -> Option<End> {
        match self.stage {
            Stage::Ended(end) => Some(end),
            Stage::Coming | Stage::Waiting | Stage::Begun => None,
        }
    }

    /// Whether it has come, and its request has not ended.
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Waiting | Stage::Begun)
    }

    /// Bytes that it was handed and has not read.
    pub fn unread(&self) -> usize {
        self.unread_bytes
    }

    /// What it asks its gateway.
    pub fn open(&self) -> Open {
        let (method, kind) = match &self.plan.wish {
            Wish::Http(http) => (
                http.method,
                OpenKind::Http(match &http.body {
                    BodyPlan::None => Body::None,
                    BodyPlan::Whole(_) => Body::Whole(self.up.clone()),
                    BodyPlan::Streamed(_) => Body::Stream,
                }),
            ),
            Wish::WebSocket(_) | Wish::Hibernating(_) => ("GET", OpenKind::WebSocket),
        };
        let path = format!("/{}", self.plan.number).into();
        Open {
            target: Target { pool: pool(self.plan.pool), actor_id: actor(self.plan.number) },
            head: RequestHead { method: method.into(), path, headers: Map::default() },
            kind,
        }
    }

    /// Its request was taken in.
    pub fn opened(&mut self, key: RequestKey, now: Time, turn: &mut Turn) {
        (self.key, self.stage, self.last_news) = (Some(key), Stage::Waiting, now);
        if let Wish::Http(http) = &self.plan.wish
            && let BodyPlan::Streamed(pieces) = &http.body
        {
            turn.later.push((pieces.gap, Step::Send));
        }
        if let Some(after) = self.plan.leaves {
            turn.later.push((after, Step::Leave));
        }
        turn.later.push((PATIENCE, Step::LoseHeart));
    }

    /// It has its end.
    pub fn ended(&mut self, end: End) {
        self.stage = Stage::Ended(end);
        self.unread.clear();
        self.unread_bytes = 0;
    }

    /// It is time for something that it meant to do.
    pub fn step(&mut self, step: Step, now: Time, turn: &mut Turn) {
        let Some(key) = self.key.filter(|_| self.is_open()) else { return };
        match step {
            Step::Open => {}
            Step::Send if let Wish::Hibernating(plan) = &self.plan.wish => {
                self.talk.send(key, self.plan.number, plan, now, turn);
            }
            Step::Send if self.is_paused && !has_taken_already(self.pieces_sent) => self.owes = true,
            Step::Send => self.send(key, turn),
            Step::Read => self.read(key, turn),
            Step::Close => {
                turn.events.push(Event::WebSocketClose { key, close: Talk::close() });
                self.ended(End::Closed);
            }
            Step::Leave => {
                turn.events.push(Event::ClientGone { key });
                self.ended(End::Left);
            }
            Step::Finish => self.talk.finishes(key, self.plan.number, turn),
            // It is idle for minutes.
            Step::LoseHeart if self.stage == Stage::Begun && matches!(self.plan.wish, Wish::Hibernating(_)) => {}
            Step::LoseHeart => {
                let waited = now.since(self.last_news);
                if waited < PATIENCE {
                    turn.later.push((PATIENCE - waited, Step::LoseHeart));
                } else {
                    turn.events.push(Event::ClientGone { key });
                    self.ended(End::LostHeart);
                }
            }
        }
    }

    fn send(&mut self, key: RequestKey, turn: &mut Turn) {
        let pieces = self.pieces();
        let Some(length) = pieces.lengths.get(self.pieces_sent).copied() else { return };
        let (gap, is_last) = (pieces.gap, self.pieces_sent + 1 == pieces.lengths.len());
        let bytes = self.up.slice(self.sent..self.sent + length);
        let event = match &self.plan.wish {
            Wish::Http(_) => Event::RequestChunk { key, bytes, finish: is_last },
            Wish::WebSocket(_) | Wish::Hibernating(_) => {
                Event::WebSocketMessage { key, message: message(self.pieces_sent, bytes) }
            }
        };
        turn.events.push(event);
        self.sent += length;
        self.pieces_sent += 1;
        if is_last {
            self.close_if_done(turn);
        } else {
            turn.later.push((gap, Step::Send));
        }
    }

    /// A client that is to close does so when it has sent and seen everything.
    fn close_if_done(&mut self, turn: &mut Turn) {
        let Wish::WebSocket(WebSocketPlan { closer: Closer::Client, up, down, .. }) = &self.plan.wish else { return };
        let is_done = self.pieces_sent == up.lengths.len() && self.messages == down.lengths.len();
        if is_done && self.stage == Stage::Begun {
            turn.later.push((Duration::ZERO, Step::Close));
        }
    }

    fn read(&mut self, key: RequestKey, turn: &mut Turn) {
        let Some(bytes) = self.unread.pop_front() else { return };
        self.unread_bytes -= bytes;
        turn.events.push(Event::Consumed { key, bytes });
        if let Some(next) = self.unread.front() {
            turn.later.push((reading_time(self.plan.reading, *next), Step::Read));
        }
    }

    /// It is handed so many bytes.
    fn take(&mut self, bytes: usize, turn: &mut Turn) {
        let Some(key) = self.key else { return };
        if self.plan.reading.is_zero() {
            turn.events.push(Event::Consumed { key, bytes });
            return;
        }
        self.unread.push_back(bytes);
        self.unread_bytes += bytes;
        if self.unread.len() == 1 {
            turn.later.push((reading_time(self.plan.reading, bytes), Step::Read));
        }
    }

    /// Its gateway wants something done for it. Whether its request has ended by that, and how.
    pub fn sees(&mut self, action: Action, now: Time, turn: &mut Turn) {
        if let Stage::Ended(end) = self.stage {
            return turn.wrong(|| format!("after its end ({end:?}) a client sees {action:?}"));
        }
        self.last_news = now;
        match action {
            Action::ResponseStart { head, body, .. } => self.answer(&head, body, turn),
            Action::ResponseChunk { bytes, finish, .. } => {
                self.expect_stage(Stage::Begun, "a chunk", turn);
                self.see(&bytes, turn);
                if finish {
                    self.clean_end(turn);
                } else {
                    self.take(bytes.len(), turn);
                }
            }
            Action::WebSocketOpened { .. } => {
                self.expect_stage(Stage::Waiting, "an opened WebSocket", turn);
                self.stage = Stage::Begun;
                match &self.plan.wish {
                    Wish::Hibernating(plan) => self.talk.begins(plan, turn),
                    Wish::WebSocket(_) | Wish::Http(_) => turn.later.push((self.pieces().gap, Step::Send)),
                }
            }
            Action::WebSocketMessage { message, .. } => self.message(message, turn),
            Action::WebSocketClose { close, .. } => self.closed(&close, turn),
            Action::Failed { failure, .. } => self.ended(End::Failed(failure.code)),
            Action::PauseSource { .. } => {
                self.is_paused = true;
                self.talk.paces(true, turn);
            }
            Action::ResumeSource { .. } => {
                self.is_paused = false;
                self.talk.paces(false, turn);
                if core::mem::take(&mut self.owes) {
                    turn.later.push((Duration::ZERO, Step::Send));
                }
            }
            other @ (Action::Publish(_) | Action::Actor(_) | Action::Registry(_) | Action::Drained) => {
                turn.wrong(|| format!("a client sees {other:?}"))
            }
        }
    }

    fn answer(&mut self, head: &ResponseHead, body: Body, turn: &mut Turn) {
        self.expect_stage(Stage::Waiting, "an answer", turn);
        if let Some(code) = head.headers.get("x-underpass-error") {
            let Some(code) = FailureCode::ALL.into_iter().find(|known| known.as_str() == &**code) else {
                return turn.wrong(|| format!("a code that is none: {code}"));
            };
            return self.ended(End::Failed(code));
        }
        let is_mine = head.headers.get("x-client").map(|value| &**value) == Some(&*self.plan.number.to_string());
        let throws = |http: &HttpPlan| matches!(http.answer, Answer::Fails | Answer::BreaksOff(_));
        if is_mine && head.status == 500 && matches!(&self.plan.wish, Wish::Http(http) if throws(http)) {
            // So a published runner answers for a handler that throws.
            return self.ended(End::Failed(FailureCode::RunnerFailed));
        }
        if head.status != 200 || !is_mine {
            turn.wrong(|| format!("a client sees the answer of another: {head:?}"));
        }
        self.stage = Stage::Begun;
        match body {
            Body::None => self.clean_end(turn),
            Body::Whole(bytes) => {
                self.see(&bytes, turn);
                self.clean_end(turn);
            }
            Body::Stream => {}
        }
    }

    fn message(&mut self, message: Message, turn: &mut Turn) {
        self.expect_stage(Stage::Begun, "a message", turn);
        if let Wish::Hibernating(plan) = &self.plan.wish {
            self.talk.hears(self.plan.number, &message, plan.hears_in_order, turn);
            return self.take(message.len(), turn);
        }
        let (place, length) = (self.messages, message.len());
        let planned = match &self.plan.wish {
            Wish::WebSocket(socket) => socket.down.lengths.get(place).copied(),
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
        self.take(length, turn);
        self.close_if_done(turn);
    }

    fn closed(&mut self, close: &Close, turn: &mut Turn) {
        self.expect_stage(Stage::Begun, "a close", turn);
        let reason = close.reason.as_deref().unwrap_or_default();
        let code = FailureCode::ALL.into_iter().find(|code| reason.split('#').next() == Some(code.as_str()));
        match code {
            Some(code) => self.ended(End::Failed(code)),
            None if reason == "actor.stopped" => self.ended(End::ActorStopped),
            None if ["ws.meta_not_found_during_restore", "ws.not_restored"].contains(&reason) => {
                self.ended(End::NotRestored);
            }
            None if reason == "ws.message_index_skip" => self.ended(End::Skipped),
            None if *close == farewell(self.plan.number) => self.clean_end(turn),
            None => turn.wrong(|| format!("a client sees the close of another: {close:?}")),
        }
    }

    /// The next bytes of what it may see.
    fn see(&mut self, bytes: &[u8], turn: &mut Turn) {
        let expected = self.down.get(self.received..self.received + bytes.len());
        if expected != Some(bytes) {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(32)]).into_owned();
            turn.wrong(|| {
                let (received, all) = (self.received, self.down.len());
                format!("a client sees {} wrong bytes behind {received} of {all}: {shown:?}", bytes.len())
            });
        }
        self.received += bytes.len();
    }

    fn clean_end(&mut self, turn: &mut Turn) {
        let is_clean = match &self.plan.wish {
            Wish::Http(http) => matches!(http.answer, Answer::Clean(_)),
            Wish::WebSocket(socket) => socket.closer == Closer::Handler && self.messages == socket.down.lengths.len(),
            Wish::Hibernating(plan) => plan.closes_behind.is_some(),
        };
        if !is_clean || self.received != self.down.len() {
            turn.wrong(|| {
                let (received, all) = (self.received, self.down.len());
                format!("a clean end behind {received} of {all} bytes, {} messages", self.messages)
            });
        }
        self.ended(End::Whole);
    }

    fn expect_stage(&self, stage: Stage, what: &str, turn: &mut Turn) {
        if self.stage != stage {
            turn.wrong(|| format!("a client sees {what} while it is {:?}", self.stage));
        }
    }

    fn pieces(&self) -> &Pieces {
        static NONE: Pieces = Pieces { lengths: Vec::new(), gap: Duration::ZERO };
        match &self.plan.wish {
            Wish::Http(http) => match &http.body {
                BodyPlan::Streamed(pieces) => pieces,
                BodyPlan::None | BodyPlan::Whole(_) => &NONE,
            },
            Wish::WebSocket(socket) => &socket.up,
            Wish::Hibernating(_) => &NONE,
        }
    }
}
