//! A fleet of processes: a gateway, a relay and its runner, which something happens to, and later a spare relay and a
//! spare runner beside them.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use underpass_processes::hub::Hub;
use underpass_processes::process::{Process, Signal, beside};
use underpass_processes::proxy::Proxy;

use crate::Failure;
use crate::target::Target;

/// To whom something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    Runner,
    Relay,
    Gateway,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// `kill -9`.
    Killed,
    /// `kill -STOP`: its sockets stay open, nobody answers.
    Stopped,
    /// The process runs on, but nothing passes between it and the other machines, nor is anybody told. A gateway's
    /// clients, and the server behind a runner, are on its side of the cut.
    Cut,
}

impl Party {
    pub(crate) const ALL: [Party; 3] = [Party::Runner, Party::Relay, Party::Gateway];
}

impl Fault {
    pub(crate) const ALL: [Fault; 3] = [Fault::Killed, Fault::Stopped, Fault::Cut];
}

pub(crate) struct Fleet {
    pub(crate) target: Target,
    pub(crate) gateway_address: SocketAddr,
    pace: u32,
    hub: Hub,
    gateway: Process,
    relay: Process,
    runner: Process,
    spare: Option<[Process; 2]>,
    gateway_to_hub: Proxy,
    relay_to_hub: Proxy,
    runner_to_relay: Proxy,
}

impl Fleet {
    /// Starts a gateway, a relay and a runner whose deadlines are divided by `pace`, and waits until the gateway knows
    /// the runner.
    pub(crate) async fn start(pace: u32) -> Result<Fleet, Failure> {
        let (hub, target) = (Hub::listen().await?, Target::listen().await?);
        let gateway_to_hub = Proxy::to(hub.address()).await?;
        let relay_to_hub = Proxy::to(hub.address()).await?;
        let (gateway, gateway_address) = machine("gateway", gateway_to_hub.address(), pace).await?;
        let (relay, relay_address) = machine("relay", relay_to_hub.address(), pace).await?;
        let runner_to_relay = Proxy::to(relay_address).await?;
        let runner = runner(runner_to_relay.address(), &target, "victim", pace).await?;
        let spare = None;
        let mut fleet = Fleet {
            target,
            gateway_address,
            pace,
            hub,
            gateway,
            relay,
            runner,
            spare,
            gateway_to_hub,
            relay_to_hub,
            runner_to_relay,
        };
        fleet.until_gateway_knows(1).await?;
        Ok(fleet)
    }

    /// Starts a relay and a runner beside the others.
    pub(crate) async fn add_spare(&mut self) -> Result<(), Failure> {
        let (relay, address) = machine("relay", self.hub.address(), self.pace).await?;
        let runner = runner(address, &self.target, "spare", self.pace).await?;
        self.spare = Some([relay, runner]);
        self.until_gateway_knows(2).await
    }

    async fn until_gateway_knows(&mut self, runners: u64) -> Result<(), Failure> {
        let known = |counters: &Value| counters["runners"] == runners;
        if eventually(&mut self.gateway, "gateway", Duration::from_secs(10), known).await?.is_some() {
            return Err(format!("the gateway does not hear of {runners} runners").into());
        }
        Ok(())
    }

    /// Lets it happen; when it did.
    pub(crate) async fn strike(&mut self, fault: Fault, party: Party) -> io::Result<Instant> {
        let at = Instant::now();
        match fault {
            Fault::Killed => self.process(party).signal(Signal::Kill).await?,
            Fault::Stopped => self.process(party).signal(Signal::Stop).await?,
            Fault::Cut => match party {
                Party::Runner => self.runner_to_relay.cut(),
                Party::Relay => {
                    self.runner_to_relay.cut();
                    self.relay_to_hub.cut();
                }
                Party::Gateway => self.gateway_to_hub.cut(),
            },
        }
        Ok(at)
    }

    /// Lets a stopped process go on; when it did.
    pub(crate) async fn go_on(&mut self, party: Party) -> io::Result<Instant> {
        let at = Instant::now();
        self.process(party).signal(Signal::Continue).await?;
        Ok(at)
    }

    /// What those who live have left open some time after the end, told; none if it is nothing.
    pub(crate) async fn leftovers(
        &mut self,
        killed: Option<Party>,
        within: Duration,
    ) -> Result<Option<String>, Failure> {
        for (party, name, gauges) in [
            (Party::Gateway, "gateway", &["open", "deadlines", "buffered"][..]),
            (Party::Relay, "relay", &["routes", "buffered"]),
            (Party::Runner, "runner", &["open", "buffered"]),
        ] {
            if killed == Some(party) {
                continue;
            }
            let empty = |counters: &Value| gauges.iter().all(|gauge| counters[gauge] == 0);
            if let Some(counters) = eventually(self.process(party), name, within, empty).await? {
                return Ok(Some(format!("{name} {counters}")));
            }
        }
        Ok(None)
    }

    fn process(&mut self, party: Party) -> &mut Process {
        match party {
            Party::Runner => &mut self.runner,
            Party::Relay => &mut self.relay,
            Party::Gateway => &mut self.gateway,
        }
    }
}

async fn machine(name: &str, hub: SocketAddr, pace: u32) -> Result<(Process, SocketAddr), Failure> {
    let arguments = [name, "--hub", &hub.to_string(), "--pace", &pace.to_string()];
    let mut process = Process::start(&beside("machine")?, &arguments)?;
    let address = process.ready().await?.remove("listens").ok_or("no address")?.parse()?;
    Ok((process, address))
}

async fn runner(relay: SocketAddr, target: &Target, name: &str, pace: u32) -> Result<Process, Failure> {
    let (relay, to) = (format!("ws://{relay}"), format!("http://{}/{name}", target.address));
    let silence = (crate::story::Times::at(pace).relay_silent.as_secs_f64()).to_string();
    let arguments = ["runner", "--relay", &relay, "--to", &to, "--key", name, "--silence", &silence];
    let mut process = Process::start(&beside("underpass")?, &arguments)?;
    process.ready().await?;
    Ok(process)
}

/// Waits until a machine's counters are as they shall be; what they are if they never are.
async fn eventually(
    process: &mut Process,
    machine: &str,
    within: Duration,
    reached: impl Fn(&Value) -> bool,
) -> Result<Option<Value>, Failure> {
    let start = Instant::now();
    loop {
        let counters = process.counters(1).await?.remove(machine).ok_or("no counters")?;
        if reached(&counters) {
            return Ok(None);
        }
        if start.elapsed() > within {
            return Ok(Some(counters));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
