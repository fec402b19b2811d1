//! Raises and clears the shared alarm for refused app credentials, from what this process has seen of Xero, and keeps a
//! copy of it, which pages show.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::server::store::{CredentialsAlarm, Store, StoreError};

/// Returns Xero's error code while this process sees the app's credentials refused, otherwise `None`.
pub type CredentialsErrorFn = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// The credentials' state in this process, and the alarm of all instances.
pub(super) struct CredentialsMonitor {
    current_error: CredentialsErrorFn,
    state: Mutex<MonitorState>,
}

#[derive(Default)]
struct MonitorState {
    /// Whether this process has raised the alarm for the refusal that it sees.
    is_raised: bool,
    /// The alarm as the database had it.
    shared: Option<CredentialsAlarm>,
}

impl CredentialsMonitor {
    pub fn new(refused: CredentialsErrorFn) -> Self {
        Self { current_error: refused, state: Mutex::default() }
    }

    /// Returns the alarm. A refusal or a success of this process counts until the database has it; from then on the
    /// database says what all instances know.
    pub fn alarm(&self, now: i64) -> Option<CredentialsAlarm> {
        let state = self.state.lock();
        match ((self.current_error)(), state.is_raised) {
            (Some(code), false) => Some(CredentialsAlarm { code, raised_at: now }),
            (None, true) => None,
            (Some(_), true) | (None, false) => state.shared.clone(),
        }
    }

    /// Raises the alarm once per refusal that this process sees, so that an idle process does not raise it again.
    /// Clears it when any instance has refreshed a grant since. Has open pages read again if it was raised or cleared.
    pub async fn update_alarm(&self, store: &Store) -> Result<(), StoreError> {
        let error = (self.current_error)();
        if let Some(code) = error.as_ref().filter(|_| !self.state.lock().is_raised) {
            store.raise_credentials_alarm(code).await?;
        }
        let mut shared = store.credentials_alarm().await?;
        if let Some(alarm) = &shared
            && store.has_refreshed_since(alarm.raised_at).await?
        {
            store.clear_credentials_alarm().await?;
            shared = None;
        }
        let mut state = self.state.lock();
        let is_news = state.shared != shared;
        *state = MonitorState { is_raised: error.is_some(), shared };
        drop(state);
        if is_news {
            store.changes().publish_lagged();
        }
        Ok(())
    }
}
