//! `evergrant-bench requests`: measures what pages and the APIs for programs cost a server, how fast it starts, and its
//! memory, on each database. The server has one processor core and the load another; for calls to Xero, the server, the
//! sandbox and the load share both.

mod customers;
mod figures;
mod load;
mod pages;
mod programs;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use crate::BenchError;
use crate::databases::{DatabaseKind, create_folder};
use crate::process::{EvergrantBinary, pin_this_program};
use crate::sandbox::BenchSandbox;
use crate::server::{BenchServer, open_store};
use customers::Customers;
use figures::{Figure, Wanted, print_table};

/// How often the start is measured; its figure is the median.
const RESTARTS: usize = 5;
/// How long a server has been ready when its idle memory is read.
const IDLE_PERIOD: Duration = Duration::from_secs(5);
/// What the servers get in place of Xero's limits, so that these are not what is measured.
const PROXY_LIMITS: [(&str, &str); 4] = [
    ("EVERGRANT_XERO_CONCURRENT_CALLS", "64"),
    ("EVERGRANT_XERO_CALLS_PER_MINUTE", "100000000"),
    ("EVERGRANT_XERO_CALLS_PER_DAY", "100000000"),
    ("EVERGRANT_XERO_APP_CALLS_PER_MINUTE", "1000000000"),
];

#[derive(Args)]
pub struct Flags {
    /// How many seconds each kind of request is sent for, after a warm-up of a fifth of that.
    #[arg(long, default_value = "10")]
    seconds: u32,
    /// The processor core of the server.
    #[arg(long, default_value = "0")]
    server_core: usize,
    /// The processor core of the load.
    #[arg(long, default_value = "1")]
    load_core: usize,
    /// A PostgreSQL server's URL without a database name. Without it only SQLite is measured.
    #[arg(long, env = "EVERGRANT_TEST_POSTGRES", value_name = "URL", hide_env_values = true)]
    postgres: Option<String>,
    /// The folder for the servers' files; deleted at the start.
    #[arg(long, default_value = "target/bench-requests")]
    folder: PathBuf,
    #[command(flatten)]
    binary: EvergrantBinary,
}

impl Flags {
    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }

    fn both_cores(&self) -> String {
        format!("{},{}", self.server_core, self.load_core)
    }
}

pub async fn run(flags: Flags) -> Result<(), BenchError> {
    let kinds = DatabaseKind::available(flags.postgres.as_deref());
    let mut columns = Vec::new();
    for &kind in &kinds {
        eprintln!("measuring with {}", kind.name());
        columns.push(measure(&flags, kind).await?);
    }
    print_table(&kinds, &columns);
    Ok(())
}

/// Measures everything on one database.
async fn measure(flags: &Flags, kind: DatabaseKind) -> Result<Vec<Figure>, BenchError> {
    let folder = &flags.folder;
    create_folder(folder)?;
    let both = flags.both_cores();
    let url = kind.create(folder, flags.postgres.as_deref()).await?;
    pin_this_program(&both)?;
    let sandbox = BenchSandbox::start(&flags.binary)?;
    let limits = PROXY_LIMITS.map(|(name, value)| (name, value.to_owned()));
    let settings: Vec<_> = sandbox.settings().into_iter().chain(limits).collect();
    let start = async |cores: &str| BenchServer::start(&flags.binary, folder, &url, &settings, Some(cores)).await;

    let first = start(&both).await?;
    let created_in = first.started_in;
    first.process.stop()?;
    let store = open_store(&url).await?;
    let customers = Customers::create(&store, &sandbox).await?;
    store.database().close().await;
    let mut restarts = Vec::new();
    for _ in 0..RESTARTS {
        let server = start(&both).await?;
        restarts.push(server.started_in);
        server.process.stop()?;
    }
    restarts.sort_unstable();
    let mut figures = vec![
        Figure::new("first start, until ready", milliseconds(created_in), "ms", Wanted::Nothing),
        Figure::new("restart, until ready", milliseconds(restarts[RESTARTS / 2]), "ms", Wanted::AtMost(100.0)),
    ];

    let server = start(&flags.server_core.to_string()).await?;
    pin_this_program(&flags.load_core.to_string())?;
    sleep(IDLE_PERIOD).await;
    figures.push(Figure::new(
        "memory, idle",
        megabytes(server.process.resident_memory_kb()),
        "MB",
        Wanted::AtMost(40.0),
    ));
    figures.extend(pages::measure(&server, &customers, flags.time()).await?);
    figures.extend(programs::measure_token_api(&server, &customers, flags.time()).await?);
    let after_pages = server.process.resident_memory_kb();
    server.process.stop()?;

    let server = start(&both).await?;
    pin_this_program(&both)?;
    figures.extend(programs::measure_calls(&server, &sandbox, &customers, flags.time()).await?);
    let after_load = megabytes(after_pages.max(server.process.resident_memory_kb()));
    figures.push(Figure::new("memory, after the load", after_load, "MB", Wanted::AtMost(80.0)));
    server.process.stop()?;
    Ok(figures)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "kilobytes of one process are far below 2^53")]
fn megabytes(kilobytes: u64) -> f64 {
    kilobytes as f64 / 1024.0
}
