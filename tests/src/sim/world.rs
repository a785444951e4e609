//! The world: a fleet, its clients and their handlers on a seeded network, from the first start to the last rest.

use core::time::Duration;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytestring::ByteString;
use hashbrown::HashMap;
use underpass_core::failure::RequestName;
use underpass_core::protocol::GatewayId;
use underpass_core::{FailureCode, Machine, RequestKey, Time, gateway, relay};
use underpass_transport_mem::MemKv;
use underpass_transport_mem::sim::{Happening, Network, Node, Random};

use super::checks::{Violation, Wire};
use super::client::{self, Client, End};
use super::faults::{Host, Kind};
use super::fleet::{GatewayProcess, PublishedProcess, RelayProcess, RunnerProcess, Slot, hosting, published};
use super::handler;
use super::hibernation::checks::Wakes;
use super::hibernation::{Store, keeper};
use super::lives::Lives;
use super::schedule::{FAREWELL, PROBE, SETTLE, Schedule};
use super::trace::{About, Line, Trace};
use super::workload::Wish;
use crate::recorded::Tapes;

/// A run that takes more events than this never comes to rest.
const MOST_EVENTS: u64 = 50_000_000;

/// How often machines are told what Unix time it is.
const WALL_CLOCK_EVERY: Duration = Duration::from_secs(60);

/// What happens in the world besides what the network brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// A process starts.
    Start(Host),
    /// A client does something.
    Client(u32, client::Step),
    /// A handler does something.
    Handler(RequestKey, handler::Step),
    /// A published runner does something.
    Published(published::Step),
    /// A life of an actor at a runner of ours does something.
    Guest(hosting::Step),
    /// The handler of a WebSocket that can hibernate does something.
    Keeper(RequestKey, keeper::Step),
    /// The directory finds that a gateway is no more.
    Unclaim(GatewayId),
    /// The machines are told what Unix time it is.
    WallClock,
    /// A fault begins; so many times more.
    Begin(usize, u32),
    /// A fault ends.
    End(usize),
    /// The world goes on to its next part.
    Phase(Phase),
    /// It is looked whether limits hold.
    Look,
}

/// The parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// All faults end, what went comes back.
    Calm,
    /// All is well again: clients whose WebSockets can hibernate have their last words, and close.
    Farewell,
    /// Everything has ended; new clients come, who must be answered.
    Probe,
    /// They have been. Runners are drained,
    DrainRunners,
    /// then relays,
    DrainRelays,
    /// then gateways,
    DrainGateways,
    /// and nothing is left.
    Rest,
}

/// How a run went.
#[derive(Debug)]
pub struct Outcome {
    /// What was found, if something was.
    pub violation: Option<Violation>,
    /// What happened.
    pub trace: Trace,
    /// The client whose request the violation touches.
    pub touched: Option<u32>,
    /// How many lives of actors began.
    pub lives: u64,
    /// What went on with WebSockets that can hibernate.
    pub wakes: Wakes,
    /// How many requests ended with everything that their handlers had for them.
    pub whole: u32,
    /// How many clients came.
    pub clients: u32,
    /// Which kinds of faults there were.
    pub seen: BTreeSet<Kind>,
    /// How much virtual time passed.
    pub lasted: Time,
    /// What machines were recorded on, if they were.
    pub tapes: Option<Tapes>,
}

/// The world while it runs.
pub(super) struct World<'a> {
    pub(super) schedule: &'a Schedule,
    pub(super) network: Network<Own>,
    pub(super) random: Random,
    /// A process that never fails, to remind the world of what it means to do.
    pub(super) director: Node,
    /// Whose node which is, by number; none for the director.
    pub(super) hosts: Vec<Option<Host>>,
    pub(super) gateways: Vec<Slot<GatewayProcess>>,
    pub(super) relays: Vec<Slot<RelayProcess>>,
    pub(super) runners: Vec<Slot<RunnerProcess>>,
    pub(super) published: Vec<Slot<PublishedProcess>>,
    /// By their numbers; those that a smaller schedule leaves out are not there.
    pub(super) clients: Vec<Option<Client>>,
    pub(super) wire: Wire,
    pub(super) lives: Lives,
    /// Runners that a relay had forgotten, by their keys: they may come back as others.
    pub(super) forgotten: BTreeSet<ByteString>,
    /// What actors keep.
    pub(super) store: MemKv,
    /// What they have saved of WebSockets that can hibernate.
    pub(super) saved: Store,
    pub(super) wakes: Wakes,
    /// Whether published runners acknowledge what they were never sent.
    pub(super) lies: bool,
    /// Whose request has which name.
    pub(super) named: HashMap<RequestName, u32>,
    /// Under which name each client's request went out last.
    pub(super) latest: HashMap<u32, RequestName>,
    /// The kinds of faults that there have been.
    pub(super) seen: BTreeSet<Kind>,
    pub(super) phase: Option<Phase>,
    pub(super) trace: Trace,
    /// What machines are recorded on, if they are.
    pub(super) tapes: Option<Tapes>,
    pub(super) violation: Option<Violation>,
    pub(super) client_turn: client::Turn,
    pub(super) handler_turn: handler::Turn,
    pub(super) keeper_turn: keeper::Turn,
}

