//! One runner's connection: from its opening, by Init and pong, to its end.

use super::connection::{Connection, Session};
use super::notice::Notice;
use super::registration::{Registration, Step};
use super::{Action, Deadline, Relay};
use crate::bus::{ConnectionId, Publication, Subject};
use crate::directory::{ChangeOutcome, Pool, RunnerChange, RunnerId, RunnerKey, RunnerRecord, RunnerState};
use crate::error::ApiMisuse;
use crate::frame::Frame;
use crate::handshake::{Hello, abilities};
use crate::http::Close;
use crate::protocol::carry::FromRunner;
use crate::protocol::kv::{KvRequest, KvResponse, KvResponseData};
use crate::protocol::to_client::{self, Ping, ProtocolMetadata};
use crate::protocol::{ToClient, ToRunner, to_server};
use crate::time::Time;

/// The versions of the protocol that runners may speak.
const VERSIONS: core::ops::RangeInclusive<u16> = 7..=7;

impl Relay {
    pub(super) fn connected(&mut self, number: u64, hello: Hello, now: Time) -> Result<(), ApiMisuse> {
        if self.connections.contains_key(&number) || self.registrations.contains_key(&number) {
            return Err(ApiMisuse::ConnectionInUse(number));
        }
        let runner = hello.protocol_version;
        let most = self.config.max_connections;
        // While the directory is away, records of connections that have ended heap up.
        let full = self.connections.len() >= most || self.registrations.len() >= most.saturating_mul(2);
        let init = self.deadlines.arm(Deadline::Init, number, now);
        self.connections.insert(number, Connection::new(hello, init));
        if self.drain.has_begun() {
            self.close(number, Close::new(1001, "relay.draining"));
        } else if full {
            self.close(number, Close::new(1013, "relay.full"));
        } else if !VERSIONS.contains(&runner) {
            let (oldest, newest) = (*VERSIONS.start(), *VERSIONS.end());
            let notice = Notice::UnsupportedVersion { runner, oldest, newest };
            self.close(number, Close::new(1008, notice.to_string()));
            self.actions.push_back(Action::Log { connection: number, notice });
        }
        Ok(())
    }

