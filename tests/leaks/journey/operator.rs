//! The operator's part of the journey.

use serde_json::json;
use sqlx::Row as _;

use super::Journey;

impl Journey {
    pub(super) async fn run_operator_commands(&mut self) {
        self.run_command(&["doctor"], "").await;
        self.run_command(&["doctor", "--json"], "").await;
        self.run_command(&["grants", "list"], "").await;
        self.run_command(&["encryption-key", "rotate"], "").await;
        let keys = std::fs::read_to_string(self.folder.path().join("data/keys")).unwrap();
        for key in keys.lines().filter_map(|line| line.split_once(':')) {
            self.add_secret(&format!("key {}", key.0), key.1);
        }
        // Xero revokes the grant, and an operator has another token.
        let (person, _) = self.live_grant().await;
        self.provider.control("revoke-grant", json!({ "xero_user_id": person })).await;
        self.run_command(&["grants", "refresh", "--org", "Harbour Group"], "").await;
        self.visit_pages().await;
        let minted = self.provider.control("mint", json!({ "user": "mere", "tenants": ["harbour"] })).await;
        let (_, grant) = self.live_grant().await;
        for token in ["a-token-of-nobodys", minted["refresh_token"].as_str().unwrap()] {
            self.add_secret("a token typed in", token);
            let said =
                self.run_command(&["grants", "rescue", "--grant", &grant, "--json"], &format!("{token}\n")).await;
            let (_, text) = &self.captured[self.captured.len() - 1];
            assert_eq!(said, token != "a-token-of-nobodys", "{}", String::from_utf8_lossy(text));
        }
        // The old key is retired while the server runs.
        self.run_command(&["encryption-key", "rotate", "--retire"], "").await;
    }

    /// Returns the Xero user id and the id of the only unrevoked grant.
    async fn live_grant(&self) -> (String, String) {
        let query = sqlx::query("SELECT xero_user_id, id FROM integration_grants WHERE status <> 'revoked'");
        let row = query.fetch_one(&mut self.open().await).await.unwrap();
        (row.get(0), row.get(1))
    }
}
