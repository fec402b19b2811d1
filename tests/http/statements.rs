//! How many statements a page and a refresh need, on both databases.

use evergrant::model::paths;
use reqwest::StatusCode;

use super::connection_list::with_two_hundred;
use crate::sandbox::START;
use crate::support::browser::Browser;
use crate::support::databases::TestDatabase;
use crate::support::demo_server::DemoServer;
use crate::support::statement_capture::StatementCapture;
use crate::support::wait::{MAX_WAIT, eventually};

/// The most statements of a page, and of a refresh with nothing due. On SQLite each costs a change of threads.
const MAX_PAGE_STATEMENTS: usize = 4;
/// The most statements of a connection's page: who asks, the connection, its links, its keys, and its attempts.
const MAX_CONNECTION_PAGE_STATEMENTS: usize = 5;
/// The statements of the page with all connections, which is read most: who asks, and what it shows. If the connections fill
/// more than a page, those that it shows are read by another one.
const LIST_PAGE_STATEMENTS: usize = 2;
const MAX_REFRESH_STATEMENTS: usize = 2;

/// Pages with a query, beside those of the routes.
const FURTHER_PAGES: &[&str] = &["/activity?show=changes", "/settings/integrations?q=harbour&state=connected"];

/// Reads the page a second time, and returns the statements of that.
async fn statements_of(browser: &Browser, page: &str) -> Vec<String> {
    let _ = browser.get(page).await;
    let statements = StatementCapture::start_of_requests();
    let _ = browser.get(page).await;
    without_pool(statements.of_requests())
}

/// Leaves out what the pool asks a connection to PostgreSQL before it is used, and the settings of a connection that it
/// opens because all others are in use.
fn without_pool(statements: Vec<String>) -> Vec<String> {
    let is_of_pool =
        |sql: &String| ["transaction_read_only", "PRAGMA ", "SET lock_timeout"].iter().any(|of| sql.contains(of));
    statements.into_iter().filter(|sql| !is_of_pool(sql)).collect()
}

#[apply(each_database!)]
async fn every_page_needs_at_most_four_statements(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let browser = app.demo_browser().await;
    let mut over = Vec::new();
    for page in paths::PAGES.iter().chain(FURTHER_PAGES) {
        let sent = statements_of(&browser, page).await;
        assert!(!sent.is_empty(), "{page}: who asks is looked up");
        assert!(sent.iter().all(|sql| !sql.contains("BEGIN") && !sql.contains("COMMIT")), "{page}: {sent:#?}");
        if sent.len() > MAX_PAGE_STATEMENTS {
            over.push((*page, sent));
        }
    }
    assert!(over.is_empty(), "{over:#?}");
}

#[apply(each_database!)]
async fn neither_an_alarm_nor_a_consent_costs_further_statements(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let browser = app.demo_browser().await;
    let list = browser.page_text(paths::INTEGRATIONS).await;
    let id = list.split("id=\"connection-").nth(1).expect("a connection").split('"').next().unwrap().to_owned();
    let database = app.database().open().await;
    sqlx::query("INSERT INTO alarms (name, reason, raised_at) VALUES ('app_credentials', 'invalid_client', $1)")
        .bind(START)
        .execute(database.pool())
        .await
        .unwrap();
    let is_raised = async || browser.page_text(paths::HOME).await.contains("app credentials");
    eventually("the alarm", MAX_WAIT, is_raised).await;
    for page in [paths::HOME, paths::XERO, paths::INTEGRATIONS, paths::ACTIVITY] {
        let sent = statements_of(&browser, page).await;
        assert!(sent.len() <= MAX_PAGE_STATEMENTS, "{page} while Xero refuses the app: {sent:#?}");
    }
    // The message names the connection, and those that are still broken.
    for message in [format!("connected.1.{id}"), format!("reconnected.1.{id}"), format!("connected.2.{id}")] {
        browser.set_cookie("evergrant_notice", &message);
        let statements = StatementCapture::start_of_requests();
        let page = browser.page_text(paths::INTEGRATIONS).await;
        let sent = without_pool(statements.of_requests());
        assert!(page.contains("connected"), "{message}: {page}");
        assert!(sent.len() <= MAX_PAGE_STATEMENTS, "{message}: {sent:#?}");
    }
}

#[apply(each_database!)]
async fn page_of_a_connection_needs_at_most_five_statements(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let browser = app.demo_browser().await;
    let list = browser.page_text(paths::INTEGRATIONS).await;
    let id = list.split("id=\"connection-").nth(1).expect("a connection").split('"').next().unwrap();
    let page = paths::connection(&id.into());
    let sent = statements_of(&browser, &page).await;
    assert!(sent.iter().any(|sql| sql.contains("integration_tenant_bindings")), "{sent:#?}");
    assert!(sent.len() <= MAX_CONNECTION_PAGE_STATEMENTS, "{sent:#?}");
}

#[apply(each_database!)]
async fn page_of_all_connections_needs_two_statements(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let sent = statements_of(&app.demo_browser().await, paths::INTEGRATIONS).await;
    assert_eq!(sent.len(), LIST_PAGE_STATEMENTS, "{sent:#?}");
}

#[apply(each_database!)]
async fn page_of_fifty_of_two_hundred_connections_needs_a_third_statement(database: TestDatabase) {
    let (_server, ann, _) = with_two_hundred(database).await;
    let sent = statements_of(&ann, paths::INTEGRATIONS).await;
    assert_eq!(sent.len(), LIST_PAGE_STATEMENTS + 1, "{sent:#?}");
}

#[apply(each_database!)]
async fn refresh_with_nothing_due_needs_two_statements(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let browser = app.demo_browser().await;
    let refresh = async || browser.call_server_fn("/api/integrations/xero/refresh", &[]).await;
    refresh().await;
    let statements = StatementCapture::start_of_requests();
    let (status, report) = refresh().await;
    assert_eq!((status, report["refreshedCount"].as_i64()), (StatusCode::OK, Some(0)), "{report}");
    let sent = without_pool(statements.of_requests());
    assert_eq!(sent.len(), MAX_REFRESH_STATEMENTS, "the session, and the connections: {sent:#?}");
}
