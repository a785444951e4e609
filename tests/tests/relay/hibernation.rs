//! WebSockets that slept: their routes are opened when their actor runs, and their gateways are told.

use std::time::Duration;

use underpass_core::Machine;
use underpass_core::bus::{PublishError, Rejected};
use underpass_core::directory::ActorState;
use underpass_core::http::Close;
use underpass_core::protocol::to_server::StopCode;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::{self, Kind as Answer};
use underpass_core::protocol::{GatewayId, MessageId, Version};
use underpass_core::relay::{Action, Config, Event, Notice};
use underpass_core::supervisor;
use underpass_tests::given::gateway::credit;
use underpass_tests::given::hosting::{Heard, Hosting, hosting, init, says};
use underpass_tests::given::relay::{answers_ping, closes, names, publishes, tells, tells_of_end, websocket_open};
use underpass_tests::given::restoring::{
    awake, close, from_client, from_handler, knows, of_socket, patient, piece, starts, told_to_start, wakes,
};
use underpass_tests::given::supervisor::{event, running, sleeps, socket, stopped};
use underpass_tests::wire::GATEWAY;

const SILENT: Duration = Duration::from_secs(30);
const INSTANT: Duration = Duration::from_micros(1);

fn close_at_runner(number: u8, message_index: u16, code: u16, reason: &'static str) -> Heard {
    piece(of_socket(number, message_index), Piece::WebSocketClose(Close::new(code, reason).into_wire()))
}

/// The bus gives a publication back.
fn bus_refuses(hosting: &mut Hosting, publication: Action, reason: PublishError) {
    let Action::Publish(publication) = publication else { panic!("{publication:?} is no publication") };
    hosting.input(Event::PublishFailed(Rejected { publication, reason }));
}

fn published(hosting: &mut Hosting) -> Vec<Action> {
    hosting.saw().into_iter().filter(|action| matches!(action, Action::Publish(_))).collect()
}

#[test]
fn a_start_names_the_sockets_that_slept_and_when_the_actor_runs_their_gateways_are_told() {
    let mut hosting = told_to_start(patient(), &[1, 2]);
    let sockets = vec![socket(1), socket(2)];
    assert_eq!(starts(&hosting.heard(1)), [("default".into(), 1, sockets)]);
    assert_eq!((hosting.saw(), hosting.story.machine.stats().routes), (vec![], 0));
    hosting.tells(1, says("default", 0, running()));
    assert_eq!(hosting.saw(), [1, 2].map(|number| wakes(1, of_socket(number, 0), 1)));
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.routes, stats.restored, stats.opened), (2, 2, 0));
    hosting.ends();
}

#[test]
fn each_version_that_has_words_for_it_is_told_which_sockets_slept_and_the_others_are_not_asked_for() {
    for version in Version::ALL {
        let mut hosting = hosting();
        hosting.takes_in(1, "a", version).sleep_at_gateways("default", &[1]).wants("default");
        let sockets = if version < Version::V3 { vec![] } else { vec![socket(1)] };
        assert_eq!(starts(&hosting.heard(1)), [("default".into(), 1, sockets.clone())], "{version:?}");
        hosting.saw();
        hosting.tells(1, says("default", 0, running()));
        assert_eq!(hosting.saw().len(), sockets.len(), "{version:?}");
        hosting.ends();
    }
}

#[test]
fn over_a_restored_route_the_runner_may_speak_first_and_the_gateway_goes_on_with_its_numbers() {
    let mut hosting = awake(&[1]);
    hosting.answers(1, of_socket(1, 0), from_handler(b"hello"));
    assert_eq!(hosting.saw(), [publishes(1, of_socket(1, 0), from_handler(b"hello"))]);
    hosting.asks(1, of_socket(1, 40_000), knows()).asks(1, of_socket(1, 40_000), from_client(b"x"));
    assert_eq!(hosting.heard(1), [piece(of_socket(1, 40_000), from_client(b"x"))]);
    // A close that the relay makes up continues from there.
    hosting.passes(SILENT);
    assert_eq!(hosting.heard(1), [close_at_runner(1, 40_001, 1012, "gateway_lost")]);
    hosting.ends();
}

