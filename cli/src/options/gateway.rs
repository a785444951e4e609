//! What `underpass gateway` is told.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::{Bus, Process, Tls};

pub(super) const EXAMPLES: &str = "\
Examples:
  underpass gateway --bus nats://127.0.0.1:4222
      Takes clients in at http://127.0.0.1:8080, for the runners of all relays on that NATS.
  underpass gateway --bus nats://10.0.0.3:4222,nats://10.0.0.4:4222 --listen 0.0.0.0:80
      On a cluster: the servers are tried in turn.
  underpass gateway --bus tls://nats.example:4222 --bus-credentials gateway.creds --bus-ca ca.pem \\
      --listen 0.0.0.0:443 --tls-cert example.pem --tls-key example.key --admin 8082
      With TLS on both sides. http://127.0.0.1:8082/readyz says whether it takes requests.

When it listens, one line goes to standard output:
  ready gateway=http://127.0.0.1:8080
with https:// if it speaks TLS, and admin=http://127.0.0.1:8082 if that is wanted. Without NATS it gives up after 10 s;
later it waits until NATS is back.
Ctrl-C (or SIGTERM) takes no new requests and finishes what is open, however long that takes; a second one ends at
once. SIGUSR1 has it tell its counters on standard error, a line of JSON for itself and one for the bus.";

#[derive(Debug, Args)]
pub(crate) struct Gateway {
    /// Where clients come in by HTTP and WebSocket; port 0 takes any
    #[arg(long, env = "UNDERPASS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// The namespace of the runners that answer here
    #[arg(long, env = "UNDERPASS_NAMESPACE", value_name = "NAMESPACE", default_value = "default")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) namespace: String,
    #[command(flatten)]
    pub(crate) tls: Tls,
    #[command(flatten)]
    pub(crate) process: Process,
    #[command(flatten)]
    pub(crate) bus: Bus,
}
