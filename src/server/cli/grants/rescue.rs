//! `evergrant grants rescue`: a refresh token that was got elsewhere, put in a grant's place.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::hands::{Hands, waits};
use crate::model::GrantId;
use crate::server::cli::{Failed, input};
use crate::server::config::Settings;
use crate::server::domain::{RefreshToken, Secret};
use crate::server::tokens::{RescueError, Rescued};

#[derive(Args)]
pub struct Flags {
    /// The grant; `grants list` has the ids.
    #[arg(long, value_name = "ID")]
    grant: String,
    /// Where the refresh token is, on a line of its own. `-`, or left out: asked for, or read from standard input. It is
    /// no flag's value: other users of the machine can see a program's flags.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Put it in place even if it is another Xero user's than the grant's.
    #[arg(long)]
    another_user: bool,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(flags: Flags) -> Result<(), Failed> {
    let file = flags.token_file.filter(|path| path.as_os_str() != "-");
    let token = tokio::task::spawn_blocking(move || input::secret_line(file.as_deref(), "Refresh token: ")).await??;
    let token = refresh_token(&token)?;
    let hands = Hands::open(flags.settings).await?;
    let id = GrantId(flags.grant);
    let before = hands.store.grant(&id).await?;
    // In a task of its own: should this one be given up on, what was exchanged is still put in place.
    let (service, grant) = (hands.service.clone(), id.clone());
    let work = tokio::spawn(async move { service.rescue(&grant, token, flags.another_user).await });
    let mut rescued = work.await?;
    hands.settle().await;
    if let (Err(RescueError::Kept), Some(before)) = (&rescued, &before)
        && hands.has_moved_on(before).await
    {
        rescued = Ok(Rescued { generation: before.generation + 1, not_connected: None });
    }
    let spool = hands.config.spool();
    let waiting = hands.close().await;
    match rescued {
        Ok(rescued) => {
            say(&id, &rescued, flags.json);
            Ok(())
        }
        Err(RescueError::Kept) => Err(format!("Xero took the token. {}", waits(waiting, &spool)).into()),
        Err(error) => Err(error.into()),
    }
}

/// What can't be one is found out before Xero is asked.
fn refresh_token(text: &Secret) -> Result<RefreshToken, Failed> {
    let token = text.expose().trim();
    if token.is_empty() || token.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        return Err("that isn't a refresh token: expected one line with nothing else on it".into());
    }
    Ok(RefreshToken::new(token))
}

fn say(id: &GrantId, rescued: &Rescued, as_json: bool) {
    let missing = rescued.not_connected.as_deref();
    if as_json {
        let generation = rescued.generation;
        let done = json!({ "grantId": id, "outcome": "rescued", "generation": generation, "notConnected": missing });
        return println!("{done}");
    }
    println!("Grant {id} has the token's successor, and its connections work again. The token itself is spent.");
    match missing {
        Some([]) => {}
        Some(names) => println!("Its user isn't connected to {} at Xero: connect there again.", names.join(", ")),
        None => println!("Which tenants its user is connected to couldn't be read."),
    }
}
