//! What Clerk tells by itself, and what goes when somebody leaves.

use std::time::Duration;

use axum::http::StatusCode;
use evergrant::model::OrgId;
use evergrant::server::departures::{Departures, disconnect_once};
use evergrant::server::store::{Asserted, AssertedOrg, GRACE, News};
use serde_json::json;

use crate::support::clerk::{Clerk, Visitor, membership, signature};
use crate::support::databases::TestDatabase;
use crate::support::keeper::{Keeper, consent};
use crate::support::web::Web;

#[tokio::test]
async fn names_and_roles_follow_what_clerk_tells() {
    for clerk in Clerk::each().await {
        let ann = clerk.browser(&Visitor::ann());
        assert!(ann.get("/").await.text.contains("harbour"), "the slug until the name is known");
        let renamed = json!({ "id": "org_1", "name": "Harbour Group", "slug": "harbour", "object": "organization" });
        assert_eq!(clerk.deliver("msg_1", "organization.updated", renamed).await.0, StatusCode::OK);
        assert!(ann.get("/").await.text.contains("Harbour Group"));

        let demoted = membership("user_ann", "ann@example.com", "org:member");
        clerk.deliver("msg_2", "organizationMembership.updated", demoted).await;
        assert!(ann.get("/settings/integrations").await.text.contains("Connect to Xero"), "as new as the token");
        clerk.web.advance(1);
        let demoted = membership("user_ann", "ann@example.com", "org:member");
        clerk.deliver("msg_3", "organizationMembership.updated", demoted).await;
        let page = ann.get("/settings/integrations").await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.text.contains("/api/integrations/xero/connect"), "the token's role is from before");
        clerk.web.stop().await;
    }
}

