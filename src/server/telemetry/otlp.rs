//! Exports traces over HTTP to the collector that OpenTelemetry's standard variables name. Without one nothing is
//! built.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::registry::LookupSpan;

/// The target of spans that serve the log only.
pub const LOG_ONLY_TARGET: &str = "evergrant::quiet";
/// How long a shutdown waits for the last spans to be sent.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
const SERVICE: &str = "evergrant";
const SERVICE_NAME: &str = "service.name";

/// Sends spans in batches every few seconds, from its own thread. Its queue is bounded: if the collector is too slow,
/// spans are dropped and nothing blocks.
pub struct TraceExporter(SdkTracerProvider);

/// Why there is no exporter although the environment asks for one.
#[derive(Debug, thiserror::Error)]
#[error("can't export traces: {0}")]
pub struct TraceExporterError(#[from] ExporterBuildError);

/// Logs when the collector stops or starts accepting batches.
#[derive(Debug)]
pub struct LoggingExporter<E> {
    inner: E,
    /// Whether the last batch failed.
    is_failing: AtomicBool,
}

impl TraceExporter {
    /// Creates the exporter; `None` if the environment names no collector or turns traces off.
    pub fn from_environment() -> Result<Option<Self>, TraceExporterError> {
        if !is_enabled(|name| std::env::var(name).ok()) {
            return Ok(None);
        }
        let to = opentelemetry_otlp::SpanExporter::builder().with_http().build()?;
        let exported = LoggingExporter { inner: to, is_failing: AtomicBool::new(false) };
        // The builder reads the sampler and the batch settings from the environment.
        Ok(Some(Self(SdkTracerProvider::builder().with_batch_exporter(exported).with_resource(resource()).build())))
    }

    /// Sends the remaining spans, for at most `SHUTDOWN_TIMEOUT`.
    pub async fn shutdown(self) {
        let sent = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(SHUTDOWN_TIMEOUT)).await;
        // Other failures have been logged already.
        if matches!(sent, Ok(Err(OTelSdkError::Timeout(_)))) {
            tracing::warn!("trace export timed out at shutdown");
        }
    }
}

/// Returns the layer that exports our own spans. Log events don't become part of them.
pub fn layer<S>(exporter: &TraceExporter) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let ours = filter_fn(|metadata| {
        let is_ours = metadata.target().starts_with("evergrant") && metadata.target() != LOG_ONLY_TARGET;
        is_ours && metadata.is_span() && *metadata.level() <= tracing::Level::INFO
    });
    tracing_opentelemetry::layer()
        .with_tracer(exporter.0.tracer(SERVICE))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(ours.with_max_level_hint(LevelFilter::INFO))
}

fn is_enabled(variable: impl Fn(&str) -> Option<String>) -> bool {
    let says = |name, word: &str| variable(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(word));
    let names_one = |name| variable(name).is_some_and(|value| !value.trim().is_empty());
    let named = names_one("OTEL_EXPORTER_OTLP_ENDPOINT") || names_one("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    named && !says("OTEL_SDK_DISABLED", "true") && !says("OTEL_TRACES_EXPORTER", "none")
}

/// Returns the service's name and version. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` take precedence.
fn resource() -> Resource {
    let said = Resource::builder().build();
    let unnamed = said.get(&Key::new(SERVICE_NAME)).is_none_or(|name| name.to_string().starts_with("unknown_service"));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let ours = Resource::builder().with_attribute(version);
    if unnamed { ours.with_service_name(SERVICE) } else { ours }.build()
}

impl<E: SpanExporter> SpanExporter for LoggingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.inner.export(batch).await;
        match &sent {
            // The error isn't logged: it may contain the collector's URL, and with it a password.
            Err(_) if !self.is_failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!("trace export failed, dropping traces");
            }
            Ok(()) if self.is_failing.swap(false, Ordering::Relaxed) => {
                tracing::info!("trace export recovered");
            }
            Ok(()) | Err(_) => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_needs_a_named_collector_and_can_be_disabled() {
        let wanted = |set: &[(&str, &str)]| {
            is_enabled(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        let named = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert!(wanted(&[named]) && wanted(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1/v1/traces")]));
        assert!(!wanted(&[]) && !wanted(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]));
        assert!(
            !wanted(&[named, ("OTEL_SDK_DISABLED", "true")]) && !wanted(&[named, ("OTEL_TRACES_EXPORTER", "none")])
        );
        assert!(wanted(&[named, ("OTEL_SDK_DISABLED", "false")]));
    }
}
