//! What relays say of requests and connections, and what the bus would not take to them.

use super::again::{Heard, Setback};
use super::{Action, Gateway};
use crate::bus::{ConnectionId, Publication, PublishError, Rejected, Subject};
use crate::failure::FailureCode;
use crate::frame::Frame;
use crate::machine::RequestKey;
use crate::protocol::to_gateway::{Refused, RefusedReason, RouteOpen};
use crate::protocol::tunnel::{ToClientTunnelMessage, to_client};
use crate::protocol::{Dialect, MessageId, RequestId, ToGateway, ToRunner};
use crate::time::Time;

impl Gateway {
    /// A frame from the bus.
    pub(super) fn received(&mut self, from: Option<ConnectionId>, frame: &Frame, now: Time) {
        // Which words this one may use is known when its request is: private ones of others are out of turn then.
        match ToGateway::decode_framed(frame, Dialect::Underpass) {
            Ok(ToGateway::TunnelMessage(message)) => self.tunnel_message(from, message, now),
            Ok(ToGateway::Pong(pong)) => self.pong(pong),
            Ok(ToGateway::ConnectionEnded(connection)) => self.connection_ended(connection.into(), now),
            Ok(ToGateway::Refused(refused)) => self.refused(refused, now),
            Ok(ToGateway::RouteOpen(route)) => self.route_open(route),
            Ok(ToGateway::Restored(restored)) => self.restored(restored, now),
            Ok(ToGateway::Probed(probed)) => self.probed(probed, now),
            Ok(ToGateway::Lost(lost)) => self.request_lost(lost, now),
            Ok(ToGateway::Doubted(doubted)) => self.doubted(doubted, now),
            Err(_) => self.counted.malformed += 1,
        }
    }

    /// A relay did not carry an opening to its runner.
    fn refused(&mut self, Refused { gateway_id, request_id, reason }: Refused, now: Time) {
        if gateway_id != self.id {
            self.counted.foreign += 1;
            return;
        }
        let Some(key) = self.by_id.get(&request_id).copied() else {
            self.counted.stale += 1;
            return;
        };
        let connection = self.connection_of(key);
        match reason {
            RefusedReason::ConnectionEnded => {
                self.turned_away(key, FailureCode::RunnerLost, "the runner's connection ended", now);
            }
            RefusedReason::Draining => {
                self.turned_away(key, FailureCode::Draining, "the runner takes nothing new", now)
            }
            RefusedReason::Full => {
                let (code, message) = (FailureCode::Overloaded, "the runner has as many requests as it may");
                self.set_back(key, Setback { code, message, heard: Heard::Never }, now);
            }
        }
        match (reason, connection) {
            (RefusedReason::ConnectionEnded, Some(connection)) => self.connection_ended(connection, now),
            (RefusedReason::ConnectionEnded, None) | (RefusedReason::Draining | RefusedReason::Full, _) => {}
        }
    }

    /// A relay has a route for a request: one that is not open here was ended, and the relay did not hear of it.
    pub(super) fn route_open(&mut self, RouteOpen { gateway_id, request_id, connection }: RouteOpen) {
        if gateway_id != self.id {
            self.counted.foreign += 1;
            return;
        }
        let connection = ConnectionId::from(connection);
        let open = self.by_id.get(&request_id).copied();
        if open.and_then(|key| self.connection_of(key)) == Some(connection) {
            return;
        }
        self.counted.stale += 1;
        let message_id = MessageId { gateway_id, request_id, message_index: 0 };
        let message_kind = to_client::Kind::RequestAbort;
        let abort = ToRunner::TunnelMessage(ToClientTunnelMessage { message_id, message_kind });
        self.actions.push_back(Action::Publish(Publication {
            to: Subject::Connection(connection),
            reply_to: None,
            frame: abort.encode_framed(),
        }));
    }

    /// Where a request was sent.
    pub(super) fn connection_of(&self, key: RequestKey) -> Option<ConnectionId> {
        Some(self.requests.get(key)?.place?.connection)
    }

    fn place_of(&self, key: RequestKey) -> Option<Subject> {
        self.connection_of(key).map(Subject::Connection)
    }

