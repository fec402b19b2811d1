//! The finder: connections of the own organization, and pages.

use evergrant::model::{ORGANIZATION_HEADER, REGIONS_HEADER};
use reqwest::Method;

use crate::support::browser::HTML;
use crate::support::databases::TestDatabase;
use crate::support::demo_server::DemoServer;

#[apply(each_database!)]
async fn finder_shows_connections_of_the_own_organization_and_pages(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let demo = app.demo_browser().await;
    let org = demo.org_id("Harbour Group").await;
    let found = async |query: &str| {
        let request = demo.request(Method::GET, &format!("/find?q={query}"), HTML);
        let request = request.header(REGIONS_HEADER, "found").header(ORGANIZATION_HEADER, &org);
        demo.send(request).await.text
    };
    let everything = found("").await;
    assert!(everything.contains("Harbour Coffee") && everything.contains("Members"), "{everything}");
    let coffee = found("C%C3%96FFEE").await;
    assert!(coffee.contains("Harbour Coffee") && coffee.contains("1 result"), "{coffee}");
    // A connection of the person's other organization.
    let other = found("cycles").await;
    assert!(other.contains("No results") && !other.contains("Southerly Cycles"), "{other}");
    let links = found("connect+links").await;
    assert!(links.contains("href=\"/settings/integrations/links\""), "{links}");
    // What is searched for is text on the page and nothing else.
    let page = demo.page_text("/find?q=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert!(!page.contains("<script>alert(1)"), "{page}");
}
