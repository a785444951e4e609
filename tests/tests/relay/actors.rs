//! Actors with state: their relay starts them, opens routes to those that run, and ends their routes before they stop.

use std::time::Duration;

use underpass_core::directory::ActorState;
use underpass_core::http::Close;
use underpass_core::protocol::to_client::Command;
use underpass_core::protocol::to_gateway::RefusedReason;
use underpass_core::protocol::to_server::StopCode;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::{Kind as Answer, WebSocketClose};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, to_server};
use underpass_core::protocol::{MessageId, RequestId, ToClient, ToServer, Version};
use underpass_core::relay::{Action, Config, Event, Notice, PoolKind};
use underpass_core::{Frame, Machine, supervisor};
use underpass_tests::given::hosting::{Heard, Hosting, hosting, hosting_with, init, says};
use underpass_tests::given::relay::{
    METADATA, calm, closes, init as init_of_underpass, of_request, publishes, refuses, start, tells, tells_of_end,
    websocket_open,
};
use underpass_tests::given::supervisor::{event, running, sleeps, stopped};
use underpass_tests::wire::{message, message_id, request_chunk, request_start, response_start};

/// A runner of the newest version on connection 1, on which the actor `default` runs.
fn with_actor() -> Hosting {
    let mut hosting = hosting();
    hosting.takes_in(1, "a", Version::V7).runs(1, "default");
    hosting.saw();
    hosting
}

fn piece(id: MessageId, kind: Piece) -> Heard {
    Heard::Message(ToClient::TunnelMessage(ToClientTunnelMessage { message_id: id, message_kind: kind }))
}

/// The commands in what was heard: for whom, of which life, and whether to start.
fn commands(heard: &[Heard]) -> Vec<(String, u32, bool)> {
    let of = |heard: &Heard| match heard {
        Heard::Message(ToClient::Commands(commands)) => commands.clone(),
        _ => Vec::new(),
    };
    let short = |command: underpass_core::protocol::to_client::CommandWrapper| {
        let start = matches!(command.inner, Command::StartActor(_));
        (command.checkpoint.actor_id.to_string(), command.checkpoint.generation, start)
    };
    heard.iter().flat_map(of).map(short).collect()
}

fn socket() -> MessageId {
    message_id(RequestId([9; 4]), 0)
}

fn socket_hibernates(message_index: u16) -> Action {
    let close = WebSocketClose { code: Some(1001), reason: Some("actor.stopped".into()), hibernate: true };
    publishes(1, MessageId { message_index, ..socket() }, Answer::WebSocketClose(close))
}

#[test]
fn an_actor_that_is_wanted_is_started_and_takes_requests_when_it_runs() {
    let mut hosting = hosting();
    hosting.takes_in(1, "a", Version::V7);
    hosting.asks(1, of_request(0), start(None));
    let refused = refuses(1, of_request(0), RefusedReason::Draining);
    assert_eq!(hosting.saw(), std::slice::from_ref(&refused), "nobody asked for the actor");
    hosting.wants("default");
    assert_eq!(commands(&hosting.heard(1)), [("default".into(), 1, true)]);
    let other = message_id(RequestId([8; 4]), 0);
    hosting.asks(1, other, start(None));
    assert_eq!(hosting.saw(), [refuses(1, other, RefusedReason::Draining)], "it has not started");
    hosting.tells(1, says("default", 0, running()));
    hosting.asks(1, socket(), start(None));
    assert_eq!(hosting.heard(1), [piece(socket(), start(None))]);
    let answer = response_start(200, None, false);
    hosting.answers(1, socket(), answer.clone());
    assert_eq!(hosting.saw(), [publishes(1, socket(), answer)]);
    hosting.ends();
}

