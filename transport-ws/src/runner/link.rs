//! The links to relays: dialling them, and pumping them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Uri};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use underpass_core::Machine;
use underpass_core::handshake::{Hello, connect_path, offered_subprotocols};
use underpass_core::http::Close;
use underpass_core::protocol::Dialect;
use underpass_core::runner::Event;

use super::dial::{self, Asked, DialError};
use super::outlets::{Dial, Line, Outlets};
use super::{Config, StartError};
use crate::driver::Driver;
use crate::outbox::{Held, outbox};
use crate::pump::{READ_OF_PEER, config, pump};
use crate::queue::Receiver;
use crate::socket::{Link, OutgoingReceiver, Patience, Received};
use crate::tls::Dialler;
use crate::token::fits;
use crate::wire::Wire;

/// How relays are reached, and how much goes to them and comes from them.
pub(super) struct Relays {
    all: Vec<Relay>,
    /// For those that are dialled over TLS.
    tls: Option<Dialler>,
    subprotocols: HeaderValue,
    outbox: usize,
    largest_out: usize,
    largest_in: usize,
    patience: Patience,
}

impl Relays {
    /// Reads the relays' URLs.
    ///
    /// # Errors
    /// There is none, one is none, the token cannot be sent, or TLS not be spoken.
    pub(super) fn new(config: &Config) -> Result<Self, StartError> {
        let Config { runner: machine, relay_urls, token, tls, close_within, linger, .. } = config;
        let token = token.as_deref();
        if relay_urls.is_empty() {
            return Err(StartError::NoRelay);
        }
        let all = relay_urls.iter().map(|url| Relay::read(url)).collect::<Result<Vec<_>, _>>()?;
        let tls = all.iter().any(|relay| relay.secret.is_some()).then(|| Dialler::new(tls)).transpose()?;
        let subprotocols = Some(offered_subprotocols(token)).filter(|_| token.is_none_or(fits));
        let subprotocols = subprotocols.and_then(|offered| HeaderValue::try_from(offered).ok());
        let largest_out = machine.largest_frame();
        Ok(Relays {
            all,
            tls,
            subprotocols: subprotocols.ok_or(StartError::Token)?,
            outbox: machine.outbox,
            largest_out,
            largest_in: largest_out.max(machine.max_buffered),
            patience: Patience { close_within: *close_within, linger: *linger },
        })
    }

    /// The relay to dial for a connection. The machine dials when the last connection failed, broke, or has a relay
    /// that drains: each time, it is the next one's turn.
    fn relay(&self, connection: u64) -> &Relay {
        let turn = connection.wrapping_sub(1) % self.all.len() as u64;
        &self.all[turn as usize]
    }

    async fn dial(&self, relay: &Relay, hello: &Hello) -> Result<(WebSocketStream<Wire>, Dialect), DialError> {
        let stream = TcpStream::connect((&*relay.host, relay.port)).await?;
        stream.set_nodelay(true)?;
        let wire = match (&relay.secret, &self.tls) {
            (Some(name), Some(tls)) => Wire::connect(stream, tls.config().await, name.clone()).await?,
            (None, _) | (_, None) => Wire::Plain(stream),
        };
        let config = config(self.largest_in, READ_OF_PEER);
        let (host, path) = (&relay.authority, &connect_path(hello));
        dial::open(wire, Asked { host, path, subprotocols: self.subprotocols.clone() }, config).await
    }
}

/// Where a relay listens.
#[derive(Debug)]
struct Relay {
    /// Its URL without a path.
    url: String,
    /// The URL's host and port.
    authority: String,
    host: String,
    port: u16,
    /// Whose certificate it must show, if it is dialled over TLS.
    secret: Option<ServerName<'static>>,
}

