//! What `underpass up` is told.

use std::path::PathBuf;

use clap::Args;

use super::{Guard, Process, Served, Tls};

pub(super) const EXAMPLES: &str = "\
Examples:
  underpass up
      Serves the demo. Try: curl http://127.0.0.1:8080/hello
  underpass up --to http://127.0.0.1:3000
      Passes requests and WebSockets on to a server of yours.
  underpass up --listen 0.0.0.0:80 --runners 0.0.0.0:8081 --token \"$SECRET\"
      Takes clients and runners from other machines; runners must bring the token. Nothing of it is encrypted.
  underpass up --listen 0.0.0.0:443 --runners 0.0.0.0:8443 --token-file tokens --tls-cert a.pem --tls-key a.key
      The same with TLS, for clients and for runners.
  underpass up --data /var/lib/underpass
      Keeps on disk what actors put into their key-value stores. What was acknowledged survives any end of the process.
  underpass up --listen 127.0.0.1:0 --runners 127.0.0.1:0
      Takes any free ports; the line on standard output says which.

When all is listening, one line goes to standard output:
  ready gateway=http://127.0.0.1:8080 runners=ws://127.0.0.1:8081
Ctrl-C (or SIGTERM) takes no new requests and finishes what is open, however long that takes; a second one ends at
once. SIGUSR1 has it tell its counters on standard error, a line of JSON for each machine; SIGHUP has it read certificates
and tokens again, if they are in files. Its own runner is in the pool `default`; beside a door with TLS it has a port of
its own, for this host alone, so that neither names in certificates nor --client-ca keep it out.

Which actor a client means: /gateway/ACTOR/rest reaches ACTOR as /rest; so do the headers
x-rivet-target: actor and x-rivet-actor: ACTOR; anything else reaches the actor `default`.
The header x-underpass-pool: NAME asks for the runners of another pool. With --to, the server reads the actor in the
header x-underpass-actor.";

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Where clients come in by HTTP and WebSocket; port 0 takes any
    #[arg(long, env = "UNDERPASS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// Where runners dial in by WebSocket; port 0 takes any
    #[arg(long, env = "UNDERPASS_RUNNERS", value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub(crate) runners: String,
    /// The directory in which actors' key-value stores are kept; without it, in memory
    #[arg(long, env = "UNDERPASS_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) guard: Guard,
    #[command(flatten)]
    pub(crate) tls: Tls,
    #[command(flatten)]
    pub(crate) process: Process,
    #[command(flatten)]
    pub(crate) served: Served,
}
