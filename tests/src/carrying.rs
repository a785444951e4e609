//! A relay with one WebSocket routed through it, to carry frames each way.

use bytes::Bytes;
use underpass_core::directory::{ChangeOutcome, Revision};
use underpass_core::handshake::Hello;
use underpass_core::protocol::to_server::{Init, Pong};
use underpass_core::protocol::tunnel::{to_client, to_server};
use underpass_core::protocol::{Dialect, Map, RequestId, ToServer};
use underpass_core::{Frame, Machine, Relay, Time, relay};

use crate::wire::{message_id, relay_id, to_runner, to_server};

const CONNECTION: u64 = 1;
const REQUEST: RequestId = RequestId(*b"reqs");

/// A relay, and a message of each direction to carry through it again and again.
#[derive(Debug)]
pub struct Carrying {
    relay: Relay,
    down: Frame,
    up: Bytes,
}

/// A relay that holds one runner, which is ready on connection 1.
pub fn relay_with_a_runner(config: relay::Config) -> Relay {
    let mut relay = Relay::new(config, relay_id(), 1, Time::ZERO).expect("a relay's configuration");
    let hello = Hello {
        protocol_version: 7,
        namespace: "default".into(),
        runner_key: "key".into(),
        dialect: Dialect::Underpass,
    };
    let init = ToServer::Init(Init {
        name: "default".into(),
        version: 1,
        total_slots: 1,
        prepopulate_actor_names: None,
        metadata: Some(r#"{"underpass":{"stateless":true}}"#.into()),
    });
    let from_runner =
        |message: ToServer| relay::Event::FromRunner { connection: CONNECTION, frame: message.encode().into_bytes() };
    for event in [
        relay::Event::Connected { connection: CONNECTION, hello },
        from_runner(init),
        relay::Event::Directory { connection: CONNECTION, outcome: ChangeOutcome::Stored(Revision(1)) },
        from_runner(ToServer::Pong(Pong { ts: 0 })),
    ] {
        relay.handle(event, Time::ZERO).expect("no misuse");
    }
    while relay.poll_action().is_some() {}
    relay
}

/// Opens the WebSocket of a number.
pub fn opens(relay: &mut Relay, number: u32) {
    let open = to_client::Kind::WebSocketOpen(to_client::WebSocketOpen {
        actor_id: "default".into(),
        path: "/".into(),
        headers: Map::default(),
    });
    let frame = to_runner(CONNECTION, message_id(RequestId(number.to_be_bytes()), 0), open).frame;
    relay.handle(relay::Event::FromBus { connection: CONNECTION, frame }, Time::ZERO).expect("no misuse");
    while relay.poll_action().is_some() {}
}

impl Carrying {
    /// With payloads of so many bytes.
    pub fn new(payload: usize) -> Self {
        let mut relay = relay_with_a_runner(relay::Config::default());
        opens(&mut relay, u32::from_be_bytes(REQUEST.0));
        assert_eq!(relay.stats().routes, 1);

        let data = || Bytes::from(vec![7; payload]);
        let down = to_client::Kind::WebSocketMessage(to_client::WebSocketMessage { data: data(), binary: true });
        let up = to_server::Kind::WebSocketMessage(to_client::WebSocketMessage { data: data(), binary: true });
        let down = to_runner(CONNECTION, message_id(REQUEST, 1), down).frame;
        let up = to_server(message_id(REQUEST, 0), up).into_bytes();
        // As a socket's reader hands it out: a piece of a buffer that is shared already.
        let up = up.clone();
        Carrying { relay, down, up }
    }

    /// Carries one frame from a gateway to the runner.
    pub fn down(&mut self) -> Frame {
        let event = relay::Event::FromBus { connection: CONNECTION, frame: self.down.clone() };
        self.relay.handle(event, Time::ZERO).expect("no misuse");
        match self.relay.poll_action() {
            Some(relay::Action::Send { frame, .. }) => frame,
            other => panic!("{other:?}"),
        }
    }

    /// Carries one frame from the runner to a gateway.
    pub fn up(&mut self) -> Frame {
        let event = relay::Event::FromRunner { connection: CONNECTION, frame: self.up.clone() };
        self.relay.handle(event, Time::ZERO).expect("no misuse");
        match self.relay.poll_action() {
            Some(relay::Action::Publish(publication)) => publication.frame,
            other => panic!("{other:?}"),
        }
    }

    /// What the bus brings for the runner.
    pub fn from_bus(&self) -> Frame {
        self.down.clone()
    }

    /// What each direction should come out as.
    pub fn expected(&self) -> (Frame, Frame) {
        let framed = [&[7, 0, 1][..], &self.up[1..]].concat();
        (self.down.clone().skip(2), Frame::from(Bytes::from(framed)))
    }
}
