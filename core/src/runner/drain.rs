//! Draining: of this runner, which goes, and of its relay, which it moves away from.

use super::link::Link;
use super::request::State;
use super::{Action, Ended, Purpose, Runner, StopReason};
use crate::failure::FailureCode;
use crate::http::Close;
use crate::machine::RequestKey;
use crate::machine::flow::Piece;
use crate::protocol::ToServer;
use crate::time::Time;

impl Runner {
    /// Finish what is open, take nothing new, go.
    pub(super) fn drain(&mut self, now: Time) {
        match self.purpose {
            Purpose::Serving => {}
            // It is going already.
            Purpose::Draining { .. } | Purpose::Stopping(_) | Purpose::Stopped => return,
        }
        let until = self.config.drain_limit.map(|limit| now + limit);
        self.purpose = Purpose::Draining { closing_sockets: false, until, leave_at: None };
        // Its actors are about to end.
        self.send_acks();
        for place in 0..self.links.len() {
            let link = &self.links[place];
            let connection = link.connection;
            if link.is_taken_in() {
                self.tell_relay(connection, &ToServer::Stopping);
            } else {
                self.hang_up(connection, goodbye(), now);
            }
        }
    }

    /// A runner that drains closes its WebSockets when its HTTP exchanges have ended, and goes when nothing is open.
    pub(super) fn go_on_draining(&mut self, now: Time) {
        let Purpose::Draining { closing_sockets, until, .. } = &mut self.purpose else { return };
        let is_over = until.is_some_and(|until| until <= now);
        if is_over && (self.requests.len() > 0 || self.actors.living() > 0) {
            self.counted.timeouts.drain_limit += 1;
            let keys: Vec<RequestKey> = self.requests.keys().collect();
            for key in keys {
                // What can hibernate sleeps with its actor.
                if self.requests.get(key).is_some_and(|request| request.hibernation.is_none()) {
                    self.abort(key, FailureCode::Draining);
                }
            }
        } else if self.exchanges == 0 && !*closing_sockets && self.config.stateless {
            *closing_sockets = true;
            self.close_sockets();
        }
        let nothing_can_come = is_over || !self.links.iter().any(Link::is_taken_in);
        if nothing_can_come {
            self.stop_all(now);
        }
        if is_over {
            self.forget_lives();
        }
        if self.was_idle_long_enough(now) || (self.is_empty() && nothing_can_come) {
            self.stop(StopReason::Drained, now);
        }
    }

    fn is_empty(&self) -> bool {
        self.requests.len() == 0 && self.actors.living() == 0
    }

    /// Whether nothing was open for a while: the relay may have sent a request before it heard of the drain.
    fn was_idle_long_enough(&mut self, now: Time) -> bool {
        let is_idle = self.is_empty();
        let idle_until = now + self.config.drain_idle;
        match &mut self.purpose {
            Purpose::Draining { leave_at, .. } => {
                *leave_at = is_idle.then(|| leave_at.unwrap_or(idle_until));
                leave_at.is_some_and(|leave_at| leave_at <= now)
            }
            Purpose::Serving | Purpose::Stopping(_) | Purpose::Stopped => false,
        }
    }

    /// Closes all WebSockets behind what their handlers have sent, since this runner goes away.
    fn close_sockets(&mut self) {
        let keys: Vec<RequestKey> = self.requests.keys().collect();
        for key in keys {
            let Some(request) = self.requests.get_mut(key) else { continue };
            let close = Close::new(1001, FailureCode::Draining.as_str());
            match request.state {
                State::OpenWebSocket => {
                    self.actions.push_back(Action::WebSocketClose { key, close: close.clone() });
                    request.out.offer(Piece::Close(close));
                    request.state = State::ClosingWebSocket;
                    self.flush(key);
                }
                State::AwaitingWebSocket => {
                    self.send_close(key, close.clone());
                    self.tell_handler(key, close);
                    self.end(key, Ended::Aborted);
                }
                // It closes as soon as it can.
                State::ClosingWebSocket => {}
                // There are none of those any more, or never were.
                State::Restoring | State::AwaitingResponse | State::Collecting { .. } | State::Responding => {}
            }
        }
    }

    /// Leaves all connections; when they have ended, this runner is done.
    pub(super) fn stop(&mut self, reason: StopReason, now: Time) {
        self.purpose = Purpose::Stopping(reason);
        for place in 0..self.links.len() {
            self.hang_up(self.links[place].connection, goodbye(), now);
        }
        self.stop_all(now);
        self.end_calls();
    }

    /// Says that it is done, once the last connection has ended, and the last actor.
    pub(super) fn finish_stopping(&mut self) {
        let Purpose::Stopping(reason) = &self.purpose else { return };
        if self.links.is_empty() && self.actors.living() == 0 {
            self.actions.push_back(Action::Stopped(reason.clone()));
            self.purpose = Purpose::Stopped;
            self.forget_all_ended();
        }
    }

    /// A relay says that it drains: this runner is to dial another one beside it.
    pub(super) fn relay_drains(&mut self, connection: u64, now: Time) {
        let has_older = self.links.iter().any(|link| link.connection < connection);
        let Some(link) = self.link_mut(connection) else { return };
        if link.relay_drains {
            return;
        }
        link.relay_drains = true;
        // The first dial goes out at once. Relays that all drain are not asked in turn without a pause.
        if has_older {
            self.put_off_dialling(now);
        }
    }

    /// Leaves the connection to a relay that drains, when the newer one is ready and nothing was open on the old one
    /// for a while: a request that is on its way when it is closed might be lost.
    pub(super) fn leave_draining_relay(&mut self, now: Time) {
        let idle_until = now + self.config.leave_idle;
        let Some((old, newer)) = self.links.split_first_mut() else { return };
        let may_leave =
            old.relay_drains && old.is_taken_in() && old.open == 0 && newer.iter().any(|link| link.is_ready());
        old.leave_at = may_leave.then(|| old.leave_at.unwrap_or(idle_until));
        if old.leave_at.is_some_and(|leave_at| leave_at <= now) {
            let connection = old.connection;
            self.hang_up(connection, Close::new(1000, "runner.moved"), now);
        }
    }
}

fn goodbye() -> Close {
    Close::new(1000, "pegboard.runner_shutdown")
}
