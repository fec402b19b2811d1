//! `evergrant user …`: people who sign in. Here `add`, which adds one.

mod manage;

use std::sync::Arc;

use clap::{ArgAction, ArgGroup, Args, Subcommand};
use serde_json::json;

use super::organization::{listed, resolve};
use super::output::Output;
use super::{CliError, context, input};
use crate::model::Role;
use crate::server::auth::LocalAuth;
use crate::server::config::{Settings, parse_secret};
use crate::server::domain::Secret;
use crate::server::store::{Database, UserOrg};
use manage::{Named, ResetFactor, Sessions};

#[derive(Subcommand)]
pub enum Command {
    /// Add a person who can sign in.
    Add(Box<Add>),
    /// Replace a person's password, which is prompted for or read as a line from standard input. Their sessions end.
    SetPassword(Box<Named>),
    /// List where a person is signed in, and end sessions.
    Sessions(Box<Sessions>),
    /// Disable an account: it signs in nowhere, its sessions end, and the API keys that it created are refused.
    Disable(Box<Named>),
    /// Enable a disabled account again.
    Enable(Box<Named>),
    /// Remove a person's second factor, so that their password alone signs them in. Asks to confirm. Their sessions end,
    /// and they are told by email.
    ResetFactor(Box<ResetFactor>),
    /// Delete an account. Its API keys end; connections and the audit log stay.
    Delete(Box<Named>),
}

#[derive(Args)]
#[command(group = ArgGroup::new("organization").args(["org", "org_id"]))]
pub struct Add {
    /// The email address that the person signs in with.
    #[arg(long)]
    email: String,
    /// The password, at least 12 characters. If left out, it is prompted for or read as a line from standard input:
    /// other users of this machine can see a program's flags.
    #[arg(long, value_parser = parse_secret)]
    password: Option<Arc<Secret>>,
    /// The name of a new organization, which the person owns; with --join that of the one to join. Without it the
    /// person joins none.
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// The id of the organization to join, as org list shows it. Needs --join.
    #[arg(long, value_name = "ID", conflicts_with = "org", requires = "join")]
    org_id: Option<String>,
    /// Join an organization that exists, as admin.
    #[arg(long, requires = "organization")]
    join: bool,
    /// Print the new ids as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(command: Command) -> Result<(), CliError> {
    match command {
        Command::Add(flags) => add(*flags).await,
        Command::SetPassword(flags) => manage::set_password(*flags).await,
        Command::Sessions(flags) => manage::sessions(*flags).await,
        Command::Disable(flags) => manage::disable(*flags).await,
        Command::Enable(flags) => manage::enable(*flags).await,
        Command::ResetFactor(flags) => manage::reset_factor(*flags).await,
        Command::Delete(flags) => manage::delete(*flags).await,
    }
}

async fn add(add: Add) -> Result<(), CliError> {
    let org = add.org.as_deref().map(str::trim);
    if org == Some("") {
        return Err("an organization needs a name".into());
    }
    if let Some(instead) = add.settings.clone().check()?.sign_in.delegated_advice() {
        return Err(instead.into());
    }
    let password = match &add.password {
        Some(password) => Secret::new(password.expose()),
        None => tokio::task::spawn_blocking(|| input::secret_line(None, "Password: ")).await??,
    };
    let store = context::create_store(add.settings).await?;
    let joined = match add.join {
        true => resolve(store.database(), org, add.org_id.as_deref()).await?,
        false => refuse_existing(store.database(), org).await.map(|()| None)?,
    };
    let of_user = match &joined {
        Some(joined) => Some(UserOrg::Existing(&joined.id)),
        None => org.map(UserOrg::New),
    };
    let added = LocalAuth::new(store.clone())?.add_user(&add.email, password, of_user).await;
    store.database().close().await;
    let added = added?;
    let (org_id, role) = added.org.unzip();
    let text = describe_added_user(&add.email, joined.as_ref().map(|joined| joined.name.as_str()).or(org), role);
    add.output.print(&json!({ "userId": added.user, "orgId": org_id, "role": role }), &text);
    Ok(())
}

/// Fails if an organization has this name: the person might be meant to join it, and it might be a stranger's.
async fn refuse_existing(database: &Database, name: Option<&str>) -> Result<(), CliError> {
    let Some(name) = name else { return Ok(()) };
    let existing = database.org_summaries(Some(name), None).await?;
    if existing.is_empty() {
        return Ok(());
    }
    let list = listed(&existing);
    Err(format!(
        "there is already an organization called {name}: to join it, pass --join, with --org-id if there are several; \
         otherwise choose another name\n{list}"
    )
    .into())
}

fn describe_added_user(email: &str, org: Option<&str>, role: Option<Role>) -> String {
    match (org, role) {
        (Some(org), Some(Role::Owner)) => format!("Added {email}, who owns the new organization {org}."),
        (Some(org), Some(role)) => format!("Added {email}, who joined {org} as {}.", role.as_str()),
        _ => format!("Added {email}, who belongs to no organization yet."),
    }
}
