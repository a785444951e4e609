//! Keeping alive what was claimed and entered, and how it stands with that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, sleep};

use super::claims::Claims;
use super::sockets::Sockets;
use crate::made::Upkeep;

/// How it stands with what a directory keeps, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// All that was claimed and entered is there, or NATS is away, which its connection tells.
    Kept,
    /// NATS is there, but its buckets are not, or not all is in them yet.
    Away,
    /// Another gateway has the id of one of this process: one of them must be started again.
    Taken,
    /// Nothing is kept alive any more.
    Ended,
}

/// Keeps alive what was claimed and entered here.
pub(super) struct Keeper {
    pub(super) claims: Arc<Claims>,
    pub(super) sockets: Arc<Sockets>,
    pub(super) upkeep: Upkeep,
    /// How often it is said.
    pub(super) every: Duration,
    /// Between two attempts.
    pub(super) pause: Duration,
    pub(super) standing: Told,
}

/// Where it is told how it stands. When this goes, it has ended.
pub(super) struct Told(pub(super) watch::Sender<Standing>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.send_replace(Standing::Ended);
    }
}

impl Keeper {
    /// Says again what must be heard of again, in good time; all of it and at once if it was lost.
    pub(super) async fn run(mut self) {
        let mut every = tokio::time::interval(self.every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut now = Standing::Kept;
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = self.upkeep.reason() => {}
                () = core::future::ready(()), if now != Standing::Kept => {}
            }
            // When it is back, there is a reason.
            if self.upkeep.is_there() {
                now = self.say_again().await;
                self.standing.0.send_replace(now);
            }
            sleep(self.pause.min(self.every)).await;
        }
    }

    async fn say_again(&self) -> Standing {
        match self.upkeep.look().await {
            Ok(false) => {}
            Ok(true) => {
                self.standing.0.send_replace(Standing::Away);
                self.sockets.are_lost().await;
            }
            Err(crate::bucket::Away) => return Standing::Away,
        }
        let claims = self.claims.say_again().await;
        claims.max(self.sockets.say_again().await)
    }
}
