//! Transports, and who uses them.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Builder;
use tokio::time::timeout;
use underpass_core::Frame;
use underpass_core::bus::{Address, Bus, ConnectionId, Delivery, Inbox, Publication, RelayId, Subject};
use underpass_core::directory::Directory;
use underpass_core::protocol::GatewayId;
use underpass_nats_server::NatsServer;
use underpass_transport_mem::{MemBus, MemDirectory};
use underpass_transport_nats::{Config, Nats, NatsBus, NatsDirectory};
use uuid::Uuid;

/// Longer than anything takes.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What gateways and relays are joined by.
pub(crate) trait Transport: Send + Sync {
    type Bus: Bus;
    type Directory: Directory;

    /// The bus, as another process sees it.
    fn bus(&self) -> impl Future<Output = Self::Bus>;

    /// The directory, as another process sees it.
    fn directory(&self) -> impl Future<Output = Self::Directory>;
}

/// All in this process.
pub(crate) struct Memory {
    bus: MemBus,
    directory: MemDirectory,
}

impl Memory {
    pub(crate) fn start() -> Self {
        Memory { bus: MemBus::new(underpass_transport_mem::Config::default()).unwrap(), directory: MemDirectory::new() }
    }
}

impl Transport for Memory {
    type Bus = MemBus;
    type Directory = MemDirectory;

    async fn bus(&self) -> MemBus {
        self.bus.clone()
    }

    async fn directory(&self) -> MemDirectory {
        self.directory.clone()
    }
}

/// A nats-server.
pub(crate) struct OverNats(NatsServer);

impl OverNats {
    pub(crate) fn start() -> Self {
        OverNats(NatsServer::start())
    }

    async fn connect(&self) -> Nats {
        Nats::connect(Config { servers: vec![self.0.url()], ..Config::default() }).await.unwrap()
    }
}

impl Transport for OverNats {
    type Bus = NatsBus;
    type Directory = NatsDirectory;

    async fn bus(&self) -> NatsBus {
        self.connect().await.bus()
    }

    async fn directory(&self) -> NatsDirectory {
        self.connect().await.directory().await.unwrap()
    }
}

/// Tells each story once over each transport.
macro_rules! over_each_transport {
    ($($story:ident),* $(,)?) => {
        mod in_memory {
            $(
                #[test]
                fn $story() {
                    crate::given::tell(super::$story(crate::given::Memory::start()));
                }
            )*
        }
        mod on_nats {
            $(
                #[test]
                fn $story() {
                    crate::given::tell(super::$story(crate::given::OverNats::start()));
                }
            )*
        }
    };
}
pub(crate) use over_each_transport;

/// Tells a story on this thread, to its end.
pub(crate) fn tell(story: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(SOON, story).await.expect("the story comes to its end") });
}

pub(crate) const GATEWAY: GatewayId = GatewayId([0, 0, 0, 7]);
pub(crate) const RELAY: RelayId = RelayId(Uuid::from_u128(1));

pub(crate) fn gateway() -> Subject {
    Subject::Gateway(GATEWAY)
}

pub(crate) fn connection(number: u64) -> Subject {
    Subject::Connection(ConnectionId { relay: RELAY, number })
}

pub(crate) fn frame(payload: impl Into<Bytes>) -> Frame {
    Frame::from(payload.into())
}

/// A frame of somebody.
pub(crate) fn publication(from: Subject, to: Subject, payload: impl Into<Bytes>) -> Publication {
    Publication { to, reply_to: Some(from), frame: frame(payload) }
}

/// What comes to whoever has published so.
pub(crate) fn delivery(Publication { to, reply_to, frame }: Publication) -> Delivery {
    Delivery::Frame { to, reply_to, frame }
}

/// Somebody who holds an address.
pub(crate) struct Holder<B: Bus> {
    pub(crate) bus: B,
    inbox: B::Inbox,
    came: Vec<Delivery>,
}

impl<B: Bus> Holder<B> {
    pub(crate) async fn attach(bus: &B, address: Address) -> Self {
        Holder { bus: bus.clone(), inbox: bus.attach(address).await.unwrap(), came: Vec::new() }
    }

    /// The next that comes.
    pub(crate) async fn next(&mut self) -> Delivery {
        while self.came.is_empty() {
            self.inbox.receive(&mut self.came).await.unwrap();
        }
        self.came.remove(0)
    }

    /// As many as that.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Delivery> {
        while self.came.len() < count {
            self.inbox.receive(&mut self.came).await.unwrap();
        }
        self.came.drain(..count).collect()
    }
}
