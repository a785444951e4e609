//! What the client of a WebSocket that can hibernate does, and its handler.

use core::time::Duration;

use underpass_transport_mem::sim::Random;

/// A WebSocket that can hibernate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HibernatingPlan {
    /// How long the handler thinks before it takes the socket.
    pub thinking: Duration,
    /// What the client sends, one after another.
    pub bursts: Vec<Burst>,
    /// Whether the client closes behind its last burst; else it stays until all is well again.
    pub closes: bool,
    /// How the handler saves.
    pub habits: Habits,
    /// Whether the client hears nothing twice: the bus brings nothing again that a published runner does not number.
    pub hears_in_order: bool,
    /// Behind how many messages the handler closes, if it does.
    pub closes_behind: Option<u32>,
}

/// Some messages, after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// What is between it and the one before.
    pub after: Duration,
    /// How many messages.
    pub messages: u32,
    /// Of so many bytes each.
    pub length: usize,
    /// What is between them.
    pub gap: Duration,
}

/// How a handler saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// How long after it took the socket it saves that it has it; a life that ends before leaves no trace of it.
    pub saves_opening: Duration,
    /// How long after a message it saves, with all that came meanwhile.
    pub saves: Duration,
    /// How long after that it acknowledges.
    pub acknowledges: Duration,
    /// Whether it saves when its actor is told to stop.
    pub saves_at_stop: bool,
    /// Whether it speaks first when it is restored.
    pub greets: bool,
}

/// What a seed decides of all actors and clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Actors that did nothing for so long go to sleep.
    pub naps: Duration,
    /// Whether a client sends more messages than a number can count.
    pub wraps: bool,
}

/// The least length of a message, so that it says whose it is.
pub const LEAST: usize = 16;

impl HibernatingPlan {
    /// How many messages the bursts have.
    pub fn messages(&self) -> u32 {
        self.bursts.iter().map(|burst| burst.messages).sum()
    }

    /// Some client, of actors that nap after so long. It is done in about `busy`.
    pub fn any(random: &mut Random, naps: Duration, busy: Duration) -> HibernatingPlan {
        let mut left = busy;
        let mut bursts = Vec::new();
        while bursts.len() < 40 {
            let burst = Burst::any(random, naps);
            let Some(rest) = left.checked_sub(burst.after) else { break };
            left = rest;
            bursts.push(burst);
        }
        let messages: u32 = bursts.iter().map(|burst| burst.messages).sum();
        HibernatingPlan {
            thinking: random.up_to(Duration::from_millis(50)),
            bursts,
            closes: random.once_in(4),
            hears_in_order: true,
            habits: Habits::any(random),
            closes_behind: random.once_in(8).then(|| random.below(u64::from(messages) + 1) as u32),
        }
    }

    /// Gives the client bursts that carry its numbers across the largest, and a nap close to it.
    pub fn wrap(&mut self, random: &mut Random, naps: Duration) {
        let tiny = |after, messages| Burst { after, messages, length: LEAST, gap: Duration::ZERO };
        let near = 65_536 - random.spread(1, 300) as u32;
        let mut bursts = vec![tiny(Duration::ZERO, near)];
        while bursts.len() < 6 {
            bursts.push(tiny(naps + random.up_to(Duration::from_secs(2)), random.spread(1, 200) as u32));
        }
        bursts.append(&mut self.bursts);
        self.bursts = bursts;
        self.closes = false;
        self.closes_behind = None;
        // A message a second would take a day.
        self.habits.saves = self.habits.saves.min(Duration::from_millis(20));
        self.habits.acknowledges = self.habits.acknowledges.min(Duration::from_millis(20));
    }
}

impl Burst {
    /// Often it comes about when the actor falls asleep.
    fn any(random: &mut Random, naps: Duration) -> Burst {
        let millis = Duration::from_millis;
        let after = match random.below(8) {
            0 => Duration::ZERO,
            1 => random.up_to(millis(500)),
            2 => random.up_to(Duration::from_secs(20)),
            3 => Duration::from_secs(60) + random.up_to(Duration::from_secs(90)),
            // An answer is on its way back, a wish to sleep on its way out.
            _ => naps.saturating_sub(millis(150)) + random.up_to(millis(500)),
        };
        Burst {
            after,
            messages: random.spread(1, 8) as u32,
            length: random.spread(LEAST as u64, 4_000) as usize,
            gap: if random.once_in(2) { random.up_to(millis(400)) } else { Duration::ZERO },
        }
    }
}

impl Habits {
    fn any(random: &mut Random) -> Habits {
        let mut now_or_later = |most: u64| match random.below(3) {
            0 => Duration::ZERO,
            1 => random.up_to(Duration::from_millis(50)),
            _ => random.up_to(Duration::from_millis(most)),
        };
        Habits {
            saves: now_or_later(1_500),
            acknowledges: now_or_later(1_500),
            saves_opening: if random.once_in(8) { random.up_to(Duration::from_millis(500)) } else { Duration::ZERO },
            saves_at_stop: random.once_in(2),
            greets: random.once_in(2),
        }
    }
}
