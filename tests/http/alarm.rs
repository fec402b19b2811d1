//! The one alarm: Xero refuses Evergrant itself.

use evergrant::model::BindingStatus;
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::support::databases::TestDatabase;
use crate::support::keeper::consent;
use crate::support::web::{Browser, Web};

const WORDS: &str = "Xero refuses Evergrant itself";
const REFRESH: &str = "/api/integrations/xero/refresh";

/// On which of the pages the alarm stands.
async fn raised(browser: &Browser) -> Vec<bool> {
    let mut raised = Vec::new();
    for path in ["/", "/settings/integrations", "/no-such-page"] {
        raised.push(browser.get(path).await.text.contains(WORDS));
    }
    raised
}

#[tokio::test]
async fn it_stands_on_every_page_of_owners_and_admins_until_it_is_over() {
    for database in TestDatabase::each().await {
        let web = Web::on(database).await;
        let (owner, org) = web.person("ana@example.com", "Harbour").await;
        let (elsewhere, _) = web.person("eve@example.com", "Kauri").await;
        let (member, _) = web.person("mia@example.com", "Harbour").await;
        let demoted = "UPDATE memberships SET role = 'member' WHERE user_id IN \
                       (SELECT id FROM users WHERE email = 'mia@example.com')";
        sqlx::query(AssertSqlSafe(demoted)).execute(web.store.database().pool()).await.unwrap();
        consent(&web.store, &web.provider, org.clone(), &["harbour"], 60).await;
        assert_eq!(raised(&owner).await, [false; 3]);

        let refused = json!({"endpoint": "token", "kind": "invalid_client", "times": 3});
        web.provider.control("faults", refused).await;
        owner.post(REFRESH, &[("clicked", "false")]).await;
        assert_eq!(raised(&owner).await, [true; 3]);
        assert!(owner.get("/").await.text.contains("<code>invalid_client</code>"));
        assert_eq!(raised(&elsewhere).await, [true; 3], "it is the whole app's");
        assert_eq!(raised(&member).await, [false; 3], "who could do nothing about it");
        assert!(!web.browser().get("/login").await.text.contains(WORDS));
        assert!(web.bindings(&org).await.iter().all(|bound| bound.binding.status == BindingStatus::Active));

        // Probes go on, and the first that works ends it.
        for probe in 1..=3 {
            assert_eq!(raised(&owner).await, [true; 3], "before probe {probe}");
            web.advance(300);
            owner.post(REFRESH, &[("clicked", "false")]).await;
        }
        assert_eq!(raised(&owner).await, [false; 3]);
        web.stop().await;
    }
}
