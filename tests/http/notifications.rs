//! The notifications page and its server functions: plain forms, JSON, permissions, and secrets shown once.

use crate::support::databases::TestDatabase;
use evergrant::server::startup::seed::DEMO_EMAIL;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::demo_server::DemoServer;

const NOTIFICATIONS_PATH: &str = "/settings/notifications";
const ADD_WEBHOOK_PATH: &str = "/api/notifications/webhooks/add";

async fn notifications_view(browser: &Browser) -> serde_json::Value {
    let (status, view) = browser.call_server_fn("/api/notifications/view", &[]).await;
    assert_eq!(status, StatusCode::OK, "{view}");
    view
}

/// Returns the complete signing secret on a page, if it shows one.
fn secret_on_page(page: &str) -> Option<String> {
    let at = page.find("whsec_")?;
    Some(page[at..].chars().take_while(|letter| letter.is_ascii_alphanumeric() || "_+/=".contains(*letter)).collect())
}

#[apply(each_database!)]
async fn webhook_secret_is_shown_again_by_a_reload_and_only_to_the_session_that_created_it(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let (demo, elsewhere) = (app.demo_browser().await, app.demo_browser().await);
    let answer = demo.post(ADD_WEBHOOK_PATH, &[("url", "http://localhost:9/hooks?key=private")]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, NOTIFICATIONS_PATH), "{db}");
    assert_eq!(
        secret_on_page(&elsewhere.page_text(NOTIFICATIONS_PATH).await),
        None,
        "{db}: another session sees the secret"
    );
    let page = demo.page_text(NOTIFICATIONS_PATH).await;
    let first = secret_on_page(&page).expect("the page shows the secret");
    assert_eq!(first.len(), "whsec_".len() + 44, "{db}");
    assert!(page.contains("Webhook added."), "{db}");
    let again = secret_on_page(&demo.page_text(NOTIFICATIONS_PATH).await);
    assert_eq!(again.as_ref(), Some(&first), "{db}: a reload used the secret up");

    let endpoint = notifications_view(&demo).await["endpoints"][0].clone();
    assert_eq!(endpoint["url"], "http://localhost:9/hooks?key=private", "{db}");
    let id = endpoint["id"].as_str().unwrap().to_owned();
    demo.post("/api/notifications/webhooks/rotate", &[("endpoint_id", &id)]).await;
    let second = secret_on_page(&demo.page_text(NOTIFICATIONS_PATH).await).expect("the page shows the new secret");
    assert_ne!(first, second, "{db}");
    assert!(!notifications_view(&demo).await.to_string().contains("whsec_"), "{db}");
}

#[apply(each_database!)]
async fn forbidden_webhook_url_is_rejected_with_an_explanation(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_browser().await;
    for (url, words) in [
        ("https://example.com/", "In sandbox mode nothing leaves this machine."),
        ("https://169.254.169.254/", "That address is in a private network"),
        ("hooks", "That isn&#x27;t a web address."),
    ] {
        demo.post(ADD_WEBHOOK_PATH, &[("url", url)]).await;
        let page = demo.page_text(NOTIFICATIONS_PATH).await;
        assert!(page.contains(words) || page.contains(&words.replace("&#x27;", "'")), "{db} {url}");
        let (status, body) = demo.call_server_fn(ADD_WEBHOOK_PATH, &[("url", url)]).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{db}: {body}");
    }
    assert_eq!(notifications_view(&demo).await["endpoints"], json!([]), "{db}");
}

