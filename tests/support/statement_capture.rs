//! Captures the SQL statements that the driver logs on a test's thread. A test's server runs on that thread.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

thread_local! {
    static CAPTURED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Captures this thread's statements until it is dropped.
pub struct StatementCapture(());

/// A global layer that records nothing on threads without a capture. A per-thread subscriber would miss callsites that
/// another thread registers first.
struct CaptureLayer;

impl StatementCapture {
    /// Starts the capture on this thread.
    pub fn start() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let subscriber = tracing_subscriber::registry().with(CaptureLayer);
            tracing::subscriber::set_global_default(subscriber).expect("no other global subscriber may be set");
            tracing::callsite::rebuild_interest_cache();
        });
        CAPTURED.set(Some(Vec::new()));
        Self(())
    }

    pub fn statements(&self) -> Vec<String> {
        CAPTURED.with_borrow(|heard| heard.clone().unwrap_or_default())
    }

    /// Returns the statements on tables with an organization's data, without those of background tasks.
    pub fn on_org_tables(&self) -> Vec<String> {
        let touches_org_table =
            |sql: &String| ["api_keys", "integration_", "audit_"].iter().any(|table| sql.contains(table));
        self.statements().into_iter().filter(touches_org_table).collect()
    }
}

impl Drop for StatementCapture {
    fn drop(&mut self) {
        CAPTURED.set(None);
    }
}

impl<S: Subscriber> Layer<S> for CaptureLayer {
    /// Returns `sometimes`, so that `enabled` decides per event and thread.
    fn register_callsite(&self, callsite: &'static Metadata<'static>) -> Interest {
        if callsite.target() == "sqlx::query" { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, event: &Metadata<'_>, _: Context<'_, S>) -> bool {
        event.target() == "sqlx::query" && CAPTURED.with_borrow(Option::is_some)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = StatementVisitor(String::new());
        event.record(&mut text);
        CAPTURED.with_borrow_mut(|heard| heard.iter_mut().for_each(|heard| heard.push(text.0.clone())));
    }
}

struct StatementVisitor(String);

impl Visit for StatementVisitor {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if ["summary", "db.statement"].contains(&field.name()) {
            write!(self.0, "{value:?} ").unwrap();
        }
    }
}
