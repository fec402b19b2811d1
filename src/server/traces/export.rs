//! Where traces go: to the collector that the standard variables of OpenTelemetry name, by HTTP; without them nowhere,
//! and nothing is built up.

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

/// The target of spans that are in the log alone.
pub const QUIET: &str = "evergrant::quiet";
/// How long a stop waits for the last spans to leave.
const LAST: Duration = Duration::from_secs(5);
const SERVICE: &str = "evergrant";
const SERVICE_NAME: &str = "service.name";

/// What sends spans, a batch every few seconds, from a thread of its own. Its queue is bounded: where the collector
/// doesn't keep up, spans are let go and nobody waits.
pub struct Exporter(SdkTracerProvider);

/// Why there is none although the environment asks for it.
#[derive(Debug, thiserror::Error)]
#[error("traces can't be exported: {0}")]
pub struct NoExporter(#[from] ExporterBuildError);

/// A batch's way out.
#[derive(Debug)]
pub struct Exported<E> {
    to: E,
    /// The collector didn't take the last batch.
    refused: AtomicBool,
}

impl Exporter {
    /// `None` where the environment names no collector, or says that there is to be none.
    pub fn from_environment() -> Result<Option<Self>, NoExporter> {
        if !is_wanted(|name| std::env::var(name).ok()) {
            return Ok(None);
        }
        let to = opentelemetry_otlp::SpanExporter::builder().with_http().build()?;
        let exported = Exported { to, refused: AtomicBool::new(false) };
        // The sampler, its argument and the batches' measure are the environment's too: the builder reads them.
        Ok(Some(Self(SdkTracerProvider::builder().with_batch_exporter(exported).with_resource(resource()).build())))
    }

    /// Sends what is left, and waits for it no longer than a moment.
    pub async fn end(self) {
        let sent = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST)).await;
        // A collector that refused them has been told of.
        if matches!(sent, Ok(Err(OTelSdkError::Timeout(_)))) {
            tracing::warn!("the last traces had no time to leave");
        }
    }
}

/// Makes traces of our own spans; nothing that is logged on the way becomes part of them.
pub fn layer<S>(exporter: &Exporter) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let ours = filter_fn(|metadata| {
        let is_ours = metadata.target().starts_with("evergrant") && metadata.target() != QUIET;
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

fn is_wanted(variable: impl Fn(&str) -> Option<String>) -> bool {
    let says = |name, word: &str| variable(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(word));
    let names_one = |name| variable(name).is_some_and(|value| !value.trim().is_empty());
    let named = names_one("OTEL_EXPORTER_OTLP_ENDPOINT") || names_one("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    named && !says("OTEL_SDK_DISABLED", "true") && !says("OTEL_TRACES_EXPORTER", "none")
}

/// As whom we export: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` come first.
fn resource() -> Resource {
    let said = Resource::builder().build();
    let unnamed = said.get(&Key::new(SERVICE_NAME)).is_none_or(|name| name.to_string().starts_with("unknown_service"));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let ours = Resource::builder().with_attribute(version);
    if unnamed { ours.with_service_name(SERVICE) } else { ours }.build()
}

impl<E: SpanExporter> SpanExporter for Exported<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.to.export(batch).await;
        match &sent {
            // It may name the collector's address, and with that a password: what went wrong is said in its own log.
            Err(_) if !self.refused.swap(true, Ordering::Relaxed) => {
                tracing::warn!("the collector doesn't take traces; they are let go until it does");
            }
            Ok(()) if self.refused.swap(false, Ordering::Relaxed) => {
                tracing::info!("the collector takes traces again");
            }
            Ok(()) | Err(_) => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.to.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.to.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.to.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_exported_unless_a_collector_is_named_and_wanted() {
        let wanted = |set: &[(&str, &str)]| {
            is_wanted(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
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
