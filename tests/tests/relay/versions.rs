//! Runners of every published version at one relay.

use std::time::Duration;

use underpass_core::Machine;
use underpass_core::protocol::to_gateway::RefusedReason;
use underpass_core::protocol::tunnel::to_client::Kind as Piece;
use underpass_core::protocol::tunnel::to_server::{Kind as Answer, WebSocketOpen};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, to_client};
use underpass_core::protocol::{MessageId, RequestId, ToClient, Version};
use underpass_core::relay::{Action, Config, Notice};
use underpass_tests::given::hosting::{Heard, Hosting, hosting, hosting_with, init};
use underpass_tests::given::relay::{calm, closes, publishes, refuses, start, tells, websocket_open};
use underpass_tests::wire::{message, message_id, response_start};

const KEYS: [&str; 7] = ["r1", "r2", "r3", "r4", "r5", "r6", "r7"];

/// One runner of each version, on the connection of its number. On each runs one actor: whose, by connection.
fn one_of_each() -> (Hosting, Vec<(u64, Version, &'static str)>) {
    let mut hosting = hosting();
    let mut actors = Vec::new();
    // Each comes alone, so that it is the one with room.
    for ((version, key), actor) in Version::ALL.into_iter().zip(KEYS).zip(["a1", "a2", "a3", "a4", "a5", "a6", "a7"]) {
        let number = u64::from(version.number());
        hosting.connects(number, key, version).says(number, init(1)).pongs(number);
        hosting.heard(number);
        hosting.runs(number, actor);
        actors.push((number, version, actor));
    }
    hosting.saw();
    (hosting, actors)
}

fn to_actor(kind: Piece, actor_id: &'static str) -> Piece {
    match kind {
        Piece::RequestStart(mut start) => {
            start.actor_id = actor_id.into();
            Piece::RequestStart(start)
        }
        Piece::WebSocketOpen(mut open) => {
            open.actor_id = actor_id.into();
            Piece::WebSocketOpen(open)
        }
        other => panic!("{other:?} opens nothing"),
    }
}

fn piece(id: MessageId, kind: Piece) -> Heard {
    Heard::Message(ToClient::TunnelMessage(ToClientTunnelMessage { message_id: id, message_kind: kind }))
}

/// What a runner hears besides its requests: versions 1 and 2 wait for an acknowledgement of each of their messages.
fn acknowledgements(version: Version, count: usize) -> Vec<Heard> {
    vec![Heard::TunnelAck; if version <= Version::V2 { count } else { 0 }]
}

/// An edge of versions 1 and 2 remembers as many requests as may be open (seed 4535 of the simulator, of its time).
#[test]
fn a_request_too_many_comes_back_whatever_the_runner_speaks() {
    for version in Version::ALL {
        let mut hosting = hosting_with(Config { max_routes_per_connection: 1, ..calm() });
        hosting.connects(1, "r1", version).says(1, init(1)).pongs(1);
        hosting.heard(1);
        hosting.runs(1, "a1");
        hosting.saw();
        let request = |number: u8| message_id(RequestId([number; 4]), 0);
        for number in [1, 2] {
            hosting.asks(1, request(number), to_actor(start(None), "a1"));
        }
        assert_eq!(hosting.saw(), [refuses(1, request(2), RefusedReason::Full)], "{version}");
        assert_eq!(hosting.heard(1), [piece(request(1), to_actor(start(None), "a1"))], "{version}");
        hosting.ends();
    }
}

#[test]
fn http_and_websockets_go_through_runners_of_all_versions_at_once() {
    let (mut hosting, actors) = one_of_each();
    let request = |number: u64, index: u16| message_id(RequestId([number as u8; 4]), index);
    let socket = |number: u64, index: u16| message_id(RequestId([100 + number as u8; 4]), index);
    for &(number, _, actor) in &actors {
        hosting.asks(number, request(number, 0), to_actor(start(None), actor));
        hosting.asks(number, socket(number, 0), to_actor(websocket_open(), actor));
        hosting.asks(
            number,
            socket(number, 1),
            Piece::WebSocketMessage(to_client::WebSocketMessage { data: "ping".into(), binary: false }),
        );
    }
    for &(number, version, actor) in &actors {
        let heard = hosting.heard(number);
        assert_eq!(heard[0], piece(request(number, 0), to_actor(start(None), actor)), "{version}");
        assert_eq!(heard[1], piece(socket(number, 0), to_actor(websocket_open(), actor)), "{version}");
        assert_eq!(heard.len(), 3, "{version}");
        let opened = Answer::WebSocketOpen(WebSocketOpen { can_hibernate: false });
        let echo = Answer::WebSocketMessage(message(b"pong", false));
        let answer = response_start(200, Some(b"answer"), false);
        hosting.answers(number, socket(number, 0), opened.clone());
        hosting.answers(number, socket(number, 1), echo.clone());
        hosting.answers(number, request(number, 0), answer.clone());
        let published = [
            publishes(number, socket(number, 0), opened),
            publishes(number, socket(number, 1), echo),
            publishes(number, request(number, 0), answer),
        ];
        assert_eq!(hosting.saw(), published, "{version}");
        assert_eq!(hosting.heard(number), acknowledgements(version, 3), "{version}");
    }
    assert_eq!(hosting.story.machine.stats().routes, 7);
    hosting.ends();
}

#[test]
fn a_request_of_twenty_seconds_goes_through_a_runner_of_version_2() {
    let mut hosting = hosting_with(Config::default());
    hosting.takes_in(2, "a", Version::V2).runs(2, "default");
    hosting.saw();
    let id = message_id(RequestId([5; 4]), 0);
    hosting.asks(2, id, websocket_open());
    hosting.answers(2, id, Answer::WebSocketOpen(WebSocketOpen { can_hibernate: false }));
    let heard = hosting.heard(2);
    assert!(heard.contains(&Heard::TunnelAck), "at once: {heard:?}");
    for second in 0..20 {
        hosting.passes(Duration::from_secs(1));
        if hosting.heard(2).contains(&Heard::Ping) {
            hosting.pongs(2);
        }
        assert_eq!(hosting.story.machine.stats().routes, 1, "after {second} s");
    }
    assert_eq!(hosting.story.machine.stats().timeouts.pong, 0);
    hosting.ends();
}

#[test]
fn an_old_runner_whose_socket_does_not_answer_pings_is_dropped() {
    let mut hosting = hosting_with(Config::default());
    hosting.takes_in(3, "a", Version::V3);
    hosting.passes(Duration::from_secs(15));
    let saw = hosting.saw();
    assert!(saw.ends_with(&[tells(3, Notice::PongTimeout), closes(3, 1011, "relay.pong_timeout")]), "{saw:?}");
    hosting.ends();
}

#[test]
fn acknowledgements_of_old_runners_are_counted_and_told_of_once() {
    let mut hosting = hosting();
    hosting.takes_in(3, "a", Version::V3);
    let deprecated = underpass_tests::vectors::bytes("06a1a2a3a4b1b2b3b4000000");
    for _ in 0..3 {
        hosting.input(underpass_core::relay::Event::FromRunner { connection: 3, frame: deprecated.clone() });
    }
    assert_eq!(hosting.saw(), [tells(3, Notice::AcknowledgementIgnored)]);
    assert_eq!(hosting.story.machine.stats().tunnel_ack_ignored, 3);
    hosting.ends();
}

#[test]
fn behind_what_waits_for_an_outbox_a_ping_waits_too() {
    use underpass_core::relay::Event;

    let mut hosting = hosting_with(Config::default());
    hosting.takes_in(1, "a", Version::V1);
    hosting.input(Event::PeerBlocked { connection: 1 }).passes(Duration::from_secs(3));
    assert_eq!(hosting.heard(1), []);
    hosting.input(Event::PeerWritable { connection: 1 });
    assert_eq!(hosting.saw(), [Action::Ping { connection: 1 }]);
    hosting.ends();
}