#[test]
fn an_actor_that_would_sleep_finishes_its_exchanges_then_its_sockets_hibernate_and_then_it_stops() {
    let mut hosting = with_actor();
    hosting.asks(1, of_request(0), start(None)).asks(1, socket(), websocket_open());
    hosting.answers(1, socket(), Answer::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: true }));
    hosting.heard(1);
    hosting.saw();
    hosting.tells(1, says("default", 1, sleeps()));
    assert!(matches!(hosting.actor("default").0, ActorState::Stopping(_)));
    let late = message_id(RequestId([7; 4]), 0);
    hosting.asks(1, late, start(None));
    assert_eq!(hosting.saw(), [refuses(1, late, RefusedReason::Draining)]);
    assert_eq!(hosting.heard(1), []);
    let answer = response_start(200, None, false);
    hosting.answers(1, of_request(0), answer.clone());
    assert_eq!(hosting.saw(), [publishes(1, of_request(0), answer), socket_hibernates(1)]);
    assert_eq!(commands(&hosting.heard(1)), [("default".into(), 1, false)]);
    // What its socket says from now on is late.
    hosting.answers(1, MessageId { message_index: 1, ..socket() }, Answer::WebSocketMessage(message(b"x", true)));
    assert_eq!((hosting.saw(), hosting.story.machine.stats().late), (vec![], 1));
    hosting.tells(1, says("default", 2, stopped(StopCode::Error)));
    assert_eq!(hosting.actor("default"), (ActorState::Sleeping, 1));
    hosting.wants("default");
    assert_eq!(commands(&hosting.heard(1)), [("default".into(), 2, true)]);
    hosting.ends();
}

#[test]
fn an_actor_that_crashes_has_its_requests_aborted_before_its_record_changes() {
    let mut hosting = with_actor();
    hosting.asks(1, of_request(0), start(None)).asks(1, socket(), websocket_open());
    hosting.heard(1);
    hosting.tells(1, says("default", 1, stopped(StopCode::Error)));
    let saw = hosting.saw();
    let (told, ends): (Vec<_>, Vec<_>) = saw.into_iter().partition(|action| matches!(action, Action::LogActors(_)));
    assert_eq!((told.len(), ends), (1, vec![publishes(1, of_request(0), Answer::ResponseAbort), socket_hibernates(0)]));
    assert_eq!(hosting.heard(1), [piece(MessageId { message_index: 1, ..of_request(0) }, Piece::RequestAbort)]);
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.routes, stats.ends.actor_stopped), (0, 2));
    assert_eq!(hosting.actor("default").1, 1);
    hosting.ends();
}

#[test]
fn a_runner_that_says_goodbye_finishes_what_is_open_and_is_then_told_to_stop_its_actors() {
    let mut hosting = with_actor();
    hosting.asks(1, of_request(0), start(None));
    hosting.heard(1);
    hosting.says(1, ToServer::Stopping);
    assert_eq!(hosting.heard(1), []);
    let answer = response_start(200, None, false);
    hosting.answers(1, of_request(0), answer.clone());
    assert_eq!(hosting.saw(), [publishes(1, of_request(0), answer)]);
    assert_eq!(commands(&hosting.heard(1)), [("default".into(), 1, false)]);
    hosting.tells(1, says("default", 1, stopped(StopCode::Ok)));
    hosting.cuts(1);
    assert_eq!(hosting.runners().count(), 0, "after a goodbye nothing is left of a runner");
    hosting.ends();
}

#[test]
fn a_connection_that_breaks_and_comes_back_starts_no_actor_twice() {
    let mut hosting = with_actor();
    hosting.asks(1, of_request(0), start(None));
    hosting.heard(1);
    hosting.cuts(1);
    assert_eq!(hosting.saw(), [tells_of_end(1, of_request(0))]);
    let id = hosting.runners().next().expect("it is away").id;
    hosting.connects(2, "a", Version::V7).says(2, init(10));
    // It says at once what it has said before, also before it was greeted.
    hosting.tells(2, says("default", 0, running()));
    hosting.pongs(2);
    assert_eq!(commands(&hosting.heard(2)), []);
    assert_eq!(hosting.runners().map(|record| record.id).collect::<Vec<_>>(), [id]);
    hosting.asks(2, socket(), start(None));
    assert_eq!(hosting.heard(2), [piece(socket(), start(None))]);
    hosting.ends();
}

#[test]
fn another_connection_of_the_same_runner_evicts_the_first_and_keeps_its_actors() {
    let mut hosting = with_actor();
    hosting.connects(2, "a", Version::V7).says(2, init(10));
    let saw = hosting.saw();
    assert_eq!(saw, [tells(1, Notice::TakenOver), closes(1, 1000, "ws.eviction#taken_over")]);
    hosting.tells(2, says("default", 0, running())).pongs(2);
    hosting.heard(2);
    hosting.cuts(1);
    hosting.asks(2, of_request(0), start(None));
    assert_eq!(hosting.heard(2), [piece(of_request(0), start(None))]);
    hosting.ends();
}

