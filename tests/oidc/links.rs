//! Links between accounts and the provider: from the account's page, by the account's password at sign-in, and their end.

use axum::http::StatusCode;
use evergrant::server::store::{AuditFilter, ExternalIdentity};
use serde_json::json;

use crate::http::account::next_message;
use crate::http::second_factor::Factor;
use crate::notify::mail_server::MailServer;
use crate::support::browser::Browser;
use crate::support::databases::TestDatabase;
use crate::support::oidc::FakeOidc;
use crate::support::test_server::PASSWORD;
use crate::support::wait::{MAX_WAIT, eventually};

const START: &str = "/api/session/oidc";
const LINK: &str = "/api/session/oidc?link=1";
const ANN: &str = "ann@harbour.example";
/// The provider says that this address is nobody's: Xero says nothing about any.
const UNVERIFIED: &str = "ann@example.com";

/// Returns the user whom the provider's `subject` signs in.
async fn signs_in(provider: &FakeOidc, subject: &str) -> Option<String> {
    let identity = ExternalIdentity { issuer: provider.issuer(), subject };
    provider.server.store.user_of_identity(identity).await.unwrap().map(|(_, email)| email)
}

async fn enter_password(browser: &Browser, password: &str) -> String {
    browser.post("/api/session/oidc/link", &[("password", password)]).await.location().to_owned()
}

/// Returns the events about links of the organization, with actor, address and detail.
async fn link_events(provider: &FakeOidc, org: &evergrant::model::OrgId) -> Vec<(String, String, Option<String>)> {
    let events = provider.server.store.audit_events(Some(org), AuditFilter::default(), None, 50).await.unwrap();
    let about_links = events.into_iter().filter(|one| one.action.as_str().contains("sign_in_"));
    about_links
        .map(|one| {
            assert_eq!(one.detail, [("issuer".to_owned(), provider.issuer().to_owned())]);
            (one.action.as_str().to_owned(), one.actor, one.address)
        })
        .collect()
}

#[apply(each_database!)]
async fn account_is_linked_from_its_page_after_a_confirmation_and_told_by_mail(database: TestDatabase) {
    let mail = MailServer::start().await;
    let url = mail.url();
    let provider = FakeOidc::on(database, &[("--smtp-url", &url), ("--smtp-from", "evergrant@example.com")]).await;
    let server = &provider.server;
    eventually("the mail server's announcement", MAX_WAIT, async || server.store.can_send_email().await.unwrap()).await;
    let (ann, org) = server.signed_in_user("ann@example.com", "Harbour Group").await;
    let page = ann.page_text("/account").await;
    assert!(page.contains("Sign-in with Harbour ID") && page.contains(LINK), "{page}");

    assert_eq!(provider.sign_in(&ann, LINK).await.location(), "/account/link");
    assert_eq!(signs_in(&provider, "ann").await, None, "the provider's answer alone links nothing");
    let page = ann.page_text("/account/link").await;
    assert!(page.contains("ann@harbour.example at Harbour ID") && page.contains("/api/account/link-provider"));
    assert_eq!(ann.post("/api/account/link-provider", &[]).await.location(), "/account");
    let page = ann.page_text("/account").await;
    assert!(page.contains("From now on you can sign in with it") && page.contains("unlink-provider"), "{page}");
    assert!(ann.page_text("/account/link").await.contains("Nothing waits to be linked"), "it is used up");

    let phone = server.browser();
    assert_eq!(provider.sign_in(&phone, START).await.location(), "/");
    assert!(phone.page_text("/account").await.contains("ann@example.com"));
    let told = next_message(&mail).await;
    assert!(
        told.to == "ann@example.com" && told.text.contains("was linked to your Evergrant account"),
        "{}",
        told.text
    );
    let linked = ("account.sign_in_linked".to_owned(), "ann@example.com".to_owned(), Some("127.0.0.1".to_owned()));
    assert_eq!(link_events(&provider, &org).await, [linked]);

    assert_eq!(ann.post("/api/account/unlink-provider", &[]).await.location(), "/account");
    assert!(ann.page_text("/account").await.contains("Unlinked."));
    assert_eq!(phone.get("/").await.location(), "/login?problem=session-ended", "other sessions have ended");
    assert!(next_message(&mail).await.text.contains("was unlinked from your Evergrant account"));
    assert_eq!(signs_in(&provider, "ann").await, None);
    assert_eq!(link_events(&provider, &org).await[0].0, "account.sign_in_unlinked");
    let again = ann.call_server_fn("/api/account/unlink-provider", &[]).await;
    assert_eq!(again.0, StatusCode::CONFLICT, "{}", again.1);
}

