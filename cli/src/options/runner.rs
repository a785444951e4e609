//! What `underpass runner` is told.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::{Process, Served, seconds};
use crate::url::RelayUrl;

pub(super) const EXAMPLES: &str = "\
Examples:
  underpass runner --relay ws://127.0.0.1:8081
      Serves the demo beside the runner of `underpass up`; they share the requests.
  underpass runner --relay ws://10.0.0.7:8081 --token \"$SECRET\" --to http://127.0.0.1:3000
      Brings a server behind a firewall to the clients of a gateway elsewhere.
  underpass runner --relay wss://relay.example:8443 --ca ca.pem --token-file token
      By TLS, believing only the authorities of a file.
  underpass runner --relay ws://127.0.0.1:8081 --name images --to http://127.0.0.1:4000
      Joins the pool `images`: clients ask for it with the header x-underpass-pool: images.

When the relay has taken it in, one line goes to standard output:
  ready runner=KEY relay=ws://127.0.0.1:8081
It keeps dialling while the relay is away. Ctrl-C finishes what is open; a second one ends at once. SIGUSR1 has it tell
its counters on standard error, a line of JSON.";

#[derive(Debug, Args)]
pub(crate) struct Runner {
    /// The relay to dial; given again or with commas, several that are dialled in turn: the next one when a connection
    /// fails or breaks, and when a relay drains
    #[arg(long, env = "UNDERPASS_RELAY", value_name = "URL", required = true, value_delimiter = ',')]
    pub(crate) relay: Vec<RelayUrl>,
    /// The pool to join; runners of one pool share its requests
    #[arg(long, env = "UNDERPASS_NAME", value_name = "POOL", default_value = "default")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,
    /// By what the relay knows this runner when it comes again; it takes the place of one with the same key. Random
    /// unless given
    #[arg(long, env = "UNDERPASS_KEY", value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) key: Option<String>,
    /// How long the relay may say nothing, in seconds, before it is taken for gone and dialled anew
    #[arg(long, env = "UNDERPASS_SILENCE", value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    pub(crate) silence: Duration,
    /// What the relay wants runners to bring
    #[arg(long, env = "UNDERPASS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// A file with that token in its first line
    #[arg(long, env = "UNDERPASS_TOKEN_FILE", value_name = "FILE", conflicts_with = "token")]
    pub(crate) token_file: Option<PathBuf>,
    /// The authorities in this file say which relay is which, and not the system's; for wss://
    #[arg(long, env = "UNDERPASS_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The certificate to show to a relay that wants one, in PEM form
    #[arg(long, env = "UNDERPASS_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of that certificate
    #[arg(long, env = "UNDERPASS_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) process: Process,
    #[command(flatten)]
    pub(crate) served: Served,
}
