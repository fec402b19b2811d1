//! Imports go one way: which layer may import which.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use super::source::{Block, Source};
use super::{Violation, assert_no_violations, check_every_file};

const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");

/// Layers above those of the code map: the crate's two roots.
const ROOTS: [&str; 2] = ["main", "lib"];

/// Returns the layers from the lowest to the highest: the headings of ARCHITECTURE.md's code map, then the roots. Each
/// layer may import those before it.
fn layers() -> &'static [&'static str] {
    static LAYERS: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let headings = ARCHITECTURE.lines().filter_map(|line| line.strip_prefix("### `src/"));
        let folders = headings.map(|rest| rest.trim_end_matches('`').trim_start_matches("server/"));
        folders.chain(ROOTS).collect()
    });
    &LAYERS
}

/// Layers that may import less than those before them.
const NARROW: &[(&str, &[&str])] = &[
    ("store", &["model", "domain", "clock", "crypto"]),
    ("views", &["model", "domain", "store"]),
    // It sends what is in the outbox, and depends on nothing that fills it.
    ("notify", &["model", "domain", "clock", "crypto", "outbound", "config", "store"]),
    ("api", &["model"]),
    ("ui", &["model", "api"]),
    ("main", &["cli"]),
];

/// Layers that the bodies of server functions may import besides `model`. Bodies run only on the server.
const IN_API_BODIES: &[&str] = &["auth", "tokens", "proxy", "views", "http"];

#[test]
fn imports_go_one_way() {
    assert_no_violations(check_every_file("src", wrong_way_imports));
}

#[test]
fn code_map_names_every_folder_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.map(|name| name.trim_end_matches(".rs").to_owned()).collect::<BTreeSet<_>>()
    };
    let mut found = names(&root);
    found.extend(names(&root.join("server")));
    for not_a_layer in ["server", "mod", "main", "lib"] {
        found.remove(not_a_layer);
    }
    let mapped: BTreeSet<String> =
        layers().iter().filter(|name| !ROOTS.contains(name)).map(|name| (*name).to_owned()).collect();
    let declared = include_str!("../../src/server/mod.rs").lines().filter_map(|line| line.strip_prefix("pub mod "));
    let declared: Vec<&str> = declared.map(|name| name.trim_end_matches(';')).collect();
    let in_server = layers()
        .iter()
        .filter(|name| root.join("server").join(name).exists() || root.join(format!("server/{name}.rs")).exists());
    assert_eq!(declared, in_server.copied().collect::<Vec<_>>(), "src/server/mod.rs lists the layers in their order");
    assert_eq!(mapped, found, "the headings of the code map in ARCHITECTURE.md, and the folders of src");
}

#[test]
fn wrong_way_imports_are_detected() {
    let caught = |path: &str, text: &str| wrong_way_imports(&Source::new(path, text)).len();
    assert_eq!(caught("src/ui/toasts.rs", "use crate::{model::Id, server::clock::Clock};"), 1);
    assert_eq!(caught("src/server/clock.rs", "fn f() { super::store::open() }"), 1);
    assert_eq!(caught("src/server/store/grants.rs", "use super::super::tokens;"), 1);
    assert_eq!(caught("src/model/id.rs", "use crate::server::{domain::Secret, clock};"), 2);
    assert_eq!(caught("src/api/x.rs", "use crate::server::http::state::AppState;"), 1);
    assert_eq!(caught("src/server/clock.rs", "use crate::{model::{Id as I, *}, server::{http::{a, b}, cli}};"), 3);
    assert_eq!(caught("src/server/new.rs", ""), 1, "a layer that is not in the table");

    assert_eq!(caught("src/api/x.rs", "async fn f() { crate::server::http::state::of() }"), 0);
    assert_eq!(caught("src/api/x.rs", "async fn f() { crate::server::store::rows() }"), 1);
    assert_eq!(caught("src/server/store/grants.rs", "use super::Store; use crate::model::Id;"), 0);
    assert_eq!(caught("src/server/clock.rs", "mod inner { use super::Clock; }"), 0);
    assert_eq!(caught("src/ui/x.rs", "#[cfg(test)]\nmod tests { use crate::server::S; }"), 0);
}

