//! The registry of WebSockets that can hibernate, whatever clock it goes by.

use std::collections::{BTreeMap, BTreeSet};

use underpass_core::Time;
use underpass_core::directory::{ActorKey, HibernatingSocket, REGISTRY_EXPIRY, RegistryChange};
use underpass_core::protocol::to_client::HibernatingRequest;
use underpass_core::protocol::{GatewayId, RequestId};

/// The sockets that are entered, and when each gateway was heard last.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    actors: BTreeMap<ActorKey, BTreeSet<(GatewayId, RequestId)>>,
    gateways: BTreeMap<GatewayId, Gateway>,
}

/// A gateway that has entered something.
#[derive(Debug)]
struct Gateway {
    heard: Time,
    entered: BTreeSet<(ActorKey, RequestId)>,
}

impl Registry {
    pub(crate) fn change(&mut self, change: RegistryChange, now: Time) {
        self.expire(change.gateway_id(), now);
        match change {
            RegistryChange::Enter(HibernatingSocket { actor, gateway_id, request_id }) => {
                let gateway =
                    self.gateways.entry(gateway_id).or_insert(Gateway { heard: now, entered: BTreeSet::new() });
                gateway.heard = now;
                gateway.entered.insert((actor.clone(), request_id));
                self.actors.entry(actor).or_default().insert((gateway_id, request_id));
            }
            RegistryChange::Leave(HibernatingSocket { actor, gateway_id, request_id }) => {
                if let Some(gateway) = self.gateways.get_mut(&gateway_id) {
                    gateway.entered.remove(&(actor.clone(), request_id));
                    if gateway.entered.is_empty() {
                        self.gateways.remove(&gateway_id);
                    }
                }
                self.leave(&actor, gateway_id, request_id);
            }
            RegistryChange::KeepAlive(gateway_id) => {
                if let Some(gateway) = self.gateways.get_mut(&gateway_id) {
                    gateway.heard = now;
                }
            }
        }
    }

    /// What is entered for an actor, in order.
    pub(crate) fn registered(&mut self, actor: &ActorKey, now: Time) -> Vec<HibernatingRequest> {
        let gateways: BTreeSet<GatewayId> =
            self.actors.get(actor).into_iter().flatten().map(|(gateway_id, _)| *gateway_id).collect();
        for gateway_id in gateways {
            self.expire(gateway_id, now);
        }
        let entered = self.actors.get(actor).into_iter().flatten();
        entered.map(|&(gateway_id, request_id)| HibernatingRequest { gateway_id, request_id }).collect()
    }

    /// A gateway is gone, with all that it entered.
    pub(crate) fn forget(&mut self, gateway_id: GatewayId) {
        let Some(gateway) = self.gateways.remove(&gateway_id) else { return };
        for (actor, request_id) in gateway.entered {
            self.leave(&actor, gateway_id, request_id);
        }
    }

    /// All that is entered, in order. Some of it may be too old.
    pub(crate) fn entered(&self) -> impl Iterator<Item = HibernatingSocket> {
        self.actors.iter().flat_map(|(actor, sockets)| {
            let socket = |&(gateway_id, request_id): &_| (gateway_id, request_id);
            sockets.iter().map(socket).map(|(gateway_id, request_id)| HibernatingSocket {
                actor: actor.clone(),
                gateway_id,
                request_id,
            })
        })
    }

    fn leave(&mut self, actor: &ActorKey, gateway_id: GatewayId, request_id: RequestId) {
        let Some(sockets) = self.actors.get_mut(actor) else { return };
        sockets.remove(&(gateway_id, request_id));
        if sockets.is_empty() {
            self.actors.remove(actor);
        }
    }

    fn expire(&mut self, gateway_id: GatewayId, now: Time) {
        if self.gateways.get(&gateway_id).is_some_and(|gateway| now.since(gateway.heard) >= REGISTRY_EXPIRY) {
            self.forget(gateway_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use underpass_core::directory::Pool;

    use super::*;

    fn socket(actor_id: &'static str, gateway: u8, request: u8) -> HibernatingSocket {
        let pool = Pool { namespace: "default".into(), name: "default".into() };
        let actor = ActorKey { pool, actor_id: actor_id.into() };
        HibernatingSocket { actor, gateway_id: GatewayId([gateway; 4]), request_id: RequestId([request; 4]) }
    }

    fn registered(registry: &mut Registry, actor_id: &'static str, seconds: u64) -> Vec<(u8, u8)> {
        let sockets = registry.registered(&socket(actor_id, 0, 0).actor, Time::from_millis(1_000 * seconds));
        sockets.iter().map(|socket| (socket.gateway_id.0[0], socket.request_id.0[0])).collect()
    }

    #[test]
    fn what_was_entered_is_registered_until_it_leaves() {
        let mut registry = Registry::default();
        for (actor, gateway, request) in [("a", 1, 1), ("a", 2, 1), ("b", 1, 2), ("a", 1, 3), ("a", 1, 1)] {
            registry.change(RegistryChange::Enter(socket(actor, gateway, request)), Time::ZERO);
        }
        assert_eq!(registered(&mut registry, "a", 1), [(1, 1), (1, 3), (2, 1)]);
        registry.change(RegistryChange::Leave(socket("a", 1, 1)), Time::ZERO);
        assert_eq!(registered(&mut registry, "a", 1), [(1, 3), (2, 1)]);
        registry.forget(GatewayId([1; 4]));
        assert_eq!((registered(&mut registry, "a", 1), registered(&mut registry, "b", 1)), (vec![(2, 1)], vec![]));
        registry.change(RegistryChange::Leave(socket("a", 2, 1)), Time::ZERO);
        assert_eq!((registry.actors.len(), registry.gateways.len()), (0, 0));
    }

    #[test]
    fn a_gateway_that_is_not_heard_for_90_seconds_has_nothing_there() {
        let mut registry = Registry::default();
        let at = |seconds: u64| Time::from_millis(1_000 * seconds);
        registry.change(RegistryChange::Enter(socket("a", 1, 1)), at(0));
        registry.change(RegistryChange::Enter(socket("a", 2, 2)), at(0));
        registry.change(RegistryChange::KeepAlive(GatewayId([1; 4])), at(45));
        assert_eq!(registered(&mut registry, "a", 89), [(1, 1), (2, 2)]);
        assert_eq!(registered(&mut registry, "a", 90), [(1, 1)]);
        assert_eq!(registered(&mut registry, "a", 134), [(1, 1)]);
        registry.change(RegistryChange::KeepAlive(GatewayId([1; 4])), at(135));
        assert_eq!(registered(&mut registry, "a", 135), [], "what has run out does not come back");
        assert_eq!(registry.entered().count(), 0);
    }
}
