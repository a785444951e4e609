//! One connection to a relay: dialling, greeting, silence, hanging up.

use std::collections::VecDeque;

use bytestring::ByteString;

use super::{Action, Purpose, Runner, StopReason};
use crate::error::ApiMisuse;
use crate::handshake::abilities;
use crate::http::Close;
use crate::machine::RequestKey;
use crate::protocol::to_client::Init as Greeting;
use crate::protocol::to_server::{Init, Pong};
use crate::protocol::{Dialect, ToClient, ToServer};
use crate::time::Time;

/// A connection, from its dialling to its end.
#[derive(Debug)]
pub(super) struct Link {
    /// Its number: the machine gives it, and never twice.
    pub(super) connection: u64,
    pub(super) stage: Stage,
    /// The relay has said that it drains.
    pub(super) relay_drains: bool,
    /// When it is left for a newer one, unless something opens on it.
    pub(super) leave_at: Option<Time>,
    /// Its outbox has no room.
    pub(super) blocked: bool,
    /// How many requests have come on it and are open.
    pub(super) open: usize,
    /// Requests that have something for the outbox when it has room again.
    pub(super) waiting: VecDeque<RequestKey>,
    /// Requests of which a credit total was told. Some may have ended.
    pub(super) granted: VecDeque<RequestKey>,
}

/// How far a connection has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is being dialled.
    Dialling { until: Time },
    /// It is open and was greeted; the relay has not answered.
    Greeting { dialect: Dialect, until: Time },
    /// The relay has taken this runner in, but may not have told the gateways yet. It must say something in time.
    Settling { dialect: Dialect, until: Time, ponged: bool, runner_id: ByteString },
    /// Requests can come. The relay must say something in time.
    Ready { dialect: Dialect, until: Time },
    /// Dialling is given up; it may come to something all the same.
    GivingUp,
    /// It was told to close.
    Leaving,
}

impl Link {
    pub(super) fn next_due(&self) -> Option<Time> {
        self.stage_due().into_iter().chain(self.leave_at).min()
    }

    /// Until when the stage may last.
    fn stage_due(&self) -> Option<Time> {
        match self.stage {
            Stage::Dialling { until }
            | Stage::Greeting { until, .. }
            | Stage::Settling { until, .. }
            | Stage::Ready { until, .. } => Some(until),
            Stage::GivingUp | Stage::Leaving => None,
        }
    }

    /// Which words the connection knows, as long as frames can go over it.
    pub(super) fn dialect(&self) -> Option<Dialect> {
        match self.stage {
            Stage::Greeting { dialect, .. } | Stage::Settling { dialect, .. } | Stage::Ready { dialect, .. } => {
                Some(dialect)
            }
            Stage::Dialling { .. } | Stage::GivingUp | Stage::Leaving => None,
        }
    }

    /// Whether the relay has taken this runner in, and it has not left.
    pub(super) fn is_taken_in(&self) -> bool {
        match self.stage {
            Stage::Settling { .. } | Stage::Ready { .. } => true,
            Stage::Dialling { .. } | Stage::Greeting { .. } | Stage::GivingUp | Stage::Leaving => false,
        }
    }

    /// Whether the relay knows which actors this runner has, so that it lets them call their stores.
    pub(super) fn takes_calls(&self) -> bool {
        match self.stage {
            Stage::Settling { ponged, .. } => ponged,
            Stage::Ready { .. } => true,
            Stage::Dialling { .. } | Stage::Greeting { .. } | Stage::GivingUp | Stage::Leaving => false,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        match self.stage {
            Stage::Ready { .. } => true,
            Stage::Dialling { .. }
            | Stage::Greeting { .. }
            | Stage::Settling { .. }
            | Stage::GivingUp
            | Stage::Leaving => false,
        }
    }

    /// Whether it is one to stay with, so that no other need be dialled.
    pub(super) fn is_kept(&self) -> bool {
        match self.stage {
            Stage::Dialling { .. } | Stage::Greeting { .. } => true,
            Stage::Settling { .. } | Stage::Ready { .. } => !self.relay_drains,
            Stage::GivingUp | Stage::Leaving => false,
        }
    }
}

impl Runner {
    pub(super) fn dial(&mut self, now: Time) {
        self.counted.dials += 1;
        let connection = self.counted.dials;
        self.links.push(Link {
            connection,
            stage: Stage::Dialling { until: now + self.config.dial },
            relay_drains: false,
            leave_at: None,
            blocked: false,
            open: 0,
            waiting: VecDeque::new(),
            granted: VecDeque::new(),
        });
        self.actions.push_back(Action::Dial { connection });
    }

