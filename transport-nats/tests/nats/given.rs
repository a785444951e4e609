//! A server, and who uses it.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Builder;
use tokio::time::timeout;
use underpass_core::Frame;
use underpass_core::bus::{
    Address, Bus, ConnectionId, Delivery, Inbox, Publication, PublishError, Rejected, RelayId, Subject,
};
use underpass_core::protocol::tunnel::ToClientTunnelMessage;
use underpass_core::protocol::tunnel::to_client::{self, RequestChunk};
use underpass_core::protocol::{GatewayId, MessageId, RequestId, ToRunner, to_runner};
use underpass_nats_server::NatsServer;
use underpass_transport_nats::{BusConfig, Config, Nats, NatsBus, NatsInbox};
use uuid::Uuid;

/// Longer than anything takes.
const SOON: Duration = Duration::from_secs(30);

pub(crate) const GATEWAY: GatewayId = GatewayId([0, 0, 0, 7]);
pub(crate) const RELAY: RelayId = RelayId(Uuid::from_u128(1));

/// Tells a story on this thread, to its end.
pub(crate) fn tell(story: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(SOON, story).await.expect("the story comes to its end") });
}

/// A client's configuration, with times that are short.
pub(crate) fn config(server: &NatsServer) -> Config {
    let (attempt, again) = (Duration::from_millis(500), Duration::from_millis(20));
    Config { servers: vec![server.url()], attempt, again, bus: bus(), ..Config::default() }
}

/// Its bus's.
pub(crate) fn bus() -> BusConfig {
    BusConfig { settle: Duration::from_millis(500), ..BusConfig::default() }
}

pub(crate) async fn connect(config: Config) -> Nats {
    Nats::connect(config).await.unwrap()
}

pub(crate) fn gateway() -> Subject {
    Subject::Gateway(GATEWAY)
}

pub(crate) fn connection(number: u64) -> Subject {
    Subject::Connection(ConnectionId { relay: RELAY, number })
}

/// A frame of nobody's request, from a relay's connection to the gateway.
pub(crate) fn answer(payload: impl Into<Bytes>) -> Publication {
    Publication { to: gateway(), reply_to: Some(connection(1)), frame: Frame::from(payload.into()) }
}

/// A piece of a request's body, from the gateway to a connection.
pub(crate) fn chunk(request: u8, body: Bytes) -> Publication {
    let message_id = MessageId { gateway_id: GATEWAY, request_id: RequestId([request; 4]), message_index: 0 };
    let message_kind = to_client::Kind::RequestChunk(RequestChunk { body, finish: false });
    let message = ToRunner::TunnelMessage(ToClientTunnelMessage { message_id, message_kind });
    Publication { to: connection(1), reply_to: Some(gateway()), frame: message.encode_framed() }
}

/// A frame of no request, from the gateway to a connection.
pub(crate) fn ping(request: u8) -> Publication {
    let ping = to_runner::Ping { gateway_id: GATEWAY, request_id: RequestId([request; 4]), ts: 0 };
    Publication { to: connection(1), reply_to: Some(gateway()), frame: ToRunner::Ping(ping).encode_framed() }
}

/// Bytes that differ from place to place, and from seed to seed.
pub(crate) fn pattern(seed: u8, length: usize) -> Bytes {
    const BLOCK: usize = 1009;
    let block: Vec<u8> = (0..BLOCK).map(|at| seed ^ (at ^ (at >> 8)) as u8).collect();
    let mut bytes = Vec::with_capacity(length + BLOCK);
    while bytes.len() < length {
        let number = bytes.len() / BLOCK;
        bytes.extend_from_slice(&block);
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.truncate(length);
    if let Some(first) = bytes.first_mut() {
        *first = seed;
    }
    bytes.into()
}

pub(crate) fn delivery(Publication { to, reply_to, frame }: Publication) -> Delivery {
    Delivery::Frame { to, reply_to, frame }
}

pub(crate) fn rejected(publication: Publication, reason: PublishError) -> Delivery {
    Delivery::Rejected(Rejected { publication, reason })
}

/// Somebody who holds an address.
pub(crate) struct Holder {
    pub(crate) nats: Nats,
    pub(crate) bus: NatsBus,
    inbox: NatsInbox,
    came: Vec<Delivery>,
}

impl Holder {
    pub(crate) async fn gateway(nats: Nats) -> Self {
        Holder::attach(nats, Address::Gateway(GATEWAY)).await
    }

    pub(crate) async fn relay(nats: Nats) -> Self {
        Holder::attach(nats, Address::Relay(RELAY)).await
    }

    async fn attach(nats: Nats, address: Address) -> Self {
        let bus = nats.bus();
        let inbox = bus.attach(address).await.unwrap();
        Holder { nats, bus, inbox, came: Vec::new() }
    }

    /// The next that comes.
    pub(crate) async fn next(&mut self) -> Delivery {
        while self.came.is_empty() {
            self.inbox.receive(&mut self.came).await.unwrap();
        }
        self.came.remove(0)
    }

    /// The next that comes and is no word of losses.
    pub(crate) async fn next_but_losses(&mut self) -> Delivery {
        loop {
            match self.next().await {
                Delivery::Lost { .. } => {}
                other @ (Delivery::Frame { .. } | Delivery::Rejected(_) | Delivery::NoResponders { .. }) => {
                    return other;
                }
            }
        }
    }

    pub(crate) fn publish(&self, publication: Publication) {
        self.bus.publish(publication).unwrap();
    }

    /// Waits until the server is there, or not.
    pub(crate) async fn until(&self, there: bool) {
        self.nats.connected().wait_for(|connected| connected.there == there).await.unwrap();
    }
}
