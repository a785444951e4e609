//! What a runner serves, and for whom.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::url::Target;

#[derive(Debug, Args)]
pub(crate) struct Served {
    /// The server to pass requests and WebSockets on to, like http://127.0.0.1:3000/base; without it, a built-in demo
    #[arg(long, env = "UNDERPASS_TO", value_name = "URL")]
    pub(crate) to: Option<Target>,
    /// The namespace that the runners belong to
    #[arg(long, env = "UNDERPASS_NAMESPACE", value_name = "NAMESPACE", default_value = "default")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) namespace: String,
}