    pub(super) fn connected(&mut self, connection: u64, dialect: Dialect, now: Time) -> Result<(), ApiMisuse> {
        let until = now + self.config.init;
        let metadata = abilities::write(&self.abilities(dialect));
        let unasked = ApiMisuse::OutOfTurn("a connection that was not asked for");
        let link = self.link_mut(connection).ok_or(unasked)?;
        match link.stage {
            Stage::Dialling { .. } => link.stage = Stage::Greeting { dialect, until },
            // It is closed.
            Stage::GivingUp => return Ok(()),
            Stage::Greeting { .. } | Stage::Settling { .. } | Stage::Ready { .. } | Stage::Leaving => {
                return Err(unasked);
            }
        }
        self.last_greeted = connection;
        let init = ToServer::Init(Init {
            name: self.config.name.clone(),
            version: self.config.version,
            total_slots: self.config.total_slots,
            prepopulate_actor_names: None,
            metadata: Some(metadata.into()),
        });
        self.tell_relay(connection, &init);
        Ok(())
    }

    /// A message of the relay that is not a piece of a request, on a connection over which frames can go.
    pub(super) fn control(&mut self, connection: u64, message: ToClient, now: Time) {
        match message {
            ToClient::Init(init) => self.greeted(connection, init, now),
            ToClient::Ping(ping) => {
                self.tell_relay(connection, &ToServer::Pong(Pong { ts: ping.ts }));
                self.pinged(connection, now);
                self.grant_again(connection);
            }
            ToClient::Draining => self.relay_drains(connection, now),
            ToClient::Commands(commands) => self.commands(connection, commands, now),
            ToClient::AckEvents(acknowledged) => self.events_acknowledged(acknowledged),
            ToClient::KvResponse(response) => self.kv_answered(connection, response),
            // Those are taken elsewhere.
            ToClient::TunnelMessage(_) => {}
        }
    }

    fn greeted(&mut self, connection: u64, init: Greeting, now: Time) {
        let Greeting { runner_id, metadata } = init;
        let until = now + self.config.relay_silent;
        let Some(link) = self.link_mut(connection) else { return };
        match link.stage {
            Stage::Greeting { dialect, .. } => {
                link.stage = Stage::Settling { dialect, until, ponged: false, runner_id: runner_id.clone() };
                self.was_taken_in = true;
                self.backoff = self.config.backoff_first;
                self.taken_in(&runner_id, metadata, now);
            }
            // Greeted twice; the first holds.
            Stage::Settling { .. } | Stage::Ready { .. } => {}
            // Nothing is taken from a connection that is not open.
            Stage::Dialling { .. } | Stage::GivingUp | Stage::Leaving => {}
        }
    }

    /// The first pong makes a runner ready at its relay, which says so to the gateways; the ping after that comes when
    /// it has.
    fn pinged(&mut self, connection: u64, now: Time) {
        let moves = self.links.iter().any(|link| link.connection < connection && link.relay_drains);
        let Some(link) = self.link_mut(connection) else { return };
        let Stage::Settling { dialect, until, ponged, runner_id } = &mut link.stage else { return };
        if *ponged {
            let runner_id = core::mem::take(runner_id);
            link.stage = Stage::Ready { dialect: *dialect, until: *until };
            self.counted.moves += u64::from(moves);
            self.actions.push_back(Action::Ready { runner_id });
            self.move_sockets(now);
        } else {
            *ponged = true;
            // With that pong, the relay knows which actors are here.
            self.send_calls_again();
        }
    }

    /// The relay said something: it lives.
    pub(super) fn heard(&mut self, connection: u64, now: Time) {
        let silent = now + self.config.relay_silent;
        let Some(link) = self.link_mut(connection) else { return };
        if let Stage::Settling { until, .. } | Stage::Ready { until, .. } = &mut link.stage {
            *until = silent;
        }
    }

    pub(super) fn dial_refused(
        &mut self,
        connection: u64,
        status: u16,
        message: ByteString,
        now: Time,
    ) -> Result<(), ApiMisuse> {
        let unasked = ApiMisuse::OutOfTurn("the refusal of a connection that was not asked for");
        match self.link(connection).ok_or(unasked)?.stage {
            Stage::Dialling { .. } | Stage::GivingUp => {}
            Stage::Greeting { .. } | Stage::Settling { .. } | Stage::Ready { .. } | Stage::Leaving => {
                return Err(unasked);
            }
        }
        self.disconnected(connection, None, now);
        // A relay that never took this runner in will not do so later; one that did may have been set up anew.
        if matches!(status, 400 | 401 | 403 | 404) && !self.was_taken_in && self.purpose == Purpose::Serving {
            self.stop(StopReason::Refused { code: status, message }, now);
        }
        Ok(())
    }

