//! WebSockets that slept: their routes are opened again when their actor runs, and their gateways are told.
//!
//! A gateway takes a socket for awake from that word on and from nothing else, so the word is said again until the
//! gateway has spoken over the route: when it pings and names it, when its turn to be named comes, and when the bus
//! gave the word back. A gateway that is silent for too long is gone; its sockets are closed 1012 at their runner.
//!
//! A runner that came back may speak on its sockets before it is known which are to be restored, and one that starts
//! an actor before it says that the actor runs. Such frames are held until then.

use core::time::Duration;
use std::collections::BTreeMap;

use hashbrown::HashSet;

use super::Relay;
use super::connection::{Early, Session};
use super::end::{Cause, end_message};
use super::routes::{RouteId, RouteKind, Standing};
use crate::bus::ConnectionId;
use crate::directory::ActorKey;
use crate::machine::deadline::Deadlines;
use crate::observe::News;
use crate::protocol::carry::{Carried, ToServerWord};
use crate::protocol::to_client::HibernatingRequest;
use crate::protocol::to_runner::LeftBehind;
use crate::protocol::tunnel::{ToServerTunnelMessage, to_server};
use crate::protocol::{GatewayId, MessageId, RequestId, ToGateway, to_gateway};
use crate::supervisor;
use crate::time::Time;

/// The wait until a gateway is told again what the bus gave back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TellAgain;

/// When gateways are told again of routes that were restored: once at a time of each.
#[derive(Debug)]
pub(super) struct Untold {
    again: Deadlines<TellAgain, RouteId>,
    routes: HashSet<RouteId>,
}

impl Untold {
    pub(super) fn new(again: Duration) -> Self {
        Untold { again: Deadlines::new([(TellAgain, again)]), routes: HashSet::new() }
    }

    fn arm(&mut self, id: RouteId, now: Time) {
        if self.routes.insert(id) {
            self.again.arm(TellAgain, id, now);
        }
    }

    fn pop_due(&mut self, now: Time) -> Option<RouteId> {
        let (TellAgain, id) = self.again.pop_due(now)?;
        self.routes.remove(&id);
        Some(id)
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        self.again.next_due()
    }

    /// How many are to be told.
    pub(super) fn len(&self) -> usize {
        self.again.len()
    }
}

/// What a runner said on WebSockets that may be restored, each one's in order, with the bytes that it came in.
#[derive(Debug, Default)]
pub(super) struct Held {
    frames: BTreeMap<[u8; 8], Vec<(Carried<ToServerWord>, usize)>>,
    held: usize,
}

impl Held {
    /// Bytes that wait.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    fn push(&mut self, id: RouteId, carried: Carried<ToServerWord>, bytes: usize) {
        self.held += bytes;
        self.frames.entry(place(id)).or_default().push((carried, bytes));
    }

    fn take(&mut self, id: RouteId) -> Vec<(Carried<ToServerWord>, usize)> {
        let frames = self.frames.remove(&place(id)).unwrap_or_default();
        self.held -= frames.iter().map(|(_, bytes)| bytes).sum::<usize>();
        frames
    }

    pub(super) fn take_all(&mut self) -> Vec<(Carried<ToServerWord>, usize)> {
        self.held = 0;
        core::mem::take(&mut self.frames).into_values().flatten().collect()
    }
}

fn place(id: RouteId) -> [u8; 8] {
    let mut place = [0; 8];
    let (gateway_id, request_id) = place.split_at_mut(4);
    gateway_id.copy_from_slice(&id.gateway_id.0);
    request_id.copy_from_slice(&id.request_id.0);
    place
}

impl Relay {
    /// An actor runs: its sockets that slept are open again.
    pub(super) fn restore(
        &mut self,
        number: u64,
        actor: &ActorKey,
        generation: u32,
        sockets: Vec<HibernatingRequest>,
        now: Time,
    ) {
        for HibernatingRequest { gateway_id, request_id } in sockets {
            let id = RouteId { connection: number, gateway_id, request_id };
            let Some(connection) = self.connections.get_mut(&number) else { return };
            match connection.session {
                // It has ended: they sleep on.
                Session::Closing => return,
                Session::AwaitingInit { .. }
                | Session::Registering
                | Session::Settling
                | Session::Ready
                | Session::Draining
                | Session::Stopping => {}
            }
            match self.routes.standing(id) {
                Standing::Open => continue,
                // On this connection it fell asleep.
                Standing::Closed | Standing::Unknown => {}
            }
            if connection.routes.len() >= self.config.max_routes_per_connection {
                self.leave_out(id, generation, now);
                self.tell_runner(number, end_message(id, RouteKind::WebSocket, 0, Cause::Overloaded.close()));
                continue;
            }
            self.routes.restore(id, &actor.actor_id, generation, &mut connection.routes, now);
            self.endings.woke(id);
            self.counted.restored += 1;
            self.news.push(News::Restored { request: id.into(), actor_id: actor.actor_id.clone() });
            self.tell_restored(id, generation);
            let Some(connection) = self.connections.get_mut(&number) else { return };
            for (carried, bytes) in connection.held.take(id) {
                self.carry_to_gateway(number, carried, bytes, now);
            }
        }
    }

