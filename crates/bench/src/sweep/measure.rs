//! Measures one run: the database's cost alone, then the sweep.

use std::time::Instant;

use serde_json::Value;

use super::bench_env::BenchEnv;
use super::{Flags, RunParameters};
use crate::BenchError;
use evergrant::model::Trigger;
use evergrant::server::domain::{AccessToken, AttemptEnd, RefreshToken, TokenSet};
use evergrant::server::store::{DueFilter, NewAttempt, Store};

/// How many batches are claimed to measure the database alone.
const BATCHES: usize = 8;
/// Grants per batch.
const BATCH_SIZE: usize = 32;

/// The measurements of one run.
pub struct Measured {
    /// Exchanges per second, over all instances.
    pub rate: f64,
    /// Milliseconds from an exchange's claim to its commit; the slowest instance's percentiles.
    pub p50: f64,
    pub p99: f64,
    /// Milliseconds to claim a batch; the median.
    pub claim_ms: f64,
    /// Database milliseconds per exchange with nothing else running: its share of the claim and of the journal entry,
    /// and its commit.
    pub database_ms: f64,
    /// Megabytes of an instance before it starts; the largest.
    pub idle_mb: f64,
    /// How many megabytes an instance grew at most.
    pub growth_mb: f64,
    pub failed: u64,
    /// Whether time ran out before everything was refreshed.
    pub timed_out: bool,
}

/// Runs one measurement.
pub async fn measure(flags: &Flags, run: &RunParameters) -> Result<Measured, BenchError> {
    let env = BenchEnv::create(flags, run).await?;
    let (find, database, taken) = measure_database_alone(&env.store).await?;
    env.store.database().close().await;
    let instances = (0..run.instances).map(|number| env.start_instance(number, flags)).collect::<Result<Vec<_>, _>>();
    let mut instances = instances?;
    for instance in &mut instances {
        instance.write_line("go")?;
    }
    let results = instances
        .iter_mut()
        .map(|instance| Ok(serde_json::from_str(&instance.read_line()?)?))
        .collect::<Result<Vec<Value>, BenchError>>()?;
    let most = |name: &str| results.iter().filter_map(|one| one[name].as_f64()).fold(0.0, f64::max);
    let sum = |name: &str| results.iter().filter_map(|one| one[name].as_u64()).sum::<u64>();
    let refreshed = sum("refreshed");
    let grown = |one: &Value| Some((one["at_most_kb"].as_f64()? - one["at_rest_kb"].as_f64()?) / 1024.0);
    Ok(Measured {
        #[expect(clippy::cast_precision_loss, reason = "counts of exchanges are far below 2^53")]
        rate: refreshed as f64 / most("seconds"),
        p50: most("p50_ms"),
        p99: most("p99_ms"),
        claim_ms: find,
        database_ms: database,
        idle_mb: most("at_rest_kb") / 1024.0,
        growth_mb: results.iter().filter_map(grown).fold(0.0, f64::max),
        failed: sum("failed"),
        timed_out: refreshed < u64::try_from(run.due - taken)?,
    })
}

/// Runs the statements of a sweep without the exchanges. Returns the milliseconds per claim, the milliseconds per
/// grant, and the number of grants.
async fn measure_database_alone(store: &Store) -> Result<(f64, f64, usize), BenchError> {
    let (mut claims, mut all, mut grants) = (Vec::new(), 0.0, 0);
    for batch in 0..BATCHES {
        let (owner, now) = (format!("bench {batch}"), store.clock().now());
        let begun = Instant::now();
        let claimed = store.claim_due(DueFilter::Any, BATCH_SIZE, &owner, now + 60).await?;
        claims.push(begun.elapsed().as_secs_f64() * 1000.0);
        let new: Vec<_> = claimed.iter().map(|lease| (lease, NewAttempt::by(Trigger::Sweep))).collect();
        for lease in store.start_attempts(&new).await? {
            let tokens = TokenSet {
                access_token: AccessToken::new("a".repeat(1200)),
                refresh_token: RefreshToken::new("r".repeat(43)),
                expires_at: now + 1800,
                scopes: String::new(),
            };
            let rotation = store.seal_rotation(&lease, &tokens)?;
            _ = store.commit_rotation(&lease, &rotation, &AttemptEnd::refreshed(Some(200), None)).await?;
        }
        all += begun.elapsed().as_secs_f64() * 1000.0;
        grants += claimed.len();
    }
    claims.sort_unstable_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    Ok((claims[claims.len() / 2], all / grants.max(1) as f64, grants))
}
