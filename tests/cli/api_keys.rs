//! Tests of `evergrant api-key`: an organization's API keys, managed by an operator.

use serde_json::Value;
use tempfile::TempDir;

use super::{exit_code_and_text, run_evergrant};

#[test]
fn api_key_is_printed_once_listed_by_its_prefix_and_revoked() {
    let folder = TempDir::new().unwrap();
    let run = |arguments: &[&str]| run_evergrant(&folder, arguments, "");
    assert_eq!(run(&["migrate"]).status.code(), Some(0));
    let (code, text) =
        exit_code_and_text(&run(&["api-key", "add", "--org", "Harbour Group", "--name", "Nightly export"]));
    assert!(code == Some(1) && text.contains("Harbour Group"), "{text}");
    assert_eq!(run(&["org", "add", "--name", "Harbour Group"]).status.code(), Some(0));
    let (_, text) = exit_code_and_text(&run(&["api-key", "list"]));
    assert!(text.contains("api-key add"), "{text}");

    let created = run(&["api-key", "add", "--org", "Harbour Group", "--name", "Nightly export", "--life", "90d"]);
    assert_eq!(created.status.code(), Some(0), "{}", exit_code_and_text(&created).1);
    let key = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    assert!(
        key.starts_with("egk_") && key.len() == 76 && !key.contains(char::is_whitespace),
        "the key is alone on its line"
    );
    let created =
        run(&["api-key", "add", "--org", "Harbour Group", "--name", "Lister", "--scopes", "bindings:read", "--json"]);
    let created: Value = serde_json::from_slice(&created.stdout).unwrap();
    assert!(
        created["key"].as_str().unwrap().starts_with("egk_") && created["expiresAt"].is_null(),
        "{}",
        created["id"]
    );

    let (_, text) = exit_code_and_text(&run(&["api-key", "list"]));
    assert!(text.contains(&key[..12]) && text.contains("Nightly export") && !text.contains(&key[12..]), "{text}");
    let listed: Value =
        serde_json::from_slice(&run(&["api-key", "list", "--org", "Harbour Group", "--json"]).stdout).unwrap();
    let keys = listed["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2, "{listed}");
    assert!(!listed.to_string().contains(&key[12..]), "the list contains the whole key");

    let (code, text) = exit_code_and_text(&run(&["api-key", "revoke", "--key", &key[..12]]));
    assert!(code == Some(0) && text.contains("Revoked"), "{text}");
    let (code, text) = exit_code_and_text(&run(&["api-key", "revoke", "--key", &key[..12]]));
    assert!(code == Some(1) && text.contains("api-key list"), "{text}");
    let revoked = run(&["api-key", "revoke", "--key", created["id"].as_str().unwrap(), "--json"]);
    assert_eq!(serde_json::from_slice::<Value>(&revoked.stdout).unwrap()["revoked"], created["id"]);
    for wrong in [&["--scopes", "everything"][..], &["--life", "7d"], &["--name", "twice"]] {
        let (code, text) =
            exit_code_and_text(&run(
                &[&["api-key", "add", "--org", "Harbour Group", "--name", "Wrong"], wrong].concat()
            ));
        assert_eq!(code, Some(2), "{text}");
    }
}

#[test]
fn key_is_renamed_and_rotated_with_an_overlap_and_limited_to_a_known_connection() {
    let folder = TempDir::new().unwrap();
    let run = |arguments: &[&str]| run_evergrant(&folder, arguments, "");
    assert_eq!(run(&["org", "add", "--name", "Harbour Group"]).status.code(), Some(0));
    let add = ["api-key", "add", "--org", "Harbour Group", "--name", "Export"];
    let (code, text) = exit_code_and_text(&run(&[&add[..], &["--binding", "none"]].concat()));
    assert!(code == Some(1) && text.contains("has no connection none"), "{text}");
    let old = String::from_utf8(run(&add).stdout).unwrap().trim().to_owned();

    let rotated = run(&["api-key", "rotate", "--key", &old[..12], "--overlap", "2h", "--json"]);
    let rotated: Value = serde_json::from_slice(&rotated.stdout).unwrap();
    let new = rotated["key"].as_str().unwrap();
    assert!(new.starts_with("egk_") && new != old && rotated["previousEndsAt"].is_i64(), "the key is new");
    let (_, text) = exit_code_and_text(&run(&["api-key", "list"]));
    assert!(text.contains(&new[..12]) && text.contains(&old[..12]) && text.contains("until"), "{text}");
    let (code, text) = exit_code_and_text(&run(&["api-key", "rotate", "--key", &new[..12]]));
    assert!(code == Some(1) && text.contains("rotated already"), "{text}");
    let (code, _) = exit_code_and_text(&run(&["api-key", "end-previous", "--key", &new[..12]]));
    assert_eq!(code, Some(0));
    let (code, text) = exit_code_and_text(&run(&["api-key", "end-previous", "--key", &new[..12]]));
    assert!(code == Some(1) && text.contains("no old key"), "{text}");
    let (code, text) = exit_code_and_text(&run(&["api-key", "rotate", "--key", &new[..12], "--overlap", "8d"]));
    assert!(code == Some(1) && text.contains("7 days"), "{text}");

    assert_eq!(run(&["api-key", "rename", "--key", &new[..12], "--name", "Nightly"]).status.code(), Some(0));
    let listed: Value = serde_json::from_slice(&run(&["api-key", "list", "--json"]).stdout).unwrap();
    let key = &listed["keys"][0];
    assert_eq!(
        (key["name"].as_str(), key["lastUse"]["at"].as_i64(), key["previous"].is_null()),
        (Some("Nightly"), None, true)
    );
    assert!(key["connections"].is_null(), "it opens all: {key}");
}

#[test]
fn limit_of_a_key_names_known_connections_or_is_removed() {
    let folder = TempDir::new().unwrap();
    let run = |arguments: &[&str]| run_evergrant(&folder, arguments, "");
    assert_eq!(run(&["org", "add", "--name", "Harbour Group"]).status.code(), Some(0));
    let key = run(&["api-key", "add", "--org", "Harbour Group", "--name", "Export"]).stdout;
    let key = String::from_utf8(key).unwrap().trim().to_owned();
    for (arguments, code, words) in [
        (&[&key[..12], "--binding", "none"][..], 1, "has no connection none"),
        (&["egk_00000000", "--all"], 1, "no such API key"),
        (&[&key[..12], "--all", "--binding", "none"], 2, "--all"),
        (&[&key[..12]], 2, "--binding"),
        (&[&key, "--all"], 0, "opens all connections"),
    ] {
        let (got, text) = exit_code_and_text(&run(&[&["api-key", "limit"], arguments].concat()));
        assert!(got == Some(code) && text.contains(words) && !text.contains(&key[12..]), "{words}: {text}");
    }
}
