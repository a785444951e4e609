//! A pool whose actors have state, hosted by published runners: what a seed decides of it, and what its clients may see.

use core::time::Duration;

use underpass_core::protocol::Version;
use underpass_core::{FailureCode, supervisor};
use underpass_transport_mem::sim::Random;

use super::faults::{Fault, Host, Kind, What};
use super::schedule::{Fleet, Schedule, WARM};
use super::workload::{ClientPlan, Sizes, Wish};

/// A published runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedPlan {
    /// What it speaks.
    pub version: Version,
    /// How many actors it has room for.
    pub slots: u32,
    /// Whether its next process has the same key: those before 2.2 take it from their configuration.
    pub keeps_key: bool,
    /// Whether it says now and then which commands it took.
    pub acknowledges: bool,
    /// By how much its clock is off, in millionths.
    pub skew: i32,
}

/// How many actors clients ask for in each pool.
pub(in crate::sim) const ACTORS: u32 = 3;

impl Fleet {
    /// Whether the actors of a pool have state.
    pub fn is_stateful(&self, pool: usize) -> bool {
        pool == self.pools && self.has_actors()
    }

    /// Whether there is a pool whose actors have state.
    pub fn has_actors(&self) -> bool {
        !self.published.is_empty() || self.hosting > 0
    }

    /// Which pool a runner of ours belongs to: the last ones host actors, the others take turns.
    pub fn pool_of_runner(&self, of: usize) -> usize {
        if of < self.stateless() { of % self.pools } else { self.pools }
    }

    /// How many runners of ours host no actors.
    pub fn stateless(&self) -> usize {
        self.hosts.runners - self.hosting
    }

    /// The pools, that of the published runners last.
    pub fn all_pools(&self) -> usize {
        self.pools + usize::from(self.has_actors())
    }
}

impl Schedule {
    /// One seed in three has a pool with state besides.
    pub(super) fn add_actors(&mut self, sizes: Sizes) {
        let mut random = Random::stream(self.seed, 6);
        if random.once_in(3) {
            self.with_actors(&mut random, sizes);
        }
    }

    /// The pool with state, its runners, its clients, and what goes wrong there.
    fn with_actors(&mut self, random: &mut Random, sizes: Sizes) {
        let count = random.spread(1, 4) as u32;
        // Together they have room for all.
        let slots = random.pick(&[ACTORS.div_ceil(count), ACTORS, 10]);
        let plan = |random: &mut Random| {
            let version = if random.once_in(2) { Version::V7 } else { random.pick(&Version::ALL) };
            PublishedPlan {
                version,
                slots,
                keeps_key: random.once_in(2),
                // Older ones count the commands of all actors together.
                acknowledges: version >= Version::V4 && random.once_in(2),
                skew: if random.once_in(2) { 0 } else { random.between(0, 2_000) as i32 - 1_000 },
            }
        };
        self.publish((0..count).map(|_| plan(random)).collect());
        let stateful = self.fleet.pools;
        let loses = self.faults.iter().any(|fault| unnumbered(fault.what.kind()));
        for client in &mut self.clients {
            if random.once_in(2) {
                client.pool = stateful;
                // What numbers its messages for nobody can't tell that one is lost.
                while loses && matches!(client.wish, Wish::WebSocket(_)) {
                    client.wish = ClientPlan::any(client.number, random, sizes, false).wish;
                }
            }
        }
        for gateway in 0..self.fleet.hosts.gateways {
            for _ in 0..2 {
                let number = (self.clients.len() + self.probes.len()) as u32;
                let plan = ClientPlan::any(number, random, sizes, true);
                self.probes.push(ClientPlan { gateway, pool: stateful, ..plan });
            }
        }
        self.more_faults(random);
    }

    /// Gives the fleet published runners, with thresholds that fit a run.
    pub fn publish(&mut self, published: Vec<PublishedPlan>) {
        self.fleet.hosts.published = published.len();
        self.fleet.published = published;
        self.fleet.gateway.actor_start = Duration::from_secs(20);
        self.fleet.relay.supervisor = supervisor::Config {
            actor_start: Duration::from_secs(10),
            unstarted_stop: Duration::from_secs(10),
            actor_stop_threshold: Duration::from_secs(20),
            max_back_off: Duration::from_secs(8),
            ..supervisor::Config::default()
        };
    }

