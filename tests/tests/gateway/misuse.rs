//! What an embedder must not do with a request: each is told, and changes nothing.

use bytes::Bytes;
use underpass_core::ApiMisuse::OutOfTurn;
use underpass_core::gateway::Event;
use underpass_core::http::{Body, Close, Message};
use underpass_core::{Gateway, RequestKey};
use underpass_tests::given::gateway::{Asked, chunk, gateway, gateway_with, published_abilities, small_config, zeros};
use underpass_tests::story::Story;
use underpass_tests::wire::{abilities, open, open_websocket, response_start};

fn text(key: RequestKey) -> Event {
    Event::WebSocketMessage { key, message: Message::Text("text".into()) }
}

fn close(key: RequestKey) -> Event {
    Event::WebSocketClose { key, close: Close::new(1000, "") }
}

fn end(mut story: Story<Gateway>, asked: Asked) {
    story.input(Event::ClientGone { key: asked.key }).actions();
    story.ends();
}

#[test]
fn an_exchange_takes_no_messages_and_no_close() {
    for responding in [false, true] {
        let mut story = gateway();
        let asked = story.opens(open("POST", "/", Body::Stream));
        story.actions();
        if responding {
            story.hears(asked, 0, response_start(200, None, true)).actions();
        }
        story.misuse(text(asked.key), OutOfTurn("a message for an HTTP exchange"));
        story.misuse(close(asked.key), OutOfTurn("a close for an HTTP exchange"));
        end(story, asked);
    }
    let mut story = gateway_with(small_config(), published_abilities());
    let collecting = story.opens(open("POST", "/", Body::Stream));
    story.misuse(text(collecting.key), OutOfTurn("a message for an HTTP exchange"));
    story.misuse(close(collecting.key), OutOfTurn("a close for an HTTP exchange"));
    end(story, collecting);
}

#[test]
fn a_body_takes_no_chunk_behind_its_end() {
    for (abilities, finish) in [(abilities(5), false), (abilities(5), true), (published_abilities(), true)] {
        let mut story = gateway_with(small_config(), abilities);
        let asked = story.opens(open("POST", "/", Body::Stream));
        story.actions();
        story.input(chunk(asked.key, zeros(5), finish)).actions();
        if !finish {
            // The end waits for credit.
            story.input(chunk(asked.key, zeros(5), true)).expect([]);
        }
        let behind = OutOfTurn("a chunk behind the end of its body");
        story.misuse(chunk(asked.key, zeros(1), false), behind);
        story.misuse(chunk(asked.key, Bytes::new(), true), behind);
        end(story, asked);
    }
}

#[test]
fn a_body_that_was_not_opened_as_a_stream_takes_no_chunk() {
    for abilities in [abilities(5), published_abilities()] {
        for body in [Body::None, Body::Whole(Bytes::new()), Body::Whole(zeros(5)), Body::Whole(zeros(50))] {
            let mut story = gateway_with(small_config(), abilities);
            let asked = story.opens(open("POST", "/", body));
            story.actions();
            let behind = OutOfTurn("a chunk behind the end of its body");
            story.misuse(chunk(asked.key, zeros(1), false), behind);
            story.misuse(chunk(asked.key, Bytes::new(), true), behind);
            end(story, asked);
        }
    }
}

#[test]
fn a_websocket_takes_no_chunks_and_nothing_before_it_is_open() {
    let mut story = gateway();
    let asked = story.opens(open_websocket("/"));
    story.actions();
    story.misuse(chunk(asked.key, zeros(1), true), OutOfTurn("a chunk of a body for a WebSocket"));
    story.misuse(text(asked.key), OutOfTurn("a message before its WebSocket was opened"));
    story.misuse(close(asked.key), OutOfTurn("a close before its WebSocket was opened"));
    end(story, asked);

    let mut story = gateway();
    let asked = story.opens_websocket();
    story.misuse(chunk(asked.key, zeros(1), true), OutOfTurn("a chunk of a body for a WebSocket"));
    end(story, asked);
}

#[test]
fn a_websocket_takes_nothing_behind_its_close() {
    let mut story = gateway_with(small_config(), abilities(1));
    let asked = story.opens_websocket();
    story.input(text(asked.key)).actions();
    story.input(text(asked.key)).expect([]);
    story.input(close(asked.key)).expect([]);
    story.misuse(text(asked.key), OutOfTurn("a message behind the close of its WebSocket"));
    story.misuse(close(asked.key), OutOfTurn("a second close of a WebSocket"));
    story.misuse(chunk(asked.key, zeros(1), true), OutOfTurn("a chunk behind the end of its body"));
    story.long_after();
    assert_eq!(story.actions().len(), 1, "the close overtook");
    story.ends();
}

#[test]
fn what_is_said_of_a_request_that_has_ended_is_ignored() {
    let mut story = gateway();
    let asked = story.opens_websocket();
    story.input(Event::ClientGone { key: asked.key }).actions();
    for event in [
        text(asked.key),
        close(asked.key),
        chunk(asked.key, zeros(1), true),
        Event::Consumed { key: asked.key, bytes: 1 },
        Event::ClientGone { key: asked.key },
    ] {
        story.input(event).expect([]);
    }
    story.ends();
}
