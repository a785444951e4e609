//! The handler of a socket that can hibernate: it handles each message, saves what it has handled with all that came
//! meanwhile, and acknowledges what it has saved. What it had not saved is gone with its life; the next one goes on from
//! there.

use bytestring::ByteString;
use underpass_core::http::{Close, Message};
use underpass_core::runner::SocketId;

use super::plan::{Habits, HibernatingPlan};
use super::store::{Saved, Store};
use crate::sim::bytes::{farewell, spoken};
use crate::sim::turn;

/// What a keeper does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It has thought, and takes the socket.
    Take,
    /// It saves.
    Save,
    /// It acknowledges what it has saved.
    Acknowledge,
}

/// What a keeper says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It takes the socket, which can hibernate.
    Accept,
    /// A message.
    Message(Message),
    /// All messages up to this number are handled and saved.
    Acknowledge(u16),
    /// It closes.
    Close(Close),
}

/// What a keeper wants done.
pub type Turn = turn::Turn<Word, Step>;

/// The handler of a socket, in one life of its actor.
#[derive(Debug)]
pub struct Keeper {
    /// What it keeps.
    pub place: Place,
    habits: Habits,
    closes_behind: Option<u32>,
    stage: Stage,
    handled: u32,
    /// How much of that it has saved; none: not even that it has the socket.
    saved: Option<u32>,
    said: u32,
    is_paused: bool,
    /// It has something to say, but was told to pause.
    owes: bool,
    is_saving: bool,
    is_acknowledging: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Thinking,
    Open,
    /// It has closed, or was told that the socket is no more.
    Over,
}

/// Where a socket is kept.
#[derive(Clone, Debug)]
pub struct Place {
    /// Whose it is.
    pub client: u32,
    /// By which actor,
    pub actor: ByteString,
    /// in which of its lives,
    pub generation: u32,
    /// which was so many-th to begin.
    pub life: u32,
    /// Which.
    pub socket: SocketId,
}

impl Keeper {
    /// It is asked to take a socket.
    pub fn asked(place: Place, plan: &HibernatingPlan, turn: &mut Turn) -> Keeper {
        turn.later.push((plan.thinking, Step::Take));
        Keeper::new(place, plan, Stage::Thinking, None)
    }

    /// The next life of its actor goes on with it, and acknowledges once more what was saved: an acknowledgement that
    /// got lost would not come again.
    pub fn restored(place: Place, plan: &HibernatingPlan, saved: Saved, turn: &mut Turn) -> Keeper {
        let mut keeper = Keeper::new(place, plan, Stage::Open, Some(saved.handled));
        keeper.acknowledges_again(turn);
        if plan.habits.greets {
            keeper.speak(turn);
        }
        keeper
    }

    fn new(place: Place, plan: &HibernatingPlan, stage: Stage, saved: Option<u32>) -> Keeper {
        Keeper {
            place,
            habits: plan.habits,
            closes_behind: plan.closes_behind,
            stage,
            handled: saved.unwrap_or_default(),
            saved,
            said: 0,
            is_paused: false,
            owes: false,
            is_saving: false,
            is_acknowledging: false,
        }
    }

    /// How many messages it has handled.
    pub fn handled(&self) -> u32 {
        self.handled
    }

    /// The number of the message that it handled last.
    pub fn last(&self) -> u16 {
        self.handled as u16
    }

    /// Whether it has something to save or to acknowledge: its actor does not nap yet.
    pub fn is_busy(&self) -> bool {
        self.stage != Stage::Over && (self.stage == Stage::Thinking || self.is_saving || self.is_acknowledging)
    }

