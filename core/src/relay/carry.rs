//! Carrying frames: from a gateway to the runner that it names, and back over a live route only.

use bytes::Bytes;

use super::connection::Session;
use super::end::{Cause, End, end_frame};
use super::notice::Notice;
use super::routes::{RouteId, RouteKind, Standing};
use super::{Action, Relay};
use crate::error::PeerError;
use crate::frame::Frame;
use crate::http::Close;
use crate::protocol::carry::{self, Carried, FromBus, ToClientWord, ToServerWord};
use crate::protocol::to_gateway::RefusedReason;
use crate::protocol::{Dialect, GatewayId, MessageId, MessageIndex, ToClient};
use crate::time::Time;

impl Relay {
    /// A frame from the bus for a connection.
    pub(super) fn bus_brought(&mut self, number: u64, frame: Frame, now: Time) {
        let Some(connection) = self.connections.get(&number) else {
            return self.brought_too_late(number, frame);
        };
        match carry::from_bus(frame, connection.hello.dialect) {
            Ok(FromBus::Tunnel(carried)) => self.carry_to_runner(number, carried, now),
            Ok(FromBus::Ping(ping)) => self.gateway_pings(number, ping, now),
            Ok(FromBus::Close) => self.take_over(number),
            Ok(FromBus::Commands(commands)) => self.send(number, ToClient::Commands(commands).encode(), None),
            Ok(FromBus::AckEvents(events)) => self.send(number, ToClient::AckEvents(events).encode(), None),
            Err(_) => self.counted.malformed += 1,
        }
    }

    /// The connection ended while a frame for it was on its way. An opening comes back to its gateway, and a ping is
    /// told what its gateway may have missed; what else was open there has ended with it.
    fn brought_too_late(&mut self, number: u64, frame: Frame) {
        self.counted.late += 1;
        let Carried { message_id, word, .. } = match carry::from_bus(frame, Dialect::Underpass) {
            Ok(FromBus::Tunnel(carried)) => carried,
            Ok(FromBus::Ping(ping)) if ping.gateway_id != GatewayId::ZERO => {
                return self.tell_connection_ended(number, ping.gateway_id);
            }
            Ok(FromBus::Ping(_) | FromBus::Close | FromBus::Commands(_) | FromBus::AckEvents(_)) | Err(_) => return,
        };
        match word {
            ToClientWord::RequestStart { .. } | ToClientWord::WebSocketOpen { .. } => {}
            ToClientWord::RequestChunk { .. }
            | ToClientWord::RequestAbort
            | ToClientWord::WebSocketMessage
            | ToClientWord::WebSocketClose
            | ToClientWord::Credit => return,
        }
        if message_id.gateway_id != GatewayId::ZERO {
            self.tell_refused(RouteId::new(number, message_id), RefusedReason::ConnectionEnded);
        }
    }

    fn carry_to_runner(&mut self, number: u64, carried: Carried<ToClientWord>, now: Time) {
        let Carried { message_id, word, frame } = carried;
        if message_id.gateway_id == GatewayId::ZERO {
            self.counted.malformed += 1;
            return;
        }
        let id = RouteId::new(number, message_id);
        match word {
            ToClientWord::RequestStart { .. } => self.open_route(id, RouteKind::Http, message_id, frame, now),
            ToClientWord::WebSocketOpen { .. } => self.open_route(id, RouteKind::WebSocket, message_id, frame, now),
            ToClientWord::RequestChunk { .. } | ToClientWord::WebSocketMessage => {
                if self.is_open(id) {
                    self.send_bounded(id, frame, Some(message_id.message_index), now);
                }
            }
            ToClientWord::Credit => {
                if self.is_open(id) {
                    self.send_bounded(id, frame, None, now);
                }
            }
            ToClientWord::RequestAbort => self.end_at_runner(id, RouteKind::Http, message_id, frame, now),
            ToClientWord::WebSocketClose => self.end_at_runner(id, RouteKind::WebSocket, message_id, frame, now),
        }
    }

    fn open_route(&mut self, id: RouteId, kind: RouteKind, message_id: MessageId, frame: Frame, now: Time) {
        match self.routes.standing(id) {
            // The bus delivered it twice.
            Standing::Open => return,
            // The bus delivered it twice, and what it opened has ended, or was refused: no handler gets it once more.
            Standing::Closed => {
                self.counted.late += 1;
                return;
            }
            Standing::Unknown => {}
        }
        let number = id.connection;
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match connection.session {
            Session::Ready => {}
            Session::Closing => return self.tell_refused(id, RefusedReason::ConnectionEnded),
            Session::AwaitingInit { .. }
            | Session::Registering
            | Session::Settling
            | Session::Draining
            | Session::Stopping => return self.refuse(id, RefusedReason::Draining, now),
        }
        let waits = connection.backlog.must_wait();
        let bytes = frame.len();
        if connection.routes.len() >= self.config.max_routes_per_connection
            || waits && connection.backlog.held() + bytes > self.config.max_backlog
        {
            return self.refuse(id, RefusedReason::Full, now);
        }
        self.routes.open(id, kind, &mut connection.routes, now);
        self.routes.carried(id, message_id.message_index);
        self.counted.opened += 1;
        self.counted.to_runners += 1;
        if waits && let Some(held) = self.routes.held_mut(id) {
            *held += bytes;
        }
        self.send(number, frame, Some(id));
    }

