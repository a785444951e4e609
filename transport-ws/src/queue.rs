//! A queue from under a driver's lock to the one task that empties it.
//!
//! It has no bound of its own: what is in it is bounded by the machine that fills it (by credit, by a request's
//! `max_buffered`, by the outbox that it is told is blocked).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// How many things an empty queue keeps room for.
const KEPT: usize = 4;

/// Makes a queue.
pub(crate) fn queue<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Mutex::new(Shared { items: VecDeque::new(), waker: None, sender: true, receiver: true }));
    (Sender { shared: shared.clone() }, Receiver { shared })
}

/// Where things are put. Dropping it ends the queue behind what is in it.
pub(crate) struct Sender<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

/// Where they come out.
pub(crate) struct Receiver<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

struct Shared<T> {
    items: VecDeque<T>,
    waker: Option<Waker>,
    sender: bool,
    receiver: bool,
}

impl<T> Shared<T> {
    fn wait(&mut self, context: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.waker = Some(context.waker().clone());
        }
    }
}

fn lock<T>(shared: &Mutex<Shared<T>>) -> MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Sender<T> {
    /// Puts something in; the waker is to be woken.
    ///
    /// # Errors
    /// Nobody takes it out any more: it comes back.
    pub(crate) fn push(&self, item: T) -> Result<Option<Waker>, T> {
        let mut shared = lock(&self.shared);
        if !shared.receiver {
            return Err(item);
        }
        shared.items.push_back(item);
        Ok(shared.waker.take())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.sender = false;
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// What comes next; none at the end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut shared = lock(&self.shared);
        match shared.items.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if !shared.sender => Poll::Ready(None),
            None => {
                shared.wait(context);
                Poll::Pending
            }
        }
    }

    /// What comes next; none at the end. Cancelling it loses nothing.
    pub(crate) async fn next(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Takes everything that is there, into what is empty: whether there may be more, or else the end. The two change
    /// places; one that has grown is let go of while nothing is there.
    pub(crate) fn poll_take(&mut self, taken: &mut VecDeque<T>, context: &mut Context<'_>) -> Poll<bool> {
        let mut shared = lock(&self.shared);
        if !shared.items.is_empty() {
            std::mem::swap(taken, &mut shared.items);
            return Poll::Ready(true);
        }
        if !shared.sender {
            return Poll::Ready(false);
        }
        for room in [taken, &mut shared.items] {
            if room.capacity() > KEPT {
                *room = VecDeque::new();
            }
        }
        shared.wait(context);
        Poll::Pending
    }

    /// What is there now.
    pub(crate) fn try_next(&mut self) -> Option<T> {
        lock(&self.shared).items.pop_front()
    }

    /// Takes nothing more: gives what is there, and what is put in from now on comes back.
    pub(crate) fn close(&mut self) -> VecDeque<T> {
        let mut shared = lock(&self.shared);
        shared.receiver = false;
        std::mem::take(&mut shared.items)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // What was in it is dropped outside of the lock.
        drop(self.close());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn things_come_out_in_order_and_then_the_end() {
        let (sender, mut receiver) = queue();
        assert!(sender.push(1).unwrap().is_none());
        assert!(sender.push(2).is_ok());
        drop(sender);
        assert_eq!((receiver.next().await, receiver.next().await, receiver.next().await), (Some(1), Some(2), None));
    }

    #[tokio::test]
    async fn the_one_who_waits_is_woken() {
        let (sender, mut receiver) = queue();
        let waiting = tokio::spawn(async move { receiver.next().await });
        tokio::task::yield_now().await;
        sender.push(7).unwrap().expect("someone waits").wake();
        assert_eq!(waiting.await.unwrap(), Some(7));
    }

    #[test]
    fn what_nobody_takes_comes_back() {
        let (sender, mut receiver) = queue();
        assert!(sender.push(1).is_ok());
        assert_eq!(receiver.close(), [1]);
        assert_eq!(sender.push(2).err(), Some(2));
        drop(receiver);
        assert_eq!(sender.push(3).err(), Some(3));
    }
}