    /// A message comes, that it has not handled.
    pub fn message(&mut self, number: u16, message: &Message, turn: &mut Turn) {
        if self.stage != Stage::Open {
            return turn.wrong(|| "a message for a socket that nobody took".into());
        }
        if number != (self.handled + 1) as u16 {
            return turn.wrong(|| format!("message {number} comes where {} were handled", self.handled));
        }
        let length = message.len();
        if *message != spoken(self.place.client, self.handled, length) {
            return turn.wrong(|| format!("message {} is another: {message:?}", self.handled));
        }
        self.handled += 1;
        self.speak(turn);
        if self.closes_behind == Some(self.handled) {
            self.stage = Stage::Over;
            return turn.events.push(Word::Close(farewell(self.place.client)));
        }
        if !core::mem::replace(&mut self.is_saving, true) {
            turn.later.push((self.habits.saves, Step::Save));
        }
    }

    /// It is told to pause, or to go on.
    pub fn paces(&mut self, is_paused: bool, turn: &mut Turn) {
        self.is_paused = is_paused;
        if !is_paused && self.stage == Stage::Open && core::mem::take(&mut self.owes) {
            self.speak(turn);
        }
    }

    /// It says how much it has handled, once it need not pause; in each life it counts what it says.
    fn speak(&mut self, turn: &mut Turn) {
        if self.is_paused {
            self.owes = true;
            return;
        }
        let Place { client, life, .. } = self.place;
        let text = format!("c{client} h{} l{life} s{}", self.handled, self.said);
        self.said += 1;
        turn.events.push(Word::Message(Message::Text(text.into())));
    }

    /// It is time for something that it meant to do.
    pub fn step(&mut self, step: Step, store: &mut Store, turn: &mut Turn) {
        match (step, self.stage) {
            (Step::Take, Stage::Thinking) => {
                self.stage = Stage::Open;
                turn.events.push(Word::Accept);
                if self.closes_behind == Some(0) {
                    self.stage = Stage::Over;
                    return turn.events.push(Word::Close(farewell(self.place.client)));
                }
                if self.habits.saves_opening.is_zero() {
                    self.save(store, turn);
                } else {
                    self.is_saving = true;
                    turn.later.push((self.habits.saves_opening, Step::Save));
                }
            }
            (Step::Save, Stage::Open) => self.save(store, turn),
            (Step::Acknowledge, Stage::Open) => {
                self.is_acknowledging = false;
                if let Some(saved) = self.saved.filter(|saved| *saved > 0) {
                    turn.events.push(Word::Acknowledge(saved as u16));
                }
            }
            (Step::Take | Step::Save | Step::Acknowledge, _) => {}
        }
    }

    fn save(&mut self, store: &mut Store, turn: &mut Turn) {
        self.is_saving = false;
        if !self.write(store) {
            return;
        }
        self.saved = Some(self.handled);
        self.acknowledges_again(turn);
    }

    /// What is saved is acknowledged after a while.
    pub fn acknowledges_again(&mut self, turn: &mut Turn) {
        let has_some = self.saved.is_some_and(|saved| saved > 0);
        if has_some && !core::mem::replace(&mut self.is_acknowledging, true) {
            turn.later.push((self.habits.acknowledges, Step::Acknowledge));
        }
    }

    fn write(&self, store: &mut Store) -> bool {
        let Place { client, ref actor, generation, socket, .. } = self.place;
        store.save(actor, generation, socket, Some(Saved { client, handled: self.handled }))
    }

    /// Its actor is told to stop.
    pub fn stops(&mut self, store: &mut Store) {
        if self.stage == Stage::Open && self.habits.saves_at_stop {
            self.write(store);
        }
        self.stage = Stage::Over;
    }

    /// Its actor is no more, and what it had not saved with it.
    pub fn is_gone(&mut self) {
        self.stage = Stage::Over;
    }

    /// Whether nothing more is said to it, or by it.
    pub fn has_ended(&self) -> bool {
        self.stage == Stage::Over
    }

    /// The socket is no more: it has closed, or is told so.
    pub fn is_over(&mut self, store: &mut Store) {
        self.stage = Stage::Over;
        let Place { ref actor, generation, socket, .. } = self.place;
        store.save(actor, generation, socket, None);
    }
}
