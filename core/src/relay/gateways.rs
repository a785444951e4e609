//! Gateways: whether they live, and what becomes of their requests if not.

use super::connection::Session;
use super::end::Cause;
use super::ending::Word;
use super::notice::Notice;
use super::routes::{RouteId, Standing, StrandRoutes};
use super::{Action, Relay};
use crate::protocol::{GatewayId, ToGateway, to_gateway, to_runner};
use crate::time::Time;

impl Relay {
    /// A gateway asks whether a connection lives, and tells that it lives itself. Besides the pong it hears of one of
    /// the routes that it has there: if it knows that request no more, it says so.
    pub(super) fn gateway_pings(&mut self, number: u64, ping: to_runner::Ping, now: Time) {
        let to_runner::Ping { gateway_id, request_id, ts } = ping;
        if gateway_id == GatewayId::ZERO {
            self.counted.malformed += 1;
            return;
        }
        let Some(connection) = self.connections.get(&number) else { return };
        match connection.session {
            // What was open on it has ended. The gateway may not have heard so.
            Session::Closing => return self.tell_connection_ended(number, gateway_id),
            Session::AwaitingInit { .. }
            | Session::Registering
            | Session::Settling
            | Session::Ready
            | Session::Draining
            | Session::Stopping => {}
        }
        self.routes.heard(number, gateway_id, now);
        self.tell_gateway(number, gateway_id, &ToGateway::Pong(to_gateway::Pong { request_id, ts }));
        self.doubt_again(number, gateway_id);
        let id = RouteId { connection: number, gateway_id, request_id };
        match self.routes.standing(id) {
            Standing::Open => {
                if let Some(generation) = self.routes.restored(id) {
                    self.tell_restored(id, generation);
                }
            }
            Standing::Closed | Standing::Unknown => {
                let word = self.endings.word(id).unwrap_or(Word::Abort);
                self.tell_end(id, word);
            }
        }
        if let Some(named) = self.routes.name(number, gateway_id) {
            let named = RouteId { request_id: named, ..id };
            if named != id || self.routes.restored(id).is_none() {
                self.tell_of_route(named);
            }
        }
    }

    /// Gateways that were silent for too long are taken for gone.
    pub(super) fn lose_silent_gateways(&mut self, now: Time) {
        while let Some(lost) = self.routes.pop_silent(now) {
            self.counted.timeouts.gateway_silent += 1;
            self.lose(lost, now);
        }
    }

    /// The bus found nobody at a gateway: it is gone, from all connections at once.
    pub(super) fn nobody_listens(&mut self, gateway_id: GatewayId, now: Time) {
        self.counted.stale_gateway += 1;
        for lost in self.routes.of_gateway(gateway_id) {
            self.lose(lost, now);
        }
    }

    fn lose(&mut self, lost: StrandRoutes, now: Time) {
        let StrandRoutes { connection, gateway_id, routes } = lost;
        self.counted.gateways_lost += 1;
        self.actions.push_back(Action::Log { connection, notice: Notice::GatewayLost(gateway_id) });
        for id in routes {
            self.abort_at_runner(id, Cause::GatewayLost, now);
        }
    }
}
