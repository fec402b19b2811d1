//! `evergrant user set-password|sessions|disable|enable|reset-factor|delete`.

use evergrant::server::clock::Clock;
use evergrant::server::domain::Secret;
use evergrant::server::store::{AuditFilter, Database, RowChange, Store};
use serde_json::Value;
use tempfile::TempDir;

use super::{PASSWORD, exit_code_and_text, run_evergrant};
use crate::support::test_service::test_key_ring;

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

#[test]
fn operator_resets_a_second_factor_once_it_is_confirmed() {
    let folder = folder_with_ann();
    let keys = format!("test:{}=", "A".repeat(43));
    let reset = |rest: &[&str], input: &str| {
        user(&folder, "reset-factor", ANN, &[&["--keys", keys.as_str()], rest].concat(), input)
    };
    let (code, told) = reset(&["--yes"], "");
    assert_eq!((code, &told["changed"]), (Some(0), &Value::from(false)), "there is none");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(async {
        let url = format!("sqlite://{}", folder.path().join("data/evergrant.db").display());
        let store = Store::new(Database::connect(&url).await.unwrap(), test_key_ring(), Clock::system());
        let ann = store.account(ANN).await.unwrap().unwrap().id;
        assert_eq!(store.begin_enrollment(&ann, "session", &Secret::new("SECRET")).await.unwrap(), RowChange::Applied);
        let pending = store.pending_enrollment(&ann, "session").await.unwrap().unwrap();
        let done = store.confirm_enrollment(&ann, "session", &pending, 1, &["code".to_owned()]).await.unwrap();
        assert_eq!(done, RowChange::Applied);
        store
    });
    for answer in ["", "bob@example.com\n"] {
        let (code, told) = reset(&[], answer);
        assert!(code == Some(1) && told.as_str().unwrap().contains("nothing was changed"), "{told}");
    }
    let (code, told) = reset(&[], "Ann@Example.com\n");
    assert_eq!((code, &told["changed"]), (Some(0), &Value::from(true)), "{told}");
    let ann = runtime.block_on(store.account(ANN)).unwrap().unwrap().id;
    runtime.block_on(async {
        assert!(!store.factor_view(&ann).await.unwrap().is_on());
        let org = store.memberships(&ann).await.unwrap().remove(0).id;
        let events = store.audit_events(Some(&org), AuditFilter::default(), None, 20).await.unwrap();
        let removed = events.iter().find(|one| one.action.as_str() == "account.factor_removed").unwrap();
        assert_eq!((removed.actor_kind.as_str(), removed.address.as_deref()), ("operator", Some("cli")));
    });
}
