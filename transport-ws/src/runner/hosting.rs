//! A host, whose actors live one life after the other.

use std::sync::Arc;

use super::actors::{ActorContext, Host, Work, live};
use super::hibernating::SleepingSocket;
use super::outlets::Handlers;
use crate::driver::Task;
use crate::queue::Receiver;

/// The user's host.
pub(super) struct Hosting<H> {
    pub(super) host: Arc<H>,
    pub(super) max_chunk: usize,
}

impl<H: Host> Handlers for Hosting<H> {
    /// Its actor is not here any more: it is refused. Not at once, as refusing it takes the driver's lock.
    fn work(&mut self, work: Work) -> Task {
        Box::pin(async move { drop(work) })
    }

    fn live(&mut self, actor: ActorContext, sockets: Vec<SleepingSocket>, work: Receiver<Work>) -> Task {
        Box::pin(live(self.host.clone(), actor, sockets, work, self.max_chunk))
    }
}
