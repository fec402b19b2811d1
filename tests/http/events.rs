//! `GET /api/events`: what changes reaches every open page of the organisation, and no other.

use std::time::Duration;

use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use reqwest::header::COOKIE;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sandbox::Provider;
use crate::support::app::{App, Browser};
use crate::support::databases::TestDatabase;
use crate::support::instance::{Instance, add_ana};
use crate::support::keeper::{consent, ring};
use crate::support::web::Web;

const EVENTS: &str = "/api/events";

/// A stream of events as a page reads it.
struct Listening {
    answer: Response,
    read: String,
}

/// One event: its name, its id and its data.
#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Listening {
    async fn open(answer: Response) -> Self {
        assert_eq!(answer.status(), StatusCode::OK);
        let mut listening = Self { answer, read: String::new() };
        listening.block().await.expect("the stream says how to come back");
        listening
    }

    /// The next block of lines; `None` once the stream is over. Comments alone are passed over.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.read = rest;
                if !block.lines().all(|line| line.starts_with(':')) {
                    return Some(block);
                }
                continue;
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.answer.chunk()).await;
            let chunk = chunk.expect("the stream has nothing to say").ok().flatten()?;
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn next(&mut self) -> Option<Event> {
        let block = self.block().await?;
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_default().to_owned()
        };
        let data = serde_json::from_str(&field("data")).unwrap_or_default();
        Some(Event { name: field("event"), id: field("id"), data })
    }

    async fn expect(&mut self, name: &str) -> Value {
        let event = self.next().await.unwrap_or_else(|| panic!("the stream ended before {name}"));
        assert_eq!(event.name, name, "{event:?}");
        assert!(event.id.parse::<i64>().is_ok(), "{event:?}");
        event.data
    }
}

/// Somebody in the organisation whose token is about to end.
async fn in_harbour(app: &App) -> Browser<'_> {
    let mut demo = app.demo().await;
    let harbour = demo.org_id("Harbour Group").await;
    demo.form("/api/session/switch-organization", &[("org_id", &harbour)]).await;
    demo
}

async fn open(browser: &mut Browser<'_>) -> Listening {
    Listening::open(browser.get(EVENTS).await).await
}

#[tokio::test]
async fn what_one_page_does_every_page_of_the_organisation_hears() {
    for app in App::each().await {
        let db = app.database.name;
        let (mut one, mut other) = (in_harbour(&app).await, in_harbour(&app).await);
        let (mut first, mut second) = (open(&mut one).await, open(&mut other).await);
        one.call("/api/integrations/xero/refresh", &[]).await;
        for heard in [&mut first, &mut second] {
            assert_eq!(heard.expect("refresh").await["outcome"], "refreshed", "{db}");
        }
        let (_, view) = one.call("/api/integrations/view", &[]).await;
        let id = view["connections"][0]["id"].as_str().unwrap();
        one.call("/api/integrations/xero/disconnect", &[("binding_id", id)]).await;
        let wanted = json!({"bindingId": id, "status": "disconnected"});
        assert_eq!(second.expect("binding").await, wanted, "{db}");
    }
}

#[tokio::test]
async fn another_organisation_hears_nothing_of_it() {
    for app in App::each().await {
        let db = app.database.name;
        let (mut harbour, mut demo) = (in_harbour(&app).await, app.demo().await);
        let southerly = demo.org_id("Southerly Studio").await;
        demo.form("/api/session/switch-organization", &[("org_id", &southerly)]).await;
        let mut theirs = open(&mut demo).await;
        harbour.call("/api/integrations/xero/refresh", &[]).await;
        // What they hear first is their own.
        let (_, view) = demo.call("/api/integrations/view", &[]).await;
        let id = view["connections"][0]["id"].as_str().unwrap();
        demo.call("/api/integrations/xero/disconnect", &[("binding_id", id)]).await;
        assert_eq!(theirs.expect("binding").await["bindingId"], id, "{db}");
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_session_and_with_a_switch_to_another_organisation() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = in_harbour(&app).await;
        let mut switched = open(&mut demo).await;
        let southerly = demo.org_id("Southerly Studio").await;
        demo.form("/api/session/switch-organization", &[("org_id", &southerly)]).await;
        switched.expect("reread").await;
        assert_eq!(switched.next().await, None, "{db}");

        let mut signed_out = open(&mut demo).await;
        // Another session of the same person's ends: that is no reason.
        let mut elsewhere = app.demo().await;
        let mut stays = open(&mut elsewhere).await;
        demo.form("/api/session/logout", &[]).await;
        signed_out.expect("reread").await;
        assert_eq!(signed_out.next().await, None, "{db}");
        elsewhere.call("/api/integrations/xero/refresh", &[]).await;
        stays.expect("refresh").await;
        assert_eq!(demo.get(EVENTS).await.status(), StatusCode::UNAUTHORIZED, "{db}");
    }
}

