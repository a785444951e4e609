//! What goes wrong. Each seed turns on its own few.

use core::time::Duration;

use underpass_core::FailureCode;
use underpass_transport_mem::sim::{Losses, Random, Reach, Told};

/// A place where a process runs, and runs again when it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A gateway's.
    Gateway(usize),
    /// A relay's.
    Relay(usize),
    /// A runner's.
    Runner(usize),
    /// A published runner's.
    Published(usize),
}

/// Something that goes wrong, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When it begins.
    pub at: Duration,
    /// How long it lasts, where it lasts.
    pub lasts: Duration,
    /// What.
    pub what: What,
}

/// What can go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The bus loses frames.
    Lose(Losses),
    /// The bus brings frames twice.
    Repeat {
        /// Of a million.
        per_million: u32,
    },
    /// A process does not reach the bus.
    Bus {
        /// Whose.
        host: Host,
        /// Whether it knows.
        reach: Reach,
    },
    /// A runner's socket breaks, and both ends hear of it.
    Cut {
        /// Which, of those that are open.
        pick: u64,
    },
    /// A runner's socket goes silent.
    HalfOpen {
        /// Which, of those that are open.
        pick: u64,
    },
    /// A runner's socket stands still for a while.
    Stall {
        /// Which, of those that are open.
        pick: u64,
    },
    /// A process is killed, and started again after a while.
    Crash(Host),
    /// A process stands still for a while.
    Pause(Host),
    /// The clock of a process jumps ahead.
    Jump(Host),
    /// The directory is away.
    DirectoryAway,
    /// A process does not reach the directory.
    DirectoryCutOff(Host),
    /// A process is asked to finish, and started again after it has.
    Drain(Host),
    /// A runner's program is started a second time.
    SecondRunner(usize),
    /// A runner answers what another was asked.
    Forge {
        /// Which runner, and what it forges.
        pick: u64,
    },
    /// A runner acknowledges messages, as published ones do.
    Acknowledge {
        /// Which runner.
        pick: u64,
    },
    /// Published runners acknowledge what they were never sent.
    Misacknowledge,
    /// An actor with state ends, badly or of its own will.
    CrashActor {
        /// Which, and how.
        pick: u64,
    },
    /// An actor with state would like to sleep, or to end.
    LullActor {
        /// Which, and what it wishes.
        pick: u64,
    },
    /// An actor with state wants to be woken at the fault's end, and sleeps.
    SetAlarm {
        /// Which.
        pick: u64,
    },
}

