//! A machine at whose doors a journal looks on: what it tells must hold whatever happens. It can be recorded, too.

use core::ops::Deref;

use hashbrown::HashSet;
use underpass_core::failure::RequestName;
use underpass_core::gateway::{Open, Refused};
use underpass_core::observe::{Frame, Journal, News, Note, Observer, Opened, Sink};
use underpass_core::record::{Recordable, Recorder};
use underpass_core::{ApiMisuse, ConfigError, Gateway, Machine, Relay, RequestKey, Runner, Time};

use crate::recorded::{Tape, Tapes};

/// A machine, and the journal of its requests.
#[derive(Debug)]
pub struct Watched<M> {
    machine: M,
    /// None where only the machine's own cost is of interest.
    journal: Option<Journal<Judge>>,
    /// Who write down what happens to it, if that is wanted.
    recorders: Option<[Recorder<M, Tape>; 2]>,
    /// As many requests are here as the machine says.
    here: usize,
    now: Time,
}

/// Holds what a journal tells against what a [`Note`] promises.
#[derive(Debug, Default)]
pub struct Judge {
    open: HashSet<RequestName>,
    wrong: Option<String>,
    /// What was told, if a story wants to know.
    told: Option<Vec<String>>,
}

impl Sink for Judge {
    fn note(&mut self, note: &Note<'_>, _now: Time) {
        if let Some(told) = &mut self.told {
            told.push(shown(note));
        }
        let holds = match note {
            Note::Opened(opened) => self.open.insert(opened.request),
            Note::Ended { request, .. } => self.open.remove(request),
            Note::Frame { request, .. }
            | Note::Answered { request, .. }
            | Note::SentAgain { request, .. }
            | Note::Slept { request }
            | Note::Woke { request } => self.open.contains(request),
        };
        if !holds {
            self.wrong.get_or_insert_with(|| format!("out of turn: {note:?}"));
        }
    }
}

/// A note in words, without the request's name.
fn shown(note: &Note<'_>) -> String {
    match note {
        Note::Opened(Opened { kind, actor_id, method, path, traceparent, .. }) => {
            format!("opened: {kind:?} {actor_id} {method} {path} {}", traceparent.unwrap_or("-"))
        }
        Note::Frame { frame: Frame { kind, message_index, .. }, .. } => format!("{kind} {message_index}"),
        Note::Answered { status, .. } => format!("answered: {status}"),
        Note::SentAgain { .. } => "sent again".into(),
        Note::Slept { .. } => "slept".into(),
        Note::Woke { .. } => "woke".into(),
        Note::Ended { end, .. } => format!("ended: {end:?}"),
    }
}

impl<M> Deref for Watched<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

impl<M: Recordable + HasRequests> Watched<M>
where
    Journal<Judge>: Observer<M>,
{
    /// Makes it, and records it if there are tapes for that.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn made_of(origin: M::Origin, now: Time, tapes: Option<&mut Tapes>) -> Result<Self, ConfigError> {
        let mut recorders = tapes.map(Tapes::recorders);
        recorders.iter_mut().flatten().for_each(|recorder| recorder.made(&origin, now));
        let machine = M::made_of(origin, now)?;
        let journal = Some(Journal::new(Judge::default()));
        Ok(Watched { machine, journal, recorders, here: 0, now })
    }

    /// Makes it without anybody who looks on.
    ///
    /// # Errors
    /// The configuration could not work.
    pub fn alone(origin: M::Origin, now: Time) -> Result<Self, ConfigError> {
        Ok(Watched { machine: M::made_of(origin, now)?, journal: None, recorders: None, here: 0, now })
    }

    /// Hands an event in.
    ///
    /// # Errors
    /// Those of the machine.
    pub fn handle(&mut self, event: M::Event, now: Time) -> Result<(), ApiMisuse> {
        self.now = now;
        self.journal.iter_mut().for_each(|journal| journal.event(&self.machine, &event, now));
        self.recorders.iter_mut().flatten().for_each(|recorder| recorder.event(&self.machine, &event, now));
        let outcome = self.machine.handle(event, now);
        self.journal.iter_mut().for_each(|journal| journal.handled(&self.machine, now));
        self.count();
        outcome
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<M::Action> {
        let action = self.machine.poll_action();
        match &action {
            Some(action) => {
                self.journal.iter_mut().for_each(|journal| journal.action(&self.machine, action, self.now));
                let recorders = self.recorders.iter_mut().flatten();
                recorders.for_each(|recorder| recorder.action(&self.machine, action, self.now));
            }
            None => self.journal.iter_mut().for_each(|journal| journal.settled(&self.machine, self.now)),
        }
        action
    }

    /// What was told since it was last asked; nothing the first time.
    pub fn told(&mut self) -> Vec<String> {
        self.journal.as_mut().and_then(|journal| journal.sink_mut().told.replace(Vec::new())).unwrap_or_default()
    }

    /// What does not hold of what was told, once all actions have been taken out.
    pub fn wrong(&self) -> Option<String> {
        let journal = self.journal.as_ref()?;
        let (judge, followed, open) = (journal.sink(), journal.open(), self.machine.open_requests());
        if let Some(wrong) = &judge.wrong {
            return Some(wrong.clone());
        }
        // A relay may have one on two connections.
        let holds =
            self.here == open && judge.open.len() == followed && followed <= open && (followed > 0) == (open > 0);
        (!holds).then(|| format!("{open} are open, {} were not told to have ended, {followed} are followed", self.here))
    }

    fn count(&mut self) {
        for news in self.machine.news() {
            match news {
                News::Opened { .. } | News::Restored { .. } => self.here += 1,
                News::Ended { .. } => self.here -= 1,
                News::Answered { .. } | News::SentAgain { .. } | News::Slept { .. } | News::Woke { .. } => {}
            }
        }
    }
}

impl Watched<Gateway> {
    /// Hands a request in.
    ///
    /// # Errors
    /// It was refused.
    pub fn open(&mut self, open: Open, now: Time) -> Result<RequestKey, Refused> {
        self.now = now;
        self.journal.iter_mut().for_each(|journal| journal.opens(&self.machine, &open, now));
        self.recorders.iter_mut().flatten().for_each(|recorder| recorder.opens(&self.machine, &open, now));
        let outcome = self.machine.open(open, now);
        let told = outcome.as_ref().copied().map_err(|refused| &refused.0);
        self.journal.iter_mut().for_each(|journal| journal.opened(&self.machine, told, now));
        self.recorders.iter_mut().flatten().for_each(|recorder| recorder.opened(&self.machine, told, now));
        self.count();
        outcome
    }
}

/// A machine that has requests.
pub trait HasRequests {
    /// How many are open.
    fn open_requests(&self) -> usize;
}

impl HasRequests for Gateway {
    fn open_requests(&self) -> usize {
        self.stats().open
    }
}

impl HasRequests for Relay {
    fn open_requests(&self) -> usize {
        let stats = self.stats();
        stats.routes - stats.ending
    }
}

impl HasRequests for Runner {
    fn open_requests(&self) -> usize {
        self.stats().open
    }
}
