//! Xero's state, and the overview's verdict with its cause.

use evergrant::model::paths;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

const REFRESH: &str = "/api/integrations/xero/refresh";
const REFUSES: &str = "Xero refuses Evergrant's app credentials";

/// Connects two tenants of Harbour Group. Signs its owner and a member in.
async fn two_connections(web: &TestServer) -> (Browser, Browser) {
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    TestConsent::new(&web.store, &web.provider).tenants(&["harbour", "kauri"]).connect(org).await;
    let bob = web.add_user("bob@example.com", "Harbour Group").await.user;
    let demote = "UPDATE memberships SET role = 'member' WHERE user_id = $1";
    sqlx::query(demote).bind(bob.as_str()).execute(web.store.database().pool()).await.unwrap();
    let member = web.browser();
    member.sign_in("bob@example.com").await;
    (ann, member)
}

fn occurrences(page: &str, text: &str) -> usize {
    page.matches(text).count() + page.matches(&text.replace('\'', "&#x27;")).count()
}

#[apply(each_database!)]
async fn outage_of_xero_names_its_begin_and_what_it_affects_and_asks_nobody_to_act(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, member) = two_connections(&web).await;
    let page = ann.page_text(paths::XERO).await;
    assert!(page.contains("Xero is answering.") && page.contains("Requests are sent"), "{db}: {page}");

    web.provider.inject_fault(json!({"endpoint": "token", "kind": "status", "status": 503})).await;
    ann.post(REFRESH, &[("clicked", "false")]).await;
    let overview = ann.page_text("/").await;
    for text in
        ["for 2 of 2 connections.", "Since ", "08:00 UTC", "will try again", "href=\"/xero\"", "data-tone=\"warn\""]
    {
        assert!(overview.contains(text), "{db}: {text}: {overview}");
    }
    assert!(!overview.contains(">Reconnect<"), "{db}: {overview}");
    for browser in [&ann, &member] {
        let page = browser.page_text(paths::XERO).await;
        for text in ["15 Jan 2027, 08:00 UTC", "It affects 2 of 2 connections.", "tries again at", "safe"] {
            assert!(page.contains(text), "{db}: {text}: {page}");
        }
        assert_eq!(occurrences(&page, "Xero isn't answering."), 1, "{db}: {page}");
    }
    assert!(ann.page_text(paths::XERO).await.contains("For your administrator"), "{db}");
    assert!(!member.page_text(paths::XERO).await.contains("For your administrator"), "{db}");

    web.provider.clear_faults().await;
    web.advance(300);
    ann.post(REFRESH, &[("clicked", "true")]).await;
    assert!(ann.page_text(paths::XERO).await.contains("Xero is answering."), "{db}");
    assert!(ann.page_text("/").await.contains("All 2 connections are working."), "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn cause_stays_while_the_connections_wait(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, _) = two_connections(&web).await;
    for (fault, cause, result, verdict) in [
        (
            json!({"endpoint": "token", "kind": "status", "status": 429, "times": 1}),
            "limited",
            "Xero is limiting Evergrant's requests.",
            "Xero is limiting Evergrant's requests for 2 of 2 connections.",
        ),
        (
            json!({"endpoint": "token", "kind": "invalid_client", "times": 1}),
            "app_refused",
            "2 need your Evergrant administrator",
            REFUSES,
        ),
    ] {
        web.provider.inject_fault(fault).await;
        ann.post(REFRESH, &[("clicked", "true")]).await;
        // The second time nothing is sent: the connections back off.
        for _ in 0..2 {
            let (_, report) = ann.call_server_fn(REFRESH, &[("clicked", "false")]).await;
            assert!(report["errors"][0]["nextAttemptAt"].is_i64(), "{db}: {report}");
            assert_eq!(report["errors"][0]["cause"], cause, "{db}: {report}");
            assert_eq!(report["errors"][0]["needsAction"], cause == "app_refused", "{db}: {report}");
        }
        ann.post(REFRESH, &[("clicked", "false")]).await;
        let page = ann.page_text("/settings/integrations").await;
        assert!(page.contains(result), "{db} {cause}: {page}");
        assert!(!page.contains("answering"), "{db} {cause}: {page}");
        let overview = ann.page_text("/").await;
        assert_eq!(occurrences(&overview, verdict), 1, "{db} {cause}: {overview}");
        web.advance(3600);
    }
    web.stop().await;
}

#[apply(each_database!)]
async fn refused_app_is_the_administrators_to_fix_and_said_once_on_a_page(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, member) = two_connections(&web).await;
    web.provider.inject_fault(json!({"endpoint": "token", "kind": "invalid_client"})).await;
    ann.post(REFRESH, &[("clicked", "false")]).await;
    for browser in [&ann, &member] {
        for path in ["/", paths::XERO] {
            let page = browser.page_text(path).await;
            assert_eq!(occurrences(&page, REFUSES), 1, "{db} {path}: {page}");
            assert!(page.contains("Your Evergrant administrator") || page.contains("your Evergrant administrator"));
            assert_eq!(occurrences(&page, "Xero isn't answering"), 0, "{db} {path}: {page}");
        }
    }
    let (details, plain) = (ann.page_text(paths::XERO).await, member.page_text(paths::XERO).await);
    assert!(
        details.contains("<code>invalid_client</code>") && details.contains("XERO_CLIENT_SECRET"),
        "{db}: {details}"
    );
    assert!(!plain.contains("invalid_client") && !plain.contains("XERO_CLIENT"), "{db}: {plain}");
    web.stop().await;
}

#[apply(each_database!)]
async fn refusals_of_one_organization_are_checked_and_those_of_two_are_held(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, _) = two_connections(&web).await;
    let (other, org) = web.signed_in_user("cy@example.com", "Southerly Studio").await;
    TestConsent::new(&web.store, &web.provider).connect(org).await;
    web.provider.inject_fault(json!({"endpoint": "token", "kind": "invalid_grant", "times": 99})).await;
    ann.post(REFRESH, &[("clicked", "false")]).await;
    for path in ["/", paths::XERO] {
        let page = ann.page_text(path).await;
        assert!(page.contains("Xero refused access, and Evergrant is checking"), "{db} {path}: {page}");
        assert_eq!(occurrences(&page, "several connections at once"), 0, "{db} {path}: {page}");
    }
    other.post(REFRESH, &[("clicked", "false")]).await;
    for path in ["/", paths::XERO] {
        let page = ann.page_text(path).await;
        assert!(page.contains("Xero refuses several connections at once"), "{db} {path}: {page}");
    }
    web.stop().await;
}
