//! Sign-in with an OpenID Connect provider, over HTTP, against a fake one.

mod links;
mod xero;

use axum::http::StatusCode;
use evergrant::model::Role;
use evergrant::server::clock::Clock;
use evergrant::server::crypto::random::hash_secret;
use evergrant::server::domain::Secret;
use evergrant::server::store::{ExternalIdentity, NewInvitation, Store};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::support::databases::TestDatabase;
use crate::support::oidc::FakeOidc;
use crate::support::test_server::PASSWORD;
use crate::support::test_service::test_key_ring;

const START: &str = "/api/session/oidc";

#[apply(each_database!)]
async fn verified_address_of_an_admitted_domain_signs_in_and_is_known_by_its_subject(database: TestDatabase) {
    let provider = FakeOidc::on(database, &[]).await;
    let admin = provider.server.add_user("admin@example.com", "Harbour Group").await;
    let ann = provider.server.browser();
    assert!(ann.page_text("/login?next=%2Factivity").await.contains("Sign in with Harbour ID"));

    let page = provider.sign_in(&ann, "/api/session/oidc?next=%2Factivity").await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/activity"));
    assert!(ann.cookie("evergrant_session").is_some() && ann.cookie("evergrant_oidc").is_none());
    assert!(!ann.get("/").await.location().starts_with("/login"));

    // The address changes, the person does not.
    provider.set_person(json!({ "sub": "ann", "email": "ann@elsewhere.example", "email_verified": false }));
    let again = provider.server.browser();
    assert_eq!(provider.sign_in(&again, START).await.location(), "/");
    let refused = again.post("/api/session/login", &[("email", "ann@harbour.example"), ("password", PASSWORD)]).await;
    assert_eq!(refused.location(), "/login?problem=credentials");
    assert!(provider.server.store.memberships(&admin.user).await.unwrap().len() == 1);
}

#[tokio::test]
async fn people_of_admitted_domains_join_the_named_organization() {
    let database = TestDatabase::sqlite();
    let store = Store::new(database.open().await, test_key_ring(), Clock::manual(crate::sandbox::START));
    let org = store.add_org("Harbour Group").await.unwrap();
    let provider = FakeOidc::on(database, &[("--oidc-org-id", org.as_str())]).await;
    let ann = provider.server.browser();
    assert_eq!(provider.sign_in(&ann, START).await.location(), "/");
    let identity = ExternalIdentity { issuer: provider.issuer(), subject: "ann" };
    let (user, _) = provider.server.store.user_of_identity(identity).await.unwrap().unwrap();
    let joined = provider.server.store.memberships(&user).await.unwrap();
    assert_eq!(joined.iter().map(|org| (&org.id, org.role)).collect::<Vec<_>>(), [(&org, Role::Member)]);
    assert!(ann.page_text("/").await.contains("Harbour Group"));
}

#[tokio::test]
async fn nobody_comes_in_without_invitation_or_verified_domain() {
    let provider = FakeOidc::on(TestDatabase::sqlite(), &[]).await;
    provider.server.add_user("admin@example.com", "Harbour Group").await;
    let (refused, asked) = ("/login?problem=not-invited", "/login/link");
    for (person, answer) in [
        (json!({ "sub": "x" }), refused),
        (json!({ "sub": "x", "email": "x@harbour.example" }), asked),
        (json!({ "sub": "x", "email": "x@harbour.example", "email_verified": "true" }), asked),
        (json!({ "sub": "x", "email": "x@sub.harbour.example", "email_verified": true }), refused),
        (json!({ "sub": "x", "email": "x@example.com", "email_verified": true }), refused),
    ] {
        provider.set_person(person.clone());
        let browser = provider.server.browser();
        assert_eq!(provider.sign_in(&browser, START).await.location(), answer, "{person}");
        assert!(browser.cookie("evergrant_session").is_none());
    }
}

