//! The folders of the ui: which import which, and what of them reaches the browser.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::{crate_paths, module_of};
use super::source::Source;
use super::{Violation, assert_no_violations, check_every_file};

const UI: &str = include_str!("../../src/ui/mod.rs");

/// The folders that reach the browser. Nothing else of the ui does, because only an `#[island]` is exported to it, and
/// `imports_go_one_way` allows the ui nothing but `model` and the stubs of `api`.
const IN_THE_BROWSER: [&str; 2] = ["shared", "islands"];

/// Returns the folders of the ui in the order of their declarations. Each may import those before it.
fn folders() -> Vec<&'static str> {
    UI.lines().filter_map(|line| line.strip_prefix("mod ")).map(|name| name.trim_end_matches(';')).collect()
}

#[test]
fn only_islands_reach_the_browser() {
    assert_no_violations(check_every_file("src", islands_elsewhere));
    assert_eq!(folders()[..2], IN_THE_BROWSER, "what reaches the browser imports nothing else of the ui");
    let caught = |path: &str| islands_elsewhere(&Source::new(path, "#[island]\npub fn A() {}")).len();
    assert_eq!((caught("src/ui/pages/a/mod.rs"), caught("src/ui/islands/a.rs")), (1, 0));
}

fn islands_elsewhere(source: &Source) -> Vec<Violation> {
    if source.path.starts_with("src/ui/islands/") {
        return Vec::new();
    }
    let islands = source.non_test_lines().filter(|(_, code)| code.contains("#[island"));
    islands.map(|(line, _)| Violation::new(source, line, "an island belongs in src/ui/islands")).collect()
}

#[test]
fn titles_are_set_where_they_are_escaped() {
    assert_no_violations(check_every_file("src", titles_elsewhere));
    let caught = |path: &str| titles_elsewhere(&Source::new(path, "use leptos_meta::{MetaTags, Title};")).len();
    assert_eq!((caught("src/ui/pages/a/mod.rs"), caught("src/ui/components/title.rs")), (1, 0));
}

fn titles_elsewhere(source: &Source) -> Vec<Violation> {
    if source.path == "src/ui/components/title.rs" {
        return Vec::new();
    }
    let uses = source.non_test_lines().filter(|(_, code)| code.contains("leptos_meta::") && code.contains("Title"));
    uses.map(|(line, _)| Violation::new(source, line, "a title is set by `document_title`, which escapes it")).collect()
}

#[test]
fn folders_of_the_ui_import_those_before_them() {
    assert_no_violations(check_every_file("src/ui", wrong_way_imports));
    let caught = |path: &str, text: &str| wrong_way_imports(&Source::new(path, text)).len();
    assert_eq!(caught("src/ui/islands/a.rs", "use crate::ui::{shared::icons, components::badge};"), 1);
    assert_eq!(caught("src/ui/components/a.rs", "use super::super::pages::A; use super::badge;"), 1);
}

fn wrong_way_imports(source: &Source) -> Vec<Violation> {
    let here = module_of(&source.path);
    let rank = |module: &[String]| folders().iter().position(|name| module.get(1).is_some_and(|here| here == name));
    let imports = crate_paths(source, &here);
    let wrong = imports.iter().filter(|(_, path)| path[0] == "ui" && here.len() > 1 && rank(path) > rank(&here));
    wrong
        .map(|(offset, path)| {
            let message = format!("`{}` may not import `{}`: see the order in src/ui/mod.rs", here[1], path[1]);
            Violation::new(source, source.line_at(*offset), message)
        })
        .collect()
}

#[test]
fn no_two_modules_of_the_ui_import_each_other() {
    assert_eq!(circle(&Source::all_under("src/ui")), None);
    let source = |path: &str, text: &str| Source::new(path, text);
    let [a, b] = [("a", "b"), ("b", "a")]
        .map(|(name, other)| source(&format!("src/ui/islands/{name}.rs"), &format!("use super::{other}::X;")));
    assert!(circle(&[a, b]).is_some());
    let [parent, child] = [source("src/ui/layout/mod.rs", ""), source("src/ui/layout/header.rs", "use super::page;")];
    assert!(circle(&[parent, child]).is_some(), "a parent needs its children");
}

/// Returns a module that imports itself through others. A module is a file or folder directly in one of the folders.
fn circle(sources: &[Source]) -> Option<String> {
    let node = |path: &[String]| path[..path.len().min(3)].join("::");
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let modules: Vec<Vec<String>> = sources.iter().map(|source| module_of(&source.path)).collect();
    for module in &modules {
        imports.entry(node(module)).or_default();
        if module.len() == 3 {
            imports.entry(node(&module[..2])).or_default().insert(node(module));
        }
    }
    for (source, here) in sources.iter().zip(&modules) {
        for (_, path) in crate_paths(source, here) {
            // The rest of the path names an item in the module.
            let target =
                (1..=path.len().min(3)).rev().map(|len| node(&path[..len])).find(|it| imports.contains_key(it));
            if let Some(target) = target.filter(|target| *target != node(here)) {
                imports.entry(node(here)).or_default().insert(target);
            }
        }
    }
    imports.keys().find(|start| reachable(start, &imports).contains(*start)).cloned()
}

