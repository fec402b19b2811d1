//! `evergrant-bench abuse`: opens thousands of event streams and hundreds of slow connections to its own server, and
//! measures the effect on other requests.

mod load_clients;
mod slow_clients;
mod test_server;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use crate::BenchError;
use crate::process::EvergrantBinary;
use load_clients::LoadClients;
use slow_clients::{SlowClientCounts, SlowClients};
use test_server::{Latency, TestServer};

/// How long the streams are left idle: longer than two keep-alive intervals.
const IDLE_PERIOD: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct Flags {
    /// How many event streams to open.
    #[arg(long, default_value = "10000")]
    streams: usize,
    /// How many clients send a request's header byte by byte.
    #[arg(long = "slow-heads", default_value = "1000")]
    slow_headers: usize,
    /// How many clients send a form byte by byte.
    #[arg(long, default_value = "500")]
    slow_forms: usize,
    /// How many clients request a page and don't read it.
    #[arg(long = "deaf", default_value = "1000")]
    unread_pages: usize,
    /// The folder for the server's files; deleted at the start.
    #[arg(long, default_value = "target/bench-abuse")]
    folder: PathBuf,
    #[command(flatten)]
    binary: EvergrantBinary,
}

pub async fn run(flags: Flags) -> Result<(), BenchError> {
    let server = TestServer::start(&flags.binary, &flags.folder, flags.streams).await?;
    println!("p50 / p99 in ms          |     /healthz |       a page | refresh call |    token API | memory MB");
    print_row("baseline", &server).await?;

    let (at_rest, begun) = (server.resident_memory_kb(), Instant::now());
    let mut clients = LoadClients::connect(&server, flags.streams).await?;
    let opened = begun.elapsed();
    let grown = server.resident_memory_kb().saturating_sub(at_rest);
    print_row(&format!("{} streams", flags.streams), &server).await?;
    let before = server.cpu_seconds();
    tokio::time::sleep(IDLE_PERIOD).await;
    let busy = (server.cpu_seconds() - before) / IDLE_PERIOD.as_secs_f64() * 100.0;
    let (half, all) = clients.measure_event_latency(&server).await?;

    let counts = SlowClientCounts {
        slow_headers: flags.slow_headers,
        slow_forms: flags.slow_forms,
        unread_pages: flags.unread_pages,
    };
    let slow = SlowClients::start(&server, counts).await?;
    print_row("with slow clients", &server).await?;
    let ends = slow.wait_for_ends().await?;
    print_row("after slow clients", &server).await?;
    let left = clients.open_streams();

    println!("opened the streams in {:.1} s; they use {grown} kB of the server's memory", opened.as_secs_f64());
    println!("idle for {} s, they use {busy:.1} % of one CPU", IDLE_PERIOD.as_secs());
    println!("half of them receive an event {half:.0} ms after its cause was requested, and all after {all:.0} ms");
    for (kind, end) in ends {
        println!("{kind}: {end}");
    }
    println!("{left} streams are still open at the end");
    Ok(())
}

async fn print_row(name: &str, server: &TestServer) -> Result<(), BenchError> {
    let cell = |Latency { p50, p99 }| format!("{p50:>5.2} /{p99:>6.2}");
    let (health, page) = (cell(server.measure_health_check().await?), cell(server.measure_page().await?));
    let (refresh, token) = (cell(server.measure_refresh().await?), cell(server.measure_token_api().await?));
    let memory = server.resident_memory_kb() / 1024;
    println!("{name:<24} | {health} | {page} | {refresh} | {token} | {memory:>6}");
    Ok(())
}
