//! Carrying frames: from a gateway to the runner that it names, and back over a live route only.

use bytes::Bytes;

use super::connection::Session;
use super::notice::Notice;
use super::routes::{RouteId, RouteKind, Standing};
use super::{Action, Relay};
use crate::bus::{ConnectionId, Publication, PublishError, Rejected, Subject};
use crate::error::PeerError;
use crate::failure::{Failure, FailureCode, RequestName};
use crate::frame::Frame;
use crate::http::Close;
use crate::protocol::carry::{self, Carried, FromBus, ToClientWord, ToServerWord};
use crate::protocol::tunnel::to_server::{ResponseStart, WebSocketClose};
use crate::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage, to_client, to_server};
use crate::protocol::{Dialect, GatewayId, MessageId, MessageIndex, ToClient, ToGateway, to_gateway, to_runner};
use crate::time::Time;

impl Relay {
    /// A frame from the bus for a connection.
    pub(super) fn bus_brought(&mut self, number: u64, frame: Frame, now: Time) {
        let Some(connection) = self.connections.get(&number) else {
            return self.brought_too_late(number, frame);
        };
        match carry::from_bus(frame, connection.hello.dialect) {
            Ok(FromBus::Tunnel(carried)) => self.carry_to_runner(number, carried, now),
            Ok(FromBus::Ping(ping)) => self.answer_ping(number, ping),
            Ok(FromBus::Close) => self.take_over(number),
            Ok(FromBus::Commands(commands)) => self.send(number, ToClient::Commands(commands).encode(), None),
            Ok(FromBus::AckEvents(events)) => self.send(number, ToClient::AckEvents(events).encode(), None),
            Err(_) => self.counted.malformed += 1,
        }
    }

    /// The connection ended while a frame for it was on its way. What was open on it ends with its record; an opening
    /// is answered here.
    fn brought_too_late(&mut self, number: u64, frame: Frame) {
        self.counted.late += 1;
        let Ok(FromBus::Tunnel(Carried { message_id, word, .. })) = carry::from_bus(frame, Dialect::Underpass) else {
            return;
        };
        let kind = match word {
            ToClientWord::RequestStart { .. } => RouteKind::Http,
            ToClientWord::WebSocketOpen { .. } => RouteKind::WebSocket,
            ToClientWord::RequestChunk { .. }
            | ToClientWord::RequestAbort
            | ToClientWord::WebSocketMessage
            | ToClientWord::WebSocketClose
            | ToClientWord::Credit => return,
        };
        if message_id.gateway_id != GatewayId::ZERO {
            self.refuse(number, message_id, kind, FailureCode::RunnerLost, "the runner's connection ended");
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
            ToClientWord::RequestStart { .. } => self.open_route(id, RouteKind::Http, message_id, frame),
            ToClientWord::WebSocketOpen { .. } => self.open_route(id, RouteKind::WebSocket, message_id, frame),
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
            ToClientWord::RequestAbort | ToClientWord::WebSocketClose => {
                if self.is_open(id) {
                    self.counted.to_runners += 1;
                    self.close_route(id, now);
                    self.send(number, frame, None);
                }
            }
        }
    }

    fn open_route(&mut self, id: RouteId, kind: RouteKind, message_id: MessageId, frame: Frame) {
        match self.routes.standing(id) {
            // The bus delivered it twice: the second time perhaps when it had been answered, since ids do not come again.
            Standing::Open => return,
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
            Session::AwaitingInit { .. }
            | Session::Registering
            | Session::Settling
            | Session::Stopping
            | Session::Closing => {
                return self.refuse(number, message_id, kind, FailureCode::Draining, "the runner takes nothing new");
            }
        }
        if connection.routes.len() >= self.config.max_routes_per_connection {
            return self.refuse(
                number,
                message_id,
                kind,
                FailureCode::Overloaded,
                "the runner has as many requests as it may",
            );
        }
        let waits = connection.backlog.must_wait();
        let bytes = frame.len();
        if waits && connection.backlog.held() + bytes > self.config.max_backlog {
            return self.refuse(
                number,
                message_id,
                kind,
                FailureCode::Overloaded,
                "more waits for the runner than this relay holds",
            );
        }
        self.routes.open(id, kind, &mut connection.routes);
        self.routes.carried(id, message_id.message_index);
        self.counted.opened += 1;
        self.counted.to_runners += 1;
        if waits && let Some(held) = self.routes.held_mut(id) {
            *held += bytes;
        }
        self.send(number, frame, Some(id));
    }

