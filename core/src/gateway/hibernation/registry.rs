//! Upkeep of the directory's registry: WebSockets that can hibernate are entered, taken out, and kept alive together.

use hashbrown::HashSet;
use slab::Slab;

use super::actors::GroupKey;
use crate::directory::{DirectoryUnavailable, HibernatingSocket, REGISTRY_EXPIRY, RegistryChange};
use crate::gateway::{Action, Gateway};
use crate::machine::RequestKey;
use crate::machine::deadline::{Armed, Deadlines};
use crate::protocol::RequestId;
use crate::time::Time;

/// What this gateway has the registry say.
#[derive(Debug)]
pub(in crate::gateway) struct Registry {
    /// WebSockets that are open and entered.
    entered: usize,
    /// Those that are no more, and may be in the registry yet.
    leaving: HashSet<RequestId>,
    /// Changes that the directory did not take, until they are asked for again.
    again: Slab<RegistryChange>,
    keep_alive: KeepAlive,
    deadlines: Deadlines<Deadline, Of>,
}

/// Whether a WebSocket is in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Registration {
    /// Not yet: if it had to sleep now, nothing would wake it.
    Entering,
    /// It is.
    Entered,
    /// It was, and is entered again as that may have run out.
    EnteringAgain,
}

impl Registration {
    pub(in crate::gateway) fn is_entered(self) -> bool {
        match self {
            Registration::Entering => false,
            Registration::Entered | Registration::EnteringAgain => true,
        }
    }
}

/// The word that this gateway lives.
#[derive(Debug, Default)]
struct KeepAlive {
    /// Until the next.
    interval: Option<Armed>,
    /// Until the last, which the directory did not take, is said again.
    again: Option<Armed>,
    /// Since when one is under way.
    asked: Option<Time>,
    /// When the last that the directory took was said.
    heard: Time,
}

/// The named deadlines of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Deadline {
    KeepAlive,
    RegistryAgain,
}

/// Of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Of {
    /// The word that this gateway lives.
    Gateway,
    /// A change of a WebSocket's.
    Socket(usize),
}

impl Registry {
    pub(in crate::gateway) fn new(deadlines: Deadlines<Deadline, Of>) -> Self {
        let (leaving, again, keep_alive) = (HashSet::new(), Slab::new(), KeepAlive::default());
        Registry { entered: 0, leaving, again, keep_alive, deadlines }
    }

    /// How many WebSockets are open and entered.
    pub(in crate::gateway) fn entered(&self) -> usize {
        self.entered
    }

    /// How many are no more, and may be in the registry yet.
    pub(in crate::gateway) fn leaving(&self) -> usize {
        self.leaving.len()
    }

    /// Whether an id is one of these.
    pub(in crate::gateway) fn is_leaving(&self, id: RequestId) -> bool {
        self.leaving.contains(&id)
    }

    pub(in crate::gateway) fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    pub(in crate::gateway) fn next_due(&self) -> Option<Time> {
        self.deadlines.next_due()
    }

    pub(in crate::gateway) fn pop_due(&mut self, now: Time) -> Option<(Deadline, Of)> {
        self.deadlines.pop_due(now)
    }

    fn ask_again(&mut self, change: RegistryChange, now: Time) {
        let key = self.again.insert(change);
        let _ = self.deadlines.arm(Deadline::RegistryAgain, Of::Socket(key), now);
    }

    /// One more is entered: from the first on this gateway says that it lives.
    fn count_entered(&mut self, now: Time) {
        self.entered += 1;
        if self.entered == 1 {
            self.keep_alive.heard = now;
            self.keep_alive.interval = Some(self.deadlines.arm(Deadline::KeepAlive, Of::Gateway, now));
        }
    }

    /// One fewer: behind the last it need not.
    fn count_left(&mut self) {
        self.entered -= 1;
        if self.entered == 0 {
            let KeepAlive { interval, again, .. } = &mut self.keep_alive;
            for armed in [interval.take(), again.take()].into_iter().flatten() {
                self.deadlines.cancel(armed);
            }
        }
    }
}

impl Gateway {
    fn change_registry(&mut self, change: RegistryChange) {
        self.actions.push_back(Action::Registry(change));
    }

    fn socket(&self, request_id: RequestId, group: GroupKey) -> HibernatingSocket {
        HibernatingSocket { actor: self.groups.actor(group), gateway_id: self.id, request_id }
    }

    /// Enters a WebSocket.
    pub(super) fn register(&mut self, request_id: RequestId, group: GroupKey) {
        let socket = self.socket(request_id, group);
        self.change_registry(RegistryChange::Enter(socket));
    }

    /// A WebSocket is no more.
    pub(super) fn unregister(&mut self, request_id: RequestId, group: GroupKey, registration: Registration) {
        self.registry.leaving.insert(request_id);
        if registration.is_entered() {
            self.registry.count_left();
        }
        match registration {
            // What is under way comes first.
            Registration::Entering | Registration::EnteringAgain => {}
            Registration::Entered => {
                let socket = self.socket(request_id, group);
                self.change_registry(RegistryChange::Leave(socket));
            }
        }
    }

