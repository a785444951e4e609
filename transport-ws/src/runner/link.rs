//! The link to the relay: dialling it, and pumping it.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytestring::ByteString;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderValue, Response, Uri};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WireError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use underpass_core::handshake::{Hello, connect_path, dialect_of, offered_subprotocols};
use underpass_core::http::Close;
use underpass_core::protocol::Dialect;
use underpass_core::runner::Event;

use super::outlets::{Command, Outlets};
use super::{Config, StartError};
use crate::driver::Driver;
use crate::outbox::{Held, outbox};
use crate::queue::Receiver;
use crate::socket::{self, Link, OutgoingReceiver, Patience, Received, pump};

/// The most of a refusal's body that is told to people, bytes.
const REFUSAL: usize = 500;

/// How the relay is reached, and how much goes to it and comes from it.
pub(super) struct Relay {
    authority: String,
    subprotocols: HeaderValue,
    outbox: usize,
    largest_out: usize,
    largest_in: usize,
    dial_within: Duration,
    patience: Patience,
}

impl Relay {
    /// Reads a relay's URL.
    ///
    /// # Errors
    /// It is none, or the token cannot be sent.
    pub(super) fn new(config: &Config) -> Result<Self, StartError> {
        let Config { runner: machine, relay_url: url, token, dial_within, close_within, linger, .. } = config;
        let (url, token) = (url.as_str(), token.as_deref());
        let bad = |problem: String| StartError::Url { url: url.to_owned(), problem };
        let uri: Uri = url.trim().parse().map_err(|error| bad(format!("{error}")))?;
        match uri.scheme_str() {
            Some("ws") => {}
            Some("wss") => return Err(StartError::Tls { url: url.to_owned() }),
            Some(scheme) => return Err(bad(format!("its scheme is {scheme}"))),
            None => return Err(bad("it has no scheme".to_owned())),
        }
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| bad("it names no host".to_owned()))?.as_str();
        if authority.contains('@') {
            return Err(bad("it names a user".to_owned()));
        }
        let visible = |token: &str| token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        let subprotocols = Some(offered_subprotocols(token)).filter(|_| token.is_none_or(visible));
        let subprotocols = subprotocols.and_then(|offered| HeaderValue::try_from(offered).ok());
        let largest_out = machine.largest_frame();
        Ok(Relay {
            authority: authority.to_owned(),
            subprotocols: subprotocols.ok_or(StartError::Token)?,
            outbox: machine.outbox,
            largest_out,
            largest_in: largest_out.max(machine.max_buffered),
            dial_within: *dial_within,
            patience: Patience { close_within: *close_within, linger: *linger },
        })
    }

    async fn dial(&self, hello: &Hello) -> Result<(WebSocketStream<MaybeTlsStream<TcpStream>>, Dialect), WireError> {
        let mut request = format!("ws://{}{}", self.authority, connect_path(hello)).into_client_request()?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, self.subprotocols.clone());
        let config = socket::config(self.largest_in);
        let (stream, response) = connect_async_with_config(request, Some(config), true).await?;
        let chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|chosen| chosen.to_str().ok());
        Ok((stream, dialect_of(chosen)))
    }
}

/// Dials whenever the runner wants, and pumps what goes between it and the relay.
pub(super) async fn keep(driver: Arc<Driver<Outlets>>, mut commands: Receiver<Command>, relay: Relay) {
    while let Some(command) = commands.next().await {
        match command {
            Command::Dial => connect(&driver, &mut commands, &relay).await,
            // The dial that it was about has failed already.
            Command::Cancel => {}
        }
    }
}

/// One connection, from its dialling to its end.
async fn connect(driver: &Arc<Driver<Outlets>>, commands: &mut Receiver<Command>, relay: &Relay) {
    let hello = driver.enter(|inside| inside.machine.hello());
    let dialled = tokio::select! {
        dialled = timeout(relay.dial_within, relay.dial(&hello)) => dialled,
        _ = commands.next() => return driver.drive(Event::Disconnected { close: None }),
    };
    match dialled {
        Ok(Ok((stream, dialect))) => {
            let Some((mut outgoing, mut link)) = Connection::new(driver, commands, relay, dialect) else { return };
            let close = pump(stream, &mut outgoing, &link, relay.patience).await;
            tracing::info!(?close, "the connection to the relay ended");
            link.close = close;
        }
        Ok(Err(WireError::Http(refusal))) => {
            let status = refusal.status().as_u16();
            let message = what_it_says(&refusal);
            driver.drive(Event::DialRefused { status, message: message.clone() });
            // Whoever owns the runner hears if that was the end.
            if driver.stats().dials_again {
                tracing::warn!(status, message = &*message, "the relay refused this runner, which will dial again");
            }
        }
        Ok(Err(error)) => {
            tracing::warn!(relay = relay.authority, "the relay cannot be reached: {error}");
            driver.drive(Event::Disconnected { close: None });
        }
        Err(_) => {
            tracing::warn!(relay = relay.authority, "the relay did not answer in time");
            driver.drive(Event::Disconnected { close: None });
        }
    }
}

