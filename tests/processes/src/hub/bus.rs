//! The bus, as a gateway or a relay has it.

use std::io;
use std::net::SocketAddr;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use underpass_core::Frame;
use underpass_core::bus::{Address, AttachError, Bus, Delivery, Inbox, Publication, PublishError, Rejected};

use super::wire::{Delivered, Feed, Hello, Published, QUEUE, dial, hear, say};

/// The largest frame that it carries, bytes.
const LARGEST: usize = 34 * 1024 * 1024;

/// The bus of a hub. Clones are the same publisher.
#[derive(Clone, Debug)]
pub struct HubBus {
    hub: SocketAddr,
    publications: mpsc::Sender<Published>,
}

impl HubBus {
    /// Dials a hub.
    ///
    /// # Errors
    /// It does not listen there.
    pub async fn dial(hub: SocketAddr) -> io::Result<Self> {
        let (reader, mut writer) = dial(hub, &Hello::Publish).await?;
        let (publications, mut published) = mpsc::channel::<Published>(QUEUE);
        tokio::spawn(async move {
            while let Some(publication) = published.recv().await {
                if say(&mut writer, &publication).await.is_err() {
                    break;
                }
            }
            drop(reader);
        });
        Ok(HubBus { hub, publications })
    }
}

impl Bus for HubBus {
    type Inbox = HubInbox;

    fn largest_message(&self) -> usize {
        LARGEST
    }

    fn publish(&self, publication: Publication) -> Result<(), Rejected> {
        if publication.frame.len() > LARGEST {
            return Err(Rejected { publication, reason: PublishError::TooLarge });
        }
        let reason = match self.publications.try_reserve() {
            Ok(place) => {
                let Publication { to, reply_to, frame } = publication;
                place.send(Published { to, reply_to, frame: frame.into_bytes() });
                return Ok(());
            }
            Err(TrySendError::Full(())) => PublishError::Full,
            Err(TrySendError::Closed(())) => PublishError::Disconnected,
        };
        Err(Rejected { publication, reason })
    }

    async fn attach(&self, address: Address) -> Result<HubInbox, AttachError> {
        let gone = |_| AttachError::Disconnected;
        let (mut reader, writer) = dial(self.hub, &Hello::Attach(address)).await.map_err(gone)?;
        hear::<Result<(), AttachError>>(&mut reader).await.map_err(gone)??;
        Ok(HubInbox { delivered: Feed::new((reader, writer)) })
    }
}

/// An inbox of a [`HubBus`].
pub struct HubInbox {
    delivered: Feed<Delivered>,
}

impl Inbox for HubInbox {
    async fn receive(&mut self, deliveries: &mut Vec<Delivery>) -> Result<(), AttachError> {
        let first = self.delivered.next().await.ok_or(AttachError::Disconnected)?;
        deliveries.push(delivery(first));
        while let Some(next) = self.delivered.ready() {
            deliveries.push(delivery(next));
        }
        Ok(())
    }
}

fn delivery(delivered: Delivered) -> Delivery {
    match delivered {
        Delivered::Frame { to, reply_to, frame } => Delivery::Frame { to, reply_to, frame: Frame::from(frame) },
        Delivered::NoResponders { to } => Delivery::NoResponders { to },
    }
}