#[test]
fn the_first_word_of_a_gateway_is_for_its_relay_if_the_runner_has_no_word_for_it() {
    let mut hosting = awake(&[1]);
    hosting.asks(1, of_socket(1, 0), knows());
    assert_eq!((hosting.heard(1), hosting.story.machine.stats().malformed), (vec![], 0));
    hosting.asks(1, of_socket(1, 0), knows());
    assert_eq!((hosting.heard(1), hosting.story.machine.stats().malformed), (vec![], 1), "there is nothing to know");
    hosting.ends();
}

#[test]
fn a_gateway_hears_of_a_restored_route_with_each_ping_until_it_has_spoken_over_it() {
    let mut hosting = awake(&[1, 2]);
    let (first, second) = (of_socket(1, 0), of_socket(2, 0));
    hosting.gateway_pings(1, second, 7);
    assert_eq!(hosting.saw(), [answers_ping(1, second, 7), wakes(1, second, 1), wakes(1, first, 1)]);
    // It is the second's turn, too: once is enough.
    hosting.gateway_pings(1, second, 8);
    assert_eq!(hosting.saw(), [answers_ping(1, second, 8), wakes(1, second, 1)]);
    hosting.asks(1, first, knows());
    hosting.gateway_pings(1, first, 9);
    assert_eq!(hosting.saw(), [answers_ping(1, first, 9), names(1, first)]);
    hosting.gateway_pings(1, first, 10);
    assert_eq!(hosting.saw(), [answers_ping(1, first, 10), wakes(1, second, 1)]);
    hosting.ends();
}

#[test]
fn a_word_that_the_bus_gave_back_is_said_again_until_the_gateway_has_spoken() {
    let mut hosting = awake(&[1]);
    let word = wakes(1, of_socket(1, 0), 1);
    for reason in [PublishError::Full, PublishError::TooLarge, PublishError::Disconnected] {
        bus_refuses(&mut hosting, word.clone(), reason);
        hosting.jumps(Duration::from_millis(250) - INSTANT);
        assert_eq!(hosting.saw(), []);
        hosting.jumps(INSTANT);
        assert_eq!(hosting.saw(), std::slice::from_ref(&word));
    }
    hosting.asks(1, of_socket(1, 0), knows());
    bus_refuses(&mut hosting, word.clone(), PublishError::Full);
    hosting.jumps(Duration::from_secs(1));
    assert_eq!((hosting.saw(), hosting.story.machine.stats().restored_retried), (vec![], 3));
    hosting.ends();
}

#[test]
fn a_word_that_the_bus_gave_back_is_not_said_again_of_a_route_that_has_ended() {
    let mut hosting = awake(&[1]);
    bus_refuses(&mut hosting, wakes(1, of_socket(1, 0), 1), PublishError::Full);
    hosting.answers(1, of_socket(1, 0), close(1000, "bye", false));
    hosting.saw();
    hosting.jumps(Duration::from_secs(3_600));
    assert_eq!((hosting.saw(), hosting.story.machine.stats().restored_retried), (vec![], 0));
    hosting.ends();
}

#[test]
fn a_gateway_that_is_silent_for_thirty_seconds_from_the_restore_has_its_sockets_closed_at_their_runner() {
    let mut hosting = awake(&[1, 2]);
    hosting.jumps(SILENT - INSTANT);
    assert_eq!((hosting.heard(1), hosting.saw()), (vec![], vec![]));
    hosting.jumps(INSTANT);
    assert_eq!(hosting.heard(1), [1, 2].map(|number| close_at_runner(number, 0, 1012, "gateway_lost")));
    assert_eq!(hosting.saw(), [tells(1, Notice::GatewayLost(GATEWAY))]);
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.routes, stats.timeouts.gateway_silent, stats.ends.gateway_lost), (0, 1, 2));
    hosting.jumps(Duration::from_secs(3_600));
    assert_eq!((hosting.heard(1), hosting.saw()), (vec![], vec![]));
    hosting.ends();
}