#[tokio::test]
async fn link_needs_a_recent_proof_at_its_start_and_at_its_end() {
    let provider = FakeOidc::on(TestDatabase::sqlite(), &[]).await;
    let (ann, _) = provider.server.signed_in_user("ann@example.com", "Harbour Group").await;
    assert_eq!(provider.server.browser().get(LINK).await.location(), "/login?next=%2Faccount");
    provider.server.clock.advance(9 * 60);
    provider.set_changes(vec![("exp", json!(provider.server.clock.now() + 300))]);
    assert_eq!(provider.sign_in(&ann, LINK).await.location(), "/account/link");
    provider.server.clock.advance(2 * 60);
    let late = ann.post("/api/account/link-provider", &[]).await;
    assert!(late.location().starts_with("/account/confirm?next="), "{}", late.location());
    assert_eq!(ann.get(LINK).await.location(), "/account/confirm?next=%2Faccount");
    let proof = [("proof", PASSWORD), ("next", "/account/link")];
    assert_eq!(ann.post("/api/session/proof", &proof).await.location(), "/account/link");
    assert_eq!(ann.post("/api/account/link-provider", &[]).await.location(), "/account");
    assert_eq!(signs_in(&provider, "ann").await.as_deref(), Some("ann@example.com"));
}

#[apply(each_database!)]
async fn link_belongs_to_the_session_that_started_it(database: TestDatabase) {
    let provider = FakeOidc::on(database, &[]).await;
    let (ann, _) = provider.server.signed_in_user("ann@example.com", "Harbour Group").await;
    let (eve, _) = provider.server.signed_in_user("eve@example.com", "Elsewhere").await;
    let callback = provider.authorize(&ann, LINK).await;
    assert_eq!(eve.get(&callback).await.location(), "/login?problem=provider-expired", "in another browser");
    ann.sign_in("ann@example.com").await;
    assert_eq!(ann.get(&callback).await.location(), "/account", "in another session of the browser");
    assert!(ann.page_text("/account").await.contains("begun in another browser"));

    assert_eq!(provider.sign_in(&ann, LINK).await.location(), "/account/link");
    eve.set_cookie("evergrant_identity", &ann.cookie("evergrant_identity").unwrap());
    assert!(eve.page_text("/account/link").await.contains("Nothing waits to be linked"));
    assert_eq!(eve.call_server_fn("/api/account/link-provider", &[]).await.0, StatusCode::CONFLICT);
    let stranger = provider.server.browser();
    stranger.set_cookie("evergrant_identity", &ann.cookie("evergrant_identity").unwrap());
    assert_eq!(stranger.get("/login/link").await.location(), "/login?problem=provider-expired");
    assert_eq!(enter_password(&stranger, PASSWORD).await, "/login?problem=provider-expired");
    assert_eq!(signs_in(&provider, "ann").await, None);
}

