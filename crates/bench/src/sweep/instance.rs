//! One benchmark instance: a process that sweeps until nothing is due, then prints its measurements as JSON.

use std::io::BufRead;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use parking_lot::Mutex;
use serde_json::json;

use crate::BenchError;
use crate::process::memory_figure_kb;
use evergrant::server::clock::Clock;
use evergrant::server::config::Settings;
use evergrant::server::jobs::sweeper::{Sweeper, SweeperOptions};
use evergrant::server::lifecycle::Lifecycle;
use evergrant::server::store::{Database, Store};
use evergrant::server::telemetry::logging;
use evergrant::server::tokens::{Spool, TokenService};
use evergrant::server::{encryption_keys, startup};

#[derive(Args)]
pub struct Flags {
    /// Stop after this many seconds, even if grants are still due.
    #[arg(long)]
    seconds: u64,
    /// How many exchanges to run at once.
    #[arg(long = "at-once")]
    concurrency: usize,
    #[command(flatten)]
    settings: Settings,
}

pub async fn run(flags: Flags) -> Result<(), BenchError> {
    let config = flags.settings.check()?;
    logging::start(config.log_format);
    encryption_keys::create_data_dir(&config)?;
    let database = Database::connect(config.database_url.expose()).await?;
    database.migrate().await?;
    let clock = Clock::system();
    let ring = encryption_keys::load_or_create(&config, &database).await?;
    let store = Store::new(database.clone(), ring, clock.clone()).with_plan(startup::plan(&config));
    let lifecycle = Lifecycle::default();
    let xero = startup::xero_client(&config, &clock, config.listen)?;
    let spool = Spool::open(&config.spool_dir())?;
    let tokens = TokenService::new(store, xero, startup::policy(&config), spool, lifecycle.clone());
    let took: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let times = Arc::clone(&took);
    let pace = SweeperOptions {
        interval: Duration::from_secs(30),
        concurrency: flags.concurrency,
        per_minute: NonZeroU32::MAX,
    };
    let sweeper =
        Sweeper::new(tokens, pace, lifecycle.stopping().clone()).with_observer(move |time| times.lock().push(time));

    // All instances start together, when the parent sends a line.
    println!("ready");
    tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new())).await??;
    let (at_rest, begun) = (memory_figure_kb("self", "VmRSS"), Instant::now());
    let limited = lifecycle.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(flags.seconds)).await;
        limited.begin_stop();
    });
    let swept = sweeper.sweep_once().await?;
    let seconds = begun.elapsed().as_secs_f64();
    lifecycle.wait_for_tasks().await;
    database.close().await;
    let mut took = std::mem::take(&mut *took.lock());
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 100).map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    println!(
        "{}",
        json!({
            "refreshed": swept.refreshed, "failed": swept.failed, "seconds": seconds, "p50_ms": at(50), "p99_ms": at(99),
            "at_rest_kb": at_rest, "at_most_kb": memory_figure_kb("self", "VmHWM"),
        })
    );
    Ok(())
}
