//! Where the program listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;
use underpass_core::bus::Bus;
use underpass_core::directory::Directory;
use underpass_transport_ws::clients::Clients;
use underpass_transport_ws::runners::Runners;
use underpass_transport_ws::tls::ServerTls;

use crate::error::Error;

/// Where somebody may come in.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<ServerTls>,
}

impl Door {
    /// Listens.
    ///
    /// # Errors
    /// It is not possible there.
    pub(crate) async fn open(address: &str, tls: Option<ServerTls>) -> Result<Self, Error> {
        let (listener, address) = bind(address).await?;
        Ok(Door { listener, address, tls })
    }

    /// Whether only this host reaches it.
    pub(crate) fn is_of_this_host(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL; the scheme is the one without TLS.
    pub(crate) fn url(&self, scheme: &str) -> String {
        let secure = if self.tls.is_some() { "s" } else { "" };
        format!("{scheme}{secure}://{}", self.address)
    }

    /// The TLS that is spoken there, if it is.
    pub(crate) fn tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref()
    }

    /// Lets clients in, until their gateway has drained.
    pub(crate) async fn serve_clients<B: Bus, D: Directory>(self, gateway: Clients<B, D>) {
        match self.tls {
            Some(tls) => gateway.serve_tls(self.listener, tls).await,
            None => gateway.serve(self.listener).await,
        }
    }

    /// Lets runners in, until their relay has drained.
    pub(crate) async fn serve_runners<B: Bus, D: Directory>(self, relay: Runners<B, D>) {
        match self.tls {
            Some(tls) => relay.serve_tls(self.listener, tls).await,
            None => relay.serve(self.listener).await,
        }
    }
}

/// Listens.
///
/// # Errors
/// It is not possible there.
pub(crate) async fn bind(address: &str) -> Result<(TcpListener, SocketAddr), Error> {
    let listening = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    listening.await.map_err(|source| Error::Listen { address: address.to_owned(), source })
}

/// Where this process reaches what listens there: "any address" is none to dial.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_is_dialled_as_this_host() {
        for (listening, dialled) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            assert_eq!(reachable(listening.parse().unwrap()), dialled.parse().unwrap());
        }
    }
}
