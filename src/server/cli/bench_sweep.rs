//! `evergrant bench-sweep`: fills databases of its own with due grants, and has instances sweep them against a
//! sandbox, each a process of its own.

pub mod instance;
mod measure;
mod place;

use std::path::PathBuf;

use clap::Args;

use super::Failed;
use measure::{Measured, measure};
use place::Kind;

#[derive(Args)]
pub struct Flags {
    /// How many grants are due.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    due: Vec<usize>,
    /// How many instances share them, on PostgreSQL.
    #[arg(long, value_delimiter = ',', default_value = "1,3")]
    instances: Vec<usize>,
    /// How long the sandbox holds each answer back, in milliseconds.
    #[arg(long, value_delimiter = ',', default_value = "0,200")]
    latency: Vec<u64>,
    /// A PostgreSQL server's address, without a database's name; without it SQLite alone is measured.
    #[arg(long, env = "EVERGRANT_TEST_POSTGRES", value_name = "URL", hide_env_values = true)]
    postgres: Option<String>,
    /// Where SQLite's files are: on a disk, or nothing is known of what a commit costs.
    #[arg(long, default_value = "target/bench-sweep")]
    folder: PathBuf,
    /// How many exchanges an instance has under way.
    #[arg(long, default_value = "64")]
    at_once: usize,
    /// A run is cut after so many seconds, and its rate counts.
    #[arg(long, default_value = "60")]
    seconds: u64,
}

/// One run.
struct Run {
    kind: Kind,
    due: usize,
    instances: usize,
    latency: u64,
}

pub async fn run(flags: Flags) -> Result<(), Failed> {
    println!(
        "database    due  instances  latency | exchanges/s   p50 ms   p99 ms | find ms  database ms | memory MB, grown by"
    );
    for run in runs(&flags) {
        let Measured { rate, p50, p99, find, database, at_rest, grown, failed, cut } = measure(&flags, &run).await?;
        let Run { kind, due, instances, latency } = run;
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

fn runs(flags: &Flags) -> Vec<Run> {
    let mut runs = Vec::new();
    let kinds = flags.postgres.iter().map(|_| Kind::Postgres).chain([Kind::Sqlite]);
    for kind in kinds {
        for &latency in &flags.latency {
            for &instances in &flags.instances {
                // One process has SQLite's file to itself.
                if kind == Kind::Sqlite && instances > 1 {
                    continue;
                }
                runs.extend(flags.due.iter().map(|&due| Run { kind, due, instances, latency }));
            }
        }
    }
    runs
}
