//! The pump of a WebSocket: one task, which reads and writes in turns.
//!
//! What a wake-up finds is handed in under one lock, and what there is to say is written together and flushed once.
//! Memory is bounded: what waits to be written is the machine's to bound, the write buffer is no larger than one
//! fragment and a bit, and what is read is limited by the configuration and handed on at once.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WireError;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame as WireFrame};
use tokio_tungstenite::tungstenite::protocol::{Message as WireMessage, WebSocketConfig};
use underpass_core::http::{Close, Message};

use crate::gate::Gate;
use crate::queue;
use crate::socket::{Link, Outgoing, OutgoingReceiver, Patience, Received};

/// Larger messages are written in fragments of this size, so that no write buffer grows with them, bytes.
const FRAGMENT: usize = 128 * 1024;

/// What is gathered before it is written, bytes (and one fragment).
const WRITE: usize = 16 * 1024;

/// Between two flushes at most, bytes (and one message).
const BATCH: usize = 256 * 1024;

/// How many messages are written before the socket is flushed, at most.
const BATCH_ITEMS: usize = 1_024;

/// How many bytes are handed in at once, at most (and one message). Usual messages are less: the socket lets go of the
/// memory of one when it is read once more while the message is still there.
const HANDED_IN: usize = 256 * 1024;

/// How many messages are handed in at once, at most. Whoever they are for begins with them while the next are read.
const HANDED_IN_ITEMS: usize = 32;

/// How much is read of a client's WebSocket at once, bytes. Each of them keeps so much even when nothing comes.
pub(crate) const READ_OF_CLIENT: usize = 4 * 1024;

/// How much is read at once between runner and relay, bytes. There are few of these connections.
pub(crate) const READ_OF_PEER: usize = 16 * 1024;

/// The settings of a WebSocket that takes messages of up to so many bytes, and reads so many at once.
pub(crate) fn config(max_message: usize, read: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(read)
        .write_buffer_size(WRITE)
        .max_write_buffer_size(2 * FRAGMENT + WRITE)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
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
    socket: WebSocketStream<S>,
    outgoing: &mut OutgoingReceiver,
    link: &impl Link,
    patience: Patience,
) -> Option<Close>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut pump = Pump {
        socket,
        link,
        arrived: VecDeque::new(),
        last: None,
        peers_close: None,
        outgoing: &mut outgoing.queue,
        waiting: VecDeque::new(),
        rest: None,
        batch: Batch::default(),
        closed: false,
        closing: outgoing.closing.clone(),
        close_within: patience.close_within,
        cut: None,
    };
    let end = poll_fn(|context| pump.poll(context)).await;
    if let End::Refused(close) = end {
        // As soon as a socket with something unread is closed, its peer may lose what was sent to it. Seldom, so it has
        // its memory only then.
        timeout(patience.linger, Box::pin(part(&mut pump.socket, &close))).await.ok();
    }
    pump.peers_close
}

/// Closes the socket of a peer that broke a rule, and waits until it has seen that.
async fn part<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, close: &Close) {
    socket.send(WireMessage::Close(close_frame(close))).await.ok();
    let stream = socket.get_mut();
    stream.shutdown().await.ok();
    let mut discarded = [0; 1024];
    while stream.read(&mut discarded).await.is_ok_and(|bytes| bytes > 0) {}
}

struct Pump<'a, S, L> {
    socket: WebSocketStream<S>,
    link: &'a L,
    /// What came and is not handed in.
    arrived: VecDeque<Received>,
    /// What follows what came, if nothing more can come.
    last: Option<End>,
    peers_close: Option<Close>,
    outgoing: &'a mut queue::Receiver<Outgoing>,
    /// What is to be said and was taken out of the queue.
    waiting: VecDeque<Outgoing>,
    /// What is left of a message whose beginning was said.
    rest: Option<Rest>,
    batch: Batch,
    /// Whether a close was said, by either end: nothing can be said behind it.
    closed: bool,
    closing: Arc<Gate>,
    close_within: Duration,
    /// Once the socket is to close.
    cut: Option<Cut>,
}

/// A message, or what is left of one.
struct Rest {
    kind: Data,
    data: Bytes,
}

/// What was written since the last flush.
#[derive(Default)]
struct Batch {
    /// Of messages.
    bytes: usize,
    items: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        // Empty messages alone would never fill a batch.
        self.bytes >= BATCH || self.items >= BATCH_ITEMS
    }
}

/// What a socket was fed.
enum Fed {
    /// A batch: there may be more.
    Batch,
    /// All that there is to say.
    All,
    /// All that there will ever be.
    Last,
}

