//! All that a seed decides before anything happens: the fleet, its clients, and what goes wrong.

use core::time::Duration;

use underpass_core::{FailureCode, gateway, relay, runner};
use underpass_transport_mem::sim::{self, BusConfig, Overflow, Path, Random, Silence, SocketConfig, Told};

use super::faults::{Fault, Hosts, Kind, What};
use super::hibernation::plan::Manner;
use super::stateful::PublishedPlan;
use super::workload::{Answer, BodyPlan, ClientPlan, Sizes, Wish};

/// The fleet and its time to come up; then clients come.
pub const WARM: Duration = Duration::from_secs(3);

/// From the last fault's end until everything must have ended, whatever it was: the longest deadlines, one behind the
/// other.
pub const SETTLE: Duration = Duration::from_secs(90);

/// How long the clients may take whose WebSockets can hibernate, to have their last words.
pub const FAREWELL: Duration = Duration::from_secs(90);

/// How long the clients may take that come when all is well again.
pub const PROBE: Duration = Duration::from_secs(45);

/// A client that has seen nothing new for so long goes away.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// A seed with a request of more messages than a number can count: one in so many.
const MARATHON: u64 = 250;

/// A seed whose WebSockets can hibernate: one in so many.
const HIBERNATING: u64 = 10;

/// A seed in which nothing happens but that runners acknowledge, so that no other fault can be to blame: one in so
/// many.
const ACKNOWLEDGED: u64 = 16;

/// A seed in which nothing happens but that the bus loses frames and tells so, with deadlines that make up for nothing: one
/// in so many.
const TELLING: u64 = 16;

/// What a seed decides. What is left out of `clients` and `faults` does not happen, and the rest happens all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The seed.
    pub seed: u64,
    /// The fleet.
    pub fleet: Fleet,
    /// Who comes.
    pub clients: Vec<ClientPlan>,
    /// Who comes when all is well again, and must be answered.
    pub probes: Vec<ClientPlan>,
    /// What goes wrong, by time.
    pub faults: Vec<Fault>,
}

/// A fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// How many of each.
    pub hosts: Hosts,
    /// How many pools the runners belong to, in turn.
    pub pools: usize,
    /// Which runners say that they can do little: they get bodies whole and number nothing.
    pub elders: Vec<bool>,
    /// How many of the runners host actors: the last ones, in the pool whose actors have state.
    pub hosting: usize,
    /// The published runners of the pool whose actors have state, which comes behind the others.
    pub published: Vec<PublishedPlan>,
    /// By how much the clocks are off, in millionths, host by host: gateways, relays, runners.
    pub skews: Vec<i32>,
    /// How actors nap, where WebSockets hibernate.
    pub manner: Option<Manner>,
    /// Whether the bus tells of what it has lost.
    pub losses: Told,
    /// For how long clients come and faults begin.
    pub busy: Duration,
    /// Whether limits are so tight that they are met.
    pub is_tight: bool,
    /// What is between them.
    pub network: sim::Config,
    /// Of all gateways.
    pub gateway: gateway::Config,
    /// Of all relays.
    pub relay: relay::Config,
    /// Of all runners.
    pub runner: runner::Config,
}

impl Schedule {
    /// What a seed decides.
    pub fn of(seed: u64) -> Schedule {
        let is_marathon = seed % MARATHON == MARATHON - 1;
        if !is_marathon && Random::stream(seed, 7).once_in(HIBERNATING) {
            return Schedule::hibernating(seed);
        }
        let mut random = Random::stream(seed, 1);
        let mut kinds = kinds(&mut random, is_marathon);
        if !is_marathon && Random::stream(seed, 5).once_in(ACKNOWLEDGED) {
            kinds = vec![Kind::Acknowledge];
        }
        let is_telling = !is_marathon && Fleet::is_telling(seed);
        if is_telling {
            kinds = vec![Kind::LoseAnswers, Kind::LoseRequests];
        }
        let mut fleet = Fleet::any(&mut random, &kinds, Fleet::losses(seed));
        if is_marathon {
            (fleet.gateway.max_chunk, fleet.runner.max_chunk, fleet.runner.credit) = (1, 1, 16 * 1024);
            fleet.gateway.max_whole_body = 128 * 1024;
            fleet.network.sockets.path.latency = Duration::from_millis(1);
            fleet.network.sockets.path.jitter = Duration::ZERO;
            // Not so late that half of all numbers have been used since.
            fleet.network.bus.late = Duration::from_millis(10);
            fleet.elders.fill(false);
        }
        if is_telling {
            fleet.gateway.response_start = Duration::from_secs(300);
            fleet.gateway.websocket_open = Duration::from_secs(300);
            let mut random = Random::stream(seed, 11);
            fleet.elders.fill_with(|| random.once_in(2));
        }
        let sizes = fleet.sizes(is_marathon);
        let clients = clients(&mut Random::stream(seed, 2), &fleet, sizes, is_marathon);
        let probes = probes(&mut Random::stream(seed, 3), &fleet, sizes, clients.len() as u32);
        let mut faults = faults(&mut Random::stream(seed, 4), &fleet, &kinds);
        if is_marathon {
            let what = What::Repeat { per_million: 100_000 };
            faults = vec![Fault { at: WARM, lasts: fleet.busy, what }];
        }
        let mut schedule = Schedule { seed, fleet, clients, probes, faults };
        if !is_marathon {
            schedule.add_actors(sizes);
        }
        if is_telling {
            // Whoever waits does so for what was lost.
            let waits = [FailureCode::ResponseStartTimeout, FailureCode::WebSocketOpenTimeout];
            schedule.clients.retain(|client| !waits.into_iter().any(|code| client.may_fail_with(code)));
        }
        schedule
    }

