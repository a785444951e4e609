//! Records of runners that nobody writes any more are removed; those of runners that may come back to their actors stay.

use std::time::Duration;

use underpass_core::directory::{ActorState, Revision, RunnerChange, RunnerRecord, RunnerSeen, RunnerState, Versioned};
use underpass_core::protocol::{ToServer, Version};
use underpass_core::relay::{Action, Config, Event};
use underpass_core::{ConfigError, Machine, Relay, Time, supervisor};
use underpass_tests::given::hosting::{hosting, init, says};
use underpass_tests::given::relay::{calm, relay_with};
use underpass_tests::given::supervisor::{event, running};
use underpass_tests::story::Story;
use underpass_tests::wire::{abilities, connection, gone, record, relay_id, runner_key};

const MINUTE: Duration = Duration::from_secs(60);
const LAST: Duration = Duration::from_micros(1);

/// A relay that knows which actors there are: none.
fn watching() -> Story<Relay> {
    let mut story = relay_with(calm());
    story.input(Event::DirectoryBack).expect([]);
    story
}

/// The directory shows the record of the runner `a`.
fn shows(revision: u64, record: RunnerRecord) -> Event {
    let record = Some(Versioned { revision: Revision(revision), record });
    Event::Runner(RunnerSeen { key: runner_key("a"), record })
}

/// It is ready at another relay.
fn elsewhere() -> RunnerRecord {
    let mut record = record(1, abilities(1_000), RunnerState::Ready);
    record.connection.as_mut().expect("it is connected").relay.0 = uuid::Uuid::from_u128(0xef);
    record
}

fn forgets(revision: u64) -> Action {
    Action::Forget(RunnerChange { key: runner_key("a"), expected: Some(Revision(revision)), record: None })
}

#[test]
fn a_runner_that_stays_away_is_forgotten_a_minute_later() {
    let mut hosting = hosting();
    hosting.takes_in(1, "a", Version::V7).cuts(1);
    hosting.passes(MINUTE - LAST);
    assert!(hosting.runners().all(|record| record.connection.is_none()) && hosting.runners().count() == 1);
    hosting.passes(LAST);
    assert_eq!((hosting.runners().count(), hosting.story.machine.stats().forgotten), (0, 1));
    hosting.ends();
}

#[test]
fn a_runner_that_comes_back_in_time_is_not() {
    let mut hosting = hosting();
    hosting.takes_in(1, "a", Version::V7);
    let id = hosting.runners().next().expect("it is there").id;
    hosting.cuts(1).passes(MINUTE - LAST);
    hosting.takes_in(2, "a", Version::V7);
    for _ in 0..12 {
        hosting.passes(Duration::from_secs(10)).pongs(2);
    }
    assert_eq!(hosting.runners().map(|record| record.id).collect::<Vec<_>>(), [id]);
    hosting.ends();
}

#[test]
fn a_runner_is_not_forgotten_while_actors_have_nobody_else() {
    let mut hosting = hosting();
    hosting.takes_in(1, "a", Version::V7).runs(1, "default");
    let id = hosting.runners().next().expect("it is there").id;
    hosting.cuts(1).passes(10 * MINUTE);
    assert_eq!(hosting.actor("default"), (ActorState::Running(id), 1));
    // It kept its actor, for whatever reason, and goes on with it.
    hosting.connects(2, "a", Version::V7).says(2, init(10)).tells(2, says("default", 0, running())).pongs(2);
    assert_eq!(hosting.runners().map(|record| record.id).collect::<Vec<_>>(), [id]);
    assert_eq!(hosting.actor("default"), (ActorState::Running(id), 1));
    assert_eq!(hosting.story.machine.stats().forgotten, 0);
    hosting.ends();
}

