//! `evergrant-bench sweep`: fills its own databases with due grants and measures how fast instances sweep them against
//! a sandbox. Each instance and the sandbox is a process.

mod bench_env;
pub mod instance;
mod measure;

use std::path::PathBuf;

use clap::Args;

use crate::BenchError;
use crate::databases::DatabaseKind;
use crate::process::EvergrantBinary;
use measure::{Measured, measure};

#[derive(Args)]
pub struct Flags {
    /// How many grants are due.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    due: Vec<usize>,
    /// How many instances share them (PostgreSQL only).
    #[arg(long, value_delimiter = ',', default_value = "1,3")]
    instances: Vec<usize>,
    /// How long the sandbox delays each response, in milliseconds.
    #[arg(long, value_delimiter = ',', default_value = "0,200")]
    latency: Vec<u64>,
    /// A PostgreSQL server's URL without a database name. Without it only SQLite is measured.
    #[arg(long, env = "EVERGRANT_TEST_POSTGRES", value_name = "URL", hide_env_values = true)]
    postgres: Option<String>,
    /// The folder for SQLite's files. It must be on a disk, or commits cost nothing.
    #[arg(long, default_value = "target/bench-sweep")]
    folder: PathBuf,
    /// How many exchanges an instance runs at once.
    #[arg(long = "at-once", default_value = "64")]
    concurrency: usize,
    /// Stop a run after this many seconds; its rate is still reported.
    #[arg(long, default_value = "60")]
    seconds: u64,
    #[command(flatten)]
    binary: EvergrantBinary,
}

/// The parameters of one run.
struct RunParameters {
    kind: DatabaseKind,
    due: usize,
    instances: usize,
    latency: u64,
}

pub async fn run(flags: Flags) -> Result<(), BenchError> {
    println!(
        "database    due  instances  latency | exchanges/s   p50 ms   p99 ms | find ms  database ms | memory MB, grown by"
    );
    for run in all_runs(&flags) {
        let Measured {
            rate,
            p50,
            p99,
            claim_ms: find,
            database_ms: database,
            idle_mb: at_rest,
            growth_mb: grown,
            failed,
            timed_out: cut,
        } = measure(&flags, &run).await?;
        let RunParameters { kind, due, instances, latency } = run;
        let cut = if cut { ", cut" } else { "" };
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        println!(
            "{:<10} {due:>6} {instances:>10} {latency:>5} ms | {rate:>11.0} {p50:>8.1} {p99:>8.1} | {find:>7.2} {database:>12.2} \
             | {at_rest:>9.1} {grown:>8.1}{cut}{failed}",
            kind.name()
        );
    }
    Ok(())
}

fn all_runs(flags: &Flags) -> Vec<RunParameters> {
    let mut runs = Vec::new();
    for kind in DatabaseKind::available(flags.postgres.as_deref()).into_iter().rev() {
        for &latency in &flags.latency {
            for &instances in &flags.instances {
                // Only one process can use an SQLite file.
                if kind == DatabaseKind::Sqlite && instances > 1 {
                    continue;
                }
                runs.extend(flags.due.iter().map(|&due| RunParameters { kind, due, instances, latency }));
            }
        }
    }
    runs
}
