//! Consents of a member in two tabs, or by two names of this machine.

use axum::http::{Method, StatusCode};
use evergrant::model::{OrgId, paths};

use crate::connect::{ALLOW_HARBOUR, submit_consent};
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

#[tokio::test]
async fn callback_by_another_name_of_this_machine_goes_on_where_the_cookies_are() {
    let web = TestServer::start().await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let callback = submit_consent(&web.provider, &ann.connect().await, &ALLOW_HARBOUR).await;
    let path = callback.strip_prefix(&web.base).unwrap();
    // Browsers keep the cookies of this machine's names apart.
    let (elsewhere, host) = (web.browser(), web.base.replace("http://127.0.0.1", "localhost"));
    let page = elsewhere.send(elsewhere.request(Method::GET, path, "text/html").header("host", &host)).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, callback.as_str()));
    assert_eq!(page.header("set-cookie"), "", "the code waits nowhere");
    assert!(ann.follow_callback(&callback).await.starts_with("connected.1."));
    assert_eq!(web.bindings(&org).await.len(), 1);
    for path in [paths::SESSION_OIDC, paths::SESSION_OIDC_CALLBACK] {
        let page = elsewhere.send(elsewhere.request(Method::GET, path, "text/html").header("host", &host)).await;
        assert_eq!(page.location(), elsewhere.url(path));
    }
}

#[apply(each_database!)]
async fn consents_in_two_tabs_end_in_the_other_order_each_in_its_organization(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, first) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let first_tab = submit_consent(&web.provider, &ann.connect().await, &ALLOW_HARBOUR).await;
    ann.post("/api/organizations/create", &[("name", "Southerly Studio")]).await;
    let second = OrgId(ann.org_id("Southerly Studio").await);
    let jonas = [("person", "jonas"), ("tenant", "kauri"), ("decision", "allow")];
    let second_tab = submit_consent(&web.provider, &ann.connect().await, &jonas).await;

    for (callback, org, other, name, tenant) in [
        (&second_tab, &second, &first, "Southerly Studio", "Kauri Joinery"),
        (&first_tab, &first, &second, "Harbour Group", "Harbour Coffee"),
    ] {
        let before = web.bindings(other).await.len();
        let flash = ann.follow_callback(callback).await;
        let [bound] = &web.bindings(org).await[..] else { panic!("{name}: {flash}") };
        assert_eq!(
            (&bound.binding.tenant.name, web.bindings(other).await.len()),
            (&tenant.to_owned(), before),
            "{name}"
        );
        assert_eq!(flash, format!("connected.1.{}", bound.binding.id), "{name}");
        let page = ann.page_text("/settings/integrations").await;
        assert!(page.contains(&format!("{tenant} is connected.")), "{name}: the page is of the organization connected");
    }
}
