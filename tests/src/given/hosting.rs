//! A relay whose runners' actors have state, the directory that it changes and watches, and runners of every version.

use std::collections::BTreeMap;
use std::time::Duration;

use underpass_core::directory::{
    ActorKey, ActorRecord, ActorSeen, ActorState, Change, ChangeOutcome, DirectoryUnavailable, Revision, RunnerKey,
    RunnerRecord, RunnerSeen, Versioned,
};
use underpass_core::handshake::Hello;
use underpass_core::protocol::any::{self, Message, Schema, Union};
use underpass_core::protocol::to_client::HibernatingRequest;
use underpass_core::protocol::to_server::{self, EventWrapper, Init, Pong};
use underpass_core::protocol::tunnel::{ToClientTunnelMessage, to_client, to_server as answer};
use underpass_core::protocol::{
    Dialect, Memory, MessageId, ToClient, ToRunner, ToServer, Untranslatable, Version, v1, v2, v3,
};
use underpass_core::relay::{Action, Config, Event};
use underpass_core::{Frame, Machine, Relay, Time};

use super::supervisor::{NOON, actor, event, running};
use crate::story::Story;
use crate::wire::relay_id;

/// What a runner hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something in version 7's words.
    Message(ToClient),
    /// That a tunnel message of its came.
    TunnelAck,
    /// Up to where all its events were taken, as runners of versions 1 to 3 are told.
    TakenUpTo(i64),
    /// Its socket is pinged.
    Ping,
}

/// The relay, its directory, its runners.
#[derive(Debug)]
pub struct Hosting {
    /// The relay.
    pub story: Story<Relay>,
    runners: BTreeMap<RunnerKey, Versioned<RunnerRecord>>,
    actors: BTreeMap<ActorKey, Versioned<ActorRecord>>,
    revision: u64,
    speaks: BTreeMap<u64, (Version, Memory)>,
    wanted: Vec<Action>,
    registry: BTreeMap<ActorKey, Vec<HibernatingRequest>>,
    registry_away: bool,
}

/// The relay of a story that says how often records are written anew and runners pinged: not while it goes on.
pub fn hosting() -> Hosting {
    hosting_with(super::relay::calm())
}

/// The same with a configuration.
pub fn hosting_with(config: Config) -> Hosting {
    let story = Story::given(Relay::new(config, relay_id(), 1, Time::ZERO).expect("a relay's configuration"));
    let mut hosting = Hosting {
        story,
        runners: BTreeMap::new(),
        actors: BTreeMap::new(),
        revision: 0,
        speaks: BTreeMap::new(),
        wanted: Vec::new(),
        registry: BTreeMap::new(),
        registry_away: false,
    };
    hosting.input(Event::WallClock { unix_ms: NOON });
    hosting.input(Event::DirectoryBack);
    hosting
}

/// The Init of a runner with so much room.
pub fn init(total_slots: u32) -> ToServer {
    ToServer::Init(Init {
        name: "default".into(),
        version: 1,
        total_slots,
        prepopulate_actor_names: None,
        metadata: None,
    })
}

impl Hosting {
    /// Something happens. What the relay wants of the directory is done at once, and shown.
    #[track_caller]
    pub fn input(&mut self, event: Event) -> &mut Self {
        self.story.input(event);
        self.settle();
        self
    }

    /// Time passes, second by second.
    #[track_caller]
    pub fn passes(&mut self, duration: Duration) -> &mut Self {
        let end = self.story.now() + duration;
        while self.story.now() < end {
            let step = Duration::from_secs(1).min(end.since(self.story.now()));
            self.story.passes(step);
            self.settle();
        }
        self
    }

    /// Time passes at once.
    #[track_caller]
    pub fn jumps(&mut self, duration: Duration) -> &mut Self {
        self.story.passes(duration);
        self.settle();
        self
    }