#[test]
fn a_gateway_that_pings_keeps_its_restored_sockets_and_another_restore_is_no_word_of_it() {
    let mut hosting = awake(&[1]);
    hosting.jumps(Duration::from_secs(20));
    hosting.sleep_at_gateways("other", &[2]).runs(1, "other");
    assert_eq!(hosting.saw(), [wakes(1, of_socket(2, 0), 1)]);
    hosting.gateway_pings(1, of_socket(1, 0), 7);
    hosting.saw();
    hosting.jumps(SILENT - INSTANT);
    assert_eq!(hosting.saw(), []);
    hosting.sleep_at_gateways("third", &[3]).runs(1, "third");
    hosting.saw();
    hosting.jumps(INSTANT);
    assert_eq!(hosting.heard(1).len(), 3);
    hosting.saw();
    hosting.ends();
}

#[test]
fn a_gateway_at_which_nobody_listens_loses_its_restored_sockets_at_once() {
    let mut hosting = awake(&[1]);
    bus_refuses(&mut hosting, wakes(1, of_socket(1, 0), 1), PublishError::NoResponders);
    assert_eq!(hosting.heard(1), [close_at_runner(1, 0, 1012, "gateway_lost")]);
    assert_eq!(hosting.saw(), [tells(1, Notice::GatewayLost(GATEWAY))]);
    hosting.ends();
}

#[test]
fn a_gateway_that_does_not_know_the_socket_any_more_aborts_the_route() {
    let mut hosting = awake(&[1]);
    hosting.asks(1, of_socket(1, 9), Piece::RequestAbort);
    let abnormal = piece(of_socket(1, 0), Piece::WebSocketClose(Close::abnormal().into_wire()));
    assert_eq!((hosting.heard(1), hosting.saw()), (vec![abnormal], vec![]));
    assert_eq!(hosting.story.machine.stats().ends.by_gateway, 1);
    hosting.ends();
}

#[test]
fn a_socket_whose_actor_sleeps_and_wakes_on_the_same_connection_has_a_route_there_again() {
    let mut hosting = awake(&[1]);
    hosting.tells(1, says("default", 1, sleeps()));
    assert_eq!(hosting.saw(), [publishes(1, of_socket(1, 0), close(1001, "actor.stopped", true))]);
    hosting.asks(1, of_socket(1, 5), from_client(b"late"));
    assert_eq!(hosting.story.machine.stats().late, 1);
    hosting.tells(1, says("default", 2, stopped(StopCode::Ok)));
    hosting.jumps(Duration::from_secs(20));
    hosting.wants("default");
    assert_eq!(starts(&hosting.heard(1)), [("default".into(), 2, vec![socket(1)])]);
    hosting.tells(1, vec![event("default", 2, 0, running())]);
    assert_eq!(hosting.saw(), [wakes(1, of_socket(1, 0), 2)]);
    // The gateway said this before it knew that the socket had slept: what it knows now it says again.
    hosting.asks(1, of_socket(1, 6), from_client(b"too early")).asks(1, of_socket(1, 0), Piece::Credit(credit(640)));
    assert_eq!((hosting.heard(1), hosting.story.machine.stats().late), (vec![], 3));
    hosting.asks(1, of_socket(1, 5), knows()).asks(1, of_socket(1, 5), from_client(b"again"));
    assert_eq!(hosting.heard(1), [piece(of_socket(1, 5), from_client(b"again"))]);
    // What closed it before is forgotten, what closes it now is remembered for its own time.
    hosting.answers(1, of_socket(1, 0), close(1000, "bye", false)).jumps(Duration::from_secs(59));
    hosting.asks(1, of_socket(1, 6), from_client(b"late"));
    assert_eq!(hosting.story.machine.stats().late, 4);
    hosting.jumps(Duration::from_secs(1)).asks(1, of_socket(1, 6), from_client(b"later"));
    assert_eq!((hosting.story.machine.stats().late, hosting.story.machine.stats().unrouted), (4, 1));
    hosting.saw();
    hosting.ends();
}