    /// A fleet on a good network, to which nobody comes and nothing happens, but what is put in.
    pub fn quiet(seed: u64, hosts: Hosts) -> Schedule {
        let mut fleet = Fleet::any(&mut Random::stream(0, 1), &[], Told::Always);
        let all = hosts.gateways + hosts.relays + hosts.runners;
        fleet.hosts = hosts;
        fleet.pools = 1;
        fleet.elders = vec![false; hosts.runners];
        fleet.skews = vec![0; all];
        fleet.busy = Duration::from_secs(20);
        fleet.network = sim::Config::default();
        fleet.network.sockets.largest_message = fleet.relay.max_frame;
        Schedule { seed, fleet, clients: Vec::new(), probes: Vec::new(), faults: Vec::new() }
    }

    /// When the last fault must have ended.
    pub fn calm(&self) -> Duration {
        WARM + self.fleet.busy
    }
}

/// Swarm: each seed turns on its own few; one in eight none at all.
fn kinds(random: &mut Random, is_marathon: bool) -> Vec<Kind> {
    if is_marathon {
        return vec![Kind::Repeat];
    }
    if random.once_in(8) {
        return Vec::new();
    }
    let mut possible: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| !kind.is_of_actors()).collect();
    let mut kinds = Vec::new();
    for _ in 0..random.spread(1, 6) {
        kinds.push(possible.swap_remove(random.below(possible.len() as u64) as usize));
    }
    kinds
}

impl Fleet {
    /// Most buses tell of what they lose.
    pub(super) fn losses(seed: u64) -> Told {
        let is_silent = !Fleet::is_telling(seed) && Random::stream(seed, 9).once_in(3);
        if is_silent { Told::Never } else { Told::Always }
    }

    fn is_telling(seed: u64) -> bool {
        Random::stream(seed, 10).once_in(TELLING)
    }

    pub(super) fn any(random: &mut Random, kinds: &[Kind], losses: Told) -> Fleet {
        let hosts = Hosts {
            gateways: random.spread(1, 3) as usize,
            relays: random.spread(1, 3) as usize,
            runners: random.spread(1, 5) as usize,
            published: 0,
        };
        let pools = if hosts.runners > 1 && random.once_in(3) { 2 } else { 1 };
        // Those that number nothing can't tell a repeat, or a loss of which nobody tells.
        let may_be_old = kinds.contains(&Kind::Acknowledge) || random.once_in(4);
        let numbers_matter = kinds.iter().any(|kind| match kind {
            Kind::LoseAnswers | Kind::LoseRequests | Kind::BusAway | Kind::BusCutOff => losses == Told::Never,
            other => *other == Kind::Repeat,
        });
        let elders = (0..hosts.runners).map(|_| may_be_old && !numbers_matter && random.once_in(2)).collect();
        let all = hosts.gateways + hosts.relays + hosts.runners;
        let skews = (0..all).map(|_| if random.once_in(2) { 0 } else { random.between(0, 2_000) as i32 - 1_000 });
        let skews = skews.collect();
        let is_tight = random.once_in(6);
        let network = network(random);
        // A message a round trip is enough only where a round trip is short.
        let is_near = network.sockets.path.latency < Duration::from_millis(2);
        let credit = random.pick(&[if is_near { 64 } else { 1_000 }, 1_000, 16 * 1024, 256 * 1024]);
        let max_chunk = random.pick(&[if is_near { 100 } else { 1_000 }, 1_000, 4_096, 64 * 1024]);
        Fleet {
            hosts,
            pools,
            elders,
            hosting: 0,
            published: Vec::new(),
            skews,
            manner: None,
            losses,
            busy: Duration::from_secs(random.spread(2, 30)),
            is_tight,
            gateway: gateway::Config {
                max_requests: if is_tight { 6 } else { 1_000 },
                max_requests_per_runner: if is_tight { 4 } else { 1_000 },
                max_whole_body: 64 * 1024,
                max_chunk,
                max_message: 64 * 1024,
                max_header_bytes: 1_024,
                max_buffered: 256 * 1024,
                bus_largest_message: 256 * 1024,
                response_start: Duration::from_secs(20),
                websocket_open: Duration::from_secs(10),
                ..gateway::Config::default()
            },
            relay: relay::Config {
                max_routes_per_connection: if is_tight { 5 } else { 1_000 },
                max_frame: 128 * 1024,
                outbox: network.sockets.outbox,
                max_buffered: 256 * 1024,
                max_backlog: 1024 * 1024,
                bus_largest_message: 256 * 1024,
                tombstone: Duration::from_secs(10),
                ..relay::Config::default()
            },
            runner: runner::Config {
                credit,
                max_requests: if is_tight { 5 } else { 1_000 },
                max_whole_body: 64 * 1024,
                max_chunk,
                max_message: 64 * 1024,
                max_header_bytes: 1_024,
                max_buffered: 256 * 1024,
                outbox: network.sockets.outbox,
                ..runner::Config::default()
            },
            network,
        }
    }

