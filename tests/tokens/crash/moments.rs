//! When an instance is killed, and at which step of its exchange that fell.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::plant::{Plant, Rows};

/// How long something that must come is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the killing waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A part of the time that it takes from the call to the journal.
    Asked,
    /// The row shows the lease.
    Leased,
    /// The journal shows the attempt.
    Journalled,
    /// The request has reached the provider, which does nothing with it.
    BeforeRotation,
    /// The provider has rotated and holds its answer.
    AfterRotation,
    /// A part of the time that it takes from the answer's leaving to the commit.
    Released,
    /// The row shows the next generation.
    Committed,
    /// The commit fails, and a spool file has been begun.
    Spooling,
    /// The commit fails, and the spool has the token set.
    Spooled,
    /// Every instance is asked at once, and one of them dies a part of the way.
    Race,
}

/// Where a kill fell. The first six are an exchange's own; the other two come in where its commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    BeforeTheJournal,
    AfterTheJournal,
    WhileWaiting,
    AfterTheRotation,
    DuringTheCommit,
    AfterTheCommit,
    WhileSpooling,
    Spooled,
    /// Anywhere, while others wanted the same grant.
    InARace,
}

/// What the victim's spool held when it died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InTheSpool {
    Nothing,
    Half,
    Whole,
}

impl Moment {
    pub const ALL: [Self; 10] = [
        Self::Asked,
        Self::Leased,
        Self::Journalled,
        Self::BeforeRotation,
        Self::AfterRotation,
        Self::Released,
        Self::Committed,
        Self::Spooling,
        Self::Spooled,
        Self::Race,
    ];

    pub fn of(round: usize) -> Self {
        Self::ALL[round % Self::ALL.len()]
    }

    pub fn breaks_the_commit(self) -> bool {
        matches!(self, Self::Spooling | Self::Spooled)
    }
}

impl Step {
    pub const ALL: [Self; 9] = [
        Self::BeforeTheJournal,
        Self::AfterTheJournal,
        Self::WhileWaiting,
        Self::AfterTheRotation,
        Self::DuringTheCommit,
        Self::AfterTheCommit,
        Self::WhileSpooling,
        Self::Spooled,
        Self::InARace,
    ];

    /// By what journal, row, ledger and spool said right after the kill. `released`: the provider had held its
    /// answer and let it go.
    pub fn judge(before: Rows, after: Rows, exchanges: &[Value], released: bool, spool: InTheSpool) -> Self {
        match (spool, exchanges.last()) {
            (InTheSpool::Whole, _) => Self::Spooled,
            (InTheSpool::Half, _) => Self::WhileSpooling,
            _ if after.generation > before.generation => Self::AfterTheCommit,
            _ if after.attempts == before.attempts => Self::BeforeTheJournal,
            (_, None) => Self::AfterTheJournal,
            (_, Some(line)) if line["outcome"] == "not_processed" => Self::WhileWaiting,
            _ if released => Self::DuringTheCommit,
            _ => Self::AfterTheRotation,
        }
    }
}

/// How long the stretches take that a kill is to fall into, as measured so far.
pub struct Timing {
    to_the_journal: Duration,
    to_the_commit: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { to_the_journal: Duration::from_millis(20), to_the_commit: Duration::from_millis(5) }
    }
}

impl Timing {
    /// Tells the provider what to do with the request that is about to come.
    pub async fn prepare(&self, plant: &Plant, moment: Moment) {
        match moment {
            Moment::Asked | Moment::Race => {}
            // Long enough that the kill comes first, however busy the machine.
            Moment::Journalled => {
                plant.provider.control("settings", json!({"latency_ms": 200})).await;
            }
            Moment::BeforeRotation => {
                let fault = json!({"endpoint": "token", "kind": "timeout_before", "times": 1});
                plant.provider.control("faults", fault).await;
            }
            _ => {
                plant.provider.control("hold", json!({})).await;
            }
        }
    }

