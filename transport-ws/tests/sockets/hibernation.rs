//! Actors with state, and their WebSockets that stay open while they sleep: through the whole tunnel, over real
//! sockets.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message as WireMessage};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use underpass_transport_ws::runner::{self, Config, Runner};
use underpass_transport_ws::{clients, runners};

use crate::hosted::{Actors, Diary};
use crate::tunnel::{Tunnel, eventually, text, within};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A relay that is quick to start actors again.
fn quick() -> runners::Config {
    let mut config = runners::Config::default();
    let supervisor = &mut config.relay.supervisor;
    supervisor.back_off = Duration::from_millis(50);
    supervisor.runner_lost_threshold = Duration::from_millis(100);
    supervisor.runner_lost_margin = Duration::from_millis(100);
    supervisor.runner_unseen = Duration::from_millis(400);
    config.relay.runner_forgotten = Duration::from_millis(500);
    config
}

fn hosts(relay_urls: Vec<String>, actors: Actors) -> Runner {
    let mut config = Config { relay_urls, ..Config::default() };
    config.runner.total_slots = 10;
    config.runner.backoff_first = Duration::from_millis(20);
    Runner::host(config, actors).unwrap()
}

/// A tunnel whose runner hosts actors, and what they note.
struct House {
    tunnel: Tunnel,
    diary: Diary,
}

impl House {
    async fn start() -> House {
        let actors = Actors::default();
        let diary = actors.diary.clone();
        let tunnel = Tunnel::around(clients::Config::default(), quick(), |urls| hosts(urls, actors)).await;
        House { tunnel, diary }
    }

    /// What the actor `someone` answers.
    async fn asks(&self, path: &str) -> String {
        let answer = self.tunnel.get(&format!("/gateway/someone{path}")).await;
        let status = answer.status();
        if status.is_success() { text(answer).await } else { status.as_u16().to_string() }
    }

    /// Opens a WebSocket that can sleep: as long as the registry does not have it, it would be closed instead.
    async fn opens(&self) -> Client {
        let registered = || self.tunnel.clients.stats().registered;
        let before = registered();
        let url = format!("ws://{}/gateway/someone/ws", self.tunnel.gateway_address);
        let client = within(connect_async(url)).await.unwrap().0;
        eventually("the registry has it", || registered() > before).await;
        client
    }

    /// The actor sleeps.
    async fn falls_asleep(&self) {
        assert_eq!(self.asks("/sleep").await, "done");
        eventually("the actor sleeps", || self.tunnel.runner.actors() == 0).await;
    }

    /// The sockets sleep at the gateway.
    async fn sockets_sleep(&self, sockets: usize) {
        eventually("the sockets sleep", || self.tunnel.clients.stats().hibernating == sockets).await;
    }

    /// Another process takes the runner's place.
    async fn replaces_runner(&mut self, actors: Actors) {
        let urls = vec![format!("ws://{}", self.tunnel.relay_address)];
        let runner = hosts(urls, actors);
        within(runner.ready()).await.unwrap();
        self.tunnel.runner = runner;
    }

    async fn end(self) {
        eventually("runners that died are forgotten", || self.tunnel.directory.runners().len() <= 1).await;
        self.tunnel.end().await;
    }
}

async fn says(client: &mut Client, message: &str) {
    within(client.send(WireMessage::text(message))).await.unwrap();
}

