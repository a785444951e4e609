//! A gateway, a relay and a runner, joined in memory and in virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use underpass_core::bus::{Rejected, Subject};
use underpass_core::directory::{
    ChangeOutcome, Revision, RunnerChange, RunnerKey, RunnerRecord, RunnerSeen, Versioned,
};
use underpass_core::gateway::{self, Open};
use underpass_core::http::Close;
use underpass_core::observe::{Journal, Observer};
use underpass_core::protocol::Dialect;
use underpass_core::record::Recordable;
use underpass_core::{ApiMisuse, Gateway, Machine, Relay, RequestKey, Runner, Time, relay, runner};

use crate::recorded::Tapes;
use crate::watched::{HasRequests, Judge, Watched};
use crate::wire::{GATEWAY, relay_id};

/// The three machines, and what is between them: a bus, a socket, a directory.
///
/// What the gateway wants done for its client, and the runner for its handler, is collected for the story to look at.
#[derive(Debug)]
pub struct Trio {
    /// The gateway.
    pub gateway: Watched<Gateway>,
    /// The relay.
    pub relay: Watched<Relay>,
    /// The runner.
    pub runner: Watched<Runner>,
    now: Time,
    /// The numbers of the runner's connections that are open: at the relay the same as at the runner.
    connections: BTreeSet<u64>,
    records: BTreeMap<RunnerKey, Versioned<RunnerRecord>>,
    revision: u64,
    in_flight: VecDeque<InFlight>,
    client_saw: Vec<gateway::Action>,
    handler_saw: Vec<runner::Action>,
    notices: Vec<relay::Notice>,
    /// None where nobody looks on.
    tapes: Option<Tapes>,
}

/// What is on its way to a machine.
#[derive(Debug)]
enum InFlight {
    Gateway(gateway::Event),
    Relay(relay::Event),
    Runner(runner::Event),
}

/// A machine that is looked on at if there are tapes.
fn watched<M: Recordable + HasRequests>(origin: M::Origin, tapes: &mut Option<Tapes>) -> Watched<M>
where
    Journal<Judge>: Observer<M>,
{
    let made = match tapes {
        Some(tapes) => Watched::made_of(origin, Time::ZERO, Some(tapes)),
        None => Watched::alone(origin, Time::ZERO),
    };
    made.expect("a configuration that works")
}

impl Trio {
    /// The three with these configurations, driven until the runner is ready at the gateway. All that they do is
    /// recorded, and what they tell of requests is judged.
    pub fn new(gateway: gateway::Config, relay: relay::Config, runner: runner::Config) -> Self {
        Trio::made(gateway, relay, runner, Some(Tapes::default()))
    }

    /// The same, and nobody looks on: for what they cost.
    pub fn alone(gateway: gateway::Config, relay: relay::Config, runner: runner::Config) -> Self {
        Trio::made(gateway, relay, runner, None)
    }

    fn made(gateway: gateway::Config, relay: relay::Config, runner: runner::Config, mut tapes: Option<Tapes>) -> Self {
        let gateway = gateway::Origin { config: gateway, id: GATEWAY, seed: 1 };
        let relay = relay::Origin { config: relay, id: relay_id(), seed: 2 };
        let runner = runner::Origin { config: runner, key: "key".into(), seed: 3 };
        let mut trio = Trio {
            gateway: watched(gateway, &mut tapes),
            relay: watched(relay, &mut tapes),
            runner: watched(runner, &mut tapes),
            now: Time::ZERO,
            connections: BTreeSet::new(),
            records: BTreeMap::new(),
            revision: 0,
            in_flight: VecDeque::new(),
            client_saw: Vec::new(),
            handler_saw: Vec::new(),
            notices: Vec::new(),
            tapes,
        };
        trio.drive();
        assert!(matches!(trio.handler_saw()[..], [runner::Action::Ready { .. }]), "the runner was taken in");
        trio
    }

    /// Opens a request at the gateway and drives until all is quiet.
    #[track_caller]
    pub fn open(&mut self, open: Open) -> RequestKey {
        let key = self.gateway.open(open, self.now).expect("the request is taken in");
        self.drive();
        key
    }

    /// Something happens at the gateway's client.
    #[track_caller]
    pub fn client(&mut self, event: gateway::Event) -> &mut Self {
        self.try_client(event).expect("no misuse");
        self
    }

    /// Something happens at the gateway's client that may be a misuse.
    pub fn try_client(&mut self, event: gateway::Event) -> Result<(), ApiMisuse> {
        let outcome = self.gateway.handle(event, self.now);
        self.drive();
        outcome
    }

    /// Something happens at the runner's handler.
    #[track_caller]
    pub fn handler(&mut self, event: runner::Event) -> &mut Self {
        self.runner.handle(event, self.now).expect("no misuse");
        self.drive();
        self
    }

    /// Something happens at the relay.
    #[track_caller]
    pub fn at_relay(&mut self, event: relay::Event) -> &mut Self {
        self.relay.handle(event, self.now).expect("no misuse");
        self.drive();
        self
    }

