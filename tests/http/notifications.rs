//! The notifications page and its functions: plain forms and JSON, who may do what, and the one look at a secret.

use evergrant::server::seed::DEMO_EMAIL;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::app::{App, Browser, location};

const PAGE: &str = "/settings/notifications";
const ADD: &str = "/api/notifications/webhooks/add";

async fn view(browser: &mut Browser<'_>) -> serde_json::Value {
    let (status, view) = browser.call("/api/notifications/view", &[]).await;
    assert_eq!(status, StatusCode::OK, "{view}");
    view
}

/// The whole secret that a page shows, if it shows one.
fn secret(page: &str) -> Option<String> {
    let at = page.find("whsec_")?;
    Some(page[at..].chars().take_while(|letter| letter.is_ascii_alphanumeric() || "_+/=".contains(*letter)).collect())
}

#[tokio::test]
async fn a_webhooks_secret_is_shown_once_to_who_made_it() {
    for app in App::each().await {
        let db = app.database.name;
        let (mut demo, mut elsewhere) = (app.demo().await, app.demo().await);
        let answer = demo.form(ADD, &[("url", "http://localhost:9/hooks?key=private")]).await;
        assert_eq!((answer.status(), location(&answer)), (StatusCode::SEE_OTHER, PAGE), "{db}");
        assert_eq!(secret(&elsewhere.page(PAGE).await), None, "{db}: another session saw it");
        let page = demo.page(PAGE).await;
        let first = secret(&page).expect("the page shows the secret");
        assert_eq!(first.len(), "whsec_".len() + 44, "{db}");
        assert!(page.contains("The webhook is added."), "{db}");
        assert_eq!(secret(&demo.page(PAGE).await), None, "{db}: shown twice");

        let endpoint = view(&mut demo).await["endpoints"][0].clone();
        assert_eq!(endpoint["url"], "http://localhost:9/hooks?key=private", "{db}");
        let id = endpoint["id"].as_str().unwrap().to_owned();
        demo.form("/api/notifications/webhooks/rotate", &[("endpoint_id", &id)]).await;
        let second = secret(&demo.page(PAGE).await).expect("a new one is shown");
        assert_ne!(first, second, "{db}");
        assert!(!view(&mut demo).await.to_string().contains("whsec_"), "{db}");
    }
}

#[tokio::test]
async fn an_address_that_may_not_be_reached_is_refused_in_words() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = app.demo().await;
        for (url, words) in [
            ("https://example.com/", "In the sandbox nothing leaves this machine."),
            ("https://169.254.169.254/", "That address is in a private network"),
            ("hooks", "That isn&#x27;t a web address."),
        ] {
            demo.form(ADD, &[("url", url)]).await;
            let page = demo.page(PAGE).await;
            assert!(page.contains(words) || page.contains(&words.replace("&#x27;", "'")), "{db} {url}");
            let (status, body) = demo.call(ADD, &[("url", url)]).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{db}: {body}");
        }
        assert_eq!(view(&mut demo).await["endpoints"], json!([]), "{db}");
    }
}

#[tokio::test]
async fn a_webhook_is_tested_turned_off_and_on_and_removed() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = app.demo().await;
        // Nobody listens at the port of discard (RFC 863).
        let (_, id) = demo.call(ADD, &[("url", "http://127.0.0.1:9/")]).await;
        let id = id.as_str().unwrap().to_owned();
        let fields = [("endpoint_id", id.as_str())];
        let delivered = demo.call("/api/notifications/webhooks/test", &fields).await;
        assert_eq!(delivered, (StatusCode::OK, json!(false)), "{db}");
        let last = view(&mut demo).await["endpoints"][0]["last"].clone();
        assert_eq!((&last["status"], &last["error"]), (&json!("given_up"), &json!("no connection")), "{db}");

        for (enabled, words) in [("false", "The webhook is off."), ("true", "The webhook is on.")] {
            let both = [("endpoint_id", id.as_str()), ("enabled", enabled)];
            demo.form("/api/notifications/webhooks/set", &both).await;
            assert!(demo.page(PAGE).await.contains(words), "{db}");
            assert_eq!(view(&mut demo).await["endpoints"][0]["disabled_at"].is_null(), enabled == "true", "{db}");
        }
        let asked = demo.page(&format!("{PAGE}?remove={id}")).await;
        assert!(asked.contains("Remove this webhook?"), "{db}");
        demo.form("/api/notifications/webhooks/remove", &fields).await;
        assert!(demo.page(PAGE).await.contains("The webhook is removed."), "{db}");
        demo.form("/api/notifications/webhooks/remove", &fields).await;
        assert!(demo.page(PAGE).await.contains("in this organisation any more"), "{db}");
    }
}

