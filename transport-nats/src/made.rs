//! Streams of JetStream: made if there are none, and made again when a server has lost them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::context::CreateStreamError;
use async_nats::jetstream::stream::{self, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::bucket::{Away, BucketError};
use crate::connection::Connected;
use crate::lock;

/// How often, and how soon, a stream is looked for that another client makes at the same time.
const ATTEMPTS: u32 = 20;
const ATTEMPT_EVERY: Duration = Duration::from_millis(50);

/// A stream, and how it is made. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    context: Context,
    config: stream::Config,
    /// As it was seen last.
    seen: Arc<Mutex<Stream>>,
    missed: Missed,
}

/// Word that a server does not have a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Missed(Arc<Notify>);

/// Sees to it that streams are there.
#[derive(Debug)]
pub(crate) struct Upkeep {
    streams: Vec<Made>,
    missed: Missed,
    connected: watch::Receiver<Connected>,
    /// How often NATS was away when they were looked at last.
    times_away: u64,
    /// How long the server may take to answer.
    answer: Duration,
}

impl Missed {
    /// The server does not have it.
    pub(crate) fn tell(&self) {
        self.0.notify_one();
    }
}

impl Made {
    /// The stream, made if there is none. One that is there stays as it is.
    pub(crate) async fn open(context: Context, config: stream::Config, missed: Missed) -> Result<Self, BucketError> {
        match there(&context, &config).await {
            Ok(stream) => Ok(Made { context, config, seen: Arc::new(Mutex::new(stream)), missed }),
            Err(source) => Err(BucketError { name: config.name.trim_start_matches("KV_").to_owned(), source }),
        }
    }

    pub(crate) fn stream(&self) -> Stream {
        lock(&self.seen).clone()
    }

    /// Where word goes that the server does not have it.
    pub(crate) fn missed(&self) -> &Missed {
        &self.missed
    }

    /// Has it made if there is none. Whether it is another than was seen last: then what was in that is gone.
    async fn look(&self) -> Result<bool, Away> {
        let there = there(&self.context, &self.config).await.map_err(|error| {
            tracing::warn!(stream = self.config.name, "what is stored in NATS is not there: {error}");
            Away
        })?;
        let mut seen = lock(&self.seen);
        let is_another = seen.cached_info().created != there.cached_info().created;
        if is_another {
            tracing::error!(stream = self.config.name, "NATS has lost what was stored in it");
        }
        *seen = there;
        Ok(is_another)
    }
}

impl Upkeep {
    pub(crate) fn new(
        streams: Vec<Made>,
        missed: Missed,
        connected: watch::Receiver<Connected>,
        answer: Duration,
    ) -> Self {
        let times_away = connected.borrow().times_away;
        Upkeep { streams, missed, connected, times_away, answer }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.connected.borrow().there
    }

    /// Waits until there is a reason to look: NATS is back, or does not have one of them.
    pub(crate) async fn reason(&mut self) {
        let Upkeep { missed, connected, times_away, .. } = self;
        let before = *times_away;
        let back = async {
            let back = connected.wait_for(|now| now.there && now.times_away != before).await;
            back.map(|now| now.times_away)
        };
        tokio::select! {
            back = back => match back {
                Ok(now) => *times_away = now,
                // The connection has ended for good, and so will this.
                Err(_) => core::future::pending().await,
            },
            () = missed.0.notified() => {}
        }
    }

    /// Has those made again that are gone, with so long a pause between two attempts.
    pub(crate) async fn run(mut self, pause: Duration) {
        loop {
            self.reason().await;
            while self.is_there() && self.look().await.is_err() {
                sleep(pause).await;
            }
            sleep(pause).await;
        }
    }

    /// Has those made that are gone. Whether any is another than was seen last.
    pub(crate) async fn look(&self) -> Result<bool, Away> {
        let mut any = false;
        for stream in &self.streams {
            any |= timeout(self.answer, stream.look()).await.map_err(|_| Away)??;
        }
        Ok(any)
    }
}

/// A stream that is there, or was made.
async fn there(context: &Context, config: &stream::Config) -> Result<Stream, CreateStreamError> {
    for _ in 0..ATTEMPTS {
        match context.get_or_create_stream(config.clone()).await {
            Err(error) if is_being_made(&error) => sleep(ATTEMPT_EVERY).await,
            done => return done,
        }
    }
    context.get_or_create_stream(config.clone()).await
}

/// Whether another client makes it at the same time, or has just made it: the server says that it is in the way.
fn is_being_made(error: &CreateStreamError) -> bool {
    use async_nats::jetstream::context::CreateStreamErrorKind as Kind;
    let in_the_way = [ErrorCode::STREAM_SUBJECT_OVERLAP, ErrorCode::STREAM_NAME_EXIST];
    matches!(error.kind(), Kind::JetStream(error) if in_the_way.contains(&error.error_code()))
}
