//! WebSockets that can hibernate: each message must be counted once and in order, whatever happens behind the gateway.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use underpass_fleet::pattern::scramble;
use underpass_fleet::{COUNTERS, POOL};

use super::connection::Socket;
use super::plain::{close, last};
use super::{BREATH, PATIENCE, Trouble, World};
use crate::ledger::Kind;

/// How many actors they are of.
const ACTORS: usize = 4;

/// After what time an answer is taken for lost, and the next message is sent, whose answer shows whether the message
/// itself was.
const NUDGE: Duration = Duration::from_secs(4);

/// Between two bursts of messages, at most, ms.
const PAUSE: u64 = 300;

/// The most messages sent at once.
const BURST: u64 = 3;

/// Whose a WebSocket is.
pub(super) fn actor_of(place: usize) -> String {
    format!("sleeper-{}", place % ACTORS)
}

pub(super) struct Sleeper {
    world: Arc<World>,
    actor: String,
}

/// One that is open.
struct Open {
    world: Arc<World>,
    number: u64,
    socket: Socket,
    /// How many messages were sent.
    sent: u64,
    /// How many of them the actor has counted, as far as it said.
    known: u64,
    /// When it said so.
    since: Instant,
}

impl Sleeper {
    pub(super) fn new(world: Arc<World>, place: usize) -> Self {
        Sleeper { world, actor: actor_of(place) }
    }

    /// Keeps one open: another only when it has ended.
    pub(super) async fn work(self) {
        let world = &self.world;
        while !world.is_stopping() {
            let number = world.number();
            match self.live(number).await {
                Ok(()) => {}
                Err(Trouble::Failed(failed)) => world.ledger.failed(Kind::Sleeper, number, failed),
                Err(Trouble::Wrong(what)) => world.ledger.wrong(format!("sleeper {number} of {}: {what}", self.actor)),
            }
            sleep(BREATH).await;
        }
    }

    async fn live(&self, number: u64) -> Result<(), Trouble> {
        let fields = [(POOL, COUNTERS.to_owned())];
        let path = format!("/gateway/{}/", self.actor);
        let opening = timeout(PATIENCE, self.world.open(&path, &fields)).await;
        let socket = opening.map_err(|_| Trouble::Wrong(format!("was not open after {PATIENCE:?}")))??;
        let world = self.world.clone();
        let mut open = Open { world, number, socket, sent: 0, known: 0, since: Instant::now() };
        while !self.world.is_stopping() {
            open.burst().await?;
            sleep(Duration::from_millis(scramble(number ^ open.sent) % PAUSE)).await;
        }
        // When all is quiet none may be missing.
        open.burst().await?;
        close(open.socket).await
    }
}

impl Open {
    /// Sends some messages at once, and waits until all are counted.
    async fn burst(&mut self) -> Result<(), Trouble> {
        let messages = scramble(self.number ^ self.sent) % BURST + 1;
        self.since = Instant::now();
        for _ in 0..messages {
            self.say().await?;
        }
        while self.known < self.sent {
            match timeout(NUDGE, self.socket.stream.next()).await {
                Ok(Some(Ok(Message::Text(said)))) => self.hear(&said)?,
                Ok(other) => return Err(self.socket.ended(other).into()),
                Err(_) if self.since.elapsed() > PATIENCE => {
                    let Open { known, sent, .. } = self;
                    return Err(Trouble::Wrong(format!("hangs: {known} of {sent} counted after {PATIENCE:?}")));
                }
                Err(_) => self.say().await?,
            }
        }
        Ok(())
    }

    async fn say(&mut self) -> Result<(), Trouble> {
        self.sent += 1;
        let message = Message::text(self.sent.to_string());
        if self.socket.stream.send(message).await.is_err() {
            let last = last(&mut self.socket).await;
            return Err(self.socket.ended(last).into());
        }
        Ok(())
    }

    /// A count; or `=` and one, when the actor goes on in another life: then answers before it may have been lost.
    fn hear(&mut self, said: &str) -> Result<(), Trouble> {
        let Open { world, number, sent, known, since, .. } = self;
        let wrong = || Trouble::Wrong(format!("{said:?} was said, when {known} of {sent} were counted"));
        let (restored, count) = said.strip_prefix('=').map_or((false, said), |count| (true, count));
        let count: u64 = count.parse().map_err(|_| wrong())?;
        if count > *sent || count < *known || (count == *known && !restored) {
            return Err(wrong());
        }
        if restored {
            world.ledger.restored();
        } else if count > *known + 1 {
            world.ledger.unanswered(*number, *since, count - *known - 1);
        }
        for _ in *known..count {
            world.ledger.right(Kind::Sleeper, *number, *since);
        }
        *known = count;
        *since = Instant::now();
        Ok(())
    }
}
