//! `evergrant grants list|refresh|rescue`: operators' eyes and hands, across organisations.

mod hands;
mod list;
mod refresh;
mod rescue;

use clap::Subcommand;

use super::Failed;

#[derive(Subcommand)]
pub enum Command {
    /// Show every grant that hasn't been given up, newest trouble first. No secrets.
    List(Box<list::Flags>),
    /// Refresh grants now, past any back-off. Works beside running servers.
    Refresh(Box<refresh::Flags>),
    /// Put a refresh token that was got elsewhere in a grant's place. It is exchanged at once, beside running servers.
    Rescue(Box<rescue::Flags>),
}

pub async fn run(command: Command) -> Result<(), Failed> {
    match command {
        Command::List(flags) => list::run(*flags).await,
        Command::Refresh(flags) => refresh::run(*flags).await,
        Command::Rescue(flags) => rescue::run(*flags).await,
    }
}