/// Lets a schedule happen. With `keeps_lines`, its trace can be read. A panic is something found, too.
pub fn run(schedule: &Schedule, keeps_lines: bool) -> Outcome {
    runs(World::new(schedule, keeps_lines))
}

/// The same, with all machines of ours recorded.
pub fn run_recorded(schedule: &Schedule) -> Outcome {
    runs(World { tapes: Some(Tapes::default()), ..World::new(schedule, false) })
}

fn runs(mut world: World<'_>) -> Outcome {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.goes_on())) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
        world.wrong(About::Nobody, || format!("a panic: {text}"));
    }
    world.finish()
}

impl<'a> World<'a> {
    fn new(schedule: &'a Schedule, keeps_lines: bool) -> Self {
        let fleet = &schedule.fleet;
        let mut network = Network::new(fleet.network.clone(), schedule.seed);
        network.tell_losses(fleet.losses);
        let director = network.start(0);
        let plans = || schedule.clients.iter().chain(&schedule.probes);
        let most = plans().map(|plan| plan.number as usize + 1).max().unwrap_or(0);
        let mut clients: Vec<Option<Client>> = (0..most).map(|_| None).collect();
        for plan in plans() {
            clients[plan.number as usize] = Some(Client::new(plan.clone()));
        }
        let slots = |count| 0..count;
        World {
            random: Random::stream(schedule.seed, 5),
            gateways: slots(fleet.hosts.gateways).map(|_| Slot::default()).collect(),
            relays: slots(fleet.hosts.relays).map(|_| Slot::default()).collect(),
            runners: slots(fleet.hosts.runners).map(|_| Slot::default()).collect(),
            published: slots(fleet.hosts.published).map(|_| Slot::default()).collect(),
            schedule,
            network,
            director,
            hosts: vec![None],
            clients,
            wire: Wire::default(),
            lives: Lives::default(),
            forgotten: BTreeSet::new(),
            store: MemKv::new(),
            saved: Store::default(),
            wakes: Wakes::default(),
            lies: false,
            named: HashMap::new(),
            latest: HashMap::new(),
            seen: BTreeSet::new(),
            phase: None,
            trace: Trace::new(keeps_lines),
            tapes: None,
            violation: None,
            client_turn: client::Turn::default(),
            handler_turn: handler::Turn::default(),
            keeper_turn: keeper::Turn::default(),
        }
    }

    fn begin(&mut self) {
        let hosts = self.schedule.fleet.hosts;
        let all = (0..hosts.gateways)
            .map(Host::Gateway)
            .chain((0..hosts.relays).map(Host::Relay))
            .chain((0..hosts.runners).map(Host::Runner))
            .chain((0..hosts.published).map(Host::Published));
        for host in all {
            let after = self.random.up_to(Duration::from_millis(300));
            self.remind(after, Own::Start(host));
        }
        for client in &self.schedule.clients {
            self.network.own(self.director, client.at, Own::Client(client.number, client::Step::Open));
        }
        for (index, fault) in self.schedule.faults.iter().enumerate() {
            self.network.own(self.director, fault.at, Own::Begin(index, fault.repeats()));
        }
        self.remind(self.schedule.calm(), Own::Phase(Phase::Calm));
        self.remind(Duration::from_millis(500), Own::Look);
        if self.schedule.fleet.has_actors() {
            self.remind(WALL_CLOCK_EVERY, Own::WallClock);
        }
    }

    /// From the first start to the last rest, or to the first thing that must not be.
    fn goes_on(&mut self) {
        self.begin();
        while self.violation.is_none()
            && let Some(happening) = self.network.next()
        {
            self.happens(happening);
            if self.trace.inputs > MOST_EVENTS {
                self.wrong(About::Nobody, || "the world never comes to rest".into());
            }
        }
    }

    /// What Unix time it is, milliseconds.
    pub(super) fn unix_ms(&self) -> i64 {
        1_700_000_000_000 + self.network.now().as_micros() as i64 / 1_000
    }

