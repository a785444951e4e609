//! What must hold of WebSockets that can hibernate.
//!
//! | always, while the bus keeps its contract | |
//! | --- | --- |
//! | in order, at least once | a handler gets each message behind all before it, in whatever life of its actor |
//! | once | it gets none again that it had saved |
//! | no empty promise | nothing is acknowledged that was not saved |
//! | the close is last | a handler hears of its client's close behind all messages |
//! | nothing is lost with a runner | once the directory knows a socket, the loss of its runner or relay does not end it |
//!
//! And when all is well again, each socket that is open has its last words answered, wherever its actor was.

use core::time::Duration;

use underpass_core::FailureCode as Code;
use underpass_core::Frame;
use underpass_core::failure::RequestName;
use underpass_core::http::Close;
use underpass_core::protocol::tunnel::to_server::{self, WebSocketMessageAck};
use underpass_core::protocol::{Dialect, ToServer};

use super::client::Talk;
use super::keeper::Place;
use super::plan::HibernatingPlan;
use super::store::{name, socket};
use crate::sim::bytes::actor;
use crate::sim::client::{End, Step};
use crate::sim::faults::Kind;
use crate::sim::trace::About;
use crate::sim::workload::Wish;
use crate::sim::world::{Own, World};

/// The bytes of an acknowledgement.
const LONGEST_ACK: usize = 14;

/// A message that was sent so long ago, while all was well, has been handled.
const LONG_AGO: Duration = Duration::from_secs(60);

/// What went on with sockets in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wakes {
    /// How often a socket went on in another life of its actor.
    pub restored: u64,
    /// How often that life knew nothing of it.
    pub unknown: u64,
    /// How many messages were handled.
    pub messages: u64,
    /// How many came again, and were not.
    pub repeats: u64,
}

impl Kind {
    /// Whether the bus keeps its contract in spite of it, and time goes on evenly: what is published arrives, once and
    /// in order, or is known not to have.
    fn leaves_bus_sound(self) -> bool {
        ![
            Kind::LoseAnswers,
            Kind::LoseRequests,
            Kind::Repeat,
            Kind::BusAway,
            Kind::BusCutOff,
            Kind::Jump,
            Kind::SecondRunner,
        ]
        .contains(&self)
    }

    /// Whether a runner that is there may say nothing for long.
    fn may_hold_runners_up(self) -> bool {
        [Kind::Pause, Kind::Stall, Kind::HalfOpen].contains(&self)
    }

    /// Whether an actor may not start for long, or its runner not be heard for long.
    fn may_keep_actors_away(self) -> bool {
        ![
            Kind::CrashActor,
            Kind::LullActor,
            Kind::SetAlarm,
            Kind::CrashGateway,
            Kind::Forge,
            Kind::Acknowledge,
            Kind::Misacknowledge,
        ]
        .contains(&self)
    }
}