#[apply(each_database!)]
async fn identity_of_another_account_is_not_linked(database: TestDatabase) {
    let provider = FakeOidc::on(database, &[]).await;
    let (ann, _) = provider.server.signed_in_user("ann@example.com", "Harbour Group").await;
    let (bob, _) = provider.server.signed_in_user("bob@example.com", "Elsewhere").await;
    for browser in [&ann, &bob] {
        assert_eq!(provider.sign_in(browser, LINK).await.location(), "/account/link");
    }
    assert_eq!(ann.call_server_fn("/api/account/link-provider", &[]).await.0, StatusCode::OK);
    let (status, body) = bob.call_server_fn("/api/account/link-provider", &[]).await;
    assert_eq!(status, StatusCode::CONFLICT, "of two at the same time, the first: {body}");
    assert_eq!(provider.sign_in(&bob, LINK).await.location(), "/account");
    assert!(bob.page_text("/account").await.contains("signs in to another Evergrant account"));
    assert_eq!(signs_in(&provider, "ann").await.as_deref(), Some("ann@example.com"));
}

#[tokio::test]
async fn provider_that_fails_or_declines_links_nothing() {
    let provider = FakeOidc::on(TestDatabase::sqlite(), &[]).await;
    let (ann, _) = provider.server.signed_in_user("ann@example.com", "Harbour Group").await;
    let says_so = async || {
        assert!(ann.page_text("/account").await.contains("say who you are"));
        assert!(ann.cookie("evergrant_identity").is_none());
    };
    for to in ["error=access_denied", "code=guessed", "code=code-1&iss=https%3A%2F%2Fanother.example"] {
        let callback = provider.authorize(&ann, LINK).await.replace("code=code-1", to);
        assert_eq!(ann.get(&callback).await.location(), "/account", "{to}");
        says_so().await;
    }
    let callback = provider.authorize(&ann, LINK).await;
    provider.set_down(true);
    assert_eq!(ann.get(&callback).await.location(), "/account");
    says_so().await;
}

#[apply(each_database!)]
async fn existing_account_is_linked_at_sign_in_by_its_password_alone(database: TestDatabase) {
    let provider = FakeOidc::on(database, &[]).await;
    let org = provider.server.add_user(ANN, "Harbour Group").await.org.unwrap().0;
    let ann = provider.server.browser();
    let page = provider.sign_in(&ann, "/api/session/oidc?next=%2Factivity").await;
    assert_eq!(page.location(), "/login/link?problem=email-taken&next=%2Factivity");
    assert!(ann.cookie("evergrant_session").is_none() && signs_in(&provider, "ann").await.is_none());
    let page = ann.page_text(page.location()).await;
    assert!(page.contains("exists already") && page.contains(ANN) && page.contains("linked to no Evergrant account"));
    assert_eq!(enter_password(&ann, "not the password").await, "/login/link?problem=wrong-password");
    assert_eq!(signs_in(&provider, "ann").await, None);

    let form = [("password", PASSWORD), ("next", "/activity")];
    assert_eq!(ann.post("/api/session/oidc/link", &form).await.location(), "/activity");
    assert!(ann.page_text("/").await.contains("Harbour Group"));
    let linked = ("account.sign_in_linked".to_owned(), ANN.to_owned(), Some("127.0.0.1".to_owned()));
    assert_eq!(link_events(&provider, &org).await, [linked]);
    assert_eq!(provider.sign_in(&provider.server.browser(), START).await.location(), "/", "no password any more");
    assert_eq!(enter_password(&provider.server.browser(), PASSWORD).await, "/login?problem=provider-expired");
}

#[apply(each_database!)]
async fn guesses_at_a_link_count_against_the_limits_of_a_sign_in(database: TestDatabase) {
    let provider = FakeOidc::on(database, &[]).await;
    provider.server.add_user(ANN, "Harbour Group").await;
    let eve = provider.server.browser();
    provider.sign_in(&eve, START).await;
    let mut refused = Vec::new();
    for _ in 0..12 {
        refused.push(enter_password(&eve, "a guess at it").await);
    }
    assert!(refused[0].ends_with("wrong-password") && refused[11].ends_with("too-many-tries"), "{refused:?}");
    assert!(enter_password(&eve, PASSWORD).await.ends_with("too-many-tries"), "the right one is not even checked");
    let form = [("email", ANN), ("password", PASSWORD)];
    let page = eve.post("/api/session/login", &form).await;
    assert_eq!(page.location(), "/login?problem=too-many-tries", "one limit for both");
    assert_eq!(signs_in(&provider, "ann").await, None);
}

