//! Every way in which Xero can fail us, at the exchange and at the API.

use evergrant::model::BindingId;
use serde_json::json;

use super::Stage;

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

impl Stage {
    pub(super) async fn fail_in_every_way(&mut self, binding: &BindingId) {
        let id = [("binding_id", binding.as_str())];
        for kind in FAULTS {
            self.provider.control("faults", json!({ "endpoint": "token", "kind": kind })).await;
            // So many tries in a minute are more than operators are given.
            self.execute("DELETE FROM refresh_attempts").await;
            self.run(&["grants", "refresh", "--org", "Harbour Group", "--json"], "").await;
            let struck = self.provider.ledger().await.pop().map(|line| line["fault"].clone());
            assert_eq!(struck, Some(json!(kind)), "it never came to that");
        }
        for kind in ["reset_after", "truncated", "invalid_client"] {
            self.provider.control("faults", json!({ "endpoint": "token", "kind": kind })).await;
            self.post("/api/integrations/xero/refresh-connection", &id).await;
        }
        self.forget_faults().await;
        self.run(&["grants", "refresh", "--org", "Harbour Group"], "").await;
        for kind in ["status", "malformed", "truncated", "wrong_content_type", "reset_before"] {
            self.provider.control("faults", json!({ "endpoint": "organisation", "kind": kind })).await;
            self.post("/api/integrations/xero/test", &id).await;
        }
        self.forget_faults().await;
    }

    /// Those that a breaker kept from striking.
    async fn forget_faults(&self) {
        let address = format!("{}/_control/faults", self.provider.base);
        self.provider.client.delete(address).send().await.unwrap();
        self.execute("DELETE FROM refresh_attempts").await;
    }
}
