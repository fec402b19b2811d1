//! Rules for a single file: header, length, cfg, unwrap, wall clock, SQL.

use evergrant::model::{
    AccountMessageKind, ActorKind, BindingStatus, Channel, DeliveryStatus, EmailChoice, GrantStatus, LinkOutcome,
    Outcome, Role, TextEnum,
};

use super::source::Source;
use super::{Violation, assert_no_violations, check_every_file};

const MAX_FILE_LINES: usize = 400;

#[test]
fn every_file_has_a_header() {
    assert_no_violations(check_every_file("src", missing_header));
    assert_no_violations(check_every_file("tests", missing_header));
    assert_eq!(missing_header(&Source::new("src/x.rs", "use std::fmt;\n")).len(), 1);
}

fn missing_header(source: &Source) -> Vec<Violation> {
    let opens = source.text.starts_with("//! ");
    (!opens)
        .then(|| Violation::new(source, 1, "start with `//!`: what this file owns, in one or two sentences"))
        .into_iter()
        .collect()
}

#[test]
fn no_file_is_too_long() {
    assert_no_violations(check_every_file("src", too_many_lines));
    assert_no_violations(check_every_file("tests", too_many_lines));
    assert_eq!(too_many_lines(&Source::new("src/x.rs", &"\n".repeat(MAX_FILE_LINES + 1))).len(), 1);
}

fn too_many_lines(source: &Source) -> Vec<Violation> {
    let lines = source.text.lines().count();
    let what = format!("{lines} lines, the limit is {MAX_FILE_LINES}: split the file");
    (lines > MAX_FILE_LINES).then(|| Violation::new(source, lines, what)).into_iter().collect()
}

#[test]
fn cfg_is_only_in_lib_rs() {
    assert_no_violations(check_every_file("src", cfg_outside_lib_rs));
    let caught = |text: &str| cfg_outside_lib_rs(&Source::new("src/ui/x.rs", text)).len();
    assert_eq!(caught("#[cfg(feature = \"ssr\")]\nuse a::b;"), 1);
    assert_eq!(caught("fn f() { if cfg!(debug_assertions) {} }"), 1);
    assert_eq!(caught("#[cfg_attr(feature = \"ssr\", derive(A))]\nstruct B;"), 1);
    assert_eq!(caught("#[cfg(test)]\nmod tests { const A: bool = cfg!(unix); }"), 0);
}

fn cfg_outside_lib_rs(source: &Source) -> Vec<Violation> {
    if source.path == "src/lib.rs" {
        return Vec::new();
    }
    let is_gate = |code: &str| ["#[cfg(", "#![cfg(", "cfg!(", "cfg_attr("].iter().any(|gate| code.contains(gate));
    let gates = source.non_test_lines().filter(|(_, code)| is_gate(code));
    gates.map(|(line, _)| Violation::new(source, line, "cfg is allowed only in lib.rs: gate a module there")).collect()
}

#[test]
fn every_unwrap_is_explained() {
    assert_no_violations(check_every_file("src", unexplained_unwraps));
    let caught = |text: &str| unexplained_unwraps(&Source::new("src/x.rs", text)).len();
    assert_eq!(caught("let a = b.unwrap();"), 1);
    assert_eq!(caught("let a = b\n    .expect(\"a header\");"), 1);
    assert_eq!(caught("// Parsed from a constant.\nlet a = b.unwrap();"), 0);
    assert_eq!(caught("let a = b.expect(\"x\"); // set two lines above"), 0);
    assert_eq!(caught("#[expect(dead_code, reason = \"y\")]\nlet a = b.unwrap_or(1);"), 0);
    assert_eq!(caught("#[cfg(test)]\nmod tests {\n    fn f() { a.unwrap() }\n}"), 0);
}

fn unexplained_unwraps(source: &Source) -> Vec<Violation> {
    let text: Vec<&str> = source.text.lines().collect();
    let explained = |line: usize| {
        let above = line >= 2 && text[line - 2].trim_start().starts_with("//");
        // A `// ` in the line starts a comment.
        let beside = text[line - 1].split_once("// ").is_some();
        above || beside
    };
    let unwraps = source.non_test_lines().filter(|(_, code)| code.contains(".unwrap()") || code.contains(".expect("));
    let silent = unwraps.filter(|(line, _)| !explained(*line));
    silent
        .map(|(line, _)| Violation::new(source, line, "comment here or above why this cannot fail, or handle it"))
        .collect()
}

#[test]
fn only_the_clock_reads_the_wall_clock() {
    assert_no_violations(check_every_file("src", wall_clock_reads));
    assert_eq!(wall_clock_reads(&Source::new("src/server/x.rs", "let now = chrono::Utc::now();")).len(), 1);
    assert_eq!(wall_clock_reads(&Source::new("src/server/clock/mod.rs", "let now = Utc::now();")).len(), 0);
}

fn wall_clock_reads(source: &Source) -> Vec<Violation> {
    if source.path == "src/server/clock/mod.rs" {
        return Vec::new();
    }
    let asks = |code: &str| ["Utc::now", "Local::now", "SystemTime::now", "now_utc("].iter().any(|f| code.contains(f));
    let lines = source.non_test_lines().filter(|(_, code)| asks(code));
    lines
        .map(|(line, _)| Violation::new(source, line, "take a Clock: only clock/mod.rs reads the wall clock"))
        .collect()
}

