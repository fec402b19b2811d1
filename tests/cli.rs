//! The binary, run as people and programs run it.

mod operators;
mod programs;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery";

/// Runs a command in a folder of its own with nothing set but what the test says.
fn evergrant(folder: &TempDir, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_evergrant"))
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that needs no input may be gone before it comes.
    _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn people_are_added_from_a_flag_or_a_line_of_input() {
    let folder = TempDir::new().unwrap();
    let add = |email: &str, rest: &[&str], input: &str| {
        let arguments = [&["user", "add", "--email", email], rest].concat();
        evergrant(&folder, &arguments, input)
    };
    let first = add("ann@example.com", &["--org", "Harbour Group", "--json"], &format!("{PASSWORD}\n"));
    assert_eq!(first.status.code(), Some(0), "{}", said(&first).1);
    let owner: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(owner["role"], "owner");

    let second = add("bob@example.com", &["--org", "Harbour Group", "--password", PASSWORD, "--json"], "");
    let admin: Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!((&admin["role"], &admin["orgId"]), (&Value::from("admin"), &owner["orgId"]));

    let (code, text) = said(&add("eve@example.com", &["--password", PASSWORD], ""));
    assert!(code == Some(0) && text.contains("belongs to no organisation yet"), "{text}");
    let (code, text) = said(&add("ann@example.com", &["--password", PASSWORD], ""));
    assert!(code == Some(1) && text.contains("somebody's address already"), "{text}");
    let (code, text) = said(&add("joe@example.com", &[], "short\n"));
    assert!(code == Some(1) && text.contains("at least 12 characters"), "{text}");
    let (code, text) = said(&evergrant(&folder, &["org", "add", "--name", "Harbour Group"], ""));
    assert!(code == Some(1) && text.contains("already"), "{text}");
}

#[test]
fn what_is_asked_wrongly_is_told_apart_from_what_fails() {
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
        let (got, text) = said(&evergrant(&folder, arguments, ""));
        assert_eq!(got, Some(code), "{arguments:?}: {text}");
    }
}

#[test]
fn settings_are_read_from_the_folders_env_file() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env"), "DATABASE_URL=sqlite://elsewhere/kept.db\n").unwrap();
    let (code, text) = said(&evergrant(&folder, &["migrate"], ""));
    assert_eq!(code, Some(0), "{text}");
    assert!(folder.path().join("elsewhere/kept.db").exists());
}
