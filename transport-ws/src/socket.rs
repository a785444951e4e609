//! The pump of a WebSocket: one task, its reader and its writer polled side by side.
//!
//! The writer takes everything that there is per wake-up and flushes once. Memory is bounded: what waits to be written
//! is the machine's to bound, the write buffer is no larger than one fragment and a bit, and what is read is limited
//! by the configuration and handed on at once.

use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame as WireFrame};
use tokio_tungstenite::tungstenite::protocol::{Message as WireMessage, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes as WireBytes, Error as WireError, Utf8Bytes};
use underpass_core::Frame;
use underpass_core::http::{Close, Message};

use crate::gate::Gate;
use crate::queue::{self, queue};

/// Larger messages are written in fragments of this size, so that no write buffer grows with them, bytes.
const FRAGMENT: usize = 128 * 1024;

/// Read and write buffers, bytes.
const BUFFER: usize = 16 * 1024;

/// Between two flushes at most, bytes (and one message).
const BATCH: usize = 256 * 1024;

/// How many messages are written before the socket is flushed, at most.
const BATCH_ITEMS: usize = 1_024;

/// What `close_within` is unless it is configured.
pub(crate) const CLOSE_WITHIN: Duration = Duration::from_secs(30);

/// What `linger` is unless it is configured.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// How long a peer is waited for when its socket is to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From when a close is to be sent, or came, or anything could be written after that, until the socket is cut.
    pub(crate) close_within: Duration,
    /// How long a socket whose peer broke a rule is still read, so that it can see the close.
    pub(crate) linger: Duration,
}

/// The settings of a WebSocket that takes messages of up to so many bytes.
pub(crate) fn config(max_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(2 * FRAGMENT + BUFFER)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}

/// What goes out of a socket.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A frame between runner and relay.
    Frame(Frame),
    /// A message for a client.
    Message(Message),
    /// A ping, to which the peer's socket answers by itself.
    Ping,
    /// The end.
    Close(Close),
}

impl Outgoing {
    fn len(&self) -> usize {
        match self {
            Outgoing::Frame(frame) => frame.len(),
            Outgoing::Message(message) => message.len(),
            Outgoing::Ping | Outgoing::Close(_) => 0,
        }
    }
}

/// Makes the queue of what goes out of a socket.
pub(crate) fn outgoing() -> (OutgoingSender, OutgoingReceiver) {
    let (sender, receiver) = queue();
    let closing = Arc::new(Gate::default());
    closing.shut();
    (OutgoingSender { queue: sender, closing: closing.clone() }, OutgoingReceiver { queue: receiver, closing })
}

/// Where it is put. Dropping it without a close cuts the socket.
pub(crate) struct OutgoingSender {
    queue: queue::Sender<Outgoing>,
    closing: Arc<Gate>,
}

/// Where it comes out.
pub(crate) struct OutgoingReceiver {
    queue: queue::Receiver<Outgoing>,
    closing: Arc<Gate>,
}

impl OutgoingSender {
    /// Sends: who is to be woken. None takes it if the socket has ended.
    pub(crate) fn send(&self, outgoing: Outgoing) -> Option<Waker> {
        self.queue.push(outgoing).ok().flatten()
    }

    /// Closes the socket behind what was sent before: who is to be woken.
    pub(crate) fn close(&self, close: Close) -> [Option<Waker>; 2] {
        [self.send(Outgoing::Close(close)), self.closing.open()]
    }
}

#[cfg(test)]
impl OutgoingReceiver {
    /// What is there now.
    pub(crate) fn try_next(&mut self) -> Option<Outgoing> {
        self.queue.try_next()
    }
}

/// What came out of a socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A text message.
    Text(ByteString),
    /// A binary message.
    Binary(Bytes),
    /// The answer to a ping.
    Pong,
    /// The peer closed it, or broke a rule over which it is closed. It comes last.
    Close(Close),
}

/// Who is behind a socket.
pub(crate) trait Link {
    /// Takes what came.
    ///
    /// # Errors
    /// It must not come: the socket is to be closed so.
    fn received(&self, received: Received) -> Result<(), Close>;

    /// So many bytes were written into the socket.
    fn written(&self, bytes: usize);

