//! The outbox of a runner-relay WebSocket: frames, counted in bytes.
//!
//! It says that it is blocked while another frame of any size would not fit, so that whoever heeds it never makes it
//! hold more than its capacity. It is writable again when half of what blocked it is written, so that one wake-up
//! brings more than one frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;

use underpass_core::Frame;
use underpass_core::http::Close;

use crate::socket::{Outgoing, OutgoingReceiver, OutgoingSender, outgoing};

/// Makes an outbox of `capacity` bytes for frames of at most `largest`.
pub(crate) fn outbox(capacity: usize, largest: usize) -> (Outbox, OutgoingReceiver, Held) {
    let (sender, receiver) = outgoing();
    let held = Held::default();
    let room = capacity.saturating_sub(largest);
    (Outbox { sender, held: held.clone(), room }, receiver, held)
}

/// Where frames are put: kept under the driver's lock.
pub(crate) struct Outbox {
    sender: OutgoingSender,
    held: Held,
    /// What it may hold so that a frame of any size still fits.
    room: usize,
}

/// How much is held: known to both ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Arc<Amount>);

#[derive(Debug, Default)]
struct Amount {
    bytes: AtomicUsize,
    /// Whether the machine was told that the outbox is blocked. Changed under the driver's lock only.
    blocked: AtomicBool,
}

impl Held {
    /// So many bytes were written: whether to look, under the driver's lock, if the outbox can be
    /// [unblocked](Outbox::unblock).
    pub(crate) fn written(&self, bytes: usize) -> bool {
        self.0.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.0.blocked.load(Ordering::Acquire)
    }
}

impl Outbox {
    /// Puts a frame in: who is to be woken, and whether this blocks the outbox. If the socket has ended, the frame is
    /// dropped with it; the machine hears of that end.
    pub(crate) fn send(&mut self, frame: Frame) -> (Option<Waker>, bool) {
        let bytes = frame.len();
        let held = self.held.0.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes;
        let blocks = held > self.room && !self.held.0.blocked.load(Ordering::Acquire);
        if blocks {
            // Before the frame can be written: so whoever writes it sees that someone waits for that.
            self.held.0.blocked.store(true, Ordering::Release);
        }
        (self.sender.send(Outgoing::Frame(frame)), blocks)
    }

    /// Pings the socket behind what is in it: who is to be woken.
    pub(crate) fn ping(&self) -> Option<Waker> {
        self.sender.send(Outgoing::Ping)
    }

    /// Closes the socket behind what is in it.
    pub(crate) fn close(&self, close: Close) -> [Option<Waker>; 2] {
        self.sender.close(close)
    }

    /// Whether the machine, which was told that it is blocked, must now hear that it is writable.
    pub(crate) fn unblock(&mut self) -> bool {
        let Amount { bytes, blocked } = &*self.held.0;
        let unblocks = blocked.load(Ordering::Acquire) && bytes.load(Ordering::Acquire) <= self.room / 2;
        if unblocks {
            blocked.store(false, Ordering::Release);
        }
        unblocks
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn frame(bytes: usize) -> Frame {
        Bytes::from(vec![0; bytes]).into()
    }

    #[test]
    fn it_is_blocked_while_another_frame_of_any_size_would_not_fit() {
        let (mut outbox, mut frames, held) = outbox(100, 60);
        let mut blocks = |bytes| outbox.send(frame(bytes)).1;
        assert_eq!([blocks(40), blocks(1), blocks(1)], [false, true, false], "told once");
        assert!(!outbox.unblock());
        held.written(21);
        assert!(!outbox.unblock(), "21 of 42 bytes are more than half of 40");
        held.written(1);
        assert!(outbox.unblock());
        assert!(!outbox.unblock(), "told once");
        assert_eq!(std::iter::from_fn(|| frames.try_next()).count(), 3);
    }

    #[test]
    fn it_never_holds_more_than_its_capacity_if_it_is_heeded() {
        let (mut outbox, _frames, held) = outbox(100, 60);
        assert!(!outbox.send(frame(40)).1);
        assert!(outbox.send(frame(60)).1);
        assert!(held.written(0));
        assert_eq!(held.0.bytes.load(Ordering::Acquire), 100);
    }

    #[test]
    fn with_room_for_one_frame_only_each_one_blocks_it() {
        let (mut outbox, _frames, held) = outbox(60, 60);
        assert!(outbox.send(frame(1)).1);
        assert!(!outbox.unblock());
        held.written(1);
        assert!(outbox.unblock());
    }

    #[test]
    fn a_close_stays_behind_the_frames() {
        let (mut outbox, mut frames, _) = outbox(100, 60);
        let _ = outbox.send(frame(1));
        outbox.close(Close::new(1000, "done"));
        assert!(matches!(frames.try_next(), Some(Outgoing::Frame(_))));
        assert!(matches!(frames.try_next(), Some(Outgoing::Close(_))));
    }
}