#[apply(each_database!)]
async fn webhook_is_tested_disabled_enabled_and_removed(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_browser().await;
    // Nothing listens on the discard port (RFC 863).
    let (_, id) = demo.call_server_fn(ADD_WEBHOOK_PATH, &[("url", "http://127.0.0.1:9/")]).await;
    let id = id.as_str().unwrap().to_owned();
    let fields = [("endpoint_id", id.as_str())];
    let delivered = demo.call_server_fn("/api/notifications/webhooks/test", &fields).await;
    assert_eq!(delivered, (StatusCode::OK, json!(false)), "{db}");
    let last = notifications_view(&demo).await["endpoints"][0]["last"].clone();
    assert_eq!((&last["status"], &last["error"]), (&json!("given_up"), &json!("could not connect")), "{db}");

    for (enabled, words) in [("false", "The webhook is off."), ("true", "The webhook is on.")] {
        let both = [("endpoint_id", id.as_str()), ("enabled", enabled)];
        demo.post("/api/notifications/webhooks/set", &both).await;
        assert!(demo.page_text(NOTIFICATIONS_PATH).await.contains(words), "{db}");
        assert_eq!(notifications_view(&demo).await["endpoints"][0]["disabled_at"].is_null(), enabled == "true", "{db}");
    }
    let confirmation = demo.page_text(&format!("{NOTIFICATIONS_PATH}?remove={id}")).await;
    assert!(confirmation.contains("Remove this webhook?"), "{db}");
    demo.post("/api/notifications/webhooks/remove", &fields).await;
    assert!(demo.page_text(NOTIFICATIONS_PATH).await.contains("Webhook removed."), "{db}");
    demo.post("/api/notifications/webhooks/remove", &fields).await;
    assert!(demo.page_text(NOTIFICATIONS_PATH).await.contains("no longer in this organisation"), "{db}");
}

#[apply(each_database!)]
async fn events_are_chosen_and_the_log_shows_each_attempt_and_sends_a_delivery_again(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_browser().await;
    let (_, id) = demo.call_server_fn(ADD_WEBHOOK_PATH, &[("url", "http://127.0.0.1:9/hooks?key=private")]).await;
    let id = id.as_str().unwrap().to_owned();
    demo.call_server_fn("/api/notifications/webhooks/test", &[("endpoint_id", &id)]).await;

    let card = demo.page_text(&format!("{NOTIFICATIONS_PATH}?events={id}")).await;
    assert!(card.contains("Which events does this webhook get?") && !card.contains("A test</label>"), "{db}");
    let choice =
        [("endpoint_id", id.as_str()), ("kinds[0]", "connection.created"), ("kinds[1]", "connection.recovered")];
    demo.post("/api/notifications/webhooks/events", &choice).await;
    assert_eq!(demo.flash(), "webhook-events", "{db}");
    let chosen = async || notifications_view(&demo).await["endpoints"][0]["events"].clone();
    assert_eq!(chosen().await, json!(["connection.created", "connection.recovered"]), "{db}");
    assert!(demo.page_text(NOTIFICATIONS_PATH).await.contains("A connection works again"), "{db}");
    demo.post("/api/notifications/webhooks/events", &choice[..1]).await;
    assert_eq!(chosen().await, json!(null), "{db}: it gets all again");

    let log = async || {
        let (status, log) = demo.call_server_fn("/api/notifications/webhooks/log", &[("endpoint_id", &id)]).await;
        assert_eq!(status, StatusCode::OK, "{db}: {log}");
        log["deliveries"].clone()
    };
    let first = log().await[0].clone();
    assert_eq!(first["attempts"].as_array().unwrap().len(), 1, "{db}: {first}");
    assert_eq!(first["attempts"][0]["error"], "could not connect", "{db}: {first}");
    assert!(first["attempts"][0]["duration_ms"].is_i64(), "{db}: {first}");
    let page = demo.page_text(&format!("/settings/notifications/deliveries?webhook={id}")).await;
    assert!(page.contains("could not connect") && page.contains(first["event_id"].as_str().unwrap()), "{db}: {page}");
    assert!(!page.contains("whsec_"), "{db}");
    assert!(demo.page_text("/settings/notifications/deliveries").await.contains("to all webhooks"), "{db}");

    let again = [("delivery_id", first["id"].as_str().unwrap())];
    demo.post("/api/notifications/webhooks/resend", &again).await;
    assert_eq!(demo.flash(), "delivery-resend-failed", "{db}");
    let second = log().await[0].clone();
    assert_eq!((&second["event_id"], second["attempts"].as_array().unwrap().len()), (&first["event_id"], 2), "{db}");
    let changes = demo.page_text("/activity?show=changes").await;
    assert!(changes.contains("Sent a delivery again"), "{db}");
    demo.post("/api/notifications/webhooks/resend", &[("delivery_id", "none")]).await;
    assert_eq!(demo.flash(), "delivery-missing", "{db}");
}

