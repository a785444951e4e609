//! Requests that end because somebody who looks after the gateway wants it.

use underpass_core::failure::RequestName;
use underpass_core::gateway::Event;
use underpass_core::http::Body;
use underpass_core::protocol::RequestId;
use underpass_core::{FailureCode, Machine};
use underpass_tests::given::gateway::{aborts, closes, closing, gateway, gateway_with, one_of_each, small_config};
use underpass_tests::wire::{GATEWAY, abilities, open};

const CODE: FailureCode = FailureCode::EndedByOperator;

#[test]
fn each_kind_ends_at_both_ends() {
    let mut story = gateway();
    let [waiting, responding, asking, socket] = one_of_each(&mut story);
    for asked in [waiting, responding] {
        story.input(Event::EndRequest { key: asked.key }).expect_failed(asked, CODE, [aborts(asked, 1)]);
    }
    for asked in [asking, socket] {
        story.input(Event::EndRequest { key: asked.key }).expect_failed(asked, CODE, [closes(asked, 1, CODE)]);
    }
    assert_eq!(story.machine.stats().failures.with(CODE), 4);
    story.ends();
}

#[test]
fn it_is_found_by_its_name_as_long_as_it_is_open() {
    let mut story = gateway();
    let asked = story.opens(open("GET", "/", Body::None));
    story.actions();
    let name = RequestName { gateway_id: GATEWAY, request_id: asked.id };
    assert_eq!(story.machine.request_named(name), Some(asked.key));
    let other = RequestName { request_id: RequestId([0xee; 4]), ..name };
    assert_eq!(story.machine.request_named(other), None);
    story.input(Event::EndRequest { key: asked.key }).expect_failed(asked, CODE, [aborts(asked, 1)]);
    assert_eq!(story.machine.request_named(name), None);
    // What is said of a request that has ended is ignored.
    story.input(Event::EndRequest { key: asked.key }).expect([]).ends();
}

#[test]
fn one_whose_client_has_closed_has_had_its_end() {
    let mut story = gateway_with(small_config(), abilities(10));
    let asked = closing(&mut story);
    story.input(Event::EndRequest { key: asked.key }).expect([closes(asked, 2, CODE)]);
    assert_eq!(story.machine.stats().client_gone, 1);
    story.ends();
}
