//! Runners with and without state that come to one pool at once, at two relays: the first to be entered stays.

use std::collections::BTreeMap;

use underpass_core::bus::RelayId;
use underpass_core::directory::{
    ChangeOutcome, Revision, RunnerChange, RunnerKey, RunnerRecord, RunnerSeen, RunnerState, Versioned,
};
use underpass_core::relay::{Action, Config, Event, Notice, PoolKind};
use underpass_core::{Machine, Relay, Time};
use underpass_tests::given::relay::{METADATA, calm, closes, greeting, init, pings, pong, relay_with, sends, tells};
use underpass_tests::story::Story;
use underpass_tests::wire::{abilities, gone, record, runner_key};

fn shows(key: &str, revision: u64, record: RunnerRecord) -> Event {
    let record = Some(Versioned { revision: Revision(revision), record });
    Event::Runner(RunnerSeen { key: runner_key(key), record })
}

/// A runner at another relay whose actors have state.
fn with_state(entered: Option<u64>) -> RunnerRecord {
    let mut record = record(1, abilities(1_000), RunnerState::Ready);
    record.connection.as_mut().expect("it is connected").relay.0 = uuid::Uuid::from_u128(0xef);
    record.abilities.stateless = false;
    RunnerRecord { entered: entered.map(Revision), ..record }
}

fn is_refused(number: u64, mine: PoolKind, theirs: PoolKind) -> [Action; 2] {
    let notice = Notice::OtherKind { mine, theirs };
    let reason = format!("relay.other_kind: {notice}");
    [tells(number, notice), closes(number, 1008, reason)]
}

/// Connection 1 has no state, is being entered, and is shown others of its pool meanwhile.
fn registers_among(others: impl IntoIterator<Item = Event>) -> (Story<Relay>, RunnerRecord) {
    let mut story = relay_with(calm());
    let mine = story.registers(1, "a");
    for other in others {
        story.input(other).expect([]);
    }
    (story, mine)
}

/// Connection 1, whose record has this revision, is closed for one with state, and leaves nothing.
#[track_caller]
fn goes(story: &mut Story<Relay>, revision: u64) {
    let mut actions = story.actions();
    let Some(Action::Directory { connection: 1, change }) = actions.pop() else { panic!("{actions:?}") };
    assert_eq!((change.expected, change.record), (Some(Revision(revision)), None));
    assert_eq!(actions, is_refused(1, PoolKind::Stateless, PoolKind::WithState));
    story.directory(1, ChangeOutcome::Stored(Revision(revision + 1))).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.input(Event::Runner(gone("other"))).expect([]);
    assert_eq!(story.machine.stats().other_kind, 1);
    story.passes(std::time::Duration::from_secs(20)).ends();
}

#[test]
fn one_that_was_entered_after_one_of_the_other_kind_goes_as_soon_as_it_is_entered() {
    for earlier in [shows("other", 4, with_state(None)), shows("other", 9, with_state(Some(4)))] {
        let (mut story, _) = registers_among([earlier]);
        story.directory(1, ChangeOutcome::Stored(Revision(5)));
        goes(&mut story, 5);
    }
}

#[test]
fn one_that_was_entered_after_one_of_the_other_kind_goes_as_soon_as_it_hears_of_it() {
    for earlier in [shows("other", 4, with_state(None)), shows("other", 9, with_state(Some(4)))] {
        let (mut story, mine) = registers_among([]);
        story.directory(1, ChangeOutcome::Stored(Revision(5))).expect([sends(1, greeting(&mine)), pings(1, 0)]);
        story.input(earlier);
        goes(&mut story, 5);
    }
}

#[test]
fn one_that_was_entered_before_one_of_the_other_kind_stays() {
    let later = || [shows("other", 6, with_state(None)), shows("other", 9, with_state(Some(6)))];
    let (mut story, mine) = registers_among(later());
    story.directory(1, ChangeOutcome::Stored(Revision(5))).expect([sends(1, greeting(&mine)), pings(1, 0)]);
    for later in later() {
        story.input(later).expect([]);
    }
    story.input(Event::Runner(gone("other"))).expect([]);
    story.input(Event::Disconnected { connection: 1 }).expect_state(1, 5, None);
    story.directory(1, ChangeOutcome::Stored(Revision(7))).expect([]);
    story.passes(std::time::Duration::from_secs(20)).ends();
}