/// The kinds of [`What`], to say which of them a seed may use, and which it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// [`What::Lose`], to gateways.
    LoseAnswers,
    /// [`What::Lose`], to relays.
    LoseRequests,
    /// [`What::Repeat`].
    Repeat,
    /// [`What::Bus`], known.
    BusAway,
    /// [`What::Bus`], unknown.
    BusCutOff,
    /// [`What::Cut`].
    Cut,
    /// [`What::HalfOpen`].
    HalfOpen,
    /// [`What::Stall`].
    Stall,
    /// [`What::Crash`] of a gateway.
    CrashGateway,
    /// [`What::Crash`] of a relay.
    CrashRelay,
    /// [`What::Crash`] of a runner.
    CrashRunner,
    /// [`What::Pause`].
    Pause,
    /// [`What::Jump`].
    Jump,
    /// [`What::DirectoryAway`].
    DirectoryAway,
    /// [`What::DirectoryCutOff`].
    DirectoryCutOff,
    /// [`What::Drain`].
    Drain,
    /// [`What::SecondRunner`].
    SecondRunner,
    /// [`What::Forge`].
    Forge,
    /// [`What::Acknowledge`].
    Acknowledge,
    /// [`What::Misacknowledge`].
    Misacknowledge,
    /// [`What::CrashActor`].
    CrashActor,
    /// [`What::LullActor`].
    LullActor,
    /// [`What::SetAlarm`].
    SetAlarm,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 23] = [
        Kind::LoseAnswers,
        Kind::LoseRequests,
        Kind::Repeat,
        Kind::BusAway,
        Kind::BusCutOff,
        Kind::Cut,
        Kind::HalfOpen,
        Kind::Stall,
        Kind::CrashGateway,
        Kind::CrashRelay,
        Kind::CrashRunner,
        Kind::Pause,
        Kind::Jump,
        Kind::DirectoryAway,
        Kind::DirectoryCutOff,
        Kind::Drain,
        Kind::SecondRunner,
        Kind::Forge,
        Kind::Acknowledge,
        Kind::Misacknowledge,
        Kind::CrashActor,
        Kind::LullActor,
        Kind::SetAlarm,
    ];

    /// With which codes it may make a request fail that would have gone well.
    pub fn may_cause(self, code: FailureCode) -> bool {
        use FailureCode as Code;
        let codes: &[Code] = match self {
            Kind::Forge | Kind::Acknowledge | Kind::Misacknowledge | Kind::Repeat => &[],
            Kind::CrashActor | Kind::LullActor | Kind::SetAlarm => &[],
            Kind::Stall => &[
                Code::NoRunner,
                Code::Draining,
                Code::RunnerLost,
                Code::PingTimeout,
                Code::RunnerFailed,
                Code::ResponseStartTimeout,
                Code::WebSocketOpenTimeout,
            ],
            Kind::LoseAnswers | Kind::LoseRequests | Kind::BusAway | Kind::BusCutOff => &[
                Code::NoRunner,
                Code::RunnerLost,
                Code::RunnerFailed,
                Code::MessageLost,
                Code::BusLost,
                Code::PingTimeout,
                Code::ResponseStartTimeout,
                Code::WebSocketOpenTimeout,
                Code::Overloaded,
            ],
            Kind::Drain => &[
                Code::NoRunner,
                Code::RunnerLost,
                Code::RunnerFailed,
                Code::Draining,
                // What is sent again has no more time for it.
                Code::ResponseStartTimeout,
                Code::WebSocketOpenTimeout,
            ],
            Kind::Cut
            | Kind::HalfOpen
            | Kind::CrashGateway
            | Kind::CrashRelay
            | Kind::CrashRunner
            | Kind::Pause
            | Kind::Jump
            | Kind::DirectoryAway
            | Kind::DirectoryCutOff
            | Kind::SecondRunner => &[
                Code::NoRunner,
                Code::RunnerLost,
                Code::RunnerFailed,
                // A connection that is given up takes nothing new.
                Code::Draining,
                Code::MessageLost,
                Code::BusLost,
                Code::PingTimeout,
                Code::ResponseStartTimeout,
                Code::WebSocketOpenTimeout,
            ],
        };
        codes.contains(&code)
    }

    /// Whether a client or a handler may wait in vain for something that nobody knows to be lost.
    pub fn may_keep_waiting(self, losses: Told) -> bool {
        match self {
            Kind::LoseAnswers | Kind::LoseRequests => losses == Told::Never,
            Kind::BusAway
            | Kind::BusCutOff
            | Kind::Pause
            | Kind::Jump
            | Kind::Stall
            | Kind::HalfOpen
            | Kind::CrashRelay
            | Kind::DirectoryAway
            | Kind::DirectoryCutOff => true,
            Kind::Repeat
            | Kind::Cut
            | Kind::CrashGateway
            | Kind::CrashRunner
            | Kind::Drain
            | Kind::SecondRunner
            | Kind::Forge
            | Kind::Acknowledge
            | Kind::Misacknowledge
            | Kind::CrashActor
            | Kind::LullActor
            | Kind::SetAlarm => false,
        }
    }
}

impl What {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            What::Lose(Losses { to_relays: 0, .. }) => Kind::LoseAnswers,
            What::Lose(_) => Kind::LoseRequests,
            What::Repeat { .. } => Kind::Repeat,
            What::Bus { reach: Reach::Away, .. } => Kind::BusAway,
            What::Bus { reach: Reach::CutOff | Reach::Whole, .. } => Kind::BusCutOff,
            What::Cut { .. } => Kind::Cut,
            What::HalfOpen { .. } => Kind::HalfOpen,
            What::Stall { .. } => Kind::Stall,
            What::Crash(Host::Gateway(_)) => Kind::CrashGateway,
            What::Crash(Host::Relay(_)) => Kind::CrashRelay,
            What::Crash(Host::Runner(_) | Host::Published(_)) => Kind::CrashRunner,
            What::Pause(_) => Kind::Pause,
            What::Jump(_) => Kind::Jump,
            What::DirectoryAway => Kind::DirectoryAway,
            What::DirectoryCutOff(_) => Kind::DirectoryCutOff,
            What::Drain(_) => Kind::Drain,
            What::SecondRunner(_) => Kind::SecondRunner,
            What::Forge { .. } => Kind::Forge,
            What::Acknowledge { .. } => Kind::Acknowledge,
            What::Misacknowledge => Kind::Misacknowledge,
            What::CrashActor { .. } => Kind::CrashActor,
            What::LullActor { .. } => Kind::LullActor,
            What::SetAlarm { .. } => Kind::SetAlarm,
        }
    }
}

