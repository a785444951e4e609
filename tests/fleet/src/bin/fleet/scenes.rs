//! What is played.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::time::sleep;

use crate::Failure;
use crate::clients::{Clients, Traffic, World};
use crate::fleet::{Away, Fleet, Setting};
use crate::judge::{Happened, RECOVERED};
use crate::member::{How, Member, Plan};
use crate::notes::Notes;
use crate::table;

/// How long the clients have it quiet before something happens, and behind it.
const CALM: Duration = Duration::from_secs(2);

/// How long the clients are at work where nothing happens at a certain time.
const WHILE: Duration = Duration::from_secs(8);

/// How much later it may be seen that the fleet is whole, which is asked over and over, of one process after the other.
const LOOKED: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scene {
    /// Processes are killed and drained
    Processes,
    /// NATS is killed and frozen, and comes back
    Nats,
    /// NATS takes messages of 64 KiB at most
    SmallPayload,
    /// The client of NATS has room for a few messages only
    SmallBuffer,
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scene::Processes => "processes killed and drained, under load",
            Scene::Nats => "NATS away, under load",
            Scene::SmallPayload => "bodies of 5 MiB over a NATS that takes 64 KiB",
            Scene::SmallBuffer => "a subscription's buffer made tiny",
        })
    }
}

impl Scene {
    pub(crate) const ALL: [Scene; 4] = [Scene::Processes, Scene::Nats, Scene::SmallPayload, Scene::SmallBuffer];

    /// Plays it: what should not have been.
    pub(crate) async fn play(self, full: bool, words: bool) -> Result<Vec<String>, Failure> {
        let stage = match self {
            Scene::Processes => processes(full).await?,
            Scene::Nats => nats(full).await?,
            Scene::SmallPayload => small_payload(full).await?,
            Scene::SmallBuffer => small_buffer(full).await?,
        };
        stage.close(words).await
    }
}

/// A fleet with clients at work.
struct Stage {
    notes: Notes,
    fleet: Fleet,
    world: Arc<World>,
    clients: Clients,
    happened: Happened,
    complaints: Vec<String>,
}

impl Stage {
    async fn set(setting: &Setting, traffic: Traffic) -> Result<Stage, Failure> {
        let notes = Notes::listen().await?;
        let fleet = Fleet::start(setting, notes.address).await?;
        let world = World::new(fleet.gateways.clone(), traffic);
        world.ledger.begin_round("at first");
        let clients = Clients::start(world.clone());
        sleep(CALM).await;
        Ok(Stage { notes, fleet, world, clients, happened: Happened::default(), complaints: Vec::new() })
    }

    /// Has the clients finish, and judges.
    async fn close(self, words: bool) -> Result<Vec<String>, Failure> {
        let Stage { notes, mut fleet, world, clients, happened, mut complaints } = self;
        world.ledger.begin_round("at last");
        clients.finish().await?;
        complaints.extend(fleet.leftovers().await?);
        println!("  memory, MiB: {}", fleet.memory()?);
        let entries = world.ledger.entries();
        complaints.extend(table::print(&entries, &happened, &notes.told()));
        if words && !complaints.is_empty() {
            println!("  What the processes said:");
            fleet.words().iter().for_each(|line| println!("    {line}"));
        }
        Ok(complaints)
    }
}

async fn processes(full: bool) -> Result<Stage, Failure> {
    let mut stage = Stage::set(&Setting::default(), Traffic::FIFTY).await?;
    for plans in if full { every_round() } else { some_rounds() } {
        let names: Vec<String> = plans.iter().map(|(member, how)| format!("{member} {how}")).collect();
        stage.world.ledger.begin_round(names.join(", "));
        let start = Instant::now();
        let round = stage.fleet.strike(&plans).await?;
        let back = round.strikes.iter().map(|strike| {
            let away = strike.back.saturating_duration_since(strike.at);
            format!("{} back after {away:.1?}", strike.member)
        });
        let back = back.collect::<Vec<_>>().join(", ");
        stage.world.ledger.remark(format!("{back}; whole after {:.1?}", start.elapsed()));
        stage.happened.strikes.extend(round.strikes);
        stage.complaints.extend(round.complaints);
        sleep(CALM).await;
    }
    Ok(stage)
}