#[tokio::test]
async fn a_delivery_counts_once_signed_and_now() {
    for clerk in Clerk::each().await {
        let ann = clerk.browser(&Visitor::ann());
        ann.get("/").await;
        let named = |name: &str| json!({ "id": "org_1", "name": name, "slug": "harbour" });
        assert_eq!(clerk.deliver("msg_1", "organization.updated", named("First")).await.1, "taken\n");
        let again = clerk.deliver("msg_1", "organization.updated", named("Again")).await;
        assert_eq!(again, (StatusCode::OK, "taken before\n".to_owned()));
        assert!(ann.get("/").await.text.contains("First"));
        let other = clerk.deliver("msg_2", "user.created", json!({ "id": "user_2" })).await;
        assert_eq!(other.0, StatusCode::OK);

        let body = json!({ "type": "organization.updated", "data": named("Forged") }).to_string();
        let now = clerk.web.clock.now();
        let signed = |at: i64| signature("msg_3", &at.to_string(), &body);
        for (at, signature) in [(now, "v1,AAAA".to_owned()), (now - 301, signed(now - 301)), (now, signed(now - 1))] {
            let at = at.to_string();
            let headers = [("svix-id", "msg_3"), ("svix-timestamp", at.as_str()), ("svix-signature", &signature)];
            assert_eq!(clerk.post_webhook(&headers, body.clone()).await.0, StatusCode::BAD_REQUEST);
        }
        assert_eq!(clerk.post_webhook(&[], body.clone()).await.0, StatusCode::BAD_REQUEST);
        assert!(ann.get("/").await.text.contains("First"), "nothing of that counted");
        clerk.web.stop().await;
    }
    let local = Web::start().await;
    let browser = local.browser();
    let page = browser.send(browser.client.post(browser.at("/api/webhooks/clerk")).body("{}")).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn who_is_removed_is_out_at_once() {
    for clerk in Clerk::each().await {
        let ann = clerk.browser(&Visitor::ann());
        assert!(ann.get("/").await.text.contains("harbour"));
        let removed = membership("user_ann", "ann@example.com", "org:admin");
        clerk.deliver("msg_1", "organizationMembership.deleted", removed).await;
        assert!(ann.get("/").await.text.contains("Choose an organisation"), "the token hasn't ended");
        let bob = clerk.browser(&Visitor { user: "user_bob".into(), session: "sess_bob".into(), ..Visitor::ann() });
        assert!(bob.get("/").await.text.contains("No connection yet"), "the others stay");
        clerk.deliver("msg_2", "organization.deleted", json!({ "id": "org_1", "deleted": true })).await;
        assert!(bob.get("/").await.text.contains("Choose an organisation"));
        clerk.web.stop().await;
    }
}

#[tokio::test]
async fn an_open_page_of_who_is_removed_hears_of_it_and_then_nothing() {
    let clerk = Clerk::on(TestDatabase::sqlite()).await;
    let (ann, token) = (clerk.web.browser(), clerk.token(&Visitor::ann()));
    let asked = ann.client.get(ann.at("/api/events")).header("cookie", format!("__session={token}"));
    let stream = asked.send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    let removed = membership("user_ann", "ann@example.com", "org:admin");
    clerk.deliver("msg_1", "organizationMembership.deleted", removed).await;
    let heard = tokio::time::timeout(Duration::from_secs(20), stream.text()).await.expect("the stream ends");
    assert!(heard.unwrap().contains("event: reread"), "the page looks where it is now");
}

#[tokio::test]
async fn admins_see_what_goes_and_may_keep_it() {
    let clerk = Clerk::on(TestDatabase::sqlite()).await;
    let ann = clerk.browser(&Visitor::ann());
    let back = super::allow(&clerk, &ann).await;
    assert_eq!(ann.come_back(&back).await, "connected.1");
    let left = membership("user_ann", "ann@example.com", "org:admin");
    clerk.deliver("msg_1", "organizationMembership.deleted", left).await;

    let bob = Visitor { user: "user_bob".into(), session: "sess_bob".into(), ..Visitor::ann() };
    let member = clerk.browser(&Visitor { user: "user_eve".into(), ..bob.clone() }.with_role("member"));
    assert!(!member.get("/settings/integrations").await.text.contains("will be disconnected"));
    let bob = clerk.browser(&bob);
    let page = bob.get("/settings/integrations").await.text;
    assert!(page.contains("Harbour Coffee will be disconnected") && page.contains("ann@example.com"), "{page}");
    assert!(page.contains("22 Jan 2027"), "a week from now: {page}");
    let id = page.split("name=\"binding_id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(member.post("/api/integrations/xero/keep", &[("binding_id", &id)]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(member.notice(), "not-allowed");
    bob.post("/api/integrations/xero/keep", &[("binding_id", &id)]).await;
    assert_eq!(bob.notice(), "kept");
    assert!(!bob.get("/settings/integrations").await.text.contains("will be disconnected"));
}

#[tokio::test]
async fn an_organisation_that_is_gone_for_a_week_is_disconnected_at_xero() {
    for keeper in Keeper::each().await {
        let asserted = Asserted {
            user: "user_ann",
            email: None,
            org: Some(AssertedOrg { id: "org_1", slug: None, role: evergrant::model::Role::Admin }),
            issued_at: keeper.clock.now(),
        };
        let org: OrgId = keeper.store.known(&asserted).await.unwrap().org.unwrap().id;
        let connected = consent(&keeper.store, &keeper.provider, org.clone(), &["harbour"], 1800).await;
        let gone = News::OrganisationEnded { id: "org_1".into() };
        keeper.store.take_news("msg_1", keeper.clock.now(), &gone).await.unwrap();
        let round = async || disconnect_once(&keeper.store, &keeper.service, &keeper.stopping).await.unwrap();
        assert_eq!(round().await, Departures::default(), "not yet");

        keeper.advance(GRACE);
        assert_eq!(round().await, Departures { disconnected: 1, failed: 0 });
        assert_eq!(round().await, Departures::default(), "once");
        let bound = keeper.store.binding(&org, &connected.bindings[0]).await.unwrap().unwrap();
        assert_eq!(bound.binding.status, evergrant::model::BindingStatus::Disconnected);
        let grant = keeper.read(&connected.grant).await;
        assert_eq!(grant.status, evergrant::model::GrantStatus::Revoked, "{}", keeper.database.name);
    }
}
