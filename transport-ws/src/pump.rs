//! The pump of a WebSocket: one task, which reads and writes in turns.
//!
//! What a wake-up finds is handed in under one lock, and what there is to say is written together and flushed once.
//! Memory is bounded: what waits to be written is the machine's to bound, a batch of it is shared and not copied where
//! it is large, and what is read is limited by the configuration and handed on at once.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use underpass_core::http::{Close, Message};

use crate::gate::Gate;
use crate::queue;
use crate::socket::{Link, Outgoing, OutgoingReceiver, Patience, Received};
use crate::websocket::{Incoming, Kind, Reader, Role, Writer};

/// Between two flushes at most, bytes (and one message).
const BATCH: usize = 256 * 1024;

/// How many messages are written before the socket is flushed, at most.
const BATCH_ITEMS: usize = 1_024;

/// How many messages are handed in at once, at most.
const HANDED_IN: usize = 64;

/// How often a socket is read before others have their turn.
const READS: usize = 32;

/// A WebSocket whose handshake is done.
pub(crate) struct Opened<S> {
    /// Its stream.
    pub(crate) stream: S,
    /// Which end of it this is.
    pub(crate) role: Role,
    /// What was read of it behind the handshake.
    pub(crate) read: Bytes,
    /// The largest message that may come, bytes.
    pub(crate) max_message: usize,
}

/// Why a pump ended.
enum End {
    /// Both have closed, or the socket was cut.
    Over,
    /// The peer broke a rule: it is closed so.
    Refused(Close),
}

/// Pumps until the socket has ended: what its peer's close frame said, if one came.
pub(crate) async fn pump<S>(
    opened: Opened<S>,
    outgoing: &mut OutgoingReceiver,
    link: &impl Link,
    patience: Patience,
) -> Option<Close>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Opened { stream, role, read, max_message } = opened;
    let mut pump = Pump {
        stream,
        role,
        link,
        patience,
        reader: Reader::new(role, max_message, &read),
        arrived: VecDeque::new(),
        refused: None,
        peers_close: None,
        writer: Writer::new(role),
        outgoing: &mut outgoing.queue,
        waiting: VecDeque::new(),
        answers: Answers::default(),
        written: 0,
        unflushed: false,
        closed: false,
        closing: outgoing.closing.clone(),
        progress: Instant::now(),
        cut: None,
    };
    drop(read);
    let end = poll_fn(|context| pump.poll(context)).await;
    if let End::Refused(close) = end {
        // As soon as a socket with something unread is closed, its peer may lose what was sent to it.
        timeout(patience.linger, pump.part(&close)).await.ok();
    }
    pump.peers_close
}

struct Pump<'a, S, L> {
    stream: S,
    role: Role,
    link: &'a L,
    patience: Patience,
    reader: Reader,
    /// What came and is not handed in.
    arrived: VecDeque<Received>,
    /// How the socket is to be closed behind what came, since what came next breaks a rule.
    refused: Option<Close>,
    peers_close: Option<Close>,
    writer: Writer,
    outgoing: &'a mut queue::Receiver<Outgoing>,
    /// What is to be said and was taken out of the queue.
    waiting: VecDeque<Outgoing>,
    answers: Answers,
    /// So many bytes of messages are in the writer, or not flushed.
    written: usize,
    unflushed: bool,
    /// Whether a close was put into the writer: nothing can be said behind it.
    closed: bool,
    closing: Arc<Gate>,
    /// When something could last be written.
    progress: Instant,
    /// Until when a socket that is to close may make no progress.
    cut: Option<Pin<Box<Sleep>>>,
}

/// What is to be said to a peer because of what it said.
#[derive(Default)]
struct Answers {
    /// To its last ping.
    pong: Option<Bytes>,
    /// To its close.
    close: Option<Close>,
}

