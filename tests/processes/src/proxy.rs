//! A network that can be cut.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The way to a listener. Once it is cut nothing passes any more, neither bytes nor the end of a connection, and
/// neither end is told.
pub struct Proxy {
    address: SocketAddr,
    whole: watch::Sender<bool>,
    _listening: JoinSet<()>,
}

impl Proxy {
    /// A way to who listens there.
    ///
    /// # Errors
    /// The system does not let it listen.
    pub async fn to(target: SocketAddr) -> io::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (whole, is_whole) = watch::channel(true);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(carry(near, target, is_whole.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Proxy { address, whole, _listening: listening })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts it, for good.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }
}

/// Carries one connection until both directions have ended.
async fn carry(near: TcpStream, target: SocketAddr, mut is_whole: watch::Receiver<bool>) {
    pass(&mut is_whole).await;
    let Ok(far) = TcpStream::connect(target).await else { return };
    // A connection that has ended already will say so when it is read.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
    tokio::join!(carry_one_way(from_near, to_far, is_whole.clone()), carry_one_way(from_far, to_near, is_whole));
}

async fn carry_one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut is_whole: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await.unwrap_or(0);
        pass(&mut is_whole).await;
        if length == 0 || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Waits while the way is cut.
async fn pass(is_whole: &mut watch::Receiver<bool>) {
    // The way ends with its proxy.
    is_whole.wait_for(|whole| *whole).await.ok();
}
