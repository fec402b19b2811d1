//! Rules for manifests: settings in two files are equal, and the lock file names no registry mirror.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

#[test]
fn leptos_toml_equals_the_section_of_cargo_toml() {
    let cargo = leptos_section(&read("Cargo.toml"));
    let own = leptos_section(&read("Leptos.toml"));
    assert!(cargo.contains_key("output-name"), "Cargo.toml has no [[workspace.metadata.leptos]]");
    let differing: Vec<&String> =
        cargo.keys().chain(own.keys()).filter(|key| cargo.get(*key) != own.get(*key)).collect();
    assert!(
        differing.is_empty(),
        "Leptos.toml:1: make {differing:?} equal to [[workspace.metadata.leptos]] of Cargo.toml"
    );
}

fn leptos_section(manifest: &str) -> Table {
    let manifest: Table = manifest.parse().expect("a manifest is TOML");
    let projects = manifest.get("workspace").and_then(|workspace| workspace.get("metadata")?.get("leptos"));
    match projects.and_then(|projects| projects.get(0)) {
        Some(Value::Table(section)) => section.clone(),
        _ => Table::new(),
    }
}

#[test]
fn toolchain_is_not_older_than_rust_version() {
    let cargo: Table = read("Cargo.toml").parse().expect("Cargo.toml is TOML");
    let toolchain: Table = read("rust-toolchain.toml").parse().expect("rust-toolchain.toml is TOML");
    let asked = cargo["workspace"]["package"]["rust-version"].as_str().expect("Cargo.toml names a rust-version");
    let pinned = toolchain["toolchain"]["channel"].as_str().expect("rust-toolchain.toml names a channel");
    assert!(version(pinned) >= version(asked), "rust-toolchain.toml:1: {pinned} is older than rust-version {asked}");
    assert!(version("1.95.9") < version("1.96") && version("1.100.0") > version("1.96"));
}

fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().expect("a version is numbers and dots")).collect()
}

#[test]
fn lock_files_name_no_registry_mirror() {
    for lock in ["end2end/package-lock.json", "scripts/site/package-lock.json"] {
        assert_eq!(mirror_line(&read(lock)), None, "{lock}: install with --omit-lockfile-registry-resolved");
    }
    assert_eq!(mirror_line("{\n  \"resolved\": \"https://mirror.example/a.tgz\"\n}"), Some(2));
}

fn mirror_line(lock: &str) -> Option<usize> {
    lock.lines().position(|line| line.trim_start().starts_with("\"resolved\"")).map(|line| line + 1)
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
