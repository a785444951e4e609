//! Runners of versions 1 and 2: they drop a request of which a message of theirs stays unacknowledged, and name requests
//! by UUIDs that anybody can copy.

use std::collections::BTreeMap;
use std::time::Duration;

use underpass_core::protocol::any::{self, Message};
use underpass_core::protocol::tunnel::to_server::{Kind as Answer, ResponseChunk, WebSocketOpen};
use underpass_core::protocol::tunnel::{ToServerTunnelMessage, to_client};
use underpass_core::protocol::v2::Uuid;
use underpass_core::protocol::{Memory, MessageId, RequestId, ToServer, Version, v1, v2};
use underpass_core::relay::Config;
use underpass_core::{Machine, Time};
use underpass_tests::given::hosting::{Hosting, hosting_with};
use underpass_tests::given::relay::{publishes, start, websocket_open};
use underpass_tests::wire::{message_id, response_chunk, response_start};

const OLD: [Version; 2] = [Version::V1, Version::V2];

/// How long such a runner waits for an acknowledgement.
const PATIENCE: Duration = Duration::from_secs(5);

/// A runner on connection 1 that does as those of versions 1 and 2 do.
struct OldRunner {
    version: Version,
    memory: Memory,
    /// The requests that it has not dropped, and since when each message of theirs is unacknowledged.
    requests: BTreeMap<[u8; 16], BTreeMap<[u8; 16], Time>>,
    messages: u8,
}

impl OldRunner {
    fn taken_in(hosting: &mut Hosting, version: Version) -> Self {
        hosting.takes_in(1, "a", version).runs(1, "default");
        hosting.saw();
        hosting.was_sent(1);
        OldRunner { version, memory: Memory::stand_alone(), requests: BTreeMap::new(), messages: 0 }
    }

    /// Reads what came. Each message of a request is acknowledged; what is acknowledged is forgotten.
    fn reads(&mut self, hosting: &mut Hosting) {
        for message in hosting.was_sent(1) {
            let Some(Tunnel { request, message, is_acknowledgement }) = tunnel(&message) else { continue };
            if is_acknowledgement {
                let waiting = self.requests.get_mut(&request.0).expect("it has that request");
                assert!(waiting.remove(&message.0).is_some(), "{message:?} was not waiting");
            } else {
                self.requests.entry(request.0).or_default();
                hosting.sends(1, &acknowledgement(self.version, request, message));
            }
        }
    }

    /// Sends a piece of an answer, if it has not dropped the request.
    fn answers(&mut self, hosting: &mut Hosting, id: MessageId, kind: Answer) {
        let request = Uuid::of_request(id.gateway_id, id.request_id);
        let now = hosting.story.now();
        let Some(waiting) = self.requests.get_mut(&request.0) else { return };
        self.messages += 1;
        let message = Uuid([self.messages; 16]);
        waiting.insert(message.0, now);
        let mut said = in_words_of(self.version, &mut self.memory, id, kind);
        named(&mut said, message);
        hosting.sends(1, &said);
    }

    /// A second passes: it reads, answers its socket's pings, and drops what has waited for too long.
    fn lives_for_a_second(&mut self, hosting: &mut Hosting) {
        self.reads(hosting);
        hosting.passes(Duration::from_secs(1)).pongs(1);
        let now = hosting.story.now();
        self.requests.retain(|_, waiting| waiting.values().all(|since| now.since(*since) < PATIENCE));
    }
}

struct Tunnel {
    request: Uuid,
    message: Uuid,
    is_acknowledgement: bool,
}

fn tunnel(message: &Message) -> Option<Tunnel> {
    let (request, message, is_acknowledgement) = match message {
        Message::ToClient(any::ToClient::V1(v1::ToClient::TunnelMessage(it))) => {
            (it.request_id, it.message_id, it.message_kind == v1::ToClientKind::TunnelAck)
        }
        Message::ToClient(any::ToClient::V2(v2::ToClient::TunnelMessage(it))) => {
            (it.request_id, it.message_id, it.message_kind == v2::ToClientKind::TunnelAck)
        }
        _ => return None,
    };
    Some(Tunnel { request, message, is_acknowledgement })
}

fn in_words_of(version: Version, memory: &mut Memory, id: MessageId, kind: Answer) -> Message {
    let message = ToServer::TunnelMessage(ToServerTunnelMessage { message_id: id, message_kind: kind });
    let message = Message::ToServer(any::ToServer::V7(message));
    message.translate(version, memory).expect("it has words for it")
}

/// The runner gives its messages ids of its own.
fn named(message: &mut Message, id: Uuid) {
    match message {
        Message::ToServer(any::ToServer::V1(v1::ToServer::TunnelMessage(it))) => it.message_id = id,
        Message::ToServer(any::ToServer::V2(v2::ToServer::TunnelMessage(it))) => it.message_id = id,
        other => panic!("{other:?} is no tunnel message"),
    }
}

fn acknowledgement(version: Version, request_id: Uuid, message_id: Uuid) -> Message {
    if version == Version::V1 {
        let message_kind = v1::ToServerKind::TunnelAck;
        let message = v1::ToServerTunnelMessage { request_id, message_id, message_kind };
        return Message::ToServer(any::ToServer::V1(v1::ToServer::TunnelMessage(message)));
    }
    let message_kind = v2::ToServerKind::TunnelAck;
    let message = v2::ToServerTunnelMessage { request_id, message_id, message_kind };
    Message::ToServer(any::ToServer::V2(v2::ToServer::TunnelMessage(message)))
}

