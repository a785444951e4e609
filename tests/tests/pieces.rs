//! Where the pieces of a frame are cut makes no difference, and what is big is neither copied nor allocated for.

use bytes::Bytes;
use underpass_core::Frame;
use underpass_core::protocol::carry::{self, FromBus, FromRunner};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage, to_client, to_server};
use underpass_core::protocol::{Dialect, GatewayId, MessageId, RequestId, ToClient, ToGateway, ToRunner, ToServer};
use underpass_tests::any_union::AnyUnion;
use underpass_tests::vectors;

const MESSAGE_ID: MessageId =
    MessageId { gateway_id: GatewayId([1, 2, 3, 4]), request_id: RequestId([5, 6, 7, 8]), message_index: 9 };

/// The bytes as frames of two and three pieces, cut wherever it may matter.
fn cuts(bytes: &Bytes) -> impl Iterator<Item = Frame> {
    let positions = (0..=bytes.len()).filter(|position| *position < 200 || bytes.len() - *position < 40);
    positions.flat_map(|position| {
        let (head, body) = (bytes.slice(..position), bytes.slice(position..));
        let tail = body.split_last().map(|(last, rest)| (body.slice_ref(rest), *last));
        let two = Frame::new(&head, body.clone(), None);
        let three = tail.map(|(rest, last)| Frame::with_shared_head(head.clone(), rest, Some(last)));
        [Some(two), three].into_iter().flatten()
    })
}

#[test]
fn a_frame_in_pieces_reads_as_the_whole() {
    for vector in vectors::newest(vectors::valid()).into_iter().chain(vectors::newest(vectors::invalid())) {
        let read = |frame: &Frame| AnyUnion::decode(&vector.union, frame, Dialect::Published);
        let bytes = vector.bytes();
        let whole = read(&Frame::from(bytes.clone()));
        for frame in cuts(&bytes) {
            assert_eq!(read(&frame), whole, "{} with a head of {}", vector.id, frame.head().len());
        }
    }
}

#[test]
fn a_frame_in_pieces_is_carried_as_the_whole() {
    for vector in vectors::newest(vectors::valid()).into_iter().filter(|vector| vector.union == "ToRunner") {
        let bytes = vector.framed_bytes();
        let whole = carry::from_bus(Frame::from(bytes.clone()), Dialect::Published);
        for frame in cuts(&bytes) {
            assert_eq!(carry::from_bus(frame, Dialect::Published), whole, "{}", vector.id);
        }
    }
}

fn request_chunk(body: Bytes) -> ToClientTunnelMessage {
    let message_kind = to_client::Kind::RequestChunk(to_client::RequestChunk { body, finish: true });
    ToClientTunnelMessage { message_id: MESSAGE_ID, message_kind }
}

fn response_chunk(body: Bytes) -> ToServerTunnelMessage {
    let message_kind = to_server::Kind::ResponseChunk(to_server::ResponseChunk { body, finish: true });
    ToServerTunnelMessage { message_id: MESSAGE_ID, message_kind }
}

/// A payload whose handle was shared before, as any that came from a socket is: the first sharing of a buffer
/// allocates its count.
fn payload() -> Bytes {
    let payload = Bytes::from(vec![7; 60_000]);
    drop(payload.clone());
    payload
}

