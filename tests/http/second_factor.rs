//! The second factor over HTTP: adding one, signing in with codes and recovery codes, and removing it.

use axum::http::StatusCode;
use evergrant::model::AccountNoticeKind;
use evergrant::server::store::AuditFilter;
use totp_rs::Builder;

use super::account::{next_message, server_with_mail};
use crate::support::browser::{Browser, Page};
use crate::support::databases::TestDatabase;
use crate::support::test_server::{PASSWORD, TestServer};

const ANN: &str = "ann@example.com";

/// A factor that was added, as the person's app and their notes have it.
pub struct Factor {
    secret: String,
    pub recovery_codes: Vec<String>,
}

impl Factor {
    /// Adds a factor to the account of this browser.
    pub async fn add(web: &TestServer, browser: &Browser) -> Self {
        assert_eq!(browser.post("/api/account/begin-second-factor", &[]).await.location(), "/account");
        let secret = text_of(&browser.page_text("/account").await, "factor-secret").replace(' ', "");
        let code = code_of(&secret, web.clock.now());
        let page = browser.post("/api/account/confirm-second-factor", &[("code", &code)]).await;
        assert_eq!(page.location(), "/account");
        let codes = recovery_codes(&browser.page_text("/account").await);
        browser.expire_cookie("evergrant_recovery");
        Self { secret, recovery_codes: codes }
    }

    /// Returns the code that confirms the factor which this browser is adding.
    pub async fn pending_code(web: &TestServer, browser: &Browser) -> String {
        let secret = text_of(&browser.page_text("/account").await, "factor-secret").replace(' ', "");
        code_of(&secret, web.clock.now())
    }

    /// Returns the code that the app shows now.
    pub fn code(&self, web: &TestServer) -> String {
        code_of(&self.secret, web.clock.now())
    }
}

fn code_of(secret: &str, now: i64) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    Builder::new().with_secret(secret).build().unwrap().generate(now.unsigned_abs()).to_string()
}

/// Returns the text of the element with this id.
fn text_of(page: &str, id: &str) -> String {
    let from = page.split(&format!("id=\"{id}\"")).nth(1).unwrap_or_else(|| panic!("no {id} in {page}"));
    from.split_once('>').unwrap().1.split('<').next().unwrap().to_owned()
}

fn recovery_codes(page: &str) -> Vec<String> {
    let codes: Vec<String> = text_of(page, "recovery-codes").lines().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10, "{codes:?}");
    codes
}

async fn enter_password(browser: &Browser) -> Page {
    browser.post("/api/session/login", &[("email", ANN), ("password", PASSWORD), ("next", "/activity")]).await
}

async fn enter_code(browser: &Browser, code: &str) -> String {
    browser.post("/api/session/code", &[("code", code), ("next", "/activity")]).await.location().to_owned()
}

#[apply(each_database!)]
async fn enrolled_person_signs_in_with_a_code_that_works_once(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user(ANN, "Harbour Group").await;
    let other = web.browser();
    other.sign_in(ANN).await;
    let account = ann.page_text("/account").await;
    assert!(account.contains("Set up a second factor") && !account.contains("factor-secret"));
    let factor = Factor::add(&web, &ann).await;
    let account = ann.page_text("/account").await;
    assert!(account.contains("10 recovery codes are left") && !account.contains("factor-secret"), "not shown again");
    assert_eq!(other.get("/").await.location(), "/login?problem=session-ended", "other sessions have ended");

    let phone = web.browser();
    let page = enter_password(&phone).await;
    assert_eq!(page.location(), "/login/code?next=%2Factivity");
    assert!(phone.cookie("evergrant_session").is_none(), "nobody is signed in yet");
    assert_eq!(phone.get("/").await.location(), "/login");
    assert!(phone.page_text("/login/code?next=%2Factivity").await.contains("value=\"/activity\""));
    let used = factor.code(&web);
    assert_eq!(
        enter_code(&phone, &used).await,
        "/login/code?problem=wrong-code&next=%2Factivity",
        "it was used to confirm"
    );
    assert!(phone.page_text("/login/code?problem=wrong-code").await.contains("was used already"));

    web.advance(30);
    let code = factor.code(&web);
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    assert_eq!(enter_code(&phone, &spaced).await, "/activity");
    assert!(phone.cookie("evergrant_session").is_some() && phone.cookie("evergrant_sign_in").is_none());
    phone.page_text("/activity").await;
    assert_eq!(phone.get("/login/code").await.location(), "/", "signed in already");

    let replay = web.browser();
    enter_password(&replay).await;
    assert!(enter_code(&replay, &code).await.contains("wrong-code"), "a code that was seen opens nothing");
    let stranger = web.browser();
    assert_eq!(stranger.get("/login/code").await.location(), "/login?problem=sign-in-expired");
    assert_eq!(enter_code(&stranger, &code).await, "/login?problem=sign-in-expired&next=%2Factivity");
    let events = web.store.audit_events(Some(&org), AuditFilter::default(), None, 20).await.unwrap();
    let actions: Vec<_> = events.iter().map(|one| one.action.as_str()).collect();
    assert!(actions.contains(&"account.factor_added") && actions.contains(&"session.refused"), "{actions:?}");
    web.stop().await;
}

