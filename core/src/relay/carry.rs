//! Carrying frames: from a gateway to the runner that it names, and back over a live route only.

use bytes::Bytes;
use bytestring::ByteString;

use super::connection::{Session, Waiting};
use super::end::{Cause, End, end_message};
use super::ending::Word;
use super::notice::Notice;
use super::routes::{Place, RouteId, RouteKind, Standing};
use super::{Action, Relay};
use crate::frame::Frame;
use crate::http::Close;
use crate::machine::flow::Order;
use crate::observe::News;
use crate::protocol::carry::{self, Carried, FromBus, ToClientWord, ToServerWord};
use crate::protocol::edge::{self, EdgeError};
use crate::protocol::to_gateway::RefusedReason;
use crate::protocol::{Dialect, GatewayId, MessageId, MessageIndex, Untranslatable};
use crate::time::Time;

/// What opens a route.
struct Opening {
    kind: RouteKind,
    actor_id: ByteString,
    /// Whether its body comes in pieces.
    stream: bool,
    message_id: MessageId,
    frame: Frame,
}

impl Relay {
    /// A frame from the bus for a connection.
    pub(super) fn bus_brought(&mut self, number: u64, mut frame: Frame, now: Time) {
        let Some(connection) = self.connections.get(&number) else {
            return self.brought_too_late(number, frame);
        };
        if let Some(message_id) = carry::piece_from_bus(&mut frame) {
            return self.carry_in_order(RouteId::new(number, message_id), &mut frame, message_id.message_index, now);
        }
        match connection.edge.from_bus(frame) {
            Ok(FromBus::Tunnel(carried)) => self.carry_to_runner(number, carried, now),
            Ok(FromBus::Ping(ping)) => self.gateway_pings(number, ping, now),
            Ok(FromBus::Probe(probe)) => self.gateway_probes(number, probe, now),
            Ok(FromBus::LeftBehind(left_behind)) => self.left_behind(number, left_behind, now),
            Ok(FromBus::Close) => self.take_over(number),
            // A relay's own supervisor commands its runners, and nobody else.
            Ok(FromBus::Commands(_) | FromBus::AckEvents(_)) => self.counted.unrouted += 1,
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
            Ok(FromBus::Probe(probe)) if probe.gateway_id != GatewayId::ZERO => {
                return self.tell_connection_ended(number, probe.gateway_id);
            }
            Ok(
                FromBus::Probe(_)
                | FromBus::Ping(_)
                | FromBus::LeftBehind(_)
                | FromBus::Close
                | FromBus::Commands(_)
                | FromBus::AckEvents(_),
            )
            | Err(_) => return,
        };
        match word {
            ToClientWord::RequestStart { .. } | ToClientWord::WebSocketOpen { .. } => {}
            ToClientWord::RequestChunk { .. }
            | ToClientWord::RequestAbort
            | ToClientWord::WebSocketMessage
            | ToClientWord::WebSocketClose
            | ToClientWord::Credit { .. } => return,
        }
        if message_id.gateway_id != GatewayId::ZERO {
            self.tell_refused(RouteId::new(number, message_id), RefusedReason::ConnectionEnded);
        }
    }

    fn carry_to_runner(&mut self, number: u64, carried: Carried<ToClientWord>, now: Time) {
        let Carried { message_id, word, mut frame } = carried;
        let id = RouteId::new(number, message_id);
        match word {
            ToClientWord::RequestStart { actor_id, stream } => {
                let opening = Opening { kind: RouteKind::Http, actor_id, stream, message_id, frame };
                self.open_route(id, opening, now);
            }
            ToClientWord::WebSocketOpen { actor_id } => {
                let opening = Opening { kind: RouteKind::WebSocket, actor_id, stream: false, message_id, frame };
                self.open_route(id, opening, now);
            }
            ToClientWord::RequestChunk { .. } | ToClientWord::WebSocketMessage => {
                self.carry_in_order(id, &mut frame, message_id.message_index, now);
            }
            ToClientWord::Credit { total } => self.credit(id, total, message_id.message_index, frame, now),
            ToClientWord::RequestAbort => self.end_at_runner(id, RouteKind::Http, message_id, frame, now),
            ToClientWord::WebSocketClose => self.end_at_runner(id, RouteKind::WebSocket, message_id, frame, now),
        }
    }