impl Relay {
    fn read(url: &str) -> Result<Self, StartError> {
        let bad = |problem: String| StartError::Url { url: url.to_owned(), problem };
        let uri: Uri = url.trim().parse().map_err(|error| bad(format!("{error}")))?;
        let (scheme, usual_port) = match uri.scheme_str() {
            Some("ws") => ("ws", 80),
            Some("wss") => ("wss", 443),
            Some(scheme) => return Err(bad(format!("its scheme is {scheme}"))),
            None => return Err(bad("it has no scheme".to_owned())),
        };
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| bad("it names no host".to_owned()))?;
        if authority.as_str().contains('@') {
            return Err(bad("it names a user".to_owned()));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let secret = match scheme {
            "wss" => {
                let name = ServerName::try_from(host.clone());
                Some(name.map_err(|_| bad("its host is none that a certificate could be for".to_owned()))?)
            }
            _ => None,
        };
        let port = authority.port_u16().unwrap_or(usual_port);
        Ok(Relay { url: format!("{scheme}://{authority}"), authority: authority.to_string(), host, port, secret })
    }
}

/// Dials whenever the runner wants, and pumps what goes between it and its relays.
pub(super) async fn keep(driver: Arc<Driver<Outlets>>, mut dials: Receiver<Dial>, relays: Relays) {
    let relays = Arc::new(relays);
    let mut connections = JoinSet::new();
    while let Some(dial) = dials.next().await {
        // Those that have ended.
        while connections.try_join_next().is_some() {}
        connections.spawn(connect(driver.clone(), dial, relays.clone()));
    }
}

/// One connection, from its dialling to its end.
async fn connect(driver: Arc<Driver<Outlets>>, dial: Dial, relays: Arc<Relays>) {
    let Dial { connection, mut given_up } = dial;
    let relay = relays.relay(connection);
    let hello = driver.enter(|inside| inside.machine.hello());
    let dialled = tokio::select! {
        dialled = relays.dial(relay, &hello) => dialled,
        _ = given_up.next() => {
            tracing::warn!(relay = relay.url, "dialling the relay was given up");
            return ended(&driver, connection, Event::Disconnected { connection, close: None });
        }
    };
    match dialled {
        Ok((socket, dialect)) => {
            let opened = Connection::new(&driver, connection, &mut given_up, &relays, dialect);
            let Some((mut outgoing, mut link)) = opened else { return };
            let close = pump(socket, &mut outgoing, &link, relays.patience).await;
            tracing::info!(relay = relay.url, ?close, "the connection to the relay ended");
            link.close = close;
        }
        Err(DialError::Refused { status, message }) => {
            ended(&driver, connection, Event::DialRefused { connection, status, message: message.clone() });
            // Whoever owns the runner hears if that was the end.
            if driver.stats().dials_again {
                tracing::warn!(
                    relay = relay.url,
                    status,
                    message = &*message,
                    "the relay refused this runner, which dials again"
                );
            }
        }
        Err(error) => {
            tracing::warn!(relay = relay.url, "the relay cannot be reached: {error}");
            ended(&driver, connection, Event::Disconnected { connection, close: None });
        }
    }
}

/// A connection has ended, or came to nothing.
fn ended(driver: &Driver<Outlets>, connection: u64, event: Event) {
    driver.enter(|inside| {
        inside.outlets.lines.remove(&connection);
        inside.handle(event);
        let ready = inside.machine.stats().ready;
        inside.outlets.status.send_modify(|status| status.ready = ready);
    });
}

/// A relay's end of a socket. Dropping it tells the runner that the socket has ended.
struct Connection {
    driver: Arc<Driver<Outlets>>,
    connection: u64,
    held: Held,
    close: Option<Close>,
}

impl Connection {
    /// Tells the runner that the socket is open; unless it did not want it any more.
    fn new(
        driver: &Arc<Driver<Outlets>>,
        connection: u64,
        given_up: &mut Receiver<()>,
        relays: &Relays,
        dialect: Dialect,
    ) -> Option<(OutgoingReceiver, Self)> {
        let (outbox, outgoing, held) = outbox(relays.outbox, relays.largest_out);
        let connected = driver.enter(|inside| {
            if given_up.try_next().is_some() {
                return false;
            }
            inside.outlets.lines.insert(connection, Line::Open(outbox));
            inside.handle(Event::Connected { connection, dialect });
            true
        });
        if !connected {
            ended(driver, connection, Event::Disconnected { connection, close: None });
            return None;
        }
        Some((outgoing, Connection { driver: driver.clone(), connection, held, close: None }))
    }
}