    fn settle(&mut self) {
        loop {
            let actions = self.story.actions();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                match action {
                    Action::Directory { connection, change } => {
                        let key = change.key.clone();
                        let outcome = apply(&mut self.runners, &mut self.revision, change);
                        let record = self.runners.get(&key).cloned();
                        self.handle(Event::Directory { connection, outcome });
                        self.handle(Event::Runner(RunnerSeen { key, record }));
                    }
                    Action::Actor(change) => {
                        let actor = change.key.clone();
                        let outcome = apply(&mut self.actors, &mut self.revision, change);
                        self.handle(Event::ActorChanged { actor: actor.clone(), outcome });
                        self.show(actor);
                    }
                    Action::Forget(change) => {
                        let key = change.key.clone();
                        apply(&mut self.runners, &mut self.revision, change);
                        let record = self.runners.get(&key).cloned();
                        self.handle(Event::Runner(RunnerSeen { key, record }));
                    }
                    Action::Registered { actor } => {
                        let sockets = self.registry.get(&actor).cloned().unwrap_or_default();
                        let sockets = if self.registry_away { Err(DirectoryUnavailable) } else { Ok(sockets) };
                        self.handle(Event::Registered { actor, sockets });
                    }
                    Action::ShowActors => {
                        for key in self.actors.keys().cloned().collect::<Vec<_>>() {
                            self.show(key);
                        }
                    }
                    other => self.wanted.push(other),
                }
            }
        }
    }

    fn handle(&mut self, event: Event) {
        self.story.machine.handle(event, self.story.now()).expect("no misuse");
    }

    fn show(&mut self, key: ActorKey) {
        let record = self.actors.get(&key).cloned();
        self.handle(Event::Actor(ActorSeen { key, record }));
    }

    /// A gateway needs an actor.
    #[track_caller]
    pub fn wants(&mut self, actor_id: &str) -> &mut Self {
        let key = actor(actor_id);
        let current = self.actors.get(&key);
        if let Some(record) = ActorRecord::wanted(current.map(|versioned| &versioned.record), NOON) {
            let expected = current.map(|versioned| versioned.revision);
            let change = Change { key: key.clone(), expected, record: Some(record) };
            apply(&mut self.actors, &mut self.revision, change);
            self.show(key);
            self.settle();
        }
        self
    }

    /// The registry says from now on that these WebSockets of an actor can hibernate.
    pub fn registers(&mut self, actor_id: &str, sockets: Vec<HibernatingRequest>) -> &mut Self {
        self.registry.insert(actor(actor_id), sockets);
        self
    }

    /// The registry answers no more, or again.
    pub fn registry_is_away(&mut self, away: bool) -> &mut Self {
        self.registry_away = away;
        self
    }

    /// What the directory says of an actor, and of which life.
    #[track_caller]
    pub fn actor(&self, actor_id: &str) -> (ActorState, u32) {
        let record = &self.actors.get(&actor(actor_id)).expect("a record").record;
        (record.state, record.generation)
    }

    /// The runners' records.
    pub fn runners(&self) -> impl Iterator<Item = &RunnerRecord> {
        self.runners.values().map(|versioned| &versioned.record)
    }

    /// A published runner of a version opens its WebSocket.
    #[track_caller]
    pub fn connects(&mut self, number: u64, key: &'static str, version: Version) -> &mut Self {
        self.speaks.insert(number, (version, Memory::stand_alone()));
        let hello = Hello { protocol_version: version.number(), ..super::relay::hello(key, Dialect::Published) };
        self.input(Event::Connected { connection: number, hello })
    }

    /// A runner says something, in its version's words.
    #[track_caller]
    pub fn says(&mut self, number: u64, message: ToServer) -> &mut Self {
        let (version, memory) = self.speaks.get_mut(&number).expect("it is connected");
        let message = Message::ToServer(any::ToServer::V7(message));
        let frame = message.translate(*version, memory).expect("it has words for it").encode().into_bytes();
        self.input(Event::FromRunner { connection: number, frame })
    }

    /// A runner says things in one go: the directory answers behind them.
    #[track_caller]
    pub fn says_at_once(&mut self, number: u64, messages: impl IntoIterator<Item = ToServer>) -> &mut Self {
        for message in messages {
            let (version, memory) = self.speaks.get_mut(&number).expect("it is connected");
            let message = Message::ToServer(any::ToServer::V7(message));
            let frame = message.translate(*version, memory).expect("it has words for it").encode().into_bytes();
            self.handle(Event::FromRunner { connection: number, frame });
        }
        self.settle();
        self
    }

    /// A runner sends a message of its version.
    #[track_caller]
    pub fn sends(&mut self, number: u64, message: &Message) -> &mut Self {
        self.input(Event::FromRunner { connection: number, frame: message.encode().into_bytes() })
    }

    /// What a runner was sent since it was last asked, in its version's words.
    pub fn was_sent(&mut self, number: u64) -> Vec<Message> {
        let schema = Schema::new(Union::ToClient, self.speaks[&number].0).expect("each version has ToClient");
        let mut sent = Vec::new();
        self.wanted.retain(|action| match action {
            Action::Send { connection, frame } if *connection == number => {
                sent.push(schema.decode(frame).expect("a frame for a runner"));
                false
            }
            _ => true,
        });
        sent
    }

    /// A runner says something, if its version has words for it.
    #[track_caller]
    pub fn tries_to_say(&mut self, number: u64, message: ToServer) -> &mut Self {
        let (version, memory) = self.speaks.get_mut(&number).expect("it is connected");
        let message = Message::ToServer(any::ToServer::V7(message));
        match message.translate(*version, memory) {
            Ok(message) => {
                let frame = message.encode().into_bytes();
                self.input(Event::FromRunner { connection: number, frame })
            }
            Err(_) => self,
        }
    }

    /// The last life of an actor, if it ever was wanted.
    pub fn generation(&self, actor_id: &str) -> Option<u32> {
        Some(self.actors.get(&actor(actor_id))?.record.generation)
    }

    /// A runner answers its ping.
    #[track_caller]
    pub fn pongs(&mut self, number: u64) -> &mut Self {
        if self.speaks[&number].0 < Version::V4 {
            return self.input(Event::Ponged { connection: number });
        }
        self.says(number, ToServer::Pong(Pong { ts: 0 }))
    }

    /// A runner with room for ten actors is taken in.
    #[track_caller]
    pub fn takes_in(&mut self, number: u64, key: &'static str, version: Version) -> &mut Self {
        self.connects(number, key, version).says(number, init(10)).pongs(number);
        assert!(matches!(self.heard(number)[0], Heard::Message(ToClient::Init(_))));
        self.wanted.retain(|action| !matches!(action, Action::Log { .. }));
        self
    }

    /// The directory shows all actors, and that it is back.
    #[track_caller]
    pub fn directory_back(&mut self) -> &mut Self {
        for key in self.actors.keys().cloned().collect::<Vec<_>>() {
            self.show(key);
        }
        self.input(Event::DirectoryBack)
    }

    /// An actor says what happened to it.
    #[track_caller]
    pub fn tells(&mut self, number: u64, events: Vec<EventWrapper>) -> &mut Self {
        self.says(number, ToServer::Events(events))
    }

    /// An actor is wanted, and runs on a connection whose runner is the only one with room, in its first life.
    #[track_caller]
    pub fn runs(&mut self, number: u64, actor_id: &'static str) -> &mut Self {
        self.wants(actor_id);
        assert!(matches!(&self.heard(number)[..], [Heard::Message(ToClient::Commands(_))]), "a start");
        self.tells(number, vec![event(actor_id, 1, 0, running())]);
        assert!(matches!(self.actor(actor_id), (ActorState::Running(_), 1)));
        self
    }

    /// The bus brings a piece of a request.
    #[track_caller]
    pub fn asks(&mut self, number: u64, id: MessageId, kind: to_client::Kind) -> &mut Self {
        let message = ToClientTunnelMessage { message_id: id, message_kind: kind };
        let frame = ToRunner::TunnelMessage(message).encode_framed();
        self.input(Event::FromBus { connection: number, frame })
    }

    /// A runner sends a piece of an answer.
    #[track_caller]
    pub fn answers(&mut self, number: u64, id: MessageId, kind: answer::Kind) -> &mut Self {
        let message = underpass_core::protocol::tunnel::ToServerTunnelMessage { message_id: id, message_kind: kind };
        self.says(number, ToServer::TunnelMessage(message))
    }

    /// A connection ends.
    #[track_caller]
    pub fn cuts(&mut self, number: u64) -> &mut Self {
        self.input(Event::Disconnected { connection: number })
    }

    /// What a runner heard since it was last asked, pings that it knows aside.
    pub fn heard(&mut self, number: u64) -> Vec<Heard> {
        let (version, memory) = self.speaks.get_mut(&number).expect("it was connected");
        let mut heard = Vec::new();
        self.wanted.retain(|action| {
            match action {
                Action::Send { connection, frame } if *connection == number => {
                    let schema = Schema::new(Union::ToClient, *version).expect("each version has ToClient");
                    let message = schema.decode(frame).expect("a frame for a runner");
                    match message.translate(Version::V7, memory) {
                        Ok(Message::ToClient(any::ToClient::V7(ToClient::Ping(_)))) => {}
                        Ok(Message::ToClient(any::ToClient::V7(message))) => heard.push(Heard::Message(message)),
                        Err(Untranslatable::Acknowledgement { .. }) => heard.push(Heard::TunnelAck),
                        // One count for all actors, as old runners have it.
                        Err(Untranslatable::NeedsSession { .. }) => {
                            heard.push(Heard::TakenUpTo(last_event(schema, frame)))
                        }
                        other => panic!("{other:?}"),
                    }
                }
                Action::Ping { connection } if *connection == number => heard.push(Heard::Ping),
                _ => return true,
            }
            false
        });
        heard
    }

    /// What else the relay wanted since it was last asked.
    pub fn saw(&mut self) -> Vec<Action> {
        let (saw, other): (Vec<_>, _) =
            std::mem::take(&mut self.wanted).into_iter().partition(|action| !matches!(action, Action::Send { .. }));
        self.wanted = other;
        saw
    }

    /// All connections end, and time passes: the relay holds nothing.
    #[track_caller]
    pub fn ends(mut self) {
        let numbers: Vec<u64> = self.speaks.keys().copied().collect();
        for number in numbers {
            let _ = self.story.machine.handle(Event::Disconnected { connection: number }, self.story.now());
            self.settle();
        }
        self.passes(Duration::from_secs(120));
        // Runners' records go when no actor's names them.
        let actors: Vec<_> = self.actors.keys().cloned().collect();
        self.actors.clear();
        for key in actors {
            self.show(key);
        }
        self.settle();
        self.passes(Duration::from_secs(60));
        self.story.ends();
    }
}

