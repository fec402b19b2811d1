//! `evergrant-bench`: measures a release of Evergrant. No part of it is in the shipped binary.
//!
//! `requests` measures pages, the APIs for programs, the start, and memory; `sweep` fills databases with due grants and
//! measures how fast instances refresh them; `abuse` measures what idle and slow clients cost a server. Each starts the
//! `evergrant` binary for what is measured or needed beside it.

mod abuse;
mod databases;
mod process;
mod requests;
mod sandbox;
mod server;
mod sweep;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An error whose text is printed for the person who ran the benchmark.
type BenchError = Box<dyn std::error::Error + Send + Sync>;

/// Seals the tokens of all benchmarks. Protects nothing: they are tokens of the sandbox.
const FIXED_KEY_RING: &str = "bench:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Measures how Evergrant behaves under load.
#[derive(Parser)]
#[command(name = "evergrant-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure pages, the APIs for programs, the start, and memory. Prints a table in Markdown.
    Requests(requests::Flags),
    /// Measure how fast this machine refreshes grants. Uses its own databases.
    Sweep(sweep::Flags),
    /// Measure how thousands of idle and slow clients affect other requests. Starts its own server.
    Abuse(abuse::Flags),
    #[command(hide = true)]
    SweepInstance(Box<sweep::instance::Flags>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Requests(flags) => requests::run(flags).await,
        Command::Sweep(flags) => sweep::run(flags).await,
        Command::Abuse(flags) => abuse::run(flags).await,
        Command::SweepInstance(flags) => sweep::instance::run(*flags).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("evergrant-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