    /// Credit for a runner that has a word for it; or a gateway's first word over a route that was restored, which
    /// tells its relay enough: it bears the number of the message that follows. It says so again when it leaves some out
    /// that the runner had in an earlier life.
    fn credit(&mut self, id: RouteId, total: u32, number: MessageIndex, mut frame: Frame, now: Time) {
        let is_first_word = total == 0 && self.routes.restored(id).is_some();
        if self.is_of_an_earlier_life(id, total == 0) || !self.is_open(id) {
            return;
        }
        let is_ahead = total == 0 && self.routes.order(id, number) == Some(Order::Gap);
        let is_for_relay = is_first_word || is_ahead && self.routes.hibernates(id);
        if is_for_relay {
            self.routes.begin_at(id, number);
        }
        let Some(connection) = self.connections.get(&id.connection) else { return };
        match (connection.edge.dialect(), is_for_relay) {
            (Dialect::Underpass, _) => self.send_bounded(id, &mut frame, None, now),
            (Dialect::Published, true) => {}
            (Dialect::Published, false) => self.counted.malformed += 1,
        }
    }

    fn open_route(&mut self, id: RouteId, opening: Opening, now: Time) {
        let Opening { kind, actor_id, stream, message_id, mut frame } = opening;
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
        let hosts = connection.hosts();
        // Its record tells where it takes requests, or will.
        if hosts && !self.supervisor.takes_requests(number, &actor_id) {
            return self.refuse(id, RefusedReason::Draining, now);
        }
        // Before its runner's edge hears of it, which remembers no more requests than that.
        if connection.routes.len() >= self.config.max_routes_per_connection {
            return self.refuse(id, RefusedReason::Full, now);
        }
        let takes = !stream || connection.streams;
        if !takes || connection.edge.carry(&mut frame).is_err() {
            // Its runner could make nothing of it, and nor could another like it.
            self.counted.malformed += 1;
            self.routes.refuse(id, now);
            return self.tell_end(id, Word::Abort);
        }
        let waits = connection.backlog.must_wait();
        let bytes = frame.len();
        if waits && connection.backlog.held() + bytes > self.config.max_backlog {
            connection.edge.forget(id.gateway_id, id.request_id);
            return self.refuse(id, RefusedReason::Full, now);
        }
        let place = self.routes.open(id, kind, hosts.then_some(&actor_id), &mut connection.routes, now);
        self.routes.carried(place, message_id.message_index);
        self.counted.opened += 1;
        self.news.push(News::Opened { request: id.into() });
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
        let is_gap = self.routes.order(id, message_id.message_index) == Some(Order::Gap);
        let mut close = Close::abnormal();
        let carried = match (kind, fits) {
            // What comes before the close of one that can hibernate was acknowledged, or is of no use any more.
            (RouteKind::WebSocket, RouteKind::WebSocket) if !is_gap || self.routes.hibernates(id) => Some(frame),
            // A runner that does not judge numbers would take what it has for all.
            (RouteKind::WebSocket, RouteKind::WebSocket) => {
                self.counted.gaps += 1;
                close = Cause::MessageLost.close();
                None
            }
            (RouteKind::Http, RouteKind::Http) if message_id.message_index == next => Some(frame),
            (RouteKind::Http, RouteKind::Http | RouteKind::WebSocket) | (RouteKind::WebSocket, RouteKind::Http) => None,
        };
        self.counted.to_runners += 1;
        let connection = self.connections.get_mut(&id.connection);
        let carried = carried
            .zip(connection)
            .and_then(|(mut frame, connection)| connection.edge.carry(&mut frame).ok().map(|()| frame));
        self.close_route(id, End::ByGateway, now);
        match carried {
            Some(frame) => self.send(id.connection, frame, None),
            None => self.tell_runner(id.connection, end_message(id, kind, next, close)),
        }
    }

