//! The bus has lost frames: what is missing is found out, and nobody waits for it.

use std::time::Duration;

use underpass_core::bus::{Address, PublishError};
use underpass_core::directory::{RunnerRecord, RunnerState};
use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::{Body, Message};
use underpass_core::protocol::RequestId;
use underpass_core::protocol::to_gateway::{Came, Counted};
use underpass_core::protocol::tunnel::{to_client, to_server};
use underpass_core::{FailureCode, Machine};
use underpass_tests::given::gateway::{
    Asked, aborts, asks, chunk, chunk_sent, closes, config, credit, doubted, gateway, gateway_with, give_back,
    loses_frames, lost, probed, published_abilities, publishes, publishes_to, request_start_with, whole, zeros,
};
use underpass_tests::given::hibernation;
use underpass_tests::wire::{
    GATEWAY, abilities, connection, message, message_id, open, open_websocket, record, request_start, response_chunk,
    response_start, seen, to_gateway,
};

const INTERVAL: Duration = Duration::from_secs(3);
/// For so long connections are not asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// The usual one, but what may be is sent again.
fn stubborn() -> Config {
    Config { max_tries: 3, ..config() }
}

/// The same, and it pings.
fn pinging() -> Config {
    Config { ping_interval: INTERVAL, pong: 10 * INTERVAL, ..config() }
}

fn text(data: &'static [u8]) -> to_server::Kind {
    to_server::Kind::WebSocketMessage(message(data, false))
}

#[test]
fn what_is_whole_goes_on_and_hears_all_credit_again() {
    let mut story = gateway();
    let posts = story.opens(open("POST", "/", Body::Stream));
    story.expect([publishes(posts, 0, request_start_with("POST", None, true))]);
    let reads = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(reads, 0, response_start(200, None, true)).actions();
    story.hears(reads, 1, response_chunk(&[0; 300_000], false)).actions();
    let told = publishes(reads, 0, to_client::Kind::Credit(credit(300_000)));
    story.input(Event::Consumed { key: reads.key, bytes: 300_000 }).expect([told.clone()]);
    story.input(loses_frames()).expect([asks(1, [(posts, 1), (reads, 1)])]);
    story.input(probed(1, [whole(posts, 0), whole(reads, 2)])).expect([told]);
    let stats = story.machine.stats();
    assert_eq!((stats.losses_told, stats.probes, stats.found_lost, stats.failed), (1, 1, 0, 0));
    for asked in [posts, reads] {
        story.input(Event::ClientGone { key: asked.key }).actions();
    }
    story.ends();
}

#[test]
fn a_client_goes_on_with_credit_of_which_the_word_was_lost() {
    let mut story = gateway_with(config(), abilities(100));
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    story.input(chunk(asked.key, zeros(100), false));
    let pauses = Action::PauseSource { key: asked.key };
    story.expect([publishes(asked, 1, chunk_sent(zeros(100), false)), pauses]);
    story.input(loses_frames()).expect([asks(1, [(asked, 2)])]);
    let granted = Counted { granted: 100, ..whole(asked, 0) };
    story.input(probed(1, [granted])).expect([Action::ResumeSource { key: asked.key }]);
    story.input(Event::ClientGone { key: asked.key }).expect([aborts(asked, 2)]);
    story.ends();
}

#[test]
fn the_lost_last_piece_of_an_answer_breaks_it_off() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(asked, 0, response_start(200, None, true)).actions();
    story.input(loses_frames()).expect([asks(1, [(asked, 1)])]);
    // The runner has said all, and its route is closed.
    story.input(lost(asked)).expect_failed(asked, FailureCode::MessageLost, []);
    story.input(probed(1, [])).ends();
}

#[test]
fn a_lost_piece_behind_which_nothing_comes_breaks_the_answer_off_at_both_ends() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(asked, 0, response_start(200, None, true)).actions();
    story.input(loses_frames()).expect([asks(1, [(asked, 1)])]);
    story.input(probed(1, [whole(asked, 2)]));
    story.expect_failed(asked, FailureCode::MessageLost, [aborts(asked, 1)]);
    assert_eq!(story.machine.stats().found_lost, 1);
    story.ends();
}

#[test]
fn a_lost_message_to_a_client_closes_its_websocket() {
    let mut story = gateway();
    let asked = story.opens_websocket();
    story.input(loses_frames()).expect([asks(1, [(asked, 1)])]);
    story.input(probed(1, [whole(asked, 2)]));
    story.expect_failed(asked, FailureCode::MessageLost, [closes(asked, 1, FailureCode::MessageLost)]);
    story.ends();
}

