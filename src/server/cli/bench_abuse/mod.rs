//! `evergrant bench-abuse`: opens thousands of event streams and hundreds of slow connections to its own server, and
//! measures the effect on other requests.

mod crowd;
mod house;
mod slow;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use super::CliError;
use crowd::LoadClients;
use house::{Latency, TestServer};
use slow::{SlowClientCounts, SlowClients};

/// How long the streams are left idle: longer than two keep-alive intervals.
const IDLE_PERIOD: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct Flags {
    /// How many event streams to open.
    #[arg(long, default_value = "10000")]
    streams: usize,
    /// How many clients send a request's header byte by byte.
    #[arg(long, default_value = "1000")]
    slow_heads: usize,
    /// How many clients send a form byte by byte.
    #[arg(long, default_value = "500")]
    slow_forms: usize,
    /// How many clients request a page and don't read it.
    #[arg(long, default_value = "1000")]
    deaf: usize,
    /// The folder for the server's files; deleted at the start.
    #[arg(long, default_value = "target/bench-abuse")]
    folder: PathBuf,
}

pub async fn run(flags: Flags) -> Result<(), CliError> {
    let house = TestServer::start(&flags.folder, flags.streams).await?;
    println!("p50 / p99 in ms          |     /healthz |       a page | refresh call |    token API | memory MB");
    print_row("baseline", &house).await?;

    let (at_rest, begun) = (house.resident_memory_kb(), Instant::now());
    let mut crowd = LoadClients::connect(&house, flags.streams).await?;
    let opened = begun.elapsed();
    let grown = house.resident_memory_kb().saturating_sub(at_rest);
    print_row(&format!("{} streams", flags.streams), &house).await?;
    let before = house.cpu_seconds();
    tokio::time::sleep(IDLE_PERIOD).await;
    let busy = (house.cpu_seconds() - before) / IDLE_PERIOD.as_secs_f64() * 100.0;
    let (half, all) = crowd.measure_event_latency(&house).await?;

    let ways =
        SlowClientCounts { slow_headers: flags.slow_heads, slow_forms: flags.slow_forms, unread_pages: flags.deaf };
    let slow = SlowClients::start(&house, ways).await?;
    print_row("with slow clients", &house).await?;
    let ends = slow.wait_for_ends().await?;
    print_row("after slow clients", &house).await?;
    let left = crowd.open_streams();

    println!("opened the streams in {:.1} s; they use {grown} kB of the server's memory", opened.as_secs_f64());
    println!("idle for {} s, they use {busy:.1} % of one CPU", IDLE_PERIOD.as_secs());
    println!("half of them receive an event {half:.0} ms after its cause was requested, and all after {all:.0} ms");
    for (way, end) in ends {
        println!("{way}: {end}");
    }
    println!("{left} streams are still open at the end");
    Ok(())
}

async fn print_row(name: &str, house: &TestServer) -> Result<(), CliError> {
    let cell = |Latency { p50, p99 }| format!("{p50:>5.2} /{p99:>6.2}");
    let (health, page) = (cell(house.measure_health_check().await?), cell(house.measure_page().await?));
    let (refresh, token) = (cell(house.measure_refresh().await?), cell(house.measure_token_api().await?));
    let memory = house.resident_memory_kb() / 1024;
    println!("{name:<24} | {health} | {page} | {refresh} | {token} | {memory:>6}");
    Ok(())
}
