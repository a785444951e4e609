//! The gateway, and clients that want something of it when it is due.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::{Instant, MissedTickBehavior, interval};
use underpass_core::bus::{Address, Bus, Delivery, Inbox};
use underpass_core::gateway::{Action, Config, Event, Open, OpenKind};
use underpass_core::http::{Body, RequestHead, Target};
use underpass_core::protocol::Map;
use underpass_core::{Gateway, Machine, RequestKey};
use underpass_transport_nats::{Nats, NatsBus, Stats};

use crate::Load;
use crate::measure::{Times, resident, used};
use crate::names::{GATEWAY, body, pool, seen, time};

/// How often requests that are due are sent.
const EVERY: Duration = Duration::from_millis(1);
/// How often is told how it stands, and the directory shows the runners.
const TOLD: Duration = Duration::from_secs(5);
/// How long a request may be without an answer. One whose loss was told would end before.
const ANSWER: Duration = Duration::from_secs(10);
/// How long those that are open at the end have to end, more than any of them needs.
const END: Duration = Duration::from_secs(30);

/// What each of the gateway, the relay and the server may hold, MiB: several times what they do, and less than what
/// heaps up in a minute if something is never let go.
const MEMORY: u64 = 512;

/// What became of a load.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) offered: u64,
    pub(crate) answered: u64,
    /// Answers that were another's, or none.
    wrong: u64,
    /// By the code of the failure.
    failed: HashMap<&'static str, u64>,
    /// Those that never ended.
    open: usize,
    /// How often frames were said to be lost.
    lost: u64,
    pub(crate) times: Times,
    bus: Stats,
    /// What the gateway, the relay and the server used of a processor.
    used: [f64; 3],
    /// What they hold at the end, MiB.
    resident: [u64; 3],
}

impl Outcome {
    /// Whether a promise was broken.
    pub(crate) fn is_wrong(&self) -> bool {
        let heaps_up = self.resident.iter().any(|held| *held > MEMORY);
        heaps_up || self.wrong > 0 || self.open > 0 || self.failed.contains_key("response_start_timeout")
    }

    pub(crate) fn verdict(&self) -> ExitCode {
        if !self.is_wrong() {
            return ExitCode::SUCCESS;
        }
        self.print();
        println!("wrong answers, requests without an end, losses that nobody told of, or more than {MEMORY} MiB held");
        ExitCode::FAILURE
    }

    pub(crate) fn print(&self) {
        let Outcome { offered, answered, wrong, failed, open, lost, times, bus, used, resident } = self;
        println!("offered {offered}, answered {answered}, wrong {wrong}, without an end {open}, failed {failed:?}");
        let at = |share| times.at(share).as_secs_f64() * 1e3;
        println!(
            "50 % within {:.2} ms, 99 % {:.2} ms, 99.9 % {:.2} ms, all {:.0} ms",
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0)
        );
        println!("processor: gateway {:.1} s, relay {:.1} s, nats-server {:.1} s", used[0], used[1], used[2]);
        println!("memory: gateway {} MiB, relay {} MiB, nats-server {} MiB", resident[0], resident[1], resident[2]);
        println!("gateway: {lost} words of losses, {bus:?}");
    }
}

/// Offers a load, and waits until all of it has ended.
pub(crate) async fn offer(nats: &Nats, load: Load, others: [u32; 2], tells: bool) -> Outcome {
    let bus = nats.bus();
    let mut inbox = bus.attach(Address::Gateway(GATEWAY)).await.expect("the address is free");
    let mut clients = Clients::new(bus, load);
    let processes = [std::process::id(), others[0], others[1]];
    let before = processes.map(used);
    let (mut ticks, mut rows) = (interval(EVERY), interval(TOLD));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut deliveries = Vec::new();
    if tells {
        println!(
            "{:>4}  {:>10}  {:>10}  {:>7}  {:>9}  {:>9}   gateway, relay, nats-server, MiB",
            "s", "offered", "answered", "open", "50 %, ms", "99 %, ms"
        );
    }
    loop {
        tokio::select! {
            received = inbox.receive(&mut deliveries) => {
                received.expect("the bus is there");
                deliveries.drain(..).for_each(|delivery| clients.take(delivery));
            }
            _ = ticks.tick() => clients.tick(),
            _ = rows.tick() => {
                clients.show_runners();
                let times = clients.row();
                if tells {
                    let at = |share| times.at(share).as_secs_f64() * 1e3;
                    println!(
                        "{:>4}  {:>10}  {:>10}  {:>7}  {:>9.2}  {:>9.2}   {:?}",
                        clients.start.elapsed().as_secs(), clients.offered, clients.answered, clients.open.len(),
                        at(0.5), at(0.99), processes.map(resident),
                    );
                }
            }
        }
        if clients.is_over() {
            break;
        }
    }
    let (after, held) = (processes.map(used), processes.map(resident));
    let mut outcome = clients.end();
    outcome.resident = held;
    outcome.used = [0, 1, 2].map(|at| after[at] - before[at]);
    outcome
}

/// A request that has not ended.
struct Waiting {
    number: u64,
    due: Instant,
}