#[test]
fn a_lost_opening_is_sent_again_if_that_does_no_harm_also_to_the_same_runner() {
    let mut story = gateway_with(stubborn(), abilities(1 << 20));
    let [get, post] = ["GET", "POST"].map(|method| {
        let asked = story.opens(open(method, "/", Body::None));
        story.expect([publishes(asked, 0, request_start(method, "/", None, false))]);
        asked
    });
    story.input(loses_frames()).expect([asks(1, [(get, 1), (post, 1)])]);
    story.input(lost(get));
    let again = Asked { id: story.machine.request_name(get.key).expect("it is open").request_id, ..get };
    assert_ne!(again.id, get.id);
    story.expect([publishes(again, 0, request_start("GET", "/", None, false))]);
    story.input(lost(post)).expect_failed(post, FailureCode::MessageLost, []);
    story.input(probed(1, [])).expect([]);
    assert_eq!(story.machine.stats().sent_again, 1);
    story.hears(again, 0, response_start(200, None, false)).actions();
    story.ends();
}

#[test]
fn of_anybodys_frames_all_connections_are_asked_about_and_of_a_relays_only_its_own() {
    let mut story = gateway();
    let elsewhere =
        underpass_core::bus::ConnectionId { relay: underpass_core::bus::RelayId(uuid::Uuid::nil()), number: 1 };
    let mut there = record(2, abilities(1 << 20), RunnerState::Ready);
    there.connection = Some(elsewhere);
    story.input(Event::Directory(seen("b", there))).expect([]);
    let one = story.opens(open("GET", "/", Body::None));
    story.actions();
    let two = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.input(loses_frames()).expect([asks(1, [(one, 1)])]);
    story.input(probed(1, [whole(one, 0)])).expect([]);
    story.input(Event::Lost { from: Some(Address::Gateway(GATEWAY)) }).expect([]);
    story.input(Event::Lost { from: None }).expect([]);
    story.passes(PAUSE);
    let [first, second] = &story.actions()[..] else { panic!("two connections have requests") };
    assert_eq!(first, &asks(2, [(one, 1)]));
    let Action::Publish(publication) = second else { panic!("{second:?} is no probe") };
    assert_eq!(publication.to, underpass_core::bus::Subject::Connection(elsewhere));
    for asked in [one, two] {
        story.hears(asked, 0, response_start(200, None, false)).actions();
    }
    story.ends();
}

#[test]
fn many_are_asked_about_some_at_a_time_and_those_that_have_ended_not_at_all() {
    let mut story = gateway_with(Config { max_probed: 2, ..config() }, abilities(1 << 20));
    let asked: Vec<Asked> = (0..5)
        .map(|_| {
            let asked = story.opens(open("GET", "/", Body::None));
            story.actions();
            asked
        })
        .collect();
    story.input(loses_frames()).expect([asks(1, [(asked[3], 1), (asked[4], 1)])]);
    // After a while it is to ask about all of them once more, which it does when it is through.
    story.input(loses_frames()).expect([]);
    story.passes(PAUSE).expect([]);
    story.hears(asked[1], 0, response_start(200, None, false)).actions();
    story.input(probed(1, [whole(asked[3], 0), whole(asked[4], 0)])).expect([asks(2, [(asked[2], 1)])]);
    // An answer that comes twice says nothing new.
    story.input(probed(1, [whole(asked[3], 1)])).expect([]);
    story.input(probed(2, [whole(asked[2], 0)])).expect([asks(3, [(asked[0], 1)])]);
    story.input(probed(3, [whole(asked[0], 0)])).expect([asks(4, [(asked[2], 1), (asked[3], 1)])]);
    story.input(probed(4, [])).expect([asks(5, [(asked[0], 1), (asked[4], 1)])]);
    story.input(probed(5, [])).expect([]);
    for index in [0, 2, 3, 4] {
        story.hears(asked[index], 0, response_start(200, None, false)).actions();
    }
    story.ends();
}

#[test]
fn however_fast_frames_are_lost_connections_are_asked_once_in_a_while() {
    let mut story = gateway();
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    story.input(loses_frames()).expect([asks(1, [(asked, 1)])]);
    story.input(probed(1, [whole(asked, 0)])).expect([]);
    for _ in 0..100 {
        story.input(loses_frames()).expect([]);
        story.input(doubted([])).expect([]);
    }
    story.passes_in_silence_until(PAUSE).expect([asks(2, [(asked, 1)])]);
    story.input(probed(2, [whole(asked, 0)])).expect([]);
    // Long after that it asks at once.
    story.passes(PAUSE).expect([]);
    story.input(loses_frames()).expect([asks(3, [(asked, 1)])]);
    story.input(probed(3, [whole(asked, 0)])).expect([]);
    story.input(loses_frames()).expect([]);
    story.input(Event::ClientGone { key: asked.key }).actions();
    story.ends();
}