#[test]
fn payloads_are_slices_of_what_came_in_and_pieces_of_what_goes_out() {
    let payload = payload();
    let frame = ToRunner::TunnelMessage(request_chunk(payload.clone())).encode_framed();
    assert_eq!(frame.body().as_ptr(), payload.as_ptr());

    let Ok(FromBus::Tunnel(carried)) = carry::from_bus(frame, Dialect::Published) else { panic!("a chunk") };
    assert_eq!(carried.frame.body().as_ptr(), payload.as_ptr());

    let message = carried.frame.into_bytes();
    let decoded = ToClient::decode(&Frame::from(message.clone()), Dialect::Published);
    let Ok(ToClient::TunnelMessage(ToClientTunnelMessage {
        message_kind: to_client::Kind::RequestChunk(chunk), ..
    })) = decoded
    else {
        panic!("a chunk")
    };
    assert_eq!(chunk.body, payload);
    assert!(message.as_ptr_range().contains(&chunk.body.as_ptr()));

    let message = ToServer::TunnelMessage(response_chunk(payload.clone())).encode().into_bytes();
    let Ok(FromRunner::Tunnel(carried)) = carry::from_runner(message.clone(), Dialect::Published) else {
        panic!("a chunk")
    };
    assert_eq!(carried.frame.body().as_ptr(), message[1..].as_ptr());
}

#[test]
fn headers_are_slices_of_what_came_in() {
    let headers = [("accept".into(), "text/plain; and something to make it long".into())];
    let start = to_client::RequestStart {
        actor_id: "actor".into(),
        method: "GET".into(),
        path: "/path".into(),
        headers: headers.into_iter().collect(),
        body: Some(Bytes::from_static(b"body")),
        stream: false,
    };
    let message_kind = to_client::Kind::RequestStart(start);
    let message = ToClient::TunnelMessage(ToClientTunnelMessage { message_id: MESSAGE_ID, message_kind });
    let frame = message.encode();
    let Ok(ToClient::TunnelMessage(ToClientTunnelMessage {
        message_kind: to_client::Kind::RequestStart(read), ..
    })) = ToClient::decode(&frame, Dialect::Published)
    else {
        panic!("a start")
    };
    for text in [&*read.actor_id, &*read.path, read.headers.get("accept").expect("there")] {
        assert!(frame.head().as_ptr_range().contains(&text.as_ptr()), "{text} is a copy");
    }
    assert_eq!(read.body.as_ref().map(|body| body.as_ptr()), Some(frame.body().as_ptr()));
}

/// What was allocated in all.
fn allocations<T>(work: impl FnOnce() -> T) -> u64 {
    allocation_counter::measure(|| drop(work())).count_total
}

#[test]
fn chunks_and_messages_cost_no_allocation() {
    let payload = payload();
    let to_runner = ToRunner::TunnelMessage(request_chunk(payload.clone()));
    let to_server = ToServer::TunnelMessage(response_chunk(payload.clone()));
    let data = to_client::WebSocketMessage { data: payload, binary: true };
    let to_gateway = ToGateway::TunnelMessage(ToServerTunnelMessage {
        message_id: MESSAGE_ID,
        message_kind: to_server::Kind::WebSocketMessage(data),
    });
    assert_eq!(allocations(|| to_runner.encode_framed()), 0);
    assert_eq!(allocations(|| to_server.encode()), 0);
    assert_eq!(allocations(|| to_gateway.encode_framed()), 0);

    let frame = to_runner.encode_framed();
    assert_eq!(allocations(|| ToRunner::decode_framed(&frame, Dialect::Published)), 0);
    assert_eq!(allocations(|| carry::from_bus(frame, Dialect::Published)), 0);

    let frame = to_gateway.encode_framed();
    assert_eq!(allocations(|| ToGateway::decode_framed(&frame, Dialect::Published)), 0);

    let message = to_server.encode().into_bytes();
    drop(message.clone());
    assert_eq!(allocations(|| carry::from_runner(message, Dialect::Published)), 0);
}

#[test]
fn a_start_is_encoded_with_one_allocation() {
    for body in [None, Some(payload())] {
        let headers = (0..20).map(|number| (format!("name-{number}").into(), "value".into())).collect();
        let start = to_server::ResponseStart { status: 200, headers, body, stream: true };
        let message = ToGateway::TunnelMessage(ToServerTunnelMessage {
            message_id: MESSAGE_ID,
            message_kind: to_server::Kind::ResponseStart(start),
        });
        assert_eq!(allocations(|| message.encode_framed()), 1);
    }
}