async fn hears(client: &mut Client) -> String {
    match within(client.next()).await.unwrap().unwrap() {
        WireMessage::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Sends so many messages, which are counted from there on.
async fn counts(client: &mut Client, from: u64, messages: u64) {
    for _ in 0..messages {
        says(client, "one more").await;
    }
    for count in from..from + messages {
        assert_eq!(hears(client).await, count.to_string());
    }
}

async fn hears_close(client: &mut Client) -> (u16, String) {
    match within(client.next()).await.unwrap().unwrap() {
        WireMessage::Close(Some(CloseFrame { code, reason })) => {
            while let Some(Ok(_)) = within(client.next()).await {}
            (code.into(), reason.as_str().to_owned())
        }
        other => panic!("{other:?}"),
    }
}

async fn leaves(mut client: Client) {
    client.close(None).await.unwrap();
    while let Some(Ok(_)) = within(client.next()).await {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_starts_when_it_is_asked_and_keeps_what_it_keeps_through_its_sleep() {
    let house = House::start().await;
    assert_eq!([house.asks("/visit").await, house.asks("/visit").await], ["1", "2"]);
    assert_eq!(house.tunnel.runner.actors(), 1);
    house.falls_asleep().await;
    assert_eq!(house.asks("/visit").await, "3");
    assert_eq!(
        house.diary.lines(),
        ["someone starts with 0 sockets", "someone stops", "someone starts with 0 sockets"]
    );
    let other = house.tunnel.get("/gateway/other/visit").await;
    assert_eq!(text(other).await, "1");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actors_store_does_all_that_the_protocol_has() {
    let house = House::start().await;
    assert_eq!(house.asks("/kv").await, "done");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_wakes_an_actor() {
    let house = House::start().await;
    assert_eq!(house.asks("/alarm").await, "done");
    house.falls_asleep().await;
    eventually("it is awake", || house.diary.count("someone starts with 0 sockets") == 2).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tasks_of_an_actor_end_with_it() {
    let house = House::start().await;
    assert_eq!(house.asks("/work").await, "done");
    house.falls_asleep().await;
    assert_eq!(house.diary.lines(), ["someone starts with 0 sockets", "someone stops", "a task is dropped"]);
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_goes_on_where_it_was_when_its_actor_slept() {
    let house = House::start().await;
    let mut client = house.opens().await;
    counts(&mut client, 1, 3).await;
    for sleeps in 0..3 {
        house.falls_asleep().await;
        house.sockets_sleep(1).await;
        assert_eq!(house.diary.count("asleep"), sleeps + 1);
        counts(&mut client, 4 + 3 * sleeps as u64, 3).await;
    }
    assert_eq!(house.diary.count("someone starts with 1 sockets"), 3);
    leaves(client).await;
    eventually("its handler hears so", || house.diary.has("closed Some(1005)") || house.diary.has("closed None")).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_goes_on_at_the_process_that_took_its_runners_place_while_it_slept() {
    let mut house = House::start().await;
    let mut client = house.opens().await;
    counts(&mut client, 1, 3).await;
    house.falls_asleep().await;
    house.sockets_sleep(1).await;
    // Without a goodbye.
    house.replaces_runner(Actors { diary: house.diary.clone() }).await;
    counts(&mut client, 4, 3).await;
    leaves(client).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_goes_on_at_the_process_that_took_the_place_of_one_that_died_with_its_actor() {
    let mut house = House::start().await;
    let mut client = house.opens().await;
    counts(&mut client, 1, 3).await;
    house.replaces_runner(Actors { diary: house.diary.clone() }).await;
    counts(&mut client, 4, 3).await;
    leaves(client).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_drains_stops_its_actors_and_their_websockets_go_on_elsewhere() {
    let mut house = House::start().await;
    let mut client = house.opens().await;
    counts(&mut client, 1, 3).await;
    assert_eq!(within(house.tunnel.runner.drain()).await, runner::StopReason::Drained);
    assert!(house.diary.has("someone stops"));
    house.sockets_sleep(1).await;
    house.replaces_runner(Actors { diary: house.diary.clone() }).await;
    counts(&mut client, 4, 3).await;
    leaves(client).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_and_its_handler_outlive_the_connection_of_their_runner() {
    let actors = Actors::default();
    let diary = actors.diary.clone();
    let mut way = Way::default();
    let tunnel = Tunnel::around(clients::Config::default(), runners::Config::default(), |urls| {
        let url = way.to(urls[0].trim_start_matches("ws://").parse().unwrap());
        hosts(vec![url], actors)
    })
    .await;
    let house = House { tunnel, diary };
    let mut client = house.opens().await;
    counts(&mut client, 1, 3).await;
    way.breaks();
    eventually("the runner has noticed, and dials again", || house.tunnel.runner.stats().dials > 1).await;
    counts(&mut client, 4, 3).await;
    assert_eq!(house.diary.lines(), ["someone starts with 0 sockets"]);
    leaves(client).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_closes_while_its_actor_sleeps_wakes_it_to_hear_so() {
    let house = House::start().await;
    let mut client = house.opens().await;
    counts(&mut client, 1, 1).await;
    house.falls_asleep().await;
    house.sockets_sleep(1).await;
    let close = CloseFrame { code: 4002.into(), reason: "bye".into() };
    client.send(WireMessage::Close(Some(close))).await.unwrap();
    assert_eq!(hears_close(&mut client).await.0, 4002);
    eventually("its handler hears so", || house.diary.has("closed Some(4002)")).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_speaks_first_on_a_websocket_that_slept() {
    let house = House::start().await;
    let mut client = house.opens().await;
    assert_eq!(house.asks("/greet").await, "done");
    house.falls_asleep().await;
    house.sockets_sleep(1).await;
    assert_eq!(house.asks("/visit").await, "1");
    assert_eq!(hears(&mut client).await, "here again");
    counts(&mut client, 1, 1).await;
    leaves(client).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_of_which_its_actor_knows_nothing_is_closed() {
    let house = House::start().await;
    let mut client = house.opens().await;
    assert_eq!(house.asks("/forget").await, "done");
    house.falls_asleep().await;
    house.sockets_sleep(1).await;
    says(&mut client, "anybody?").await;
    assert_eq!(hears_close(&mut client).await, (1011, "ws.not_restored".to_owned()));
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_closes_closes_for_good() {
    let house = House::start().await;
    let mut client = house.opens().await;
    house.falls_asleep().await;
    says(&mut client, "close").await;
    assert_eq!(hears_close(&mut client).await, (4001, "as told".to_owned()));
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_crashes_the_actor_and_its_websockets_sleep() {
    let house = House::start().await;
    let mut client = house.opens().await;
    counts(&mut client, 1, 2).await;
    assert_eq!(house.asks("/panic").await, "502");
    eventually("it has crashed", || house.tunnel.runner.actors() == 0).await;
    counts(&mut client, 3, 2).await;
    // It may be answered before.
    house.asks("/crash").await;
    eventually("it has crashed", || house.tunnel.runner.stats().actors_stopped == 2).await;
    counts(&mut client, 5, 2).await;
    leaves(client).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_whose_handler_panics_is_closed_and_the_others_of_its_actor_sleep() {
    let house = House::start().await;
    let (mut poisoned, mut client) = (house.opens().await, house.opens().await);
    counts(&mut client, 1, 2).await;
    says(&mut poisoned, "panic").await;
    assert_eq!(hears_close(&mut poisoned).await.0, 1011);
    counts(&mut client, 3, 2).await;
    leaves(client).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_that_fails_to_start_is_started_again_and_its_websockets_sleep_on() {
    let house = House::start().await;
    let mut client = house.opens().await;
    counts(&mut client, 1, 2).await;
    house.falls_asleep().await;
    house.diary.failing_starts.store(2, Ordering::SeqCst);
    counts(&mut client, 3, 2).await;
    assert_eq!(house.diary.count("someone starts with 1 sockets"), 3);
    leaves(client).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_the_middle_of_a_sleep_is_handled_once_and_in_order() {
    let house = House::start().await;
    let mut client = house.opens().await;
    let (mut sent, mut heard) = (0, 0);
    for _ in 0..10 {
        for _ in 0..20 {
            says(&mut client, "one more").await;
            sent += 1;
        }
        assert_eq!(house.asks("/sleep").await, "done");
    }
    // An answer may be lost on its way into a sleep; no count is skipped or given twice.
    says(&mut client, "the last").await;
    sent += 1;
    while heard < sent {
        let count: u64 = hears(&mut client).await.parse().unwrap();
        assert!(count > heard, "{count} behind {heard}");
        heard = count;
    }
    assert_eq!(heard, sent);
    leaves(client).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_handles_ends_every_task_of_actors_too() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    let house = House::start().await;
    let client = house.opens().await;
    assert_eq!(house.asks("/work").await, "done");
    drop(house);
    drop(client);
    eventually("all tasks have ended", || alive() == before).await;
}

/// A way to a listener that can break.
#[derive(Default)]
struct Way {
    connections: std::sync::Arc<std::sync::Mutex<JoinSet<()>>>,
    listening: JoinSet<()>,
}

impl Way {
    fn to(&mut self, target: SocketAddr) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let connections = self.connections.clone();
        self.listening.spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                connections.lock().unwrap().spawn(async move {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    // It ends when it breaks.
                    tokio::io::copy_bidirectional(&mut near, &mut far).await.ok();
                });
            }
        });
        format!("ws://{address}")
    }

    /// All that goes over it ends. It can be gone again.
    fn breaks(&self) {
        self.connections.lock().unwrap().abort_all();
    }
}
