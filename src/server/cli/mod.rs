//! The command line: what the binary can be asked to do, and how it says how that went.
//!
//! Exit codes: 0 it worked, 1 it failed, 2 it was asked wrongly.

mod bench_abuse;
mod bench_sweep;
mod doctor;
mod grants;
mod healthcheck;
mod input;
mod key;
mod keys;
mod migrate;
mod opened;
mod org;
mod process;
mod sandbox;
mod serve;
mod table;
mod user;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::config::{ConfigError, Settings};
use super::store::Database;
use crate::model::OrgId;

/// Variables among the credentials of systemd's `LoadCredential`, or of a container's secrets.
const CREDENTIALS: &str = "evergrant.env";

/// What went wrong, as a sentence for whoever typed the command.
type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Keeps Xero connections alive: every organisation's tokens fresh before anyone needs them, and none ever lost.
#[derive(Parser)]
#[command(name = "evergrant", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Settings,
}

#[derive(Subcommand)]
enum Command {
    /// Serve people and programs. This is what happens without a command.
    #[command(
        after_help = "Traces go where OTEL_EXPORTER_OTLP_ENDPOINT says; OpenTelemetry's other variables count too."
    )]
    Serve(Box<Settings>),
    /// Serve our own Xero alone, to test against.
    Sandbox(Box<sandbox::Flags>),
    /// Bring the database's schema up to date. Serving does so by itself.
    Migrate(Box<migrate::Flags>),
    /// People who sign in.
    #[command(subcommand)]
    User(user::Command),
    /// Organisations.
    #[command(subcommand)]
    Org(org::Command),
    /// Token sets, across organisations.
    #[command(subcommand)]
    Grants(grants::Command),
    /// API keys, which organisations' programs ask with.
    #[command(subcommand)]
    Key(key::Command),
    /// The keys that tokens are sealed with.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Look at everything that refreshing depends on, and say what to do. Changes nothing.
    Doctor(Box<doctor::Flags>),
    /// Ask the server on this machine whether it is ready. For a container's health check.
    Healthcheck(healthcheck::Flags),
    /// Measure how fast this machine keeps grants alive, on databases of the measurement's own.
    #[command(hide = true)]
    BenchSweep(Box<bench_sweep::Flags>),
    /// Measure what thousands of idle and of slow clients do to the others, on a server of the measurement's own.
    #[command(hide = true)]
    BenchAbuse(bench_abuse::Flags),
    #[command(hide = true)]
    BenchSweepInstance(Box<bench_sweep::instance::Flags>),
}

/// Reads `.env` and the arguments, and does what they ask for.
pub fn main() -> ExitCode {
    // Most machines have none.
    let env = dotenvy::dotenv();
    if let Err(error) = env
        && !error.not_found()
    {
        eprintln!("evergrant: .env can't be read: {error}");
        return ExitCode::from(2);
    }
    // What a service manager hands over out of other users' sight. What is set already stays.
    if let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY")
        && let Err(error) = dotenvy::from_path(Path::new(&folder).join(CREDENTIALS))
        && !error.not_found()
    {
        eprintln!("evergrant: {CREDENTIALS} can't be read from CREDENTIALS_DIRECTORY: {error}");
        return ExitCode::from(2);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Asked for help, or asked wrongly; with nowhere to print to there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn run(cli: Cli) -> Result<(), Failed> {
    match cli.command {
        None => serve::run(cli.serve).await,
        Some(Command::Serve(settings)) => serve::run(*settings).await,
        Some(Command::Sandbox(flags)) => sandbox::run(*flags).await,
        Some(Command::Migrate(flags)) => migrate::run(*flags).await,
        Some(Command::User(command)) => user::run(command).await,
        Some(Command::Org(command)) => org::run(command).await,
        Some(Command::Grants(command)) => grants::run(command).await,
        Some(Command::Key(command)) => key::run(command).await,
        Some(Command::Keys(command)) => keys::run(command).await,
        Some(Command::Doctor(flags)) => doctor::run(*flags).await,
        Some(Command::Healthcheck(flags)) => healthcheck::run(flags).await,
        Some(Command::BenchAbuse(flags)) => bench_abuse::run(flags).await,
        Some(Command::BenchSweep(flags)) => bench_sweep::run(*flags).await,
        Some(Command::BenchSweepInstance(flags)) => bench_sweep::instance::run(*flags).await,
    }
}

/// The organisation that an operator names.
async fn org_named(database: &Database, name: &str) -> Result<OrgId, Failed> {
    let org = database.org_named(name).await?;
    org.ok_or_else(|| format!("there is no organisation called {name}").into())
}

fn failed(error: &Failed) -> ExitCode {
    eprintln!("evergrant: {error}");
    // Settings that don't go together are wrong use, as much as a flag that clap refuses.
    if error.is::<ConfigError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent_and_each_has_a_variable_and_a_help_text() {
        let command = Cli::command();
        command.clone().debug_assert();
        for flag in command.get_arguments().filter(|flag| !["help", "version"].contains(&flag.get_id().as_str())) {
            assert!(flag.get_env().is_some(), "{} has no variable", flag.get_id());
            assert!(flag.get_help().is_some(), "{} has no help", flag.get_id());
        }
    }

    #[test]
    fn commands_are_told_apart() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("evergrant").unwrap().command.is_none());
        assert!(matches!(parse("evergrant serve --listen [::1]:0").unwrap().command, Some(Command::Serve(_))));
        assert!(matches!(parse("evergrant migrate --json").unwrap().command, Some(Command::Migrate(_))));
        assert!(matches!(parse("evergrant user add --email a@b.c --org N").unwrap().command, Some(Command::User(_))));
        assert!(matches!(parse("evergrant org add --name N").unwrap().command, Some(Command::Org(_))));
        assert!(matches!(parse("evergrant grants list --org N").unwrap().command, Some(Command::Grants(_))));
        assert!(matches!(parse("evergrant grants refresh --all-due").unwrap().command, Some(Command::Grants(_))));
        assert!(matches!(parse("evergrant key add --org O --name N").unwrap().command, Some(Command::Key(_))));
        assert!(matches!(parse("evergrant key list --json").unwrap().command, Some(Command::Key(_))));
        assert!(matches!(parse("evergrant key revoke --key egk_12345678").unwrap().command, Some(Command::Key(_))));
        assert!(matches!(parse("evergrant keys rotate --retire").unwrap().command, Some(Command::Keys(_))));
        assert!(matches!(parse("evergrant doctor --json").unwrap().command, Some(Command::Doctor(_))));
        for wrong in [
            "evergrant grants refresh",
            "evergrant grants rescue",
            "evergrant grants rescue --grant g a-token",
            "evergrant grants refresh --all-due --org N",
            "evergrant key add --org O",
            "evergrant key add --org O --name N --life 2d",
            "evergrant key revoke",
            "evergrant user add",
            "evergrant sing",
            "evergrant --listen nowhere",
            "evergrant org add",
        ] {
            assert!(parse(wrong).err().is_some_and(|error| error.use_stderr()), "{wrong}");
        }
    }
}