#[apply(each_database!)]
async fn invitation_admits_an_unverified_address_once(database: TestDatabase) {
    let provider = FakeOidc::on(database, &[]).await;
    let store = &provider.server.store;
    let owner = provider.server.add_user("owner@example.com", "Harbour Group").await;
    let org = owner.org.unwrap().0;
    let hash = hash_secret(&Secret::new("secret-1"));
    let new = NewInvitation { role: Role::Admin, hash: &hash, email: None, by_mail: false };
    store.invite(&org, &owner.user, new).await.unwrap();
    provider.set_person(json!({ "sub": "bob", "email": "bob@example.com" }));
    let start = "/api/session/oidc?next=%2Finvite";
    let bob = provider.server.browser();
    assert_eq!(bob.get("/invite?token=secret-1").await.location(), "/invite");
    assert!(bob.page_text("/invite").await.contains("Join with Harbour ID"));
    assert_eq!(provider.sign_in(&bob, start).await.location(), "/");
    assert!(bob.page_text("/").await.contains("Harbour Group"));

    let unconfirmed = async |email: &str| {
        let identity = ExternalIdentity { issuer: provider.issuer(), subject: email.split('@').next().unwrap() };
        let (user, known) = store.user_of_identity(identity).await.unwrap().unwrap();
        assert_eq!(known, email);
        store.is_email_unconfirmed(&user).await.unwrap()
    };
    assert!(unconfirmed("bob@example.com").await, "nobody says that the address is his");

    let hash = hash_secret(&Secret::new("secret-2"));
    let new = NewInvitation { role: Role::Member, hash: &hash, email: None, by_mail: false };
    store.invite(&org, &owner.user, new).await.unwrap();
    provider.set_person(json!({ "sub": "cal", "email": "cal@example.com", "email_verified": true }));
    let cal = provider.server.browser();
    cal.get("/invite?token=secret-2").await;
    assert_eq!(provider.sign_in(&cal, start).await.location(), "/");
    assert!(!unconfirmed("cal@example.com").await, "the provider vouches for it");

    provider.set_person(json!({ "sub": "eve", "email": "eve@example.com" }));
    let eve = provider.server.browser();
    eve.get("/invite?token=secret-1").await;
    let refused = provider.sign_in(&eve, start).await;
    assert!(refused.location().starts_with("/login?problem=not-invited"), "{}", refused.location());
    let eve = ExternalIdentity { issuer: provider.issuer(), subject: "eve" };
    assert!(store.user_of_identity(eve).await.unwrap().is_none());
    let bob = ExternalIdentity { subject: "bob", ..eve };
    let (user, _) = store.user_of_identity(bob).await.unwrap().unwrap();
    let joined = store.memberships(&user).await.unwrap();
    assert_eq!(joined.iter().map(|one| (&one.id, one.role)).collect::<Vec<_>>(), [(&org, Role::Admin)]);
}

#[tokio::test]
async fn tokens_that_are_not_for_this_sign_in_are_rejected() {
    let provider = FakeOidc::on(TestDatabase::sqlite(), &[]).await;
    provider.server.add_user("admin@example.com", "Harbour Group").await;
    let refused = async |what: &str| {
        let browser = provider.server.browser();
        let page = provider.sign_in(&browser, START).await;
        assert_eq!(page.location(), "/login?problem=provider-rejected", "{what}");
        assert!(browser.cookie("evergrant_session").is_none(), "{what}");
    };
    for (name, value) in [
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("aud", json!("another client")),
        ("iss", json!("https://another.example")),
        ("exp", json!(crate::sandbox::START - 61)),
    ] {
        provider.set_changes(vec![(name, value)]);
        refused(name).await;
    }
    provider.set_changes(vec![]);
    provider.set_unsigned(true);
    refused("alg none").await;
    provider.set_unsigned(false);
    provider.set_algorithm(Algorithm::HS256);
    refused("HS256 with the client secret").await;
    provider.set_algorithm(Algorithm::RS256);
    let browser = provider.server.browser();
    assert_eq!(provider.sign_in(&browser, START).await.location(), "/");
}

#[tokio::test]
async fn rotated_key_is_fetched_again() {
    let provider = FakeOidc::on(TestDatabase::sqlite(), &[]).await;
    provider.server.add_user("admin@example.com", "Harbour Group").await;
    assert_eq!(provider.sign_in(&provider.server.browser(), START).await.location(), "/");
    provider.rotate_key("k2");
    let soon = provider.sign_in(&provider.server.browser(), START).await;
    assert_eq!(
        soon.location(),
        "/login?problem=provider-rejected",
        "made-up key ids cause at most a fetch in 30 seconds"
    );
    provider.server.clock.advance(30);
    assert_eq!(provider.sign_in(&provider.server.browser(), START).await.location(), "/");
}

#[tokio::test]
async fn callback_counts_only_in_the_browser_that_started_it_and_only_once() {
    let provider = FakeOidc::on(TestDatabase::sqlite(), &[]).await;
    provider.server.add_user("admin@example.com", "Harbour Group").await;
    let (ann, eve) = (provider.server.browser(), provider.server.browser());
    let callback = provider.authorize(&ann, START).await;
    assert_eq!(eve.get(&callback).await.location(), "/login?problem=provider-expired");
    let of_eve = provider.authorize(&eve, START).await;
    assert_eq!(ann.get(&of_eve).await.location(), "/login?problem=provider-expired");

    let callback = provider.authorize(&ann, START).await;
    assert_eq!(ann.get(&callback).await.location(), "/");
    assert_eq!(ann.get(&callback).await.location(), "/login?problem=provider-expired");

    let late = provider.server.browser();
    let callback = provider.authorize(&late, START).await;
    provider.server.clock.advance(600);
    assert_eq!(late.get(&callback).await.location(), "/login?problem=provider-expired");
}