#[apply(each_database!)]
async fn members_can_only_view_and_change_their_own_email_setting(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_browser().await;
    demo.call_server_fn(ADD_WEBHOOK_PATH, &[("url", "http://localhost:9/hooks?key=private")]).await;
    let before = notifications_view(&demo).await;
    let (id, owner) = (before["endpoints"][0]["id"].as_str().unwrap(), before["recipients"][0].clone());
    assert_eq!((&owner["email"], &owner["gets_mail"]), (&json!(DEMO_EMAIL), &json!(true)), "{db}");
    let database = app.database().open().await;
    sqlx::query("UPDATE memberships SET role = 'member'").execute(database.pool()).await.unwrap();

    let seen = notifications_view(&demo).await;
    assert_eq!(seen["may_manage"], false, "{db}");
    assert_eq!(seen["endpoints"][0]["url"], "http://localhost:9", "{db}: members do not see keys in URLs");
    assert_eq!(seen["recipients"][0]["gets_mail"], false, "{db}: members have to opt in");
    for path in ["test", "rotate", "set", "remove"] {
        let fields = [("endpoint_id", id), ("enabled", "false")];
        let fields = if path == "set" { &fields[..] } else { &fields[..1] };
        let (status, body) = demo.call_server_fn(&format!("/api/notifications/webhooks/{path}"), fields).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{db} {path}: {body}");
    }
    assert_eq!(
        demo.call_server_fn(ADD_WEBHOOK_PATH, &[("url", "http://localhost:9/")]).await.0,
        StatusCode::FORBIDDEN,
        "{db}"
    );
    let (status, _) = demo.call_server_fn("/api/notifications/mail", &[("user_id", "another"), ("on", "true")]).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{db}");
    let own = [("user_id", owner["user_id"].as_str().unwrap()), ("on", "true")];
    demo.post("/api/notifications/mail", &own).await;
    assert_eq!(notifications_view(&demo).await["recipients"][0]["gets_mail"], true, "{db}");
    let nobody = app.browser();
    assert_eq!(
        nobody.call_server_fn(ADD_WEBHOOK_PATH, &[("url", "http://localhost:9/")]).await.0,
        StatusCode::UNAUTHORIZED,
        "{db}"
    );
}

#[apply(each_database!)]
async fn webhook_of_another_organization_is_not_found(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_browser().await;
    let (harbour, southerly) = (demo.org_id("Harbour Group").await, demo.org_id("Southerly Studio").await);
    demo.post("/api/session/switch-organization", &[("org_id", &harbour)]).await;
    let (_, id) = demo.call_server_fn(ADD_WEBHOOK_PATH, &[("url", "http://localhost:9/")]).await;
    let id = id.as_str().unwrap().to_owned();
    demo.post("/api/session/switch-organization", &[("org_id", &southerly)]).await;
    for path in ["test", "rotate", "set", "remove"] {
        let fields = [("endpoint_id", id.as_str()), ("enabled", "false")];
        let fields = if path == "set" { &fields[..] } else { &fields[..1] };
        let (status, body) = demo.call_server_fn(&format!("/api/notifications/webhooks/{path}"), fields).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{db} {path}: {body}");
    }
    assert_eq!(notifications_view(&demo).await["endpoints"], json!([]), "{db}");
    assert_eq!(
        secret_on_page(&demo.page_text(NOTIFICATIONS_PATH).await),
        None,
        "{db}: the page shows another organization's secret"
    );
}

#[apply(each_database!)]
async fn event_is_new_until_it_is_marked_as_read(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_in("Southerly Studio").await;
    let events = async || demo.call_server_fn("/api/events/view", &[]).await.1;
    let seen = events().await;
    assert_eq!(seen["events"][0]["kind"], "connection.needs_reconnecting", "{db}: the demo data has this event");
    assert_eq!(
        (&seen["unread"], &seen["events"][0]["is_new"]),
        (&json!(0), &json!(false)),
        "{db}: the event is older than the membership"
    );
    let database = app.database().open().await;
    sqlx::query("UPDATE memberships SET created_at = created_at - 1").execute(database.pool()).await.unwrap();
    assert!(demo.page_text("/").await.contains("Events, 1 new"), "{db}");
    let now = events().await["as_of"].to_string();
    let answer = demo.post("/api/events/read", &[("up_to", &now)]).await;
    assert_eq!(answer.location(), "/events", "{db}");
    assert!(!demo.page_text("/").await.contains("1 new"), "{db}");
    assert_eq!(events().await["unread"], 0, "{db}");
}