impl<S, L> Pump<'_, S, L>
where
    S: AsyncRead + AsyncWrite + Unpin,
    L: Link,
{
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        if self.poll_cut(context).is_ready() {
            return Poll::Ready(End::Over);
        }
        if let Poll::Ready(end) = self.poll_read(context) {
            return Poll::Ready(end);
        }
        // A close that came calls for an answer, and a deadline.
        if self.poll_write(context).is_ready() || self.poll_cut(context).is_ready() {
            return Poll::Ready(End::Over);
        }
        Poll::Pending
    }

    /// A peer that reads slowly gets what was sent before the close; one that does not read is cut.
    fn poll_cut(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let close_within = self.patience.close_within;
        let cut = match &mut self.cut {
            Some(cut) => cut,
            None => {
                ready!(self.closing.poll_pass(context));
                self.cut.insert(Box::pin(sleep_until(Instant::now() + close_within)))
            }
        };
        loop {
            ready!(cut.as_mut().poll(context));
            let cut_at = self.progress + close_within;
            if cut_at <= Instant::now() {
                return Poll::Ready(());
            }
            cut.as_mut().reset(cut_at);
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let mut reads = 0;
        loop {
            ready!(self.link.poll_may_read(context));
            if !self.arrived.is_empty() {
                if let Err(close) = self.link.received(&mut self.arrived) {
                    return Poll::Ready(End::Refused(close));
                }
                continue;
            }
            if let Some(close) = self.refused.take() {
                return Poll::Ready(End::Refused(close));
            }
            if self.peers_close.is_none() {
                self.parse();
                if !self.arrived.is_empty() {
                    continue;
                }
            }
            self.arrived = VecDeque::new();
            if reads == READS {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            reads += 1;
            match ready!(self.fill(context)) {
                Ok(0) => return Poll::Ready(End::Over),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!("a WebSocket broke: {error}");
                    return Poll::Ready(End::Over);
                }
            }
        }
    }

    fn fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.peers_close.is_none() {
            return self.reader.poll_fill(&mut self.stream, context);
        }
        // Nothing of what comes behind a close is for anybody.
        let mut discarded = [0; 1024];
        std::pin::pin!(self.stream.read(&mut discarded)).poll(context)
    }

    /// Takes what came apart, a batch of it.
    fn parse(&mut self) {
        while self.arrived.len() < HANDED_IN {
            match self.reader.next() {
                Ok(Some(Incoming::Text(text))) => self.arrived.push_back(Received::Text(text)),
                Ok(Some(Incoming::Binary(data))) => self.arrived.push_back(Received::Binary(data)),
                Ok(Some(Incoming::Ping(payload))) => self.answers.pong = Some(payload),
                Ok(Some(Incoming::Pong)) => self.arrived.push_back(Received::Pong),
                Ok(Some(Incoming::Close(close))) => {
                    self.peers_close = Some(close.clone());
                    self.answers.close = Some(close.clone());
                    if let Some(waker) = self.closing.open() {
                        waker.wake();
                    }
                    return self.arrived.push_back(Received::Close(close));
                }
                Ok(None) => return,
                Err(close) => {
                    self.refused = Some(close.clone());
                    return self.arrived.push_back(Received::Close(close));
                }
            }
        }
    }

    /// Comes back when nothing can be said any more, nor will the peer say anything.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            while !self.writer.is_empty() {
                if let Err(error) = ready!(self.writer.poll_write(&mut self.stream, context)) {
                    tracing::debug!("a WebSocket broke: {error}");
                    return Poll::Ready(());
                }
                self.progress = Instant::now();
                self.unflushed = true;
            }
            if self.unflushed {
                if ready!(Pin::new(&mut self.stream).poll_flush(context)).is_err() {
                    return Poll::Ready(());
                }
                self.unflushed = false;
                self.progress = Instant::now();
                let written = std::mem::take(&mut self.written);
                if written > 0 && !self.closed {
                    self.link.written(written);
                }
            }
            if self.closed {
                // Whoever was dialled ends the connection.
                let over = self.peers_close.is_some() && self.role == Role::Server;
                return if over { Poll::Ready(()) } else { Poll::Pending };
            }
            self.gather_answers();
            if !self.closed && !ready!(self.poll_gather(context)) && self.writer.is_empty() {
                // Whoever could say more is gone, and has not closed the socket.
                return Poll::Ready(());
            }
        }
    }

    fn gather_answers(&mut self) {
        if let Some(close) = self.answers.close.take() {
            self.writer.close(&close);
            self.closed = true;
        } else if let Some(payload) = self.answers.pong.take() {
            self.writer.pong(&payload);
        }
    }

    /// Puts a batch of what is to be said into the writer: whether there may be more.
    fn poll_gather(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let (mut gathered, mut items) = (0, 0);
        // Empty messages alone would never fill a batch.
        while gathered < BATCH && items < BATCH_ITEMS {
            let Some(item) = self.waiting.pop_front() else {
                match self.outgoing.poll_take(&mut self.waiting, context) {
                    Poll::Ready(true) => continue,
                    Poll::Ready(false) => return Poll::Ready(false),
                    Poll::Pending if self.writer.is_empty() => {
                        self.writer.rest();
                        return Poll::Pending;
                    }
                    Poll::Pending => break,
                }
            };
            items += 1;
            gathered += item.len();
            match item {
                Outgoing::Frame(frame) => {
                    self.writer.message(Kind::Binary, frame.head(), frame.body().clone(), frame.tail());
                }
                Outgoing::Message(Message::Binary(data)) => self.writer.message(Kind::Binary, &[], data, &[]),
                Outgoing::Message(Message::Text(text)) => {
                    self.writer.message(Kind::Text, &[], text.into_bytes(), &[]);
                }
                Outgoing::Ping => self.writer.ping(),
                Outgoing::Close(close) => {
                    self.writer.close(&close);
                    self.closed = true;
                    break;
                }
            }
        }
        self.written += gathered;
        Poll::Ready(true)
    }

    /// Closes the socket of a peer that broke a rule, and waits until it has seen that.
    async fn part(&mut self, close: &Close) {
        if !self.closed {
            self.writer.close(close);
        }
        while !self.writer.is_empty() {
            if poll_fn(|context| self.writer.poll_write(&mut self.stream, context)).await.is_err() {
                return;
            }
        }
        self.stream.flush().await.ok();
        self.stream.shutdown().await.ok();
        let mut discarded = [0; 1024];
        while self.stream.read(&mut discarded).await.is_ok_and(|bytes| bytes > 0) {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use futures_util::{SinkExt, StreamExt};
    use tokio::io::DuplexStream;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::{Message as WireMessage, Role as WireRole};
    use underpass_core::Frame;

    use super::*;
    use crate::socket::{CLOSE_WITHIN, LINGER, outgoing};

    impl Default for Patience {
        fn default() -> Self {
            Patience { close_within: CLOSE_WITHIN, linger: LINGER }
        }
    }

    #[derive(Default)]
    struct Notes {
        received: Mutex<Vec<Received>>,
        written: Mutex<usize>,
    }

    impl Link for Notes {
        fn received(&self, arrived: &mut VecDeque<Received>) -> Result<(), Close> {
            let refused = arrived.iter().any(|received| *received == Received::Text("refuse me".into()));
            self.received.lock().unwrap().extend(arrived.drain(..));
            if refused { Err(Close::new(1003, "no")) } else { Ok(()) }
        }

        fn written(&self, bytes: usize) {
            *self.written.lock().unwrap() += bytes;
        }

        fn poll_may_read(&self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }

    async fn ends(max_message: usize) -> (Opened<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let far = WebSocketStream::from_raw_socket(far, WireRole::Client, None).await;
        (Opened { stream: near, role: Role::Server, read: Bytes::new(), max_message }, far)
    }

    #[tokio::test]
    async fn a_large_message_arrives_whole_and_a_close_behind_it() {
        let (near, mut far) = ends(1 << 20).await;
        let (sender, mut receiver) = outgoing();
        let data = Bytes::from((0..1_000_000_u32).map(|i| i as u8).collect::<Vec<_>>());
        sender.send(Outgoing::Frame(Frame::new(&[1, 2, 3], data.clone(), Some(9))));
        sender.send(Outgoing::Message(Message::Text("é".into())));
        sender.close(Close::new(4000, "bye"));
        let notes = Notes::default();
        let there = async {
            let whole = far.next().await.unwrap().unwrap().into_data();
            assert_eq!((&whole[..3], &whole[3..1_000_003], whole[1_000_003]), (&[1, 2, 3][..], &data[..], 9));
            assert_eq!(far.next().await.unwrap().unwrap(), WireMessage::text("é"));
            let WireMessage::Close(Some(frame)) = far.next().await.unwrap().unwrap() else { panic!("no close") };
            assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4000, "bye"));
            assert!(far.next().await.is_none());
        };
        let (close, ()) = tokio::join!(pump(near, &mut receiver, &notes, Patience::default()), there);
        assert_eq!(close.unwrap().code, Some(4000), "the answer to it");
        assert_eq!(*notes.written.lock().unwrap(), 1_000_004, "what goes with the close is not counted");
    }

    #[tokio::test]
    async fn a_message_over_the_limit_is_answered_1009() {
        let (near, mut far) = ends(1_000).await;
        let (_sender, mut receiver) = outgoing();
        let notes = Notes::default();
        let there = async {
            far.send(WireMessage::binary(vec![0; 40_000])).await.unwrap();
            let WireMessage::Close(Some(frame)) = far.next().await.unwrap().unwrap() else { panic!("no close") };
            drop(far);
            u16::from(frame.code)
        };
        let (close, code) = tokio::join!(pump(near, &mut receiver, &notes, Patience::default()), there);
        assert_eq!((close, code), (None, 1009));
        assert!(matches!(&notes.received.lock().unwrap()[..], [Received::Close(close)] if close.code == Some(1009)));
    }

    #[tokio::test]
    async fn what_must_not_come_closes_the_socket() {
        let (near, mut far) = ends(1_000).await;
        let (_sender, mut receiver) = outgoing();
        let notes = Notes::default();
        let there = async {
            far.send(WireMessage::text("refuse me")).await.unwrap();
            let WireMessage::Close(Some(frame)) = far.next().await.unwrap().unwrap() else { panic!("no close") };
            drop(far);
            u16::from(frame.code)
        };
        assert_eq!(tokio::join!(pump(near, &mut receiver, &notes, Patience::default()), there), (None, 1003));
    }

    #[tokio::test]
    async fn a_socket_that_is_cut_ends_without_a_close() {
        let (near, far) = ends(1_000).await;
        let (_sender, mut receiver) = outgoing();
        drop(far);
        assert_eq!(pump(near, &mut receiver, &Notes::default(), Patience::default()).await, None);
    }

    #[tokio::test]
    async fn whoever_could_say_more_being_gone_cuts_the_socket() {
        let (near, _far) = ends(1_000).await;
        let (sender, mut receiver) = outgoing();
        drop(sender);
        assert_eq!(pump(near, &mut receiver, &Notes::default(), Patience::default()).await, None);
    }

    #[tokio::test]
    async fn a_reader_that_is_slow_gets_everything_that_was_sent_before_a_close_and_then_the_close() {
        let (near, mut far) = ends(1 << 20).await;
        let (sender, mut receiver) = outgoing();
        for _ in 0..64 {
            sender.send(Outgoing::Frame(Bytes::from(vec![7; 64 * 1024]).into()));
        }
        sender.close(Close::new(4007, "done"));
        let there = async {
            for _ in 0..64 {
                assert_eq!(far.next().await.unwrap().unwrap().len(), 64 * 1024);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let WireMessage::Close(Some(frame)) = far.next().await.unwrap().unwrap() else { panic!("no close") };
            assert_eq!(u16::from(frame.code), 4007);
            assert!(far.next().await.is_none());
        };
        let patience = Patience { close_within: Duration::from_millis(500), ..Default::default() };
        let notes = Notes::default();
        let (close, ()) = tokio::join!(pump(near, &mut receiver, &notes, patience), there);
        assert_eq!(close.unwrap().code, Some(4007));
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_or_does_not_answer_a_close_is_cut() {
        for messages in [0, 64] {
            let (near, far) = ends(1 << 20).await;
            let (sender, mut receiver) = outgoing();
            for _ in 0..messages {
                sender.send(Outgoing::Frame(Bytes::from(vec![7; 64 * 1024]).into()));
            }
            sender.close(Close::new(4007, "done"));
            let patience = Patience { close_within: Duration::from_millis(100), ..Default::default() };
            let ended = timeout(Duration::from_secs(5), pump(near, &mut receiver, &Notes::default(), patience)).await;
            assert_eq!(ended.unwrap(), None);
            drop(far);
        }
    }
}