fn reachable<'a>(start: &str, imports: &'a BTreeMap<String, BTreeSet<String>>) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&String> = imports[start].iter().collect();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(&imports[next]);
        }
    }
    found
}

/// Actions of forms that are not about the organization that the person works in.
const WITHOUT_ORGANIZATION: [&str; 7] = [
    "/api/connect-links/start",
    "/api/unsubscribe",
    "/api/invitations/accept",
    "/api/organizations/create",
    "/api/session/",
    "/api/account/",
    "/login/",
];

#[test]
fn form_that_posts_names_its_organization() {
    assert_no_violations(check_every_file("src/ui", forms_without_organization));
    let caught = |text: &str| forms_without_organization(&Source::new("src/ui/pages/a/mod.rs", text)).len();
    assert_eq!(caught("<form method=\"post\" action=\"/api/members/invite\">\n<button>\n</form>"), 1);
    assert_eq!(caught("<form method=\"post\" action=\"/api/members/invite\">{org_field()}</form>"), 0);
    assert_eq!(caught("<form method=\"post\" action=\"/api/session/logout\"></form><form method=\"get\"></form>"), 0);
}

fn forms_without_organization(source: &Source) -> Vec<Violation> {
    let forms = source.text.match_indices("<form ").filter_map(|(at, _)| {
        let rest = &source.text[at..];
        let form = &rest[..rest.find("</form>").unwrap_or(rest.len())];
        let exempt = WITHOUT_ORGANIZATION.iter().any(|action| form.contains(&format!("action=\"{action}")));
        (form.contains("method=\"post\"") && !form.contains("{org_field()}") && !exempt).then_some(at)
    });
    forms
        .map(|at| {
            Violation::new(source, source.line_at(at), "a form that posts names its organization with `{org_field()}`")
        })
        .collect()
}

#[test]
fn words_of_a_page_are_in_its_words_file() {
    assert_no_violations(check_every_file("src/ui/pages", words_elsewhere));
    let caught = |text: &str| words_elsewhere(&Source::new("src/ui/pages/a/mod.rs", text)).len();
    assert_eq!(caught("view! { <p>\"Nothing was\n changed.\"</p> }"), 1);
    assert_eq!(caught("<button class=\"button\">\"Save name\"</button>"), 1);
    assert_eq!(caught("let text = format!(\"{name} isn't \\\"here\\\"\");"), 1);
    assert_eq!(caught("view! { {time} \" since \" {date} }") + caught("<h2 id=\"mail\">\"Email\"</h2>"), 2);
    assert_eq!(
        caught("<p class=\"card stack\" id=format!(\"key-{id}\")>{words::NOTHING}</p> // \"No key is left.\""),
        0
    );
    assert_eq!(caught("<th>\"State\"</th> <svg viewBox=format!(\"0 0 {size} {size}\")>"), 0);
    assert_eq!(caught("#[cfg(test)]\nmod tests { const A: &str = \"It works.\"; }"), 0);
    let words = Source::new("src/ui/pages/a/words.rs", "pub const SAVED: &str = \"It was saved.\";");
    assert!(words_elsewhere(&words).is_empty());
}

/// Finds headings and texts of more than one word in the views of pages.
fn words_elsewhere(source: &Source) -> Vec<Violation> {
    if !source.path.starts_with("src/ui/pages/") || source.path.ends_with("/words.rs") {
        return Vec::new();
    }
    let texts = source.string_literals().filter(|(at, text)| is_text(text) || is_heading(&source.text[..*at]));
    let lines = texts.map(|(at, _)| source.line_at(at)).filter(|line| !source.is_test(*line));
    lines
        .map(|line| Violation::new(source, line, "a heading or a text of more than one word belongs in words.rs"))
        .collect()
}

/// Returns whether a literal is a text of several words, or a part of one. Lowercase words alone are names of classes.
fn is_text(literal: &str) -> bool {
    let outside = literal.split('{').map(|part| part.rsplit('}').next().unwrap_or(part)).collect::<String>();
    let words = outside.split_whitespace().filter(|word| word.contains(char::is_alphabetic)).count();
    let is_part = outside.starts_with(' ') || outside.ends_with([' ', '.', ',', ':', '?']);
    let is_class = literal.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == ' ');
    match words {
        0 => false,
        1 => is_part,
        _ => !is_class,
    }
}

/// Returns whether a heading begins at the end of `before`.
fn is_heading(before: &str) -> bool {
    let tag = before.trim_end().strip_suffix('>').and_then(|before| before.rsplit_once('<'));
    tag.is_some_and(|(_, tag)| ["h1", "h2", "h3"].iter().any(|heading| tag.starts_with(heading)))
}
