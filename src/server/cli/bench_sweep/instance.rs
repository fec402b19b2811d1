//! One instance in a measurement: a process of its own that sweeps until nothing is due, and says how that went.

use std::io::BufRead;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::server::cli::process::memory;
use crate::server::cli::{Failed, opened};
use crate::server::clock::Clock;
use crate::server::config::Settings;
use crate::server::store::Store;
use crate::server::sweeper::{Pace, Sweeper};
use crate::server::tokens::{Spool, TokenService};
use crate::server::{app, keyring};

#[derive(Args)]
pub struct Flags {
    /// It stops after so many seconds, whatever is left.
    #[arg(long)]
    seconds: u64,
    #[arg(long)]
    at_once: usize,
    #[command(flatten)]
    settings: Settings,
}

pub async fn run(flags: Flags) -> Result<(), Failed> {
    let (config, database) = opened::database(flags.settings).await?;
    let clock = Clock::system();
    let ring = keyring::load(&config, &database).await?;
    let store = Store::new(database.clone(), ring, clock.clone()).planned_by(app::plan(&config));
    let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
    let xero = app::client(&config, &clock, config.listen)?;
    let spool = Spool::open(&config.spool())?;
    let tokens = TokenService::new(store, xero, app::policy(&config), spool, tasks.clone(), stopping.clone());
    let took: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let times = Arc::clone(&took);
    let pace = Pace { interval: Duration::from_secs(30), at_once: flags.at_once, a_minute: NonZeroU32::MAX };
    let sweeper = Sweeper::new(tokens, pace, stopping.clone())
        .watched(move |time| times.lock().unwrap_or_else(PoisonError::into_inner).push(time));

    // All instances begin together, when they are told to.
    println!("ready");
    tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new())).await??;
    let (at_rest, begun) = (memory("self", "VmRSS"), Instant::now());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(flags.seconds)).await;
        stopping.cancel();
    });
    let swept = sweeper.sweep_once().await?;
    let seconds = begun.elapsed().as_secs_f64();
    tasks.close();
    tasks.wait().await;
    database.close().await;
    let mut took = std::mem::take(&mut *took.lock().unwrap_or_else(PoisonError::into_inner));
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 100).map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    println!(
        "{}",
        json!({
            "refreshed": swept.refreshed, "failed": swept.failed, "seconds": seconds, "p50_ms": at(50), "p99_ms": at(99),
            "at_rest_kb": at_rest, "at_most_kb": memory("self", "VmHWM"),
        })
    );
    Ok(())
}
