//! Requests at a published runner: whole bodies, numbered WebSockets, and what it never hears or says.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use underpass_core::failure::RequestName;
use underpass_core::http::{Body, Close, Message, RequestHead, ResponseHead};
use underpass_core::protocol::tunnel::to_client::{Kind as Word, RequestStart, WebSocketClose, WebSocketMessage};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage, to_server};
use underpass_core::protocol::{Map, MessageId, ToServer};
use underpass_core::runner::{Action, Event};

use super::Step;
use super::actors::Held;
use crate::sim::checks::name;
use crate::sim::faults::Host;
use crate::sim::fleet::runner::delivered_too_often;
use crate::sim::handler::{self, Handler};
use crate::sim::trace::About;
use crate::sim::workload::Wish;
use crate::sim::world::World;

/// A request that a handler has.
#[derive(Debug)]
pub(super) struct Exchange {
    actor: ByteString,
    handler: Handler,
    kind: Kind,
    /// Its connection ended, or it was aborted: nobody tells it anything more.
    is_cut_off: bool,
}

#[derive(Debug)]
enum Kind {
    /// The answer is collected, as published runners answer whole.
    Http { head: Option<ResponseHead>, body: BytesMut },
    /// The number of the next message to come, where a gap would be seen, and of the next to go.
    WebSocket { comes: u16, goes: u16 },
}

impl Exchange {
    /// Whose it is.
    pub(super) fn actor(&self) -> &ByteString {
        &self.actor
    }

    pub(super) fn client(&self) -> u32 {
        self.handler.client
    }

    pub(super) fn cut_off(&mut self) {
        self.is_cut_off = true;
    }

    /// Whether its handler waits for something that must come.
    pub(super) fn is_awaited(&self) -> bool {
        !self.is_cut_off && self.handler.is_busy()
    }
}

