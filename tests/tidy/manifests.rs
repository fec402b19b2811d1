//! Rules between manifests: what is written twice is the same twice, and a lock file names no one's mirror.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

#[test]
fn leptos_toml_says_what_cargo_toml_says() {
    let cargo = leptos_section(&read("Cargo.toml"));
    let own = leptos_section(&read("Leptos.toml"));
    assert!(cargo.contains_key("output-name"), "Cargo.toml has no [package.metadata.leptos]");
    let differing: Vec<&String> =
        cargo.keys().chain(own.keys()).filter(|key| cargo.get(*key) != own.get(*key)).collect();
    assert!(differing.is_empty(), "Leptos.toml:1: make {differing:?} equal to [package.metadata.leptos] of Cargo.toml");
}

fn leptos_section(manifest: &str) -> Table {
    let manifest: Table = manifest.parse().expect("a manifest is TOML");
    match manifest.get("package").and_then(|package| package.get("metadata")?.get("leptos")) {
        Some(Value::Table(section)) => section.clone(),
        _ => Table::new(),
    }
}

#[test]
fn the_toolchain_is_no_older_than_we_ask() {
    let cargo: Table = read("Cargo.toml").parse().expect("Cargo.toml is TOML");
    let toolchain: Table = read("rust-toolchain.toml").parse().expect("rust-toolchain.toml is TOML");
    let asked = cargo["package"]["rust-version"].as_str().expect("Cargo.toml names a rust-version");
    let pinned = toolchain["toolchain"]["channel"].as_str().expect("rust-toolchain.toml names a channel");
    assert!(version(pinned) >= version(asked), "rust-toolchain.toml:1: {pinned} is older than rust-version {asked}");
    assert!(version("1.95.9") < version("1.96") && version("1.100.0") > version("1.96"));
}

fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().expect("a version is numbers and dots")).collect()
}

#[test]
fn lock_files_name_no_mirror() {
    let offence = mirror_line(&read("end2end/package-lock.json"));
    assert_eq!(offence, None, "end2end/package-lock.json: install with --omit-lockfile-registry-resolved");
    assert_eq!(mirror_line("{\n  \"resolved\": \"https://mirror.example/a.tgz\"\n}"), Some(2));
}

fn mirror_line(lock: &str) -> Option<usize> {
    lock.lines().position(|line| line.trim_start().starts_with("\"resolved\"")).map(|line| line + 1)
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
