//! One runner's connection: from its opening, by Init and pong, to its end.

use super::connection::{Connection, Early, Hosting, Session, Waiting};
use super::notice::Notice;
use super::pools::{Clash, PoolKind};
use super::registration::{Registration, Step};
use super::{Action, Deadline, Relay};
use crate::bus::{ConnectionId, Publication, Subject};
use crate::directory::{ChangeOutcome, Pool, Revision, RunnerChange, RunnerId, RunnerKey, RunnerRecord, RunnerState};
use crate::error::ApiMisuse;
use crate::frame::Frame;
use crate::handshake::{Hello, abilities};
use crate::http::Close;
use crate::observe::{End, News};
use crate::protocol::carry::{Carried, FromRunner, ToServerWord};
use crate::protocol::to_client::{self, ProtocolMetadata};
use crate::protocol::{ToClient, ToRunner, Version, to_server};
use crate::supervisor;
use crate::time::Time;

impl Relay {
    pub(super) fn connected(&mut self, number: u64, hello: Hello, now: Time) -> Result<(), ApiMisuse> {
        if self.connections.contains_key(&number) || self.registrations.contains_key(&number) {
            return Err(ApiMisuse::ConnectionInUse(number));
        }
        let runner = hello.protocol_version;
        let most = self.config.max_connections;
        let max_requests = self.config.max_routes_per_connection;
        // While the directory is away, records of connections that have ended heap up.
        let full = self.connections.len() >= most || self.registrations.len() >= most.saturating_mul(2);
        let init = self.deadlines.arm(Deadline::Init, number, now);
        self.connections.insert(number, Connection::new(hello, init, max_requests));
        if self.drain.has_begun() {
            self.close(number, Close::new(1001, "relay.draining"));
        } else if full {
            self.close(number, Close::new(1013, "relay.full"));
        } else if Version::try_from(runner).is_err() {
            let (oldest, newest) = (Version::V1.number(), Version::V7.number());
            let notice = Notice::UnsupportedVersion { runner, oldest, newest };
            self.close(number, Close::new(1008, notice.to_string()));
            self.actions.push_back(Action::Log { connection: number, notice });
        }
        Ok(())
    }

    /// A runner said a piece of an answer, in so many bytes.
    pub(super) fn said_piece(&mut self, number: u64, piece: Carried<ToServerWord>, bytes: usize, now: Time) {
        let Some(connection) = self.connections.get(&number) else { return };
        match connection.session {
            Session::Registering | Session::Settling | Session::Ready | Session::Draining | Session::Stopping => {
                self.carry_to_gateway(number, piece, bytes, now);
            }
            Session::AwaitingInit { .. } => self.out_of_turn(number, "something before ToServerInit"),
            // It was told to go; what it still says does not matter.
            Session::Closing => {}
        }
        self.heard(number, now);
    }

