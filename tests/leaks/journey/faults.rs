//! The part of the journey with provider failures, at the token endpoint and at the API.

use evergrant::model::BindingId;
use serde_json::json;

use super::Journey;

const FAULTS: [&str; 10] = [
    "timeout_before",
    "timeout_after",
    "reset_before",
    "reset_after",
    "status",
    "malformed",
    "truncated",
    "wrong_content_type",
    "invalid_client",
    "unauthorized_client",
];

impl Journey {
    pub(super) async fn inject_every_fault(&mut self, binding: &BindingId) {
        let id = [("binding_id", binding.as_str())];
        for kind in FAULTS {
            self.provider.inject_fault(json!({ "endpoint": "token", "kind": kind })).await;
            // Otherwise the limit on manual refreshes would apply.
            self.execute("DELETE FROM refresh_attempts").await;
            self.run_command(&["grants", "refresh", "--org", "Harbour Group", "--json"], "").await;
            let ledger_fault = self.provider.ledger().await.pop().map(|line| line["fault"].clone());
            assert_eq!(ledger_fault, Some(json!(kind)), "the fault did not strike");
        }
        for kind in ["reset_after", "truncated", "invalid_client"] {
            self.provider.inject_fault(json!({ "endpoint": "token", "kind": kind })).await;
            self.post("/api/integrations/xero/refresh-connection", &id).await;
        }
        self.clear_faults().await;
        self.run_command(&["grants", "refresh", "--org", "Harbour Group"], "").await;
        for kind in ["status", "malformed", "truncated", "wrong_content_type", "reset_before"] {
            self.provider.inject_fault(json!({ "endpoint": "organisation", "kind": kind })).await;
            self.post("/api/integrations/xero/test", &id).await;
        }
        self.clear_faults().await;
    }

    /// Removes faults that did not strike because of the circuit breaker.
    async fn clear_faults(&self) {
        self.provider.clear_faults().await;
        self.execute("DELETE FROM refresh_attempts").await;
    }
}