#[test]
fn that_a_socket_sleeps_is_told_again_when_the_bus_gave_it_back_until_it_is_awake_again() {
    let mut hosting = awake(&[1]);
    hosting.tells(1, says("default", 1, sleeps()));
    let asleep = publishes(1, of_socket(1, 0), close(1001, "actor.stopped", true));
    assert_eq!(hosting.saw(), std::slice::from_ref(&asleep));
    bus_refuses(&mut hosting, asleep.clone(), PublishError::Full);
    assert_eq!((hosting.heard(1).len(), hosting.saw()), (1, vec![]), "its stop");
    hosting.jumps(Duration::from_millis(250) - INSTANT);
    assert_eq!(hosting.saw(), []);
    hosting.jumps(INSTANT);
    assert_eq!(hosting.saw(), std::slice::from_ref(&asleep));
    bus_refuses(&mut hosting, asleep.clone(), PublishError::Full);
    // A gateway that takes it for awake yet is told the same when it pings.
    hosting.gateway_pings(1, of_socket(1, 0), 7);
    assert_eq!(hosting.saw(), [answers_ping(1, of_socket(1, 0), 7), asleep.clone()]);
    hosting.tells(1, says("default", 2, stopped(StopCode::Ok))).wants("default");
    hosting.tells(1, vec![event("default", 2, 0, running())]);
    assert_eq!(hosting.saw(), [wakes(1, of_socket(1, 0), 2)]);
    // What comes back now is of the sleep before.
    bus_refuses(&mut hosting, asleep, PublishError::Full);
    hosting.jumps(Duration::from_secs(5));
    let stats = hosting.story.machine.stats();
    assert_eq!((hosting.saw(), stats.routes, stats.ending), (vec![], 1, 0));
    hosting.ends();
}

#[test]
fn a_route_that_is_open_already_is_left_as_it_is() {
    let mut hosting = awake(&[]);
    hosting.asks(1, of_socket(1, 0), websocket_open());
    hosting.answers(1, of_socket(1, 0), Answer::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: true }));
    hosting.heard(1);
    hosting.saw();
    // The registry says of another actor that it has the same socket.
    hosting.sleep_at_gateways("other", &[1]).runs(1, "other");
    assert_eq!((hosting.saw(), hosting.story.machine.stats().restored), (vec![], 0));
    hosting.answers(1, of_socket(1, 1), from_handler(b"x"));
    assert_eq!(hosting.saw(), [publishes(1, of_socket(1, 1), from_handler(b"x"))]);
    hosting.ends();
}

#[test]
fn a_life_that_goes_on_with_another_connection_has_its_sockets_restored_there() {
    let mut hosting = awake(&[1]);
    hosting.cuts(1);
    assert_eq!(hosting.saw(), [tells_of_end(1, of_socket(1, 0))]);
    hosting.sleep_at_gateways("default", &[1, 2]).connects(2, "a", Version::V7).says(2, init(10));
    hosting.tells(2, says("default", 0, running()));
    hosting.saw();
    hosting.pongs(2);
    let saw: Vec<_> = hosting.saw().into_iter().filter(|action| matches!(action, Action::Publish(_))).collect();
    assert_eq!(saw, [1, 2].map(|number| wakes(2, of_socket(number, 0), 1)));
    assert!(starts(&hosting.heard(2)).is_empty());
    hosting.ends();
}

#[test]
fn sockets_beyond_the_limit_of_routes_are_closed_at_both_ends() {
    let config = Config { max_routes_per_connection: 1, ..patient() };
    let mut hosting = told_to_start(config, &[1, 2]);
    hosting.heard(1);
    hosting.tells(1, says("default", 0, running()));
    let refused = publishes(1, of_socket(2, 0), close(1013, "overloaded", false));
    assert_eq!(hosting.saw(), [wakes(1, of_socket(1, 0), 1), wakes(1, of_socket(2, 0), 1), refused]);
    assert_eq!(hosting.heard(1), [close_at_runner(2, 0, 1013, "overloaded")]);
    hosting.asks(1, of_socket(2, 0), from_client(b"x"));
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.restored, stats.not_restored, stats.late), (1, 1, 1));
    hosting.ends();
}

#[test]
fn sockets_that_a_start_had_no_room_to_name_are_closed_at_their_gateways() {
    let config =
        Config { supervisor: supervisor::Config { max_restored: 1, ..supervisor::Config::default() }, ..patient() };
    let mut hosting = told_to_start(config, &[1, 2]);
    assert_eq!(starts(&hosting.heard(1)), [("default".into(), 1, vec![socket(1)])]);
    hosting.tells(1, says("default", 0, running()));
    let refused = publishes(1, of_socket(2, 0), close(1013, "overloaded", false));
    assert_eq!(hosting.saw(), [wakes(1, of_socket(1, 0), 1), wakes(1, of_socket(2, 0), 1), refused]);
    assert_eq!(hosting.heard(1), []);
    hosting.ends();
}

