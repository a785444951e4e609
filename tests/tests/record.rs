//! What was recorded is done again, byte for byte.

use std::sync::LazyLock;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use underpass_core::handshake::Hello;
use underpass_core::http::{Body, Message};
use underpass_core::observe::Observer;
use underpass_core::protocol::kv::{KvEntries, KvMetadata, KvRequest, KvRequestData, KvResponse, KvResponseData};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage, to_client, to_server};
use underpass_core::protocol::{
    DataList, Dialect, Map, Memory, MessageId, RequestId, ToClient, ToServer, Version, any as any_version,
};
use underpass_core::record::{BadRecording, End, Heading, Line, Recorder, Recording, Replays, Trouble, What};
use underpass_core::{Frame, Machine, Relay, Time, gateway, relay, runner};
use underpass_tests::recorded::replay;
use underpass_tests::sim::{Schedule, run, run_recorded};
use underpass_tests::trio::Trio;
use underpass_tests::wire::{GATEWAY, open, open_websocket, relay_id, status};

/// What is known to be in bodies and messages.
const SECRET: &[u8] = b"what nobody else may read";

/// An upload and its answer, and a message each way: recorded with bodies, and without.
static RECORDINGS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let mut trio = Trio::new(gateway::Config::default(), relay::Config::default(), runner::Config::default());
    let body = || Body::Whole(Bytes::from_static(SECRET));
    trio.open(open("POST", "/path", body()));
    let handed = |saw: Vec<runner::Action>| match &saw[..] {
        [.., runner::Action::Request { key, .. } | runner::Action::WebSocketOpen { key, .. }] => *key,
        other => panic!("no request was handed to the handler: {other:?}"),
    };
    let key = handed(trio.handler_saw());
    trio.handler(runner::Event::ResponseStart { key, head: status(200), body: body() });
    let client = trio.open(open_websocket("/ws"));
    let key = handed(trio.handler_saw());
    trio.handler(runner::Event::WebSocketAccept { key, can_hibernate: false });
    let text = || Message::Text(String::from_utf8_lossy(SECRET).as_ref().into());
    trio.handler(runner::Event::WebSocketMessage { key, message: text() });
    trio.client(gateway::Event::WebSocketMessage { key: client, message: text() });
    trio.recordings()
});

/// The first thing that is wrong with a recording; it must not be more than that.
fn judge(bytes: Vec<u8>) -> Result<End, String> {
    let recording = Recording::read(bytes.into()).map_err(|error| error.to_string())?;
    let mut replays = Replays::of(&recording);
    for line in recording.lines() {
        match line.map_err(|error| error.to_string())? {
            Line::Record(record) => drop(replays.step(&record).map_err(|error| error.to_string())?),
            Line::End(end) => return Ok(end),
        }
    }
    unreachable!("the end comes last")
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|some| some == part)
}

#[test]
fn machines_of_whole_fleets_do_the_same_again() {
    let hibernating = (0..12).map(Schedule::hibernating);
    let mut records = 0;
    for schedule in (0..36).map(Schedule::of).chain(hibernating) {
        let mut outcome = run_recorded(&schedule);
        records += outcome.tapes.as_mut().expect("it was recorded").replay();
        if schedule.seed < 3 {
            // Being recorded changes nothing.
            assert_eq!(outcome.trace.digest(), run(&schedule, false).trace.digest());
        }
    }
    assert!(records > 100_000, "{records}");
}

#[test]
fn bodies_are_left_out_and_what_was_done_is_the_same() {
    let [whole, blanked] = &*RECORDINGS;
    assert!(has(whole, SECRET) && has(whole, b"/path"));
    assert!(!has(blanked, SECRET) && has(blanked, b"/path"));
    assert_eq!(whole.len(), blanked.len());
    assert_eq!(replay(whole.clone()), replay(blanked.clone()));
}

/// What a runner of this version says, or is told.
fn frame(message: any_version::Message, version: Version) -> Frame {
    message.translate(version, &mut Memory::stand_alone()).expect("a message of all versions").encode()
}

