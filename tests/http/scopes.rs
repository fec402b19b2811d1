//! Scopes: which connections lack what the app asks for, links for all of them, and what Xero refuses.

use axum::http::StatusCode;
use evergrant::model::{Action, OrgId, Scope, ScopeRefusalCause};
use evergrant::server::auth::api_keys::{self, RequestedApiKey};
use evergrant::server::store::AuditFilter;
use evergrant_sandbox::DEFAULT_SCOPES;
use reqwest::Method;
use serde_json::{Value, json};

use crate::connect::{ALLOW_HARBOUR, submit_consent};
use crate::support::browser::{Browser, JSON};
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::demo_server::METRICS_TOKEN;
use crate::support::test_server::TestServer;

const PAGE: &str = "/settings/integrations";
const LINKS_PAGE: &str = "/settings/integrations/links";
const MORE_LINKS: &str = "/api/integrations/links/create-for-missing";
const SMALLEST: &str = "openid profile email offline_access";

fn scopes_with(more: &str) -> String {
    format!("{DEFAULT_SCOPES} {more}")
}

/// Starts a server whose app asks for contacts too.
async fn server_wanting_contacts(database: TestDatabase) -> TestServer {
    let scopes = scopes_with("accounting.contacts.read");
    TestServer::with_flags(database, &[("--xero-scopes", &scopes)]).await
}

/// Connects two tenants with scopes that lack contacts.
async fn connect_two(web: &TestServer, org: &OrgId) {
    for tenants in [["harbour"], ["kauri"]] {
        TestConsent::new(&web.store, &web.provider)
            .tenants(&tenants)
            .access_seconds_left(1800)
            .connect(org.clone())
            .await;
    }
}

/// Goes to Xero by this form. Returns the scopes that are asked for, and where the answer leads.
async fn consent(web: &TestServer, browser: &Browser, path: &str, form: &[(&str, &str)]) -> (String, String) {
    let started = browser.post(path, form).await;
    let address = url::Url::parse(started.location()).expect("it must lead to Xero");
    let params: Vec<(String, String)> = address.query_pairs().into_owned().collect();
    let scope = params.iter().find(|(name, _)| name == "scope").unwrap().1.clone();
    let callback = submit_consent(&web.provider, &params, &ALLOW_HARBOUR).await;
    let ended = browser.get(callback.strip_prefix(&web.base).unwrap()).await;
    (scope, ended.location().to_owned())
}

/// Returns the paths of the links that a page shows.
fn link_paths(web: &TestServer, page: &str) -> Vec<String> {
    let is_of_link = |c: &char| c.is_ascii_alphanumeric() || "/-_?=".contains(*c);
    let base = format!("{}/connect/", web.base);
    let found = page.match_indices(&base).map(|(at, _)| page[at + web.base.len()..].chars().take_while(is_of_link));
    found.map(Iterator::collect::<String>).filter(|path| path.contains("token=")).collect()
}

