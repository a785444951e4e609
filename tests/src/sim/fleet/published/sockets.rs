//! WebSockets that can hibernate at a published runner: numbers 1, 2, 3, …, repeats dropped without a word, restored from
//! what was saved when their actor starts.

use bytestring::ByteString;
use underpass_core::failure::RequestName;
use underpass_core::http::{Close, Message};
use underpass_core::protocol::to_client::HibernatingRequest;
use underpass_core::protocol::tunnel::to_client::{Kind as Word, WebSocketClose, WebSocketMessage};
use underpass_core::protocol::tunnel::{ToServerTunnelMessage, to_server};
use underpass_core::protocol::{MessageId, ToServer};
use underpass_core::runner::SocketId;

use super::Step;
use super::actors::Held;
use crate::sim::bytes::actor;
use crate::sim::faults::Host;
use crate::sim::hibernation::keeper::{self, Place};
use crate::sim::hibernation::store::{name, socket};
use crate::sim::hibernation::{HibernatingPlan, Keeper};
use crate::sim::trace::About;
use crate::sim::workload::Wish;
use crate::sim::world::World;

/// A socket that its handler has.
#[derive(Debug)]
pub(in crate::sim) struct Kept {
    pub(in crate::sim) keeper: Keeper,
    /// The number of the next that is said.
    goes: u16,
    /// An abort came: nothing more is heard, nor said.
    is_deaf: bool,
}

