//! `GET /api/events`: changes reach every open page of the organization, and no other.

use std::time::Duration;

use evergrant::model::BindingStatus;
use evergrant::server::clock::Clock;
use evergrant::server::store::{Change, Store};
use reqwest::header::COOKIE;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use sqlx::Row as _;
use tempfile::TempDir;

use crate::sandbox::Provider;
use crate::support::browser::Browser;
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::demo_server::DemoServer;
use crate::support::instance::{Instance, seed_ana};
use crate::support::locks::HeldLock;
use crate::support::test_server::TestServer;
use crate::support::test_service::test_key_ring;
use crate::support::wait::{MAX_WAIT, eventually, eventually_some};

const EVENTS_PATH: &str = "/api/events";
const EVENT_STREAM: &str = "text/event-stream";

/// The name of an event about something else than a connection.
const ORGANIZATION: &str = "organization";

/// A server-sent event stream, as a page reads it.
struct EventStream {
    response: Response,
    buffer: String,
}

/// One server-sent event.
#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl EventStream {
    async fn open(answer: Response) -> Self {
        assert_eq!(answer.status(), StatusCode::OK);
        let mut listening = Self { response: answer, buffer: String::new() };
        listening.next_block().await.expect("the stream starts with the reconnect delay");
        listening
    }

    /// Returns the next block of lines, or `None` at the end of the stream. Skips blocks of comments.
    async fn next_block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.buffer = rest;
                if !block.lines().all(|line| line.starts_with(':')) {
                    return Some(block);
                }
                continue;
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.chunk()).await;
            let chunk = chunk.expect("an event within 20 seconds").ok().flatten()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Returns the next event of a connection or of the session.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let event = self.next_of_any_kind().await?;
            if event.name != ORGANIZATION {
                return Some(event);
            }
        }
    }

    async fn next_of_any_kind(&mut self) -> Option<Event> {
        let block = self.next_block().await?;
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_default().to_owned()
        };
        let data = serde_json::from_str(&field("data")).unwrap_or_default();
        Some(Event { name: field("event"), id: field("id"), data })
    }

    async fn expect_event(&mut self, name: &str) -> Value {
        let event = self.next().await.unwrap_or_else(|| panic!("the stream ended before {name}"));
        assert_eq!(event.name, name, "{event:?}");
        assert!(event.id.parse::<i64>().is_ok(), "{event:?}");
        event.data
    }
}

/// Signs in to the organization whose token is about to expire.
async fn signed_in_to_harbour(app: &DemoServer) -> Browser {
    app.demo_in("Harbour Group").await
}

async fn open_stream_at(browser: &Browser, path: &str) -> EventStream {
    EventStream::open(browser.open(browser.request(Method::GET, path, EVENT_STREAM)).await).await
}

async fn open_stream(browser: &Browser) -> EventStream {
    open_stream_at(browser, EVENTS_PATH).await
}

#[apply(each_database!)]
async fn change_reaches_every_open_page_of_the_organization(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let (one, other) = (signed_in_to_harbour(&app).await, signed_in_to_harbour(&app).await);
    let (mut first, mut second) = (open_stream(&one).await, open_stream(&other).await);
    one.call_server_fn("/api/integrations/xero/refresh", &[]).await;
    for stream in [&mut first, &mut second] {
        assert_eq!(stream.expect_event("refresh").await["outcome"], "refreshed", "{db}");
    }
    let (_, view) = one.call_server_fn("/api/integrations/view", &[]).await;
    let id = view["connections"][0]["id"].as_str().unwrap();
    one.call_server_fn("/api/integrations/xero/disconnect", &[("binding_id", id)]).await;
    let expected = json!({"bindingId": id, "status": "disconnected"});
    assert_eq!(second.expect_event("binding").await, expected, "{db}");
}

