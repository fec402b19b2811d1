//! The OAuth callback: for any query, the response redirects to our own page with one of our messages, and nothing is
//! connected.
//!
//! A whole server with its sandbox runs in this thread, with a signed-in user.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use clap::Parser;
use evergrant::model::{ConnectionFlash, Flash, FlashMessage as _};
use evergrant::server::auth::cookie::{FLASH_COOKIE, PENDING_CALLBACK_COOKIE, SESSION_COOKIE, cookie_name};
use evergrant::server::clock::Clock;
use evergrant::server::config::{PublicUrl, Settings};
use evergrant::server::startup;
use evergrant::server::startup::seed::{DEMO_EMAIL, DEMO_PASSWORD};
use evergrant_sandbox::{Options, Sandbox, TEST_SIGNING_KEY};
use reqwest::header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, Url};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// The placeholder in an input for a `state` that was just issued.
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
    public_url: PublicUrl,
    _folder: TempDir,
}

thread_local! {
    static BENCH: OnceCell<Bench> = const { OnceCell::new() };
}

/// Uses the input as the callback's query, as the pending callback's cookie and as the flash message's cookie.
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
    let Some(notice) = Flash::parse(cookie) else { return };
    assert_eq!(Flash::parse(&notice.encode()).as_ref(), Some(&notice));
    assert!(!notice.text().contains(['<', '>', '&', '"']), "{}", notice.text());
}

impl Bench {
    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (folder, client) = (TempDir::new().unwrap(), Client::builder().no_proxy());
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let (base, session, public_url) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}", listener.local_addr().unwrap());
            let (data, database) = (folder.path().display(), format!("sqlite://{}/e.db", folder.path().display()));
            let data = data.to_string();
            let flags = ["evergrant", "--database-url", &database, "--public-url", &base, "--data-dir", &data];
            let config = Flags::parse_from(flags).settings.check().unwrap();
            store_signing_key(folder.path()).await;
            let clock = Clock::manual(1_800_000_000);
            tokio::spawn(startup::serve(config, clock, listener, std::future::pending()));
            while !client.get(format!("{base}/readyz")).send().await.unwrap().status().is_success() {
                tokio::task::yield_now().await;
            }
            let form = [("email", DEMO_EMAIL), ("password", DEMO_PASSWORD)];
            let answer = client.post(format!("{base}/api/session/login")).form(&form).send().await.unwrap();
            let public_url: PublicUrl = base.parse().unwrap();
            let name = cookie_name(&public_url, SESSION_COOKIE);
            let session = cookie(&answer, &name).expect("the demo user must sign in");
            (base, format!("{name}={session}"), public_url)
        });
        Self { runtime, base, session, public_url, client, _folder: folder }
    }

    /// Starts a connect and returns its `state`.
    async fn begin(&self) -> String {
        let request = self.client.post(format!("{}/api/integrations/xero/connect", self.base));
        let answer = request.header(COOKIE, &self.session).form(&[("", "")]).send().await.unwrap();
        let there = Url::parse(answer.headers()[LOCATION].to_str().unwrap()).unwrap();
        there.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
    }

    async fn comes_back(&self, query: &str) {
        let Ok(address) = Url::parse(&format!("{}{CALLBACK}?{query}", self.base)) else { return };
        let request = self.client.get(address).header(ACCEPT, "text/html").header(COOKIE, &self.session);
        self.leads_home(request.send().await.unwrap(), query).await;
    }

    async fn comes_back_parked(&self, query: &str) {
        // The session comes first: only a few cookies of its name are looked up, and an input may hold more.
        let name = cookie_name(&self.public_url, PENDING_CALLBACK_COOKIE);
        let cookies = format!("{}; {name}={query}", self.session);
        let request = self.client.get(format!("{}{CALLBACK}", self.base)).header(COOKIE, cookies);
        // An input that is not a valid header value can't be sent.
        let Ok(request) = request.build() else { return };
        self.leads_home(self.client.execute(request).await.unwrap(), query).await;
    }

    async fn leads_home(&self, answer: Response, query: &str) {
        let status = answer.status();
        if status.is_client_error() {
            return;
        }
        let location = answer.headers()[LOCATION].to_str().unwrap();
        assert_eq!((status, location), (StatusCode::SEE_OTHER, SETTINGS), "{query:?}");
        let notice = cookie(&answer, &cookie_name(&self.public_url, FLASH_COOKIE)).and_then(|text| Flash::parse(&text));
        let expected = [
            ConnectionFlash::StateExpired.into(),
            ConnectionFlash::StateOfOtherSession.into(),
            ConnectionFlash::ConsentRefused.into(),
            ConnectionFlash::ConsentFailed.into(),
            ConnectionFlash::ExchangeFailed.into(),
        ];
        assert!(notice.as_ref().is_some_and(|notice| expected.contains(notice)), "{query:?}: {notice:?}");
        let headers = format!("{:?}", answer.headers());
        let body = answer.text().await.unwrap();
        for (_, value) in Url::parse(&format!("http://x/?{query}")).unwrap().query_pairs() {
            // Shorter values may occur by chance.
            let repeated = value.len() >= 12 && (headers.contains(&*value) || body.contains(&*value));
            assert!(!repeated || SETTINGS.contains(&*value), "{value:?} is repeated in the response");
        }
    }
}

/// Writes the sandbox's state file with the fixed signing key, so that the server doesn't generate one.
async fn store_signing_key(data_dir: &Path) {
    let mut options = Options::new("http://localhost", Arc::new(|| 1_800_000_000));
    options.state_file = Some(data_dir.join("sandbox.json"));
    options.signing_key = Some(TEST_SIGNING_KEY.to_vec());
    Sandbox::open(options).await.unwrap();
}

fn cookie(answer: &Response, name: &str) -> Option<String> {
    let cookies = answer.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.filter_map(|cookie| cookie.split(';').next()?.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
}
