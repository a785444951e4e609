//! Which WebSockets can hibernate.

use std::time::Duration;

use underpass_core::directory::Abilities;
use underpass_core::gateway::{Action, Config};
use underpass_core::http::Close;
use underpass_core::{ConfigError, FailureCode, Gateway, Machine, Time};
use underpass_tests::given::actors::{running, shows};
use underpass_tests::given::gateway::{config, gateway_with};
use underpass_tests::given::hibernation::{
    ack, ends, entered, enters, gateway_that_hibernates, leaves, left, says_text, sleeps, taken, text_to, unregistered,
    usual,
};
use underpass_tests::wire::{GATEWAY, abilities, open_websocket};

#[test]
fn one_whose_runner_says_that_it_can_is_entered_in_the_registry() {
    let mut story = gateway_that_hibernates(usual());
    let asked = story.opens(open_websocket("/"));
    story.actions();
    story.hears(asked, 0, taken(true)).expect([Action::WebSocketOpened { key: asked.key }, enters(asked)]);
    assert_eq!(story.machine.stats().registered, 0);
    story.input(entered(asked)).expect([]);
    assert_eq!((story.machine.stats().registered, story.machine.stats().hibernating), (1, 0));
    ends(story, asked, 1);
}

#[test]
fn one_whose_runner_says_that_it_can_not_is_not_entered_and_nothing_of_it_is_kept() {
    let mut story = gateway_that_hibernates(usual());
    let asked = story.opens(open_websocket("/"));
    story.actions();
    story.hears(asked, 0, taken(false)).expect([Action::WebSocketOpened { key: asked.key }]);
    story.input(says_text(asked, "hello")).expect([text_to(1, asked, 1, "hello")]);
    assert_eq!((story.machine.stats().buffered, story.machine.stats().hibernating_actors), (0, 0));
    story.hears(asked, 1, ack(1)).hears(asked, 2, ack(9));
    assert_eq!(story.machine.stats().acks_ignored, 0);
    let close = Close { code: Some(1001), reason: None };
    story.hears(asked, 3, sleeps()).expect([Action::WebSocketClose { key: asked.key, close }]).ends();
}

#[test]
fn one_of_a_pool_without_state_can_not() {
    let mut story = gateway_with(config(), Abilities { stateless: true, ..abilities(100) });
    let asked = story.opens(open_websocket("/"));
    story.actions();
    story.hears(asked, 0, taken(true)).expect([Action::WebSocketOpened { key: asked.key }]);
    story.input(shows(1, running(1))).expect([]);
    let close = Close { code: Some(1001), reason: None };
    story.hears(asked, 1, sleeps()).expect([Action::WebSocketClose { key: asked.key, close }]).ends();
}

#[test]
fn one_that_is_not_in_the_registry_yet_closes_when_its_actor_sleeps() {
    let (mut story, asked) = unregistered(usual());
    let close = Close { code: Some(1001), reason: None };
    story.hears(asked, 1, sleeps()).expect([Action::WebSocketClose { key: asked.key, close }]);
    // It is taken out again when it is known to be in there.
    story.input(entered(asked)).expect([leaves(asked)]);
    story.input(left(asked)).ends();
}

#[test]
fn one_that_is_not_in_the_registry_yet_fails_with_its_connection() {
    let (mut story, asked) = unregistered(usual());
    story.input(underpass_core::gateway::Event::NoResponders { to: underpass_tests::wire::connection(1) });
    story.expect_failed(asked, FailureCode::RunnerLost, []);
    story.input(entered(asked)).expect([leaves(asked)]);
    story.input(left(asked)).ends();
}

#[test]
fn a_configuration_that_could_not_work_is_refused() {
    let new = |config| Gateway::new(config, GATEWAY, 1, Time::ZERO).map(|_| ());
    let ok = Config { max_pending_messages: 32_767, ..usual() };
    assert_eq!(new(ok), Ok(()));
    let setting = "max_pending_messages";
    assert_eq!(new(Config { max_pending_messages: 0, ..usual() }), Err(ConfigError::Zero(setting)));
    let too_large = ConfigError::TooLarge { setting, most: 32_767 };
    assert_eq!(new(Config { max_pending_messages: 32_768, ..usual() }), Err(too_large));
    let small = new(Config { max_pending_bytes: 1_000_000, ..usual() });
    let bound_below = |error| matches!(error, Err(ConfigError::BoundBelowLargest { bound: "max_pending_bytes", .. }));
    assert!(bound_below(small));
    let second = Duration::from_secs(1);
    for config in [
        Config { keep_alive: 90 * second, ..usual() },
        Config { keep_alive: second, registry_again: second, ..usual() },
    ] {
        assert!(matches!(new(config), Err(ConfigError::Order { .. })));
    }
    for config in [
        Config { keep_alive: Duration::ZERO, ..usual() },
        Config { websocket_ack: Duration::ZERO, ..usual() },
        Config { registry_again: Duration::ZERO, ..usual() },
    ] {
        assert!(matches!(new(config), Err(ConfigError::Zero(_))));
    }
}
