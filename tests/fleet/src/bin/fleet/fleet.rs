//! The processes: two gateways, two relays, three runners and a nats-server.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use serde_json::Value;
use tokio::task::block_in_place;
use tokio::time::sleep;
use underpass_nats_server::NatsServer;
use underpass_processes::process::beside;

use crate::Failure;
use crate::member::{GATEWAYS, Member, Outage, Plan, RELAYS, RUNNERS, Strike};
use crate::place::Place;

/// The runners of a process, one of each pool.
const POOLS: usize = 2;

/// Longer than anything takes that is waited for.
const SOON: Duration = Duration::from_secs(30);

/// What is out of the ordinary.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setting {
    /// Lines of nats-server's configuration.
    pub(crate) nats: &'static str,
    /// What gateways and relays find in their environment.
    pub(crate) variables: Vec<(&'static str, String)>,
}

/// What happens to NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Away {
    /// `kill -9`, and later started again.
    Killed,
    /// SIGSTOP, and later SIGCONT.
    Frozen,
}

pub(crate) struct Fleet {
    pub(crate) gateways: Vec<SocketAddr>,
    relays: Vec<SocketAddr>,
    places: Vec<Place>,
    nats: NatsServer,
}

/// What happened in a round, and what should not have.
pub(crate) struct Round {
    pub(crate) strikes: Vec<Strike>,
    pub(crate) complaints: Vec<String>,
}

impl Fleet {
    /// Starts all, and waits until they know each other.
    pub(crate) async fn start(setting: &Setting, notes: SocketAddr) -> Result<Fleet, Failure> {
        let mut addresses = free_addresses();
        let mut take = || addresses.next().ok_or("no port is free");
        let at = take()?.to_string();
        let nats = block_in_place(|| NatsServer::at(&at, setting.nats));
        let gateways = (0..GATEWAYS).map(|_| take()).collect::<Result<Vec<_>, _>>()?;
        let relays = (0..RELAYS).map(|_| take()).collect::<Result<Vec<_>, _>>()?;
        let (program, host) = (beside("underpass")?, beside("host")?);
        let warnings = [("RUST_LOG", "warn".to_owned())];
        let starting = Member::all().map(|member| {
            let on_bus = |name: &str, listen: SocketAddr| {
                [name, "--bus", &nats.url(), "--listen", &listen.to_string()].map(str::to_owned).to_vec()
            };
            let (program, arguments, variables) = match member {
                Member::Gateway(number) => (&program, on_bus("gateway", gateways[number]), &setting.variables[..]),
                Member::Relay(number) => (&program, on_bus("relay", relays[number]), &setting.variables[..]),
                Member::Runner(number) => (&host, runner(number, &relays, notes), &warnings[..]),
            };
            Place::start(member, program.clone(), arguments, variables.to_vec())
        });
        let places = try_join_all(starting).await?;
        let mut fleet = Fleet { gateways, relays, places, nats };
        match fleet.until_whole().await? {
            Some(complaint) => Err(complaint.into()),
            None => Ok(fleet),
        }
    }

    /// Lets it happen to all of them at the same time, and waits until all are there again.
    pub(crate) async fn strike(&mut self, plans: &[Plan]) -> Result<Round, Failure> {
        let had: Vec<Vec<usize>> = plans.iter().map(|(member, _)| self.runners_at(*member)).collect();
        let struck = self.places.iter_mut().filter_map(|place| {
            let index = plans.iter().position(|(member, _)| *member == place.member)?;
            Some(async move { (index, place.strike(plans[index].1).await) })
        });
        let struck = join_all(struck).await;
        let mut round = Round { strikes: Vec::new(), complaints: Vec::new() };
        for (index, struck) in struck {
            let ((member, how), struck, had) = (plans[index], struck?, had[index].clone());
            round.strikes.push(Strike { member, how, at: struck.at, back: struck.back, had });
            round.complaints.extend(struck.complaint);
        }
        round.complaints.extend(self.until_whole().await?);
        Ok(round)
    }

    /// Has NATS be away for a while.
    pub(crate) async fn without_nats(&mut self, away: Away, time: Duration) -> Outage {
        let from = Instant::now();
        match away {
            Away::Killed => block_in_place(|| self.nats.kill()),
            Away::Frozen => self.nats.freeze(),
        }
        sleep(time.saturating_sub(from.elapsed())).await;
        match away {
            Away::Killed => block_in_place(|| self.nats.start_again()),
            Away::Frozen => self.nats.thaw(),
        }
        Outage { from, to: Instant::now() }
    }

