//! How a request ends at its relay, and who is told.

use super::ending::Word;
use super::routes::{RouteId, RouteKind, Standing};
use super::stats::Ends;
use super::{Action, Relay};
use crate::bus::{ConnectionId, Publication, PublishError, Rejected, Subject};
use crate::failure::FailureCode;
use crate::frame::Frame;
use crate::http::Close;
use crate::observe::{End as Told, News};
use crate::protocol::to_gateway::{Lost, Refused, RefusedReason, Restored};
use crate::protocol::tunnel::{ToClientTunnelMessage, ToServerTunnelMessage, to_client, to_server};
use crate::protocol::{Dialect, GatewayId, MessageId, MessageIndex, ToClient, ToGateway};
use crate::time::Time;

/// Why a relay aborts a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// More waits for the runner than may.
    Overloaded,
    /// The bus refused a piece.
    BusLost,
    /// The bus lost a piece.
    MessageLost,
    /// The gateway was silent, or nobody listens there.
    GatewayLost,
    /// This relay drains, and can't wait longer.
    Draining,
    /// Its actor has stopped, or is to.
    ActorStopped,
}

/// How a route ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    ByRunner,
    ByGateway,
    Aborted(Cause),
}

/// As far as it is known here. What breaks off says so by its last frame.
impl From<End> for Told {
    fn from(end: End) -> Self {
        match end {
            End::ByRunner | End::ByGateway => Told::Done,
            End::Aborted(_) => Told::Aborted,
        }
    }
}

impl Cause {
    /// What the runner's end of a WebSocket is told.
    pub(super) fn close(self) -> Close {
        let failure = match self {
            Cause::Overloaded => FailureCode::Overloaded,
            Cause::BusLost => FailureCode::BusLost,
            Cause::MessageLost => FailureCode::MessageLost,
            Cause::Draining => FailureCode::Draining,
            Cause::GatewayLost => return Close::new(1012, "gateway_lost"),
            Cause::ActorStopped => return Close::new(1001, "actor.stopped"),
        };
        Close::new(failure.close_code(), failure.as_str())
    }
}

impl Ends {
    fn count(&mut self, end: End) {
        *match end {
            End::ByRunner => &mut self.by_runner,
            End::ByGateway => &mut self.by_gateway,
            End::Aborted(Cause::Overloaded) => &mut self.overloaded,
            End::Aborted(Cause::BusLost) => &mut self.bus_lost,
            End::Aborted(Cause::MessageLost) => &mut self.message_lost,
            End::Aborted(Cause::GatewayLost) => &mut self.gateway_lost,
            End::Aborted(Cause::Draining) => &mut self.draining,
            End::Aborted(Cause::ActorStopped) => &mut self.actor_stopped,
        } += 1;
    }
}

/// What ends a request at its runner, as the kind of request wants it.
pub(super) fn end_message(id: RouteId, kind: RouteKind, message_index: MessageIndex, close: Close) -> ToClient {
    let message_id = MessageId { gateway_id: id.gateway_id, request_id: id.request_id, message_index };
    let message_kind = match kind {
        RouteKind::Http => to_client::Kind::RequestAbort,
        RouteKind::WebSocket => to_client::Kind::WebSocketClose(close.into_wire()),
    };
    ToClient::TunnelMessage(ToClientTunnelMessage { message_id, message_kind })
}

/// What tells a gateway that a WebSocket sleeps, if it can hibernate.
pub(super) fn asleep(id: RouteId, message_index: MessageIndex, why: Cause) -> ToGateway {
    let RouteId { gateway_id, request_id, .. } = id;
    let close = why.close().into_wire();
    let close = to_server::WebSocketClose { code: close.code, reason: close.reason, hibernate: true };
    ToGateway::TunnelMessage(ToServerTunnelMessage {
        message_id: MessageId { gateway_id, request_id, message_index },
        message_kind: to_server::Kind::WebSocketClose(close),
    })
}

impl Relay {
    /// Closes a route, if it is open.
    pub(super) fn close_route(&mut self, id: RouteId, end: End, now: Time) {
        let Some(connection) = self.connections.get_mut(&id.connection) else { return };
        if !self.routes.close(id, &mut connection.routes, now) {
            return;
        }
        connection.edge.forget(id.gateway_id, id.request_id);
        self.counted.ends.count(end);
        self.news.push(News::Ended { request: id.into(), end: end.into() });
        if connection.routes.len() == 0 {
            self.emptied(id.connection);
        }
    }

    /// Ends a request that can't be carried on, at both ends.
    pub(super) fn abort_route(&mut self, id: RouteId, why: Cause, now: Time) {
        self.abort_at_runner(id, why, now);
        self.tell_end(id, Word::Abort);
    }

    pub(super) fn abort_at_runner(&mut self, id: RouteId, why: Cause, now: Time) {
        let Some((kind, next)) = self.routes.next(id) else { return };
        self.close_route(id, End::Aborted(why), now);
        self.tell_runner(id.connection, end_message(id, kind, next, why.close()));
    }

    /// An opening is not carried to its runner, now or when it comes once more.
    pub(super) fn refuse(&mut self, id: RouteId, reason: RefusedReason, now: Time) {
        self.routes.refuse(id, now);
        self.tell_refused(id, reason);
    }