#[test]
fn nothing_of_a_strangers_answer_reaches_the_client_and_the_true_answer_does() {
    let mut hosting = with_actor();
    hosting.takes_in(2, "stranger", Version::V7);
    hosting.asks(1, of_request(0), start(None)).asks(1, socket(), websocket_open());
    hosting.saw();
    for (id, kind) in [
        (of_request(0), response_start(200, None, false)),
        (socket(), Answer::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: false })),
        (socket(), Answer::WebSocketMessage(message(b"false", true))),
        (of_request(0), Answer::ResponseAbort),
    ] {
        hosting.answers(2, id, kind);
    }
    assert_eq!((hosting.saw(), hosting.story.machine.stats().unrouted), (vec![], 4));
    hosting.passes(Duration::from_secs(1));
    let answer = response_start(200, Some(b"true"), false);
    hosting.answers(1, of_request(0), answer.clone());
    assert_eq!(hosting.saw(), [publishes(1, of_request(0), answer)]);
    hosting.ends();
}

#[test]
fn a_runner_that_stays_away_is_followed_by_another() {
    let mut hosting = with_actor();
    hosting.takes_in(2, "b", Version::V7);
    hosting.cuts(1);
    hosting.passes(Duration::from_secs(10)).pongs(2).passes(Duration::from_secs(9));
    assert_eq!(commands(&hosting.heard(2)), []);
    hosting.pongs(2).passes(Duration::from_secs(2)).pongs(2);
    assert_eq!(commands(&hosting.heard(2)), [("default".into(), 2, true)]);
    hosting.ends();
}

#[test]
fn a_published_runner_gets_whole_bodies_only() {
    let mut hosting = with_actor();
    hosting.asks(1, of_request(0), request_start("POST", "/", None, true));
    assert_eq!(hosting.heard(1), []);
    assert_eq!(hosting.saw(), [publishes(1, of_request(0), Answer::ResponseAbort)]);
    hosting.asks(1, of_request(1), request_chunk(b"x", true));
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.malformed, stats.late, stats.routes), (1, 1, 0));
    hosting.ends();
}

#[test]
fn to_a_runner_of_the_published_protocol_private_kinds_are_malformed() {
    let mut hosting = with_actor();
    hosting.asks(1, of_request(0), start(None));
    hosting.heard(1);
    hosting.asks(1, of_request(1), Piece::Credit(underpass_tests::given::gateway::credit(1)));
    assert_eq!((hosting.heard(1), hosting.story.machine.stats().malformed), (vec![], 1));
    hosting.ends();
}

#[test]
fn a_published_runner_takes_nothing_new_of_a_relay_that_drains_and_has_eight_seconds_for_what_is_open() {
    let mut hosting = with_actor();
    let ids = [1, 2].map(|request: u8| message_id(RequestId([request; 4]), 0));
    hosting.asks(1, ids[0], start(None)).asks(1, ids[1], websocket_open());
    hosting.heard(1);
    hosting.input(Event::Drain);
    hosting.asks(1, of_request(0), start(None));
    assert_eq!(hosting.saw(), [refuses(1, of_request(0), RefusedReason::Draining)]);
    hosting.passes(Duration::from_secs(8) - Duration::from_micros(1));
    assert_eq!((hosting.heard(1), hosting.saw()), (vec![], vec![]));
    hosting.passes(Duration::from_micros(1));
    let draining = closes(1, 1001, "relay.draining");
    let aborts = ids.map(|id| publishes(1, id, Answer::ResponseAbort));
    assert_eq!(hosting.saw(), [&aborts[..], &[draining]].concat());
    let [first, second] = ids.map(|id| MessageId { message_index: 1, ..id });
    let close = Piece::WebSocketClose(Close::new(1001, "draining").into_wire());
    assert_eq!(hosting.heard(1), [piece(first, Piece::RequestAbort), piece(second, close)]);
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.ends.draining, stats.timeouts.drain_published, stats.timeouts.drain_limit), (2, 1, 0));
    hosting.cuts(1);
    assert_eq!(hosting.saw(), [Action::Drained]);
    hosting.ends();
}

