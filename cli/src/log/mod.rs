//! What the program logs, to standard error.

mod lines;
#[cfg(feature = "otlp")]
mod otlp;

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::filter::{FilterExt, ParseError, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use self::lines::Lines;
#[cfg(feature = "otlp")]
pub(crate) use self::otlp::continues;
use crate::error::Error;
use crate::options::{Log, LogFormat};

/// What has to be seen to before the program ends. Dropping it writes what was logged and is not written yet.
pub(crate) struct Logging {
    #[cfg(feature = "otlp")]
    _exporter: Option<otlp::Exporter>,
    _lines: Lines,
}

/// Logs from here on, until what it gives is dropped.
///
/// # Errors
/// The filter is none, or there can be no spans for the collector.
pub(crate) fn start(options: &Log) -> Result<Logging, Error> {
    let filter = filter(&options.log)?;
    let lines = Lines::start(io::stderr());
    let layer = fmt::layer().with_writer(lines.writer()).with_ansi(io::stderr().is_terminal());
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match options.log_format {
        LogFormat::Text => layer.with_filter(filter).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed(),
    };
    let registry = Registry::default().with(layer);
    #[cfg(feature = "otlp")]
    {
        let (layer, exporter) = otlp::layer(options.otlp.as_deref())?.unzip();
        registry.with(layer).init();
        Ok(Logging { _exporter: exporter, _lines: lines })
    }
    #[cfg(not(feature = "otlp"))]
    {
        registry.init();
        Ok(Logging { _lines: lines })
    }
}

/// What is to be logged: what is asked for, and of other crates no details, which would have what requests carry.
fn filter(filter: &str) -> Result<impl Filter<Registry> + use<>, Error> {
    let ours = |target: &str| target.split("::").next() == Some("underpass") || target.starts_with("underpass_");
    Ok(asked(filter)?.and(filter_fn(move |what| *what.level() <= Level::INFO || ours(what.target()))))
}

fn asked(filter: &str) -> Result<EnvFilter, Error> {
    let wrong = |problem: String| Error::Log { filter: filter.to_owned(), problem };
    let env_filter = EnvFilter::try_new(filter).map_err(|error| wrong(error.to_string()))?;
    // What it says is told anyway, with what is to be done about it.
    if filter.contains("async_nats") {
        return Ok(env_filter);
    }
    Ok(env_filter.add_directive("async_nats=off".parse().map_err(|error: ParseError| wrong(error.to_string()))?))
}
