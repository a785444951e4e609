//! The log of one actor's store: the messages of one subject, of which each is appended only behind the one that was
//! last when it was thought of.

use core::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE as EXPECTED;
use async_nats::jetstream::consumer::push::OrderedConfig;
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::{DeleteMessageErrorKind, RawMessageErrorKind, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::timeout;

use super::record::{HEADER, Record, What};
use crate::bucket::Away;
use crate::connection::Connected;
use crate::made::Missed;

/// The header by which the server says how long a message is that it shows without its payload.
const SIZE: &str = "Nats-Msg-Size";

/// What a message has besides its record and its values, bytes, and a little more.
const SAME: usize = 128;
/// How much longer word that an entry was moved may be thought to be than word that it was put, bytes.
const MOVED: usize = 256;

/// Where the logs are.
#[derive(Debug)]
pub(super) struct Logs {
    pub(super) context: Context,
    pub(super) stream: Stream,
    pub(super) missed: Missed,
    pub(super) connected: watch::Receiver<Connected>,
    pub(super) answer: Duration,
    /// How long a subject may be.
    pub(super) max_subject: usize,
}

/// One log.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) logs: Arc<Logs>,
    pub(super) subject: String,
}

/// A message of the log, without its values.
#[derive(Debug)]
pub(super) struct Logged {
    pub(super) sequence: u64,
    pub(super) record: Record,
    /// How long its values are together.
    pub(super) size: u64,
}

/// What came of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// Its sequence number.
    At(u64),
    /// Something else was appended before.
    Behind,
    /// The server does not take a message so large.
    TooLarge {
        /// What it would have.
        bytes: usize,
        /// What it may have.
        max_bytes: usize,
    },
}

impl Log {
    /// All of it, in order.
    pub(super) async fn read(&self) -> Result<Vec<Logged>, Away> {
        loop {
            let log = self.read_once().await?;
            // Others may take messages away meanwhile. Word of a removal goes only behind all that is older: if the
            // first is still there, none is missing that matters.
            let first = self.behind(0).await?.map(|first| first.sequence);
            if first == log.first().map(|first| first.sequence) {
                return Ok(log);
            }
        }
    }

    async fn read_once(&self) -> Result<Vec<Logged>, Away> {
        let Logs { context, stream, .. } = &*self.logs;
        let config = OrderedConfig {
            deliver_subject: context.client().new_inbox(),
            filter_subject: self.subject.clone(),
            replay_policy: ReplayPolicy::Instant,
            deliver_policy: DeliverPolicy::All,
            headers_only: true,
            ..OrderedConfig::default()
        };
        // It stays until there is another behind it.
        let end = match self.soon(stream.get_last_raw_message_by_subject(&self.subject)).await? {
            Ok(last) => last.sequence,
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(Vec::new()),
            Err(_) => return Err(self.is_missed()),
        };
        let consumer = self.soon(stream.create_consumer(config)).await?.map_err(|_| self.is_missed())?;
        let mut messages = self.soon(consumer.messages()).await?.map_err(|_| Away)?;
        let mut log = Vec::new();
        loop {
            // However long it all takes: there may be much.
            let message = self.soon(messages.next()).await?.ok_or(Away)?.map_err(|_| Away)?;
            let info = message.info().map_err(|_| Away)?;
            let (sequence, headers) = (info.stream_sequence, message.headers.as_ref().ok_or(Away)?);
            let size = headers.get(SIZE).and_then(|size| size.as_str().parse().ok()).ok_or(Away)?;
            log.push(Logged { sequence, record: record(headers)?, size });
            if sequence >= end {
                return Ok(log);
            }
        }
    }

    /// How often NATS was away.
    pub(super) fn times_away(&self) -> u64 {
        self.logs.connected.borrow().times_away
    }

    /// What a message may have, besides what all have.
    pub(super) fn room(&self) -> usize {
        self.logs.context.client().max_payload().saturating_sub(SAME)
    }

