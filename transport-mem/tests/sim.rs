//! The simulated network: what it keeps in order, what it loses, and whom it tells.

use std::time::Duration;

use underpass_core::bus::{Address, Publication, PublishError, Subject};
use underpass_core::directory::{
    ActorChange, ActorKey, ActorRecord, ActorSeen, ChangeOutcome, Pool, Revision, RunnerChange, RunnerKey, Versioned,
};
use underpass_core::http::Close;
use underpass_core::protocol::GatewayId;
use underpass_core::{Frame, Time};
use underpass_transport_mem::sim::{
    BusConfig, Config, Happening, Losses, Network, Node, Path, Reach, Room, Silence, SocketConfig,
};

const GATEWAY: GatewayId = GatewayId([1; 4]);
const SECOND: Duration = Duration::from_secs(1);

type Net = Network<&'static str>;

fn frame(text: &'static str) -> Frame {
    Frame::new(text.as_bytes(), Default::default(), None)
}

fn publication(text: &'static str) -> Publication {
    let to = Subject::Gateway(GATEWAY);
    Publication { to, reply_to: Some(to), frame: frame(text) }
}

/// A gateway that listens, and a relay that publishes to it.
fn pair(config: Config) -> (Net, Node, Node) {
    let mut network = Network::new(config, 1);
    let (gateway, relay) = (network.start(0), network.start(0));
    network.attach(gateway, Address::Gateway(GATEWAY));
    (network, gateway, relay)
}

fn all(network: &mut Net) -> Vec<Happening<&'static str>> {
    std::iter::from_fn(|| network.next()).collect()
}