/// What a message for an old runner says of its last event.
fn last_event(schema: Schema, frame: &Frame) -> i64 {
    match schema.decode(frame).expect("a frame for a runner") {
        Message::ToClient(any::ToClient::V1(v1::ToClient::AckEvents(acks))) => acks.last_event_idx,
        Message::ToClient(any::ToClient::V2(v2::ToClient::AckEvents(acks))) => acks.last_event_idx,
        Message::ToClient(any::ToClient::V3(v3::ToClient::AckEvents(acks))) => acks.last_event_idx,
        other => panic!("{other:?} does not tell of events"),
    }
}

/// A compare-and-set, as a directory makes it.
fn apply<Key: Ord + Clone, Record: Clone>(
    records: &mut BTreeMap<Key, Versioned<Record>>,
    last: &mut u64,
    Change { key, expected, record }: Change<Key, Record>,
) -> ChangeOutcome<Record> {
    let current = records.get(&key);
    if current.map(|current| current.revision) != expected {
        return ChangeOutcome::Conflict(current.cloned());
    }
    *last += 1;
    let revision = Revision(*last);
    match record {
        Some(record) => records.insert(key, Versioned { revision, record }),
        None => records.remove(&key),
    };
    ChangeOutcome::Stored(revision)
}

/// Something that an actor says.
pub fn says(actor_id: &str, index: i64, inner: to_server::Event) -> Vec<EventWrapper> {
    vec![event(actor_id, 1, index, inner)]
}
