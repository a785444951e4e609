//! A gateway with open WebSockets, to send and receive on them again and again.

use bytes::Bytes;
use underpass_core::directory::{RunnerRecord, RunnerState};
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::Message;
use underpass_core::protocol::RequestId;
use underpass_core::protocol::tunnel::to_client::{Credit, WebSocketMessage};
use underpass_core::protocol::tunnel::to_server::{Kind, WebSocketMessageAck};
use underpass_core::{Frame, Gateway, Machine, RequestKey, Time};

use crate::given::actors::running;
use crate::given::gateway::config;
use crate::given::hibernation::taken;
use crate::given::supervisor::runner_id;
use crate::sleepers::{Sleepers, actor};
use crate::wire::{GATEWAY, abilities, message_id, open_websocket, record, request_id, seen, to_gateway};

/// What its runners announce, bytes.
const CREDIT: usize = 1 << 20;
/// A message counts for at least so many bytes.
const LEAST: usize = 64;
/// So many WebSockets a runner has.
const OF_EACH_RUNNER: usize = 20_000;

/// A gateway, and its WebSockets.
#[derive(Debug)]
pub struct Talking {
    /// The gateway.
    pub gateway: Gateway,
    sockets: Vec<Socket>,
    payload: Bytes,
    hibernates: bool,
}

/// A WebSocket: what it is called here and on the wire, how many messages were sent, and the number of the last that
/// came.
#[derive(Debug)]
struct Socket {
    key: RequestKey,
    id: RequestId,
    sent: u32,
    came: u16,
}

impl Socket {
    fn new(key: RequestKey, id: RequestId) -> Self {
        Socket { key, id, sent: 0, came: 0 }
    }
}

impl Talking {
    /// With so many WebSockets to an actor without state, and payloads of so many bytes.
    pub fn on(count: usize, payload: usize) -> Self {
        let config = Config { max_requests: count, max_requests_per_runner: OF_EACH_RUNNER, ..config() };
        let mut gateway = Gateway::new(config, GATEWAY, 1, Time::ZERO).expect("a gateway's configuration");
        for number in 1..=count.div_ceil(OF_EACH_RUNNER) as u64 {
            let record = record(number, abilities(CREDIT as u32), RunnerState::Ready);
            let record = RunnerRecord { id: runner_id(number), ..record };
            let shown = Event::Directory(seen(&format!("runner-{number}"), record));
            gateway.handle(shown, Time::ZERO).expect("no misuse");
        }
        let sockets = Vec::with_capacity(count);
        let mut talking = Talking { gateway, sockets, payload: Bytes::from(vec![7; payload]), hibernates: false };
        for _ in 0..count {
            let key = talking.gateway.open(open_websocket("/"), Time::ZERO).expect("it is taken in");
            let id = request_id(&talking.gateway, key);
            talking.input(Event::Received { from: None, frame: to_gateway(message_id(id, 0), taken(false)) });
            talking.sockets.push(Socket::new(key, id));
        }
        talking
    }

    /// With so many WebSockets that can hibernate, a hundred of each actor, all of them awake.
    pub fn on_some_that_hibernate(count: usize, payload: usize) -> Self {
        let mut sleepers = Sleepers::new(count);
        let mut sockets = Vec::with_capacity(count);
        for number in 0..count {
            let actor = actor(number / 100);
            if number % 100 == 0 {
                sleepers.shows(&actor, 1, running(1));
            }
            let id = sleepers.opens(&actor);
            sockets.push(Socket::new(sleepers.keys[number], id));
        }
        Talking { gateway: sleepers.gateway, sockets, payload: Bytes::from(vec![7; payload]), hibernates: true }
    }

    /// The bytes that this takes for itself.
    pub fn overhead(&self) -> usize {
        self.sockets.capacity() * size_of::<Socket>()
    }

    /// How many messages may be sent, or may come, between two [settlings](Self::settle).
    pub fn most(&self) -> usize {
        (CREDIT / self.payload.len().max(LEAST)).clamp(1, 256)
    }

    /// What the runner says next on a WebSocket, so many times.
    pub fn incoming(&self, socket: usize, count: usize) -> Vec<Frame> {
        let Socket { id, came, .. } = self.sockets[socket];
        let kind = || Kind::WebSocketMessage(WebSocketMessage { data: self.payload.clone(), binary: true });
        (1..=count as u16).map(|ahead| to_gateway(message_id(id, came.wrapping_add(ahead)), kind())).collect()
    }

    /// A client's message, until it is to be published.
    pub fn sends(&mut self, socket: usize) -> Action {
        let message = Message::Binary(self.payload.clone());
        let socket = &mut self.sockets[socket];
        socket.sent = socket.sent.wrapping_add(1);
        let event = Event::WebSocketMessage { key: socket.key, message };
        self.gateway.handle(event, Time::ZERO).expect("no misuse");
        match self.gateway.poll_action() {
            Some(action @ Action::Publish(_)) => action,
            other => panic!("{other:?}"),
        }
    }

    /// A message of the runner, until it is to be handed to its client.
    pub fn receives(&mut self, socket: usize, frame: Frame) -> Action {
        let came = &mut self.sockets[socket].came;
        *came = came.wrapping_add(1);
        self.gateway.handle(Event::Received { from: None, frame }, Time::ZERO).expect("no misuse");
        match self.gateway.poll_action() {
            Some(action @ Action::WebSocketMessage { .. }) => action,
            other => panic!("{other:?}"),
        }
    }

    /// The client took a message; a grant is published now and then.
    pub fn consumes(&mut self, socket: usize) -> Option<Action> {
        let event = Event::Consumed { key: self.sockets[socket].key, bytes: self.payload.len() };
        self.gateway.handle(event, Time::ZERO).expect("no misuse");
        self.gateway.poll_action()
    }

    /// The runner has handled what was sent, and says so.
    pub fn settle(&mut self, socket: usize) {
        let Socket { id, sent, ref mut came, .. } = self.sockets[socket];
        if self.hibernates && sent > 0 {
            *came = came.wrapping_add(1);
            let ack = Kind::WebSocketMessageAck(WebSocketMessageAck { index: sent as u16 });
            let frame = to_gateway(message_id(id, *came), ack);
            self.input(Event::Received { from: None, frame });
        }
        let total = sent.wrapping_mul(self.payload.len().max(LEAST) as u32);
        let frame = to_gateway(message_id(id, 0), Kind::Credit(Credit { total }));
        self.input(Event::Received { from: None, frame });
    }

    fn input(&mut self, event: Event) {
        self.gateway.handle(event, Time::ZERO).expect("no misuse");
        while let Some(action) = self.gateway.poll_action() {
            assert!(!matches!(action, Action::Failed { .. }), "{action:?}");
        }
    }
}