#[tokio::test]
async fn refusal_and_foreign_issuer_sign_nobody_in() {
    let provider = FakeOidc::on(TestDatabase::sqlite(), &[]).await;
    let browser = provider.server.browser();
    for (from, to, problem) in [
        ("code=code-1", "error=access_denied", "provider-declined"),
        ("code=code-1", "error=temporarily_unavailable", "provider-unavailable"),
        ("code=code-1", "code=", "provider-declined"),
        ("code=code-1", "code=code-1&iss=https%3A%2F%2Fanother.example", "provider-rejected"),
        ("code=code-1", "code=guessed", "provider-rejected"),
    ] {
        let callback = provider.authorize(&browser, START).await.replace(from, to);
        assert_eq!(browser.get(&callback).await.location(), format!("/login?problem={problem}"), "{to}");
    }
}

#[tokio::test]
async fn outcomes_are_counted() {
    const TOKEN: &str = "scrape-me-if-you-can-0123456789abcdef";
    let provider = FakeOidc::on(TestDatabase::sqlite(), &[("--metrics-token", TOKEN)]).await;
    let browser = provider.server.browser();
    provider.sign_in(&browser, START).await;
    let callback = provider.authorize(&browser, START).await;
    browser.get(&callback.replace("code=code-1", "code=guessed")).await;
    provider.set_down(true);
    browser.get(&callback).await;
    let request = reqwest::Client::new().get(format!("{}/metrics", provider.server.base)).bearer_auth(TOKEN);
    let page = request.send().await.unwrap().text().await.unwrap();
    for (outcome, count) in
        [("signed_in", 1), ("provider-rejected", 1), ("provider-expired", 1), ("provider-unavailable", 0)]
    {
        let line = format!("evergrant_sign_ins_total{{outcome=\"{outcome}\",limit=\"\"}} {count}");
        assert!(page.lines().any(|existing| existing == line), "no {line} in {page}");
    }
}

#[tokio::test]
async fn provider_that_is_down_stops_neither_the_start_nor_passwords() {
    let provider = FakeOidc::on(TestDatabase::sqlite(), &[]).await;
    provider.server.add_user("admin@example.com", "Harbour Group").await;
    provider.set_down(true);
    let browser = provider.server.browser();
    assert_eq!(browser.get(START).await.location(), "/login?problem=provider-unavailable");
    assert!(browser.page_text("/login?problem=provider-unavailable").await.contains("answering"));
    browser.sign_in("admin@example.com").await;

    provider.set_down(false);
    let ann = provider.server.browser();
    let callback = provider.authorize(&ann, START).await;
    provider.set_down(true);
    assert_eq!(ann.get(&callback).await.location(), "/login?problem=provider-unavailable");
}

#[tokio::test]
async fn account_without_a_password_signs_in_at_the_provider_again_before_a_sensitive_action() {
    let provider = FakeOidc::on(TestDatabase::sqlite(), &[]).await;
    let server = &provider.server;
    server.add_user("admin@example.com", "Harbour Group").await;
    let ann = server.browser();
    assert_eq!(provider.sign_in(&ann, START).await.location(), "/");
    ann.post("/api/organizations/create", &[("name", "Southerly Studio")]).await;
    let create_key = async || {
        let form = [("name", "Export"), ("scopes[0]", "bindings:read")];
        ann.call_server_fn("/api/api-keys/create", &form).await.0
    };
    assert_eq!(create_key().await, StatusCode::FORBIDDEN, "a session at the provider may have signed them in");
    const AGAIN: &str = "/api/session/oidc?again=1&next=%2Fsettings%2Fapi-keys";
    assert_eq!(provider.sign_in(&ann, AGAIN).await.location(), "/settings/api-keys");
    assert_eq!(create_key().await, StatusCode::OK, "the provider was asked for a new sign-in");
    assert!(ann.page_text("/account").await.contains("asks for a second factor if you turn it on there"));
    assert_eq!(ann.call_server_fn("/api/account/begin-second-factor", &[]).await.0, StatusCode::CONFLICT);

    server.clock.advance(11 * 60);
    assert_eq!(create_key().await, StatusCode::FORBIDDEN);
    let page = ann.page_text("/account/confirm?next=%2Fsettings%2Fapi-keys").await;
    assert!(page.contains(&AGAIN.replace('&', "&amp;")) && !page.contains("name=\"proof\""), "{page}");
    let to = ann.get(AGAIN).await;
    assert!(to.location().contains("prompt=login&max_age=0"), "{}", to.location());
    assert_eq!(ann.post("/api/session/proof", &[("proof", "x")]).await.location(), "/account/confirm?next=%2Faccount");

    // The provider had a session from before, and says so.
    let long_ago = crate::sandbox::START;
    provider.set_changes(vec![("auth_time", json!(long_ago)), ("exp", json!(server.clock.now() + 300))]);
    assert_eq!(provider.sign_in(&ann, START).await.location(), "/");
    assert_eq!(create_key().await, StatusCode::FORBIDDEN, "nobody entered anything");
    provider.set_changes(vec![("auth_time", json!(server.clock.now())), ("exp", json!(server.clock.now() + 300))]);
    assert_eq!(provider.sign_in(&ann, AGAIN).await.location(), "/settings/api-keys");
    assert_eq!(create_key().await, StatusCode::OK);
}