#[apply(each_database!)]
async fn second_factor_is_asked_for_before_a_link_and_at_each_sign_in_with_it(database: TestDatabase) {
    let provider = FakeOidc::on(database, &[]).await;
    let server = &provider.server;
    let (ann, _) = server.signed_in_user(ANN, "Harbour Group").await;
    let factor = Factor::add(server, &ann).await;
    server.clock.advance(30);
    let phone = server.browser();
    assert_eq!(provider.sign_in(&phone, START).await.location(), "/login/link?problem=email-taken");
    assert_eq!(enter_password(&phone, PASSWORD).await, "/login/code");
    let enter_code = async |code: &str| phone.post("/api/session/code", &[("code", code)]).await.location().to_owned();
    assert_eq!(enter_code("000000").await, "/login/code?problem=wrong-code");
    assert!(phone.cookie("evergrant_session").is_none() && signs_in(&provider, "ann").await.is_none());
    assert_eq!(enter_code(&factor.code(server)).await, "/");
    assert_eq!(signs_in(&provider, "ann").await.as_deref(), Some(ANN));

    server.clock.advance(30);
    phone.expire_cookie("evergrant_session");
    assert_eq!(provider.sign_in(&phone, START).await.location(), "/login/code");
    assert!(phone.cookie("evergrant_session").is_none());
    assert_eq!(enter_code(&factor.code(server)).await, "/");
}

#[tokio::test]
async fn unverified_address_gets_the_same_answer_whether_or_not_it_has_an_account() {
    let provider = FakeOidc::on(TestDatabase::sqlite(), &[]).await;
    provider.server.add_user(UNVERIFIED, "Harbour Group").await;
    let mut answers = Vec::new();
    for email in [UNVERIFIED, "bob@example.com"] {
        provider.set_person(json!({ "sub": email, "email": email }));
        let browser = provider.server.browser();
        let page = provider.sign_in(&browser, START).await;
        assert_eq!(page.location(), "/login/link", "{email}");
        let text = browser.page_text("/login/link").await.replace(email, "the address");
        let form = text.split("<form").nth(1).unwrap().split("</form>").next().unwrap().to_owned();
        answers.push((form, enter_password(&browser, "a guess at it").await));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].1, "/login/link?problem=wrong-password");
}

#[apply(each_database!)]
async fn provider_is_unlinked_only_from_an_account_with_a_password(database: TestDatabase) {
    let provider = FakeOidc::on(database, &[]).await;
    let server = &provider.server;
    server.add_user("admin@example.com", "Harbour Group").await;
    let ann = server.browser();
    provider.sign_in(&ann, "/api/session/oidc?again=1").await;
    let page = ann.page_text("/account").await;
    assert!(page.contains("You sign in with nothing else") && !page.contains("unlink-provider"), "{page}");
    assert!(page.contains("Your account has no password") && !page.contains("change-password"), "{page}");
    let (status, body) = ann.call_server_fn("/api/account/unlink-provider", &[]).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(body["error"].as_str().unwrap().contains("Set a password first: sign out"), "{body}");
    assert_eq!(signs_in(&provider, "ann").await.as_deref(), Some(ANN));

    let user = server.store.account(ANN).await.unwrap().unwrap().id;
    let hash = server.store.account("admin@example.com").await.unwrap().unwrap().password_hash;
    _ = server.store.set_password(&user, None, &hash, None).await.unwrap();
    ann.sign_in(ANN).await;
    assert_eq!(ann.call_server_fn("/api/account/unlink-provider", &[]).await.0, StatusCode::OK);
    let page = provider.sign_in(&server.browser(), START).await;
    assert_eq!(page.location(), "/login/link?problem=email-taken", "the provider is a stranger again");
}
