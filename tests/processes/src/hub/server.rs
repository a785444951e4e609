//! The hub itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use underpass_core::bus::{Address, AttachError};
use underpass_core::directory::{Directory, Watch};
use underpass_transport_mem::MemDirectory;

use super::wire::{Answer, Delivered, Hello, Published, QUEUE, Question, hear, say};

/// A listening hub. Dropping it ends it and cuts all connections.
pub struct Hub {
    address: SocketAddr,
    _listening: JoinSet<()>,
}

impl Hub {
    /// Listens on any port of this host.
    ///
    /// # Errors
    /// The system does not let it.
    pub async fn listen() -> io::Result<Hub> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let shared = Arc::new(Shared::default());
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                // How a connection ended is nobody's concern: that it ended tells all.
                connections.spawn(async move { drop(shared.serve(stream).await) });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Hub { address, _listening: listening })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[derive(Default)]
struct Shared {
    inboxes: Mutex<HashMap<Address, mpsc::Sender<Delivered>>>,
    directory: MemDirectory,
}

impl Shared {
    fn inboxes(&self) -> MutexGuard<'_, HashMap<Address, mpsc::Sender<Delivered>>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut reader, mut writer) = stream.into_split();
        match hear(&mut reader).await? {
            Hello::Attach(address) => self.attach(address, reader, writer).await,
            Hello::Publish => loop {
                self.publish(hear(&mut reader).await?);
            },
            Hello::Ask(question) => say(&mut writer, &self.answer(question).await).await,
            Hello::Watch => until_gone(reader, self.tell_of_runners(writer)).await,
            Hello::WatchActors => until_gone(reader, self.tell_of_actors(writer)).await,
        }
    }

    async fn attach(&self, address: Address, reader: OwnedReadHalf, mut writer: OwnedWriteHalf) -> io::Result<()> {
        let (inbox, mut deliveries) = mpsc::channel(QUEUE);
        match self.inboxes().entry(address) {
            Entry::Vacant(free) => drop(free.insert(inbox)),
            Entry::Occupied(_) => deliveries.close(),
        }
        if deliveries.is_closed() {
            return say(&mut writer, &Err::<(), _>(AttachError::Taken)).await;
        }
        let delivering = async {
            say(&mut writer, &Ok::<(), AttachError>(())).await?;
            while let Some(delivered) = deliveries.recv().await {
                say(&mut writer, &delivered).await?;
            }
            Ok(())
        };
        let ended = until_gone(reader, delivering).await;
        self.inboxes().remove(&address);
        ended
    }

    fn publish(&self, Published { to, reply_to, frame }: Published) {
        let inboxes = self.inboxes();
        let told = match inboxes.get(&to.address()) {
            Some(inbox) => inbox.try_send(Delivered::Frame { to, reply_to, frame }),
            None => match reply_to.and_then(|reply_to| inboxes.get(&reply_to.address())) {
                Some(inbox) => inbox.try_send(Delivered::NoResponders { to }),
                None => Ok(()),
            },
        };
        // Who is slow loses what comes.
        drop(told);
    }

    async fn answer(&self, question: Question) -> Answer {
        match question {
            Question::Claim(id) => Answer::Claim(self.directory.claim_gateway(id).await.unwrap_or(false)),
            Question::Release(id) => {
                // It is never away.
                self.directory.release_gateway(id).await.ok();
                Answer::Release
            }
            Question::Change(change) => Answer::Change(self.directory.change_runner(*change).await),
            Question::ChangeActor(change) => Answer::ChangeActor(self.directory.change_actor(*change).await),
            Question::ChangeRegistry(change) => {
                self.directory.change_registry(change).await.ok();
                Answer::ChangeRegistry
            }
            Question::Registered(actor) => {
                Answer::Registered(self.directory.registered(actor).await.unwrap_or_default())
            }
        }
    }

    async fn tell_of_runners(&self, writer: OwnedWriteHalf) -> io::Result<()> {
        tell(self.directory.watch_runners().await.map_err(io::Error::other)?, writer).await
    }

    async fn tell_of_actors(&self, mut writer: OwnedWriteHalf) -> io::Result<()> {
        let (there, watch) = self.directory.watch_actors().await.map_err(io::Error::other)?;
        say(&mut writer, &there).await?;
        tell(watch, writer).await
    }
}

/// Tells of what a watch shows.
async fn tell<Seen: Serialize>(mut watch: impl Watch<Seen>, mut writer: OwnedWriteHalf) -> io::Result<()> {
    let mut seen = Vec::new();
    loop {
        watch.changed(&mut seen).await.map_err(io::Error::other)?;
        say(&mut writer, &seen).await?;
        seen.clear();
    }
}

/// Works until it is done or the other end is gone, which sends nothing more.
async fn until_gone(mut reader: OwnedReadHalf, work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::select! {
        done = work => done,
        _ = reader.read_u8() => Ok(()),
    }
}
