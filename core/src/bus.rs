//! The message bus between gateways and relays, as the adapters must offer it.
//!
//! Declaring IO is not doing it: the machines know [`Subject`], [`Publication`] and [`PublishError`] as data, and the
//! traits say what an adapter crate brings. A bus carries frames from many publishers to the one that attached to an
//! address, in order per publisher, at most once. It may lose frames, but when it can tell it says so.

use core::fmt;
use core::future::Future;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::frame::Frame;
use crate::protocol::{GatewayId, to_gateway};

/// A relay, as long as its process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RelayId(pub Uuid);

/// A connection of a runner: the relay that holds it, and its number there. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConnectionId {
    /// Who holds it.
    pub relay: RelayId,
    /// Which of that relay's, counted by its adapter.
    pub number: u64,
}

impl From<to_gateway::Connection> for ConnectionId {
    fn from(to_gateway::Connection { relay, number }: to_gateway::Connection) -> Self {
        ConnectionId { relay: RelayId(Uuid::from_bytes(relay)), number }
    }
}

impl From<ConnectionId> for to_gateway::Connection {
    fn from(ConnectionId { relay, number }: ConnectionId) -> Self {
        to_gateway::Connection { relay: relay.0.into_bytes(), number }
    }
}

/// To whom a frame goes.
///
/// Displayed, it is a subject of dot-separated words as message buses want it: `gateway.0a0b0c0d`, or
/// `relay.UUID.NUMBER`; an adapter may put a prefix in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// `ToGateway` frames.
    Gateway(GatewayId),
    /// `ToRunner` frames for one connection.
    Connection(ConnectionId),
}

/// Whose frames one wants: a gateway's own, or those of all of a relay's connections.
///
/// Displayed, it is what a bus with wildcards subscribes to: `gateway.0a0b0c0d`, or `relay.UUID.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Address {
    /// A gateway's.
    Gateway(GatewayId),
    /// A relay's.
    Relay(RelayId),
}

impl Subject {
    /// Where a frame for it arrives.
    pub fn address(&self) -> Address {
        match self {
            Subject::Gateway(id) => Address::Gateway(*id),
            Subject::Connection(id) => Address::Relay(id.relay),
        }
    }

    /// The connection, if it is one's.
    pub fn connection(self) -> Option<ConnectionId> {
        match self {
            Subject::Gateway(_) => None,
            Subject::Connection(id) => Some(id),
        }
    }
}

/// One frame to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// To whom.
    pub to: Subject,
    /// Who wants to hear, if the bus can tell, that nobody listens there. A bus with reply subjects makes one of it, and
    /// shows it to the subscriber.
    pub reply_to: Option<Subject>,
    /// What; with the version in front.
    pub frame: Frame,
}

/// Why a bus did not take a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Error)]
pub enum PublishError {
    /// Nobody is attached to that address.
    #[error("nobody listens there")]
    NoResponders,
    /// The subscriber, or the bus, has no room.
    #[error("no room left")]
    Full,
    /// The frame is larger than the bus carries.
    #[error("larger than the bus carries")]
    TooLarge,
    /// The bus is away.
    #[error("the bus is away")]
    Disconnected,
    /// It was sent, and nobody said that it arrived: it may have.
    #[error("whether it arrived is not known")]
    Unsure,
}

/// A publication that the bus gives back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[error("a frame to {} came back: {reason}", .publication.to)]
pub struct Rejected {
    /// What it would not take.
    pub publication: Publication,
    /// Why.
    pub reason: PublishError,
}

/// What comes out of an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A frame.
    Frame {
        /// To whom.
        to: Subject,
        /// What its publisher said in [`Publication::reply_to`]; none if it said nothing, or the bus does not tell.
        reply_to: Option<Subject>,
        /// What; with the version in front.
        frame: Frame,
    },
    /// A publication that named this inbox in `reply_to` (or was made by its owner) turned out not to be published, or
    /// [perhaps](PublishError::Unsure) not.
    Rejected(Rejected),
    /// The bus found nobody listening where this inbox's owner published to.
    NoResponders {
        /// Where nobody listens.
        to: Subject,
    },
    /// Frames for this inbox are lost, and which is not known. It stands in front of the frame by which the bus knew.
    Lost {
        /// Whose they were; none: anybody's, and frames that this inbox's owner published may be lost as well.
        from: Option<Address>,
    },
}

/// Why an inbox could not be had, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum AttachError {
    /// Another holds that address.
    #[error("the address is taken")]
    Taken,
    /// The bus is away.
    #[error("the bus is away")]
    Disconnected,
}

/// A message bus.
pub trait Bus: Clone + Send + Sync + 'static {
    /// Where frames for one address come out.
    type Inbox: Inbox;

    /// The largest frame that it carries, bytes, version included.
    fn largest_message(&self) -> usize;

    /// Gives the bus a frame. It does not wait: a bus that is full says so.
    ///
    /// # Errors
    /// The publication comes back with the reason. A bus that learns later that it could not publish tells the
    /// publisher's inbox, by [`Delivery::Rejected`] or [`Delivery::NoResponders`].
    // The whole publication comes back, so that nothing is lost; it is as large as any frame and is moved once.
    #[allow(clippy::result_large_err)]
    fn publish(&self, publication: Publication) -> Result<(), Rejected>;

    /// Takes an address: from when this returns, frames for it are kept for the inbox.
    ///
    /// # Errors
    /// Another holds the address, or the bus is away.
    fn attach(&self, address: Address) -> impl Future<Output = Result<Self::Inbox, AttachError>> + Send;
}

/// Where frames for one address come out. Dropping it gives the address back.
pub trait Inbox: Send + 'static {
    /// Waits until there is something, then appends what there is to `deliveries`, in order. Cancelling it loses
    /// nothing.
    ///
    /// # Errors
    /// The bus is gone for good.
    fn receive(&mut self, deliveries: &mut Vec<Delivery>) -> impl Future<Output = Result<(), AttachError>> + Send;
}

impl fmt::Display for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.relay, self.number)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Gateway(id) => write!(f, "gateway.{id}"),
            Subject::Connection(id) => write!(f, "relay.{id}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Gateway(id) => write!(f, "gateway.{id}"),
            Address::Relay(id) => write!(f, "relay.{id}.*"),
        }
    }
}