    /// Dialling failed, or the connection ended.
    pub(super) fn disconnected(&mut self, connection: u64, close: Option<Close>, now: Time) {
        let Some(place) = self.links.iter().position(|link| link.connection == connection) else { return };
        let link = self.links.remove(place);
        self.abort_all(connection, now);
        if close.is_none() {
            self.note_unanswered(&link.stage);
        }
        if link.is_kept() {
            self.put_off_dialling(now);
        }
        match self.purpose {
            Purpose::Serving => {}
            // It goes anyway.
            Purpose::Draining { .. } | Purpose::Stopping(_) | Purpose::Stopped => return,
        }
        let reason = close.as_ref().and_then(|close| close.reason.as_deref()).unwrap_or_default();
        let code = close.as_ref().and_then(|close| close.code);
        if reason.starts_with("ws.eviction") && !self.may_have_evicted_itself(connection) {
            self.stop(StopReason::Evicted(close.unwrap_or_default()), now);
        } else if code == Some(1008) && !self.was_taken_in {
            self.stop(StopReason::Refused { code: 1008, message: reason.into() }, now);
        }
    }

    /// Whether it may be another connection of this runner that took the place of an evicted one: a newer one, or an
    /// older one whose relay had not answered when it was left. After that it comes again, once.
    fn may_have_evicted_itself(&mut self, connection: u64) -> bool {
        connection < self.last_greeted || core::mem::take(&mut self.may_evict_itself)
    }

    /// A relay that has this runner's Init and has not answered may still take it in when it has left, and evict the
    /// connection that came after.
    fn note_unanswered(&mut self, left: &Stage) {
        match left {
            Stage::Greeting { .. } => self.may_evict_itself = true,
            Stage::Dialling { .. }
            | Stage::Settling { .. }
            | Stage::Ready { .. }
            | Stage::GivingUp
            | Stage::Leaving => {}
        }
    }

    /// The next dial waits, each time twice as long, until a relay takes this runner in.
    pub(super) fn put_off_dialling(&mut self, now: Time) {
        self.dial_at = now + self.random.jittered(self.backoff);
        self.backoff = (self.backoff * 2).min(self.config.backoff_most);
    }

    /// When to dial, if there is to be another connection: there is none to stay with, and there are fewer than two.
    pub(super) fn next_dial(&self) -> Option<Time> {
        match self.purpose {
            Purpose::Serving if self.links.len() < MOST_LINKS && !self.links.iter().any(Link::is_kept) => {
                Some(self.dial_at)
            }
            Purpose::Serving | Purpose::Draining { .. } | Purpose::Stopping(_) | Purpose::Stopped => None,
        }
    }

    /// Leaves a connection, if that has not been done: its requests end, and it is closed.
    pub(super) fn hang_up(&mut self, connection: u64, close: Close, now: Time) {
        let Some(stage) = self.link(connection).map(|link| link.stage.clone()) else { return };
        self.note_unanswered(&stage);
        let Some(link) = self.link_mut(connection) else { return };
        link.stage = match link.stage {
            Stage::Dialling { .. } => Stage::GivingUp,
            Stage::Greeting { .. } | Stage::Settling { .. } | Stage::Ready { .. } => Stage::Leaving,
            Stage::GivingUp | Stage::Leaving => return,
        };
        link.leave_at = None;
        self.abort_all(connection, now);
        self.actions.push_back(Action::Disconnect { connection, close });
    }

    /// The connection is of no use: it is left, and another is dialled after a while.
    pub(super) fn fail(&mut self, connection: u64, close: Close, now: Time) {
        if self.link(connection).is_some_and(Link::is_kept) {
            self.put_off_dialling(now);
        }
        self.hang_up(connection, close, now);
    }

    /// What has waited too long is left.
    pub(super) fn look_at_links(&mut self, now: Time) {
        for place in 0..self.links.len() {
            let link = &self.links[place];
            let connection = link.connection;
            if link.stage_due().is_none_or(|due| now < due) {
                continue;
            }
            let timeouts = &mut self.counted.timeouts;
            let (counter, close) = match link.stage {
                Stage::Dialling { .. } => (&mut timeouts.dial, Close::new(1002, "runner.dial_timeout")),
                Stage::Greeting { .. } => (&mut timeouts.init, Close::new(1002, "runner.init_timeout")),
                Stage::Settling { .. } | Stage::Ready { .. } => {
                    (&mut timeouts.relay_silent, Close::new(1011, "runner.relay_silent"))
                }
                // They wait for the adapter, which has deadlines of its own.
                Stage::GivingUp | Stage::Leaving => continue,
            };
            *counter += 1;
            self.fail(connection, close, now);
        }
        if self.next_dial().is_some_and(|due| due <= now) {
            self.dial(now);
        }
    }

    pub(super) fn tell_relay(&mut self, connection: u64, message: &ToServer) {
        self.actions.push_back(Action::Send { connection, frame: message.encode() });
    }

    pub(super) fn link(&self, connection: u64) -> Option<&Link> {
        self.links.iter().find(|link| link.connection == connection)
    }

    pub(super) fn link_mut(&mut self, connection: u64) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.connection == connection)
    }
}

/// One that serves, and one beside it that is left or dialled.
const MOST_LINKS: usize = 2;