    /// What was appended first behind a message, if anything was.
    pub(super) async fn behind(&self, sequence: u64) -> Result<Option<Logged>, Away> {
        let next = self.logs.stream.raw_message_builder().sequence(sequence + 1).next_by_subject(self.subject.clone());
        match self.soon(next.send()).await? {
            Ok(message) => {
                let (record, size) = (record(&message.headers)?, message.payload.len() as u64);
                Ok(Some(Logged { sequence: message.sequence, record, size }))
            }
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                RawMessageErrorKind::InvalidSubject
                | RawMessageErrorKind::JetStream(_)
                | RawMessageErrorKind::Other => Err(self.is_missed()),
            },
        }
    }

    /// The values of a message, if it is still there.
    pub(super) async fn values(&self, sequence: u64) -> Result<Option<Bytes>, Away> {
        let reading = async {
            match self.logs.stream.direct_get(sequence).await {
                Ok(message) => Ok(message),
                // It may be asked of a server that has yet to hear of it.
                Err(_) => self.logs.stream.get_raw_message(sequence).await,
            }
        };
        match self.soon(reading).await? {
            // It is another's if the stream was made anew.
            Ok(message) => Ok((*message.subject == *self.subject).then_some(message.payload)),
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                RawMessageErrorKind::InvalidSubject
                | RawMessageErrorKind::JetStream(_)
                | RawMessageErrorKind::Other => Err(Away),
            },
        }
    }

    /// Appends a record behind a message, if that is the last: 0 if there is none.
    pub(super) async fn append(&self, record: &Record, values: Bytes, last: u64) -> Result<Appended, Away> {
        let text = serde_json::to_string(record).map_err(|_| Away)?;
        let (bytes, max_bytes) = (text.len() + values.len(), self.room().saturating_sub(spare(&record.what)));
        if bytes > max_bytes {
            return Ok(Appended::TooLarge { bytes, max_bytes });
        }
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED, last.to_string());
        headers.insert(HEADER, text);
        let appending = async {
            let appended = self.logs.context.publish_with_headers(self.subject.clone(), headers, values).await?;
            appended.await
        };
        match self.soon(appending).await? {
            Ok(appended) => Ok(Appended::At(appended.sequence)),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(Appended::Behind),
            Err(error) => {
                tracing::warn!("what an actor keeps was not stored: {error}");
                if error.kind() == PublishErrorKind::StreamNotFound {
                    self.logs.missed.tell();
                }
                Err(Away)
            }
        }
    }

    /// Takes a message away, if it is there.
    pub(super) async fn delete(&self, sequence: u64) -> Result<(), Away> {
        match self.soon(self.logs.stream.delete_message(sequence)).await? {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                DeleteMessageErrorKind::JetStream(error) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => Ok(()),
                DeleteMessageErrorKind::JetStream(_)
                | DeleteMessageErrorKind::Request
                | DeleteMessageErrorKind::TimedOut => Err(Away),
            },
        }
    }

    /// The server does not have the stream, or perhaps not.
    fn is_missed(&self) -> Away {
        self.logs.missed.tell();
        Away
    }

    /// Waits for it, but not for long, and not at all while NATS is away.
    async fn soon<F: Future>(&self, asked: F) -> Result<F::Output, Away> {
        if !self.logs.connected.borrow().there {
            return Err(Away);
        }
        // The server would end the connection over it.
        let (bytes, max_bytes) = (self.subject.len(), self.logs.max_subject);
        if bytes > max_bytes {
            tracing::error!("the name of an actor's store has {bytes} bytes, {max_bytes} are allowed");
            return Err(Away);
        }
        timeout(self.logs.answer, asked).await.map_err(|_| Away)
    }
}

/// What must be left free, so that what is put can be moved.
fn spare(what: &What) -> usize {
    match what {
        What::Put { .. } => MOVED,
        What::Used | What::Moved { .. } | What::Deleted { .. } | What::DeletedRange { .. } => 0,
    }
}

fn record(headers: &HeaderMap) -> Result<Record, Away> {
    let text = headers.get(HEADER).ok_or(Away)?;
    serde_json::from_str(text.as_str()).map_err(|error| {
        tracing::error!("a record of what an actor keeps cannot be read: {error}");
        Away
    })
}