/// The first line of a refusal's body.
fn what_it_says(refusal: &Response<Option<Vec<u8>>>) -> ByteString {
    let body = refusal.body().as_deref().unwrap_or_default();
    let text = String::from_utf8_lossy(&body[..body.len().min(REFUSAL)]);
    text.lines().next().unwrap_or_default().trim().into()
}

/// The relay's end of the socket. Dropping it tells the runner that the socket has ended.
struct Connection {
    driver: Arc<Driver<Outlets>>,
    held: Held,
    close: Option<Close>,
}

impl Connection {
    /// Tells the runner that the socket is open; unless it did not want it any more.
    fn new(
        driver: &Arc<Driver<Outlets>>,
        commands: &mut Receiver<Command>,
        relay: &Relay,
        dialect: Dialect,
    ) -> Option<(OutgoingReceiver, Self)> {
        let (outbox, outgoing, held) = outbox(relay.outbox, relay.largest_out);
        let connected = driver.enter(|inside| {
            if commands.try_next().is_some() {
                inside.handle(Event::Disconnected { close: None });
                return false;
            }
            inside.outlets.link = Some(outbox);
            inside.handle(Event::Connected { dialect });
            true
        });
        connected.then(|| (outgoing, Connection { driver: driver.clone(), held, close: None }))
    }
}

impl Link for Connection {
    fn received(&self, received: Received) -> Result<(), Close> {
        match received {
            Received::Binary(frame) => self.driver.drive(Event::Received { frame: frame.into() }),
            Received::Text(_) => return Err(Close::new(1003, "the runner protocol has no text messages")),
            // That the socket has ended is said once, when it has.
            Received::Close(_) => {}
        }
        Ok(())
    }

    fn written(&self, bytes: usize) {
        if !self.held.written(bytes) {
            return;
        }
        self.driver.enter(|inside| {
            if inside.outlets.link.as_mut().is_some_and(|outbox| outbox.unblock()) {
                inside.handle(Event::PeerWritable);
            }
        });
    }

    fn poll_may_read(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let close = self.close.take();
        self.driver.enter(|inside| {
            inside.outlets.link = None;
            inside.outlets.status.send_modify(|status| status.ready = false);
            inside.handle(Event::Disconnected { close });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, token: Option<&str>) -> Result<Relay, String> {
        let config = Config { relay_url: url.into(), token: token.map(str::to_owned), ..Config::default() };
        Relay::new(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn a_relays_url_has_a_host_and_its_path_does_not_matter() {
        for (url, authority) in
            [("ws://127.0.0.1:8081", "127.0.0.1:8081"), ("ws://[::1]:1/x", "[::1]:1"), ("ws://relay/", "relay")]
        {
            assert_eq!(read(url, None).unwrap().authority, authority);
        }
    }

    #[test]
    fn what_is_no_relays_url_is_refused_with_the_reason() {
        for (url, reason) in [
            ("", "ws://HOST:PORT is one"),
            ("127.0.0.1:8081", "no scheme"),
            ("http://127.0.0.1:8081", "its scheme is http"),
            ("wss://relay", "TLS"),
            ("ws://user@relay", "names a user"),
            ("ws://", "ws://HOST:PORT is one"),
        ] {
            let refused = read(url, None).err().unwrap();
            assert!(refused.contains(reason), "{url}: {refused}");
        }
    }

    #[test]
    fn a_token_that_does_not_fit_is_refused() {
        assert!(read("ws://relay", Some("a.b-c~d")).is_ok());
        for token in ["a b", "a,b", "a\n", "é"] {
            assert!(read("ws://relay", Some(token)).is_err(), "{token:?}");
        }
    }
}
