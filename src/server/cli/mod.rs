//! The command line: defines the commands and maps their results to exit codes.
//!
//! Exit codes: 0 success, 1 failure, 2 wrong use.

mod api_key;
mod context;
mod doctor;
mod encryption_key;
mod export;
mod grants;
mod healthcheck;
mod import;
mod input;
mod migrate;
mod one_shot_service;
mod org;
mod organization;
mod output;
mod sandbox;
mod serve;
mod table;
mod user;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use super::config::environment::{self, EnvironmentError};
use super::config::{ConfigError, Settings};

/// The file of variables in `CREDENTIALS_DIRECTORY`, which systemd's `LoadCredential` or a container's secrets provide.
const CREDENTIALS_FILE_NAME: &str = "evergrant.env";

/// An error whose text is printed for the person who ran the command.
type CliError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps Xero connections alive: every organization's tokens are fresh before anyone needs them, and none is ever lost.
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
    /// Run the server. This is the default command.
    #[command(
        after_help = "Traces are sent to OTEL_EXPORTER_OTLP_ENDPOINT; OpenTelemetry's other variables apply too."
    )]
    Serve(Box<Settings>),
    /// Run the Xero sandbox alone, to test against.
    Sandbox(Box<sandbox::Flags>),
    /// Bring the database's schema up to date. The server does this at startup.
    Migrate(Box<migrate::Flags>),
    /// Manage people who sign in.
    #[command(subcommand)]
    User(user::Command),
    /// Manage organizations.
    #[command(subcommand)]
    Org(org::Command),
    /// Inspect and repair the token sets of all organizations.
    #[command(subcommand)]
    Grants(grants::Command),
    /// Take over refresh tokens of another system, which must have stopped. Works beside running servers.
    Import(Box<import::Flags>),
    /// Hand refresh tokens over to another system, encrypted, and stop refreshing them here. Works beside running servers.
    Export(Box<export::Flags>),
    /// Manage API keys, with which organizations' programs authenticate.
    #[command(subcommand, alias = "key")]
    ApiKey(api_key::Command),
    /// Manage the keys that tokens are sealed with.
    #[command(subcommand, alias = "keys")]
    EncryptionKey(encryption_key::Command),
    /// Check everything that refreshing depends on, and say what to fix. Changes nothing.
    Doctor(Box<doctor::Flags>),
    /// Ask the server on this machine if it is ready. For a container's health check.
    Healthcheck(healthcheck::Flags),
}

/// Loads `.env` and credentials, parses the arguments, runs the command and returns its exit code.
pub fn main() -> ExitCode {
    if let Err(error) = complete_environment() {
        eprintln!("evergrant: {error}");
        return ExitCode::from(2);
    }
    // Each argument keeps the value that its variable has when it is defined.
    let command = environment::without_empty(Cli::command());
    let cli = match command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help, version or a usage error. A failed print can't be reported.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return report_failure(&error.into()),
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report_failure(&error),
    }
}

/// Reads the files of variables, which override none that is set.
fn complete_environment() -> Result<(), EnvironmentError> {
    environment::trim_values(&Cli::command())?;
    environment::load_file(Path::new(".env"))?;
    // A service manager passes credentials in a directory that other users can't read.
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(folder) => environment::load_file(&Path::new(&folder).join(CREDENTIALS_FILE_NAME)),
        None => Ok(()),
    }
}

async fn run(cli: Cli) -> Result<(), CliError> {
    match cli.command {
        None => serve::run(cli.serve).await,
        Some(Command::Serve(settings)) => serve::run(*settings).await,
        Some(Command::Sandbox(flags)) => sandbox::run(*flags).await,
        Some(Command::Migrate(flags)) => migrate::run(*flags).await,
        Some(Command::User(command)) => user::run(command).await,
        Some(Command::Org(command)) => org::run(command).await,
        Some(Command::Grants(command)) => grants::run(command).await,
        Some(Command::Import(flags)) => import::run(*flags).await,
        Some(Command::Export(flags)) => export::run(*flags).await,
        Some(Command::ApiKey(command)) => api_key::run(command).await,
        Some(Command::EncryptionKey(command)) => encryption_key::run(command).await,
        Some(Command::Doctor(flags)) => doctor::run(*flags).await,
        Some(Command::Healthcheck(flags)) => healthcheck::run(flags).await,
    }
}