#[tokio::test]
async fn members_look_and_choose_for_themselves_alone() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = app.demo().await;
        demo.call(ADD, &[("url", "http://localhost:9/hooks?key=private")]).await;
        let before = view(&mut demo).await;
        let (id, owner) = (before["endpoints"][0]["id"].as_str().unwrap(), before["recipients"][0].clone());
        assert_eq!((&owner["email"], &owner["gets_mail"]), (&json!(DEMO_EMAIL), &json!(true)), "{db}");
        let database = app.database.open().await;
        sqlx::query("UPDATE memberships SET role = 'member'").execute(database.pool()).await.unwrap();

        let seen = view(&mut demo).await;
        assert_eq!(seen["may_manage"], false, "{db}");
        assert_eq!(seen["endpoints"][0]["url"], "http://localhost:9", "{db}: a key is no member's business");
        assert_eq!(seen["recipients"][0]["gets_mail"], false, "{db}: members choose it");
        for path in ["test", "rotate", "set", "remove"] {
            let fields = [("endpoint_id", id), ("enabled", "false")];
            let fields = if path == "set" { &fields[..] } else { &fields[..1] };
            let (status, body) = demo.call(&format!("/api/notifications/webhooks/{path}"), fields).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{db} {path}: {body}");
        }
        assert_eq!(demo.call(ADD, &[("url", "http://localhost:9/")]).await.0, StatusCode::FORBIDDEN, "{db}");
        let (status, _) = demo.call("/api/notifications/mail", &[("user_id", "another"), ("on", "true")]).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{db}");
        let own = [("user_id", owner["user_id"].as_str().unwrap()), ("on", "true")];
        demo.form("/api/notifications/mail", &own).await;
        assert_eq!(view(&mut demo).await["recipients"][0]["gets_mail"], true, "{db}");
        let mut nobody = app.browser();
        assert_eq!(nobody.call(ADD, &[("url", "http://localhost:9/")]).await.0, StatusCode::UNAUTHORIZED, "{db}");
    }
}

#[tokio::test]
async fn another_organisations_webhook_is_not_found() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = app.demo().await;
        let (harbour, southerly) = (demo.org_id("Harbour Group").await, demo.org_id("Southerly Studio").await);
        demo.form("/api/session/switch-organization", &[("org_id", &harbour)]).await;
        let (_, id) = demo.call(ADD, &[("url", "http://localhost:9/")]).await;
        let id = id.as_str().unwrap().to_owned();
        demo.form("/api/session/switch-organization", &[("org_id", &southerly)]).await;
        for path in ["test", "rotate", "set", "remove"] {
            let fields = [("endpoint_id", id.as_str()), ("enabled", "false")];
            let fields = if path == "set" { &fields[..] } else { &fields[..1] };
            let (status, body) = demo.call(&format!("/api/notifications/webhooks/{path}"), fields).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{db} {path}: {body}");
        }
        assert_eq!(view(&mut demo).await["endpoints"], json!([]), "{db}");
        assert_eq!(secret(&demo.page(PAGE).await), None, "{db}: the other organisation's secret");
    }
}

#[tokio::test]
async fn what_happened_is_new_until_it_is_marked_as_read() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = app.demo().await;
        let southerly = demo.org_id("Southerly Studio").await;
        demo.form("/api/session/switch-organization", &[("org_id", &southerly)]).await;
        let seen = view(&mut demo).await;
        assert_eq!(seen["events"][0]["kind"], "connection.needs_reconnecting", "{db}: the demo's own story");
        assert_eq!(
            (&seen["unread"], &seen["events"][0]["is_new"]),
            (&json!(0), &json!(false)),
            "{db}: before they came"
        );
        let database = app.database.open().await;
        sqlx::query("UPDATE memberships SET created_at = created_at - 1").execute(database.pool()).await.unwrap();
        assert!(demo.page("/").await.contains("Notifications, 1 new"), "{db}");
        let now = view(&mut demo).await["as_of"].to_string();
        let answer = demo.form("/api/notifications/read", &[("up_to", &now)]).await;
        assert_eq!(location(&answer), PAGE, "{db}");
        assert!(!demo.page("/").await.contains("1 new"), "{db}");
        assert_eq!(view(&mut demo).await["unread"], 0, "{db}");
    }
}
