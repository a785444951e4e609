//! Each machine in much noise from a few seeds. See [`underpass_tests::noise`].

use underpass_core::relay;
use underpass_tests::noise::Noise;
use underpass_tests::noise::gateway::Clients;
use underpass_tests::noise::hosting::Runners;
use underpass_tests::noise::relay::Connections;
use underpass_tests::noise::runner::Handlers;
use underpass_tests::noise::supervisor::World;

const SEEDS: [u64; 4] = [1, 2, 3, 0xdead_beef];

/// How many events each machine lives through with each seed: few, unless `NOISE_EVENTS` says how many. With 2500000,
/// in release, they are ten million for each machine.
fn events() -> usize {
    std::env::var("NOISE_EVENTS").map_or(40_000, |events| events.parse().expect("NOISE_EVENTS is a number"))
}

#[test]
fn a_gateway_in_noise_ends_each_request_once_and_holds_nothing_when_all_is_over() {
    for seed in SEEDS {
        let mut clients = Clients::new(Noise::new(seed));
        for _ in 0..events() {
            clients.step();
        }
        let stats = clients.over();
        assert!(stats.answered > 50 && stats.failed > 50, "too quiet: {stats:?}");
        assert!(stats.malformed > 100 && stats.stale > 50 && stats.foreign > 50, "too quiet: {stats:?}");
        assert!(stats.actors_wanted > 0, "too quiet: {stats:?}");
        assert!(stats.sent_again > 20 && stats.aborts_tried_again > 10, "too quiet: {stats:?}");
        assert!(stats.slept > 5 && stats.woken > 0 && stats.acks_ignored > 10, "too quiet: {stats:?}");
        let timeouts = &stats.timeouts;
        assert!(timeouts.grace > 10 && timeouts.actor_start > 0 && timeouts.pong > 0, "too quiet: {timeouts:?}");
        assert!(timeouts.idle_request_body > 0 && timeouts.idle_response_body > 0, "too quiet: {timeouts:?}");
    }
}

#[test]
fn the_same_seed_makes_the_same_noise() {
    let traces = || {
        let mut clients = Clients::new(Noise::new(5));
        let mut counted = Vec::new();
        for _ in 0..500 {
            clients.step();
            counted.push(format!("{:?}", clients.stats()));
        }
        counted
    };
    assert_eq!(traces(), traces());
}

#[test]
fn a_relay_in_noise_answers_no_stranger_and_holds_nothing_when_all_is_over() {
    for seed in SEEDS {
        let mut connections = Connections::new(Noise::new(seed));
        for event in 0..events() {
            // Some drain before the noise is over.
            if seed % 2 == 0 && event == events() * 9 / 10 {
                connections.handle(relay::Event::Drain);
            }
            connections.step();
        }
        let stats = connections.over();
        assert!(stats.opened > 500 && stats.to_gateways > 300 && stats.to_runners > 500, "too quiet: {stats:?}");
        assert!(stats.late > 100 && stats.unrouted > 100 && stats.malformed > 50, "too quiet: {stats:?}");
        assert!(stats.aborts_retried > 50 && stats.gateways_lost > 10 && stats.refreshed > 10, "too quiet: {stats:?}");
        assert!(stats.ends.bus_lost > 3 && stats.ends.gateway_lost > 10, "too quiet: {stats:?}");
    }
}

#[test]
fn a_runner_in_noise_ends_each_request_once_and_holds_nothing_when_all_is_over() {
    for seed in SEEDS {
        let mut handlers = Handlers::new(Noise::new(seed));
        for _ in 0..events() {
            handlers.step();
        }
        let stats = handlers.over();
        assert!(stats.answered > 50 && stats.aborted > 50 && stats.failed > 50, "too quiet: {stats:?}");
        assert!(stats.lost > 50 && stats.moves > 5, "too quiet: {stats:?}");
        assert!(stats.gaps > 20 && stats.late > 100 && stats.dials > 10, "too quiet: {stats:?}");
    }
}

#[test]
fn a_runner_of_actors_in_noise_ends_each_request_once_and_holds_nothing_when_all_is_over() {
    let mut all = (0, 0, 0, 0, 0, 0);
    for seed in SEEDS {
        let mut handlers = Handlers::hosting(Noise::new(seed));
        for _ in 0..events() {
            handlers.step();
        }
        let stats = handlers.over();
        all.0 += stats.actors_stopped;
        all.1 += stats.attached;
        all.2 += stats.asleep;
        all.3 += stats.acks;
        all.4 += stats.restored;
        all.5 += stats.repeats;
        assert!(stats.kv_calls > 20 && stats.opened > 100, "too quiet: {stats:?}");
    }
    assert!(all.0 > 100 && all.1 > 50 && all.2 > 50 && all.3 > 20 && all.4 > 50 && all.5 > 50, "too quiet: {all:?}");
}

#[test]
fn a_relay_of_actors_in_noise_holds_nothing_when_all_is_over() {
    let mut all = (0, 0, 0, 0, 0);
    for seed in SEEDS {
        let mut runners = Runners::new(Noise::new(seed));
        for _ in 0..events() / 4 {
            runners.step();
        }
        let stats = runners.over();
        all.0 += stats.opened;
        all.1 += stats.supervisor.started;
        all.2 += stats.kv_calls;
        all.3 += stats.ends.actor_stopped;
        all.4 += stats.restored;
    }
    let loud = all.0 > 300 && all.1 > 300 && all.2 > 100 && all.3 > 20 && all.4 > 100;
    assert!(loud, "too quiet: {all:?}");
}

#[test]
fn a_supervisor_in_noise_starts_no_life_twice_and_holds_nothing_when_all_is_over() {
    for seed in SEEDS {
        let mut world = World::new(Noise::new(seed));
        for _ in 0..events() {
            world.step();
        }
        let stats = world.over();
        let counted = [
            stats.claimed,
            stats.started,
            stats.stopped,
            stats.crashed,
            stats.start_timeouts,
            stats.stop_timeouts,
            stats.finish_timeouts,
            stats.woken,
            stats.runners_lost,
            stats.superseded,
            stats.conflicts,
            stats.unavailable,
            stats.registry_unavailable,
            stats.sockets_left_out,
            stats.duplicate_events,
            stats.stale_events,
            stats.foreign_events,
            stats.dropped_events,
            stats.strays_stopped,
            stats.untracked,
            stats.looked_again,
        ];
        assert!(counted.iter().all(|count| *count > 5), "too quiet: {stats:?}");
    }
}
