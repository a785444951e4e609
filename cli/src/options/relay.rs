//! What `underpass relay` is told.

use clap::Args;

use super::{Bus, Guard, Process, Tls};

pub(super) const EXAMPLES: &str = "\
Examples:
  underpass relay --bus nats://127.0.0.1:4222
      Takes runners in at ws://127.0.0.1:8081, for the clients of all gateways on that NATS.
  underpass relay --bus nats://10.0.0.3:4222 --listen 0.0.0.0:8081 --token \"$SECRET\"
      Takes runners from other machines, which must bring the token.
  underpass relay --bus nats://10.0.0.3:4222 --listen 0.0.0.0:8443 --token-file tokens \\
      --tls-cert example.pem --tls-key example.key
      With TLS. To rotate tokens, add a line to the file, have all runners bring the new one, and take the old one out.

When it listens, one line goes to standard output:
  ready runners=ws://127.0.0.1:8081
with wss:// if it speaks TLS, and admin=http://127.0.0.1:8082 if that is wanted. Without NATS it gives up after 10 s;
later it waits until NATS is back.
Ctrl-C (or SIGTERM) takes no new runners, sends those that there are to other relays and finishes what is open, however
long that takes; a second one ends at once. SIGUSR1 has it tell its counters on standard error, a line of JSON for
itself and one for the bus.";

#[derive(Debug, Args)]
pub(crate) struct Relay {
    /// Where runners dial in by WebSocket; port 0 takes any
    #[arg(long, env = "UNDERPASS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub(crate) listen: String,
    #[command(flatten)]
    pub(crate) guard: Guard,
    #[command(flatten)]
    pub(crate) tls: Tls,
    #[command(flatten)]
    pub(crate) process: Process,
    #[command(flatten)]
    pub(crate) bus: Bus,
}