    /// A runner said something.
    pub(super) fn said(&mut self, number: u64, message: FromRunner, now: Time) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match (message, &connection.session) {
            (
                FromRunner::Tunnel(carried),
                Session::Registering | Session::Settling | Session::Ready | Session::Draining | Session::Stopping,
            ) => self.carry_to_gateway(number, carried, now),
            (FromRunner::Init(init), Session::AwaitingInit { .. }) => self.init(number, init),
            (FromRunner::Pong(_), Session::Settling) => {
                connection.session = Session::Ready;
                let key = self.registrations.get_mut(&number).map(|registration| registration.key.clone());
                if let Some(key) = key {
                    self.actions.push_back(Action::Log { connection: number, notice: Notice::Ready(key) });
                }
                self.set_state(number, RunnerState::Ready);
            }
            // It answers, that is all that is asked of it.
            (FromRunner::Pong(_), Session::Ready | Session::Draining | Session::Stopping) => {}
            (FromRunner::Stopping, Session::Registering | Session::Settling | Session::Ready | Session::Draining) => {
                connection.session = Session::Stopping;
                self.set_state(number, RunnerState::Draining);
            }
            // It says so again.
            (FromRunner::Stopping, Session::Stopping) => {}
            // Actors with state are not placed yet: there is nobody whose events or acknowledgements could matter.
            (
                FromRunner::Events(_) | FromRunner::AckCommands(_),
                Session::Settling | Session::Ready | Session::Draining | Session::Stopping,
            ) => {}
            (
                FromRunner::KvRequest(request),
                Session::Settling | Session::Ready | Session::Draining | Session::Stopping,
            ) => self.refuse_kv(number, &request),
            // It was told to go; what it still says does not matter.
            (
                FromRunner::Tunnel(_)
                | FromRunner::Init(_)
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
                FromRunner::Tunnel(_)
                | FromRunner::Events(_)
                | FromRunner::AckCommands(_)
                | FromRunner::Stopping
                | FromRunner::Pong(_)
                | FromRunner::KvRequest(_),
                Session::AwaitingInit { .. },
            ) => self.out_of_turn(number, "something before ToServerInit"),
            (
                FromRunner::Events(_) | FromRunner::AckCommands(_) | FromRunner::Pong(_) | FromRunner::KvRequest(_),
                Session::Registering,
            ) => self.out_of_turn(number, "something before ToClientInit"),
        }
        self.heard(number, now);
    }

    fn init(&mut self, number: u64, init: to_server::Init) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let Session::AwaitingInit { deadline } = core::mem::replace(&mut connection.session, Session::Registering)
        else {
            return;
        };
        self.deadlines.cancel(deadline);
        let hello = &connection.hello;
        let abilities = abilities::read(init.metadata.as_deref(), hello.dialect);
        let pool = Pool { namespace: hello.namespace.clone(), name: init.name };
        let key = RunnerKey { pool, key: hello.runner_key.clone() };
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
            Step::Entered { displaced, change } => {
                if let Some(displaced) = displaced {
                    self.displace(displaced);
                }
                if let Some(change) = change {
                    self.change(number, change);
                }
                self.begin(number, now);
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

    /// Writes a runner's record anew, now and again after the interval.
    pub(super) fn refresh(&mut self, number: u64, now: Time) {
        if let Some(change) = self.registrations.get_mut(&number).and_then(Registration::refresh) {
            self.counted.refreshed += 1;
            self.change(number, change);
        }
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.refresh = Some(self.deadlines.arm(Deadline::Refresh, number, now));
        }
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
    fn begin(&mut self, number: u64, now: Time) {
        let Some(registration) = self.registrations.get(&number) else { return };
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match connection.session {
            Session::Registering => connection.session = Session::Settling,
            // It said goodbye already: it will not become ready, but is greeted and watched like any other.
            Session::Stopping => {}
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
                runner_lost_threshold: millis(self.config.runner_lost_threshold),
                actor_stop_threshold: millis(self.config.actor_stop_threshold),
                serverless_drain_grace_period: None,
            },
        });
        self.send(number, init.encode(), None);
        self.ping(number, now);
    }

    /// The record says that a runner is ready: a ping tells the runner that requests can come.
    fn told_gateways(&mut self, number: u64, now: Time) {
        if self.connections.get(&number).is_some_and(|connection| matches!(connection.session, Session::Ready)) {
            self.send_ping(number, now);
        }
    }

    fn send_ping(&mut self, number: u64, now: Time) {
        let ts = self.wall.unix_ms(now);
        self.send(number, ToClient::Ping(Ping { ts }).encode(), None);
    }

    /// Pings a runner now, and again after the interval.
    pub(super) fn ping(&mut self, number: u64, now: Time) {
        self.send_ping(number, now);
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.ping = Some(self.deadlines.arm(Deadline::Ping, number, now));
        }
    }

    /// The runner said something: it lives.
    pub(super) fn heard(&mut self, number: u64, now: Time) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if let Some(armed) = connection.pong.take() {
            self.deadlines.cancel(armed);
            connection.pong = Some(self.deadlines.arm(Deadline::Pong, number, now));
        }
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

    /// Actors that keep nothing have no store.
    fn refuse_kv(&mut self, number: u64, request: &KvRequest) {
        let Some(connection) = self.connections.get(&number) else { return };
        if connection.backlog.must_wait() && connection.backlog.held() >= self.config.max_backlog {
            return self.close(number, Close::new(1013, "relay.backlog_full"));
        }
        let data = KvResponseData::Error { message: "this runner's actors have no key-value store".into() };
        let response = ToClient::KvResponse(KvResponse { request_id: request.request_id, data });
        self.send(number, response.encode(), None);
    }

    pub(super) fn set_state(&mut self, number: u64, state: RunnerState) {
        if let Some(change) = self.registrations.get_mut(&number).and_then(|registration| registration.set_state(state))
        {
            self.change(number, change);
        }
    }

    fn change(&mut self, number: u64, change: RunnerChange) {
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
        for armed in armed.into_iter().flatten() {
            self.deadlines.cancel(armed);
        }
        connection.backlog.clear();
        self.counted.ends.connection_ended += connection.routes.len() as u64;
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

    /// Sends a frame to a runner, or lets it wait behind what waits already; behind its close nothing goes. `held` is
    /// what a request's bytes are counted by.
    pub(super) fn send(&mut self, number: u64, frame: Frame, held: Option<super::routes::RouteId>) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if matches!(connection.session, Session::Closing) {
            return;
        }
        if connection.backlog.must_wait() {
            connection.backlog.push(frame, held);
        } else {
            self.actions.push_back(Action::Send { connection: number, frame });
        }
    }
}
