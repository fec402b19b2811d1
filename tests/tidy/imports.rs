//! Imports go one way: which room may name which.

use super::source::{Block, Source};
use super::{Offence, assert_none, in_every_file};

/// A room and the rooms it may name besides itself. The order is that of ARCHITECTURE.md: down the list, never up.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("domain", &["model"]),
    ("clock", &["model", "domain"]),
    ("cipher", &["model", "domain"]),
    ("metrics", &["model", "domain"]),
    ("traces", &["model"]),
    ("store", &["model", "domain", "clock", "cipher"]),
    ("xero", &["model", "domain", "clock", "cipher", "traces"]),
    ("config", &["model", "domain", "xero"]),
    ("keyring", &["model", "domain", "clock", "cipher", "store", "config"]),
    // Sessions and people are rows: of its neighbours, auth knows the store.
    ("auth", &["model", "domain", "clock", "cipher", "store", "config"]),
    ("tokens", BELOW_TOKENS),
    ("views", BELOW_TOKENS),
    ("logging", &["config", "traces"]),
    ("site", &[]),
    ("doors", &[]),
    // It sends what the outbox holds, and knows nothing of how that came about.
    ("retention", &["clock", "store"]),
    ("notify", &["model", "domain", "clock", "cipher", "store", "config"]),
    ("state", BELOW_STATE),
    ("sweeper", BELOW_SERVICES),
    ("departures", BELOW_SERVICES),
    // Pages are served by it.
    ("http", BELOW_HTTP),
    // The demo fills the sandbox as a consent would.
    ("seed", &["model", "domain", "store", "auth", "tokens", "sandbox"]),
    ("app", ALL),
    // Its commands start what the composition root composes.
    ("cli", ALL),
    ("api", &["model"]),
    ("ui", &["model", "api"]),
    ("sandbox", &["model"]),
    // The crate's root names the rooms; main hands over to the command line.
    ("lib", ALL),
    ("main", &["cli"]),
];
const BELOW_TOKENS: &[&str] =
    &["model", "domain", "clock", "cipher", "store", "xero", "config", "auth", "metrics", "traces"];
const BELOW_STATE: &[&str] = &[
    "model", "domain", "clock", "cipher", "store", "xero", "config", "auth", "tokens", "views", "notify", "metrics",
    "doors",
];
const BELOW_SERVICES: &[&str] =
    &["model", "domain", "clock", "cipher", "store", "xero", "config", "auth", "tokens", "views", "state", "metrics"];
const BELOW_HTTP: &[&str] = &[
    "model", "domain", "clock", "cipher", "store", "xero", "config", "auth", "tokens", "views", "state", "sweeper",
    "notify", "api", "ui", "metrics", "traces",
];
const ALL: &[&str] = &[
    "model",
    "domain",
    "clock",
    "cipher",
    "store",
    "xero",
    "config",
    "keyring",
    "auth",
    "tokens",
    "views",
    "logging",
    "traces",
    "site",
    "doors",
    "state",
    "sweeper",
    "departures",
    "notify",
    "retention",
    "http",
    "seed",
    "app",
    "cli",
    "api",
    "ui",
    "sandbox",
    "lib",
    "metrics",
];

/// What the bodies of server functions may name besides `model`: they run on the server alone.
const IN_API_BODIES: &[&str] = &["state", "auth", "tokens", "views", "http"];

#[test]
fn imports_go_one_way() {
    assert_none(in_every_file("src", wrong_way_imports));
}

#[test]
fn a_wrong_way_import_is_caught() {
    let caught = |path: &str, text: &str| wrong_way_imports(&Source::new(path, text)).len();
    assert_eq!(caught("src/ui/toasts.rs", "use crate::{model::Id, server::clock::Clock};"), 1);
    assert_eq!(caught("src/server/clock.rs", "fn f() { super::store::open() }"), 1);
    assert_eq!(caught("src/server/store/grants.rs", "use super::super::tokens;"), 1);
    assert_eq!(caught("src/sandbox/mod.rs", "use crate::server::{domain::Secret, clock};"), 2);
    assert_eq!(caught("src/api/x.rs", "use crate::server::state::AppState;"), 1);
    assert_eq!(caught("src/server/clock.rs", "use crate::{model::{Id as I, *}, server::{http::{a, b}, cli}};"), 3);
    assert_eq!(caught("src/server/new.rs", ""), 1, "a room that is not on the map");

    assert_eq!(caught("src/api/x.rs", "async fn f() { crate::server::state::of() }"), 0);
    assert_eq!(caught("src/api/x.rs", "async fn f() { crate::server::store::rows() }"), 1);
    assert_eq!(caught("src/server/store/grants.rs", "use super::Store; use crate::model::Id;"), 0);
    assert_eq!(caught("src/server/clock.rs", "mod inner { use super::Clock; }"), 0);
    assert_eq!(caught("src/ui/x.rs", "#[cfg(test)]\nmod tests { use crate::sandbox::S; }"), 0);
}

fn wrong_way_imports(source: &Source) -> Vec<Offence> {
    let here = module_of(&source.path);
    let Some((room, may)) = room_of(&here).and_then(|room| ROOMS.iter().find(|(name, _)| *name == room)) else {
        return vec![Offence::new(source, 1, "belongs to no room: give it one, here and in ARCHITECTURE.md")];
    };
    let mut offences = Vec::new();
    for (offset, path) in paths(source, &here) {
        let line = source.line_at(offset);
        let Some(named) = room_of(&path) else { continue };
        let in_body = || source.blocks_at(offset).contains(&Block::Function);
        let allowed = named == *room
            || may.contains(&named)
            || (*room == "api" && IN_API_BODIES.contains(&named) && in_body())
            || source.is_test(line);
        if !allowed {
            let what = format!("`{room}` may not name `{named}`: move what is needed down, or ask for it from above");
            offences.push(Offence::new(source, line, what));
        }
    }
    offences
}

/// A file's module path from the crate's root.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.trim_end_matches("/mod").split('/').map(str::to_owned).collect()
}

/// The room that a module path leads into; none for `server` itself and for what is on no map.
fn room_of(path: &[String]) -> Option<&'static str> {
    let name = match path {
        [server] if server == "server" => return Some("lib"),
        [server, room, ..] if server == "server" => room,
        [room, ..] => room,
        [] => return Some("lib"),
    };
    ROOMS.iter().map(|(room, _)| *room).find(|room| room == name)
}

/// Every path of ours that the code names, from the crate's root, groups spread out, with its place.
fn paths(source: &Source, here: &[String]) -> Vec<(usize, Vec<String>)> {
    let code = &source.code;
    let mut found = Vec::new();
    for start in ["crate::", "super::", "evergrant::"] {
        for (offset, _) in code.match_indices(start) {
            // In the middle of a longer word or path?
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
            spread(rest, &base, &mut |path| found.push((offset, path)));
        }
    }
    found
}

/// Walks `a::{b, c::d}` and hands over each leaf's path.
fn spread<'a>(mut rest: &'a str, base: &[String], leaf: &mut impl FnMut(Vec<String>)) -> &'a str {
    let mut path = base.to_vec();
    loop {
        rest = rest.trim_start();
        if let Some(mut group) = rest.strip_prefix('{') {
            loop {
                group = group.trim_start();
                if let Some(after) = group.strip_prefix('}') {
                    return after;
                }
                group = spread(group, &path, leaf);
                // `as name` and `*` are stepped over.
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
