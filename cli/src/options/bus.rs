//! What a gateway and a relay are told of the bus.

use std::path::PathBuf;

use clap::Args;

/// NATS.
#[derive(Debug, Args)]
#[command(next_help_heading = "NATS")]
pub(crate) struct Bus {
    /// Where NATS is: nats://HOST:PORT, or tls://HOST:PORT to insist on TLS, perhaps with USER:PASSWORD@ or TOKEN@ before
    /// the host; given again or with commas, several servers of one cluster
    #[arg(long, env = "UNDERPASS_BUS", value_name = "URL", required = true, value_delimiter = ',')]
    #[arg(hide_env_values = true)]
    pub(crate) bus: Vec<String>,
    /// The first word of all subjects and buckets; fleets with different ones do not meet
    #[arg(long, env = "UNDERPASS_BUS_PREFIX", value_name = "WORD", default_value = "underpass")]
    pub(crate) bus_prefix: String,
    /// A file with a JWT and its nkey, as nsc writes it
    #[arg(long, env = "UNDERPASS_BUS_CREDENTIALS", value_name = "FILE", conflicts_with = "bus_nkey")]
    pub(crate) bus_credentials: Option<PathBuf>,
    /// A file with the seed of an nkey
    #[arg(long, env = "UNDERPASS_BUS_NKEY", value_name = "FILE")]
    pub(crate) bus_nkey: Option<PathBuf>,
    /// The authorities in this file say which server is which, besides the system's
    #[arg(long, env = "UNDERPASS_BUS_CA", value_name = "FILE")]
    pub(crate) bus_ca: Option<PathBuf>,
    /// The certificate to show to NATS, in PEM form
    #[arg(long, env = "UNDERPASS_BUS_CERT", value_name = "FILE", requires = "bus_key")]
    pub(crate) bus_cert: Option<PathBuf>,
    /// The key of that certificate
    #[arg(long, env = "UNDERPASS_BUS_KEY", value_name = "FILE", requires = "bus_cert")]
    pub(crate) bus_key: Option<PathBuf>,
    /// How many servers of a cluster keep each record, when the buckets are made
    #[arg(long, env = "UNDERPASS_BUS_REPLICAS", value_name = "COUNT", default_value = "1")]
    pub(crate) bus_replicas: usize,
    /// How many messages of a subscription may wait to be taken: a test makes it tiny
    #[arg(long, env = "UNDERPASS_BUS_SUBSCRIPTION_MESSAGES", value_name = "COUNT", hide = true)]
    pub(crate) bus_subscription_messages: Option<usize>,
}
