//! Where settings come from: the environment, and files of variables.

use super::*;

/// Runs `evergrant migrate` in `folder` with these variables, and returns its exit code and text.
fn migrate(folder: &Path, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evergrant"));
    command.arg("migrate").current_dir(folder).env_clear().envs(variables.iter().copied());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    exit_code_and_text(&runtime.block_on(wait::run_with_input(command, "")))
}

#[test]
fn env_file_is_taken_as_written() {
    let folder = TempDir::new().unwrap();
    let text = "# a comment\nexport EVERGRANT_DATA_DIR = \"da$ta it's\"\n\nDATABASE_URL=sqlite://a $HOME \\n/kept.db\n";
    std::fs::write(folder.path().join(".env"), text).unwrap();
    let (code, text) = migrate(folder.path(), &[("HOME", "/nowhere")]);
    assert_eq!(code, Some(0), "{text}");
    assert!(folder.path().join("a $HOME \\n/kept.db").exists());
}

#[test]
fn env_file_of_a_parent_folder_is_not_read() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env"), "DATABASE_URL=sqlite://../elsewhere.db\n").unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let (code, text) = migrate(&inner, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(inner.join("data/evergrant.db").exists() && !folder.path().join("elsewhere.db").exists());
}

#[test]
fn line_that_is_refused_is_named_without_its_value() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env"), "RUST_LOG=info\nXERO_CLIENT_SECRET='hush' hush\n").unwrap();
    let (code, text) = migrate(folder.path(), &[]);
    assert!(code == Some(2) && text.contains("line 2 of .env: XERO_CLIENT_SECRET") && !text.contains("hush"), "{text}");
}

#[test]
fn environment_overrides_the_file_and_is_trimmed_and_empty_counts_as_not_set() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env"), "DATABASE_URL=sqlite://file.db\n").unwrap();
    let (code, text) = migrate(folder.path(), &[("DATABASE_URL", " sqlite://variable.db\n"), ("EVERGRANT_LISTEN", "")]);
    assert_eq!(code, Some(0), "{text}");
    assert!(folder.path().join("variable.db").exists() && !folder.path().join("file.db").exists());
    let (code, text) = migrate(folder.path(), &[("DATABASE_URL", "")]);
    assert!(code == Some(0) && folder.path().join("file.db").exists(), "{text}");
}

#[test]
fn quotes_in_the_environment_are_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let (code, text) = migrate(folder.path(), &[("XERO_CLIENT_SECRET", "\"hush\"")]);
    assert!(code == Some(2) && text.contains("XERO_CLIENT_SECRET is in quotes") && !text.contains("hush"), "{text}");
}

#[test]
fn credentials_folder_is_read_the_same_way() {
    let (folder, credentials) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    std::fs::write(credentials.path().join("evergrant.env"), "DATABASE_URL='sqlite://a b.db'\n").unwrap();
    let (code, text) = migrate(folder.path(), &[("CREDENTIALS_DIRECTORY", credentials.path().to_str().unwrap())]);
    assert!(code == Some(0) && folder.path().join("a b.db").exists(), "{text}");
}