#[test]
fn a_start_names_no_more_sockets_than_a_frame_has_room_for() {
    let frame = 64 * 1024;
    let config = Config { max_frame: frame, ..patient() };
    let mut hosting = told_to_start(config, &[]);
    hosting.tells(1, says("default", 0, running())).tells(1, says("default", 1, sleeps()));
    hosting.tells(1, says("default", 2, stopped(StopCode::Ok)));
    hosting.heard(1);
    hosting.registers("default", vec![socket(1); 10_000]).wants("default");
    let started = starts(&hosting.heard(1));
    let named = started[0].2.len();
    assert!((1_000..frame / 8).contains(&named), "{named}");
    hosting.ends();
}

#[test]
fn at_a_drain_the_sockets_of_a_published_runner_that_can_hibernate_go_to_sleep() {
    let mut hosting = awake(&[1]);
    for number in [2, 3] {
        hosting.asks(1, of_socket(number, 0), websocket_open());
        let taken = to_server::WebSocketOpen { can_hibernate: number == 2 };
        hosting.answers(1, of_socket(number, 0), Answer::WebSocketOpen(taken));
    }
    hosting.heard(1);
    hosting.saw();
    hosting.input(Event::Drain).jumps(Duration::from_secs(8) - INSTANT);
    assert_eq!((hosting.heard(1), hosting.saw()), (vec![], vec![]));
    hosting.jumps(INSTANT);
    let asleep =
        [(1, 0), (2, 1)].map(|(socket, number)| publishes(1, of_socket(socket, number), close(1001, "draining", true)));
    let aborted = publishes(1, of_socket(3, 0), Answer::ResponseAbort);
    assert_eq!(hosting.saw(), [&asleep[..], &[aborted, closes(1, 1001, "relay.draining")]].concat());
    // Its runner would take a word of it for the client's.
    assert_eq!(hosting.heard(1), [close_at_runner(3, 1, 1001, "draining")]);
    hosting.cuts(1);
    hosting.saw();
    hosting.ends();
}

#[test]
fn a_registry_that_was_away_wakes_the_sockets_a_second_later() {
    let mut hosting = hosting();
    hosting.takes_in(1, "a", Version::V7).sleep_at_gateways("default", &[1]).registry_is_away(true).wants("default");
    assert_eq!(starts(&hosting.heard(1)), []);
    hosting.registry_is_away(false).jumps(Duration::from_secs(1) - INSTANT);
    assert_eq!(starts(&hosting.heard(1)), []);
    hosting.jumps(INSTANT);
    assert_eq!(starts(&hosting.heard(1)), [("default".into(), 1, vec![socket(1)])]);
    hosting.saw();
    hosting.ends();
}

#[test]
fn an_actor_that_stops_before_its_gateways_have_spoken_has_its_sockets_sleep_on() {
    let mut hosting = awake(&[1]);
    hosting.tells(1, says("default", 1, stopped(StopCode::Ok)));
    assert_eq!(hosting.saw(), [publishes(1, of_socket(1, 0), close(1001, "actor.stopped", true))]);
    assert_eq!((hosting.heard(1), hosting.story.machine.stats().routes), (vec![], 0));
    hosting.ends();
}

#[test]
fn sockets_of_one_actor_at_several_gateways_wake_together() {
    let mut hosting = told_to_start(patient(), &[]);
    hosting.tells(1, says("default", 0, running())).tells(1, says("default", 1, stopped(StopCode::Ok)));
    let mut there = socket(2);
    there.gateway_id = GatewayId([9; 4]);
    hosting.heard(1);
    hosting.registers("default", vec![socket(1), there]).wants("default");
    hosting.tells(1, vec![event("default", 2, 0, running())]);
    let second = MessageId { gateway_id: there.gateway_id, ..of_socket(2, 0) };
    assert_eq!(hosting.saw(), [wakes(1, of_socket(1, 0), 2), wakes(1, second, 2)]);
    hosting.cuts(1);
    assert_eq!(hosting.saw(), [tells_of_end(1, of_socket(1, 0)), tells_of_end(1, second)]);
    hosting.ends();
}

