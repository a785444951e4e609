//! A gate in front of a source: shut while the machine wants no more of it.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;

/// Open at first.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    shut: AtomicBool,
    waker: AtomicWaker,
}

impl Gate {
    /// Lets nothing more through.
    pub(crate) fn shut(&self) {
        self.shut.store(true, Ordering::Release);
    }

    /// Opens it; the waker is to be woken.
    pub(crate) fn open(&self) -> Option<Waker> {
        self.shut.store(false, Ordering::Release);
        self.waker.take()
    }

    /// Whether one may pass now.
    pub(crate) fn is_open(&self) -> bool {
        !self.shut.load(Ordering::Acquire)
    }

    /// Whether one may pass. One task at a time can wait.
    pub(crate) fn poll_pass(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_open() {
            return Poll::Ready(());
        }
        self.waker.register(context.waker());
        if self.is_open() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until one may pass.
    pub(crate) async fn pass(&self) {
        poll_fn(|context| self.poll_pass(context)).await;
    }
}