#[test]
fn a_probe_that_is_not_answered_is_sent_again_with_each_ping() {
    let mut story = gateway_with(pinging(), abilities(1 << 20));
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    story.input(loses_frames()).expect([asks(1, [(asked, 1)])]);
    story.input(give_back(asks(1, [(asked, 1)]), PublishError::Full)).expect([]);
    story.input(chunk(asked.key, zeros(5), false)).actions();
    for _ in 0..2 {
        story.passes(INTERVAL);
        assert_eq!(story.actions().pop(), Some(asks(1, [(asked, 2)])));
    }
    story.input(probed(1, [whole(asked, 0)])).expect([]);
    story.passes(INTERVAL);
    assert_eq!(story.actions().len(), 1, "a ping");
    story.input(Event::ClientGone { key: asked.key }).actions();
    story.ends();
}

#[test]
fn a_relay_that_lost_frames_is_asked_and_told_of_what_has_ended() {
    let mut story = gateway();
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.actions();
    let ended = Asked { id: RequestId([9; 4]), ..asked };
    let abort = |asked: Asked| match publishes_to(1, asked, 0, to_client::Kind::RequestAbort) {
        Action::Publish(mut publication) => {
            publication.reply_to = None;
            Action::Publish(publication)
        }
        other => panic!("{other:?}"),
    };
    story.input(doubted([asked.id, ended.id])).expect([abort(ended), asks(1, [(asked, 1)])]);
    story.input(lost(asked)).expect_failed(asked, FailureCode::MessageLost, []);
    story.input(doubted([])).ends();
}

#[test]
fn what_a_published_runner_has_begun_to_answer_ends_at_once_and_the_rest_is_asked_about() {
    let mut story = gateway_with(stubborn(), published_abilities());
    let waits = story.opens(open("POST", "/", Body::None));
    story.actions();
    let reads = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(reads, 0, response_start(200, None, true)).actions();
    let socket = story.opens_websocket();
    story.input(loses_frames());
    let actions = story.actions();
    let failed: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Failed { key, failure } => Some((*key, failure.code)),
            _ => None,
        })
        .collect();
    assert_eq!(failed, [(reads.key, FailureCode::MessageLost), (socket.key, FailureCode::MessageLost)]);
    assert_eq!(actions.last(), Some(&asks(1, [(waits, 1)])));
    // What the relay has carried is counted, whatever its number.
    story.input(probed(1, [whole(waits, 1)]));
    story.expect_failed(waits, FailureCode::MessageLost, [aborts(waits, 1)]);
    story.ends();
}

#[test]
fn an_answer_to_a_probe_of_a_connection_that_is_gone_says_nothing() {
    let mut story = gateway();
    let asked = story.opens(open("POST", "/", Body::None));
    story.actions();
    story.input(loses_frames()).expect([asks(1, [(asked, 1)])]);
    story.input(Event::NoResponders { to: connection(1) });
    story.expect_failed(asked, FailureCode::RunnerLost, []);
    story.input(probed(1, [whole(asked, 5)])).input(lost(asked)).expect([]);
    story.ends();
}

#[test]
fn what_is_said_of_a_request_elsewhere_or_to_another_gateway_changes_nothing() {
    let mut story = gateway();
    let moved = RunnerRecord { moving: Some(connection(1)), ..record(2, abilities(1 << 20), RunnerState::Ready) };
    let asked = story.opens(open("POST", "/", Body::None));
    story.actions();
    story.input(Event::Directory(seen("a", moved))).expect([]);
    let later = story.opens(open("POST", "/", Body::None));
    story.expect([publishes_to(2, later, 0, request_start("POST", "/", None, false))]);
    story.input(lost(later)).expect([]);
    assert_eq!(story.machine.stats().stale, 1);
    let frame = |gateway| {
        let mut id = message_id(asked.id, 0);
        id.gateway_id = gateway;
        Event::Received { from: None, frame: to_gateway(id, text(b"x")) }
    };
    story.input(frame(underpass_core::protocol::GatewayId([1; 4]))).expect([]);
    for asked in [asked, later] {
        story.hears(asked, 0, response_start(200, None, false)).actions();
    }
    story.ends();
}

