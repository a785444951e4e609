//! Between a relay and its supervisor: what each must hear of the other.

use super::actors::Finished;
use super::connection::Hosting;
use super::end::{Cause, End, asleep};
use super::ending::Word;
use super::pools::PoolKind;
use super::routes::{RouteId, RouteKind};
use super::{Action, Relay};
use crate::directory::{ActorKey, Revision};
use crate::protocol::ToClient;
use crate::protocol::to_client::HibernatingRequest;
use crate::supervisor::{self, Greeted};
use crate::time::Time;

impl Relay {
    /// Tells the supervisor something. It is told in turn only, so there is nothing that it could refuse.
    pub(super) fn tell_supervisor(&mut self, event: supervisor::Event, now: Time) {
        use crate::machine::Machine;

        let told = self.supervisor.handle(event, now);
        debug_assert_eq!(told, Ok(()), "the supervisor is told in turn");
    }

    /// A runner whose actors have state was greeted, once the record with this revision named its connection.
    pub(super) fn greeted(&mut self, number: u64, revision: Revision, now: Time) {
        let Some(registration) = self.registrations.get(&number) else { return };
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match registration.kind() {
            PoolKind::WithState => {}
            PoolKind::Stateless => return,
        }
        connection.hosting = Hosting::Greeted;
        let (id, key, slots) = (registration.runner_id(), registration.key.clone(), registration.slots());
        let hibernates = connection.edge.hibernates();
        let greeted = Greeted { connection: number, id, key, slots, hibernates, revision };
        self.tell_supervisor(supervisor::Event::Greeted(greeted), now);
    }

    /// A runner's pong came. With the first one it has said again what it had to.
    pub(super) fn answered(&mut self, number: u64, now: Time) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match connection.hosting {
            Hosting::Greeted => {
                connection.hosting = Hosting::Answered;
                self.tell_supervisor(supervisor::Event::Answered { connection: number }, now);
            }
            Hosting::Nothing | Hosting::Answered => {}
        }
    }

    /// Something of a runner is for the supervisor, if its actors have state.
    pub(super) fn pass_on(&mut self, number: u64, event: supervisor::Event, now: Time) {
        if self.connections.get(&number).is_some_and(|connection| connection.hosts()) {
            self.tell_supervisor(event, now);
        }
    }

    /// Does what the supervisor wants done.
    pub(super) fn supervise(&mut self, now: Time) {
        use crate::machine::Machine;

        loop {
            if let Some(connection) = self.left.pop() {
                self.tell_supervisor(supervisor::Event::Disconnected { connection }, now);
            } else if let Some(action) = self.supervisor.poll_action() {
                self.carry_out(action, now);
            } else if let Some(Finished { connection, actor_id, generation }) = self.routes.pop_finished() {
                let registration = self.registrations.get(&connection);
                if let Some(pool) = registration.map(|registration| registration.key.pool.clone()) {
                    self.end_sockets(connection, ActorKey { pool, actor_id }, generation, now);
                }
            } else {
                return;
            }
        }
    }

    fn carry_out(&mut self, action: supervisor::Action, now: Time) {
        match action {
            supervisor::Action::Commands { connection, commands } => {
                self.tell_runner(connection, ToClient::Commands(commands));
            }
            supervisor::Action::AckEvents { connection, acknowledged } => {
                self.tell_runner(connection, ToClient::AckEvents(acknowledged));
            }
            supervisor::Action::Change(change) => {
                self.actor_changes += 1;
                self.actions.push_back(Action::Actor(change));
            }
            supervisor::Action::Registered { actor } => self.actions.push_back(Action::Registered { actor }),
            supervisor::Action::Restore { connection, actor, generation, sockets, left_out } => {
                self.restore(connection, &actor, generation, sockets, now);
                for HibernatingRequest { gateway_id, request_id } in left_out {
                    self.leave_out(RouteId { connection, gateway_id, request_id }, generation, now);
                }
            }
            supervisor::Action::FinishRoutes { connection, actor, generation } => {
                if self.routes.finish(connection, &actor.actor_id, generation) {
                    self.end_sockets(connection, actor, generation, now);
                }
            }
            supervisor::Action::EndRoutes { connection, actor, generation } => {
                self.routes.finish_no_more(connection, &actor.actor_id);
                for id in self.routes.of_actor(connection, &actor.actor_id) {
                    match self.routes.next(id) {
                        Some((RouteKind::Http, _)) => self.abort_route(id, Cause::ActorStopped, now),
                        Some((RouteKind::WebSocket, _)) | None => {}
                    }
                }
                self.end_sockets(connection, actor, generation, now);
            }
            supervisor::Action::ShowActors => self.actions.push_back(Action::ShowActors),
            supervisor::Action::Log(notice) => self.actions.push_back(Action::LogActors(notice)),
        }
    }

    /// An actor's exchanges have ended. Its WebSockets hibernate, if they can; that they close tells their runner by
    /// its actor's stop.
    fn end_sockets(&mut self, connection: u64, actor: ActorKey, generation: u32, now: Time) {
        for id in self.routes.of_actor(connection, &actor.actor_id) {
            self.put_to_sleep(id, Cause::ActorStopped, now);
        }
        self.pass_on(connection, supervisor::Event::RoutesEnded { actor, generation }, now);
    }

    /// Closes a WebSocket here. At its gateway it hibernates, if it can; its runner hears nothing.
    pub(super) fn put_to_sleep(&mut self, id: RouteId, why: Cause, now: Time) {
        let Some(message_index) = self.routes.next_answer(id) else { return };
        self.close_route(id, End::Aborted(why), now);
        self.routes.inscribe(id, Word::Asleep(message_index));
        self.tell_gateway(id.connection, id.gateway_id, &asleep(id, message_index, why));
    }
}
