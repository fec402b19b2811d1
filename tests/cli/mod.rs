//! Tests of the command line: the binary, run as a process.

mod accounts;
mod api_keys;
mod databases;
mod environment;
mod operators;
mod sandbox;

use std::path::Path;
use std::process::{Command, Output};

use evergrant::server::clock::Clock;
use evergrant::server::store::{Database, Store};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::test_service::test_key_ring;
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

    let second = add("bob@example.com", &["--org", "Harbour Group", "--join", "--password", PASSWORD, "--json"], "");
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
fn organization_is_joined_only_on_request_and_named_by_its_id_if_several_have_the_name() {
    let folder = TempDir::new().unwrap();
    let add = |email: &str, rest: &[&str]| {
        let arguments = [&["user", "add", "--email", email, "--password", PASSWORD, "--json"], rest].concat();
        run_evergrant(&folder, &arguments, "")
    };
    let first = add("ann@example.com", &["--org", "Beta Company"]);
    let first: Value = serde_json::from_slice(&first.stdout).unwrap();
    let id = first["orgId"].as_str().unwrap();
    let (code, text) = exit_code_and_text(&add("eve@example.com", &["--org", "Beta Company"]));
    assert!(code == Some(1) && text.contains("--join") && text.contains(id), "{text}");
    let joined = add("bob@example.com", &["--org-id", id, "--join"]);
    let joined: Value = serde_json::from_slice(&joined.stdout).unwrap();
    assert_eq!((&joined["orgId"], &joined["role"]), (&first["orgId"], &Value::from("admin")));
    for (flags, words) in [
        (&["--org", "Gamma", "--join"][..], "no organization called Gamma"),
        (&["--org-id", "none", "--join"], "no organization with the id none"),
    ] {
        let (code, text) = exit_code_and_text(&add("eve@example.com", flags));
        assert!(code == Some(1) && text.contains(words), "{text}");
    }
    for flags in [&["--org-id", id][..], &["--join"], &["--org", "Beta Company", "--org-id", id, "--join"]] {
        assert_eq!(add("eve@example.com", flags).status.code(), Some(2), "{flags:?}");
    }

    // People can give two organizations one name, on their pages.
    let database = folder.path().join("data/evergrant.db");
    let second = add("eve@example.com", &["--org", "Gamma"]);
    let second: Value = serde_json::from_slice(&second.stdout).unwrap();
    rename_org(&database, second["orgId"].as_str().unwrap(), "Beta Company");
    let listed = run_evergrant(&folder, &["org", "list", "--json"], "");
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["organizations"].as_array().unwrap().len(), 2, "{listed}");
    for command in [&["api-key", "add", "--name", "Export"][..], &["api-key", "list"], &["grants", "list"]] {
        let (code, text) =
            exit_code_and_text(&run_evergrant(&folder, &[command, &["--org", "Beta Company"]].concat(), ""));
        assert!(code == Some(1) && text.contains("--org-id"), "{command:?}: {text}");
        assert!(
            text.contains(id) && text.contains("owned by ann@example.com") && text.contains("owned by eve@example.com"),
            "{text}"
        );
        let (code, text) = exit_code_and_text(&run_evergrant(&folder, &[command, &["--org-id", id]].concat(), ""));
        assert_eq!(code, Some(0), "{command:?}: {text}");
    }
}

/// Renames an organization as its owner does.
fn rename_org(database: &Path, org: &str, name: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = Database::connect(&format!("sqlite://{}", database.display())).await.unwrap();
        let store = Store::new(database, test_key_ring(), Clock::system());
        store.rename_org(&org.into(), name).await.unwrap();
        store.database().close().await;
    });
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