    /// What was wanted for clients since it was last asked.
    pub fn client_saw(&mut self) -> Vec<gateway::Action> {
        std::mem::take(&mut self.client_saw)
    }

    /// What was wanted for handlers since it was last asked.
    pub fn handler_saw(&mut self) -> Vec<runner::Action> {
        std::mem::take(&mut self.handler_saw)
    }

    /// What the relay told people since it was last asked.
    pub fn notices(&mut self) -> Vec<relay::Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The number of the runner's connection; of its newer one, if it has two.
    #[track_caller]
    pub fn connection(&self) -> u64 {
        *self.connections.last().expect("the runner is connected")
    }

    /// The socket between runner and relay breaks; both are told. If there are two, it is the newer one.
    #[track_caller]
    pub fn cut(&mut self) -> &mut Self {
        let broken = self.connection();
        self.connections.remove(&broken);
        self.in_flight.retain(|thing| match thing {
            InFlight::Runner(runner::Event::Received { connection, .. }) => *connection != broken,
            InFlight::Relay(relay::Event::FromRunner { connection, .. }) => *connection != broken,
            InFlight::Gateway(_) | InFlight::Relay(_) | InFlight::Runner(_) => true,
        });
        self.ended(broken, None);
        self.drive();
        self
    }

    /// Tells both ends that a socket has ended.
    fn ended(&mut self, connection: u64, close: Option<Close>) {
        self.in_flight.push_back(InFlight::Relay(relay::Event::Disconnected { connection }));
        self.in_flight.push_back(InFlight::Runner(runner::Event::Disconnected { connection, close }));
    }

    /// Carries everything until nothing moves. Time stands still.
    pub fn drive(&mut self) {
        for _ in 0..1_000_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the three never come to rest");
    }

