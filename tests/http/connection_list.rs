//! The list of connections of a practice with two hundred of them: trouble first, search, filter, pages.

use evergrant::model::OrgId;
use evergrant::server::store::Store;
use reqwest::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE};
use reqwest::{Method, StatusCode};

use crate::support::browser::{Browser, HTML};
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

/// The most that a page of fifty connections weighs on the wire, in bytes.
const MAX_PAGE_BYTES: usize = 20_000;

/// Connections of the tests, beside those with special names.
const MANY: usize = 197;

/// Inserts connections that copy the grant of the one that there is.
async fn insert_connections(store: &Store, org: &OrgId) {
    let mut names: Vec<(String, &str)> = (0..MANY).map(|number| (format!("Client {number}"), "active")).collect();
    names.extend([("Tui Books".to_owned(), "active"), ("Ōtautahi Tours".to_owned(), "active")]);
    for (number, (name, status)) in names.iter().enumerate() {
        let id = format!("{number:08}-7d3c-4b51-9f60-{:012x}", number * 7_919_317_713);
        sqlx::query(
            "INSERT INTO integration_tenant_bindings (id, org_id, tenant_id, tenant_name, tenant_type, connection_id, \
             active_grant_id, status, connected_by, created_at, updated_at) \
             SELECT $1, org_id, $1, $2, tenant_type, $1, active_grant_id, $3, connected_by, created_at, updated_at \
             FROM integration_tenant_bindings WHERE org_id = $4 AND tenant_name = 'Harbour Coffee'",
        )
        .bind(&id)
        .bind(name)
        .bind(*status)
        .bind(org.as_str())
        .execute(store.database().pool())
        .await
        .unwrap();
    }
    break_connections(store, org, "Client 7").await;
    let label = "UPDATE integration_tenant_bindings SET external_id = 'CRM-4711' WHERE tenant_name = 'Client 42'";
    sqlx::query(label).execute(store.database().pool()).await.unwrap();
    let tag = "INSERT INTO binding_tags (binding_id, tag) SELECT id, 'payroll' FROM integration_tenant_bindings \
               WHERE tenant_name = 'Client 43'";
    sqlx::query(tag).execute(store.database().pool()).await.unwrap();
}

async fn break_connections(store: &Store, org: &OrgId, name: &str) {
    sqlx::query(
        "UPDATE integration_tenant_bindings SET status = 'needs_reauth' WHERE org_id = $1 AND tenant_name = $2",
    )
    .bind(org.as_str())
    .bind(name)
    .execute(store.database().pool())
    .await
    .unwrap();
}

/// Starts a server whose organization has two hundred connections.
pub(super) async fn with_two_hundred(database: TestDatabase) -> (TestServer, Browser, OrgId) {
    let server = TestServer::on(database).await;
    let (ann, org) = server.signed_in_user("ann@example.com", "Harbour Group").await;
    crate::connect::connect_as(&server, &ann, "mere", "harbour").await;
    insert_connections(&server.store, &org).await;
    (server, ann, org)
}

/// Returns the names of the page's rows, in their order.
fn rows(page: &str) -> Vec<&str> {
    let headings = page.split("<h2 id=\"tenant-").skip(1);
    headings.filter_map(|rest| rest.split("</h2>").next()?.rsplit("\">").next()?.split('<').next()).collect()
}

#[apply(each_database!)]
async fn trouble_comes_first_and_names_as_people_sort_them(database: TestDatabase) {
    let (server, ann, org) = with_two_hundred(database).await;
    let db = server.database().name;
    let page = ann.page_text("/settings/integrations").await;
    let names = rows(&page);
    assert_eq!((names.len(), &names[..4]), (50, &["Client 7", "Client 0", "Client 1", "Client 2"][..]), "{db}");
    assert!(page.contains("Showing 1–50 of 200"), "{db}");
    let last = ann.page_text("/settings/integrations?page=4").await;
    let names = rows(&last);
    assert_eq!(names[names.len() - 3..], ["Harbour Coffee", "Ōtautahi Tours", "Tui Books"], "{db}");
    assert!(last.contains("Showing 151–200 of 200") && last.contains("?page=3\""), "{db}");
    assert_eq!(rows(&ann.page_text("/settings/integrations?page=99").await), names, "{db}");

    assert!(page.contains("1 connection needs reconnecting:"), "{db}");
    for name in ["Client 100", "Client 101", "Client 102", "Client 103"] {
        break_connections(&server.store, &org, name).await;
    }
    for path in ["/settings/integrations?page=4", "/"] {
        let page = ann.page_text(path).await;
        for named in ["Client 7<", "Client 100<", "Client 101<", "and 2 more"] {
            assert!(page.contains(named), "{db}: {path} doesn't name {named}");
        }
        assert!(page.contains("href=\"/settings/integrations?state=reconnect\""), "{db}: {path}");
        let forms = page.split("class=\"broken\"").nth(1).unwrap().split("</ul>").next().unwrap();
        assert_eq!(forms.matches("action=\"/api/integrations/xero/connect\"").count(), 3, "{db}: {path}");
    }
}