#[test]
fn messages_to_an_actor_are_sent_again_from_where_they_got_lost() {
    let (mut story, asked) = hibernation::awake();
    for (number, said) in [(1, "a"), (2, "b"), (3, "c")] {
        story.input(hibernation::says_text(asked, said)).expect([hibernation::text_to(1, asked, number, said)]);
    }
    story.input(doubted([asked.id])).expect([asks(1, [(asked, 4)])]);
    let until = Counted { came: Came::Until(2), ..whole(asked, 1) };
    let again = [(2, "b"), (3, "c")].map(|(number, said)| hibernation::text_to(1, asked, number, said));
    story.input(probed(1, [until])).expect(again);
    assert_eq!((story.machine.stats().resent, story.machine.stats().found_lost), (2, 1));
    story.hears(asked, 1, hibernation::ack(3)).expect([]);
    assert_eq!(story.machine.stats().buffered, 0);
    hibernation::ends(story, asked, 2);
}

#[test]
fn what_the_bus_gives_back_is_asked_about_and_sent_again() {
    for reason in [PublishError::Full, PublishError::Disconnected, PublishError::Unsure] {
        let (mut story, asked) = hibernation::awake_with(Config { max_tries: 3, ..pinging() });
        let said = hibernation::text_to(1, asked, 1, "a");
        story.input(hibernation::says_text(asked, "a")).expect([said.clone()]);
        let ask = asks(1, [(asked, 2)]);
        story.input(give_back(said.clone(), reason)).expect([ask.clone()]);
        // The bus does not take that either: it is asked until it is answered.
        story.input(give_back(ask.clone(), reason)).expect([]);
        story.passes(INTERVAL);
        assert!(story.actions().contains(&ask));
        let until = Counted { came: Came::Until(1), ..whole(asked, 1) };
        story.input(probed(1, [until])).expect([said]);
        story.hears(asked, 1, hibernation::ack(1)).actions();
        assert_eq!((story.machine.stats().buffered, story.machine.stats().failed), (0, 0));
    }
}

#[test]
fn what_the_bus_gives_back_of_a_connection_where_it_was_is_of_no_matter() {
    let (mut story, asked) = hibernation::asleep();
    story.input(hibernation::restored(asked, 1, 4)).actions();
    story.input(hibernation::says_text(asked, "a")).actions();
    for reason in [PublishError::Full, PublishError::Disconnected, PublishError::Unsure, PublishError::TooLarge] {
        story.input(give_back(hibernation::text_to(2, asked, 1, "a"), reason)).expect([]);
    }
    story.hears(asked, 0, hibernation::ack(1)).actions();
    hibernation::ends(story, asked, 1);
}

#[test]
fn a_first_word_that_the_bus_gives_back_is_said_anew() {
    let (mut story, asked) = hibernation::asleep();
    story.input(hibernation::restored(asked, 1, 4)).expect([hibernation::is_here(1, asked)]);
    story.input(give_back(hibernation::is_here(1, asked), PublishError::Full)).expect([asks(1, [(asked, 1)])]);
    let nothing = Counted { came: Came::Nothing, ..whole(asked, 0) };
    story.input(probed(1, [nothing])).expect([hibernation::is_here(1, asked)]);
    hibernation::ends(story, asked, 0);
}

#[test]
fn what_is_sent_again_has_its_whole_time_to_be_acknowledged() {
    let (mut story, asked) = hibernation::awake();
    let ack = Config::default().websocket_ack;
    let moment = Duration::from_micros(1);
    story.input(hibernation::says_text(asked, "a")).actions();
    story.passes(ack - moment).expect([]);
    story.input(doubted([asked.id])).expect([asks(1, [(asked, 2)])]);
    let until = Counted { came: Came::Until(1), ..whole(asked, 1) };
    story.input(probed(1, [until])).expect([hibernation::text_to(1, asked, 1, "a")]);
    story.passes(ack - moment);
    let failed = |action: &Action| matches!(action, Action::Failed { .. });
    assert!(!story.actions().iter().any(failed));
    story.passes(moment);
    assert!(story.actions().iter().any(failed));
    story.input(hibernation::left(asked)).ends();
}

