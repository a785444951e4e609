//! The gateway: owns its clients' requests, from their opening to their one end.
//!
//! [`Gateway::open`] takes a request in; what its client does then comes in as [`Event`]s, what its handler does comes
//! in as frames from the bus, and what to do about both comes out as [`Action`]s.
//!
//! A request of a stateless pool goes to the ready runner with the fewest open. One for an actor with state goes where
//! the directory says that the actor runs; until it does, the request waits, and the actor is
//! [set wanted](Action::Actor).

mod actors;
mod again;
mod bodies;
mod client;
mod config;
mod drain;
mod ending;
mod event;
mod hibernation;
mod link;
mod opening;
mod pings;
mod probes;
mod relays;
mod request;
mod runners;
mod stats;
mod tunnel;
mod waiting;
mod waits;

use std::collections::VecDeque;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use config::Config;
pub use event::{Action, Event, Open, OpenKind};
pub use stats::{Failures, Stats, Timeouts};

use self::actors::Actors;
use self::bodies::Bodies;
use self::drain::Draining;
use self::ending::{EndingKey, Endings};
use self::hibernation::{GroupKey, Groups, Registry, Requests, Slot, Words};
use self::probes::Losses;
use self::request::{Request, State};
use self::runners::{LinkKey, Runners};
use self::waiting::WaitingRoom;
use self::waits::Came;
use crate::bus::{Publication, Subject};
use crate::directory::{Pool, RunnerSeen};
use crate::error::{ApiMisuse, ConfigError};
use crate::failure::{Failure, FailureCode, RequestName};
use crate::machine::deadline::Deadlines;
use crate::machine::flow::{Piece, Turn};
use crate::machine::random::Random;
use crate::machine::{Machine, RequestKey};
use crate::observe::{End as Told, Latest, News};
use crate::protocol::tunnel::ToClientTunnelMessage;
use crate::protocol::tunnel::to_client::{self, Credit, RequestChunk};
use crate::protocol::{GatewayId, MessageId, RequestId, to_runner};
use crate::time::{Time, WallClock};

/// A request that a gateway did not take in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Refused(pub Failure);

/// The gateway's machine.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    id: GatewayId,
    wall: WallClock,
    requests: Requests,
    /// Those that a runner was sent.
    by_id: HashMap<RequestId, RequestKey>,
    next_id: u32,
    runners: Runners,
    /// The connection of each ping that is outstanding, by the request that it names.
    pings: HashMap<RequestId, LinkKey>,
    /// Of the last probe.
    probe: u32,
    losses: Losses,
    actors: Actors,
    waiting: WaitingRoom,
    /// The actors of WebSockets that can hibernate.
    groups: Groups,
    words: Words,
    registry: Registry,
    bodies: Bodies,
    endings: Endings,
    deadlines: Deadlines<request::Deadline, RequestKey>,
    link_deadlines: Deadlines<pings::Deadline, LinkKey>,
    ending_deadlines: Deadlines<ending::Deadline, EndingKey>,
    group_deadlines: Deadlines<hibernation::Deadline, GroupKey>,
    actions: VecDeque<Action>,
    news: Latest,
    draining: Draining,
    /// The gauges in it are filled in when it is asked for.
    counted: Stats,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered,
    ClientGone,
    Failed(FailureCode),
}

impl Gateway {
    /// A gateway with an id that it alone has, and a seed from which its request ids start.
    ///
    /// # Errors
    /// The configuration could not work, or the id is zero.
    pub fn new(config: Config, id: GatewayId, seed: u64, now: Time) -> Result<Self, ConfigError> {
        config.validate()?;
        if id == GatewayId::ZERO {
            return Err(ConfigError::ZeroGatewayId);
        }
        let mut wall = WallClock::default();
        wall.set(now, 0);
        let (deadlines, link_deadlines, ending_deadlines) = config.deadlines();
        let runners = Runners::new(config.runner_unseen, now);
        let actors = Actors::new(config.max_actors);
        let bodies = Bodies::new(config.max_kept_bodies);
        let registry = Registry::new(config.registry_deadlines());
        let group_deadlines = config.group_deadlines();
        Ok(Gateway {
            config,
            id,
            wall,
            requests: Requests::new(),
            by_id: HashMap::new(),
            next_id: Random::new(seed).next_u32(),
            runners,
            pings: HashMap::new(),
            probe: 0,
            losses: Losses::default(),
            actors,
            waiting: WaitingRoom::default(),
            groups: Groups::default(),
            words: Words::default(),
            registry,
            bodies,
            endings: Endings::default(),
            deadlines,
            link_deadlines,
            ending_deadlines,
            group_deadlines,
            actions: VecDeque::new(),
            news: Latest::default(),
            draining: Draining::No,
            counted: Stats::default(),
        })
    }

