//! A gateway with many WebSockets that sleep.

use bytestring::ByteString;
use underpass_core::directory::{
    ActorKey, ActorRecord, ActorSeen, ActorState, HibernatingSocket, RegistryChange, Revision, RunnerState, Versioned,
};
use underpass_core::gateway::{Action, Config, Event, Open, OpenKind};
use underpass_core::http::Target;
use underpass_core::protocol::RequestId;
use underpass_core::protocol::tunnel::to_server::Kind;
use underpass_core::{Gateway, Machine, RequestKey, Time};

use crate::given::actors::{runner, running, shows_runner};
use crate::given::gateway::config;
use crate::given::hibernation::{sleeps, taken};
use crate::wire::{GATEWAY, head, message_id, pool, to_gateway};

/// A gateway, and its WebSockets.
#[derive(Debug)]
pub struct Sleepers {
    /// The gateway.
    pub gateway: Gateway,
    /// What they are called.
    pub keys: Vec<RequestKey>,
    /// What time it is.
    pub now: Time,
}

impl Sleepers {
    /// So many, and so many of each actor, asleep.
    pub fn asleep(count: usize, of_each_actor: usize) -> Self {
        let mut sleepers = Sleepers::new(count);
        let actors = count.div_ceil(of_each_actor);
        for number in 0..actors {
            sleepers.shows(&actor(number), 1, running(1));
        }
        // All are awake at once before they sleep.
        let ids: Vec<RequestId> = (0..count).map(|index| sleepers.opens(&actor(index / of_each_actor))).collect();
        for id in ids {
            sleepers.hears(id, 1, sleeps());
        }
        for number in 0..actors {
            sleepers.shows(&actor(number), 2, ActorState::Sleeping);
        }
        sleepers
    }

    /// Room for so many, none of which is open.
    pub fn new(count: usize) -> Self {
        let config = Config { max_requests: count, max_requests_per_runner: count, ..config() };
        let gateway = Gateway::new(config, GATEWAY, 1, Time::ZERO).expect("a gateway's configuration");
        let mut sleepers = Sleepers { gateway, keys: Vec::with_capacity(count), now: Time::ZERO };
        sleepers.input(shows_runner(1, runner(1, RunnerState::Ready)));
        sleepers
    }

    /// Opens one that can hibernate and is in the registry.
    pub fn opens(&mut self, actor: &ActorKey) -> RequestId {
        let target = Target { pool: actor.pool.clone(), actor_id: actor.actor_id.clone() };
        let open = Open { target, head: head("GET", "/"), kind: OpenKind::WebSocket };
        let key = self.gateway.open(open, self.now).expect("it is taken in");
        self.keys.push(key);
        let request_id = self.gateway.request_name(key).expect("it is open").request_id;
        self.hears(request_id, 0, taken(true));
        let socket = HibernatingSocket { actor: actor.clone(), gateway_id: GATEWAY, request_id };
        self.input(Event::RegistryChanged { change: RegistryChange::Enter(socket), outcome: Ok(()) });
        request_id
    }

    /// The directory says this of an actor.
    pub fn shows(&mut self, actor: &ActorKey, revision: u64, state: ActorState) {
        let record = ActorRecord { created_at: 0, generation: 1, crashes: 0, alarm: None, state };
        let record = Some(Versioned { revision: Revision(revision), record });
        self.input(Event::Actor(ActorSeen { key: actor.clone(), record }));
    }

    /// The runner says something.
    pub fn hears(&mut self, request_id: RequestId, number: u16, kind: Kind) {
        self.input(Event::Received { from: None, frame: to_gateway(message_id(request_id, number), kind) });
    }

    /// Something happens; what the gateway wants of it is dropped.
    pub fn input(&mut self, event: Event) {
        self.gateway.handle(event, self.now).expect("no misuse");
        while let Some(action) = self.gateway.poll_action() {
            assert!(!matches!(action, Action::Failed { .. }), "{action:?}");
        }
    }
}

/// The actor of a number, whose id has 16 bytes.
pub fn actor(number: usize) -> ActorKey {
    ActorKey { pool: pool(), actor_id: ByteString::from(format!("actor-{number:010}")) }
}
