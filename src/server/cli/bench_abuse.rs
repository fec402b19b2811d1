//! `evergrant bench-abuse`: has thousands of people listen, and hundreds be slow, at a server of its own, and measures
//! what everybody else notices of it.

mod crowd;
mod house;
mod slow;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use super::Failed;
use crowd::Crowd;
use house::{House, Times};
use slow::{Slow, SlowWays};

/// How long the server is left alone with its idle streams: longer than two of their signs of life are apart.
const IDLE: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct Flags {
    /// How many pages listen.
    #[arg(long, default_value = "10000")]
    streams: usize,
    /// How many clients send a request's head, or its form, letter by letter.
    #[arg(long, default_value = "1000")]
    slow_heads: usize,
    #[arg(long, default_value = "500")]
    slow_forms: usize,
    /// How many ask for a page and read nothing of it.
    #[arg(long, default_value = "1000")]
    deaf: usize,
    /// Where the server keeps its things.
    #[arg(long, default_value = "target/bench-abuse")]
    folder: PathBuf,
}

pub async fn run(flags: Flags) -> Result<(), Failed> {
    let house = House::open(&flags.folder, flags.streams).await?;
    println!("p50 / p99 in ms          |     /healthz |       a page | refresh call |    token API | memory MB");
    row("nobody else", &house).await?;

    let (at_rest, begun) = (house.memory(), Instant::now());
    let mut crowd = Crowd::gather(&house, flags.streams).await?;
    let opened = begun.elapsed();
    let grown = house.memory().saturating_sub(at_rest);
    row(&format!("{} streams", flags.streams), &house).await?;
    let before = house.busy();
    tokio::time::sleep(IDLE).await;
    let busy = (house.busy() - before) / IDLE.as_secs_f64() * 100.0;
    let (half, all) = crowd.told(&house).await?;

    let ways = SlowWays { heads: flags.slow_heads, forms: flags.slow_forms, deaf: flags.deaf };
    let slow = Slow::begin(&house, ways).await?;
    row("and the slow ones", &house).await?;
    let ends = slow.ends().await?;
    row("after them", &house).await?;
    let left = crowd.left();

    println!("the streams were opened in {:.1} s, and take {grown} kB of the server's memory", opened.as_secs_f64());
    println!("idle for {} s, they take {busy:.1} % of one processor", IDLE.as_secs());
    println!(
        "an event reaches half of them {half:.0} ms after its cause was asked for, and the last after {all:.0} ms"
    );
    for (way, end) in ends {
        println!("{way}: {end}");
    }
    println!("{left} streams are still open at the end");
    Ok(())
}

async fn row(name: &str, house: &House) -> Result<(), Failed> {
    let cell = |Times { p50, p99 }| format!("{p50:>5.2} /{p99:>6.2}");
    let (health, page) = (cell(house.health().await?), cell(house.page().await?));
    let (refresh, token) = (cell(house.refresh().await?), cell(house.token().await?));
    let memory = house.memory() / 1024;
    println!("{name:<24} | {health} | {page} | {refresh} | {token} | {memory:>6}");
    Ok(())
}
