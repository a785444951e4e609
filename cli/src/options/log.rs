//! What a process is to log.

use clap::{Args, ValueEnum};

/// What is logged, and how.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// What to log to standard error: error, warn, info, debug, trace, or a filter like underpass=debug; requests are
    /// logged by underpass::requests=info
    #[arg(long, env = "UNDERPASS_LOG", value_name = "FILTER", default_value = "warn", global = true)]
    #[arg(display_order = 100)]
    pub(crate) log: String,
    /// How a line of the log is written
    #[arg(long, env = "UNDERPASS_LOG_FORMAT", value_name = "FORMAT", default_value = "text", global = true)]
    #[arg(display_order = 101)]
    pub(crate) log_format: LogFormat,
    /// Where an OpenTelemetry collector takes spans of requests by OTLP over HTTP, like http://127.0.0.1:4318
    #[cfg(feature = "otlp")]
    #[arg(long, env = "UNDERPASS_OTLP", value_name = "URL", global = true, display_order = 102)]
    pub(crate) otlp: Option<String>,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// An object of JSON a line
    Json,
}