#[test]
fn a_published_runner_that_drains_alone_has_eight_seconds_for_what_is_open() {
    let mut hosting = with_actor();
    let id = message_id(RequestId([1; 4]), 0);
    hosting.asks(1, id, start(None));
    hosting.heard(1);
    hosting.input(Event::DrainRunner { connection: 1 });
    hosting.asks(1, of_request(0), start(None));
    assert_eq!(hosting.saw(), [refuses(1, of_request(0), RefusedReason::Draining)]);
    hosting.passes(Duration::from_secs(8) - Duration::from_micros(1));
    assert_eq!((hosting.heard(1), hosting.saw()), (vec![], vec![]));
    hosting.passes(Duration::from_micros(1));
    assert_eq!(hosting.saw(), [publishes(1, id, Answer::ResponseAbort), closes(1, 1001, "relay.draining")]);
    assert_eq!(hosting.story.machine.stats().timeouts.drain_published, 1);
    hosting.heard(1);
    hosting.cuts(1);
    hosting.ends();
}

#[test]
fn a_relay_that_drains_leaves_a_runner_that_said_goodbye_the_time_to_stop_its_actors() {
    let mut hosting = with_actor();
    hosting.asks(1, of_request(0), start(None));
    hosting.says(1, ToServer::Stopping).input(Event::Drain).passes(Duration::from_secs(2));
    hosting.saw();
    let answer = response_start(200, None, false);
    hosting.answers(1, of_request(0), answer.clone());
    assert_eq!(hosting.saw(), [publishes(1, of_request(0), answer)]);
    let (state, generation) = hosting.actor("default");
    assert!(matches!(state, ActorState::Stopping(_)), "{state:?}");
    hosting.tells(1, vec![event("default", generation, 9, stopped(StopCode::Ok))]);
    hosting.cuts(1);
    assert_eq!(hosting.saw(), [Action::Drained]);
    hosting.ends();
}

#[test]
fn what_is_open_with_one_that_said_goodbye_ends_all_the_same_and_it_is_looked_at_again() {
    let mut hosting = with_actor();
    hosting.asks(1, of_request(0), start(None));
    hosting.says(1, ToServer::Stopping).input(Event::Drain).passes(Duration::from_secs(8));
    assert_eq!(hosting.saw(), [publishes(1, of_request(0), Answer::ResponseAbort)]);
    assert_eq!(commands(&hosting.heard(1)), [("default".into(), 1, false)]);
    hosting.tells(1, says("default", 1, stopped(StopCode::Ok))).pongs(1);
    hosting.passes(Duration::from_secs(8) - Duration::from_micros(1));
    assert_eq!((hosting.saw(), hosting.story.machine.stats().timeouts.drain_published), (vec![], 0));
    hosting.passes(Duration::from_micros(1));
    assert_eq!(hosting.saw(), [closes(1, 1001, "relay.draining")]);
    assert_eq!(hosting.story.machine.stats().timeouts.drain_published, 1);
    hosting.cuts(1);
    assert_eq!(hosting.saw(), [Action::Drained]);
    hosting.ends();
}

#[test]
fn a_published_runner_that_is_done_is_closed_before() {
    let mut hosting = with_actor();
    hosting.asks(1, of_request(0), start(None));
    hosting.input(Event::Drain).passes(Duration::from_secs(2));
    hosting.saw();
    let answer = response_start(200, None, false);
    hosting.answers(1, of_request(0), answer.clone());
    assert_eq!(hosting.saw(), [publishes(1, of_request(0), answer), closes(1, 1001, "relay.draining")]);
    hosting.cuts(1);
    assert_eq!(hosting.saw(), [Action::Drained]);
    hosting.ends();
}

#[test]
fn a_pool_is_of_one_kind() {
    let mut hosting = hosting();
    hosting.takes_in(1, "a", Version::V7);
    hosting.story.connects(2, "b").expect([]);
    hosting.story.says(2, init_of_underpass(Some(METADATA)));
    let notice = Notice::OtherKind { mine: PoolKind::Stateless, theirs: PoolKind::WithState };
    let reason = "relay.other_kind: the actors of this runner are without state, those of its pool are with state";
    hosting.story.expect([tells(2, notice), closes(2, 1008, reason)]);
    hosting.input(Event::Disconnected { connection: 2 });
    // Once the others have gone it is welcome.
    hosting.says(1, ToServer::Stopping).cuts(1);
    hosting.story.connects(3, "b").expect([]);
    hosting.story.says(3, init_of_underpass(Some(METADATA))).expect_change(3);
    hosting.input(Event::Disconnected { connection: 3 });
    let stats = hosting.story.machine.stats();
    assert_eq!((stats.other_kind, stats.connections), (1, 0));
}

