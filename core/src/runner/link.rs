//! The runner's connection: dialling, greeting, silence, goodbye.

use super::{Action, Runner, StopReason};
use crate::error::ApiMisuse;
use crate::http::Close;
use crate::protocol::to_server::{Init, Pong};
use crate::protocol::{Dialect, ToClient, ToServer};
use crate::relay::write_abilities;
use crate::time::Time;

/// How the connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// It will be dialled.
    Waiting { until: Time },
    /// It is being dialled.
    Dialling,
    /// It is open and was greeted; the relay has not answered.
    Greeting { dialect: Dialect, until: Time },
    /// The relay has taken this runner in, but may not have told the gateways yet. It must say something in time.
    Settling { dialect: Dialect, until: Time, ponged: bool },
    /// Requests can come. The relay must say something in time.
    Ready { dialect: Dialect, until: Time },
    /// Dialling is given up; it may come to something all the same.
    GivingUp,
    /// It was told to close.
    Leaving,
    /// It is over for good.
    Stopped,
}

impl Link {
    pub(super) fn next_due(&self) -> Option<Time> {
        match self {
            Link::Waiting { until }
            | Link::Greeting { until, .. }
            | Link::Settling { until, .. }
            | Link::Ready { until, .. } => Some(*until),
            Link::Dialling | Link::GivingUp | Link::Leaving | Link::Stopped => None,
        }
    }

    /// Which words the connection knows, as long as frames can go over it.
    pub(super) fn dialect(&self) -> Option<Dialect> {
        match self {
            Link::Greeting { dialect, .. } | Link::Settling { dialect, .. } | Link::Ready { dialect, .. } => {
                Some(*dialect)
            }
            Link::Waiting { .. } | Link::Dialling | Link::GivingUp | Link::Leaving | Link::Stopped => None,
        }
    }
}

impl Runner {
    pub(super) fn dial(&mut self) {
        self.link = Link::Dialling;
        self.counted.dials += 1;
        self.actions.push_back(Action::Dial);
    }

    pub(super) fn connected(&mut self, dialect: Dialect, now: Time) -> Result<(), ApiMisuse> {
        match self.link {
            Link::Dialling => {}
            // It is closed.
            Link::GivingUp => return Ok(()),
            Link::Waiting { .. }
            | Link::Greeting { .. }
            | Link::Settling { .. }
            | Link::Ready { .. }
            | Link::Leaving
            | Link::Stopped => return Err(ApiMisuse::OutOfTurn("a connection that was not asked for")),
        }
        self.link = Link::Greeting { dialect, until: now + self.config.init };
        self.blocked = false;
        let metadata = write_abilities(&self.abilities(dialect));
        let init = ToServer::Init(Init {
            name: self.config.name.clone(),
            version: self.config.version,
            total_slots: self.config.total_slots,
            prepopulate_actor_names: None,
            metadata: Some(metadata.into()),
        });
        self.actions.push_back(Action::Send(init.encode()));
        Ok(())
    }

    /// A message of the relay that is not a piece of a request.
    pub(super) fn control(&mut self, message: ToClient, now: Time) {
        match message {
            ToClient::Init(init) => match self.link {
                Link::Greeting { dialect, .. } => {
                    self.link = Link::Settling { dialect, until: now + self.config.relay_silent, ponged: false };
                    self.was_ready = true;
                    self.backoff = self.config.backoff_first;
                    self.runner_id = init.runner_id;
                }
                // Greeted twice; the first holds.
                Link::Settling { .. } | Link::Ready { .. } => {}
                // Nothing is taken from a connection that is not open.
                Link::Waiting { .. } | Link::Dialling | Link::GivingUp | Link::Leaving | Link::Stopped => {}
            },
            ToClient::Ping(ping) => {
                self.actions.push_back(Action::Send(ToServer::Pong(Pong { ts: ping.ts }).encode()));
                self.pinged();
            }
            // This runner's actors keep nothing: it is sent no commands, reports no events and calls no store.
            ToClient::Commands(_) | ToClient::AckEvents(_) | ToClient::KvResponse(_) => {}
            // The relay closes when it is done; then this runner dials again.
            ToClient::Draining => {}
            // Those are taken elsewhere.
            ToClient::TunnelMessage(_) => {}
        }
    }