#[tokio::test]
async fn a_page_is_told_what_it_missed_before_it_listened_and_only_then() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = in_harbour(&app).await;
        let (_, view) = demo.call("/api/integrations/view", &[]).await;
        let as_of = view["as_of"].as_i64().unwrap();
        let later = format!("{EVENTS}?as_of={}", as_of + 1);
        Listening::open(demo.get(&later).await).await;
        demo.call("/api/integrations/xero/refresh", &[]).await;
        let early = demo.get(&format!("{EVENTS}?as_of={as_of}")).await;
        for (name, value) in
            [("cache-control", "no-store"), ("x-accel-buffering", "no"), ("content-type", "text/event-stream")]
        {
            assert_eq!(early.headers()[name], value, "{db}");
        }
        let mut early = Listening { answer: early, read: String::new() };
        early.expect("reread").await;

        // A browser that comes back says what it heard last instead.
        let back = demo.request(reqwest::Method::GET, &later, "text/event-stream");
        let back = demo.send(back.header("last-event-id", as_of)).await;
        let mut back = Listening { answer: back, read: String::new() };
        back.expect("reread").await;
    }
}

#[tokio::test]
async fn open_streams_do_not_hold_up_the_end() {
    let web = Web::start().await;
    let (ann, _) = web.person("ann@example.com", "Harbour").await;
    let request = ann
        .client
        .get(ann.at(EVENTS))
        .header(COOKIE, format!("evergrant_session={}", ann.cookie("evergrant_session").unwrap()));
    let mut stream = Listening::open(request.send().await.unwrap()).await;
    tokio::time::timeout(Duration::from_secs(10), web.stop()).await.expect("the server stops");
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn one_person_may_not_open_streams_without_end() {
    let web = Web::start().await;
    let (ann, _) = web.person("ann@example.com", "Harbour").await;
    let session = format!("evergrant_session={}", ann.cookie("evergrant_session").unwrap());
    let open = async || ann.client.get(ann.at(EVENTS)).header(COOKIE, &session).send().await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(Listening::open(open().await).await);
    }
    assert_eq!(open().await.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn streams_leave_a_quarter_of_the_places_to_everybody_else() {
    let web = Web::with(TestDatabase::sqlite(), &[("--max-connections", "16")]).await;
    let (ann, _) = web.person("ann@example.com", "Harbour").await;
    let session = format!("evergrant_session={}", ann.cookie("evergrant_session").unwrap());
    let open = async || ann.client.get(ann.at(EVENTS)).header(COOKIE, &session).send().await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..12 {
        streams.push(Listening::open(open().await).await);
    }
    assert_eq!(open().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ann.get("/settings/integrations").await.status, StatusCode::OK);
    // One that ends makes room for the next.
    ann.post("/api/session/logout", &[]).await;
    for mut stream in streams {
        stream.expect("reread").await;
        assert_eq!(stream.next().await, None);
    }
    ann.sign_in("ann@example.com").await;
    let session = format!("evergrant_session={}", ann.cookie("evergrant_session").unwrap());
    Listening::open(ann.client.get(ann.at(EVENTS)).header(COOKIE, &session).send().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_in_one_instance_shows_in_another() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let clock = Clock::system();
    let now = clock.clone();
    let provider = Provider::start_with(|options| options.now = std::sync::Arc::new(move || now.now())).await;
    let store = Store::new(database.open().await, ring(), clock);
    let org = add_ana(&store).await;
    consent(&store, &provider, org.clone(), &["harbour"], 60).await;
    let data: Vec<TempDir> = (0..2).map(|_| TempDir::new().unwrap()).collect();
    let [here, there] = [0, 1].map(|number: usize| Instance::start(&database, &provider, data[number].path(), &[]));
    let cookie = here.sign_in(&provider).await;

    let stream = provider.client.get(format!("{}{EVENTS}", there.base)).header(COOKIE, &cookie).send().await.unwrap();
    let mut stream = Listening::open(stream).await;
    let refresh = provider.client.post(format!("{}/api/integrations/xero/refresh", here.base)).header(COOKIE, &cookie);
    let report: Value = refresh.form(&[("clicked", "true")]).send().await.unwrap().json().await.unwrap();
    assert_eq!(report["refreshedCount"], 1);
    // The other instance may have begun to listen meanwhile, which tells everybody to look.
    let heard = stream.next().await.unwrap();
    assert!(heard.name == "refresh" || heard.name == "reread", "{heard:?}");

    // An operator's command, or a sweep: another process yet.
    let bound = store.bindings_of_org(&org).await.unwrap();
    store.disconnect_binding(&org, &bound[0].binding.id).await.unwrap();
    loop {
        let heard = stream.next().await.unwrap();
        if heard.name == "binding" {
            assert_eq!(heard.data["status"], "disconnected");
            break;
        }
    }
}
