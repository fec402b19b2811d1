//! `evergrant doctor`: checks everything that refreshing depends on and says what to fix. Changes nothing.

mod check;
mod clock;
mod database;
mod grants;
mod keys;
mod machine;
mod mail;
mod provider;
mod proxies;
mod scopes;
mod sign_in;
mod spool;

use clap::{ArgAction, Args};
use serde_json::json;

use self::check::{Check, Verdict};
use super::CliError;
use super::output::Output;
use crate::server::clock::Clock;
use crate::server::config::{Config, Settings};
use crate::server::telemetry::logging;

#[derive(Args)]
pub struct Flags {
    /// Print the checks as JSON.
    #[arg(long = "json", action = ArgAction::SetTrue, value_parser = Output::flag())]
    output: Output,
    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,
}

pub async fn run(flags: Flags) -> Result<(), CliError> {
    let checks = match flags.settings.check() {
        Ok(config) => {
            logging::start(config.log_format);
            run_checks(&config, &Clock::system()).await
        }
        Err(error) => vec![machine::unusable_settings(&error)],
    };
    let worst = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
    flags.output.print(&json!({ "verdict": worst, "checks": checks }), &format_report(&checks));
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} checks failed", checks.len()).into()) }
}

async fn run_checks(config: &Config, clock: &Clock) -> Vec<Check> {
    let mut checks = vec![machine::settings(config), machine::data_dir(config), machine::key_file(config)];
    let (check, database) = database::check_database(config).await;
    checks.push(check);
    if let Some(database) = database {
        let (check, corrected) = clock::check_clock(&database, clock).await;
        checks.push(check);
        checks.extend(keys::all(config, &database, &corrected).await);
        checks.extend(grants::all(config, &database, &corrected).await);
        checks.push(scopes::check_scopes(config, &database, &corrected).await);
        checks.push(mail::email(config, &database, &corrected).await);
        checks.push(proxies::check_proxies(config, &database, &corrected).await);
        checks.push(spool::check_spool(config, Some(&database)).await);
        database.close().await;
    } else {
        checks.push(spool::check_spool(config, None).await);
    }
    checks.extend(provider::all(config, clock).await);
    checks.extend(sign_in::all(config, clock).await);
    checks
}

/// Formats one line per check, and below it what to do.
fn format_report(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Check { name, verdict, found, to_do } in checks {
        text.push_str(&format!("{:<4}  {name:<width$}  {found}\n", verdict.as_str()));
        if let Some(to_do) = to_do {
            text.push_str(&format!("{:<4}  {:<width$}  To do: {to_do}\n", "", ""));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_shows_what_to_do_below_the_finding() {
        let checks = [Check::ok("spool", "Nothing waits."), Check::fail("database", "It is down.", "Start it.")];
        let lines =
            ["ok    spool     Nothing waits.", "fail  database  It is down.", "                To do: Start it."];
        assert_eq!(format_report(&checks), lines.map(|line| format!("{line}\n")).concat());
        assert!(Verdict::Ok < Verdict::Warn && Verdict::Warn < Verdict::Fail);
    }
}
