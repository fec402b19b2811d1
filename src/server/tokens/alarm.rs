//! The one alarm for the whole app: Xero refuses our own credentials, and no grant is to blame (rule 6).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Raised by the first refusal, cleared by the first exchange that works again. Logged at both ends, once.
#[derive(Clone, Default)]
pub struct Alarm(Arc<Mutex<Option<String>>>);

impl Alarm {
    /// `code` is what Xero called it, such as `invalid_client`.
    pub fn raise(&self, code: &str) {
        if self.lock().replace(code.to_owned()).is_none() {
            tracing::error!(
                code,
                "Xero refuses this app's own credentials: check XERO_CLIENT_ID, XERO_CLIENT_SECRET and XERO_SCOPES"
            );
        }
    }

    pub fn clear(&self) {
        if self.lock().take().is_some() {
            tracing::info!("Xero accepts this app's credentials again");
        }
    }

    /// What Xero called it, while it lasts.
    pub fn raised(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_raised_until_an_exchange_works() {
        let alarm = Alarm::default();
        assert_eq!(alarm.raised(), None);
        alarm.raise("invalid_client");
        alarm.raise("invalid_client");
        assert_eq!(alarm.raised().as_deref(), Some("invalid_client"));
        alarm.clear();
        assert_eq!(alarm.raised(), None);
    }
}