impl Link for Connection {
    fn received(&self, arrived: &mut VecDeque<Received>) -> Result<(), Close> {
        let connection = self.connection;
        self.driver.enter(|inside| {
            for received in arrived.drain(..) {
                match received {
                    Received::Binary(frame) => inside.handle(Event::Received { connection, frame: frame.into() }),
                    Received::Text(_) => return Err(Close::new(1003, "the runner protocol has no text messages")),
                    Received::Pong => {}
                    // That the socket has ended is said once, when it has.
                    Received::Close(_) => {}
                }
            }
            Ok(())
        })
    }

    fn written(&self, bytes: usize) {
        if !self.held.written(bytes) {
            return;
        }
        let connection = self.connection;
        self.driver.enter(|inside| {
            if let Some(Line::Open(outbox)) = inside.outlets.lines.get_mut(&connection)
                && outbox.unblock()
            {
                inside.handle(Event::PeerWritable { connection });
            }
        });
    }

    fn poll_may_read(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let (connection, close) = (self.connection, self.close.take());
        ended(&self.driver, connection, Event::Disconnected { connection, close });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, token: Option<&str>) -> Result<Relays, String> {
        let config = Config { relay_urls: vec![url.into()], token: token.map(str::to_owned), ..Config::default() };
        Relays::new(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn a_relays_url_has_a_host_and_its_path_does_not_matter() {
        for (url, plain, host, port, secret) in [
            ("ws://127.0.0.1:8081", "ws://127.0.0.1:8081", "127.0.0.1", 8081, false),
            ("ws://[::1]:1/x", "ws://[::1]:1", "::1", 1, false),
            ("ws://relay/", "ws://relay", "relay", 80, false),
            ("wss://relay", "wss://relay", "relay", 443, true),
            ("wss://[::1]:1/", "wss://[::1]:1", "::1", 1, true),
        ] {
            let relay = Relay::read(url).unwrap();
            assert_eq!((&*relay.url, &*relay.host, relay.port, relay.secret.is_some()), (plain, host, port, secret));
        }
    }

    #[test]
    fn what_is_no_relays_url_is_refused_with_the_reason() {
        for (url, reason) in [
            ("", "ws://HOST:PORT is one"),
            ("127.0.0.1:8081", "no scheme"),
            ("http://127.0.0.1:8081", "its scheme is http"),
            ("wss://a..b:1", "a certificate could be for"),
            ("ws://user@relay", "names a user"),
            ("ws://", "ws://HOST:PORT is one"),
        ] {
            let refused = read(url, None).err().unwrap();
            assert!(refused.contains(reason), "{url}: {refused}");
        }
    }

    #[test]
    fn relays_are_dialled_in_turn() {
        let relay_urls = ["ws://a", "ws://b:1", "ws://c"].map(str::to_owned).to_vec();
        let relays = Relays::new(&Config { relay_urls, ..Config::default() }).ok().unwrap();
        assert_eq!(
            [1, 2, 3, 4].map(|connection| &*relays.relay(connection).url),
            ["ws://a", "ws://b:1", "ws://c", "ws://a"]
        );
        assert_eq!(Relays::new(&Config::default()).err(), Some(StartError::NoRelay));
    }

    #[test]
    fn a_token_that_does_not_fit_is_refused() {
        assert!(read("ws://relay", Some("a.b-c~d")).is_ok());
        for token in ["a b", "a,b", "a\n", "é"] {
            assert!(read("ws://relay", Some(token)).is_err(), "{token:?}");
        }
    }
}
