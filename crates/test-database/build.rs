//! Hashes the migrations into `MIGRATIONS_HASH`, so that a template is used with these migrations only.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;

const FOLDER: &str = "../../migrations";
const RUNNER: &str = "../../src/server/store/migrations/mod.rs";

fn main() {
    println!("cargo::rerun-if-changed={FOLDER}");
    println!("cargo::rerun-if-changed={RUNNER}");
    let mut files: Vec<PathBuf> = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.push(RUNNER.into());
    let mut hasher = DefaultHasher::new();
    for file in files {
        (&file, fs::read(&file).unwrap()).hash(&mut hasher);
    }
    println!("cargo::rustc-env=MIGRATIONS_HASH={:016x}", hasher.finish());
}
