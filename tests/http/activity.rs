//! The activity page and its CSV export: an organization's journal, filtered and complete, for its members only.

use evergrant::model::{Action, Cursor, FailureCause, GrantId, OrgId, Outcome, Trigger};
use evergrant::server::domain::{Actor, AttemptEnd, AuditEvent, FailureClass, Tenant};
use evergrant::server::startup::seed::DEMO_EMAIL;
use evergrant::server::store::{AttemptFailure, Fenced, NewAttempt, Store};
use reqwest::StatusCode;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::consents::{ConnectedOrg, TestConsent};
use crate::support::databases::TestDatabase;
use crate::support::demo_server::DemoServer;
use crate::support::test_server::TestServer;

/// Starts a server and signs Ann in. One of her organization's connections has a hostile name.
async fn start_with_hostile_tenant_name(database: TestDatabase) -> (TestServer, Browser, ConnectedOrg) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour").await;
    let connected = TestConsent::new(&web.store, &web.provider).connect(org.clone()).await;
    let name = Tenant {
        id: "t".into(),
        name: "=1+1, \"Ltd\"".into(),
        tenant_type: "ORGANISATION".into(),
        connection_id: "c".into(),
    };
    web.store.bind(&org, &connected.grant, &[name], None).await.unwrap();
    (web, ann, connected)
}

/// Records `count` failed attempts, one second apart.
async fn record_failed_attempts(web: &TestServer, grant: &GrantId, count: usize) {
    for _ in 0..count {
        let store: &Store = &web.store;
        let lease = store.acquire_lease(grant, "test", store.clock().now() + 60).await.unwrap().unwrap();
        let new = NewAttempt { trace_id: Some("trace-1"), ..NewAttempt::by(Trigger::Sweep) };
        let lease = store.start_attempt(&lease, new).await.unwrap();
        let failure = AttemptFailure {
            cause: FailureCause::NotAnswering,
            error: "down",
            next_attempt_at: store.clock().now() + 1,
            reply_lost_at: None,
        };
        let end = AttemptEnd {
            correlation_id: Some("call-1".into()),
            ..AttemptEnd::failed(Outcome::Transient, "timeout", FailureClass::DISCARDED_TOKEN_SET)
        };
        assert_eq!(store.record_failure(&lease, &failure, &end).await.unwrap(), Fenced::Applied);
        web.clock.advance(1);
    }
}

/// Counts the rows of a table without its header.
fn row_count(page: &str) -> usize {
    page.matches("<tr").count().saturating_sub(1)
}

