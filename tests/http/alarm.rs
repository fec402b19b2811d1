//! The app-wide alarm: Xero refuses Evergrant's app credentials.

use evergrant::model::BindingStatus;
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::support::browser::Browser;
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;
use crate::support::wait::{MAX_WAIT, eventually};

const ALARM_TEXT: &str = "Xero refuses Evergrant's app credentials";
const REFRESH_PATH: &str = "/api/integrations/xero/refresh";

/// Returns for each page whether it shows the alarm.
async fn pages_showing_alarm(browser: &Browser) -> Vec<bool> {
    let mut raised = Vec::new();
    for path in ["/", "/settings/integrations", "/no-such-page"] {
        raised.push(browser.get(path).await.text.contains(ALARM_TEXT));
    }
    raised
}

#[apply(each_database!)]
async fn credentials_alarm_is_on_every_page_until_a_probe_succeeds(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (owner, org) = web.signed_in_user("ana@example.com", "Harbour").await;
    let (elsewhere, _) = web.signed_in_user("eve@example.com", "Kauri").await;
    let (member, _) = web.signed_in_user("mia@example.com", "Harbour").await;
    let demoted = "UPDATE memberships SET role = 'member' WHERE user_id IN \
                   (SELECT id FROM users WHERE email = 'mia@example.com')";
    sqlx::query(AssertSqlSafe(demoted)).execute(web.store.database().pool()).await.unwrap();
    TestConsent::new(&web.store, &web.provider).connect(org.clone()).await;
    assert_eq!(pages_showing_alarm(&owner).await, [false; 3]);

    let fault = json!({"endpoint": "token", "kind": "invalid_client", "times": 3});
    web.provider.inject_fault(fault).await;
    owner.post(REFRESH_PATH, &[("clicked", "false")]).await;
    assert_eq!(pages_showing_alarm(&owner).await, [true; 3]);
    for page in ["/xero", "/settings/integrations"] {
        assert!(owner.get(page).await.text.contains("<code>invalid_client</code>"), "{page}");
    }
    assert_eq!(pages_showing_alarm(&elsewhere).await, [true; 3], "the alarm concerns the whole app");
    assert_eq!(pages_showing_alarm(&member).await, [true; 3], "members are told in plain words");
    for page in ["/", "/settings/integrations"] {
        assert!(!member.page_text(page).await.contains("invalid_client"), "{page}");
    }
    assert!(!web.browser().get("/login").await.text.contains(ALARM_TEXT));
    assert!(web.bindings(&org).await.iter().all(|bound| bound.binding.status == BindingStatus::Active));

    // Probes continue, and the first that succeeds ends the alarm.
    for probe in 1..=3 {
        assert_eq!(pages_showing_alarm(&owner).await, [true; 3], "before probe {probe}");
        web.advance(300);
        owner.post(REFRESH_PATH, &[("clicked", "false")]).await;
    }
    assert_eq!(pages_showing_alarm(&owner).await, [false; 3]);
    web.stop().await;
}

#[apply(each_database!)]
async fn every_instance_shows_what_any_of_them_knows_of_the_credentials(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (owner, org) = web.signed_in_user("ana@example.com", "Harbour").await;
    let connected = TestConsent::new(&web.store, &web.provider).connect(org.clone()).await;
    let shown = async |raised: bool| {
        eventually("the alarm", MAX_WAIT, async || pages_showing_alarm(&owner).await == [raised; 3]).await;
    };
    // Another instance refreshes the connection.
    let refresh_elsewhere = async || {
        web.advance(60);
        let refreshed = "UPDATE integration_grants SET last_refreshed_at = $1 WHERE id = $2";
        let refreshed = sqlx::query(refreshed).bind(web.clock.now()).bind(connected.grant.as_str());
        refreshed.execute(web.store.database().pool()).await.unwrap();
    };
    web.store.raise_credentials_alarm("invalid_client").await.unwrap();
    shown(true).await;
    refresh_elsewhere().await;
    shown(false).await;

    web.provider.inject_fault(json!({"endpoint": "token", "kind": "invalid_client", "times": 1})).await;
    web.advance(3600);
    owner.post(REFRESH_PATH, &[("clicked", "true")]).await;
    assert_eq!(pages_showing_alarm(&owner).await, [true; 3], "at once where it was refused");
    let is_shared = async || web.store.credentials_alarm().await.unwrap().is_some();
    eventually("the alarm of all instances", MAX_WAIT, is_shared).await;
    refresh_elsewhere().await;
    shown(false).await;
    web.stop().await;
}
