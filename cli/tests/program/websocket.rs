//! WebSockets through the program.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, accept_async, connect_async};

use crate::harness::{SOON, Underpass};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn dial(gateway: &str, path: &str) -> Socket {
    let request = format!("ws://{gateway}{path}").into_client_request().unwrap();
    timeout(SOON, connect_async(request)).await.expect("an answer").unwrap().0
}

async fn next(socket: &mut (impl StreamExt<Item = Result<Message, impl std::fmt::Debug>> + Unpin)) -> Message {
    timeout(SOON, socket.next()).await.expect("a message").unwrap().unwrap()
}

fn close(code: u16, reason: &str) -> CloseFrame {
    CloseFrame { code: code.into(), reason: reason.into() }
}

/// A gateway whose runner passes on to a server here, and that server's side of the client's WebSocket.
async fn through_to_here() -> (Underpass, Socket, WebSocketStream<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (underpass, gateway, _) = Underpass::up(&["--to", &format!("http://{}", listener.local_addr().unwrap())]);
    let server = async { accept_async(listener.accept().await.unwrap().0).await.unwrap() };
    let (client, server) = tokio::join!(dial(&gateway, "/"), server);
    (underpass, client, server)
}

#[tokio::test]
async fn the_demo_sends_back_what_it_gets() {
    let (_underpass, gateway, _) = Underpass::up(&[]);
    for path in ["/ws", "/gateway/actor/ws"] {
        let mut socket = dial(&gateway, path).await;
        for message in [Message::text("text"), Message::binary(vec![7; 1024 * 1024]), Message::text("")] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(next(&mut socket).await, message);
        }
        socket.send(Message::Close(Some(close(4321, "enough")))).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::Close(Some(close(4321, "enough"))));
    }
    let elsewhere = connect_async(format!("ws://{gateway}/elsewhere")).await.unwrap_err();
    assert_eq!(elsewhere.to_string(), "HTTP error: 502 Bad Gateway");
}

#[tokio::test]
async fn a_close_of_the_client_reaches_the_target_behind_its_messages() {
    let (_underpass, mut client, mut server) = through_to_here().await;
    for number in 0..1_000 {
        client.send(Message::text(number.to_string())).await.unwrap();
    }
    client.send(Message::Close(Some(close(4001, "done")))).await.unwrap();
    for number in 0..1_000 {
        assert_eq!(next(&mut server).await, Message::text(number.to_string()));
    }
    assert_eq!(next(&mut server).await, Message::Close(Some(close(4001, "done"))));
}

#[tokio::test]
async fn a_close_of_the_target_reaches_the_client_behind_its_messages() {
    let (_underpass, mut client, mut server) = through_to_here().await;
    for number in 0..1_000 {
        server.send(Message::text(number.to_string())).await.unwrap();
    }
    server.send(Message::Close(Some(close(4002, "done")))).await.unwrap();
    for number in 0..1_000 {
        assert_eq!(next(&mut client).await, Message::text(number.to_string()));
    }
    assert_eq!(next(&mut client).await, Message::Close(Some(close(4002, "done"))));
}

#[tokio::test]
async fn a_target_that_breaks_off_is_no_clean_close() {
    let (_underpass, mut client, server) = through_to_here().await;
    drop(server);
    match next(&mut client).await {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1011),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_that_breaks_off_is_no_clean_close() {
    let (_underpass, client, mut server) = through_to_here().await;
    drop(client);
    let end = timeout(SOON, server.next()).await.expect("an end");
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
}

#[tokio::test]
async fn a_target_that_stops_reading_stops_its_client() {
    let (_underpass, mut client, mut server) = through_to_here().await;
    let piece = Message::binary(vec![0; 1024 * 1024]);
    let mut sent = 0;
    while timeout(Duration::from_secs(1), client.send(piece.clone())).await.is_ok() {
        sent += 1;
        assert!(sent < 100, "nothing held it up");
    }
    for _ in 0..sent {
        assert_eq!(next(&mut server).await.len(), 1024 * 1024);
    }
}