fn delivered(network: &mut Net) -> Vec<String> {
    let frames = all(network).into_iter().filter_map(|happening| match happening {
        Happening::Delivered { frame, .. } | Happening::Message { frame, .. } => Some(frame.into_bytes()),
        _ => None,
    });
    frames.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

#[test]
fn frames_of_a_publisher_stay_in_order_whatever_the_jitter() {
    let path = Path { latency: SECOND, jitter: SECOND, bandwidth: None };
    let (mut network, _, relay) = pair(Config { bus: BusConfig { path, ..BusConfig::default() }, ..Config::default() });
    for text in ["a", "b", "c", "d"] {
        network.publish(relay, publication(text)).unwrap();
    }
    assert_eq!(delivered(&mut network), ["a", "b", "c", "d"]);
}

#[test]
fn a_process_that_pauses_is_told_later_and_one_that_crashed_never() {
    let (mut network, gateway, relay) = pair(Config::default());
    network.pause(gateway);
    network.publish(relay, publication("a")).unwrap();
    network.own(relay, SECOND, "a second");
    assert_eq!(network.next(), Some(Happening::Own { node: relay, own: "a second" }));
    network.resume(gateway);
    network.publish(relay, publication("b")).unwrap();
    assert_eq!(delivered(&mut network), ["a", "b"]);
    network.publish(relay, publication("c")).unwrap();
    network.crash(gateway);
    assert_eq!(all(&mut network), []);
}

#[test]
fn a_process_that_does_not_reach_the_bus_knows_it_or_not() {
    let (mut network, _, relay) = pair(Config::default());
    network.reaches_bus(relay, Reach::Away);
    assert_eq!(network.publish(relay, publication("a")).unwrap_err().reason, PublishError::Disconnected);
    network.reaches_bus(relay, Reach::CutOff);
    network.publish(relay, publication("b")).unwrap();
    network.reaches_bus(relay, Reach::Whole);
    network.lose(Losses { to_gateways: 1_000_000, to_relays: 0 });
    network.publish(relay, publication("c")).unwrap();
    network.lose(Losses::default());
    network.publish(relay, publication("d")).unwrap();
    assert_eq!(delivered(&mut network), ["d"]);
}

#[test]
fn a_bus_says_at_once_or_later_or_never_that_nobody_listens() {
    for silence in [Silence::Reject, Silence::TellLater, Silence::Drop] {
        let bus = BusConfig { silence, ..BusConfig::default() };
        let (mut network, _, relay) = pair(Config { bus, ..Config::default() });
        network.detach(Address::Gateway(GATEWAY));
        let outcome = network.publish(relay, publication("a")).map_err(|rejected| rejected.reason);
        let later = all(&mut network);
        match silence {
            Silence::Reject => assert_eq!((outcome, later.len()), (Err(PublishError::NoResponders), 0)),
            Silence::TellLater => {
                assert_eq!(outcome, Ok(()));
                assert_eq!(later, [Happening::NoResponders { node: relay, to: Subject::Gateway(GATEWAY) }]);
            }
            Silence::Drop => assert_eq!((outcome, later.len()), (Ok(()), 0)),
        }
    }
}

#[test]
fn a_socket_ends_behind_what_was_sent_and_each_end_is_told_once() {
    let (mut network, relay, runner) = pair(Config::default());
    let socket = network.dial(runner, relay);
    assert_eq!(network.next(), Some(Happening::Accepted { node: relay, socket, from: runner }));
    assert_eq!(network.next(), Some(Happening::Connected { node: runner, socket }));
    assert_eq!(network.send(socket, runner, frame("a")), Room::Free);
    network.close(socket, runner, Some(Close::new(1000, "bye")));
    assert_eq!(network.send(socket, runner, frame("too late")), Room::Free);
    let close = Some(Close::new(1000, "bye"));
    let expected = [
        Happening::Message { node: relay, socket, frame: frame("a") },
        Happening::Ended { node: relay, socket, close: close.clone() },
        Happening::Ended { node: runner, socket, close },
    ];
    assert_eq!(all(&mut network), expected);
}

#[test]
fn a_half_open_socket_tells_nobody_until_one_end_loses_patience() {
    let (mut network, relay, runner) = pair(Config::default());
    let socket = network.dial(runner, relay);
    let _ = (network.next(), network.next());
    network.half_open(socket);
    let _ = network.send(socket, runner, frame("a"));
    assert_eq!(all(&mut network), []);
    network.close(socket, runner, None);
    assert_eq!(all(&mut network), [Happening::Ended { node: runner, socket, close: None }]);
}

#[test]
fn a_full_outbox_blocks_and_says_when_it_has_room() {
    let sockets = SocketConfig { outbox: 10, largest_message: 5, ..SocketConfig::default() };
    let (mut network, relay, runner) = pair(Config { sockets, ..Config::default() });
    let socket = network.dial(runner, relay);
    let _ = (network.next(), network.next());
    assert_eq!(network.send(socket, relay, frame("12345")), Room::Free);
    assert_eq!(network.send(socket, relay, frame("6")), Room::Blocked);
    let told = all(&mut network);
    assert_eq!(told.iter().filter(|told| **told == Happening::Writable { node: relay, socket }).count(), 1);
}

#[test]
fn a_change_whose_answer_is_lost_may_have_been_made() {
    let (mut network, _, relay) = pair(Config::default());
    let key = RunnerKey { pool: Pool { namespace: "n".into(), name: "p".into() }, key: "k".into() };
    network.change_runner(relay, 7, RunnerChange { key, expected: None, record: None });
    network.directory_away(true);
    let outcome = Box::new(ChangeOutcome::Unavailable);
    assert_eq!(all(&mut network), [Happening::Changed { node: relay, tag: 7, outcome }]);
    assert!(network.now() > Time::ZERO + SECOND, "it waited for the answer");
}

#[test]
fn a_process_wakes_at_the_instant_of_its_own_clock() {
    let mut network: Net = Network::new(Config::default(), 1);
    let fast = network.start(10_000);
    network.wake(fast, Some(Time::ZERO + 101 * SECOND));
    assert_eq!(network.next(), Some(Happening::Wake { node: fast }));
    assert_eq!(network.now(), Time::ZERO + 100 * SECOND);
    network.wake(fast, Some(Time::ZERO + 3_600 * SECOND));
    network.jump(fast, 3_600 * SECOND);
    assert_eq!(network.next(), Some(Happening::Wake { node: fast }));
    assert_eq!(network.now(), Time::ZERO + 100 * SECOND, "its clock is past it already");
}

#[test]
fn a_watcher_of_all_is_shown_all_together_and_then_each_change() {
    let (mut network, gateway, relay) = pair(Config::default());
    let pool = Pool { namespace: "default".into(), name: "default".into() };
    let actor = ActorKey { pool, actor_id: "counter".into() };
    let record = ActorRecord::wanted(None, 0).expect("none yet");
    let change = |record: ActorRecord, expected| ActorChange { key: actor.clone(), expected, record: Some(record) };
    network.change_actor(gateway, change(record.clone(), None));
    let stored = ChangeOutcome::Stored(Revision(1));
    let outcome = Happening::ActorChanged { node: gateway, actor: actor.clone(), outcome: Box::new(stored) };
    assert_eq!(all(&mut network), [outcome]);

    let seen = |revision, record| {
        let record = Versioned { revision: Revision(revision), record };
        ActorSeen { key: actor.clone(), record: Some(record) }
    };
    network.watch_all(relay);
    let shown = Happening::All { node: relay, runners: Vec::new(), actors: vec![seen(1, record.clone())] };
    assert_eq!(all(&mut network), [shown]);

    network.watch_runners_and_actors(gateway);
    let shown = Happening::Actors { node: gateway, all: vec![seen(1, record.clone())] };
    assert_eq!(all(&mut network), [shown]);

    let awake = ActorRecord { generation: 1, ..record };
    network.change_actor(gateway, change(awake.clone(), Some(Revision(1))));
    let told: Vec<_> = all(&mut network).into_iter().map(|happening| (happening.node(), happening)).collect();
    for node in [relay, gateway] {
        let shown = Happening::ActorSeen { node, seen: Box::new(seen(2, awake.clone())) };
        assert!(told.contains(&(node, shown)), "{told:?}");
    }
}

#[test]
fn a_ping_is_answered_behind_what_was_sent_unless_the_process_stands_still() {
    let (mut network, one, other) = pair(Config::default());
    let socket = network.dial(one, other);
    all(&mut network);
    network.ping(socket, other);
    assert_eq!(all(&mut network), [Happening::Ponged { node: other, socket }]);
    network.pause(one);
    network.ping(socket, other);
    assert_eq!(all(&mut network), []);
    network.resume(one);
    // A half-open socket tells its ends nothing; one of them may find out.
    network.half_open(socket);
    network.find_out(socket, one);
    assert_eq!(all(&mut network), [Happening::Ended { node: one, socket, close: None }]);
}