    /// The runners that are connected to a relay.
    fn runners_at(&self, member: Member) -> Vec<usize> {
        let Member::Relay(relay) = member else { return Vec::new() };
        let port = self.relays[relay].port();
        let runners = self.places.iter().filter_map(|place| match place.member {
            Member::Runner(number) => place.connected_to().contains(&port).then_some(number),
            Member::Gateway(_) | Member::Relay(_) => None,
        });
        runners.collect()
    }

    /// Waits until every gateway knows every runner; what it was like if that never comes.
    pub(crate) async fn until_whole(&mut self) -> Result<Option<String>, Failure> {
        self.eventually("the fleet was not whole again", |member, counters| match member {
            Member::Gateway(_) => counters["gateway"]["runners"] == RUNNERS * POOLS,
            Member::Relay(_) => true,
            Member::Runner(_) => ["work", "actors"].iter().all(|pool| counters[*pool]["ready"] == true),
        })
        .await
    }

    /// What is left open when nobody asks for anything any more.
    pub(crate) async fn leftovers(&mut self) -> Result<Option<String>, Failure> {
        let zero = |counters: &Value, gauges: &[&str]| gauges.iter().all(|gauge| counters[*gauge] == 0);
        self.eventually("something was left open", |member, counters| match member {
            Member::Gateway(_) => zero(&counters["gateway"], &["open", "waiting", "ending", "registered", "buffered"]),
            Member::Relay(_) => zero(&counters["relay"], &["routes", "ending", "buffered"]),
            Member::Runner(_) => ["work", "actors"].iter().all(|pool| zero(&counters[*pool], &["open", "buffered"])),
        })
        .await
    }

    /// Waits until it is so with all of them; how it is with those of whom it never is.
    async fn eventually(
        &mut self,
        complaint: &str,
        reached: impl Fn(Member, &Value) -> bool,
    ) -> Result<Option<String>, Failure> {
        let start = Instant::now();
        loop {
            let mut others = Vec::new();
            for place in &mut self.places {
                if let Some(end) = place.unasked_end() {
                    return Err(end.into());
                }
                let counters = Value::Object(place.counters().await?.into_iter().collect());
                if !reached(place.member, &counters) {
                    others.push(format!("{} {counters}", place.member));
                }
            }
            if others.is_empty() {
                return Ok(None);
            }
            if start.elapsed() > SOON {
                return Ok(Some(format!("{complaint}:\n  {}", others.join("\n  "))));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The memory of each process, MiB.
    pub(crate) fn memory(&self) -> Result<String, Failure> {
        let memory = self.places.iter().map(|place| {
            let mib = place.memory()? as f64 / f64::from(1 << 20);
            Ok::<_, Failure>(format!("{} {mib:.1}", place.member))
        });
        Ok(memory.collect::<Result<Vec<_>, _>>()?.join(", "))
    }

    /// What each of them said on standard error.
    pub(crate) fn words(&self) -> Vec<String> {
        let words = self
            .places
            .iter()
            .flat_map(|place| place.words().into_iter().map(|line| format!("{}: {line}", place.member)));
        words.collect()
    }

    /// What gateways and relays have counted under a path of names, together.
    pub(crate) async fn counted(&mut self, path: &str) -> Result<u64, Failure> {
        let mut sum = 0;
        for place in &mut self.places {
            let counters = Value::Object(place.counters().await?.into_iter().collect());
            sum += counters.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        }
        Ok(sum)
    }
}

/// Each begins with another relay.
fn runner(number: usize, relays: &[SocketAddr], notes: SocketAddr) -> Vec<String> {
    let mut arguments = vec!["--number".to_owned(), number.to_string(), "--notes".to_owned(), notes.to_string()];
    for place in 0..relays.len() {
        let relay = relays[(number + place) % relays.len()];
        arguments.extend(["--relay".to_owned(), format!("ws://{relay}")]);
    }
    arguments
}

/// Addresses that no connection going out is given, so that they are free whenever who listens there comes again.
fn free_addresses() -> impl Iterator<Item = SocketAddr> {
    let first = 20_000 + (std::process::id() % 100) as u16 * 100;
    (first..32_000)
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .filter(|address| TcpListener::bind(address).is_ok())
}
