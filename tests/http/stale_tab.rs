//! A form of a page that was left behind: it names the organization that it was rendered for, and changes nothing in
//! the one that the person works in by now.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use evergrant::model::paths;
use leptos::server_fn::axum::server_fn_paths;

use crate::connect::{ALLOW_HARBOUR, submit_consent};
use crate::support::databases::TestDatabase;
use crate::support::table_dump::dump;
use crate::support::test_server::TestServer;

/// Server functions that only read, and those that are not about the organization that the person works in.
const NOT_CONCERNED: [&str; 17] = [
    "/api/account/",
    "/api/activity",
    "/api/api-keys/view",
    "/api/docs/view",
    "/api/find",
    "/api/events/view",
    "/api/integrations/connection/view",
    "/api/integrations/links/view",
    "/api/integrations/view",
    "/api/members/belongings",
    "/api/members/view",
    "/api/notifications/view",
    "/api/notifications/webhooks/log",
    "/api/organizations/create",
    "/api/organizations/view",
    "/api/overview",
    "/api/xero/view",
];

/// What a form of each function and route could contain. `BINDING` stands for the organization's connection.
const FORMS: &[(&str, &[(&str, &str)])] = &[
    (paths::CONNECT, &[]),
    (paths::CONFIRM, &[("id", "none"), ("decision", "keep")]),
    ("/api/api-keys/create", &[("name", "Export"), ("scopes[0]", "tokens:read")]),
    ("/api/api-keys/end-previous", &[("key_id", "none")]),
    ("/api/api-keys/limit", &[("key_id", "none"), ("reach", "all")]),
    ("/api/api-keys/rename", &[("key_id", "none"), ("name", "Renamed")]),
    ("/api/api-keys/revoke", &[("key_id", "none")]),
    ("/api/api-keys/rotate", &[("key_id", "none"), ("overlap", "1h")]),
    ("/api/events/read", &[("up_to", "1")]),
    ("/api/integrations/contacts/set", &[("binding_id", BINDING), ("contacts", "books@example.com")]),
    ("/api/integrations/links/cancel", &[("link_id", "none")]),
    ("/api/integrations/links/create", &[("note", "The books")]),
    ("/api/integrations/links/create-for-missing", &[]),
    ("/api/integrations/links/return-urls", &[("urls", "https://books.example.com/")]),
    ("/api/integrations/xero/disconnect", &[("binding_id", BINDING)]),
    ("/api/integrations/xero/keep", &[("binding_id", BINDING)]),
    ("/api/integrations/xero/refresh", &[("clicked", "true")]),
    ("/api/integrations/xero/refresh-connection", &[("binding_id", BINDING)]),
    ("/api/integrations/xero/test", &[("binding_id", BINDING)]),
    ("/api/members/invite", &[("role", "admin")]),
    ("/api/members/leave", &[]),
    ("/api/members/remove", &[("user_id", "none")]),
    ("/api/members/revoke-invitation", &[("invitation_id", "none")]),
    ("/api/members/set-role", &[("user_id", "none"), ("role", "member")]),
    ("/api/members/transfer-ownership", &[("user_id", "none")]),
    ("/api/notifications/mail", &[("user_id", "none"), ("on", "false")]),
    ("/api/notifications/webhooks/add", &[("url", "https://example.com/hooks")]),
    ("/api/notifications/webhooks/events", &[("endpoint_id", "none"), ("kinds[0]", "connection.created")]),
    ("/api/notifications/webhooks/resend", &[("delivery_id", "none")]),
    ("/api/notifications/webhooks/remove", &[("endpoint_id", "none")]),
    ("/api/notifications/webhooks/rotate", &[("endpoint_id", "none")]),
    ("/api/notifications/webhooks/set", &[("endpoint_id", "none"), ("enabled", "false")]),
    ("/api/notifications/webhooks/test", &[("endpoint_id", "none")]),
    ("/api/organizations/rename", &[("name", "Renamed")]),
    ("/api/organizations/require-factor", &[("days", "7")]),
    ("/api/organizations/stop-requiring-factor", &[]),
];

const BINDING: &str = "the connection";

/// What the person reads.
const REFUSED: &str = "this page was for another organisation";

#[apply(each_database!)]
async fn form_of_a_tab_left_behind_is_refused_and_changes_nothing(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, southerly) = web.signed_in_user("ann@example.com", "Southerly Studio").await;
    ann.post("/api/organizations/create", &[("name", "Harbour Group")]).await;
    let harbour = ann.org_id("Harbour Group").await;
    let callback = submit_consent(&web.provider, &ann.connect().await, &ALLOW_HARBOUR).await;
    ann.follow_callback(&callback).await;
    ann.get("/settings/integrations").await;
    let binding = web.bindings(&harbour.as_str().into()).await[0].binding.id.0.clone();
    let database = web.database().open().await;

    for (path, fields) in FORMS {
        let with_org = |org: &str| -> Vec<(String, String)> {
            let fields = fields.iter().map(|(name, value)| (*name, if *value == BINDING { &binding } else { *value }));
            fields.chain([("org_id", org)]).map(|(name, value)| (name.into(), value.into())).collect()
        };
        let before = dump(database.pool(), None).await;
        let stale = with_org(southerly.as_str());
        let stale: Vec<_> = stale.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let page = ann.post(path, &stale).await;
        assert_eq!((page.status, ann.flash().as_str()), (StatusCode::SEE_OTHER, "other-organisation"), "{db}: {path}");
        assert!(ann.get(page.location()).await.text.contains(REFUSED), "{db}: {path}");
        if ![paths::CONNECT, paths::CONFIRM].contains(path) {
            let (status, body) = ann.call_server_fn(path, &stale).await;
            assert_eq!(status, StatusCode::CONFLICT, "{db}: {path}: {body}");
            assert!(body["error"].as_str().unwrap().starts_with("Nothing was changed"), "{db}: {path}: {body}");
            // The page that is read instead of the stale one says so, too.
            assert_eq!(body["continueAt"], page.location(), "{db}: {path}: {body}");
            assert!(ann.get(page.location()).await.text.contains(REFUSED), "{db}: {path}");
        }
        assert_eq!(dump(database.pool(), None).await, before, "{db}: {path} changed something");
    }

    // What the page does by itself is refused without a word on the next page.
    let form = [("org_id", southerly.as_str())];
    let (status, body) = ann.call_server_fn("/api/integrations/xero/refresh", &form).await;
    assert_eq!((status, body.get("continueAt")), (StatusCode::CONFLICT, None), "{db}: {body}");
    assert_eq!(ann.flash(), "", "{db}");

    // With the right organization, or with none as a program does, the same forms are taken.
    let form = [("name", "Harbour"), ("org_id", harbour.as_str())];
    assert_eq!(ann.call_server_fn("/api/organizations/rename", &form).await.0, StatusCode::OK, "{db}");
    assert_eq!(ann.call_server_fn("/api/organizations/rename", &form[..1]).await.0, StatusCode::OK, "{db}");
    let form = [("org_id", harbour.as_str())];
    assert!(ann.post(paths::CONNECT, &form).await.location().starts_with(&web.provider.base), "{db}");
    web.stop().await;
}

#[test]
fn every_server_function_is_tested_with_a_stale_organization() {
    let tested: BTreeSet<&str> = FORMS.iter().map(|(path, _)| *path).collect();
    let missing: Vec<_> = server_fn_paths()
        .map(|(path, _)| path)
        .filter(|path| !tested.contains(path) && !NOT_CONCERNED.iter().any(|one| path.starts_with(one)))
        .collect();
    assert!(missing.is_empty(), "add these to FORMS: {missing:?}");
}