    /// The bus gave a publication back: what it was about can't go on.
    pub(super) fn publish_failed(&mut self, Rejected { publication, reason }: Rejected, now: Time) {
        self.counted.publish_failed += 1;
        let to = publication.to;
        match ToRunner::decode_framed(&publication.frame, Dialect::Underpass) {
            Ok(ToRunner::TunnelMessage(message)) => self.piece_failed(message, publication, reason, now),
            // Whether the connection lives, the pong decides; what is asked is asked again.
            Ok(
                ToRunner::Ping(_)
                | ToRunner::Probe(_)
                | ToRunner::LeftBehind(_)
                | ToRunner::Close
                | ToRunner::Commands(_)
                | ToRunner::AckEvents(_),
            )
            | Err(_) => {}
        }
        match (reason, to) {
            (PublishError::NoResponders, Subject::Connection(connection)) => self.nobody_holds(connection, now),
            (PublishError::NoResponders, Subject::Gateway(_))
            | (PublishError::Full | PublishError::TooLarge | PublishError::Disconnected | PublishError::Unsure, _) => {}
        }
    }

    /// A piece of a request did not go out.
    fn piece_failed(
        &mut self,
        message: ToClientTunnelMessage,
        publication: Publication,
        reason: PublishError,
        now: Time,
    ) {
        let id = message.message_id.request_id;
        match message.message_kind {
            to_client::Kind::RequestStart(_) | to_client::Kind::WebSocketOpen(_) => {
                self.opening_failed(id, reason, now)
            }
            to_client::Kind::RequestAbort | to_client::Kind::WebSocketClose(_) => match reason {
                PublishError::Full | PublishError::Disconnected | PublishError::Unsure => {
                    self.end_given_back(id, publication, now);
                }
                // There is nobody to be told, or no telling.
                PublishError::NoResponders | PublishError::TooLarge => {}
            },
            to_client::Kind::RequestChunk(_) | to_client::Kind::WebSocketMessage(_) => {
                self.content_failed(id, publication.to, reason, now);
            }
            // It is told again with a ping. Of one that has just woken it is the first word.
            to_client::Kind::Credit(_) => {
                if let Some(key) = self.by_id.get(&id).copied()
                    && self.is_kept_for(key, publication.to)
                {
                    self.ask_where_to_go_on(publication.to, now);
                }
            }
        }
    }

    /// A chunk or a message did not go out.
    fn content_failed(&mut self, id: RequestId, to: Subject, reason: PublishError, now: Time) {
        let Some(key) = self.by_id.get(&id).copied().filter(|key| self.requests.get(*key).is_some()) else { return };
        let is_kept = self.is_kept_for(key, to);
        // It is sent again where its WebSocket is now.
        if self.keeps(key) && !is_kept {
            return;
        }
        match reason {
            PublishError::Full | PublishError::Disconnected | PublishError::Unsure if is_kept => {
                self.ask_where_to_go_on(to, now);
            }
            PublishError::Full | PublishError::Disconnected | PublishError::TooLarge | PublishError::Unsure => {
                self.fail(key, FailureCode::BusLost, "the bus did not take a piece of the request");
            }
            // All of the connection's requests are lost.
            PublishError::NoResponders => {}
        }
    }

    /// Whether what was published there is kept until it is acknowledged there.
    fn is_kept_for(&self, key: RequestKey, to: Subject) -> bool {
        self.keeps(key) && self.place_of(key) == Some(to)
    }

    /// What is kept can be sent again: the relay is asked from where on, until it answers.
    fn ask_where_to_go_on(&mut self, to: Subject, now: Time) {
        match to {
            Subject::Connection(ConnectionId { relay, .. }) => self.ask_all(Some(relay), now),
            Subject::Gateway(_) => {}
        }
    }

    fn opening_failed(&mut self, id: RequestId, reason: PublishError, now: Time) {
        let Some(key) = self.by_id.get(&id).copied() else { return };
        match reason {
            PublishError::NoResponders => {
                self.turned_away(key, FailureCode::RunnerLost, "nobody holds the runner's connection", now);
            }
            PublishError::Full | PublishError::Disconnected => {
                let (code, message) = (FailureCode::BusLost, "the bus did not take the request");
                self.set_back(key, Setback { code, message, heard: Heard::Never }, now);
            }
            PublishError::Unsure => {
                let (code, message) = (FailureCode::BusLost, "the bus does not know whether the request arrived");
                self.set_back(key, Setback { code, message, heard: Heard::Still }, now);
            }
            // It never will.
            PublishError::TooLarge => {
                self.lose(key, FailureCode::BusLost, "the request is larger than the bus carries")
            }
        }
    }
}
