//! `evergrant grants rescue`: replaces a grant's refresh token with one from elsewhere.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use serde_json::json;

use crate::model::{Action, GrantId};
use crate::server::cli::one_shot_service::{OneShotService, spool_advice};
use crate::server::cli::output::Output;
use crate::server::cli::{CliError, input};
use crate::server::config::Settings;
use crate::server::domain::{Actor, AuditEvent, RefreshToken, Secret};
use crate::server::tokens::{RescueError, RescueReport, UserCheck};

#[derive(Args)]
pub struct Flags {
    /// The grant; `grants list` shows the ids.
    #[arg(long, value_name = "ID")]
    grant: String,
    /// The file with the refresh token on one line. With `-`, or if left out, the token is prompted for or read from
    /// standard input. It can't be a flag's value: other users of this machine can see a program's flags.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Accept a token of another Xero user than the grant's.
    #[arg(long)]
    another_user: bool,
    /// Print the result as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(flags: Flags) -> Result<(), CliError> {
    let file = flags.token_file.filter(|path| path.as_os_str() != "-");
    let token = tokio::task::spawn_blocking(move || input::secret_line(file.as_deref(), "Refresh token: ")).await??;
    let token = parse_refresh_token(&token)?;
    let one_shot = OneShotService::open(flags.settings).await?;
    let id = GrantId(flags.grant);
    let before = one_shot.store.grant(&id).await?;
    // Runs in its own task, so that the exchanged token is committed even if this future is dropped.
    let user_check = if flags.another_user { UserCheck::AnyUser } else { UserCheck::SameUser };
    let (service, grant) = (one_shot.service.clone(), id.clone());
    let work = tokio::spawn(async move { service.rescue(&grant, token, user_check).await });
    let mut rescued = work.await?;
    one_shot.wait_for_tasks().await;
    if let (Err(RescueError::Spooled), Some(before)) = (&rescued, &before)
        && one_shot.was_rotated_since(before).await
    {
        // The spool commits a token set without its event, because none waits for the audit log.
        let operator = Actor::operator();
        let event = AuditEvent::new(&operator, Action::GrantRescued).in_org(&before.org_id).subject("grant", &id);
        one_shot.store.record_standalone(&event).await?;
        rescued = Ok(RescueReport { generation: before.generation + 1, unconnected_tenants: None });
    }
    let spool = one_shot.config.spool_dir();
    let waiting = one_shot.close().await;
    match rescued {
        Ok(rescued) => {
            print_rescued(&id, &rescued, flags.output);
            Ok(())
        }
        Err(RescueError::Spooled) => {
            Err(format!("Xero accepted the token, but {}", spool_advice(waiting, &spool)).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Parses a token. Rejects what can't be one before Xero is asked.
fn parse_refresh_token(text: &Secret) -> Result<RefreshToken, CliError> {
    let token = text.expose().trim();
    if token.is_empty() || token.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        return Err("that isn't a refresh token: expected one line with nothing else on it".into());
    }
    Ok(RefreshToken::new(token))
}

fn print_rescued(id: &GrantId, rescued: &RescueReport, output: Output) {
    let missing = rescued.unconnected_tenants.as_deref();
    let unconnected = match missing {
        Some([]) => String::new(),
        Some(names) => format!("The token's user isn't connected to {} at Xero: reconnect there.", names.join(", ")),
        None => "The tenants that the token's user is connected to couldn't be read.".to_owned(),
    };
    let text = format!(
        "Grant {id} has the token's successor, and its connections work again. The token itself can't be used again.\n\
         {unconnected}"
    );
    let generation = rescued.generation;
    output.print(
        &json!({ "grantId": id, "outcome": "rescued", "generation": generation, "notConnected": missing }),
        &text,
    );
}
