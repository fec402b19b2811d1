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
