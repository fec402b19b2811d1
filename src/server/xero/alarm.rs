//! The app-wide alarm: Xero refuses the app's credentials, so no grant is at fault (rule 6).

use std::sync::Arc;

use parking_lot::Mutex;

use super::error::{ErrorKind, XeroError};

/// The error code of the refusal, while it lasts. Logs when the alarm is raised and when it is cleared.
#[derive(Clone, Default)]
pub struct Alarm(Arc<Mutex<Option<String>>>);

impl Alarm {
    /// Records the result of a request with the app's credentials. A failure that says nothing about them is ignored.
    pub fn report(&self, failed: Option<&XeroError>) {
        match failed {
            Some(error) if error.is_app_refusal() => self.raise(error.evidence_code()),
            // Xero examined the token, so it accepted the credentials.
            Some(error) if error.kind == ErrorKind::Reconnect => self.clear(),
            Some(_) => {}
            None => self.clear(),
        }
    }

    /// Raises the alarm. `code` is Xero's, such as `invalid_client`.
    fn raise(&self, code: &str) {
        if self.0.lock().replace(code.to_owned()).is_none() {
            tracing::error!(
                code,
                "Xero refuses the app's credentials: check XERO_CLIENT_ID, XERO_CLIENT_SECRET and XERO_SCOPES"
            );
        }
    }

    fn clear(&self) {
        if self.0.lock().take().is_some() {
            tracing::info!("Xero accepts the app's credentials again");
        }
    }

    /// Returns Xero's error code while the alarm is raised.
    pub fn raised(&self) -> Option<String> {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::xero::HttpResponse;

    #[test]
    fn alarm_stays_raised_until_credentials_are_accepted() {
        let alarm = Alarm::default();
        assert_eq!(alarm.raised(), None);
        let answered = |status, code: &str| {
            let body = format!(r#"{{"error":"{code}"}}"#);
            XeroError::from_identity(&HttpResponse::for_test(status, "application/json", body.as_bytes()))
        };
        let refused = answered(401, "invalid_client");
        alarm.report(Some(&refused));
        alarm.report(Some(&refused));
        // Failures that say nothing about the credentials.
        alarm.report(Some(&answered(503, "server_error")));
        alarm.report(Some(&answered(400, "invalid_request")));
        assert_eq!(alarm.raised().as_deref(), Some("invalid_client"));
        alarm.report(None);
        assert_eq!(alarm.raised(), None);
        alarm.report(Some(&answered(400, "invalid_scope")));
        assert_eq!(alarm.raised(), None, "a failure of one grant raises no alarm");
        alarm.report(Some(&refused));
        alarm.report(Some(&answered(400, "invalid_grant")));
        assert_eq!(alarm.raised(), None, "invalid_grant clears the alarm");
    }
}
