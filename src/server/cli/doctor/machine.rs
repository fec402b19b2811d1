//! What can be seen without leaving this machine: settings, the data directory, the key file, the spool.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::check::{Check, count, ids, sentence};
use crate::server::config::{Config, ConfigError};
use crate::server::tokens::{Spool, Waiting};

pub fn unusable_settings(error: &ConfigError) -> Check {
    let to_do =
        "Mend that setting (evergrant serve --help lists them all), then look again: nothing else was looked at.";
    Check::fail("settings", sentence(error), to_do)
}

pub fn settings(config: &Config) -> Check {
    let mode = match &config.xero_app {
        Some(_) => "Your own Xero app",
        None => "Sandbox mode, as no Xero app is set: the provider is a part of the server",
    };
    let (public, scopes) = (config.public_url.origin(), &config.xero_scopes);
    Check::ok("settings", format!("{mode}. Public address: {public}. Scopes: {scopes}."))
}

pub fn data_dir(config: &Config) -> Check {
    let (name, path) = ("data directory", &config.data_dir);
    let shown = path.display();
    match mode(path) {
        Ok(Some(mode)) if mode & 0o077 != 0 => Check::warn(
            name,
            format!("Others on this machine can look into {shown} (mode {mode:04o})."),
            format!("chmod 700 {shown}"),
        ),
        Ok(Some(mode)) => Check::ok(name, format!("{shown}, for its owner alone (mode {mode:04o}).")),
        Ok(None) => Check::ok(name, format!("{shown} isn't there yet: the first start makes it.")),
        Err(error) => cannot_look(name, path, &error),
    }
}

pub fn key_file(config: &Config) -> Check {
    let name = "key file";
    if config.keys.is_some() {
        return Check::ok(name, "None is used: the keys are in EVERGRANT_KEYS.");
    }
    let own = config.data_dir.join("keys");
    let path = config.keys_file.as_deref().unwrap_or(&own);
    let shown = path.display();
    match mode(path) {
        Ok(Some(mode)) if mode & 0o077 != 0 => Check::warn(
            name,
            format!("Others on this machine can read {shown} (mode {mode:04o})."),
            format!("chmod 600 {shown}"),
        ),
        Ok(Some(mode)) => Check::ok(name, format!("{shown}, for its owner alone (mode {mode:04o}).")),
        Ok(None) if config.keys_file.is_some() => Check::fail(
            name,
            format!("EVERGRANT_KEYS_FILE names {shown}, which isn't there."),
            "Put the file there, or name another one.",
        ),
        // Whether that is well depends on what is sealed already, which the keys' check knows.
        Ok(None) => Check::ok(name, format!("{shown} isn't there.")),
        Err(error) => cannot_look(name, path, &error),
    }
}

pub fn spool(config: &Config) -> Check {
    let (name, folder) = ("spool", config.spool());
    let shown = folder.display();
    match Spool::look(&folder) {
        Ok(Waiting { grants, unreadable, .. }) if grants.is_empty() && unreadable.is_empty() => {
            Check::ok(name, "No token set waits for the database.")
        }
        Ok(Waiting { grants, unreadable, .. }) => {
            let mut found = Vec::new();
            let mut to_do = "See to it that the database takes writes. A running server tries by itself; otherwise \
                             start it, or run evergrant grants refresh --all-due."
                .to_owned();
            if !grants.is_empty() {
                let sets = count(grants.len(), "token set waits for the database", "token sets wait for the database");
                found.push(format!("{sets}, of {}", ids(grants.iter())));
            }
            if !unreadable.is_empty() {
                found.push(count(unreadable.len(), "file can't be read", "files can't be read"));
                let files: Vec<String> = unreadable.iter().map(|path| path.display().to_string()).collect();
                to_do.push_str(&format!(" Keep {} for whoever can mend it.", files.join(", ")));
            }
            let found = format!("In {shown} {}", found.join("; "));
            Check::warn(name, format!("{found}."), to_do)
        }
        Err(error) => Check::fail(
            name,
            sentence(&error),
            format!(
                "Let the user that Evergrant runs as read and write {shown}: a token set that the database refuses would be lost."
            ),
        ),
    }
}

fn cannot_look(name: &'static str, path: &Path, error: &std::io::Error) -> Check {
    let to_do = "Run this as the user that Evergrant runs as, and let that user read it.";
    Check::fail(name, format!("{} can't be looked at: {error}.", path.display()), to_do)
}

/// The permission bits, where there is something.
fn mode(path: &Path) -> std::io::Result<Option<u32>> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some(found.permissions().mode() & 0o777)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