fn report_failure(error: &CliError) -> ExitCode {
    eprintln!("evergrant: {error}");
    // Invalid settings are wrong use, like a flag that clap refuses.
    if error.is::<ConfigError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_flag_has_an_env_variable_and_a_help_text() {
        let command = Cli::command();
        command.clone().debug_assert();
        for flag in command.get_arguments().filter(|flag| !["help", "version"].contains(&flag.get_id().as_str())) {
            assert!(flag.get_env().is_some(), "{} has no variable", flag.get_id());
            assert!(flag.get_help().is_some(), "{} has no help", flag.get_id());
        }
    }

    #[test]
    fn help_lists_the_commands_without_their_older_names() {
        let help = Cli::command().render_help().to_string();
        let listed = |name: &str| help.lines().any(|line| line.split_whitespace().next() == Some(name));
        assert!(listed("api-key") && listed("encryption-key") && !listed("key") && !listed("keys"), "{help}");
    }

    #[test]
    fn arguments_parse_into_their_commands() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("evergrant").unwrap().command.is_none());
        assert!(matches!(parse("evergrant serve --listen [::1]:0").unwrap().command, Some(Command::Serve(_))));
        assert!(matches!(parse("evergrant migrate --json").unwrap().command, Some(Command::Migrate(_))));
        assert!(matches!(parse("evergrant user add --email a@b.c --org N").unwrap().command, Some(Command::User(_))));
        for org in ["add --name N", "list --json"] {
            assert!(matches!(parse(&format!("evergrant org {org}")).unwrap().command, Some(Command::Org(_))));
        }
        assert!(matches!(
            parse("evergrant user add --email a@b.c --org-id I --join").unwrap().command,
            Some(Command::User(_))
        ));
        assert!(matches!(parse("evergrant grants list --org N").unwrap().command, Some(Command::Grants(_))));
        assert!(matches!(parse("evergrant grants refresh --all-due").unwrap().command, Some(Command::Grants(_))));
        for api_key in ["api-key", "key"] {
            for arguments in [
                "add --org O --name N",
                "limit egk_12345678 --all",
                "limit k --binding a --binding b",
                "list --json",
                "revoke --key egk_12345678",
            ] {
                let parsed = parse(&format!("evergrant {api_key} {arguments}")).unwrap().command;
                assert!(matches!(parsed, Some(Command::ApiKey(_))), "{api_key} {arguments}");
            }
        }
        for encryption_key in ["encryption-key", "keys"] {
            let parsed = parse(&format!("evergrant {encryption_key} rotate --retire")).unwrap().command;
            assert!(matches!(parsed, Some(Command::EncryptionKey(_))), "{encryption_key}");
        }
        assert!(matches!(parse("evergrant doctor --json").unwrap().command, Some(Command::Doctor(_))));
        for wrong in [
            "evergrant grants refresh",
            "evergrant grants rescue",
            "evergrant grants rescue --grant g a-token",
            "evergrant grants refresh --all-due --org N",
            "evergrant api-key add --org O",
            "evergrant api-key add --name N",
            "evergrant api-key add --org O --org-id I --name N",
            "evergrant user add --email a@b.c --join",
            "evergrant api-key add --org O --name N --life 2d",
            "evergrant api-key revoke",
            "evergrant api-key limit k",
            "evergrant api-key limit k --all --binding b",
            "evergrant user add",
            "evergrant export --org O",
            "evergrant export --to age1",
            "evergrant grants retry --grant g --exported",
            "evergrant sing",
            "evergrant --listen nowhere",
            "evergrant org add",
        ] {
            assert!(parse(wrong).err().is_some_and(|error| error.use_stderr()), "{wrong}");
        }
    }
}
