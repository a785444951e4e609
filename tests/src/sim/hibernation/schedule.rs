//! Schedules whose clients have WebSockets that can hibernate, to actors that nap.

use core::time::Duration;

use underpass_core::protocol::Version;
use underpass_transport_mem::sim::Random;

use super::plan::{HibernatingPlan, Manner};
use crate::sim::faults::{Fault, Host, Kind, What};
use crate::sim::schedule::{Fleet, Schedule, WARM};
use crate::sim::stateful::{ACTORS, PublishedPlan, unnumbered};
use crate::sim::workload::{ClientPlan, Sizes, Wish};

/// A seed with more messages than a number can count: one in so many.
const WRAPS: u64 = 200;

/// What goes wrong in these seeds. The bus keeps its contract for most of them: a message that it loses is lost, and
/// one that it brings late comes too late.
const KINDS: [Kind; 16] = [
    Kind::LullActor,
    Kind::LullActor,
    Kind::SetAlarm,
    Kind::CrashActor,
    Kind::Misacknowledge,
    Kind::Cut,
    Kind::HalfOpen,
    Kind::Stall,
    Kind::CrashGateway,
    Kind::CrashRelay,
    Kind::CrashRunner,
    Kind::Pause,
    Kind::DirectoryCutOff,
    Kind::DirectoryAway,
    Kind::DirectoryAway,
    Kind::Drain,
];

/// What goes wrong in the others besides: of them it is only known that everything ends.
const UNSOUND: [Kind; 7] = [
    Kind::LoseAnswers,
    Kind::LoseRequests,
    Kind::Repeat,
    Kind::BusAway,
    Kind::BusCutOff,
    Kind::Jump,
    Kind::SecondRunner,
];

/// What clients do about when actors fall asleep, they do about here where those stay awake.
const LONGEST_NAP: Duration = Duration::from_secs(20);

/// Of those that wake actors.
const SIZES: Sizes = Sizes { whole: 2_048, piece: 1_024, pieces: 4 };

impl Schedule {
    /// What a seed decides where clients' WebSockets can hibernate.
    pub fn hibernating(seed: u64) -> Schedule {
        let mut random = Random::stream(seed, 8);
        let wraps = seed % WRAPS == WRAPS / 2;
        let mut fleet = Fleet::any(&mut random, &[], Fleet::losses(seed));
        let (published, ours) = match random.below(3) {
            0 => (random.spread(1, 4), 0),
            1 => (0, random.spread(1, 4)),
            _ => (random.spread(1, 2), random.spread(1, 2)),
        };
        fleet.loosen();
        (fleet.pools, fleet.hosting) = (1, ours as usize);
        fleet.hosts.runners = 1 + fleet.hosting;
        fleet.elders = vec![false; fleet.hosts.runners];
        fleet.skews.resize(fleet.hosts.gateways + fleet.hosts.relays + fleet.hosts.runners, 0);
        fleet.busy = Duration::from_secs(random.spread(30, 300));
        let naps = Duration::from_millis(random.spread(500, 20_000));
        // Some stay awake.
        let naps = if random.once_in(8) { Duration::from_secs(3_600) } else { naps };
        fleet.manner = Some(Manner { naps, wraps });
        fleet.bind(&mut random);
        let mut schedule = Schedule { seed, fleet, clients: Vec::new(), probes: Vec::new(), faults: Vec::new() };
        let slots = random.pick(&[ACTORS, 10]);
        schedule.publish((0..published).map(|_| any_published(&mut random, slots)).collect());
        if wraps {
            schedule.fleet.hasten();
        }
        schedule.clients = schedule.talkers(&mut random);
        schedule.probes = schedule.probers(&mut random);
        schedule.faults = schedule.troubles(&mut random);
        schedule.leave_out_unnumbered();
        let comes_again = schedule.faults.iter().any(|fault| fault.what.kind() == Kind::Repeat);
        for client in &mut schedule.clients {
            if let Wish::Hibernating(talk) = &mut client.wish {
                talk.hears_in_order = !comes_again;
            }
        }
        schedule
    }

    fn talkers(&self, random: &mut Random) -> Vec<ClientPlan> {
        let fleet = &self.fleet;
        let Some(Manner { naps, wraps }) = fleet.manner else { return Vec::new() };
        let count = if wraps { 2 } else { random.spread(1, 10) } as u32;
        let mut clients = Vec::new();
        for number in 0..count {
            let at = WARM + random.up_to(fleet.busy / 4);
            let gateway = random.below(fleet.hosts.gateways as u64) as usize;
            let plan = ClientPlan::any(number, random, SIZES, true);
            let mut talk = HibernatingPlan::any(random, naps.min(LONGEST_NAP), fleet.busy * 3 / 4);
            let is_long = wraps && number == 0;
            if is_long {
                talk.wrap(random, naps.min(LONGEST_NAP));
            }
            let leaves = (!is_long && random.once_in(8)).then(|| random.up_to(fleet.busy));
            let (pool, wish, reading) = (fleet.pools, Wish::Hibernating(talk), Duration::ZERO);
            clients.push(ClientPlan { at, gateway, pool, wish, reading, leaves, ..plan });
        }
        // Others wake the actors, too.
        for number in count..count + random.below(4) as u32 {
            let at = WARM + random.up_to(fleet.busy);
            let gateway = random.below(fleet.hosts.gateways as u64) as usize;
            clients.push(ClientPlan { at, gateway, pool: fleet.pools, ..ClientPlan::any(number, random, SIZES, true) });
        }
        clients
    }