    /// The opening of a request comes back to its gateway: the runner never heard of it.
    pub(super) fn tell_refused(&mut self, id: RouteId, reason: RefusedReason) {
        self.counted.refused += 1;
        self.tell_end(id, Word::Refused(reason));
    }

    /// Tells a gateway that a request has ended here. It takes an abort as the end of either kind of request, whatever
    /// its number.
    pub(super) fn tell_end(&mut self, id: RouteId, word: Word) {
        let RouteId { connection, gateway_id, request_id } = id;
        self.routes.inscribe(id, word);
        let message = match word {
            Word::Abort => ToGateway::TunnelMessage(ToServerTunnelMessage {
                message_id: MessageId { gateway_id, request_id, message_index: 0 },
                message_kind: to_server::Kind::ResponseAbort,
            }),
            Word::Refused(reason) => ToGateway::Refused(Refused { gateway_id, request_id, reason }),
            Word::Lost => {
                let connection = ConnectionId { relay: self.id, number: connection }.into();
                ToGateway::Lost(Lost { gateway_id, request_id, connection })
            }
            Word::Asleep(message_index) => asleep(id, message_index, Cause::ActorStopped),
        };
        self.tell_gateway(connection, gateway_id, &message);
    }

    pub(super) fn tell_connection_ended(&mut self, number: u64, gateway_id: GatewayId) {
        let connection = ConnectionId { relay: self.id, number };
        self.tell_gateway(number, gateway_id, &ToGateway::ConnectionEnded(connection.into()));
    }

    pub(super) fn tell_gateway(&mut self, number: u64, gateway_id: GatewayId, message: &ToGateway) {
        self.publish(number, gateway_id, message.encode_framed());
    }

    pub(super) fn publish(&mut self, number: u64, gateway_id: GatewayId, frame: Frame) {
        self.actions.push_back(Action::Publish(Publication {
            to: Subject::Gateway(gateway_id),
            reply_to: Some(Subject::Connection(ConnectionId { relay: self.id, number })),
            frame,
        }));
    }

    /// The bus gave a publication back: its request ends at both ends, as far as they can be told.
    pub(super) fn publish_failed(&mut self, rejected: &Rejected, now: Time) {
        self.counted.publish_failed += 1;
        let Rejected { publication: Publication { to, reply_to, frame }, reason } = rejected;
        let (Subject::Gateway(gateway_id), Some(Subject::Connection(connection))) = (*to, *reply_to) else { return };
        let message = ToGateway::decode_framed(frame, Dialect::Underpass);
        match reason {
            PublishError::NoResponders => {
                match message {
                    Ok(ToGateway::TunnelMessage(ToServerTunnelMessage { message_id, .. })) => {
                        self.nobody_to_tell(connection.number, gateway_id, message_id.request_id);
                    }
                    Ok(ToGateway::Refused(Refused { request_id, .. }) | ToGateway::Lost(Lost { request_id, .. })) => {
                        self.nobody_to_tell(connection.number, gateway_id, request_id);
                    }
                    Ok(
                        ToGateway::Pong(_)
                        | ToGateway::ConnectionEnded(_)
                        | ToGateway::RouteOpen(_)
                        | ToGateway::Restored(_)
                        | ToGateway::Probed(_)
                        | ToGateway::Doubted(_),
                    )
                    | Err(_) => {}
                }
                return self.nobody_listens(gateway_id, now);
            }
            PublishError::Full | PublishError::TooLarge | PublishError::Disconnected | PublishError::Unsure => {}
        }
        match message {
            Ok(ToGateway::TunnelMessage(ToServerTunnelMessage { message_id, message_kind })) => {
                let id = RouteId::new(connection.number, message_id);
                let is_open = self.routes.standing(id) == Standing::Open;
                if message_kind == to_server::Kind::ResponseAbort && !is_open {
                    return self.word_refused(id, Word::Abort, now);
                }
                if let to_server::Kind::WebSocketClose(to_server::WebSocketClose { hibernate: true, .. }) = message_kind
                {
                    // If it is open, it is awake again, and its gateway was told so.
                    if !is_open {
                        self.word_refused(id, Word::Asleep(message_id.message_index), now);
                    }
                    return;
                }
                self.abort_at_runner(id, Cause::BusLost, now);
                if !self.endings.contains(id) {
                    // What can't be carried can't be carried elsewhere either.
                    let is_final = *reason == PublishError::TooLarge || message_kind == to_server::Kind::ResponseAbort;
                    self.tell_end(id, if is_final { Word::Abort } else { Word::Lost });
                }
            }
            Ok(ToGateway::Refused(Refused { gateway_id, request_id, reason })) => {
                let id = RouteId { connection: connection.number, gateway_id, request_id };
                self.word_refused(id, Word::Refused(reason), now);
            }
            Ok(ToGateway::Lost(Lost { gateway_id, request_id, .. })) => {
                let id = RouteId { connection: connection.number, gateway_id, request_id };
                self.word_refused(id, Word::Lost, now);
            }
            Ok(ToGateway::Restored(Restored { gateway_id, request_id, .. })) => {
                self.restored_refused(connection.number, gateway_id, request_id, now);
            }
            // The gateway's next ping makes up for each.
            Ok(
                ToGateway::Pong(_)
                | ToGateway::ConnectionEnded(_)
                | ToGateway::RouteOpen(_)
                | ToGateway::Probed(_)
                | ToGateway::Doubted(_),
            ) => {}
            // It was made here.
            Err(_) => {}
        }
    }
}