    /// Sends a frame of a request to its runner. While the outbox is blocked it waits, and if too much of its request
    /// waits, or of the whole connection, that request fails. The frame is taken where it stands: it is moved once.
    pub(super) fn send_bounded(
        &mut self,
        id: RouteId,
        frame: &mut Frame,
        numbered: Option<(Place, MessageIndex)>,
        now: Time,
    ) {
        let Some(connection) = self.connections.get_mut(&id.connection) else { return };
        if connection.edge.carry(frame).is_err() {
            // A piece is missing from here on.
            self.counted.malformed += 1;
            return self.abort_route(id, Cause::BusLost, now);
        }
        if connection.backlog.must_wait() {
            let bytes = frame.len();
            let all = connection.backlog.held() + bytes;
            let Some(held) = self.routes.held_mut(id) else { return };
            if *held + bytes > self.config.max_buffered || all > self.config.max_backlog {
                return self.abort_route(id, Cause::Overloaded, now);
            }
            *held += bytes;
            connection.backlog.push(Waiting::Frame(frame.take(), Some(id)));
        } else {
            self.actions.push_back(Action::Send { connection: id.connection, frame: frame.take() });
        }
        if let Some((place, number)) = numbered {
            self.routes.carried(place, number);
        }
        self.counted.to_runners += 1;
    }

    /// A connection's outbox has room again.
    pub(super) fn writable(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.backlog.unblock();
        while let Some(waiting) = connection.backlog.pop() {
            self.actions.push_back(match waiting {
                Waiting::Frame(frame, route) => {
                    if let Some(held) = route.and_then(|id| self.routes.held_mut(id)) {
                        *held = held.saturating_sub(frame.len());
                    }
                    Action::Send { connection: number, frame }
                }
                Waiting::Ping => Action::Ping { connection: number },
            });
        }
    }