    /// The id that it was made with.
    pub fn id(&self) -> GatewayId {
        self.id
    }

    /// How many runners of a pool would take a request now.
    pub fn ready_runners(&self, pool: &Pool) -> usize {
        self.runners.ready(pool)
    }

    /// What people call a request, as long as it is open.
    pub fn request_name(&self, key: RequestKey) -> Option<RequestName> {
        self.requests.id(key).map(|id| self.name(id))
    }

    /// The open request that people call so. It looks through all of them.
    pub fn request_named(&self, name: RequestName) -> Option<RequestKey> {
        self.requests.keys().find(|key| self.request_name(*key) == Some(name))
    }

    /// Tells of a request that is open.
    fn tell(&mut self, key: RequestKey, news: impl FnOnce(RequestName) -> News) {
        if let Some(request) = self.request_name(key) {
            self.news.push(news(request));
        }
    }

    fn name(&self, request_id: RequestId) -> RequestName {
        RequestName { gateway_id: self.id, request_id }
    }

    fn tick(&mut self, now: Time) {
        while let Some((deadline, link)) = self.link_deadlines.pop_due(now) {
            self.link_due(deadline, link, now);
        }
        while let Some((deadline, key)) = self.deadlines.pop_due(now) {
            self.request_due(deadline, key, now);
        }
        while let Some((deadline, key)) = self.ending_deadlines.pop_due(now) {
            self.ending_due(deadline, key, now);
        }
        while let Some((deadline, group)) = self.group_deadlines.pop_due(now) {
            self.group_due(deadline, group, now);
        }
        while let Some((deadline, of)) = self.registry.pop_due(now) {
            self.registry_due(deadline, of, now);
        }
        self.ask_if_due(now);
        self.look_if_due(now);
        self.go_on_draining(now);
    }

    /// The directory tells of a runner: what it has lost is set back, and those that wait look whether it is ready.
    fn seen(&mut self, seen: RunnerSeen, now: Time) {
        let pool = seen.key.pool.clone();
        let named = seen.record.as_ref().map_or([None, None], |seen| [seen.record.connection, seen.record.moving]);
        for link in self.runners.seen(seen, now) {
            self.link_removed(link, now);
        }
        for connection in named.into_iter().flatten() {
            self.connection_shown(connection, now);
        }
        self.look(&pool, now);
    }