/// How many hosts of each kind a fleet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// Gateways.
    pub gateways: usize,
    /// Relays.
    pub relays: usize,
    /// Runners.
    pub runners: usize,
    /// Published runners.
    pub published: usize,
}

impl Hosts {
    fn any(self, random: &mut Random) -> Host {
        match random.below(3) {
            0 => Host::Gateway(random.below(self.gateways as u64) as usize),
            1 => Host::Relay(random.below(self.relays as u64) as usize),
            _ => Host::Runner(random.below(self.runners as u64) as usize),
        }
    }

    /// One that speaks to bus and directory.
    fn any_inside(self, random: &mut Random) -> Host {
        match random.below(2) {
            0 => Host::Gateway(random.below(self.gateways as u64) as usize),
            _ => Host::Relay(random.below(self.relays as u64) as usize),
        }
    }
}

impl Fault {
    /// Some fault of a kind.
    pub fn any(kind: Kind, random: &mut Random, hosts: Hosts, within: Duration) -> Fault {
        let pick = random.any();
        let one_of = |random: &mut Random, count: usize| random.below(count as u64) as usize;
        let what = match kind {
            Kind::LoseAnswers => What::Lose(Losses { to_gateways: random.spread(100, 300_000) as u32, to_relays: 0 }),
            Kind::LoseRequests => What::Lose(Losses { to_gateways: 0, to_relays: random.spread(100, 300_000) as u32 }),
            Kind::Repeat => What::Repeat { per_million: random.pick(&[20_000, 200_000, 600_000]) },
            Kind::BusAway => What::Bus { host: hosts.any_inside(random), reach: Reach::Away },
            Kind::BusCutOff => What::Bus { host: hosts.any_inside(random), reach: Reach::CutOff },
            Kind::Cut => What::Cut { pick },
            Kind::HalfOpen => What::HalfOpen { pick },
            Kind::Stall => What::Stall { pick },
            Kind::CrashGateway => What::Crash(Host::Gateway(one_of(random, hosts.gateways))),
            Kind::CrashRelay => What::Crash(Host::Relay(one_of(random, hosts.relays))),
            Kind::CrashRunner => What::Crash(Host::Runner(one_of(random, hosts.runners))),
            Kind::Pause => What::Pause(hosts.any(random)),
            Kind::Jump => What::Jump(hosts.any(random)),
            Kind::DirectoryAway => What::DirectoryAway,
            Kind::DirectoryCutOff => What::DirectoryCutOff(hosts.any_inside(random)),
            Kind::Drain => What::Drain(hosts.any(random)),
            Kind::SecondRunner => What::SecondRunner(one_of(random, hosts.runners)),
            Kind::Forge => What::Forge { pick },
            Kind::Acknowledge => What::Acknowledge { pick },
            Kind::Misacknowledge => What::Misacknowledge,
            Kind::CrashActor => What::CrashActor { pick },
            Kind::LullActor => What::LullActor { pick },
            Kind::SetAlarm => What::SetAlarm { pick },
        };
        let lasts = match kind {
            Kind::Jump => Duration::from_millis(random.spread(10, 3_600_000)),
            Kind::LoseAnswers
            | Kind::LoseRequests
            | Kind::Repeat
            | Kind::BusAway
            | Kind::BusCutOff
            | Kind::Cut
            | Kind::HalfOpen
            | Kind::Stall
            | Kind::CrashGateway
            | Kind::CrashRelay
            | Kind::CrashRunner
            | Kind::Pause
            | Kind::DirectoryAway
            | Kind::DirectoryCutOff
            | Kind::Drain
            | Kind::SecondRunner
            | Kind::Forge
            | Kind::Acknowledge
            | Kind::Misacknowledge
            | Kind::CrashActor
            | Kind::LullActor
            | Kind::SetAlarm => Duration::from_millis(random.spread(1, 40_000)),
        };
        Fault { at: random.up_to(within), lasts, what }
    }
}
