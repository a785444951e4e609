//! The client of a WebSocket that can hibernate: it sends in bursts, is idle for minutes, and when all is well again has
//! its last words answered and closes.

use core::time::Duration;

use underpass_core::gateway::Event;
use underpass_core::http::{Close, Message};
use underpass_core::{RequestKey, Time};

use super::plan::{HibernatingPlan, LEAST};
use crate::sim::bytes::{has_taken_already, spoken};
use crate::sim::client::{Step, Turn};

/// How long it waits for an answer to its last words before it says others.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// How often it says last words.
const MOST_LAST_WORDS: u32 = 3;

/// Where a client's talk stands.
#[derive(Clone, Debug, Default)]
pub struct Talk {
    /// Which burst goes on, and how many of its messages were sent.
    burst: usize,
    of_burst: u32,
    /// How many messages it has sent,
    pub sent: u32,
    /// and when it sent the last.
    pub last_sent: Time,
    /// How many of them the handler says to have handled, at most.
    pub handled: u32,
    /// In which life it was said last, and at which place there.
    heard: Option<(u32, u32)>,
    is_paused: bool,
    /// It is to send, but was told to pause.
    owes: bool,
    /// How often it has said last words; none while it goes by its plan.
    last_words: Option<u32>,
    /// Whether the directory knows its socket.
    pub is_registered: bool,
    /// Whether it is open, or was.
    pub has_begun: bool,
    /// Whether the handler heard of its close, or will not.
    pub close_was_heard: bool,
}

impl Talk {
    /// Its WebSocket is open.
    pub fn begins(&mut self, plan: &HibernatingPlan, turn: &mut Turn) {
        self.has_begun = true;
        self.next(plan, turn);
    }

    /// What is to come of its plan.
    fn next(&mut self, plan: &HibernatingPlan, turn: &mut Turn) {
        if self.last_words.is_some() {
            return;
        }
        match plan.bursts.get(self.burst) {
            Some(burst) if self.of_burst == 0 => turn.later.push((burst.after, Step::Send)),
            Some(burst) => turn.later.push((burst.gap, Step::Send)),
            None if plan.closes => turn.later.push((Duration::ZERO, Step::Close)),
            None => {}
        }
    }

    /// It is time to send.
    pub fn send(&mut self, key: RequestKey, number: u32, plan: &HibernatingPlan, now: Time, turn: &mut Turn) {
        if self.last_words.is_some() {
            return;
        }
        let Some(burst) = plan.bursts.get(self.burst) else { return };
        if self.is_paused && !has_taken_already(self.sent as usize) {
            self.owes = true;
            return;
        }
        self.say(key, number, burst.length, turn);
        self.last_sent = now;
        self.of_burst += 1;
        if self.of_burst == burst.messages {
            (self.burst, self.of_burst) = (self.burst + 1, 0);
        }
        self.next(plan, turn);
    }

    fn say(&mut self, key: RequestKey, number: u32, length: usize, turn: &mut Turn) {
        turn.events.push(Event::WebSocketMessage { key, message: spoken(number, self.sent, length) });
        self.sent += 1;
    }

    /// It is told to pause, or to go on.
    pub fn paces(&mut self, is_paused: bool, turn: &mut Turn) {
        self.is_paused = is_paused;
        if !is_paused && core::mem::take(&mut self.owes) {
            turn.later.push((Duration::ZERO, Step::Send));
        }
    }

    /// All is well again: it says its last words, and again if nobody answers.
    pub fn finishes(&mut self, key: RequestKey, number: u32, turn: &mut Turn) {
        let said = self.last_words.unwrap_or_default();
        if said == MOST_LAST_WORDS {
            return turn.wrong(|| format!("the last words of client {number} were not answered: {self:?}"));
        }
        if self.is_paused {
            return turn.wrong(|| format!("client {number} is still told to pause: {self:?}"));
        }
        self.last_words = Some(said + 1);
        self.say(key, number, LEAST, turn);
        turn.later.push((LAST_WORDS, Step::Finish));
    }

    /// It hears something: how much was handled, in which life it is said, and at which place there.
    /// With `in_order`, nothing is said again.
    pub fn hears(&mut self, number: u32, message: &Message, in_order: bool, turn: &mut Turn) {
        let said = match message {
            Message::Text(text) => said(number, text),
            Message::Binary(_) => None,
        };
        let Some((handled, life, place)) = said else {
            return turn.wrong(|| format!("client {number} hears what is not for it: {message:?}"));
        };
        if handled > self.sent {
            turn.wrong(|| format!("client {number} hears that {handled} of {} messages were handled", self.sent));
        }
        if in_order && self.heard.is_some_and(|heard| heard >= (life, place)) {
            turn.wrong(|| format!("client {number} hears {place} of life {life} behind {:?}", self.heard));
        }
        self.heard = Some((life, place));
        self.handled = self.handled.max(handled);
        if self.last_words.is_some() && self.handled == self.sent {
            turn.later.push((Duration::ZERO, Step::Close));
        }
    }

    /// As it closes.
    pub fn close() -> Close {
        Close::new(1000, "done")
    }
}

fn said(number: u32, text: &str) -> Option<(u32, u32, u32)> {
    let mut words = text.split(' ');
    let mut word = |letter: char| words.next()?.strip_prefix(letter)?.parse::<u32>().ok();
    let whose = word('c')?;
    let said = (word('h')?, word('l')?, word('s')?);
    (whose == number).then_some(said)
}
