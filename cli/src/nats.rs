//! What `--bus` becomes.

use underpass_transport_nats::{BusConfig, Config, Nats};

use crate::error::Error;
use crate::options::Bus;

/// Connects to NATS.
///
/// # Errors
/// It is not there, or does not want this process.
pub(crate) async fn connect(options: Bus, name: &str) -> Result<Nats, Error> {
    Ok(Nats::connect(config(options, name)).await?)
}

fn config(options: Bus, name: &str) -> Config {
    let Bus { bus: servers, bus_prefix: prefix, bus_subscription_messages } = options;
    let bus = BusConfig::default();
    let subscription_messages = bus_subscription_messages.unwrap_or(bus.subscription_messages);
    let bus = BusConfig { subscription_messages, ..bus };
    Config { servers, prefix, name: format!("underpass {name}"), bus, ..Config::default() }
}
