//! Whose email addresses a member sees: their own. Owners and admins see everybody's.

use crate::connect::{ALLOW_HARBOUR, submit_consent};
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

/// Every page and export that names people.
const PLACES: &[&str] = &[
    "/",
    "/settings/members",
    "/settings/integrations",
    "/settings/notifications",
    "/events",
    "/organizations",
    "/xero",
    "/activity",
    "/activity?show=changes",
    "/activity.csv",
    "/activity.csv?show=changes",
];

/// Server functions whose responses name people.
const CALLS: &[&str] = &[
    "/api/overview",
    "/api/members/view",
    "/api/integrations/view",
    "/api/notifications/view",
    "/api/events/view",
    "/api/organizations/view",
    "/api/xero/view",
    "/api/activity",
    "/api/activity/changes",
];

#[apply(each_database!)]
async fn members_see_no_address_but_their_own_on_any_page_or_export(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let callback = submit_consent(&web.provider, &ann.connect().await, &ALLOW_HARBOUR).await;
    ann.follow_callback(&callback).await;
    let binding = web.bindings(&org).await[0].binding.id.clone();
    ann.post("/api/integrations/xero/refresh-connection", &[("binding_id", binding.as_str())]).await;
    let eve = web.add_user("eve@example.com", "Harbour Group").await.user;
    ann.post("/api/members/set-role", &[("user_id", eve.as_str()), ("role", "member")]).await;
    let eve = web.browser();
    eve.sign_in("eve@example.com").await;

    let mut seen_by_ann = 0;
    for path in PLACES {
        let page = eve.get(path).await.text;
        assert!(!page.contains("ann@example.com"), "{db} {path}: {page}");
        seen_by_ann += usize::from(ann.get(path).await.text.contains("ann@example.com"));
    }
    assert!(seen_by_ann >= 6, "{db}: the owner sees addresses");
    for path in CALLS {
        let (_, body) = eve.call_server_fn(path, &[]).await;
        assert!(!body.to_string().contains("ann@example.com"), "{db} {path}: {body}");
    }
    let (_, page) = eve.call_server_fn("/api/integrations/connection/view", &[("binding_id", binding.as_str())]).await;
    assert!(page["attempts"][0]["actor"] == "a…@example.com", "{db}: {page}");
    assert!(!page.to_string().contains("ann@example.com"), "{db}: {page}");
    let members = eve.get("/settings/members").await.text;
    assert!(members.contains("a…@example.com") && members.contains("eve@example.com"), "{db}: {members}");
    let changes = eve.get("/activity.csv?show=changes").await.text;
    assert!(changes.contains("a…@example.com"), "{db}: {changes}");
    let foreign_address = |line: &&str| line.contains("a…@example.com") && line.contains("127.0.0.1");
    assert_eq!(changes.lines().find(foreign_address), None, "{db}: nor the network of others");
    web.stop().await;
}