#[apply(each_database!)]
async fn recovery_code_signs_in_once_and_new_ones_end_the_old(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user(ANN, "Harbour Group").await;
    let factor = Factor::add(&web, &ann).await;
    let sign_in = async |code: &str| {
        let phone = web.browser();
        enter_password(&phone).await;
        enter_code(&phone, code).await
    };
    assert_eq!(sign_in(&factor.recovery_codes[0].to_uppercase().replace('-', " ")).await, "/activity");
    assert!(sign_in(&factor.recovery_codes[0]).await.contains("wrong-code"));
    assert!(ann.page_text("/account").await.contains("9 recovery codes are left"));

    let (status, created) = ann.call_server_fn("/api/account/create-recovery-codes", &[]).await;
    assert_eq!((status, created.as_array().map(Vec::len)), (StatusCode::OK, Some(10)));
    assert!(sign_in(&factor.recovery_codes[1]).await.contains("wrong-code"));
    assert_eq!(sign_in(created[1].as_str().unwrap()).await, "/activity");

    assert_eq!(ann.post("/api/account/create-recovery-codes", &[]).await.location(), "/account");
    let page = ann.get("/account").await;
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(recovery_codes(&page.text), recovery_codes(&ann.page_text("/account").await), "a reload loses nothing");
    ann.expire_cookie("evergrant_recovery");
    ann.set_cookie("evergrant_recovery", &factor.recovery_codes.join("."));
    assert!(!ann.page_text("/account").await.contains("id=\"recovery-codes\""), "planted codes are not shown");
    let events = web.store.audit_events(Some(&org), AuditFilter::default(), None, 20).await.unwrap();
    for action in ["account.recovery_code_used", "account.recovery_codes_created"] {
        assert!(events.iter().any(|one| one.action.as_str() == action && one.actor == ANN), "{action}");
    }
    web.stop().await;
}

#[apply(each_database!)]
async fn five_wrong_codes_are_all_that_a_sign_in_gets(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, _) = web.signed_in_user(ANN, "Harbour Group").await;
    let factor = Factor::add(&web, &ann).await;
    web.advance(30);
    let thief = web.browser();
    for _ in 0..5 {
        enter_password(&thief).await;
        assert!(enter_code(&thief, "000000").await.contains("problem=wrong-code"), "whatever the code is");
    }
    let code = factor.code(&web);
    for _ in 0..2 {
        let refused = enter_code(&thief, &code).await;
        assert!(refused.contains("problem=too-many-codes"), "the right one is not even checked");
    }
    let told = web.store.claim_notices("test", web.clock.now() + 60, 9).await.unwrap();
    let guessed = told.iter().filter(|notice| notice.kind == AccountNoticeKind::CodesGuessed);
    assert_eq!(guessed.count(), 1, "the owner learns once that somebody has the password");
    assert!(thief.page_text("/login/code?problem=too-many-codes").await.contains("Wait five minutes"));
    enter_password(&ann).await;
    assert_eq!(enter_code(&ann, &code).await, "/activity", "the owner's browser has its own limit");
    web.stop().await;
}

