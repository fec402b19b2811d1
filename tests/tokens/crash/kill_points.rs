//! The points at which an instance is killed, and the steps of its exchange at which a kill fell.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::cluster::{GrantState, TestCluster};

/// The longest wait for a state.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between two looks at the spool folder: shorter than a file takes to be written.
const POLL_INTERVAL: Duration = Duration::from_micros(100);

/// The condition after which the instance is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillPoint {
    /// A fraction of the time from the call to the journal line.
    AfterRequest,
    /// The row has the lease.
    Leased,
    /// The journal has the attempt.
    Journaled,
    /// The request has reached the provider, which does not process it.
    BeforeRotation,
    /// The provider has rotated and holds its response.
    AfterRotation,
    /// A fraction of the time from the response's release to the commit.
    ReplyReleased,
    /// The row has the next generation.
    Committed,
    /// The commit fails, and the write of a spool file has started.
    Spooling,
    /// The commit fails, and the spool has the complete token set.
    Spooled,
    /// Two instances refresh at once, and one of them is killed after a fraction of that time.
    Race,
}

/// The step at which a kill fell. The first six are those of an exchange; the next two occur if its commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExchangeStep {
    BeforeJournal,
    AfterJournal,
    WhileWaiting,
    AfterRotation,
    DuringCommit,
    AfterCommit,
    WhileSpooling,
    Spooled,
    /// Any step, while other instances refresh the same grant.
    DuringRace,
}

/// The contents of the victim's spool when it was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoolContents {
    Empty,
    Partial,
    Complete,
}

impl KillPoint {
    pub const ALL: [Self; 10] = [
        Self::AfterRequest,
        Self::Leased,
        Self::Journaled,
        Self::BeforeRotation,
        Self::AfterRotation,
        Self::ReplyReleased,
        Self::Committed,
        Self::Spooling,
        Self::Spooled,
        Self::Race,
    ];

    pub fn of(round: usize) -> Self {
        Self::ALL[round % Self::ALL.len()]
    }

    pub fn commit_is_broken(self) -> bool {
        matches!(self, Self::Spooling | Self::Spooled)
    }
}

impl ExchangeStep {
    pub const ALL: [Self; 9] = [
        Self::BeforeJournal,
        Self::AfterJournal,
        Self::WhileWaiting,
        Self::AfterRotation,
        Self::DuringCommit,
        Self::AfterCommit,
        Self::WhileSpooling,
        Self::Spooled,
        Self::DuringRace,
    ];

    /// Classifies a kill by journal, row, ledger and spool right after it. `released`: the provider had sent the held
    /// response.
    pub fn classify(
        before: GrantState,
        after: GrantState,
        exchanges: &[Value],
        released: bool,
        spool: SpoolContents,
    ) -> Self {
        match (spool, exchanges.last()) {
            (SpoolContents::Complete, _) => Self::Spooled,
            (SpoolContents::Partial, _) => Self::WhileSpooling,
            _ if after.generation > before.generation => Self::AfterCommit,
            _ if after.attempts == before.attempts => Self::BeforeJournal,
            (_, None) => Self::AfterJournal,
            (_, Some(line)) if line["outcome"] == "not_processed" => Self::WhileWaiting,
            _ if released => Self::DuringCommit,
            _ => Self::AfterRotation,
        }
    }
}

/// The measured durations into which a kill should fall.
pub struct KillTiming {
    until_journal: Duration,
    until_commit: Duration,
}

impl Default for KillTiming {
    fn default() -> Self {
        Self { until_journal: Duration::from_millis(20), until_commit: Duration::from_millis(5) }
    }
}

impl KillTiming {
    /// Configures how the provider handles the next request.
    pub async fn prepare(&self, cluster: &TestCluster, kill_point: KillPoint) {
        match kill_point {
            KillPoint::AfterRequest | KillPoint::Race => {}
            // Long enough for the kill to come first even on a busy machine.
            KillPoint::Journaled => {
                cluster.provider.control("settings", json!({"latency_ms": 200})).await;
            }
            KillPoint::BeforeRotation => {
                let fault = json!({"endpoint": "token", "kind": "timeout_before", "times": 1});
                cluster.provider.inject_fault(fault).await;
            }
            _ => {
                cluster.provider.control("hold", json!({})).await;
            }
        }
    }

