//! What `--bus` becomes.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use underpass_transport_nats::{BucketError, BusConfig, Config, Credentials, Nats, NatsBus, StoreConfig, Tls};

use crate::error::Error;
use crate::options::Bus;
use crate::{Ended, tell};

/// How long NATS may take until it is there, with what it keeps.
const WITHIN: Duration = Duration::from_secs(10);
/// Between two attempts to open what it keeps.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// How long NATS may be away while what is open is finished: as long as pings of runners go unanswered.
const AWAY_FOR: Duration = Duration::from_secs(30);
/// How long, at the end, what was published may take to leave.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// A connection to NATS that has just been made.
pub(crate) struct Connected {
    pub(crate) nats: Nats,
    /// By when all of it must be there.
    by: Instant,
}

/// Connects to NATS.
///
/// # Errors
/// It is not there, or does not want this process.
pub(crate) async fn connect(options: Bus, name: &str) -> Result<Connected, Error> {
    let by = Instant::now() + WITHIN;
    Ok(Connected { nats: Nats::connect(config(options, name)?).await?, by })
}

impl Connected {
    /// Opens something that NATS keeps. JetStream may come a little later than the server.
    ///
    /// # Errors
    /// It is not there in time, or does not want this process.
    pub(crate) async fn open<T>(&self, open: impl AsyncFn(&Nats) -> Result<T, BucketError>) -> Result<T, Error> {
        loop {
            match open(&self.nats).await {
                Ok(opened) => return Ok(opened),
                Err(error) if error.may_pass() && Instant::now() < self.by => tokio::time::sleep(AGAIN_AFTER).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Lets what is open finish. Without NATS it cannot: if that is away for long, what is open is given up.
pub(crate) async fn unless_away(nats: &Nats, open: impl Future<Output = ()>) -> Ended {
    tokio::select! {
        () = open => Ended::Drained,
        () = away_for(nats, AWAY_FOR) => {
            tell(&format!("NATS is away for {} s: what is open is given up", AWAY_FOR.as_secs()));
            Ended::WithErrors
        }
    }
}

/// Waits until NATS was away for so long.
async fn away_for(nats: &Nats, long: Duration) {
    let (mut bus, mut store) = (nats.connected(), nats.storing());
    loop {
        let back = async {
            // What is seen is let go at once: it is locked. Who serves keeps the connections, so they outlive this.
            bus.wait_for(|bus| bus.there).await.map(drop).ok();
            store.wait_for(|store| store.there).await.map(drop).ok();
        };
        if timeout(long, back).await.is_err() {
            return;
        }
        tokio::select! {
            _ = bus.wait_for(|bus| !bus.there) => {}
            _ = store.wait_for(|store| !store.there) => {}
        }
    }
}

/// Waits until what was published is on its way, or NATS is away for too long.
pub(crate) async fn flush(bus: &NatsBus) {
    if timeout(FLUSH_WITHIN, bus.flush()).await.is_err() {
        tracing::warn!("NATS is away: what was published last may be lost");
    }
}

fn config(options: Bus, name: &str) -> Result<Config, Error> {
    let (bus, store) = (BusConfig::default(), StoreConfig::default());
    let subscription_messages = options.bus_subscription_messages.unwrap_or(bus.subscription_messages);
    let credentials = match (options.bus_credentials, options.bus_nkey) {
        (Some(file), _) => Credentials::File(file),
        (None, Some(file)) => Credentials::Nkey(seed(file)?),
        (None, None) => Credentials::None,
    };
    for file in options.bus_ca.iter().chain(&options.bus_cert).chain(&options.bus_key) {
        // The client would try again and again.
        fs::File::open(file).map_err(|source| Error::Read { path: file.clone(), source })?;
    }
    let tls = Tls {
        authorities: options.bus_ca.into_iter().collect(),
        certificate: options.bus_cert.zip(options.bus_key),
        ..Tls::default()
    };
    Ok(Config {
        servers: options.bus,
        prefix: options.bus_prefix,
        name: format!("underpass {name}"),
        credentials,
        tls,
        connect: WITHIN,
        bus: BusConfig { subscription_messages, ..bus },
        store: StoreConfig { replicas: options.bus_replicas, ..store },
        ..Config::default()
    })
}

fn seed(path: PathBuf) -> Result<String, Error> {
    let text = fs::read_to_string(&path).map_err(|source| Error::Read { path, source })?;
    Ok(text.trim().to_owned())
}
