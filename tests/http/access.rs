//! Who may call what: every server function, route and operation of the API, as nobody, as each role, as a stranger from
//! another organization, and as a program. The table is complete, because the registered ones are counted.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use evergrant::model::{ApiKeyLifetime, OrgId, Role, Scope, paths};
use evergrant::server::auth::api_keys;
use evergrant::server::auth::api_keys::RequestedApiKey;
use evergrant::server::store::NewInvitation;
use leptos::server_fn::axum::server_fn_paths;
use reqwest::Method;
use serde_json::{Value, json};

use super::members::member_id;
use crate::support::browser::{Browser, JSON, Page};
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::table_dump::dump;
use crate::support::test_server::{PASSWORD, TestServer};

/// Who may make a call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Access {
    /// Anybody, also without a session.
    Anyone,
    /// Every person who is signed in.
    SignedIn,
    /// Members with this role, or a higher one.
    From(Role),
    /// Programs with a key that has the scope, and no person.
    Key(Scope),
}
use Access::{Anyone, From, Key, SignedIn};
use Role::{Admin, Member, Owner};

/// Ids of the organization's rows, which a stranger also tries. Roles are tried with an id that nothing has.
const BINDING: &str = "its connection";
const PERSON: &str = "its owner";
const API_KEY: &str = "its key";
const INVITATION: &str = "its invitation";
const ENDPOINT: &str = "its webhook";
const LINK: &str = "its connect link";

type Fields = &'static [(&'static str, &'static str)];

/// The server functions. Those that end the session's membership or change its organization stand last.
const FUNCTIONS: &[(&str, Fields, Access)] = &[
    ("account/change-email", &[("email", "new@example.com"), ("current_password", "none")], SignedIn),
    ("account/change-password", &[("current_password", PASSWORD), ("new_password", "none")], SignedIn),
    ("account/confirm-second-factor", &[("code", "000000")], SignedIn),
    ("account/begin-second-factor", &[], SignedIn),
    ("account/create-recovery-codes", &[], SignedIn),
    ("account/end-other-sessions", &[], SignedIn),
    ("account/end-session", &[("session", "none")], SignedIn),
    ("account/link-provider", &[], SignedIn),
    ("account/remove-second-factor", &[("code", "000000")], SignedIn),
    ("account/unlink-provider", &[], SignedIn),
    ("account/set-name", &[("name", "A. Person")], SignedIn),
    ("account/set-time-zone", &[("time_zone", "UTC")], SignedIn),
    ("account/view", &[], SignedIn),
    ("activity", &[], From(Member)),
    ("activity/changes", &[], From(Member)),
    ("find", &[], From(Member)),
    ("api-keys/create", &[("name", "none")], From(Admin)),
    ("api-keys/end-previous", &[("key_id", API_KEY)], From(Admin)),
    ("api-keys/limit", &[("key_id", API_KEY), ("reach", "all")], From(Admin)),
    ("api-keys/rename", &[("key_id", API_KEY), ("name", "Renamed")], From(Admin)),
    ("api-keys/revoke", &[("key_id", API_KEY)], From(Admin)),
    ("api-keys/rotate", &[("key_id", API_KEY)], From(Admin)),
    ("api-keys/view", &[], From(Admin)),
    ("docs/view", &[], Anyone),
    ("events/read", &[("up_to", "0")], From(Member)),
    ("events/view", &[], From(Member)),
    ("integrations/connection/view", &[("binding_id", BINDING)], From(Member)),
    ("integrations/contacts/set", &[("binding_id", BINDING), ("contacts", "books@example.com")], From(Admin)),
    ("integrations/links/cancel", &[("link_id", LINK)], From(Admin)),
    ("integrations/links/create", &[("binding_id", BINDING)], From(Admin)),
    ("integrations/links/create-for-missing", &[], From(Admin)),
    ("integrations/links/return-urls", &[("urls", "none")], From(Owner)),
    ("integrations/links/view", &[], From(Admin)),
    ("integrations/view", &[], From(Member)),
    ("integrations/xero/disconnect", &[("binding_id", BINDING)], From(Admin)),
    ("integrations/xero/keep", &[("binding_id", BINDING)], From(Admin)),
    ("integrations/xero/refresh", &[], From(Member)),
    ("integrations/xero/refresh-connection", &[("binding_id", BINDING)], From(Member)),
    ("integrations/xero/test", &[("binding_id", BINDING)], From(Member)),
    ("members/belongings", &[("user_id", PERSON)], From(Admin)),
    ("members/invite", &[("role", "member"), ("email", "none")], From(Admin)),
    ("members/invite", &[("role", "owner")], From(Owner)),
    ("members/remove", &[("user_id", PERSON)], From(Admin)),
    ("members/revoke-invitation", &[("invitation_id", INVITATION)], From(Admin)),
    ("members/set-role", &[("user_id", PERSON), ("role", "member")], From(Admin)),
    ("members/transfer-ownership", &[("user_id", PERSON)], From(Owner)),
    ("members/view", &[], From(Member)),
    ("notifications/mail", &[("user_id", PERSON), ("on", "true")], From(Admin)),
    ("notifications/view", &[], From(Member)),
    ("notifications/webhooks/add", &[("url", "none")], From(Admin)),
    ("notifications/webhooks/events", &[("endpoint_id", ENDPOINT)], From(Admin)),
    ("notifications/webhooks/log", &[("endpoint_id", ENDPOINT)], From(Admin)),
    ("notifications/webhooks/resend", &[("delivery_id", "none")], From(Admin)),
    ("notifications/webhooks/remove", &[("endpoint_id", ENDPOINT)], From(Admin)),
    ("notifications/webhooks/rotate", &[("endpoint_id", ENDPOINT)], From(Admin)),
    ("notifications/webhooks/set", &[("endpoint_id", ENDPOINT), ("enabled", "true")], From(Admin)),
    ("notifications/webhooks/test", &[("endpoint_id", ENDPOINT)], From(Admin)),
    ("organizations/view", &[], SignedIn),
    ("organizations/rename", &[("name", "Harbour Group")], From(Admin)),
    ("organizations/require-factor", &[("days", "7")], From(Owner)),
    ("organizations/stop-requiring-factor", &[], From(Owner)),
    ("overview", &[], From(Member)),
    ("xero/view", &[], From(Member)),
    ("members/leave", &[], From(Member)),
    ("organizations/create", &[("name", "")], SignedIn),
];

