//! `evergrant export`: hands refresh tokens over to another system, and stops refreshing them here.

mod file;
mod selection;

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};

use age::x25519::Recipient;
use clap::Args;

use self::file::EncryptedRows;
use self::selection::{SelectedGrant, select_grants};
use super::one_shot_service::OneShotService;
use super::organization::OrgChoice;
use super::table::replace_control_chars;
use super::{CliError, input};
use crate::model::BindingId;
use crate::server::config::Settings;
use crate::server::tokens::{ExportError, SharedUsers};

/// What the operator has to know before tokens are handed over.
const CONSEQUENCE: &str = "Evergrant stops refreshing these connections and gives out no tokens of them: a refresh token \
                           works once, and two systems that refresh the same one lose it.";

#[derive(Args)]
#[command(after_help = "\
The file is for age (https://age-encryption.org). Decrypted, it is what evergrant import reads as jsonl:

  age --decrypt --identity KEY_FILE FILE | evergrant import - --format jsonl --org NAME --old-system-stopped

evergrant grants retry --grant ID takes a grant back, as long as the other system has not used its token.")]
pub struct Flags {
    #[command(flatten)]
    org: OrgChoice,
    /// Only this connection; may be repeated. Without it, every working connection of the organization is exported.
    #[arg(long = "binding", value_name = "ID")]
    bindings: Vec<String>,
    /// The public key of the receiver: an age key, which begins with age1.
    #[arg(long, value_name = "AGE_PUBLIC_KEY")]
    to: String,
    /// Export tokens of Xero users who also connect another organization. They open both.
    #[arg(long)]
    allow_shared_users: bool,
    /// Don't ask. Without it, you are asked on a terminal.
    #[arg(long)]
    yes: bool,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(flags: Flags) -> Result<(), CliError> {
    // A parsing error has the text, which may be a secret key that was pasted by mistake.
    let recipient: Recipient =
        flags.to.trim().parse().map_err(|_| "--to isn't an age public key, which age-keygen prints: age1…")?;
    if std::io::stdout().is_terminal() {
        return Err("the export doesn't go to a terminal. Redirect it to a file: evergrant export … > FILE".into());
    }
    let one_shot = OneShotService::open(flags.settings).await?;
    let org = flags.org.resolve(one_shot.store.database()).await?.id;
    let bindings: BTreeSet<BindingId> = flags.bindings.into_iter().map(BindingId).collect();
    let shared_users = if flags.allow_shared_users { SharedUsers::Allow } else { SharedUsers::Refuse };
    let selected = select_grants(&one_shot.store, &org, &bindings, shared_users).await?;
    confirm(flags.yes, &selected)?;
    let exported = export(&one_shot, &selected, &recipient).await;
    one_shot.wait_for_tasks().await;
    one_shot.close().await;
    exported
}

/// Exports grant by grant, then writes the file at once.
///
/// Each grant is marked before its rows are written, never the other way round: if the command is ended in between, the
/// grant is stopped here, its row keeps the token, and `grants retry` takes it back. A row that is written before its
/// grant is stopped could leave two systems that refresh one token, which nothing repairs.
async fn export(one_shot: &OneShotService, selected: &[SelectedGrant], recipient: &Recipient) -> Result<(), CliError> {
    let mut rows = EncryptedRows::to(recipient)?;
    let (mut done, mut left_out, mut added) = (Vec::new(), 0, Ok(()));
    for SelectedGrant { id, names } in selected {
        match one_shot.service.export(id, &recipient.to_string()).await {
            Ok((exported, token)) => {
                done.push(id);
                added = rows.add(&exported, &token);
                if added.is_err() {
                    break;
                }
            }
            Err(error) => {
                left_out += 1;
                eprintln!("left out: {} (grant {id}): {error}", replace_control_chars(&names.join(", ")));
                if let ExportError::Store(_) = error {
                    // What is marked already must reach the file.
                    break;
                }
            }
        }
    }
    if done.is_empty() {
        return Err("nothing was exported".into());
    }
    let written = added.and_then(|()| rows.finish()).and_then(|file| {
        let mut out = std::io::stdout().lock();
        out.write_all(&file)?;
        out.flush()
    });
    if let Err(error) = written {
        let ids: Vec<&str> = done.iter().map(|id| id.as_str()).collect();
        return Err(format!(
            "the export can't be written: {error}. These grants are stopped; evergrant grants retry --grant ID takes \
             each back: {}",
            ids.join(", ")
        )
        .into());
    }
    eprintln!("{} of {} grants were exported and are stopped here.", done.len(), selected.len());
    if left_out > 0 || done.len() < selected.len() { Err("not everything was exported".into()) } else { Ok(()) }
}

/// Asks whether to stop these connections here, unless a flag says so.
fn confirm(yes: bool, selected: &[SelectedGrant]) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(format!("{CONSEQUENCE} If that is intended, pass --yes").into());
    }
    let names: Vec<String> =
        selected.iter().flat_map(|one| &one.names).map(|name| replace_control_chars(name)).collect();
    let answer = input::line(&format!("{CONSEQUENCE}\n  {}\nExport them? Type yes: ", names.join("\n  ")))?;
    if answer.trim() == "yes" { Ok(()) } else { Err("nothing was exported".into()) }
}