    /// A runner said something, in so many bytes.
    pub(super) fn said(&mut self, number: u64, message: FromRunner, bytes: usize, now: Time) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match (message, &connection.session) {
            (FromRunner::Tunnel(piece), _) => return self.said_piece(number, piece, bytes, now),
            (FromRunner::Init(init), Session::AwaitingInit { .. }) => self.init(number, init),
            (FromRunner::Pong(_), Session::Settling) => {
                connection.session = Session::Ready;
                self.answered(number, now);
                let key = self.registrations.get_mut(&number).map(|registration| registration.key.clone());
                if let Some(key) = key {
                    self.actions.push_back(Action::Log { connection: number, notice: Notice::Ready(key) });
                }
                self.set_state(number, RunnerState::Ready);
            }
            (FromRunner::Pong(_), Session::Ready | Session::Draining | Session::Stopping) => self.answered(number, now),
            (FromRunner::Stopping, Session::Registering | Session::Settling | Session::Ready | Session::Draining) => {
                let was_told_to_move = matches!(connection.session, Session::Draining);
                connection.session = Session::Stopping;
                if let Some(registration) = self.registrations.get_mut(&number) {
                    registration.said_goodbye();
                }
                // It may have come to another relay before it wanted to go: that must not take it over from here.
                if !was_told_to_move {
                    self.set_state(number, RunnerState::Draining);
                }
                self.pass_on(number, supervisor::Event::Stopping { connection: number }, now);
            }
            // It says so again.
            (FromRunner::Stopping, Session::Stopping) => {}
            // Actors without state are nobody's concern.
            (
                FromRunner::Events(events),
                Session::Settling | Session::Ready | Session::Draining | Session::Stopping,
            ) => self.pass_on(number, supervisor::Event::Events { connection: number, events }, now),
            (
                FromRunner::AckCommands(acknowledged),
                Session::Settling | Session::Ready | Session::Draining | Session::Stopping,
            ) => self.pass_on(number, supervisor::Event::AckCommands { connection: number, acknowledged }, now),
            (
                FromRunner::KvRequest(request),
                Session::Settling | Session::Ready | Session::Draining | Session::Stopping,
            ) => self.kv_request(number, request, bytes, now),
            // It goes on where it was when its connection broke. Once it is greeted it is heard.
            (
                message @ (FromRunner::Events(_) | FromRunner::AckCommands(_) | FromRunner::KvRequest(_)),
                Session::Registering,
            ) => self.said_early(number, message, bytes),
            // It was told to go; what it still says does not matter.
            (
                FromRunner::Init(_)
                | FromRunner::Events(_)
                | FromRunner::AckCommands(_)
                | FromRunner::Stopping
                | FromRunner::Pong(_)
                | FromRunner::KvRequest(_),
                Session::Closing,
            ) => {}
            (
                FromRunner::Init(_),
                Session::Registering | Session::Settling | Session::Ready | Session::Draining | Session::Stopping,
            ) => self.out_of_turn(number, "a second ToServerInit"),
            (
                FromRunner::Events(_)
                | FromRunner::AckCommands(_)
                | FromRunner::Stopping
                | FromRunner::Pong(_)
                | FromRunner::KvRequest(_),
                Session::AwaitingInit { .. },
            ) => self.out_of_turn(number, "something before ToServerInit"),
            // Its WebSocket may say so by itself, and says nothing else by that.
            (FromRunner::Pong(_), Session::Registering) => {}
        }
        self.heard(number, now);
    }

    /// What a runner says before it is greeted is kept, as long as there is room.
    fn said_early(&mut self, number: u64, message: FromRunner, bytes: usize) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let bytes = bytes + Early::WEIGHT;
        if connection.early.held() + bytes > self.config.max_buffered {
            return self.out_of_turn(number, "too much before ToClientInit");
        }
        connection.early.push(message, bytes);
    }

    fn init(&mut self, number: u64, init: to_server::Init) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let Session::AwaitingInit { deadline } = core::mem::replace(&mut connection.session, Session::Registering)
        else {
            return;
        };
        self.deadlines.cancel(deadline);
        let hello = &connection.hello;
        let max_bytes = self.config.max_name;
        let [namespace, key] = hello.names();
        let too_long = [namespace, ("name", &init.name), key].into_iter().find(|(_, text)| text.len() > max_bytes);
        if let Some((name, text)) = too_long {
            let notice = Notice::NameTooLong { name, bytes: text.len(), max_bytes };
            return self.give_up(number, notice, Close::new(1008, format!("relay.name_too_long: {name}")));
        }
        let abilities = abilities::read(init.metadata.as_deref(), hello.dialect);
        let pool = Pool { namespace: hello.namespace.clone(), name: init.name };
        let key = RunnerKey { pool, key: hello.runner_key.clone() };
        connection.streams = abilities.streams;
        let kind = PoolKind::of(abilities);
        if let Some(theirs) = self.pools.other_kind(&key, kind) {
            return self.other_kind(Clash { connection: number, mine: kind, theirs });
        }
        self.pools.enter(number, key.clone(), kind);
        let id = uuid::Builder::from_random_bytes({
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&self.random.next_u64().to_be_bytes());
            bytes[8..].copy_from_slice(&self.random.next_u64().to_be_bytes());
            bytes
        });
        let record = RunnerRecord {
            id: RunnerId(id.into_uuid()),
            slots: init.total_slots,
            protocol_version: hello.protocol_version,
            abilities,
            connection: Some(ConnectionId { relay: self.id, number }),
            moving: None,
            // Until its pong it takes none.
            state: RunnerState::Full,
            entered: None,
        };
        let (registration, change) = Registration::enter(key, record);
        self.registrations.insert(number, registration);
        self.change(number, change);
    }

    /// What became of a change of the directory.
    pub(super) fn directory(&mut self, number: u64, outcome: ChangeOutcome, now: Time) {
        let Some(registration) = self.registrations.get_mut(&number) else { return };
        match registration.outcome(outcome, self.id) {
            Step::Change(change) => self.change(number, change),
            Step::Entered { revision, displaced, change } => {
                if let Some(displaced) = displaced {
                    self.displace(displaced);
                }
                if let Some(change) = change {
                    self.change(number, change);
                }
                if let Some(entered) = self.registrations.get(&number).and_then(Registration::entered) {
                    self.pools.entered(number, entered);
                }
                // Another may have come in at the same time.
                match self.pools.earlier_of_other_kind(number) {
                    Some(clash) => self.other_kind(clash),
                    None => self.begin(number, revision, now),
                }
            }
            Step::Settled(state) => match state {
                RunnerState::Ready => self.told_gateways(number, now),
                RunnerState::Moving => self.tell_to_move(number),
                RunnerState::Full | RunnerState::Draining => {}
            },
            Step::Refreshed => {}
            Step::LeftMoving => {
                self.deadlines.arm(Deadline::Moving, number, now);
            }
            Step::Moved => self.emptied(number),
            // An outcome of what was not asked, or was answered before.
            Step::Unasked => {}
            Step::Done => {
                self.registrations.remove(&number);
            }
            Step::TakenOver => {
                self.registrations.remove(&number);
                self.take_over(number);
            }
            Step::GaveWay => {
                self.registrations.remove(&number);
                self.give_up(number, Notice::GaveWay, Close::new(1013, "relay.directory_away"));
            }
            Step::Unavailable => {
                self.actions.push_back(Action::Log { connection: number, notice: Notice::DirectoryUnavailable });
                self.deadlines.arm(Deadline::Directory, number, now);
            }
        }
    }

    /// Another connection of a runner has taken the place of this one.
    fn displace(&mut self, displaced: ConnectionId) {
        if displaced.relay == self.id {
            return self.take_over(displaced.number);
        }
        self.actions.push_back(Action::Publish(Publication {
            to: Subject::Connection(displaced),
            reply_to: None,
            frame: ToRunner::Close.encode_framed(),
        }));
    }

    /// Nobody has taken a connection out of the record that a runner moved from: its relay is gone.
    pub(super) fn take_moving_out(&mut self, number: u64) {
        if let Some(change) = self.registrations.get_mut(&number).map(Registration::take_moving_out) {
            self.counted.timeouts.moving += 1;
            self.change(number, change);
        }
    }

    /// The directory was away; it is asked again.
    pub(super) fn change_again(&mut self, number: u64) {
        if let Some(change) = self.registrations.get_mut(&number).map(Registration::again) {
            self.change(number, change);
        }
    }

    /// The runner is entered in the directory: greets it, and pings it.
    fn begin(&mut self, number: u64, revision: Revision, now: Time) {
        let Some(registration) = self.registrations.get(&number) else { return };
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let mut stopping = false;
        match connection.session {
            Session::Registering => connection.session = Session::Settling,
            // It said goodbye already: it will not become ready, but is greeted and watched like any other.
            Session::Stopping => stopping = true,
            Session::AwaitingInit { .. }
            | Session::Settling
            | Session::Ready
            | Session::Draining
            | Session::Closing => return,
        }
        connection.pong = Some(self.deadlines.arm(Deadline::Pong, number, now));
        connection.refresh = Some(self.deadlines.arm(Deadline::Refresh, number, now));
        let millis = |duration: core::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let init = ToClient::Init(to_client::Init {
            runner_id: registration.runner_id().to_string().into(),
            metadata: ProtocolMetadata {
                runner_lost_threshold: millis(self.config.supervisor.runner_lost_threshold),
                actor_stop_threshold: millis(self.config.supervisor.actor_stop_threshold),
                serverless_drain_grace_period: None,
            },
        });
        let early = connection.early.take();
        self.tell_runner(number, init);
        self.ping(number, now);
        self.greeted(number, revision, now);
        if stopping {
            self.pass_on(number, supervisor::Event::Stopping { connection: number }, now);
        }
        for (message, bytes) in early {
            self.said(number, message, bytes, now);
        }
    }

    /// A pool has runners of one kind only: that of the runner that came first.
    pub(super) fn other_kind(&mut self, Clash { connection: number, mine, theirs }: Clash) {
        self.counted.other_kind += 1;
        let notice = Notice::OtherKind { mine, theirs };
        let close = Close::new(1008, format!("relay.other_kind: {notice}"));
        self.give_up(number, notice, close);
    }

    /// Another connection has this runner now.
    pub(super) fn take_over(&mut self, number: u64) {
        let Some(connection) = self.connections.get(&number) else { return };
        if matches!(connection.session, Session::Closing) {
            return;
        }
        self.actions.push_back(Action::Log { connection: number, notice: Notice::TakenOver });
        self.close(number, Close::new(1000, "ws.eviction#taken_over"));
    }

    fn out_of_turn(&mut self, number: u64, what: &'static str) {
        self.actions.push_back(Action::Log { connection: number, notice: Notice::OutOfTurn(what) });
        self.close(number, Close::new(1002, format!("relay.out_of_turn: {what}")));
    }

    pub(super) fn set_state(&mut self, number: u64, state: RunnerState) {
        if let Some(change) = self.registrations.get_mut(&number).and_then(|registration| registration.set_state(state))
        {
            self.change(number, change);
        }
    }

    pub(super) fn change(&mut self, number: u64, change: RunnerChange) {
        self.actions.push_back(Action::Directory { connection: number, change });
    }

    /// Closes a connection: nothing of it counts from here on, until it is told to have ended.
    pub(super) fn close(&mut self, number: u64, close: Close) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if matches!(connection.session, Session::Closing) {
            return;
        }
        self.actions.push_back(Action::Close { connection: number, close });
        let session = core::mem::replace(&mut connection.session, Session::Closing);
        self.release(number, session);
    }

    /// A connection ended.
    pub(super) fn disconnected(&mut self, number: u64) -> Result<(), ApiMisuse> {
        let Some(connection) = self.connections.get_mut(&number) else {
            return Err(ApiMisuse::NoSuchConnection(number));
        };
        let session = core::mem::replace(&mut connection.session, Session::Closing);
        self.release(number, session);
        self.connections.remove(&number);
        Ok(())
    }

    /// Gives up what a connection holds: its deadlines, its routes, what waits for it, its record.
    fn release(&mut self, number: u64, session: Session) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let init = match session {
            Session::AwaitingInit { deadline } => Some(deadline),
            Session::Registering
            | Session::Settling
            | Session::Ready
            | Session::Draining
            | Session::Stopping
            | Session::Closing => None,
        };
        let armed = [init, connection.ping.take(), connection.pong.take(), connection.refresh.take()];
        let drain = core::mem::take(&mut connection.drain);
        for armed in armed.into_iter().chain(drain).flatten() {
            self.deadlines.cancel(armed);
        }
        connection.backlog.clear();
        connection.early.take();
        connection.held.take_all();
        if connection.hosts() {
            connection.hosting = Hosting::Nothing;
            self.left.push(number);
        }
        self.forget_calls(number);
        self.pools.leave(number);
        let Some(connection) = self.connections.get_mut(&number) else { return };
        self.counted.ends.connection_ended += connection.routes.len() as u64;
        for id in self.routes.of_connection(&connection.routes) {
            self.news.push(News::Ended { request: id.into(), end: End::Aborted });
        }
        for gateway in self.routes.forget_all(&mut connection.routes) {
            self.tell_connection_ended(number, gateway);
        }
        if let Some(registration) = self.registrations.get_mut(&number) {
            match registration.leave() {
                Some(change) => self.change(number, change),
                None if registration.is_idle() => {
                    self.registrations.remove(&number);
                }
                None => {}
            }
        }
    }

    /// Tells a runner something, if its version has a word for it.
    pub(super) fn tell_runner(&mut self, number: u64, message: ToClient) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let Ok(frame) = connection.edge.to_runner(message) else { return };
        // What is sent for requests stops at `max_backlog`; beyond it is a little room for the rest.
        let most = self.config.max_backlog.saturating_add(self.config.max_frame);
        if connection.backlog.must_wait() && connection.backlog.held() + frame.len() > most {
            return self.close(number, Close::new(1013, "relay.backlog_full"));
        }
        self.send(number, frame, None);
    }

    /// Sends a frame to a runner, or lets it wait behind what waits already; behind its close nothing goes. `held` is
    /// what a request's bytes are counted by.
    pub(super) fn send(&mut self, number: u64, frame: Frame, held: Option<super::routes::RouteId>) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if matches!(connection.session, Session::Closing) {
            return;
        }
        if connection.backlog.must_wait() {
            connection.backlog.push(Waiting::Frame(frame, held));
        } else {
            self.actions.push_back(Action::Send { connection: number, frame });
        }
    }
}
