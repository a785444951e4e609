//! What happens to the actors of a runner in noise, and what its embedder must believe of them.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use underpass_core::RequestKey;
use underpass_core::protocol::ToClient;
use underpass_core::protocol::control::ActorCheckpoint;
use underpass_core::protocol::kv::{KvRequestData, KvResponse, KvResponseData};
use underpass_core::protocol::to_client::{
    AckEvents, Command, CommandWrapper, HibernatingRequest, Init, ProtocolMetadata, StartActor,
};
use underpass_core::runner::{Action, ActorLife, Event, SocketId};

use super::Noise;
use crate::given::hosted::{actor_config, socket, text};
use crate::given::runner::{RUNNER_ID, of};
use crate::wire::to_client;

/// The lives that an embedder has, and its calls that are open.
#[derive(Debug, Default)]
pub(super) struct Lives {
    lives: BTreeMap<ByteString, Life>,
    calls: BTreeSet<u64>,
    last_call: u64,
    /// The newest generation that was commanded.
    newest: u32,
}

#[derive(Debug)]
struct Life {
    generation: u32,
    is_told_to_stop: bool,
    slept: Vec<RequestKey>,
}

impl Lives {
    /// Something of actors happens.
    pub(super) fn event(&mut self, connection: u64, key: Option<RequestKey>, noise: &mut Noise) -> Event {
        let actor_id = ByteString::from_static(noise.pick(&["default", "default", "other"]));
        let life = self.lives.get(&actor_id);
        let generation = match life {
            Some(life) if !noise.once_in(10) => life.generation,
            Some(_) | None => self.newest.saturating_sub(noise.below(3) as u32),
        };
        let actor = ActorLife { actor_id: actor_id.clone(), generation };
        let checkpoint = |index| ActorCheckpoint { actor_id: actor_id.clone(), generation, index };
        let received = |message: ToClient| Event::Received { connection, frame: message.encode() };
        let command = |checkpoint, inner| received(ToClient::Commands(vec![CommandWrapper { checkpoint, inner }]));
        let start = || {
            let slept = |request| {
                let SocketId { gateway_id, request_id } = socket(request);
                HibernatingRequest { gateway_id, request_id }
            };
            let hibernating_requests = (0..4).map(slept).collect();
            Command::StartActor(Box::new(StartActor { config: actor_config(), hibernating_requests }))
        };
        match (noise.below(16), key) {
            (0..3, _) if life.is_none() || noise.once_in(60) => {
                self.newest += 1;
                let checkpoint = ActorCheckpoint { actor_id: actor.actor_id, generation: self.newest, index: 0 };
                command(checkpoint, start())
            }
            (3, _) => command(checkpoint(0), start()),
            (4, _) if noise.once_in(30) => command(checkpoint(1), Command::StopActor),
            (5, _) => received(ToClient::AckEvents(AckEvents {
                last_event_checkpoints: vec![checkpoint(noise.below(5) as i64)],
            })),
            (6, _) if noise.once_in(200) => {
                let metadata = ProtocolMetadata {
                    runner_lost_threshold: noise.below(2_000) as i64,
                    actor_stop_threshold: 1,
                    serverless_drain_grace_period: None,
                };
                let runner_id = if noise.once_in(4) { "another" } else { RUNNER_ID }.into();
                received(ToClient::Init(Init { runner_id, metadata }))
            }
            (6, _) => {
                let request_id = (self.last_call as u32).saturating_sub(noise.below(8) as u32);
                received(ToClient::KvResponse(KvResponse { request_id, data: KvResponseData::Put }))
            }
            (7, _) => {
                let slept = life.and_then(|life| life.slept.first().copied()).or(key);
                match slept {
                    Some(key) => Event::WebSocketRestore { key, last: noise.below(4) as u16 },
                    None => Event::Tick,
                }
            }
            (8, _) => Event::ActorRunning { actor },
            (9, _) if life.is_some_and(|life| life.is_told_to_stop) || noise.once_in(200) => {
                let error = noise.once_in(3).then(|| ByteString::from_static("no"));
                self.lives.remove_entry(&actor.actor_id).map_or(Event::Tick, |(actor_id, life)| Event::ActorStopped {
                    actor: ActorLife { actor_id, generation: life.generation },
                    error,
                })
            }
            (10, _) if noise.once_in(3) => Event::ActorSleep { actor },
            (10, _) if noise.once_in(3) => Event::ActorDestroy { actor },
            (10, _) => Event::ActorAlarm { actor, at: noise.once_in(2).then_some(7) },
            (11, _) => {
                self.last_call += 1;
                self.calls.insert(self.last_call);
                Event::Kv { actor, number: self.last_call, call: KvRequestData::Drop }
            }
            (12, _) => {
                let id = of(noise.below(4) as u8, noise.below(5) as u16);
                Event::Received { connection, frame: to_client(id, text(b"x")) }
            }
            (13..16, Some(key)) => Event::Handled { key, number: noise.below(12) as u16 },
            _ => Event::Tick,
        }
    }

    /// The embedder is told something of actors.
    pub(super) fn hears(&mut self, action: &Action) {
        match action {
            Action::StartActor { actor, sockets, .. } => {
                let life = Life {
                    generation: actor.generation,
                    is_told_to_stop: false,
                    slept: sockets.iter().map(|socket| socket.key).collect(),
                };
                let before = self.lives.insert(actor.actor_id.clone(), life);
                // One that did not stop in time counts as ended.
                assert!(
                    before.as_ref().is_none_or(|before| before.is_told_to_stop),
                    "a life beside another: {before:?}"
                );
            }
            Action::StopActor { actor } => {
                let life = self.lives.get_mut(&actor.actor_id).unwrap_or_else(|| panic!("no life to stop: {actor:?}"));
                assert_eq!(life.generation, actor.generation);
                assert!(!std::mem::replace(&mut life.is_told_to_stop, true), "stopped twice");
            }
            Action::KvAnswered { number, .. } => assert!(self.calls.remove(number), "answered twice"),
            _ => {}
        }
    }

    /// The ends of all lives.
    pub(super) fn ends(&mut self) -> Vec<Event> {
        let ended = |(actor_id, life): (ByteString, Life)| Event::ActorStopped {
            actor: ActorLife { actor_id, generation: life.generation },
            error: None,
        };
        std::mem::take(&mut self.lives).into_iter().map(ended).collect()
    }

    /// All calls were answered.
    pub(super) fn are_over(&self) {
        assert!(self.calls.is_empty(), "calls without an answer: {:?}", self.calls);
    }
}
