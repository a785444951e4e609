//! What a runner says on WebSockets that are still to be restored is held, and judged when they are.

use std::time::Duration;

use underpass_core::Machine;
use underpass_core::protocol::tunnel::ToServerTunnelMessage;
use underpass_core::protocol::{ToServer, Version};
use underpass_core::relay::{Action, Config, Event, Notice};
use underpass_tests::given::hosting::{Hosting, init, says};
use underpass_tests::given::relay::{publishes, websocket_open};
use underpass_tests::given::restoring::{awake, close, from_handler, of_socket, patient, starts, told_to_start, wakes};
use underpass_tests::given::supervisor::{event, running, sleeps};

/// The runner of an actor whose socket 1 was awake has come back on connection 2, and was greeted. It has announced the
/// actor; its pong is to come.
fn back(config: Config) -> Hosting {
    let mut hosting = told_to_start(config, &[1]);
    hosting.tells(1, says("default", 0, running())).cuts(1);
    hosting.connects(2, "a", Version::V7).says(2, init(10)).tells(2, says("default", 0, running()));
    hosting.heard(2);
    hosting.saw();
    hosting
}

/// What was published to gateways.
fn published(hosting: &mut Hosting) -> Vec<Action> {
    hosting.saw().into_iter().filter(|action| matches!(action, Action::Publish(_))).collect()
}

#[test]
fn what_a_runner_that_came_back_says_on_its_sockets_before_its_pong_follows_the_word_that_they_are_awake() {
    let mut hosting = back(patient());
    hosting.answers(2, of_socket(1, 0), from_handler(b"x")).answers(2, of_socket(1, 1), from_handler(b"y"));
    assert_eq!(published(&mut hosting), []);
    assert!(hosting.story.machine.stats().buffered > 0);
    hosting.pongs(2);
    let frames = [(0, b"x"), (1, b"y")].map(|(number, data)| publishes(2, of_socket(1, number), from_handler(data)));
    assert_eq!(published(&mut hosting), [&[wakes(2, of_socket(1, 0), 1)], &frames[..]].concat());
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.buffered, stats.unrouted, stats.routes), (0, 0, 1));
    hosting.ends();
}

#[test]
fn what_it_says_on_what_is_not_restored_is_unrouted_as_ever() {
    let mut hosting = back(Config { close_over_unrouted: true, ..patient() });
    hosting.answers(2, of_socket(9, 0), from_handler(b"x")).answers(2, of_socket(1, 0), from_handler(b"y"));
    assert_eq!(hosting.story.machine.stats().unrouted, 0, "it is not known yet");
    hosting.pongs(2);
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.unrouted, stats.buffered), (1, 0));
    let unrouted = |action: &Action| matches!(action, Action::Log { notice: Notice::Unrouted(Some(_)), .. });
    assert!(hosting.saw().iter().any(unrouted));
    hosting.ends();
}

#[test]
fn while_the_registry_is_away_it_is_held_further_and_what_is_open_goes_on() {
    let mut hosting = back(patient());
    hosting.registry_is_away(true).pongs(2);
    hosting.answers(2, of_socket(1, 0), from_handler(b"x"));
    hosting.asks(2, of_socket(5, 0), websocket_open());
    hosting.answers(2, of_socket(5, 0), from_handler(b"z"));
    assert_eq!(published(&mut hosting), [publishes(2, of_socket(5, 0), from_handler(b"z"))]);
    hosting.jumps(Duration::from_secs(1));
    assert_eq!(published(&mut hosting), []);
    hosting.registry_is_away(false).jumps(Duration::from_secs(1));
    let frame = publishes(2, of_socket(1, 0), from_handler(b"x"));
    assert_eq!(published(&mut hosting), [wakes(2, of_socket(1, 0), 1), frame]);
    hosting.ends();
}