#[test]
fn a_request_of_twenty_seconds_is_answered_by_a_runner_that_drops_what_goes_unacknowledged() {
    for version in OLD {
        let mut hosting = hosting_with(Config::default());
        let mut runner = OldRunner::taken_in(&mut hosting, version);
        let [whole, begun] = [[5; 4], [6; 4]].map(|id| message_id(RequestId(id), 0));
        hosting.asks(1, whole, start(None)).asks(1, begun, start(None));
        runner.reads(&mut hosting);
        // One answer comes whole, the other began at once and ends as late.
        runner.answers(&mut hosting, begun, response_start(200, None, true));
        assert_eq!(hosting.saw().pop(), Some(publishes(1, begun, response_start(200, None, true))));
        for second in 0..20 {
            runner.lives_for_a_second(&mut hosting);
            assert_eq!((hosting.story.machine.stats().routes, runner.requests.len()), (2, 2), "after {second} s");
        }
        hosting.saw();
        runner.answers(&mut hosting, whole, response_start(200, Some(b"late"), false));
        runner.answers(&mut hosting, begun, response_chunk(b"late", true));
        let end = Answer::ResponseChunk(ResponseChunk { body: "late".into(), finish: true });
        assert_eq!(
            hosting.saw(),
            [
                publishes(1, whole, response_start(200, Some(b"late"), false)),
                publishes(1, MessageId { message_index: 1, ..begun }, end)
            ],
            "{version}"
        );
        for _ in 0..10 {
            runner.lives_for_a_second(&mut hosting);
        }
        assert!(runner.requests.values().all(BTreeMap::is_empty), "all was acknowledged: {:?}", runner.requests);
        let stats = hosting.story.machine.stats();
        assert_eq!((stats.routes, stats.unrouted, stats.timeouts.pong), (0, 0, 0));
        hosting.ends();
    }
}

#[test]
fn a_websocket_of_twenty_seconds_stays_open_on_a_runner_that_drops_what_goes_unacknowledged() {
    for version in OLD {
        let mut hosting = hosting_with(Config::default());
        let mut runner = OldRunner::taken_in(&mut hosting, version);
        let id = message_id(RequestId([5; 4]), 0);
        hosting.asks(1, id, websocket_open());
        runner.reads(&mut hosting);
        runner.answers(&mut hosting, id, Answer::WebSocketOpen(WebSocketOpen { can_hibernate: false }));
        for second in 0..20 {
            runner.lives_for_a_second(&mut hosting);
            assert_eq!((hosting.story.machine.stats().routes, runner.requests.len()), (1, 1), "after {second} s");
        }
        assert_eq!(hosting.story.machine.stats().timeouts.pong, 0);
        hosting.ends();
    }
}

#[test]
fn a_stranger_with_a_copied_request_uuid_reaches_no_client_and_the_true_answer_does() {
    let message = || to_client::WebSocketMessage { data: "false".into(), binary: false };
    for (version, strange) in OLD.into_iter().flat_map(|version| OLD.map(|strange| (version, strange))) {
        let mut hosting = hosting_with(Config::default());
        let mut runner = OldRunner::taken_in(&mut hosting, version);
        hosting.takes_in(2, "stranger", strange);
        let [http, socket] = [[5; 4], [6; 4]].map(|id| message_id(RequestId(id), 0));
        hosting.asks(1, http, start(None)).asks(1, socket, websocket_open());
        runner.reads(&mut hosting);
        let opened = Answer::WebSocketOpen(WebSocketOpen { can_hibernate: false });
        runner.answers(&mut hosting, socket, opened);
        hosting.saw();
        let close = to_client::WebSocketClose { code: Some(1000), reason: None };
        let close = underpass_core::protocol::tunnel::to_server::WebSocketClose {
            code: close.code,
            reason: close.reason,
            hibernate: false,
        };
        let strange_words = [
            (http, response_start(200, Some(b"false"), false)),
            (http, Answer::ResponseAbort),
            (socket, Answer::WebSocketMessage(message())),
            (socket, Answer::WebSocketClose(close)),
        ];
        let count = strange_words.len() as u64;
        for (id, kind) in strange_words {
            hosting.sends(2, &in_words_of(strange, &mut Memory::stand_alone(), id, kind));
        }
        assert_eq!(hosting.saw(), [], "{version}, {strange}");
        let stats = hosting.story.machine.stats();
        assert_eq!((stats.unrouted, stats.routes), (count, 2));
        runner.lives_for_a_second(&mut hosting);
        hosting.saw();
        runner.answers(&mut hosting, http, response_start(200, Some(b"true"), false));
        runner.answers(&mut hosting, socket, Answer::WebSocketMessage(message()));
        assert_eq!(
            hosting.saw(),
            [
                publishes(1, http, response_start(200, Some(b"true"), false)),
                publishes(1, MessageId { message_index: 1, ..socket }, Answer::WebSocketMessage(message())),
            ]
        );
        hosting.ends();
    }
}
