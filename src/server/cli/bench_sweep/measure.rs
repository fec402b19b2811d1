//! One run: what finding and writing cost by themselves, then the sweep.

use std::time::Instant;

use serde_json::Value;

use super::place::Place;
use super::{Flags, Run};
use crate::model::Trigger;
use crate::server::cli::Failed;
use crate::server::domain::{AccessToken, RefreshToken, TokenSet};
use crate::server::store::{AttemptEnd, NewAttempt, Store, Wanted};

/// How many batches are claimed, and how many grants are in each, to see what that costs alone.
const BATCHES: usize = 8;
const BATCH: usize = 32;

pub struct Measured {
    /// Exchanges a second, over all instances.
    pub rate: f64,
    /// Milliseconds from an exchange's claim to its landing; the worst instance's.
    pub p50: f64,
    pub p99: f64,
    /// Milliseconds that a claim of a batch takes: the middle one.
    pub find: f64,
    /// Milliseconds that the database takes for one exchange, where nothing else runs: its share of a claim and of a
    /// journal's entry, and its commit.
    pub database: f64,
    /// Megabytes of an instance before it begins, and how many more it takes at most.
    pub at_rest: f64,
    pub grown: f64,
    pub failed: u64,
    /// Whether it was over before everything was refreshed.
    pub cut: bool,
}

pub async fn measure(flags: &Flags, run: &Run) -> Result<Measured, Failed> {
    let place = Place::make(flags, run).await?;
    let (find, database, taken) = alone(&place.store).await?;
    place.store.database().close().await;
    let instances = (0..run.instances).map(|number| place.instance(number, flags)).collect::<Result<Vec<_>, _>>();
    let mut instances = instances?;
    for instance in &mut instances {
        instance.tell("go")?;
    }
    let said = instances
        .iter_mut()
        .map(|instance| Ok(serde_json::from_str(&instance.line()?)?))
        .collect::<Result<Vec<Value>, Failed>>()?;
    let most = |name: &str| said.iter().filter_map(|one| one[name].as_f64()).fold(0.0, f64::max);
    let sum = |name: &str| said.iter().filter_map(|one| one[name].as_u64()).sum::<u64>();
    let refreshed = sum("refreshed");
    let grown = |one: &Value| Some((one["at_most_kb"].as_f64()? - one["at_rest_kb"].as_f64()?) / 1024.0);
    Ok(Measured {
        #[expect(clippy::cast_precision_loss, reason = "as many exchanges there will not be")]
        rate: refreshed as f64 / most("seconds"),
        p50: most("p50_ms"),
        p99: most("p99_ms"),
        find,
        database,
        at_rest: most("at_rest_kb") / 1024.0,
        grown: said.iter().filter_map(grown).fold(0.0, f64::max),
        failed: sum("failed"),
        cut: refreshed < u64::try_from(run.due - taken)?,
    })
}

/// The statements of a sweep without the exchange, one after the other: milliseconds for a claim, milliseconds for
/// each grant, and how many grants that took.
async fn alone(store: &Store) -> Result<(f64, f64, usize), Failed> {
    let (mut claims, mut all, mut grants) = (Vec::new(), 0.0, 0);
    for batch in 0..BATCHES {
        let (owner, now) = (format!("bench {batch}"), store.clock().now());
        let begun = Instant::now();
        let claimed = store.claim_due(Wanted::Any, BATCH, &owner, now + 60).await?;
        claims.push(begun.elapsed().as_secs_f64() * 1000.0);
        let new: Vec<NewAttempt<'_>> = claimed
            .iter()
            .map(|held| NewAttempt {
                grant_id: &held.id,
                generation: held.generation,
                trigger: Trigger::Sweep,
                actor: None,
                trace_id: None,
            })
            .collect();
        let attempts = store.begin_attempts(&new).await?;
        for (held, attempt) in claimed.iter().zip(&attempts) {
            let tokens = TokenSet {
                access_token: AccessToken::new("a".repeat(1200)),
                refresh_token: RefreshToken::new("r".repeat(43)),
                expires_at: now + 1800,
                scopes: String::new(),
            };
            let rotation = store.seal_rotation(held, &tokens)?;
            let end =
                AttemptEnd { outcome: "refreshed", error_code: None, http_status: Some(200), correlation_id: None };
            store.commit_rotation(&rotation, &owner, attempt, &end).await?;
        }
        all += begun.elapsed().as_secs_f64() * 1000.0;
        grants += claimed.len();
    }
    claims.sort_unstable_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    Ok((claims[claims.len() / 2], all / grants.max(1) as f64, grants))
}