    /// A gateway ends a request: by a frame that `fits` one kind, while it may be of the other, or with a number that
    /// the gateway made up since it does not know the request any more.
    fn end_at_runner(&mut self, id: RouteId, fits: RouteKind, message_id: MessageId, frame: Frame, now: Time) {
        if !self.is_open(id) {
            return;
        }
        let Some((kind, next)) = self.routes.next(id) else { return };
        let frame = match (kind, fits) {
            // A gap before it is for the runner to see.
            (RouteKind::WebSocket, RouteKind::WebSocket) => frame,
            (RouteKind::Http, RouteKind::Http) if message_id.message_index == next => frame,
            (RouteKind::Http, RouteKind::Http | RouteKind::WebSocket) | (RouteKind::WebSocket, RouteKind::Http) => {
                end_frame(id, kind, next, Close::abnormal())
            }
        };
        self.counted.to_runners += 1;
        self.close_route(id, End::ByGateway, now);
        self.send(id.connection, frame, None);
    }

    /// Sends a frame of a request to its runner. While the outbox is blocked it waits, and if too much of its request
    /// waits, or of the whole connection, that request fails.
    fn send_bounded(&mut self, id: RouteId, frame: Frame, number: Option<MessageIndex>, now: Time) {
        let Some(connection) = self.connections.get(&id.connection) else { return };
        if connection.backlog.must_wait() {
            let bytes = frame.len();
            let all = connection.backlog.held() + bytes;
            let Some(held) = self.routes.held_mut(id) else { return };
            if *held + bytes > self.config.max_buffered || all > self.config.max_backlog {
                return self.abort_route(id, Cause::Overloaded, now);
            }
            *held += bytes;
        }
        if let Some(number) = number {
            self.routes.carried(id, number);
        }
        self.counted.to_runners += 1;
        self.send(id.connection, frame, Some(id));
    }

    /// A connection's outbox has room again.
    pub(super) fn writable(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.backlog.unblock();
        while let Some((frame, route)) = connection.backlog.pop() {
            if let Some(held) = route.and_then(|id| self.routes.held_mut(id)) {
                *held = held.saturating_sub(frame.len());
            }
            self.actions.push_back(Action::Send { connection: number, frame });
        }
    }

    /// A binary message of a runner.
    pub(super) fn runner_sent(&mut self, number: u64, frame: Bytes, now: Time) {
        let Some(connection) = self.connections.get(&number) else { return };
        if frame.len() > self.config.max_frame {
            return self.close(number, Close::new(1009, "relay.frame_too_large"));
        }
        match carry::from_runner(frame, connection.hello.dialect) {
            Ok(message) => self.said(number, message, now),
            Err(error) => self.malformed(number, error),
        }
    }

    /// A piece of an answer: carried to the gateway that asked, and to nobody if none did.
    pub(super) fn carry_to_gateway(&mut self, number: u64, carried: Carried<ToServerWord>, now: Time) {
        let Carried { message_id, word, frame } = carried;
        let id = RouteId::new(number, message_id);
        if !self.is_open(id) {
            if self.config.close_over_unrouted && self.routes.standing(id) == Standing::Unknown {
                let notice = Notice::Unrouted(message_id);
                self.actions.push_back(Action::Log { connection: number, notice });
                self.close(number, Close::new(1008, "relay.unrouted"));
            }
            return;
        }
        let ends = match word {
            ToServerWord::ResponseStart { stream } => !stream,
            ToServerWord::ResponseChunk { finish } => finish,
            ToServerWord::ResponseAbort | ToServerWord::WebSocketClose { .. } => true,
            ToServerWord::WebSocketOpen { .. }
            | ToServerWord::WebSocketMessage
            | ToServerWord::WebSocketMessageAck
            | ToServerWord::Credit => false,
        };
        if ends {
            self.close_route(id, End::ByRunner, now);
        }
        self.counted.to_gateways += 1;
        self.publish(number, message_id.gateway_id, frame);
    }

    /// Whether a route is open; counts what comes for one that is not.
    fn is_open(&mut self, id: RouteId) -> bool {
        match self.routes.standing(id) {
            Standing::Open => true,
            Standing::Closed => {
                self.counted.late += 1;
                false
            }
            Standing::Unknown => {
                self.counted.unrouted += 1;
                false
            }
        }
    }

    fn malformed(&mut self, number: u64, error: PeerError) {
        self.counted.malformed += 1;
        let close = Close::new(1002, format!("relay.malformed: {error}"));
        self.actions.push_back(Action::Log { connection: number, notice: Notice::Malformed(error) });
        self.close(number, close);
    }
}