    fn tell_wall_clock(&mut self) {
        let unix_ms = self.unix_ms();
        for index in 0..self.gateways.len() {
            self.tell_gateway(index, About::Nobody, gateway::Event::WallClock { unix_ms });
        }
        for index in 0..self.relays.len() {
            self.tell_relay(index, About::Nobody, relay::Event::WallClock { unix_ms });
        }
        if self.phase != Some(Phase::Rest) {
            self.remind(WALL_CLOCK_EVERY, Own::WallClock);
        }
    }

    pub(super) fn remind(&mut self, after: Duration, own: Own) {
        self.network.own(self.director, after, own);
    }

    fn happens(&mut self, happening: Happening<Own>) {
        let node = happening.node();
        match happening {
            Happening::Own { own, .. } => self.own(node, own),
            happening => match self.hosts[node.0 as usize] {
                Some(Host::Gateway(index)) => self.gateway_happens(index, happening),
                Some(Host::Relay(index)) => self.relay_happens(index, happening),
                Some(Host::Runner(index)) => self.runner_happens(index, happening),
                Some(Host::Published(index)) => self.published_happens(index, happening),
                None => {}
            },
        }
    }

    fn own(&mut self, node: Node, own: Own) {
        match own {
            Own::Start(host) => self.start(host),
            Own::Client(number, step) => self.client_steps(number, step),
            Own::Handler(key, step) => {
                if let Some(Host::Runner(index)) = self.hosts[node.0 as usize] {
                    self.handler_steps(index, key, step);
                }
            }
            Own::Published(step) => {
                if let Some(Host::Published(index)) = self.hosts[node.0 as usize] {
                    self.published_steps(index, step);
                }
            }
            Own::Keeper(key, step) => {
                if let Some(Host::Runner(index)) = self.hosts[node.0 as usize] {
                    self.keeper_steps(index, key, step);
                }
            }
            Own::Guest(step) => {
                if let Some(Host::Runner(index)) = self.hosts[node.0 as usize] {
                    self.guest_steps(index, step);
                }
            }
            Own::Unclaim(gateway) => self.network.release_gateway(gateway),
            Own::WallClock => self.tell_wall_clock(),
            Own::Begin(index, again) => self.fault_begins(index, again),
            Own::End(index) => self.fault_ends(index),
            Own::Phase(phase) => self.phase(phase),
            Own::Look => self.look(),
        }
    }

    /// Whether all that was going to go wrong has.
    pub(super) fn is_calm(&self) -> bool {
        self.phase.is_some()
    }

    /// Whether all is well again, so that nothing may fail any more.
    pub(super) fn is_farewell(&self) -> bool {
        self.phase.is_some_and(|phase| phase != Phase::Calm)
    }

    fn phase(&mut self, phase: Phase) {
        self.phase = Some(phase);
        self.note(None, About::Nobody, phase as u64, || format!("== {phase:?}"));
        match phase {
            Phase::Calm => {
                self.mend();
                let next = if self.schedule.fleet.manner.is_some() { Phase::Farewell } else { Phase::Probe };
                self.remind(SETTLE, Own::Phase(next));
            }
            Phase::Farewell => {
                self.talks_finish();
                self.remind(FAREWELL, Own::Phase(Phase::Probe));
            }
            Phase::Probe => {
                self.nothing_is_open();
                self.all_are_ready();
                self.actors_are_at_rest();
                self.sockets_are_at_rest();
                for probe in &self.schedule.probes {
                    let after = self.random.up_to(Duration::from_secs(1));
                    self.network.own(self.director, after, Own::Client(probe.number, client::Step::Open));
                }
                self.remind(PROBE, Own::Phase(Phase::DrainRunners));
            }
            Phase::DrainRunners => {
                self.nothing_is_open();
                for index in 0..self.runners.len() {
                    self.drain(Host::Runner(index), None);
                }
                for index in 0..self.published.len() {
                    self.drain(Host::Published(index), None);
                }
                self.remind(Duration::from_secs(10), Own::Phase(Phase::DrainRelays));
            }
            Phase::DrainRelays => {
                for index in 0..self.relays.len() {
                    self.drain(Host::Relay(index), None);
                }
                self.remind(Duration::from_secs(10), Own::Phase(Phase::DrainGateways));
            }
            Phase::DrainGateways => {
                for index in 0..self.gateways.len() {
                    self.drain(Host::Gateway(index), None);
                }
                self.remind(Duration::from_secs(15), Own::Phase(Phase::Rest));
            }
            Phase::Rest => self.all_is_at_rest(),
        }
    }