    /// Answers an opening in the runner's place.
    fn refuse(&mut self, number: u64, id: MessageId, kind: RouteKind, code: FailureCode, message: &'static str) {
        self.counted.refused += 1;
        let request = Some(RequestName { gateway_id: id.gateway_id, request_id: id.request_id });
        let failure = Failure { code, message: message.into(), request };
        let kind = match kind {
            RouteKind::Http => {
                let (head, body) = failure.http_answer();
                to_server::Kind::ResponseStart(ResponseStart {
                    status: head.status,
                    headers: head.headers,
                    body: Some(body),
                    stream: false,
                })
            }
            RouteKind::WebSocket => {
                let Close { code, reason } = failure.close();
                to_server::Kind::WebSocketClose(WebSocketClose { code, reason, hibernate: false })
            }
        };
        self.tell_gateway(number, MessageId { message_index: 0, ..id }, kind);
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
                return self.abort_route(id, FailureCode::Overloaded, now);
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
            self.close_route(id, now);
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

    fn close_route(&mut self, id: RouteId, now: Time) {
        if let Some(connection) = self.connections.get_mut(&id.connection) {
            self.routes.close(id, &mut connection.routes, now);
        }
    }

    /// Ends a request that can't be carried on, at both ends.
    fn abort_route(&mut self, id: RouteId, why: FailureCode, now: Time) {
        self.abort_at_runner(id, why, now);
        self.abort_at_gateway(id);
    }

    /// A gateway takes an abort as the end of either kind of request, whatever its number.
    fn abort_at_gateway(&mut self, id: RouteId) {
        let message_id = MessageId { gateway_id: id.gateway_id, request_id: id.request_id, message_index: 0 };
        self.tell_gateway(id.connection, message_id, to_server::Kind::ResponseAbort);
    }

    fn abort_at_runner(&mut self, id: RouteId, why: FailureCode, now: Time) {
        let Some((kind, message_index)) = self.routes.next(id) else { return };
        let message_id = MessageId { gateway_id: id.gateway_id, request_id: id.request_id, message_index };
        let message_kind = match kind {
            RouteKind::Http => to_client::Kind::RequestAbort,
            RouteKind::WebSocket => {
                to_client::Kind::WebSocketClose(Close::new(why.close_code(), why.as_str()).into_wire())
            }
        };
        self.close_route(id, now);
        let message = ToClient::TunnelMessage(ToClientTunnelMessage { message_id, message_kind });
        self.send(id.connection, message.encode(), None);
    }

    /// A gateway asks whether a connection lives.
    fn answer_ping(&mut self, number: u64, ping: to_runner::Ping) {
        let to_runner::Ping { gateway_id, request_id, ts } = ping;
        if gateway_id == GatewayId::ZERO {
            self.counted.malformed += 1;
            return;
        }
        self.publish(number, gateway_id, ToGateway::Pong(to_gateway::Pong { request_id, ts }).encode_framed());
        let id = RouteId { connection: number, gateway_id, request_id };
        if self.routes.standing(id) != Standing::Open {
            self.abort_at_gateway(id);
        }
    }

    fn tell_gateway(&mut self, number: u64, message_id: MessageId, message_kind: to_server::Kind) {
        let message = ToGateway::TunnelMessage(ToServerTunnelMessage { message_id, message_kind });
        self.publish(number, message_id.gateway_id, message.encode_framed());
    }

    fn publish(&mut self, number: u64, gateway: GatewayId, frame: Frame) {
        self.actions.push_back(Action::Publish(Publication {
            to: Subject::Gateway(gateway),
            reply_to: Some(Subject::Connection(ConnectionId { relay: self.id, number })),
            frame,
        }));
    }

    /// The bus gave a publication back: its request ends at both ends, as far as they can be told.
    pub(super) fn publish_failed(&mut self, rejected: &Rejected, now: Time) {
        self.counted.publish_failed += 1;
        let Some(Subject::Connection(connection)) = rejected.publication.reply_to else { return };
        let Ok(ToGateway::TunnelMessage(message)) =
            ToGateway::decode_framed(&rejected.publication.frame, Dialect::Underpass)
        else {
            return;
        };
        let id = RouteId::new(connection.number, message.message_id);
        self.abort_at_runner(id, FailureCode::BusLost, now);
        let worth_another_try = match rejected.reason {
            PublishError::Full | PublishError::TooLarge => message.message_kind != to_server::Kind::ResponseAbort,
            PublishError::NoResponders | PublishError::Disconnected => false,
        };
        if worth_another_try {
            self.abort_at_gateway(id);
        }
    }

    fn malformed(&mut self, number: u64, error: PeerError) {
        self.counted.malformed += 1;
        let close = Close::new(1002, format!("relay.malformed: {error}"));
        self.actions.push_back(Action::Log { connection: number, notice: Notice::Malformed(error) });
        self.close(number, close);
    }
}
