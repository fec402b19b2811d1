//! `evergrant key`: an organisation's API keys by an operator's hand.

use serde_json::Value;
use tempfile::TempDir;

use super::{evergrant, said};

#[test]
fn a_key_is_printed_once_listed_by_its_first_letters_and_revoked() {
    let folder = TempDir::new().unwrap();
    let run = |arguments: &[&str]| evergrant(&folder, arguments, "");
    let (code, text) = said(&run(&["key", "add", "--org", "Harbour Group", "--name", "Nightly export"]));
    assert!(code == Some(1) && text.contains("Harbour Group"), "{text}");
    assert_eq!(run(&["org", "add", "--name", "Harbour Group"]).status.code(), Some(0));
    let (_, text) = said(&run(&["key", "list"]));
    assert!(text.contains("key add"), "{text}");

    let made = run(&["key", "add", "--org", "Harbour Group", "--name", "Nightly export", "--life", "90d"]);
    assert_eq!(made.status.code(), Some(0), "{}", said(&made).1);
    let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert!(key.starts_with("egk_") && key.len() == 76 && !key.contains(char::is_whitespace), "alone on its line");
    let made =
        run(&["key", "add", "--org", "Harbour Group", "--name", "Lister", "--scopes", "bindings:read", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert!(made["key"].as_str().unwrap().starts_with("egk_") && made["expiresAt"].is_null(), "{}", made["id"]);

    let (_, text) = said(&run(&["key", "list"]));
    assert!(text.contains(&key[..12]) && text.contains("Nightly export") && !text.contains(&key[12..]), "{text}");
    let listed: Value =
        serde_json::from_slice(&run(&["key", "list", "--org", "Harbour Group", "--json"]).stdout).unwrap();
    let keys = listed["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2, "{listed}");
    assert!(!listed.to_string().contains(&key[12..]), "the key itself");

    let (code, text) = said(&run(&["key", "revoke", "--key", &key[..12]]));
    assert!(code == Some(0) && text.contains("Revoked"), "{text}");
    let (code, text) = said(&run(&["key", "revoke", "--key", &key[..12]]));
    assert!(code == Some(1) && text.contains("key list"), "{text}");
    let revoked = run(&["key", "revoke", "--key", made["id"].as_str().unwrap(), "--json"]);
    assert_eq!(serde_json::from_slice::<Value>(&revoked.stdout).unwrap()["revoked"], made["id"]);
    for wrong in [&["--scopes", "everything"][..], &["--life", "7d"], &["--name", "twice"]] {
        let (code, text) = said(&run(&[&["key", "add", "--org", "Harbour Group", "--name", "Wrong"], wrong].concat()));
        assert_eq!(code, Some(2), "{text}");
    }
}
