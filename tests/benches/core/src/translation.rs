//! Frames of runners of versions 2 and 3, which a relay translates.

use bytes::Bytes;
use underpass_core::Frame;
use underpass_core::protocol::any::{self, Message};
use underpass_core::protocol::carry::{Carried, FromBus};
use underpass_core::protocol::tunnel::{ToServerTunnelMessage, to_client, to_server};
use underpass_core::protocol::{Dialect, Edge, Memory, RequestId, ToServer, Version};
use underpass_tests::wire::{message_id, to_runner};

use crate::{PAYLOADS, head, measure, reference, row, time};

const REQUEST: RequestId = RequestId(*b"reqs");

/// Both ways, by version and payload.
pub(crate) fn table() {
    let columns = ["a message of a WebSocket", "version", "payload", "decode and encode", "translated", "allocations"];
    head("Translation for runners of older versions", &columns);
    for version in [Version::V2, Version::V3] {
        for (payload, shown) in PAYLOADS {
            let mut edge = Edge::new(version, Dialect::Published, 2);
            let open = to_client::Kind::WebSocketOpen(to_client::WebSocketOpen {
                actor_id: "default".into(),
                path: "/".into(),
                headers: Default::default(),
            });
            carry(&mut edge, to_runner(1, message_id(REQUEST, 0), open).frame);

            let data = Bytes::from(vec![7; payload]);
            let message = to_client::WebSocketMessage { data, binary: true };
            let kind = to_client::Kind::WebSocketMessage(message.clone());
            let down = to_runner(1, message_id(REQUEST, 1), kind).frame;
            let whole = time(reference::decode_and_encode(&down).nanoseconds);
            let up = from_runner(version, to_server::Kind::WebSocketMessage(message));
            let to_runner = measure::one(|| carry(&mut edge, down.clone()));
            let to_gateway = measure::one(|| edge.from_runner(up.clone()).expect("it is translated"));
            for (way, cost) in [("to the runner", to_runner), ("to the gateway", to_gateway)] {
                let (cost, allocations) = (time(cost.nanoseconds), format!("{:.2}", cost.allocations));
                row(&[way.into(), version.to_string(), shown.into(), whole.clone(), cost, allocations]);
            }
        }
    }
    println!();
}

fn carry(edge: &mut Edge, frame: Frame) -> Frame {
    match edge.from_bus(frame) {
        Ok(FromBus::Tunnel(Carried { mut frame, .. })) => {
            edge.carry(&mut frame).expect("it is translated");
            frame
        }
        other => panic!("{other:?}"),
    }
}

/// What a runner of this version writes on its WebSocket.
fn from_runner(version: Version, message_kind: to_server::Kind) -> Bytes {
    let message = ToServerTunnelMessage { message_id: message_id(REQUEST, 0), message_kind };
    let message = Message::ToServer(any::ToServer::V7(ToServer::TunnelMessage(message)));
    message.translate(version, &mut Memory::stand_alone()).expect("it has a word for it").encode().into_bytes()
}