    /// A client's end is one that it may have.
    pub(super) fn check_end(&mut self, number: u32) {
        let Some(client) = &self.clients[number as usize] else { return };
        let Some(end) = client.end() else { return };
        if let Some(may) = self.may_end_hibernating(number, end) {
            self.note(None, About::Client(number), 0x77, || format!("client {number} ended: {end:?}"));
            if !may {
                self.wrong(About::Client(number), || format!("nothing made client {number} end with {end:?}"));
            }
            return;
        }
        let is_probe = self.schedule.probes.iter().any(|probe| probe.number == number);
        let is_tight = self.schedule.fleet.is_tight;
        if end == End::Failed(FailureCode::RunnerLost) && self.has_its_runner(number) {
            return self.wrong(About::Client(number), || format!("the runner of client {number} was not lost"));
        }
        let Some(client) = &self.clients[number as usize] else { return };
        let plan = &client.plan;
        let is_websocket = matches!(plan.wish, Wish::WebSocket(_) | Wish::Hibernating(_));
        let naps = self.schedule.fleet.manner.is_some();
        let may_stop = || naps || self.seen.iter().any(|kind| kind.may_stop_actors());
        let is_for_actor = self.schedule.fleet.is_stateful(plan.pool);
        // Actors that nap do what others are lulled to.
        let lulled = naps.then_some(&Kind::LullActor);
        let may_at_actor = |code| {
            let mut kinds = self.seen.iter().chain(lulled);
            // A streamed body that meets a nap can't be sent again.
            let is_refused = naps && code == FailureCode::Draining;
            is_for_actor && (is_refused || kinds.any(|kind| kind.may_cause_for_actors(code, is_websocket)))
        };
        let may = match end {
            End::Whole | End::Closed => true,
            End::Failed(FailureCode::Overloaded) if is_tight => true,
            _ if is_probe => false,
            End::Left => plan.leaves.is_some(),
            End::ActorStopped => is_for_actor && is_websocket && may_stop(),
            End::Failed(code) if may_at_actor(code) => true,
            End::Failed(code) => plan.may_fail_with(code) || self.seen.iter().any(|kind| kind.may_cause(code)),
            End::LostHeart => self.seen.iter().any(|kind| kind.may_keep_waiting(self.schedule.fleet.losses)),
            End::NotRestored | End::Skipped => false,
            End::GatewayDied => self.seen.contains(&Kind::CrashGateway) || self.seen.contains(&Kind::Drain),
        };
        self.note(None, About::Client(number), 0x77, || format!("client {number} ended: {end:?}"));
        if !may {
            self.wrong(About::Client(number), || format!("nothing made client {number} end with {end:?}"));
        }
    }

    /// Whether the connection to which a request went last stands, where nothing but a cut or a crash ends one. In a fleet
    /// that is tight the runner may have refused it since; and so may a relay, for an actor that is not back yet.
    fn has_its_runner(&self, number: u32) -> bool {
        let Some(connection) = self.wire.went_to(self.latest.get(&number)) else { return false };
        let Some(client) = &self.clients[number as usize] else { return false };
        let harmless = [Kind::CrashRunner, Kind::Cut, Kind::Forge, Kind::Acknowledge];
        let may_be_refused = self.schedule.fleet.is_tight || self.schedule.fleet.is_stateful(client.plan.pool);
        !may_be_refused
            && self.seen.iter().all(|kind| harmless.contains(kind))
            && self.network.open_sockets().any(|socket| u64::from(socket.0) == connection.number)
    }

    /// Notes that something happened.
    pub(super) fn note(&mut self, host: Option<Host>, about: About, what: u64, text: impl FnOnce() -> String) {
        let at = self.network.now();
        self.trace.mix(at, host, what);
        if self.trace.keeps_lines() {
            let client = self.client_of(about);
            self.trace.line(Line { at, host, client, text: text() });
        }
    }

    pub(super) fn client_of(&self, about: About) -> Option<u32> {
        match about {
            About::Nobody => None,
            About::Client(number) => Some(number),
            About::Wire(name) => self.named.get(&name).copied(),
        }
    }

    /// Something that must not be. The first counts, and ends the run.
    pub(super) fn wrong(&mut self, about: About, text: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let text = text();
            self.note(None, about, 0xbad, || format!("!! {text}"));
            self.violation = Some(Violation { text, about });
        }
    }

    fn finish(self) -> Outcome {
        let touched = self.violation.as_ref().and_then(|violation| self.client_of(violation.about));
        let clients = || self.clients.iter().flatten();
        Outcome {
            touched,
            whole: clients().filter(|client| matches!(client.end(), Some(End::Whole | End::Closed))).count() as u32,
            clients: clients().count() as u32,
            lives: self.lives.begun,
            wakes: self.wakes,
            seen: self.seen,
            lasted: self.network.now(),
            violation: self.violation,
            trace: self.trace,
            tapes: self.tapes,
        }
    }

    /// When a machine wants to be told the time.
    pub(super) fn set_alarm<M: Machine>(network: &mut Network<Own>, node: Node, machine: &M) {
        network.wake(node, machine.poll_timeout());
    }
}
