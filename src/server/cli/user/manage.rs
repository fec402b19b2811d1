//! `evergrant user set-password|sessions|disable|enable|reset-factor|delete`: what operators do to accounts.

use chrono::DateTime;
use clap::{ArgAction, Args};
use serde_json::{Value, json};

use crate::model::AccountSession;
use crate::server::auth::{AccountError, LocalAuth};
use crate::server::cli::output::Output;
use crate::server::cli::table::{format_table, replace_control_chars};
use crate::server::cli::{CliError, context, input};
use crate::server::config::Settings;
use crate::server::store::{EndSessions, RowChange, Store};

#[derive(Args)]
pub struct Named {
    /// The email address that the person signs in with.
    #[arg(long)]
    email: String,
    /// Print the result as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

#[derive(Args)]
pub struct Sessions {
    #[command(flatten)]
    named: Named,
    /// End the session with this id, as the list shows it.
    #[arg(long, value_name = "ID", conflicts_with = "end_all")]
    end: Option<String>,
    /// End every session.
    #[arg(long)]
    end_all: bool,
}

#[derive(Args)]
pub struct ResetFactor {
    #[command(flatten)]
    named: Named,
    /// Do not ask to confirm. Without it the email address is prompted for again, or read as a line from standard input.
    #[arg(long)]
    yes: bool,
}

/// Reads the password from a prompt or standard input, because other users of this machine can see a program's flags.
pub async fn set_password(flags: Named) -> Result<(), CliError> {
    refuse_elsewhere(&flags.settings)?;
    let password = tokio::task::spawn_blocking(|| input::secret_line(None, "New password: ")).await??;
    let Named { email, output, settings } = flags;
    let done = with_auth(settings, async |auth, _| auth.set_password(&email, &password).await).await;
    done?;
    output
        .print(&json!({ "email": email }), &format!("{email} has a new password. Every session of theirs has ended."));
    Ok(())
}

pub async fn sessions(flags: Sessions) -> Result<(), CliError> {
    let Sessions { named: Named { email, output, settings }, end, end_all } = flags;
    refuse_elsewhere(&settings)?;
    let listed = with_auth(settings, async |auth, store| {
        let user = auth.find_user(&email).await?;
        let which = match &end {
            Some(id) => Some(EndSessions::One(id)),
            None => end_all.then_some(EndSessions::All),
        };
        let ended = match which {
            Some(which) => Some(store.end_sessions(&user, which).await?),
            None => None,
        };
        Ok((ended, store.sessions_of(&user, "").await?))
    });
    let (ended, left) = listed.await?;
    if end.is_some() && ended == Some(RowChange::NotFound) {
        return Err(format!("{email} has no session of this id").into());
    }
    let rows: Vec<Value> = left.iter().map(to_json).collect();
    output.print(&json!({ "email": email, "sessions": rows }), &describe_sessions(&email, &left));
    Ok(())
}

pub async fn disable(flags: Named) -> Result<(), CliError> {
    set_disabled(
        flags,
        true,
        "is disabled: they are signed out everywhere, and their API keys are refused",
        "is disabled already",
    )
    .await
}

pub async fn enable(flags: Named) -> Result<(), CliError> {
    set_disabled(flags, false, "can sign in again, and their API keys work again", "isn't disabled").await
}

async fn set_disabled(flags: Named, disabled: bool, done: &str, already: &str) -> Result<(), CliError> {
    refuse_elsewhere(&flags.settings)?;
    let Named { email, output, settings } = flags;
    let changed = with_auth(settings, async |auth, _| auth.set_disabled(&email, disabled).await).await?;
    let text = if changed == RowChange::Applied { done } else { already };
    let value = json!({ "email": email, "disabled": disabled, "changed": changed == RowChange::Applied });
    output.print(&value, &format!("{email} {text}."));
    Ok(())
}

pub async fn reset_factor(flags: ResetFactor) -> Result<(), CliError> {
    let ResetFactor { named: Named { email, output, settings }, yes } = flags;
    refuse_elsewhere(&settings)?;
    if !yes {
        let question = format!("Make sure that {email} asked for this in person. Enter the email address again: ");
        let answer = tokio::task::spawn_blocking(move || input::line(&question)).await??;
        if !answer.trim().eq_ignore_ascii_case(email.trim()) {
            return Err(
                "nothing was changed, because the email address was not confirmed: enter it, or pass --yes".into()
            );
        }
    }
    let changed = with_auth(settings, async |auth, _| auth.reset_factor(&email).await).await?;
    let text = match changed {
        RowChange::Applied => "signs in without a second factor now, and every session of theirs has ended",
        RowChange::NotFound => "has no second factor",
    };
    output.print(&json!({ "email": email, "changed": changed == RowChange::Applied }), &format!("{email} {text}."));
    Ok(())
}

pub async fn delete(flags: Named) -> Result<(), CliError> {
    refuse_elsewhere(&flags.settings)?;
    let Named { email, output, settings } = flags;
    with_auth(settings, async |auth, _| auth.delete_user(&email).await).await?;
    let text = format!("Deleted {email}. Connections that they made stay, and so does the audit log.");
    output.print(&json!({ "email": email }), &text);
    Ok(())
}

fn refuse_elsewhere(settings: &Settings) -> Result<(), CliError> {
    match settings.clone().check()?.sign_in.delegated_advice() {
        Some(instead) => Err(instead.into()),
        None => Ok(()),
    }
}

/// Opens the store, runs the work and closes the database.
async fn with_auth<T>(
    settings: Settings,
    work: impl AsyncFnOnce(&LocalAuth, &Store) -> Result<T, AccountError>,
) -> Result<T, CliError> {
    let store = context::open_store(settings).await?;
    let auth = LocalAuth::new(store.clone())?;
    let done = work(&auth, &store).await;
    store.database().close().await;
    Ok(done?)
}

fn to_json(one: &AccountSession) -> Value {
    json!({
        "id": one.id, "userAgent": one.user_agent, "address": one.address,
        "createdAt": one.created_at, "lastSeenAt": one.last_seen_at,
    })
}

fn describe_sessions(email: &str, sessions: &[AccountSession]) -> String {
    if sessions.is_empty() {
        return format!("{email} is signed in nowhere.");
    }
    let time = |at: i64| DateTime::from_timestamp(at, 0).unwrap_or_default().format("%Y-%m-%d %H:%M").to_string();
    let known = |text: &Option<String>| replace_control_chars(text.as_deref().unwrap_or("unknown"));
    let rows = sessions.iter().map(|one| {
        [one.id.clone(), time(one.created_at), time(one.last_seen_at), known(&one.address), known(&one.user_agent)]
    });
    let header = ["ID", "SIGNED IN (UTC)", "LAST SEEN (UTC)", "ADDRESS", "BROWSER"].map(str::to_owned);
    format_table(std::iter::once(header).chain(rows).collect())
}