impl World<'_> {
    /// The tunnel brings something.
    pub(super) fn exchange_hears(&mut self, index: usize, message: ToClientTunnelMessage) {
        let ToClientTunnelMessage { message_id, message_kind } = message;
        let name = name(message_id);
        let Some(message_kind) = self.socket_hears(index, name, message_id.message_index, message_kind) else { return };
        match message_kind {
            Word::RequestStart(RequestStart { ref actor_id, .. }) => {
                self.request_comes(index, &actor_id.clone(), name, message_kind);
            }
            Word::WebSocketOpen(ref open) => self.request_comes(index, &open.actor_id.clone(), name, message_kind),
            Word::RequestAbort => self.exchange_is_aborted(index, name),
            Word::WebSocketMessage(message) => self.message_comes(index, name, message_id.message_index, message),
            Word::WebSocketClose(WebSocketClose { code, reason }) => {
                let close = Close { code, reason };
                self.exchange_is_closed(index, name, close);
            }
            Word::RequestChunk(_) | Word::Credit(_) => {
                self.wrong(About::Wire(name), || format!("a published runner hears {message_kind:?}"));
            }
        }
    }

    fn request_comes(&mut self, index: usize, actor: &ByteString, name: RequestName, word: Word) {
        let now = self.network.now();
        let Some((_, process)) = self.published_process(index) else { return };
        let hosted = process.actors.get(actor).map(|hosted| hosted.generation);
        if let Err(wrong) = process.orders.request(actor, hosted) {
            return self.wrong(About::Wire(name), || wrong);
        }
        // A request for an actor that it does not have gets no answer at all.
        let Some(hosted) = process.actors.get_mut(actor) else { return };
        hosted.touched = now;
        let held = Held { name, number: 0, word, is_cut_off: false };
        match hosted.held() {
            Some(waiting) => waiting.push(held),
            None => self.exchange_begins(index, actor, held),
        }
    }

    /// A request is handed to its handler.
    pub(super) fn exchange_begins(&mut self, index: usize, actor: &ByteString, held: Held) {
        let Held { name, word, is_cut_off, .. } = held;
        let (method, path, headers, body) = match word {
            Word::RequestStart(start) => {
                if start.stream {
                    return self.wrong(About::Wire(name), || "a published runner is sent a body in pieces".into());
                }
                if matches!(&*start.method, "GET" | "HEAD") && start.body.is_some() {
                    return self.wrong(About::Wire(name), || "a GET with a body, be it empty".into());
                }
                (start.method, start.path, start.headers, Some(start.body.map_or(Body::None, Body::Whole)))
            }
            Word::WebSocketOpen(open) => ("GET".into(), open.path, open.headers, None),
            Word::RequestChunk(_)
            | Word::RequestAbort
            | Word::WebSocketMessage(_)
            | Word::WebSocketClose(_)
            | Word::Credit(_) => return,
        };
        let number = path.strip_prefix('/').and_then(|number| number.parse().ok());
        let Some(client) = number.and_then(|number: u32| self.clients.get_mut(number as usize)?.as_mut()) else {
            return self.wrong(About::Wire(name), || format!("a handler has a request of nobody: {path}"));
        };
        let number = client.plan.number;
        let too_often = delivered_too_often(client, &self.seen, self.schedule.fleet.manner.is_some());
        let Some(key) = client.key else { return };
        if let Wish::Hibernating(plan) = &client.plan.wish {
            let plan = plan.clone();
            return self.socket_opens(index, actor, name, number, &plan);
        }
        let head = RequestHead { method, path, headers };
        let (handler, kind) = match body {
            Some(body) => (
                Handler::request(key, client, actor, &head, body, &mut self.handler_turn),
                Kind::Http { head: None, body: BytesMut::new() },
            ),
            None => (
                Handler::websocket(key, client, &mut self.handler_turn),
                // The first message is 1, whatever the opening bore.
                Kind::WebSocket { comes: 1, goes: 0 },
            ),
        };
        let exchange = Exchange { actor: actor.clone(), handler, kind, is_cut_off };
        if let Some((_, process)) = self.published_process(index) {
            process.exchanges.insert(name, exchange);
        }
        let host = Some(Host::Published(index));
        self.note(host, About::Client(number), 6, || format!("→ client {number} is handed to a handler of {actor}"));
        if too_often {
            self.wrong(About::Client(number), || format!("the request of client {number} was delivered again"));
        }
        self.actor_counts(index, actor);
        self.carry_out_published(index, name);
    }

    /// A published handler hears nothing of that, and may answer all the same.
    fn exchange_is_aborted(&mut self, index: usize, name: RequestName) {
        let Some((_, process)) = self.published_process(index) else { return };
        for hosted in process.actors.values_mut() {
            if let Some(held) = hosted.held() {
                held.retain(|held| held.name != name);
            }
        }
        let Some(exchange) = process.exchanges.get_mut(&name) else { return };
        exchange.cut_off();
    }

    fn message_comes(&mut self, index: usize, name: RequestName, number: u16, message: WebSocketMessage) {
        let Some(process) = self.published[index].process.as_mut() else { return };
        for hosted in process.actors.values_mut() {
            if let Some(held) = hosted.held()
                && held.iter().any(|held| held.name == name)
            {
                return self.wrong(About::Wire(name), || "a message for a WebSocket that nobody took".into());
            }
        }
        let Some(exchange) = process.exchanges.get_mut(&name) else { return };
        let client = exchange.client();
        let Kind::WebSocket { comes, .. } = &mut exchange.kind else {
            return self.wrong(About::Wire(name), || "a message for what is no WebSocket".into());
        };
        if number != *comes {
            let comes = *comes;
            return self.wrong(About::Wire(name), || format!("message {number} comes where {comes} should"));
        }
        *comes = comes.wrapping_add(1);
        let Some(client) = &self.clients[client as usize] else { return };
        let Some(key) = client.key else { return };
        let message = if message.binary {
            Message::Binary(message.data)
        } else {
            match ByteString::try_from(message.data) {
                Ok(text) => Message::Text(text),
                Err(_) => return self.wrong(About::Wire(name), || "a text that is none".into()),
            }
        };
        exchange.handler.sees(Action::WebSocketMessage { key, number, message }, &client.plan, &mut self.handler_turn);
        self.carry_out_published(index, name);
    }

    /// After a close it often sends one of its own.
    fn exchange_is_closed(&mut self, index: usize, name: RequestName, close: Close) {
        let Some((_, process)) = self.published_process(index) else { return };
        for hosted in process.actors.values_mut() {
            if let Some(held) = hosted.held() {
                held.retain(|held| held.name != name);
            }
        }
        let Some(exchange) = process.exchanges.remove(&name) else { return };
        if exchange.client() % 2 == 0 {
            let Close { code, reason } = close;
            let close = to_server::WebSocketClose { code, reason, hibernate: false };
            self.exchange_says(index, name, 0, to_server::Kind::WebSocketClose(close));
        }
    }

    pub(super) fn published_handler_steps(&mut self, index: usize, name: RequestName, step: handler::Step) {
        let Some(process) = self.published[index].process.as_mut() else { return };
        let Some(exchange) = process.exchanges.get_mut(&name) else { return };
        let Some(client) = &self.clients[exchange.handler.client as usize] else { return };
        exchange.handler.step(step, &client.plan, &mut self.handler_turn);
        self.carry_out_published(index, name);
    }

    /// Does what a handler wants done.
    fn carry_out_published(&mut self, index: usize, name: RequestName) {
        if let Some(wrong) = self.handler_turn.wrong.take() {
            self.wrong(About::Wire(name), || wrong);
        }
        let mut later = core::mem::take(&mut self.handler_turn.later);
        for (after, step) in later.drain(..) {
            self.published_later(index, after, Step::Handler(name, step));
        }
        self.handler_turn.later = later;
        let mut events = core::mem::take(&mut self.handler_turn.events);
        for event in events.drain(..) {
            self.handler_says(index, name, event);
        }
        self.handler_turn.events = events;
    }

    fn handler_says(&mut self, index: usize, name: RequestName, event: Event) {
        let Some((_, process)) = self.published_process(index) else { return };
        let Some(exchange) = process.exchanges.get_mut(&name) else { return };
        let client = exchange.client();
        match (&mut exchange.kind, event) {
            (Kind::Http { .. }, Event::ResponseStart { head, body: Body::None, .. }) => {
                self.answers(index, name, head, None);
            }
            (Kind::Http { .. }, Event::ResponseStart { head, body: Body::Whole(bytes), .. }) => {
                self.answers(index, name, head, Some(bytes));
            }
            (Kind::Http { head, .. }, Event::ResponseStart { head: told, body: Body::Stream, .. }) => {
                *head = Some(told);
            }
            (Kind::Http { head, body }, Event::ResponseChunk { bytes, finish, .. }) => {
                body.extend_from_slice(&bytes);
                if finish && let Some(head) = head.take() {
                    let body = core::mem::take(body).freeze();
                    self.answers(index, name, head, Some(body));
                }
            }
            (Kind::Http { .. }, Event::HandlerFailed { .. }) => {
                let headers = [("x-client".into(), client.to_string().into())].into_iter().collect();
                self.answers(index, name, ResponseHead { status: 500, headers }, Some("it threw".into()));
            }
            (Kind::WebSocket { .. }, Event::WebSocketAccept { .. }) => {
                let word = to_server::Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: false });
                self.exchange_says(index, name, 0, word);
            }
            (Kind::WebSocket { goes, .. }, Event::WebSocketMessage { message, .. }) => {
                let number = core::mem::replace(goes, goes.wrapping_add(1));
                let (data, binary) = match message {
                    Message::Text(text) => (text.into_bytes(), false),
                    Message::Binary(bytes) => (bytes, true),
                };
                let word = to_server::Kind::WebSocketMessage(to_server::WebSocketMessage { data, binary });
                self.exchange_says(index, name, number, word);
            }
            (Kind::WebSocket { .. }, Event::WebSocketClose { close: Close { code, reason }, .. }) => {
                self.closes(index, name, to_server::WebSocketClose { code, reason, hibernate: false });
            }
            (Kind::WebSocket { .. }, Event::HandlerFailed { .. }) => {
                let close = Close::new(1011, "it threw");
                let close = to_server::WebSocketClose { code: close.code, reason: close.reason, hibernate: false };
                self.closes(index, name, close);
            }
            // It waits for nobody to read.
            (_, Event::Consumed { .. }) => {}
            (_, event) => self.wrong(About::Wire(name), || format!("a handler says {event:?}")),
        }
    }

    fn answers(&mut self, index: usize, name: RequestName, head: ResponseHead, body: Option<Bytes>) {
        let ResponseHead { status, headers } = head;
        let headers: Map<ByteString> = headers;
        let start = to_server::ResponseStart { status, headers, body, stream: false };
        self.exchange_says(index, name, 0, to_server::Kind::ResponseStart(start));
        self.exchange_is_over(index, name);
    }

    fn closes(&mut self, index: usize, name: RequestName, close: to_server::WebSocketClose) {
        self.exchange_says(index, name, 0, to_server::Kind::WebSocketClose(close));
        self.exchange_is_over(index, name);
    }

    fn exchange_is_over(&mut self, index: usize, name: RequestName) {
        if let Some((_, process)) = self.published_process(index) {
            process.exchanges.remove(&name);
        }
    }

    /// What an open WebSocket says while its runner is away waits; an answer or a close is never told.
    fn exchange_says(&mut self, index: usize, name: RequestName, message_index: u16, message_kind: to_server::Kind) {
        let RequestName { gateway_id, request_id } = name;
        let message_id = MessageId { gateway_id, request_id, message_index };
        let message = ToServer::TunnelMessage(ToServerTunnelMessage { message_id, message_kind });
        let Some((_, process)) = self.published_process(index) else { return };
        if process.link.open().is_some() {
            return self.published_says(index, message);
        }
        if let ToServer::TunnelMessage(ToServerTunnelMessage {
            message_kind: to_server::Kind::WebSocketMessage(_),
            ..
        }) = &message
        {
            process.buffered.push(message);
        }
    }
}
