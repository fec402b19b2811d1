//! Everything that can go wrong with an exchange, thousands of times: nothing of it ends a grant, or loses one.
//!
//! `EVERGRANT_TORTURE_FAULTS` says how many; `make torture` makes it ten thousand.

use std::collections::BTreeMap;
use std::time::Duration;

use evergrant::model::{BindingStatus, GrantStatus, Trigger};
use evergrant::server::tokens::{Ask, Landed, TokenService, Why};
use serde_json::{Value, json};

use crate::support::databases::TestDatabase;
use crate::support::keeper::{Connected, Keeper, Pace};

/// Every kind several times over, in chains of all lengths.
const FEW: usize = 620;
/// Faults in a row before Xero is well again.
const LONGEST_CHAIN: usize = 5;
const A_DAY: u32 = 24 * 60 * 60;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// The sandbox's own word for it, and a `Retry-After`.
    Kind(&'static str, Option<u32>),
    Status(&'static str, u16, Option<u32>),
    /// The name can't be resolved.
    Dns,
    /// What answers speaks no TLS.
    Tls,
    /// Nothing listens there.
    Refused,
}

use Trouble::{Dns, Kind, Refused, Status, Tls};

const TROUBLES: [Trouble; 31] = [
    Status("status", 500, None),
    Status("status", 502, None),
    Status("status", 503, None),
    Status("status", 503, Some(A_DAY)),
    Status("status", 504, None),
    Status("status_after", 500, None),
    Status("status_after", 502, Some(A_DAY)),
    Status("status_after", 504, None),
    Status("status", 429, None),
    Status("status", 429, Some(0)),
    Status("status", 429, Some(60)),
    Status("status", 429, Some(A_DAY)),
    Status("status", 400, None),
    Status("status", 401, None),
    Status("status", 403, None),
    Status("status", 404, None),
    Status("status", 418, None),
    Status("status", 302, None),
    Kind("timeout_before", None),
    Kind("timeout_after", None),
    Kind("reset_before", None),
    Kind("reset_after", None),
    Kind("truncated", None),
    Kind("malformed", None),
    Kind("wrong_content_type", None),
    Kind("invalid_client", None),
    Kind("unauthorized_client", None),
    Kind("invalid_request", None),
    Dns,
    Tls,
    Refused,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_trouble_ends_or_loses_a_grant_on_sqlite() {
    let on = async |share| Trial::on(TestDatabase::sqlite(), share).await.run().await;
    // Each with a clock of its own, because each lets a lot of time pass.
    futures::join!(on(0), on(1), on(2), on(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_trouble_ends_or_loses_a_grant_on_postgresql() {
    let Some(database) = TestDatabase::postgres().await else { return };
    // Those of one share in four; the others would tell nothing new.
    Trial::on(database, 0).await.run().await;
}

struct Trial {
    keeper: Keeper,
    connected: Connected,
    share: usize,
    /// Services whose Xero is where nothing of Xero's is.
    elsewhere: [(Trouble, TokenService); 3],
}

impl Trial {
    async fn on(database: TestDatabase, share: usize) -> Self {
        let keeper = Keeper::on(database, Pace { timeout: Duration::from_millis(60), ..Pace::default() }).await;
        // Less than the buffer, so that every call finds the grant due.
        keeper.provider.control("settings", json!({"access_ttl": 300})).await;
        let connected = keeper.connect("Harbour", &["harbour", "kauri"], 300).await;
        let port = keeper.provider.base.rsplit(':').next().unwrap();
        // No resolver is asked for a name that can't be one.
        let nowhere = format!("https://{}.example", "a".repeat(64));
        let elsewhere = [
            (Dns, keeper.elsewhere(&nowhere).await),
            (Tls, keeper.elsewhere(&format!("https://127.0.0.1:{port}")).await),
            (Refused, keeper.elsewhere("http://127.0.0.1:9").await),
        ];
        Self { keeper, connected, share, elsewhere }
    }

    async fn run(self) {
        let faults = std::env::var("EVERGRANT_TORTURE_FAULTS").map_or(FEW, |faults| faults.parse().unwrap()) / 4;
        let (mut injected, mut chains, mut tally) = (0, 0, BTreeMap::<String, usize>::new());
        while injected < faults {
            let mode = if chains % 2 == 0 { "same" } else { "sibling" };
            self.keeper.provider.control("settings", json!({"replay": mode})).await;
            let before = self.keeper.read(&self.connected.grant).await.generation;
            let length = 1 + (chains + self.share) % LONGEST_CHAIN;
            let chain: Vec<Trouble> = (0..length).map(|place| nth(self.share * 1_000 + injected + place)).collect();
            let case =
                format!("{}, share {}, chain {chains}, {mode}: {chain:?}", self.keeper.database.name, self.share);
            for trouble in &chain {
                self.suffer(*trouble, &case).await;
                *tally.entry(format!("{trouble:?}")).or_default() += 1;
            }
            self.recover(before, &case).await;
            (injected, chains) = (injected + length, chains + 1);
        }
        let refused = self.keeper.provider.ledger().await;
        assert!(refused.iter().all(|line| line["outcome"] != "invalid_grant"), "a token was sent past its grace");
        assert!(tally.len() == TROUBLES.len(), "{tally:?}");
        println!("{}: {injected} faults in {chains} chains, and nothing was lost", self.keeper.database.name);
    }

    /// Meets one trouble, once.
    async fn suffer(&self, trouble: Trouble, case: &str) {
        let fault = match trouble {
            Kind(kind, _) => Some(json!({"endpoint": "token", "kind": kind})),
            Status(kind, status, None) => Some(json!({"endpoint": "token", "kind": kind, "status": status})),
            Status(kind, status, Some(wait)) => {
                Some(json!({"endpoint": "token", "kind": kind, "status": status, "retry_after": wait}))
            }
            Dns | Tls | Refused => None,
        };
        let elsewhere = self.elsewhere.iter().find(|(place, _)| *place == trouble).map(|(_, service)| service);
        if let Some(fault) = fault {
            self.keeper.provider.control("faults", fault).await;
        }
        let (before, service) = (self.tries().await, elsewhere.unwrap_or(&self.keeper.service));
        loop {
            let landed = self.ask(service).await;
            self.assert_alive(&landed, case).await;
            // A busy machine may miss the time-out by itself, now and then, before its request has met the fault.
            if self.tries().await > before && self.faults().await == json!([]) {
                return;
            }
        }
    }

    /// Asks as a sweeper would, whenever it may, until Xero has given a token set.
    async fn recover(&self, before: i64, case: &str) {
        for _ in 0..40 {
            let landed = self.ask(&self.keeper.service).await;
            if landed == Landed::Exchanged {
                let after = self.keeper.read(&self.connected.grant).await;
                assert_eq!(
                    (after.generation, after.failure_count, after.next_attempt_at),
                    (before + 1, 0, None),
                    "{case}"
                );
                assert_eq!((self.keeper.service.alarm(), after.reply_lost_at), (None, None), "{case}");
                return;
            }
            self.assert_alive(&landed, case).await;
        }
        panic!("{case}: no token within forty tries");
    }

    /// An automatic call, at the time that the last one named.
    async fn ask(&self, service: &TokenService) -> Landed {
        let ask = Ask::automatic(Trigger::Sweep);
        let landed = service.refresh_grant_single_flight(&self.connected.grant, ask).await;
        if let Landed::Failed(failed) = &landed {
            let next = failed.next_attempt_at.expect("a failure names the next try");
            self.keeper.advance((next - self.keeper.clock.now()).max(0));
        }
        landed
    }

    async fn assert_alive(&self, landed: &Landed, case: &str) {
        let Landed::Failed(failed) = landed else { panic!("{case}: {landed:?}") };
        assert!(matches!(failed.why, Why::Transient | Why::Operator), "{case}: {failed:?}");
        let bound = self.keeper.store.bindings_of_org(&self.connected.org).await.unwrap();
        for bound in bound {
            assert_eq!(bound.binding.status, BindingStatus::Active, "{case}");
            assert_eq!(bound.grant.unwrap().status, GrantStatus::Active, "{case}");
        }
    }

    async fn tries(&self) -> i64 {
        self.keeper.store.tries_since(&self.connected.grant, Trigger::Sweep, 0).await.unwrap()
    }

    async fn faults(&self) -> Value {
        self.keeper.provider.get("/_control/faults").await.json().await.unwrap()
    }
}

/// All of them in each round, in another order each time: their number is a prime.
fn nth(number: usize) -> Trouble {
    let step = 1 + number / TROUBLES.len() % (TROUBLES.len() - 1);
    TROUBLES[number * step % TROUBLES.len()]
}
