//! What every bus does.

use bytes::Bytes;
use tokio::task::yield_now;
use underpass_core::bus::{
    Address, AttachError, Bus, ConnectionId, Delivery, Publication, PublishError, RelayId, Subject,
};
use underpass_core::protocol::tunnel::ToClientTunnelMessage;
use underpass_core::protocol::tunnel::to_client::{self, RequestChunk};
use underpass_core::protocol::{Dialect, GatewayId, MessageId, RequestId, ToRunner, carry};
use uuid::Uuid;

use crate::given::{
    GATEWAY, Holder, RELAY, Transport, connection, delivery, gateway, over_each_transport, publication,
};

over_each_transport! {
    frames_arrive_in_the_order_of_their_publishing,
    a_relay_receives_what_goes_to_any_of_its_connections,
    what_a_publisher_says_of_itself_is_shown,
    an_address_has_one_holder_until_it_is_given_back,
    a_publisher_hears_that_nobody_listens,
    a_publisher_hears_that_the_holder_has_gone,
    waiting_for_frames_can_be_given_up,
    many_publishers_are_each_heard_in_order,
    frames_as_large_as_the_bus_carries_arrive_whole,
    a_larger_one_goes_back,
    many_large_frames_arrive_among_small_ones,
    the_frames_of_a_request_keep_their_order_whatever_their_size,
}

async fn frames_arrive_in_the_order_of_their_publishing(transport: impl Transport) {
    let (ours, theirs) = (transport.bus().await, transport.bus().await);
    let mut holder = Holder::attach(&ours, Address::Gateway(GATEWAY)).await;
    let sent = ["a", "b", "", "c"].map(|payload| publication(connection(1), gateway(), payload));
    for publication in sent.clone() {
        theirs.publish(publication).unwrap();
    }
    assert_eq!(holder.take(4).await, sent.map(delivery));
}

async fn a_relay_receives_what_goes_to_any_of_its_connections(transport: impl Transport) {
    let (ours, theirs) = (transport.bus().await, transport.bus().await);
    let mut relay = Holder::attach(&ours, Address::Relay(RELAY)).await;
    let mut other = Holder::attach(&ours, Address::Relay(RelayId(Uuid::from_u128(2)))).await;
    let sent = [7, u64::MAX, 0].map(|number| publication(gateway(), connection(number), "a"));
    for publication in sent.clone() {
        theirs.publish(publication).unwrap();
    }
    assert_eq!(relay.take(3).await, sent.map(delivery));
    let mut last = publication(gateway(), connection(7), "b");
    let Subject::Connection(to) = &mut last.to else { panic!() };
    to.relay = RelayId(Uuid::from_u128(2));
    theirs.publish(last.clone()).unwrap();
    assert_eq!(other.next().await, delivery(last));
}

async fn what_a_publisher_says_of_itself_is_shown(transport: impl Transport) {
    let bus = transport.bus().await;
    let mut holder = Holder::attach(&bus, Address::Gateway(GATEWAY)).await;
    for reply_to in [None, Some(connection(3)), Some(Subject::Gateway(GatewayId([9; 4])))] {
        let mut publication = publication(gateway(), gateway(), "a");
        publication.reply_to = reply_to;
        bus.publish(publication.clone()).unwrap();
        assert_eq!(holder.next().await, delivery(publication));
    }
}

async fn an_address_has_one_holder_until_it_is_given_back(transport: impl Transport) {
    let bus = transport.bus().await;
    let holder = bus.attach(Address::Gateway(GATEWAY)).await.unwrap();
    assert_eq!(bus.clone().attach(Address::Gateway(GATEWAY)).await.err(), Some(AttachError::Taken));
    drop(holder);
    bus.attach(Address::Gateway(GATEWAY)).await.unwrap();
}