    /// Whether more may be read.
    fn poll_may_read(&self, context: &mut Context<'_>) -> Poll<()>;
}

/// When something could last be written.
struct Progress(Mutex<Instant>);

impl Default for Progress {
    fn default() -> Self {
        Progress(Mutex::new(Instant::now()))
    }
}

impl Progress {
    fn made(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the reader ended.
enum End {
    /// Both have closed, or the socket was cut.
    Over,
    /// The peer broke a rule: it is closed so.
    Refused(Close),
}

/// Pumps until the socket has ended: what its peer's close frame said, if one came.
pub(crate) async fn pump<S>(
    stream: WebSocketStream<S>,
    outgoing: &mut OutgoingReceiver,
    link: &impl Link,
    patience: Patience,
) -> Option<Close>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sink, mut source) = stream.split();
    let mut peers_close = None;
    let closing = outgoing.closing.clone();
    let progress = Progress::default();
    let end = {
        let deadline = async {
            closing.pass().await;
            // A peer that reads slowly gets what was sent before the close.
            let mut cut_at = Instant::now() + patience.close_within;
            while Instant::now() < cut_at {
                sleep_until(cut_at).await;
                cut_at = progress.last() + patience.close_within;
            }
        };
        let writer = async {
            match write(&mut sink, &mut outgoing.queue, link, &progress).await {
                // The reader waits for the peer's answer, or has the peer's close already.
                Ok(()) | Err(WireError::Protocol(_) | WireError::ConnectionClosed | WireError::AlreadyClosed) => {
                    pending().await
                }
                Err(error) => tracing::debug!("a WebSocket broke: {error}"),
            }
        };
        tokio::select! {
            end = read(&mut source, &mut peers_close, &closing, link) => end,
            () = writer => End::Over,
            () = deadline => End::Over,
        }
    };
    if let End::Refused(close) = end
        && let Ok(mut stream) = sink.reunite(source)
    {
        // As soon as a socket with something unread is closed, its peer may lose what was sent to it.
        let lingering = async {
            stream.send(WireMessage::Close(close_frame(&close))).await.ok();
            let socket = stream.get_mut();
            socket.shutdown().await.ok();
            let mut discarded = [0; 4096];
            while socket.read(&mut discarded).await.is_ok_and(|bytes| bytes > 0) {}
        };
        timeout(patience.linger, lingering).await.ok();
    }
    peers_close
}

async fn read(
    source: &mut (impl Stream<Item = Result<WireMessage, WireError>> + Unpin),
    peers_close: &mut Option<Close>,
    closing: &Gate,
    link: &impl Link,
) -> End {
    loop {
        poll_fn(|context| link.poll_may_read(context)).await;
        let taken = match source.next().await {
            Some(Ok(WireMessage::Binary(data))) => link.received(Received::Binary(data)),
            Some(Ok(WireMessage::Text(text))) => {
                let text = ByteString::try_from(Bytes::from(text));
                text.map_err(|_| Close::new(1007, "not UTF-8")).and_then(|text| link.received(Received::Text(text)))
            }
            // tungstenite answers pings; whatever else there is does not concern us.
            Some(Ok(WireMessage::Ping(_) | WireMessage::Frame(_))) => Ok(()),
            Some(Ok(WireMessage::Pong(_))) => link.received(Received::Pong),
            Some(Ok(WireMessage::Close(frame))) => {
                let close = frame.map_or_else(Close::default, |frame| Close {
                    code: Some(frame.code.into()),
                    reason: Some(ByteString::from(frame.reason.as_str())),
                });
                *peers_close = Some(close.clone());
                if let Some(waker) = closing.open() {
                    waker.wake();
                }
                link.received(Received::Close(close))
            }
            Some(Err(error)) => match what_rule_was_broken(&error) {
                Some(close) => {
                    link.received(Received::Close(close.clone())).ok();
                    Err(close)
                }
                None => return End::Over,
            },
            None => return End::Over,
        };
        if let Err(close) = taken {
            return End::Refused(close);
        }
    }
}

fn what_rule_was_broken(error: &WireError) -> Option<Close> {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    match error {
        WireError::Capacity(_) => Some(Close::new(1009, "the message is too large")),
        WireError::Utf8(_) => Some(Close::new(1007, "not UTF-8")),
        WireError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        WireError::Protocol(error) => Some(Close::new(1002, error.to_string())),
        _ => None,
    }
}

/// Writes until there is a close, which is written, too.
async fn write(
    sink: &mut (impl Sink<WireMessage, Error = WireError> + Unpin),
    outgoing: &mut queue::Receiver<Outgoing>,
    link: &impl Link,
    progress: &Progress,
) -> Result<(), WireError> {
    loop {
        // Whoever could say more is gone, and has not closed the socket.
        let mut next = Some(outgoing.next().await.ok_or(WireError::Io(std::io::ErrorKind::BrokenPipe.into()))?);
        let (mut written, mut items) = (0, 0);
        while let Some(item) = next {
            written += item.len();
            items += 1;
            match item {
                Outgoing::Frame(frame) => feed(sink, Data::Binary, frame.into_bytes(), progress).await?,
                Outgoing::Message(Message::Binary(data)) => feed(sink, Data::Binary, data, progress).await?,
                Outgoing::Message(Message::Text(text)) => feed(sink, Data::Text, text.into_bytes(), progress).await?,
                Outgoing::Ping => {
                    sink.feed(WireMessage::Ping(WireBytes::new())).await?;
                    progress.made();
                }
                Outgoing::Close(close) => {
                    sink.send(WireMessage::Close(close_frame(&close))).await?;
                    progress.made();
                    return Ok(());
                }
            }
            // Empty messages alone would never fill a batch.
            next = if written < BATCH && items < BATCH_ITEMS { outgoing.try_next() } else { None };
        }
        sink.flush().await?;
        progress.made();
        link.written(written);
    }
}

async fn feed(
    sink: &mut (impl Sink<WireMessage, Error = WireError> + Unpin),
    kind: Data,
    mut data: WireBytes,
    progress: &Progress,
) -> Result<(), WireError> {
    let mut kind = kind;
    while data.len() > FRAGMENT {
        let fragment = data.split_to(FRAGMENT);
        sink.feed(WireMessage::Frame(WireFrame::message(fragment, OpCode::Data(kind), false))).await?;
        progress.made();
        kind = Data::Continue;
    }
    sink.feed(WireMessage::Frame(WireFrame::message(data, OpCode::Data(kind), true))).await?;
    progress.made();
    Ok(())
}

fn close_frame(close: &Close) -> Option<CloseFrame> {
    let (code, reason) = close.on_the_socket()?;
    Some(CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from(reason) })
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

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
        fn received(&self, received: Received) -> Result<(), Close> {
            let refused = matches!(&received, Received::Text(text) if *text == "refuse me");
            self.received.lock().unwrap().push(received);
            if refused { Err(Close::new(1003, "no")) } else { Ok(()) }
        }

        fn written(&self, bytes: usize) {
            *self.written.lock().unwrap() += bytes;
        }

        fn poll_may_read(&self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }

    async fn ends(max_message: usize) -> (WebSocketStream<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let far = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        (WebSocketStream::from_raw_socket(near, Role::Server, Some(config(max_message))).await, far)
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