#[apply(each_database!)]
async fn what_else_changes_in_the_organization_reaches_its_open_pages(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour").await;
    web.add_user("bob@example.com", "Harbour").await;
    let (bob, eve) = (web.browser(), web.signed_in_user("eve@example.com", "Elsewhere").await.0);
    bob.sign_in("bob@example.com").await;
    let (mut of_ann, mut of_bob, mut of_eve) =
        (open_stream(&ann).await, open_stream(&bob).await, open_stream(&eve).await);
    let next = async |stream: &mut EventStream| stream.next_of_any_kind().await.unwrap().name;
    for (path, form) in [
        ("/api/members/invite", &[("role", "member")][..]),
        ("/api/api-keys/create", &[("name", "Export"), ("scopes[0]", "tokens:read")]),
        ("/api/integrations/links/create", &[("note", "The books")]),
    ] {
        assert_eq!(ann.call_server_fn(path, form).await.0, StatusCode::OK, "{path}");
        assert_eq!(next(&mut of_ann).await, ORGANIZATION, "{path}");
        assert_eq!(next(&mut of_bob).await, ORGANIZATION, "{path}");
    }
    // What a person has read is their own.
    ann.call_server_fn("/api/events/read", &[("up_to", "1")]).await;
    assert_eq!(next(&mut of_ann).await, ORGANIZATION);
    // Only their own changes reach the others: the next event of each is one.
    for (browser, stream) in [(&bob, &mut of_bob), (&eve, &mut of_eve)] {
        browser.call_server_fn("/api/events/read", &[("up_to", "1")]).await;
        assert_eq!(next(stream).await, ORGANIZATION);
        browser.post("/api/session/logout", &[]).await;
        assert!([ORGANIZATION, "reread"].contains(&next(stream).await.as_str()));
    }
    web.stop().await;
}

#[apply(each_database!)]
async fn change_that_the_switcher_shows_reaches_the_persons_pages_of_other_organizations(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let (harbour, southerly) = (signed_in_to_harbour(&app).await, app.demo_in("Southerly Studio").await);
    let mut stream = open_stream(&southerly).await;
    let (_, view) = harbour.call_server_fn("/api/integrations/view", &[]).await;
    let id = view["connections"][0]["id"].as_str().unwrap();
    harbour.call_server_fn("/api/integrations/xero/disconnect", &[("binding_id", id)]).await;
    assert_eq!(stream.next_of_any_kind().await.unwrap().name, ORGANIZATION);
}

#[apply(each_database!)]
async fn page_that_was_hidden_for_a_while_reads_the_summaries_of_other_organizations_again(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour").await;
    let (eve, _) = web.signed_in_user("eve@example.com", "Kauri").await;
    ann.call_server_fn("/api/organizations/create", &[("name", "Southerly")]).await;
    web.advance(120);
    // Nothing has changed in the person's own organization since.
    for (browser, age, expected) in [(&ann, 0, None), (&ann, 60, Some("event: organization")), (&eve, 60, None)] {
        let path = format!("{EVENTS_PATH}?as_of={}", web.clock.now() - age);
        let answer = browser.open(browser.request(Method::GET, &path, EVENT_STREAM)).await;
        let first = EventStream { response: answer, buffer: String::new() }.next_block().await.unwrap();
        assert_eq!(first.lines().find(|line| line.starts_with("event: ")), expected, "{age}: {first}");
    }
    web.stop().await;
}

#[apply(each_database!)]
async fn change_does_not_reach_another_organization(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let (harbour, demo) = (signed_in_to_harbour(&app).await, app.demo_browser().await);
    let southerly = demo.org_id("Southerly Studio").await;
    demo.post("/api/session/switch-organization", &[("org_id", &southerly)]).await;
    let mut theirs = open_stream(&demo).await;
    harbour.call_server_fn("/api/integrations/xero/refresh", &[]).await;
    // The first event of the other organization is its own.
    let (_, view) = demo.call_server_fn("/api/integrations/view", &[]).await;
    let id = view["connections"][0]["id"].as_str().unwrap();
    demo.call_server_fn("/api/integrations/xero/disconnect", &[("binding_id", id)]).await;
    assert_eq!(theirs.expect_event("binding").await["bindingId"], id, "{db}");
}