#[apply(each_database!)]
async fn names_are_sorted_as_the_readers_language_sorts_them(database: TestDatabase) {
    let (server, ann, org) = with_two_hundred(database).await;
    let renamed = "UPDATE integration_tenant_bindings SET tenant_name = 'Åre Fjäll' WHERE tenant_name = 'Tui Books'";
    sqlx::query(renamed).execute(server.store.database().pool()).await.unwrap();
    let joined = "INSERT INTO memberships (user_id, org_id, role, created_at) SELECT user_id, $1, role, created_at \
                  FROM memberships WHERE org_id = $2";
    for name in ["Ängsö Group", "Zebra Group"] {
        let other = server.store.add_org(name).await.unwrap();
        let joined = sqlx::query(joined).bind(other.as_str()).bind(org.as_str());
        joined.execute(server.store.database().pool()).await.unwrap();
    }
    let page = async |path: &str, languages: &str| {
        let request = ann.request(Method::GET, path, HTML).header(ACCEPT_LANGUAGE, languages);
        ann.send(request).await.text
    };
    let db = server.database().name;
    for (languages, last, organizations) in [
        ("sv-SE,sv;q=0.9,en;q=0.8", "Åre Fjäll", ["Zebra Group", "Ängsö Group"]),
        ("en-NZ,en;q=0.9,sv;q=0.8", "Ōtautahi Tours", ["Ängsö Group", "Zebra Group"]),
    ] {
        let list = page("/settings/integrations?page=4", languages).await;
        assert_eq!(rows(&list).last(), Some(&last), "{db}: {languages}");
        let text = page("/organizations", languages).await;
        for part in text.split("<main") {
            assert!(organizations.map(|name| part.find(name).unwrap()).is_sorted(), "{db}: {languages}");
        }
    }
}

#[apply(each_database!)]
async fn every_page_of_the_list_asks_about_a_former_members_connection(database: TestDatabase) {
    let (server, ann, org) = with_two_hundred(database).await;
    let bob = server.add_user("bob@example.com", "Southerly").await.user;
    for statement in [
        "UPDATE integration_tenant_bindings SET connected_by = $1 WHERE org_id = $2 AND tenant_name = 'Tui Books'",
        "INSERT INTO membership_removals (user_id, org_id, removed_at) VALUES ($1, $2, 1800000000)",
    ] {
        let left = sqlx::query(statement).bind(bob.as_str()).bind(org.as_str());
        left.execute(server.store.database().pool()).await.unwrap();
    }
    for (path, has_its_row) in [("/settings/integrations", false), ("/settings/integrations?page=4", true)] {
        let page = ann.page_text(path).await;
        assert!(page.contains("Tui Books will be disconnected") && page.contains("bob@example.com"), "{path}");
        assert_eq!(rows(&page).contains(&"Tui Books"), has_its_row, "{path}");
    }
}

#[apply(each_database!)]
async fn list_is_searched_and_filtered_by_its_address(database: TestDatabase) {
    let (server, ann, _) = with_two_hundred(database).await;
    let db = server.database().name;
    for (query, names) in [
        ("?q=OTAU", &["Ōtautahi Tours"][..]),
        ("?q=crm-47", &["Client 42"]),
        ("?q=payroll", &["Client 43"]),
        ("?q=client+1&state=reconnect", &[]),
        ("?state=reconnect", &["Client 7"]),
        ("?q=tui&state=unknown", &["Tui Books"]),
    ] {
        let page = ann.page_text(&format!("/settings/integrations{query}")).await;
        assert_eq!(rows(&page), names, "{db}: {query}");
        assert!(page.contains("Clear filters"), "{db}: {query}");
        assert_eq!(page.contains("No connection matches"), names.is_empty(), "{db}: {query}");
        assert!(!page.contains("No connections yet"), "{db}: {query}");
    }
    let page = ann.page_text("/settings/integrations?q=client").await;
    assert!(page.contains("Reconnect needed (1)") && page.contains("Connected (196)"), "{db}");
    assert!(page.contains("?q=client&amp;page=2\""), "{db}: the search is kept");
}

#[apply(each_database!)]
async fn forms_come_back_to_the_same_part_of_the_list(database: TestDatabase) {
    let (server, ann, _) = with_two_hundred(database).await;
    let db = server.database().name;
    let part = "/settings/integrations?q=client&page=2";
    let refreshed = ann.post_from(part, "/api/integrations/xero/refresh", &[("clicked", "true")]).await;
    assert_eq!(refreshed.location(), part, "{db}");
    let asked = ann.post_from(part, "/api/integrations/xero/connect", &[]).await;
    let authorize = url::Url::parse(asked.location()).unwrap();
    let state = authorize.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let declined = ann.get(&format!("/api/integrations/xero/callback?error=access_denied&state={state}")).await;
    assert_eq!((declined.status, declined.location()), (StatusCode::SEE_OTHER, part), "{db}");
    assert_eq!(ann.cookie("evergrant_return"), None, "{db}");
}

#[tokio::test]
async fn page_of_fifty_connections_is_light() {
    let (_server, ann, _) = with_two_hundred(TestDatabase::sqlite()).await;
    let request = ann.request(Method::GET, "/settings/integrations", HTML).header(ACCEPT_ENCODING, "gzip");
    let answer = ann.open(request).await;
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let packed = answer.bytes().await.unwrap();
    assert_eq!(rows(&ann.page_text("/settings/integrations").await).len(), 50);
    assert!(packed.len() < MAX_PAGE_BYTES, "{} bytes", packed.len());
}
