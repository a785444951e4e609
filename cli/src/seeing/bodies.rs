//! The beginnings of bodies and messages, for the inspector, if that was asked for. Only gateways know them.

use std::collections::HashMap;

use bytes::Bytes;
use underpass_core::failure::RequestName;
use underpass_core::gateway::{Action, Event, Open, OpenKind};
use underpass_core::http::{Body, Message};
use underpass_core::observe::{Direction, Observer};
use underpass_core::{Failure, Gateway, RequestKey, Time};

use super::table::Table;

/// Looks on at a gateway, behind the journal of the same table.
#[derive(Debug)]
pub(crate) struct Bodies {
    table: Table,
    names: HashMap<RequestKey, RequestName>,
    /// The body of what is about to be opened.
    coming: Option<Bytes>,
}

impl Bodies {
    pub(crate) fn new(table: Table) -> Self {
        Bodies { table, names: HashMap::new(), coming: None }
    }

    /// Nothing more is to be shown of it.
    fn forget(&mut self, key: RequestKey) {
        self.names.remove(&key);
    }

    fn came(&self, key: RequestKey, direction: Direction, bytes: &[u8]) {
        if let Some(name) = self.names.get(&key) {
            self.table.body(*name, direction, bytes);
        }
    }

    fn message(&self, key: RequestKey, direction: Direction, message: &Message) {
        let bytes = match message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(data) => data,
        };
        self.came(key, direction, bytes);
        self.came(key, direction, b"\n");
    }
}

impl Observer<Gateway> for Bodies {
    fn opens(&mut self, _machine: &Gateway, open: &Open, _now: Time) {
        self.coming = match &open.kind {
            OpenKind::Http(Body::Whole(body)) => Some(body.clone()),
            OpenKind::Http(Body::None | Body::Stream) | OpenKind::WebSocket => None,
        };
    }

    fn opened(&mut self, machine: &Gateway, outcome: Result<RequestKey, &Failure>, _now: Time) {
        let body = self.coming.take();
        let Some((key, name)) = outcome.ok().and_then(|key| Some((key, machine.request_name(key)?))) else { return };
        self.names.insert(key, name);
        self.came(key, Direction::ToRunner, &body.unwrap_or_default());
    }

    fn event(&mut self, _machine: &Gateway, event: &Event, _now: Time) {
        match event {
            Event::RequestChunk { key, bytes, .. } => self.came(*key, Direction::ToRunner, bytes),
            Event::WebSocketMessage { key, message } => self.message(*key, Direction::ToRunner, message),
            Event::WebSocketClose { key, .. } | Event::ClientGone { key } => self.forget(*key),
            Event::Tick
            | Event::WallClock { .. }
            | Event::Received { .. }
            | Event::PublishFailed(_)
            | Event::NoResponders { .. }
            | Event::Lost { .. }
            | Event::Directory(_)
            | Event::Actors(_)
            | Event::Actor(_)
            | Event::ActorChanged { .. }
            | Event::RegistryChanged { .. }
            | Event::DirectoryAway
            | Event::DirectoryBack
            | Event::Consumed { .. }
            | Event::EndRequest { .. }
            | Event::Drain => {}
        }
    }

    fn action(&mut self, _machine: &Gateway, action: &Action, _now: Time) {
        match action {
            Action::ResponseStart { body: Body::Stream, .. } => {}
            Action::ResponseStart { key, body: Body::Whole(body), .. } => {
                self.came(*key, Direction::ToGateway, body);
                self.forget(*key);
            }
            Action::ResponseChunk { key, bytes, finish } => {
                self.came(*key, Direction::ToGateway, bytes);
                if *finish {
                    self.forget(*key);
                }
            }
            Action::WebSocketMessage { key, message } => self.message(*key, Direction::ToGateway, message),
            Action::ResponseStart { key, body: Body::None, .. }
            | Action::WebSocketClose { key, .. }
            | Action::Failed { key, .. } => self.forget(*key),
            Action::Publish(_)
            | Action::WebSocketOpened { .. }
            | Action::PauseSource { .. }
            | Action::ResumeSource { .. }
            | Action::Actor(_)
            | Action::Registry(_)
            | Action::Drained => {}
        }
    }
}
