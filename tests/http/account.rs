//! A person's own account over HTTP: password, email address, sessions, and a forgotten password.

use axum::http::StatusCode;
use evergrant::model::OrgId;
use evergrant::server::store::AuditFilter;
use serde_json::json;

use crate::notify::mail_server::{MailServer, ReceivedMessage};
use crate::support::databases::TestDatabase;
use crate::support::demo_server::DemoServer;
use crate::support::test_server::{PASSWORD, TestServer};
use crate::support::wait::{MAX_WAIT, eventually};

const NEW_PASSWORD: &str = "another good phrase";

/// Starts a server with a mail server.
pub async fn server_with_mail(database: TestDatabase) -> (TestServer, MailServer) {
    let mail = MailServer::start().await;
    let flags = [("--smtp-url", mail.url()), ("--smtp-from", "evergrant@example.com".to_owned())];
    let flags: Vec<(&str, &str)> = flags.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let web = TestServer::with_flags(database, &flags).await;
    eventually("the mail server's announcement", MAX_WAIT, async || web.store.can_send_email().await.unwrap()).await;
    (web, mail)
}

/// Waits for the next message.
pub async fn next_message(mail: &MailServer) -> ReceivedMessage {
    eventually("a message", MAX_WAIT, async || mail.message_count() > 0).await;
    mail.take_messages().remove(0)
}

/// Returns the path of the link in a message.
fn link_in(web: &TestServer, message: &ReceivedMessage) -> String {
    let start = message.text.find(&format!("{}/login/", web.base)).expect("a link") + web.base.len();
    message.text[start..].split_whitespace().next().unwrap().to_owned()
}

async fn actions(web: &TestServer, org: &OrgId) -> Vec<(String, String, Option<String>)> {
    let events = web.store.audit_events(Some(org), AuditFilter::default(), None, 9).await.unwrap();
    events.into_iter().map(|one| (one.action.as_str().to_owned(), one.actor, one.address)).collect()
}