#[test]
fn frames_of_all_versions_are_read_to_leave_bodies_out() {
    let message_id = MessageId { gateway_id: GATEWAY, request_id: RequestId([7; 4]), message_index: 0 };
    let secret = || Bytes::from_static(SECRET);
    let headers = Map([("cookie".into(), String::from_utf8_lossy(SECRET).as_ref().into())].into());
    let response =
        to_server::ResponseStart { status: 200, headers: headers.clone(), body: Some(secret()), stream: false };
    let request = to_client::RequestStart {
        actor_id: "actor".into(),
        method: "POST".into(),
        path: "/path".into(),
        headers,
        body: Some(secret()),
        stream: false,
    };
    let list = || [secret()].into_iter().collect::<DataList>();
    let metadata = vec![KvMetadata { version: Bytes::new(), update_ts: 0 }];
    let entries = KvEntries { keys: [b"key"].into_iter().collect(), values: list(), metadata };
    let put = KvRequestData::Put { keys: [b"key"].into_iter().collect(), values: list() };
    let said = [
        ToServer::TunnelMessage(ToServerTunnelMessage {
            message_id,
            message_kind: to_server::Kind::ResponseStart(response),
        }),
        ToServer::KvRequest(KvRequest { actor_id: "actor".into(), request_id: 1, data: put }),
    ];
    let told = [
        ToClient::TunnelMessage(ToClientTunnelMessage {
            message_id,
            message_kind: to_client::Kind::RequestStart(request),
        }),
        ToClient::KvResponse(KvResponse { request_id: 1, data: KvResponseData::Get(entries) }),
    ];
    let origin = relay::Origin { config: relay::Config::default(), id: relay_id(), seed: 1 };
    let relay = Relay::made_of(origin, Time::ZERO).unwrap();
    for version in Version::ALL {
        let logs = [true, false].map(|bodies| {
            let mut recorder: Recorder<Relay, Vec<u8>> = Recorder::new(Vec::new(), 0, bodies);
            let hello = Hello {
                protocol_version: version.number(),
                namespace: "default".into(),
                runner_key: "key".into(),
                dialect: Dialect::Published,
            };
            recorder.event(&relay, &relay::Event::Connected { connection: 1, hello }, Time::ZERO);
            for message in &said {
                let frame = frame(any_version::Message::ToServer(any_version::ToServer::V7(message.clone())), version)
                    .into_bytes();
                recorder.event(&relay, &relay::Event::FromRunner { connection: 1, frame }, Time::ZERO);
            }
            for message in &told {
                let frame = frame(any_version::Message::ToClient(any_version::ToClient::V7(message.clone())), version);
                recorder.action(&relay, &relay::Action::Send { connection: 1, frame }, Time::ZERO);
            }
            recorder.into_log()
        });
        let [whole, blanked] = &logs;
        assert!(has(whole, SECRET) && !has(blanked, SECRET), "{version}");
        assert!(has(blanked, b"/path") && has(blanked, &[0; SECRET.len()]) && has(blanked, &[b'*'; SECRET.len()]));
        assert_eq!(whole.len(), blanked.len(), "{version}");
    }
}

#[test]
fn an_action_that_differs_is_found() {
    let [whole, _] = &*RECORDINGS;
    let recording = Recording::read(whole.clone().into()).unwrap();
    let mut replays = Replays::of(&recording);
    let mut found = 0;
    for line in recording.lines() {
        let Line::Record(record) = line.unwrap() else { break };
        replays.step(&record).unwrap();
        if record.what != What::Action {
            continue;
        }
        // The last byte of an action: behind it the next record starts.
        let length = u32::from_le_bytes(whole[record.offset..record.offset + 4].try_into().unwrap()) as usize;
        let mut other = whole.clone();
        other[record.offset + 4 + length - 1] ^= 1;
        let recording = Recording::read(other.into()).unwrap();
        let mut replays = Replays::of(&recording);
        let differs = recording.lines().find_map(|line| match line.unwrap() {
            Line::Record(record) => replays.step(&record).err(),
            Line::End(_) => None,
        });
        let differs = differs.expect("the difference is found");
        assert_eq!(differs.offset, record.offset);
        assert!(matches!(differs.trouble, Trouble::Differs { .. }), "{differs}");
        found += 1;
    }
    assert!(found > 20, "{found}");
}

#[test]
fn a_recording_that_breaks_off_is_good_up_to_there() {
    let [whole, _] = &*RECORDINGS;
    let heading = Heading::new(true).to_bytes().len();
    for length in (heading..whole.len()).step_by(7) {
        assert_eq!(judge(whole[..length].to_vec()), Ok(End::Cut));
    }
    for end in [End::Finished, End::Full] {
        let ended = [&whole[..], &end.to_bytes()].concat();
        assert_eq!(judge(ended.clone()), Ok(end));
        assert!(judge([&ended[..], &[0]].concat()).is_err());
    }
}

#[test]
fn what_is_no_recording_or_another_versions_is_refused() {
    let read = |bytes: &[u8]| Recording::read(Bytes::copy_from_slice(bytes)).map(|_| ()).unwrap_err();
    for bytes in [&b""[..], b"underpass", b"underpass recording\n", b"something else entirely, and longer"] {
        assert_eq!(read(bytes), BadRecording::None);
    }
    assert_eq!(read(b"underpass recording\n\x07"), BadRecording::OtherLayout(7));
    let other = Heading { version: "0.0.1".into(), bodies: false };
    assert_eq!(read(&other.to_bytes()), BadRecording::OtherVersion("0.0.1".into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_behind_a_heading_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        let _ = judge([Heading::new(false).to_bytes(), bytes].concat());
    }

    #[test]
    fn a_damaged_recording_is_read_or_refused(
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
        blanked in any::<bool>(),
    ) {
        let mut bytes = RECORDINGS[usize::from(blanked)].clone();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = judge(bytes);
    }
}
