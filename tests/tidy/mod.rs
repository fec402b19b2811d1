//! Enforces the source rules of ARCHITECTURE.md. Each rule is a test, and each checker is tested with a violation.

mod imports;
mod manifests;
mod rules;
mod source;
mod ui;

use source::Source;

/// The violation of a rule: its location, and what to do about it.
#[derive(Debug)]
struct Violation {
    path: String,
    line: usize,
    message: String,
}

impl Violation {
    fn new(source: &Source, line: usize, message: impl Into<String>) -> Self {
        Self { path: source.path.clone(), line, message: message.into() }
    }
}

/// Fails with one line per violation, in the form `path:line: message` that editors jump to.
fn assert_no_violations(violations: Vec<Violation>) {
    let list: Vec<String> = violations.iter().map(|o| format!("{}:{}: {}", o.path, o.line, o.message)).collect();
    assert!(list.is_empty(), "\n{}\n", list.join("\n"));
}

/// Applies a checker to every Rust file under `folder`.
fn check_every_file(folder: &str, check: impl Fn(&Source) -> Vec<Violation>) -> Vec<Violation> {
    let sources = Source::all_under(folder);
    assert!(!sources.is_empty(), "no Rust file found under {folder}");
    sources.iter().flat_map(check).collect()
}
