//! What whoever looks after a process can have done to its machines.

use std::fmt;
use std::sync::{Arc, OnceLock};

use underpass_core::bus::{Bus, RelayId};
use underpass_core::directory::Directory;
use underpass_core::failure::RequestName;
use underpass_transport_ws::clients::Clients;
use underpass_transport_ws::runners::Runners;

/// The machines of a process, once they run. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Controls(Arc<Machines>);

type EndRequest = Box<dyn Fn(RequestName) -> bool + Send + Sync>;
type DrainRunner = Box<dyn Fn(u64) + Send + Sync>;

#[derive(Default)]
struct Machines {
    gateway: OnceLock<EndRequest>,
    relay: OnceLock<(RelayId, DrainRunner)>,
}

impl Controls {
    /// It has this gateway.
    pub(crate) fn has_gateway<B: Bus, D: Directory>(&self, gateway: &Clients<B, D>) {
        let gateway = gateway.clone();
        // There is one.
        let _ = self.0.gateway.set(Box::new(move |name| gateway.end_request(name)));
    }

    /// It has this relay.
    pub(crate) fn has_relay<B: Bus, D: Directory>(&self, relay: &Runners<B, D>) {
        let relay = relay.clone();
        // There is one.
        let _ = self.0.relay.set((relay.id(), Box::new(move |connection| relay.drain_runner(connection))));
    }

    /// The relay's id, if there is a relay.
    pub(crate) fn relay(&self) -> Option<RelayId> {
        self.0.relay.get().map(|(id, _)| *id)
    }

    /// Whether there is a gateway.
    pub(crate) fn is_gateway(&self) -> bool {
        self.0.gateway.get().is_some()
    }

    /// Ends a request at the gateway. Whether there is one.
    pub(crate) fn end_request(&self, name: RequestName) -> bool {
        self.0.gateway.get().is_some_and(|end| end(name))
    }

    /// Has a connection of the relay drain.
    pub(crate) fn drain_runner(&self, connection: u64) {
        if let Some((_, drain)) = self.0.relay.get() {
            drain(connection);
        }
    }
}

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controls").field("relay", &self.relay()).field("gateway", &self.is_gateway()).finish()
    }
}
