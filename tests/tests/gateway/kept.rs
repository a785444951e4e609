//! The room for whole bodies that are collected, or kept to be sent again, of all requests together.

use underpass_core::gateway::{Action, Config, Event};
use underpass_core::http::Body;
use underpass_core::{FailureCode, Gateway, Machine};
use underpass_tests::given::actors::{gateway_of_actors, running, shows, stored, takes_back};
use underpass_tests::given::gateway::{
    Asked, chunk, gateway_with, published_abilities, publishes, request_start_with, small_config, zeros,
};
use underpass_tests::story::Story;
use underpass_tests::wire::{open, response_start};

/// A gateway with room for 100 bytes, and a runner that takes whole bodies only.
fn given() -> Story<Gateway> {
    gateway_with(Config { max_kept_bodies: 100, ..small_config() }, published_abilities())
}

fn posts(story: &mut Story<Gateway>, length: usize) -> Asked {
    let asked = story.opens(open("POST", "/", Body::Whole(zeros(length))));
    story.expect([publishes(asked, 0, request_start_with("POST", Some(zeros(length)), false))]);
    asked
}

/// A request whose body is collected, with its first bytes.
fn begins(story: &mut Story<Gateway>, length: usize) -> Asked {
    let asked = story.opens(open("POST", "/", Body::Stream));
    story.input(chunk(asked.key, zeros(length), false)).expect([]);
    asked
}

#[track_caller]
fn holds(story: &Story<Gateway>, bytes: usize) {
    let stats = story.machine.stats();
    assert_eq!((stats.kept_bodies, stats.buffered), (bytes, bytes));
}

#[test]
fn when_all_room_for_bodies_is_taken_others_are_refused_until_some_is_free() {
    let mut story = given();
    let first = posts(&mut story, 60);
    let second = posts(&mut story, 39);
    let refused = story.refuses(open("POST", "/", Body::Whole(zeros(2))));
    assert_eq!((refused.code, refused.code.http_status()), (FailureCode::Overloaded, 503));
    let third = posts(&mut story, 1);
    holds(&story, 100);
    // One without a body needs no room.
    let without = story.opens(open("GET", "/", Body::None));
    story.actions();
    story.hears(without, 0, response_start(200, None, false)).actions();
    // What is answered is kept no longer, though its answer goes on.
    story.hears(first, 0, response_start(200, None, true)).actions();
    holds(&story, 40);
    let fourth = posts(&mut story, 60);
    holds(&story, 100);
    for asked in [first, second, third, fourth] {
        story.input(Event::ClientGone { key: asked.key }).actions();
    }
    holds(&story, 0);
    story.ends();
}

#[test]
fn a_body_that_is_collected_beyond_the_room_for_all_fails_and_leaves_its_room_to_others() {
    let mut story = given();
    let first = begins(&mut story, 60);
    let second = begins(&mut story, 40);
    holds(&story, 100);
    story.input(chunk(second.key, zeros(1), true)).expect_failed(second, FailureCode::Overloaded, []);
    holds(&story, 60);
    story.input(chunk(first.key, zeros(40), true));
    story.expect([publishes(first, 0, request_start_with("POST", Some(zeros(100)), false))]);
    holds(&story, 100);
    story.hears(first, 0, response_start(200, None, false)).actions();
    holds(&story, 0);
    story.ends();
}

#[test]
fn a_body_that_is_not_kept_takes_no_room_once_it_was_sent() {
    let config = Config { max_kept_body: 10, max_kept_bodies: 100, ..small_config() };
    let mut story = gateway_with(config, published_abilities());
    for (length, kept) in [(10, 10), (11, 0), (100, 0)] {
        let asked = posts(&mut story, length);
        holds(&story, kept);
        story.hears(asked, 0, response_start(200, None, false)).actions();
        let asked = begins(&mut story, length);
        holds(&story, length);
        story.input(chunk(asked.key, zeros(0), true)).actions();
        holds(&story, kept);
        story.hears(asked, 0, response_start(200, None, false)).actions();
    }
    story.ends();
}

#[test]
fn a_body_that_waits_for_its_actor_takes_room_as_long_as_it_waits() {
    let mut story = gateway_of_actors(Config { max_kept_body: 10, max_kept_bodies: 100, ..small_config() });
    let asked = story.opens(open("POST", "/", Body::Whole(zeros(100))));
    story.actions();
    holds(&story, 100);
    assert_eq!(story.refuses(open("POST", "/", Body::Whole(zeros(1)))).code, FailureCode::Overloaded);
    story.input(Event::ClientGone { key: asked.key }).expect([]);
    holds(&story, 0);
    // Nobody waits for it any more: that it is wanted is taken back.
    story.input(stored(1)).expect([takes_back(1, None)]);
    story.input(stored(2)).expect([]);
    story.input(shows(3, running(1))).expect([]);
    let asked = story.opens(open("POST", "/", Body::Whole(zeros(100))));
    assert!(story.actions().iter().all(|action| matches!(action, Action::Publish(_))));
    assert_eq!(story.machine.stats().kept_bodies, 100);
    story.input(Event::ClientGone { key: asked.key }).actions();
    story.ends();
}