async fn a_publisher_hears_that_nobody_listens(transport: impl Transport) {
    let bus = transport.bus().await;
    let mut publisher = Holder::attach(&bus, Address::Relay(RELAY)).await;
    nobody_listens(&mut publisher, connection(5), gateway()).await;
    let mut publisher = Holder::attach(&bus, Address::Gateway(GATEWAY)).await;
    let stranger = Subject::Connection(ConnectionId { relay: RelayId(Uuid::nil()), number: 3 });
    nobody_listens(&mut publisher, gateway(), stranger).await;
}

/// Some buses say so at once, others later.
async fn nobody_listens<B: Bus>(publisher: &mut Holder<B>, from: Subject, to: Subject) {
    match publisher.bus.publish(publication(from, to, "a")) {
        Ok(()) => assert_eq!(publisher.next().await, Delivery::NoResponders { to }),
        Err(rejected) => assert_eq!(rejected.reason, PublishError::NoResponders),
    }
}

async fn a_publisher_hears_that_the_holder_has_gone(transport: impl Transport) {
    let (ours, theirs) = (transport.bus().await, transport.bus().await);
    let mut publisher = Holder::attach(&ours, Address::Relay(RELAY)).await;
    let mut holder = Holder::attach(&theirs, Address::Gateway(GATEWAY)).await;
    let sent = publication(connection(5), gateway(), "a");
    ours.publish(sent.clone()).unwrap();
    assert_eq!(holder.next().await, delivery(sent.clone()));
    drop(holder);
    nobody_listens_any_more(&mut publisher, &sent).await;
}

/// What is on its way when the holder goes may be taken or not: sooner or later it is not.
async fn nobody_listens_any_more<B: Bus>(publisher: &mut Holder<B>, sent: &Publication) {
    loop {
        match publisher.bus.publish(sent.clone()) {
            Err(rejected) => return assert_eq!(rejected.reason, PublishError::NoResponders),
            Ok(()) => {
                tokio::select! {
                    biased;
                    told = publisher.next() => return assert_eq!(told, Delivery::NoResponders { to: sent.to }),
                    () = yield_now() => {}
                }
            }
        }
    }
}

async fn waiting_for_frames_can_be_given_up(transport: impl Transport) {
    let bus = transport.bus().await;
    let mut holder = Holder::attach(&bus, Address::Gateway(GATEWAY)).await;
    for round in 0..100_u8 {
        tokio::select! {
            biased;
            came = holder.next() => panic!("{came:?}"),
            () = yield_now() => {}
        }
        let sent = publication(connection(1), gateway(), vec![round]);
        bus.publish(sent.clone()).unwrap();
        assert_eq!(holder.next().await, delivery(sent));
    }
}

async fn many_publishers_are_each_heard_in_order(transport: impl Transport) {
    const FRAMES: u32 = 2_000;
    let mut holder = Holder::attach(&transport.bus().await, Address::Gateway(GATEWAY)).await;
    let mut publishers = Vec::new();
    for number in 0..3 {
        let bus = transport.bus().await;
        publishers.push(async move {
            for count in 0..FRAMES {
                bus.publish(publication(connection(number), gateway(), count.to_be_bytes().to_vec())).unwrap();
                if count % 100 == 0 {
                    yield_now().await;
                }
            }
            // It is kept until all has arrived.
            bus
        });
    }
    let reading = async {
        let mut next = [0_u32; 3];
        for came in holder.take(3 * FRAMES as usize).await {
            let Delivery::Frame { reply_to: Some(Subject::Connection(from)), frame, .. } = came else {
                panic!("{came:?}");
            };
            let next = &mut next[from.number as usize];
            assert_eq!(frame.into_bytes(), next.to_be_bytes()[..]);
            *next += 1;
        }
        assert_eq!(next, [FRAMES; 3]);
    };
    let [a, b, c] = publishers.try_into().ok().unwrap();
    tokio::join!(reading, a, b, c);
}

/// Bytes that differ from place to place.
fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect::<Vec<_>>().into()
}

