//! What waits for whoever holds an address.

use core::future::poll_fn;
use core::mem;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use underpass_core::bus::{Address, AttachError, Delivery};

use crate::lock;

/// Bounds of a mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) messages: usize,
}

/// What waits in one inbox. What does not fit is dropped, and told of as lost.
#[derive(Debug)]
pub(crate) struct Mailbox {
    limits: Limits,
    waits: Mutex<Waits>,
}

#[derive(Debug, Default)]
struct Waits {
    deliveries: Vec<Delivery>,
    bytes: usize,
    /// Whose frames were lost, and it was told behind all that came of them.
    lost: Vec<Option<Address>>,
    ended: bool,
    waiting: Option<Waker>,
}

impl Mailbox {
    pub(crate) fn new(limits: Limits) -> Self {
        Mailbox { limits, waits: Mutex::default() }
    }

    /// Puts these into it, in order. How many did not fit.
    pub(crate) fn put(&self, deliveries: impl IntoIterator<Item = Delivery>) -> u64 {
        let mut guard = lock(&self.waits);
        let waits = &mut *guard;
        let mut dropped = 0;
        for delivery in deliveries {
            match delivery {
                Delivery::Frame { reply_to, ref frame, .. } => {
                    let size = frame.len();
                    if waits.bytes + size > self.limits.bytes || waits.deliveries.len() >= self.limits.messages {
                        dropped += 1;
                        waits.lose(reply_to.map(|from| from.address()));
                        continue;
                    }
                    waits.bytes += size;
                    waits.find(reply_to.map(|from| from.address()));
                    waits.deliveries.push(delivery);
                }
                Delivery::Lost { from } => waits.lose(from),
                // As many as the owner published: the bus has bounds for that.
                Delivery::Rejected(_) | Delivery::NoResponders { .. } => waits.deliveries.push(delivery),
            }
        }
        let waker = (!waits.deliveries.is_empty()).then(|| waits.waiting.take()).flatten();
        drop(guard);
        if let Some(waker) = waker {
            waker.wake();
        }
        dropped
    }

    /// Nothing comes any more.
    pub(crate) fn end(&self) {
        let waker = {
            let mut waits = lock(&self.waits);
            waits.ended = true;
            waits.waiting.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes all there is.
    pub(crate) async fn take(&self, deliveries: &mut Vec<Delivery>) -> Result<(), AttachError> {
        poll_fn(|context| lock(&self.waits).poll(deliveries, context)).await
    }
}

impl Waits {
    fn lose(&mut self, from: Option<Address>) {
        if !self.lost.contains(&from) && !self.lost.contains(&None) {
            self.lost.push(from);
            self.deliveries.push(Delivery::Lost { from });
        }
    }

    /// A frame came. What its publisher loses from here on is another loss.
    fn find(&mut self, from: Option<Address>) {
        if !self.lost.is_empty() {
            self.lost.retain(|lost| lost.is_some() && *lost != from);
        }
    }

    fn poll(&mut self, deliveries: &mut Vec<Delivery>, context: &Context<'_>) -> Poll<Result<(), AttachError>> {
        if self.deliveries.is_empty() {
            if self.ended {
                return Poll::Ready(Err(AttachError::Disconnected));
            }
            match &mut self.waiting {
                Some(waker) => waker.clone_from(context.waker()),
                None => self.waiting = Some(context.waker().clone()),
            }
            return Poll::Pending;
        }
        if deliveries.is_empty() {
            mem::swap(deliveries, &mut self.deliveries);
        } else {
            deliveries.append(&mut self.deliveries);
        }
        self.bytes = 0;
        self.lost.clear();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use underpass_core::Frame;
    use underpass_core::bus::Subject;
    use underpass_core::protocol::GatewayId;

    use super::*;

    fn from(gateway: u8) -> Address {
        Address::Gateway(GatewayId([gateway; 4]))
    }

    fn frame(gateway: u8, payload: &'static [u8]) -> Delivery {
        let subject = Subject::Gateway(GatewayId([gateway; 4]));
        Delivery::Frame { to: subject, reply_to: Some(subject), frame: Frame::from(bytes::Bytes::from_static(payload)) }
    }

    fn lost(gateway: u8) -> Delivery {
        Delivery::Lost { from: Some(from(gateway)) }
    }

    async fn taken(mailbox: &Mailbox) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        mailbox.take(&mut deliveries).await.unwrap();
        deliveries
    }

    #[tokio::test]
    async fn what_does_not_fit_is_told_of_once_for_each_publisher() {
        let mailbox = Mailbox::new(Limits { bytes: 10, messages: 100 });
        let sent = [frame(1, b"12345678"), frame(1, b"abc"), frame(2, b"def"), frame(1, b"ghi"), frame(1, b"jk")];
        assert_eq!(mailbox.put(sent), 3);
        assert_eq!(taken(&mailbox).await, [frame(1, b"12345678"), lost(1), lost(2), frame(1, b"jk")]);
        assert_eq!(mailbox.put([frame(1, b"abc"), frame(2, b"12345678")]), 1);
        assert_eq!(taken(&mailbox).await, [frame(1, b"abc"), lost(2)]);
    }

    #[tokio::test]
    async fn a_loss_behind_a_frame_that_came_is_another_loss() {
        let mailbox = Mailbox::new(Limits { bytes: 10, messages: 100 });
        let sent = [frame(1, b"12345678"), frame(1, b"abc"), frame(1, b"j"), frame(1, b"def"), frame(1, b"k")];
        assert_eq!(mailbox.put(sent), 2);
        assert_eq!(taken(&mailbox).await, [frame(1, b"12345678"), lost(1), frame(1, b"j"), lost(1), frame(1, b"k")]);
        // So it is with losses that numbers show, and with anybody's; others' frames change nothing.
        let nobody = Delivery::Lost { from: None };
        for loss in [lost(1), nobody] {
            let sent = [loss.clone(), frame(1, b"a"), loss.clone(), loss.clone(), frame(1, b"b")];
            mailbox.put(sent.clone());
            assert_eq!(taken(&mailbox).await, [&sent[..3], &sent[4..]].concat());
        }
        mailbox.put([lost(1), frame(2, b"a"), lost(1)]);
        assert_eq!(taken(&mailbox).await, [lost(1), frame(2, b"a")]);
    }

    #[tokio::test]
    async fn what_anybody_lost_needs_no_names() {
        let mailbox = Mailbox::new(Limits { bytes: 10, messages: 1 });
        let nobody = Delivery::Lost { from: None };
        assert_eq!(mailbox.put([frame(1, b"a"), nobody.clone(), frame(1, b"b"), nobody.clone()]), 1);
        assert_eq!(taken(&mailbox).await, [frame(1, b"a"), nobody]);
    }

    #[tokio::test]
    async fn what_came_is_taken_before_the_end() {
        let mailbox = Mailbox::new(Limits { bytes: 10, messages: 1 });
        mailbox.put([frame(1, b"a")]);
        mailbox.end();
        assert_eq!(taken(&mailbox).await, [frame(1, b"a")]);
        assert_eq!(mailbox.take(&mut Vec::new()).await, Err(AttachError::Disconnected));
    }
}