/// One of each kind, each way, and some two of them.
fn some_rounds() -> Vec<Vec<Plan>> {
    let [killed, drained] = How::ALL;
    let [gateway, relay, runner] = [Member::Gateway(0), Member::Relay(0), Member::Runner(0)];
    let one = [gateway, relay, runner].into_iter().flat_map(|member| How::ALL.map(|how| vec![(member, how)]));
    let two = [
        vec![(gateway, killed), (Member::Relay(1), killed)],
        vec![(Member::Relay(1), killed), (Member::Runner(1), killed)],
        vec![(Member::Relay(0), drained), (Member::Runner(2), drained)],
    ];
    one.chain(two).collect()
}

/// Everybody, each way; and every two of them, each way.
fn every_round() -> Vec<Vec<Plan>> {
    let plans: Vec<Plan> = Member::all().flat_map(|member| How::ALL.map(|how| (member, how))).collect();
    let one = plans.iter().map(|plan| vec![*plan]);
    let two = plans.iter().enumerate().flat_map(|(index, one)| {
        let others = plans[index + 1..].iter().filter(|other| other.0 != one.0);
        others.map(|other| vec![*one, *other])
    });
    one.chain(two).collect()
}

async fn nats(full: bool) -> Result<Stage, Failure> {
    let seconds = Duration::from_secs;
    let some = [(Away::Killed, seconds(1)), (Away::Frozen, seconds(2))];
    let all = [
        (Away::Killed, seconds(1)),
        (Away::Killed, seconds(10)),
        (Away::Killed, seconds(60)),
        (Away::Frozen, seconds(2)),
        (Away::Frozen, seconds(12)),
        (Away::Frozen, seconds(30)),
    ];
    let mut stage = Stage::set(&Setting::default(), Traffic::FIFTY).await?;
    for (away, time) in if full { &all[..] } else { &some } {
        stage.world.ledger.begin_round(format!("{away:?} for {time:?}").to_lowercase());
        let outage = stage.fleet.without_nats(*away, *time).await;
        stage.happened.outages.push(outage);
        stage.complaints.extend(stage.fleet.until_whole().await?);
        let took = outage.to.elapsed();
        println!("  {away:?} for {time:?}; whole again after {took:.1?}");
        if took > RECOVERED + LOOKED {
            stage.complaints.push(format!("{away:?} for {time:?}: whole again only after {took:.1?}"));
        }
        // What begins from five seconds on must go well.
        sleep(RECOVERED.saturating_sub(outage.to.elapsed())).await;
        stage.world.ledger.begin_round("behind it");
        sleep(2 * CALM).await;
    }
    Ok(stage)
}

async fn small_payload(full: bool) -> Result<Stage, Failure> {
    let setting = Setting { nats: "max_payload: 65536\n", ..Setting::default() };
    let large = 5 * 1024 * 1024;
    let traffic = Traffic { clients: [4, 2, 2, 2, 4], whole: large, streamed: large as u64 };
    let stage = Stage::set(&setting, traffic).await?;
    stage.world.ledger.begin_round("at work");
    sleep(if full { 4 * WHILE } else { WHILE }).await;
    Ok(stage)
}

async fn small_buffer(full: bool) -> Result<Stage, Failure> {
    let variables = vec![("UNDERPASS_BUS_SUBSCRIPTION_MESSAGES", "4".to_owned())];
    let mut stage = Stage::set(&Setting { variables, ..Setting::default() }, Traffic::FIFTY).await?;
    stage.happened.lossy = true;
    stage.world.ledger.begin_round("at work");
    sleep(if full { 4 * WHILE } else { WHILE }).await;
    let gaps = stage.fleet.counted("/bus/gaps").await?;
    println!("  {gaps} gaps were found in what gateways and relays received");
    if gaps == 0 {
        stage.complaints.push("no frame was lost, so nothing was tested".to_owned());
    }
    Ok(stage)
}