#[apply(each_database!)]
async fn forgotten_password_is_reset_by_a_link_that_works_once(database: TestDatabase) {
    let (web, mail) = server_with_mail(database).await;
    let (elsewhere, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let ann = web.browser();
    assert!(ann.get("/login").await.text.contains("/login/forgot"));
    let asked = ann.post("/api/session/forgot", &[("email", "Ann@example.com")]).await;
    let unknown = ann.post("/api/session/forgot", &[("email", "nobody@example.com")]).await;
    let said = |page: &crate::support::browser::Page| {
        (page.status, page.location().to_owned(), page.header("set-cookie").to_owned(), page.text.clone())
    };
    assert_eq!(said(&asked), said(&unknown), "the answer tells nothing");
    assert!(ann.get("/login/forgot").await.text.contains("If there is an account with that address"));

    let message = next_message(&mail).await;
    assert_eq!(message.to, "ann@example.com");
    let link = link_in(&web, &message);
    let moved = ann.get(&link).await;
    assert_eq!((moved.status, moved.location()), (StatusCode::SEE_OTHER, "/login/reset"), "out of the query at once");
    assert_eq!(moved.header("cache-control"), "no-store");
    for _ in 0..2 {
        assert!(ann.get("/login/reset").await.text.contains("Choose a new password"), "a GET uses nothing up");
    }
    let reset = async |password: &str| {
        ann.post("/api/session/reset", &[("new_password", password)]).await.location().to_owned()
    };
    assert_eq!(reset("passwordpassword").await, "/login/reset");
    assert!(ann.get("/login/reset").await.text.contains("too common"));
    assert_eq!(reset(NEW_PASSWORD).await, "/login");
    assert!(ann.get("/login").await.text.contains("Your password is changed"));
    assert_eq!(elsewhere.get("/").await.location(), "/login?problem=session-ended", "every session has ended");

    let again = web.browser();
    again.get(&link).await;
    assert!(again.get("/login/reset").await.text.contains("This link has expired or been used"));
    assert_eq!(again.post("/api/session/reset", &[("new_password", NEW_PASSWORD)]).await.location(), "/login/reset");
    let sign_in = async |password: &str| {
        again
            .post("/api/session/login", &[("email", "ann@example.com"), ("password", password)])
            .await
            .location()
            .to_owned()
    };
    assert_eq!(sign_in(PASSWORD).await, "/login?problem=credentials");
    assert_eq!(sign_in(NEW_PASSWORD).await, "/");
    let told = next_message(&mail).await;
    assert!(told.to == "ann@example.com" && told.text.contains("password has changed"), "{}", told.text);
    let actions = actions(&web, &org).await;
    for action in ["account.password_reset", "account.password_reset_requested"] {
        let event = (action.to_owned(), "ann@example.com".to_owned(), Some("127.0.0.1".to_owned()));
        assert!(actions.contains(&event), "{action}: {actions:?}");
    }
    web.stop().await;
}

#[tokio::test]
async fn without_a_mail_server_the_page_says_who_can_help() {
    let web = TestServer::start().await;
    web.add_user("ann@example.com", "Harbour Group").await;
    let nobody = web.browser();
    assert!(nobody.get("/login/forgot").await.text.contains("evergrant user set-password"));
    nobody.post("/api/session/forgot", &[("email", "ann@example.com")]).await;
    assert!(nobody.get("/login").await.text.contains("set up a mail server"));
}

#[apply(each_database!)]
async fn changed_password_ends_other_sessions_and_the_browser_stays_signed_in(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let other = web.browser();
    other.sign_in("ann@example.com").await;
    let before = ann.cookie("evergrant_session").unwrap();
    let change = async |current: &str, new: &str| {
        let form = [("current_password", current), ("new_password", new)];
        assert_eq!(ann.post("/api/account/change-password", &form).await.location(), "/account");
        ann.get("/account").await.text
    };
    assert!(change("not my password", NEW_PASSWORD).await.contains("your current password"));
    assert!(change(PASSWORD, "short").await.contains("at least 12 characters"));
    assert!(change(PASSWORD, "ann@example.com").await.contains("too close to your email address"));
    assert_eq!(other.get("/").await.status, StatusCode::OK, "nothing has changed");
    assert!(change(PASSWORD, NEW_PASSWORD).await.contains("Password changed"));
    assert_ne!(ann.cookie("evergrant_session").unwrap(), before);
    assert_eq!(other.get("/").await.location(), "/login?problem=session-ended");
    let stolen = web.browser();
    stolen.set_cookie("evergrant_session", &before);
    assert_eq!(
        stolen.get("/").await.location(),
        "/login?problem=session-ended",
        "the session goes on under another id only"
    );
    let event = ("account.password_changed".to_owned(), "ann@example.com".to_owned(), Some("127.0.0.1".to_owned()));
    assert!(actions(&web, &org).await.contains(&event));
    web.stop().await;
}

#[apply(each_database!)]
async fn person_ends_sessions_and_sees_recent_sign_ins(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (bob, _) = web.signed_in_user("bob@example.com", "Elsewhere").await;
    let others = [web.browser(), web.browser()];
    for other in &others {
        other.sign_in("ann@example.com").await;
    }
    let view = async || ann.call_server_fn("/api/account/view", &[]).await.1;
    let sessions = view().await["sessions"].as_array().unwrap().clone();
    assert_eq!(sessions.len(), 3);
    assert_eq!(sessions.iter().filter(|one| one["is_current"] == true).count(), 1);
    assert_eq!(sessions[0]["address"], "127.0.0.1");
    let id = sessions.iter().find(|one| one["is_current"] == false).unwrap()["id"].as_str().unwrap().to_owned();
    let foreign = bob.call_server_fn("/api/account/end-session", &[("session", &id)]).await;
    assert_eq!(foreign.0, StatusCode::NOT_FOUND, "of somebody else");
    assert_eq!(ann.post("/api/account/end-session", &[("session", &id)]).await.location(), "/account");
    assert_eq!(view().await["sessions"].as_array().unwrap().len(), 2);
    ann.post("/api/account/end-other-sessions", &[]).await;
    assert_eq!(view().await["sessions"].as_array().unwrap().len(), 1);
    for other in &others {
        assert_eq!(other.get("/").await.location(), "/login?problem=session-ended");
    }
    let signed_in = view().await["sign_ins"].as_array().unwrap().clone();
    assert!(signed_in.iter().all(|one| one["action"] == "session.signed_in" && one["address"] == "127.0.0.1"));
    assert!(!signed_in.is_empty());
    assert!(ann.page_text("/account").await.contains("change your password"));
    let ended = actions(&web, &org).await.into_iter().filter(|one| one.0 == "session.ended").count();
    assert_eq!(ended, 2);
    web.stop().await;
}

#[apply(each_database!)]
async fn email_address_changes_once_it_is_confirmed_at_the_new_one(database: TestDatabase) {
    let (web, mail) = server_with_mail(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let ask = async |email: &str, password: &str| {
        ann.call_server_fn("/api/account/change-email", &[("email", email), ("current_password", password)]).await.0
    };
    assert_eq!(ask("new@example.com", "not my password").await, StatusCode::FORBIDDEN);
    assert_eq!(ask("no address", PASSWORD).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ask("New@example.com", PASSWORD).await, StatusCode::OK);
    assert!(ann.get("/account").await.text.contains("new@example.com"), "it waits");

    let message = next_message(&mail).await;
    assert_eq!(message.to, "new@example.com");
    let mailbox = web.browser();
    assert_eq!(mailbox.get(&link_in(&web, &message)).await.location(), "/login/email");
    assert!(mailbox.get("/login/email").await.text.contains("new@example.com"));
    assert_eq!(mailbox.post("/api/session/confirm-email", &[]).await.location(), "/login/email");
    assert!(mailbox.get("/login/email").await.text.contains("Your email address is changed"));
    let told = next_message(&mail).await;
    assert!(told.to == "ann@example.com" && told.text.contains("new email address"), "{}", told.text);
    mailbox.sign_in("new@example.com").await;
    assert!(actions(&web, &org).await.iter().any(|one| one.0 == "account.email_changed" && one.1 == "ann@example.com"));
    web.stop().await;
}

#[apply(each_database!)]
async fn confirmations_of_a_new_address_are_limited_and_right_passwords_not_counted(database: TestDatabase) {
    let (web, _mail) = server_with_mail(database).await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let ask = async |email: &str| {
        ann.call_server_fn("/api/account/change-email", &[("email", email), ("current_password", PASSWORD)]).await.0
    };
    for _ in 0..5 {
        assert_eq!(ask("stranger@example.com").await, StatusCode::OK);
    }
    for _ in 0..6 {
        assert_eq!(ask("stranger@example.com").await, StatusCode::TOO_MANY_REQUESTS, "a stranger's mailbox");
    }
    assert_eq!(ask("new@example.com").await, StatusCode::OK, "the password was right each time");
    web.advance(30 * 60);
    assert_eq!(ask("stranger@example.com").await, StatusCode::OK);
    web.stop().await;
}

#[apply(each_database!)]
async fn name_and_time_zone_are_kept(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let call = async |path: &str, name: &str, value: &str| ann.call_server_fn(path, &[(name, value)]).await.0;
    assert_eq!(call("/api/account/set-name", "name", " Ann Tane ").await, StatusCode::OK);
    assert_eq!(call("/api/account/set-name", "name", &"x".repeat(81)).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(call("/api/account/set-time-zone", "time_zone", "Pacific/Auckland").await, StatusCode::OK);
    assert_eq!(call("/api/account/set-time-zone", "time_zone", "Middle/Earth").await, StatusCode::UNPROCESSABLE_ENTITY);
    let view = ann.call_server_fn("/api/account/view", &[]).await.1;
    assert_eq!((&view["name"], &view["time_zone"]), (&json!("Ann Tane"), &json!("Pacific/Auckland")));
    assert!(ann.get("/account").await.text.contains("Pacific/Auckland"));
    let nobody = web.browser();
    assert_eq!(nobody.get("/account").await.location(), "/login?next=%2Faccount");
    web.stop().await;
}

#[apply(each_database!)]
async fn demo_person_is_not_advised_to_change_a_password(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let demo = app.demo_browser().await.page_text("/account").await;
    assert!(demo.contains("Recent sign-ins") && !demo.contains("change your password"), "{demo}");
}
