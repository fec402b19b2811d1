//! Clerk's webhooks, and the offboarding of members and organizations that leave.

use std::time::Duration;

use axum::http::StatusCode;
use evergrant::model::OrgId;
use evergrant::server::jobs::offboarding::{OffboardingReport, disconnect_once};
use evergrant::server::store::{ClerkEvent, IdentityClaims, OFFBOARDING_PERIOD, OrgClaims};
use serde_json::json;

use crate::support::clerk::{ClerkSession, FakeClerk, membership_data, signature};
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;
use crate::support::test_service::TestService;

#[apply(each_database!)]
async fn names_and_roles_follow_clerk_events(database: TestDatabase) {
    let clerk = FakeClerk::on(database).await;
    let ann = clerk.browser(&ClerkSession::ann());
    assert!(ann.get("/").await.text.contains("harbour"), "the slug is shown until the name is known");
    let renamed = json!({ "id": "org_1", "name": "Harbour Group", "slug": "harbour", "object": "organization" });
    assert_eq!(clerk.deliver_event("msg_1", "organization.updated", renamed).await.0, StatusCode::OK);
    assert!(ann.get("/").await.text.contains("Harbour Group"));

    let demoted = membership_data("user_ann", "ann@example.com", "org:member");
    clerk.deliver_event("msg_2", "organizationMembership.updated", demoted).await;
    assert!(
        ann.get("/settings/integrations").await.text.contains("Connect to Xero"),
        "the token is as new as the event"
    );
    clerk.server.advance(1);
    let demoted = membership_data("user_ann", "ann@example.com", "org:member");
    clerk.deliver_event("msg_3", "organizationMembership.updated", demoted).await;
    let page = ann.get("/settings/integrations").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text.contains("/api/integrations/xero/connect"), "the event is newer than the token's role");
    clerk.server.stop().await;
}

#[apply(each_database!)]
async fn webhook_is_applied_once_and_only_with_a_valid_recent_signature(database: TestDatabase) {
    let clerk = FakeClerk::on(database).await;
    let ann = clerk.browser(&ClerkSession::ann());
    ann.get("/").await;
    let named = |name: &str| json!({ "id": "org_1", "name": name, "slug": "harbour" });
    assert_eq!(clerk.deliver_event("msg_1", "organization.updated", named("First")).await.1, "accepted\n");
    let again = clerk.deliver_event("msg_1", "organization.updated", named("Again")).await;
    assert_eq!(again, (StatusCode::OK, "already processed\n".to_owned()));
    assert!(ann.get("/").await.text.contains("First"));
    let other = clerk.deliver_event("msg_2", "user.created", json!({ "id": "user_2" })).await;
    assert_eq!(other.0, StatusCode::OK);

    let body = json!({ "type": "organization.updated", "data": named("Forged") }).to_string();
    let now = clerk.server.clock.now();
    let signed = |at: i64| signature("msg_3", &at.to_string(), &body);
    for (at, signature) in [(now, "v1,AAAA".to_owned()), (now - 301, signed(now - 301)), (now, signed(now - 1))] {
        let at = at.to_string();
        let headers = [("svix-id", "msg_3"), ("svix-timestamp", at.as_str()), ("svix-signature", &signature)];
        assert_eq!(clerk.post_webhook(&headers, body.clone()).await.0, StatusCode::BAD_REQUEST);
    }
    assert_eq!(clerk.post_webhook(&[], body.clone()).await.0, StatusCode::BAD_REQUEST);
    assert!(ann.get("/").await.text.contains("First"), "no invalid delivery was applied");
    clerk.server.stop().await;
}

#[tokio::test]
async fn webhook_endpoint_does_not_exist_without_clerk() {
    let local = TestServer::start().await;
    let browser = local.browser();
    let page = browser.send(browser.client.post(browser.url("/api/webhooks/clerk")).body("{}")).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
}

#[apply(each_database!)]
async fn removed_member_loses_access_immediately(database: TestDatabase) {
    let clerk = FakeClerk::on(database).await;
    let ann = clerk.browser(&ClerkSession::ann());
    assert!(ann.get("/").await.text.contains("harbour"));
    let removed = membership_data("user_ann", "ann@example.com", "org:admin");
    clerk.deliver_event("msg_1", "organizationMembership.deleted", removed).await;
    assert!(ann.get("/").await.text.contains("Choose an organisation"), "although the token is still valid");
    let bob =
        clerk.browser(&ClerkSession { user: "user_bob".into(), session: "sess_bob".into(), ..ClerkSession::ann() });
    assert!(bob.get("/").await.text.contains("No connections yet"), "the other members stay");
    clerk.deliver_event("msg_2", "organization.deleted", json!({ "id": "org_1", "deleted": true })).await;
    assert!(bob.get("/").await.text.contains("Choose an organisation"));
    clerk.server.stop().await;
}