    /// Publishes a message of a request to its runner, if one has it.
    fn send(&mut self, key: RequestKey, kind: to_client::Kind) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(connection) = request.place.and_then(|place| self.runners.connection(place.link)) else { return };
        let message_index = match &kind {
            // The first word over a route that was restored tells where the numbers go on.
            to_client::Kind::Credit(Credit { total: 0 }) => request.up.next_number(),
            to_client::Kind::Credit(_) => 0,
            to_client::Kind::RequestStart(_)
            | to_client::Kind::RequestChunk(_)
            | to_client::Kind::RequestAbort
            | to_client::Kind::WebSocketOpen(_)
            | to_client::Kind::WebSocketMessage(_)
            | to_client::Kind::WebSocketClose(_) => request.up.number(),
        };
        let message_id = MessageId { gateway_id: self.id, request_id: request.id, message_index };
        let message = ToClientTunnelMessage { message_id, message_kind: kind };
        self.actions.push_back(Action::Publish(Publication {
            to: Subject::Connection(connection),
            reply_to: Some(Subject::Gateway(self.id)),
            frame: to_runner::encode_framed(message),
        }));
    }

    fn send_piece(&mut self, key: RequestKey, piece: Piece) {
        let kind = match piece {
            Piece::Chunk { bytes, finish } => to_client::Kind::RequestChunk(RequestChunk { body: bytes, finish }),
            Piece::Message(message) => to_client::Kind::WebSocketMessage(message.into_wire()),
            Piece::Close(close) => to_client::Kind::WebSocketClose(close.into_wire()),
        };
        self.send(key, kind);
    }

    /// Sends what may be sent of what waits toward the runner, and tells the client's pace.
    fn flush(&mut self, key: RequestKey, now: Time) {
        if self.keeps(key) {
            return self.flush_kept(key, now);
        }
        let nobody = self.requests.get(key).is_none_or(|request| request.place.is_none());
        while let Some(piece) = self.requests.get_mut(key).and_then(|request| request.up.pop(nobody)) {
            self.send_piece(key, piece);
        }
        let Some(request) = self.requests.get_mut(key) else { return };
        if request.is_websocket() && request.up.is_done() {
            return self.end(key, End::ClientGone);
        }
        match request.up.turn(nobody) {
            Some(Turn::Pause) => self.actions.push_back(Action::PauseSource { key }),
            Some(Turn::Resume) => self.actions.push_back(Action::ResumeSource { key }),
            None => {}
        }
        self.await_response(key, now);
        self.await_body(key, Came::Nothing, now);
    }

    /// Ends a request with a failure, at both ends.
    fn fail(&mut self, key: RequestKey, code: FailureCode, message: &'static str) {
        self.tell_runner(key, code);
        self.lose(key, code, message);
    }

    /// Tells the runner of a request, if one has it, that it is over.
    fn tell_runner(&mut self, key: RequestKey, code: FailureCode) {
        let Some(request) = self.requests.get(key) else { return };
        let kind = if request.is_websocket() {
            let failure = Failure { code, message: "".into(), request: Some(self.name(request.id)) };
            to_client::Kind::WebSocketClose(failure.close().into_wire())
        } else {
            to_client::Kind::RequestAbort
        };
        self.send(key, kind);
    }

    /// Ends a request with a failure, of which its runner can't be told, or need not.
    fn lose(&mut self, key: RequestKey, code: FailureCode, message: &'static str) {
        let Some(id) = self.requests.id(key) else { return };
        if self.is_closing(key) {
            return self.end(key, End::ClientGone);
        }
        let failure = Failure { code, message: message.into(), request: Some(self.name(id)) };
        self.counted.failures.count(code);
        self.actions.push_back(Action::Failed { key, failure });
        self.end(key, End::Failed(code));
    }

    /// Whether its client has closed, and so has had its end.
    fn is_closing(&self, key: RequestKey) -> bool {
        let awake = self.requests.get(key);
        awake.is_some_and(|request| matches!(request.state, State::ClosingWebSocket))
            || self.requests.asleep(key).is_some_and(|sleeper| sleeper.is_closing())
    }

    fn end(&mut self, key: RequestKey, end: End) {
        let name = self.request_name(key);
        match self.requests.remove(key) {
            Some(Slot::Awake(request)) => self.forget(key, *request),
            Some(Slot::Asleep(sleeper)) => {
                self.by_id.remove(&sleeper.id);
                self.forget_sleeper(key, sleeper);
            }
            None => return,
        }
        match end {
            End::Answered => self.counted.answered += 1,
            End::ClientGone => self.counted.client_gone += 1,
            End::Failed(_) => self.counted.failed += 1,
        }
        if let Some(request) = name {
            let end = match end {
                End::Answered => Told::Done,
                End::ClientGone => Told::ClientGone,
                End::Failed(code) => Told::Failed(code),
            };
            self.news.push(News::Ended { request, end });
        }
        self.note_drained();
    }

    /// Gives back what a request had.
    fn forget(&mut self, key: RequestKey, request: Request) {
        self.bodies.give_back(request.kept_body);
        let idle = request.pieces.map_or([None, None], |pieces| [pieces.idle_up, pieces.idle_down]);
        for armed in request.deadline.into_iter().chain(idle.into_iter().flatten()) {
            self.deadlines.cancel(armed);
        }
        if let Some(place) = request.place {
            self.by_id.remove(&request.id);
            self.detach(place);
        }
        if let (State::Waiting(waiting), Some(open)) = (request.state, request.opening) {
            self.stop_waiting(&open.target, waiting);
        }
        if let Some(hibernation) = request.hibernation {
            self.forget_hibernation(key, request.id, *hibernation);
        }
    }

    /// An id that no request in flight has.
    fn next_request_id(&mut self) -> RequestId {
        loop {
            let id = RequestId(self.next_id.to_be_bytes());
            self.next_id = self.next_id.wrapping_add(1);
            if !self.by_id.contains_key(&id) && !self.registry.is_leaving(id) {
                return id;
            }
        }
    }
}

