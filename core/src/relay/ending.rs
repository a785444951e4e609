//! Ends that the bus has yet to take: it refused to tell a gateway, which is told again for a while.

use core::time::Duration;

use hashbrown::HashMap;

use super::Relay;
use super::routes::RouteId;
use crate::machine::deadline::{Armed, Deadlines};
use crate::protocol::to_gateway::RefusedReason;
use crate::protocol::{GatewayId, MessageIndex, RequestId};
use crate::time::Time;

/// What a gateway is to be told of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It was aborted.
    Abort,
    /// It was not carried to its runner.
    Refused(RefusedReason),
    /// Something of it is lost, and it has no route.
    Lost,
    /// It is a WebSocket that sleeps, if it can hibernate. The number that says so.
    Asleep(MessageIndex),
}

/// The ends that a relay has yet to tell.
#[derive(Debug)]
pub(super) struct Endings {
    endings: HashMap<RouteId, Ending>,
    again: Deadlines<Again, RouteId>,
    give_up: Deadlines<GiveUp, RouteId>,
    most: usize,
}

#[derive(Debug)]
struct Ending {
    word: Word,
    attempt: Attempt,
    again: Armed,
    give_up: Armed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    /// The bus gave the last one back.
    Refused,
    /// It was published. If it does not come back until the next would be due, it is out.
    Published,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Again;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GiveUp;

/// The end of a wait.
enum Due {
    /// It is to be told again.
    Tell(RouteId, Word),
    /// It could not be told.
    GivenUp,
}

impl Endings {
    pub(super) fn new(again: Duration, give_up: Duration, most: usize) -> Self {
        Endings {
            endings: HashMap::new(),
            again: Deadlines::new([(Again, again)]),
            give_up: Deadlines::new([(GiveUp, give_up)]),
            most,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.endings.len()
    }

    pub(super) fn contains(&self, id: RouteId) -> bool {
        self.endings.contains_key(&id)
    }

    pub(super) fn deadlines(&self) -> usize {
        self.again.len() + self.give_up.len()
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        self.again.next_due().into_iter().chain(self.give_up.next_due()).min()
    }

    /// The bus did not take a word. Whether it will be tried again.
    fn refused(&mut self, id: RouteId, word: Word, now: Time) -> bool {
        if let Some(ending) = self.endings.get_mut(&id) {
            ending.attempt = Attempt::Refused;
            return true;
        }
        if self.endings.len() >= self.most {
            return false;
        }
        let (again, give_up) = (self.again.arm(Again, id, now), self.give_up.arm(GiveUp, id, now));
        self.endings.insert(id, Ending { word, attempt: Attempt::Refused, again, give_up });
        true
    }

    /// What is to be done now, one at a time.
    fn pop_due(&mut self, now: Time) -> Option<Due> {
        // First what is to be given up, so that a clock that jumps ends each once.
        while let Some((GiveUp, id)) = self.give_up.pop_due(now) {
            let Some(ending) = self.endings.remove(&id) else { continue };
            self.again.cancel(ending.again);
            match ending.attempt {
                Attempt::Refused => return Some(Due::GivenUp),
                Attempt::Published => {}
            }
        }
        while let Some((Again, id)) = self.again.pop_due(now) {
            let Some(ending) = self.endings.get_mut(&id) else { continue };
            match ending.attempt {
                Attempt::Refused => {
                    ending.attempt = Attempt::Published;
                    ending.again = self.again.arm(Again, id, now);
                    return Some(Due::Tell(id, ending.word));
                }
                Attempt::Published => {
                    if let Some(ending) = self.endings.remove(&id) {
                        self.give_up.cancel(ending.give_up);
                    }
                }
            }
        }
        None
    }

    /// What is still to be told of a request.
    pub(super) fn word(&self, id: RouteId) -> Option<Word> {
        self.endings.get(&id).map(|ending| ending.word)
    }

    /// A WebSocket is awake again on its connection: that it slept is told no more.
    pub(super) fn woke(&mut self, id: RouteId) {
        match self.word(id) {
            Some(Word::Asleep(_)) => self.forget(id),
            Some(Word::Abort | Word::Refused(_) | Word::Lost) | None => {}
        }
    }

    /// Nobody listens there: there is nobody to tell.
    fn forget(&mut self, id: RouteId) {
        if let Some(ending) = self.endings.remove(&id) {
            self.again.cancel(ending.again);
            self.give_up.cancel(ending.give_up);
        }
    }
}

impl Relay {
    /// The bus did not take the word of an end.
    pub(super) fn word_refused(&mut self, id: RouteId, word: Word, now: Time) {
        if !self.endings.refused(id, word, now) {
            self.counted.aborts_given_up += 1;
        }
    }

    /// There is nobody to tell of an end.
    pub(super) fn nobody_to_tell(&mut self, connection: u64, gateway_id: GatewayId, request_id: RequestId) {
        self.endings.forget(RouteId { connection, gateway_id, request_id });
    }

    pub(super) fn tell_again(&mut self, now: Time) {
        while let Some(due) = self.endings.pop_due(now) {
            match due {
                Due::Tell(id, word) => {
                    self.counted.aborts_retried += 1;
                    self.tell_end(id, word);
                }
                Due::GivenUp => self.counted.aborts_given_up += 1,
            }
        }
    }
}
