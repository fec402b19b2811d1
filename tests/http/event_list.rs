//! The page of events: read and unread, filters, and older pages.

use evergrant::model::{EventKind, paths};

use crate::support::browser::Browser;
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

/// Counts the events that a page lists.
fn event_count(page: &str) -> usize {
    page.matches("class=\"connection event\"").count()
}

/// Inserts events of this kind, a second apart, about a binding.
async fn insert_events(web: &TestServer, org: &str, kind: EventKind, binding: &str, count: usize) {
    for _ in 0..count {
        let insert = "INSERT INTO outbox (id, org_id, kind, binding_id, tenant_name, occurred_at, fanned_out_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $6)";
        let (id, at) = (uuid::Uuid::new_v4().to_string(), web.clock.now());
        let query = sqlx::query(insert).bind(id).bind(org).bind(kind.as_str()).bind(binding);
        let query = query.bind(format!("Tenant of {binding}")).bind(at);
        query.execute(web.store.database().pool()).await.unwrap();
        web.clock.advance(1);
    }
}

#[apply(each_database!)]
async fn events_are_filtered_paged_and_marked_as_read(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    assert!(ann.page_text(paths::EVENT_LIST).await.contains("No events yet"), "{db}");
    let connected = TestConsent::new(&web.store, &web.provider).connect(org.clone()).await;
    let binding = connected.bindings[0].as_str();
    web.clock.advance(60);
    insert_events(&web, org.as_str(), EventKind::NeedsReconnecting, binding, 1).await;
    insert_events(&web, org.as_str(), EventKind::Recovered, "b-2", 31).await;

    assert!(ann.page_text("/").await.contains("Events, 32 new"), "{db}");
    let first = ann.page_text(paths::EVENT_LIST).await;
    assert_eq!(event_count(&first), 30, "{db}");
    assert!(first.contains("32 events are new to you."), "{db}: {first}");
    let older = first.split("href=\"/events?before=").nth(1).expect("older events").split('"').next().unwrap();
    let second = ann.page_text(&format!("/events?before={older}")).await;
    assert_eq!(event_count(&second), 2, "{db}");
    assert!(second.contains("Newest") && second.contains("needs reconnecting to Xero."), "{db}: {second}");

    for (query, count) in [
        (format!("kind={}", EventKind::NeedsReconnecting.as_str()), 1),
        (format!("connection={binding}"), 1),
        (format!("connection={binding}&kind={}", EventKind::Recovered.as_str()), 0),
        // What only programs are told of, and what nobody knows, narrows nothing.
        (format!("kind={}", EventKind::Created.as_str()), 30),
        ("kind=everything".to_owned(), 30),
    ] {
        let page = ann.page_text(&format!("/events?{query}")).await;
        assert_eq!(event_count(&page), count, "{db}: {query}");
        assert_eq!(page.contains("No results"), count == 0, "{db}: {query}");
    }

    // The last one happened in the second in which the page was rendered. If the page had 31, nobody has seen it.
    let up_to = (web.clock.now() - 1).to_string();
    let form = |seen| [("up_to", up_to.as_str()), ("seen", seen), ("org_id", org.as_str())];
    ann.post("/api/events/read", &form("31")).await;
    assert!(ann.page_text(paths::EVENT_LIST).await.contains("1 event is new to you"), "{db}");
    assert_eq!(ann.post("/api/events/read", &form("1")).await.location(), paths::EVENT_LIST, "{db}");
    let read = ann.page_text(paths::EVENT_LIST).await;
    assert!(!read.contains("new to you") && !read.contains("Mark all as read"), "{db}: {read}");
    web.stop().await;
}

#[apply(each_database!)]
async fn events_of_another_organization_are_not_listed(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (_, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    insert_events(&web, org.as_str(), EventKind::NeedsReconnecting, "b-1", 1).await;
    web.store.raise_credentials_alarm("invalid_client").await.unwrap();
    let (eve, _): (Browser, _) = web.signed_in_user("eve@example.com", "Elsewhere").await;
    for query in ["", "?connection=b-1"] {
        let page = eve.page_text(&format!("/events{query}")).await;
        assert!(!page.contains("Tenant of b-1"), "{db}: {page}");
    }
    let page = eve.page_text(paths::EVENT_LIST).await;
    assert_eq!(event_count(&page), 1, "{db}: what concerns the whole app");
    web.stop().await;
}