#[test]
fn sql_is_only_in_the_store() {
    assert_no_violations(check_every_file("src", sql_outside_the_store));
    let caught = |path: &str, text: &str| sql_outside_the_store(&Source::new(path, text)).len();
    assert_eq!(caught("src/server/tokens/x.rs", "#[cfg(test)]\nuse a;\nlet q = \"UPDATE grants SET a = 1\";"), 1);
    assert_eq!(caught("src/server/auth/x.rs", "use sqlx::AnyPool;"), 1);
    assert_eq!(caught("src/server/store/x.rs", "sqlx::query(\"SELECT 1\")"), 0);
    assert_eq!(caught("src/server/tokens/x.rs", "// SELECT is the store's\n"), 0);
}

fn sql_outside_the_store(source: &Source) -> Vec<Violation> {
    if source.path.starts_with("src/server/store/") {
        return Vec::new();
    }
    let statements = ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE FROM", "\"CREATE TABLE"];
    let text: Vec<&str> = source.text.lines().collect();
    let lines = source.non_test_lines().filter(|(line, code)| {
        // Search in the text, because statements are strings. A line of comment has no code.
        let in_string = !code.trim().is_empty() && statements.iter().any(|sql| text[line - 1].contains(sql));
        code.contains("sqlx::") || in_string
    });
    lines.map(|(line, _)| Violation::new(source, line, "SQL belongs in src/server/store: use the Store")).collect()
}

#[test]
fn statements_name_their_columns() {
    assert_no_violations(check_every_file("src", star_columns));
    let caught = |text: &str| star_columns(&Source::new("src/server/store/x.rs", text)).len();
    assert_eq!(caught("let q = \"SELECT * FROM users\";") + caught("let q = \"DELETE RETURNING *\";"), 2);
    assert_eq!(caught("let q = \"SELECT g.*, o.name\";"), 1);
    assert_eq!(caught("let q = \"SELECT COUNT(*) * 2\";") + caught("// SELECT * fails\n"), 0);
}

/// Finds `*` in statements: prepared with it, they fail after a newer version adds a column.
fn star_columns(source: &Source) -> Vec<Violation> {
    if !source.path.starts_with("src/server/store/") {
        return Vec::new();
    }
    let text: Vec<&str> = source.text.lines().collect();
    let is_star = |line: &str| ["SELECT *", "RETURNING *", ".*"].iter().any(|star| line.contains(star));
    let lines = source.non_test_lines().filter(|(line, code)| !code.trim().is_empty() && is_star(text[line - 1]));
    lines.map(|(line, _)| Violation::new(source, line, "name the columns: a newer version may add more")).collect()
}

/// Texts in SQL that are no enum's: a schema object's type, the notification channel, a table that sqlx owns.
const OTHER_SQL_WORDS: [&str; 3] = ["table", "evergrant", "_sqlx_migrations"];

#[test]
fn every_word_in_a_statement_is_an_enums() {
    assert_no_violations(check_every_file("src/server/store", unknown_sql_words));
    let caught = |text: &str| unknown_sql_words(&Source::new("src/server/store/x.rs", text)).len();
    assert_eq!(caught("let a = \"status IN ('active', 'refresh_failed')\";"), 0);
    assert_eq!(caught("let a = \"status IN ('active', 'retired')\";"), 1);
    assert_eq!(caught("// The word 'retired' is in a comment."), 0);
}

/// Finds words in single quotes, as SQL has them, that no enum has. A statement may spell a status, because an index
/// with a condition needs the literal; a renamed or misspelled one would silently match no row.
fn unknown_sql_words(source: &Source) -> Vec<Violation> {
    let known = sql_words();
    let mut found = Vec::new();
    for (line, code) in source.non_test_lines() {
        // Comments are blank in `code`, strings are not in the text.
        let text = source.text.lines().nth(line - 1).unwrap_or_default();
        if code.trim().is_empty() && text.trim_start().starts_with("//") {
            continue;
        }
        let words = text.split('\'').skip(1).step_by(2);
        let is_word = |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        for word in words.filter(is_word).filter(|word| !known.contains(word)) {
            found.push(Violation::new(source, line, format!("no enum has the value '{word}'")));
        }
    }
    found
}

fn sql_words() -> Vec<&'static str> {
    fn all<T: TextEnum>(values: &[T]) -> Vec<&'static str> {
        values.iter().map(|value| value.as_str()).collect()
    }
    let enums = [
        all(BindingStatus::ALL),
        all(Channel::ALL),
        all(DeliveryStatus::ALL),
        all(EmailChoice::ALL),
        all(GrantStatus::ALL),
        all(LinkOutcome::ALL),
        all(AccountMessageKind::ALL),
        all(ActorKind::ALL),
        all(Outcome::ALL),
        all(Role::ALL),
        OTHER_SQL_WORDS.to_vec(),
    ];
    enums.concat()
}