#[test]
fn a_runner_whose_actors_others_have_by_now_is_forgotten() {
    let mut hosting = hosting();
    hosting.takes_in(1, "a", Version::V7).runs(1, "default").takes_in(2, "b", Version::V7);
    hosting.cuts(1);
    for _ in 0..3 {
        hosting.passes(Duration::from_secs(10)).pongs(2);
    }
    hosting.tells(2, vec![event("default", 2, 0, running())]);
    assert!(matches!(hosting.actor("default"), (ActorState::Running(_), 2)));
    for _ in 0..3 {
        assert_eq!(hosting.runners().count(), 2);
        hosting.passes(Duration::from_secs(10)).pongs(2);
    }
    assert_eq!(hosting.runners().count(), 1);
    hosting.says(2, ToServer::Stopping);
    hosting.ends();
}

#[test]
fn what_a_relay_leaves_that_died_is_removed_when_nobody_has_written_it_for_a_minute() {
    let mut story = watching();
    story.input(shows(5, elsewhere())).expect([]);
    story.passes(MINUTE - LAST).expect([]);
    // It lives.
    story.input(shows(6, elsewhere())).expect([]);
    story.passes(LAST).expect([]);
    // What was shown before is nothing new.
    story.input(shows(5, elsewhere())).expect([]);
    story.passes_in_silence_until(MINUTE - LAST).expect([forgets(6)]);
    // Somebody else was first, or it did not get through: then it is tried again.
    story.passes_in_silence_until(MINUTE).expect([forgets(6)]);
    story.input(Event::Runner(gone("a"))).expect([]).ends();
}

#[test]
fn a_clock_that_jumps_an_hour_forgets_a_runner_once() {
    let mut story = watching();
    story.input(shows(5, elsewhere())).expect([]);
    story.passes(60 * MINUTE).expect([forgets(5)]);
    story.input(Event::Runner(gone("a"))).expect([]).ends();
}

#[test]
fn a_record_that_names_this_relay_or_tells_of_a_move_does_not_age() {
    let mut story = watching();
    for spared in [
        record(7, abilities(1_000), RunnerState::Ready),
        RunnerRecord { moving: Some(connection(7)), ..elsewhere() },
        RunnerRecord { moving: Some(connection(7)), connection: None, ..elsewhere() },
    ] {
        story.input(shows(5, elsewhere())).expect([]);
        assert_eq!(story.machine.stats().ageing, 1);
        story.input(shows(6, spared)).expect([]);
        assert_eq!(story.machine.stats().ageing, 0);
    }
    story.passes(10 * MINUTE).expect([]).ends();
}

#[test]
fn while_the_directory_is_away_nobody_ages() {
    let mut story = watching();
    story.input(shows(5, elsewhere())).expect([]);
    story.passes(MINUTE - LAST).input(Event::DirectoryAway).expect([]);
    story.passes(MINUTE).expect([]);
    // It is shown again with all others, and its time begins anew.
    story.input(shows(5, elsewhere())).input(Event::DirectoryBack).expect([]);
    story.passes_in_silence_until(MINUTE).expect([forgets(5)]);
    story.input(Event::Runner(gone("a"))).expect([]).ends();
}

#[test]
fn as_long_as_it_is_not_known_which_actors_there_are_nobody_is_forgotten() {
    let mut story = relay_with(calm());
    story.input(shows(5, elsewhere())).expect([]);
    story.passes(MINUTE).expect([]);
    story.input(Event::DirectoryBack).expect([]);
    story.passes_in_silence_until(MINUTE).expect([forgets(5)]);
    story.input(Event::Runner(gone("a"))).expect([]).ends();
}

#[test]
fn nobody_is_forgotten_before_his_actors_are() {
    let second = Duration::from_secs(1);
    let of = |lost: u32, unseen: u32| supervisor::Config {
        runner_lost_threshold: lost * second,
        runner_lost_margin: 10 * second,
        runner_unseen: unseen * second,
        ..supervisor::Config::default()
    };
    for (smaller, supervisor) in [("runner_lost_threshold", of(50, 20)), ("runner_unseen", of(15, 60))] {
        let config = Config { supervisor, ..Config::default() };
        let refused = Relay::new(config, relay_id(), 1, Time::ZERO).expect_err("a wrong configuration");
        assert_eq!(refused, ConfigError::Order { smaller, larger: "runner_forgotten" });
    }
}