/// The routes, other than the server functions' own.
const ROUTES: &[(Method, &str, Fields, Access)] = &[
    (Method::GET, paths::SESSION, &[], Anyone),
    (Method::POST, paths::SESSION_LOGIN, &[("email", "none"), ("password", "none")], Anyone),
    (Method::POST, paths::SESSION_SWITCH_ORGANIZATION, &[("org_id", "none")], SignedIn),
    (Method::POST, paths::SESSION_CODE, &[("code", "000000")], Anyone),
    (Method::POST, paths::SESSION_PROOF, &[("proof", "none")], SignedIn),
    (Method::POST, paths::SESSION_FORGOT, &[("email", "none")], Anyone),
    (Method::POST, paths::SESSION_RESET, &[("new_password", "none")], Anyone),
    (Method::POST, paths::SESSION_CONFIRM_EMAIL, &[], Anyone),
    (Method::POST, paths::SESSION_THEME, &[("theme", "dark")], Anyone),
    (Method::GET, paths::SESSION_OIDC, &[], Anyone),
    (Method::GET, paths::SESSION_OIDC_CALLBACK, &[], Anyone),
    (Method::POST, paths::SESSION_OIDC_LINK, &[("password", "none")], Anyone),
    (Method::POST, paths::ACCEPT_INVITATION, &[], Anyone),
    (Method::POST, paths::START_CONNECT_LINK, &[("id", "none")], Anyone),
    (Method::POST, paths::UNSUBSCRIBE_POST, &[], Anyone),
    (Method::POST, paths::CONNECT, &[("binding_id", BINDING)], From(Admin)),
    (Method::POST, paths::CONFIRM, &[("id", "none"), ("decision", "keep")], From(Admin)),
    (Method::GET, paths::CALLBACK, &[], SignedIn),
    (Method::GET, paths::OLD_CONNECTION, &[], Anyone),
    (Method::GET, paths::ACTIVITY_CSV, &[], From(Member)),
    (Method::GET, paths::EVENTS, &[], From(Member)),
    (Method::POST, paths::CLERK_WEBHOOK, &[], Anyone),
    (Method::GET, paths::HEALTHZ, &[], Anyone),
    (Method::GET, paths::READYZ, &[], Anyone),
    (Method::GET, paths::METRICS, &[], Anyone),
    (Method::GET, paths::OPENAPI, &[], Anyone),
    (Method::POST, paths::SESSION_LOGOUT, &[], Anyone),
];

