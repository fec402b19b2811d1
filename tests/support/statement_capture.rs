//! Captures the SQL statements that the driver logs on a test's thread. A test's server runs on that thread.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

thread_local! {
    static CAPTURED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// The statements of requests on all threads, while a capture wants them. Pages and server functions run on threads of
/// their own.
static OF_REQUESTS: Mutex<Option<Vec<String>>> = Mutex::new(None);

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

    /// Starts the capture on all threads of this process, of what is sent within a request's span.
    pub fn start_of_requests() -> Self {
        let capture = Self::start();
        *OF_REQUESTS.lock().unwrap() = Some(Vec::new());
        capture
    }

    /// Returns the statements of requests on all threads, without those of background tasks.
    pub fn of_requests(&self) -> Vec<String> {
        OF_REQUESTS.lock().unwrap().clone().unwrap_or_default()
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
        *OF_REQUESTS.lock().unwrap() = None;
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for CaptureLayer {
    /// Returns `sometimes` for statements, so that `enabled` decides per event and thread.
    fn register_callsite(&self, callsite: &'static Metadata<'static>) -> Interest {
        match callsite.target() {
            "sqlx::query" => Interest::sometimes(),
            _ if is_request(callsite) => Interest::always(),
            _ => Interest::never(),
        }
    }

    fn enabled(&self, event: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let is_wanted = || CAPTURED.with_borrow(Option::is_some) || OF_REQUESTS.lock().unwrap().is_some();
        is_request(event) || (event.target() == "sqlx::query" && is_wanted())
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut text = StatementVisitor(String::new());
        event.record(&mut text);
        let is_of_request =
            || context.event_scope(event).is_some_and(|mut spans| spans.any(|s| is_request(s.metadata())));
        if let Some(all) = OF_REQUESTS.lock().unwrap().as_mut().filter(|_| is_of_request()) {
            all.push(text.0.clone());
        }
        CAPTURED.with_borrow_mut(|heard| heard.iter_mut().for_each(|heard| heard.push(text.0.clone())));
    }
}

/// Returns whether this is the span of a request.
fn is_request(callsite: &Metadata<'_>) -> bool {
    callsite.is_span() && callsite.name() == "request"
}

struct StatementVisitor(String);

impl Visit for StatementVisitor {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if ["summary", "db.statement"].contains(&field.name()) {
            write!(self.0, "{value:?} ").unwrap();
        }
    }
}