    /// At each gateway one for the actors.
    fn probers(&self, random: &mut Random) -> Vec<ClientPlan> {
        let (pool, first) = (self.fleet.pools, self.clients.len() as u32);
        let plan = |gateway| {
            let plan = ClientPlan::any(first + gateway as u32, random, SIZES, true);
            ClientPlan { gateway, pool, ..plan }
        };
        (0..self.fleet.hosts.gateways).map(plan).collect()
    }

    /// What numbers its messages for nobody can't tell that one is lost, or comes again.
    fn leave_out_unnumbered(&mut self) {
        if self.faults.iter().any(|fault| unnumbered(fault.what.kind())) {
            self.clients.retain(|client| !matches!(client.wish, Wish::WebSocket(_)));
        }
    }

    /// Swarm: each seed turns on its own few; one in four none at all.
    fn troubles(&self, random: &mut Random) -> Vec<Fault> {
        let fleet = &self.fleet;
        let wraps = fleet.manner.is_some_and(|manner| manner.wraps);
        let mut faults = Vec::new();
        if random.once_in(4) || wraps && random.once_in(2) {
            return faults;
        }
        let mut kinds: Vec<Kind> = (0..random.spread(1, 4)).map(|_| random.pick(&KINDS)).collect();
        if random.once_in(10) {
            kinds.push(random.pick(&UNSOUND));
        }
        for kind in kinds {
            for _ in 0..random.spread(1, 6) {
                let mut fault = Fault::any(kind, random, fleet.hosts, fleet.busy);
                fault.at += WARM;
                // So long that a keep-alive may fall into it, or a talk.
                if [Kind::DirectoryAway, Kind::DirectoryCutOff, Kind::Misacknowledge].contains(&kind) {
                    fault.lasts = random.up_to(Duration::from_secs(30));
                }
                // Those of the pool whose actors have state.
                if let What::Crash(host) | What::Pause(host) | What::Drain(host) = &mut fault.what
                    && let Host::Runner(_) = host
                {
                    *host = fleet.any_stateful(random);
                }
                faults.push(fault);
            }
        }
        faults.sort_by_key(|fault| fault.at);
        faults
    }
}

impl Fleet {
    /// Limits that are met: messages of more bytes than may be pending, in all.
    fn bind(&mut self, random: &mut Random) {
        self.gateway.max_message = 4 * 1024;
        self.runner.max_message = 4 * 1024;
        self.gateway.max_pending_bytes = random.pick(&[24 * 1024, 24 * 1024, 1024 * 1024]);
    }

    /// Nobody is refused.
    fn loosen(&mut self) {
        self.is_tight = false;
        (self.gateway.max_requests, self.gateway.max_requests_per_runner) = (1_000, 1_000);
        (self.relay.max_routes_per_connection, self.runner.max_requests) = (1_000, 1_000);
    }

    /// A runner whose actors have state.
    fn any_stateful(&self, random: &mut Random) -> Host {
        let place = random.below((self.published.len() + self.hosting) as u64) as usize;
        match place.checked_sub(self.published.len()) {
            None => Host::Published(place),
            Some(ours) => Host::Runner(self.stateless() + ours),
        }
    }

    /// So many messages are not to take all day.
    fn hasten(&mut self) {
        self.network.sockets.path.latency = Duration::from_millis(1);
        self.network.sockets.path.jitter = Duration::ZERO;
        self.network.sockets.path.bandwidth = None;
        self.runner.credit = 256 * 1024;
    }
}

fn any_published(random: &mut Random, slots: u32) -> PublishedPlan {
    // Those before version 3 know of no hibernation.
    let newer: Vec<Version> = Version::ALL.into_iter().filter(|version| *version >= Version::V3).collect();
    let version = if random.once_in(2) { Version::V7 } else { random.pick(&newer) };
    PublishedPlan {
        version,
        slots,
        keeps_key: random.once_in(2),
        acknowledges: version >= Version::V4 && random.once_in(2),
        skew: if random.once_in(2) { 0 } else { random.between(0, 2_000) as i32 - 1_000 },
    }
}