/// The operations of the API.
const OPERATIONS: &[(Method, &str, Scope)] = &[
    (Method::GET, paths::V1_BINDINGS, Scope::BindingsRead),
    (Method::GET, paths::V1_BINDING, Scope::BindingsRead),
    (Method::PATCH, paths::V1_BINDING, Scope::BindingsWrite),
    (Method::DELETE, paths::V1_BINDING, Scope::BindingsWrite),
    (Method::POST, paths::V1_REFRESH, Scope::BindingsWrite),
    (Method::GET, paths::V1_TOKEN, Scope::TokensRead),
    (Method::GET, paths::V1_XERO, Scope::XeroRead),
    (Method::POST, paths::V1_XERO, Scope::XeroWrite),
    (Method::PUT, paths::V1_XERO, Scope::XeroWrite),
    (Method::PATCH, paths::V1_XERO, Scope::XeroWrite),
    (Method::DELETE, paths::V1_XERO, Scope::XeroWrite),
    (Method::GET, paths::V1_EVENTS, Scope::EventsRead),
    (Method::GET, paths::V1_CONNECT_LINKS, Scope::LinksWrite),
    (Method::POST, paths::V1_CONNECT_LINKS, Scope::LinksWrite),
    (Method::GET, paths::V1_CONNECT_LINK, Scope::LinksWrite),
    (Method::DELETE, paths::V1_CONNECT_LINK, Scope::LinksWrite),
    (Method::POST, paths::V1_IMPORT, Scope::ImportWrite),
];

struct Call {
    method: Method,
    path: String,
    fields: Fields,
    access: Access,
}

fn calls() -> Vec<Call> {
    let functions = FUNCTIONS.iter().map(|(path, fields, access)| Call {
        method: Method::POST,
        path: format!("/api/{path}"),
        fields,
        access: *access,
    });
    let routes = ROUTES.iter().map(|(method, path, fields, access)| Call {
        method: method.clone(),
        path: (*path).to_owned(),
        fields,
        access: *access,
    });
    let operations = OPERATIONS.iter().map(|(method, path, scope)| Call {
        method: method.clone(),
        path: path.replace("{*path}", "api.xro/2.0/Organisation"),
        fields: &[],
        access: Key(*scope),
    });
    routes.filter(|call| call.path != paths::SESSION_LOGOUT).chain(functions).chain(operations).collect()
}

/// Makes a call, with these ids in its path and fields, and with a key if one is given.
async fn make(browser: &Browser, call: &Call, ids: &BTreeMap<&str, String>, key: Option<&str>) -> Page {
    let id = |name: &str| ids.get(name).cloned().unwrap_or_else(|| "none".to_owned());
    let is_id = |value: &str| [BINDING, PERSON, API_KEY, INVITATION, ENDPOINT, LINK].contains(&value);
    let fields =
        call.fields.iter().map(|(name, value)| (*name, if is_id(value) { id(value) } else { (*value).into() }));
    let mut request = browser.request(
        call.method.clone(),
        &call.path.replace("{id}", &id(if call.path == paths::V1_CONNECT_LINK { LINK } else { BINDING })),
        JSON,
    );
    if call.method == Method::POST && !call.path.starts_with(paths::V1) {
        request = request.form(&fields.collect::<Vec<_>>());
    }
    if call.method == Method::PATCH {
        request = request.json(&json!({ "tags": [] }));
    }
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let answer = browser.open(request).await;
    // The event stream has no end.
    let (status, headers) = (answer.status(), answer.headers().clone());
    let text = if call.path == paths::EVENTS { String::new() } else { answer.text().await.unwrap() };
    Page { status, headers, text }
}

