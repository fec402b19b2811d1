//! `evergrant import`: takes over refresh tokens of another system.

mod formats;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};
use serde_json::json;

use self::formats::{FileFormat, FileRow, read_rows};
use super::one_shot_service::{OneShotService, spool_advice};
use super::organization::OrgFilter;
use super::output::Output;
use super::{CliError, organization};
use crate::model::OrgId;
use crate::server::config::Settings;
use crate::server::domain::{Actor, ImportReport};
use crate::server::tokens::{ImportTarget, SharedUsers};

/// What has to be true before a token is sent.
const BEFORE: &str = "The system that refreshes these tokens must have stopped: each token works once, and two that \
                      refresh the same one lose the connection.";

#[derive(Args)]
#[command(after_help = "\
Formats:
  csv    A first line with the names of the columns: refresh_token, and any of tenant_id, external_id, tags (separated
         by blanks), client_id, org_id.
  jsonl  One object a line: refreshToken, and any of tenantId, externalId, tags, clientId, orgId.
  nango  Answers of Nango's GET /connections/{id}, as one object, an array, or one object a line. Connections of other
         providers are not sent.

Import the same file again after an interruption: it goes on where it stopped, and sends no token twice.")]
pub struct Flags {
    /// The file. With `-`, it is read from standard input. Only you should be able to read it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file's format. [default: by the file's ending: .csv, or .jsonl and .ndjson]
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<FileFormat>,
    #[command(flatten)]
    org: OrgFilter,
    /// Say that no other system refreshes these tokens any more. Without it, you are asked.
    #[arg(long)]
    old_system_stopped: bool,
    /// Import tokens of Xero users who also connect another organization. Their raw tokens open both.
    #[arg(long)]
    allow_shared_users: bool,
    /// Print one JSON object for each row.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(flags: Flags) -> Result<(), CliError> {
    let format = flags.format.or_else(|| FileFormat::of(&flags.file)).ok_or("say --format csv, jsonl or nango")?;
    let (path, stopped) = (flags.file.clone(), flags.old_system_stopped);
    let rows = tokio::task::spawn_blocking(move || -> Result<Vec<FileRow>, CliError> {
        let rows = read_rows(&read(&path)?, format)?;
        confirm_stopped(stopped, &path)?;
        Ok(rows)
    });
    let rows = rows.await??;
    let one_shot = OneShotService::open(flags.settings).await?;
    let default = flags.org.resolve(one_shot.store.database()).await?.map(|org| org.id);
    let orgs = orgs_of(&one_shot, &rows, default.as_ref()).await?;
    let (mut successes, mut failures, mut problems) = (0, 0, Vec::new());
    let shared_users = if flags.allow_shared_users { SharedUsers::Allow } else { SharedUsers::Refuse };
    for (FileRow { line, row, refusal, .. }, org) in rows.into_iter().zip(orgs) {
        let target = ImportTarget { org, actor: Actor::operator(), user: None, shared_users };
        let report = match refusal {
            Some(reason) => ImportReport::invalid(reason),
            None => match one_shot.service.import(&target, row).await {
                Ok(report) => report,
                // What the rows before have exchanged may still have to be saved.
                Err(error) => {
                    problems.push(format!(
                        "stopped at line {line}: {error}. Rows done before it: {successes}. Import the file again: it goes \
                         on where it stopped"
                    ));
                    break;
                }
            },
        };
        if report.outcome.is_success() {
            successes += 1
        } else {
            failures += 1
        }
        print_report(line, &report, flags.output);
    }
    one_shot.wait_for_tasks().await;
    let spool = one_shot.config.spool_dir();
    let waiting = one_shot.close().await;
    if waiting > 0 {
        problems.push(spool_advice(waiting, &spool));
    }
    if failures > 0 {
        problems.push(format!("{failures} of {} rows were not imported", successes + failures));
    }
    if !problems.is_empty() {
        return Err(problems.join(". ").into());
    }
    if flags.output == Output::Text {
        println!("{successes} rows are done.");
    }
    Ok(())
}

/// Returns the organization of each row, before any token is sent.
async fn orgs_of(one_shot: &OneShotService, rows: &[FileRow], default: Option<&OrgId>) -> Result<Vec<OrgId>, CliError> {
    let database = one_shot.store.database();
    let mut orgs = Vec::with_capacity(rows.len());
    for FileRow { line, org_id, .. } in rows {
        let org = match org_id {
            Some(id) => organization::resolve_id(database, None, Some(id)).await,
            None => Ok(default.cloned()),
        };
        let org = org.map_err(|error| format!("line {line}: {error}. No token was sent"))?;
        orgs.push(org.ok_or_else(|| {
            format!("line {line} names no organization: pass --org or --org-id for such rows. No token was sent")
        })?);
    }
    Ok(orgs)
}

fn read(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(path).map_err(|error| format!("{} can't be read: {error}", path.display()))?;
    }
    Ok(text)
}

/// Asks whether the other system has stopped, unless a flag says so.
fn confirm_stopped(stopped: bool, path: &Path) -> Result<(), CliError> {
    if stopped {
        return Ok(());
    }
    if path.as_os_str() == "-" || !std::io::stdin().is_terminal() {
        return Err(format!("{BEFORE} Once it has, pass --old-system-stopped").into());
    }
    eprint!("{BEFORE}\nHas it stopped? Type yes: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { Err("nothing was imported".into()) }
}

fn print_report(line: usize, ImportReport { outcome, bindings, detail }: &ImportReport, output: Output) {
    let word = outcome.as_str();
    let text = match detail {
        Some(detail) => format!("line {line}: {word}: {} ({detail})", outcome.message()),
        None => format!("line {line}: {word}: {}", outcome.message()),
    };
    let try_again = outcome.is_worth_repeating();
    let value = json!({ "line": line, "outcome": word, "message": outcome.message(), "tryAgain": try_again,
        "bindings": bindings, "detail": detail });
    output.print(&value, &text);
}
