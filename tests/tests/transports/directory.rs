//! What every directory does with runners, actors and gateways' ids.

use tokio::task::yield_now;
use underpass_core::directory::{
    Abilities, ActorChange, ActorKey, ActorRecord, ActorState, ChangeOutcome, Directory, Pool, Revision, RunnerChange,
    RunnerId, RunnerKey, RunnerRecord, RunnerState, Versioned, Watch,
};
use underpass_core::protocol::GatewayId;
use uuid::Uuid;

use crate::given::{GATEWAY, Transport, over_each_transport};

over_each_transport! {
    a_gateway_id_is_claimed_once_until_it_is_given_back,
    the_gateway_id_zero_is_never_free,
    a_change_of_what_is_expected_is_stored,
    a_change_of_something_else_is_a_conflict_that_says_what_is_there,
    a_record_made_again_does_not_have_an_old_revision,
    one_of_two_racing_changes_wins_each_round,
    a_watch_shows_those_that_are_there_first,
    a_watch_shows_what_changes,
    keys_may_have_any_letters,
    actors_are_changed_by_compare_and_set,
    a_watch_on_actors_comes_with_those_that_are_there,
    many_actors_are_shown,
}

async fn a_gateway_id_is_claimed_once_until_it_is_given_back(transport: impl Transport) {
    let (ours, theirs) = (transport.directory().await, transport.directory().await);
    for _ in 0..3 {
        assert_eq!(ours.claim_gateway(GATEWAY).await, Ok(true));
        assert_eq!(ours.claim_gateway(GATEWAY).await, Ok(false));
        assert_eq!(theirs.claim_gateway(GATEWAY).await, Ok(false));
        assert_eq!(theirs.claim_gateway(GatewayId([9; 4])).await, Ok(true));
        ours.release_gateway(GATEWAY).await.unwrap();
        theirs.release_gateway(GatewayId([9; 4])).await.unwrap();
    }
    assert_eq!(theirs.claim_gateway(GATEWAY).await, Ok(true));
}

async fn the_gateway_id_zero_is_never_free(transport: impl Transport) {
    assert_eq!(transport.directory().await.claim_gateway(GatewayId::ZERO).await, Ok(false));
}

fn key(key: &'static str) -> RunnerKey {
    RunnerKey { pool: Pool { namespace: "default".into(), name: "default".into() }, key: key.into() }
}

fn record(slots: u32) -> RunnerRecord {
    RunnerRecord {
        id: RunnerId(Uuid::from_u128(1)),
        slots,
        protocol_version: 7,
        abilities: Abilities { credit: Some(7), ..Abilities::default() },
        connection: None,
        moving: None,
        entered: Some(Revision(3)),
        state: RunnerState::Ready,
    }
}

async fn change(
    directory: &impl Directory,
    key: RunnerKey,
    expected: Option<Revision>,
    slots: Option<u32>,
) -> ChangeOutcome {
    directory.change_runner(RunnerChange { key, expected, record: slots.map(record) }).await
}

async fn store(
    directory: &impl Directory,
    name: &'static str,
    expected: Option<Revision>,
    slots: Option<u32>,
) -> Revision {
    match change(directory, key(name), expected, slots).await {
        ChangeOutcome::Stored(revision) => revision,
        outcome @ (ChangeOutcome::Conflict(_) | ChangeOutcome::Unavailable) => panic!("{outcome:?}"),
    }
}

async fn a_change_of_what_is_expected_is_stored(transport: impl Transport) {
    let (ours, theirs) = (transport.directory().await, transport.directory().await);
    let made = store(&ours, "a", None, Some(1)).await;
    let changed = store(&theirs, "a", Some(made), Some(2)).await;
    assert!(changed > made);
    let there = Versioned { revision: changed, record: record(2) };
    assert_eq!(change(&ours, key("a"), Some(made), Some(3)).await, ChangeOutcome::Conflict(Some(there)));
    store(&ours, "a", Some(changed), None).await;
    assert_eq!(change(&ours, key("a"), Some(changed), Some(3)).await, ChangeOutcome::Conflict(None));
}

