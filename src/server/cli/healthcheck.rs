//! `evergrant healthcheck`: asks the server on this machine if it is ready. Needs no shell and no HTTP client.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::CliError;
use crate::server::startup;

/// How long the server has to answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(8);

#[derive(Args)]
pub struct Flags {
    /// The address that the server listens on.
    #[arg(long, env = "EVERGRANT_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
}

pub async fn run(flags: Flags) -> Result<(), CliError> {
    let address = startup::connectable_address(flags.listen);
    let client = reqwest::Client::builder().no_proxy().timeout(RESPONSE_TIMEOUT).build()?;
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