#[tokio::test]
async fn event_stream_of_a_removed_member_sends_a_reread_and_ends() {
    let clerk = FakeClerk::on(TestDatabase::sqlite()).await;
    let (ann, token) = (clerk.server.browser(), clerk.token(&ClerkSession::ann()));
    let request = ann.client.get(ann.url("/api/events")).header("cookie", format!("__session={token}"));
    let stream = request.send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    let removed = membership_data("user_ann", "ann@example.com", "org:admin");
    clerk.deliver_event("msg_1", "organizationMembership.deleted", removed).await;
    let events = tokio::time::timeout(Duration::from_secs(20), stream.text()).await.expect("the stream ends");
    assert!(events.unwrap().contains("event: reread"), "the page rereads");
}

#[tokio::test]
async fn admins_see_pending_disconnections_and_can_keep_them() {
    let clerk = FakeClerk::on(TestDatabase::sqlite()).await;
    let ann = clerk.browser(&ClerkSession::ann());
    let callback = super::connect_and_allow(&clerk, &ann).await;
    super::assert_callback_connects(&clerk, &ann, &callback).await;
    let left = membership_data("user_ann", "ann@example.com", "org:admin");
    clerk.deliver_event("msg_1", "organizationMembership.deleted", left).await;

    let bob = ClerkSession { user: "user_bob".into(), session: "sess_bob".into(), ..ClerkSession::ann() };
    let member = clerk.browser(&ClerkSession { user: "user_eve".into(), ..bob.clone() }.with_role("member"));
    assert!(!member.get("/settings/integrations").await.text.contains("will be disconnected"));
    let bob = clerk.browser(&bob);
    let page = bob.get("/settings/integrations").await.text;
    assert!(page.contains("Harbour Coffee will be disconnected") && page.contains("ann@example.com"), "{page}");
    assert!(page.contains("22 Jan 2027"), "the date is a week from now: {page}");
    let id = page.split("name=\"binding_id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(member.post("/api/integrations/xero/keep", &[("binding_id", &id)]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(member.flash(), "not-allowed");
    bob.post("/api/integrations/xero/keep", &[("binding_id", &id)]).await;
    assert_eq!(bob.flash(), "kept");
    assert!(!bob.get("/settings/integrations").await.text.contains("will be disconnected"));
}

#[apply(each_database!)]
async fn connections_of_a_deleted_organization_are_disconnected_after_a_week(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let asserted = IdentityClaims {
        user: "user_ann",
        email: None,
        org: Some(OrgClaims { id: "org_1", slug: None, role: evergrant::model::Role::Admin }),
        issued_at: harness.clock.now(),
    };
    let org: OrgId = harness.store.sync_identity(&asserted).await.unwrap().org.unwrap().id;
    let connected =
        TestConsent::new(&harness.store, &harness.provider).access_seconds_left(1800).connect(org.clone()).await;
    let deleted = ClerkEvent::OrganizationDeleted { id: "org_1".into() };
    harness.store.receive_clerk_event("msg_1", harness.clock.now(), &deleted).await.unwrap();
    let run_once =
        async || disconnect_once(&harness.store, &harness.service, harness.lifecycle.stopping()).await.unwrap();
    assert_eq!(run_once().await, OffboardingReport::default(), "the offboarding period is not over");

    harness.advance(OFFBOARDING_PERIOD);
    assert_eq!(run_once().await, OffboardingReport { disconnected: 1, failed: 0 });
    assert_eq!(run_once().await, OffboardingReport::default(), "a second run finds nothing");
    let bound = harness.store.binding(&org, &connected.bindings[0]).await.unwrap().unwrap();
    assert_eq!(bound.binding.status, evergrant::model::BindingStatus::Disconnected);
    let grant = harness.read_grant(&connected.grant).await;
    assert_eq!(grant.status, evergrant::model::GrantStatus::Revoked, "{}", harness.database.name);
}