impl World<'_> {
    /// What the tunnel brings for a socket that can hibernate; given back if it is for another.
    pub(super) fn socket_hears(&mut self, index: usize, name: RequestName, number: u16, word: Word) -> Option<Word> {
        let Some((_, process)) = self.published_process(index) else { return Some(word) };
        if let Some(held) = process.actors.values_mut().find_map(|hosted| hosted.held_for(name)) {
            held.push(Held { name, number, word, is_cut_off: false });
            return None;
        }
        let now = self.network.now();
        let Some((_, process)) = self.published_process(index) else { return Some(word) };
        let Some(kept) = process.sockets.get_mut(&socket(name)) else { return Some(word) };
        if let Some(hosted) = process.actors.get_mut(&kept.keeper.place.actor) {
            hosted.touched = now;
        }
        match word {
            _ if kept.is_deaf => {}
            Word::RequestAbort => kept.is_deaf = true,
            Word::WebSocketMessage(message) => self.socket_message(index, name, number, message),
            Word::WebSocketClose(WebSocketClose { code, reason }) => {
                self.published_keeper_is_over(index, name, Some(&Close { code, reason }));
            }
            Word::RequestStart(_) | Word::WebSocketOpen(_) | Word::RequestChunk(_) | Word::Credit(_) => {
                self.wrong(About::Wire(name), || format!("a published runner hears {word:?} on an open socket"));
            }
        }
        None
    }

    /// A client's socket is handed to a handler.
    pub(super) fn socket_opens(
        &mut self,
        index: usize,
        actor: &ByteString,
        name: RequestName,
        client: u32,
        plan: &HibernatingPlan,
    ) {
        let Some(place) = self.place(index, actor, name, client) else { return };
        let keeper = Keeper::asked(place, plan, &mut self.keeper_turn);
        self.socket_is_kept(index, name, keeper, 0);
    }

    fn place(&self, index: usize, actor: &ByteString, name: RequestName, client: u32) -> Option<Place> {
        let generation = self.published[index].process.as_ref()?.actors.get(actor)?.generation;
        let life = self.saved.lives(actor);
        Some(Place { client, actor: actor.clone(), generation, life, socket: socket(name) })
    }

    fn socket_is_kept(&mut self, index: usize, name: RequestName, keeper: Keeper, goes: u16) {
        let client = keeper.place.client;
        let host = Some(Host::Published(index));
        let text = || format!("→ the socket of client {client} has {keeper:?}");
        self.note(host, About::Client(client), 6, text);
        if let Some((_, process)) = self.published_process(index) {
            process.sockets.insert(socket(name), Kept { keeper, goes, is_deaf: false });
        }
        self.carry_out_published_keeper(index, name);
    }

    /// An actor has started. What it has saved of sockets that are still open goes on; of others nothing does.
    pub(super) fn sockets_are_restored(
        &mut self,
        index: usize,
        actor: &ByteString,
        generation: u32,
        sleeping: &[HibernatingRequest],
    ) {
        for HibernatingRequest { gateway_id, request_id } in sleeping {
            let name = RequestName { gateway_id: *gateway_id, request_id: *request_id };
            let Some(saved) = self.saved.get(actor, socket(name)) else {
                self.wakes.unknown += 1;
                let reason = Some("ws.meta_not_found_during_restore".into());
                let close = to_server::WebSocketClose { code: Some(1000), reason, hibernate: false };
                self.socket_says(index, name, 0, to_server::Kind::WebSocketClose(close));
                continue;
            };
            let Some(client) = &self.clients[saved.client as usize] else { continue };
            let Wish::Hibernating(plan) = client.plan.wish.clone() else { continue };
            let Some(place) = self.place(index, actor, name, saved.client) else { continue };
            self.wakes.restored += 1;
            let keeper = Keeper::restored(place, &plan, saved, &mut self.keeper_turn);
            self.socket_is_kept(index, name, keeper, 1);
        }
        for (kept, _) in self.saved.of(actor) {
            let is_open = |request: &HibernatingRequest| SocketId::from(*request) == kept;
            if !sleeping.iter().any(is_open) {
                self.saved.save(actor, generation, kept, None);
            }
        }
    }

    /// An actor is told to stop.
    pub(super) fn sockets_stop(&mut self, index: usize, actor: &ByteString) {
        let Some(process) = self.published[index].process.as_mut() else { return };
        for kept in process.sockets.values_mut().filter(|kept| kept.keeper.place.actor == *actor) {
            kept.keeper.stops(&mut self.saved);
        }
        process.sockets.retain(|_, kept| kept.keeper.place.actor != *actor);
    }

    fn socket_message(&mut self, index: usize, name: RequestName, number: u16, message: WebSocketMessage) {
        let Some(process) = self.published[index].process.as_mut() else { return };
        let Some(Kept { keeper, .. }) = process.sockets.get_mut(&socket(name)) else { return };
        if keeper.last().wrapping_sub(number) < 0x8000 {
            self.wakes.repeats += 1;
            return;
        }
        if number != keeper.last().wrapping_add(1) {
            let last = keeper.last();
            self.socket_was_skipped(name, || format!("message {number} comes where {last} was the last"));
            let close = to_server::WebSocketClose {
                code: Some(1008),
                reason: Some("ws.message_index_skip".into()),
                hibernate: false,
            };
            self.socket_closes(index, name, close);
            return;
        }
        let message = if message.binary {
            Message::Binary(message.data)
        } else {
            match ByteString::try_from(message.data) {
                Ok(text) => Message::Text(text),
                Err(_) => return self.wrong(About::Wire(name), || "a text that is none".into()),
            }
        };
        keeper.message(number, &message, &mut self.keeper_turn);
        let client = keeper.place.client;
        self.wakes.messages += 1;
        self.carry_out_published_keeper(index, name);
        if self.lies
            && let Some(never_sent) = self.lie(client)
        {
            self.published_keeper_says(index, name, keeper::Word::Acknowledge(never_sent));
            self.actor_may_crash(index, &actor(client));
        }
    }

    fn published_keeper_is_over(&mut self, index: usize, name: RequestName, close: Option<&Close>) {
        let Some(process) = self.published[index].process.as_mut() else { return };
        let Some(mut kept) = process.sockets.remove(&socket(name)) else { return };
        kept.keeper.is_over(&mut self.saved);
        self.socket_is_over(&kept.keeper.place, kept.keeper.handled(), close);
    }

    pub(super) fn published_keeper_steps(&mut self, index: usize, socket: SocketId, step: keeper::Step) {
        let Some(process) = self.published[index].process.as_mut() else { return };
        let Some(kept) = process.sockets.get_mut(&socket) else { return };
        kept.keeper.step(step, &mut self.saved, &mut self.keeper_turn);
        self.carry_out_published_keeper(index, name(socket));
    }

    /// Its connection is back: what was acknowledged on the old one may not have arrived.
    pub(super) fn keepers_acknowledge_again(&mut self, index: usize) {
        let Some(process) = self.published[index].process.as_ref() else { return };
        let sockets: Vec<SocketId> = process.sockets.keys().copied().collect();
        for socket in sockets {
            let Some(process) = self.published[index].process.as_mut() else { return };
            if let Some(kept) = process.sockets.get_mut(&socket) {
                kept.keeper.acknowledges_again(&mut self.keeper_turn);
            }
            self.carry_out_published_keeper(index, name(socket));
        }
    }

    /// Does what a keeper wants done.
    fn carry_out_published_keeper(&mut self, index: usize, name: RequestName) {
        if let Some(wrong) = self.keeper_turn.wrong.take() {
            self.wrong(About::Wire(name), || wrong);
        }
        let mut later = core::mem::take(&mut self.keeper_turn.later);
        for (after, step) in later.drain(..) {
            self.published_later(index, after, Step::Keeper(socket(name), step));
        }
        self.keeper_turn.later = later;
        let mut words = core::mem::take(&mut self.keeper_turn.events);
        for word in words.drain(..) {
            self.published_keeper_says(index, name, word);
        }
        self.keeper_turn.events = words;
    }

    fn published_keeper_says(&mut self, index: usize, name: RequestName, word: keeper::Word) {
        let word = match word {
            keeper::Word::Accept => to_server::Kind::WebSocketOpen(to_server::WebSocketOpen { can_hibernate: true }),
            keeper::Word::Message(message) => {
                let (data, binary) = match message {
                    Message::Text(text) => (text.into_bytes(), false),
                    Message::Binary(bytes) => (bytes, true),
                };
                to_server::Kind::WebSocketMessage(to_server::WebSocketMessage { data, binary })
            }
            keeper::Word::Acknowledge(index) => {
                to_server::Kind::WebSocketMessageAck(to_server::WebSocketMessageAck { index })
            }
            keeper::Word::Close(Close { code, reason }) => {
                let close = to_server::WebSocketClose { code, reason, hibernate: false };
                return self.socket_closes(index, name, close);
            }
        };
        let Some((_, process)) = self.published_process(index) else { return };
        let Some(kept) = process.sockets.get_mut(&socket(name)).filter(|kept| !kept.is_deaf) else { return };
        let number = kept.goes;
        kept.goes = number.wrapping_add(1);
        self.socket_says(index, name, number, word);
    }

    fn socket_closes(&mut self, index: usize, name: RequestName, close: to_server::WebSocketClose) {
        let Some((_, process)) = self.published_process(index) else { return };
        let number = process.sockets.get(&socket(name)).map_or(0, |kept| kept.goes);
        self.socket_says(index, name, number, to_server::Kind::WebSocketClose(close));
        self.published_keeper_is_over(index, name, None);
    }

    /// While its runner is away, what is said waits.
    fn socket_says(&mut self, index: usize, name: RequestName, message_index: u16, message_kind: to_server::Kind) {
        let RequestName { gateway_id, request_id } = name;
        let message_id = MessageId { gateway_id, request_id, message_index };
        let message = ToServer::TunnelMessage(ToServerTunnelMessage { message_id, message_kind });
        let Some((_, process)) = self.published_process(index) else { return };
        if process.link.open().is_some() {
            self.published_says(index, message);
        } else {
            process.buffered.push(message);
        }
    }

    /// Whether what waited may still be said: of sockets that have closed meanwhile nothing is.
    pub(super) fn may_still_say(&self, index: usize, message: &ToServer) -> bool {
        let ToServer::TunnelMessage(ToServerTunnelMessage { message_id, .. }) = message else { return true };
        let name = crate::sim::checks::name(*message_id);
        let Some(process) = &self.published[index].process else { return false };
        let is_hibernating =
            self.client_of(About::Wire(name)).and_then(|client| self.clients[client as usize].as_ref());
        let is_hibernating = is_hibernating.is_some_and(|client| matches!(client.plan.wish, Wish::Hibernating(_)));
        !is_hibernating || process.sockets.contains_key(&socket(name))
    }
}