#[test]
fn a_relay_that_waits_for_what_was_acknowledged_is_told_where_it_goes_on() {
    let (mut story, asked) = hibernation::awake();
    for (number, said) in [(1, "a"), (2, "b")] {
        story.input(hibernation::says_text(asked, said)).expect([hibernation::text_to(1, asked, number, said)]);
    }
    story.input(doubted([asked.id])).expect([asks(1, [(asked, 3)])]);
    story.hears(asked, 1, hibernation::ack(1)).expect([]);
    let until = Counted { came: Came::Until(1), ..whole(asked, 1) };
    story.input(probed(1, [until]));
    story.expect([hibernation::is_here_at(1, asked, 2), hibernation::text_to(1, asked, 2, "b")]);
    story.hears(asked, 2, hibernation::ack(2)).expect([]);
    hibernation::ends(story, asked, 3);
}

#[test]
fn credit_is_not_spent_on_what_got_lost() {
    let (mut story, asked) = hibernation::awake();
    // Each of them takes the half of all credit.
    let half = || Message::Binary(zeros(1 << 19));
    for _ in 0..2 {
        story.input(Event::WebSocketMessage { key: asked.key, message: half() }).actions();
    }
    story.input(doubted([asked.id])).actions();
    let until = Counted { came: Came::Until(1), ..whole(asked, 1) };
    story.input(probed(1, [until]));
    let sent = story.actions().into_iter().filter(|action| matches!(action, Action::Publish(_))).count();
    assert_eq!(sent, 2, "both again");
    story.hears(asked, 1, hibernation::ack(2)).actions();
    hibernation::ends(story, asked, 2);
}

#[test]
fn a_number_that_was_never_sent_fails_the_websocket() {
    let (mut story, asked) = hibernation::awake();
    story.input(hibernation::says_text(asked, "a")).actions();
    story.input(doubted([asked.id])).expect([asks(1, [(asked, 2)])]);
    let until = Counted { came: Came::Until(5), ..whole(asked, 1) };
    story.input(probed(1, [until]));
    let failed = story
        .actions()
        .into_iter()
        .any(|action| matches!(action, Action::Failed { failure, .. } if failure.code == FailureCode::MessageLost));
    assert!(failed);
    story.input(hibernation::left(asked)).ends();
}

#[test]
fn a_restored_websocket_of_which_the_first_word_was_lost_says_all_anew() {
    let (mut story, asked) = hibernation::asleep();
    story.input(hibernation::says_text(asked, "a")).actions();
    story.input(hibernation::restored(asked, 1, 4));
    let words = || [hibernation::is_here(1, asked), hibernation::text_to(1, asked, 1, "a")];
    story.expect(words());
    story.input(doubted([])).expect([asks(1, [(asked, 2)])]);
    let nothing = Counted { came: Came::Nothing, ..whole(asked, 0) };
    story.input(probed(1, [nothing])).expect(words());
    story.hears(asked, 0, hibernation::ack(1)).actions();
    assert_eq!(story.machine.stats().buffered, 0);
}

#[test]
fn a_lost_word_that_would_wake_a_websocket_is_asked_for() {
    let (mut story, asked) = hibernation::asleep();
    // The actor may run anywhere.
    story.input(loses_frames());
    assert_eq!(story.actions()[..1], [asks(1, [])]);
    assert_eq!(story.machine.stats().probes, 2);
    story.input(probed(1, [])).input(hibernation::restored(asked, 1, 4)).expect([hibernation::is_here(1, asked)]);
    hibernation::ends(story, asked, 0);
}

#[test]
fn a_message_of_an_actor_that_got_lost_ends_also_a_websocket_that_can_hibernate() {
    let (mut story, asked) = hibernation::awake();
    story.input(loses_frames()).expect([asks(1, [(asked, 1)])]);
    story.input(probed(1, [whole(asked, 2)]));
    let actions = story.actions();
    assert_eq!(actions[0], closes(asked, 1, FailureCode::MessageLost));
    assert!(matches!(&actions[1], Action::Failed { failure, .. } if failure.code == FailureCode::MessageLost));
    story.input(hibernation::left(asked)).ends();
}

#[test]
fn a_websocket_that_is_not_open_yet_is_asked_for_again() {
    let mut story = gateway_with(stubborn(), abilities(1 << 20));
    let asked = story.opens(open_websocket("/"));
    story.actions();
    story.input(loses_frames()).expect([asks(1, [(asked, 1)])]);
    story.input(lost(asked)).actions();
    let again = Asked { id: story.machine.request_name(asked.key).expect("it is open").request_id, ..asked };
    assert_ne!(again.id, asked.id);
    story.input(Event::ClientGone { key: asked.key }).actions();
    story.ends();
}
