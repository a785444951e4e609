//! A key-value bucket of JetStream: the last message of each subject is a record, and its sequence number the revision.

use core::future::Future;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE as EXPECTED;
use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::context::{CreateStreamError, PublishErrorKind};
use async_nats::jetstream::stream::{self, LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{self, Context, ErrorCode};
use bytes::Bytes;
use futures_util::StreamExt;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::StoreConfig;
use crate::connection::{Connected, Nats};
use crate::made::{Made, Missed};

/// The header by which a removal is known, and what it says.
const OPERATION: &str = "KV-Operation";
const REMOVED: &str = "DEL";
const PURGED: &str = "PURGE";

/// What JetStream says as long as it is not there.
const UNAVAILABLE: usize = 503;

/// JetStream did not answer, or not in time. What became of a change is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Away;

/// Why a bucket could not be had.
#[derive(Debug, Error)]
#[error("cannot make the bucket {name}: {source}")]
pub struct BucketError {
    /// Which.
    pub name: String,
    /// Why.
    pub source: CreateStreamError,
}

impl BucketError {
    /// Whether it may be another time soon: JetStream comes a little later than the server.
    pub fn may_pass(&self) -> bool {
        use async_nats::jetstream::context::CreateStreamErrorKind as Kind;
        match self.source.kind() {
            Kind::JetStreamUnavailable | Kind::TimedOut | Kind::Response => true,
            Kind::JetStream(error) => error.code() == UNAVAILABLE,
            Kind::EmptyStreamName
            | Kind::InvalidStreamName
            | Kind::DomainAndExternalSet
            | Kind::NotFound
            | Kind::ResponseParse => false,
        }
    }
}

/// A bucket. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    context: Context,
    stream: Stream,
    made: Made,
    /// What stands in front of keys in subjects.
    prefix: String,
    connected: watch::Receiver<Connected>,
    answer: Duration,
    max_subject: usize,
}

/// How a bucket is made.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    /// Behind the prefix of all.
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// For how long a record stays that nobody puts again; zero: for ever.
    pub(crate) age: Duration,
}

/// What came of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// Its revision.
    Stored(u64),
    /// The record is another than expected.
    Unexpected,
}

/// A record, and the key that it has in this bucket; without a value it was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) revision: u64,
    pub(crate) value: Option<Bytes>,
}

impl Bucket {
    /// The bucket, made if there is none. One that is there stays as it is.
    pub(crate) async fn open(nats: &Nats, kind: Kind, missed: Missed) -> Result<Self, BucketError> {
        let StoreConfig { replicas, answer, max_subject, .. } = nats.config.store;
        let context = nats.jetstream();
        let name = format!("{}-{}", nats.config.prefix, kind.name);
        let prefix = format!("$KV.{name}.");
        // As NATS has it for buckets, so that its tools know it as one.
        let config = stream::Config {
            name: format!("KV_{name}"),
            description: Some(kind.description.into()),
            subjects: vec![format!("{prefix}>")],
            max_messages_per_subject: 1,
            max_age: kind.age,
            num_replicas: replicas,
            discard: stream::DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            ..stream::Config::default()
        };
        let made = Made::open(context.clone(), config, missed).await?;
        let (stream, connected) = (made.stream(), nats.storing_connected.clone());
        Ok(Bucket { context, stream, made, prefix, connected, answer, max_subject })
    }

    /// Its stream.
    pub(crate) fn made(&self) -> Made {
        self.made.clone()
    }