#[apply(each_database!)]
async fn stream_ends_at_sign_out_and_at_organization_switch(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = signed_in_to_harbour(&app).await;
    let mut switched = open_stream(&demo).await;
    let southerly = demo.org_id("Southerly Studio").await;
    demo.post("/api/session/switch-organization", &[("org_id", &southerly)]).await;
    switched.expect_event("reread").await;
    assert_eq!(switched.next().await, None, "{db}");

    let mut signed_out = open_stream(&demo).await;
    // Another session of the same user stays open.
    let elsewhere = app.demo_browser().await;
    let mut stays = open_stream(&elsewhere).await;
    demo.post("/api/session/logout", &[]).await;
    signed_out.expect_event("reread").await;
    assert_eq!(signed_out.next().await, None, "{db}");
    elsewhere.call_server_fn("/api/integrations/xero/refresh", &[]).await;
    stays.expect_event("refresh").await;
    assert_eq!(demo.get(EVENTS_PATH).await.status, StatusCode::UNAUTHORIZED, "{db}");
}

#[apply(each_database!)]
async fn stream_starts_with_a_reread_if_changes_were_missed(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = signed_in_to_harbour(&app).await;
    let (_, view) = demo.call_server_fn("/api/integrations/view", &[]).await;
    let as_of = view["as_of"].as_i64().unwrap();
    let later = format!("{EVENTS_PATH}?as_of={}", as_of + 1);
    let mut current = open_stream_at(&demo, &later).await;
    demo.call_server_fn("/api/integrations/xero/refresh", &[]).await;
    current.expect_event("refresh").await;
    let early = demo.request(Method::GET, &format!("{EVENTS_PATH}?as_of={as_of}"), EVENT_STREAM);
    let early = demo.open(early).await;
    for (name, value) in
        [("cache-control", "no-store"), ("x-accel-buffering", "no"), ("content-type", "text/event-stream")]
    {
        assert_eq!(early.headers()[name], value, "{db}");
    }
    let mut early = EventStream { response: early, buffer: String::new() };
    early.expect_event("reread").await;

    // A reconnecting browser sends the id of its last event, which then counts. In the first case, the organization was
    // switched elsewhere while nobody listened for this page.
    let now = as_of + 3600;
    for (query, last_event, is_outdated) in [
        (format!("as_of={now}&org_id=another"), None, true),
        (format!("as_of={now}&org_id="), None, false),
        (String::new(), None, false),
        // Nothing happened since the last event, whenever the page was rendered.
        (format!("as_of={as_of}"), Some(now), false),
        (format!("as_of={now}"), Some(as_of), true),
    ] {
        let request = demo.request(Method::GET, &format!("{EVENTS_PATH}?{query}"), EVENT_STREAM);
        let request = match last_event {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let first = EventStream { response: demo.open(request).await, buffer: String::new() }.next_block().await;
        let first = first.unwrap();
        assert_eq!(first.contains("event: reread"), is_outdated, "{db}: {query} {last_event:?}: {first}");
    }
}

/// A stream that listened only after it had looked back would miss what happens in between.
#[tokio::test]
async fn change_while_a_stream_opens_reaches_it() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour").await;
    let connected = TestConsent::new(&web.store, &web.provider).connect(org.clone()).await;
    let mut other = open_stream(&ann).await;
    // The look-back reads this table. It finds nothing that happened after this time.
    let lock = HeldLock::against_readers(web.database(), "refresh_attempts").await;
    let path = format!("{EVENTS_PATH}?as_of={}", web.clock.now() + 3600);
    let (client, cookie) = (ann.client.clone(), ann.session_cookie());
    let opening = tokio::spawn(client.get(ann.url(&path)).header(COOKIE, cookie).send());
    let looks_back = async || {
        let waiting = sqlx::query(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
             AND query LIKE '%last_refreshed_at >= $2%'",
        );
        waiting.fetch_one(web.store.database().pool()).await.unwrap().get::<i64, _>(0) > 0
    };
    eventually("the look-back", MAX_WAIT, looks_back).await;
    // As another instance publishes it.
    let binding = connected.bindings[0].clone();
    let change = serde_json::to_string(&Change::Binding { org, binding, status: BindingStatus::Disconnected }).unwrap();
    let publish = sqlx::query("SELECT pg_notify('evergrant', $1)").bind(change);
    publish.execute(web.store.database().pool()).await.unwrap();
    other.expect_event("binding").await;
    lock.release().await;
    let mut opened = EventStream::open(opening.await.unwrap().unwrap()).await;
    assert_eq!(opened.expect_event("binding").await["status"], "disconnected");
}

