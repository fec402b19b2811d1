//! The one alarm for the whole app: Xero refuses our own credentials, and no grant is to blame (rule 6).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::{ErrorKind, XeroError};

/// Raised by the first refusal, cleared by the first exchange that works again. Logged at both ends, once.
#[derive(Clone, Default)]
pub struct Alarm(Arc<Mutex<Option<String>>>);

impl Alarm {
    /// What came of a request that carried our credentials. What speaks of neither them nor the app changes nothing.
    pub fn hear(&self, failed: Option<&XeroError>) {
        match failed {
            Some(error) if error.is_of_the_app() => self.raise(error.evidence_code()),
            // Xero looked at the token, so it took the credentials.
            Some(error) if error.kind == ErrorKind::Reconnect => self.clear(),
            Some(_) => {}
            None => self.clear(),
        }
    }

    /// `code` is what Xero called it, such as `invalid_client`.
    fn raise(&self, code: &str) {
        if self.lock().replace(code.to_owned()).is_none() {
            tracing::error!(
                code,
                "Xero refuses this app's own credentials: check XERO_CLIENT_ID, XERO_CLIENT_SECRET and XERO_SCOPES"
            );
        }
    }

    fn clear(&self) {
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
    use super::super::error::Transient;
    use super::*;

    #[test]
    fn it_stays_raised_until_an_exchange_works() {
        let alarm = Alarm::default();
        assert_eq!(alarm.raised(), None);
        let failed = |kind, code: &str| XeroError::without_answer(kind, code);
        let refused = failed(ErrorKind::Operator, "invalid_client");
        alarm.hear(Some(&refused));
        alarm.hear(Some(&refused));
        // What says nothing about our credentials.
        alarm.hear(Some(&failed(ErrorKind::Transient(Transient::ServerError), "http_503")));
        alarm.hear(Some(&failed(ErrorKind::Operator, "invalid_request")));
        assert_eq!(alarm.raised().as_deref(), Some("invalid_client"));
        alarm.hear(None);
        assert_eq!(alarm.raised(), None);
        alarm.hear(Some(&failed(ErrorKind::Operator, "invalid_scope")));
        assert_eq!(alarm.raised(), None, "one grant's trouble isn't the app's");
        alarm.hear(Some(&refused));
        alarm.hear(Some(&failed(ErrorKind::Reconnect, "invalid_grant")));
        assert_eq!(alarm.raised(), None, "a dead grant was looked at");
    }
}