    /// A binary message of a runner.
    pub(super) fn runner_sent(&mut self, number: u64, frame: Bytes, now: Time) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match connection.session {
            // It was told to go; what it still says does not matter.
            Session::Closing => return,
            Session::AwaitingInit { .. }
            | Session::Registering
            | Session::Settling
            | Session::Ready
            | Session::Draining
            | Session::Stopping => {}
        }
        let bytes = frame.len();
        if bytes > self.config.max_frame {
            self.actions.push_back(Action::Log { connection: number, notice: Notice::FrameTooLarge { bytes } });
            return self.close(number, Close::new(1009, "relay.frame_too_large"));
        }
        let frame = match connection.edge.piece_from_runner(frame) {
            Ok(piece) => return self.said_piece(number, piece, bytes, now),
            Err(frame) => frame,
        };
        match connection.edge.from_runner(frame) {
            Ok(edge::Heard { word, answer }) => {
                if let Some(answer) = answer {
                    self.acknowledge(number, answer);
                }
                match word {
                    edge::Word::Message(message) => self.said(number, message, bytes, now),
                    edge::Word::Acknowledgement => self.ignore_acknowledgement(number, now),
                    edge::Word::Ping => self.heard(number, now),
                }
            }
            Err(EdgeError::Untranslatable(
                Untranslatable::NeverIssued { .. } | Untranslatable::ZeroGatewayId | Untranslatable::TooManyRequests,
            )) => {
                self.unrouted(number, None);
                self.heard(number, now);
            }
            Err(
                error @ (EdgeError::Malformed(_)
                | EdgeError::Untranslatable(
                    Untranslatable::Needs { .. }
                    | Untranslatable::EndedWith { .. }
                    | Untranslatable::NeedsSession { .. }
                    | Untranslatable::Acknowledgement { .. }
                    | Untranslatable::Private { .. },
                )),
            ) => self.malformed(number, error),
        }
    }

    /// A text message of a runner: the protocol has none.
    pub(super) fn runner_sent_text(&mut self, number: u64) {
        self.give_up(number, Notice::Text, Close::new(1003, "relay.text: the runner protocol has no text messages"));
    }

    /// An acknowledgement that a runner of version 1 or 2 waits for, if there is room for it.
    fn acknowledge(&mut self, number: u64, frame: Frame) {
        let Some(connection) = self.connections.get(&number) else { return };
        if connection.backlog.held() + frame.len() > self.config.max_backlog {
            return self.close(number, Close::new(1013, "relay.backlog_full"));
        }
        self.send(number, frame, None);
    }

    /// An acknowledgement of a runner: nobody waits for it.
    fn ignore_acknowledgement(&mut self, number: u64, now: Time) {
        self.counted.tunnel_ack_ignored += 1;
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if !core::mem::replace(&mut connection.acknowledged, true) {
            self.actions.push_back(Action::Log { connection: number, notice: Notice::AcknowledgementIgnored });
        }
        self.heard(number, now);
    }

    /// A piece of an answer, in so many bytes: carried to the gateway that asked, and to nobody if none did.
    pub(super) fn carry_to_gateway(&mut self, number: u64, carried: Carried<ToServerWord>, bytes: usize, now: Time) {
        let message_id = carried.message_id;
        let id = RouteId::new(number, message_id);
        let place = self.routes.find(id);
        match place.map_or_else(|| self.routes.standing(id), |_| Standing::Open) {
            Standing::Open => {}
            // What was handled before its route was closed was handled: the gateway need not say it again.
            Standing::Closed if carried.word == ToServerWord::WebSocketMessageAck => {}
            Standing::Closed => return self.counted.late += 1,
            Standing::Unknown if self.may_be_restored(number) => return self.hold(number, carried, bytes),
            Standing::Unknown => return self.unrouted(number, Some(message_id)),
        }
        let Carried { word, frame, .. } = carried;
        let numbered = match word {
            ToServerWord::Credit { total } => {
                if let Some(place) = place {
                    self.routes.granted(place, total);
                }
                false
            }
            ToServerWord::ResponseStart { .. }
            | ToServerWord::ResponseChunk { .. }
            | ToServerWord::ResponseAbort
            | ToServerWord::WebSocketOpen { .. }
            | ToServerWord::WebSocketMessage
            | ToServerWord::WebSocketMessageAck
            | ToServerWord::WebSocketClose { .. } => true,
        };
        if let Some(place) = place.filter(|_| numbered) {
            self.routes.answered(place, message_id.message_index);
        }
        if let ToServerWord::WebSocketOpen { can_hibernate: true } = word {
            self.routes.can_hibernate(id);
        }
        let ends = match word {
            ToServerWord::ResponseStart { stream } => !stream,
            ToServerWord::ResponseChunk { finish } => finish,
            ToServerWord::ResponseAbort | ToServerWord::WebSocketClose { .. } => true,
            ToServerWord::WebSocketOpen { .. }
            | ToServerWord::WebSocketMessage
            | ToServerWord::WebSocketMessageAck
            | ToServerWord::Credit { .. } => false,
        };
        if ends {
            self.close_route(id, End::ByRunner, now);
        }
        if word == (ToServerWord::WebSocketClose { hibernate: true }) {
            self.routes.inscribe(id, Word::Asleep(message_id.message_index));
        }
        self.counted.to_gateways += 1;
        self.publish(number, message_id.gateway_id, frame);
    }

    /// A gateway speaks over a route. Whether it is open; counts what comes for one that is not.
    fn is_open(&mut self, id: RouteId) -> bool {
        match self.routes.spoken_to(id) {
            Standing::Open => true,
            Standing::Closed | Standing::Unknown => {
                self.count_unopened(id);
                false
            }
        }
    }

    /// Counts what a gateway says over a route that is not open.
    pub(super) fn count_unopened(&mut self, id: RouteId) {
        match self.routes.standing(id) {
            Standing::Open => {}
            Standing::Closed => self.counted.late += 1,
            Standing::Unknown => self.counted.unrouted += 1,
        }
    }

    /// A runner answered what it was not asked.
    pub(super) fn unrouted(&mut self, number: u64, message_id: Option<MessageId>) {
        self.counted.unrouted += 1;
        if self.config.close_over_unrouted {
            self.give_up(number, Notice::Unrouted(message_id), Close::new(1008, "relay.unrouted"));
        }
    }

    fn malformed(&mut self, number: u64, error: EdgeError) {
        self.counted.malformed += 1;
        let close = Close::new(1002, format!("relay.malformed: {error}"));
        self.actions.push_back(Action::Log { connection: number, notice: Notice::Malformed(error) });
        self.close(number, close);
    }
}
