//! WebSockets that end with their connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use underpass_fleet::pattern::{Check, Pattern, scramble};
use underpass_fleet::{POOL, REQUEST, WORK};

use super::connection::Socket;
use super::{Client, Trouble, World};
use crate::ledger::Kind;

/// How long one is open, at most.
const OPEN_FOR: Duration = Duration::from_secs(5);

/// Between two messages.
const MESSAGE_EVERY: Duration = Duration::from_millis(50);

/// The largest message, bytes.
const LARGEST: u64 = 32 * 1024;

/// Longer than a close takes.
const CLOSED_WITHIN: Duration = Duration::from_secs(15);

pub(super) struct Plain {
    world: Arc<World>,
}

impl Plain {
    pub(super) fn new(world: Arc<World>) -> Self {
        Plain { world }
    }
}

impl Client for Plain {
    const KIND: Kind = Kind::Plain;
    const PACE: Duration = Duration::ZERO;

    /// Opens one, and has messages answered until it is time to close it.
    async fn act(&mut self, number: u64) -> Result<(), Trouble> {
        let fields = [(POOL, WORK.to_owned()), (REQUEST, number.to_string())];
        let mut socket = self.world.open("/websocket", &fields).await?;
        let mut check = Check::of(Pattern::answered(number));
        let (opened, open_for) = (Instant::now(), OPEN_FOR.mul_f64((scramble(number) % 100) as f64 / 100.0));
        while opened.elapsed() < open_for && !self.world.is_stopping() {
            exchange(&mut socket, number, &mut check).await?;
            sleep(MESSAGE_EVERY).await;
        }
        close(socket).await
    }
}

async fn exchange(socket: &mut Socket, number: u64, check: &mut Check) -> Result<(), Trouble> {
    let length = scramble(number ^ check.came()) % LARGEST;
    let message = Pattern::asked(number).piece(check.came(), length as usize);
    if socket.stream.send(Message::Binary(message)).await.is_err() {
        // Why is to be read.
        let last = last(socket).await;
        return Err(socket.ended(last).into());
    }
    match socket.stream.next().await {
        Some(Ok(Message::Binary(answer))) if answer.len() as u64 == length => {
            check.next(&answer).map_err(Trouble::Wrong)
        }
        Some(Ok(Message::Binary(answer))) => {
            Err(Trouble::Wrong(format!("a message of {length} bytes was answered with {}", answer.len())))
        }
        ended => Err(socket.ended(ended).into()),
    }
}

/// What comes last of a WebSocket that cannot be written to.
pub(super) async fn last(socket: &mut Socket) -> Option<Result<Message, tokio_tungstenite::tungstenite::Error>> {
    loop {
        let came = socket.stream.next().await;
        if !matches!(came, Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_)))) {
            return came;
        }
    }
}

/// Closes it, and waits for the end.
pub(super) async fn close(mut socket: Socket) -> Result<(), Trouble> {
    // If it has ended already that is as well.
    socket.stream.close(None).await.ok();
    let rest = async { while let Some(Ok(_)) = socket.stream.next().await {} };
    match timeout(CLOSED_WITHIN, rest).await {
        Ok(()) => Ok(()),
        Err(_) => Err(Trouble::Wrong(format!("a close was not answered in {CLOSED_WITHIN:?}"))),
    }
}
