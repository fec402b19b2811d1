//! Tells of Xero's refusal of the app's own credentials, which is in no row: each process knows what it met.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::server::store::{Store, StoreError};

/// What Xero called its refusal of our credentials, while this process knows of one.
pub type Refused = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// What this process knows, and whether it has said so.
pub(super) struct Credentials {
    refused: Refused,
    said: AtomicBool,
}

impl Credentials {
    pub fn new(refused: Refused) -> Self {
        Self { refused, said: AtomicBool::new(false) }
    }

    /// Raises the alarm that all instances share when this process meets a refusal; once, so that it isn't raised
    /// again by who has asked Xero nothing since. It is over once anybody's exchange has worked.
    pub async fn watch(&self, store: &Store) -> Result<(), StoreError> {
        match (self.refused)() {
            Some(reason) if !self.said.load(Ordering::Relaxed) => {
                store.credentials_refused(&reason).await?;
                self.said.store(true, Ordering::Relaxed);
            }
            Some(_) => {}
            None => self.said.store(false, Ordering::Relaxed),
        }
        if let Some(since) = store.credentials_refused_at().await?
            && store.refreshed_since(since).await?
        {
            store.credentials_accepted().await?;
        }
        Ok(())
    }
}
