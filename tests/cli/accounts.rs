//! `evergrant user set-password|sessions|disable|enable|delete`.

use serde_json::Value;
use tempfile::TempDir;

use super::{PASSWORD, exit_code_and_text, run_evergrant};

const ANN: &str = "ann@example.com";

fn folder_with_ann() -> TempDir {
    let folder = TempDir::new().unwrap();
    let arguments = ["user", "add", "--email", ANN, "--org", "Harbour Group"];
    let (code, text) = exit_code_and_text(&run_evergrant(&folder, &arguments, &format!("{PASSWORD}\n")));
    assert_eq!(code, Some(0), "{text}");
    folder
}

/// Runs `evergrant user COMMAND --email EMAIL --json` and returns the exit code, and the JSON or the error.
fn user(folder: &TempDir, command: &str, email: &str, rest: &[&str], input: &str) -> (Option<i32>, Value) {
    let arguments = [&["user", command, "--email", email, "--json"], rest].concat();
    let output = run_evergrant(folder, &arguments, input);
    let told = serde_json::from_slice(&output.stdout);
    (output.status.code(), told.unwrap_or_else(|_| String::from_utf8_lossy(&output.stderr).into_owned().into()))
}

#[test]
fn operator_sets_a_password_that_fits_the_policy() {
    let folder = folder_with_ann();
    let (code, told) = user(&folder, "set-password", "Ann@Example.com", &[], "another good phrase\n");
    assert_eq!((code, &told["email"]), (Some(0), &Value::from("Ann@Example.com")));
    for (password, words) in [
        ("short", "at least 12 characters"),
        ("passwordpassword", "too common"),
        ("annexamplecom", "too close to the email address"),
    ] {
        let (code, told) = user(&folder, "set-password", ANN, &[], password);
        assert!(code == Some(1) && told.as_str().unwrap().contains(words), "{password}: {told}");
    }
    let (code, told) = user(&folder, "set-password", "bob@example.com", &[], "another good phrase\n");
    assert!(code == Some(1) && told.as_str().unwrap().contains("no user with the address bob@example.com"), "{told}");
}

#[test]
fn operator_disables_and_enables_an_account_and_lists_its_sessions() {
    let folder = folder_with_ann();
    let (code, told) = user(&folder, "disable", ANN, &[], "");
    assert_eq!((code, &told["changed"]), (Some(0), &Value::from(true)));
    assert_eq!(user(&folder, "disable", ANN, &[], "").1["changed"], false);
    assert_eq!(user(&folder, "enable", ANN, &[], "").1["changed"], true);

    let (code, told) = user(&folder, "sessions", ANN, &[], "");
    assert_eq!((code, &told["sessions"]), (Some(0), &serde_json::json!([])));
    assert_eq!(user(&folder, "sessions", ANN, &["--end-all"], "").0, Some(0));
    let (code, told) = user(&folder, "sessions", ANN, &["--end", "nothing"], "");
    assert!(code == Some(1) && told.as_str().unwrap().contains("no session of this id"), "{told}");
    assert_eq!(user(&folder, "sessions", ANN, &["--end", "one", "--end-all"], "").0, Some(2));
}

#[test]
fn operator_deletes_an_account_unless_it_is_the_last_owner() {
    let folder = folder_with_ann();
    let (code, told) = user(&folder, "delete", ANN, &[], "");
    assert!(
        code == Some(1) && told.as_str().unwrap().contains("Harbour Group would be left without an owner"),
        "{told}"
    );
    let added = run_evergrant(&folder, &["user", "add", "--email", "joe@example.com"], "another good phrase\n");
    assert_eq!(added.status.code(), Some(0));
    assert_eq!(user(&folder, "delete", "joe@example.com", &[], "").0, Some(0));
    assert_eq!(user(&folder, "delete", "joe@example.com", &[], "").0, Some(1), "it is gone");
}