    /// The first pong makes a runner ready at its relay, which says so to the gateways; the ping after that comes when
    /// it has.
    fn pinged(&mut self) {
        if let Link::Settling { dialect, until, ponged } = &mut self.link {
            if *ponged {
                self.link = Link::Ready { dialect: *dialect, until: *until };
                self.actions.push_back(Action::Ready { runner_id: self.runner_id.clone() });
            } else {
                *ponged = true;
            }
        }
    }

    /// The relay said something: it lives.
    pub(super) fn heard(&mut self, now: Time) {
        if let Link::Settling { until, .. } | Link::Ready { until, .. } = &mut self.link {
            *until = now + self.config.relay_silent;
        }
    }

    pub(super) fn dial_refused(
        &mut self,
        status: u16,
        message: bytestring::ByteString,
        now: Time,
    ) -> Result<(), ApiMisuse> {
        match self.link {
            Link::Dialling => {}
            Link::GivingUp => {
                self.disconnected(None, now);
                return Ok(());
            }
            Link::Waiting { .. }
            | Link::Greeting { .. }
            | Link::Settling { .. }
            | Link::Ready { .. }
            | Link::Leaving
            | Link::Stopped => {
                return Err(ApiMisuse::OutOfTurn("the refusal of a connection that was not asked for"));
            }
        }
        // A relay that never took this runner in will not do so later; one that did may have been set up anew.
        if matches!(status, 400 | 401 | 403 | 404) && !self.was_ready {
            self.stop(StopReason::Refused { code: status, message });
        } else {
            self.disconnected(None, now);
        }
        Ok(())
    }

    /// Dialling failed, or the connection ended.
    pub(super) fn disconnected(&mut self, close: Option<Close>, now: Time) {
        self.abort_all();
        let reason = close.as_ref().and_then(|close| close.reason.as_deref()).unwrap_or_default();
        let code = close.as_ref().and_then(|close| close.code);
        if self.link == Link::Stopped {
            return;
        }
        if self.draining {
            self.stop(StopReason::Drained);
        } else if reason.starts_with("ws.eviction") {
            self.stop(StopReason::Evicted(close.unwrap_or_default()));
        } else if code == Some(1008) && !self.was_ready {
            self.stop(StopReason::Refused { code: 1008, message: reason.into() });
        } else {
            self.wait(now);
        }
    }

    fn wait(&mut self, now: Time) {
        let wait = self.random.jittered(self.backoff);
        self.backoff = (self.backoff * 2).min(self.config.backoff_most);
        self.link = Link::Waiting { until: now + wait };
    }

    pub(super) fn drain(&mut self) {
        if self.draining {
            return;
        }
        self.draining = true;
        match self.link {
            Link::Settling { .. } | Link::Ready { .. } => {
                self.actions.push_back(Action::Send(ToServer::Stopping.encode()));
                self.go_on_draining();
            }
            Link::Greeting { .. } => self.leave(),
            Link::Waiting { .. } => self.stop(StopReason::Drained),
            Link::Dialling => {
                self.leave();
                self.link = Link::GivingUp;
            }
            // It is going already.
            Link::GivingUp | Link::Leaving | Link::Stopped => {}
        }
    }

    /// A runner that drains closes its WebSockets when its HTTP exchanges have ended, and goes when nothing is open.
    pub(super) fn go_on_draining(&mut self) {
        let is_taken_in = matches!(self.link, Link::Settling { .. } | Link::Ready { .. });
        if !self.draining || !is_taken_in || self.exchanges > 0 {
            return;
        }
        if self.requests.len() == 0 {
            self.leave();
        } else if !self.closing_sockets {
            self.closing_sockets = true;
            self.close_sockets();
        }
    }

    fn leave(&mut self) {
        self.hang_up(Close::new(1000, "pegboard.runner_shutdown"));
    }

    pub(super) fn hang_up(&mut self, close: Close) {
        self.abort_all();
        self.link = Link::Leaving;
        self.actions.push_back(Action::Disconnect(close));
    }

    fn stop(&mut self, reason: StopReason) {
        self.link = Link::Stopped;
        self.actions.push_back(Action::Stopped(reason));
    }

    pub(super) fn tick(&mut self, now: Time) {
        if self.link.next_due().is_none_or(|due| now < due) {
            return;
        }
        match self.link {
            Link::Waiting { .. } => self.dial(),
            Link::Greeting { .. } => self.hang_up(Close::new(1002, "runner.init_timeout")),
            Link::Settling { .. } | Link::Ready { .. } => self.hang_up(Close::new(1011, "runner.relay_silent")),
            Link::Dialling | Link::GivingUp | Link::Leaving | Link::Stopped => {}
        }
    }
}
