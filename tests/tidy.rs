//! Holds the source to the rules of ARCHITECTURE.md: each rule is a test, and each checker is shown an offence.

mod imports;
mod manifests;
mod rules;
mod source;

use source::Source;

/// One broken rule, where it is broken, and what to do about it.
#[derive(Debug)]
struct Offence {
    path: String,
    line: usize,
    what: String,
}

impl Offence {
    fn new(source: &Source, line: usize, what: impl Into<String>) -> Self {
        Self { path: source.path.clone(), line, what: what.into() }
    }
}

/// Fails with every offence on a line of its own, in the form that editors jump to.
fn assert_none(offences: Vec<Offence>) {
    let list: Vec<String> = offences.iter().map(|o| format!("{}:{}: {}", o.path, o.line, o.what)).collect();
    assert!(list.is_empty(), "\n{}\n", list.join("\n"));
}

/// Applies a checker to every Rust file under `folder`.
fn in_every_file(folder: &str, check: impl Fn(&Source) -> Vec<Offence>) -> Vec<Offence> {
    let sources = Source::all_under(folder);
    assert!(!sources.is_empty(), "no Rust file found under {folder}");
    sources.iter().flat_map(check).collect()
}
