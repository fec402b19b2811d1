//! The consent's way back: whatever stands in its address, the answer is a redirect to our own page with a message of
//! ours, and nothing is connected by it.
//!
//! A whole server runs in this thread, with its sandbox behind it and somebody signed in.

use std::cell::OnceCell;

use axum::http::StatusCode;
use clap::Parser;
use evergrant::model::Notice;
use evergrant::server::app;
use evergrant::server::clock::Clock;
use evergrant::server::config::Settings;
use evergrant::server::seed::{DEMO_EMAIL, DEMO_PASSWORD};
use reqwest::header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, Url};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// What an input writes for a `state` that was begun a moment ago.
const FRESH: &str = "FRESH";
const CALLBACK: &str = "/api/integrations/xero/callback";
const SETTINGS: &str = "/settings/integrations";

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

struct Bench {
    runtime: Runtime,
    base: String,
    client: Client,
    session: String,
    _folder: TempDir,
}

thread_local! {
    static BENCH: OnceCell<Bench> = const { OnceCell::new() };
}

/// The input is taken for the query of an address, for the cookie in which an answer waits, and for a page's message.
pub fn hold(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    says_what_we_wrote_or_nothing(&text);
    BENCH.with(|bench| {
        let bench = bench.get_or_init(Bench::start);
        bench.runtime.block_on(async {
            let query = match text.contains(FRESH) {
                true => text.replace(FRESH, &bench.begin().await),
                false => text.into_owned(),
            };
            bench.comes_back(&query).await;
            bench.comes_back_parked(&query).await;
        });
    });
}

fn says_what_we_wrote_or_nothing(cookie: &str) {
    let Some(notice) = Notice::parse(cookie) else { return };
    assert_eq!(Notice::parse(&notice.encode()).as_ref(), Some(&notice));
    assert!(!notice.text().contains(['<', '>', '&', '"']), "{}", notice.text());
}

impl Bench {
    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (folder, client) = (TempDir::new().unwrap(), Client::builder().no_proxy());
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let (base, session) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            let (data, database) = (folder.path().display(), format!("sqlite://{}/e.db", folder.path().display()));
            let data = data.to_string();
            let flags = ["evergrant", "--database-url", &database, "--public-url", &base, "--data-dir", &data];
            let config = Flags::parse_from(flags).settings.check().unwrap();
            tokio::spawn(app::run(config, Clock::manual(1_800_000_000), listener, std::future::pending()));
            let form = [("email", DEMO_EMAIL), ("password", DEMO_PASSWORD)];
            let answer = client.post(format!("{base}/api/session/login")).form(&form).send().await.unwrap();
            (base, cookie(&answer, "evergrant_session").expect("the demo's person signs in"))
        });
        Self { runtime, base, session: format!("evergrant_session={session}"), client, _folder: folder }
    }

    /// Presses Connect, and says the `state` that Xero would give back.
    async fn begin(&self) -> String {
        let request = self.client.post(format!("{}/api/integrations/xero/connect", self.base));
        let answer = request.header(COOKIE, &self.session).form(&[("", "")]).send().await.unwrap();
        let there = Url::parse(answer.headers()[LOCATION].to_str().unwrap()).unwrap();
        there.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
    }

    async fn comes_back(&self, query: &str) {
        let Ok(address) = Url::parse(&format!("{}{CALLBACK}?{query}", self.base)) else { return };
        let request = self.client.get(address).header(ACCEPT, "text/html").header(COOKIE, &self.session);
        leads_home(request.send().await.unwrap(), query).await;
    }

    async fn comes_back_parked(&self, query: &str) {
        // Of several of a name the last counts: an input must not sign itself out.
        let cookies = format!("evergrant_consent={query}; {}", self.session);
        let request = self.client.get(format!("{}{CALLBACK}", self.base)).header(COOKIE, cookies);
        // What is no header can't be sent.
        let Ok(request) = request.build() else { return };
        leads_home(self.client.execute(request).await.unwrap(), query).await;
    }
}

async fn leads_home(answer: Response, query: &str) {
    let status = answer.status();
    if status.is_client_error() {
        return;
    }
    let location = answer.headers()[LOCATION].to_str().unwrap();
    assert_eq!((status, location), (StatusCode::SEE_OTHER, SETTINGS), "{query:?}");
    let notice = cookie(&answer, "evergrant_notice").and_then(|text| Notice::parse(&text));
    let expected = [
        Notice::StateExpired,
        Notice::StateForeign,
        Notice::ConsentRefused,
        Notice::ConsentFailed,
        Notice::ExchangeFailed,
    ];
    assert!(notice.as_ref().is_some_and(|notice| expected.contains(notice)), "{query:?}: {notice:?}");
    let headers = format!("{:?}", answer.headers());
    let body = answer.text().await.unwrap();
    for (_, value) in Url::parse(&format!("http://x/?{query}")).unwrap().query_pairs() {
        // Shorter ones may stand there by chance.
        let repeated = value.len() >= 12 && (headers.contains(&*value) || body.contains(&*value));
        assert!(!repeated || SETTINGS.contains(&*value), "{value:?} is repeated");
    }
}

fn cookie(answer: &Response, name: &str) -> Option<String> {
    let cookies = answer.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.filter_map(|cookie| cookie.split(';').next()?.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
}
