//! Rules that a single file keeps or breaks: header, length, cfg, unwrap, the wall clock, SQL.

use super::source::Source;
use super::{Offence, assert_none, in_every_file};

const LONGEST_FILE: usize = 400;

#[test]
fn every_file_says_what_it_owns() {
    assert_none(in_every_file("src", no_header));
    assert_none(in_every_file("tests", no_header));
    assert_eq!(no_header(&Source::new("src/x.rs", "use std::fmt;\n")).len(), 1);
}

fn no_header(source: &Source) -> Vec<Offence> {
    let opens = source.text.starts_with("//! ");
    (!opens)
        .then(|| Offence::new(source, 1, "open with `//!`: what this file owns, in a sentence or two"))
        .into_iter()
        .collect()
}

#[test]
fn no_file_is_too_long() {
    assert_none(in_every_file("src", too_long));
    assert_none(in_every_file("tests", too_long));
    assert_eq!(too_long(&Source::new("src/x.rs", &"\n".repeat(LONGEST_FILE + 1))).len(), 1);
}

fn too_long(source: &Source) -> Vec<Offence> {
    let lines = source.text.lines().count();
    let what = format!("{lines} lines, {LONGEST_FILE} at most: it wants to be two files");
    (lines > LONGEST_FILE).then(|| Offence::new(source, lines, what)).into_iter().collect()
}

#[test]
fn cfg_stands_only_in_lib_rs() {
    assert_none(in_every_file("src", cfg_elsewhere));
    let caught = |text: &str| cfg_elsewhere(&Source::new("src/ui/x.rs", text)).len();
    assert_eq!(caught("#[cfg(feature = \"ssr\")]\nuse a::b;"), 1);
    assert_eq!(caught("fn f() { if cfg!(debug_assertions) {} }"), 1);
    assert_eq!(caught("#[cfg_attr(feature = \"ssr\", derive(A))]\nstruct B;"), 1);
    assert_eq!(caught("#[cfg(test)]\nmod tests { const A: bool = cfg!(unix); }"), 0);
}

fn cfg_elsewhere(source: &Source) -> Vec<Offence> {
    if source.path == "src/lib.rs" {
        return Vec::new();
    }
    let is_gate = |code: &str| ["#[cfg(", "#![cfg(", "cfg!(", "cfg_attr("].iter().any(|gate| code.contains(gate));
    let gates = source.live_code().filter(|(_, code)| is_gate(code));
    gates.map(|(line, _)| Offence::new(source, line, "cfg stands in lib.rs alone: gate a module there")).collect()
}

#[test]
fn nothing_unwraps_without_saying_why() {
    assert_none(in_every_file("src", silent_unwraps));
    let caught = |text: &str| silent_unwraps(&Source::new("src/x.rs", text)).len();
    assert_eq!(caught("let a = b.unwrap();"), 1);
    assert_eq!(caught("let a = b\n    .expect(\"a header\");"), 1);
    assert_eq!(caught("// Parsed from a constant.\nlet a = b.unwrap();"), 0);
    assert_eq!(caught("let a = b.expect(\"x\"); // set two lines above"), 0);
    assert_eq!(caught("#[expect(dead_code, reason = \"y\")]\nlet a = b.unwrap_or(1);"), 0);
    assert_eq!(caught("#[cfg(test)]\nmod tests {\n    fn f() { a.unwrap() }\n}"), 0);
}

fn silent_unwraps(source: &Source) -> Vec<Offence> {
    let text: Vec<&str> = source.text.lines().collect();
    let explained = |line: usize| {
        let above = line >= 2 && text[line - 2].trim_start().starts_with("//");
        // What differs between text and code beyond the strings is a comment.
        let beside = text[line - 1].split_once("// ").is_some();
        above || beside
    };
    let unwraps = source.live_code().filter(|(_, code)| code.contains(".unwrap()") || code.contains(".expect("));
    let silent = unwraps.filter(|(line, _)| !explained(*line));
    silent
        .map(|(line, _)| Offence::new(source, line, "say in a comment here or above why this can't fail, or handle it"))
        .collect()
}

#[test]
fn time_comes_from_the_clock() {
    assert_none(in_every_file("src", wall_clock));
    assert_eq!(wall_clock(&Source::new("src/server/x.rs", "let now = chrono::Utc::now();")).len(), 1);
    assert_eq!(wall_clock(&Source::new("src/server/clock.rs", "let now = Utc::now();")).len(), 0);
}

fn wall_clock(source: &Source) -> Vec<Offence> {
    if source.path == "src/server/clock.rs" {
        return Vec::new();
    }
    let asks = |code: &str| ["Utc::now", "Local::now", "SystemTime::now", "now_utc("].iter().any(|f| code.contains(f));
    let lines = source.live_code().filter(|(_, code)| asks(code));
    lines.map(|(line, _)| Offence::new(source, line, "take a Clock: only clock.rs asks the wall clock")).collect()
}

#[test]
fn sql_stands_only_in_the_store() {
    assert_none(in_every_file("src", sql_elsewhere));
    let caught = |path: &str, text: &str| sql_elsewhere(&Source::new(path, text)).len();
    assert_eq!(caught("src/server/tokens/x.rs", "#[cfg(test)]\nuse a;\nlet q = \"UPDATE grants SET a = 1\";"), 1);
    assert_eq!(caught("src/server/auth/x.rs", "use sqlx::AnyPool;"), 1);
    assert_eq!(caught("src/server/store/x.rs", "sqlx::query(\"SELECT 1\")"), 0);
    assert_eq!(caught("src/server/tokens/x.rs", "// SELECT is the store's\n"), 0);
}

fn sql_elsewhere(source: &Source) -> Vec<Offence> {
    if source.path.starts_with("src/server/store/") {
        return Vec::new();
    }
    let statements = ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE FROM", "\"CREATE TABLE"];
    let text: Vec<&str> = source.text.lines().collect();
    let lines = source.live_code().filter(|(line, code)| {
        // The statement is looked for in the text, as it is in a string; a comment leaves no code at all.
        let in_string = !code.trim().is_empty() && statements.iter().any(|sql| text[line - 1].contains(sql));
        code.contains("sqlx::") || in_string
    });
    lines.map(|(line, _)| Offence::new(source, line, "SQL stands in src/server/store: ask the Store")).collect()
}

#[test]
fn statements_name_their_columns() {
    assert_none(in_every_file("src", stars));
    let caught = |text: &str| stars(&Source::new("src/server/store/x.rs", text)).len();
    assert_eq!(caught("let q = \"SELECT * FROM users\";") + caught("let q = \"DELETE RETURNING *\";"), 2);
    assert_eq!(caught("let q = \"SELECT g.*, o.name\";"), 1);
    assert_eq!(caught("let q = \"SELECT COUNT(*) * 2\";") + caught("// SELECT * fails\n"), 0);
}

/// A statement that was prepared with `*` fails once a newer version has added a column.
fn stars(source: &Source) -> Vec<Offence> {
    if !source.path.starts_with("src/server/store/") {
        return Vec::new();
    }
    let text: Vec<&str> = source.text.lines().collect();
    let is_star = |line: &str| ["SELECT *", "RETURNING *", ".*"].iter().any(|star| line.contains(star));
    let lines = source.live_code().filter(|(line, code)| !code.trim().is_empty() && is_star(text[line - 1]));
    lines.map(|(line, _)| Offence::new(source, line, "name the columns: a newer version may add some")).collect()
}