/// A gateway's machine, and those who use it.
struct Clients {
    load: Load,
    gateway: Gateway,
    bus: NatsBus,
    start: Instant,
    open: HashMap<RequestKey, Waiting>,
    events: VecDeque<Event>,
    revision: u64,
    offered: u64,
    answered: u64,
    wrong: u64,
    failed: HashMap<&'static str, u64>,
    lost: u64,
    /// Since the last row, and before.
    recent: Times,
    times: Times,
}

impl Clients {
    fn new(bus: NatsBus, load: Load) -> Self {
        let start = Instant::now();
        // What a relay says to a probe must fit into the inbox, or it is lost again.
        let max_probed = load.shape.room.map_or(Config::default().max_probed, |room| (room / 4).max(1));
        let config = Config { response_start: ANSWER, max_probed, ..Config::default() };
        let gateway = Gateway::new(config, GATEWAY, 1, time(start)).expect("the configuration works");
        let mut clients = Clients {
            load,
            gateway,
            bus,
            start,
            open: HashMap::new(),
            events: VecDeque::new(),
            revision: 0,
            offered: 0,
            answered: 0,
            wrong: 0,
            failed: HashMap::new(),
            lost: 0,
            recent: Times::new(),
            times: Times::new(),
        };
        clients.show_runners();
        clients
    }

    fn all(&self) -> u64 {
        u64::from(self.load.rate) * u64::from(self.load.seconds)
    }

    /// The directory shows all runners.
    fn show_runners(&mut self) {
        self.revision += 1;
        for number in 1..=self.load.shape.runners {
            self.events.push_back(Event::Directory(seen(number, self.revision)));
        }
        self.settle();
    }

    /// Sends what is due.
    fn tick(&mut self) {
        let due = (self.start.elapsed().as_secs_f64() * f64::from(self.load.rate)) as u64;
        while self.offered < due.min(self.all()) {
            self.send();
        }
        self.events.push_back(Event::Tick);
        self.settle();
    }

    fn send(&mut self) {
        let number = self.offered;
        self.offered += 1;
        let due = self.start + Duration::from_secs_f64(number as f64 / f64::from(self.load.rate));
        let open = Open {
            target: Target { pool: pool(), actor_id: "default".into() },
            head: RequestHead { method: "POST".into(), path: "/".into(), headers: Map::default() },
            kind: OpenKind::Http(Body::Whole(body(number, self.load.body))),
        };
        match self.gateway.open(open, time(self.start)) {
            Ok(key) => {
                self.open.insert(key, Waiting { number, due });
            }
            Err(refused) => *self.failed.entry(refused.0.code.as_str()).or_default() += 1,
        }
        self.settle();
    }

    fn take(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Frame { reply_to, frame, .. } => {
                let from = reply_to.and_then(|from| from.connection());
                self.events.push_back(Event::Received { from, frame });
            }
            Delivery::Rejected(rejected) => self.events.push_back(Event::PublishFailed(rejected)),
            Delivery::NoResponders { to } => {
                self.events.extend(to.connection().map(|to| Event::NoResponders { to }));
            }
            Delivery::Lost { from } => {
                self.lost += 1;
                self.events.push_back(Event::Lost { from });
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        let now = time(self.start);
        loop {
            if let Some(event) = self.events.pop_front() {
                self.gateway.handle(event, now).expect("it is used as it should be");
            } else if let Some(action) = self.gateway.poll_action() {
                self.carry_out(action);
            } else {
                return;
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Publish(publication) => {
                if let Err(rejected) = self.bus.publish(publication) {
                    self.events.push_back(Event::PublishFailed(rejected));
                }
            }
            Action::ResponseStart { key, head, body: Body::Whole(answer) } if head.status == 200 => {
                let Some(Waiting { number, due }) = self.open.remove(&key) else { return self.wrong += 1 };
                if answer == body(number, self.load.body) {
                    self.answered += 1;
                    self.recent.add(due.elapsed());
                } else {
                    self.wrong += 1;
                }
            }
            Action::Failed { key, failure } => {
                self.open.remove(&key);
                *self.failed.entry(failure.code.as_str()).or_default() += 1;
            }
            Action::ResponseStart { .. }
            | Action::ResponseChunk { .. }
            | Action::WebSocketOpened { .. }
            | Action::WebSocketMessage { .. }
            | Action::WebSocketClose { .. } => self.wrong += 1,
            Action::PauseSource { .. }
            | Action::ResumeSource { .. }
            | Action::Actor(_)
            | Action::Registry(_)
            | Action::Drained => {}
        }
    }

    /// How long those took that were answered since this was asked last.
    fn row(&mut self) -> Times {
        let recent = core::mem::replace(&mut self.recent, Times::new());
        self.times.merge(&recent);
        recent
    }

    fn is_over(&self) -> bool {
        let late = self.start.elapsed() > Duration::from_secs(self.load.seconds.into()) + END;
        self.offered == self.all() && (self.open.is_empty() || late)
    }

    fn end(mut self) -> Outcome {
        self.row();
        Outcome {
            offered: self.offered,
            answered: self.answered,
            wrong: self.wrong,
            failed: self.failed,
            open: self.open.len(),
            lost: self.lost,
            times: self.times,
            bus: self.bus.stats(),
            used: [0.0; 3],
            resident: [0; 3],
        }
    }
}
