//! Regions of pages, by which the browser brings an open page up to date.

use evergrant::model::{ORGANIZATION_HEADER, REGIONS_HEADER};
use reqwest::header::{CACHE_CONTROL, VARY};
use reqwest::{Method, StatusCode};

use super::api_keys::key_on_page;
use crate::support::browser::{Browser, HTML, Page};
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

/// Asks for regions of a page that shows this organization.
async fn regions(browser: &Browser, path: &str, ids: &str, org: &str) -> Page {
    let request = browser.request(Method::GET, path, HTML).header(REGIONS_HEADER, ids);
    browser.send(request.header(ORGANIZATION_HEADER, org)).await
}

#[apply(each_database!)]
async fn named_regions_are_rendered_without_the_page_around_them(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Southerly Studio").await;
    for path in [
        "/",
        "/activity",
        "/activity?show=changes",
        "/settings/integrations",
        "/settings/members",
        "/settings/api-keys",
        "/settings/notifications",
        "/settings/integrations/links",
        "/organizations",
        "/account",
    ] {
        let page = ann.page_text(path).await;
        let all = regions(&ann, path, "body,navigation,bell,switcher,alarm", org.as_str()).await;
        assert_eq!(all.status, StatusCode::OK, "{path}");
        for id in ["body", "navigation", "bell", "switcher", "alarm"] {
            let mark = format!("id=\"{id}\"");
            assert!(page.contains(&mark) && all.text.contains(&mark), "{path}: {id}");
        }
        for around in
            ["type=\"module\"", "<link", "<header class=\"top\"", "leptos-island", "id=\"main\"", "id=\"account\""]
        {
            assert!(page.contains(around) && !all.text.contains(around), "{path}: {around}");
        }
        assert!(all.text.len() * 4 < page.len() * 3, "{path}: {} of {}", all.text.len(), page.len());

        let bell = regions(&ann, path, "bell", org.as_str()).await.text;
        assert!(bell.contains("id=\"bell\"") && !bell.contains("id=\"body\"") && !bell.contains("<nav class=\"side\""));
    }
    web.stop().await;
}

#[apply(each_database!)]
async fn regions_are_never_taken_for_a_page(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Southerly Studio").await;
    let page = ann.get("/").await;
    let regions = regions(&ann, "/", "body", org.as_str()).await;
    for answer in [page, regions] {
        let varies: Vec<_> = answer.headers.get_all(VARY).iter().map(|name| name.to_str().unwrap()).collect();
        assert!(varies.contains(&REGIONS_HEADER) && varies.contains(&ORGANIZATION_HEADER), "{varies:?}");
        assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
    }
    web.stop().await;
}

#[apply(each_database!)]
async fn page_of_another_organization_or_session_is_loaded_again(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, southerly) = web.signed_in_user("ann@example.com", "Southerly Studio").await;
    let before = regions(&ann, "/", "body", "another").await;
    assert_eq!((before.status, before.text.as_str()), (StatusCode::RESET_CONTENT, ""));
    ann.post("/api/organizations/create", &[("name", "Harbour Group")]).await;
    assert_eq!(regions(&ann, "/", "body", southerly.as_str()).await.status, StatusCode::RESET_CONTENT);
    let harbour = ann.org_id("Harbour Group").await;
    assert_eq!(regions(&ann, "/", "body", harbour.as_str()).await.status, StatusCode::OK);

    // An address that names an organization switches to it when it is opened, and not when it is brought up to date.
    let named = format!("/settings/integrations?org={}", southerly.as_str());
    assert_eq!(regions(&ann, &named, "body", harbour.as_str()).await.status, StatusCode::OK);
    assert_eq!(regions(&ann, "/", "body", harbour.as_str()).await.status, StatusCode::OK);

    ann.post("/api/session/logout", &[]).await;
    assert_eq!(regions(&ann, "/", "body", harbour.as_str()).await.status, StatusCode::RESET_CONTENT);
    web.stop().await;
}

#[apply(each_database!)]
async fn message_and_new_secret_stay_for_the_page_that_shows_them(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Southerly Studio").await;
    let created = ann.post("/api/api-keys/create", &[("name", "Export"), ("scopes[0]", "tokens:read")]).await;
    assert_eq!(created.location(), "/settings/api-keys");
    let meanwhile = regions(&ann, "/settings/api-keys", "body,bell", org.as_str()).await;
    assert!(meanwhile.text.contains("id=\"bell\""), "{}", meanwhile.text);
    assert_eq!(key_on_page(&meanwhile), None);
    assert!(key_on_page(&ann.get("/settings/api-keys").await).is_some());
    web.stop().await;
}
