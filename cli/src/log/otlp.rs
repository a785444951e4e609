//! Spans for an OpenTelemetry collector.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::error::Error;
use crate::seeing::spans;

/// Sends spans, in a thread of its own. Dropped, it sends what waits.
pub(crate) struct Exporter(SdkTracerProvider);

impl Drop for Exporter {
    fn drop(&mut self) {
        // A collector that is not there is its operator's to see.
        let _ = self.0.shutdown();
    }
}

/// What makes OpenTelemetry's spans of those of requests, if they are wanted.
///
/// # Errors
/// The URL is none.
pub(crate) fn layer<S>(url: Option<&str>) -> Result<Option<(impl Layer<S>, Exporter)>, Error>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(url) = url else { return Ok(None) };
    let endpoint = format!("{}/v1/traces", url.trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| Error::Otlp { url: url.to_owned(), problem: error.to_string() })?;
    let resource = Resource::builder().with_service_name("underpass").build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("underpass"))
        .with_filter(Targets::new().with_target(spans::TARGET, tracing::Level::INFO));
    Ok(Some((layer, Exporter(provider))))
}

/// A span is the child of the one that a client's `traceparent` names.
pub(crate) fn continues(span: &Span, traceparent: &str) {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    // A span that nobody wants has no parent either.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
}
