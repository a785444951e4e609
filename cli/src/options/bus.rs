//! What a gateway and a relay are told of the bus.

use clap::Args;

/// NATS.
#[derive(Debug, Args)]
#[command(next_help_heading = "NATS")]
pub(crate) struct Bus {
    /// Where NATS is: nats://HOST:PORT or tls://HOST:PORT; given again or with commas, several servers of one cluster
    #[arg(long, env = "UNDERPASS_BUS", value_name = "URL", required = true, value_delimiter = ',')]
    #[arg(hide_env_values = true)]
    pub(crate) bus: Vec<String>,
    /// The first word of all subjects and buckets; fleets with different ones do not meet
    #[arg(long, env = "UNDERPASS_BUS_PREFIX", value_name = "WORD", default_value = "underpass")]
    pub(crate) bus_prefix: String,
    /// How many messages of a subscription may wait to be taken; a test makes it tiny
    #[arg(long, env = "UNDERPASS_BUS_SUBSCRIPTION_MESSAGES", value_name = "COUNT", hide = true)]
    pub(crate) bus_subscription_messages: Option<usize>,
}