    /// Half of what befalls runners befalls published ones; and actors crash, sleep and are woken.
    fn more_faults(&mut self, random: &mut Random) {
        let hosts = self.fleet.hosts;
        for fault in &mut self.faults {
            if random.once_in(2) {
                let to = Host::Published(random.below(hosts.published as u64) as usize);
                match &mut fault.what {
                    What::Crash(host) | What::Pause(host) | What::Jump(host) | What::Drain(host) => match host {
                        Host::Runner(_) => *host = to,
                        Host::Gateway(_) | Host::Relay(_) | Host::Published(_) => {}
                    },
                    What::SecondRunner(of) => *of = hosts.runners + random.below(hosts.published as u64) as usize,
                    What::Lose(_)
                    | What::Repeat { .. }
                    | What::Bus { .. }
                    | What::Cut { .. }
                    | What::HalfOpen { .. }
                    | What::Stall { .. }
                    | What::DirectoryAway
                    | What::DirectoryCutOff(_)
                    | What::Forge { .. }
                    | What::Acknowledge { .. }
                    | What::Misacknowledge
                    | What::CrashActor { .. }
                    | What::LullActor { .. }
                    | What::SetAlarm { .. } => {}
                }
            }
        }
        // Where nothing went wrong, often nothing does.
        if self.faults.is_empty() && random.once_in(2) {
            return;
        }
        let kinds = [Kind::CrashActor, Kind::LullActor, Kind::SetAlarm];
        for kind in kinds.into_iter().filter(|_| random.once_in(2)).collect::<Vec<_>>() {
            for _ in 0..random.spread(1, 6) {
                let mut fault = Fault::any(kind, random, hosts, self.fleet.busy);
                fault.at += WARM;
                self.faults.push(fault);
            }
        }
        self.faults.sort_by_key(|fault| fault.at);
    }
}

/// Whether messages get lost, or come again, of which only their numbers would tell.
pub(super) fn unnumbered(kind: Kind) -> bool {
    [Kind::LoseAnswers, Kind::LoseRequests, Kind::Repeat, Kind::BusAway, Kind::BusCutOff].contains(&kind)
}

impl Kind {
    /// Whether it happens to actors only.
    pub fn is_of_actors(self) -> bool {
        [Kind::CrashActor, Kind::LullActor, Kind::SetAlarm, Kind::Misacknowledge].contains(&self)
    }

    /// Whether the thresholds of relays, runners and the directory mean the same in spite of it.
    pub fn leaves_time_sound(self) -> bool {
        ![
            Kind::Pause,
            Kind::Jump,
            Kind::Stall,
            Kind::HalfOpen,
            Kind::DirectoryAway,
            Kind::DirectoryCutOff,
            Kind::SecondRunner,
        ]
        .contains(&self)
    }

    /// With which codes it may make a request fail that is for an actor with state, besides those of all requests.
    pub fn may_cause_for_actors(self, code: FailureCode, is_websocket: bool) -> bool {
        use FailureCode as Code;
        match self {
            Kind::Forge | Kind::Acknowledge | Kind::Misacknowledge | Kind::Repeat => false,
            // What was open ends, and what comes waits for the next life.
            Kind::CrashActor => matches!(code, Code::RunnerFailed | Code::ActorStartTimeout | Code::Draining),
            // Exchanges end first; what comes waits, perhaps in vain.
            Kind::LullActor | Kind::SetAlarm => {
                code == Code::ActorStartTimeout || is_websocket && matches!(code, Code::RunnerFailed | Code::Draining)
            }
            Kind::LoseAnswers | Kind::LoseRequests | Kind::BusAway | Kind::BusCutOff => code == Code::ActorStartTimeout,
            Kind::Cut
            | Kind::HalfOpen
            | Kind::Stall
            | Kind::CrashGateway
            | Kind::CrashRelay
            | Kind::CrashRunner
            | Kind::Pause
            | Kind::Jump
            | Kind::DirectoryAway
            | Kind::DirectoryCutOff
            | Kind::Drain
            | Kind::SecondRunner => matches!(code, Code::ActorStartTimeout | Code::RunnerFailed | Code::Draining),
        }
    }

    /// Whether an actor may be stopped for it.
    pub fn may_stop_actors(self) -> bool {
        match self {
            Kind::CrashActor
            | Kind::LullActor
            | Kind::SetAlarm
            | Kind::Cut
            | Kind::HalfOpen
            | Kind::Stall
            | Kind::CrashRelay
            | Kind::CrashRunner
            | Kind::Pause
            | Kind::Jump
            | Kind::DirectoryAway
            | Kind::DirectoryCutOff
            | Kind::Drain
            | Kind::SecondRunner => true,
            Kind::LoseAnswers
            | Kind::LoseRequests
            | Kind::Repeat
            | Kind::BusAway
            | Kind::BusCutOff
            | Kind::CrashGateway
            | Kind::Forge
            | Kind::Acknowledge
            | Kind::Misacknowledge => false,
        }
    }
}