#[test]
fn there_is_so_much_room_for_it_and_what_is_more_is_dropped_and_counted() {
    let small = Config { max_frame: 1_000, max_buffered: 1_000, ..patient() };
    let mut hosting = back(small);
    let full = vec![b'x'; 700].leak();
    hosting.answers(2, of_socket(1, 0), from_handler(full));
    let held = hosting.story.machine.stats().buffered;
    assert!((700..1_000).contains(&held), "{held}");
    hosting.answers(2, of_socket(1, 1), from_handler(full));
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.unrouted, stats.buffered), (1, held));
    hosting.cuts(2);
    assert_eq!(hosting.story.machine.stats().buffered, 0);
    hosting.ends();
}

#[test]
fn a_runner_that_gives_a_socket_up_while_its_actor_starts_is_heard_when_it_runs() {
    let mut hosting = told_to_start(patient(), &[1, 2]);
    assert_eq!(starts(&hosting.heard(1)).len(), 1);
    // A published runner does so if it has kept nothing of the socket.
    hosting.answers(1, of_socket(1, 0), close(1000, "gone", false));
    assert_eq!(published(&mut hosting), []);
    hosting.tells(1, says("default", 0, running()));
    let gone = publishes(1, of_socket(1, 0), close(1000, "gone", false));
    assert_eq!(published(&mut hosting), [wakes(1, of_socket(1, 0), 1), gone, wakes(1, of_socket(2, 0), 1)]);
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.routes, stats.ends.by_runner, stats.buffered), (1, 1, 0));
    hosting.ends();
}

#[test]
fn one_that_gives_it_up_when_it_is_restored_is_heard_at_once() {
    let mut hosting = awake(&[1]);
    hosting.answers(1, of_socket(1, 0), close(1000, "gone", false));
    assert_eq!(hosting.saw(), [publishes(1, of_socket(1, 0), close(1000, "gone", false))]);
    assert_eq!(hosting.story.machine.stats().routes, 0);
    hosting.ends();
}

#[test]
fn what_is_held_for_a_start_that_fails_is_unrouted_then() {
    let mut hosting = told_to_start(patient(), &[1]);
    hosting.answers(1, of_socket(1, 0), from_handler(b"x"));
    hosting.jumps(Duration::from_secs(30) - Duration::from_micros(1));
    assert_eq!(hosting.story.machine.stats().unrouted, 0);
    hosting.jumps(Duration::from_micros(1));
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.unrouted, stats.buffered, stats.supervisor.start_timeouts), (1, 0, 1));
    hosting.saw();
    hosting.ends();
}

#[test]
fn what_is_held_for_a_life_that_would_sleep_is_unrouted_then() {
    let mut hosting = back(patient());
    hosting.registry_is_away(true).pongs(2).answers(2, of_socket(1, 0), from_handler(b"x"));
    hosting.tells(2, vec![event("default", 1, 1, sleeps())]);
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.unrouted, stats.buffered), (1, 0));
    hosting.ends();
}

#[test]
fn a_directory_that_has_not_shown_the_actors_has_it_held_until_it_has() {
    let mut hosting = told_to_start(patient(), &[1]);
    hosting.tells(1, says("default", 0, running())).cuts(1).input(Event::DirectoryAway);
    hosting.connects(2, "a", Version::V7).says(2, init(10)).tells(2, says("default", 0, running())).pongs(2);
    hosting.saw();
    hosting.answers(2, of_socket(1, 0), from_handler(b"x"));
    assert_eq!(published(&mut hosting), []);
    hosting.input(Event::DirectoryBack);
    let frame = publishes(2, of_socket(1, 0), from_handler(b"x"));
    assert_eq!(published(&mut hosting), [wakes(2, of_socket(1, 0), 1), frame]);
    hosting.ends();
}

#[test]
fn of_a_runner_whose_sockets_cannot_hibernate_nothing_is_held() {
    let mut hosting = told_to_start(patient(), &[]);
    hosting.connects(2, "b", Version::V2).says(2, init(10));
    assert_eq!(hosting.story.machine.stats().buffered, 0);
    let said = ToServerTunnelMessage { message_id: of_socket(1, 0), message_kind: from_handler(b"x") };
    hosting.tries_to_say(2, ToServer::TunnelMessage(said));
    assert_eq!(hosting.story.machine.stats().buffered, 0);
    hosting.saw();
    hosting.ends();
}
