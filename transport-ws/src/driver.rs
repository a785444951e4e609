//! How a machine runs without a task or a channel of its own.
//!
//! Whoever has something to tell takes the lock, hands it in, carries out what the machine wants done (which only ever
//! puts things into queues), lets the lock go and then wakes those whose queues got something. The lock is never held
//! across an await. The one task beside it is the timer's, which sleeps until the machine's next deadline.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::task::AtomicWaker;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};
use underpass_core::gateway::Open;
use underpass_core::{ApiMisuse, ConfigError, Failure, Gateway, Machine, RequestKey, Time};

use crate::observers::Observers;

/// How often a machine is told what Unix time it is.
const WALL_CLOCK_EVERY: Duration = Duration::from_secs(60);

/// What is around a machine: queues toward sockets, requests and the bus.
pub(crate) trait Outlets: Send + 'static {
    /// Whose actions it carries out.
    type Machine: Machine<Event: Send, Stats: Send> + Send + 'static;

    /// Does what the machine wants done, without waiting. What the machine must hear of it at once goes into
    /// `effects`, and is handed in before its next action is asked for.
    fn carry_out(&mut self, action: <Self::Machine as Machine>::Action, effects: &mut Effects<EventOf<Self>>);

    /// Time has passed.
    fn tick() -> EventOf<Self>;

    /// It is this Unix time, milliseconds; if the machine cares.
    fn wall_clock(unix_ms: i64) -> Option<EventOf<Self>>;
}

/// What can happen to the machine that an [`Outlets`] is around.
pub(crate) type EventOf<O> = <<O as Outlets>::Machine as Machine>::Event;

/// What carrying out an action brings about.
pub(crate) struct Effects<Event> {
    feedback: VecDeque<Event>,
    wakers: Wakers,
    tasks: Vec<Task>,
}

/// What is to run as a task of its own.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<Event> Effects<Event> {
    /// To be handed in before the next action is asked for.
    pub(crate) fn feed_back(&mut self, event: Event) {
        self.feedback.push_back(event);
    }

    /// To be woken when the lock is free.
    pub(crate) fn wake(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.wakers.push(waker);
        }
    }

    /// To be started when the lock is free: a runtime that shuts down drops it at once, and dropping it may tell the
    /// machine something.
    pub(crate) fn spawn(&mut self, task: Task) {
        self.tasks.push(task);
    }
}

/// Wakers, the first few without an allocation.
#[derive(Default)]
struct Wakers {
    first: [Option<Waker>; 4],
    more: Vec<Waker>,
}

impl Wakers {
    fn push(&mut self, waker: Waker) {
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(waker),
            None => self.more.push(waker),
        }
    }

    fn wake(self) {
        self.first.into_iter().flatten().chain(self.more).for_each(Waker::wake);
    }
}

/// A machine, its surroundings, and a clock.
pub(crate) struct Driver<O: Outlets> {
    start: Instant,
    runtime: Handle,
    state: Mutex<State<O>>,
    timer: AtomicWaker,
}

struct State<O: Outlets> {
    machine: O::Machine,
    outlets: O,
    observers: Observers<O::Machine>,
    /// Kept for its room.
    feedback: VecDeque<EventOf<O>>,
    /// Until when the timer sleeps.
    armed: Option<Time>,
}

/// The inside of a driver, while its lock is held.
pub(crate) struct Inside<'a, O: Outlets> {
    /// The machine, for its other doors; events go through [`handle`](Inside::handle).
    pub(crate) machine: &'a mut O::Machine,
    /// What is around it.
    pub(crate) outlets: &'a mut O,
    /// What time it is.
    pub(crate) now: Time,
    observers: &'a Observers<O::Machine>,
    effects: Effects<EventOf<O>>,
}

impl<O: Outlets> Inside<'_, O> {
    /// Hands an event in, and carries out all that follows from it.
    pub(crate) fn handle(&mut self, event: EventOf<O>) {
        self.hand_in(event);
        self.settle();
    }

    fn hand_in(&mut self, event: EventOf<O>) {
        self.observers.event(self.machine, &event, self.now);
        complain(self.machine.handle(event, self.now));
        self.observers.handled(self.machine, self.now);
    }

    /// Carries out what the machine wants done. What that brings about is handed in at once, before the next action.
    fn settle(&mut self) {
        loop {
            if let Some(event) = self.effects.feedback.pop_front() {
                self.hand_in(event);
            } else if let Some(action) = self.machine.poll_action() {
                self.observers.action(self.machine, &action, self.now);
                self.outlets.carry_out(action, &mut self.effects);
            } else {
                break;
            }
        }
        self.observers.settled(self.machine, self.now);
    }
}

