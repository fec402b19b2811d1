//! `kill -9` around an exchange: whatever the moment, the grant works at the next call.
//!
//! `EVERGRANT_TORTURE_ROUNDS` says how many kills each database sees; `make torture` makes it a thousand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use evergrant::model::{BindingStatus, GrantStatus};
use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use reqwest::header::COOKIE;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sandbox::Provider;
use crate::support::databases::TestDatabase;
use crate::support::instance::{Instance, add_ana};
use crate::support::keeper::{Connected, consent, ring};

const SETTINGS: [(&str, &str); 1] = [("EVERGRANT_LEASE_TTL", "1s")];
/// Twice the cases there are: four moments in two replay modes.
const FEW: usize = 16;

/// When the process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after it was asked: somewhere between the first look at the row and the request's leaving.
    Asked(Duration),
    /// Its request has reached the provider, which does nothing with it.
    BeforeRotation,
    /// The provider has rotated and holds its answer.
    AfterRotation,
    /// So long after the answer was let go: around the commit.
    Released(Duration),
}

impl Moment {
    fn name(self) -> &'static str {
        match self {
            Self::Asked(_) => "asked",
            Self::BeforeRotation => "before the rotation",
            Self::AfterRotation => "after the rotation",
            Self::Released(_) => "around the commit",
        }
    }

    fn of(round: usize) -> Self {
        // Steps that share no factor with one another, so that the moments wander over the whole span.
        let microseconds = |span: usize| Duration::from_micros(u64::try_from(round * 7_919 % span).unwrap());
        match round % 4 {
            0 => Self::Released(microseconds(6_000)),
            1 => Self::BeforeRotation,
            2 => Self::AfterRotation,
            _ => Self::Asked(microseconds(16_000)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_costs_no_grant_on_sqlite() {
    Torture::on(TestDatabase::sqlite(), 1).await.run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_costs_no_grant_on_postgresql() {
    let Some(database) = TestDatabase::postgres().await else { return };
    Torture::on(database, 3).await.run().await;
}

/// Instances on one database, and the provider between whose answers they die.
struct Torture {
    database: TestDatabase,
    provider: Provider,
    store: Store,
    connected: Connected,
    cookie: String,
    data: Vec<TempDir>,
    instances: Vec<Instance>,
}

impl Torture {
    async fn on(database: TestDatabase, instances: usize) -> Self {
        let (clock, now) = (Clock::system(), Clock::system());
        let provider = Provider::start_with(|options| options.now = Arc::new(move || now.now())).await;
        // Less than the buffer, so that every call finds the grant due.
        provider.control("settings", json!({"access_ttl": 300})).await;
        let store = Store::new(database.open().await, ring(), clock);
        let org = add_ana(&store).await;
        let connected = consent(&store, &provider, org, &["harbour"], 300).await;
        let data: Vec<TempDir> = (0..instances).map(|_| TempDir::new().unwrap()).collect();
        let instances: Vec<Instance> =
            data.iter().map(|data| Instance::start(&database, &provider, data.path(), &SETTINGS)).collect();
        let cookie = instances[0].sign_in(&provider).await;
        Self { database, provider, store, connected, cookie, data, instances }
    }

    async fn run(mut self) {
        let rounds = std::env::var("EVERGRANT_TORTURE_ROUNDS").map_or(FEW, |rounds| rounds.parse().unwrap());
        // How many kills each moment saw, and how many of them left an attempt unfinished: that some did and some
        // didn't says that the moments lie on both sides of what they are about.
        let mut tally: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for round in 0..rounds {
            let mode = if round / 4 % 2 == 0 { "same" } else { "sibling" };
            self.provider.control("settings", json!({"replay": mode})).await;
            let case = format!("{}, round {round}, {mode}, {:?}", self.database.name, Moment::of(round));
            let victim = round % self.instances.len();
            let before = self.unfinished().await;
            self.kill(victim, Moment::of(round), before, &case).await;
            let (kills, unfinished) = tally.entry(Moment::of(round).name()).or_default();
            *kills += 1;
            *unfinished += self.unfinished().await - before;
            let asked = if self.instances.len() == 1 || round % 2 == 0 {
                self.instances[victim] =
                    Instance::start(&self.database, &self.provider, self.data[victim].path(), &SETTINGS);
                victim
            } else {
                (victim + 1) % self.instances.len()
            };
            self.must_work(asked, &case).await;
            if asked != victim {
                self.instances[victim] =
                    Instance::start(&self.database, &self.provider, self.data[victim].path(), &SETTINGS);
            }
            // Xero lets an app call its API sixty times a minute; the rounds come faster than that.
            self.provider.control("clock", json!({"advance": 2})).await;
            if round % 50 == 49 {
                println!("{}: {} rounds, {tally:?}", self.database.name, round + 1);
            }
        }
        println!("{}: {rounds} kills, and the grant works: {tally:?}", self.database.name);
    }

    /// Has an instance refresh, and kills it at that moment of it. `before`: the unfinished attempts until now.
    async fn kill(&mut self, victim: usize, moment: Moment, before: usize, case: &str) {
        match moment {
            Moment::BeforeRotation => {
                let fault = json!({"endpoint": "token", "kind": "timeout_before", "times": 1});
                self.provider.control("faults", fault).await;
            }
            Moment::AfterRotation | Moment::Released(_) => {
                self.provider.control("hold", json!({})).await;
            }
            Moment::Asked(_) => {}
        }
        let call = self.refresh(victim);
        // It is cut off, or was answered just before: either is well.
        let call = tokio::spawn(async move { _ = call.send().await });
        match moment {
            Moment::Asked(pause) => nearly(pause).await,
            Moment::BeforeRotation | Moment::AfterRotation => {
                assert_eq!(self.provider.waiting(1).await, 1, "{case}");
                assert_eq!(self.unfinished().await, before + 1, "{case}: sent without a line in the journal");
            }
            Moment::Released(pause) => {
                assert_eq!(self.provider.waiting(1).await, 1, "{case}");
                // Not waited for: the answer must not be far ahead of the kill.
                let release = self.provider.client.post(format!("{}/_control/release", self.provider.base));
                tokio::spawn(release.json(&json!({})).send());
                nearly(pause).await;
            }
        }
        self.instances[victim].kill();
        call.await.unwrap();
        self.provider.control("release", json!({})).await;
    }

    /// A refresh over HTTP, which waits for the dead holder's lease to end, and a call to Xero's API.
    async fn must_work(&self, asked: usize, case: &str) {
        let report: Value = self.refresh(asked).send().await.unwrap().json().await.unwrap();
        assert_eq!((&report["success"], &report["errors"]), (&json!(true), &json!([])), "{case}: {report}");
        let form = [("binding_id", self.connected.bindings[0].as_str())];
        let test = self.post(asked, "test").form(&form).send().await.unwrap();
        let (status, text) = (test.status(), test.text().await.unwrap());
        assert_eq!(status, StatusCode::OK, "{case}: {text}");
        let bound = self.store.binding(&self.connected.org, &self.connected.bindings[0]).await.unwrap().unwrap();
        let grant = bound.grant.unwrap();
        assert_eq!((bound.binding.status, grant.status), (BindingStatus::Active, GrantStatus::Active), "{case}");
        let refused: Vec<Value> = self.provider.ledger().await;
        let refused: Vec<&Value> = refused.iter().filter(|line| line["http_status"] == 400).collect();
        assert!(refused.is_empty(), "{case}: {refused:?}");
    }

    async fn unfinished(&self) -> usize {
        let Connected { org, bindings, .. } = &self.connected;
        let attempts = self.store.attempts_of_binding(org, &bindings[0], 10_000).await.unwrap();
        attempts.iter().filter(|attempt| attempt.outcome.is_none()).count()
    }

    fn refresh(&self, instance: usize) -> RequestBuilder {
        self.post(instance, "refresh").form(&[("clicked", "false")])
    }

    fn post(&self, instance: usize, what: &str) -> RequestBuilder {
        let address = format!("{}/api/integrations/xero/{what}", self.instances[instance].base);
        self.provider.client.post(address).header(COOKIE, &self.cookie)
    }
}

/// The one pause that is meant: it is what moves the kill about. Tokio's own timer counts whole milliseconds.
async fn nearly(pause: Duration) {
    tokio::task::spawn_blocking(move || std::thread::sleep(pause)).await.unwrap();
}