#[test]
fn one_that_went_while_the_directory_was_away_is_held_against_nobody() {
    let mut story = relay_with(calm());
    story.input(shows("other", 4, with_state(None))).expect([]);
    story.connects(1, "a").expect([]);
    story.says(1, init(Some(METADATA))).expect(is_refused(1, PoolKind::Stateless, PoolKind::WithState));
    story.input(Event::Disconnected { connection: 1 }).expect([]);
    story.input(Event::DirectoryAway).expect([]);
    // Of those that are there it is shown all, and it is not among them.
    story.input(Event::DirectoryBack).expect([]);
    let mine = story.registers(2, "a");
    story.directory(2, ChangeOutcome::Stored(Revision(5))).expect([sends(2, greeting(&mine)), pings(2, 0)]);
    story.input(Event::Disconnected { connection: 2 }).expect_state(2, 5, None);
    story.directory(2, ChangeOutcome::Stored(Revision(6))).expect([]);
    story.passes(std::time::Duration::from_secs(20)).ends();
}

/// Two relays and their directory.
struct Two {
    relays: [Story<Relay>; 2],
    runners: BTreeMap<RunnerKey, Versioned<RunnerRecord>>,
    revision: u64,
    /// Whether their runners were closed.
    closed: [bool; 2],
}

impl Two {
    fn new() -> Self {
        let relay = |number| {
            let id = RelayId(uuid::Uuid::from_u128(number));
            Story::given(Relay::new(Config { ..calm() }, id, 1, Time::ZERO).expect("a relay's configuration"))
        };
        Two { relays: [relay(1), relay(2)], runners: BTreeMap::new(), revision: 0, closed: [false; 2] }
    }

    /// A runner connects to a relay and says who it is: what the relay wants of the directory.
    fn comes(&mut self, relay: usize, key: &'static str, metadata: Option<&'static str>) -> RunnerChange {
        let story = &mut self.relays[relay];
        story.connects(1, key).expect([]);
        story.says(1, init(metadata));
        match &story.actions()[..] {
            [Action::Directory { connection: 1, change }] => change.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// A change is made.
    fn changes(&mut self, change: RunnerChange) -> ChangeOutcome {
        self.revision += 1;
        let revision = Revision(self.revision);
        assert_eq!(self.runners.get(&change.key).map(|current| current.revision), change.expected);
        match change.record {
            Some(record) => self.runners.insert(change.key, Versioned { revision, record }),
            None => self.runners.remove(&change.key),
        };
        ChangeOutcome::Stored(revision)
    }

    /// Something happens to a relay, and what it wants of the directory is done.
    fn happens(&mut self, relay: usize, event: Event) {
        self.relays[relay].input(event);
        loop {
            let actions = self.relays[relay].actions();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                match action {
                    Action::Directory { change, .. } => {
                        let outcome = self.changes(change);
                        self.relays[relay]
                            .machine
                            .handle(Event::Directory { connection: 1, outcome }, Time::ZERO)
                            .unwrap();
                    }
                    Action::Close { close, .. } => {
                        assert_eq!((close.code, self.closed[relay]), (Some(1008), false));
                        self.closed[relay] = true;
                    }
                    Action::Send { .. } | Action::Log { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// A relay is shown all runners.
    fn shows(&mut self, relay: usize) {
        for (key, record) in self.runners.clone() {
            self.happens(relay, Event::Runner(RunnerSeen { key, record: Some(record) }));
        }
    }

    /// A relay's runner answers its ping.
    fn pongs(&mut self, relay: usize) {
        self.happens(relay, Event::FromRunner { connection: 1, frame: pong().encode().into_bytes() });
    }
}

#[test]
fn of_two_that_come_at_once_at_two_relays_the_first_stays_whatever_they_are_shown_when() {
    // Which relays are shown the runners while both are entered but not ready, and in which order.
    for early in [&[][..], &[0], &[1], &[0, 1], &[1, 0]] {
        for first_to_settle in [0, 1] {
            for late in [[0, 1], [1, 0]] {
                let mut two = Two::new();
                let changes = [two.comes(0, "a", Some(METADATA)), two.comes(1, "b", None)];
                let outcomes = changes.map(|change| two.changes(change));
                for (relay, outcome) in outcomes.into_iter().enumerate() {
                    two.happens(relay, Event::Directory { connection: 1, outcome });
                }
                for relay in early {
                    two.shows(*relay);
                }
                for relay in [first_to_settle, 1 - first_to_settle] {
                    two.pongs(relay);
                }
                for relay in late {
                    two.shows(relay);
                }
                assert_eq!(two.closed, [false, true], "{early:?}, {first_to_settle}, {late:?}");
            }
        }
    }
}
