//! An organization that requires a second factor of its members.

use axum::http::StatusCode;
use evergrant::model::OrgId;
use evergrant::server::store::AuditFilter;

use super::second_factor::Factor;
use crate::support::browser::Browser;
use crate::support::databases::TestDatabase;
use crate::support::oidc::FakeOidc;
use crate::support::test_server::TestServer;
use crate::support::test_service::DAY;

/// Lets an owner with a second factor require it in so many days.
async fn require(owner: &Browser, org: &OrgId, days: &str) {
    let form = [("days", days), ("org_id", org.as_str())];
    assert_eq!(owner.post("/api/organizations/require-factor", &form).await.location(), "/settings/members");
    assert_eq!(owner.flash(), "factor-required");
}

#[apply(each_database!)]
async fn member_without_a_factor_is_warned_and_then_reaches_only_the_page_to_set_one_up(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (bob, _) = web.signed_in_user("bob@example.com", "Harbour Group").await;
    let form = [("days", "7"), ("org_id", org.as_str())];
    let (status, body) = ann.call_server_fn("/api/organizations/require-factor", &form).await;
    assert_eq!(status, StatusCode::CONFLICT, "the owner has none: {body}");
    Factor::add(&web, &ann).await;
    let invalid = ann.call_server_fn("/api/organizations/require-factor", &[("days", "8")]).await.0;
    assert_eq!(invalid, StatusCode::UNPROCESSABLE_ENTITY);
    require(&ann, &org, "7").await;
    let members = ann.page_text("/settings/members").await;
    assert!(members.contains("Every member needs a second factor from") && members.contains("second factor on"));

    let overview = bob.page_text("/").await;
    assert!(overview.contains("Harbour Group requires a second factor") && overview.contains("Set yours up"));
    assert!(!ann.page_text("/").await.contains("requires a second factor"), "she has one");
    web.advance(7 * DAY - 1);
    assert_eq!(bob.call_server_fn("/api/overview", &[]).await.0, StatusCode::OK);
    web.advance(1);
    for page in ["/", "/activity", "/settings/integrations", "/settings/members", "/settings/api-keys"] {
        let text = bob.page_text(page).await;
        assert!(text.contains("You have access again as soon as you have set one up"), "{page}");
        assert!(!text.contains("ann@example.com"), "{page}");
    }
    for path in ["overview", "activity", "members/view", "integrations/view", "members/leave", "api-keys/view"] {
        for form in [&[][..], &[("org_id", org.as_str())]] {
            let (status, body) = bob.call_server_fn(&format!("/api/{path}"), form).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {body}");
            assert!(body["error"].as_str().unwrap().contains("requires a second factor"), "{path}: {body}");
        }
    }
    assert_eq!(bob.get("/activity.csv").await.status, StatusCode::FORBIDDEN);
    assert_eq!(bob.get("/api/events").await.status, StatusCode::NO_CONTENT);
    assert_ne!(bob.post("/api/integrations/xero/connect", &[]).await.status, StatusCode::OK);
    assert!(!bob.post("/api/integrations/xero/connect", &[]).await.location().starts_with(&web.provider.base));

    let (status, _) = bob.call_server_fn("/api/account/view", &[]).await;
    assert_eq!(status, StatusCode::OK, "his account is his own");
    bob.post("/api/session/proof", &[("proof", crate::support::test_server::PASSWORD)]).await;
    Factor::add(&web, &bob).await;
    assert_eq!(bob.call_server_fn("/api/overview", &[]).await.0, StatusCode::OK, "he has access again");
    assert!(!bob.page_text("/").await.contains("requires a second factor"));
    let events = web.store.audit_events(Some(&org), AuditFilter::default(), None, 20).await.unwrap();
    let changed = events.iter().find(|one| one.action.as_str() == "organization.factor_policy_changed").unwrap();
    assert!(changed.actor == "ann@example.com" && changed.detail.contains(&("days".into(), "7".into())));
    web.stop().await;
}

#[tokio::test]
async fn locked_organization_gives_way_to_no_other_and_opens_when_no_longer_required() {
    let web = TestServer::start().await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (bob, _) = web.signed_in_user("bob@example.com", "Harbour Group").await;
    bob.post("/api/organizations/create", &[("name", "Southerly Studio")]).await;
    let southerly = bob.org_id("Southerly Studio").await;
    Factor::add(&web, &ann).await;
    require(&ann, &org, "0").await;
    assert!(bob.page_text("/").await.contains(" · Southerly Studio · Evergrant</title>"), "it has no such rule");
    bob.post("/api/session/switch-organization", &[("org_id", org.as_str())]).await;
    let page = bob.page_text("/").await;
    assert!(page.contains("Set up a second factor") && page.contains("Southerly Studio"), "the switcher leads out");
    assert_eq!(bob.call_server_fn("/api/overview", &[("org_id", &southerly)]).await.0, StatusCode::FORBIDDEN);
    bob.post("/api/session/switch-organization", &[("org_id", &southerly)]).await;
    assert_eq!(bob.call_server_fn("/api/overview", &[]).await.0, StatusCode::OK);

    ann.post("/api/organizations/stop-requiring-factor", &[("org_id", org.as_str())]).await;
    assert_eq!(ann.flash(), "factor-not-required");
    bob.post("/api/session/switch-organization", &[("org_id", org.as_str())]).await;
    assert_eq!(bob.call_server_fn("/api/overview", &[]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn person_who_signs_in_with_a_provider_is_not_locked_out() {
    let provider = FakeOidc::on(TestDatabase::sqlite(), &[]).await;
    let server = &provider.server;
    let (owner, org) = server.signed_in_user("owner@example.com", "Harbour Group").await;
    let ann = server.browser();
    assert_eq!(provider.sign_in(&ann, "/api/session/oidc").await.location(), "/");
    let invitation = owner.call_server_fn("/api/members/invite", &[("role", "member")]).await.1;
    let token = invitation.as_str().unwrap().split("token=").nth(1).unwrap().to_owned();
    ann.get(&format!("/invite?token={token}")).await;
    ann.post("/api/invitations/accept", &[]).await;
    Factor::add(server, &owner).await;
    require(&owner, &org, "0").await;
    assert_eq!(ann.call_server_fn("/api/overview", &[]).await.0, StatusCode::OK);
    let page = ann.page_text("/").await;
    assert!(page.contains("Harbour Group") && !page.contains("requires a second factor"));
}