async fn frames_as_large_as_the_bus_carries_arrive_whole(transport: impl Transport) {
    let (ours, theirs) = (transport.bus().await, transport.bus().await);
    let mut holder = Holder::attach(&ours, Address::Gateway(GATEWAY)).await;
    let _publisher = theirs.attach(Address::Relay(RELAY)).await.unwrap();
    for length in [theirs.largest_message(), 1024 * 1024 + 1, 1024 * 1024, 1024 * 1024 - 1, 1024 * 1024 - 100] {
        let sent = publication(connection(1), gateway(), pattern(length));
        theirs.publish(sent.clone()).unwrap();
        assert!(holder.next().await == delivery(sent), "{length} bytes");
    }
}

async fn a_larger_one_goes_back(transport: impl Transport) {
    let bus = transport.bus().await;
    let _holder = bus.attach(Address::Gateway(GATEWAY)).await.unwrap();
    let sent = publication(connection(1), gateway(), pattern(bus.largest_message() + 1));
    let rejected = bus.publish(sent.clone()).unwrap_err();
    assert_eq!(rejected.reason, PublishError::TooLarge);
    assert!(rejected.publication == sent);
}

/// A piece of a request's body, as gateways publish it.
fn chunk(request: u8, body: Bytes) -> Publication {
    let message_id = MessageId { gateway_id: GATEWAY, request_id: RequestId([request; 4]), message_index: 0 };
    let message_kind = to_client::Kind::RequestChunk(RequestChunk { body, finish: false });
    let message = ToRunner::TunnelMessage(ToClientTunnelMessage { message_id, message_kind });
    let mut publication = publication(gateway(), connection(1), "");
    publication.frame = message.encode_framed();
    publication
}

async fn many_large_frames_arrive_among_small_ones(transport: impl Transport) {
    const LARGE: usize = 3 * 1024 * 1024;
    let mut relay = Holder::attach(&transport.bus().await, Address::Relay(RELAY)).await;
    let gateways = [transport.bus().await, transport.bus().await];
    for (sender, bus) in gateways.iter().enumerate() {
        for round in 0..4 {
            let request = (10 * sender + round) as u8;
            bus.publish(chunk(request, pattern(LARGE))).unwrap();
            bus.publish(chunk(100 + request, pattern(request.into()))).unwrap();
        }
    }
    let mut came: Vec<_> = relay.take(16).await;
    came.sort_by_key(|came| match came {
        Delivery::Frame { frame, .. } => frame.len(),
        other => panic!("{other:?}"),
    });
    for (at, came) in came.into_iter().enumerate() {
        let Delivery::Frame { frame, .. } = came else { panic!() };
        let Ok(ToRunner::TunnelMessage(message)) = ToRunner::decode_framed(&frame, Dialect::Published) else {
            panic!()
        };
        let to_client::Kind::RequestChunk(RequestChunk { body, .. }) = message.message_kind else { panic!() };
        let request = message.message_id.request_id.0[0];
        let length = if at < 8 { usize::from(request) - 100 } else { LARGE };
        assert!(body == pattern(length), "request {request}");
    }
}

async fn the_frames_of_a_request_keep_their_order_whatever_their_size(transport: impl Transport) {
    let mut relay = Holder::attach(&transport.bus().await, Address::Relay(RELAY)).await;
    let gateway = transport.bus().await;
    let sizes = [10, 2_000_000, 20, 1_500_000, 1_600_000, 30, 40];
    let sent: Vec<_> = (0..3).flat_map(|request| sizes.map(|size| chunk(request, pattern(size)))).collect();
    for publication in sent.clone() {
        gateway.publish(publication).unwrap();
    }
    let mut came: Vec<Vec<_>> = vec![Vec::new(); 3];
    for delivery in relay.take(sent.len()).await {
        let Delivery::Frame { to, frame, .. } = delivery else { panic!() };
        let (_, request) = carry::request_of(&to, &frame).unwrap();
        came[usize::from(request.0[0])].push(frame);
    }
    let expected: Vec<Vec<_>> =
        sent.chunks(sizes.len()).map(|sent| sent.iter().map(|sent| sent.frame.clone()).collect()).collect();
    assert!(came == expected);
}