    /// Puts a record, or removes it, if its last revision is the expected one: none if there is none.
    pub(crate) async fn put(&self, key: &str, value: Option<Bytes>, expected: Option<u64>) -> Result<Put, Away> {
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED, expected.unwrap_or(0).to_string());
        self.publish(key, value, headers).await
    }

    /// Puts a record whatever is there.
    pub(crate) async fn put_any(&self, key: &str, value: Bytes) -> Result<Put, Away> {
        self.publish(key, Some(value), HeaderMap::new()).await
    }

    async fn publish(&self, key: &str, value: Option<Bytes>, mut headers: HeaderMap) -> Result<Put, Away> {
        if value.is_none() {
            headers.insert(OPERATION, REMOVED);
        }
        let subject = self.subject(key)?;
        let publishing = async {
            let stored = self.context.publish_with_headers(subject, headers, value.unwrap_or_default()).await?;
            stored.await
        };
        match self.soon(publishing).await? {
            Ok(stored) => Ok(Put::Stored(stored.sequence)),
            Err(error) => match error.kind() {
                PublishErrorKind::WrongLastSequence => Ok(Put::Unexpected),
                PublishErrorKind::StreamNotFound => Err(self.is_missed()),
                PublishErrorKind::WrongLastMessageId
                | PublishErrorKind::TimedOut
                | PublishErrorKind::BrokenPipe
                | PublishErrorKind::MaxAckPending
                | PublishErrorKind::MaxPayloadExceeded
                | PublishErrorKind::Other => {
                    tracing::warn!(key, "a record was not stored: {error}");
                    Err(Away)
                }
            },
        }
    }

    /// A record as it is now: who has it last is asked, not one that follows.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Entry>, Away> {
        let subject = self.subject(key)?;
        match self.soon(self.stream.get_last_raw_message_by_subject(&subject)).await? {
            Ok(message) => {
                let is_gone = is_removal(&message.headers);
                let value = (!is_gone).then_some(message.payload);
                Ok(Some(Entry { key: key.to_owned(), revision: message.sequence, value }))
            }
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(None),
                LastRawMessageErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    Err(self.is_missed())
                }
                LastRawMessageErrorKind::InvalidSubject
                | LastRawMessageErrorKind::JetStream(_)
                | LastRawMessageErrorKind::Other => Err(Away),
            },
        }
    }

    /// The subject of a key, if the server can bear it.
    fn subject(&self, key: &str) -> Result<String, Away> {
        let subject = format!("{}{key}", self.prefix);
        if subject.len() > self.max_subject {
            tracing::error!("the name of a record has {} bytes, {} are allowed", subject.len(), self.max_subject);
            return Err(Away);
        }
        Ok(subject)
    }

    /// The keys that fit a pattern.
    pub(crate) async fn keys(&self, pattern: &str) -> Result<Vec<String>, Away> {
        let listing = async {
            let mut subjects = self
                .stream
                .info_with_subjects(format!("{}{pattern}", self.prefix))
                .await
                .map_err(|_| self.is_missed())?;
            let mut keys = Vec::new();
            while let Some(subject) = subjects.next().await {
                let (subject, _) = subject.map_err(|_| Away)?;
                keys.extend(subject.strip_prefix(&self.prefix).map(str::to_owned));
            }
            Ok(keys)
        };
        self.soon(listing).await?
    }

    /// Takes away what fits a pattern, as if it had never been.
    pub(crate) async fn purge(&self, pattern: &str) -> Result<(), Away> {
        let purge = self.stream.purge().filter(format!("{}{pattern}", self.prefix));
        self.soon(async { purge.await }).await?.map(drop).map_err(|_| self.is_missed())
    }

    /// All records, and those that change from then on.
    pub(crate) async fn follow(&self) -> Result<(Vec<Entry>, Following), Away> {
        let connected = self.connected.clone();
        let times_away = connected.borrow().times_away;
        let config = OrderedConfig {
            deliver_subject: self.context.client().new_inbox(),
            filter_subject: format!("{}>", self.prefix),
            replay_policy: ReplayPolicy::Instant,
            deliver_policy: DeliverPolicy::LastPerSubject,
            ..OrderedConfig::default()
        };
        let consumer = self.soon(self.stream.create_consumer(config)).await?.map_err(|_| self.is_missed())?;
        let mut there = consumer.cached_info().num_pending;
        let messages = self.soon(consumer.messages()).await?.map_err(|_| Away)?;
        let mut following = Following { messages, prefix: self.prefix.clone(), connected, times_away };
        let mut entries = Vec::new();
        while there > 0 {
            // However long it all takes: there may be many.
            let (entry, behind) = self.soon(following.next_of()).await??;
            entries.push(entry);
            there = behind;
        }
        Ok((entries, following))
    }

    /// The server does not have it, or perhaps not.
    fn is_missed(&self) -> Away {
        self.made.missed().tell();
        Away
    }

    /// Waits for it, but not for long, and not at all while NATS is away.
    async fn soon<F: Future>(&self, asked: F) -> Result<F::Output, Away> {
        if !self.connected.borrow().there {
            return Err(Away);
        }
        timeout(self.answer, asked).await.map_err(|_| Away)
    }
}

/// What changes in a bucket. It ends when NATS was away.
pub(crate) struct Following {
    messages: Ordered,
    prefix: String,
    connected: watch::Receiver<Connected>,
    times_away: u64,
}

impl Following {
    /// The next change.
    pub(crate) async fn next(&mut self) -> Result<Entry, Away> {
        let mut connected = self.connected.clone();
        let times_away = self.times_away;
        tokio::select! {
            _ = connected.wait_for(|connected| connected.times_away != times_away) => Err(Away),
            next = self.next_of() => next.map(|(entry, _)| entry),
        }
    }

    /// The next change, and how many are known to be behind it.
    async fn next_of(&mut self) -> Result<(Entry, u64), Away> {
        loop {
            let message: jetstream::Message = self.messages.next().await.ok_or(Away)?.map_err(|_| Away)?;
            let info = message.info().map_err(|_| Away)?;
            let (revision, behind) = (info.stream_sequence, info.pending);
            let Some(key) = message.subject.strip_prefix(&self.prefix).map(str::to_owned) else { continue };
            let is_gone = message.headers.as_ref().is_some_and(is_removal);
            let value = (!is_gone).then(|| message.payload.clone());
            return Ok((Entry { key, revision, value }, behind));
        }
    }
}

fn is_removal(headers: &HeaderMap) -> bool {
    headers.get(OPERATION).is_some_and(|operation| matches!(operation.as_str(), REMOVED | PURGED))
}
