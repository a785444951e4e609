//! What travels between the hub and those who dial it: BARE, with four bytes of length in front.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use underpass_core::bus::{Address, Subject};
use underpass_core::directory::{ActorChange, ActorKey, ActorRecord, ChangeOutcome, RegistryChange, RunnerChange};
use underpass_core::protocol::GatewayId;
use underpass_core::protocol::to_client::HibernatingRequest;

/// How many messages wait for who is to read them.
pub(super) const QUEUE: usize = 4_096;

/// What a connection is for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Hello {
    /// The inbox of an address. It is answered with a `Result<(), AttachError>`, behind which come [`Delivered`].
    Attach(Address),
    /// What follows are [`Published`].
    Publish,
    /// A question, which is answered.
    Ask(Question),
    /// Behind this come lists of `RunnerSeen`.
    Watch,
    /// Behind this come lists of `ActorSeen`, first of all that are there.
    WatchActors,
}

/// A publication.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Published {
    pub(super) to: Subject,
    pub(super) reply_to: Option<Subject>,
    pub(super) frame: Bytes,
}

/// What comes out of an inbox.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Delivered {
    Frame { to: Subject, reply_to: Option<Subject>, frame: Bytes },
    NoResponders { to: Subject },
}

/// A question to the directory.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Question {
    Claim(GatewayId),
    Release(GatewayId),
    Change(Box<RunnerChange>),
    ChangeActor(Box<ActorChange>),
    ChangeRegistry(RegistryChange),
    Registered(ActorKey),
}

/// The directory's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Claim(bool),
    Release,
    Change(ChangeOutcome),
    ChangeActor(ChangeOutcome<ActorRecord>),
    ChangeRegistry,
    Registered(Vec<HibernatingRequest>),
}

/// Dials the hub for something.
pub(super) async fn dial(hub: SocketAddr, hello: &Hello) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
    let stream = TcpStream::connect(hub).await?;
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    say(&mut writer, hello).await?;
    Ok((reader, writer))
}

/// Writes one message.
pub(super) async fn say(writer: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_bare::to_writer(&mut bytes, message).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    writer.write_all(&bytes).await
}

/// Reads one message. Cancelling it loses the rest.
pub(super) async fn hear<T: DeserializeOwned>(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let length = reader.read_u32_le().await?;
    let mut bytes = vec![0; length as usize];
    reader.read_exact(&mut bytes).await?;
    serde_bare::from_slice(&bytes).map_err(io::Error::other)
}

/// What comes from the hub on one connection, read by a task, so that whoever waits for it may give up. Dropping it
/// closes the connection.
pub(super) struct Feed<T> {
    messages: mpsc::Receiver<T>,
    _task: JoinSet<()>,
}

impl<T: DeserializeOwned + Send + 'static> Feed<T> {
    pub(super) fn new((mut reader, writer): (OwnedReadHalf, OwnedWriteHalf)) -> Self {
        let (sender, messages) = mpsc::channel(QUEUE);
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok(message) = hear(&mut reader).await {
                if sender.send(message).await.is_err() {
                    break;
                }
            }
            drop(writer);
        });
        Feed { messages, _task: task }
    }

    /// The next message; none when the hub is gone.
    pub(super) async fn next(&mut self) -> Option<T> {
        self.messages.recv().await
    }

    /// The next message, if there is one.
    pub(super) fn ready(&mut self) -> Option<T> {
        self.messages.try_recv().ok()
    }
}