#[apply(each_database!)]
async fn sign_in_that_waits_ends_with_a_new_password_and_after_ten_minutes(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, _) = web.signed_in_user(ANN, "Harbour Group").await;
    let factor = Factor::add(&web, &ann).await;
    let waiting = web.browser();
    enter_password(&waiting).await;
    web.advance(599);
    waiting.page_text("/login/code").await;
    web.advance(1);
    assert_eq!(waiting.get("/login/code").await.location(), "/login?problem=sign-in-expired");
    assert!(enter_code(&waiting, &factor.code(&web)).await.starts_with("/login?problem=sign-in-expired"));

    enter_password(&waiting).await;
    let form = [("current_password", PASSWORD), ("new_password", "another good phrase")];
    ann.post("/api/account/change-password", &form).await;
    web.advance(30);
    assert!(enter_code(&waiting, &factor.code(&web)).await.starts_with("/login?problem=sign-in-expired"));
    assert!(waiting.cookie("evergrant_session").is_none());
    web.stop().await;
}

#[apply(each_database!)]
async fn changes_of_a_factor_are_mailed_and_removal_asks_for_a_code_once_more(database: TestDatabase) {
    let (web, mail) = server_with_mail(database).await;
    let (ann, _) = web.signed_in_user(ANN, "Harbour Group").await;
    let factor = Factor::add(&web, &ann).await;
    let told = next_message(&mail).await;
    assert!(told.to == ANN && told.text.contains("A second factor was added"), "{}", told.text);
    let phone = web.browser();
    enter_password(&phone).await;
    assert_eq!(enter_code(&phone, &factor.recovery_codes[3]).await, "/activity");
    assert!(next_message(&mail).await.text.contains("one of your recovery codes"));

    let card = ann.page_text("/account?remove=factor").await;
    for words in ["Remove the second factor?", "Your 9 recovery codes stop working", "We send an email about it to"] {
        assert!(card.contains(words), "no {words} in {card}");
    }
    // Signed in a moment ago, and asked all the same.
    web.advance(30);
    let remove = async |code: &str| ann.call_server_fn("/api/account/remove-second-factor", &[("code", code)]).await.0;
    assert_eq!(remove(PASSWORD).await, StatusCode::FORBIDDEN);
    assert_eq!(remove(&factor.recovery_codes[3]).await, StatusCode::FORBIDDEN, "it was used");
    assert_eq!(ann.post("/api/account/remove-second-factor", &[("code", "1")]).await.location(), "/account");
    assert!(ann.page_text("/account").await.contains("Remove the second factor?"), "the question stays");
    let code = factor.code(&web);
    assert_eq!(ann.post("/api/account/remove-second-factor", &[("code", &code)]).await.location(), "/account");
    assert!(ann.page_text("/account").await.contains("Your second factor is removed"));
    let told = next_message(&mail).await.text;
    assert!(told.contains("was removed") && told.contains("From: 127.0.0.1"), "{told}");
    assert_eq!(phone.get("/").await.location(), "/login?problem=session-ended", "other sessions have ended");
    phone.sign_in(ANN).await;
    let (status, body) = ann.call_server_fn("/api/account/remove-second-factor", &[("code", &code)]).await;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    web.stop().await;
}

#[tokio::test]
async fn secret_is_shown_to_the_session_that_began_and_needs_a_right_code() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user(ANN, "Harbour Group").await;
    let other = web.browser();
    other.sign_in(ANN).await;
    ann.post("/api/account/begin-second-factor", &[]).await;
    let page = ann.page_text("/account").await;
    assert!(page.contains("class=\"qr\"") && page.contains("viewBox=\"0 0 ") && page.contains("id=\"factor-secret\""));
    assert!(!other.page_text("/account").await.contains("factor-secret"), "only this browser sees it");
    let confirm = async |browser: &Browser, code: &str| {
        browser.call_server_fn("/api/account/confirm-second-factor", &[("code", code)]).await.0
    };
    let code = code_of(&text_of(&page, "factor-secret").replace(' ', ""), web.clock.now());
    assert_eq!(confirm(&other, &code).await, StatusCode::CONFLICT);
    let wrong = if code == "123456" { "654321" } else { "123456" };
    assert_eq!(confirm(&ann, wrong).await, StatusCode::FORBIDDEN);
    let signs_in_alone = web.browser();
    signs_in_alone.sign_in(ANN).await;
    assert_eq!(confirm(&ann, &code).await, StatusCode::OK);
    assert_eq!(enter_password(&web.browser()).await.location(), "/login/code?next=%2Factivity");
}
