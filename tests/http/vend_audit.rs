//! Audit events of vended tokens: one each, up to a number a minute; the rest is told in one.

use evergrant::model::{ApiKeyLifetime, OrgId, Scope};
use evergrant::server::auth::api_keys;
use evergrant::server::auth::api_keys::RequestedApiKey;
use evergrant::server::store::AuditFilter;
use reqwest::StatusCode;

use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

/// The events of an organization's vends in a minute, as the documentation says.
const MAX_EVENTS: usize = 120;

async fn new_key(web: &TestServer, org: &OrgId, name: &str) -> String {
    let new = RequestedApiKey { name, scopes: Scope::ALL, life: ApiKeyLifetime::Month, created_by: None };
    let created = api_keys::create(&web.store, org, new).await.ok().unwrap();
    created.key.expose().to_owned()
}

#[apply(each_database!)]
async fn vends_beyond_the_limit_are_told_in_one_event_that_a_stop_does_not_lose(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let org = web.add_user("ann@example.com", "Harbour Group").await.org.unwrap().0;
    let connected = TestConsent::new(&web.store, &web.provider).access_seconds_left(1800).connect(org.clone()).await;
    let path = format!("/api/v1/bindings/{}/token", connected.bindings[0]);
    let program = web.browser();
    for name in ["Export", "Import", "Report"] {
        let key = new_key(&web, &org, name).await;
        for _ in 0..50 {
            let answer = program.send(program.client.get(program.url(&path)).bearer_auth(&key)).await;
            assert_eq!(answer.status, StatusCode::OK, "{db}: {}", answer.text);
        }
    }
    let store = web.store.clone();
    let _database = web.stop_and_keep_database().await;
    let events = async |action: &'static str| {
        let filter = AuditFilter { action, ..AuditFilter::default() };
        store.audit_events(Some(&org), filter, None, 200).await.unwrap()
    };
    assert_eq!(events("token.vended").await.len(), MAX_EVENTS, "{db}");
    let summaries = events("token.vended_summary").await;
    assert_eq!(summaries.len(), 1, "{db}: {summaries:?}");
    let detail =
        |wanted: &str| summaries[0].detail.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    assert_eq!((detail("count"), detail("keys")), (Some("30"), Some("Report")), "{db}");
    assert_eq!(detail("connections"), Some("Harbour Coffee"), "{db}");
}
