//! What the server functions about webhooks share.

use super::{ServerFnContext, append_cookie};
use crate::model::EndpointId;
use crate::server::domain::Secret;
use crate::server::http::one_time_secret;

impl ServerFnContext {
    /// Tells the next page that it shows the new secret of a webhook. It reads the secret from the database.
    pub fn reveal_webhook_secret(&self, endpoint: &EndpointId) {
        append_cookie(one_time_secret::WEBHOOK.cookie(&self.state, &Secret::new(endpoint.as_str())));
    }
}