fn wrong_way_imports(source: &Source) -> Vec<Violation> {
    let here = module_of(&source.path);
    let Some(layer) = layer_of(&here) else {
        return vec![Violation::new(source, 1, "belongs to no layer: add one here and in ARCHITECTURE.md")];
    };
    let may = may_import(layer);
    let mut violations = Vec::new();
    for (offset, path) in crate_paths(source, &here) {
        let line = source.line_at(offset);
        let Some(named) = layer_of(&path) else { continue };
        let in_body = || source.blocks_at(offset).contains(&Block::Function);
        let allowed = named == layer
            || may.contains(&named)
            || (layer == "api" && IN_API_BODIES.contains(&named) && in_body())
            || source.is_test(line);
        if !allowed {
            let what = format!("`{layer}` may not import `{named}`: move the item to a lower layer, or pass it in");
            violations.push(Violation::new(source, line, what));
        }
    }
    violations
}

/// Returns the layers that `layer` may import besides itself.
fn may_import(layer: &str) -> &'static [&'static str] {
    if let Some((_, layers)) = NARROW.iter().find(|(name, _)| *name == layer) {
        return layers;
    }
    let below = layers().iter().position(|name| *name == layer).unwrap_or_default();
    &layers()[..below]
}

/// Returns a file's module path from the crate root.
pub fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.trim_end_matches("/mod").split('/').map(str::to_owned).collect()
}

/// Returns the layer of a module path, or `None` if it is not in the table.
fn layer_of(path: &[String]) -> Option<&'static str> {
    let name = match path {
        [server] if server == "server" => return Some("lib"),
        [server, room, ..] if server == "server" => room,
        [room, ..] => room,
        [] => return Some("lib"),
    };
    layers().iter().copied().find(|layer| layer == name)
}

/// Returns each path into this crate with its offset: from the crate root, with groups expanded.
pub fn crate_paths(source: &Source, here: &[String]) -> Vec<(usize, Vec<String>)> {
    let code = &source.code;
    let mut found = Vec::new();
    for start in ["crate::", "super::", "evergrant::"] {
        for (offset, _) in code.match_indices(start) {
            // Skip matches inside a longer word or path.
            if code[..offset].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut base = Vec::new();
            let mut rest = &code[offset + start.len()..];
            if start == "super::" {
                let mut up = 1;
                while let Some(further) = rest.strip_prefix("super::") {
                    (up, rest) = (up + 1, further);
                }
                let modules = source.blocks_at(offset).iter().filter(|block| **block == Block::Module).count();
                let keep = (here.len() + modules).saturating_sub(up).min(here.len());
                base.extend_from_slice(&here[..keep]);
            }
            expand_path(rest, &base, &mut |path| found.push((offset, path)));
        }
    }
    found
}

/// Expands `a::{b, c::d}` and calls `leaf` with each path.
fn expand_path<'a>(mut rest: &'a str, base: &[String], leaf: &mut impl FnMut(Vec<String>)) -> &'a str {
    let mut path = base.to_vec();
    loop {
        rest = rest.trim_start();
        if let Some(mut group) = rest.strip_prefix('{') {
            loop {
                group = group.trim_start();
                if let Some(after) = group.strip_prefix('}') {
                    return after;
                }
                group = expand_path(group, &path, leaf);
                // Skip `as name` and `*`.
                group = &group[group.find([',', '}']).unwrap_or(group.len())..];
                if group.is_empty() {
                    return group;
                }
                group = group.strip_prefix(',').unwrap_or(group);
            }
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end > 0 {
            path.push(rest[..end].to_owned());
        }
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(further) => rest = further,
            None => {
                leaf(path);
                return rest;
            }
        }
    }
}
