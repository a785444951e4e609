//! Signs of life: a relay pings its runners, drops those that are silent, and keeps their records fresh.

use super::connection::{Session, Waiting};
use super::registration::Registration;
use super::{Action, Deadline, Relay};
use crate::protocol::ToClient;
use crate::protocol::carry::FromRunner;
use crate::protocol::to_client::Ping;
use crate::protocol::to_server::Pong;
use crate::time::Time;

impl Relay {
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

    /// The record says that a runner is ready: a ping tells the runner that requests can come.
    pub(super) fn told_gateways(&mut self, number: u64, now: Time) {
        if self.connections.get(&number).is_some_and(|connection| matches!(connection.session, Session::Ready)) {
            self.send_ping(number, now);
        }
    }

    fn send_ping(&mut self, number: u64, now: Time) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if connection.edge.answers_pings() {
            let ts = self.wall.unix_ms(now);
            self.tell_runner(number, ToClient::Ping(Ping { ts }));
        } else if connection.backlog.must_wait() {
            connection.backlog.push(Waiting::Ping);
        } else {
            self.actions.push_back(Action::Ping { connection: number });
        }
    }

    /// Pings a runner now, and again after the interval.
    pub(super) fn ping(&mut self, number: u64, now: Time) {
        self.send_ping(number, now);
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.ping = Some(self.deadlines.arm(Deadline::Ping, number, now));
        }
    }

    /// A runner's WebSocket answered a ping: for an old runner that is its pong.
    pub(super) fn ponged(&mut self, number: u64, now: Time) {
        let Some(connection) = self.connections.get(&number) else { return };
        match connection.session {
            // A WebSocket may say so unasked.
            Session::AwaitingInit { .. } => {}
            Session::Registering
            | Session::Settling
            | Session::Ready
            | Session::Draining
            | Session::Stopping
            | Session::Closing => {
                if connection.edge.answers_pings() {
                    self.heard(number, now);
                } else {
                    self.said(number, FromRunner::Pong(Pong { ts: 0 }), 0, now);
                }
            }
        }
    }

    /// The runner said something: it lives.
    pub(super) fn heard(&mut self, number: u64, now: Time) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        // Until its first pong nothing else counts: what it says is held.
        if matches!(connection.session, Session::Settling) {
            return;
        }
        if let Some(armed) = &connection.pong {
            self.deadlines.begin_anew(armed, now);
        }
    }
}