#[tokio::test]
async fn open_streams_do_not_delay_shutdown() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour").await;
    let request = ann.client.get(ann.url(EVENTS_PATH)).header(COOKIE, ann.session_cookie());
    let mut stream = EventStream::open(request.send().await.unwrap()).await;
    tokio::time::timeout(Duration::from_secs(10), web.stop()).await.expect("the server stops");
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn number_of_streams_per_user_is_limited() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour").await;
    let session = ann.session_cookie();
    let open = async || ann.client.get(ann.url(EVENTS_PATH)).header(COOKIE, &session).send().await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(EventStream::open(open().await).await);
    }
    assert_eq!(open().await.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn streams_leave_a_quarter_of_the_connections_free() {
    let web = TestServer::with_flags(TestDatabase::sqlite(), &[("--max-connections", "16")]).await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour").await;
    let session = ann.session_cookie();
    let open = async || ann.client.get(ann.url(EVENTS_PATH)).header(COOKIE, &session).send().await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..12 {
        streams.push(EventStream::open(open().await).await);
    }
    assert_eq!(open().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ann.get("/settings/integrations").await.status, StatusCode::OK);
    // A stream that ends frees a permit for the next.
    ann.post("/api/session/logout", &[]).await;
    for mut stream in streams {
        stream.expect_event("reread").await;
        assert_eq!(stream.next().await, None);
    }
    ann.sign_in("ann@example.com").await;
    let session = ann.session_cookie();
    EventStream::open(ann.client.get(ann.url(EVENTS_PATH)).header(COOKIE, &session).send().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_in_one_instance_reaches_streams_of_another() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::system();
    let now = clock.clone();
    let provider = Provider::start_with(|options| options.now = std::sync::Arc::new(move || now.now())).await;
    let store = Store::new(database.open().await, test_key_ring(), clock);
    let org = seed_ana(&store).await;
    TestConsent::new(&store, &provider).connect(org.clone()).await;
    let data: Vec<TempDir> = (0..2).map(|_| TempDir::new().unwrap()).collect();
    let [here, there] = [0, 1].map(|number: usize| Instance::start(&database, &provider, data[number].path(), &[]));
    let cookie = here.sign_in(&provider).await;

    let stream =
        provider.client.get(format!("{}{EVENTS_PATH}", there.base)).header(COOKIE, &cookie).send().await.unwrap();
    let mut stream = EventStream::open(stream).await;
    let refresh = provider.client.post(format!("{}/api/integrations/xero/refresh", here.base)).header(COOKIE, &cookie);
    let report: Value = refresh.form(&[("clicked", "true")]).send().await.unwrap().json().await.unwrap();
    assert_eq!(report["refreshedCount"], 1);
    // If the other instance has just started to listen, it sends a reread to every stream.
    let event = stream.next().await.unwrap();
    assert!(event.name == "refresh" || event.name == "reread", "{event:?}");

    // A change by a third process, such as an operator's command.
    let bound = store.bindings_of_org(&org).await.unwrap();
    store.disconnect_binding(&org, &bound[0].binding.id).await.unwrap();
    let disconnected = eventually_some("the binding's event", MAX_WAIT, async || {
        stream.next().await.filter(|event| event.name == "binding")
    });
    assert_eq!(disconnected.await.data["status"], "disconnected");
}
