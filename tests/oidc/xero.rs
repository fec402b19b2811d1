//! "Sign in with Xero": the sandbox is the provider, on the wire, with the claims that Xero sends.

use axum::http::StatusCode;
use evergrant::model::Role;
use evergrant::server::crypto::random::hash_secret;
use evergrant::server::domain::Secret;
use evergrant::server::store::NewInvitation;
use evergrant_sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use url::Url;

use crate::connect::submit_consent;
use crate::sandbox::Provider;
use crate::support::browser::{Browser, Page};
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

/// Signs in at the sandbox's page and returns the response of the callback.
async fn sign_in(server: &TestServer, xero: &Provider, browser: &Browser, start: &str, person: &str) -> Page {
    let to = browser.get(start).await.location().to_owned();
    let url = Url::parse(&to).expect("the start must redirect to Xero");
    assert!(to.starts_with(&format!("{}/identity/connect/authorize?", xero.base)), "{to}");
    let page = xero.client.get(&to).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await.unwrap();
    assert!(page.contains("Who are you?") && !page.contains("Which organisation"), "a sign-in connects nothing");
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let callback = submit_consent(xero, &query, &[("person", person), ("decision", "allow")]).await;
    browser.get(callback.strip_prefix(&server.base).unwrap()).await
}

#[apply(each_database!)]
async fn people_sign_in_with_xero_by_invitation_only(database: TestDatabase) {
    let xero = Provider::start().await;
    let flags = [
        ("--oidc-issuer", xero.base.as_str()),
        ("--oidc-client-id", SANDBOX_CLIENT_ID),
        ("--oidc-client-secret", SANDBOX_CLIENT_SECRET),
        ("--oidc-name", "Xero"),
        ("--oidc-domains", "example.com"),
    ];
    let server = TestServer::with_flags(database, &flags).await;
    let owner = server.add_user("ann@example.com", "Harbour Group").await;
    let org = owner.org.unwrap().0;
    let hash = hash_secret(&Secret::new("secret-1"));
    let new = NewInvitation { role: Role::Member, hash: &hash, email: None, by_mail: false };
    server.store.invite(&org, &owner.user, new).await.unwrap();

    let mere = server.browser();
    mere.get("/invite?token=secret-1").await;
    assert!(mere.page_text("/invite").await.contains("Join with Xero"));
    let start = "/api/session/oidc?next=%2Finvite";
    assert_eq!(sign_in(&server, &xero, &mere, start, "mere").await.location(), "/");
    assert!(mere.page_text("/account").await.contains("mere.tane@example.com"));
    let again = server.browser();
    assert_eq!(sign_in(&server, &xero, &again, "/api/session/oidc", "mere").await.location(), "/");

    // Xero does not say that an address is verified, so its domain counts for nothing.
    let jonas = server.browser();
    assert_eq!(sign_in(&server, &xero, &jonas, "/api/session/oidc", "jonas").await.location(), "/login/link");
    assert!(jonas.cookie("evergrant_session").is_none());
    assert!(server.store.account("jonas.berg@example.com").await.unwrap().is_none());
    assert_eq!(server.bindings(&org).await.len(), 0, "nothing was connected");
    server.stop().await;
}