async fn a_change_of_something_else_is_a_conflict_that_says_what_is_there(transport: impl Transport) {
    let directory = transport.directory().await;
    assert_eq!(change(&directory, key("a"), Some(Revision(1)), Some(1)).await, ChangeOutcome::Conflict(None));
    let old = store(&directory, "a", None, Some(1)).await;
    let new = store(&directory, "a", Some(old), Some(2)).await;
    store(&directory, "b", None, Some(2)).await;
    let there = ChangeOutcome::Conflict(Some(Versioned { revision: new, record: record(2) }));
    for (expected, slots) in [(None, Some(3)), (Some(old), Some(3)), (Some(old), None)] {
        assert_eq!(change(&directory, key("a"), expected, slots).await, there);
    }
}

async fn a_record_made_again_does_not_have_an_old_revision(transport: impl Transport) {
    let directory = transport.directory().await;
    let mut last = Revision(0);
    for _ in 0..3 {
        let made = store(&directory, "a", None, Some(1)).await;
        assert!(made > last);
        last = store(&directory, "a", Some(made), None).await;
        assert!(last > made);
    }
}

async fn one_of_two_racing_changes_wins_each_round(transport: impl Transport) {
    const ROUNDS: u32 = 100;
    let directories = [transport.directory().await, transport.directory().await];
    let race = async |directory| {
        let (mut expected, mut won) = (None, Vec::new());
        while won.len() < ROUNDS as usize {
            match change(directory, key("a"), expected, Some(1)).await {
                ChangeOutcome::Stored(revision) => {
                    won.push(revision);
                    expected = Some(revision);
                }
                ChangeOutcome::Conflict(current) => expected = current.map(|current| current.revision),
                ChangeOutcome::Unavailable => panic!("it is there"),
            }
            yield_now().await;
        }
        won
    };
    let (mut won, others) = tokio::join!(race(&directories[0]), race(&directories[1]));
    won.extend(others);
    won.sort();
    won.dedup();
    assert_eq!(won.len(), 2 * ROUNDS as usize);
}

/// Keys and slots of what a watch shows, until as many have been shown.
async fn shown(watch: &mut impl Watch, count: usize) -> Vec<(String, Option<u32>)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        watch.changed(&mut seen).await.unwrap();
    }
    seen.into_iter().map(|seen| (seen.key.key.to_string(), seen.record.map(|there| there.record.slots))).collect()
}

async fn a_watch_shows_those_that_are_there_first(transport: impl Transport) {
    let directory = transport.directory().await;
    let gone = store(&directory, "c", None, Some(3)).await;
    store(&directory, "b", None, Some(2)).await;
    store(&directory, "a", None, Some(1)).await;
    store(&directory, "c", Some(gone), None).await;
    let mut watch = transport.directory().await.watch_runners().await.unwrap();
    // All at once, and without waiting.
    let mut seen = Vec::new();
    watch.changed(&mut seen).await.unwrap();
    let seen: Vec<_> = seen.iter().map(|seen| &*seen.key.key).collect();
    assert_eq!(seen, ["a", "b"]);
    store(&directory, "d", None, Some(4)).await;
    assert_eq!(shown(&mut watch, 1).await, [("d".into(), Some(4))]);
}

async fn a_watch_shows_what_changes(transport: impl Transport) {
    let directory = transport.directory().await;
    let mut watch = transport.directory().await.watch_runners().await.unwrap();
    let made = store(&directory, "a", None, Some(0)).await;
    assert_eq!(shown(&mut watch, 1).await, [("a".into(), Some(0))]);
    let mut revision = made;
    for slots in 1..100 {
        revision = store(&directory, "a", Some(revision), Some(slots)).await;
    }
    // What lies between may be seen or not, but not out of order.
    let mut last = 0;
    while last < 99 {
        for (key, slots) in shown(&mut watch, 1).await {
            assert_eq!(key, "a");
            assert!(slots > Some(last));
            last = slots.unwrap();
        }
    }
    store(&directory, "a", Some(revision), None).await;
    assert_eq!(shown(&mut watch, 1).await, [("a".into(), None)]);
    tokio::select! {
        biased;
        shown = shown(&mut watch, 1) => panic!("{shown:?}"),
        () = yield_now() => {}
    }
}