impl<O: Outlets<Machine = Gateway>> Inside<'_, O> {
    /// Hands a request in. What follows from it is carried out when the lock is let go.
    pub(crate) fn open(&mut self, open: Open) -> Result<RequestKey, Failure> {
        self.observers.opens(self.machine, &open, self.now);
        let outcome = self.machine.open(open, self.now).map_err(|refused| refused.0);
        self.observers.opened(self.machine, outcome.as_ref().copied(), self.now);
        outcome
    }
}

/// Misuse would be a mistake of this crate; the machine has not changed, so its others need not suffer.
fn complain(result: Result<(), ApiMisuse>) {
    if let Err(misuse) = result {
        tracing::error!("a machine was misused: {misuse}");
    }
}

/// A machine made at [`Time::ZERO`], and who looks on at it.
///
/// # Errors
/// The configuration could not work.
pub(crate) fn made<M: Machine>(origin: M::Origin, observers: Observers<M>) -> Result<(M, Observers<M>), ConfigError> {
    observers.made(&origin, Time::ZERO);
    Ok((M::made_of(origin, Time::ZERO)?, observers))
}

impl<O: Outlets> Driver<O> {
    /// A driver for a [new machine](made), within a tokio runtime.
    pub(crate) fn new((machine, observers): (O::Machine, Observers<O::Machine>), outlets: O) -> Self {
        let state = State { machine, outlets, observers, feedback: VecDeque::new(), armed: None };
        let runtime = Handle::current();
        Driver { start: Instant::now(), runtime, state: Mutex::new(state), timer: AtomicWaker::new() }
    }

    /// Hands an event in, and carries out all that follows from it.
    pub(crate) fn drive(&self, event: EventOf<O>) {
        self.enter(|inside| inside.handle(event));
    }

    /// Takes the lock for several events, or for another door of the machine. What the machine wants done afterwards
    /// is carried out before the lock is let go.
    pub(crate) fn enter<R>(&self, enter: impl FnOnce(&mut Inside<'_, O>) -> R) -> R {
        let mut state = self.lock();
        let State { machine, outlets, observers, feedback, armed } = &mut *state;
        let effects = Effects { feedback: std::mem::take(feedback), wakers: Wakers::default(), tasks: Vec::new() };
        let mut inside = Inside { machine, outlets, now: self.now(), observers, effects };
        let result = enter(&mut inside);
        inside.settle();
        let Effects { feedback: empty, wakers, tasks } = inside.effects;
        *feedback = empty;
        let due = machine.poll_timeout();
        let earlier = due.is_some_and(|due| armed.is_none_or(|armed| due < armed));
        if earlier {
            *armed = due;
        }
        drop(state);
        if earlier {
            self.timer.wake();
        }
        wakers.wake();
        for task in tasks {
            drop(self.runtime.spawn(task));
        }
        result
    }

    /// The machine's counters and gauges.
    pub(crate) fn stats(&self) -> <O::Machine as Machine>::Stats {
        self.lock().machine.stats()
    }

    fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn instant(&self, time: Time) -> Instant {
        self.start + time.since(Time::ZERO)
    }

    /// A panic under the lock (there should be none) ends its task, not all the others.
    fn lock(&self) -> MutexGuard<'_, State<O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The timer's task: ticks when the machine's next deadline is due, and tells it the Unix time every minute. Ends with
/// its driver.
pub(crate) async fn keep_time<O: Outlets>(driver: Weak<Driver<O>>) {
    let mut next_wall_clock = Instant::now();
    loop {
        let next_tick = {
            let Some(driver) = driver.upgrade() else { return };
            let now = Instant::now();
            if now >= next_wall_clock {
                next_wall_clock = now + WALL_CLOCK_EVERY;
                if let Some(event) = O::wall_clock(unix_ms()) {
                    driver.drive(event);
                }
            }
            let due = driver.lock().machine.poll_timeout();
            if due.is_some_and(|due| due <= driver.now()) {
                driver.drive(O::tick());
            }
            let mut state = driver.lock();
            state.armed = state.machine.poll_timeout();
            state.armed.map(|due| driver.instant(due))
        };
        let wake_at = next_tick.map_or(next_wall_clock, |tick| tick.min(next_wall_clock));
        let mut sleep = std::pin::pin!(sleep_until(wake_at));
        poll_fn(|context| {
            let Some(driver) = driver.upgrade() else { return Poll::Ready(()) };
            driver.timer.register(context.waker());
            let armed = driver.lock().armed.map(|due| driver.instant(due));
            if armed.is_some_and(|armed| armed < wake_at) {
                return Poll::Ready(());
            }
            sleep.as_mut().poll(context)
        })
        .await;
    }
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
