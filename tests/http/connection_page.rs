//! The page of one connection: what it shows, to whom, and where its forms lead.

use axum::http::StatusCode;
use evergrant::model::{ApiKeyLifetime, BindingId, OrgId, Scope, paths};
use evergrant::server::auth::api_keys::{self, RequestedApiKey};
use evergrant::server::store::Labels;

use crate::support::browser::Browser;
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

const REFRESH: &str = "/api/integrations/xero/refresh-connection";

/// Connects a tenant of Harbour Group, and signs its owner in.
async fn connected(web: &TestServer) -> (Browser, OrgId, BindingId) {
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let connected = TestConsent::new(&web.store, &web.provider).access_seconds_left(1_800).connect(org.clone()).await;
    (ann, org, connected.bindings[0].clone())
}

/// Takes a token of the connection as a program with this name.
async fn take_token(web: &TestServer, org: &OrgId, binding: &BindingId, name: &str) {
    let new = RequestedApiKey { name, scopes: &[Scope::TokensRead], life: ApiKeyLifetime::Month, created_by: None };
    let key = api_keys::create(&web.store, org, new).await.ok().unwrap().key;
    let program = web.browser();
    let request = program.client.get(program.url(&format!("/api/v1/bindings/{binding}/token")));
    assert_eq!(program.send(request.bearer_auth(key.expose())).await.status, StatusCode::OK);
}

#[apply(each_database!)]
async fn page_of_a_connection_shows_its_state_its_users_and_its_ids(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org, binding) = connected(&web).await;
    let labels = Labels { external_id: Some("customer-7".into()), tags: vec!["gold".into()], version: 0 };
    web.store.set_labels(&org, &binding, &labels).await.unwrap();
    take_token(&web, &org, &binding, "Nightly export").await;
    ann.post(REFRESH, &[("binding_id", binding.as_str())]).await;
    ann.post("/api/integrations/links/create", &[("binding_id", binding.as_str()), ("note", "The books")]).await;

    let list = ann.page_text(paths::INTEGRATIONS).await;
    let path = paths::connection(&binding);
    for text in [format!("href=\"{path}\""), "Details".into(), "Contacts: ".into(), "1 link is open.".into()] {
        assert!(list.contains(&text), "{db}: {text}: {list}");
    }
    let page = ann.page_text(&path).await;
    let tenant = &web.bindings(&org).await[0].binding.tenant;
    for text in [
        "<title>Harbour Coffee · Integrations · Harbour Group · Evergrant</title>",
        "It works.",
        "Only what this organisation has connected.",
        "Nightly export",
        "customer-7",
        "gold",
        "Reconnect Harbour Coffee",
        ": The books",
        "Contacts of Harbour Coffee",
        "Requested by",
        binding.as_str(),
        tenant.id.as_str(),
        tenant.connection_id.as_str(),
    ] {
        assert!(page.contains(text), "{db}: {text}: {page}");
    }
    let links = ann.page_text(&paths::connect_links_of(&binding)).await;
    assert!(links.contains(&format!("<option value=\"{binding}\" selected")), "{db}: {links}");
    let moved = ann.get(&format!("{path}/history?before=1.a")).await;
    assert_eq!(
        (moved.status, moved.location()),
        (StatusCode::PERMANENT_REDIRECT, format!("{path}?before=1.a").as_str())
    );
    web.stop().await;
}

#[apply(each_database!)]
async fn forms_of_a_connections_page_come_back_to_it(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, _, binding) = connected(&web).await;
    let page = paths::connection(&binding);
    let form = [("binding_id", binding.as_str())];
    for (action, answer) in [(REFRESH, "1 token refreshed"), ("/api/integrations/xero/test", "the connection works")] {
        let done = ann.post_from(&page, action, &form).await;
        assert_eq!(done.location(), page, "{db}: {action}");
        assert!(ann.page_text(&page).await.contains(answer), "{db}: {action}");
    }
    let question = format!("{page}?disconnect=true");
    assert!(ann.page_text(&question).await.contains("Disconnect Harbour Coffee from Xero?"), "{db}");
    let done = ann.post_from(&question, "/api/integrations/xero/disconnect", &form).await;
    assert_eq!(done.location(), page, "{db}: the question is not asked again");
    let text = ann.page_text(&page).await;
    assert!(text.contains("Disconnected from Xero.") && text.contains("no longer has access"), "{db}: {text}");
    web.stop().await;
}

#[apply(each_database!)]
async fn history_of_a_connection_has_older_pages(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, _, binding) = connected(&web).await;
    for _ in 0..22 {
        ann.call_server_fn(REFRESH, &[("binding_id", binding.as_str())]).await;
        web.advance(120);
    }
    let page = paths::connection(&binding);
    let rows = |text: &str| text.matches("data-label=\"Result\"").count();
    let first = ann.page_text(&page).await;
    assert_eq!(rows(&first), 20, "{db}");
    let older =
        first.split(&format!("href=\"{page}?before=")).nth(1).expect("older ones").split(['"', '#']).next().unwrap();
    let second = ann.page_text(&format!("{page}?before={older}")).await;
    assert!(rows(&second) >= 2 && second.contains("Newest"), "{db}: {second}");
    web.stop().await;
}

#[apply(each_database!)]
async fn unknown_connection_is_told_from_one_that_could_not_be_read(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (_, org, binding) = connected(&web).await;
    let (eve, _) = web.signed_in_user("eve@example.com", "Southerly Studio").await;
    for path in [paths::connection(&binding), paths::connection(&"none".into())] {
        let page = eve.get(&path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{db}: {path}");
        assert!(page.text.contains("This organisation has no such connection."), "{db}: {}", page.text);
        assert!(!page.text.contains("be loaded") && !page.text.contains("Harbour"), "{db}: {}", page.text);
    }
    let ann = web.browser();
    ann.sign_in("ann@example.com").await;
    let break_table = "ALTER TABLE binding_tags RENAME TO binding_tags_gone";
    sqlx::query(break_table).execute(web.store.database().pool()).await.unwrap();
    let page = ann.get(&paths::connection(&binding)).await;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR, "{db}: {org}");
    assert!(page.text.contains("This page couldn't be loaded") || page.text.contains("couldn&#x27;t"), "{db}");
    assert!(page.text.contains("Try again"), "{db}: {}", page.text);
    web.stop().await;
}

#[apply(each_database!)]
async fn members_see_the_page_without_what_they_may_not_change(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (_, _, binding) = connected(&web).await;
    let bob = web.add_user("bob@example.com", "Harbour Group").await.user;
    let demote = "UPDATE memberships SET role = 'member' WHERE user_id = $1";
    sqlx::query(demote).bind(bob.as_str()).execute(web.store.database().pool()).await.unwrap();
    let browser = web.browser();
    browser.sign_in("bob@example.com").await;
    let page = browser.page_text(&paths::connection(&binding)).await;
    assert!(page.contains("Test connection") && page.contains("Programs"), "{db}: {page}");
    for text in ["Disconnect</a>", "Save contacts", "Create a link", "mere.tane@example.com"] {
        assert!(!page.contains(text), "{db}: {text}: {page}");
    }
    web.stop().await;
}
