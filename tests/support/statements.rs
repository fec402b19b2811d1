//! What a test's own statements to PostgreSQL are, as the driver logs them. A test's server runs on its thread.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

thread_local! {
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Keeps this thread's statements until it is dropped.
pub struct Statements(());

/// One ear for the whole process, which is deaf on threads where nobody listens. (An ear of one thread's own would be
/// forgotten for places in the code that another thread comes to first.)
struct Ear;

impl Statements {
    pub fn watch() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let subscriber = tracing_subscriber::registry().with(Ear);
            tracing::subscriber::set_global_default(subscriber).expect("nobody else listens in this process");
            tracing::callsite::rebuild_interest_cache();
        });
        HEARD.set(Some(Vec::new()));
        Self(())
    }

    pub fn all(&self) -> Vec<String> {
        HEARD.with_borrow(|heard| heard.clone().unwrap_or_default())
    }

    /// Those that an organisation's data is in: the server's own round of looking about is left out.
    pub fn of_ours(&self) -> Vec<String> {
        let is_ours = |sql: &String| ["api_keys", "integration_", "audit_"].iter().any(|table| sql.contains(table));
        self.all().into_iter().filter(is_ours).collect()
    }
}

impl Drop for Statements {
    fn drop(&mut self) {
        HEARD.set(None);
    }
}

impl<S: Subscriber> Layer<S> for Ear {
    /// Asked at each event: what one thread wants to hear isn't what another does.
    fn register_callsite(&self, place: &'static Metadata<'static>) -> Interest {
        if place.target() == "sqlx::query" { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, event: &Metadata<'_>, _: Context<'_, S>) -> bool {
        event.target() == "sqlx::query" && HEARD.with_borrow(Option::is_some)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        HEARD.with_borrow_mut(|heard| heard.iter_mut().for_each(|heard| heard.push(text.0.clone())));
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if ["summary", "db.statement"].contains(&field.name()) {
            write!(self.0, "{value:?} ").unwrap();
        }
    }
}