    /// Waits for `kill_point`. Returns whether the provider had released a held response by then.
    pub async fn wait_for(
        &mut self,
        cluster: &TestCluster,
        victim: usize,
        kill_point: KillPoint,
        round: usize,
        before: GrantState,
        asked: Instant,
    ) -> bool {
        // The step has no common factor with the number of moments, so that the fractions cover the whole duration.
        let fraction_of = |stretch: Duration| stretch * u32::try_from(round * 7_919 % 1_000).unwrap() / 900;
        let mut released = None;
        match kill_point {
            KillPoint::AfterRequest => sleep_precisely(fraction_of(self.until_journal)).await,
            KillPoint::Race => sleep_precisely(fraction_of(self.until_journal * 3)).await,
            KillPoint::Leased => wait_for_state(cluster, |rows| rows.is_leased).await,
            KillPoint::Journaled => {
                wait_for_state(cluster, |rows| rows.attempts > before.attempts).await;
                update_average(&mut self.until_journal, asked.elapsed());
            }
            KillPoint::BeforeRotation | KillPoint::AfterRotation => wait_until_held(cluster).await,
            KillPoint::ReplyReleased => {
                released = Some(release(cluster).await);
                sleep_precisely(fraction_of(self.until_commit)).await;
            }
            KillPoint::Committed => {
                let (begun, release) = (Instant::now(), release(cluster).await);
                wait_for_state(cluster, |rows| rows.generation > before.generation).await;
                update_average(&mut self.until_commit, begun.elapsed());
                released = Some(release);
            }
            KillPoint::Spooling | KillPoint::Spooled => {
                wait_until_held(cluster).await;
                break_commits(cluster).await;
                released = Some(release(cluster).await);
                let folder = cluster.spool(victim);
                let wanted = |spool| {
                    spool == SpoolContents::Complete
                        || (kill_point == KillPoint::Spooling && spool == SpoolContents::Partial)
                };
                let came = tokio::task::block_in_place(|| poll_until(|| wanted(spool_contents(&folder))));
                if !came {
                    restore_commits(cluster).await;
                    panic!("no token set was spooled: before {before:?}, now {:?}", cluster.grant_state().await);
                }
            }
        }
        released.is_some_and(|release| release.is_finished())
    }
}

fn update_average(stretch: &mut Duration, took: Duration) {
    *stretch = (*stretch * 3 + took) / 4;
}

/// Waits until the provider holds the response.
async fn wait_until_held(cluster: &TestCluster) {
    cluster.provider.waiting(1).await;
}

/// Releases the held response without waiting for it, so that the kill follows closely.
async fn release(cluster: &TestCluster) -> JoinHandle<()> {
    wait_until_held(cluster).await;
    let release = cluster.provider.client.post(format!("{}/_control/release", cluster.provider.base)).json(&json!({}));
    tokio::spawn(async move { _ = release.send().await })
}

async fn wait_for_state(cluster: &TestCluster, condition: impl Fn(GrantState) -> bool) {
    let begun = Instant::now();
    while !condition(cluster.grant_state().await) {
        assert!(begun.elapsed() < WAIT_TIMEOUT, "timed out: {:?}", cluster.grant_state().await);
    }
}

/// Polls the condition and returns whether it held before the timeout.
fn poll_until(condition: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < WAIT_TIMEOUT {
        if condition() {
            return true;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    false
}

/// Renames the grants' table, so that neither the commit nor a replay of the spool can work. If only the journal's
/// table were gone, the replay could remove the file before a busy machine has seen it.
async fn break_commits(cluster: &TestCluster) {
    execute(cluster, "ALTER TABLE integration_grants RENAME TO integration_grants_gone").await;
}

pub async fn restore_commits(cluster: &TestCluster) {
    execute(cluster, "ALTER TABLE integration_grants_gone RENAME TO integration_grants").await;
}

async fn execute(cluster: &TestCluster, statement: &'static str) {
    sqlx::query(statement).execute(cluster.store.database().pool()).await.unwrap();
}

pub fn spool_contents(folder: &Path) -> SpoolContents {
    let Ok(files) = std::fs::read_dir(folder) else { return SpoolContents::Empty };
    files.filter_map(Result::ok).fold(SpoolContents::Empty, |found, file| {
        let path = file.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => SpoolContents::Complete,
            Some("new") if found == SpoolContents::Empty => SpoolContents::Partial,
            _ => found,
        }
    })
}

/// Removes partial files, which are useless, so that the next round sees only its own.
pub fn remove_spool_files(folder: &Path) {
    for file in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
}

/// Sleeps with sub-millisecond precision, which Tokio's timer lacks. This deliberate pause varies the kill's time.
async fn sleep_precisely(pause: Duration) {
    tokio::task::spawn_blocking(move || std::thread::sleep(pause)).await.unwrap();
}