    fn registration(&mut self, key: RequestKey) -> Option<&mut Registration> {
        if self.requests.get(key).is_some() {
            let hibernation = self.requests.get_mut(key)?.hibernation.as_deref_mut();
            return hibernation.map(|hibernation| &mut hibernation.registration);
        }
        self.requests.asleep_mut(key).map(|sleeper| &mut sleeper.registration)
    }

    /// What became of a change that was asked for.
    pub(in crate::gateway) fn registry_changed(
        &mut self,
        change: RegistryChange,
        outcome: Result<(), DirectoryUnavailable>,
        now: Time,
    ) {
        if change.gateway_id() != self.id {
            return;
        }
        match change {
            RegistryChange::Enter(socket) => self.entered(socket, outcome, now),
            RegistryChange::Leave(socket) if self.registry.is_leaving(socket.request_id) => match outcome {
                Ok(()) => {
                    self.registry.leaving.remove(&socket.request_id);
                    if self.registry.leaving.is_empty() {
                        self.registry.leaving.shrink_to_fit();
                    }
                }
                Err(DirectoryUnavailable) => self.registry.ask_again(RegistryChange::Leave(socket), now),
            },
            RegistryChange::Leave(_) => {}
            RegistryChange::KeepAlive(_) => self.kept_alive(outcome, now),
        }
    }

    fn entered(&mut self, socket: HibernatingSocket, outcome: Result<(), DirectoryUnavailable>, now: Time) {
        let id = socket.request_id;
        if self.registry.is_leaving(id) {
            // Whatever became of it, it may be in there.
            return self.change_registry(RegistryChange::Leave(socket));
        }
        let Some(key) = self.by_id.get(&id).copied() else { return };
        let Some(registration) = self.registration(key) else { return };
        let before = *registration;
        match (before, outcome) {
            (Registration::Entered, _) => {}
            (Registration::Entering | Registration::EnteringAgain, Err(DirectoryUnavailable)) => {
                self.registry.ask_again(RegistryChange::Enter(socket), now);
            }
            (Registration::Entering, Ok(())) => {
                *registration = Registration::Entered;
                self.registry.count_entered(now);
            }
            (Registration::EnteringAgain, Ok(())) => *registration = Registration::Entered,
        }
    }

    fn kept_alive(&mut self, outcome: Result<(), DirectoryUnavailable>, now: Time) {
        let Some(asked) = self.registry.keep_alive.asked.take() else { return };
        if self.registry.entered == 0 {
            return;
        }
        match outcome {
            Ok(()) => {
                let before = core::mem::replace(&mut self.registry.keep_alive.heard, asked);
                if now.since(before) >= REGISTRY_EXPIRY {
                    self.enter_all_again();
                }
            }
            Err(DirectoryUnavailable) => {
                let registry = &mut self.registry;
                let again = registry.deadlines.arm(Deadline::RegistryAgain, Of::Gateway, now);
                registry.keep_alive.again = Some(again);
            }
        }
    }

    /// The registry has not heard of this gateway for so long that what it entered may have run out.
    fn enter_all_again(&mut self) {
        let keys: Vec<RequestKey> = self.requests.keys().collect();
        for key in keys {
            let Some(registration) = self.registration(key) else { continue };
            if *registration != Registration::Entered {
                continue;
            }
            *registration = Registration::EnteringAgain;
            let awake = self.requests.get(key).and_then(|request| request.hibernation.as_deref());
            let asleep = self.requests.asleep(key).map(|sleeper| sleeper.group);
            let group = awake.map(|hibernation| hibernation.group).or(asleep);
            if let (Some(id), Some(group)) = (self.requests.id(key), group) {
                self.register(id, group);
            }
        }
    }

    pub(in crate::gateway) fn registry_due(&mut self, deadline: Deadline, of: Of, now: Time) {
        let registry = &mut self.registry;
        match (deadline, of) {
            (_, Of::Socket(key)) => match registry.again.remove(key) {
                // It is no more.
                RegistryChange::Enter(socket) if registry.is_leaving(socket.request_id) => {
                    self.change_registry(RegistryChange::Leave(socket));
                }
                change @ (RegistryChange::Enter(_) | RegistryChange::Leave(_) | RegistryChange::KeepAlive(_)) => {
                    self.change_registry(change);
                }
            },
            (Deadline::KeepAlive, Of::Gateway) => {
                registry.keep_alive.interval = Some(registry.deadlines.arm(Deadline::KeepAlive, Of::Gateway, now));
                self.keep_alive(now);
            }
            (Deadline::RegistryAgain, Of::Gateway) => {
                registry.keep_alive.again = None;
                self.keep_alive(now);
            }
        }
    }

    fn keep_alive(&mut self, now: Time) {
        let KeepAlive { again, asked, .. } = &mut self.registry.keep_alive;
        if asked.is_none() && again.is_none() {
            *asked = Some(now);
            self.change_registry(RegistryChange::KeepAlive(self.id));
        }
    }
}
