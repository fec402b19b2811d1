//! Fault injection: chains of every kind of exchange failure end or lose no grant.
//!
//! `EVERGRANT_TORTURE_FAULTS` sets the number of faults; `make torture` sets it to ten thousand.

use std::collections::BTreeMap;
use std::time::Duration;

use evergrant::model::{BindingStatus, GrantStatus, Trigger};
use evergrant::server::tokens::{FailureCause, RefreshOutcome, RefreshRequest, TokenService};
use serde_json::{Value, json};

use crate::support::consents::ConnectedOrg;
use crate::support::databases::TestDatabase;
use crate::support::http::CLOSED_ADDRESS;
use crate::support::test_service::{ServiceOptions, TestService};

/// The default number of faults: every kind several times, in chains of all lengths.
const DEFAULT_FAULTS: usize = 620;
/// The most consecutive faults before the provider recovers.
const LONGEST_CHAIN: usize = 5;
const DAY: u32 = 24 * 60 * 60;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The sandbox's name for the fault, and a `Retry-After` in seconds.
    Kind(&'static str, Option<u32>),
    Status(&'static str, u16, Option<u32>),
    /// The host name can't be resolved.
    Dns,
    /// The server does not speak TLS.
    Tls,
    /// Nothing listens on the port.
    Refused,
}

use Fault::{Dns, Kind, Refused, Status, Tls};

const FAULTS: [Fault; 31] = [
    Status("status", 500, None),
    Status("status", 502, None),
    Status("status", 503, None),
    Status("status", 503, Some(DAY)),
    Status("status", 504, None),
    Status("status_after", 500, None),
    Status("status_after", 502, Some(DAY)),
    Status("status_after", 504, None),
    Status("status", 429, None),
    Status("status", 429, Some(0)),
    Status("status", 429, Some(60)),
    Status("status", 429, Some(DAY)),
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
async fn no_fault_ends_or_loses_a_grant_on_sqlite() {
    let on = async |share| FaultRun::on(TestDatabase::sqlite(), share).await.run().await;
    // Each share has its own database and clock, because each advances the clock a lot.
    futures::join!(on(0), on(1), on(2), on(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_ends_or_loses_a_grant_on_postgresql() {
    let Some(database) = TestDatabase::postgres().await else { return };
    // One share of four; the others would add nothing.
    FaultRun::on(database, 0).await.run().await;
}

struct FaultRun {
    harness: TestService,
    connected: ConnectedOrg,
    share: usize,
    /// Services whose Xero URL leads to no working provider.
    unreachable: [(Fault, TokenService); 3],
}

impl FaultRun {
    async fn on(database: TestDatabase, share: usize) -> Self {
        let harness = TestService::on(
            database,
            ServiceOptions { xero_timeout: Duration::from_millis(60), ..ServiceOptions::default() },
        )
        .await;
        // Less than the buffer, so that the grant is due at every call.
        harness.provider.control("settings", json!({"access_ttl": 300})).await;
        let connected = harness.connect("Harbour", &["harbour", "kauri"], 300).await;
        let port = harness.provider.base.rsplit(':').next().unwrap();
        // A label of 64 letters is invalid, so no DNS query is sent.
        let nowhere = format!("https://{}.example", "a".repeat(64));
        let elsewhere = [
            (Dns, harness.service_with_xero_at(&nowhere).await),
            (Tls, harness.service_with_xero_at(&format!("https://127.0.0.1:{port}")).await),
            (Refused, harness.service_with_xero_at(&format!("http://{CLOSED_ADDRESS}")).await),
        ];
        Self { harness, connected, share, unreachable: elsewhere }
    }

    async fn run(self) {
        let faults =
            std::env::var("EVERGRANT_TORTURE_FAULTS").map_or(DEFAULT_FAULTS, |faults| faults.parse().unwrap()) / 4;
        let (mut injected, mut chains, mut tally) = (0, 0, BTreeMap::<String, usize>::new());
        while injected < faults {
            let mode = if chains % 2 == 0 { "same" } else { "sibling" };
            self.harness.provider.control("settings", json!({"replay": mode})).await;
            let before = self.harness.read_grant(&self.connected.grant).await.generation;
            let length = 1 + (chains + self.share) % LONGEST_CHAIN;
            let chain: Vec<Fault> = (0..length).map(|place| nth_fault(self.share * 1_000 + injected + place)).collect();
            let case =
                format!("{}, share {}, chain {chains}, {mode}: {chain:?}", self.harness.database.name, self.share);
            for trouble in &chain {
                self.inject(*trouble, &case).await;
                *tally.entry(format!("{trouble:?}")).or_default() += 1;
            }
            self.recover(before, &case).await;
            (injected, chains) = (injected + length, chains + 1);
        }
        let refused = self.harness.provider.ledger().await;
        assert!(refused.iter().all(|line| line["outcome"] != "invalid_grant"), "a token was sent too late");
        assert!(tally.len() == FAULTS.len(), "{tally:?}");
        println!("{}: {injected} faults in {chains} chains, no grant was lost", self.harness.database.name);
    }

    /// Refreshes until one fault has struck once.
    async fn inject(&self, trouble: Fault, case: &str) {
        let fault = match trouble {
            Kind(kind, _) => Some(json!({"endpoint": "token", "kind": kind})),
            Status(kind, status, None) => Some(json!({"endpoint": "token", "kind": kind, "status": status})),
            Status(kind, status, Some(wait)) => {
                Some(json!({"endpoint": "token", "kind": kind, "status": status, "retry_after": wait}))
            }
            Dns | Tls | Refused => None,
        };
        let elsewhere = self.unreachable.iter().find(|(place, _)| *place == trouble).map(|(_, service)| service);
        if let Some(fault) = fault {
            self.harness.provider.inject_fault(fault).await;
        }
        let (before, service) = (self.attempt_count().await, elsewhere.unwrap_or(&self.harness.service));
        for _ in 0..100 {
            let outcome = self.refresh_when_due(service).await;
            self.assert_alive(&outcome, case).await;
            // On a busy machine a request may time out by itself before it reaches the fault.
            if self.attempt_count().await > before && self.pending_faults().await == json!([]) {
                return;
            }
        }
        panic!("{case}: {trouble:?} did not strike");
    }

    /// Refreshes as the sweeper would, at each due time, until an exchange succeeds.
    async fn recover(&self, before: i64, case: &str) {
        for _ in 0..40 {
            let outcome = self.refresh_when_due(&self.harness.service).await;
            if outcome == RefreshOutcome::Refreshed {
                let after = self.harness.read_grant(&self.connected.grant).await;
                assert_eq!(
                    (after.generation, after.failure_count, after.next_attempt_at),
                    (before + 1, 0, None),
                    "{case}"
                );
                assert_eq!((self.harness.service.alarm(), after.reply_lost_at), (None, None), "{case}");
                return;
            }
            self.assert_alive(&outcome, case).await;
        }
        panic!("{case}: no token within forty attempts");
    }

    /// Refreshes automatically, then advances the clock to the next attempt's time if it failed.
    async fn refresh_when_due(&self, service: &TokenService) -> RefreshOutcome {
        let request = RefreshRequest::automatic(Trigger::Sweep);
        let outcome = service.refresh_grant_single_flight(&self.connected.grant, request).await;
        if let RefreshOutcome::Failed(failed) = &outcome {
            let next = failed.next_attempt_at.expect("a failure must have a time for the next attempt");
            self.harness.advance((next - self.harness.clock.now()).max(0));
        }
        outcome
    }

    async fn assert_alive(&self, outcome: &RefreshOutcome, case: &str) {
        let RefreshOutcome::Failed(failed) = outcome else { panic!("{case}: {outcome:?}") };
        assert!(!failed.is_final() && failed.cause != FailureCause::Internal, "{case}: {failed:?}");
        let bound = self.harness.store.bindings_of_org(&self.connected.org).await.unwrap();
        for bound in bound {
            assert_eq!(bound.binding.status, BindingStatus::Active, "{case}");
            assert_eq!(bound.grant.unwrap().status, GrantStatus::Active, "{case}");
        }
    }

    async fn attempt_count(&self) -> i64 {
        self.harness.store.count_attempts_since(&self.connected.grant, Trigger::Sweep, 0).await.unwrap()
    }

    async fn pending_faults(&self) -> Value {
        self.harness.provider.get("/_control/faults").await.json().await.unwrap()
    }
}

/// Returns the fault of this number. Each round has every fault once, in a different order: their number is prime.
fn nth_fault(number: usize) -> Fault {
    let step = 1 + number / FAULTS.len() % (FAULTS.len() - 1);
    FAULTS[number * step % FAULTS.len()]
}