async fn keys_may_have_any_letters(transport: impl Transport) {
    let directory = transport.directory().await;
    let mut watch = transport.directory().await.watch_runners().await.unwrap();
    let words = ["", ".", "a.b", "*", ">", "a b", "ä", "=", "\r\n", "\0", "A", "-_/"];
    let keys = words.map(|word| RunnerKey {
        pool: Pool { namespace: word.into(), name: format!("{word}.").into() },
        key: word.into(),
    });
    for key in keys.clone() {
        assert!(matches!(change(&directory, key, None, Some(1)).await, ChangeOutcome::Stored(_)));
    }
    let mut seen = Vec::new();
    while seen.len() < words.len() {
        watch.changed(&mut seen).await.unwrap();
    }
    let mut seen: Vec<_> = seen.into_iter().map(|seen| seen.key).collect();
    seen.sort();
    let mut keys = keys.to_vec();
    keys.sort();
    assert_eq!(seen, keys);
}

fn actor(actor_id: impl Into<String>) -> ActorKey {
    ActorKey { pool: key("a").pool, actor_id: actor_id.into().into() }
}

async fn wants(
    directory: &impl Directory,
    key: ActorKey,
    expected: Option<Revision>,
    state: ActorState,
) -> ChangeOutcome<ActorRecord> {
    let record = ActorRecord { state, ..ActorRecord::wanted(None, 7).expect("a record") };
    directory.change_actor(ActorChange { key, expected, record: Some(record) }).await
}

async fn actors_are_changed_by_compare_and_set(transport: impl Transport) {
    let (ours, theirs) = (transport.directory().await, transport.directory().await);
    let outcome = wants(&ours, actor("x"), None, ActorState::Wanted).await;
    let ChangeOutcome::Stored(made) = outcome else { panic!("{outcome:?}") };
    let runner = |number| ActorState::Starting(RunnerId(Uuid::from_u128(number)));
    let (first, second) = tokio::join!(
        wants(&ours, actor("x"), Some(made), runner(1)),
        wants(&theirs, actor("x"), Some(made), runner(2)),
    );
    let (stored, there) = match (first, second) {
        (ChangeOutcome::Stored(stored), ChangeOutcome::Conflict(Some(there)))
        | (ChangeOutcome::Conflict(Some(there)), ChangeOutcome::Stored(stored)) => (stored, there),
        outcomes => panic!("{outcomes:?}"),
    };
    assert_eq!(there.revision, stored);
    assert_eq!(wants(&ours, actor("y"), Some(made), ActorState::Wanted).await, ChangeOutcome::Conflict(None));
}

async fn a_watch_on_actors_comes_with_those_that_are_there(transport: impl Transport) {
    let directory = transport.directory().await;
    let (there, _watch) = transport.directory().await.watch_actors().await.unwrap();
    assert_eq!(there, []);
    wants(&directory, actor("a"), None, ActorState::Wanted).await;
    let (there, mut watch) = transport.directory().await.watch_actors().await.unwrap();
    assert_eq!(there.iter().map(|seen| &seen.key).collect::<Vec<_>>(), [&actor("a")]);
    let record = there[0].record.clone().unwrap();
    wants(&directory, actor("b"), None, ActorState::Wanted).await;
    wants(&directory, actor("a"), Some(record.revision), ActorState::Sleeping).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        watch.changed(&mut seen).await.unwrap();
    }
    seen.sort_by(|one, other| one.key.cmp(&other.key));
    let states: Vec<_> = seen.into_iter().map(|seen| (seen.key, seen.record.map(|there| there.record.state))).collect();
    assert_eq!(states, [(actor("a"), Some(ActorState::Sleeping)), (actor("b"), Some(ActorState::Wanted))]);
}

async fn many_actors_are_shown(transport: impl Transport) {
    const ACTORS: usize = 1_000;
    let directory = transport.directory().await;
    for number in 0..ACTORS {
        let outcome = wants(&directory, actor(number.to_string()), None, ActorState::Wanted).await;
        assert!(matches!(outcome, ChangeOutcome::Stored(_)));
    }
    let (there, _watch) = transport.directory().await.watch_actors().await.unwrap();
    assert_eq!(there.len(), ACTORS);
}