/// What a gateway is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its limits and deadlines.
    pub config: Config,
    /// Its id.
    pub id: GatewayId,
    /// From which its random numbers come.
    pub seed: u64,
}

impl Machine for Gateway {
    type Origin = Origin;
    type Event = Event;
    type Action = Action;
    type Stats = Stats;

    fn made_of(Origin { config, id, seed }: Origin, now: Time) -> Result<Self, ConfigError> {
        Gateway::new(config, id, seed, now)
    }

    fn handle(&mut self, event: Event, now: Time) -> Result<(), ApiMisuse> {
        self.news.begin();
        match event {
            Event::Tick => {}
            Event::WallClock { unix_ms } => self.wall.set(now, unix_ms),
            Event::Received { from, frame } => self.received(from, frame, now),
            Event::PublishFailed(rejected) => self.publish_failed(rejected, now),
            Event::NoResponders { to } => self.nobody_holds(to, now),
            Event::Lost { from } => self.frames_lost(from, now),
            Event::Directory(seen) => self.seen(seen, now),
            Event::Actors(seen) => self.all_actors_seen(seen, now),
            Event::Actor(seen) => self.actor_seen(seen, now),
            Event::ActorChanged { actor, outcome } => self.actor_changed(&actor, outcome, now),
            Event::RegistryChanged { change, outcome } => self.registry_changed(change, outcome, now),
            Event::DirectoryAway => self.runners.directory_away(),
            Event::DirectoryBack => self.runners.directory_back(now),
            Event::RequestChunk { key, bytes, finish } => self.request_chunk(key, bytes, finish, now)?,
            Event::WebSocketMessage { key, message } => self.websocket_message(key, message, now)?,
            Event::WebSocketClose { key, close } => self.websocket_close(key, close, now)?,
            Event::Consumed { key, bytes } => self.consumed(key, bytes, now),
            Event::ClientGone { key } => self.client_gone(key, now),
            Event::EndRequest { key } => {
                self.fail(key, FailureCode::EndedByOperator, "whoever looks after this gateway ended it")
            }
            Event::Drain => self.drain(now),
        }
        self.tick(now);
        Ok(())
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        if !self.actions.is_empty() {
            return Some(Time::ZERO);
        }
        [
            self.deadlines.next_due(),
            self.link_deadlines.next_due(),
            self.ending_deadlines.next_due(),
            self.group_deadlines.next_due(),
            self.registry.next_due(),
            self.next_asking(),
            self.waiting.next_look(),
            self.drain_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn news(&self) -> &[News] {
        self.news.as_slice()
    }

    fn stats(&self) -> Stats {
        Stats {
            open: self.requests.len(),
            waiting: self.waiting.len(),
            ending: self.endings.len(),
            hibernating: self.requests.asleep_in_all(),
            registered: self.registry.entered(),
            leaving: self.registry.leaving(),
            hibernating_actors: self.groups.len(),
            untold: self.words.len(),
            deadlines: self.deadlines.len()
                + self.link_deadlines.len()
                + self.ending_deadlines.len()
                + self.group_deadlines.len()
                + self.registry.deadlines()
                + usize::from(self.next_asking().is_some()),
            buffered: self.requests.keys().map(|key| self.requests.held(key)).sum(),
            kept_bodies: self.bodies.kept(),
            runners: self.runners.ready_in_all(),
            actors: self.actors.len(),
            asking: self.actors.asking(),
            ..self.counted.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_in_flight_is_skipped() {
        let mut gateway = Gateway::new(Config::default(), GatewayId([1; 4]), 1, Time::ZERO).unwrap();
        gateway.next_id = u32::MAX - 1;
        let key = crate::machine::table::Table::new().insert(());
        for id in [[255; 4], [0; 4]] {
            gateway.by_id.insert(RequestId(id), key);
        }
        let ids: Vec<_> = (0..3).map(|_| gateway.next_request_id().0).collect();
        assert_eq!(ids, [[255, 255, 255, 254], [0, 0, 0, 1], [0, 0, 0, 2]]);
    }
}