/// When a socket is cut that is to close.
struct Cut {
    sleep: Pin<Box<Sleep>>,
    /// When something could last be written.
    progress: Instant,
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
        // A close that came calls for a deadline.
        if self.poll_write(context).is_ready() || self.poll_cut(context).is_ready() {
            return Poll::Ready(End::Over);
        }
        Poll::Pending
    }

    /// A peer that reads slowly gets what was sent before the close; one that does not read is cut.
    fn poll_cut(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let cut = match &mut self.cut {
            Some(cut) => cut,
            None => {
                ready!(self.closing.poll_pass(context));
                let now = Instant::now();
                self.cut.insert(Cut { sleep: Box::pin(sleep_until(now + self.close_within)), progress: now })
            }
        };
        loop {
            ready!(cut.sleep.as_mut().poll(context));
            let cut_at = cut.progress + self.close_within;
            if cut_at <= Instant::now() {
                return Poll::Ready(());
            }
            cut.sleep.as_mut().reset(cut_at);
        }
    }

    /// Something could be written.
    fn made_progress(&mut self) {
        if let Some(cut) = &mut self.cut {
            cut.progress = Instant::now();
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<End> {
        ready!(self.link.poll_may_read(context));
        if self.arrived.is_empty() {
            self.gather(context);
        }
        if !self.arrived.is_empty() {
            if let Err(close) = self.link.received(&mut self.arrived) {
                return Poll::Ready(End::Refused(close));
            }
            // There may be more, after a turn of those who have something to do now.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(end) = self.last.take() {
            return Poll::Ready(end);
        }
        self.arrived = VecDeque::new();
        Poll::Pending
    }

    /// Takes what came out of the socket, a batch of it.
    fn gather(&mut self, context: &mut Context<'_>) {
        let mut bytes = 0;
        while bytes < HANDED_IN && self.arrived.len() < HANDED_IN_ITEMS && self.last.is_none() {
            let Poll::Ready(next) = self.socket.poll_next_unpin(context) else { return };
            match next {
                Some(Ok(WireMessage::Binary(data))) => {
                    bytes += data.len();
                    self.arrived.push_back(Received::Binary(data));
                }
                Some(Ok(WireMessage::Text(text))) => {
                    bytes += text.len();
                    match ByteString::try_from(Bytes::from(text)) {
                        Ok(text) => self.arrived.push_back(Received::Text(text)),
                        Err(_) => self.refuse(Close::new(1007, "not UTF-8")),
                    }
                }
                // tungstenite answers pings; whatever else there is does not concern us.
                Some(Ok(WireMessage::Ping(_) | WireMessage::Frame(_))) => {}
                Some(Ok(WireMessage::Pong(_))) => self.arrived.push_back(Received::Pong),
                Some(Ok(WireMessage::Close(frame))) => self.peer_closes(frame),
                Some(Err(error)) => match what_rule_was_broken(&error) {
                    // Nothing of what comes behind a close is for anybody.
                    Some(close) if self.peers_close.is_none() => self.refuse(close),
                    Some(_) | None => {
                        tracing::debug!("a WebSocket broke: {error}");
                        self.last = Some(End::Over);
                    }
                },
                None => self.last = Some(End::Over),
            }
        }
    }

    fn refuse(&mut self, close: Close) {
        self.arrived.push_back(Received::Close(close.clone()));
        self.last = Some(End::Refused(close));
    }

    /// tungstenite answers it, behind what was written.
    fn peer_closes(&mut self, frame: Option<CloseFrame>) {
        let close = frame.map_or_else(Close::default, |frame| Close {
            code: Some(frame.code.into()),
            reason: Some(ByteString::from(frame.reason.as_str())),
        });
        self.closed = true;
        self.peers_close = Some(close.clone());
        if let Some(waker) = self.closing.open() {
            waker.wake();
        }
        self.arrived.push_back(Received::Close(close));
    }

    /// Comes back when the socket broke, or there is nobody who could say more. Whether both have closed is seen where
    /// it is read.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_batches(context)) {
            Ok(()) => Poll::Ready(()),
            // The reader waits for the peer's answer, or has the peer's close already.
            Err(WireError::Protocol(_) | WireError::ConnectionClosed | WireError::AlreadyClosed) => {
                self.closed = true;
                Poll::Pending
            }
            Err(error) => {
                tracing::debug!("a WebSocket broke: {error}");
                Poll::Ready(())
            }
        }
    }

    /// Comes back when nobody could say more, who has not closed the socket.
    fn poll_batches(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        loop {
            let fed = ready!(self.poll_feed(context))?;
            if self.batch.items > 0 {
                ready!(self.socket.poll_flush_unpin(context))?;
                self.made_progress();
                let batch = std::mem::take(&mut self.batch);
                if batch.bytes > 0 && !self.closed {
                    self.link.written(batch.bytes);
                }
            }
            match fed {
                Fed::Batch => {}
                Fed::All => return Poll::Pending,
                Fed::Last => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Feeds the socket a batch of whole messages. It comes back unless the socket takes no more.
    fn poll_feed(&mut self, context: &mut Context<'_>) -> Poll<Result<Fed, WireError>> {
        while !self.closed {
            if self.rest.is_none() && self.batch.is_full() {
                return Poll::Ready(Ok(Fed::Batch));
            }
            ready!(self.socket.poll_ready_unpin(context))?;
            let message = match self.poll_next(context) {
                Poll::Ready(Some(message)) => message,
                Poll::Ready(None) => return Poll::Ready(Ok(Fed::Last)),
                Poll::Pending => break,
            };
            self.socket.start_send_unpin(message)?;
            self.made_progress();
        }
        Poll::Ready(Ok(Fed::All))
    }

    /// What is to be said next, a fragment at a time; none when nobody could say more.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<WireMessage>> {
        if let Some(rest) = self.rest.take() {
            return Poll::Ready(Some(self.fragment(rest)));
        }
        let item = loop {
            match self.waiting.pop_front() {
                Some(item) => break item,
                None if ready!(self.outgoing.poll_take(&mut self.waiting, context)) => {}
                None => return Poll::Ready(None),
            }
        };
        self.batch.items += 1;
        self.batch.bytes += item.len();
        Poll::Ready(Some(match item {
            Outgoing::Frame(frame) => self.fragment(Rest { kind: Data::Binary, data: frame.into_bytes() }),
            Outgoing::Message(Message::Binary(data)) => self.fragment(Rest { kind: Data::Binary, data }),
            Outgoing::Message(Message::Text(text)) => self.fragment(Rest { kind: Data::Text, data: text.into_bytes() }),
            Outgoing::Ping => WireMessage::Ping(Bytes::new()),
            Outgoing::Close(close) => {
                self.closed = true;
                WireMessage::Close(close_frame(&close))
            }
        }))
    }

    fn fragment(&mut self, message: Rest) -> WireMessage {
        let Rest { kind, mut data } = message;
        let is_last = data.len() <= FRAGMENT;
        if !is_last {
            self.rest = Some(Rest { kind: Data::Continue, data: data.split_off(FRAGMENT) });
        }
        WireMessage::Frame(WireFrame::message(data, OpCode::Data(kind), is_last))
    }
}

fn what_rule_was_broken(error: &WireError) -> Option<Close> {
    match error {
        WireError::Capacity(_) => Some(Close::new(1009, "the message is too large")),
        WireError::Utf8(_) => Some(Close::new(1007, "not UTF-8")),
        WireError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        WireError::Protocol(error) => Some(Close::new(1002, error.to_string())),
        _ => None,
    }
}

fn close_frame(close: &Close) -> Option<CloseFrame> {
    let (code, reason) = close.on_the_socket()?;
    Some(CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from(reason) })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::DuplexStream;
    use tokio_tungstenite::tungstenite::protocol::Role;
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
        /// How many messages came each time.
        handed_in: Mutex<Vec<usize>>,
        /// How many bytes were written each time.
        written: Mutex<Vec<usize>>,
    }

    impl Link for Notes {
        fn received(&self, arrived: &mut VecDeque<Received>) -> Result<(), Close> {
            let refused = arrived.iter().any(|received| *received == Received::Text("refuse me".into()));
            self.handed_in.lock().unwrap().push(arrived.len());
            self.received.lock().unwrap().extend(arrived.drain(..));
            if refused { Err(Close::new(1003, "no")) } else { Ok(()) }
        }

        fn written(&self, bytes: usize) {
            self.written.lock().unwrap().push(bytes);
        }

        fn poll_may_read(&self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }

    async fn ends(max_message: usize) -> (WebSocketStream<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let far = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        (WebSocketStream::from_raw_socket(near, Role::Server, Some(config(max_message, READ_OF_CLIENT))).await, far)
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
        assert_eq!(*notes.written.lock().unwrap(), [1_000_004], "what goes with the close is not counted");
    }

    #[tokio::test]
    async fn what_came_together_is_handed_in_together_and_what_is_said_together_is_flushed_once() {
        let (near, mut far) = ends(1_000).await;
        let (sender, mut receiver) = outgoing();
        for _ in 0..100 {
            far.feed(WireMessage::binary(vec![7; 64])).await.unwrap();
            sender.send(Outgoing::Message(Message::Binary(Bytes::from_static(&[7; 64]))));
        }
        far.send(WireMessage::Close(None)).await.unwrap();
        let notes = Notes::default();
        assert!(pump(near, &mut receiver, &notes, Patience::default()).await.is_some());
        assert_eq!(*notes.handed_in.lock().unwrap(), [32, 32, 32, 5]);
        assert_eq!(*notes.written.lock().unwrap(), [6_400]);
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