/// Its gateway holds what comes before the word for stale, and what follows for a gap, or, of a published runner, for
/// Each refusal is the beginning of another row of words.
#[test]
fn a_word_that_the_bus_gives_back_twice_is_said_again_once_at_a_time() {
    let mut hosting = awake(&[1]);
    let word = wakes(1, of_socket(1, 0), 1);
    for ts in 0..10 {
        bus_refuses(&mut hosting, word.clone(), PublishError::Full);
        hosting.gateway_pings(1, of_socket(1, 0), ts);
        hosting.saw();
    }
    hosting.jumps(Duration::from_millis(250));
    assert_eq!(published(&mut hosting), [word], "{:?} deadlines", hosting.story.machine.stats().deadlines);
}

/// The relay stood still for a while. Its runner is told that the gateway is gone; the gateway, which lives, is told
/// A runner saves and acknowledges as its last deed, when its actor wishes to sleep or is told to stop. The gateway takes
/// late acknowledgements, but none reaches it: it has the actor woken for what it has handled.
#[test]
fn what_an_actor_acknowledges_before_it_has_stopped_reaches_its_gateway() {
    let mut hosting = awake(&[1]);
    hosting.asks(1, of_socket(1, 0), knows()).asks(1, of_socket(1, 1), from_client(b"x"));
    hosting.tells(1, says("default", 1, sleeps()));
    hosting.saw();
    let ack = to_server::Kind::WebSocketMessageAck(to_server::WebSocketMessageAck { index: 1 });
    hosting.answers(1, of_socket(1, 0), ack.clone());
    let late = hosting.story.machine.stats().late;
    assert_eq!(published(&mut hosting), [publishes(1, of_socket(1, 0), ack)], "{late} late");
}

#[test]
fn an_actor_that_runs_on_without_a_socket_sleeps_so_that_its_next_life_is_given_it() {
    let mut hosting = awake(&[1]);
    hosting.asks(1, of_socket(1, 1), knows()).passes(SILENT);
    assert_eq!(hosting.heard(1), [close_at_runner(1, 1, 1012, "gateway_lost")]);
    hosting.saw();
    hosting.gateway_pings(1, of_socket(1, 0), 7);
    assert_eq!(
        hosting.saw(),
        [answers_ping(1, of_socket(1, 0), 7), publishes(1, of_socket(1, 0), Answer::ResponseAbort)]
    );
    for life in [0, 2, 1, 1] {
        hosting.leaves_behind(1, of_socket(1, 0), life);
        assert_eq!(hosting.heard(1).len(), usize::from(life == 1 && hosting.story.machine.stats().left_behind == 3));
    }
    hosting.tells(1, says("default", 1, stopped(StopCode::Ok)));
    assert_eq!(hosting.actor("default").0, ActorState::Sleeping);
    hosting.wants("default");
    assert_eq!(starts(&hosting.heard(1)), [("default".into(), 2, vec![socket(1)])]);
    hosting.saw();
    hosting.tells(1, vec![event("default", 2, 0, running())]);
    assert_eq!(hosting.saw(), [wakes(1, of_socket(1, 0), 2)]);
    hosting.ends();
}

#[test]
fn an_actor_that_has_a_socket_does_not_sleep_for_it() {
    let mut hosting = awake(&[1]);
    hosting.leaves_behind(1, of_socket(1, 0), 1);
    assert_eq!((hosting.heard(1), hosting.saw()), (vec![], vec![wakes(1, of_socket(1, 0), 1)]));
    hosting.asks(1, of_socket(1, 1), knows()).leaves_behind(1, of_socket(1, 0), 1);
    assert_eq!((hosting.heard(1), hosting.saw()), (vec![], vec![names(1, of_socket(1, 0))]));
    hosting.ends();
}

#[test]
fn what_an_actor_that_starts_is_about_to_be_given_is_not_left_behind() {
    let mut hosting = told_to_start(patient(), &[1]);
    hosting.heard(1);
    hosting.leaves_behind(1, of_socket(1, 0), 1);
    assert_eq!((hosting.heard(1), hosting.saw()), (vec![], vec![]));
    hosting.tells(1, says("default", 0, running()));
    assert_eq!(hosting.saw(), [wakes(1, of_socket(1, 0), 1)]);
    hosting.ends();
}
