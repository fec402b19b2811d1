//! `evergrant healthcheck`: whether the server on this machine is ready, without a shell or a client beside it.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::Failed;
use crate::server::app;

const PATIENCE: Duration = Duration::from_secs(8);

#[derive(Args)]
pub struct Flags {
    /// Where the server listens.
    #[arg(long, env = "EVERGRANT_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
}

pub async fn run(flags: Flags) -> Result<(), Failed> {
    let address = app::reachable(flags.listen);
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let answer = client.get(format!("http://{address}/readyz")).send().await;
    let answer = answer.map_err(|error| format!("no answer from {address}: {error}"))?;
    let ready = answer.status().is_success();
    let words = answer.text().await?;
    if ready {
        print!("{words}");
        Ok(())
    } else {
        Err(words.trim().into())
    }
}
