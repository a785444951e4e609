//! The handlers of WebSockets that can hibernate, at a runner of ours.

use bytestring::ByteString;
use underpass_core::RequestKey;
use underpass_core::http::{Close, Message};
use underpass_core::runner::{Event, SocketId};

use crate::sim::faults::Host;
use crate::sim::hibernation::keeper::{self, Keeper, Place};
use crate::sim::hibernation::store::name;
use crate::sim::trace::About;
use crate::sim::workload::Wish;
use crate::sim::world::{Own, World};

impl World<'_> {
    pub(super) fn guest_restores(
        &mut self,
        index: usize,
        actor: &ByteString,
        generation: u32,
        key: RequestKey,
        socket: SocketId,
    ) {
        let Some(saved) = self.saved.get(actor, socket) else {
            self.wakes.unknown += 1;
            return;
        };
        let Some(client) = &self.clients[saved.client as usize] else { return };
        let Wish::Hibernating(plan) = client.plan.wish.clone() else { return };
        self.wakes.restored += 1;
        let about = About::Client(saved.client);
        self.hand_to_runner(index, about, Event::WebSocketRestore { key, last: saved.handled as u16 });
        let life = self.saved.lives(actor);
        let place = Place { client: saved.client, actor: actor.clone(), generation, life, socket };
        let keeper = Keeper::restored(place, &plan, saved, &mut self.keeper_turn);
        self.keeper_begins(index, key, keeper);
    }

    /// A client's socket is handed to a handler, whether for the first time or again.
    pub(super) fn keeper_begins(&mut self, index: usize, key: RequestKey, keeper: Keeper) {
        let host = Some(Host::Runner(index));
        let client = keeper.place.client;
        self.note(host, About::Client(client), 6, || format!("→ client {client} is handed to {keeper:?} as {key:?}"));
        if let Some(hosting) = self.hosting(index) {
            hosting.keepers.insert(key, keeper);
        }
        self.carry_out_keeper(index, key);
    }

    /// The place of a socket that is opened now.
    pub(super) fn place_at(&self, index: usize, actor: &ByteString, socket: SocketId, client: u32) -> Option<Place> {
        let generation = self.runners[index].process.as_ref()?.hosting.actors.get(actor)?.generation;
        let life = self.saved.lives(actor);
        Some(Place { client, actor: actor.clone(), generation, life, socket })
    }

    pub(super) fn keeper_message(&mut self, index: usize, key: RequestKey, number: u16, message: &Message) {
        let Some(process) = self.runners[index].process.as_mut() else { return };
        let Some(keeper) = process.hosting.keepers.get_mut(&key) else { return };
        let actor = keeper.place.actor.clone();
        keeper.message(number, message, &mut self.keeper_turn);
        self.wakes.messages += 1;
        self.guest_is_touched(index, &actor);
        self.carry_out_keeper(index, key);
        self.hand_to_runner(index, About::Nobody, Event::Consumed { key, bytes: message.len() });
    }

    pub(super) fn keeper_has_ended(&self, index: usize, key: RequestKey) -> bool {
        let process = self.runners[index].process.as_ref();
        process.and_then(|process| process.hosting.keepers.get(&key)).is_some_and(Keeper::has_ended)
    }

    /// Its socket sleeps with its actor.
    pub(super) fn keeper_is_asleep(&mut self, index: usize, key: RequestKey) {
        let Some(process) = self.runners[index].process.as_mut() else { return };
        if let Some(keeper) = process.hosting.keepers.get_mut(&key) {
            keeper.stops(&mut self.saved);
        }
    }

    /// Its socket is no more.
    pub(super) fn keeper_is_over(&mut self, index: usize, key: RequestKey, close: Option<&Close>) {
        let Some(process) = self.runners[index].process.as_mut() else { return };
        let Some(keeper) = process.hosting.keepers.get_mut(&key) else { return };
        keeper.is_over(&mut self.saved);
        let (place, handled) = (keeper.place.clone(), keeper.handled());
        if close.and_then(|close| close.reason.as_deref()) == Some("ws.message_index_skip") {
            self.socket_was_skipped(name(place.socket), || "a message was skipped".into());
        }
        self.socket_is_over(&place, handled, close);
    }

    pub(super) fn keeper_is_paced(&mut self, index: usize, key: RequestKey, is_paused: bool) {
        let Some(process) = self.runners[index].process.as_mut() else { return };
        let Some(keeper) = process.hosting.keepers.get_mut(&key) else { return };
        keeper.paces(is_paused, &mut self.keeper_turn);
        self.carry_out_keeper(index, key);
    }

    pub(in crate::sim) fn keeper_steps(&mut self, index: usize, key: RequestKey, step: keeper::Step) {
        let Some(process) = self.runners[index].process.as_mut() else { return };
        let Some(keeper) = process.hosting.keepers.get_mut(&key) else { return };
        keeper.step(step, &mut self.saved, &mut self.keeper_turn);
        self.carry_out_keeper(index, key);
        self.runner_wants(index);
    }

    /// Does what a keeper wants done.
    fn carry_out_keeper(&mut self, index: usize, key: RequestKey) {
        let keeper = self.hosting(index).and_then(|hosting| hosting.keepers.get(&key));
        let about = keeper.map_or(About::Nobody, |keeper| About::Client(keeper.place.client));
        if let Some(wrong) = self.keeper_turn.wrong.take() {
            self.wrong(about, || wrong);
        }
        let mut later = core::mem::take(&mut self.keeper_turn.later);
        if let Some(node) = self.runners[index].running() {
            for (after, step) in later.drain(..) {
                self.network.own(node, after, Own::Keeper(key, step));
            }
        }
        self.keeper_turn.later = later;
        for word in core::mem::take(&mut self.keeper_turn.events) {
            let event = match word {
                keeper::Word::Accept => Event::WebSocketAccept { key, can_hibernate: true },
                keeper::Word::Message(message) => Event::WebSocketMessage { key, message },
                keeper::Word::Acknowledge(number) => Event::Handled { key, number },
                keeper::Word::Close(close) => {
                    self.keeper_is_over(index, key, None);
                    Event::WebSocketClose { key, close }
                }
            };
            self.hand_to_runner(index, about, event);
        }
    }
}
