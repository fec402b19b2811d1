//! Tests of the command line: the binary, run as a process.

mod accounts;
mod api_keys;
mod operators;

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::wait;

const PASSWORD: &str = "correct horse battery";

/// Runs a command in `folder` with an empty environment and `input` on its standard input.
fn run_evergrant(folder: &TempDir, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evergrant"));
    command.args(arguments).current_dir(folder.path()).env_clear();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(wait::run_with_input(command, input))
}

fn exit_code_and_text(output: &Output) -> (Option<i32>, String) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn users_are_added_with_a_password_from_a_flag_or_standard_input() {
    let folder = TempDir::new().unwrap();
    let add = |email: &str, rest: &[&str], input: &str| {
        let arguments = [&["user", "add", "--email", email], rest].concat();
        run_evergrant(&folder, &arguments, input)
    };
    let first = add("ann@example.com", &["--org", "Harbour Group", "--json"], &format!("{PASSWORD}\n"));
    assert_eq!(first.status.code(), Some(0), "{}", exit_code_and_text(&first).1);
    let owner: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(owner["role"], "owner");

    let second = add("bob@example.com", &["--org", "Harbour Group", "--password", PASSWORD, "--json"], "");
    let admin: Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!((&admin["role"], &admin["orgId"]), (&Value::from("admin"), &owner["orgId"]));

    let (code, text) = exit_code_and_text(&add("eve@example.com", &["--password", PASSWORD], ""));
    assert!(code == Some(0) && text.contains("belongs to no organization yet"), "{text}");
    let (code, text) = exit_code_and_text(&add("ann@example.com", &["--password", PASSWORD], ""));
    assert!(code == Some(1) && text.contains("already a user with the address"), "{text}");
    let (code, text) = exit_code_and_text(&add("joe@example.com", &[], "short\n"));
    assert!(code == Some(1) && text.contains("at least 12 characters"), "{text}");
    let (code, text) = exit_code_and_text(&run_evergrant(&folder, &["org", "add", "--name", "Harbour Group"], ""));
    assert!(code == Some(1) && text.contains("already"), "{text}");
}

#[test]
fn usage_errors_exit_with_2_and_failures_with_1() {
    let folder = TempDir::new().unwrap();
    for (arguments, code) in [
        (&["--version"][..], 0),
        (&["user", "add", "--help"][..], 0),
        (&["migrate", "--json"][..], 0),
        (&["sing"][..], 2),
        (&["user", "add"][..], 2),
        (&["serve", "--public-url", "http://evergrant.example.com"][..], 2),
        (&["migrate", "--xero-client-id", "half"][..], 2),
        (&["migrate", "--database-url", "mysql://localhost"][..], 1),
    ] {
        let (got, text) = exit_code_and_text(&run_evergrant(&folder, arguments, ""));
        assert_eq!(got, Some(code), "{arguments:?}: {text}");
    }
}

#[test]
fn settings_are_read_from_the_env_file_of_the_working_directory() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env"), "DATABASE_URL=sqlite://elsewhere/kept.db\n").unwrap();
    let (code, text) = exit_code_and_text(&run_evergrant(&folder, &["migrate"], ""));
    assert_eq!(code, Some(0), "{text}");
    assert!(folder.path().join("elsewhere/kept.db").exists());
}