impl World<'_> {
    fn is_bus_sound(&self) -> bool {
        self.seen.iter().all(|kind| kind.leaves_bus_sound())
    }

    /// A handler misses a message.
    pub(in crate::sim) fn socket_was_skipped(&mut self, name: RequestName, text: impl FnOnce() -> String) {
        if self.is_bus_sound() {
            self.wrong(About::Wire(name), text);
        }
    }

    /// A runner of ours says something: it acknowledges nothing that its handler has not saved.
    pub(in crate::sim) fn runner_acknowledges(&mut self, frame: &Frame) {
        // An acknowledgement is short.
        if frame.len() > LONGEST_ACK {
            return;
        }
        let Ok(ToServer::TunnelMessage(message)) = ToServer::decode(frame, Dialect::Underpass) else { return };
        let to_server::Kind::WebSocketMessageAck(WebSocketMessageAck { index }) = message.message_kind else { return };
        let name = crate::sim::checks::name(message.message_id);
        let Some(number) = self.client_of(About::Wire(name)) else { return };
        let Some(saved) = self.saved.get(&actor(number), socket(name)) else { return };
        if (saved.handled as u16).wrapping_sub(index) >= 0x8000 {
            let handled = saved.handled;
            self.wrong(About::Wire(name), || format!("message {index} is acknowledged, {handled} were saved"));
        }
    }

    /// A handler has the end of its socket.
    pub(in crate::sim) fn socket_is_over(&mut self, place: &Place, handled: u32, close: Option<&Close>) {
        let number = place.client;
        let Some(client) = self.clients[number as usize].as_mut() else { return };
        let sent = client.talk.sent;
        if close == Some(&Talk::close()) && name(place.socket) == self.latest[&number] {
            client.talk.close_was_heard = true;
            if handled != sent && self.is_bus_sound() {
                let text = format!("the close of client {number} overtook: {handled} of {sent} messages were handled");
                self.wrong(About::Client(number), || text);
            }
        }
    }

    /// Whether a client's WebSocket that could hibernate may end so; none: as any other may.
    pub(in crate::sim) fn may_end_hibernating(&self, number: u32, end: End) -> Option<bool> {
        let client = self.clients[number as usize].as_ref()?;
        let Wish::Hibernating(HibernatingPlan { closes_behind, .. }) = &client.plan.wish else { return None };
        let talk = &client.talk;
        // What is lost or comes again may end anything, also when all is well again: a runner may have heard of an end
        // that its gateway did not.
        if !self.is_bus_sound() {
            return Some(true);
        }
        // It had not been taken yet, or the directory did not know of it.
        if !talk.has_begun || !talk.is_registered && !matches!(end, End::NotRestored) {
            return None;
        }
        let may_be_away = self.seen.iter().any(|kind| kind.may_keep_actors_away());
        Some(match end {
            End::Closed => true,
            End::Whole => closes_behind.is_some(),
            End::Left => client.plan.leaves.is_some(),
            End::GatewayDied => self.seen.contains(&Kind::CrashGateway) || self.seen.contains(&Kind::Drain),
            // Its handler closed, or had saved nothing of it when its life ended, or was told that its gateway is lost.
            End::NotRestored => {
                let knew = self.saved.knew(socket(*self.latest.get(&number)?));
                closes_behind.is_some() || !knew || self.seen.contains(&Kind::Pause)
            }
            // All is well again.
            _ if self.is_farewell() => false,
            // A gateway that stood still for so long was given up.
            End::Failed(Code::RunnerFailed) => self.seen.contains(&Kind::Pause),
            End::Failed(Code::Draining) => self.seen.contains(&Kind::Drain),
            End::Failed(Code::ActorStartTimeout) => may_be_away,
            End::Failed(Code::WebSocketAckTimeout) => self.seen.iter().any(|kind| kind.may_hold_runners_up()),
            End::Failed(_) | End::LostHeart | End::ActorStopped | End::Skipped => false,
        })
    }

    /// A client's close crossed the sleep of its actor, and no runner will hear of it: the actor's next life finds that
    /// the socket is no more.
    pub(in crate::sim) fn close_has_crossed(&mut self, about: About) {
        let Some(number) = self.client_of(about) else { return };
        if let Some(client) = self.clients[number as usize].as_mut() {
            client.talk.close_was_heard = true;
        }
    }

    /// All is well again: the clients whose sockets are open finish.
    pub(in crate::sim) fn talks_finish(&mut self) {
        for number in 0..self.clients.len() as u32 {
            let Some(client) = &self.clients[number as usize] else { continue };
            if !client.is_open() || !matches!(client.plan.wish, Wish::Hibernating(_)) {
                continue;
            }
            self.all_was_handled(number);
            let after = self.random.up_to(Duration::from_secs(5));
            self.remind(after, Own::Client(number, Step::Finish));
        }
    }

    /// What a client sent has long been handled and saved, whoever had to be woken for it.
    fn all_was_handled(&mut self, number: u32) {
        let Some(Talk { sent, last_sent, .. }) = self.clients[number as usize].as_ref().map(|client| &client.talk)
        else {
            return;
        };
        let (sent, is_long_ago) = (*sent, self.network.now().since(*last_sent) > LONG_AGO);
        // A relay that stood still for so long takes its gateways for lost, and tells handlers so.
        let is_sound = self.is_bus_sound() && !self.seen.contains(&Kind::Pause);
        let Some(name) = self.latest.get(&number).filter(|_| sent > 0 && is_long_ago && is_sound) else {
            return;
        };
        let saved = self.saved.get(&actor(number), socket(*name)).map_or(0, |saved| saved.handled);
        if saved != sent {
            let text = format!("of {sent} messages of client {number} {saved} were handled, and nothing follows");
            self.wrong(About::Client(number), || text);
        }
    }

    /// Nothing is open: no socket is registered, no handler waits for one that is no more.
    pub(in crate::sim) fn sockets_are_at_rest(&mut self) {
        let mut wrong = None;
        let lives = |name: RequestName| {
            let mut running = self.gateways.iter().filter_map(|slot| slot.process.as_ref());
            running.any(|process| process.machine.id() == name.gateway_id)
        };
        for entered in self.network.registry() {
            let name = RequestName { gateway_id: entered.gateway_id, request_id: entered.request_id };
            if lives(name) {
                wrong = Some((About::Wire(name), format!("{entered:?} is still registered")));
            }
        }
        // Nobody but an actor that slept or crashed, or a runner that was away, misses a close.
        let is_calm = self.seen.iter().all(|kind| [Kind::LullActor, Kind::SetAlarm].contains(kind));
        for client in self.clients.iter().flatten().filter(|_| is_calm) {
            let number = client.plan.number;
            // A handler that closes itself may have done so first.
            let is_listening = |plan: &HibernatingPlan| plan.closes_behind.is_none();
            let waits = matches!(&client.plan.wish, Wish::Hibernating(plan) if is_listening(plan));
            if waits && client.end() == Some(End::Closed) && client.talk.has_begun && !client.talk.close_was_heard {
                wrong = Some((About::Client(number), format!("the handler of client {number} heard of no close")));
            }
        }
        if let Some((about, text)) = wrong {
            self.wrong(about, || text);
        }
    }

    /// A number that a client's messages never have, if there is one: far ahead of them, or long past.
    pub(in crate::sim) fn lie(&mut self, number: u32) -> Option<u16> {
        let client = self.clients[number as usize].as_ref()?;
        let Wish::Hibernating(plan) = &client.plan.wish else { return None };
        // With its last words.
        let most = u64::from(plan.messages() + 3);
        (most < 60_000).then(|| (most + 1 + self.random.below(65_536 - most)) as u16)
    }
}