/// Returns whether the answer asks for a sign-in or a key. A provider that is not set up leads to the login, too.
fn asks_who(call: &Call, page: &Page) -> bool {
    let to_login = page.location() == paths::LOGIN || page.location().starts_with("/login?next=");
    let is_redirect = page.status == StatusCode::SEE_OTHER && !call.path.starts_with(paths::SESSION_OIDC);
    page.status == StatusCode::UNAUTHORIZED || is_redirect && to_login
}

/// Returns whether the answer says that the role or the key is not enough.
fn forbids(page: &Page) -> bool {
    let mut cookies = page.headers.get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
    page.status == StatusCode::FORBIDDEN || cookies.any(|cookie| cookie.contains("=not-allowed;"))
}

async fn new_key(web: &TestServer, org: &OrgId, scopes: &[Scope]) -> (String, String) {
    let new = RequestedApiKey { name: "Program", scopes, life: ApiKeyLifetime::Month, created_by: None };
    let created = api_keys::create(&web.store, org, new).await.ok().unwrap();
    (created.id.0, created.key.expose().to_owned())
}

#[apply(each_database!)]
async fn every_endpoint_requires_its_minimum_role(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (_, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    web.add_user("bob@example.com", "Harbour Group").await;
    web.add_user("eve@example.com", "Harbour Group").await;
    let demote = "UPDATE memberships SET role = 'member' WHERE user_id = $1";
    let eve = member_id(&web, &org, "eve@example.com").await;
    sqlx::query(demote).bind(eve).execute(web.store.database().pool()).await.unwrap();
    let (_, key) = new_key(&web, &org, Scope::ALL).await;

    let mut wrong = Vec::new();
    let mut expect = |who: &str, call: &Call, page: &Page, is_as_expected: bool| {
        if !is_as_expected {
            wrong.push(format!("{who}: {} {}: {} {}", call.method, call.path, page.status, page.text));
        }
    };
    for call in calls() {
        let page = make(&web.browser(), &call, &BTreeMap::new(), None).await;
        expect("nobody", &call, &page, asks_who(&call, &page) == (call.access != Anyone));
        if !matches!(call.access, Key(_)) {
            let page = make(&web.browser(), &call, &BTreeMap::new(), Some(&key)).await;
            expect("a key is no session", &call, &page, asks_who(&call, &page) == (call.access != Anyone));
        }
    }
    let rank = |role: Role| Role::ALL.iter().rev().position(|one| *one == role).unwrap();
    for (email, role) in [("ann@example.com", Owner), ("bob@example.com", Admin), ("eve@example.com", Member)] {
        let browser = web.browser();
        browser.sign_in(email).await;
        for call in calls() {
            let page = make(&browser, &call, &BTreeMap::new(), None).await;
            let (is_program, from) = match call.access {
                Key(_) => (true, Member),
                From(from) => (false, from),
                Anyone | SignedIn => (false, Member),
            };
            let is_forbidden = forbids(&page);
            expect(
                email,
                &call,
                &page,
                asks_who(&call, &page) == is_program && is_forbidden == (rank(role) < rank(from)),
            );
        }
    }
    assert!(wrong.is_empty(), "{db}: {wrong:#?}");
    web.stop().await;
}

#[apply(each_database!)]
async fn every_operation_requires_its_scope(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let org = web.add_user("ann@example.com", "Harbour Group").await.org.unwrap().0;
    let program = web.browser();
    for call in calls() {
        let Key(scope) = call.access else { continue };
        let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|one| *one != scope).collect();
        for (scopes, is_enough) in [(&[scope][..], true), (&others[..], false)] {
            let (_, key) = new_key(&web, &org, scopes).await;
            let page = make(&program, &call, &BTreeMap::new(), Some(&key)).await;
            let path = format!("{db}: {} {} {scopes:?}: {} {}", call.method, call.path, page.status, page.text);
            assert_eq!(page.status == StatusCode::FORBIDDEN, !is_enough, "{path}");
            assert!(!asks_who(&call, &page), "{path}");
        }
    }
    web.stop().await;
}