    /// Time passes in small steps, each machine being told when it asked to be.
    pub fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.drive();
            let due = [self.gateway.poll_timeout(), self.relay.poll_timeout(), self.runner.poll_timeout()];
            match due.into_iter().flatten().min() {
                Some(due) if due <= end => {
                    self.now = self.now.max(due);
                    self.tick();
                }
                Some(_) | None => break,
            }
        }
        self.now = end;
        self.tick();
        self.drive();
    }

    fn tick(&mut self) {
        self.gateway.handle(gateway::Event::Tick, self.now).expect("a tick is no misuse");
        self.relay.handle(relay::Event::Tick, self.now).expect("a tick is no misuse");
        self.runner.handle(runner::Event::Tick, self.now).expect("a tick is no misuse");
    }

    /// Ends the story: nothing is open anywhere; once the runner has gone and time has passed, no table holds
    /// anything and no timer is left. All three do the same again when they are replayed.
    #[track_caller]
    pub fn finish(mut self) {
        self.drive();
        let (gateway, relay, runner) = (self.gateway.stats(), self.relay.stats(), self.runner.stats());
        assert_eq!((gateway.open, gateway.deadlines, gateway.buffered), (0, 0, 0), "gateway: {gateway:?}");
        assert_eq!((relay.routes, relay.buffered), (0, 0), "relay: {relay:?}");
        assert_eq!((runner.open, runner.buffered), (0, 0), "runner: {runner:?}");
        assert_eq!([self.gateway.wrong(), self.relay.wrong(), self.runner.wrong()], [None, None, None]);
        self.runner.handle(runner::Event::Drain, self.now).expect("no misuse");
        self.drive();
        self.advance(Duration::from_secs(61));
        let relay = self.relay.stats();
        assert_eq!((relay.connections, relay.tombstones, relay.deadlines), (0, 0, 0), "relay: {relay:?}");
        assert!(self.records.is_empty(), "records are left: {:?}", self.records);
        assert_eq!(self.gateway.poll_timeout(), None);
        assert_eq!(self.relay.poll_timeout(), None);
        assert_eq!(self.runner.poll_timeout(), None);
        assert_eq!(self.gateway.ready_runners(&crate::wire::pool()), 0);
        if let Some(tapes) = &mut self.tapes {
            tapes.replay();
        }
    }

    /// What was recorded so far of the three: with bodies, and without.
    pub fn recordings(self) -> [Vec<u8>; 2] {
        self.tapes.map(|mut tapes| tapes.take()).unwrap_or_default()
    }

    /// Carries one thing. Whether there was one.
    pub fn step(&mut self) -> bool {
        if let Some(action) = self.gateway.poll_action() {
            self.for_gateway(action);
        } else if let Some(action) = self.relay.poll_action() {
            self.for_relay(action);
        } else if let Some(action) = self.runner.poll_action() {
            self.for_runner(action);
        } else if let Some(thing) = self.in_flight.pop_front() {
            match thing {
                InFlight::Gateway(event) => self.gateway.handle(event, self.now),
                InFlight::Relay(event) => self.relay.handle(event, self.now),
                InFlight::Runner(event) => self.runner.handle(event, self.now),
            }
            .expect("what the machines do to each other is no misuse");
        } else {
            return false;
        }
        true
    }

    fn for_gateway(&mut self, action: gateway::Action) {
        match action {
            gateway::Action::Publish(publication) => match publication.to {
                Subject::Connection(id) if id.relay == relay_id() => {
                    let frame = publication.frame;
                    self.in_flight.push_back(InFlight::Relay(relay::Event::FromBus { connection: id.number, frame }));
                }
                Subject::Connection(_) | Subject::Gateway(_) => {
                    let reason = underpass_core::bus::PublishError::NoResponders;
                    let rejected = Rejected { publication, reason };
                    self.in_flight.push_back(InFlight::Gateway(gateway::Event::PublishFailed(rejected)));
                }
            },
            gateway::Action::Registry(change) => unreachable!("the runners of a trio are stateless: {change:?}"),
            gateway::Action::Actor(change) => unreachable!("the runners of a trio are stateless: {change:?}"),
            other @ (gateway::Action::ResponseStart { .. }
            | gateway::Action::ResponseChunk { .. }
            | gateway::Action::WebSocketOpened { .. }
            | gateway::Action::WebSocketMessage { .. }
            | gateway::Action::WebSocketClose { .. }
            | gateway::Action::Failed { .. }
            | gateway::Action::PauseSource { .. }
            | gateway::Action::ResumeSource { .. }
            | gateway::Action::Drained) => self.client_saw.push(other),
        }
    }

    fn for_relay(&mut self, action: relay::Action) {
        match action {
            relay::Action::Send { connection, frame } => {
                if self.connections.contains(&connection) {
                    self.in_flight.push_back(InFlight::Runner(runner::Event::Received { connection, frame }));
                }
            }
            relay::Action::Close { connection, close } => {
                if self.connections.remove(&connection) {
                    self.ended(connection, Some(close));
                }
            }
            relay::Action::Publish(publication) => match publication.to {
                Subject::Gateway(id) if id == GATEWAY => {
                    let frame = publication.frame;
                    self.in_flight.push_back(InFlight::Gateway(gateway::Event::Received { from: None, frame }));
                }
                Subject::Gateway(_) | Subject::Connection(_) => {
                    let reason = underpass_core::bus::PublishError::NoResponders;
                    let rejected = Rejected { publication, reason };
                    self.in_flight.push_back(InFlight::Relay(relay::Event::PublishFailed(rejected)));
                }
            },
            relay::Action::Directory { connection, change } => {
                let outcome = self.change(change);
                self.in_flight.push_back(InFlight::Relay(relay::Event::Directory { connection, outcome }));
            }
            // Its socket pings nobody, and its runner's actors have no state.
            relay::Action::Ping { .. }
            | relay::Action::Actor(_)
            | relay::Action::Registered { .. }
            | relay::Action::Kv { .. } => {}
            relay::Action::ShowActors => {}
            // Nothing is shown to it.
            relay::Action::Forget(_) => {}
            relay::Action::LogActors(_) => {}
            relay::Action::Log { notice, .. } => self.notices.push(notice),
            relay::Action::Drained => {}
        }
    }

    fn change(&mut self, change: RunnerChange) -> ChangeOutcome {
        let current = self.records.get(&change.key);
        if current.map(|versioned| versioned.revision) != change.expected {
            return ChangeOutcome::Conflict(current.cloned());
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        let record = change.record.map(|record| Versioned { revision, record });
        match &record {
            Some(versioned) => self.records.insert(change.key.clone(), versioned.clone()),
            None => self.records.remove(&change.key),
        };
        let seen = RunnerSeen { key: change.key, record };
        self.in_flight.push_back(InFlight::Gateway(gateway::Event::Directory(seen)));
        ChangeOutcome::Stored(revision)
    }

    fn for_runner(&mut self, action: runner::Action) {
        match action {
            runner::Action::Dial { connection } => {
                self.connections.insert(connection);
                let hello = self.runner.hello();
                self.in_flight.push_back(InFlight::Relay(relay::Event::Connected { connection, hello }));
                let dialect = Dialect::Underpass;
                self.in_flight.push_back(InFlight::Runner(runner::Event::Connected { connection, dialect }));
            }
            runner::Action::Send { connection, frame } => {
                if self.connections.contains(&connection) {
                    let frame = frame.into_bytes();
                    self.in_flight.push_back(InFlight::Relay(relay::Event::FromRunner { connection, frame }));
                }
            }
            runner::Action::Disconnect { connection, .. } => {
                if self.connections.remove(&connection) {
                    self.ended(connection, None);
                }
            }
            other @ (runner::Action::Ready { .. }
            | runner::Action::Request { .. }
            | runner::Action::RequestChunk { .. }
            | runner::Action::Aborted { .. }
            | runner::Action::WebSocketOpen { .. }
            | runner::Action::WebSocketMessage { .. }
            | runner::Action::WebSocketAsleep { .. }
            | runner::Action::StartActor { .. }
            | runner::Action::StopActor { .. }
            | runner::Action::KvAnswered { .. }
            | runner::Action::WebSocketClose { .. }
            | runner::Action::PauseSource { .. }
            | runner::Action::ResumeSource { .. }
            | runner::Action::Stopped(_)) => self.handler_saw.push(other),
        }
    }
}