#[apply(each_database!)]
async fn connections_that_lack_a_wanted_scope_are_shown_and_get_links_in_one_step(database: TestDatabase) {
    let db = database.name;
    let web = server_wanting_contacts(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    assert!(!ann.page_text(LINKS_PAGE).await.contains("Create links for all"), "{db}");
    connect_two(&web, &org).await;
    let lack = "2 of 2 connections lack access that this app now asks for: Read contacts";
    let page = ann.page_text(PAGE).await;
    for text in [lack, "Wants more access: Read contacts. Reconnect it to allow this."] {
        assert!(page.contains(text), "{db}: {text}: {page}");
    }
    let page = ann.page_text(LINKS_PAGE).await;
    for text in [lack, "0 of 2 connections have it.", "Create links for all"] {
        assert!(page.contains(text), "{db}: {text}: {page}");
    }

    let made = ann.post(MORE_LINKS, &[]).await;
    assert_eq!((made.location(), ann.flash().as_str()), (LINKS_PAGE, "links-created.2.0"), "{db}");
    let shown = ann.page_text(LINKS_PAGE).await;
    assert!(shown.contains("2 links were created. Copy them now"), "{db}: {shown}");
    let links = link_paths(&web, &shown);
    assert_eq!(links.len(), 2, "{db}: {shown}");
    assert_eq!(shown.matches("A connect link is open.").count(), 2, "{db}");
    let events = web.store.audit_events(Some(&org), AuditFilter::default(), None, 20).await.unwrap();
    let created = events.iter().filter(|event| event.action.as_str() == Action::ConnectLinkCreated.as_str()).count();
    assert_eq!(created, 2, "{db}");

    // A second time makes no second set.
    ann.post(MORE_LINKS, &[]).await;
    let again = ann.page_text(LINKS_PAGE).await;
    assert!(again.contains("No link was created: 2 connections already have one."), "{db}: {again}");
    assert_eq!(web.store.open_connect_links(&org).await.unwrap().len(), 2, "{db}");
    assert!(ann.page_text(PAGE).await.contains("2 links are open."), "{db}");

    // Sorted by name, so the first is for Harbour Coffee. It is used by somebody without an account.
    let stranger = web.browser();
    let path = links[0].split_once('?').unwrap().0;
    stranger.get(&links[0]).await;
    let asks = stranger.page_text(path).await;
    assert!(asks.contains("reconnect Harbour Coffee") && asks.contains("More access than before"), "{db}: {asks}");
    let id = path.strip_prefix("/connect/").unwrap();
    consent(&web, &stranger, "/api/connect-links/start", &[("id", id)]).await;
    assert!(stranger.page_text(path).await.contains("Harbour Coffee is connected"), "{db}");
    assert!(ann.page_text(PAGE).await.contains("In Xero: Mere Tane"), "{db}");
    let page = ann.page_text(LINKS_PAGE).await;
    for text in ["1 of 2 connections lacks access", "1 of 2 connections has it."] {
        assert!(page.contains(text), "{db}: {text}: {page}");
    }
    assert_eq!(link_paths(&web, &page).len(), 1, "{db}: a used link is not shown again");

    // Its page says who consented, as whom, and to what.
    let bindings = web.bindings(&org).await;
    let harbour = bindings.iter().find(|one| one.binding.tenant.name == "Harbour Coffee").unwrap();
    let history = ann.page_text(&format!("{PAGE}/{}", harbour.binding.id)).await;
    for text in ["Someone with a connect link of ann@example.com", "Mere Tane (mere.tane@example.com)", "Nothing more"]
    {
        assert!(history.contains(text), "{db}: {text}: {history}");
    }
    assert_eq!(
        web.browser().post(MORE_LINKS, &[]).await.location(),
        "/login?next=%2Fsettings%2Fintegrations",
        "{db}: nobody is signed in"
    );
    web.stop().await;
}

#[apply(each_database!)]
async fn members_see_what_is_missing_and_no_links(database: TestDatabase) {
    let db = database.name;
    let web = server_wanting_contacts(database).await;
    let (_, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    connect_two(&web, &org).await;
    let bob = web.add_user("bob@example.com", "Harbour Group").await;
    let demote = "UPDATE memberships SET role = 'member' WHERE user_id = $1";
    sqlx::query(demote).bind(bob.user.as_str()).execute(web.store.database().pool()).await.unwrap();
    let browser = web.browser();
    browser.sign_in("bob@example.com").await;
    let page = browser.page_text(PAGE).await;
    assert!(page.contains("Wants more access: Read contacts. An owner or admin can reconnect it."), "{db}: {page}");
    let links = browser.page_text(LINKS_PAGE).await;
    assert!(links.contains("Only owners and admins") && !links.contains("Create links for all"), "{db}: {links}");
    browser.post(MORE_LINKS, &[]).await;
    assert_eq!(browser.flash(), "not-allowed", "{db}");
    assert!(web.store.open_connect_links(&org).await.unwrap().is_empty(), "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn programs_read_granted_and_missing_scopes(database: TestDatabase) {
    let db = database.name;
    let web = server_wanting_contacts(database).await;
    let (_, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    connect_two(&web, &org).await;
    let life = evergrant::model::ApiKeyLifetime::Month;
    let new = RequestedApiKey { name: "Program", scopes: &[Scope::BindingsRead], life, created_by: None };
    let key = api_keys::create(&web.store, &org, new).await.ok().unwrap().key.expose().to_owned();
    let program = web.browser();
    let read = async |query: &str| -> Value {
        let request = program.request(Method::GET, &format!("/api/v1/bindings{query}"), JSON).bearer_auth(&key);
        serde_json::from_str(&program.send(request).await.text).unwrap()
    };
    let list = read("").await;
    for binding in list["bindings"].as_array().unwrap() {
        assert_eq!(binding["missingScopes"], json!(["accounting.contacts.read"]), "{db}");
        let granted = binding["grantedScopes"].as_array().unwrap();
        assert!(granted.contains(&json!("offline_access")), "{db}: {binding}");
    }
    assert_eq!(list["bindings"].as_array().unwrap().len(), 2, "{db}");

    // The filter reads on past connections that lack nothing.
    let names = |list: &Value| {
        let bindings = list["bindings"].as_array().unwrap().clone();
        bindings.iter().map(|one| one["tenantName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = names(&list)[0].clone();
    let grant_more = "UPDATE integration_grants SET scopes = $1 WHERE id = (SELECT active_grant_id \
                      FROM integration_tenant_bindings WHERE tenant_name = $2)";
    let grant_more = sqlx::query(grant_more).bind(scopes_with("accounting.contacts.read")).bind(first);
    grant_more.execute(web.store.database().pool()).await.unwrap();
    let lacking = read("?missingScopes=true&limit=1").await;
    assert_eq!((names(&lacking), &lacking["nextCursor"]), (vec![names(&list)[1].clone()], &Value::Null), "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn refused_scopes_are_told_as_that_and_the_least_access_connects(database: TestDatabase) {
    let db = database.name;
    let flags = [("--xero-scopes-fallback", "smallest"), ("--metrics-token", METRICS_TOKEN)];
    let web = TestServer::with_flags(database, &flags).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let least = [("least_access", "true")];
    // Before any refusal the configured scopes are asked for, whatever the form says.
    let connect = "/api/integrations/xero/connect";
    web.provider.control("settings", json!({ "refused_scopes": ["accounting.settings.read"] })).await;
    let (asked, _) = consent(&web, &ann, connect, &least).await;
    assert_eq!((asked.as_str(), ann.flash().as_str()), (DEFAULT_SCOPES, "scopes-refused"), "{db}");

    let page = ann.page_text(PAGE).await;
    for text in [
        "Xero refused what this app asks for",
        "these are scopes of another kind of app",
        "Nobody declined",
        "accounting.settings.read",
        "Connect with the least access",
    ] {
        assert!(page.contains(text), "{db}: {text}: {page}");
    }
    let settings = "Read your organisation&#x27;s settings";
    assert!(page.contains(settings) || page.contains("Read your organisation's settings"), "{db}: {page}");
    let (_, changes) = ann.call_server_fn("/api/activity/changes", &[("action", "connection.scopes_refused")]).await;
    assert_eq!(changes["events"][0]["actor"], "ann@example.com", "{db}: {changes}");

    let (asked, _) = consent(&web, &ann, connect, &least).await;
    assert_eq!(asked, SMALLEST, "{db}");
    let [bound] = &web.bindings(&org).await[..] else { panic!("{db}: not connected") };
    assert_eq!(bound.grant.as_ref().unwrap().scopes, SMALLEST, "{db}");
    let page = ann.page_text(PAGE).await;
    assert!(page.contains("Wants more access"), "{db}: {page}");
    let (status, body) =
        ann.call_server_fn("/api/integrations/xero/test", &[("binding_id", bound.binding.id.as_str())]).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{db}: {body}");

    // Once Xero grants the scopes, nothing is left of the refusal on the page.
    web.provider.control("settings", json!({ "refused_scopes": [] })).await;
    consent(&web, &ann, connect, &[]).await;
    let page = ann.page_text(PAGE).await;
    assert!(!page.contains("Xero refused what this app asks for") && !page.contains("Wants more access"), "{db}");
    let answer = web.browser().client.get(format!("{}/metrics", web.base)).bearer_auth(METRICS_TOKEN).send().await;
    let metrics = answer.unwrap().text().await.unwrap();
    assert!(metrics.contains("evergrant_scope_refusals_total{cause=\"wrong_app_scopes\"} 1"), "{db}: {metrics}");
    web.stop().await;
}

#[apply(each_database!)]
async fn causes_and_named_scopes_are_kept_and_nothing_else_of_the_callback(database: TestDatabase) {
    let db = database.name;
    let scopes = scopes_with("accounting.contacts.read");
    let web = TestServer::with_flags(database, &[("--xero-scopes", &scopes)]).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let connect = "/api/integrations/xero/connect";
    for (kind, cause, named) in [
        ("names_scope", ScopeRefusalCause::InvalidScope, "accounting.contacts.read"),
        ("not_allowed", ScopeRefusalCause::NotAllowed, ""),
        ("invalid_scope", ScopeRefusalCause::InvalidScope, ""),
    ] {
        let settings = json!({ "refused_scopes": ["accounting.contacts.read"], "scope_refusal": kind });
        web.provider.control("settings", settings).await;
        consent(&web, &ann, connect, &[]).await;
        assert_eq!(ann.flash(), "scopes-refused", "{db} {kind}");
        let refusal = web.store.standing_scope_refusal(&org, &scopes).await.unwrap().unwrap();
        assert_eq!((refusal.cause, refusal.named.join(" ").as_str()), (cause, named), "{db} {kind}");
    }
    // The operator allows no fallback, so the configured scopes are asked for again.
    let page = ann.page_text(PAGE).await;
    assert!(page.contains("Xero refused what this app asks for") && !page.contains("least access"), "{db}: {page}");
    let (asked, _) = consent(&web, &ann, connect, &[("least_access", "true")]).await;
    assert_eq!(asked, scopes, "{db}");

    // Text that only a crafted callback has is neither stored nor shown.
    let params = ann.connect().await;
    let state = &params.iter().find(|(name, _)| name == "state").unwrap().1;
    let crafted = "error=access_denied&error_description=scope+%3Cb%3Eplanted%3C/b%3E+evil.scope";
    ann.get(&format!("/api/integrations/xero/callback?{crafted}&state={state}")).await;
    let refusal = web.store.standing_scope_refusal(&org, &scopes).await.unwrap().unwrap();
    assert_eq!((refusal.cause, refusal.named), (ScopeRefusalCause::Other, Vec::new()), "{db}");
    assert!(!ann.page_text(PAGE).await.contains("planted"), "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn stranger_with_a_link_may_connect_with_the_least_access_after_a_refusal(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::with_flags(database, &[("--xero-scopes-fallback", "smallest")]).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    ann.post("/api/integrations/links/create", &[]).await;
    let link = link_paths(&web, &ann.page_text(LINKS_PAGE).await).remove(0);
    let (path, _) = link.split_once('?').unwrap();
    let id = path.strip_prefix("/connect/").unwrap();
    let stranger = web.browser();
    stranger.get(&link).await;
    assert!(!stranger.page_text(path).await.contains("least access"), "{db}");
    web.provider.control("settings", json!({ "refused_scopes": ["accounting.settings.read"] })).await;
    consent(&web, &stranger, "/api/connect-links/start", &[("id", id)]).await;
    let page = stranger.page_text(path).await;
    assert!(page.contains("may not ask for these scopes") && page.contains("Connect with the least access"), "{db}");

    let form = [("id", id), ("least_access", "true")];
    let (asked, _) = consent(&web, &stranger, "/api/connect-links/start", &form).await;
    assert_eq!(asked, SMALLEST, "{db}");
    assert!(stranger.page_text(path).await.contains("Harbour Coffee is connected"), "{db}");
    assert_eq!(web.bindings(&org).await[0].grant.as_ref().unwrap().scopes, SMALLEST, "{db}");
    web.stop().await;
}