#[test]
fn events_of_actors_that_a_runner_does_not_host_are_counted_and_the_actors_are_stopped() {
    let mut hosting = with_actor();
    hosting.tells(1, vec![event("stranger", 3, 0, running())]);
    assert_eq!(hosting.story.machine.stats().supervisor.foreign_events, 1);
    hosting.passes(Duration::from_secs(5)).pongs(1);
    assert_eq!(commands(&hosting.heard(1)), [("stranger".into(), 3, false)]);
    hosting.ends();
}

#[test]
fn an_actor_for_which_a_relay_has_no_room_takes_no_requests_until_another_sleeps() {
    let supervisor = supervisor::Config { max_actors: 1, ..supervisor::Config::default() };
    let mut hosting = hosting_with(Config { supervisor, ..calm() });
    hosting.takes_in(1, "a", Version::V7).runs(1, "other");
    hosting.wants("default");
    hosting.saw();
    // Its gateway waits as long as it does for any start, and is told at once if it tries.
    hosting.asks(1, of_request(0), start(None));
    assert_eq!(hosting.saw(), [refuses(1, of_request(0), RefusedReason::Draining)]);
    assert_eq!((hosting.actor("default").0, commands(&hosting.heard(1))), (ActorState::Wanted, vec![]));
    hosting.tells(1, says("other", 1, sleeps())).tells(1, says("other", 2, stopped(StopCode::Ok)));
    hosting.heard(1);
    hosting.passes(Duration::from_secs(5));
    assert_eq!(commands(&hosting.heard(1)), [("default".into(), 1, true)]);
    hosting.tells(1, says("default", 0, running()));
    hosting.asks(1, socket(), start(None));
    assert_eq!(hosting.heard(1), [piece(socket(), start(None))]);
    hosting.ends();
}

#[test]
fn what_a_runner_says_of_actors_with_too_long_ids_is_dropped() {
    let mut hosting = with_actor();
    let actor_id = "a".repeat(513);
    hosting.tells(1, vec![event(&actor_id, 1, 0, running()), event("default", 1, 1, running())]);
    let stats = hosting.story.machine.stats().supervisor;
    assert_eq!((stats.foreign_events, stats.events, stats.strays_stopped), (1, 2, 0));
    hosting.passes(Duration::from_secs(6)).pongs(1);
    assert_eq!(hosting.story.machine.stats().supervisor.strays_stopped, 0, "nobody keeps it in mind");
    hosting.ends();
}

#[test]
fn what_comes_over_the_bus_commands_no_runner() {
    let mut hosting = with_actor();
    let frame = underpass_core::protocol::ToRunner::Commands(Vec::new()).encode_framed();
    hosting.input(Event::FromBus { connection: 1, frame });
    assert_eq!((hosting.heard(1), hosting.story.machine.stats().unrouted), (vec![], 1));
    hosting.ends();
}

#[test]
fn a_text_message_closes_its_connection() {
    let mut hosting = with_actor();
    hosting.input(Event::TextFromRunner { connection: 1 });
    let reason = "relay.text: the runner protocol has no text messages";
    assert_eq!(hosting.saw(), [tells(1, Notice::Text), closes(1, 1003, reason)]);
    hosting.ends();
}

#[test]
fn frames_of_a_runner_that_was_told_to_go_are_nothing() {
    let mut hosting = hosting_with(Config { max_frame: 100, ..calm() });
    hosting.takes_in(1, "a", Version::V7);
    hosting.input(Event::TextFromRunner { connection: 1 });
    hosting.saw();
    for frame in [Frame::from(bytes::Bytes::from(vec![0; 101])), ToServer::Stopping.encode()] {
        hosting.input(Event::FromRunner { connection: 1, frame: frame.into_bytes() });
    }
    hosting.input(Event::TextFromRunner { connection: 1 });
    assert_eq!(hosting.saw(), []);
    hosting.ends();
}