#[apply(each_database!)]
async fn activity_page_shows_attempts_with_evidence_and_links_to_older_ones(database: TestDatabase) {
    let db = database.name;
    let (web, ann, connected) = start_with_hostile_tenant_name(database).await;
    assert!(ann.get("/activity").await.text.contains("Nothing yet"), "{db}");
    record_failed_attempts(&web, &connected.grant, 53).await;
    ann.post("/api/integrations/xero/refresh", &[("clicked", "true")]).await;

    let first = ann.get("/activity").await.text;
    assert_eq!(row_count(&first), 50, "{db}");
    for words in ["Refreshed", "ann@example.com", "Requested by", "timeout", "trace-1", "call-1", "Harbour Coffee"] {
        assert!(first.contains(words), "{db}: {words}");
    }
    let older = first.split("href=\"/activity?before=").nth(1).unwrap().split('"').next().unwrap();
    assert!(Cursor::parse(older).is_some(), "{db}: {older}");
    let second = ann.get(&format!("/activity?before={older}")).await.text;
    assert_eq!(row_count(&second), 4, "{db}");
    assert!(second.contains("Newest") && !second.contains("Older"), "{db}");

    assert_eq!(row_count(&ann.get("/activity?outcome=refreshed").await.text), 1, "{db}");
    assert!(ann.get("/activity?outcome=reconnect").await.text.contains("No results"), "{db}");
    assert_eq!(row_count(&ann.get("/activity?connection=&outcome=").await.text), 50, "{db}");
    let connection = format!("/activity?connection={}", connected.bindings[0]);
    assert_eq!(row_count(&ann.get(&connection).await.text), 50, "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn export_is_complete_and_ordered_and_neutralizes_formulas(database: TestDatabase) {
    let db = database.name;
    let (web, ann, connected) = start_with_hostile_tenant_name(database).await;
    // More than one batch.
    record_failed_attempts(&web, &connected.grant, 503).await;
    let export = ann.get("/activity.csv").await;
    assert_eq!(export.status, StatusCode::OK, "{db}");
    assert_eq!(export.header("content-type"), "text/csv; charset=utf-8; header=present", "{db}");
    assert_eq!(export.header("cache-control"), "no-store", "{db}");
    let name = "attachment; filename=\"evergrant-activity-2027-01-15.csv\"";
    assert_eq!(export.header("content-disposition"), name, "{db}");
    let lines: Vec<&str> = export.text.trim_start_matches('\u{feff}').split("\r\n").collect();
    assert!(lines[0].starts_with("started_at,finished_at,duration_ms,connections,"), "{db}: {}", lines[0]);
    assert_eq!((lines.len(), lines[504]), (505, ""), "{db}");
    let mut times: Vec<&str> = lines[1..504].iter().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!((times[502], times[0]), ("2027-01-15T08:00:00Z", "2027-01-15T08:08:22Z"), "{db}");
    times.reverse();
    assert!(times.is_sorted(), "{db}");
    let named = "0,\"'=1+1, \"\"Ltd\"\"; Harbour Coffee\",sweep,,transient,timeout,,trace-1,";
    assert!(lines[1].contains(named) && lines[1].ends_with(",call-1"), "{db}: {}", lines[1]);

    let none = ann.get("/activity.csv?outcome=refreshed").await.text;
    assert_eq!(none.matches("\r\n").count(), 1, "{db}: only the header");
    web.stop().await;
}

#[apply(each_database!)]
async fn journal_is_visible_only_to_members(database: TestDatabase) {
    let db = database.name;
    let (web, _ann, connected) = start_with_hostile_tenant_name(database).await;
    record_failed_attempts(&web, &connected.grant, 2).await;
    let (bob, _): (Browser, OrgId) = web.signed_in_user("bob@example.com", "Elsewhere").await;
    let query = format!("connection={}", connected.bindings[0]);
    for path in ["/activity".to_owned(), format!("/activity?{query}")] {
        let page = bob.get(&path).await.text;
        assert!(!page.contains("trace-1") && !page.contains("Harbour Coffee"), "{db} {path}");
    }
    let export = bob.get(&format!("/activity.csv?{query}")).await.text;
    assert_eq!(export.matches("\r\n").count(), 1, "{db}: {export}");
    let nobody = web.browser().get("/activity.csv?outcome=refreshed").await;
    let to = "/login?next=%2Factivity.csv%3Foutcome%3Drefreshed";
    assert_eq!((nobody.status, nobody.location()), (StatusCode::SEE_OTHER, to), "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn overview_shows_the_last_24_hours_and_what_is_coming_up(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_in("Harbour Group").await;
    demo.call_server_fn("/api/integrations/xero/refresh", &[]).await;
    let (status, view) = demo.call_server_fn("/api/overview", &[]).await;
    assert_eq!(status, StatusCode::OK, "{db}");
    let hours = view["hours"].as_array().unwrap();
    assert_eq!((hours.len(), &hours[23]["refreshed"]), (24, &serde_json::json!(1)), "{db}: {view}");
    assert_eq!(view["next"].as_array().unwrap().len(), 1, "{db}: {view}");
    let page = demo.page_text("/").await;
    assert!(page.contains("Coming up") && page.contains("Refreshes in the last 24 hours, by hour"), "{db}");
    let answer = app.browser().get("/activity").await;
    assert!(answer.location().starts_with("/login"), "{db}");
}

#[apply(each_database!)]
async fn audit_events_show_actor_action_and_ip_address_on_the_page_and_in_the_export(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_browser().await;
    let (harbour, southerly) = (demo.org_id("Harbour Group").await, demo.org_id("Southerly Studio").await);
    demo.post("/api/session/switch-organization", &[("org_id", &harbour)]).await;
    demo.call_server_fn("/api/notifications/webhooks/add", &[("url", "http://localhost:9/hooks?key=private")]).await;
    let (_, view) = demo.call_server_fn("/api/integrations/view", &[]).await;
    let binding = view["connections"][0]["id"].as_str().unwrap().to_owned();
    let (status, body) = demo.call_server_fn("/api/integrations/xero/disconnect", &[("binding_id", &binding)]).await;
    assert_eq!(status, StatusCode::OK, "{db}: {body}");

    let (_, view) = demo.call_server_fn("/api/activity/changes", &[]).await;
    let events = view["events"].as_array().unwrap();
    let newest: Vec<_> = events.iter().take(3).map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(newest, ["grant.disconnected", "webhook.added", "session.signed_in"], "{db}");
    let disconnected = &events[0];
    assert_eq!((&disconnected["actor"], &disconnected["address"]), (&json!(DEMO_EMAIL), &json!("127.0.0.1")), "{db}");
    assert_eq!(disconnected["detail"], json!([["connection", "Harbour Coffee"]]), "{db}");
    assert!(!view.to_string().contains("key=private"), "{db}: a webhook URL may contain a key");

    let (_, some) =
        demo.call_server_fn("/api/activity/changes", &[("action", "webhook.added"), ("actor", "user")]).await;
    assert_eq!(some["events"].as_array().unwrap().len(), 1, "{db}");
    let page = demo.page_text("/activity?show=changes&action=webhook.added").await;
    assert!(page.contains("host: localhost") && !page.contains("connection: Harbour Coffee"), "{db}");

    let answer = demo.get("/activity.csv?show=changes&action=grant.disconnected").await;
    let csv = answer.text;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 2, "{db}: {csv}");
    assert!(lines[1].contains(",user,demo@evergrant.example,grant.disconnected,connection: Harbour Coffee,127.0.0.1,"));

    demo.post("/api/session/switch-organization", &[("org_id", &southerly)]).await;
    let (_, other) = demo.call_server_fn("/api/activity/changes", &[]).await;
    assert!(!other.to_string().contains("grant.disconnected"), "{db}: the change belongs to another organization");
}

#[apply(each_database!)]
async fn activity_is_narrowed_to_days_and_a_person_and_so_is_its_export(database: TestDatabase) {
    let db = database.name;
    let (web, ann, connected) = start_with_hostile_tenant_name(database).await;
    // At 8 o'clock of 15 January 2027, and two days later.
    record_failed_attempts(&web, &connected.grant, 2).await;
    web.advance(2 * 24 * 60 * 60);
    ann.post("/api/integrations/xero/refresh", &[("clicked", "true")]).await;
    for (query, count) in [
        ("from=2027-01-15&to=2027-01-15", 2),
        ("from=2027-01-16", 1),
        ("to=2027-01-16", 2),
        ("from=2027-01-16&to=2027-01-16", 0),
        ("person=ANN%40example.com", 1),
        ("person=EXAMPLE.com", 1),
        ("person=nn%25", 0),
        ("from=&to=&person=", 3),
        // In Auckland it is 9 o'clock in the evening of the 15th, and 13 hours ahead of UTC.
        ("to=2027-01-14&zone=Pacific%2FAuckland", 0),
        ("from=2027-01-15&to=2027-01-15&zone=Pacific%2FAuckland", 2),
        ("from=2027-01-15&to=2027-01-15&zone=Pacific%2FPago_Pago", 0),
        ("to=2027-01-14&zone=Pacific%2FPago_Pago", 2),
    ] {
        let page = ann.page_text(&format!("/activity?{query}")).await;
        assert_eq!(row_count(&page), count, "{db}: {query}: {page}");
        assert_eq!(page.contains("No results"), count == 0, "{db}: {query}");
        let export = ann.get(&format!("/activity.csv?{query}")).await.text;
        assert_eq!(export.matches("\r\n").count(), count + 1, "{db}: {query}: {export}");
    }
    let page = ann.page_text("/activity?from=2027-01-15&person=ann%40example.com").await;
    assert!(
        page.contains("/activity.csv?from=2027%2D01%2D15&amp;zone=UTC&amp;person=ann%40example%2Ecom"),
        "{db}: {page}"
    );
    let changes = ann.page_text("/activity?show=changes&to=2027-01-14").await;
    assert!(changes.contains("No results"), "{db}: {changes}");
    let changes = ann.page_text("/activity?show=changes&from=2027-01-15&to=2027-01-15&person=ann%40example.com").await;
    assert!(row_count(&changes) > 0 && !changes.contains("data-label=\"Who\">Evergrant"), "{db}: {changes}");
    let export = ann.get("/activity.csv?show=changes&person=nobody").await.text;
    assert_eq!(export.matches("\r\n").count(), 1, "{db}: {export}");
    web.stop().await;
}

#[apply(each_database!)]
async fn day_that_is_none_is_refused_at_its_field_with_what_was_typed(database: TestDatabase) {
    let db = database.name;
    let (web, ann, connected) = start_with_hostile_tenant_name(database).await;
    record_failed_attempts(&web, &connected.grant, 1).await;
    for (query, typed, problem) in [
        ("from=15.1.2027", "value=\"15.1.2027\"", "Enter a day as year-month-day"),
        ("to=2027-02-29", "value=\"2027-02-29\"", "Enter a day as year-month-day"),
        ("from=2027-01-15&to=2027-01-14", "value=\"2027-01-14\"", "The last day comes before the first."),
    ] {
        for (path, title) in [("/activity?", "Activity"), ("/activity?show=changes&", "Changes")] {
            let page = ann.page_text(&format!("{path}{query}")).await;
            let title = format!("<title>Error: {title} · Harbour · Evergrant</title>");
            for text in [typed, problem, "aria-invalid=\"true\"", &title] {
                assert!(page.contains(text), "{db}: {path}{query}: {text}: {page}");
            }
            assert_eq!(row_count(&page), 0, "{db}: {path}{query}");
            assert!(!page.contains("No results") && !page.contains("Export CSV"), "{db}: {path}{query}: {page}");
        }
        let export = ann.get(&format!("/activity.csv?{query}")).await;
        assert_eq!(export.status, StatusCode::UNPROCESSABLE_ENTITY, "{db}: {query}");
        assert!(export.text.starts_with(problem), "{db}: {}", export.text);
    }
    web.stop().await;
}

#[apply(each_database!)]
async fn change_names_the_kind_of_its_actor_unless_that_is_the_name(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour").await;
    for (actor, kind) in [(Actor::system(), None), (Actor::clerk(), None), (Actor::contact(None), Some("Evergrant"))] {
        web.store.record_standalone(&AuditEvent::new(&actor, Action::GrantDisconnected).in_org(&org)).await.unwrap();
        let page = ann.page_text("/activity?show=changes").await;
        let newest = page.split("data-label=\"Who\">").nth(1).unwrap().split("</td>").next().unwrap();
        let kind = kind.map(|kind| format!("<span class=\"meta\">{kind}</span>")).unwrap_or_default();
        assert_eq!(newest.replace("<!>", "").trim(), format!("{}{kind}", actor.name), "{db}");
        web.clock.advance(1);
    }
    web.stop().await;
}

#[apply(each_database!)]
async fn title_names_the_tab_and_the_connection(database: TestDatabase) {
    let db = database.name;
    let (web, ann, connected) = start_with_hostile_tenant_name(database).await;
    let binding = &connected.bindings[0];
    for (path, title) in [
        ("/activity?connection=".to_owned(), "Activity"),
        ("/activity?connection=unknown".to_owned(), "Activity"),
        (format!("/activity?connection={binding}"), "Harbour Coffee activity"),
        (format!("/activity?connection={binding}&from=soon"), "Error: Harbour Coffee activity"),
        ("/activity?show=changes".to_owned(), "Changes"),
        ("/events".to_owned(), "Events"),
        (format!("/events?connection={binding}"), "Harbour Coffee events"),
        ("/settings/integrations/unknown".to_owned(), "Not found"),
    ] {
        let page = ann.get(&path).await.text;
        let title = format!("<title>{title} · Harbour · Evergrant</title>");
        assert!(page.contains(&title), "{db}: {path}: {title}: {page}");
    }
    web.stop().await;
}

#[apply(each_database!)]
async fn sentence_names_the_zone_of_days_that_a_link_has(database: TestDatabase) {
    let db = database.name;
    let (web, ann, _) = start_with_hostile_tenant_name(database).await;
    let sentence = |zone: &str| format!("<noscript><p class=\"meta\">The days of this address are counted in {zone}.");
    for (query, zone) in [
        ("from=2027-01-15&zone=Pacific%2FPago_Pago", Some("Pacific/Pago Pago")),
        ("from=2027-01-15&zone=UTC", None),
        ("from=2027-01-15&zone=Nowhere", None),
        ("person=ann&zone=Pacific%2FPago_Pago", None),
        ("from=soon&zone=Pacific%2FPago_Pago", None),
    ] {
        for path in ["/activity?", "/activity?show=changes&"] {
            let page = ann.page_text(&format!("{path}{query}")).await;
            assert_eq!(page.contains("<noscript>"), zone.is_some(), "{db}: {path}{query}: {page}");
            assert!(zone.is_none_or(|zone| page.contains(&sentence(zone))), "{db}: {path}{query}: {page}");
        }
    }
    web.stop().await;
}

#[apply(each_database!)]
async fn member_finds_nobodys_address_by_the_filter_but_their_own(database: TestDatabase) {
    let db = database.name;
    let (web, ann, _) = start_with_hostile_tenant_name(database).await;
    ann.post("/api/integrations/xero/refresh", &[("clicked", "true")]).await;
    let bob = web.add_user("bob@example.com", "Harbour").await.user;
    let demote = "UPDATE memberships SET role = 'member' WHERE user_id = $1";
    sqlx::query(demote).bind(bob.as_str()).execute(web.store.database().pool()).await.unwrap();
    let browser = web.browser();
    browser.sign_in("bob@example.com").await;
    for path in ["/activity?", "/activity?show=changes&"] {
        for person in ["ann%40example.com", "ann", "nn%40"] {
            let page = browser.page_text(&format!("{path}person={person}")).await;
            assert!(page.contains("No results"), "{db}: {path}{person}: {page}");
        }
    }
    let signed_in = browser.page_text("/activity?show=changes&person=bob%40example.com").await;
    assert!(row_count(&signed_in) > 0, "{db}: {signed_in}");
    let of_everybody = browser.page_text("/activity?show=changes&person=example.com").await;
    assert_eq!(row_count(&of_everybody), row_count(&signed_in), "{db}: {of_everybody}");
    web.stop().await;
}