    fn sizes(&self, is_marathon: bool) -> Sizes {
        if is_marathon {
            return Sizes { whole: 40, piece: 40, pieces: 3 };
        }
        Sizes { whole: 8 * 1024, piece: 2 * 1024, pieces: 12 }
    }

    /// By how much the clock of a host is off, in millionths.
    pub fn skew(&self, host: super::faults::Host) -> i32 {
        use super::faults::Host;
        let place = match host {
            Host::Gateway(index) => index,
            Host::Relay(index) => self.hosts.gateways + index,
            Host::Runner(index) => self.hosts.gateways + self.hosts.relays + index % self.hosts.runners,
            Host::Published(index) => return self.published[index % self.published.len()].skew,
        };
        self.skews[place]
    }
}

fn network(random: &mut Random) -> sim::Config {
    let mut path = |most_micros: u64| {
        let latency = Duration::from_micros(random.spread(1, most_micros));
        Path { latency, jitter: random.up_to(latency), bandwidth: None }
    };
    let (bus, mut socket, directory) = (path(5_000), path(60_000), path(20_000));
    let is_thin = random.once_in(4);
    if is_thin {
        socket.bandwidth = Some(random.spread(300_000, 5_000_000));
    }
    sim::Config {
        bus: BusConfig {
            path: bus,
            overflow: random.pick(&[Overflow::Reject, Overflow::Drop]),
            silence: random.pick(&[Silence::Reject, Silence::TellLater]),
            largest_message: 256 * 1024,
            ..BusConfig::default()
        },
        sockets: SocketConfig {
            path: socket,
            outbox: if is_thin { 132 * 1024 } else { 1024 * 1024 },
            largest_message: 128 * 1024,
            ..SocketConfig::default()
        },
        directory: sim::DirectoryConfig { path: directory, ..sim::DirectoryConfig::default() },
    }
}

fn clients(random: &mut Random, fleet: &Fleet, sizes: Sizes, is_marathon: bool) -> Vec<ClientPlan> {
    let count = random.spread(1, 40) as u32;
    // All at once, or one by one.
    let crowd = if random.once_in(4) { Duration::from_millis(50) } else { fleet.busy };
    let mut clients: Vec<ClientPlan> = (0..count)
        .map(|number| ClientPlan {
            at: WARM + random.up_to(crowd),
            gateway: random.below(fleet.hosts.gateways as u64) as usize,
            pool: random.below(fleet.pools as u64) as usize,
            ..ClientPlan::any(number, random, sizes, false)
        })
        .collect();
    if is_marathon {
        clients.truncate(3);
        let runner = clients[0].clone();
        let mut marathon = ClientPlan::any(runner.number, random, sizes, true);
        let long = BodyPlan::Whole(66_000 + random.below(4_000) as usize);
        let mut http = super::workload::HttpPlan {
            method: "POST",
            body: BodyPlan::None,
            thinking: Duration::ZERO,
            is_hasty: false,
            reading: Duration::ZERO,
            answer: Answer::Clean(BodyPlan::None),
        };
        if random.once_in(2) {
            http.body = long;
        } else {
            http.answer = Answer::Clean(long);
        }
        marathon.wish = Wish::Http(http);
        clients[0] = ClientPlan { at: runner.at, reading: Duration::ZERO, ..marathon };
    }
    clients
}

/// For each gateway and pool, a few that must be answered.
fn probes(random: &mut Random, fleet: &Fleet, sizes: Sizes, first: u32) -> Vec<ClientPlan> {
    let mut probes = Vec::new();
    for gateway in 0..fleet.hosts.gateways {
        for pool in 0..fleet.pools {
            for _ in 0..2 {
                let number = first + probes.len() as u32;
                let plan = ClientPlan::any(number, random, sizes, true);
                probes.push(ClientPlan { gateway, pool, ..plan });
            }
        }
    }
    probes
}

fn faults(random: &mut Random, fleet: &Fleet, kinds: &[Kind]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for kind in kinds {
        for _ in 0..random.spread(1, 4) {
            let mut fault = Fault::any(*kind, random, fleet.hosts, fleet.busy);
            fault.at += WARM;
            faults.push(fault);
        }
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}
