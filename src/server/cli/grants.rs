//! `evergrant grants list|refresh`: operators' eyes and hands, across organisations.

mod list;
mod refresh;

use clap::Subcommand;

use super::Failed;
use crate::model::OrgId;
use crate::server::store::Database;

#[derive(Subcommand)]
pub enum Command {
    /// Show every grant that hasn't been given up, newest trouble first. No secrets.
    List(Box<list::Flags>),
    /// Refresh grants now, past any back-off. Works beside running servers.
    Refresh(Box<refresh::Flags>),
}

pub async fn run(command: Command) -> Result<(), Failed> {
    match command {
        Command::List(flags) => list::run(*flags).await,
        Command::Refresh(flags) => refresh::run(*flags).await,
    }
}

async fn org_named(database: &Database, name: &str) -> Result<OrgId, Failed> {
    let org = database.org_named(name).await?;
    org.ok_or_else(|| format!("there is no organisation called {name}").into())
}
