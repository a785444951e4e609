//! One request of one client, from its opening to its end.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::AbortHandle;
use underpass_core::bus::Bus;
use underpass_core::gateway::{Event, Open, OpenKind};
use underpass_core::{Failure, RequestKey};

use super::outlets::{Delivery, Outlet, Outlets, Socket};
use crate::driver::Driver;
use crate::gate::Gate;
use crate::queue::{Receiver, queue};
use crate::socket::{OutgoingReceiver, outgoing};

/// An open request. Dropping it before its end tells the gateway that its client is gone.
pub(super) struct Exchange<B: Bus> {
    key: RequestKey,
    driver: Arc<Driver<Outlets<B>>>,
    deliveries: Receiver<Delivery>,
    gate: Arc<Gate>,
    /// The task that reads the request's body.
    upload: Option<AbortHandle>,
}

impl<B: Bus> Exchange<B> {
    /// Opens a request, and what goes out of its socket if it is a WebSocket.
    pub(super) fn open(
        driver: &Arc<Driver<Outlets<B>>>,
        open: Open,
    ) -> Result<(Self, Option<OutgoingReceiver>), Failure> {
        let (sender, deliveries) = queue();
        let gate = Arc::new(Gate::default());
        let (socket, outgoing) = match open.kind {
            OpenKind::Http(_) => (None, None),
            OpenKind::WebSocket => {
                let (sender, receiver) = outgoing();
                (Some(Socket { outgoing: sender, opened: false }), Some(receiver))
            }
        };
        let outlet = Outlet { deliveries: sender, gate: gate.clone(), socket };
        let key = driver.enter(|inside| {
            let key = inside.open(open)?;
            inside.outlets.requests.insert(key, outlet);
            Ok(key)
        })?;
        Ok((Exchange { key, driver: driver.clone(), deliveries, gate, upload: None }, outgoing))
    }

    /// Starts a task that reads the request's body; it ends with the exchange.
    pub(super) fn upload<F: Future<Output = ()> + Send + 'static>(&mut self, upload: impl FnOnce(Source<B>) -> F) {
        self.upload = Some(tokio::spawn(upload(self.source())).abort_handle());
    }

    /// Where what the client sends goes.
    pub(super) fn source(&self) -> Source<B> {
        Source { key: self.key, driver: self.driver.clone(), gate: self.gate.clone() }
    }

    /// What the client is to be told next; none once the request has [broken off](Source::broke_off).
    pub(super) async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.next().await
    }

    /// What the client is to be told next; none once the request has [broken off](Source::broke_off).
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.deliveries.poll_next(context)
    }

    /// The client took so many bytes.
    pub(super) fn consumed(&self, bytes: usize) {
        self.driver.drive(Event::Consumed { key: self.key, bytes });
    }
}

impl<B: Bus> Drop for Exchange<B> {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.abort();
        }
        client_gone(&self.driver, self.key);
    }
}

/// Ends a request whose client is gone, unless it has ended.
fn client_gone<B: Bus>(driver: &Driver<Outlets<B>>, key: RequestKey) {
    // Its queue ends outside of the lock: that wakes whoever answers.
    let _outlet = driver.enter(|inside| {
        let outlet = inside.outlets.requests.remove(&key);
        if outlet.is_some() {
            inside.handle(Event::ClientGone { key });
        }
        outlet
    });
}

/// Where what a request's client sends goes.
pub(super) struct Source<B: Bus> {
    key: RequestKey,
    driver: Arc<Driver<Outlets<B>>>,
    gate: Arc<Gate>,
}

impl<B: Bus> Source<B> {
    /// Whose it is.
    pub(super) fn key(&self) -> RequestKey {
        self.key
    }

    /// In front of what the client sends.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Ends the request: its client is gone, or what it sends is none. Whoever answers sees the deliveries end.
    pub(super) fn broke_off(&self) {
        client_gone(&self.driver, self.key);
    }

    /// Tells the gateway, one after another.
    pub(super) fn tell_all(&self, events: impl Iterator<Item = Option<Event>>) {
        self.driver.enter(|inside| events.flatten().for_each(|event| inside.handle(event)));
    }

    /// Tells the gateway.
    pub(super) fn tell(&self, event: Event) {
        self.driver.drive(event);
    }
}
