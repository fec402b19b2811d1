//! The page of all of a person's organizations.

use axum::http::StatusCode;
use evergrant::model::{OrgId, paths};

use super::second_factor::Factor;
use crate::support::browser::Browser;
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;
use crate::support::test_service::DAY;

const SWITCH: &str = "/api/session/switch-organization";

/// Adds an organization that the user with this address is a member of.
async fn join(web: &TestServer, email: &str, name: &str) -> OrgId {
    let org = web.store.add_org(name).await.unwrap();
    let insert = "INSERT INTO memberships (org_id, user_id, role, created_at) SELECT $1, id, 'member', 1 FROM users \
                  WHERE email = $2";
    sqlx::query(insert).bind(org.as_str()).bind(email).execute(web.store.database().pool()).await.unwrap();
    org
}

/// Returns the names of the organizations that the page lists, in its order.
fn names(page: &str) -> Vec<String> {
    let headings = page.split("<h2 id=\"organisation-").skip(1);
    headings.map(|rest| rest.split_once('>').unwrap().1.split('<').next().unwrap().to_owned()).collect()
}

#[apply(each_database!)]
async fn forty_organizations_are_listed_with_those_first_that_need_somebody(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, own) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let mut joined = Vec::new();
    for number in 10..49 {
        joined.push(join(&web, "ann@example.com", &format!("Client {number}")).await);
    }
    web.add_user("eve@example.com", "Elsewhere").await;
    TestConsent::new(&web.store, &web.provider).connect(own).await;
    let broken = TestConsent::new(&web.store, &web.provider).tenants(&["kauri"]).connect(joined[38].clone()).await;
    let end = "UPDATE integration_tenant_bindings SET status = 'needs_reauth' WHERE id = $1";
    sqlx::query(end).bind(broken.bindings[0].as_str()).execute(web.store.database().pool()).await.unwrap();

    let page = ann.page_text(paths::ORGANIZATIONS).await;
    let listed = names(&page);
    assert_eq!(listed.len(), 40, "{db}");
    assert_eq!(
        (listed[0].as_str(), listed[1].as_str(), listed[39].as_str()),
        ("Client 48", "Client 10", "Harbour Group")
    );
    let lead = "1 of your 40 organisations has a connection that needs reconnecting.";
    for text in [lead, "Reconnect needed", "No connections", "Owner", "open now"] {
        assert!(page.contains(text), "{db}: {text}: {page}");
    }
    assert!(!page.contains("Elsewhere"), "{db}");
    assert!(ann.page_text("/").await.contains("All organisations"), "{db}: the switcher leads there");

    let found = ann.page_text("/organizations?q=CLIENT+3").await;
    assert_eq!(names(&found).len(), 10, "{db}");
    assert!(ann.page_text("/organizations?q=nowhere").await.contains("No organisation matches"), "{db}");
    let switcher = page.split("id=\"organisations\"").nth(1).unwrap();
    assert!(
        switcher.contains("action=\"/organizations\"") && switcher.contains("name=\"q\""),
        "{db}: forty are searched"
    );
    let marked = switcher.split("Client 48").nth(1).unwrap().split("</button>").next().unwrap();
    assert!(marked.contains("Reconnect needed"), "{db}: {marked}");

    let form = [("org_id", joined[38].as_str()), ("next", paths::INTEGRATIONS)];
    assert_eq!(ann.post_from(paths::ORGANIZATIONS, SWITCH, &form).await.location(), paths::INTEGRATIONS, "{db}");
    assert!(ann.page_text(paths::INTEGRATIONS).await.contains("Kauri Joinery"), "{db}");
    let form = [("org_id", joined[0].as_str()), ("next", "https://evil.example/")];
    let elsewhere = ann.post_from(paths::ORGANIZATIONS, SWITCH, &form).await;
    assert_eq!((elsewhere.status, elsewhere.location()), (StatusCode::SEE_OTHER, paths::ORGANIZATIONS), "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn locked_organization_says_so_and_tells_nothing_else(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, harbour) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (bob, _): (Browser, OrgId) = web.signed_in_user("bob@example.com", "Harbour Group").await;
    join(&web, "bob@example.com", "Southerly Studio").await;
    TestConsent::new(&web.store, &web.provider).connect(harbour.clone()).await;
    Factor::add(&web, &ann).await;
    let form = [("days", "7"), ("org_id", harbour.as_str())];
    ann.post("/api/organizations/require-factor", &form).await;
    let before = bob.page_text(paths::ORGANIZATIONS).await;
    assert!(before.contains("Connected") && !before.contains("Requires a second factor"), "{db}: {before}");

    web.advance(7 * DAY);
    let page = bob.page_text(paths::ORGANIZATIONS).await;
    assert_eq!(names(&page), ["Harbour Group", "Southerly Studio"], "{db}: what needs him comes first");
    for text in ["Requires a second factor", "Set yours up"] {
        assert!(page.contains(text), "{db}: {text}: {page}");
    }
    assert!(!page.contains("Connected"), "{db}: nothing is told of a locked organization: {page}");
    // The organization that he works in is closed to him, and its page leads to the others.
    assert!(bob.page_text("/").await.contains("All organisations</a>"), "{db}");
    web.stop().await;
}
