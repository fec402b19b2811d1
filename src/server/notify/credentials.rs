//! Raises and clears the shared alarm for refused app credentials, from what this process has seen of Xero.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::server::store::{Store, StoreError};

/// Returns Xero's error code while this process sees the app's credentials refused, otherwise `None`.
pub type CredentialsErrorFn = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// The credentials' state in this process, and whether it has raised the alarm for it.
pub(super) struct CredentialsMonitor {
    current_error: CredentialsErrorFn,
    alarm_raised: AtomicBool,
}

impl CredentialsMonitor {
    pub fn new(refused: CredentialsErrorFn) -> Self {
        Self { current_error: refused, alarm_raised: AtomicBool::new(false) }
    }

    /// Raises the alarm once per refusal that this process sees, so that an idle process does not raise it again.
    /// Clears it when any instance has refreshed a grant since.
    pub async fn update_alarm(&self, store: &Store) -> Result<(), StoreError> {
        match (self.current_error)() {
            Some(reason) if !self.alarm_raised.load(Ordering::Relaxed) => {
                store.raise_credentials_alarm(&reason).await?;
                self.alarm_raised.store(true, Ordering::Relaxed);
            }
            Some(_) => {}
            None => self.alarm_raised.store(false, Ordering::Relaxed),
        }
        if let Some(since) = store.credentials_alarm_raised_at().await?
            && store.has_refreshed_since(since).await?
        {
            store.clear_credentials_alarm().await?;
        }
        Ok(())
    }
}
