//! Which runners are let in.

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

/// What runners must bring and show.
#[derive(Debug, Args)]
pub(crate) struct Guard {
    /// What runners must bring; given again or with commas, several, of which each will do
    #[arg(long, env = "UNDERPASS_TOKEN", value_name = "TOKEN", value_delimiter = ',', hide_env_values = true)]
    pub(crate) token: Vec<String>,
    /// A file with tokens, one a line, besides those of --token; it is read again when it changes, and on SIGHUP
    #[arg(long, env = "UNDERPASS_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The authorities in this file must have signed the certificate that a runner shows
    #[arg(long, env = "UNDERPASS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Let runners of other machines in although nothing is asked of them
    #[arg(long, env = "UNDERPASS_INSECURE", value_parser = FalseyValueParser::new())]
    pub(crate) insecure: bool,
}
