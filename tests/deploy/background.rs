//! The background jobs of a running server: each does its work without being asked.

use evergrant::model::BindingStatus;
use sqlx::Row;

use crate::connect::{ALLOW_HARBOUR, submit_consent};
use crate::http::members::member_id;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;
use crate::support::wait::{MAX_WAIT, eventually};

/// Longer than a departed member's connections stay, and than activity is kept.
const NINE_DAYS: i64 = 9 * 24 * 60 * 60;

async fn count(web: &TestServer, sql: &'static str) -> i64 {
    sqlx::query(sql).fetch_one(web.store.database().pool()).await.unwrap().get("n")
}

#[apply(each_database!)]
async fn running_server_offboards_cleans_up_and_deletes_old_activity_by_itself(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (bob, _) = web.signed_in_user("bob@example.com", "Harbour Group").await;
    let callback = submit_consent(&web.provider, &bob.connect().await, &ALLOW_HARBOUR).await;
    bob.follow_callback(&callback).await;
    let binding = web.bindings(&org).await.remove(0).binding.id;
    bob.post("/api/integrations/xero/refresh-connection", &[("binding_id", binding.as_str())]).await;
    let attempts = "SELECT COUNT(*) AS n FROM refresh_attempts WHERE trigger = 'manual'";
    let consents = "SELECT COUNT(*) AS n FROM oauth_states WHERE consumed_at IS NULL";
    let begun = ann.connect().await;
    assert!(!begun.is_empty(), "{db}");
    // As if Clerk had told that Bob left.
    let left = sqlx::query("INSERT INTO membership_removals (org_id, user_id, removed_at) VALUES ($1, $2, $3)");
    let left = left.bind(org.as_str()).bind(member_id(&web, &org, "bob@example.com").await).bind(web.clock.now());
    left.execute(web.store.database().pool()).await.unwrap();
    assert_eq!((count(&web, attempts).await, count(&web, consents).await), (1, 1), "{db}");

    web.advance(NINE_DAYS);
    let web = web.restart(&[("--sweep-interval", "1s"), ("--keep-activity", "8d")]).await;
    eventually("the end of the leaver's connection", MAX_WAIT, async || {
        web.bindings(&org).await[0].binding.status == BindingStatus::Disconnected
    })
    .await;
    eventually("the end of old activity", MAX_WAIT, async || count(&web, attempts).await == 0).await;
    eventually("the end of the consent that nobody finished", MAX_WAIT, async || count(&web, consents).await == 0)
        .await;
    web.stop().await;
}