    /// Returns when it is time to kill; whether a held answer of the provider's had left by then.
    pub async fn wait_for(
        &mut self,
        plant: &Plant,
        victim: usize,
        moment: Moment,
        round: usize,
        before: Rows,
        asked: Instant,
    ) -> bool {
        // A step that shares no factor with the moments, so that the parts wander over the whole stretch.
        let part = |stretch: Duration| stretch * u32::try_from(round * 7_919 % 1_000).unwrap() / 900;
        let mut released = None;
        match moment {
            Moment::Asked => nearly(part(self.to_the_journal)).await,
            Moment::Race => nearly(part(self.to_the_journal * 3)).await,
            Moment::Leased => until(plant, |rows| rows.leased).await,
            Moment::Journalled => {
                until(plant, |rows| rows.attempts > before.attempts).await;
                average(&mut self.to_the_journal, asked.elapsed());
            }
            Moment::BeforeRotation | Moment::AfterRotation => held(plant).await,
            Moment::Released => {
                released = Some(release(plant).await);
                nearly(part(self.to_the_commit)).await;
            }
            Moment::Committed => {
                let (begun, release) = (Instant::now(), release(plant).await);
                until(plant, |rows| rows.generation > before.generation).await;
                average(&mut self.to_the_commit, begun.elapsed());
                released = Some(release);
            }
            Moment::Spooling | Moment::Spooled => {
                held(plant).await;
                spoil(plant).await;
                released = Some(release(plant).await);
                let folder = plant.spool(victim);
                let wanted =
                    |spool| spool == InTheSpool::Whole || (moment == Moment::Spooling && spool == InTheSpool::Half);
                let came = tokio::task::block_in_place(|| wait_until(|| wanted(in_the_spool(&folder))));
                if !came {
                    mend(plant).await;
                    panic!("no token set came into the spool: before {before:?}, now {:?}", plant.rows().await);
                }
            }
        }
        released.is_some_and(|release| release.is_finished())
    }
}

fn average(stretch: &mut Duration, took: Duration) {
    *stretch = (*stretch * 3 + took) / 4;
}

/// The request has come, and its answer is held back.
async fn held(plant: &Plant) {
    assert_eq!(plant.provider.waiting(1).await, 1);
}

/// Lets the held answer go. Not waited for: it must not be far ahead of the kill.
async fn release(plant: &Plant) -> JoinHandle<()> {
    held(plant).await;
    let release = plant.provider.client.post(format!("{}/_control/release", plant.provider.base)).json(&json!({}));
    tokio::spawn(async move { _ = release.send().await })
}

async fn until(plant: &Plant, is_there: impl Fn(Rows) -> bool) {
    let begun = Instant::now();
    while !is_there(plant.rows().await) {
        assert!(begun.elapsed() < PATIENCE, "it never came: {:?}", plant.rows().await);
    }
}

/// Whether it came while it was waited for.
fn wait_until(is_there: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if is_there() {
            return true;
        }
    }
    false
}

/// Takes the grants' table away, so that neither a commit nor the spool's next try at it can work: with the journal's
/// alone gone, a kept token set is in its row a moment later, and its file is away before a busy machine has seen it.
async fn spoil(plant: &Plant) {
    run(plant, "ALTER TABLE integration_grants RENAME TO integration_grants_gone").await;
}

pub async fn mend(plant: &Plant) {
    run(plant, "ALTER TABLE integration_grants_gone RENAME TO integration_grants").await;
}

async fn run(plant: &Plant, statement: &'static str) {
    sqlx::query(statement).execute(plant.store.database().pool()).await.unwrap();
}

pub fn in_the_spool(folder: &Path) -> InTheSpool {
    let Ok(files) = std::fs::read_dir(folder) else { return InTheSpool::Nothing };
    files.filter_map(Result::ok).fold(InTheSpool::Nothing, |found, file| {
        let path = file.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => InTheSpool::Whole,
            Some("new") if found == InTheSpool::Nothing => InTheSpool::Half,
            _ => found,
        }
    })
}

/// Removes halves of files, which nobody can use, so that the next round finds its own.
pub fn sweep(folder: &Path) {
    for file in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
}

/// The one pause that is meant: it is what moves the kill about. Tokio's own timer counts whole milliseconds.
async fn nearly(pause: Duration) {
    tokio::task::spawn_blocking(move || std::thread::sleep(pause)).await.unwrap();
}
