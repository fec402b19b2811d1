//! `evergrant grants list|refresh|rescue|retry`: inspects and repairs the grants of all organizations.

mod list;
mod refresh;
mod rescue;
mod retry;

use clap::Subcommand;

use super::CliError;

#[derive(Subcommand)]
pub enum Command {
    /// List every grant that isn't revoked, latest failure first. Shows no secrets.
    List(Box<list::Flags>),
    /// Refresh grants now, ignoring back-off. Works beside running servers.
    Refresh(Box<refresh::Flags>),
    /// Replace a grant's refresh token with one from elsewhere, and exchange it. Works beside running servers.
    Rescue(Box<rescue::Flags>),
    /// Send the stored tokens of grants that Xero refused again: a wrong refusal is undone. Works beside running servers.
    Retry(Box<retry::Flags>),
}

pub async fn run(command: Command) -> Result<(), CliError> {
    match command {
        Command::List(flags) => list::run(*flags).await,
        Command::Refresh(flags) => refresh::run(*flags).await,
        Command::Rescue(flags) => rescue::run(*flags).await,
        Command::Retry(flags) => retry::run(*flags).await,
    }
}