#[apply(each_database!)]
async fn strangers_neither_change_nor_read_rows_of_another_organization(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (_, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let connected = TestConsent::new(&web.store, &web.provider).access_seconds_left(1800).connect(org.clone()).await;
    let ann = member_id(&web, &org, "ann@example.com").await;
    let new = NewInvitation { role: Member, hash: "hash", email: None, by_mail: false };
    let invitation = web.store.invite(&org, &ann.as_str().into(), new).await.unwrap();
    let (key_id, _) = new_key(&web, &org, Scope::ALL).await;
    // Disabled, so that no delivery to it begins meanwhile.
    let endpoint = "INSERT INTO webhook_endpoints (id, org_id, url, secret_enc, created_at, disabled_at) \
                    VALUES ('e-1', $1, 'https://example.com/harbour', 'x', 0, 1)";
    let pool = web.store.database().pool();
    sqlx::query(endpoint).bind(org.as_str()).execute(pool).await.unwrap();
    let link = "INSERT INTO connect_links (id, org_id, secret_hash, requested_by, note, tags, created_by, created_at, \
                expires_at) VALUES ('l-1', $1, 'hash', '', 'harbour', '', 'ann', 1800000000, 1800086400)";
    sqlx::query(link).bind(org.as_str()).execute(pool).await.unwrap();
    let ids = BTreeMap::from([
        (BINDING, connected.bindings[0].0.clone()),
        (PERSON, ann),
        (API_KEY, key_id),
        (INVITATION, invitation.0),
        (ENDPOINT, "e-1".to_owned()),
        (LINK, "l-1".to_owned()),
    ]);
    let (mallory, elsewhere) = web.signed_in_user("mallory@example.com", "Elsewhere").await;
    let (_, key) = new_key(&web, &elsewhere, Scope::ALL).await;
    let (program, before, mut wrong) = (web.browser(), dump(pool, Some(&org)).await, Vec::new());
    for call in calls().into_iter().filter(|call| call.access != Anyone && call.path != paths::EVENTS) {
        let page = match call.access {
            Key(_) => make(&program, &call, &ids, Some(&key)).await,
            _ => make(&mallory, &call, &ids, None).await,
        };
        let names_row = call.path.contains("{id}") || call.fields.iter().any(|(_, value)| ids.contains_key(value));
        let is_found = names_row && ![StatusCode::NOT_FOUND, StatusCode::SEE_OTHER].contains(&page.status);
        let is_told = page.text.contains("Harbour") || page.text.contains("harbour");
        let is_changed = dump(pool, Some(&org)).await != before;
        if is_found || is_told || is_changed {
            wrong.push(format!("{} {}: {} {}", call.method, call.path, page.status, page.text));
        }
    }
    assert!(wrong.is_empty(), "{db}: {wrong:#?}");
    web.stop().await;
}

#[tokio::test]
async fn the_tables_name_every_function_route_and_operation() {
    let functions: BTreeSet<String> = FUNCTIONS.iter().map(|(path, ..)| format!("/api/{path}")).collect();
    assert_eq!(functions, server_fn_paths().map(|(path, _)| path.to_owned()).collect(), "complete FUNCTIONS");

    let constants: BTreeMap<&str, &str> = include_str!("../../src/model/paths.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str = \""))
        .map(|(name, rest)| (name, rest.trim_end_matches("\";")))
        .collect();
    let routers = [include_str!("../../src/server/http/router.rs"), include_str!("../../src/server/http/v1/mod.rs")];
    let routed: BTreeSet<&str> = routers
        .iter()
        .flat_map(|text| text.split(".route(paths::").skip(1))
        .map(|rest| constants[rest.split(',').next().unwrap()])
        .filter(|path| *path != paths::SERVER_FUNCTIONS)
        .collect();
    let listed = ROUTES.iter().map(|(_, path, ..)| *path).chain(OPERATIONS.iter().map(|(_, path, _)| *path));
    assert_eq!(listed.collect::<BTreeSet<_>>(), routed, "complete ROUTES and OPERATIONS");

    let web = TestServer::start().await;
    let document: Value = serde_json::from_str(&web.browser().get(paths::OPENAPI).await.text).unwrap();
    let documented: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| (path.clone(), method.clone()))
        })
        .collect();
    let operation = |(method, path, _): &(Method, &str, Scope)| {
        (path.replace("{*path}", "{path}"), method.as_str().to_ascii_lowercase())
    };
    assert_eq!(OPERATIONS.iter().map(operation).collect::<BTreeSet<_>>(), documented, "complete OPERATIONS");
    web.stop().await;
}