    /// There is no room for a socket that slept: its gateway is told as if it had been closed as soon as it was awake.
    pub(super) fn leave_out(&mut self, id: RouteId, generation: u32, now: Time) {
        let RouteId { connection, gateway_id, request_id } = id;
        self.counted.not_restored += 1;
        self.routes.refuse(id, now);
        self.tell_restored(id, generation);
        let close = Cause::Overloaded.close().into_wire();
        let close = to_server::WebSocketClose { code: close.code, reason: close.reason, hibernate: false };
        let message = ToGateway::TunnelMessage(ToServerTunnelMessage {
            message_id: MessageId { gateway_id, request_id, message_index: 0 },
            message_kind: to_server::Kind::WebSocketClose(close),
        });
        self.tell_gateway(connection, gateway_id, &message);
    }

    /// Tells a gateway of a route that was restored.
    pub(super) fn tell_restored(&mut self, id: RouteId, generation: u32) {
        let RouteId { connection: number, gateway_id, request_id } = id;
        let connection = ConnectionId { relay: self.id, number }.into();
        let restored = to_gateway::Restored { gateway_id, request_id, connection, generation };
        self.tell_gateway(number, gateway_id, &ToGateway::Restored(restored));
    }

    /// Tells a gateway of a route, as it must hear of it.
    pub(super) fn tell_of_route(&mut self, id: RouteId) {
        let RouteId { connection: number, gateway_id, request_id } = id;
        if let Some(generation) = self.routes.restored(id) {
            return self.tell_restored(id, generation);
        }
        let connection = ConnectionId { relay: self.id, number }.into();
        let route = to_gateway::RouteOpen { gateway_id, request_id, connection };
        self.tell_gateway(number, gateway_id, &ToGateway::RouteOpen(route));
    }

    /// Whether a frame for a route that was restored was sent before its gateway knew that the socket had slept: it
    /// would come between what was handled and what is sent again. Counts it. The first word of a gateway that knows is
    /// a credit of 0.
    pub(super) fn is_of_an_earlier_life(&mut self, id: RouteId, is_first_word: bool) -> bool {
        let is_early = !is_first_word && self.routes.restored(id).is_some();
        self.counted.late += u64::from(is_early);
        is_early
    }

    /// A WebSocket sleeps at its gateway while its actor runs on without it, as when they did not hear of one another for
    /// too long: the actor sleeps too, so that its next life can be given it.
    pub(super) fn left_behind(&mut self, number: u64, left_behind: LeftBehind, now: Time) {
        let LeftBehind { gateway_id, request_id, actor_id, generation } = left_behind;
        let id = RouteId { connection: number, gateway_id, request_id };
        match self.routes.standing(id) {
            Standing::Open => return self.tell_of_route(id),
            Standing::Closed | Standing::Unknown => {}
        }
        // It may be among those that are about to be restored.
        if !self.supervisor.is_restoring(number) {
            self.counted.left_behind += 1;
            self.pass_on(number, supervisor::Event::LeftBehind { connection: number, actor_id, generation }, now);
        }
    }

    /// The bus gave the word of a restored route back: it is said again a little later.
    pub(super) fn restored_refused(&mut self, number: u64, gateway_id: GatewayId, request_id: RequestId, now: Time) {
        let id = RouteId { connection: number, gateway_id, request_id };
        if self.routes.restored(id).is_some() {
            self.untold.arm(id, now);
        }
    }

    pub(super) fn tell_restored_again(&mut self, now: Time) {
        while let Some(id) = self.untold.pop_due(now) {
            if let Some(generation) = self.routes.restored(id) {
                self.counted.restored_retried += 1;
                self.tell_restored(id, generation);
            }
        }
    }

    /// Whether a runner may speak on a WebSocket that is still to be restored.
    pub(super) fn may_be_restored(&self, number: u64) -> bool {
        let hosts = self.connections.get(&number).is_some_and(|connection| connection.hosts());
        hosts && self.supervisor.is_restoring(number)
    }

    /// Holds a frame of a WebSocket that may be restored, if there is room.
    pub(super) fn hold(&mut self, number: u64, carried: Carried<ToServerWord>, bytes: usize) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let bytes = bytes + Early::WEIGHT;
        if connection.early.held() + connection.held.held() + bytes > self.config.max_buffered {
            return self.unrouted(number, Some(carried.message_id));
        }
        self.holding.insert(number);
        connection.held.push(RouteId::new(number, carried.message_id), carried, bytes);
    }

    /// What a runner announced is restored: what was held for no such WebSocket is judged again.
    pub(super) fn judge_held(&mut self, now: Time) {
        if self.holding.is_empty() {
            return;
        }
        let holding = core::mem::take(&mut self.holding);
        for number in holding {
            let Some(connection) = self.connections.get_mut(&number).filter(|connection| connection.held.held() > 0)
            else {
                continue;
            };
            if self.supervisor.is_restoring(number) {
                self.holding.insert(number);
                continue;
            }
            for (carried, bytes) in connection.held.take_all() {
                self.carry_to_gateway(number, carried, bytes, now);
            }
        }
    }
}
